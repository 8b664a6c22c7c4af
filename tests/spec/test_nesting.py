"""Graphs that run each other as child flows: which there are, and what is wrong between them."""

import time

import pytest

from dagger.core.errors import CycleError, GraphError
from dagger.core.graph import Definition, Input, Map, Node, RunInput
from dagger.spec.nesting import nested, nesting_findings, require_nesting


def graph(name, *children, inputs=None, wants=()):
    """A graph that runs others, each given what `children` say, and refers to run inputs."""
    runs = [
        Node(id=f"run_{child}", graph=child, inputs=given, map=Map("inputs.all") if is_map else None)
        for child, given, is_map in ((child, (), False) if isinstance(child, str) else child for child in children)
    ]
    work = Node(id="work", action="act", inputs=tuple(Input(f"i_{name}", f"inputs.{name}") for name in wants))
    return Definition(name=name, inputs=inputs, nodes=(work, *runs))


def given(*names, item=""):
    return tuple(Input(name, "item" if name == item else "inputs.x") for name in names)


def told(*graphs, known=(), is_complete=True, unsound=()):
    by_name, others = ({each.name: each for each in some} for some in (graphs, known))
    found = nesting_findings(by_name, others, is_complete=is_complete, unsound=unsound)
    return [(name, *finding[:3]) for name, finding in found]


def test_all_graphs_that_are_reached_are_found():
    """Through others, each once; those that are not known are left out, those that nobody runs too."""
    a, b, c, d = graph("a", "b", "c", "x"), graph("b", "c"), graph("c"), graph("d")
    assert nested([a], {each.name: each for each in (a, b, c, d)}) == {"b": b, "c": c}
    assert nested([c], {"d": d}) == {}


def test_a_graph_that_is_not_there_is_told_with_the_nearest():
    """Of the loaded ones; where others may still come, nothing is said."""
    a = graph("a", "sbu")
    message = "node 'run_sbu': there is no graph 'sbu'; did you mean 'sub'?"
    assert told(a, known=[graph("sub")]) == [("a", ("nodes", 1, "graph"), "GraphError", message)]
    assert told(graph("a", "zzz"))[0][3].endswith("there is no graph 'zzz'; loaded: a")
    assert told(a, known=[graph("sub")], is_complete=False) == []


@pytest.mark.parametrize(
    ("graphs", "spelled"),
    [
        ([graph("a", "a")], "a -> a"),
        ([graph("a", "b"), graph("b", "a")], "a -> b -> a"),
        ([graph("z", "a"), graph("a", "b"), graph("b", "c"), graph("c", "a")], "a -> b -> c -> a"),
    ],
    ids=["itself", "another", "behind others"],
)
def test_a_graph_that_contains_itself_is_spelled_out(graphs, spelled):
    """From the outermost inwards, at the node where it begins."""
    ((name, place, kind, message),) = told(*graphs)
    assert (name, place, kind) == ("a", ("nodes", 1, "graph"), "CycleError")
    assert message == f"node 'run_{spelled[5]}': the graph contains itself: {spelled}"


def test_a_circle_through_a_known_graph_is_told_where_it_is_closed():
    """One among the known ones alone is not told again."""
    known = [graph("old", "new"), graph("x", "y"), graph("y", "x")]
    ((name, _, kind, message),) = told(graph("new", "old", "x"), known=known)
    assert (name, kind) == ("new", "CycleError")
    assert message == "node 'run_old': the graph contains itself: new -> old -> new"


DECLARED = {"url": RunInput("string"), "depth": RunInput("integer", 2)}


@pytest.mark.parametrize("sub", [graph("sub", inputs=DECLARED), graph("sub", wants=["url"])], ids=["declared", "used"])
def test_a_graph_gets_the_inputs_that_it_takes(sub):
    """The declared ones, or those that its nodes refer to."""
    assert told(graph("a", ("sub", given("url"), False)), sub) == []
    found = told(graph("a", ("sub", given("ulr"), False)), sub)
    assert [message for _, _, _, message in found] == [
        "node 'run_sub': graph 'sub' has no input 'ulr'; did you mean 'url'?",
        "node 'run_sub': graph 'sub' needs the input 'url'; the node gives: ulr",
    ]
    assert {place for _, place, _, _ in found} == {("nodes", 1, "inputs")}


