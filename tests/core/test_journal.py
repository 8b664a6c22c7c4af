"""What a listing says of a run: a projection of its events. The Store's promises are in tests/store/contract.py."""

import msgspec
import pytest

from dagger.core import events
from dagger.core.graph import Definition
from dagger.core.journal import ORDERED, PROJECTED, RELEASING, REVIEWED, Lease, RunRow, projected, review_of
from dagger.core.reviews import Review

STARTED = events.RunStarted(
    at=5,
    run_id="r",
    spec=events.Spec("static", "s"),
    graph=Definition(name="g"),
    tags={"a": "b"},
    app="m:app",
    fingerprint="f",
)
ROW = RunRow(
    run_id="r", mode="static", graph="g", status="running", tags={"a": "b"}, app="m:app", fingerprint="f",
    started_at=5, updated_at=5,
)  # fmt: skip


def test_a_beginning_makes_the_row():
    """All that a listing needs stands in the first event."""
    assert projected(None, STARTED) == ROW


@pytest.mark.parametrize(
    ("event", "status", "reason"),
    [
        (events.RunPaused(at=9, reason="why"), "paused", "why"),
        (events.RunWaiting(at=9, reason="sleep"), "waiting", "sleep"),
        (events.RunParked(at=9, reason="sleep"), "parked", "sleep"),
        (events.RunWoken(at=9), "running", ""),
        (events.RunResumed(at=9), "running", ""),
        (events.RunRecovered(at=9), "running", ""),
        (events.CancelRequested(at=9, reason="x"), "running", ""),
        (events.RunEnded(at=9, status="failed", error="e"), "failed", "e"),
    ],
    ids=lambda value: value.type if isinstance(value, events.Event) else "",
)
def test_run_events_change_the_row(event, status, reason):
    """Status, reason and time of the last change."""
    row = projected(ROW, event)
    assert (row.status, row.reason, row.updated_at, row.started_at) == (status, reason, 9, 5)


def test_step_events_leave_the_row_alone():
    """It is the very same object, so that a store need not write it."""
    assert projected(ROW, events.StepSucceeded(at=9, step="s")) is ROW
    assert projected(None, events.StepSucceeded(at=9, step="s")) is None


@pytest.mark.parametrize("kind", [events.RunWaiting, events.RunParked])
def test_only_a_waiting_run_says_when_it_goes_on(kind):
    """Whatever comes next, the time is gone."""
    waiting = projected(ROW, kind(at=9, reason="sleep", wake_at=100))
    assert waiting.wake_at == 100
    for event in (events.RunWoken(at=10), events.CancelRequested(at=10), events.RunPaused(at=10, reason="r")):
        assert projected(waiting, event).wake_at is None


def test_what_gives_up_a_lease_can_change_the_row():
    """Who looks at PROJECTED events only misses none."""
    assert RELEASING < PROJECTED


def test_every_event_that_an_order_becomes_names_it():
    """ORDERED lists the events that have an `order`."""
    assert {kind for kind in events.AnyEvent.__args__ if "order" in kind.__struct_fields__} == ORDERED


def test_what_can_open_or_close_reviews_is_known_by_its_class():
    """A pause and a limit only refer to one."""
    naming = {kind for kind in events.AnyEvent.__args__ if "review" in kind.__struct_fields__}
    assert naming - {events.PauseRequested, events.LimitReached} == REVIEWED - {events.RunEnded}


def test_a_review_says_who_asks_what_and_until_when():
    """All that a person needs who has never seen the run."""
    event = events.WaitOpened(
        at=5, step="each/7/a", key="review:1", kind="review", wake_at=60_005, review="0a1b2c3d4e5f",
        detail=msgspec.Raw(b'{"question":"Go on?","options":["yes",{"a":[1]},null]}'),
    )  # fmt: skip
    assert review_of("r", event) == Review(
        id="0a1b2c3d4e5f",
        run_id="r",
        step="each/7/a",
        key="review:1",
        question="Go on?",
        options=["yes", {"a": [1]}, None],
        opened_ms=5,
        due_ms=60_005,
    )


def test_a_review_may_take_any_answer_and_wait_for_ever():
    """Without options and a deadline it says None, and not an empty list or 0."""
    detail = msgspec.Raw(b'{"question":"Why?"}')
    event = events.WaitOpened(at=5, step="s", key="k", kind="review", detail=detail, review="0a1b2c3d4e5f")
    review = review_of("r", event)
    assert (review.options, review.due_ms, review.due_at) == (None, None, None)


def test_a_lease_begins_with_nothing_appended():
    """Key, epoch and row are its own."""
    lease = Lease("r", 3, 2, ROW)
    assert (lease.run_id, lease.key, lease.epoch, lease.row) == ("r", 3, 2, ROW)
    assert (lease.events, lease.blobs, lease.orders) == ([], [], [])
