"""How far a run is: the fold of its journal that the live display shows. Counts, never scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeAlias

import msgspec

from dagger.core import events
from dagger.core.graph import Definition

PACE_TICKS = 5
"""So many ticks of the display are a second."""


class Progress:
    """What a journal tells so far."""

    def __init__(self) -> None:
        self.seq = 0
        """Of the last event taken in."""
        self.graph = ""
        self.total = 0
        """Steps known so far: those included that were added, and those of child flows that have begun."""
        self.succeeded = 0
        self.skipped = 0
        self.cancelled = 0
        self.failed = 0
        self.tokens = 0
        self.running: dict[str, None] = {}
        """Steps whose code runs and has not returned at once."""
        self.retrying: dict[str, None] = {}
        """Steps between two attempts."""
        self.waiting: dict[str, dict[str, str]] = {}
        """Steps that wait for a person, a time or a reply, with the kind of each such wait by its key."""
        self.progressed: dict[str, events.Progressed] = {}
        """Steps that have told how far they are, with the last they told."""
        self.rest: events.RunWaiting | events.RunParked | None = None
        """Why nothing is ready or running, and until when; None while something is."""
        self.paused_for = ""
        """The review whose answer lets the run go on beyond a limit that it has used up."""
        self.stuck = 0
        """Of the failed steps, those that a resume gives fresh tries."""
        self.graphs: Mapping[str, Definition] = {}
        """Those that steps run as child flows."""

    @classmethod
    def of(cls, journal: Iterable[events.Recorded]) -> Self:
        """What a journal tells that is there already."""
        progress = cls()
        for recorded in journal:
            progress.apply(recorded)
        return progress

    @property
    def ended(self) -> int:
        """Steps that have ended, however."""
        return self.succeeded + self.skipped + self.cancelled + self.failed

    @property
    def waits_for(self) -> set[str]:
        """The kinds of waits that are open: looks at all of them."""
        return {kind for waits in self.waiting.values() for kind in waits.values()}

    def apply(self, recorded: events.Recorded) -> None:
        """Take in the next event of the journal, or one that is told live and has no place there."""
        self.seq = recorded.seq or self.seq
        apply = _APPLY.get(type(recorded.event))
        if apply is not None:
            apply(self, recorded.event)

    def leave(self, step: str) -> None:
        """The step is neither running nor between attempts nor waiting."""
        self.running.pop(step, None)
        self.retrying.pop(step, None)
        self.waiting.pop(step, None)
        self.progressed.pop(step, None)


class Pace:
    """Which steps to tell of, asked at every tick: each when it first says how far it is, then once a second."""

    def __init__(self) -> None:
        self._ticks = 0
        self._told: dict[str, events.Progressed] = {}

    def moved(self, progress: Progress) -> list[events.Progressed]:
        """The last word of the steps whose turn it is, if they have said anything since."""
        self._ticks += 1
        is_due = self._ticks % PACE_TICKS == 0
        told = {step: self._told.get(step) for step in progress.progressed}
        moved = [
            event
            for step, event in progress.progressed.items()
            if told[step] is None or (is_due and event is not told[step])
        ]
        self._told = {step: event for step, event in told.items() if event} | {event.step: event for event in moved}
        return moved


def _run_started(progress: Progress, event: events.RunStarted) -> None:
    progress.graph, progress.graphs = event.graph.name, event.graphs
    progress.total = len(event.graph.nodes)


def _scope_opened(progress: Progress, event: events.ScopeOpened) -> None:
    progress.total += len(progress.graphs[event.graph].nodes) if event.graph else event.count


def _child_opened(progress: Progress, event: events.ChildOpened) -> None:
    progress.graphs = {**progress.graphs, **event.graphs}
    progress.total += 1 + len(progress.graphs[event.graph].nodes)  # the child flow itself ends as a step, too


def _node_added(progress: Progress, _: events.NodeAdded) -> None:
    progress.total += 1


def _progressed(progress: Progress, event: events.Progressed) -> None:
    progress.progressed[event.step] = event


def _step_started(progress: Progress, event: events.StepStarted) -> None:
    progress.retrying.pop(event.step, None)
    if event.step not in progress.waiting:  # a wait may open before the code first suspends
        progress.running[event.step] = None


def _step_succeeded(progress: Progress, event: events.StepSucceeded) -> None:
    progress.leave(event.step)
    progress.succeeded += 1 if event.recovers is msgspec.UNSET else 2  # the step whose failure it handled, too
    progress.total += len(event.nodes)


def _tokens_spent(progress: Progress, event: events.TokensSpent) -> None:
    progress.tokens += event.count


def _attempt_failed(progress: Progress, event: events.AttemptFailed) -> None:
    progress.leave(event.step)
    if event.failure:
        progress.total += 1  # the failure action's
    else:
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
        progress.waiting.setdefault(event.step, {})[event.key] = event.kind


def _wait_answered(progress: Progress, event: events.WaitAnswered) -> None:
    waits = progress.waiting.get(event.step, {})
    if waits.pop(event.key, None) is not None and not waits:
        del progress.waiting[event.step]
        progress.running[event.step] = None


def _run_stopped(progress: Progress, _: events.Event) -> None:
    """Nothing runs any more; or its process has died, and whatever ran begins anew."""
    progress.running.clear()
    progress.progressed.clear()
    progress.rest = None


def _run_rests(progress: Progress, event: events.RunWaiting | events.RunParked) -> None:
    progress.rest = event


def _run_woken(progress: Progress, _: events.Event) -> None:
    progress.rest = None


def _limit_reached(progress: Progress, event: events.LimitReached) -> None:
    progress.paused_for = event.review


def _run_resumed(progress: Progress, _: events.RunResumed) -> None:
    progress.rest = None
    progress.paused_for = ""
    progress.failed -= progress.stuck
    progress.stuck = 0


_Apply: TypeAlias = Callable[[Progress, Any], None]
_APPLY: dict[type[events.Event], _Apply] = {
    events.RunStarted: _run_started,
    events.ScopeOpened: _scope_opened,
    events.ChildOpened: _child_opened,
    events.NodeAdded: _node_added,
    events.Progressed: _progressed,
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
    events.RunWaiting: _run_rests,
    events.RunParked: _run_rests,
    events.RunWoken: _run_woken,
    events.CancelRequested: _run_woken,
    events.LimitReached: _limit_reached,
    events.RunResumed: _run_resumed,
}