def test_what_a_graph_wants_for_its_own_child_flows_counts_too():
    """Where nothing is declared, references in `when`, `map` and inputs say what is needed."""
    inner = graph("inner", wants=["url"])
    middle = graph("middle", ("inner", (Input("url", "inputs.address"),), True))
    (found,) = told(graph("a", ("middle", given("address"), False)), middle, inner)
    assert found[3] == "node 'run_middle': graph 'middle' needs the input 'all'; the node gives: address"


TWO = graph("sub", inputs={"url": RunInput(), "page": RunInput()})
ITEM = graph("sub", inputs={"item": RunInput(), "page": RunInput()})
NONE = graph("sub", inputs={})


@pytest.mark.parametrize(
    ("sub", "inputs", "problem"),
    [
        (TWO, given("url", "page", item="url"), ""),
        (TWO, given("url"), ""),
        (TWO, given(), "graph 'sub' needs the input 'url'; the node gives: none"),
        (TWO, given("url", item="url"), "graph 'sub' needs the input 'page'; the node gives: url"),
        (TWO, given("url", "page"), "no input refers to the item, and graph 'sub' needs no other; say x: item"),
        (ITEM, given("page"), ""),
        (ITEM, given(), "graph 'sub' needs the input 'page'; the node gives: none"),
        (NONE, given(), "no input refers to the item, and graph 'sub' needs no other; say x: item"),
        (graph("sub"), given(), ""),
    ],
    ids=[
        "said",
        "the one left",
        "two left",
        "one missing",
        "none left",
        "by name",
        "other missing",
        "no input",
        "open",
    ],
)
def test_the_item_of_a_map_fills_the_one_input_that_is_left(sub, inputs, problem):
    """Where no input refers to it: else it would go nowhere."""
    found = [message for _, _, _, message in told(graph("a", ("sub", inputs, True)), sub)]
    assert found[:1] == ([f"node 'run_sub': {problem}"] if problem else [])


def test_what_a_graph_with_problems_of_its_own_takes_is_not_known():
    """It may be one of the problems; and its references may be none."""
    sub = Definition(name="sub", nodes=(Node(id="n", action="act", inputs=(Input("x", "inputs.a b"),)),))
    assert told(graph("a", ("sub", given("x"), False)), sub, unsound={"sub"}) == []


def test_what_is_wrong_is_raised_with_the_graph_s_name():
    """All at once, and of the kind that they have in common."""
    graphs = {"a": graph("a", "b", "x"), "b": graph("b", "a")}
    with pytest.raises(GraphError) as refused:
        require_nesting(graphs, {}, is_complete=True)
    assert [problem.message for problem in refused.value.problems] == [
        "graph 'a': node 'run_x': there is no graph 'x'; loaded: a, b",
        "graph 'a': node 'run_b': the graph contains itself: a -> b -> a",
    ]
    with pytest.raises(CycleError):
        require_nesting(graphs, {}, is_complete=False)
    require_nesting({"b": graph("b")}, {}, is_complete=True)


def test_only_what_is_reached_is_looked_at():
    """A thousand graphs that are loaded cost nothing to one that runs none of them."""

    class Dear(dict):
        def __getitem__(self, name):
            raise AssertionError(name)

        get = __getitem__

    assert told(graph("a")) == []
    assert [*nesting_findings({"a": graph("a")}, Dear(b=1), is_complete=True)] == []


def test_ten_thousand_nodes_with_one_large_graph_are_quick():
    """What it takes is found out once."""
    sub = Definition(name="sub", nodes=tuple(Node(id=f"n{n}", action="act") for n in range(10_000)))
    top = Definition(name="a", nodes=tuple(Node(id=f"n{n}", graph="sub") for n in range(10_000)))
    begin = time.perf_counter()
    assert told(top, sub) == []
    assert time.perf_counter() - begin < 5
