"""What a listing says of a run: a projection of its events. The Store's promises are in tests/store/contract.py."""

import pytest

from dagger.core import events
from dagger.core.graph import Definition
from dagger.core.journal import Lease, RunRow, is_owned, projected

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


@pytest.mark.parametrize("status", ["running", "paused", "succeeded", "failed", "cancelled"])
def test_only_running_runs_need_an_owner(status):
    """Paused and finished runs are anybody's."""
    assert is_owned(RunRow(run_id="r", mode="m", graph="g", status=status)) is (status == "running")


def test_a_lease_begins_with_nothing_appended():
    """Key, epoch and row are its own."""
    lease = Lease("r", 3, 2, ROW)
    assert (lease.run_id, lease.key, lease.epoch, lease.row, lease.events, lease.blobs) == ("r", 3, 2, ROW, [], [])
