"""What speaks against a start, and the first event of one that nothing speaks against."""

import msgspec
import pytest

from dagger import (
    ActionNotRegistered,
    ConfigError,
    CycleError,
    Graph,
    GraphError,
    InputInvalid,
    RegistryError,
    RunConfig,
    RunError,
    Static,
    action,
    agent,
)
from dagger.opening import Given, Opening
from dagger.registry import Registry


@action
async def double(x: int) -> int:
    """Twice as much."""
    return 2 * x


def registry(**settings):
    """One graph, `g`, that doubles the run input `x`."""
    known = Registry()
    known.register_action(double)
    graph = Graph("g", config=settings)
    graph.add(double, x=graph.input("x"))
    known.add_graph(graph)
    return known


def opening(given, known=None, config=None):
    """The opening of a run of `g`."""
    return Opening(Static("g"), known or registry(), config or RunConfig(), given)


def test_the_first_event_holds_all_that_a_replay_needs():
    """Graph, effective config, inputs, seed and tags are in it."""
    given = Given({"x": 3}, {"global": {"k": 1}}, {"max_attempts": 2}, {"team": "docs"})
    event, blobs = opening(given, registry(max_parallel=4), RunConfig(max_attempts=9, max_tokens=7)).event(
        "r", 5, "a:b"
    )

    assert (event.run_id, event.at, event.app, event.tags, blobs) == ("r", 5, "a:b", {"team": "docs"}, [])
    assert [node.id for node in event.graph.nodes] == ["double"]
    assert (event.config["max_attempts"], event.config["max_parallel"], event.config["max_tokens"]) == (2, 4, 7)
    assert bytes(event.inputs["x"]) == b"3"
    assert [(write.section, write.key, bytes(write.value)) for write in event.cache] == [("global", "k", b"1")]


def test_large_inputs_and_seeds_stand_beside_the_event():
    """What is above 64 KiB is a blob."""
    event, blobs = opening(Given({"x": 1}, {"s": {"k": "v" * 70_000}})).event(None, 5, "")

    assert [len(blob.content) for blob in blobs] == [70_002]
    assert msgspec.json.decode(event.cache[0].value)["size"] == 70_002


def test_new_runs_have_ids_of_their_own():
    """Without a run id one is made."""
    same = opening(Given({"x": 1}))

    assert same.event(None, 5, "")[0].run_id != same.event(None, 5, "")[0].run_id


def test_the_fingerprint_tells_graph_and_inputs_apart():
    """Equal starts have equal fingerprints; other inputs, or another graph, another one."""
    other = Registry()
    other.register_action(double)
    graph = Graph("g")
    graph.add(double, x=graph.input("x"), timeout=5)
    other.add_graph(graph)

    assert opening(Given({"x": 1})).fingerprint == opening(Given({"x": 1})).fingerprint
    assert opening(Given({"x": 1})).fingerprint != opening(Given({"x": 2})).fingerprint
    assert opening(Given({"x": 1})).fingerprint != opening(Given({"x": 1}), other).fingerprint


def test_the_fingerprint_does_not_tell_the_order_of_keys():
    """Equal inputs are the same run, at any depth."""
    one, other = {"a": [{"x": 1, "y": 2}], "b": 2}, {"b": 2, "a": [{"y": 2, "x": 1}]}

    assert opening(Given({"x": one})).fingerprint == opening(Given({"x": other})).fingerprint
    assert opening(Given({"x": {"a": 1}})).fingerprint != opening(Given({"x": {"a": 1.0}})).fingerprint


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (Given(), InputInvalid, "run input 'x' is missing"),
        (Given({"x": float("nan")}), InputInvalid, "run input 'x': at \\$: nan"),
        (Given({"x": 1}, config={"max_attempt": 2}), ConfigError, "did you mean 'max_attempts'"),
        (Given({"x": 1}, tags={"n": 1}), RunError, "a run's tags are texts by name, not 'n': 1"),
        (Given({"x": 1}, tags=["a"]), RunError, "a run's tags are texts by name, not \\['a'\\]"),
        (Given({"x": 1}, tags="a"), RunError, "a run's tags are texts by name, not 'a'"),
        (Given({"x": 1}, {"s": 1}), InputInvalid, "section 's' of the cache must be a dict"),
    ],
)
def test_what_speaks_against_a_start_is_told(given, error, text):
    """Each in an error of its own."""
    with pytest.raises(error, match=text):
        opening(given)


