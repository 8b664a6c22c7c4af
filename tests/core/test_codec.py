"""codec: a value comes back exactly as it was, or is refused with its path; blobs and values are never mixed up."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core import codec

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS | st.just("$blob"), inner), max_leaves=20
)


def exact(value):
    """What tells 1 from 1.0 from True, and 0.0 from -0.0; the order of keys counts."""
    if isinstance(value, dict):
        return [(key, exact(inner)) for key, inner in value.items()]
    return [exact(inner) for inner in value] if isinstance(value, list) else (type(value), repr(value))


def nested(levels, inner):
    for _ in range(levels):
        inner = [inner]
    return inner


def circular(make):
    value = make()
    if isinstance(value, dict):
        value["me"] = value
    else:
        value.append(value)
    return value


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()


class Metres(float):
    pass


class Count(int):
    pass


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


class Pair(msgspec.Struct):
    left: object
    right: object = None


class Model(pydantic.BaseModel):
    name: str
    at: list[float] = []


class Tagged(pydantic.BaseModel):
    tags: set[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: bytes


class Refused:
    __not_json__ = "a Refused stands alone"


UNORDERED = "has no order and is not a JSON value; use sorted(…) or a list for it"
BINARY = "is not a JSON value; use a text for it, e.g. base64"


@given(VALUES)
def test_any_json_value_comes_back_exactly(value):
    """Types, signs of zero, order of keys and every character survive."""
    assert exact(codec.decode(codec.encode(value))) == exact(value)


@given(VALUES)
def test_the_text_is_json_for_every_reader(value):
    """The standard library reads the same value out of it."""
    assert exact(json.loads(codec.encode(value))) == exact(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, b"1"),
        (1.0, b"1.0"),
        (-0.0, b"-0.0"),
        (True, b"true"),
        (None, b"null"),
        (2**64, b"18446744073709551616"),
        (-(2**63) - 1, b"-9223372036854775809"),
        ("ü\u2028\0😀", b'"\xc3\xbc\xe2\x80\xa8\\u0000\xf0\x9f\x98\x80"'),
        ([2**70, 0.1], b"[1180591620717411303424,0.1]"),
        ({"": [], "a": {}}, b'{"":[],"a":{}}'),
    ],
    ids=["int", "float", "minus zero", "true", "null", "2**64", "-2**63-1", "text", "inner", "empty"],
)
def test_values_are_written_as_one_would_by_hand(value, text):
    """The journal is readable with plain SQLite."""
    assert codec.encode(value) == text


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
def test_the_longest_integer_comes_back(sign):
    """Some 4,200 digits of it, with either sign, alone and inside a value."""
    longest = sign * (2**codec.MAX_INTEGER_BITS - 1)
    assert codec.decode(codec.encode([longest, longest])) == [longest, longest]
    assert codec.decode(codec.encode(longest)) == longest


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2,)), [1, [2]]),
        (Colour.RED, "red"),
        ([Level.HIGH], [3]),
        ({Colour.RED: 1}, {"red": 1}),
        (Word("x"), "x"),
        ({Word("k"): [Word("v")]}, {"k": ["v"]}),
        (Metres(1.5), 1.5),
        (Count(7), 7),
        (Point(1, (2,)), {"x": 1, "y": [2]}),
        (Pair([1]), {"left": [1], "right": None}),
        (Model(name="a", at=[1.0]), {"name": "a", "at": [1.0]}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC), "2024-02-29T00:00:00Z"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": Colour.RED, "b": [Point(1)]}, {"a": "red", "b": [{"x": 1, "y": 0}]}),
    ],
    ids=range(17),
)
def test_what_stands_for_a_json_value_becomes_it(value, plain):
    """Dataclasses, models, enums, tuples and subclasses are written as the value they are."""
    assert exact(codec.decode(codec.encode(value))) == exact(plain)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "at $: nan is not a JSON number; use None or a string for it"),
        (-math.inf, "at $: -inf is not a JSON number; use None or a string for it"),
        ({"a": [1.0, math.inf]}, "at $.a[1]: inf is not a JSON number; use None or a string for it"),
        ([Metres("nan")], "at $[0]: nan is not a JSON number; use None or a string for it"),
        (Metres("nan"), "at $: nan is not a JSON number; use None or a string for it"),
        (Point(0, {"z": math.nan}), "at $.y.z: nan is not a JSON number; use None or a string for it"),
        (Model(name="a", at=[math.nan]), "at $.at[0]: nan is not a JSON number; use None or a string for it"),
        ([{"a": [None, Colour.RED, {}]}, math.nan], "at $[1]: nan is not a JSON number; use None or a string for it"),
        ({1: 2}, "at $: the key 1 is a int, not a string"),
        ({"a": [{None: 2}]}, "at $.a[0]: the key None is a NoneType, not a string"),
        ({(1, 2): 2}, "at $: the key (1, 2) is a tuple, not a string"),
        ("a\ud800", "at $: the text has lone surrogates and is not Unicode"),
        ({"a": ["b", "\udc00"]}, "at $.a[1]: the text has lone surrogates and is not Unicode"),
        ([{"\ud800": 1}], "at $[0]: the key '\\ud800' has lone surrogates"),
        (object(), "at $: an object is not a JSON value"),
        ({"a": {object()}}, f"at $.a: a set {UNORDERED}"),
        ([1, {"f": print}], "at $[1].f: a builtin_function_or_method is not a JSON value"),
        (Point(1, object()), "at $.y: an object is not a JSON value"),
        ([Pair("\ud800", object())], "at $[0].left: the text has lone surrogates and is not Unicode"),
        (msgspec.Raw(b"NaN"), "at $: a Raw is not a JSON value"),
        (10**5000, "at $: an integer of 16610 bits is too long for a JSON number; use a string for it"),
        ([1, -(10**4299)], "at $[1]: an integer of 14281 bits is too long for a JSON number; use a string for it"),
        ({1}, f"at $: a set {UNORDERED}"),
        ([1, {"a": frozenset()}], f"at $[1].a: a frozenset {UNORDERED}"),
        (b"ab", f"at $: a bytes {BINARY}"),
        ({"a": [bytearray(b"ab")]}, f"at $.a[0]: a bytearray {BINARY}"),
        (Point(1, [{2}]), f"at $.y[0]: a set {UNORDERED}"),
        ([Pair({"k": b""})], f"at $[0].left.k: a bytes {BINARY}"),
        ({"m": Tagged(tags={"x"})}, f"at $.m.tags: a set {UNORDERED}"),
        (Frozen(b"x"), f"at $.x: a bytes {BINARY}"),
        (Refused(), "at $: a Refused stands alone"),
        ({"a": [Refused()]}, "at $.a[0]: a Refused stands alone"),
    ],
    ids=range(32),
)
def test_what_is_no_json_is_refused_with_its_path(value, message):
    """Nothing is turned quietly into null, into text, or into what cannot be read back."""
    with pytest.raises(codec.NotJson) as refused:
        codec.encode(value)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "value",
    [circular(list), circular(dict), [{"a": circular(list)}], nested(100_000, 1)],
    ids=["list", "dict", "inner", "deep"],
)
def test_what_contains_itself_is_refused(value):
    """So is what is nested so deeply that it might."""
    with pytest.raises(codec.NotJson) as refused:
        codec.encode(value)
    assert str(refused.value) == "at $: nested deeper than 200 levels, or it contains itself"


def test_200_levels_are_kept():
    """The limit itself is allowed."""
    value = nested(codec.MAX_DEPTH, 1)
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("inner", [1, {"a": 1}, math.nan, object()], ids=["list", "dict", "nan", "unknown"])
def test_201_levels_are_refused(inner):
    """Whatever else is wrong down there, the depth is told; a path of 300 steps helps nobody."""
    with pytest.raises(codec.NotJson) as refused:
        codec.encode(nested(300, inner))
    assert str(refused.value) == "at $: nested deeper than 200 levels"


def test_a_short_value_is_written_into_the_event_itself():
    """Up to 64 KiB there is no blob."""
    text = codec.encode("x" * (codec.BLOB_ABOVE_BYTES - 2))
    assert codec.seal(text) == (text, None)


def test_a_long_value_becomes_a_blob_named_by_its_hash():
    """The event holds hash and size; loading by the hash gives the value's own text."""
    text = codec.encode("x" * codec.BLOB_ABOVE_BYTES)

    reference, blob = codec.seal(text)

    assert codec.is_blob(reference)
    assert codec.blob_reference(reference) == codec.BlobReference(blob.hash, len(text))
    assert codec.resolve(reference, {blob.hash: blob.content}.__getitem__) == text


