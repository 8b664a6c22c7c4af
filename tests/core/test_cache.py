"""The cache: exact round trips, no shared objects, concurrent appends and additions, and a total `apply`."""

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core import codec
from dagger.core.cache import Appended, Cache, CacheView, Write, apply, collect
from dagger.core.errors import InputInvalid, OutputInvalid

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS | st.just("$blob"), inner), max_leaves=8
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(2**codec.MAX_INTEGER_BITS - 1)
FEW = st.sampled_from("ab")
WRITES = st.builds(
    lambda op, section, key, value: Write(op, section, key, msgspec.Raw(codec.guarded(codec.encode(value)))),
    st.sampled_from(["set", "append", "add", "delete"]),
    FEW,
    FEW,
    NUMBERS | VALUES,
)
LOOKS_LIKE_A_REFERENCE = {"$blob": "6d1f", "size": 3}


def write(op, value=None, key="k", section="s"):
    return Write(op, section, key, msgspec.Raw(codec.encode(value)))


def applied(*writes):
    sections = {}
    for each in writes:
        apply(sections, each)
    return Cache(sections)


def sealing(value):
    """The write that sets a value, as it stands in an event, and what loads its blob."""
    blobs = []
    text = codec.sealed(codec.encode(value), blobs)
    return Write("set", "s", "k", text), {blob.hash: blob.content for blob in blobs}.__getitem__


# --- reading


def test_a_value_comes_back_as_a_fresh_object():
    """Changing what was read, or what was written, changes nothing in the cache."""
    cache, written = Cache(), [1]
    cache.set("s", "k", written)
    written.append(2)
    cache.get("s", "k").append(3)
    assert cache.get("s", "k") == [1]


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("s", "colour", "section 's' of the cache has no key 'colour'; did you mean 'color'?"),
        ("s", "zebra", "section 's' of the cache has no key 'zebra'; it has: color, size"),
        ("glob", "k", "section 'glob' of the cache is empty; did you mean 'global'?"),
        ("zebra", "k", "section 'zebra' of the cache is empty"),
    ],
    ids=["near", "far", "near section", "far section"],
)
def test_a_missing_key_is_an_error_that_names_the_nearest(section, key, message):
    """The reader sees what was probably meant."""
    cache = Cache.of({"s": {"color": 1, "size": 2}, "global": {"x": 1}})
    with pytest.raises(KeyError) as missing:
        cache.get(section, key)
    assert missing.value.args == (message,)


def test_a_missing_key_with_a_default_is_the_default():
    """None is a default like any other; a stored null is a value."""
    cache = Cache.of({"s": {"null": None}})
    assert cache.get("s", "absent", None) is None
    assert cache.get("s", "null", 1) is None


def test_the_outputs_of_a_node_are_read_at_once():
    """A node without any has an empty dict."""
    cache = Cache.of({"fetch": {"page": "x", "status": 200}})
    assert cache.node("fetch") == {"page": "x", "status": 200}
    assert cache.node("parse") == {}


def test_keys_and_sections_stand_in_the_order_of_being_first_written():
    """Writing again moves nothing."""
    cache = Cache()
    for section, key in [("b", "y"), ("a", "z"), ("b", "x"), ("b", "y")]:
        cache.set(section, key, 1)
    assert list(cache) == ["b", "a"]
    assert cache.keys("b") == ["y", "x"]
    assert cache.keys("none") == []


def test_a_cache_tells_its_sections():
    """By `len`, by `in` and in its repr."""
    cache = Cache.of({"a": {"k": 1}, "b": {"k": 1}})
    assert (len(cache), "a" in cache, "c" in cache, 1 in cache) == (2, True, False, False)
    assert repr(cache) == "<Cache of 2 sections>"
    assert repr(CacheView()) == "<CacheView of 0 sections>"


def test_caches_are_equal_by_content():
    """However it was written; and to nothing that is no cache."""
    one, two = Cache.of({"s": {"k": [1, 2]}}), Cache()
    two.append("s", "k", 1)
    two.append("s", "k", 2)
    assert one == two
    assert one != Cache()
    assert one != {"s": {"k": [1, 2]}}


def test_equal_caches_hold_values_of_the_same_types():
    """The order of keys says nothing; true is not 1, and 1 not 1.0."""
    assert Cache.of({"a": {"x": {"k": 1, "l": 2}, "y": 1}}) == Cache.of({"a": {"y": 1, "x": {"l": 2, "k": 1}}})
    for other in (1, 1.0, "1"):
        assert Cache.of({"a": {"b": True}}) != Cache.of({"a": {"b": other}})
    assert Cache.of({"a": {"b": 1}}) != Cache.of({"a": {"b": 1.0}})