def test_only_specs_can_be_started():
    """A graph's name alone is none."""
    with pytest.raises(GraphError, match=r"'g' is nothing to execute: write Static\(name\)"):
        Opening("g", registry(), RunConfig(), Given({"x": 1}))


def test_a_spec_is_an_object_and_not_its_class():
    """`Static` without a name says nothing."""
    with pytest.raises(GraphError, match=r"is nothing to execute: write Static\(name\)"):
        Opening(Static, registry(), RunConfig(), Given({"x": 1}))


def nesting(**inner):
    """`g` runs `middle` runs `inner`; `unused` is registered too."""
    known = registry()
    for name in ("inner", "unused"):
        graph = Graph(name)
        graph.add(double, x=graph.input("x"), **inner)
        known.add_graph(graph)
    for name, child in (("middle", "inner"), ("g", "middle")):
        graph = Graph(name)
        graph.add(graph=child, x=graph.input("x"))
        known.add_graph(graph)
    return known


def test_all_graphs_that_its_nodes_run_are_in_the_first_event():
    """With their nodes hashed; those that nobody runs are not."""
    event, _ = opening(Given({"x": 1}), nesting()).event("r", 5, "")

    assert sorted(event.graphs) == ["inner", "middle"]
    assert event.graphs["middle"].nodes[0].graph == "inner"
    assert all(node.hash for graph in event.graphs.values() for node in graph.nodes)
    assert opening(Given({"x": 1})).event("r", 5, "")[0].graphs == {}


def test_the_fingerprint_tells_the_graphs_apart_that_its_nodes_run():
    """However deep."""
    one, same, other = (opening(Given({"x": 1}), nesting(**fields)).fingerprint for fields in ({}, {}, {"timeout": 5}))

    assert one == same
    assert one != other


def test_graphs_are_asked_for_when_a_run_is_started():
    """A graph may be loaded before those that it runs; not there, containing itself, given other inputs: told now."""
    known = registry()
    graph = Graph("g")
    graph.add(graph="sub", y=graph.input("x"))
    known.add_graph(graph)
    with pytest.raises(GraphError, match=r"^graph 'g': node 'sub': there is no graph 'sub'; loaded: g$"):
        opening(Given({"x": 1}), known)

    sub = Graph("sub")
    sub.add(double, x=sub.input("x"))
    known.add_graph(sub)
    with pytest.raises(GraphError, match="graph 'g': node 'sub': graph 'sub' has no input 'y'; it takes: x"):
        opening(Given({"x": 1}), known)

    sub = Graph("sub")
    sub.add(graph="g", x=sub.input("y"))
    known.add_graph(sub)
    with pytest.raises(CycleError, match="graph 'g': node 'sub': the graph contains itself: g -> sub -> g"):
        opening(Given({"x": 1}), known)


def test_actions_of_nested_graphs_must_be_there():
    """Failure actions too."""
    known = nesting(failure="double")
    opening(Given({"x": 1}), known)
    known._graphs["inner"].add(double, id="late", x=1, failure="sorry")

    with pytest.raises(ActionNotRegistered, match="node 'late': failure action 'sorry' is not registered"):
        opening(Given({"x": 1}), known)


def test_actions_must_be_there():
    """A graph whose action is not registered here is not started."""
    known = registry()
    known._actions.clear()

    with pytest.raises(ActionNotRegistered, match="action 'double' is not registered; registered: none"):
        opening(Given({"x": 1}), known)


def test_the_pools_of_all_agents_must_have_their_size():
    """Every run has every agent, whichever it begins with."""
    known = registry()
    for options in ({"name": "first"}, {"name": "second", "rate": "5/s"}):

        @agent(subscribe="in", pool="db", **options)
        async def reads(number: int):
            """It does nothing."""

        known.register_agent(reads)
        if "rate" not in options:
            with pytest.raises(RegistryError, match=r"pool 'db' has no size; .*: agent:first"):
                opening(Given({"x": 1}), known)
    assert opening(Given({"x": 1}), known).fingerprint
