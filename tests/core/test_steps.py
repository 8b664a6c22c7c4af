"""Which steps become ready: dependencies, child flows, failure actions; and what is left of them in the state."""

import msgspec
import pytest
from tests.core.journals import ERROR, begun, failed, node, succeeded

from dagger.core import events
from dagger.core.fold import apply
from dagger.core.graph import Definition, Input, Map, Node
from dagger.core.steps import ITEMS_AT_ONCE

DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))
FAILED = events.AttemptFailed(at=2, step="a", attempt=1, error=ERROR, failure="mend")


def opened(step, **fields):
    return events.ScopeOpened(at=2, step=step, **fields)


def mapping(count, *, step="each", max_parallel=None, graph="", **fields):
    """A run of one map that was just begun, and what that made ready."""
    mapped = Node(id="each", action="" if graph else "a", graph=graph, map=Map("inputs.x", max_parallel), **fields)
    graphs = {"two": Definition(name="two", nodes=(node("x"), node("y", "x")))}
    state, ready = begun(mapped, node("after", "each"), graphs=graphs)
    assert ready == ["each"]
    return state, apply(state, opened("each", items=msgspec.Raw(b"[]"), count=count))


def left(state):
    """What the state has beside its head."""
    return [state.scopes, state.waits, state.dependents, state.doomed, state.handled, state.unsuccessful]


NOTHING = [{}, {}, {}, {}, 0, {}]


# -- dependencies --------------------------------------------------------------------------------------------


def test_steps_become_ready_as_their_dependencies_succeed():
    """In the order of declaration, each exactly once."""
    state, ready = begun(*DIAMOND)
    assert ready == state.ready() == ["a"]
    assert apply(state, succeeded("a")) == ["b", "c"]
    assert apply(state, succeeded("c")) == []
    assert apply(state, succeeded("b")) == ["d"]
    assert apply(state, succeeded("d")) == []
    assert state.succeeded == {"a": 2, "c": 3, "b": 4, "d": 5}
    assert (state.pending, state.dependents) == ({}, {})


def test_an_added_node_may_depend_on_what_has_ended():
    """On a success it is ready, on a failure it is doomed, unless it runs whatever became of it."""
    state, _ = begun(node("good"), node("bad"), node("adds"))
    apply(state, succeeded("good"))
    apply(state, failed("bad", "continue"))
    ready = apply(
        state,
        succeeded(
            "adds",
            nodes=(
                node("x", "good"),
                node("y", "bad", "good"),
                node("z", "bad", run_when="finished"),
            ),
        ),
    )
    assert ready == ["x", "z"]
    assert state.doomed == {"y": "'bad' failed"}
    assert state.ready() == ["x", "z"]


def test_continue_dooms_the_dependents_one_after_another():
    """Skipping one dooms the next, with the name of the step that failed."""
    state, _ = begun(node("a"), node("b", "a"), node("c", "b"), node("d", "c", run_when="finished"))
    assert apply(state, failed("a", "continue")) == []
    assert state.doomed == {"b": "'a' failed"}
    assert apply(state, events.StepSkipped(at=3_000, step="b", reason="'a' failed")) == []
    assert state.doomed == {"c": "'a' failed"}
    assert apply(state, events.StepSkipped(at=3_000, step="c", reason="'a' failed")) == ["d"]
    assert [state.unsuccessful[step].status for step in "abc"] == ["failed", "skipped", "skipped"]
    assert (state.failures, state.errors) == (1, ["a: ValueError: no"])


def test_a_step_skipped_for_one_dependency_is_not_woken_by_another():
    """Its other dependencies' successes pass over it; so do their failures."""
    state, _ = begun(node("a"), node("b"), node("e"), node("c", "a", "b", "e"))
    apply(state, failed("a", "continue"))
    apply(state, events.StepSkipped(at=3_000, step="c", reason="'a' failed"))
    assert apply(state, succeeded("b")) == []
    assert apply(state, failed("e", "continue")) == []
    assert (state.pending, state.doomed) == ({}, {})


