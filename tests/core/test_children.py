"""Child flows that a step's code executes: a step of their own, which is gone without a trace when it ends."""

import msgspec
import pytest
from tests.core.journals import ERROR, begun, failed, node, succeeded

from dagger.core import events
from dagger.core.children import child_of, orphans, owner_of, within
from dagger.core.errors import IllegalEvent
from dagger.core.fold import apply
from dagger.core.graph import Definition, Map

TWO = {"two": Definition(name="two", nodes=(node("x"), node("y", "x")))}
CHILD = "a:child:1"


def opened(key="child:1", step="a", graphs=TWO):
    return events.ChildOpened(at=2, step=step, key=key, graph="two", graphs=graphs)


def answered(key="child:1", step="a"):
    return events.WaitAnswered(at=3, step=step, key=key, value=msgspec.Raw(b"1"))


def traces(state):
    """Names in the state that a child flow has left."""
    known = (state.pending, state.succeeded, state.unsuccessful, state.sections, state.waits, state.scopes)
    return [name for names in (*known, state.dependents, state.doomed) for name in names if ":" in name]


def test_a_flows_step_is_named_so_that_nothing_else_is():
    """Whatever the key: no slash that would make it a step of another flow, and none is a failure action's."""
    keys = ["child:1", "a/b", "a%2Fb", "failure", "failure:x", "%failure", "ü"]
    names = [child_of("flow/n", key) for key in keys]
    assert names[:2] == ["flow/n:child:1", "flow/n:a%2Fb"]
    assert len(set(names)) == len(keys)
    assert all(name.rpartition("/")[0] == "flow" and not name.startswith("flow/n:failure") for name in names)
    assert [owner_of(name, key) for name, key in zip(names, keys, strict=True)] == ["flow/n"] * len(keys)


@pytest.mark.parametrize("last", ["well", "badly"])
def test_a_flow_that_ends_leaves_its_answer_and_nothing_else(last):
    """Its first steps are ready when it is opened; well or badly, its names are gone at its end."""
    state, _ = begun(node("a"), node("b"))
    assert apply(state, opened()) == [f"{CHILD}/x"]
    assert apply(state, succeeded(f"{CHILD}/x")) == [f"{CHILD}/y"]
    end = succeeded(f"{CHILD}/y") if last == "well" else failed(f"{CHILD}/y", "continue")
    assert apply(state, end) == [CHILD]
    apply(state, answered())
    apply(state, succeeded(CHILD) if last == "well" else failed(CHILD, "continue"))
    assert (traces(state), state.waits["a"]["child:1"].value, state.failures) == ([], b"1", 0)
    apply(state, succeeded("a"))
    assert (traces(state), state.waits) == ([], {})


def test_a_flow_that_is_given_up_leaves_nothing_of_all_that_is_in_it():
    """Waits, flows in it, failure actions, a stuck step and its error."""
    state, _ = begun(node("a"), node("b"))
    apply(state, opened())
    apply(state, succeeded(f"{CHILD}/x"))
    apply(state, opened("inner", f"{CHILD}/y", {}))
    assert list(within(state, CHILD))[:3] == [f"{CHILD}/x", f"{CHILD}/x:failure", f"{CHILD}/y:inner/x"]
    apply(state, events.WaitOpened(at=3, step=f"{CHILD}/y:inner/x", key="k", kind="sleep"))
    apply(state, failed(f"{CHILD}/y:inner/x", "pause"))
    apply(state, events.AttemptFailed(at=2, step=f"{CHILD}/y", attempt=1, error=ERROR, failure="mend"))
    assert (state.stuck, state.handled, len(state.errors)) == (1, 1, 1)

    apply(state, events.StepCancelled(at=4, step=CHILD, attempt=1, reason="enough"))
    assert (traces(state), state.waits["a"], state.stuck, state.handled, state.errors) == ([], {}, 0, 0, [])
    assert apply(state, opened(graphs={})) == [f"{CHILD}/x"]  # a later attempt begins it anew


def test_a_flow_is_opened_once_and_by_a_step_that_goes_on():
    """Under one key, by a step that is pending, with a graph that the run knows."""
    state, _ = begun(node("a"))
    for wrong in (opened(step="b"), opened(graphs={})):
        with pytest.raises(IllegalEvent):
            apply(state, wrong)
    apply(state, opened())
    with pytest.raises(IllegalEvent):
        apply(state, opened())


def test_an_orphan_is_a_flow_whose_step_has_ended_or_finally_failed():
    """One whose step still waits, or was just told, is none."""
    state, _ = begun(node("a", failure="mend"), node("b"), node("c"))
    for step in "abc":
        apply(state, opened(step=step, graphs=TWO if step == "a" else {}))
    assert orphans(state) == []
    apply(state, events.AttemptFailed(at=2, step="a", attempt=1, error=ERROR, failure="mend"))
    apply(state, succeeded("b"))
    apply(state, answered(step="c"))
    assert orphans(state) == ["a:child:1", "b:child:1"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_stuck_flow_that_is_given_up_gives_its_place_back(others):
    """The item around it counts as at work again; unless another step in it is stuck."""
    item = Definition(name="item", nodes=(node("w"), node("v")))
    mapped = node("each", graph="item", map=Map("inputs.xs", 1))
    state, _ = begun(mapped, graphs={"item": item, **TWO})
    apply(state, events.ScopeOpened(at=1, step="each", items=msgspec.Raw(b"[1,2]"), count=2))
    apply(state, events.ScopeOpened(at=1, step="each/0", graph="item"))
    apply(state, opened(step="each/0/w", graphs={}))
    child = "each/0/w:child:1"
    for stuck in [f"{child}/x", "each/0/v"][: 1 + others]:
        apply(state, failed(stuck, "pause"))
    assert state.scopes["each"].at_work == 1
    apply(state, events.StepCancelled(at=3, step=child, attempt=1, reason="enough"))
    assert (state.scopes["each"].at_work, state.stuck) == (2 - others, others)
