"""State: what could start, and how much time is left."""

import pytest
from tests.core.journals import ERROR, begun, failed, node, succeeded

from dagger.core import events
from dagger.core.fold import apply


def test_what_could_start_is_what_waits_for_nothing():
    """Neither for another step, nor to be skipped, nor for a resume."""
    state, _ = begun(*[node(name) for name in ("free", "stuck", "bad")], node("after", "free"), node("lost", "bad"))
    apply(state, failed("stuck", "pause"))
    apply(state, failed("bad", "continue"))
    assert state.ready() == ["free"]
    apply(state, succeeded("free"))
    assert state.ready() == ["after"]


@pytest.mark.parametrize(("kind", "is_waiting"), [("sleep", True), ("memo", False)])
def test_a_step_waits_while_a_wait_of_it_is_open_that_somebody_else_ends(kind, is_waiting):
    """A memo's function is code of its own."""
    state, _ = begun(node("a"))
    apply(state, events.WaitOpened(at=2, step="a", key="k", kind=kind))
    assert state.is_waiting("a") is is_waiting
    apply(state, events.WaitAnswered(at=3, step="a", key="k"))
    assert not state.is_waiting("a")


@pytest.mark.parametrize(
    "ended",
    [
        failed("a", "pause"),
        events.AttemptFailed(at=2, step="a", attempt=1, error=ERROR, failure="mend"),
        events.StepCancelled(at=2, step="a", attempt=1, reason="x"),
        succeeded("a"),
    ],
    ids=["stuck", "handled", "cancelled", "ended"],
)
def test_a_step_whose_code_is_not_to_run_is_not_asleep(ended):
    """Its open wait may be answered; it does not keep the run from ending."""
    state, _ = begun(node("a"))
    apply(state, events.WaitOpened(at=2, step="a", key="k", kind="sleep"))
    assert state.is_waiting("a")
    apply(state, ended)
    assert not state.is_waiting("a")


def test_only_active_time_counts():
    """Neither a pause nor the time that nobody owned the run uses up its limit."""
    state, _ = begun(node("a"), config={"timeout_seconds": 10})
    assert state.remaining_ms(1_000) == 10_000
    apply(state, events.StepStarted(at=3_000, step="a", attempt=1))
    apply(state, events.RunRecovered(at=60_000))
    assert state.remaining_ms(61_000) == 7_000
    apply(state, events.RunPaused(at=61_000, reason="x"))
    apply(state, events.RunResumed(at=90_000))
    assert state.remaining_ms(91_000) == 6_000
    apply(state, events.RunPaused(at=91_000, reason="x"))
    apply(state, events.CancelRequested(at=500_000))
    apply(state, events.RunEnded(at=500_000, status="cancelled"))
    assert state.active_ms == 4_000


def test_no_limit_is_never_used_up():
    """timeout_seconds none."""
    state, _ = begun(node("a"), config={"timeout_seconds": None})
    assert state.remaining_ms(10**15) is None
