"""Contracts: compiled JSON Schemas, all that a payload violates, and schemas of which none can be kept with another."""

import random
import re
import subprocess
import sys
from itertools import product

import jsonschema_rs
import msgspec
import pytest

from dagger.core.errors import RegistryError
from dagger.core.graph import Node
from dagger.core.messages import Agent
from dagger.spec.contracts import Contract, disagreement

TASKS = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "two words": {"type": "integer"},
    },
    "required": ["items"],
}


def compared(published, taken, **options):
    planner = Agent(name="planner", subscriptions=(), node=Node(id="planner"), output_schema=published, **options)
    worker = Agent(name="worker", subscriptions=(), node=Node(id="worker"), input_schema=taken)
    return disagreement(planner, worker)


def record(**properties):
    return {"type": "object", "properties": properties, "required": [*properties]}


def closed(**properties):
    return record(**properties) | {"additionalProperties": False}


def test_a_contract_says_whether_a_value_keeps_it():
    """With the compiled validator's own method."""
    contract = Contract.of(TASKS, "agent 'worker': input_schema")

    assert contract.is_valid({"items": [{"name": "a"}]})
    assert not contract.is_valid({"items": [{"name": 3}]})
    assert type(contract.is_valid).__name__ == "builtin_function_or_method"


def test_every_violation_is_told_with_its_place():
    """Those of a name that is no plain word too; of a valid value none."""
    contract = Contract.of(TASKS, "agent 'worker': input_schema")

    assert contract.violations({"items": [{}, {"name": 3}], "two words": "x"}) == [
        'at $.items[1].name: 3 is not of type "string"',
        'at $["two words"]: "x" is not of type "integer"',
    ]
    assert contract.violations({}) == ['at $: "items" is a required property']
    assert contract.violations({"items": []}) == []


def test_a_violation_of_a_large_value_is_told_in_short():
    """The validator quotes all of it; what is wrong with it comes last."""
    (told,) = Contract.of({"type": "string"}, "here").violations(["x" * 100_000])

    assert len(told) < 350
    assert told.startswith('at $: ["xxx')
    assert told.endswith('x"] is not of type "string"')


def test_equal_schemas_share_one_contract():
    """However their keys are ordered, and whoever has them."""
    one = Contract.of({"type": "string", "minLength": 2}, "one")

    assert Contract.of({"minLength": 2, "type": "string"}, "other") is one
    assert Contract.of({"type": "string", "minLength": 3}, "other") is not one


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": "strin"}}}, 'at $.properties.a.type: "strin" is not valid under any of the'),
        ({"$ref": "#/$defs/x"}, "Pointer '/$defs/x' does not exist"),
        ({"$ref": "http://localhost:1/x.json"}, "Retrieval is disabled, cannot fetch http://localhost:1/x.json"),
        ({"$schema": "http://localhost:1/draft"}, "Unknown meta-schema: 'http://localhost:1/draft'"),
        ({"const": len}, "Encoding objects of type builtin_function_or_method is unsupported"),
    ],
)
def test_what_is_no_json_schema_is_refused(schema, said):
    """With whose it is, and what is wrong at which place; nothing is fetched from anywhere."""
    with pytest.raises(RegistryError, match=r"^agent 'worker': input_schema is no JSON Schema: ") as refused:
        Contract.of(schema, "agent 'worker': input_schema")
    assert said in str(refused.value)


def test_the_library_loads_no_validator():
    """`import dagger` has a budget: who has no schemas does not pay for them."""
    code = "import sys, dagger, dagger.spec.contracts\nassert 'jsonschema_rs' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


