"""Python types <-> JSON: strict decoders, JSON Schemas, complaints in words."""

import dataclasses
import datetime
import decimal
import uuid
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema_rs
import msgspec
import pydantic
import pytest

from dagger.core.errors import RegistryError
from dagger.spec import schema


class Model(pydantic.BaseModel):
    a: int


class Inner(pydantic.BaseModel):
    z: int


class Outer(pydantic.BaseModel):
    inner: Inner
    more: list[Inner] = []


class Tree(pydantic.BaseModel):
    children: list["Tree"] = []


class Struct(msgspec.Struct):
    x: int


class Odd(msgspec.Struct):
    x: int = msgspec.field(name="b.c")


class Even(pydantic.BaseModel):
    v: int

    @pydantic.model_validator(mode="after")
    def is_even(self):
        if self.v % 2:
            raise ValueError("must be even")
        return self


class Listed(ValueError):
    """It has what models' complaints have, as something else."""

    errors = ("a list",)


class Panic(BaseException):
    """What code that is not Python's may raise."""


class Own(msgspec.Struct):
    """Its own code complains, of both or of one."""

    a: int = 0
    b: int = 0

    def __post_init__(self):
        if self.a and self.b:
            raise Listed("not both")
        if self.a or self.b:
            raise Panic


class Alien:
    pass


def test_a_decoder_is_strict_but_an_integer_may_become_a_float():
    """The one conversion there is."""
    assert schema.decoder(float)(b"1") == 1.0
    assert schema.decoder(Any)(b'{"a":1}') == {"a": 1}
    assert schema.decoder(object)(b"[1]") == [1]
    assert schema.decoder(Model)(b'{"a":1}') == Model(a=1)
    with pytest.raises(msgspec.ValidationError):
        schema.decoder(int)(b"1.5")


@pytest.mark.parametrize("annotation", [complex, Alien, list[Alien]])
def test_a_type_that_json_cannot_be_turned_into_is_refused_at_once(annotation):
    """Not when the first value comes."""
    with pytest.raises((TypeError, NotImplementedError)):
        schema.decoder(annotation)


def test_a_value_of_a_foreign_type_is_refused_when_it_comes():
    """The hook that makes models says what it cannot make."""
    with pytest.raises(NotImplementedError, match="Alien cannot be made from JSON"):
        schema._from_model(Alien, {})


def test_schemas_follow_json_schema():
    """Models tell their own; anything is anything."""
    assert schema.json_schemas([int, Any, object, str]) == ([{"type": "integer"}, {}, {}, {"type": "string"}], {})
    assert "a" in str(schema.json_schemas([Model]))
    assert schema.json_schemas([]) == ([], {})


def test_what_schemas_share_stands_beside_them():
    """One definition for each type, models' own among them."""
    (one, two, three), shared = schema.json_schemas([list[Struct], Outer, dict[str, Outer]])
    assert one == {"type": "array", "items": {"$ref": "#/$defs/Struct"}}
    assert two["properties"]["inner"] == {"$ref": "#/$defs/Inner"}
    assert "$defs" not in str([one, two, three])[len("$defs") :].replace("#/$defs/", "")
    assert set(shared) == {"Struct", "Inner"}


def test_two_types_of_one_name_stay_two():
    """Whoever uses which keeps its own."""

    def build(kind):
        class Inner(pydantic.BaseModel):
            v: kind

        class Outer(pydantic.BaseModel):
            inner: Inner

        return Outer

    made, shared = schema.json_schemas([build(int), build(str), build(int)])
    places = [entry["properties"]["inner"]["$ref"].removeprefix("#/$defs/") for entry in made]
    assert [shared[place]["properties"]["v"]["type"] for place in places] == ["integer", "string", "integer"]
    assert places[0] == places[2] != places[1]


def test_a_model_that_contains_itself_can_be_told():
    """It refers to its own definition."""
    (made,), shared = schema.json_schemas([Tree])
    validator = jsonschema_rs.validator_for({**made, "$defs": shared})
    assert validator.is_valid({"children": [{"children": []}]})
    assert not validator.is_valid({"children": [{"children": [5]}]})


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"type": "object", "description": "x"}], ids=range(3))
def test_a_schema_that_says_nothing_refuses_nothing(parameters):
    """No validator is loaded for it."""
    assert schema.refusal(parameters, "here") is None


def test_a_schema_tells_all_that_is_wrong():
    """Each violation with its path."""
    refuse = schema.refusal(
        {"properties": {"a": {"type": "integer"}, "b": {"items": {"type": "string"}}}, "required": ["c"]}, "here"
    )
    assert refuse({"c": 1, "a": 1, "b": []}) == ""
    told = refuse({"a": "x", "b": [1]})
    assert 'at $.a: "x" is not of type "integer"' in told
    assert 'at $.b.0: 1 is not of type "string"' in told
    assert '"c" is a required property' in told


def test_what_is_no_schema_is_refused():
    """With where it stands."""
    with pytest.raises(RegistryError, match="here: `parameters` is no JSON Schema"):
        schema.refusal({"properties": {"a": {"type": "objekt"}}}, "here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Expected `int`, got `str` - at `$.items[0]`", "expected int, got str (at $.items[0])"),
        ("Expected `int`, got `str` - at `$`", "expected int, got str"),
        ("Expected `int`, got `str`", "expected int, got str"),
        ("", ""),
    ],
    ids=range(4),
)
def test_complaints_are_put_in_words(text, words):
    """Without backticks, the path in brackets."""
    assert schema.in_words(ValueError(text)) == words


