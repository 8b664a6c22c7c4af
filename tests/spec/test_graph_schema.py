"""The JSON Schema of graph files tells editors what the reader tells at loading."""

import dataclasses
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from tests.spec.bad_files import BETWEEN, WITHIN
from tests.spec.definitions import definitions

from dagger.core.config import RunConfig
from dagger.spec import graph_reader
from dagger.spec.graph_file import load_text
from dagger.spec.graph_schema import json_schema
from dagger.spec.graph_writer import to_yaml
from dagger.spec.yaml_reader import read, value_of

VALIDATOR = jsonschema_rs.Draft202012Validator(json_schema())


def complaints(text):
    """What an editor says, which reads YAML by the rules of 1.2."""
    tree, _ = read(text)
    return [error.message for error in VALIDATOR.iter_errors(value_of(tree, []))]


def test_it_is_a_schema_of_2020_12():
    """A valid one."""
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert jsonschema_rs.meta.is_valid(json_schema())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_any_file_that_loads_is_valid(definition):
    """As it is written by `to_yaml`."""
    assert complaints(to_yaml(definition)) == []


def node(fields):
    return f"name: g\nnodes: [{{id: a, action: b, {fields}}}]"


GOOD = [
    "name: 1.0\ndescription: 010\nversion: true\nauthor: ~\nnodes: [{id: a, action: no, description: 5}]",
    node("inputs: [{name: x, reference: inputs.x}, {y: inputs.y}, {name: z, value: ~}]"),
    node("inputs: {x: inputs.x, y: {value: [1]}, z: {reference: inputs.z, description: d}}"),
    node("on_failure: STOP, run_when: Finished, outputs: [x, {name: y, description: ~}]"),
    node("timeout: ~, try_count: ~, dependencies: ~, inputs: ~, failure: ''"),
    node("onfailure: false") + "\nconfig: {on_failure: Pause, max_tokens: ~, max_attempts: ~}",
    node("onfailure: true") + "\nconfig: {retry_strategy: {Exponential: {multiplier: 2}}}",
    node("priority: -1") + "\nconfig: {retry_strategy: Immediate}",
    "name: g\nnodes: [{id: a, graph: sub, action: ~, when: inputs.x, map: ~, cache: ~}, {id: b, action: c, graph: ''}]",
    node("when: {reference: 'inputs.x[0]', in: [1, a], gt: a, lte: 2.5, equals: ~, not_equals: {a: 1}}"),
    node("map: {reference: inputs.l, max_parallel: ~}, inputs: {x: item, y: 'item[0]', z: item.title}"),
    node("map: {reference: inputs.l, max_parallel: 4}, when: ~, cache: {key: item, ttl: 007D}"),
    node("cache: true, map: inputs.l") + "\nversion: 1",
    node("cache: false, when: {reference: inputs.x}"),
    node("cache: {key: [x], ttl: 1.5}, inputs: {x: inputs.x}"),
    node("cache: {key: ~, ttl: ~}"),
    node("") + "\ninputs: {a: string, b: {type: [integer, null], default: 1}, c: ~, d: {}}",
]


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_all_forms_of_writing_are_valid(text):
    """Long and short, in any case, with nulls, and with texts that look like numbers."""
    load_text(text, file="good.yaml", actions=None)
    assert complaints(text) == []


EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/**/*.yaml"))
WITHIN_AFTER_ALL = {"reserved id", "no reference", "types that are spelled otherwise"}
"""Of the problems between nodes: those that a schema can tell after all."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path):
    """Or their authors' editors would complain."""
    assert complaints(path.read_text("utf-8")) == []


@pytest.mark.parametrize("name", WITHIN)
def test_bad_files_are_found_by_the_schema_too(name):
    """All that does not need to look from one node to another."""
    assert complaints(WITHIN[name][0])


@pytest.mark.parametrize("name", sorted({*BETWEEN} - WITHIN_AFTER_ALL))
def test_what_stands_between_nodes_is_found_only_at_loading(name):
    """A schema cannot follow references: `dagger validate` does."""
    assert complaints(BETWEEN[name][0]) == []


def test_every_key_of_the_reader_is_in_the_schema_and_described():
    """A new field is not forgotten here."""
    schema = json_schema()
    node = schema["$defs"]["node"]["properties"]
    assert set(schema["properties"]) == set(graph_reader._GRAPH)
    assert set(node) == set(graph_reader._NODE)
    config = schema["properties"]["config"]["properties"]
    assert list(config) == [field.name for field in dataclasses.fields(RunConfig)]
    for properties in (schema["properties"], node, config):
        assert all(entry["description"] for entry in properties.values())


def test_editors_that_read_yaml_1_1_see_valid_files_too():
    """The written form quotes what those would misread."""
    text = to_yaml(load_text(GOOD[0], file="good.yaml", actions=None))
    assert VALIDATOR.is_valid(yaml.safe_load(text))
