"""What each key of a graph file may hold, and where it was written."""

import msgspec
import pytest
from tests.spec.bad_files import BETWEEN, WITHIN

from dagger.core.errors import GraphError, Hints
from dagger.core.graph import Condition, Input, Map, Output, Reuse, RunInput
from dagger.spec.graph_file import load_text
from dagger.spec.graph_reader import graph
from dagger.spec.reading import Reading
from dagger.spec.yaml_reader import read


def found(text):
    tree, flaws = read(text)
    result = graph(tree, Reading(flaws, Hints()))
    return result, [f"{flaw.line}: {flaw.message}" for flaw in flaws]


def definition(text):
    result, flaws = found(text)
    assert flaws == []
    return result.definition


def node(fields):
    return definition("name: g\nnodes: [{id: a, action: add, " + fields + "}]").nodes[0]


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


@pytest.mark.parametrize("text", ["1.0", "010", "no", "true", "1e3", "2001-01-01", "0x1F", "'null'", "a b"])
def test_text_fields_take_any_scalar_as_it_is_written(text):
    """Names and ids, descriptions, versions, tags and instructions; nobody need know YAML's types."""
    written = text.strip("'")
    head = definition(
        f"name: {text}\ndescription: {text}\nversion: {text}\nauthor: {text}\nsignature: {text}\n"
        f"tags: [{text}]\ninstructions: [{text}]\n"
        f"nodes: [{{id: a, action: {text}, failure: {text}, outputs: [{text}], instructions: [{text}]}}]"
    )
    assert {head.name, head.description, head.version, head.author, head.signature} == {written}
    assert head.tags == head.instructions == head.nodes[0].instructions == (written,)
    assert head.nodes[0].action == head.nodes[0].failure == head.nodes[0].outputs[0].name == written


@pytest.mark.parametrize("null", ["", "~", "null"])
def test_a_null_is_an_absent_field(null):
    """The original wrote nulls for what was not set."""
    fields = "description dependencies inputs outputs failure onfailure on_failure timeout try_count run_when priority"
    fields += " graph when map cache"
    text = "".join(f"  {field}: {null}\n" for field in [*fields.split(), "instructions"])
    heads = ["description", "tags", "author", "version", "signature", "config", "inputs"]
    head = "".join(f"{field}: {null}\n" for field in heads)
    bare = definition("name: g\nnodes: [{id: a, action: add}]")
    assert definition(f"name: g\n{head}nodes:\n- id: a\n  action: add\n{text}") == bare


@pytest.mark.parametrize(
    "written",
    [
        "[{name: x, description: d, reference: get.page}, {name: y, description: ~, value: 2}, {name: z, value: ~}]",
        "{x: {reference: get.page, description: d}, y: {value: 2}, z: {value: null, reference: }}",
        "[{name: x, description: d, reference: get.page}, {y: {value: 2}}, {z: {value: ~}}]",
    ],
    ids=["list", "mapping", "mixed"],
)
def test_inputs_are_written_in_three_ways(written):
    """A list of the long form, one mapping, or a list of short ones."""
    assert node(f"inputs: {written}").inputs == (
        Input("x", "get.page", description="d"),
        Input("y", value=raw(2)),
        Input("z", value=raw(None)),
    )


def test_a_short_input_is_a_reference():
    """In a mapping or a list of one-entry mappings."""
    expected = (Input("x", "get.page[0]"), Input("y", "inputs.url"))
    assert node("inputs: {x: 'get.page[0]', y: inputs.url}").inputs == expected
    assert node("inputs: [{x: 'get.page[0]'}, {y: inputs.url}]").inputs == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [("no", "no"), ("010", 10), ("'1'", "1"), ("1.0", 1.0), ("~", None), ("2001-01-01", "2001-01-01"), ("[]", []),
     ("{a: [1, {b: true}]}", {"a": [1, {"b": True}]}), ("!!str 5", "5")],
)  # fmt: skip
def test_a_literal_is_any_json_value(written, value):
    """By YAML's core rules; dates stay texts."""
    assert node(f"inputs: [{{name: x, value: {written}}}]").inputs[0].value == raw(value)


def test_outputs_are_names_or_have_descriptions():
    """Both in one list."""
    assert node("outputs: [x, {name: y, description: why}]").outputs == (Output("x"), Output("y", "why"))


