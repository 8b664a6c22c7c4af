"""@action and NodeAction: what can be an action, what it is called with, what its result becomes."""

import asyncio
import dataclasses
import enum
import functools
from typing import Annotated, Any, Literal, Optional, TypedDict

import jsonschema_rs
import msgspec
import pydantic
import pytest

from dagger import Context, NodeAction, action
from dagger.core.errors import InputInvalid, RegistryError
from dagger.core.graph import Input, Node, Reuse
from dagger.spec.action import Action, action_of, argument, refuse_missing, require_fit

NODE = Node(id="n", action="act")


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Book(TypedDict):
    title: str
    pages: int


class Struct(msgspec.Struct):
    p: Point


class Model(pydantic.BaseModel):
    a: int
    b: str = "b"


class Nested(pydantic.BaseModel):
    inner: Model
    more: list[Model] = []


def bound(annotation, text):
    """What an input's JSON text becomes for a parameter of this type."""

    async def act(value):
        return value

    act.__annotations__["value"] = annotation
    return argument(Action(act), NODE, "value", text)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, b"5", 5),
        (float, b"5", 5.0),
        (float, b"5.5", 5.5),
        (str, b'"x"', "x"),
        (bool, b"true", True),
        (Any, b'{"a":[1,null]}', {"a": [1, None]}),
        (object, b"[1]", [1]),
        (Point, b'{"x":1,"y":2}', Point(1, 2.0)),
        (Book, b'{"title":"t","pages":3}', {"title": "t", "pages": 3}),
        (Struct, b'{"p":{"x":1}}', Struct(Point(1))),
        (Model, b'{"a":1}', Model(a=1)),
        (list[Model], b'[{"a":1,"b":"c"}]', [Model(a=1, b="c")]),
        (Colour, b'"red"', Colour.RED),
        (Literal["a", 3], b"3", 3),
        (Optional[int], b"null", None),  # noqa: UP045 - users write it so
        (int | None, b"4", 4),
        (dict[str, list[float]], b'{"a":[1]}', {"a": [1.0]}),
        (tuple[int, str], b'[1,"x"]', (1, "x")),
        (set[int], b"[1,1]", {1}),
        (Annotated[int, msgspec.Meta(ge=0)], b"3", 3),
        (bytes, b'"YWI="', b"ab"),
    ],
    ids=range(21),
)
def test_an_input_becomes_a_value_of_the_parameters_type(annotation, text, value):
    """Dataclasses, TypedDict, enums, Literal, Optional, Structs, pydantic models; an int may become a float."""
    made = bound(annotation, text)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "told"),
    [
        (int, b"true", "expected int, got bool"),
        (int, b'"5"', "expected int, got str"),
        (int, b"5.5", "expected int, got float"),
        (float, b"true", "expected float, got bool"),
        (float, b'"5"', "expected float, got str"),
        (str, b"5", "expected str, got int"),
        (bool, b"1", "expected bool, got int"),
        (int, b"null", "expected int, got null"),
        (Point, b'{"y":1}', "object missing required field x"),
        (Point, b'{"x":"1"}', "expected int, got str (at $.x)"),
        (Book, b'{"title":"t"}', "object missing required field pages"),
        (list[int], b'[1,"2"]', "expected int, got str (at $[1])"),
        (dict[str, int], b'{"a":1,"b":"2"}', "expected int, got str (at $.b)"),
        (Colour, b'"blue"', "invalid enum value 'blue'"),
        (Literal["a", "b"], b'"c"', "invalid enum value 'c'"),
        (int | None, b'"x"', "expected int | null, got str"),
        (Annotated[int, msgspec.Meta(ge=0)], b"-1", "expected int >= 0"),
    ],
    ids=range(17),
)
def test_what_does_not_fit_is_refused_with_expected_and_actual(annotation, text, told):
    """Nothing is guessed: no text becomes a number, no truth a whole number."""
    with pytest.raises(InputInvalid) as caught:
        bound(annotation, text)
    assert str(caught.value) == f"node 'n': input 'value': {told}"