@pytest.mark.parametrize(
    ("annotation", "text", "words"),
    [
        (Inner, b'{"z":"1"}', "z: Input should be a valid integer"),
        (Outer, b'{"inner":{"z":"1"},"more":[{"z":1},{}]}',
         "inner.z: Input should be a valid integer; more[1].z: Field required"),
        (list[Inner], b'[{"z":1},{}]', "z: Field required (at $[1])"),
        (Even, b'{"v":1}', "Value error, must be even"),
        (dict[str, list[Inner]], b'{"q":[{"z":1}],"r":[{"z":1},{}]}', "z: Field required (at $.r[1])"),
        (dict[str, int], b'{"a":1,"b":"x","c":2}', "expected int, got str (at $.b)"),
        (dict[str, dict[str, Struct]], b'{"a":{"b":{"x":1}},"c":{"d":{"x":"s"},"e":{"x":1}}}',
         "expected int, got str (at $.c.d.x)"),
        (list[dict[str, int]], b'[{},{"a":1,"b":null}]', "expected int, got null (at $[1].b)"),
        (dict[str, int], b'{"a":"x","b":"y"}', "expected int, got str (at $.a)"),
        (dict[str, int], b'{"a b":"x"}', 'expected int, got str (at $["a b"])'),
        (dict[int, int], b'{"1":"x"}', "expected int, got str (at $.1)"),
        (dict[int, int], b'{"a":1}', "expected int, got str (at key in $)"),
        (int, b"nul", "input data was truncated"),
        (dict[str, Odd], b'{"a":{"b.c":"x"}}', "expected int, got str (at $[...].b.c)"),
        (dict[str, Own], b'{"k":{"a":1,"b":1}}', "not both (at $.k)"),
        (dict[str, Own], b'{"j":{},"k":{"a":1,"b":1},"l":{"a":1}}', "not both (at $.k)"),
    ],
    ids=range(16),
)  # fmt: skip
def test_a_complaint_says_where_on_one_line(annotation, text, words):
    """Models' complaints without addresses of pages, values of dicts with their keys; whatever a type's code raises."""
    decode = schema.decoder(annotation)
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - msgspec's errors and models' are ValueErrors
        decode(text)
    assert schema.complaint(refused.value, text, decode) == words


class Chain(msgspec.Struct):
    """It contains itself."""

    name: str
    next: "Chain | None" = None
    tags: dict[str, list[float]] = {}


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """No other fields."""

    a: int | str | None
    b: bool = False


class Named(TypedDict):
    """Its field must be there, the other need not."""

    a: int
    b: NotRequired[str]


@dataclasses.dataclass
class Record:
    """A dataclass with another in it."""

    inner: Struct
    values: list[int | None] = dataclasses.field(default_factory=list)


class Tagged(msgspec.Struct, tag=True):
    """Its schema wants the tag, which decoding does not."""

    x: int


class AsList(msgspec.Struct, array_like=True):
    """Its JSON is a list."""

    x: int


PLAIN = [int, float, str, bool, Any, int | None, list[str], dict[str, int], Struct, Odd, Chain, Strict, Named, Record]
VALUES = [
    None, True, 0, 1, 1.0, 2.5, 10**30, "", "text", [], [1], ["a"], [None], [[1]], {}, {"x": 1}, {"x": 1.0},
    {"x": "1"}, {"b.c": 2}, {"a": 1}, {"a": None}, {"a": "t", "b": True}, {"a": 1, "b": "t"},
    {"a": 1, "c": 1}, {"name": "n"},
    {"inner": {"x": 1}},
    {"name": "n", "next": {"name": "m", "next": None}}, {"name": "n", "next": {"name": 1}},
    {"name": "n", "tags": {"a": [1, 2.5]}},
    {"inner": {"x": 1}, "values": [1, None]}, {"inner": {}}, {"inner": {"x": 1}, "values": ["a"]}, {"n": 1, "m": 2},
]  # fmt: skip


@pytest.mark.parametrize("annotation", PLAIN, ids=str)
def test_what_decodes_as_a_type_of_plain_values_is_valid_for_its_schema(annotation):
    """So nobody need check both."""
    assert schema.is_told_by_decoding(annotation)
    (made,), shared = schema.json_schemas([annotation])
    validator = jsonschema_rs.validator_for({**made, "$defs": shared})
    decode = msgspec.json.Decoder(annotation).decode
    taken = 0
    for value in VALUES:
        try:
            decode(msgspec.json.encode(value))
        except msgspec.ValidationError:
            continue
        taken += 1
        assert validator.is_valid(value), value
    assert taken


@pytest.mark.parametrize(
    "annotation",
    [
        decimal.Decimal, datetime.datetime, uuid.UUID, bytes, set[int], dict[int, int], tuple[int, str], Tagged, AsList,
        Model,
        Annotated[int, msgspec.Meta(gt=3)], Annotated[str, msgspec.Meta(pattern="a$")], list[Tagged], Literal["a"],
    ],
    ids=str,
)  # fmt: skip
def test_of_other_types_the_schema_may_say_more(annotation):
    """Or less: it is checked besides."""
    assert not schema.is_told_by_decoding(annotation)
