"""Dagger: register, load, merge config; execute, start, resume, recover."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from dagger import address
from dagger.core import codec
from dagger.core.config import RunConfig
from dagger.core.errors import DaggerError, InvalidState, RunError, RunExists, RunLeased, RunNotFound, StoreError
from dagger.core.fold import apply
from dagger.core.journal import Store
from dagger.core.reviews import Review, only_review
from dagger.core.state import State
from dagger.engine.kernel import Kernel, Tenant
from dagger.engine.orders import cancel
from dagger.engine.posts import has_agent, require_pools
from dagger.engine.replay import replay
from dagger.engine.tenure import Tenure
from dagger.engine.timers import Clock, SystemClock
from dagger.graph import Graph
from dagger.listening import OWNED
from dagger.modes.people import human_review
from dagger.modes.static import Static
from dagger.modes.supervisor import BUILT_IN
from dagger.opening import Config, Given, Opening, Seed, input_text
from dagger.registry import Registry
from dagger.run import Run
from dagger.spec.action import NodeAction
from dagger.spec.agent import AgentAction, agent_of
from dagger.spec.workflow import WorkflowSpec
from dagger.store.url import store_of
from dagger.takeover import Takeover, begin
from dagger.views.report import Report

RECOVER_EVERY_SECONDS = 1.0
"""How often an application with `recover=True` looks for runs that a dead process left."""

_SAID = {"running": ("running",), "waiting": ("waiting", "parked"), "interrupted": OWNED}
"""Statuses that are not told by rows alone: what the row of such a run says."""
CLOSED = "the application was closed; resume or recover continues the run"
"""What whoever waits for a run is told then."""
CALL_CANCELLED = "the call that awaited the run was cancelled"
"""The reason of a run that ends so."""
_LOG = logging.getLogger("dagger")


class Dagger(Registry):
    """An application: its actions and graphs, and the store of its runs.

    `store`: a path, or `memory:`; it opens at first use and is created if absent. `config` is merged over the
    library's defaults. `recover`: keep taking over runs that a dead process left. `clock`: see dagger.testing.

    Use it as an async context manager, or `await app.close()`; leaving it lets go of runs that still go on: those
    that only wait are parked, the others `interrupted`, and `resume` or `recover` continues them.
    """

    def __init__(
        self,
        store: str | Path | Store = "dagger.db",
        *,
        config: Config = None,
        recover: bool = False,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(BUILT_IN, (human_review,))
        self.config = RunConfig.of(config)
        self._store = store_of(store)
        self._clock = clock or SystemClock()
        self._recovers = recover
        self._recovering: asyncio.Task[None] | None = None
        self._kernel: Kernel | None = None
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._takeover: Takeover | None = None
        self.address = ""
        """Where another process finds it, see dagger.address; empty: the module's global that it is, if it is one."""
        self._module = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001 - where the application's code is

    # -- runs --------------------------------------------------------------------------------------------

    async def execute(
        self,
        spec: WorkflowSpec,
        *,
        inputs: Mapping[str, Any] | None = None,
        cache: Seed = None,
        config: Config = None,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Report:
        """Start a run and wait until it is paused or over. Cancelling this call cancels the run.

        Raises only what prevents the start (see `start`), and StoreError when the store fails.
        """
        started = await self.start(spec, inputs=inputs, cache=cache, config=config, run_id=run_id, tags=tags)
        run = Run(started.id, self)
        del started  # which keeps what steps tell, and nobody will ask
        try:
            return await run.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(DaggerError):
                await run.cancel(CALL_CANCELLED)
            raise

    async def start(
        self,
        spec: WorkflowSpec,
        *,
        inputs: Mapping[str, Any] | None = None,
        cache: Seed = None,
        config: Config = None,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """Start a run; when this returns, the run is in the journal.

        A `run_id` that exists: the same spec, graph and inputs attach to it (an interrupted or parked one goes on),
        others raise RunExists. Raises GraphError, ActionNotRegistered, RegistryError, InputInvalid, ConfigError.
        """
        opening = Opening(spec, self, self.config, given=Given(inputs, cache, config, tags))
        kernel = await self._open()
        if run_id is not None and (known := await self._attach(run_id, opening.fingerprint)) is not None:
            return known
        event, blobs = opening.event(run_id, self._clock.now_ms(), self.address or address.of(self, self._module))
        lease = kernel.store.create(event, blobs)
        state = State()
        ready = apply(state, event)
        tenure = kernel.tenures[event.run_id] = Tenure(kernel, lease, state, self.code)
        run = Run(event.run_id, self, tenure)
        begin(tenure, ready)
        try:
            await kernel.durable()
        except asyncio.CancelledError:
            await _give_up(tenure)
            raise
        if tenure.done.done():
            is_late = isinstance(tenure.done.exception(), RunExists)  # another process was first
            if is_late and (known := await self._attach(event.run_id, event.fingerprint)) is not None:
                return known
            tenure.done.result()
        return run

    def run(
        self,
        spec: WorkflowSpec | Graph | str | Path,
        *,
        inputs: Mapping[str, Any] | None = None,
        cache: Seed = None,
        config: Config = None,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Report:
        """Execute from a script: blocks until the run is paused or over, and closes the store.

        A text is a file's path, or else the name of a registered graph, see `graph_to_run`; a graph is registered.
        """
        if isinstance(spec, (str, Path)):
            spec = Static(self.graph_to_run(spec).name)
        elif isinstance(spec, Graph):
            spec = Static(self.add_graph(spec).definition.name)

        async def main() -> Report:
            async with self:
                return await self.execute(spec, inputs=inputs, cache=cache, config=config, run_id=run_id, tags=tags)

        return asyncio.run(main())

    async def runs(
        self,
        status: str | None = None,
        graph: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> list[Run]:
        """The runs that fit all of the conditions, newest first, at most `limit` (None: all)."""
        store = (await self._open()).store
        said = _SAID.get(status or "")
        if said is None:
            return [Run(row.run_id, self) for row in store.rows(status=status, graph=graph, tags=tags, limit=limit)]
        # a process that died has not said so: what its runs are is seen by looking at their owners
        rows = [row for one in said for row in store.rows(status=one, graph=graph, tags=tags, limit=None)]
        rows.sort(key=lambda row: row.started_at, reverse=True)
        going = (Run(row.run_id, self) for row in rows)
        return list(itertools.islice((run for run in going if run.status == status), limit))

    async def get_run(self, run_id: str) -> Run:
        """The run of this id. Raises RunNotFound."""
        store = (await self._open()).store
        if store.row(run_id) is None:
            message = f"there is no run {run_id!r} in {store.url}"
            raise RunNotFound(message)
        return Run(run_id, self)

    async def resume(self, run_id: str, input: object = None, config: Config = None) -> Run:
        """Continue a paused, waiting or interrupted run: what succeeded stays so, what failed gets fresh tries.

        `input` answers the one open review, or with none open becomes `global.input` in the cache; `config` is merged
        over the run's. Raises RunNotFound, InvalidState if the run is over or goes on here, RunLeased if it goes on
        elsewhere, ActionNotRegistered, AnswerInvalid, ReviewError where several reviews are open.
        """
        changed = RunConfig.of(config).to_dict()
        text = input_text(run_id, input)
        run, takeover = Run(run_id, self), await self.takeover()
        tenure = self.tenure(run_id)
        if tenure is not None and not changed and text is not msgspec.UNSET:
            review = only_review(tenure.state, bytes(text))
            if review is not None:  # it waits here, and has only to be told
                await run.answer(review[2].review, input)
                return run
        await takeover.resume(run_id, changed, text)
        return run

    async def reviews(self, limit: int | None = 100) -> list[Review]:
        """The open reviews of all runs, oldest first, at most `limit` (None: all)."""
        return (await self._open()).store.reviews(limit=limit)

    async def durable(self) -> None:
        """Wait until all that was recorded so far is durable."""
        await (await self._open()).durable()

    async def takeover(self) -> Takeover:
        """What makes this application the owner of runs that have none."""
        await self._open()
        assert self._takeover is not None
        return self._takeover

    async def recover(self) -> list[Run]:
        """Continue every run that a dead process left behind, and every parked one that is due or has orders.

        Those whose code is not registered here are left.
        """
        takeover = await self.takeover()
        left = [run.id for run in await self.runs(status="interrupted", limit=None)]
        due = self._store.wakeable(self._clock.now_ms())
        return [Run(run_id, self) for run_id in await takeover.attempt(dict.fromkeys([*left, *due]))]

    def register_action(self, thing: Callable[..., Any] | NodeAction | type[NodeAction]) -> None:
        """See Registry. Steps that waited for the action, in runs that go on here, start."""
        super().register_action(thing)
        for tenure in self._tenures():
            tenure.recognise()

    def register_agent(self, thing: Any) -> AgentAction:
        """See Registry. Runs that go on here have it from now on: what was published before goes not to it."""
        if (marked := agent_of(thing)) is not None and self._tenures():  # else its pool may be sized later
            require_pools([marked], [*self.code.values(), marked])
        found = super().register_agent(thing)
        for tenure in self._tenures():
            tenure.bind(found.agent)
        return found

    def remove_agent(self, name: str) -> None:
        """See Registry. In runs that go on here, what waits at it becomes dead letters.

        One of them may have an agent that is not registered here, or something at one that was removed: that goes, too.
        """
        going = [tenure for tenure in self._tenures() if has_agent(tenure.state, name)]
        if name in self.agents or not going:
            super().remove_agent(name)
        for tenure in going:
            tenure.remove(name)

    def _tenures(self) -> list[Tenant]:
        return list(self._kernel.tenures.values()) if self._kernel else []

    # -- opening and closing -----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._recovers:
            await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of runs that still go on, and close the store. Closing twice does nothing."""
        if self._recovering is not None:
            self._recovering.cancel()
            self._recovering = None
        kernel, self._kernel = self._kernel, None
        if kernel is None:
            return
        await kernel.close(InvalidState(CLOSED))
        await kernel.store.close()

    def use_store(self, store: str | Path | Store) -> None:
        """Keep the runs in another store. Raises InvalidState once this application has opened its own."""
        if self._kernel is not None:
            raise InvalidState(f"{self._store.url} is open: close the application before it gets another store")
        self._store = store_of(store)

    @property
    def store(self) -> Store:
        """The store; open once the application has been used."""
        return self._store

    def tenure(self, run_id: str) -> Tenant | None:
        """The run's tenure, if this application executes it now."""
        return self._kernel.tenures.get(run_id) if self._kernel else None

    def require_open(self) -> None:
        """Raise InvalidState where the application was closed."""
        if self._kernel is None:
            raise InvalidState(CLOSED)

    def report(self, state: State, status: str | None = None) -> Report:
        """The report of a state, which is read from the closed store, too. `status`: where the state cannot tell."""
        store, run_id, seq = self._store, state.run_id, state.seq
        return Report(state, lambda: store.read(run_id, limit=seq), store.blob, status=status)

    def report_of(self, run_id: str, status: str) -> Report:
        """The report of a run as its journal stands now; the journal is read when more is asked than the status."""
        store, seq = self._store, self._store.last_seq(run_id)
        return Report.later(
            run_id,
            status,
            lambda: replay(store, run_id, limit=seq),
            lambda: store.read(run_id, limit=seq),
            store.blob,
        )

    async def _open(self) -> Kernel:
        loop = asyncio.get_running_loop()
        if self._kernel is not None and self._kernel.loop is loop:
            return self._kernel
        if self._opening is None or self._opening[0] is not loop:
            self._opening = loop, asyncio.Lock()
        async with self._opening[1]:
            if self._kernel is None or self._kernel.loop is not loop:
                # a kernel of another loop is of one that has ended without closing: its runs are in the journal
                if self._kernel is not None:
                    await self._kernel.close(InvalidState("the event loop of the run has ended; resume it"))
                    self._kernel = None
                kernel = Kernel(self._store, self._clock, loop, self.code)
                try:
                    await self._store.open(kernel)
                except BaseException:
                    await kernel.close(StoreError("the store did not open"))
                    raise
                kernel.committed(self._store.batch - (not self._store.is_immediate))
                self._kernel = kernel
                self._takeover = Takeover(kernel, self, recovers=self._recovers)
                kernel.on_due = self._takeover.wake
                kernel.open_flow = lambda spec, inputs: Opening(spec, self, self.config, Given(inputs))
                if self._recovers:
                    self._recovering = loop.create_task(self._keep_recovering(), name="dagger-recover")
        return self._kernel

    async def _keep_recovering(self) -> None:
        while True:
            try:
                await self.recover()
            except Exception:  # noqa: BLE001 - the next look may go well
                _LOG.exception("looking for runs to recover failed")
            await asyncio.sleep(RECOVER_EVERY_SECONDS)

    async def _attach(self, run_id: str, fingerprint: str) -> Run | None:
        """The run of this id if it is there and the same, see `start`. Raises RunExists."""
        if not run_id or not codec.is_text(run_id):
            message = f"a run id is a text, not {run_id!r}"
            raise RunError(message)
        row = self._store.row(run_id)
        starting = self.tenure(run_id) if row is None else None
        if starting is not None:
            row = starting.lease.row  # another call of this application is just starting it
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            message = (
                f"run {run_id!r} exists already, with another spec, graph or inputs; choose another run id, "
                f"or give it what it was started with"
            )
            raise RunExists(message)
        run = Run(run_id, self)
        if starting is not None:
            await (await self._open()).durable()  # or it was refused: then another process's run has this id
            return await self._attach(run_id, fingerprint)
        if row.status == "parked":
            await (await self.takeover()).attempt([run_id])  # it waits on, where its code is not here
        elif run.status == "interrupted":
            with contextlib.suppress(RunLeased, InvalidState):  # another process was faster, or another call
                await self.resume(run_id)
        return run


async def _give_up(tenure: Tenure) -> None:
    """Cancel a run that is not in the journal yet, and wait until the journal says so."""
    with contextlib.suppress(DaggerError):
        cancel(tenure, CALL_CANCELLED)
        await asyncio.shield(tenure.done)