def test_a_models_own_complaint_is_told():
    """A pydantic model validates strictly."""
    with pytest.raises(InputInvalid) as refused:
        bound(Model, b'{"a":"1"}')
    assert str(refused.value) == "node 'n': input 'value': a: Input should be a valid integer"


def test_missing_inputs_are_all_named():
    """Those without a default."""

    async def act(a, b, c=1):
        return a

    found = Action(act)
    assert found.required == {"a", "b"}
    with pytest.raises(InputInvalid, match="node 'n': inputs 'a', 'b' missing; action 'act' requires"):
        refuse_missing(found, NODE, {})
    refuse_missing(found, NODE, {"a": 1, "b": 2})


# -- what can be an action -----------------------------------------------------------------------------------


def test_a_marked_function_stays_a_function():
    """It is called as plain Python, and known as an action by its name."""

    @action
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    @action("other", runs_in="loop")
    def named(x):
        return x

    @action(name="third")
    async def third():
        return 3

    assert (double(2), named(5), asyncio.run(third())) == (4, 5, 3)
    assert [action_of(f).name for f in (double, named, third)] == ["double", "other", "third"]
    assert [action_of(f).runs_in for f in (double, named, third)] == ["thread", "loop", "loop"]
    assert action_of(double).description == "Twice x."
    assert repr(action_of(double)) == "<action double>"
    assert action_of(lambda: 1) is None
    assert action_of(action_of(double)) is action_of(double)


class Called:
    async def __call__(self, x: int):
        return x


class Plain:
    def method(self, x: int):
        return x


@pytest.mark.parametrize(
    ("function", "name", "runs_in", "required"),
    [
        (functools.partial(lambda a, b: a + b, 1), "partial", "thread", ("b",)),
        (Called(), "Called", "loop", ("x",)),
        (Plain().method, "method", "thread", ("x",)),
        (len, "len", "thread", None),
    ],
    ids=["partial", "callable", "method", "builtin"],
)
def test_any_callable_can_be_an_action(function, name, runs_in, required):
    """Partials, callable objects, bound methods; a builtin whose parameters have no names cannot."""
    if required is None:
        with pytest.raises(RegistryError, match="inputs are bound by name, so obj cannot be a parameter"):
            Action(function)
        return
    found = Action(function)
    assert (found.name, found.runs_in, found.required) == (name, runs_in, set(required))


def test_decorated_async_functions_are_async():
    """functools.wraps does not hide it."""

    async def act(x: int):
        return x

    @functools.wraps(act)
    def wrapper(*args, **kwargs):
        return act(*args, **kwargs)

    assert Action(wrapper).is_async
    assert Action(wrapper).required == {"x"}


def positional(x, /):
    return x


def stars(*x):
    return x


def unknown(x: "NoSuchType"):  # noqa: F821 - the case
    return x


def impossible(x: object()):
    return x


def untold(x: complex):
    return x


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: action(positional), "action 'positional': inputs are bound by name, so x cannot be a parameter"),
        (lambda: action(stars), "action 'stars': inputs are bound by name, so *x cannot be a parameter"),
        (lambda: action(unknown), "action 'unknown': an annotation names what is not there at run time"),
        (lambda: action(untold), "action 'untold': parameter 'x' cannot be made from JSON"),
        (lambda: action("a", runs_in="cloud")(lambda: 1), "'a': runs_in is 'loop', 'thread' or 'process', not 'cloud'"),
        (lambda: action("a", runs_in="thread")(_async), "runs_in is 'loop' or 'process', as it is async, not 'thread'"),
        (lambda: action("a", runs_in="process")(lambda: 1), "action 'a': runs_in='process' needs a function that can"),
        (lambda: action(Plain().method), "cannot be marked as an action; wrap it in a function"),
    ],
    ids=range(8),
)
def test_what_cannot_be_an_action_is_refused_at_registration(make, told):
    """With the parameter and the reason."""
    with pytest.raises(RegistryError) as caught:
        make()
    assert told in str(caught.value)


