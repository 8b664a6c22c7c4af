"""A run while this process owns it: what was decided is applied and appended at once, in journal order (I3)."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence

from dagger.core import decide, events
from dagger.core.codec import Blob
from dagger.core.errors import ActionNotRegistered, StoreError, nearest
from dagger.core.graph import Node
from dagger.core.journal import Lease
from dagger.core.state import TERMINAL, State
from dagger.engine.attempt import Attempt, begin
from dagger.engine.kernel import Kernel
from dagger.engine.pools import Pool
from dagger.engine.timers import Timer
from dagger.spec.action import Action

SKIPS_AT_ONCE = 250
"""About a millisecond: so long others wait at most while a failure's many dependents are skipped."""


class Tenure:
    """One run's bookkeeping: its state, its lease, and how many of its steps are on their way."""

    def __init__(self, kernel: Kernel, lease: Lease, state: State, actions: Mapping[str, Action]) -> None:
        self.kernel = kernel
        self.lease = lease
        self.state = state
        self.now_ms: Callable[[], int] = kernel.clock.now_ms
        self.load: Callable[[str], bytes] = kernel.load_blob
        self.context = contextvars.copy_context()
        """Attempts see the context variables of whoever started the run, each in a copy of its own."""
        self.done: asyncio.Future[None] = kernel.loop.create_future()
        """Set when the run has paused or ended and that is durable; or fails if the store did."""
        self._actions = actions
        self._open = 0
        """Steps on their way: gated, queued, delayed or running."""
        self._running: set[Attempt] = set()
        """Attempts whose code is suspended or in a thread."""
        self._delayed: dict[str, Timer] = {}
        """Steps that wait for their next attempt."""
        self._chances = random.Random(state.run_id)
        self._deadline: Timer | None = None
        self._is_settled = False
        self._pools: tuple[Pool, ...] = ()
        self._thread_pools: tuple[Pool, ...] = ()
        self._is_gated = False
        self._has_priorities = False

    @property
    def is_settled(self) -> bool:
        """Whether the run has paused or ended, durably or not, or was let go of."""
        return self._is_settled

    def begin(self, ready: list[str]) -> None:
        """Start what is ready, and watch the clock."""
        state = self.state
        slots = state.config.max_parallel
        self._pools = (Pool(slots),) if slots else ()
        self._thread_pools = (*self._pools, self.kernel.thread_slots)
        self._has_priorities = any(pending.node.priority for pending in state.pending.values())
        self._is_gated = not self.kernel.store.is_immediate
        self.submit(ready)
        # from here on, what is ready waits for the disk only if the run's durability says so
        self._is_gated = self._is_gated and state.config.durability == "sync"
        self._watch_deadline(0)
        self._step_over()

    def _watch_deadline(self, least_ms: int) -> None:
        remaining = self.state.remaining_ms(self.now_ms())
        if remaining is not None and not (self._is_settled or self.state.halt):
            self._deadline = self.kernel.timers.after(max(remaining, least_ms) / 1000, self._deadline_due)

    def _deadline_due(self) -> None:
        self._check_limits()
        self._watch_deadline(1)  # the timer and the clock may differ by a millisecond, or the clock was set

    def record(self, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """Apply and append the next event, and start what it made ready."""
        ready = self.state.apply(event)
        try:
            self.kernel.store.append(self.lease, event, blobs)
        except StoreError as error:
            self.kernel.let_go(self, error)
            return
        if ready:
            self.submit(ready)

    def submit(self, steps: list[str]) -> None:
        """Send steps on their way; under `sync` they start when the events that made them ready are durable."""
        self._open += len(steps)
        if self._is_gated:
            self.kernel.gate(self, steps)
        else:
            self.release(steps)

    def release(self, steps: list[str]) -> None:
        """Queue steps for their next attempt."""
        pending = self.state.pending
        queue = self.kernel.ready
        if self._has_priorities and len(steps) > 1:
            steps = sorted(steps, key=lambda step: -pending[step].node.priority if step in pending else 0)
        for step in steps:
            waiting = pending.get(step)
            if waiting is None or self._is_settled or self.state.halt:
                self._open -= 1
            elif waiting.retry_at or (self.kernel.abandoned and (self.state.run_id, step) in self.kernel.abandoned):
                self._delay(step, waiting.retry_at)
            else:
                queue.add((self.start, step), waiting.node.priority, self._pools_of(waiting.node))
        self.kernel.wake()
        if not self._open:
            self._step_over()  # none of them is to start, and nothing else is on its way

    def start(self, step: str, task: asyncio.Task[None]) -> Attempt | None:
        """Begin a step's next attempt, unless the run halts. Gives it if its code is suspended: see attempt.begin."""
        waiting = self.state.pending[step]
        if self.state.halt or self._is_settled:
            self._leave(waiting.node)
            return None
        return begin(self, step, waiting.node, waiting.failures + 1, task)

    def _pools_of(self, node: Node) -> tuple[Pool, ...]:
        action = self._actions.get(node.action)
        return self._pools if action is None or action.runs_in != "thread" else self._thread_pools

    def action(self, node: Node) -> Action:
        """The registered action of a node. Raises ActionNotRegistered."""
        try:
            return self._actions[node.action]
        except KeyError:
            near = nearest(node.action, self._actions)
            message = f"node {node.id!r}: action {node.action!r} is not registered{near}"
            raise ActionNotRegistered(message) from None

    def suspended(self, attempt: Attempt) -> None:
        """The attempt's code did not return at once: it is journalled, and its deadline watched."""
        self._running.add(attempt)
        started = events.StepStarted(at=attempt.started_ms, step=attempt.step, attempt=attempt.number)
        self.record(started)
        # where the run has less time left, its own deadline cuts the attempt off
        attempt.timer = self.kernel.timers.after(attempt.node.timeout, lambda: attempt.cut("timeout"))

    def ended(
        self, node: Node, event: events.StepSucceeded, blobs: Sequence[Blob], attempt: Attempt | None = None
    ) -> None:
        """A step succeeded; with its attempt, where one was made."""
        if attempt is not None:
            self._running.discard(attempt)
        if not self._is_settled:
            self.record(event, blobs)
        if attempt is not None or self._pools or self._open == 1:
            self._leave(node)
        else:
            self._open -= 1  # nothing can follow but what `record` has sent on its way

    def failed(self, attempt: Attempt, error: events.Error, *, retryable: bool, now: int, duration_ms: int) -> None:
        """An attempt failed: another one follows, or the step has failed."""
        self._running.discard(attempt)
        if self._is_settled:
            self._leave(attempt.node)
            return
        event = decide.after_failure(
            self.state,
            attempt.step,
            error,
            retryable=retryable,
            now=now,
            chance=self._chances.random(),
            duration_ms=duration_ms,
        )
        self.kernel.log_failure(self.state.run_id, event)
        self.record(event)
        if self.state.halt:
            self.halt()
        elif isinstance(event, events.AttemptFailed):
            self._open += 1
            self._delay(attempt.step, event.retry_at)
        self._leave(attempt.node)

    def cut_off(self, attempt: Attempt) -> None:
        """An attempt was cancelled because the run halts. Under a pause the step stays pending, no try counted."""
        self._running.discard(attempt)
        now = attempt.over()
        if self.state.halt in ("stop", "cancel") and not self._is_settled:
            event = events.StepCancelled(
                at=now,
                step=attempt.step,
                attempt=attempt.number,
                reason=self.state.halt_reason or "the run was cancelled",
                duration_ms=now - attempt.started_ms,
            )
            self.record(event)
        self._leave(attempt.node)

    def abandoned(self, attempt: Attempt) -> None:
        """An attempt's code cannot be stopped; the step's next attempt waits for it."""
        self.kernel.abandoned[self.state.run_id, attempt.step] = attempt
        self.kernel.log_abandoned(self.state.run_id, attempt)

    def released(self, attempt: Attempt) -> None:
        """Abandoned code has ended."""
        self.kernel.abandoned.pop((self.state.run_id, attempt.step), None)

    def spent(self, attempt: Attempt, count: int) -> None:
        """An attempt's code spent tokens: they count whatever becomes of it."""
        if not self._is_settled:
            self.record(events.TokensSpent(at=self.now_ms(), step=attempt.step, count=count))
            self._check_limits()

    def note(self, event: events.Event) -> None:
        """Record an event from before anything is on its way."""
        self.state.apply(event)
        self.kernel.store.append(self.lease, event)

    def cancel(self, reason: str) -> None:
        """Cancel the run: nothing new starts, what runs is cancelled, then the run ends."""
        if self.state.status in TERMINAL or self.state.halt == "cancel":
            return
        self.record(events.CancelRequested(at=self.now_ms(), reason=reason))
        self.halt()
        self._step_over()

    def halt(self) -> None:
        """Cut off what runs, and forget what is delayed."""
        for timer in self._delayed.values():
            timer.cancel()
        self._open -= len(self._delayed)
        self._delayed.clear()
        for attempt in list(self._running):
            attempt.cut("halt")
        self.kernel.wake()

    def discard(self, error: BaseException) -> None:
        """Let go of the run as if the process had died: the journal knows where to go on."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # whoever waits is told; nobody waiting is no error
        if self._is_settled:
            return
        self._is_settled = True
        self._forget_timers()
        for attempt in list(self._running):
            attempt.over()
            if attempt.task is not None:
                attempt.task.cancel()
        self._running.clear()

    def _delay(self, step: str, retry_at: int) -> None:
        def due() -> None:
            if self._delayed.pop(step, None) is None:
                return  # forgotten meanwhile
            stuck = self.kernel.abandoned.get((self.state.run_id, step))
            if stuck is not None:
                # at most until the run's own timeout, which forgets it like any other delay
                stuck.on_released = due
                self._delayed[step] = self.kernel.timers.never(due)
                return
            node = self.state.pending[step].node
            self.kernel.ready.add((self.start, step), node.priority, self._pools_of(node))
            self.kernel.wake()

        self._delayed[step] = self.kernel.timers.after((retry_at - self.now_ms()) / 1000, due)

    def _leave(self, node: Node) -> None:
        if pools := self._pools_of(node):
            self.kernel.ready.release(pools)
            self.kernel.wake()
        self._open -= 1
        self._step_over()

    def _step_over(self) -> None:
        """Follow up: skip what is doomed, see to the limits, and end the run when nothing is on its way."""
        if self._is_settled:
            return
        state = self.state
        for _ in range(SKIPS_AT_ONCE):
            skipped = None if state.halt else decide.skip(state, self.now_ms())
            if skipped is None:
                break
            self.record(skipped)
        else:
            self.kernel.loop.call_soon(self._step_over)
            return
        if not self._open and not self._is_settled:
            self._settle()

    def _check_limits(self) -> None:
        if self._is_settled:
            return
        reached = decide.limit(self.state, self.now_ms())
        if reached is not None:
            self.record(reached)
            self.halt()
            self._step_over()

    def _settle(self) -> None:
        self._is_settled = True
        self._forget_timers()
        self.record(decide.settle(self.state, self.now_ms()))
        self.kernel.finished(self)

    def _forget_timers(self) -> None:
        for timer in (self._deadline, *self._delayed.values()):
            if timer is not None:
                timer.cancel()
        self._delayed.clear()
