"""What a run is given: its inputs, with defaults, checked before it starts."""

import dataclasses

import pytest
from msgspec import Raw

from dagger import Graph, InputInvalid
from dagger.core.graph import Definition, Input, Node, RunInput
from dagger.spec.inputs import run_inputs, wanted_inputs


def declared(**inputs):
    graph = Graph("g", inputs=inputs)
    graph.add("act", id="n", x=1)
    return graph.definition


def referring(*names):
    graph = Graph("g")
    graph.add("act", id="n", inputs={f"i{n}": graph.input(name) for n, name in enumerate(names)})
    return graph.definition


@dataclasses.dataclass
class Point:
    x: int


def test_values_become_json_text():
    """As JSON writes them; dataclasses and tuples as what they stand for."""
    assert run_inputs(referring("a"), {"a": (1, Point(2)), "more": "ü"}) == {
        "a": b'[1,{"x":2}]',
        "more": '"ü"'.encode(),
    }


def test_without_a_declaration_the_references_say_what_is_needed():
    """Each referred input once, with or without a path."""
    graph = Graph("g")
    graph.add("act", id="n", a=graph.input("x")["deep"][0], b=graph.input("y"), c=graph.input("y")["z"])
    with pytest.raises(InputInvalid) as caught:
        run_inputs(graph.definition, {})
    assert str(caught.value) == "graph 'g': run input 'x' is missing; run input 'y' is missing"
    assert set(run_inputs(graph.definition, {"x": {"deep": [1]}, "y": 1})) == {"x", "y"}


def test_a_missing_input_names_the_given_one_that_may_be_a_slip():
    """One that is wanted itself is none, however like it."""
    with pytest.raises(InputInvalid) as caught:
        run_inputs(referring("num1", "num2", "num3"), {"nmu1": 3, "num2": 4, "other": 5})
    assert str(caught.value) == (
        "graph 'g': run input 'num1' is missing; is it meant by the given 'nmu1'?; run input 'num3' is missing"
    )


def test_when_and_map_ask_for_inputs_too():
    """Each is a reference like any other."""
    graph = Graph("g")
    graph.add("act", when=graph.input("is_on"), map={"reference": graph.input("urls"), "max_parallel": 2})
    with pytest.raises(InputInvalid) as caught:
        run_inputs(graph.definition, {})
    assert str(caught.value) == "graph 'g': run input 'is_on' is missing; run input 'urls' is missing"


def test_what_a_graph_wants_has_its_default_or_none():
    """What is given beyond the references is not wanted, what is declared is."""
    assert wanted_inputs(referring("a")) == {"a": None}
    assert wanted_inputs(declared(a=RunInput("integer", default=5), b="string")) == {"a": b"5", "b": None}


def test_a_reference_names_its_input_in_any_spelling():
    """Brackets as well; literals and other nodes' outputs ask for nothing of the run."""
    entries = [Input("a", 'inputs["my key"]'), Input("b", "inputs"), Input("c", "n.x"), Input("d", value=Raw(b"1"))]
    definition = Definition(name="g", nodes=(Node(id="m", action="act", inputs=tuple(entries)),))
    with pytest.raises(InputInvalid) as caught:
        run_inputs(definition, {1: 2})
    assert str(caught.value) == "graph 'g': run input 1: a name is a string; run input 'my key' is missing"


class Model:
    __slots__ = ()

    def model_dump(self, mode):
        return [1]


class Metres(float):
    pass


@pytest.mark.parametrize(("kind", "value", "text"), [("array", Model(), b"[1]"), ("number", Metres(1.5), b"1.5")])
def test_a_declared_type_is_asked_of_the_json_value(kind, value, text):
    """Of what the input becomes, not of the Python object."""
    assert run_inputs(declared(x=RunInput(kind)), {"x": value}) == {"x": text}


def test_a_value_that_is_no_json_is_one_problem():
    """Its type is not asked for any more."""
    circular = []
    circular.append(circular)
    with pytest.raises(InputInvalid) as caught:
        run_inputs(declared(x="array"), {"x": circular})
    assert str(caught.value) == "graph 'g': run input 'x': at $: nested deeper than 200 levels, or it contains itself"


def test_defaults_fill_what_is_not_given():
    """A default of null counts as one."""
    definition = declared(a=RunInput("integer", default=5), b=RunInput(default=None), c="string")
    assert run_inputs(definition, {"c": "x"}) == {"c": b'"x"', "a": b"5", "b": b"null"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "x", 1),
        ("integer", 1, 1.5),
        ("integer", 2**70, True),
        ("number", 1, "1"),
        ("number", 1.5, True),
        ("boolean", False, 0),
        ("array", (1,), {}),
        ("object", {"a": 1}, [1]),
        ("object", Point(1), "x"),
        ("null", None, 0),
        (("string", "null"), None, 1),
    ],
    ids=range(11),
)
def test_a_declared_type_is_kept(kind, good, bad):
    """No conversion, and the error names type and value."""
    definition = declared(x=RunInput(kind))
    run_inputs(definition, {"x": good})
    wanted = kind if isinstance(kind, str) else " or ".join(kind)
    with pytest.raises(InputInvalid) as caught:
        run_inputs(definition, {"x": bad})
    assert str(caught.value) == f"graph 'g': run input 'x' must be {wanted}, not {bad!r}"


def test_all_that_is_wrong_is_told_at_once():
    """Missing, unknown with the nearest, mistyped, not JSON."""
    definition = declared(number="integer", text="string", flag="boolean")
    with pytest.raises(InputInvalid) as caught:
        run_inputs(definition, {"nmber": 1, "text": 5, "flag": float("nan")})
    told = str(caught.value)
    assert "run input 'flag': at $: nan is not a JSON number" in told
    assert told.endswith("run input 'number' is missing")
    assert "there is no run input 'nmber'; did you mean 'number'?" in told
    assert "run input 'text' must be string, not 5" in told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1], "inputs are a dict of names, not [1]"),
        ({1: 2}, "run input 1: a name is a string"),
        ({"\ud800": 2}, "run input '\\ud800': a name is a string"),
        ({"x": object()}, "run input 'x': at $: an object is not a JSON value"),
    ],
    ids=range(4),
)
@pytest.mark.parametrize("is_declared", [True, False])
def test_what_is_no_input_is_refused(given, told, is_declared):
    """A DaggerError for whatever is given."""
    with pytest.raises(InputInvalid) as caught:
        run_inputs(declared(x="integer") if is_declared else referring("x"), given)
    assert told in str(caught.value)