async def _async():
    return 1


def test_annotations_may_name_local_types():
    """A dataclass beside the function in a test or factory is found."""

    @dataclasses.dataclass
    class Local:
        x: int

    @action
    async def act(value: "Local"):
        return value

    assert argument(action_of(act), NODE, "value", b'{"x":1}') == Local(1)


@pytest.mark.parametrize("annotation", [Context, Context | None, Optional[Context]])  # noqa: UP045
def test_the_context_is_received_by_annotation(annotation):
    """Under any name, optional too; it is no input."""

    async def act(me, x: int):
        return x

    act.__annotations__["me"] = annotation
    found = Action(act)
    assert (found.context_name, found.required, list(found.schema()["parameters"]["properties"])) == (
        "me",
        {"x"},
        ["x"],
    )


def test_its_schema_comes_from_signature_and_docstring():
    """Name, description, parameters, returns, as JSON Schema."""

    @action
    async def find(query: str, limit: int = 5, colour: Colour = Colour.RED) -> list[Point]:
        """Find points."""
        return []

    schema = action_of(find).schema()
    assert (schema["name"], schema["description"]) == ("find", "Find points.")
    assert schema["parameters"]["required"] == ["query"]
    assert schema["parameters"]["additionalProperties"] is False
    assert schema["parameters"]["properties"]["limit"] == {"type": "integer", "default": 5}
    assert schema["parameters"]["properties"]["colour"]["default"] == "red"
    assert "default" not in schema["parameters"]["properties"]["query"]
    assert schema["returns"]["type"] == "array"

    @action
    async def anything(**more):
        return 1

    assert action_of(anything).schema()["parameters"] == {"type": "object", "properties": {}, "required": []}
    assert action_of(anything).schema()["returns"] == {}


def rich(point: Point, book: Book, model: Nested, many: list[Struct], maybe: Point | None = None) -> dict[str, Struct]:
    """Takes one of each."""


RICH = {
    "point": {"x": 1},
    "book": {"title": "t", "pages": 3},
    "model": {"inner": {"a": 1}, "more": [{"a": 2}]},
    "many": [{"p": {"x": 1, "y": 2}}],
}


def test_its_schema_is_valid_and_tells_good_inputs_from_bad():
    """Whatever types are nested in the parameters: their definitions stand at the root, where references look."""
    made = action_of(action(rich)).schema()
    for part in (made["parameters"], made["returns"]):
        assert jsonschema_rs.meta.is_valid(part)
    validator = jsonschema_rs.validator_for(made["parameters"])
    assert validator.is_valid(RICH)
    assert validator.is_valid({**RICH, "maybe": None})
    for bad in (
        {"point": {}}, {"point": {"x": "1"}}, {"book": {"title": "t"}}, {"model": {"inner": {}}},
        {"model": {"inner": {"a": 1}, "more": [{"a": "x"}]}}, {"many": [{"p": {"x": 1.5}}]}, {"maybe": {}}, {"no": 1},
    ):  # fmt: skip
        assert not validator.is_valid({**RICH, **bad})
    returns = jsonschema_rs.validator_for(made["returns"])
    assert returns.is_valid({"a": {"p": {"x": 1}}})
    assert not returns.is_valid({"a": {"p": {}}})


def test_only_defaults_that_an_input_could_be_are_in_its_schema():
    """Neither what is no JSON, nor what would be refused if it were given."""

    @action
    async def act(a: int = 1, b: set[int] = frozenset(), c: int = None, d: Point = Point(1), e=object()):  # noqa: B008, RUF013
        return a

    properties = action_of(act).schema()["parameters"]["properties"]
    assert {name: entry["default"] for name, entry in properties.items() if "default" in entry} == {
        "a": 1,
        "d": {"x": 1, "y": 0.0},
    }


# -- options -------------------------------------------------------------------------------------------------


def options_of(**options):
    """The action that a function of two inputs becomes with these options."""

    @action(**options)
    async def act(url, depth=1):
        return url

    return action_of(act)