@given(st.dictionaries(TEXTS, VALUES, max_size=3), st.sampled_from(["", "6d1f", "x" * 32]))
def test_a_users_dict_that_looks_like_a_reference_is_stored_as_a_blob(rest, pretended):
    """So what stands in the event is a reference, and resolving it once gives the dict."""
    value = {"$blob": pretended, "size": 3, **rest}
    blobs = []

    data = bytes(codec.sealed(codec.encode(value), blobs))

    (blob,) = blobs
    assert codec.decode(codec.resolve(data, {blob.hash: blob.content}.__getitem__)) == value


@pytest.mark.parametrize(
    "value",
    [{"a": {"$blob": "x"}}, [{"$blob": "x"}], {"$blobs": 1}, {"a": 1, "$blob": "x"}, '{"$blob":', {}],
    ids=["inner", "listed", "longer", "second", "text", "empty"],
)
def test_what_only_resembles_a_reference_stays_in_the_event(value):
    """Only a text that begins as a reference does can be taken for one."""
    blobs = []
    data = bytes(codec.sealed(codec.encode(value), blobs))
    assert (codec.decode(codec.resolve(data, {}.__getitem__)), blobs) == (value, [])


def test_a_long_text_is_sealed_whatever_it_begins_with():
    """A list, a number or a text of more than 64 KiB."""
    blobs = []
    data = codec.sealed(codec.encode(["x" * codec.BLOB_ABOVE_BYTES]), blobs)
    assert codec.is_blob(bytes(data))
    assert len(blobs) == 1


