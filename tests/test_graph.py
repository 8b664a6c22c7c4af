"""Graph: built in code, node by node; every field ends up in the definition, and every mistake is told."""

import pytest

from dagger import (
    ConfigError,
    Context,
    DependencyNotFound,
    Graph,
    GraphError,
    InvalidReference,
    NodeAction,
    NodeAlreadyExists,
    NodeRef,
    RunConfig,
    action,
)
from dagger.core.graph import Input, Node, Output, RunInput


async def act():
    return 1


def test_a_graph_has_its_metadata_and_settings():
    """As given; the config holds only what is set."""
    graph = Graph(
        "g", description="d", author="a", version="1.0", signature="s", tags=["x", "y"], instructions=["i"],
        config={"max_parallel": 2}, inputs={"n": "integer", "m": RunInput(("string", "null"), default=None)},
    )  # fmt: skip
    assert (graph.name, graph.description, graph.author, graph.version, graph.signature) == ("g", "d", "a", "1.0", "s")
    assert (graph.tags, graph.config.settings()) == (("x", "y"), {"max_parallel": 2})
    assert graph.definition.inputs["n"].type == "integer"
    assert bytes(graph.definition.inputs["m"].default) == b"null"
    assert repr(graph) == "<Graph 'g' of 0 nodes>"
    assert Graph.of(graph.definition).definition == graph.definition
    assert Graph("g", config=RunConfig(max_tokens=None)).config.settings() == {"max_tokens": None}


def test_a_node_has_all_that_add_was_given():
    """Each keyword is a field."""
    graph = Graph("g")
    first = graph.add(act)
    second = graph.add(
        "work", id="second", after=[first, "act"], outputs=["a", "b"], timeout=5, try_count=2, on_failure="continue",
        failure=act, run_when="finished", priority=3, description="d", instructions=["i"], inputs={"timeout": 1},
        x=first,
    )  # fmt: skip
    node = graph.nodes["second"]
    assert node == Node(
        id="second", action="work", dependencies=("act",), outputs=(Output("a"), Output("b")), failure="act",
        on_failure="continue", description="d", timeout=5.0, try_count=2, run_when="finished", priority=3,
        instructions=("i",), inputs=node.inputs, hash=node.hash,
    )  # fmt: skip
    assert [(entry.name, entry.reference) for entry in node.inputs] == [("timeout", ""), ("x", "act")]
    assert second["a"].reference == "second.a"
    assert node.hash


def test_actions_are_named_by_function_class_or_text():
    """And ids by the action, numbered."""

    class Shout(NodeAction):
        name = "shout!"

        async def execute(self, ctx: Context):
            return 1

    graph = Graph("g")
    graph.add(act)
    graph.add(act)
    graph.add("act")
    graph.add(Shout)
    graph.add(Shout())
    graph.add(action("marked")(lambda: 1))
    graph.add("inputs")
    assert list(graph.nodes) == ["act", "act_2", "act_3", "shout_", "shout__2", "marked", "node_inputs"]
    assert [node.action for node in graph.nodes.values()][3:6] == ["shout!", "shout!", "marked"]


def test_references_are_dependencies():
    """In the order written, each once; a run input is none."""
    graph = Graph("g")
    a, b = graph.add(act, id="a"), graph.add(act, id="b")
    graph.add(act, id="c", after=["b"], x=a["o"][0]["k"], y=b, z=graph.input("n")["p"], w=[1, {"a": "b"}])
    node = graph.nodes["c"]
    assert node.dependencies == ("b", "a")
    assert [entry.reference for entry in node.inputs] == ["a.o[0].k", "b", "inputs.n.p", ""]
    assert bytes(node.inputs[3].value) == b'[1,{"a":"b"}]'
    assert isinstance(node.inputs[0], Input)


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"id": "a"}, NodeAlreadyExists, "node 'a' is already in graph 'g'"),
        ({"id": "9"}, GraphError, "node id '9' must be letters"),
        ({"id": "inputs"}, GraphError, "node id 'inputs' is reserved"),
        ({"after": ["x"]}, DependencyNotFound, "dependency 'x' is not a node"),
        ({"timeout": 0}, GraphError, "node 'n': timeout 0 must be a number of seconds above 0"),
        ({"timeout": float("inf")}, GraphError, "node 'n': timeout inf must be"),
        ({"timeout": float("nan")}, GraphError, "node 'n': timeout nan must be"),
        ({"timeout": "5"}, GraphError, "node 'n': timeout '5' must be"),
        ({"timeout": True}, GraphError, "node 'n': timeout True must be"),
        ({"try_count": 0}, GraphError, "node 'n': try_count 0 must be a whole number of at least 1"),
        ({"try_count": 1.5}, GraphError, "node 'n': try_count 1.5 must be"),
        ({"try_count": True}, GraphError, "node 'n': try_count True must be"),
        ({"on_failure": "skip"}, GraphError, "node 'n': on_failure 'skip' must be one of continue, pause, stop"),
        ({"run_when": "always"}, GraphError, "node 'n': invalid enum value 'always' (at $.run_when)"),
        ({"priority": "high"}, GraphError, "node 'n': expected int, got str (at $.priority)"),
        ({"priority": 10**30}, GraphError, "node 'n': "),
        ({"description": 5}, GraphError, "node 'n': expected str, got int (at $.description)"),
        ({"description": "\ud800"}, GraphError, "node 'n': "),
        ({"outputs": [5]}, GraphError, "node 'n': expected str, got int (at $.outputs[0].name)"),
        ({"x": object()}, GraphError, "node 'n': input 'x': at $: a object is not a JSON value"),
        ({"x": float("nan")}, GraphError, "node 'n': input 'x': at $: nan"),
        ({"inputs": {1: 2}}, GraphError, "node 'n': expected str, got int (at $.inputs[0].name)"),
        ({"inputs": 5}, GraphError, "node 'n': inputs are a dict of names, not 5"),
        ({"after": 5}, GraphError, "node 'n': after takes references and node ids, not 5"),
        ({"after": [["a"]]}, GraphError, "node 'n': after takes references and node ids, not ['a']"),
        ({"outputs": 5}, GraphError, "node 'n': outputs takes texts, not 5"),
        ({"instructions": 5}, GraphError, "node 'n': instructions takes texts, not 5"),
        ({"onfailure": "no"}, GraphError, "node 'n': onfailure 'no' must be True or False"),
        ({"onfailure": False, "try_count": 2}, GraphError, "node 'n': onfailure=False is try_count=1, not 2"),
        (
            {"x": [object.__new__(NodeRef)]},
            GraphError,
            "node 'n': input 'x': at $[0]: a reference stands alone: give it as an input of its own, x=ref",
        ),
        (
            {"dependencies": ["a"]},
            GraphError,
            "node 'n': dependencies= is no input: nodes to wait for are given as after=…; an input of that name goes",
        ),
        (
            {"when": 1, "cache": 2},
            GraphError,
            "node 'n': when= is a field of nodes that is not there yet; an input of that name goes into inputs={'when'",
        ),
    ],
    ids=range(32),
)
def test_a_mistake_is_told_where_it_is_made(fields, error, told):
    """Nothing is added that a journal could not be read back with."""
    graph = Graph("g")
    graph.add(act, id="a")
    with pytest.raises(error) as caught:
        graph.add(act, **{"id": "n", **fields})
    assert str(caught.value).startswith((told, f"node 'n': {told}"))
    assert list(graph.nodes) == ["a"]