TREE = {"$ref": "#/$defs/Tree", "$defs": {"Tree": record(value={"type": "integer"}, child={"$ref": "#/$defs/Tree"})}}
TEXTS = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("published", "taken", "said"),
    [
        ({"type": "integer"}, {"type": "string"}, "at $: 'worker' takes string, 'planner' publishes integer"),
        (
            {"type": ["integer", "null"]},
            {"type": ["string", "array"]},
            "at $: 'worker' takes string or array, 'planner' publishes null or integer",
        ),
        ({"type": "number"}, {"type": "string"}, "at $: 'worker' takes string, 'planner' publishes number"),
        (
            record(task={"type": "integer"}),
            record(task={"type": "string"}),
            "at $.task: 'worker' takes string, 'planner' publishes integer",
        ),
        ({"enum": ["a", "b"]}, {"const": "c"}, """at $: 'worker' takes "c", 'planner' publishes "a" or "b\""""),
        (
            {"enum": [1, 2, 3, 4, 5, 6]},
            {"type": "integer", "minimum": 7, "maximum": 9},
            "at $: 'worker' takes integer of at least 7 and at most 9, 'planner' publishes 1 or 2 or 3 or 4 or 2 more",
        ),
        (
            {"type": "integer", "minimum": 5},
            {"type": "number", "exclusiveMaximum": 5},
            "at $: 'worker' takes integer of less than 5, 'planner' publishes integer of at least 5",
        ),
        (
            {"type": "number", "minimum": 5, "exclusiveMinimum": 5},
            {"type": "number", "maximum": 5},
            "at $: 'worker' takes integer of at most 5, 'planner' publishes integer of more than 5",
        ),
        (
            {"type": "number", "minimum": 5},
            {"type": "number", "maximum": 5, "exclusiveMaximum": 5},
            "at $: 'worker' takes integer of less than 5, 'planner' publishes integer of at least 5",
        ),
        (
            {"type": "string", "minLength": 9},
            {"type": "string", "maxLength": 8},
            "at $: 'worker' takes string of at most 8 characters, 'planner' publishes string of at least 9 characters",
        ),
        (
            closed(a={"type": "string"}),
            record(b={"type": "string"}),
            "at $.b: 'worker' requires it, 'planner' never publishes it",
        ),
        (
            record(a={"type": "string"}),
            closed(b={"type": "string"}),
            "at $.a: 'worker' allows no such property, 'planner' always publishes it",
        ),
        (
            TEXTS | {"minItems": 1},
            {"type": "array", "items": {"type": "integer"}},
            "at $[0]: 'worker' takes integer, 'planner' publishes string",
        ),
        (
            TREE,
            record(child=record(child=record(value={"type": "string"}))),
            "at $.child.child.value: 'worker' takes string, 'planner' publishes integer",
        ),
        (
            {"anyOf": [record(a={"type": "string"}), {"type": "null"}]},
            record(a={"type": "integer"}),
            "at $.a: 'worker' takes integer, 'planner' publishes string",
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "null"}]},
            {"allOf": [{"type": ["integer", "string"]}, {"not": {"type": "null"}}, {"type": "integer"}]},
            "at $: 'worker' takes integer, 'planner' publishes null or string",
        ),
    ],
)
def test_schemas_that_cannot_both_be_kept_are_told(published, taken, said):
    """Where, and what either says there."""
    assert compared(published, taken) == said


@pytest.mark.parametrize(
    ("published", "taken"),
    [
        ({"type": "integer"}, {"type": "number"}),
        ({"type": "integer"}, {}),
        (None, {"type": "integer"}),
        (record(a={"type": "string"}), {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}),
        ({"properties": {"a": {"type": "string"}}}, {"properties": {"a": {"type": "integer"}}}),
        ({"minimum": 5}, {"maximum": 3}),
        (TEXTS, {"type": "array", "items": {"type": "integer"}}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"type": ["integer", "null"]}),
        (closed() | {"patternProperties": {"^b": {}}}, record(b={"type": "string"})),
        (TREE, TREE),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}}, {"type": "null"}),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}, {"const": 2}),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [{"const": 1}, {}]},
            TEXTS | {"minItems": 1},
        ),
        (
            record(a={"$id": "http://a/b", "$ref": "#/$defs/x", "$defs": {"x": {"const": 1}}})
            | {"$defs": {"x": False}},
            record(a={"const": 1}),
        ),
        ({"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]} for _ in range(30)]}, {"type": "integer"}),
        ({"type": "array", "minItems": 1, "prefixItems": [{"type": "string"}], "items": False}, TEXTS),
        ({"type": "integer", "minimum": 5, "maximum": 5}, {"const": 5.0}),
    ],
)
def test_schemas_that_may_both_be_kept_are_not_complained_about(published, taken):
    """Only what is certain is told."""
    assert compared(published, taken) == ""


VALUES = [None, True, False, 0, 1, 2, 3, 1.5, 2.0, "", "a", "b", "abc"]
TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"]


