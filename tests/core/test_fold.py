"""The fold: what each event changes, and what cannot happen."""

import msgspec
import pytest
from tests.core.journals import ERROR, agent, begun, failed, messages, node, published, started, succeeded

from dagger.core import events
from dagger.core.cache import Write
from dagger.core.errors import IllegalEvent
from dagger.core.fold import apply, fold
from dagger.core.steps import ERRORS_KEPT


def test_a_success_carries_all_its_effects():
    """Outputs, writes, result and added nodes, in one event."""
    state, _ = begun(node("a"))
    ready = apply(
        state,
        succeeded(
            "a",
            outputs={"o": msgspec.Raw(b"1")},
            cache=(
                Write("append", "global", "l", msgspec.Raw(b"1")),
                Write("add", "global", "n", msgspec.Raw(b"2")),
            ),
            nodes=(
                node("b", "a"),
                node("c", "b"),
            ),
            result=msgspec.Raw(b'"first"'),
        ),
    )
    assert ready == ["b"]
    assert state.sections["a"] == {"o": b"1"}
    assert state.sections["global"]["n"] == b"2"
    assert state.result == b'"first"'
    apply(state, succeeded("b", result=msgspec.Raw(b'"second"')))
    assert state.result == b'"first"'


def test_tokens_count_whatever_becomes_of_the_attempt():
    """They are events of their own, and outlive the step."""
    state, _ = begun(node("a"), node("b"))
    apply(state, events.TokensSpent(at=2_000, step="a", count=5))
    apply(state, succeeded("a"))
    apply(state, events.TokensSpent(at=2_000, step="a", count=1))
    assert state.tokens == 6


def test_a_failed_attempt_keeps_the_step_pending():
    """With the number of failures and the time of the next try."""
    state, _ = begun(node("a"))
    apply(state, events.AttemptFailed(at=2_000, step="a", attempt=1, error=ERROR, retry_at=9_000))
    assert (state.pending["a"].failures, state.pending["a"].retry_at) == (1, 9_000)
    assert state.ready() == ["a"]


def test_pause_leaves_the_step_stuck_until_a_resume():
    """A resume makes it ready, with fresh tries, and takes back its error."""
    state, _ = begun(node("a"), node("b", "a"))
    assert apply(state, failed("a", "pause", attempt=3)) == []
    assert (state.stuck, state.ready(), state.failures) == (1, [], 0)
    apply(state, events.RunPaused(at=3_000, reason="x"))
    assert apply(state, events.RunResumed(at=9_000, config={"max_attempts": 9})) == ["a"]
    assert (state.stuck, state.errors, state.config.max_attempts) == (0, [], 9)
    assert (state.pending["a"].failures, state.pending["a"].retry_at) == (0, 0)


def test_a_cancelled_step_ends_without_consequences():
    """Nothing follows from it: its run ends with it."""
    state, _ = begun(node("a"), node("b", "a"))
    apply(state, events.CancelRequested(at=2_000, reason="x"))
    assert apply(state, events.StepCancelled(at=2_000, step="a", attempt=1, reason="x")) == []
    assert (state.unsuccessful["a"].status, state.doomed) == ("cancelled", {})


def test_waits_belong_to_their_step_until_it_ends():
    """Opened, answered, kept over failed attempts; gone with the step's success or failure."""
    state, _ = begun(node("a"), node("b"))
    for step in "ab":
        apply(state, events.WaitOpened(at=2_000, step=step, key="sleep:1", kind="sleep", wake_at=5))
        apply(state, events.WaitOpened(at=2_000, step=step, key="m", kind="memo", detail=msgspec.Raw(b'"d"')))
        apply(state, events.WaitAnswered(at=2_000, step=step, key="m", value=msgspec.Raw(b"7")))
    apply(state, events.AttemptFailed(at=2_000, step="a", attempt=1, error=ERROR, retry_at=1))
    assert (state.waits["a"]["m"].value, state.waits["a"]["m"].detail, state.waits["a"]["sleep:1"].is_open) == (
        b"7",
        b'"d"',
        True,
    )
    apply(state, succeeded("a"))
    apply(state, failed("b", "continue"))
    assert state.waits == {}


def test_only_the_first_errors_are_kept():
    """State stays small however many steps fail."""
    names = [f"n{number}" for number in range(ERRORS_KEPT + 5)]
    state, _ = begun(*(node(name) for name in names))
    for name in names:
        apply(state, failed(name, "continue"))
    assert (len(state.errors), state.failures) == (ERRORS_KEPT, ERRORS_KEPT + 5)


RUN = [started(node("a"), node("b", "a"))]
PAUSED = [*RUN, events.RunPaused(at=2, reason="x")]
OVER = [*RUN, events.RunEnded(at=2, status="succeeded")]
WAITING = [*RUN, events.WaitOpened(at=2, step="a", key="k", kind="sleep")]
ANSWERED = [*WAITING, events.WaitAnswered(at=2, step="a", key="k")]


@pytest.mark.parametrize(
    ("journal", "event"),
    [
        (RUN, RUN[0]),
        ([], events.RunPaused(at=3, reason="x")),
        ([], events.RunResumed(at=3)),
        ([], events.CancelRequested(at=3)),
        ([], succeeded("a")),
        (PAUSED, events.RunPaused(at=3, reason="x")),
        (PAUSED, events.RunEnded(at=3, status="failed")),
        (PAUSED, events.RunRecovered(at=3)),
        (PAUSED, events.LimitReached(at=3, limit="max_tokens", value=1, policy="stop")),
        (OVER, events.RunResumed(at=3)),
        (OVER, events.CancelRequested(at=3)),
        (OVER, events.RunEnded(at=3, status="failed")),
        (OVER, succeeded("a")),
        (RUN, succeeded("x")),
        (RUN, failed("x", "stop")),
        (RUN, events.StepStarted(at=3, step="x", attempt=1)),
        (RUN, events.AttemptFailed(at=3, step="x", attempt=1, error=ERROR, retry_at=1)),
        (RUN, events.StepSkipped(at=3, step="x", reason="")),
        (RUN, events.StepCancelled(at=3, step="x", attempt=1, reason="")),
        (RUN, events.WaitOpened(at=3, step="x", key="k", kind="sleep")),
        (WAITING, WAITING[-1]),
        (RUN, events.WaitAnswered(at=3, step="a", key="k")),
        (WAITING, events.WaitAnswered(at=3, step="a", key="other")),
        (ANSWERED, events.WaitAnswered(at=3, step="a", key="k")),
        (OVER, published("tasks", 1)),
        ([], published("tasks", 1)),
        (OVER, events.AgentBound(at=3, agent=agent("reader", "tasks"))),
        (OVER, events.AgentRemoved(at=3, name="reader")),
        (OVER, events.Redelivered(at=3, steps=())),
        (RUN, events.Redelivered(at=3, steps=("reader#2-1",))),
        (RUN, succeeded("reader#2-1", messages=messages("tasks", 1))),
    ],
    ids=range(31),
)
def test_what_cannot_follow_is_refused_and_changes_nothing(journal, event):
    """An illegal event raises, and the state is as before."""
    state, before = fold(journal), fold(journal)
    with pytest.raises(IllegalEvent, match="cannot follow"):
        apply(state, event)
    assert state == before
