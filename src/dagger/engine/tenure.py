"""A run while this process owns it: what was decided is applied and appended at once, in journal order (I3)."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from dagger.core import decide, events
from dagger.core.codec import Blob
from dagger.core.errors import (
    ActionNotRegistered,
    StoreError,
    nearest,
)
from dagger.core.fold import apply
from dagger.core.graph import Node
from dagger.core.journal import Lease, Reusable
from dagger.core.state import State
from dagger.engine import flows
from dagger.engine.attempt import Attempt, begin
from dagger.engine.delays import Delays
from dagger.engine.kernel import Kernel
from dagger.engine.maps import Maps
from dagger.engine.orders import obey
from dagger.engine.pools import Pool, without_rates
from dagger.engine.rest import Rest
from dagger.engine.timers import Timer
from dagger.engine.waits import Waits
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
        self.waits = Waits(self)
        self.listeners: set[Callable[[events.Event], None]] = set()
        """Whoever is shown what attempts tell and the journal does not keep."""
        self._actions = actions
        self._rest = Rest(self)
        self._open = 0
        """Steps on their way: gated, queued, idle or running."""
        self._idle = 0
        """Of them, those that nothing is done for: delayed, resting, asleep or held."""
        self._running: set[Attempt] = set()
        """Attempts whose code is suspended or in a thread."""
        self._delays = Delays(kernel.timers)
        """Steps that wait for their next attempt."""
        self._returning: dict[Attempt, list[asyncio.Future[None]]] = {}
        """Attempts that have rested, and wait for their slots to go on with these answers."""
        self._asleep: set[str] = set()
        """Steps with an open wait whose code need not run before it is answered."""
        self._held: dict[str, str] = {}
        """Steps whose action is not registered here, with its name."""
        self._chances = random.Random(state.run_id)
        self._deadline: Timer | None = None
        self._is_settled = False
        self._run_pools: tuple[Pool, ...] = ()
        self._maps = Maps(self)
        self._is_gated = False
        self._is_pooled = False
        """Whether any step takes slots."""
        self._has_priorities = False
        self._has_special = False
        """Whether any node may do something instead of beginning its action."""

    @property
    def is_settled(self) -> bool:
        """Whether the run has paused or ended, durably or not, or was let go of."""
        return self._is_settled

    def begin(self, ready: list[str]) -> None:
        """Start what is ready, and watch the clock."""
        state = self.state
        slots = state.config.max_parallel
        self._run_pools = (Pool(slots),) if slots else ()
        for pending in state.pending.values():
            self.look_at(pending.node)
        for definition in state.graphs.values():
            for node in definition.nodes:
                self.look_at(node)
        for name in state.scopes:
            self._begin_scope(name)
        self._asleep = {step for step in state.waits if state.is_waiting(step)}
        self._idle = len(self._asleep)
        self._open = self._idle + 1  # as long as this goes on, the run cannot be over
        self.waits.begin()
        self._is_gated = not self.kernel.store.is_immediate
        for order in self.lease.orders:
            obey(self, order)
        self.submit(ready)
        # from here on, what is ready waits for the disk only if the run's durability says so
        self._is_gated = self._is_gated and state.config.durability == "sync"
        self._watch_deadline(0)
        self._open -= 1
        self.step_over()

    def look_at(self, node: Node) -> None:
        """Note what a node asks of the loop besides beginning its action."""
        if node.priority:
            self._has_priorities = True
        if self._run_pools or self.kernel.pools[node.action]:
            self._is_pooled = True
        if flows.is_special(node, self._actions.get(node.action)):
            self._has_special = True

    def _begin_scope(self, name: str) -> None:
        self._maps.begin(name, self.state)
        self._is_pooled = self._is_pooled or self._maps.is_limited

    def _watch_deadline(self, least_ms: int) -> None:
        remaining = self.state.remaining_ms(self.now_ms())
        if remaining is not None and not (self._is_settled or self.state.halt):
            self._deadline = self.kernel.timers.after(max(remaining, least_ms) / 1000, self._deadline_due)

    def _deadline_due(self) -> None:
        self._check_limits()
        self._watch_deadline(1)  # the timer and the clock may differ by a millisecond, or the clock was set

    def record(self, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """Apply and append the next event, and start what it made ready."""
        ready = apply(self.state, event)
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
        if self._is_gated or self.kernel.store.is_behind:
            self.kernel.gate(self, steps)
        else:
            self.release(steps)

    def release(self, steps: list[str]) -> None:
        """Queue steps for their next attempt."""
        pending = self.state.pending
        queue = self.kernel.ready
        if self._has_priorities and len(steps) > 1:
            steps = sorted(steps, key=lambda step: -pending[step].node.priority if step in pending else 0)
        is_over = self._is_settled or bool(self.state.halt)
        if not is_over and self._idle:
            self._rest.over()
        for step in steps:
            waiting = pending.get(step)
            if waiting is None or is_over:
                self._open -= 1
            elif waiting.retry_at or (self.kernel.abandoned and (self.state.run_id, step) in self.kernel.abandoned):
                self._delay(step, waiting.retry_at)
            elif not (waiting.node.graph or waiting.node.action in self._actions):
                self._held[step] = waiting.node.action
                self._idle += 1
            else:
                queue.add((self.start, step), waiting.node.priority, self._pools_of(step, waiting.node))
        self.kernel.wake()
        if self._open == self._idle:
            self.step_over()  # none of them is to start now, and nothing else is on its way

    def start(self, step: str, task: asyncio.Task[None]) -> Attempt | None:
        """Begin a step's next attempt, unless the run halts. Gives it if its code is suspended: see attempt.begin."""
        waiting = self.state.pending[step]
        if self.state.halt or self._is_settled:
            self._leave(step, waiting.node)
            return None
        number = waiting.failures + 1
        if self._has_special and self._is_done_instead(step, number):
            return None
        return begin(self, step, waiting.node, number, task)

    def _is_done_instead(self, step: str, number: int) -> bool:
        """Whether the step needs no attempt now: what it does instead is recorded."""
        pending = self.state.pending[step]
        node = pending.node
        now = self.kernel.now_ms
        try:
            found = flows.instead(self, step, pending, now)
        except Exception as error:  # noqa: BLE001 - a condition or a list that is none fails the step
            Attempt(self, step, node, number, now, self.context).fail(error)
            return True
        if found is None:
            return False
        if isinstance(found.event, events.ScopeOpened):
            self._begin_scope(step)
        else:
            self._maps.end(step)
        self.record(*found)
        if self.state.halt:
            self.halt()
        self._leave(step, node)
        return True

    def _pools_of(self, step: str, node: Node) -> tuple[Pool, ...]:
        """What the step takes a slot of; a child flow's own step takes none, its steps do."""
        if node.graph or node.map or not self._is_pooled:
            return ()
        return (*self._run_pools, *self.kernel.pools[node.action], *self._maps.pools_of(step))

    def items(self, scope: str) -> list[msgspec.Raw]:
        """The JSON texts of the items of a map that was begun."""
        return self._maps.items(scope)

    def reusable(self, key: str) -> Reusable | None:
        """An earlier success of the same work."""
        return self.kernel.store.reusable(key)

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
        self._watch(attempt, attempt.node.timeout)

    def _watch(self, attempt: Attempt, seconds: float) -> None:
        attempt.timer = self.kernel.timers.after(seconds, lambda: attempt.cut("timeout"))

    def rest(self, attempt: Attempt) -> None:
        """The attempt's code waits for nothing but open waits: it gives back its slots, and its clock stands still."""
        attempt.is_resting = True
        attempt.rested_ms -= self.kernel.tick()
        if attempt.timer is not None:
            attempt.timer.cancel()
        self._release(attempt.step, attempt.node)
        self._idle += 1
        self.step_over()

    def go_on(self, attempt: Attempt, answered: asyncio.Future[None]) -> None:
        """A wait that the attempt's code awaits is answered: it goes on as soon as it has its slots again."""
        if attempt in self._returning:
            self._returning[attempt].append(answered)
        elif not attempt.is_resting:
            _deliver(answered)
        else:
            attempt.is_resting = False
            self._returning[attempt] = [answered]
            self._idle -= 1
            self._rest.over()
            pools = without_rates(self._pools_of(attempt.step, attempt.node))
            due = (lambda *_: self._return(attempt, pools)), attempt.step
            self.kernel.ready.add(due, attempt.node.priority, pools)
            self.kernel.wake()

    def _return(self, attempt: Attempt, pools: tuple[Pool, ...]) -> None:
        answered = self._returning.pop(attempt, None)
        if answered is None:  # it was cut off meanwhile
            self.kernel.ready.release(pools)
            return
        attempt.rested_ms += self.kernel.tick()
        spent_ms = self.kernel.now_ms - attempt.started_ms - attempt.rested_ms
        self._watch(attempt, attempt.node.timeout - spent_ms / 1000)
        for future in answered:
            _deliver(future)

    def answered(self, step: str) -> None:
        """A wait is answered that no code awaits: the step's code can run."""
        if step in self._asleep:
            self._asleep.remove(step)
            self._idle -= 1
            self.release([step])

    def ended(
        self, step: str, node: Node, event: events.StepSucceeded, blobs: Sequence[Blob], attempt: Attempt | None = None
    ) -> None:
        """A step succeeded; with its attempt, where one was made."""
        if attempt is not None:
            self._running.discard(attempt)
        if not self._is_settled:
            if self.state.waits:
                self.waits.leave(step)
            key = flows.key_of(self, node, event) if self._has_special else ""
            self.record(msgspec.structs.replace(event, key=key) if key else event, blobs)
            if key and not self._is_settled:
                self.kernel.store.remember(self.lease, key)
        if attempt is not None or self._is_pooled or self._open == self._idle + 1:
            self._leave(step, node, attempt)
        else:
            self._open -= 1  # nothing can follow but what `record` has sent on its way

    def failed(self, attempt: Attempt, error: events.Error, *, retryable: bool, now: int, duration_ms: int) -> None:
        """An attempt failed: another one follows, or the step has failed."""
        self._running.discard(attempt)
        step = attempt.step
        if self._is_settled:
            self._leave(step, attempt.node, attempt)
            return
        event = decide.after_failure(
            self.state,
            step,
            error,
            retryable=retryable,
            now=now,
            chance=self._chances.random(),
            duration_ms=duration_ms,
        )
        self.kernel.log_failure(self.state.run_id, event)
        if isinstance(event, events.StepFailed):
            self.waits.leave(step)
        self.record(event)
        if self.state.halt:
            self.halt()
        elif isinstance(event, events.AttemptFailed) and not event.failure:
            self._open += 1
            self._delay(step, event.retry_at)
        self._leave(step, attempt.node, attempt)

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
        self._leave(attempt.step, attempt.node, attempt)

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

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled."""
        for listener in list(self.listeners):
            listener(event)

    def note(self, event: events.Event) -> None:
        """Record an event from before anything is on its way."""
        apply(self.state, event)
        self.kernel.store.append(self.lease, event)

    def recognise(self) -> None:
        """Actions were registered: steps that waited for them can start."""
        known = [step for step, name in self._held.items() if name in self._actions]
        for step in known:
            del self._held[step]
        self._idle -= len(known)
        if known:
            self.release(known)

    def halt(self) -> None:
        """Cut off what runs, and forget what is delayed."""
        left = self._delays.clear() + len(self._asleep) + len(self._held)
        self._asleep.clear()
        self._held.clear()
        self._idle -= left
        self._open -= left + self.kernel.ready.withdraw(self.start)
        self.waits.close()
        self._rest.close()
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
        self._let_go()

    def park(self, event: events.RunParked) -> None:
        """Give up tasks and owner until a wait is due or answered, or an order comes."""
        self.record(event)
        self._let_go()
        self.kernel.finished(self)

    def _let_go(self) -> None:
        """Close all code as if the process had died."""
        self._is_settled = True
        self.kernel.ready.withdraw(self.start)
        self._forget_timers()
        for attempt in list(self._running):
            attempt.over()
            if attempt.task is not None:
                attempt.task.cancel()
        self._running.clear()

    def reopen(self, lease: Lease, state: State) -> None:
        """Go on after all: the store did not let the run end, as an order had come in."""
        self.lease, self.state = lease, state
        self._is_settled = False
        self.begin(state.ready())

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of the run is ready or running."""
        return self._open == self._idle

    def next_attempt(self) -> int | None:
        """When the first delayed attempt is due, in milliseconds since 1970; None: there is none."""
        return self._delays.next_due()

    def held(self) -> str:
        """Which steps cannot start here, and why; empty: none."""
        named = [f"{step!r}: action {name!r} is not registered here" for step, name in self._held.items()]
        return "; ".join(named[:3])

    def _delay(self, step: str, retry_at: int) -> None:
        def due() -> None:
            if not self._delays.end(step):
                return
            stuck = self.kernel.abandoned.get((self.state.run_id, step))
            if stuck is not None:
                # at most until the run's own timeout, which forgets it like any other delay
                stuck.on_released = due
                self._delays.hold(step, due)
                return
            self._idle -= 1
            self._rest.over()
            node = self.state.pending[step].node
            self.kernel.ready.add((self.start, step), node.priority, self._pools_of(step, node))
            self.kernel.wake()

        self._delays.add(step, retry_at, self.now_ms(), due)
        self._idle += 1

    def _leave(self, step: str, node: Node, attempt: Attempt | None = None) -> None:
        if attempt is not None and attempt.is_resting:
            attempt.is_resting = False
            self._idle -= 1
        elif attempt is None or self._returning.pop(attempt, None) is None:
            self._release(step, node)
        self._open -= 1
        self.step_over()

    def _release(self, step: str, node: Node) -> None:
        if pools := self._pools_of(step, node):
            self.kernel.ready.release(pools)
            self.kernel.wake()

    def step_over(self) -> None:
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
            self.kernel.loop.call_soon(self.step_over)
            return
        if self._is_settled or self._open != self._idle:
            return
        if self._open:
            self._rest.quiet()
        else:
            self._settle()

    def _check_limits(self) -> None:
        if self._is_settled:
            return
        reached = decide.limit(self.state, self.now_ms())
        if reached is not None:
            self.record(reached)
            self.halt()
            self.step_over()

    def _settle(self) -> None:
        self._is_settled = True
        self._forget_timers()
        self.record(decide.settle(self.state, self.now_ms()))
        self.kernel.finished(self)

    def _forget_timers(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._delays.clear()
        self.waits.close()
        self._rest.close()


def _deliver(answered: asyncio.Future[None]) -> None:
    if not answered.done():  # the code that awaited it may have been cancelled
        answered.set_result(None)
