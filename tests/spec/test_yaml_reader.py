"""YAML is read by the core rules of 1.2, with limits, and everything knows its line."""

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spec.bad_files import TEXT

from dagger.spec import yaml_reader
from dagger.spec.yaml_reader import Mapping, Scalar, Sequence, is_null, plain_value, read, shown, value_of


@pytest.fixture(params=["C", "Python"])
def parser(request, monkeypatch):
    """Both of PyYAML's parsers; not every machine has the one in C."""
    if request.param == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML has no C parser here")


def value(text):
    tree, flaws = read(text)
    found = value_of(tree, flaws)
    assert flaws == []
    return found


def flaws(text):
    tree, found = read(text)
    if tree is not None:
        value_of(tree, found)
    return [tuple(flaw) for flaw in found]


def lines(tree):
    """The tree with the line of everything."""
    if isinstance(tree, Scalar):
        return tree.line
    if isinstance(tree, Sequence):
        return tree.line, [lines(item) for item in tree.items]
    return tree.line, {name: (key.line, lines(value)) for name, (key, value) in tree.entries.items()}


CORE = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "0": 0, "-19": -19, "+12": 12, "010": 10, "-010": -10, "0o7": 7, "0o17": 15, "0x3A": 58, "0xf": 15, "00": 0,
    "123456789012345678901234567890": 123456789012345678901234567890,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0, "1e3": 1000.0, "1.5": 1.5,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf,
}  # fmt: skip
TEXTS = [
    "no", "No", "yes", "on", "off", "y", "n", "nUll", "tRUE", "1_000", "0b1", "0o8", "0xG", "-0x1", "+0o7", "1:30",
    "2001-12-14", "2001-12-14t21:59:43.10-05:00", "1e", "e1", ".", "-", "+", "-.", ".e1", "inf", "nan", "-.nan",
    "0o", "0x", "1 2", "1.2.3", "٣", "\uff11", "=", "true ", "None",
]  # fmt: skip


@pytest.mark.parametrize("text", CORE, ids=lambda text: text or "empty")
def test_plain_texts_stand_for_what_yaml_1_2_says(text):
    """Null, booleans, integers (010 is ten), floats."""
    found = plain_value(text)
    assert (found, type(found)) == (CORE[text], type(CORE[text]))


def test_not_a_number_is_recognised():
    """In its three spellings."""
    assert all(math.isnan(plain_value(text)) for text in (".nan", ".NaN", ".NAN"))


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_a_text(text):
    """What YAML 1.1 took for truth values, numbers and dates too."""
    assert plain_value(text) == text