def any_schema(rng, depth=3):
    """Small ones of every keyword that is compared, and a few that are not."""
    if rng.random() < 0.05:
        return rng.random() < 0.7
    made = {}
    if rng.random() < 0.7:
        made["type"] = rng.choice(TYPES) if rng.random() < 0.7 else rng.sample(TYPES, 2)
    for keyword, make in KEYWORDS.items():
        if rng.random() < 0.12:
            made[keyword] = make(rng, depth - 1)
    if depth and "object" in made.get("type", ""):
        names = rng.sample("abc", rng.randint(1, 2))
        made["properties"] = {name: any_schema(rng, depth - 1) for name in names}
        made["required"] = rng.sample("abc", rng.randint(0, 2))
        made["additionalProperties"] = any_schema(rng, 0) if rng.random() < 0.3 else rng.random() < 0.5
    if depth and "array" in made.get("type", ""):
        made["items"] = any_schema(rng, depth - 1)
    for combination in ("anyOf", "oneOf", "allOf"):
        if depth and rng.random() < 0.1:
            made[combination] = [any_schema(rng, depth - 1) for _ in range(rng.randint(1, 2))]
    return {"$ref": f"#/$defs/{rng.choice('xy')}"} if rng.random() < 0.08 else made


KEYWORDS = {
    "enum": lambda rng, _: rng.sample(VALUES, rng.randint(1, 3)),
    "const": lambda rng, _: rng.choice(VALUES),
    "minimum": lambda rng, _: rng.choice([0, 1, 1.5, 2, 3]),
    "maximum": lambda rng, _: rng.choice([0, 1, 1.5, 2, 3]),
    "exclusiveMinimum": lambda rng, _: rng.choice([0, 1, 1.5, 2, 3]),
    "exclusiveMaximum": lambda rng, _: rng.choice([0, 1, 1.5, 2, 3]),
    "minLength": lambda rng, _: rng.randint(0, 3),
    "maxLength": lambda rng, _: rng.randint(0, 3),
    "minItems": lambda rng, _: rng.randint(0, 2),
    "maxItems": lambda rng, _: rng.randint(0, 2),
    "minProperties": lambda rng, _: rng.randint(0, 2),
    "maxProperties": lambda rng, _: rng.randint(0, 2),
    "not": lambda rng, depth: any_schema(rng, max(0, depth - 1)),
    "patternProperties": lambda rng, _: {"^a": any_schema(rng, 0)},
    "prefixItems": lambda rng, _: [any_schema(rng, 0)],
}


def any_root(rng):
    root = {}
    while not root:
        root = any_schema(rng)
        root = root if isinstance(root, dict) else {}
    return root | {"$defs": {name: any_schema(rng, 2) for name in "xy"}}


def values(rng):
    """Every value of one level, some of two, a few of three."""
    known = VALUES
    for _ in range(2):
        picked = rng.sample(known, min(len(known), 12))
        lists = [list(pair) for pair in product(picked[:5], picked[5:10])] + [[one] for one in picked] + [[]]
        dicts = [{}] + [
            dict(zip(names, rng.sample(picked, len(names)), strict=True))
            for names in ("a", "b", "c", "ab", "bc", "ac", "abc")
            for _ in range(6)
        ]
        known = [*VALUES, *lists, *dicts]
    return known


@pytest.mark.parametrize("seed", range(20))
def test_no_value_is_valid_for_schemas_that_are_said_to_disagree(seed):
    """Never a false alarm, whatever the schemas; and alarms there are."""
    rng = random.Random(seed)
    tried, alarms = values(rng), 0
    for _ in range(150):
        published, taken = any_root(rng), any_root(rng)
        try:
            compiled = [jsonschema_rs.validator_for(schema) for schema in (published, taken)]
        except ValueError:
            continue  # a schema that refers to itself for ever
        said = compared(published, taken)
        if said:
            alarms += 1
            assert re.match(r"at \$\S*: 'worker' \S.*, 'planner' ", said), said
            both = [value for value in tried if all(each.is_valid(value) for each in compiled)]
            assert not both, (said, msgspec.json.encode([published, taken]), both[0])
    assert alarms > 10


def test_a_type_without_a_field_that_a_reader_requires_never_agrees_with_it():
    """Though its schema, as any, would let the field be: what is published has just the type's own."""
    published = {"$ref": "#/$defs/A", "$defs": {"A": record(a={"type": "integer"})}}
    taken = record(a={"type": "integer"}, b={"type": "string"})

    assert compared(published, taken) == ""
    told = "at $.b: 'worker' requires it, 'planner' never publishes it"
    assert compared(published, taken, publishes_exactly=True) == told
    assert compared(record(a={"type": "integer"}), taken, publishes_exactly=True) == told
    assert compared(published, record(a={}), publishes_exactly=True) == ""