def test_a_cache_has_no_hash():
    """It changes, so it is no key."""
    with pytest.raises(TypeError, match="unhashable type"):
        hash(Cache())


# --- JSON


@given(
    st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), max_size=3),
    st.sampled_from([None, 2]),
)
def test_what_to_json_writes_from_json_reads(content, indent):
    """Exactly: the text is the same again, and any reader of JSON sees the content."""
    text = Cache.of(content).to_json(indent=indent)
    assert Cache.from_json(text).to_json(indent=indent) == text
    assert json.loads(text) == content


def test_to_json_is_compact_or_indented():
    """As `json.dumps` does it."""
    cache = Cache.of({"s": {"k": [1]}})
    assert cache.to_json() == '{"s":{"k":[1]}}'
    assert cache.to_json(indent=2) == json.dumps({"s": {"k": [1]}}, indent=2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "Expected `object`, got `array`"),
        ('{"a": 1}', "Expected `object`, got `int` - at `$[...]`"),
        ('{"a": {"b": nul}}', "JSON is malformed"),
        ('{"a": {"b": 1e999}}', "Number out of range"),
        ('{"\ud800": {}}', "surrogates not allowed"),
        (b'{"a": {"b": "\xff"}}', "invalid start byte"),
        ('{"a": {"b": ' + "[" * 100_000 + "]" * 100_000 + "}}", "maximum recursion depth exceeded"),
    ],
    ids=["array", "number", "malformed", "range", "surrogate", "no UTF-8", "deep"],
)
def test_a_text_that_is_no_cache_is_refused_at_once(text, reason):
    """Not later, when some value is read."""
    with pytest.raises(InputInvalid) as refused:
        Cache.from_json(text)
    assert str(refused.value).startswith("the text is no cache, an object of sections of keys: ")
    assert reason in str(refused.value)


def test_from_json_refuses_what_set_refuses():
    """A value too deep to be stored, with its place."""
    with pytest.raises(InputInvalid, match=r"cache a\.b: at \$: nested deeper than 200 levels"):
        Cache.from_json('{"a": {"b": ' + "[" * 201 + "]" * 201 + "}}")


def test_an_empty_section_of_a_text_is_no_section():
    """As deleting the last key of a section removes it."""
    assert len(Cache.from_json('{"a": {}}')) == 0


# --- seeds


def test_a_seed_becomes_a_cache_of_its_own():
    """From a dict, from another cache, or from nothing."""
    seed = Cache.of({"s": {"k": 1}})
    copy = Cache.of(seed)
    copy.set("s", "k", 2)
    assert seed.get("s", "k") == 1
    assert len(Cache.of(None)) == 0


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ([1], "a cache is a Cache or a dict of sections, not [1]"),
        ({"s": 1}, "section 's' of the cache must be a dict of keys, not 1"),
        ({"s": {"k": {1: 2}}}, "cache s.k: at $: the key 1 is a int, not a string"),
        (
            {"s": {"k": {1}}},
            "cache s.k: at $: a set has no order and is not a JSON value; use sorted(…) or a list for it",
        ),
        ({"s": {1: 2}}, "a cache key is a string, not 1"),
        ({1: {"k": 2}}, "a cache section is a string, not 1"),
        ({"s": {"\ud800": 2}}, "a cache key is a string, not '\\ud800'"),
    ],
    ids=["list", "section", "value", "set", "key", "section name", "surrogate"],
)
def test_a_seed_that_is_no_cache_is_refused(seed, message):
    """With the place of the fault."""
    with pytest.raises(InputInvalid) as refused:
        Cache.of(seed)
    assert str(refused.value) == message


def test_the_writes_of_a_cache_make_it_again():
    """Out of an empty one."""
    cache = Cache.of({"a": {"x": 1, "y": [LOOKS_LIKE_A_REFERENCE]}, "b": {"z": LOOKS_LIKE_A_REFERENCE}})
    cache.append("b", "list", 1)
    assert applied(*cache.writes()) == cache


# --- writing


def test_append_makes_the_list_and_adds_to_it():
    """To one that was set, too."""
    cache = Cache.of({"s": {"set": [1]}})
    for key in ("set", "new"):
        cache.append("s", key, 2)
        cache.append("s", key, [3])
    assert cache.node("s") == {"set": [1, 2, [3]], "new": [2, [3]]}


def test_add_begins_at_zero():
    """Integers stay integers until a float is added."""
    cache = Cache()
    cache.add("s", "k", 2)
    assert cache.get("s", "k") == 2
    cache.add("s", "k", -0.5)
    assert cache.get("s", "k") == 1.5