def test_a_guarded_text_is_no_reference_until_it_is_sealed():
    """A value can wait beside references without a store; in the event it is a blob like any other."""
    text = codec.encode({"$blob": "x"})

    waiting = codec.guarded(text)

    assert codec.resolve(waiting, {}.__getitem__) == waiting
    assert codec.decode(waiting) == {"$blob": "x"}
    blobs = []
    assert codec.sealed(waiting, blobs) == codec.sealed(text, [])
    assert blobs[0].content == text


def test_only_what_looks_like_a_reference_is_guarded():
    """Every other text is left alone."""
    assert codec.guarded(b'{"a":1}') == b'{"a":1}'


def test_only_unicode_strings_are_text():
    """Names in a journal must be."""
    assert [codec.is_text(value) for value in ("a", "😀", "\ud800", b"a", 1)] == [True, True, False, False, False]


def test_errors_are_made_readable_and_never_refused():
    """What is not Unicode is written as an escape."""
    assert codec.readable("lone \ud800 ü") == "lone \\ud800 ü"
    assert codec.readable("plain ü") == "plain ü"


@given(VALUES)
def test_the_canonical_text_has_sorted_keys_and_the_same_value(value):
    """Numbers keep their kind."""
    text = codec.canonical(codec.encode(value))
    assert json.loads(text) == value
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(json.loads(text))


def test_equal_values_have_one_canonical_text():
    """Whatever the order of their keys; 1, 1.0 and true are three values."""
    one, other = codec.encode({"a": {"x": 1, "y": 2}, "b": []}), codec.encode({"b": [], "a": {"y": 2, "x": 1}})
    assert codec.canonical(one) == codec.canonical(other) == b'{"a":{"x":1,"y":2},"b":[]}'
    assert len({codec.canonical(codec.encode(value)) for value in (1, 1.0, True)}) == 3


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True, tag="kind"):
    """A Struct that is written under other names, and not whole."""

    first_name: str
    age_years: int = 0
    scores: list[float] = []


@pytest.mark.parametrize("value", [Renamed("ann"), Renamed("ann", 5, [1.5]), Renamed("ann", scores=[1, [2]])])
def test_a_struct_is_written_as_msgspec_writes_it(value):
    """With its names, its tag and without its defaults, whichever way is the faster."""
    assert codec.encode(value) == msgspec.json.encode(msgspec.to_builtins(value))


@pytest.mark.parametrize("wrong", [float("nan"), [float("inf")], {1: 2}, b"bytes", {2}])
def test_what_is_wrong_in_a_struct_is_found(wrong):
    """As it is in a dict."""
    with pytest.raises(codec.NotJson, match=r"\$\.first_?[nN]ame"):
        codec.encode(Renamed(wrong))