def test_dependencies_are_the_written_and_the_implied():
    """Doubles are harmless: the original's files may have them."""
    text = """\
name: g
nodes:
  - {id: a, action: add}
  - {id: b, action: add}
  - {id: c, action: add, dependencies: [b, b], inputs: {x: a.sum, y: b.sum, z: inputs.z}}
"""
    assert definition(text).nodes[2].dependencies == ("b", "a")


@pytest.mark.parametrize(
    ("fields", "tries"),
    [
        ("onfailure: false", 1),
        ("onfailure: false, try_count: 5", 1),
        ("onfailure: true, try_count: 5", 5),
        ("onfailure: true", None),
        ("try_count: 2", 2),
    ],
)
def test_onfailure_false_means_one_try(fields, tries):
    """As the original had it: no retries, whatever try_count says."""
    assert node(fields).try_count == tries


@pytest.mark.parametrize(
    ("written", "when"),
    [
        ("b.ok", Condition("b.ok")),
        ("{reference: b.ok}", Condition("b.ok")),
        (
            "{reference: b.n, gt: 3, lte: 10}",
            Condition("b.n", {"gt": raw(3), "lte": raw(10)}),
        ),
        (
            "{reference: b.n, in: [1, x], not_equals: ~}",
            Condition("b.n", {"in": raw([1, "x"]), "not_equals": raw(None)}),
        ),
    ],
    ids=range(4),
)
def test_a_condition_is_a_reference_or_has_tests(written, when):
    """A test may compare with null."""
    text = f"name: g\nnodes: [{{id: b, action: add}}, {{id: a, action: add, when: {written}}}]"
    assert definition(text).nodes[1].when == when
    assert definition(text).nodes[1].dependencies == ("b",)


@pytest.mark.parametrize(
    ("written", "over"),
    [
        ("b.list", Map("b.list")),
        ("{reference: b.list}", Map("b.list")),
        ("{reference: b.list, max_parallel: 4}", Map("b.list", 4)),
        ("{reference: b.list, max_parallel: ~}", Map("b.list")),
    ],
)
def test_a_map_is_a_reference_or_has_a_limit(written, over):
    """What it goes over comes first; the item is nothing to wait for."""
    text = f"name: g\nnodes: [{{id: b, action: add}}, {{id: a, action: add, map: {written}, inputs: {{x: item.y}}}}]"
    assert definition(text).nodes[1].map == over
    assert definition(text).nodes[1].dependencies == ("b",)


@pytest.mark.parametrize(
    ("written", "cache"),
    [
        ("true", Reuse()),
        ("false", None),
        ("{key: x}", Reuse(("x",))),
        ("{key: [x, y], ttl: 30d}", Reuse(("x", "y"), 2592000.0)),
        ("{ttl: 90}", Reuse((), 90.0)),
    ],
)
def test_what_is_reused_is_said_in_short_or_by_key_and_age(written, cache):
    """False is as if it were not written."""
    assert node(f"cache: {written}").cache == cache


def test_a_node_runs_a_graph_instead_of_an_action():
    """By its name."""
    (read_,) = definition("name: g\nnodes: [{id: a, graph: sub, map: inputs.l}]").nodes
    assert (read_.graph, read_.action) == ("sub", "")


def test_choices_are_read_in_any_case():
    """`Stop` and `stop` are the same."""
    read_ = node("on_failure: Stop, run_when: FINISHED")
    assert (read_.on_failure, read_.run_when) == ("stop", "finished")


def test_numbers_are_read_as_numbers():
    """A timeout is always a float, so that its JSON is one and the same."""
    read_ = node("timeout: 5, priority: -3, try_count: 0x10")
    assert (read_.timeout, type(read_.timeout), read_.priority, read_.try_count) == (5.0, float, -3, 16)


def test_run_inputs_are_types_or_have_defaults():
    """`null` is a type's name there."""
    text = """\
name: g
inputs:
  a: string
  b: {type: [integer, null], default: ~, description: d}
  c:
  d: {default: {x: 1}}
nodes: [{id: a, action: add}]
"""
    assert definition(text).inputs == {
        "a": RunInput("string"),
        "b": RunInput(("integer", "null"), raw(None), "d"),
        "c": RunInput(),
        "d": RunInput(None, raw({"x": 1})),
    }
    assert definition("name: g\ninputs: {}\nnodes: [{id: a, action: add}]").inputs == {}


def test_a_null_setting_is_none_where_there_can_be_none():
    """Else it counts as not written."""
    text = "name: g\nconfig: {max_tokens: ~, max_attempts: ~, retry_strategy: ~}\nnodes: [{id: a, action: add}]"
    assert definition(text).config == {"max_tokens": None}


