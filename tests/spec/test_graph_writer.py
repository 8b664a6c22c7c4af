"""A definition is written as a person would, and reads back exactly."""

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from tests.spec.definitions import ODD_TEXTS, definitions, values

from dagger.core.graph import Condition, Definition, Input, Map, Node, Output, Reuse, RunInput, depended
from dagger.spec.graph_file import load_text
from dagger.spec.graph_writer import to_yaml


def raw(value):
    return msgspec.Raw(msgspec.json.encode(value))


def node(node_id="a", *, after=(), inputs=(), **fields):
    dependencies = depended(after, inputs, fields.get("when"), fields.get("map"))
    built = Node(id=node_id, action="act", inputs=tuple(inputs), dependencies=dependencies, **fields)
    return built.hashed()


def graph(*nodes, **fields):
    return Definition(name="g", nodes=nodes or (node(),), **fields)


def back(definition):
    return load_text(to_yaml(definition), file="written.yaml", actions=None)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_any_definition_reads_back_as_it_was(definition):
    """All fields, any text, any JSON value; hashes too."""
    assert back(definition) == definition


@settings(deadline=None, max_examples=300)
@given(values)
def test_any_json_value_reads_back_as_it_was(value):
    """The JSON text, to the byte: 1 and 1.0, "1" and 1 stay apart."""
    definition = graph(node(inputs=[Input("x", value=raw(value))]))
    assert bytes(back(definition).nodes[0].inputs[0].value) == msgspec.json.encode(value)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_odd_texts_read_back_everywhere(text):
    """As a description, an entry, a key, a value, in a list."""
    literal = raw([text, {text: text, "in": [[text]]}])
    built = node(description=text, instructions=(text,), inputs=[Input(text, value=literal, description=text)])
    definition = graph(built, description=text, tags=(text, text), inputs={text: RunInput(description=text)})
    assert back(definition) == definition


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_other_yaml_readers_see_the_same_texts(text):
    """PyYAML follows YAML 1.1, where `no` is false and `12:30` is a number: such texts are quoted."""
    assert yaml.safe_load(to_yaml(graph(description=text, tags=(text,)))) == {
        "name": "g",
        **({"description": text} if text else {}),
        "tags": [text],
        "nodes": [{"id": "a", "action": "act"}],
    }


def test_a_file_reads_as_if_a_person_had_written_it():
    """Short forms, block style, plain texts, the fields in the order of the specification."""
    definition = Definition(
        name="pipeline",
        description="First line.\nSecond line.\n",
        tags=("demo",),
        author="you",
        version="1.0",
        config={"on_failure": "continue", "retry_strategy": {"linear": {"delay_secs": 0.5}}},
        inputs={"url": RunInput("string"), "depth": RunInput("integer", raw(2), "How far."), "any": RunInput()},
        nodes=(
            node("fetch", inputs=[Input("url", "inputs.url")], outputs=(Output("page"),), timeout=30.0, try_count=5),
            node(
                "shout",
                after=["fetch"],
                inputs=[Input("text", 'fetch.page["a key"][0]'), Input("options", value=raw({"times": [1, 2.0]}))],
                outputs=(Output("title", "In capitals."), Output("size")),
                on_failure="stop",
                priority=2,
            ),
            node("clean_up", after=["shout"], run_when="finished", failure="tell", instructions=("be quick",)),
            Node(
                id="each",
                graph="page",
                when=Condition("fetch.page"),
                map=Map("fetch.page.links"),
                inputs=(Input("link", "item"),),
                dependencies=("fetch",),
            ).hashed(),
            node(
                "some",
                inputs=[Input("x", "item.x")],
                when=Condition("shout.size", {"gt": raw(3), "in": raw([4, "no"])}),
                map=Map("fetch.page.links", 4),
                cache=Reuse(("x",), 2592000.0),
            ),
            node("again", cache=Reuse()),
            node("a_while", cache=Reuse(ttl_seconds=0.5)),
            node(
                "last",
                after=["clean_up"],
                inputs=[Input("x", "fetch.page", description="The page."), Input("mode", value=raw("no"))],
            ),
        ),
    )
    text = """\
name: pipeline
description: |
  First line.
  Second line.
tags:
  - demo
author: you
version: "1.0"
config:
  on_failure: continue
  retry_strategy:
    linear:
      delay_secs: 0.5
inputs:
  url: string
  depth:
    type: integer
    default: 2
    description: How far.
  any: {}

nodes:
  - id: fetch
    action: act
    inputs:
      url: inputs.url
    outputs:
      - page
    timeout: 30
    try_count: 5

  - id: shout
    action: act
    inputs:
      text: fetch.page["a key"][0]
      options:
        value:
          times:
            - 1
            - 2.0
    outputs:
      - name: title
        description: In capitals.
      - size
    on_failure: stop
    priority: 2

  - id: clean_up
    action: act
    dependencies:
      - shout
    failure: tell
    run_when: finished
    instructions:
      - be quick

  - id: each
    graph: page
    when: fetch.page
    map: fetch.page.links
    inputs:
      link: item

  - id: some
    action: act
    when:
      reference: shout.size
      gt: 3
      in:
        - 4
        - "no"
    map:
      reference: fetch.page.links
      max_parallel: 4
    cache:
      key:
        - x
      ttl: 30d
    inputs:
      x: item.x

  - id: again
    action: act
    cache: true

  - id: a_while
    action: act
    cache:
      ttl: 0.5

  - id: last
    action: act
    dependencies:
      - clean_up
    inputs:
      - name: x
        description: The page.
        reference: fetch.page
      - name: mode
        value: "no"
"""
    assert to_yaml(definition) == text
    assert back(definition) == definition


def test_dependencies_that_the_inputs_imply_are_not_written():
    """Unless their place among the others would be lost."""
    inputs = [Input("x", "b.v"), Input("y", "c.v")]
    others = [node("b"), node("c"), node("d")]
    implied = graph(*others, node("z", inputs=inputs))
    assert "dependencies" not in to_yaml(implied)
    mixed = graph(*others, node("z", after=["c", "d"], inputs=inputs))
    assert mixed.nodes[-1].dependencies == ("c", "d", "b")
    assert "dependencies:\n      - c\n      - d\n    inputs" in to_yaml(mixed)
    assert back(mixed) == mixed


def test_a_graph_that_declares_no_inputs_says_so():
    """Declaring none is not the same as not declaring."""
    assert "inputs: {}" in to_yaml(graph(inputs={}))
    assert back(graph(inputs={})).inputs == {}
    assert back(graph()).inputs is None


def test_long_keys_are_written_so_that_yaml_takes_them():
    """A key of more than a kilobyte needs a question mark."""
    definition = graph(node(inputs=[Input("x", value=raw({"k" * 5000: {"é" * 700: [1]}}))]))
    assert "? kkk" in to_yaml(definition)
    assert back(definition) == definition


def test_a_thousand_nodes_are_written_in_a_moment():
    """Linear: no list is built again and again."""
    nodes = [node("n0", outputs=(Output("v"),))]
    nodes += [node(f"n{n}", inputs=[Input("x", f"n{n - 1}.v")], outputs=(Output("v"),)) for n in range(1, 1000)]
    definition = graph(*nodes)
    assert back(definition) == definition
