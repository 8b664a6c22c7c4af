"""How steps go and end: the fold of a journal's step events that the report and the tree share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import msgspec

from dagger.core import events
from dagger.core.children import child_of
from dagger.core.messages import MARK, agent_of, message_of
from dagger.core.steps import HANDLER
from dagger.views.outcome import SUCCESSES, NodeOutcome, NodeOutcomes, moment


class Course(msgspec.Struct, gc=False):
    """How one step went so far: plain data that no cycle leads through, as events are."""

    step: str
    status: str = "pending"
    at: int = 0
    """When its status last changed, in milliseconds since 1970."""
    started_at: int | None = None
    ended_at: int | None = None
    attempts: int = 0
    messages: tuple[str, ...] = ()
    last_error: str = ""
    reason: str = ""
    reused: str = ""
    """The run whose outputs it has."""
    waits: frozenset[str] = frozenset()
    """Keys of the open ones."""
    requests: tuple[int, ...] = ()
    """Where in the journal it requested something."""
    has_scope: bool = False
    """It began a child flow, which runs in its stead and outlives processes."""
    is_handled: bool = False
    """After its last attempt its failure action had its turn."""
    is_telling: bool = False
    """It has finally failed, or is a redelivery: what becomes of it is told in any case."""

    def fail(self, error: events.Error) -> None:
        """Count a failed attempt and keep its message."""
        self.attempts += 1
        self.last_error = str(error)
        # numbered over the whole run: after a resume the fresh tries go on counting, and no number comes twice
        self.messages += (f"Attempt {self.attempts} failed: {self.last_error}",)

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
            reused=self.reused or None,
        )


class Courses:
    """The fold: what became of each step that a journal speaks of, from its beginning.

    What succeeded of a delivery, or of a flow that its code executed, is forgotten, as however many messages pass a
    run the memory for it stays the same; unless `keeps_deliveries`.
    """

    def __init__(self, *, keeps_deliveries: bool = False, on_forgotten: Callable[[str], None] | None = None) -> None:
        """`on_forgotten` is called with each step that is forgotten."""
        self._keeps_deliveries = keeps_deliveries
        self._on_forgotten = on_forgotten
        self._seq = 0
        self.by_step: dict[str, Course] = {}
        self.abandoned = 0
        """Attempts whose code could not be stopped."""
        self._inside: dict[str, dict[str, Course]] = {}
        """By the scope that they are in."""
        self._requests: dict[int, tuple[str, str]] = {}
        """The step and the key of each wait for a reply, by the place of its event."""
        self._removed: dict[str, int] = {}
        """When agents were removed."""
        self._ended: dict[str, Course] = {}
        self._stuck: list[Course] = []
        self._halted = ""

    def apply(self, event: events.Event) -> None:
        """Take in the next event of the journal."""
        self._seq += 1
        if (apply := self._table.get(type(event))) is not None:
            apply(self, event)

    def of(self, step: str) -> Course:
        """The step's course, begun here if the journal has not spoken of it yet."""
        course = self.by_step.get(step)
        if course is None:
            course = self.by_step[step] = Course(step)
            self._inside.setdefault(events.scope_of(step), {})[step] = course
        return course

    def bury(self, step: str) -> Course:
        """The course of a dead letter; of one that never began, as its agent was removed: it has failed for that."""
        course = self.of(step)
        if course.ended_at is None:
            name = agent_of(step)
            self._end(step, "failed", self._removed.get(name, 0))
            course.last_error, course.is_telling = f"agent {name!r} was removed", True
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
        course = self.of(event.step)
        self._begun(event.step, event.at, "waiting" if course.waits else "running")

    def _scope_opened(self, event: events.ScopeOpened) -> None:
        self._begun(event.step, event.at, "running").has_scope = True

    def _child_opened(self, event: events.ChildOpened) -> None:
        self._begun(event.step, event.at, "running")
        self._begun(child_of(event.step, event.key), event.at, "running").has_scope = True

    def _step_succeeded(self, event: events.StepSucceeded) -> None:
        if MARK in event.step and event.reply is not msgspec.UNSET:
            self._replied(event.step, event.at)
        if self._leaves_nothing(event):
            return
        course = self._end(event.step, "succeeded", event.at, event.duration_ms)
        if event.reused:
            course.reused = event.reused
        else:
            course.attempts += 1
        if event.recovers is not msgspec.UNSET:
            self._end(event.step.removesuffix(HANDLER), "recovered", event.at)
        if MARK in event.step and not (self._keeps_deliveries or course.is_telling):
            self._forget(event.step)

    def _leaves_nothing(self, event: events.StepSucceeded) -> bool:
        """Whether it is a delivery of which nothing was told before: most are, and they need no course at all."""
        is_new = not self._keeps_deliveries and MARK in event.step and event.step not in self.by_step
        return is_new and event.recovers is msgspec.UNSET

    def _replied(self, step: str, at: int) -> None:
        """A delivery answered the wait of whoever requested its message, if that is open."""
        asked = self._requests.get(int(message_of(step).partition("-")[0]))
        if asked is not None:
            self._close(*asked, at)

    def _forget(self, step: str) -> None:
        for inner in [*self._inside.get(step, ())]:
            self._forget(inner)
        scope = events.scope_of(step)
        del self.by_step[step], self._inside[scope][step]
        self._ended.pop(step, None)
        if not self._inside[scope]:
            del self._inside[scope]
        if self._on_forgotten is not None:
            self._on_forgotten(step)

    def _attempt_failed(self, event: events.AttemptFailed) -> None:
        course = self._begun(event.step, event.at - event.duration_ms, "pending")
        course.at = event.at
        course.is_handled = bool(event.failure)
        course.fail(event.error)
        self.abandoned += event.is_abandoned

    def _step_failed(self, event: events.StepFailed) -> None:
        course = self._end(event.step, "failed", event.at, event.duration_ms)
        course.is_telling = True
        self.abandoned += event.is_abandoned
        if not course.is_handled:  # else it was told before its failure action ran
            course.fail(event.error)
        if event.policy == "pause":
            self._stuck.append(course)
        elif event.policy == "stop":
            self._halted = self._halted or f"{event.step!r} failed"

    def _step_skipped(self, event: events.StepSkipped) -> None:
        self._end(event.step, "skipped", event.at, reason=event.reason)

    def _step_cancelled(self, event: events.StepCancelled) -> None:
        course = self._end(event.step, "cancelled", event.at, event.duration_ms, event.reason)
        if not course.has_scope:
            course.attempts += 1
        else:  # a child flow that was given up, with all that was in it
            for inner in self._within(event.step):
                if inner.ended_at is None and inner.started_at is not None:
                    self._end(inner.step, "cancelled", event.at, reason=event.reason)
        self.abandoned += event.is_abandoned

    def _within(self, scope: str) -> Iterator[Course]:
        for course in self._inside.get(scope, {}).values():
            yield course
            yield from self._within(course.step)

    def _wait_opened(self, event: events.WaitOpened) -> None:
        # a memo's function is running code, not somebody else's turn
        is_waiting = event.kind != "memo"
        course = self._begun(event.step, event.at, "waiting" if is_waiting else "running")
        if is_waiting:
            course.waits |= {event.key}
        if event.messages:
            course.requests += (self._seq,)
            self._requests[self._seq] = event.step, event.key

    def _wait_answered(self, event: events.WaitAnswered) -> None:
        if event.step in self.by_step:  # else it has succeeded without waiting for it, and is forgotten
            self._close(event.step, event.key, event.at)

    def _close(self, step: str, key: str, at: int) -> None:
        course = self.by_step[step]
        course.waits -= {key}
        if course.status == "waiting" and not course.waits:
            course.status, course.at = "running", at

    def _agent_removed(self, event: events.AgentRemoved) -> None:
        self._removed[event.name] = event.at
        for step, course in self.by_step.items():
            if course.started_at is None and agent_of(step) == event.name:
                self.bury(step)
                if event.policy == "pause":
                    self._stuck.append(course)

    def _redelivered(self, event: events.Redelivered) -> None:
        self._stuck = [course for course in self._stuck if course.step not in event.steps]
        for step in event.steps:
            self.bury(step)
            self.of(next_round(step)).is_telling = True

    def _run_recovered(self, event: events.RunRecovered) -> None:
        self.interrupt(event.at)
        self._go_on(event.at)

    def _run_paused(self, event: events.RunPaused) -> None:
        for course in self.by_step.values():
            if course.status == "running":  # cut off without counting as a try: its turn comes again
                course.status, course.at = "pending", event.at

    def _run_resumed(self, event: events.RunResumed) -> None:
        again = {course.step for course in self._stuck}
        for step, course in self.by_step.items():  # a child flow's steps come after the step that began it
            if step in again or (self._is_unsuccessful(course) and events.scope_of(step) in again):
                again.add(step)
                course.status, course.at, course.ended_at = "pending", event.at, None
                self._ended.pop(step, None)
        self._stuck = []
        self._go_on(event.at)

    def _is_unsuccessful(self, course: Course) -> bool:
        """Whether it ended so that a new chance for its child flow is one for it too; a failure action's own is not."""
        return course.ended_at is not None and not (course.status in SUCCESSES or course.step.endswith(HANDLER))

    def _go_on(self, at: int) -> None:
        """The run goes on, and with it the child flows that were begun."""
        for course in self.by_step.values():
            if course.has_scope and course.ended_at is None:
                course.status, course.at = "running", at

    def _limit_reached(self, event: events.LimitReached) -> None:
        if event.policy != "pause":  # what is paused ends nothing
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
        for seq in course.requests:
            del self._requests[seq]
        course.waits, course.requests = frozenset(), ()
        self._ended.pop(step, None)  # a failure action may end twice, before and after a resume
        self._ended[step] = course
        return course

    _table: ClassVar[dict[type[events.Event], Callable[[Courses, Any], object]]] = {
        events.StepStarted: _step_started,
        events.StepSucceeded: _step_succeeded,
        events.ScopeOpened: _scope_opened,
        events.ChildOpened: _child_opened,
        events.AttemptFailed: _attempt_failed,
        events.StepFailed: _step_failed,
        events.StepSkipped: _step_skipped,
        events.StepCancelled: _step_cancelled,
        events.WaitOpened: _wait_opened,
        events.WaitAnswered: _wait_answered,
        events.AgentRemoved: _agent_removed,
        events.Redelivered: _redelivered,
        events.RunRecovered: _run_recovered,
        events.RunPaused: _run_paused,
        events.RunResumed: _run_resumed,
        events.LimitReached: _limit_reached,
        events.CancelRequested: _cancel_requested,
        events.RunEnded: _run_ended,
    }


def next_round(step: str) -> str:
    """The delivery that the redelivery of a dead letter makes: `reader#12-1.3` after `reader#12-1.2`."""
    agent, _, rest = step.rpartition(MARK)
    message, _, number = rest.partition(".")
    return f"{agent}{MARK}{message}.{int(number or 1) + 1}"
