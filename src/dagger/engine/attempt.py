"""One attempt: bind the inputs, run the action under its deadline, hand back what became of it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dagger.core import codec, events
from dagger.core.decide import config_of
from dagger.core.errors import AttemptTimedOut, DaggerError, RequestTimedOut
from dagger.core.graph import Node
from dagger.core.messages import named
from dagger.core.reviews import REVIEW
from dagger.core.state import Wait
from dagger.engine.binding import Source
from dagger.engine.collecting import Answer
from dagger.engine.context import AttemptContext
from dagger.engine.elsewhere import attempt_input, in_process, in_thread
from dagger.engine.processes import Process, Processes
from dagger.engine.result import Success, as_taken_now, is_retryable, success, told
from dagger.engine.threads import Threads
from dagger.engine.timers import Timer, Timers
from dagger.engine.trampoline import go_on
from dagger.spec.action import Action
from dagger.spec.context import FlowReport
from dagger.spec.gathering import IS_OVER

GRACE_SECONDS = 5.0
"""How long a cancelled coroutine may take to clean up before it is given up, as a thread is at once."""
LOADING_MS = 60_000
"""How long a process may take to start and to load the code, beside the attempt's own time."""


class Machine(Protocol):
    """What an attempt needs of the kernel."""

    threads: Threads
    processes: Processes
    timers: Timers
    now_ms: int

    def tick(self) -> int:
        """Read the clock."""

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        """Have the event loop call `call`."""

    def on_loop(self, call: Callable[[], None]) -> None:
        """Call it now on the event loop's thread, soon on another."""

    def is_stopping(self) -> bool:
        """Whether the event loop is shutting down."""

    def breathe(self) -> None:
        """Let other threads in now and then."""

    def durable(self) -> asyncio.Future[None]:
        """Done when all that was appended until now is durable."""

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """What the question comes to on the event loop; for other threads."""


class Waits(Protocol):
    """What an attempt needs of its run's waits: see engine/waits."""

    def open(self, attempt: Attempt, kind: str, key: str, detail: bytes = b"", wake_at: int | None = None) -> Wait: ...
    async def answer_of(self, attempt: Attempt, key: str) -> Wait: ...
    def leave(self, step: str) -> list[str]: ...
    def request(self, attempt: Attempt, key: str, channel: str, text: bytes, seconds: float | None) -> None: ...
    def answer(
        self,
        step: str,
        key: str,
        value: bytes = b"",
        blobs: list[codec.Blob] | None = None,
        *,
        who: str = "",
        order: str = "",
    ) -> None: ...


class OwnedRun(Source, Protocol):
    """What an attempt needs of its run, and the kernel of an attempt's run: see Tenure."""

    now_ms: Callable[[], int]
    context: contextvars.Context

    @property
    def kernel(self) -> Machine: ...
    @property
    def waits(self) -> Waits: ...
    def tell(self, event: events.Event) -> None: ...
    def action(self, node: Node) -> Action: ...
    def suspended(self, attempt: Attempt) -> None: ...
    def watch(self, attempt: Attempt) -> None: ...
    def ended(
        self,
        step: str,
        node: Node,
        event: events.StepSucceeded,
        blobs: Sequence[codec.Blob],
        attempt: Attempt | None = None,
    ) -> None: ...
    def failed(self, attempt: Attempt, error: events.Error, *, retryable: bool, now: int, duration_ms: int) -> None: ...
    def cut_off(self, attempt: Attempt) -> None: ...
    def abandoned(self, attempt: Attempt) -> None: ...
    def released(self, attempt: Attempt) -> None: ...
    def spent(self, attempt: Attempt, count: int) -> None: ...
    def reserve(self, attempt: Attempt, count: int) -> bool: ...
    def grown(self, attempt: Attempt, event: events.StepSucceeded) -> tuple[Node, ...]: ...
    def open_child(self, attempt: Attempt, key: str, spec: object, inputs: Mapping[str, Any]) -> None: ...