@given(st.text())
def test_any_text_stands_for_something(text):
    """Only numbers too long for Python are refused."""
    assert plain_value(text) is not NotImplemented


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: no\nb: 010\nc: ~", {"a": "no", "b": 10, "c": None}),
        ("[1, 1.0, '1', \"1\", true, 'true']", [1, 1.0, "1", "1", True, "true"]),
        ("a: 2001-01-01", {"a": "2001-01-01"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
        ("a: |\n  1\n", {"a": "1\n"}),
        ("[!!str 1, !!int '2', !!float 3, !!bool true, !!null '']", ["1", 2, 3.0, True, None]),
        ("a: ! 1\nb: !!seq [1]\nc: !!map {x: 1}", {"a": "1", "b": [1], "c": {"x": 1}}),
        ("a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x", {"a": [1, 2], "b": [1, 2], "c": 3, "d": 3}),
        ("? a\n: 1\n? 'b'\n: 2", {"a": 1, "b": 2}),
        ('"a\\tb": "\\u00e9\\U0001F600"', {"a\tb": "é😀"}),
        ("{a: 1, b, c: }", {"a": 1, "b": None, "c": None}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("# only text\nplain", "plain"),
        ("--- # nothing\n", None),
        ('"<<": 1\n', {"<<": 1}),
    ],
    ids=range(15),
)  # fmt: skip
def test_documents_are_read_as_json_values(text, expected, parser):
    """By either parser; the types count."""
    found = value(text)
    assert repr(found) == repr(expected)


def test_everything_knows_its_line():
    """Also behind block scalars, in flows and where a value stands below its key."""
    text = """\
# a comment
name: g
text: |
  one
  two
list:
  - a
  - b: 1
    c:
      2
flow: {x: [1,
  2]}
"""
    tree, found = read(text)
    assert found == []
    assert lines(tree) == (
        2,
        {
            "name": (2, 2),
            "text": (3, 3),
            "list": (6, (7, [7, (8, {"b": (8, 8), "c": (9, 10)})])),
            "flow": (11, (11, {"x": (11, (11, [11, 12]))})),
        },
    )


def test_a_byte_order_mark_and_windows_lines_are_read():
    """As editors on Windows write them."""
    tree, found = read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert (found, lines(tree)) == ([], (1, {"a": (1, 1), "b": (2, 2)}))


def test_an_alias_is_the_same_tree_and_is_not_copied():
    """So a bomb takes no memory."""
    tree, _ = read("a: &x [1]\nb: *x")
    assert tree.entries["a"][1] is tree.entries["b"][1]


REFUSED = "is not allowed: a graph file is plain data; remove it"
FLAWS = {
    "a: 1\na: 2\na: 3": [
        (2, "duplicate key 'a': line 1 has it already"),
        (3, "duplicate key 'a': line 1 has it already"),
    ],
    "1: x\n'1': y": [(2, "duplicate key '1': line 1 has it already"), (1, "the key 1 is not a text; quote it")],
    "a: !x 1\nb: !!binary aGk=\nc: !!set {x}": [
        (1, f"the tag !x {REFUSED}"),
        (2, f"the tag !!binary {REFUSED}"),
        (3, f"the tag !!set {REFUSED}"),
    ],
    "a: !<tag:evil.org,2000:x> 1": [(1, f"the tag tag:evil.org,2000:x {REFUSED}")],
    "a: !!seq x": [(1, "the tag !!seq does not fit here; remove it")],
    "a: !!str [x]": [(1, "the tag !!str does not fit here; remove it")],
    "a: !!int 1.5\nb: !!bool no": [
        (1, "'1.5' does not fit its tag !!int"),
        (2, "'no' does not fit its tag !!bool"),
    ],
    "a: *x\nb: *y": [
        (1, "alias *x: there is no anchor &x before it"),
        (2, "alias *y: there is no anchor &y before it"),
    ],
    "a: " + "9" * 5000: [(1, f"'{'9' * 59}…' is too large for a number")],
    "a: !!float " + "9" * 400: [(1, f"'{'9' * 59}…' is too large for a number")],
    "a: 1e400": [(1, "'1e400' is too large for a number")],
    "a: .nan\nb: -.INF": [
        (1, "'.nan' is not a JSON number; use null or a text for it"),
        (2, "'-.INF' is not a JSON number; use null or a text for it"),
    ],
    "true: x\n~: y\n1.5: z": [
        (1, "the key true is not a text; quote it"),
        (2, "the key ~ is not a text; quote it"),
        (3, "the key 1.5 is not a text; quote it"),
    ],
    "{[a]: b, {c: d}: e}": [(1, "a key must be a text, not a list"), (1, "a key must be a text, not a mapping")],
    "{&a [b]: *a}": [(1, "a key must be a text, not a list")],
}


@pytest.mark.parametrize("text", FLAWS, ids=range(len(FLAWS)))
def test_flaws_are_all_told_with_their_lines(text, parser):
    """Reading goes on behind them."""
    assert flaws(text) == FLAWS[text]


FATAL = {name: text for name, (text, _) in TEXT.items() if "deep" in name or "bomb" in name or "large" in name}


@pytest.mark.parametrize("name", FATAL)
def test_limits_hold_for_both_parsers(name, parser):
    """Refused quickly, whatever is behind."""
    tree, found = read(FATAL[name])
    if name == "literal too deep":
        assert found == []  # only as a value is it too deep
    else:
        assert tree is None
        assert len(found) == 1


@pytest.mark.parametrize("text", ["&a [*a]", "&a {x: [*a]}", "&a {*a : x}", "x: &a [&b [*a]]"])
def test_an_alias_inside_its_own_anchor_is_refused(text):
    """It would never end."""
    tree, ((line, message),) = read(text)
    assert (tree, line) == (None, 1)
    assert message == "alias *a stands inside its own anchor: it would never end"


def test_the_limit_of_values_counts_every_alias_in_full(monkeypatch):
    """A key counts with its value, an empty list counts."""
    monkeypatch.setattr(yaml_reader, "MAX_NODES", 6)
    assert read("a: &x [1, 2]\nb: *x")[1] == []
    tree, ((line, message),) = read("a: &x [1, 2]\nb: *x\nc: []")
    assert (tree, line, message) == (None, 3, "more than 6 values, aliases expanded; split the graph")
    tree, ((line, message),) = read("a: &x [1, 2]\nb: 1\nc: *x")
    assert (tree, line) == (None, 3)


def test_the_limit_of_size_is_exact():
    """Counted in bytes, of text too."""
    limit = yaml_reader.MAX_BYTES
    assert read(b"#" * limit)[1][0].message.startswith("the file is empty")
    assert read(b"#" * (limit + 1))[1][0].message == "the file is larger than 10 MiB; split the graph"
    assert read("#é" * (limit // 3 + 1))[1][0].message == "the file is larger than 10 MiB; split the graph"


def test_the_limit_of_depth_is_exact():
    """Lists and mappings alike."""
    depth = yaml_reader.MAX_DEPTH
    assert read("[" * depth + "]" * depth)[1] == []
    assert read("[" * (depth + 1))[1] == [(1, f"nested deeper than {depth} levels")]
    assert read("".join("  " * n + "a:\n" for n in range(depth + 1)))[1] == [
        (depth + 1, f"nested deeper than {depth} levels")
    ]


@pytest.mark.parametrize("text", ['a: "\\ud83d\\ude00"', 'a: "\\ud800"'])
def test_half_a_surrogate_pair_is_refused_by_either_parser(text, parser):
    """JSON's way of writing it is not YAML's; the parser in Python would let it in."""
    ((line, message),) = flaws(text)
    assert line == 1
    assert message.startswith("not valid YAML: ")


@pytest.mark.parametrize("text", ["", "~", "null", "NULL", "!!null ''"])
def test_nothing_is_written_in_several_ways(text):
    """All of them mean absent."""
    tree, _ = read(f"a: {text}")
    assert is_null(tree.entries["a"][1])


@pytest.mark.parametrize("text", ["'null'", '""', "!!str", "! ~", "nil", "[]"])
def test_something_else_is_not_nothing(text):
    """Quotes make a text of it."""
    tree, _ = read(f"a: {text}")
    assert not is_null(tree.entries["a"][1])


def test_trees_are_shown_briefly():
    """In messages; long texts are cut."""
    assert shown(Scalar("a'b", 1, "")) == '"a\'b"'
    assert shown(Scalar("x" * 61, 1, "")) == f"'{'x' * 59}…'"
    assert shown(Scalar("~", 1, "")) == "nothing"
    assert shown(Scalar("~", 1, ""), always=True) == "'~'"
    assert shown(Scalar("~", 1, "str")) == "'~'"
    assert (shown(Sequence(1)), shown(Mapping(1))) == ("a list", "a mapping")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=100) | st.text(max_size=100) | st.text(" \n\t-:?[]{}#&*!|>'\"%@`,a0~.<=\\x", max_size=60))
def test_any_bytes_give_a_tree_or_flaws(noise):
    """By either parser; no other way out."""
    c_loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for loader in (c_loader, yaml.SafeLoader):
        yaml.CSafeLoader = loader
        try:
            tree, found = read(noise)
        finally:
            yaml.CSafeLoader = c_loader
        assert tree is not None or found
        assert all(flaw.line >= 1 and flaw.message for flaw in found)
