"""How steps go and end: the fold of a journal's step events that the report and the tree share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, overload

from dagger.core import events
from dagger.core.errors import nearest

SUCCESSES = frozenset(("succeeded", "recovered"))
"""Statuses with which the run goes on as if nothing had been."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """How a step ended."""

    node_id: str
    """The node's id; in a child flow with its scope before it: `each_page/7/resize`."""
    success: bool
    """True for `succeeded` and `recovered`."""
    status: str
    """`succeeded`, `failed`, `skipped`, `recovered` or `cancelled`. In a tree also what has not ended: `pending`,
    `running`, `waiting`, `interrupted`, and `unreached` where the run ended before the step's turn."""
    retry_messages: list[str] = field(default_factory=list)
    """One for each failed attempt, the last one included: `Attempt 1 failed: ValueError: boom`."""
    final_error: str | None = None
    """`Failed after 3 attempts. Last error: ValueError: boom`; None unless it finally failed."""
    reason: str = ""
    """Why it was skipped or cancelled."""
    started_at: datetime | None = None
    """UTC. A skipped step starts when it ends; None: in a tree, not started yet."""
    ended_at: datetime | None = None
    """UTC; None: in a tree, not ended yet."""
    attempts: int = 0
    """Over the whole run, those before a resume too; an attempt that died with its process does not count."""

    @property
    def duration(self) -> float:
        """Seconds from the start to the end, delays between attempts included; 0.0 where it has none."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return (self.ended_at - self.started_at).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON values: times are ISO 8601 texts."""
        return {
            "node_id": self.node_id,
            "success": self.success,
            "status": self.status,
            "retry_messages": list(self.retry_messages),
            "final_error": self.final_error,
            "reason": self.reason,
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
            "attempts": self.attempts,
        }


class NodeOutcomes(Sequence[NodeOutcome]):
    """Outcomes in the order of ending, by position; also by node id, as a dict would have them."""

    def __init__(self, outcomes: Iterable[NodeOutcome] = ()) -> None:
        self._ordered = tuple(outcomes)
        self._by_id = {outcome.node_id: outcome for outcome in self._ordered}

    @overload
    def __getitem__(self, key: int | str) -> NodeOutcome: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[NodeOutcome, ...]: ...
    def __getitem__(self, key: int | str | slice) -> NodeOutcome | tuple[NodeOutcome, ...]:
        if not isinstance(key, str):
            return self._ordered[key]
        if key not in self._by_id:
            message = f"no outcome of a node {key!r}: it has not ended, or there is none{nearest(key, self._by_id)}"
            raise KeyError(message)
        return self._by_id[key]

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[NodeOutcome]:
        return iter(self._ordered)

    def __contains__(self, key: object) -> bool:
        return key in self._by_id if isinstance(key, str) else key in self._ordered

    def get(self, node_id: str, default: NodeOutcome | None = None) -> NodeOutcome | None:
        """The outcome of a node; `default` where it has not ended."""
        return self._by_id.get(node_id, default)

    def keys(self) -> list[str]:
        """The ids of the nodes that ended, in that order."""
        return list(self._by_id)

    def values(self) -> list[NodeOutcome]:
        """The outcomes, in the order of ending."""
        return list(self._by_id.values())

    def items(self) -> list[tuple[str, NodeOutcome]]:
        """Node ids with their outcomes, in the order of ending."""
        return list(self._by_id.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeOutcomes) and self._ordered == other._ordered

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for outcome in self:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
        return f"<{', '.join(f'{count} {status}' for status, count in counts.items()) or 'no'} nodes>"


@dataclass(slots=True)
class Course:
    """How one step went so far."""

    step: str
    status: str = "pending"
    at: int = 0
    """When its status last changed, in milliseconds since 1970."""
    started_at: int | None = None
    ended_at: int | None = None
    attempts: int = 0
    messages: list[str] = field(default_factory=list)
    last_error: str = ""
    reason: str = ""
    waits: set[str] = field(default_factory=set)
    """Keys of the open ones."""

    def fail(self, error: events.Error) -> None:
        """Count a failed attempt and keep its message."""
        self.attempts += 1
        self.last_error = str(error)
        # numbered over the whole run: after a resume the fresh tries go on counting, and no number comes twice
        self.messages.append(f"Attempt {self.attempts} failed: {self.last_error}")

    def outcome(self) -> NodeOutcome:
        """The course as people see it."""
        tries = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        failed = self.status == "failed"
        return NodeOutcome(
            node_id=self.step,
            success=self.status in SUCCESSES,
            status=self.status,
            retry_messages=list(self.messages),
            final_error=f"Failed after {tries}. Last error: {self.last_error}" if failed else None,
            reason=self.reason,
            started_at=None if self.started_at is None else moment(self.started_at),
            ended_at=None if self.ended_at is None else moment(self.ended_at),
            attempts=self.attempts,
        )


