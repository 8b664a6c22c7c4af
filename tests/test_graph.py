"""Graph: built in code, node by node; every field ends up in the definition, and every mistake is told."""

import pytest
from msgspec import Raw

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
from dagger.core.graph import Condition, Input, Map, Node, Output, Reuse, RunInput
from dagger.spec.graph_file import load_text


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


def test_a_node_runs_a_graph_by_name_or_as_an_object():
    """Its id is the graph's name, numbered; the objects are remembered."""
    graph, sub = Graph("g"), Graph("sub flow")
    graph.add(sub, x=1)
    graph.add(graph=sub)
    ref = graph.add(graph="other", id="n", outputs=["page"], x=graph.input("x"))
    assert [(node.id, node.graph, node.action) for node in graph.nodes.values()] == [
        ("sub_flow", "sub flow", ""),
        ("sub_flow_2", "sub flow", ""),
        ("n", "other", ""),
    ]
    assert graph.nested == {"sub flow": sub}
    assert Graph.of(graph.definition).nested == {}
    assert ref["page"].reference == "n.page"
    with pytest.raises(InvalidReference, match="node 'n' has no output 'pag'; it gives: page"):
        ref["pag"]


def test_two_graphs_of_one_name_are_not_run_by_one():
    """Nobody could say which is meant; nothing is added."""
    graph = Graph("g")
    graph.add(Graph("sub"))
    with pytest.raises(GraphError, match="node 'n': another graph 'sub' is in this one; give one of them"):
        graph.add(Graph("sub"), id="n")
    assert list(graph.nodes) == ["sub"]


@pytest.mark.parametrize(
    ("given", "when"),
    [
        (lambda ref: ref["ok"], Condition("a.ok")),
        (lambda _: "a.ok", Condition("a.ok")),
        (lambda ref: {"reference": ref, "gt": 3}, Condition("a", {"gt": Raw(b"3")})),
        (lambda _: {"reference": "a.n", "in": (1, None)}, Condition("a.n", {"in": Raw(b"[1,null]")})),
    ],
    ids=range(4),
)
def test_a_condition_is_a_reference_or_has_tests(given, when):
    """As in a file; what it refers to comes first."""
    graph = Graph("g")
    graph.add(act, id="b", when=given(graph.add(act, id="a")))
    assert (graph.nodes["b"].when, graph.nodes["b"].dependencies) == (when, ("a",))


@pytest.mark.parametrize(
    ("given", "over"),
    [
        (lambda ref: ref["list"], Map("a.list")),
        (lambda _: "inputs.urls", Map("inputs.urls")),
        (lambda ref: {"reference": ref, "max_parallel": 4}, Map("a", 4)),
    ],
    ids=range(3),
)
def test_a_map_is_a_reference_or_has_a_limit(given, over):
    """Its inputs refer to the item, its key and index, which is nothing to wait for."""
    graph = Graph("g")
    ref = graph.add(act, id="a")
    graph.add(act, id="b", after="a", map=given(ref), x=graph.item, y=graph.item["title"], z=graph.item[0], w=1)
    node = graph.nodes["b"]
    assert (node.map, node.dependencies) == (over, ("a",))
    assert [entry.reference for entry in node.inputs] == ["item", "item.title", "item[0]", ""]


@pytest.mark.parametrize(
    ("given", "cache"),
    [(True, Reuse()), (False, None), (None, None), ({"key": "x", "ttl": "30d"}, Reuse(("x",), 2592000.0))],
)
def test_what_is_reused_is_said_in_short_or_by_key_and_age(given, cache):
    """As in a file."""
    graph = Graph("g")
    graph.add(act, cache=given, x=1)
    assert graph.nodes["act"].cache == cache


def test_whether_how_often_and_what_a_node_runs_is_written_and_read_back():
    """All of it."""
    graph = Graph("g", inputs={"urls": "array", "is_on": "boolean"})
    a = graph.add(act, cache={"ttl": "1h"}, when={"reference": graph.input("is_on"), "equals": True})
    graph.add(graph="sub", map={"reference": graph.input("urls"), "max_parallel": 2}, url=graph.item, when=a, id="n")
    assert load_text(graph.to_yaml(), file="g.yaml") == graph.definition


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
        ({"x": object()}, GraphError, "node 'n': input 'x': at $: an object is not a JSON value"),
        ({"x": float("nan")}, GraphError, "node 'n': input 'x': at $: nan"),
        ({"inputs": {1: 2}}, GraphError, "node 'n': an input's name is a text, not 1"),
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
            {"when": 1},
            GraphError,
            "node 'n': when takes a reference, not 1; an input of that name goes into inputs={'when': …}",
        ),
        ({"when": "b.ok"}, InvalidReference, "node 'n': when: 'b.ok': there is no node 'b'"),
        ({"when": {"gt": 3}}, InvalidReference, "node 'n': when: it needs a reference"),
        ({"when": {"reference": "a", "gtt": 3}}, GraphError, "node 'n': when: there is no test 'gtt'; did you mean"),
        ({"when": {"reference": "a", "gt": []}}, GraphError, "node 'n': when: gt must be a number or a text, not []"),
        ({"when": {"reference": "a", "in": object()}}, GraphError, "node 'n': when: in: at $: an object is not a JSON"),
        ({"when": {"reference": "a", 1: 2}}, GraphError, "node 'n': when: there is no test '1'; tests: equals,"),
        (
            {"map": [1, 2]},
            GraphError,
            "node 'n': map takes a reference to a list, not the list itself: a node or a run input holds it; an input",
        ),
        ({"map": 3}, GraphError, "node 'n': map takes a reference, not 3; an input of that name goes into inputs="),
        ({"map": "b"}, InvalidReference, "node 'n': map: 'b': there is no node 'b'"),
        ({"map": {"reference": "a", "parallel": 3}}, GraphError, "node 'n': map: unknown key 'parallel'; did"),
        ({"map": {"reference": "a", "by": 3}}, GraphError, "node 'n': map: unknown key 'by'; it takes: reference, max"),
        ({"map": {"reference": "a", "max_parallel": 0}}, GraphError, "node 'n': map: max_parallel 0 must be a whole"),
        ({"map": {"reference": "a", "max_parallel": "4"}}, GraphError, "node 'n': expected int"),
        ({"x": Graph.item}, InvalidReference, "node 'n': input 'x': 'item': only the inputs of a node with `map`"),
        (
            {"cache": "30d"},
            GraphError,
            "node 'n': cache: must be true, or {key: [names of inputs], ttl: 30d}, not '30d'; an input of that name",
        ),
        (
            {"cache": {"key": "y"}, "x": 1},
            GraphError,
            "node 'n': cache: key 'y' is no input of the node; its inputs: x",
        ),
    ],
    ids=range(48),
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
            "graph 'g': input 'n': at $: an object",
        ),
        (lambda: Graph("g").add(5), GraphError, "5 is no action: give its name, the function, or the NodeAction"),
        (
            lambda: Graph("g").add(),
            GraphError,
            "a node calls an action or runs a graph: add(action, …) or add(graph=…)",
        ),
        (
            lambda: Graph("g").add(act, graph="sub"),
            GraphError,
            "a node calls an action or runs a graph, not both; an input of that name goes into inputs={'graph': …}",
        ),
        (
            lambda: Graph("g").add(Graph("a"), graph=Graph("b")),
            GraphError,
            "a node calls an action or runs a graph, not",
        ),
        (lambda: Graph("g").add(graph=5), GraphError, "5 is no graph: give its name, or the Graph"),
    ],
    ids=range(11),
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