def test_run_when_finished_waits_for_all():
    """It becomes ready with the last of its dependencies, succeeded or not."""
    state, _ = begun(node("a"), node("b"), node("c", "a", "b", run_when="finished"))
    assert apply(state, failed("a", "continue")) == []
    assert apply(state, succeeded("b")) == ["c"]


# -- graphs --------------------------------------------------------------------------------------------------


def test_a_graph_ends_with_its_last_step_and_leaves_nothing():
    """Its step is ready again then; when that has succeeded, its own steps are forgotten."""
    state, _ = begun(node("s"), graphs={"g2": Definition(name="g2", nodes=DIAMOND)})
    assert apply(state, opened("s", graph="g2", inputs={"i": msgspec.Raw(b"1")})) == ["s/a"]
    assert state.sections["s/inputs"] == {"i": b"1"}
    assert state.ready() == ["s/a"]
    assert apply(state, succeeded("s/a", outputs={"o": msgspec.Raw(b"1")})) == ["s/b", "s/c"]
    apply(state, succeeded("s/b"))
    assert apply(state, succeeded("s/c")) == ["s/d"]
    assert apply(state, succeeded("s/d")) == ["s"]
    assert apply(state, succeeded("s", outputs={"o": msgspec.Raw(b"2")})) == []
    assert left(state) == NOTHING
    assert (list(state.succeeded), state.sections, state.pending) == (["s"], {"s": {"o": b"2"}}, {})


def test_nodes_are_added_in_their_steps_own_scope():
    """A child flow's node ids are its own, and it goes on until they have ended too."""
    state, _ = begun(node("s"), node("x"), graphs={"g2": Definition(name="g2", nodes=(node("a"),))})
    apply(state, opened("s", graph="g2"))
    assert apply(state, succeeded("s/a", nodes=(node("x"), node("y", "x", "a")))) == ["s/x"]
    assert apply(state, succeeded("s/x")) == ["s/y"]
    assert apply(state, succeeded("s/y")) == ["s"]


def test_failures_in_a_graph_are_its_own_until_its_step_fails():
    """The run counts one failure; under `stop` it is the run's at once."""
    definition = Definition(name="g2", nodes=(node("a"), node("b")))
    state, _ = begun(node("s"), graphs={"g2": definition})
    apply(state, opened("s", graph="g2"))
    apply(state, failed("s/a", "continue"))
    assert (state.failures, state.errors, state.scopes["s"].errors) == (0, [], ["s/a: ValueError: no"])
    apply(state, failed("s/b", "stop"))
    assert (state.failures, state.errors, state.halt) == (1, ["s/b: ValueError: no"], "stop")


def test_a_flow_that_failed_for_good_is_forgotten():
    """Nothing can reopen it: its steps need no memory any more."""
    inner, outer = Definition(name="g2", nodes=(node("a"),)), Definition(name="g1", nodes=(node("n"), node("b", "n")))
    state, _ = begun(node("s"), graphs={"g1": outer, "g2": inner})
    apply(state, opened("s", graph="g1"))
    apply(state, opened("s/n", graph="g2"))
    assert apply(state, failed("s/n/a", "continue")) == ["s/n"]
    apply(state, failed("s/n", "continue"))
    assert apply(state, events.StepSkipped(at=3, step="s/b", reason="'s/n' failed")) == ["s"]
    apply(state, failed("s", "continue"))
    assert (state.scopes, list(state.unsuccessful), state.sections) == ({}, ["s"], {})


