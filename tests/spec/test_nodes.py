"""Nodes as code writes them: every field is read, and a wrong one is told by name."""

import pytest

from dagger import GraphError, NodeAction, action, ref
from dagger.core.graph import Condition, Map, Output, Reuse
from dagger.spec.nodes import action_name, new_node


def node(*, after=(), inputs=None, **fields):
    return new_node("n", {"action": "act"}, after, inputs or {}, **fields)


def test_all_that_a_node_refers_to_is_waited_for():
    """What it is told to wait for first, then its condition, its list, its inputs; each once."""
    made = node(
        after=["a", ref("b")],
        inputs={"x": ref("c.out"), "y": ref("a.out"), "z": 5, "w": ref("item.title")},
        when={"reference": ref("d.found"), "gt": 3},
        map=ref("e.list"),
    )
    assert made.dependencies == ("a", "b", "d", "e", "c")
    assert (made.when.reference, made.map) == ("d.found", Map("e.list"))
    assert {name: bytes(value) for name, value in made.when.tests.items()} == {"gt": b"3"}


def test_the_fields_are_read():
    """In the forms that Graph.add takes."""
    made = node(
        outputs="only", failure=action(name="mend")(lambda: None), cache={"key": "x", "ttl": "2m"}, onfailure=False,
        run_when="finished", priority=3, inputs={"x": 1},
    )  # fmt: skip
    assert (made.outputs, made.failure, made.cache) == ((Output("only"),), "mend", Reuse(("x",), 120.0))
    assert (made.try_count, made.run_when, made.priority) == (1, "finished", 3)
    assert node(when="a.b").when == Condition("a.b")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"timout": 3}, "node 'n': a node has no field 'timout'; did you mean 'timeout'?; its inputs are given as"),
        ({"timeout": 0}, "node 'n': timeout 0 must be a number of seconds above 0"),
        ({"map": [1, 2]}, "node 'n': map "),
        ({"map": {"reference": "a.b", "max": 3}}, "node 'n': map: unknown key 'max'"),
        ({"when": 3}, "node 'n': when takes a reference, not 3"),
        ({"cache": {"keys": ["x"]}}, "node 'n': cache: unknown key 'keys'; did you mean 'key'?"),
        ({"inputs": {"x": float("nan")}}, "node 'n': input 'x': "),
        ({"inputs": [1]}, "node 'n': inputs are a dict of names, not [1]"),
        ({"after": [3]}, "node 'n': after takes references and node ids, not 3"),
        ({"priority": "high"}, "node 'n': "),
    ],
)
def test_a_wrong_field_is_told(fields, told):
    """With the node, the field and the value."""
    with pytest.raises(GraphError) as caught:
        node(**fields)
    assert str(caught.value).startswith(told)


def test_an_action_is_called_by_its_name():
    """Whatever form it is given in."""

    class Fetch(NodeAction):
        name = "fetch it"

    def plain(): ...

    assert [action_name(each) for each in ("x", plain, Fetch, Fetch())] == ["x", "plain", "fetch it", "fetch it"]
    with pytest.raises(GraphError, match="3 is no action: give its name"):
        action_name(3)
