"""How a run begins, pauses, waits, goes on and ends: status, halt, clock."""

import msgspec
import pytest
from tests.core.journals import ERROR, agent, begun, failed, messages, node, started, succeeded

from dagger.core import events
from dagger.core.cache import Write
from dagger.core.errors import IllegalEvent
from dagger.core.fold import apply, fold
from dagger.core.lifecycle import require_going_on, require_running
from dagger.core.state import STANDS_STILL

DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))


def test_a_beginning_fills_config_inputs_and_cache():
    """Everything that a replay needs is in the first event."""
    state, _ = begun(
        node("a"),
        config={"max_parallel": 3},
        inputs={"x": msgspec.Raw(b"1")},
        cache=(Write("set", "global", "k", msgspec.Raw(b'"v"')),),
    )
    assert state.config.max_parallel == 3
    assert state.sections == {"global": {"k": b'"v"'}, "inputs": {"x": b"1"}}
    assert (state.run_id, state.spec.name, state.status, state.seq) == ("r", "g", "running", 1)


def test_a_resume_gives_its_input_to_the_cache():
    """Under global.input."""
    state, _ = begun(node("a"))
    apply(state, events.RunResumed(at=2_000, input=msgspec.Raw(b'"yes"')))
    assert state.sections["global"]["input"] == b'"yes"'


def test_only_a_pause_is_undone_by_a_resume():
    """A run that was stopped or cancelled stays so when it is taken up after a crash."""
    state, _ = begun(node("a"), node("b"))
    apply(state, failed("a", "stop"))
    apply(state, failed("b", "stop"))
    assert (state.halt, state.halt_reason) == ("stop", "'a' failed")
    apply(state, events.RunResumed(at=3_000))
    assert state.halt == "stop"
    apply(state, events.CancelRequested(at=3_000, reason="x"))
    apply(state, events.RunResumed(at=3_000))
    assert (state.halt, state.halt_reason) == ("cancel", "x")


def test_a_limit_halts_until_a_resume():
    """Its policy is the halt's kind."""
    state, _ = begun(node("a"))
    apply(state, events.LimitReached(at=2_000, limit="max_tokens", value=5, policy="pause"))
    assert (state.halt, state.halt_reason) == ("pause", "max_tokens of 5 used up")
    apply(state, events.RunResumed(at=3_000))
    assert (state.halt, state.halt_reason) == ("", "")


def test_the_end_leaves_nothing_pending():
    """Terminal means terminal: what was not reached is gone."""
    state, _ = begun(*DIAMOND)
    apply(state, events.RunEnded(at=5_000, status="failed", error="x"))
    assert (state.status, state.pending, state.dependents, state.doomed, state.waits) == ("failed", {}, {}, {}, {})


def test_a_beginning_binds_the_agents_before_anything_is_published():
    """What it begins with goes to all of them; whether it waits for more stands in it, too."""
    agents = (agent("one", "tasks"), agent("two", "tasks"))
    state, ready = begun(node("a"), agents=agents, messages=messages("tasks", 1), keep_alive=True)
    assert ready == ["a", "one#1-1", "two#1-1"]
    assert (list(state.agents), state.channels, state.messages) == (["one", "two"], {"tasks": ["one", "two"]}, 1)
    assert state.keep_alive
    assert not begun(node("a"))[0].keep_alive


def test_a_beginning_keeps_its_graphs_when_flows_bring_more():
    """The event belongs to whoever made it."""
    event = started(node("a"))
    fold([event]).graphs["more"] = None
    assert event.graphs == {}


@pytest.mark.parametrize(
    ("event", "status", "is_parked", "runs_on"),
    [
        (events.RunWaiting(at=3_000, reason="sleep"), "waiting", False, False),
        (events.RunWaiting(at=3_000, reason="retry", is_active=True), "waiting", False, True),
        (events.RunParked(at=3_000, reason="sleep"), "waiting", True, False),
        (events.RunPaused(at=3_000, reason="why"), "paused", False, False),
        (events.RunEnded(at=3_000, status="failed"), "failed", False, False),
        (events.CancelRequested(at=3_000), "running", False, True),
        (events.RunRecovered(at=3_000), "running", False, True),
    ],
    ids=range(7),
)
def test_a_status_says_whether_the_clock_runs(event, status, is_parked, runs_on):
    """It stands still while only waits are open, and while nobody may go on."""
    state, _ = begun(node("a"))
    apply(state, event)
    assert (state.status, state.is_parked, state.active_since != STANDS_STILL) == (status, is_parked, runs_on)
    assert (state.seq, state.last_at) == (2, 3_000)


