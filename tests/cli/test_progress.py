"""dagger.cli.progress: how far a run is, told event by event."""

import pytest

from dagger.cli.progress import Progress
from dagger.core import events
from dagger.core.graph import Definition, Node

ERROR = events.Error("ValueError", "no")
TWO = (Node(id="a", action="x"), Node(id="b", action="x"))
BEGUN = events.RunStarted(at=0, run_id="r", spec=events.Spec("static", "g"), graph=Definition(name="g", nodes=TWO))


def after(*journal):
    progress = Progress()
    for seq, event in enumerate((BEGUN, *journal), 1):
        progress.apply(events.Recorded(seq, event))
    return progress


def told(progress):
    return {
        name: value if isinstance(value, int) else list(value)
        for name, value in vars(progress).items()
        if value and name not in ("graph", "stuck", "seq", "total")
    }


started = events.StepStarted(at=0, step="a", attempt=1)
retried = events.AttemptFailed(at=0, step="a", attempt=1, error=ERROR, retry_at=9)
stuck = events.StepFailed(at=0, step="a", attempt=1, error=ERROR, policy="pause")
failed = events.StepFailed(at=0, step="a", attempt=1, error=ERROR, policy="continue")
spent = events.TokensSpent(at=0, step="a", count=5)
done = events.StepSucceeded(at=0, step="a")
asks = events.WaitOpened(at=0, step="a", key="review:1", kind="review")
answered = events.WaitAnswered(at=0, step="a", key="review:1")


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([], {}),
        ([started], {"running": ["a"]}),
        ([started, done], {"succeeded": 1}),
        ([done], {"succeeded": 1}),
        ([started, spent, spent, done], {"succeeded": 1, "tokens": 10}),
        ([started, retried], {"retrying": ["a"]}),
        ([started, retried, started], {"running": ["a"]}),
        ([started, retried, done], {"succeeded": 1}),
        ([started, failed], {"failed": 1}),
        ([stuck, events.RunPaused(at=0, reason="")], {"failed": 1}),
        ([stuck, events.RunPaused(at=0, reason=""), events.RunResumed(at=0)], {}),
        ([failed, events.RunResumed(at=0)], {"failed": 1}),
        ([failed, events.StepSkipped(at=0, step="b", reason="")], {"failed": 1, "skipped": 1}),
        (
            [started, events.StepCancelled(at=0, step="a", attempt=1, reason="")],
            {"cancelled": 1},
        ),
        ([started, asks], {"waiting": ["a"]}),
        ([started, asks, answered], {"running": ["a"]}),
        ([started, asks, asks, answered], {"waiting": ["a"]}),
        ([started, events.WaitOpened(at=0, step="a", key="m", kind="memo")], {"running": ["a"]}),
        ([started, events.WaitOpened(at=0, step="a", key="m", kind="memo"), answered], {"running": ["a"]}),
        ([started, events.RunRecovered(at=0)], {}),
        ([started, events.RunPaused(at=0, reason="")], {}),
    ],
)
def test_progress_is_what_the_journal_tells(journal, expected):
    """Each event moves its step, and counts it once."""
    assert told(after(*journal)) == expected


def test_steps_that_steps_add_are_counted():
    """The total grows while the run goes on."""
    progress = after(events.StepSucceeded(at=0, step="a", nodes=(Node(id="c", action="x"),)))

    assert (progress.ended, progress.total, progress.seq, progress.graph) == (1, 3, 2, "g")