@pytest.mark.parametrize(
    ("options", "pool", "slots", "rate"),
    [
        ({}, "", None, None),
        ({"concurrency": 4}, "act", 4, None),
        ({"rate": "60/min", "name": "fetch"}, "fetch", None, (60, 60.0)),
        ({"pool": "web"}, "web", None, None),
        ({"pool": "web", "concurrency": 1, "rate": "5/s"}, "web", 1, (5, 1.0)),
    ],
    ids=range(5),
)
def test_limits_belong_to_a_pool(options, pool, slots, rate):
    """The one it names, else one of its own name; without limits there is none."""
    made = options_of(**options)
    assert (made.pool, made.slots, made.rate) == (pool, slots, rate)


@pytest.mark.parametrize(
    ("options", "cache", "version"),
    [
        ({}, None, ""),
        ({"cache": True, "version": 2}, Reuse(), "2"),
        ({"cache": {"key": "url", "ttl": "30d"}, "version": "2b"}, Reuse(("url",), 2592000.0), "2b"),
        ({"version": 0}, None, "0"),
    ],
    ids=range(4),
)
def test_what_may_be_reused_is_said_with_the_version(options, cache, version):
    """The version is kept as text."""
    made = options_of(**options)
    assert (made.cache, made.version) == (cache, version)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"concurrency": 0}, "concurrency is a whole number of at least 1, not 0"),
        ({"concurrency": True}, "concurrency is a whole number of at least 1, not True"),
        ({"concurrency": "4"}, "concurrency is a whole number of at least 1, not '4'"),
        ({"rate": "0/s"}, "rate is how many starts in what time, both above zero: 60/min, 5/s or 100/30s; not '0/s'"),
        ({"pool": ""}, "pool is a name that actions share, not ''"),
        ({"pool": 3}, "pool is a name that actions share, not 3"),
        ({"version": 1.0}, "version is a text or a whole number, not 1.0"),
        ({"version": True}, "version is a text or a whole number, not True"),
        ({"cache": "30d"}, "cache: must be true, or {key: [names of inputs], ttl: 30d}, not '30d'"),
        ({"cache": {"key": "ur"}}, "cache: key: it has no parameter 'ur'; did you mean 'url'? (it takes: url, depth)"),
    ],
    ids=range(10),
)
def test_options_that_will_not_do_are_told_with_the_form(options, told):
    """At the decorator."""
    with pytest.raises(RegistryError) as refused:
        options_of(**options)
    assert str(refused.value) == f"action 'act': {told}"


def test_any_key_is_welcome_where_any_input_is():
    """With `**` parameters, or a context to read them from."""

    @action(cache={"key": "other"})
    async def act(**more):
        return 1

    assert action_of(act).cache.key == ("other",)


@action(runs_in="process")
def works_elsewhere(x: int, ctx: Context):
    return x


@action(runs_in="process", name="async_elsewhere")
async def works_elsewhere_async(x: int):
    return x


@functools.lru_cache
@action(runs_in="process")
def wrapped_later():
    return 1


@action(runs_in="process")
def hidden():
    return 1


hidden, hides = 5, hidden


@action(runs_in="process")
def gone():
    return 1


gone_away = gone
del gone


def test_an_action_of_a_process_is_known_by_its_address():
    """Plain or async, and also where the name stands for what wraps it. Others need none."""
    for function in (works_elsewhere, works_elsewhere_async, wrapped_later):
        made = action_of(function)
        made.require_importable()
        assert made.address.startswith(f"{__name__}:w")
        assert not made.is_simple
    assert action_of(works_elsewhere_async).is_async
    assert options_of().address == ""
    options_of().require_importable()


def test_a_function_that_another_process_would_not_find_is_told():
    """What stands under its name is only known when its module is complete."""
    with pytest.raises(RegistryError) as refused:
        action_of(hides).require_importable()
    assert str(refused.value) == (
        f"action 'hidden': a process would look for it at {__name__}:hidden, but there is 5; "
        "let that name stand for the decorated function"
    )
    with pytest.raises(RegistryError, match="but nothing is there; let that name"):
        action_of(gone_away).require_importable()