@pytest.mark.parametrize("waiting", [events.RunWaiting, events.RunParked])
def test_a_woken_run_goes_on_and_so_does_its_clock(waiting):
    """Only a run that waits can be woken."""
    state, _ = begun(node("a"))
    with pytest.raises(IllegalEvent):
        apply(state, events.RunWoken(at=2_000))
    apply(state, waiting(at=2_000, reason="sleep"))
    apply(state, events.RunWoken(at=9_000))
    assert (state.status, state.is_parked, state.active_ms, state.active_since) == ("running", False, 1_000, 9_000)


def test_recoveries_count_until_a_step_succeeds_or_somebody_resumes():
    """Not those after which the run was let go of in good order; nor those before a delivery succeeded."""
    state, _ = begun(node("a"), agents=(agent("reader", "tasks"),), messages=messages("tasks", 1))

    def recover(times, **fields):
        for _ in range(times):
            apply(state, events.RunRecovered(at=2_000, **fields))
        return state.recoveries

    assert (recover(2), recover(1, was_let_go=True)) == (2, 2)
    apply(state, succeeded("reader#1-1"))
    assert (state.recoveries, recover(3)) == (0, 3)
    apply(state, events.RunResumed(at=3_000))
    assert state.recoveries == 0


def test_a_recovery_counts_only_where_something_was_at_work():
    """A service that waits for messages brings no process down; one that handles a message may."""
    state, _ = begun(agents=(agent("reader", "tasks"),))
    apply(state, events.RunRecovered(at=2_000))
    assert state.recoveries == 0
    apply(state, events.MessagesPublished(at=2_000, messages=messages("tasks", 1)))
    apply(state, events.RunRecovered(at=3_000))
    assert state.recoveries == 1


def test_a_recovery_of_a_run_that_only_waited_does_not_count():
    """For a delayed attempt, say: it is ready, but no code of it ran when the process died."""
    state, _ = begun(node("a"))
    apply(state, events.AttemptFailed(at=2_000, step="a", attempt=1, error=ERROR, retry_at=9_000))
    apply(state, events.RunWaiting(at=2_000, reason="x", wake_at=9_000, is_active=True))
    apply(state, events.RunRecovered(at=3_000))
    assert state.recoveries == 0
    apply(state, events.RunRecovered(at=3_000))
    assert state.recoveries == 1


def test_a_run_that_halts_is_not_paused_again():
    """Its first reason stands."""
    state, _ = begun(node("a"))
    apply(state, events.PauseRequested(at=2_000, reason="lunch", review="r"))
    assert (state.halt, state.halt_reason, state.review) == ("pause", "lunch", "r")
    with pytest.raises(IllegalEvent):
        apply(state, events.PauseRequested(at=2_000, reason="tea"))


def test_a_limit_says_what_used_it_up():
    """After its name and value; the review that asks whether to go on is known."""
    state, _ = begun(node("a"))
    limit = {"limit": "max_messages", "value": 1_000, "policy": "stop"}
    apply(state, events.LimitReached(at=2_000, **limit, review="r", detail="messages go round"))
    assert state.halt_reason == "max_messages of 1000 used up: messages go round"
    assert (state.halt, state.limit, state.review) == ("stop", "max_messages", "r")


def test_a_run_that_is_over_still_tells_of_its_messages():
    """Its dead letters, what its agents did, and what was left at them."""
    state, _ = begun(agents=(agent("reader", "tasks"),), messages=messages("tasks", 1, 2, 3))
    apply(state, failed("reader#1-1", "stop"))
    apply(state, events.RunEnded(at=5_000, status="failed"))
    assert (list(state.dead), state.agents["reader"].failed, state.inboxes["reader"].undelivered()) == (
        ["reader#1-1"],
        1,
        2,
    )
    assert state.pending == {}


def test_what_a_run_must_be_for_an_event_is_told():
    """Going on: begun and not over; running: besides, not paused."""
    state, _ = begun(node("a"))
    event = events.RunPaused(at=2_000, reason="lunch")
    apply(state, event)
    require_going_on(state, event)
    with pytest.raises(IllegalEvent, match=r"run 'r', status paused, after event 2: RunPaused.*lunch.* cannot follow"):
        require_running(state, event)
