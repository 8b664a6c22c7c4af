"""A graph as data: references and their text, hashes, what depends on what, references in code."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core.errors import GraphError, InvalidReference
from dagger.core.graph import (
    MAX_ID_LENGTH,
    Condition,
    Definition,
    Input,
    Map,
    Node,
    NodeRef,
    Output,
    Reference,
    Reuse,
    RunInput,
    depended,
    id_problem,
    is_of_type,
    literal,
    node_of,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("fetch", ("fetch", None, ())),
        ("fetch.page", ("fetch", "page", ())),
        ("inputs.url", ("inputs", "url", ())),
        ("fetch.page.items[0].title", ("fetch", "page", ("items", 0, "title"))),
        ("fetch.page[-1]", ("fetch", "page", (-1,))),
        ("fetch.page[0][1]", ("fetch", "page", (0, 1))),
        ('fetch.page["a key"].x', ("fetch", "page", ("a key", "x"))),
        ("fetch.page['a.b']", ("fetch", "page", ("a.b",))),
        ('fetch["an output"]', ("fetch", "an output", ())),
        ('fetch["a.b"].c', ("fetch", "a.b", ("c",))),
        ("my-node_2.ключ", ("my-node_2", "ключ", ())),
        ('fetch.page[""]', ("fetch", "page", ("",))),
        ("item", ("item", None, ())),
        ("item.title[0]", ("item", "title", (0,))),
        ("item[0].title", ("item", None, (0, "title"))),
    ],
)
def test_a_reference_is_read_in_its_parts(text, parts):
    """Node, output, then the path into the value; quotes for keys that are no plain words."""
    assert Reference.parse(text) == Reference(*parts)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is no reference; write node_id.output_name or inputs.name, then a path if need be"),
        ("3", "'3' is no reference; write node_id.output_name or inputs.name, then a path if need be"),
        (".page", "'.page' is no reference; write node_id.output_name"),
        ("fetch.", "'fetch.' is no reference: '.' is neither .name nor [index]"),
        ("fetch page", "'fetch page' is no reference: ' page' is neither .name nor [index]"),
        ("fetch..page", "'fetch..page' is no reference: '..page' is neither .name nor [index]"),
        ("fetch.page[x]", "'fetch.page[x]' is no reference: '[x]' is neither .name nor [index]"),
        ("fetch.page[0", "'fetch.page[0' is no reference: '[0' is neither .name nor [index]"),
        ("fetch[0]", "'fetch[0]' is no reference: an output's name comes before [0]"),
        ("fetch.page\n", "is neither .name nor [index]"),
    ],
)
def test_what_is_no_reference_says_what_one_looks_like(text, why):
    """The part that cannot be read is quoted."""
    with pytest.raises(ValueError, match="no reference") as refused:
        Reference.parse(text)
    assert why in str(refused.value)


@given(st.text())
def test_any_text_is_a_reference_or_a_value_error(text):
    """Nothing else comes out of a user's slip; and its node is what `node_of` says."""
    try:
        reference = Reference.parse(text)
    except ValueError:
        return
    assert reference.node == node_of(text)


def test_dependencies_are_the_written_ones_then_those_referred_to_each_once():
    """Run inputs and literals are no nodes."""
    inputs = [
        Input("a", "fetch.page"),
        Input("b", "parse"),
        Input("c", "inputs.url"),
        Input("d", 'store["x"]'),
        Input("e", value=msgspec.Raw(b"1")),
    ]
    assert depended(["parse", "start", "parse"], inputs) == ("parse", "start", "fetch", "store")


def test_when_and_map_are_dependencies_too_and_the_item_is_none():
    """In the order: written, `when`, `map`, inputs. Without a map, `item` is a node like any other."""
    inputs = [Input("a", "fetch.page"), Input("b", "item.title"), Input("c", "item")]
    when, over = Condition("check.ok"), Map("plan.queries")
    assert depended(["start"], inputs, when, over) == ("start", "check", "plan", "fetch")
    assert depended([], inputs, Condition("inputs.x"), Map("inputs.y")) == ("fetch",)
    assert depended([], inputs, when) == ("check", "fetch", "item")
    assert depended(["inputs"], []) == ("inputs",)