# -- NodeAction ----------------------------------------------------------------------------------------------


class Join(NodeAction):
    """Join texts."""

    name = "join_texts"

    def schema(self):
        return {
            "name": self.name,
            "description": "Joins.",
            "parameters": {"type": "object", "properties": {"texts": {"type": "array"}}, "required": ["texts"]},
            "returns": {},
        }

    async def execute(self, ctx):
        return "".join(ctx.inputs["texts"])


class Bare(NodeAction):
    """Nothing said."""

    async def execute(self, ctx: Context):
        return 1


def test_a_node_action_is_known_by_its_class_or_an_object():
    """Its explicit schema wins, and is checked: all violations at once."""
    assert action_of(NodeAction) is None
    for found in (action_of(Join), action_of(Join())):
        assert (found.name, found.description, found.schema()["parameters"]["required"]) == (
            "join_texts",
            "Joins.",
            ["texts"],
        )
        assert found.refuse({"texts": []}) == ""
        assert '"texts" is a required property' in found.refuse({})
    assert action_of(Bare).name == "Bare"
    assert action_of(Bare).schema() == {
        "name": "Bare", "description": "Nothing said.", "parameters": {"type": "object"}, "returns": {},
    }  # fmt: skip
    assert action_of(Bare).refuse is None


def test_a_node_action_without_execute_says_so():
    """Instead of an attribute error."""
    with pytest.raises(RegistryError, match="NodeAction must define execute"):
        asyncio.run(NodeAction().execute(None))


def test_a_wrong_explicit_schema_is_refused_at_registration():
    """`parameters` must be a JSON Schema."""

    class Wrong(Join):
        def schema(self):
            return {**super().schema(), "parameters": {"properties": {"a": {"type": "objekt"}}}}

    with pytest.raises(RegistryError, match="action 'join_texts': `parameters` is no JSON Schema"):
        action_of(Wrong)


def test_the_class_form_needs_no_annotations():
    """`execute(self, ctx)` receives the context, whatever the parameter is called and however it is annotated."""

    class Shout(NodeAction):
        name = "shout"

        async def execute(self, c):
            return c.inputs["text"].upper()

    made = action_of(Shout)

    assert made.context_name == "c"
    assert not made.required
    assert made.is_open


def test_the_class_form_must_take_the_context():
    """An `execute` without a parameter is refused when it is registered."""

    class Deaf(NodeAction):
        async def execute(self):
            return 1

    with pytest.raises(RegistryError, match="action 'Deaf': execute takes the context"):
        action_of(Deaf)


def test_a_callable_without_a_signature_is_refused():
    """Some built-in types do not tell their parameters."""
    with pytest.raises(RegistryError, match="does not tell its parameters; wrap it in a function"):
        Action(dict)


class Dot(NodeAction):
    """It takes what its schema says."""

    def schema(self):
        properties = {"x": {"type": "integer", "minimum": 0}}
        return {"parameters": {"type": "object", "properties": properties, "required": ["x"]}}

    async def execute(self, ctx):
        return ctx.inputs["x"]


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ((Input("x", value=msgspec.Raw(b"-1")),), r"node 'n': at \$\.x: -1 is less than the minimum of 0"),
        ((), r"node 'n': at \$: \"x\" is a required property"),
    ],
)
def test_literals_that_an_explicit_schema_refuses_do_not_fit(inputs, complaint):
    """Where all inputs are literals, what they cannot be is known before the node is there."""
    with pytest.raises(InputInvalid, match=complaint):
        require_fit(action_of(Dot), Node(id="n", inputs=inputs))


@pytest.mark.parametrize("x", [Input("x", value=msgspec.Raw(b"1")), Input("x", "a.output")])
def test_what_an_explicit_schema_may_take_fits(x):
    """A literal that it takes; and a reference, whose value is looked at when it is there."""
    require_fit(action_of(Dot), Node(id="n", inputs=(x,)))
