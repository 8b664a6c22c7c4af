"""A run while this process owns it: what was decided is applied and appended at once, in journal order (I3)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from dagger.core import decide, events
from dagger.core.codec import Blob
from dagger.core.errors import StoreError
from dagger.core.fold import apply
from dagger.core.graph import Node
from dagger.core.journal import Lease
from dagger.core.messages import Agent
from dagger.core.state import State
from dagger.engine import children, flows, iterations
from dagger.engine.attempt import Attempt
from dagger.engine.begin import begin
from dagger.engine.delays import chance
from dagger.engine.durable import Durable
from dagger.engine.kernel import Kernel
from dagger.engine.limits import Limits
from dagger.engine.looking import is_stuck, look
from dagger.engine.mail import Mail
from dagger.engine.maps import Maps
from dagger.engine.orders import is_served, obey, pause
from dagger.engine.posts import Posts, bind, is_removed, remove
from dagger.engine.publishing import Publishing
from dagger.engine.rest import Rest
from dagger.engine.sources import Sources
from dagger.engine.underway import Underway
from dagger.engine.waits import Waits
from dagger.spec.action import Action
from dagger.spec.gathering import ROOM

SKIPS_AT_ONCE = 250
"""About a millisecond: so long others wait at most while a failure's many dependents are skipped."""


