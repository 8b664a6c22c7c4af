"""What a field of a graph file may hold: each kind by itself, and what is said of what it may not."""

import msgspec
import pytest
from msgspec import UNSET

from dagger.core.errors import Hints
from dagger.spec import reading as fields
from dagger.spec.reading import Reading
from dagger.spec.yaml_reader import read


def read_as(kind, text):
    """What `x: text` is read as, and the problems."""
    tree, flaws = read(f"x: {text}")
    found = kind(tree.entries["x"][1], "node 'a'", "x", Reading(flaws, Hints()))
    return found, [flaw.message for flaw in flaws]


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (fields.text_of, "1.0", "1.0"),
        (fields.text_of, "'null'", "null"),
        (fields.texts_of, "[a, 1]", ("a", "1")),
        (fields.choice_of, "StoP", "stop"),
        (fields.whole_of, "0x10", 16),
        (fields.flag_of, "True", True),
        (fields.seconds_of, "5", 5.0),
        (fields.seconds_of, "-1", -1),
        (fields.literal_of, "[no, ~]", raw(["no", None])),
        (fields.literal_of, "~", raw(None)),
    ],
)
def test_a_field_is_read_as_what_it_holds(kind, text, value):
    """Ranges and choices are checked with the rest."""
    found, problems = read_as(kind, text)
    assert (found, type(found), problems) == (value, type(value), [])


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        (fields.text_of, "[a]", "x must be a text, not a list"),
        (fields.text_of, "~", "x must be a text, not nothing; a text that says null needs quotes"),
        (fields.texts_of, "a", "x must be a list of texts, not 'a'; write [a]"),
        (fields.choice_of, "{}", "x must be a text, not a mapping"),
        (fields.whole_of, "1.5", "x must be a whole number, not '1.5'"),
        (fields.flag_of, "no", "x must be true or false, not 'no'"),
        (fields.seconds_of, "soon", "x must be a number of seconds above 0, not 'soon'"),
        (fields.seconds_of, "1" + "0" * 400, "must be a number of seconds above 0"),
        (fields.literal_of, ".nan", "x: '.nan' is not a JSON number; use null or a text for it"),
        (fields.literal_of, "[" * 205 + "]" * 205, "x: at $: nested deeper than 200 levels"),
    ],
)
def test_what_a_field_may_not_hold_is_noted_with_whose_it_is(kind, text, problem):
    """And nothing is read."""
    found, problems = read_as(kind, text)
    assert found is UNSET
    assert problems[0].startswith("node 'a': x")
    assert problem in problems[0]


def test_fields_are_read_by_a_table_and_what_is_wrong_is_silent_from_then_on():
    """Nulls count as not written, but of a literal; unknown keys are told with the nearest."""
    tree, flaws = read("a: 1\nb: ~\nc: ~\nd: [x]\nee: 5\nf: !x y")
    reading = Reading(flaws, Hints())
    table = dict.fromkeys("abdef", fields.text_of) | {"c": fields.literal_of}
    assert fields.fields_of(tree, table, "it", reading, ("nodes", 0)) == {"a": "1", "c": raw(None)}
    assert reading.silent == {("nodes", 0, "d"), ("nodes", 0, "f")}
    assert [(flaw.line, flaw.message) for flaw in flaws] == [
        (6, "the tag !x is not allowed: a graph file is plain data; remove it"),
        (4, "it: d must be a text, not a list"),
        (5, "it: unknown key 'ee'; did you mean 'e'?"),
    ]


def test_without_a_place_nothing_is_made_silent():
    """What stands inside an input is no thing of the definition."""
    tree, flaws = read("a: [x]")
    reading = Reading(flaws, Hints())
    assert fields.fields_of(tree, {"a": fields.text_of}, "", reading) == {}
    assert reading.silent == set()
    assert [flaw.message for flaw in flaws] == ["a must be a text, not a list"]
