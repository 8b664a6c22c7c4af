"""Take a ready step, attempt, decide, append, apply: the loop, shared by all runs of one application.

A pool of long-lived worker tasks takes steps from one queue. Leader and followers: before a worker runs user
code it sees to it that another one is coming if more is ready. So the pool grows only when code suspends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dagger.core import events
from dagger.core.decide import FOLLOWS
from dagger.core.errors import DaggerError, OrdersUnread
from dagger.core.journal import Lease, Store
from dagger.core.messages import Agent
from dagger.core.orders import AnyOrder, Publish
from dagger.core.reviews import Question
from dagger.core.state import State, Wait
from dagger.engine.attempt import GRACE_SECONDS, Attempt, OwnedRun
from dagger.engine.collecting import LOGGER, Answer
from dagger.engine.orders import Ordered, obey
from dagger.engine.pools import Pools, ReadyQueue
from dagger.engine.processes import Processes
from dagger.engine.replay import replay
from dagger.engine.threads import Threads
from dagger.engine.timers import Clock, Timer, Timers
from dagger.spec.action import Action

SLICE_MS, SLICE_STEPS = 2, 500
"""How long, and how far, a worker goes on before it lets the event loop turn: timers, I/O and other tasks wait no
longer. It is the engine's clock that counts, as it is read anyhow; a virtual one stands still meanwhile."""
BUSY_SECONDS = 0.005
"""So long code may keep the interpreter from other threads: as long as it keeps it from one that asks."""
REST_SECONDS = 0.000_05
"""As long as a thread takes to wake up."""
IDLE_WORKERS = 64
"""Workers kept for the next steps that suspend; more retire."""


class Tenant(OwnedRun, Ordered, Protocol):
    """What the kernel needs of a run: see Tenure."""

    state: State
    now_ms: Callable[[], int]
    lease: Lease
    done: asyncio.Future[None]
    listeners: set[Callable[[events.Event], None]]

    def release(self, steps: list[str]) -> None: ...
    def recognise(self) -> None: ...
    def reopen(self, lease: Lease, state: State) -> None: ...
    def bind(self, agent: Agent) -> None: ...
    def remove(self, name: str) -> None: ...
    def post(self, order: Publish, done: asyncio.Future[int] | None = None) -> None: ...
    def leave(self, error: BaseException) -> None: ...
    def discard(self, error: BaseException) -> None: ...