@pytest.mark.parametrize("again", [succeeded("s/first"), failed("s/first", "continue")], ids=["mended", "not mended"])
def test_a_reopened_flow_waits_for_its_dependencies_and_then_goes_on_with_its_steps(again):
    """A flow in a flow, which runs whatever became of what it depends on: both failed, both are tried again."""
    outer = Definition(name="outer", nodes=(node("first"), node("then", "first", run_when="finished")))
    state, _ = begun(
        node("s"), graphs={"outer": outer, "inner": Definition(name="inner", nodes=(node("a"), node("b")))}
    )
    for event in (
        opened("s", graph="outer"),
        failed("s/first", "continue"),
        opened("s/then", graph="inner"),
        succeeded("s/then/a"),
        failed("s/then/b", "continue"),
        failed("s/then", "continue"),
        failed("s", "pause"),
        events.RunPaused(at=3, reason="x"),
    ):
        apply(state, event)
    assert apply(state, events.RunResumed(at=4)) == state.ready() == ["s/first"]
    assert apply(state, again) == state.ready() == ["s/then/b"]
    assert apply(state, succeeded("s/then/b")) == ["s/then"]
    assert apply(state, succeeded("s/then")) == ["s"]


def test_a_flow_that_failed_with_all_its_steps_done_is_ready_at_once():
    """There is nothing in it to reopen: its step tries to end again."""
    state, _ = begun(node("s"), graphs={"g2": Definition(name="g2", nodes=(node("a"),))})
    for event in (opened("s", graph="g2"), succeeded("s/a"), failed("s", "pause"), events.RunPaused(at=3, reason="")):
        apply(state, event)
    assert apply(state, events.RunResumed(at=4)) == state.ready() == ["s"]


# -- maps ----------------------------------------------------------------------------------------------------


def test_a_map_makes_its_items_steps_a_part_at_a_time():
    """The next one takes the place of the one that ended, however it did."""
    state, ready = mapping(ITEMS_AT_ONCE + 3)
    assert ready == [f"each/{index}" for index in range(ITEMS_AT_ONCE)]
    assert len(state.pending) == ITEMS_AT_ONCE + 2
    assert apply(state, succeeded("each/5")) == [f"each/{ITEMS_AT_ONCE}"]
    assert apply(state, failed("each/6", "continue")) == [f"each/{ITEMS_AT_ONCE + 1}"]
    assert apply(state, failed("each/7", "pause")) == [f"each/{ITEMS_AT_ONCE + 2}"]
    assert apply(state, succeeded("each/8")) == []


@pytest.mark.parametrize(("graph", "begun_items"), [("two", 2), ("", 5)], ids=["graph", "action"])
def test_graphs_are_begun_so_many_at_once_as_the_map_says(graph, begun_items):
    """An action's items take a slot of a pool instead: they free it while they wait."""
    _, ready = mapping(5, max_parallel=2, graph=graph)
    assert len(ready) == begun_items


def test_an_empty_map_is_ready_to_end():
    """It has nothing to wait for."""
    state, ready = mapping(0)
    assert ready == ["each"]
    assert apply(state, succeeded("each")) == ["after"]
    assert state.scopes == {}


def test_an_items_inputs_are_those_that_were_bound_when_its_map_began():
    """Literals and paths into the item stay; what led out of the map leads to the scope's inputs."""
    literal = Input("c", value=msgspec.Raw(b"1"))
    state, _ = mapping(1, inputs=(Input("a", "item.b"), Input("b", "x.y[0]"), literal))
    assert state.pending["each/0"].node.inputs == (Input("a", "item.b"), Input("b", "inputs.b"), literal)
    assert (state.pending["each/0"].node.map, state.pending["each/0"].node.dependencies) == (None, ())


def test_after_a_resume_stuck_items_take_turns():
    """No more of them at once than before; what succeeded is passed over."""
    state, _ = mapping(5, graph="two", max_parallel=2)
    for index in range(5):
        apply(state, opened(f"each/{index}", graph="two"))
        apply(state, succeeded(f"each/{index}/x"))
        if index == 2:
            apply(state, succeeded(f"each/{index}/y"))
            apply(state, succeeded(f"each/{index}"))
        else:
            apply(state, failed(f"each/{index}/y", "continue"))
            apply(state, failed(f"each/{index}", "pause"))
    assert (state.stuck, state.ready()) == (4, [])
    apply(state, events.RunPaused(at=3, reason=""))
    assert apply(state, events.RunResumed(at=4)) == state.ready() == ["each/0/y", "each/1/y"]
    assert apply(state, succeeded("each/0/y")) == ["each/0"]
    assert apply(state, succeeded("each/0")) == ["each/3/y"]