def test_delete_removes_the_key_and_with_the_last_one_the_section():
    """A key that is not there is no error."""
    cache = Cache.of({"s": {"k": 1, "l": 2}})
    cache.delete("s", "k")
    assert cache.keys("s") == ["l"]
    cache.delete("s", "l")
    cache.delete("s", "l")
    assert list(cache) == []


@pytest.mark.parametrize(
    ("op", "present", "value", "message"),
    [
        ("append", {"a": 1}, 1, 'cache s.k: append needs a list, but it holds {"a":1}'),
        ("append", "x" * 50, 1, f'cache s.k: append needs a list, but it holds "{"x" * 39}'),
        ("append", [1], {1}.__contains__, "cache s.k: at $: a builtin_function_or_method is not a JSON value"),
        ("add", "1", 1, "cache s.k: add needs numbers, not '1'"),
        ("add", True, 1, "cache s.k: add needs numbers, not True"),
        ("add", 1, None, "cache s.k: add needs numbers, not None"),
        ("add", 1, False, "cache s.k: add needs numbers, not False"),
        ("add", 1, float("nan"), "cache s.k: at $: nan is not a JSON number; use None or a string for it"),
        ("set", 1, object(), "cache s.k: at $: an object is not a JSON value"),
    ],
    ids=range(9),
)
def test_a_write_that_cannot_be_is_refused_and_changes_nothing(op, present, value, message):
    """The message names the place, what is there, and what is wrong with it."""
    cache = Cache.of({"s": {"k": present}})
    with pytest.raises(InputInvalid) as refused:
        getattr(cache, op)("s", "k", value)
    assert str(refused.value) == message
    assert cache.get("s", "k") == present


def test_adding_to_a_list_that_grew_is_refused():
    """What `append` has made is a list and no number."""
    cache = Cache()
    cache.append("s", "k", 1)
    with pytest.raises(InputInvalid) as refused:
        cache.add("s", "k", 1)
    assert str(refused.value) == "cache s.k: add needs numbers, not [1]"


def test_what_an_attempt_writes_wrongly_is_an_output_s_fault():
    """A seed's is an input's."""
    with pytest.raises(OutputInvalid, match="a cache section is a string, not None"):
        collect("set", None, "k", 1, None)


# --- blobs


@given(st.dictionaries(TEXTS, VALUES, max_size=3), st.sampled_from(["set", "append"]))
def test_a_users_dict_is_never_taken_for_a_reference(rest, op):
    """A cache without a store gives it back, also from JSON, from a seed and by its writes."""
    value = {"$blob": "6d1f", **rest}
    cache = Cache()
    getattr(cache, op)("s", "k", value)
    expected = value if op == "set" else [value]

    copies = [Cache.from_json(cache.to_json()), Cache.of(cache), applied(*cache.writes())]

    assert [copy.get("s", "k") for copy in [cache, *copies]] == [expected] * 4


def test_a_collected_write_of_such_a_dict_is_sealed_into_its_event():
    """The store gets a blob of the value's own text."""
    collected = collect("set", "s", "k", LOOKS_LIKE_A_REFERENCE, None)
    blobs = []

    reference = codec.sealed(bytes(collected.value), blobs)

    assert codec.is_blob(bytes(reference))
    assert codec.decode(blobs[0].content) == LOOKS_LIKE_A_REFERENCE


@pytest.mark.parametrize(
    "value",
    [LOOKS_LIKE_A_REFERENCE, ["x" * codec.BLOB_ABOVE_BYTES], "x" * codec.BLOB_ABOVE_BYTES],
    ids=["pretender", "list", "text"],
)
def test_a_sealed_value_is_loaded_when_it_is_read(value):
    """From the store that the cache was given."""
    sealed, load = sealing(value)
    sections = {}
    apply(sections, sealed)
    cache = Cache(sections, load)
    assert cache.get("s", "k") == value
    assert json.loads(cache.to_json()) == {"s": {"k": value}}


def test_appending_to_a_sealed_list_looks_into_its_blob():
    """The list is found to be one, and its items come first."""
    long = "x" * codec.BLOB_ABOVE_BYTES
    sealed, load = sealing([long])
    cache = Cache({"s": {"k": bytes(sealed.value)}}, load)
    cache.append("s", "k", 1)
    assert cache.get("s", "k") == [long, 1]


def test_a_reference_without_a_store_is_an_error():
    """Nothing is made up."""
    sealed, _ = sealing("x" * codec.BLOB_ABOVE_BYTES)
    with pytest.raises(LookupError) as unresolved:
        applied(sealed).get("s", "k")
    assert str(unresolved.value) == "this cache refers to a stored blob, and no store is at hand to load it"


# --- apply