class Kernel:
    """Workers, timers, threads and the store of one application on one event loop. A store's Listener."""

    def __init__(
        self, store: Store, clock: Clock, loop: asyncio.AbstractEventLoop, actions: Mapping[str, Action]
    ) -> None:
        self.store = store
        self.clock = clock
        self.loop = loop
        self.timers = Timers(loop)
        self.threads = Threads()
        self.processes = Processes()
        self.pools = Pools(actions)
        """What the steps of an action take slots of, by its name."""
        self.abandoned: dict[tuple[str, str], Attempt] = {}
        """By run and step: the attempt whose code could not be stopped and still runs."""
        self._breath_at = 0.0
        """When a busy loop lets other threads in."""
        self._failure: BaseException | None = None
        """Why the store takes nothing more."""
        self.ready = ReadyQueue(self.timers, loop.time, self.wake)
        self.now_ms = 0
        """The clock as it was last read: the time, until the event loop turns."""
        self.tenures: dict[str, Tenant] = {}
        self.on_due: Callable[[str], None] = lambda _: None
        """Told when a run is due that was parked here."""
        self.open_flow: Callable[[Any, Mapping[str, Any]], Any]
        """Gives a child flow, of a spec and inputs, as engine/children wants it; the application sets it."""
        self._alarms: dict[str, Timer] = {}
        """When runs that were parked here are due."""
        self._is_closing = False
        self._reopening: set[Tenant] = set()
        """Runs that the store did not let end, until they are claimed anew."""
        self._thread = threading.get_ident()
        self._gated: deque[tuple[int, Tenant, list[str]]] = deque()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self.durable_batch = store.batch if store.is_immediate else store.batch - 1
        """All batches up to this one are durable."""
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self.is_coming = False
        """Whether a worker is on its way to the queue."""
        self._keeper = loop.create_task(self._keep(), name="dagger-keeper")
        clock.watch(lambda: store.is_busy or self.threads.is_busy)

    # -- steps -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """See to it that a worker comes to the queue."""
        if self.is_coming or not self.ready:
            return
        self.is_coming = True
        while self._idle:
            waiting = self._idle.pop()
            if not waiting.done():
                waiting.set_result(None)
                return
        worker = self.loop.create_task(self._work(), name="dagger-worker")
        self._workers.add(worker)
        worker.add_done_callback(self._retired)

    def breathe(self) -> None:
        """Give the interpreter away now and then: code that computes between its turns would starve other threads."""
        if time.perf_counter() >= self._breath_at:
            time.sleep(REST_SECONDS)
            self._breath_at = time.perf_counter() + BUSY_SECONDS

    def tick(self) -> int:
        """Read the clock."""
        self.now_ms = now_ms = self.clock.now_ms()
        return now_ms

    async def _work(self) -> None:
        """Take and attempt steps until there are none, or until a late cancel might hit the next one."""
        task = asyncio.current_task()
        assert task is not None
        ready = self.ready
        while True:
            self.is_coming = False
            until, left = self.tick() + SLICE_MS, SLICE_STEPS
            while (due := ready.pop()) is not None:
                left -= 1
                if not self.is_coming:
                    self.wake()
                start, step = due
                if (attempt := start(step, task)) is not None:
                    await attempt.proceed()
                    if task.cancelling():
                        return
                    until, left = self.tick() + SLICE_MS, SLICE_STEPS
                elif task.cancelling():
                    return  # its code cancelled the task that it ran in
                elif not left or self.now_ms >= until:
                    self.store.flush()
                    await asyncio.sleep(0)
                    until, left = self.tick() + SLICE_MS, SLICE_STEPS
            self.store.flush()
            if len(self._idle) >= IDLE_WORKERS:
                return
            rest = self.loop.create_future()
            self._idle.append(rest)
            await rest

    def _retired(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            # a bug of ours: no run may hang for it
            LOGGER.critical("a worker failed; its runs are let go", exc_info=error)
            told = DaggerError(f"a bug in Dagger, please report it: {type(error).__name__}: {error}")
            for tenure in list(self.tenures.values()):
                self.let_go(tenure, told)
        if not self.is_stopping():
            self.is_coming = False
            self.wake()

    # -- durability --------------------------------------------------------------------------------------

    def gate(self, tenure: Tenant, steps: list[str]) -> None:
        """Hold steps back until the open batch is durable (I3)."""
        self._gated.append((self.store.batch, tenure, steps))

    def durable(self) -> asyncio.Future[None]:
        """Done when all that was appended until now is durable."""
        future = self.loop.create_future()
        last = self.store.flush()
        if self._failure is not None:
            future.set_exception(self._failure)
        elif last <= self.durable_batch:
            future.set_result(None)
        else:
            self._waiters.append((last, future))
        return future

    def committed(self, batch: int) -> None:
        """See Listener."""
        self.durable_batch = batch
        while self._gated and self._gated[0][0] <= batch:
            _, tenure, steps = self._gated.popleft()
            tenure.release(steps)
        while self._waiters and self._waiters[0][0] <= batch:
            future = self._waiters.popleft()[1]
            if not future.done():
                future.set_result(None)
        self.wake()

    def lost(self, lease: Lease, error: Exception) -> None:
        """See Listener."""
        tenure = self.tenures.get(lease.run_id)
        if tenure is None or tenure.lease is not lease:
            return
        if isinstance(error, OrdersUnread):
            self._reopening.add(tenure)
            self.keep(self._reopen(tenure))
        else:
            self.let_go(tenure, error)

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in a task of its own, until it is done or the application is closed."""
        task = self.loop.create_task(work, name="dagger-duty")
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)

    async def _reopen(self, tenure: Tenant) -> None:
        """Claim a run anew that was about to end when an order came in, and go on with it."""
        run_id = tenure.state.run_id
        try:
            lease = await self.store.claim(run_id)
            self._reopening.discard(tenure)  # first: it may end at once
            tenure.reopen(lease, replay(self.store, run_id))
        except Exception as error:  # noqa: BLE001 - whoever waits for the run is told
            self._reopening.discard(tenure)
            self.let_go(tenure, error)

    def ordered(self, lease: Lease, orders: Sequence[AnyOrder]) -> None:
        """See Listener."""
        tenure = self.tenures.get(lease.run_id)
        if tenure is not None and tenure.lease is lease:
            for order in orders:
                obey(tenure, order)

    def broken(self, error: Exception) -> None:
        """See Listener: what the disk did not take has not happened, so the runs' states are forgotten."""
        self._failure = error
        for tenure in list(self.tenures.values()):
            self.let_go(tenure, error)
        while self._waiters:
            future = self._waiters.popleft()[1]
            if not future.done():
                future.set_exception(error)
        self._gated.clear()

    def load_blob(self, hash_: str) -> bytes:
        """A blob's content, on whichever thread an action asks for it."""
        return self.here(lambda: self.store.blob(hash_))

    def here(self, call: Callable[[], Answer]) -> Answer:
        """What a call gives that is for the loop's thread only, on whichever thread somebody asks for it."""
        if threading.get_ident() == self._thread:
            return call()

        async def answer() -> Answer:
            return call()

        return self.ask(answer())

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """What the question comes to on the loop; for other threads."""
        return asyncio.run_coroutine_threadsafe(question, self.loop).result()

    # -- runs --------------------------------------------------------------------------------------------

    def finished(self, tenure: Tenant) -> None:
        """A run has paused, parked or ended: whoever waits for it is told when that is durable."""

        def tell(durable: asyncio.Future[None]) -> None:
            error = durable.exception()
            if tenure in self._reopening:
                return  # it goes on
            self.tenures.pop(tenure.state.run_id, None)
            if tenure.lease.row.wake_at is not None and not self._is_closing:  # it is parked
                self._wake_later(tenure.state.run_id, tenure.lease.row.wake_at)
            if tenure.done.done():
                return
            if error is not None:
                tenure.done.set_exception(error)
            else:
                tenure.done.set_result(None)

        durable = self.durable()
        if durable.done():
            tell(durable)
        else:
            durable.add_done_callback(tell)

    def _wake_later(self, run_id: str, wake_at: int) -> None:
        def due() -> None:
            del self._alarms[run_id]
            self.on_due(run_id)

        if (former := self._alarms.pop(run_id, None)) is not None:
            former.cancel()
        self._alarms[run_id] = self.timers.after((wake_at - self.clock.now_ms()) / 1000, due)

    def let_go(self, tenure: Tenant, error: BaseException) -> None:
        """Forget a run that cannot go on in this process; `error` tells whoever waits for it."""
        self.tenures.pop(tenure.state.run_id, None)
        tenure.discard(error)

    def is_stopping(self) -> bool:
        """Whether the event loop is shutting down: then a cancel is nobody's failure."""
        return bool(self._keeper.done() or self._keeper.cancelling())

    def on_loop(self, call: Callable[[], None]) -> None:
        """Call it now on the loop's own thread, soon on another."""
        if threading.get_ident() == self._thread:
            call()
        else:
            self.call_soon_threadsafe(call)

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        """Have the loop call `call`; where the loop is gone nobody is left to tell."""
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:
            if not self.loop.is_closed():
                raise

    async def close(self, error: BaseException) -> None:
        """Let go of all runs, and end the workers."""
        self._is_closing = True
        is_here = self.loop is asyncio.get_running_loop()  # else that loop has ended, and its tasks with it
        for tenure in list(self.tenures.values()):
            if is_here:
                tenure.leave(error)
            else:
                self.let_go(tenure, error)
        self.timers.close()
        self.threads.close()
        await self.processes.close()
        if not is_here:
            return
        self._keeper.cancel()
        for worker in self._workers:
            worker.cancel()
        # code that swallows its cancel must not keep the application from closing: its run was let go already
        await asyncio.wait([self._keeper, *self._workers], timeout=GRACE_SECONDS)

    async def _keep(self) -> None:
        """Do nothing, for as long as the event loop goes on: being cancelled is the sign that it ends."""
        await self.loop.create_future()

    # -- log ---------------------------------------------------------------------------------------------

    def log_failure(self, run_id: str, event: events.AttemptFailed | events.StepFailed) -> None:
        """Say what failed and what follows."""
        where = {"run": run_id, "node": event.step, "attempt": event.attempt}
        if isinstance(event, events.AttemptFailed):
            seconds = (event.retry_at - event.at) / 1000
            follows = f"its failure action {event.failure!r} runs" if event.failure else f"again in {seconds:g} s"
            LOGGER.warning(
                "step %s: attempt %d failed: %s; %s",
                event.step, event.attempt, event.error, follows, extra=where,
            )  # fmt: skip
        else:
            LOGGER.error(
                "step %s: failed after attempt %d: %s; %s",
                event.step, event.attempt, event.error, FOLLOWS[event.policy], extra=where,
            )  # fmt: skip
        if LOGGER.isEnabledFor(logging.DEBUG):
            LOGGER.debug("%s", event.error.traceback, extra=where)

    def answering(self, review: str) -> str:
        """The command that answers a review; nothing where no other process can."""
        return "" if self.store.is_immediate else f"; dagger answer {review} VALUE --store {self.store.url}"

    def log_review(self, run_id: str, step: str, wait: Wait) -> None:
        """Say at once that a person is asked: as soon as the question is durable. What is asked may be secret."""
        where = {"run": run_id, "node": step}

        def say(durable: asyncio.Future[None]) -> None:
            if not durable.cancelled() and durable.exception() is None:
                LOGGER.warning("step %s asks: review %s%s", step, wait.review, self.answering(wait.review), extra=where)
                if LOGGER.isEnabledFor(logging.DEBUG):
                    LOGGER.debug("%s", msgspec.json.decode(wait.detail, type=Question).question, extra=where)

        self.durable().add_done_callback(say)

    def log_abandoned(self, run_id: str, attempt: Attempt) -> None:
        """Say that code runs on which nobody waits for."""
        LOGGER.warning(
            "step %s: attempt %d cannot be stopped and runs on; its context is closed",
            attempt.step, attempt.number, extra={"run": run_id, "node": attempt.step, "attempt": attempt.number},
        )  # fmt: skip