def test_a_resume_leaves_items_as_they_are_that_are_not_stuck():
    """Their failed attempts still count."""
    state, _ = mapping(3)
    apply(state, failed("each/0", "pause"))
    apply(state, events.AttemptFailed(at=2, step="each/1", attempt=1, error=ERROR, retry_at=5))
    apply(state, succeeded("each/2"))
    apply(state, events.PauseRequested(at=3))
    apply(state, events.RunPaused(at=3, reason=""))
    assert apply(state, events.RunResumed(at=4)) == ["each/0"]
    assert (state.pending["each/1"].failures, state.scopes["each"].at_work) == (1, 2)


def test_a_map_that_failed_is_gone_over_anew():
    """Its items failed under `continue`, itself under `pause`: what failed begins again, within the limit."""
    state, _ = mapping(ITEMS_AT_ONCE + 5)
    for index in range(ITEMS_AT_ONCE + 5):
        apply(state, failed(f"each/{index}", "continue") if index else succeeded("each/0"))
    assert state.ready() == ["each"]
    apply(state, failed("each", "pause"))
    apply(state, events.RunPaused(at=3, reason=""))
    ready = apply(state, events.RunResumed(at=4))
    assert (ready[0], len(ready), state.unsuccessful) == ("each/1", ITEMS_AT_ONCE, {})


# -- failure actions -----------------------------------------------------------------------------------------


def test_a_failure_action_is_a_step_with_the_inputs_and_the_error():
    """Its one try comes before whatever else follows from the failure."""
    given = (Input("x", "inputs.x"), Input("error", value=msgspec.Raw(b"1")))
    state, _ = begun(node("a", inputs=given, timeout=7.0, priority=3), node("b", "a"))
    assert apply(state, FAILED) == ["a:failure"]
    handler = state.pending["a:failure"].node
    assert handler.inputs == (given[0], Input("error", value=msgspec.Raw(b'"ValueError: no"')))
    assert (handler.action, handler.handles, handler.try_count) == ("mend", "a", 1)
    assert (handler.timeout, handler.priority) == (7.0, 3)
    assert state.ready() == ["a:failure"]


def test_what_a_failure_action_recovers_has_succeeded():
    """Its dependents are ready, and of the failure action, and of its step's waits, nothing is left."""
    state, _ = begun(node("a"), node("b", "a"))
    apply(state, events.WaitOpened(at=2, step="a", key="k", kind="sleep"))
    apply(state, FAILED)
    assert apply(state, succeeded("a:failure", recovers={"o": msgspec.Raw(b"1")})) == ["b"]
    assert (left(state), list(state.succeeded), state.sections) == (NOTHING, ["a"], {"a": {"o": b"1"}})


@pytest.mark.parametrize("ended", [succeeded("a:failure"), failed("a:failure", "continue")], ids=["did not", "failed"])
def test_what_a_failure_action_leaves_goes_back_to_its_step(ended):
    """Which is ready then, to fail; the failure action's own failure does not count."""
    state, _ = begun(node("a"), node("b", "a"))
    apply(state, FAILED)
    assert apply(state, ended) == ["a"]
    assert (state.pending["a"].error, state.failures, state.handled) == (ERROR, 0, 0)
    assert (state.succeeded, state.unsuccessful) == ({}, {})


def test_an_item_can_be_recovered():
    """The last one to end ends the map."""
    state, _ = mapping(1)
    apply(state, msgspec.structs.replace(FAILED, step="each/0"))
    assert apply(state, succeeded("each/0:failure", recovers={})) == ["each"]


def test_what_depends_on_a_failure_is_never_ready():
    """Also when it was added after the failure, and its other dependency succeeds before it is skipped."""
    state, _ = begun(node("a"), node("b"))
    apply(state, failed("a", "continue"))
    apply(state, events.NodeAdded(at=3_000, node=node("d", "a", "b")))
    assert apply(state, succeeded("b")) == []
    assert (list(state.doomed), state.ready()) == (["d"], [])
