"""How far a run is: the fold of its journal that the live display shows. Counts, never scans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from dagger.core import events


class Progress:
    """What a journal tells so far."""

    def __init__(self) -> None:
        self.seq = 0
        """Of the last event taken in."""
        self.graph = ""
        self.total = 0
        """Steps, those included that other steps added."""
        self.succeeded = 0
        self.skipped = 0
        self.cancelled = 0
        self.failed = 0
        self.tokens = 0
        self.running: dict[str, None] = {}
        """Steps whose code runs and has not returned at once."""
        self.retrying: dict[str, None] = {}
        """Steps between two attempts."""
        self.waiting: dict[str, int] = {}
        """Steps that wait for a person, a time or a reply, with how many such waits are open."""
        self.stuck = 0
        """Of the failed steps, those that a resume gives fresh tries."""

    @property
    def ended(self) -> int:
        """Steps that have ended, however."""
        return self.succeeded + self.skipped + self.cancelled + self.failed

    def apply(self, recorded: events.Recorded) -> None:
        """Take in the next event."""
        self.seq = recorded.seq
        apply = _APPLY.get(type(recorded.event))
        if apply is not None:
            apply(self, recorded.event)

    def leave(self, step: str) -> None:
        """The step is neither running nor between attempts nor waiting."""
        self.running.pop(step, None)
        self.retrying.pop(step, None)
        self.waiting.pop(step, None)


def _run_started(progress: Progress, event: events.RunStarted) -> None:
    progress.graph = event.graph.name
    progress.total = len(event.graph.nodes)


def _step_started(progress: Progress, event: events.StepStarted) -> None:
    progress.retrying.pop(event.step, None)
    progress.running[event.step] = None


def _step_succeeded(progress: Progress, event: events.StepSucceeded) -> None:
    progress.leave(event.step)
    progress.succeeded += 1
    progress.total += len(event.nodes)


def _tokens_spent(progress: Progress, event: events.TokensSpent) -> None:
    progress.tokens += event.count


def _attempt_failed(progress: Progress, event: events.AttemptFailed) -> None:
    progress.leave(event.step)
    progress.retrying[event.step] = None


def _step_failed(progress: Progress, event: events.StepFailed) -> None:
    progress.leave(event.step)
    progress.failed += 1
    if event.policy == "pause":
        progress.stuck += 1


def _step_skipped(progress: Progress, event: events.StepSkipped) -> None:
    progress.leave(event.step)
    progress.skipped += 1


def _step_cancelled(progress: Progress, event: events.StepCancelled) -> None:
    progress.leave(event.step)
    progress.cancelled += 1


def _wait_opened(progress: Progress, event: events.WaitOpened) -> None:
    if event.kind != "memo":  # running code, not somebody else's turn
        progress.running.pop(event.step, None)
        progress.waiting[event.step] = progress.waiting.get(event.step, 0) + 1


def _wait_answered(progress: Progress, event: events.WaitAnswered) -> None:
    left = progress.waiting.pop(event.step, 0) - 1
    if left > 0:
        progress.waiting[event.step] = left
    elif not left:
        progress.running[event.step] = None


def _run_stopped(progress: Progress, _: events.Event) -> None:
    """Nothing runs any more; or its process has died, and whatever ran begins anew."""
    progress.running.clear()


def _run_resumed(progress: Progress, _: events.RunResumed) -> None:
    progress.failed -= progress.stuck
    progress.stuck = 0


_Apply: TypeAlias = Callable[[Progress, Any], None]
_APPLY: dict[type[events.Event], _Apply] = {
    events.RunStarted: _run_started,
    events.StepStarted: _step_started,
    events.StepSucceeded: _step_succeeded,
    events.TokensSpent: _tokens_spent,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: _step_failed,
    events.StepSkipped: _step_skipped,
    events.StepCancelled: _step_cancelled,
    events.WaitOpened: _wait_opened,
    events.WaitAnswered: _wait_answered,
    events.RunRecovered: _run_stopped,
    events.RunPaused: _run_stopped,
    events.RunResumed: _run_resumed,
}