def test_every_place_has_its_line():
    """Of what stands there, or else of what it stands in."""
    text = """\
name:
  g
config:
  max_attempts: 3
  retry_strategy:
    linear:
      delay_secs: 1
inputs:
  url: {type: string,
        default: x}
nodes:
  - not a node
  - id: a
    action:
      add
    dependencies: [x,
      y, x,
      z]
    inputs:
      - name: i
        value: 1
      - j: u.v
    outputs:
      - p
      - name: q
  - action: add
    inputs:
      k: x.y
    when:
      reference:
        x.z
      gt: 3
    map: u.v
    cache:
      key: k
"""
    result, _ = found(text)
    expected = {
        ("name",): 2,
        ("config",): 3,
        ("config", "max_attempts"): 4,
        ("config", "retry_strategy"): 5,
        ("inputs", "url"): 9,
        ("inputs", "url", "default"): 10,
        ("tags",): 1,
        ("nodes",): 11,
        ("nodes", 0): 13,
        ("nodes", 0, "id"): 13,
        ("nodes", 0, "action"): 15,
        ("nodes", 0, "timeout"): 13,
        ("nodes", 0, "dependencies", 0): 16,
        ("nodes", 0, "dependencies", 1): 17,
        ("nodes", 0, "dependencies", 2): 18,
        ("nodes", 0, "dependencies", 3): 16,
        ("nodes", 0, "inputs", 0): 20,
        ("nodes", 0, "inputs", 1): 22,
        ("nodes", 0, "outputs", 1): 25,
        ("nodes", 1): 26,
        ("nodes", 1, "inputs", 0): 28,
        ("nodes", 1, "when"): 29,
        ("nodes", 1, "when", "reference"): 31,
        ("nodes", 1, "when", "gt"): 32,
        ("nodes", 1, "map", "reference"): 33,
        ("nodes", 1, "map", "max_parallel"): 33,
        ("nodes", 1, "cache", "key"): 35,
    }
    assert {place: result.line(place) for place in expected} == expected


def test_nodes_without_an_id_are_called_after_their_place():
    """So that what else is wrong with them can be told."""
    result, flaws = found("name: g\nnodes:\n- x\n- {action: add, timeout: x}\n")
    assert result.definition.nodes[0].id == "#2"
    assert flaws == [
        "3: node '#1': a node is a mapping with `id` and `action`, not 'x'",
        "4: node '#2': its id is missing",
        "4: node '#2': timeout must be a number of seconds above 0, not 'x'",
    ]
    assert ("nodes", 0, "id") in result.silent


def test_what_was_refused_is_silent_from_then_on():
    """A refused tag, a wrong type: told once."""
    result, flaws = found("name: !x g\nnodes: [{id: !x a, action: [b], timeout: !x 5}]")
    assert result.silent == {("name",), ("nodes", 0, "id"), ("nodes", 0, "action"), ("nodes", 0, "timeout")}
    assert len(flaws) == 4


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("graph: [x]", ["graph must be a text, not a list"]),
        ("action: b, map: [1], inputs: {x: item.y}", ["map takes a reference to a list, not the list itself"]),
        ("action: b, when: {reference: c.d, ge: 1}", ["when: unknown key 'ge'"]),
        ("graph: g, inputs: {x: 5}", ["input 'x': '5' is no reference", "the graph contains itself"]),
    ],
    ids=["graph", "map", "when", "inputs"],
)
def test_what_follows_from_a_wrong_field_is_not_told(fields, told):
    """No action, no item, no such node, no such input: whoever mends the field mends these."""
    with pytest.raises(GraphError) as refused:
        load_text(f"name: g\nnodes: [{{id: a, {fields}}}]", file="f.yaml")
    problems = refused.value.problems
    assert len(problems) == len(told)
    assert all(words in found.message for found, words in zip(problems, told, strict=True))


def test_a_file_that_is_no_mapping_holds_no_graph():
    """There is nothing to go on with."""
    assert found("[]") == (None, ["1: a graph file is a mapping with `name` and `nodes`, not a list"])


@pytest.mark.parametrize("name", [*BETWEEN, *WITHIN])
def test_reading_never_fails(name):
    """What is wrong is left out of the definition."""
    tree, flaws = read({**BETWEEN, **WITHIN}[name][0])
    graph(tree, Reading(flaws, Hints()))