class Tenure(Sources):
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
        self.known_actions = actions
        self.maps = Maps(self)
        self.mail = Mail(self)
        self.payload = self.mail.payload
        self.publishing = Publishing(self, actions)
        self.message = self.publishing.message
        self.keys: dict[str, str] = {}
        """Of steps at work that may be reused: what their work is known by."""
        self.underway = Underway(self, actions)
        self._rest = Rest(self)
        self.limits = Limits(self)
        self.spent, self.reserve = self.limits.spent, self.limits.hold
        self._running: set[Attempt] = set()
        """Attempts whose code is suspended, or elsewhere."""
        self._beginning = ""
        """The step whose code runs right now, and has not suspended yet."""
        self._is_settled = self._is_gated = False
        self._durable = Durable(kernel)
        self.posts = Posts(self)
        self.post = self.posts.add

    @property
    def is_settled(self) -> bool:
        """Whether the run has paused or ended, durably or not, or was let go of."""
        return self._is_settled

    def begin(self, ready: list[str], *, was_parked: bool = False) -> None:
        """Start what is ready, and watch the clock. `was_parked`: all code that was begun did nothing but wait."""
        underway, state = self.underway, self.state
        self.context.run(ROOM.set, state.config.max_messages)
        # else code with an open wait may have more to do than to wait, and runs again, from its top
        asleep = {step for step in state.waits if state.is_waiting(step)} if was_parked else set()
        ready = [step for step in ready if step not in asleep]
        underway.begin(asleep)
        underway.open += 1  # as long as this goes on, the run cannot be over
        self.waits.begin()
        self._is_gated = not self.kernel.store.is_immediate
        for order in self.lease.orders:
            obey(self, order)
        self.submit(ready)
        if state.halt:
            self.halt()
        # from here on, what is ready waits for the disk only if the run's durability says so
        self._is_gated = self._is_gated and self.state.config.durability == "sync"
        self.limits.watch()
        underway.open -= 1
        self.step_over()

    def look_at(self, node: Node) -> None:
        """Note what a new node asks of the loop."""
        self.underway.look_over([node])

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
        self.underway.open += len(steps)
        if self._is_gated and self.state.agents:
            durable, steps = self._durable.parted(self.state, steps)
            if durable:
                self.underway.queue(durable)
        if not (self._is_gated or self.kernel.store.is_behind):
            self.underway.queue(steps)
        elif steps:
            self.kernel.gate(self, steps)

    def release(self, steps: list[str]) -> None:
        """What made these steps ready is durable."""
        self.underway.queue(steps)

    def rouse(self) -> None:
        """Something of the run is ready again: it does not wait any more."""
        if self._rest.over():
            self.limits.watch()

    def start(self, step: str, task: asyncio.Task[None]) -> Attempt | None:
        """Begin a step's next attempt, unless the run halts. Gives it if its code is suspended: see attempt.begin."""
        waiting = self.state.pending.get(step)
        if waiting is None or self.state.halt or self._is_settled:
            self._leave(step)
            return None
        if waiting.message is not None and not (waiting.message.payload or self.mail.is_here(waiting.message)):
            self.underway.wait_for_disk(step, waiting.node)  # its payload can be read when it is durable
            return None
        self._beginning = step
        attempt = begin(self, step, waiting.node, waiting.failures + 1, task)
        self._beginning = ""
        return attempt

    def look(self, step: str, task: asyncio.Task[None]) -> None:
        """Do what a step does instead of an attempt; if it does nothing, it waits for its slots."""
        look(self, step)

    def suspended(self, attempt: Attempt) -> None:
        """The attempt's code did not return at once: it is journalled, and its deadline watched."""
        self._running.add(attempt)
        self.record(events.StepStarted(at=attempt.started_ms, step=attempt.step, attempt=attempt.number))
        # where the run has less time left, its own deadline cuts the attempt off
        self.watch(attempt)

    def watch(self, attempt: Attempt) -> None:
        """Set the timer of an attempt's own deadline."""
        seconds = attempt.node.timeout - (self.kernel.now_ms - attempt.started_ms - attempt.rested_ms) / 1000
        attempt.timer = self.kernel.timers.after(seconds, lambda: attempt.cut("timeout"))

    def rest(self, attempt: Attempt) -> None:
        """The attempt's code waits for nothing but open waits."""
        self.underway.rest(attempt)
        self.step_over()

    def ended(
        self, step: str, node: Node, event: events.StepSucceeded, blobs: Sequence[Blob], attempt: Attempt | None = None
    ) -> None:
        """A step succeeded; with its attempt, where one was made."""
        if attempt is not None:
            self._running.discard(attempt)
        if not self._is_settled:
            flows_left = self.waits.leave(step) if self.state.waits else ()
            replied = self.state.pending[step].message if event.reply is not msgspec.UNSET else None
            key = flows.key_of(self, event) if self.keys else ""
            self.record(msgspec.structs.replace(event, key=key) if key else event, blobs)
            if key and not self._is_settled:
                self.kernel.store.remember(self.lease, key)
            if flows_left:
                self.drop(flows_left)
            if replied is not None and not self._is_settled:
                self.waits.replied(replied)
            if event.messages:
                self.mailed()
            if self.posts.waiting:
                self.posts.left(node)
            if event.result is not msgspec.UNSET and not self._is_settled:
                iterations.finish(self, step)
                if self.posts.waiting and is_served(self.state):
                    self.posts.close()
        underway = self.underway
        if attempt is not None or underway.is_pooled or underway.open == underway.idle + 1:
            self._leave(step, attempt)
        else:
            underway.open -= 1  # nothing can follow but what `record` has sent on its way

    def mailed(self) -> None:
        """Messages were published: there may be a limit of how many."""
        limit = self.state.config.max_messages
        if limit is not None and self.state.messages > limit:
            self.limits.check()

    def open_child(self, attempt: Attempt, key: str, spec: object, inputs: Mapping[str, Any]) -> None:
        """Begin a child flow for the attempt's code: see engine/children."""
        children.open_child(self, attempt, key, spec, inputs)

    def drop(self, flows_left: Sequence[str]) -> None:
        """Give up child flows that nobody waits for any more: see engine/children."""
        for child in flows_left:
            if not self._is_settled:
                children.drop_child(self, child, self._running)

    def failed(self, attempt: Attempt, error: events.Error, *, retryable: bool, now: int, duration_ms: int) -> None:
        """An attempt failed: another one follows, or the step has failed."""
        self._running.discard(attempt)
        step = attempt.step
        if self._is_settled:
            self._leave(step, attempt)
            return
        event = decide.after_failure(
            self.state,
            step,
            error,
            retryable=retryable and not is_removed(self.state, attempt.node),
            now=now,
            chance=chance(self.state),
            duration_ms=duration_ms,
        )
        if attempt.is_abandoned:
            event = msgspec.structs.replace(event, is_abandoned=True)
        self.kernel.log_failure(self.state.run_id, event)
        is_tried_again = isinstance(event, events.AttemptFailed) and not event.failure
        flows_left = [] if is_tried_again else self.waits.leave(step, is_stuck=is_stuck(event))
        self.record(event)
        self.drop(flows_left)
        self.posts.left(attempt.node)
        if self.state.halt:
            self.halt()
        elif isinstance(event, events.AttemptFailed) and is_tried_again:
            self.underway.open += 1
            self.underway.delay(step, event.retry_at)
        self._leave(step, attempt)

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
                is_abandoned=attempt.is_abandoned,
            )
            self.record(event)
        self._leave(attempt.step, attempt)

    def abandoned(self, attempt: Attempt) -> None:
        """An attempt's code cannot be stopped; the step's next attempt waits for it."""
        self.kernel.abandoned[self.state.run_id, attempt.step] = attempt
        self.kernel.log_abandoned(self.state.run_id, attempt)

    def released(self, attempt: Attempt) -> None:
        """Abandoned code has ended."""
        self.kernel.abandoned.pop((self.state.run_id, attempt.step), None)

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled."""
        for listener in list(self.listeners):
            listener(event)

    def note(self, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """Record an event from before anything is on its way."""
        apply(self.state, event)
        self.kernel.store.append(self.lease, event, blobs)

    def recognise(self) -> None:
        """Actions were registered: steps that waited for them can start."""
        self.underway.recognise()

    def bind(self, agent: Agent) -> None:
        """An agent was registered: see engine/posts."""
        bind(self, agent)

    def remove(self, name: str) -> None:
        """An agent was removed: see engine/posts."""
        remove(self, name, {self._beginning, *(attempt.step for attempt in self._running)})

    @property
    def is_kept_alive(self) -> bool:
        """Whether it waits for messages from outside where nothing is left to do."""
        return self.state.keep_alive and self.state.result is None and not self.is_halting

    def halt(self) -> None:
        """Cut off what runs, and forget what is delayed."""
        self.posts.close()
        self.underway.clear()
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
        if not self._is_settled:
            self._let_go()

    def leave(self, error: BaseException) -> None:
        """The application is closed: a run that only waits is parked, any other let go of."""
        if not self._rest.park_now():
            self.kernel.let_go(self, error)

    def park(self, event: events.RunParked) -> None:
        """Give up tasks and owner until a wait is due or answered, or an order comes."""
        self.record(event)
        self._let_go()
        self.kernel.finished(self)

    def _let_go(self) -> None:
        """Close all code as if the process had died."""
        self._is_settled = True
        self._close_duties()
        self.underway.close(self._running)
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
    def is_halting(self) -> bool:
        """Whether nothing new starts."""
        return self._is_settled or bool(self.state.halt)

    def _leave(self, step: str, attempt: Attempt | None = None) -> None:
        if attempt is not None:
            self.limits.release(attempt)
        self.underway.leave(step, attempt)
        self.step_over()

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
        if self._is_settled or not self.underway.is_quiet:
            return
        if self.is_kept_alive or (self.underway.open and self._rest.has_reason):
            self._rest.quiet()
            return
        if self.underway.open and state.stuck and not state.halt:
            pause(self, decide.stuck(state))  # what still waits, waits for what goes on when the run is resumed
            return
        if self.underway.open:
            self.halt()
        if not (self.underway.open or self._is_settled):  # else code cleans up
            self._settle()

    def _settle(self) -> None:
        self._is_settled = True
        self._close_duties()
        self.record(decide.settle(self.state, self.now_ms()))
        self.kernel.finished(self)

    def _close_duties(self) -> None:
        for duty in (self.posts, self.limits, self.waits, self._rest):
            duty.close()