@pytest.mark.parametrize("node_id", ["a", "_", "node-1", "A_b-9", "x" * MAX_ID_LENGTH])
def test_ids_are_letters_digits_underscores_and_dashes(node_id):
    """None of these is a problem."""
    assert id_problem(node_id) == ""


@pytest.mark.parametrize(
    ("node_id", "why"),
    [
        ("", "node id '' must be letters, digits, _ and -, and begin with a letter or _"),
        ("1a", "node id '1a' must be letters"),
        ("-a", "node id '-a' must be letters"),
        ("a b", "node id 'a b' must be letters"),
        ("a.b", "node id 'a.b' must be letters"),
        ("a\n", r"node id 'a\n' must be letters"),
        ("inputs", "node id 'inputs' is reserved: choose another"),
        ("global", "node id 'global' is reserved: choose another"),
        ("é", "node id 'é' must be letters"),
        ("x" * 201, "node id 'xxxxxxxxxxxxxxxxxxxx…' is longer than 200 characters: choose a shorter one"),
    ],
)
def test_other_ids_are_refused_with_the_rule(node_id, why):
    """Sections of the cache that are no node's are reserved."""
    assert id_problem(node_id).startswith(why)


@pytest.mark.parametrize(
    ("value", "kinds"),
    [("x", ["string"]), (1, ["integer"]), (1, ["number"]), (1.5, ["number"]), (True, ["boolean"]), ([], ["array"]),
     ({}, ["object"]), (None, ["null"]), (None, ["string", "null"])],
)  # fmt: skip
def test_values_are_of_json_schemas_types(value, kinds):
    """Every type's plainest value."""
    assert is_of_type(value, kinds)


@pytest.mark.parametrize(("value", "kinds"), [(True, ["integer", "number"]), (1.5, ["integer"]), (1, ["boolean"])])
def test_truth_values_are_no_numbers(value, kinds):
    """Though Python has it so; and a fraction is no integer."""
    assert not is_of_type(value, kinds)


NODE = Node(id="a", action="add", inputs=(Input("x", "inputs.x"),), outputs=(Output("sum"),), timeout=5.0)


@pytest.mark.parametrize(
    "change",
    [{"action": "sub"}, {"timeout": 6.0}, {"try_count": 2}, {"inputs": ()}, {"dependencies": ("b",)}, {"priority": 1}],
    ids=lambda change: next(iter(change)),
)
def test_another_definition_has_another_hash(change):
    """What changes the work changes the hash."""
    assert msgspec.structs.replace(NODE, **change).hashed().hash != NODE.hashed().hash


@pytest.mark.parametrize(
    "change",
    [{"description": "words"}, {"instructions": ("words",)}, {"timeout": 5}, {"hash": "old"}, {"handles": "b"}],
    ids=lambda change: next(iter(change)),
)
def test_words_about_a_node_do_not_change_its_hash(change):
    """Nor whether a timeout was written 5 or 5.0."""
    assert msgspec.structs.replace(NODE, **change).hashed().hash == NODE.hashed().hash


def test_a_default_that_is_written_down_does_not_change_the_hash():
    """Nor does it matter where the value came from."""
    written = Node(id="a", action="add", timeout=float("3600"), run_when="SUCCEEDED".lower(), priority=0)
    assert written.hashed().hash == Node(id="a", action="add").hashed().hash


@pytest.mark.parametrize(
    "change",
    [
        {"graph": "sub"},
        {"when": Condition("b.ok")},
        {"when": Condition("b.ok", {"gt": msgspec.Raw(b"3")})},
        {"map": Map("b.list")},
        {"map": Map("b.list", 4)},
        {"cache": Reuse()},
        {"cache": Reuse(("x",))},
        {"cache": Reuse(ttl_seconds=5.0)},
    ],
    ids=str,
)
def test_whether_how_often_and_how_newly_a_node_runs_is_in_its_hash(change):
    """Each of them makes it other work."""
    changed = msgspec.structs.replace(NODE, **change)
    assert changed.hashed().hash != NODE.hashed().hash
    assert msgspec.json.decode(msgspec.json.encode(changed), type=Node) == changed