class Attempt:
    """One try of a step that sees its context, or whose code did not end at once."""

    __slots__ = ("action", "awaits", "context", "coroutine", "ctx", "cut_reason", "is_abandoned", "is_over",
                 "is_resting", "node", "number", "on_released", "process", "rested_ms", "started_ms", "step", "task",
                 "tenure", "timer", "yielded")  # fmt: skip

    def __init__(  # noqa: PLR0917 - made in `begin` only
        self, tenure: OwnedRun, step: str, node: Node, number: int, started_ms: int, context: contextvars.Context
    ) -> None:
        self.tenure = tenure
        self.step = step
        self.node = node
        self.number = number
        """Starts at 1."""
        self.started_ms = started_ms
        self.context = context
        self.ctx: AttemptContext | None = None
        self.timer: Timer | None = None
        self.task: asyncio.Task[None] | None = None
        """The worker that runs it, while its code is suspended."""
        self.process: Process | None = None
        """What runs its code, if a process does."""
        self.action: Action | None = None
        """Of code that has begun: its agent may be removed meanwhile."""
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.yielded: Any = None
        """What its code waits for."""
        self.awaits: dict[asyncio.Future[None], asyncio.Task[Any] | None] = {}
        """See engine/awaiting."""
        self.is_resting = False
        """Its code awaits nothing but open waits: it holds no slots, and its clock stands still."""
        self.rested_ms = 0
        """How long it rested so far; while it rests, less the time when it began to."""
        self.cut_reason = ""
        """Why the kernel cancelled it: it is to end, however it ends."""
        self.is_over = False
        """Its end is in the journal, or it was cut off."""
        self.is_abandoned = False
        """It is over for the kernel, but its code still runs."""
        self.on_released: Callable[[], None] | None = None
        """What waits for abandoned code to end."""

    def suspend(self, coroutine: Coroutine[Any, Any, Any], yielded: Any, task: asyncio.Task[None]) -> None:
        """Note that the code waits for something."""
        self.coroutine, self.yielded, self.task = coroutine, yielded, task
        self.tenure.suspended(self)
        if self.tenure.state.halt:  # its own doing: it has spent the last token
            self.cut("halt")

    async def proceed(self) -> None:
        """Run the suspended code to its end, in the worker's own task."""
        coroutine = self.coroutine
        assert coroutine is not None
        try:
            result = await go_on(self, coroutine, self.tenure.kernel.breathe)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - user code raises anything
            self._ended(error, None)
        else:
            self._ended(None, lambda: self.succeed(result))

    def begin_elsewhere(self, action: Action) -> None:
        """Run the code in a thread, or in a process that a thread speaks with."""
        tenure = self.tenure
        if action.runs_in == "process":
            given = attempt_input(tenure, self, action)
            self.process = tenure.kernel.processes.take()
            if given.address not in self.process.loaded:
                self.rested_ms = LOADING_MS
            work = in_process(tenure, self, given, self.process)
        else:
            self.context.run(IS_OVER.set, lambda: self.is_over)
            work = in_thread(tenure, self, action)
        tenure.suspended(self)

        def do() -> None:
            ended = functools.partial(self._ended, None, None)
            try:
                if not self.is_over:  # it may have been cut off meanwhile
                    ended = functools.partial(self._ended, None, functools.partial(self._record, work()))
            except BaseException as error:  # noqa: BLE001 - it is handed to the loop
                ended = functools.partial(self._ended, error, None)
            tenure.kernel.call_soon_threadsafe(ended)

        tenure.kernel.threads.submit(do)

    async def began(self) -> int:
        """Its process had to be started first, and the code loaded: the time for that is not the attempt's."""
        if not (self.is_over or self.cut_reason):
            self.rested_ms = self.tenure.kernel.tick() - self.started_ms
            if self.timer is not None:
                self.timer.cancel()
            self.tenure.watch(self)
        return self.deadline_ms()

    def _ended(self, error: BaseException | None, record: Callable[[], None] | None) -> None:
        """Its code has ended, with an error or something to record; who ended it decides what that means."""
        if self.process is not None:
            self.tenure.kernel.processes.give_back(self.process)
            self.process = None
        if self.is_over:
            self._released()
        elif self.cut_reason == "timeout":
            self.fail(self._timed_out())
        elif record is not None:
            record()  # where it was cut off, it finished all the same
        elif self.cut_reason:
            self.tenure.cut_off(self)
        elif isinstance(error, asyncio.CancelledError) and self.tenure.kernel.is_stopping():
            self.over()  # the event loop is shutting down: as if the process had died
        elif error is not None:
            self.fail(error)

    def cut(self, reason: str) -> None:
        """Make the attempt end: `timeout`, or because the run halts. A thread cannot be made to: it is abandoned."""
        if self.is_over or (self.cut_reason and reason == "timeout"):
            return
        first = not self.cut_reason
        self.cut_reason = reason
        if self.task is None and self.process is None:
            self._abandon()
        elif first:
            if self.task is not None:
                self.task.cancel()
            if self.process is not None:
                self.process.kill()
            if self.timer is not None:
                self.timer.cancel()
            self.timer = self.tenure.kernel.timers.after(GRACE_SECONDS, self._abandon)

    def _abandon(self) -> None:
        """Go on without waiting for the code to end."""
        if self.is_over:
            return
        self.is_abandoned = True
        self.tenure.abandoned(self)
        if self.cut_reason == "timeout":
            self.fail(self._timed_out())
        else:
            self.tenure.cut_off(self)

    def _released(self) -> None:
        """Abandoned code has ended at last."""
        if self.is_abandoned:
            self.is_abandoned = False
            self.tenure.released(self)
            if self.on_released is not None:
                self.on_released()

    def _timed_out(self) -> AttemptTimedOut:
        message = f"{named(self.node)}: attempt {self.number} timed out after {self.node.timeout:g} s"
        if self.is_abandoned:
            message += "; its code could not be stopped and still runs"
        return AttemptTimedOut(message)

    def succeed(self, result: object) -> None:
        """Record the success with all of its effects."""
        assert self.action is not None
        try:
            made = success(self.tenure, self, self.action, self.ctx, result)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a user's type may raise anything while it is encoded
            self.fail(error)
            return
        self._record(made)

    def _record(self, made: Success) -> None:
        now = self.over()
        try:
            event = as_taken_now(self.tenure, self.node, made)
            nodes = self.tenure.grown(self, event) if event.nodes or self.node.iteration is not None else ()
        except DaggerError as error:  # another step was faster, with a node of the same id, or an agent has come
            self.fail(error)
            return
        event = msgspec.structs.replace(event, at=now, duration_ms=now - self.started_ms, nodes=nodes)
        self.tenure.ended(self.step, self.node, event, made.blobs, self)

    def fail(self, error: BaseException) -> None:
        """Record the failure: decided elsewhere whether another attempt follows."""
        now = self.over()
        self.tenure.failed(self, told(error), retryable=is_retryable(error), now=now, duration_ms=now - self.started_ms)

    def over(self) -> int:
        """Close the context, forget the deadline; a process that still runs the code is killed. Returns the time."""
        self.is_over = True
        if self.process is not None:
            self.process.kill()
        if self.ctx is not None:
            self.ctx.close()
        if self.timer is not None:
            self.timer.cancel()
        return self.tenure.kernel.tick()

    def spend(self, count: int) -> None:
        """Count tokens, at once; from whichever thread."""
        self.tenure.kernel.on_loop(lambda: self.tenure.spent(self, count))

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled; from whichever thread."""
        self.tenure.kernel.on_loop(lambda: self.tenure.tell(event))

    async def wait(self, kind: str, key: str, seconds: float) -> None:
        """Wait until that many seconds have passed since the step first came to this wait. Raises WaitMismatch."""
        waits = self.tenure.waits
        waits.open(self, kind, key, wake_at=self.tenure.kernel.tick() + round(seconds * 1000))
        await waits.answer_of(self, key)

    async def review(self, key: str, question: bytes, minutes: float | msgspec.UnsetType | None) -> bytes:
        """The answer to a question, as JSON text; `minutes` unset: as the config says. Raises WaitMismatch."""
        tenure = self.tenure
        if minutes is msgspec.UNSET:
            minutes = config_of(tenure.state, self.step).human_wait_minutes
        wake_at = None if minutes is None else tenure.kernel.tick() + round(minutes * 60_000)
        tenure.waits.open(self, REVIEW, key, question, wake_at)
        wait = await tenure.waits.answer_of(self, key)
        return codec.resolve(wait.value, tenure.load) if wait.value else b"null"

    async def execute(self, key: str, spec: object, inputs: Mapping[str, Any]) -> FlowReport:
        """What becomes of a child flow. Raises WaitMismatch, and what starting a run of it would raise."""
        tenure = self.tenure
        tenure.open_child(self, key, spec, inputs)
        wait = await tenure.waits.answer_of(self, key)
        return msgspec.json.decode(codec.resolve(wait.value, tenure.load), type=FlowReport)

    async def request(self, key: str, channel: str, text: bytes, seconds: float | None) -> bytes:
        """The reply to a message, as JSON text. Raises WaitMismatch, RequestTimedOut, and what publishing raises."""
        tenure = self.tenure
        tenure.waits.request(self, key, channel, text, seconds)
        wait = await tenure.waits.answer_of(self, key)
        if not wait.value:
            message = f"{named(self.node)}: request: nobody replied on channel {channel!r} within {seconds:g} s"
            raise RequestTimedOut(message)
        return codec.resolve(wait.value, tenure.load)

    async def reserve(self, count: int) -> None:
        """Hold tokens until they are spent, or the attempt is over."""
        if self.tenure.reserve(self, count):
            return
        await asyncio.get_running_loop().create_future()  # the limit is reached: the attempt is being cut off

    async def recall(self, key: str) -> bytes | None:
        """The result that the journal has of a memo; None: its function has not succeeded yet. Raises WaitMismatch."""
        self._require_going_on()
        wait = self.tenure.waits.open(self, "memo", key)
        return None if wait.is_open else codec.resolve(wait.value, self.tenure.load)

    async def memorise(self, key: str, text: bytes) -> None:
        """Journal the result of a memo; under `sync` until it is on disk."""
        self._require_going_on()
        blobs: list[codec.Blob] = []
        self.tenure.waits.answer(self.step, key, bytes(codec.sealed(text, blobs)), blobs=blobs)
        if self.tenure.state.config.durability == "sync":
            await self.tenure.kernel.durable()

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """What the question comes to on the event loop; for other threads."""
        return self.tenure.kernel.ask(question)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.tenure.now_ms()

    def _require_going_on(self) -> None:
        if self.ctx is not None:
            self.ctx.require_open()

    def rest(self, now: int) -> None:
        """Its code awaits nothing but open waits: its clock stands still."""
        self.is_resting = True
        self.rested_ms -= now
        if self.timer is not None:
            self.timer.cancel()

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970: its node's timeout, or the run's remaining time."""
        remaining = self.tenure.state.remaining_ms(self.started_ms)
        own = int(self.node.timeout * 1000)
        return self.started_ms + self.rested_ms + (own if remaining is None else min(own, remaining))