class Courses:
    """The fold: what became of each step that a journal speaks of."""

    def __init__(self) -> None:
        self.by_step: dict[str, Course] = {}
        self._ended: dict[str, Course] = {}
        self._stuck: list[Course] = []
        self._halted = ""

    def apply(self, event: events.Event) -> None:
        """Take in the next event of the journal."""
        if (apply := self._table.get(type(event))) is not None:
            apply(self, event)

    def of(self, step: str) -> Course:
        """The step's course, begun here if the journal has not spoken of it yet."""
        course = self.by_step.get(step)
        if course is None:
            course = self.by_step[step] = Course(step)
        return course

    def ended(self) -> NodeOutcomes:
        """The outcomes of the steps that have ended, in the order of ending."""
        return NodeOutcomes(course.outcome() for course in self._ended.values())

    def interrupt(self, at: int) -> None:
        """The process died before that moment: what ran is interrupted."""
        for course in self.by_step.values():
            if course.status == "running":
                course.status, course.at = "interrupted", at

    def _step_started(self, event: events.StepStarted) -> None:
        self._begun(event.step, event.at, "running")

    def _step_succeeded(self, event: events.StepSucceeded) -> None:
        self.of(event.step).attempts += 1
        self._end(event.step, "succeeded", event.at, event.duration_ms)

    def _attempt_failed(self, event: events.AttemptFailed) -> None:
        course = self._begun(event.step, event.at - event.duration_ms, "pending")
        course.at = event.at
        course.fail(event.error)

    def _step_failed(self, event: events.StepFailed) -> None:
        course = self._end(event.step, "failed", event.at, event.duration_ms)
        course.fail(event.error)
        if event.policy == "pause":
            self._stuck.append(course)
        elif event.policy == "stop":
            self._halted = self._halted or f"{event.step!r} failed"

    def _step_skipped(self, event: events.StepSkipped) -> None:
        self._end(event.step, "skipped", event.at, reason=event.reason)

    def _step_cancelled(self, event: events.StepCancelled) -> None:
        self.of(event.step).attempts += 1
        self._end(event.step, "cancelled", event.at, event.duration_ms, event.reason)

    def _wait_opened(self, event: events.WaitOpened) -> None:
        # a memo's function is running code, not somebody else's turn
        is_waiting = event.kind != "memo"
        course = self._begun(event.step, event.at, "waiting" if is_waiting else "running")
        if is_waiting:
            course.waits.add(event.key)

    def _wait_answered(self, event: events.WaitAnswered) -> None:
        course = self.of(event.step)
        course.waits.discard(event.key)
        if course.status == "waiting" and not course.waits:
            course.status, course.at = "running", event.at

    def _run_recovered(self, event: events.RunRecovered) -> None:
        self.interrupt(event.at)

    def _run_resumed(self, event: events.RunResumed) -> None:
        for course in self._stuck:
            course.status, course.at, course.ended_at = "pending", event.at, None
            self._ended.pop(course.step, None)
        self._stuck = []

    def _limit_reached(self, event: events.LimitReached) -> None:
        self._halted = f"{event.limit} of {event.value:g} used up"

    def _cancel_requested(self, event: events.CancelRequested) -> None:
        self._halted = event.reason or "the run was cancelled"

    def _run_ended(self, event: events.RunEnded) -> None:
        for course in self.by_step.values():
            if course.ended_at is not None:
                continue
            if course.started_at is None:
                course.status = "unreached"
            else:
                # begun, and between two attempts or in a wait: no attempt ran that a StepCancelled could end
                self._end(course.step, "cancelled", event.at, reason=self._halted or "the run ended")

    def _begun(self, step: str, at: int, status: str) -> Course:
        course = self.of(step)
        course.status, course.at = status, at
        if course.started_at is None:
            course.started_at = at
        return course

    def _end(self, step: str, status: str, at: int, duration_ms: int = 0, reason: str = "") -> Course:
        course = self.of(step)
        if course.started_at is None:
            course.started_at = at - duration_ms
        course.status, course.reason = status, reason
        course.at = course.ended_at = at
        course.waits.clear()
        self._ended[step] = course
        return course

    _table: ClassVar[dict[type[events.Event], Callable[[Courses, Any], object]]] = {
        events.StepStarted: _step_started,
        events.StepSucceeded: _step_succeeded,
        events.AttemptFailed: _attempt_failed,
        events.StepFailed: _step_failed,
        events.StepSkipped: _step_skipped,
        events.StepCancelled: _step_cancelled,
        events.WaitOpened: _wait_opened,
        events.WaitAnswered: _wait_answered,
        events.RunRecovered: _run_recovered,
        events.RunResumed: _run_resumed,
        events.LimitReached: _limit_reached,
        events.CancelRequested: _cancel_requested,
        events.RunEnded: _run_ended,
    }


def moment(at: int) -> datetime:
    """The UTC time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=at)


def iso(at: datetime | None) -> str | None:
    """ISO 8601 with milliseconds: `2026-07-01T09:30:00.250Z`."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