def test_a_hash_is_the_same_on_every_machine_and_day():
    """It stands in journals: a change of it is a change of the format."""
    assert Node(id="a", action="add").hashed().hash == "f87344a25d5b4399"


def test_a_definition_comes_back_from_its_json():
    """As it stands in a run's journal."""
    definition = Definition(
        name="g",
        tags=("x",),
        config={"max_attempts": 2},
        inputs={"n": RunInput(("integer", "null"), msgspec.Raw(b"null"))},
        nodes=(NODE.hashed(), Node(id="b", action="b", inputs=(Input("v", value=msgspec.Raw(b'{"a":[1]}')),))),
    )
    assert msgspec.json.decode(msgspec.json.encode(definition), type=Definition) == definition


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["page"], "fetch.page"),
        (["page", "items", 0, "title"], "fetch.page.items[0].title"),
        (["page", "a key"], 'fetch.page["a key"]'),
        (["page", 'say "hi"'], "fetch.page['say \"hi\"']"),
        (["a.b", "c"], 'fetch["a.b"].c'),
        (["page", -1], "fetch.page[-1]"),
    ],
)
def test_a_reference_in_code_is_written_as_in_yaml(keys, text):
    """And reads back to the same output and path."""
    ref = NodeRef("fetch", "fetch")
    for key in keys:
        ref = ref[key]
    assert ref.reference == text
    assert Reference.parse(text) == Reference("fetch", keys[0], tuple(keys[1:]))


def test_an_output_that_the_node_does_not_declare_is_refused_at_once():
    """Where it is written, in the user's own line."""
    ref = NodeRef("fetch", "fetch", ("page", "status"))
    with pytest.raises(InvalidReference, match="node 'fetch' has no output 'pages'; it gives: page, status"):
        ref["pages"]
    with pytest.raises(InvalidReference, match="node 'fetch' has no output 0; it gives: page, status"):
        ref[0]


def test_an_item_has_keys_and_indexes():
    """It is a value, not the outputs of a node."""
    item = NodeRef("item", "item")
    assert [item[0].reference, item["title"].reference, item["a key"][1].reference] == [
        "item[0]",
        "item.title",
        'item["a key"][1]',
    ]


def test_a_reference_shows_what_it_refers_to():
    """In a debugger or a message."""
    assert repr(NodeRef("fetch", "fetch")["page"]) == "<reference fetch.page>"


def test_a_literal_is_its_json_text():
    """Tuples become lists at once, so that live and replayed are the same."""
    assert literal((1, "é"), "here") == msgspec.Raw('[1,"é"]'.encode())


def test_what_is_no_json_is_no_literal():
    """Refused with the place and the path."""
    with pytest.raises(GraphError, match=r"node 'a': input 'x': at \$\.y: nan is not a JSON number"):
        literal({"y": float("nan")}, "node 'a': input 'x'")


def test_a_reference_is_no_collection():
    """Its items are whatever one asks for: going through them, or looking for one, would never end."""
    ref = NodeRef("fetch", "fetch")
    with pytest.raises(TypeError, match="not iterable"):
        list(ref)
    with pytest.raises(TypeError, match="not a container"):
        "page" in ref  # noqa: B015 - the case


@pytest.mark.parametrize(
    ("value", "path"), [([NodeRef("a", "a")], "$[0]"), ({"k": [NodeRef("a", "a.b")]}, "$.k[0]")], ids=["list", "dict"]
)
def test_a_reference_inside_a_literal_says_that_references_stand_alone(value, path):
    """With its place in the literal."""
    with pytest.raises(GraphError) as refused:
        literal(value, "node 'n': input 'x'")
    assert str(refused.value) == (
        f"node 'n': input 'x': at {path}: a reference stands alone: give it as an input of its own, x=ref"
    )