def test_an_output_that_is_not_declared_cannot_be_referred_to():
    """At the reference, before any node is added."""
    graph = Graph("g")
    made = graph.add(act, outputs=["sum"])
    with pytest.raises(InvalidReference, match="node 'act' has no output 'smu'"):
        _ = made["smu"]
    with pytest.raises(InvalidReference, match="node 'act' has no output 0"):
        _ = made[0]


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: Graph("g", config={"max_parallel": 0}), ConfigError, "max_parallel: 0"),
        (lambda: Graph(5), GraphError, "graph 5: expected str, got int (at $.name)"),
        (lambda: Graph("g", tags=[5]), GraphError, "graph 'g': expected str, got int (at $.tags[0])"),
        (lambda: Graph("g", version=1.0), GraphError, "graph 'g': expected str, got float (at $.version)"),
        (
            lambda: Graph("g", inputs={"n": "int"}),
            GraphError,
            "graph 'g': input 'n': there is no type 'int'; the types are:",
        ),
        (
            lambda: Graph("g", inputs={"n": RunInput(default=object())}),
            GraphError,
            "graph 'g': input 'n': at $: a object",
        ),
        (lambda: Graph("g").add(5), GraphError, "5 is no action: give its name, the function, or the NodeAction"),
    ],
    ids=range(7),
)
def test_what_is_no_graph_is_refused(make, error, told):
    """A DaggerError that says which field."""
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(told)


def test_it_is_written_and_drawn():
    """As YAML, DOT, Mermaid: its faces."""
    graph = Graph("g")
    graph.add(act, id="b", x=graph.add(act, id="a"))
    assert "name: g" in graph.to_yaml()
    assert graph.to_dot().startswith("digraph")
    assert "flowchart" in graph.to_mermaid() or "graph" in graph.to_mermaid()
    assert "<svg" in graph.to_svg()


def test_one_node_to_wait_for_or_one_text_needs_no_list():
    """A text is not taken letter by letter."""
    graph = Graph("g", tags="all", instructions="go")
    first = graph.add(act, id="first", outputs="sum", instructions="be quick")
    graph.add(act, id="by_ref", after=first)
    graph.add(act, id="by_output", after=first["sum"])
    graph.add(act, id="by_id", after="first")
    assert [node.dependencies for node in graph.nodes.values()] == [(), ("first",), ("first",), ("first",)]
    assert (graph.nodes["first"].outputs, graph.nodes["first"].instructions) == ((Output("sum"),), ("be quick",))
    assert (graph.tags, graph.definition.instructions) == (("all",), ("go",))


@pytest.mark.parametrize(
    ("fields", "tries"),
    [({"onfailure": False}, 1), ({"onfailure": False, "try_count": 1}, 1), ({"onfailure": True, "try_count": 4}, 4),
     ({"onfailure": True}, None), ({"onfailure": None}, None)],
    ids=range(5),
)  # fmt: skip
def test_onfailure_false_is_one_try(fields, tries):
    """As in a file."""
    graph = Graph("g")
    graph.add(act, **fields)
    assert graph.nodes["act"].try_count == tries


def test_inputs_may_be_called_like_fields_of_nodes():
    """In `inputs`, every name is free."""
    names = ["dependencies", "when", "map", "graph", "cache", "reference", "after", "id"]
    graph = Graph("g")
    graph.add(act, inputs=dict.fromkeys(names, 1))
    assert [entry.name for entry in graph.nodes["act"].inputs] == names