@given(st.lists(WRITES, max_size=30))
def test_apply_takes_any_sequence_of_writes(writes):
    """What two attempts have written in any order has a meaning: no exception, and JSON all through."""
    cache = applied(*writes)
    assert Cache.from_json(cache.to_json()) == cache
    assert all(cache.keys(section) for section in cache)


@given(st.lists(WRITES, max_size=20))
def test_apply_is_pure(writes):
    """The same writes make the same cache, and are themselves unchanged."""
    assert applied(*writes).to_json() == applied(*writes).to_json()


@given(st.permutations([write("append", n) for n in range(6)] + [write("add", n, "sum") for n in (1, 2.5, -7)]))
def test_concurrent_appends_and_additions_are_never_lost(writes):
    """In whatever order the journal has them: each item is in the list once, in that order."""
    cache = applied(*writes)
    assert cache.get("s", "k") == [codec.decode(each.value) for each in writes if each.op == "append"]
    assert cache.get("s", "sum") == -3.5


@pytest.mark.parametrize(
    ("writes", "content"),
    [
        ([write("append", 1), write("set", [2])], {"k": [2]}),
        ([write("set", [1]), write("append", 2)], {"k": [1, 2]}),
        ([write("set", []), write("append", 2)], {"k": [2]}),
        ([write("set", "text"), write("append", 2)], {"k": [2]}),
        ([write("set", [1]), write("append", 2), write("set", 3), write("append", 4)], {"k": [4]}),
        ([write("set", "text"), write("add", 2)], {"k": 2}),
        ([write("set", True), write("add", 2)], {"k": 2}),
        ([write("append", 1), write("add", 2)], {"k": 2}),
        ([write("add", 2), write("set", 5), write("add", 1)], {"k": 6}),
        ([write("add", 2), write("add", None)], {"k": 2}),
        ([write("append", 1), write("delete"), write("append", 2)], {"k": [2]}),
        ([write("add", 1), write("delete"), write("add", 2)], {"k": 2}),
        ([write("set", 1), write("delete")], {}),
        ([write("delete"), write("set", 1)], {"k": 1}),
    ],
    ids=range(14),
)
def test_where_two_attempts_disagree_the_later_write_wins(writes, content):
    """Later in the journal: a list over a text, a number over a list."""
    assert applied(*writes).node("s") == content


@pytest.mark.parametrize(
    ("held", "number", "total"),
    [
        (1e308, 1e308, sys.float_info.max),
        (-1e308, -1e308, -sys.float_info.max),
        (10**400, 0.5, sys.float_info.max),
        (0.5, -(10**400), -sys.float_info.max),
        (2**codec.MAX_INTEGER_BITS - 1, 1, sys.float_info.max),
        (1 - 2**codec.MAX_INTEGER_BITS, -1, -sys.float_info.max),
        (2**64, 2**64, 2**65),
    ],
    ids=["float", "negative", "integer and float", "float and integer", "integer", "negative integer", "long integer"],
)
def test_a_sum_that_json_cannot_hold_is_the_largest_float(held, number, total):
    """Two honest numbers never stop a run."""
    assert applied(write("add", held), write("add", number)).get("s", "k") == total


# --- lists in the making


def test_a_growing_list_keeps_its_items_apart():
    """Appending costs the same at any length: nothing is written anew."""
    sections = {}
    for number in range(3):
        apply(sections, write("append", number))
    assert sections == {"s": {"k": Appended(b"[]", [b"0", b"1", b"2"])}}


@pytest.mark.parametrize(
    ("head", "items", "text"),
    [
        (b"[]", [b"1"], b"[1]"),
        (b"[1,2]", [b"3", b"4"], b"[1,2,3,4]"),
        (b" [ 1 ] ", [b"2"], b"[ 1 ,2]"),
        (b'"[text]"', [b"1"], b"[1]"),
        (b'{"a":[1]}', [b"2"], b"[2]"),
        (b"null", [b"2"], b"[2]"),
    ],
    ids=["empty", "items", "spaces", "text", "object", "null"],
)
def test_a_head_that_is_a_list_comes_first_and_any_other_has_lost(head, items, text):
    """A `set` that came between the appends of two attempts is the earlier write."""
    assert Appended(head, items).text({}.__getitem__) == text


def test_head_and_items_may_be_blobs():
    """Each is loaded by its hash."""
    blobs = []
    head = bytes(codec.sealed(codec.encode(["x" * codec.BLOB_ABOVE_BYTES]), blobs))
    item = bytes(codec.sealed(codec.encode(LOOKS_LIKE_A_REFERENCE), blobs))
    load = {blob.hash: blob.content for blob in blobs}.__getitem__
    assert codec.decode(Appended(head, [item]).text(load)) == ["x" * codec.BLOB_ABOVE_BYTES, LOOKS_LIKE_A_REFERENCE]
