"""Python types <-> JSON: strict decoders, JSON Schemas, complaints in words."""

from typing import Any

import msgspec
import pydantic
import pytest

from dagger.core.errors import RegistryError
from dagger.spec import schema


class Model(pydantic.BaseModel):
    a: int


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
    assert schema.json_schema(int) == {"type": "integer"}
    assert schema.json_schema(Any) == schema.json_schema(object) == {}
    assert "a" in str(schema.json_schema(Model))


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
