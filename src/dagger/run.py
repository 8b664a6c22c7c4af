"""Run: handle of one run: wait, events, cancel, resume, cache, tree."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from dagger.core import codec
from dagger.core.cache import CacheView
from dagger.core.config import RunConfig
from dagger.core.errors import InvalidState, LeaseLost, RunError, RunLeased, RunNotFound
from dagger.core.events import Recorded
from dagger.core.journal import RunRow, Store
from dagger.core.state import TERMINAL, State, fold
from dagger.engine.kernel import Tenant
from dagger.views.report import Report
from dagger.views.tree import ExecutionTree

POLL_SECONDS = 0.1
"""How often a run is looked at that another process executes."""
LOOK_SECONDS = 0.02
"""How often a run is looked at that this one does."""


class Host(Protocol):
    """What a handle needs of the application it came from."""

    @property
    def store(self) -> Store:
        """The open store."""

    def tenure(self, run_id: str) -> Tenant | None:
        """The run's tenure, if this application executes it now."""

    def report(self, state: State, status: str | None = None) -> Report:
        """The report of a state, kept readable after the store is closed."""

    async def resume(
        self, run_id: str, input: object = None, config: RunConfig | Mapping[str, Any] | None = None
    ) -> Run:
        """Continue a run."""

    async def cancel_resting(self, run_id: str, reason: str) -> None:
        """Cancel a run that nobody executes."""


class Run:
    """One run. It reads the journal: what it tells is durable, whichever process executes the run."""

    def __init__(self, run_id: str, host: Host) -> None:
        self.id = run_id
        """What `get_run` and the command find it by."""
        self._host = host
        self._known: State | None = None
        """As of the last look at the journal."""

    @property
    def status(self) -> str:
        """`running`, `paused`, `succeeded`, `failed`, `cancelled`, or `interrupted`: its process died."""
        row = self._row()
        if row.status != "running" or self._host.tenure(self.id) is not None:
            return row.status
        # `here` without a tenure: the event loop that executed it has ended
        return "running" if self._host.store.ownership(self.id) == "elsewhere" else "interrupted"

    @property
    def graph(self) -> str:
        """The graph's name."""
        return self._row().graph

    @property
    def tags(self) -> dict[str, str]:
        """What the run was started with."""
        return dict(self._row().tags)

    @property
    def app(self) -> str:
        """Where its application's code is, `module:name`; empty: not known."""
        return self._row().app

    @property
    def reason(self) -> str:
        """Why it is paused, or its error; empty otherwise."""
        return self._row().reason

    @property
    def started_at(self) -> datetime.datetime:
        """When it started, in UTC."""
        return datetime.datetime.fromtimestamp(self._row().started_at / 1000, datetime.UTC)

    @property
    def updated_at(self) -> datetime.datetime:
        """When its status last changed, in UTC."""
        return datetime.datetime.fromtimestamp(self._row().updated_at / 1000, datetime.UTC)

    @property
    def cache(self) -> CacheView:
        """A read-only view of the run's cache, as it is now."""
        return CacheView(self._state().sections, self._host.store.blob)

    async def wait(self) -> Report:
        """Wait until the run is paused or over.

        The report's status is `interrupted` if the run's process died. Raises StoreError if the store failed,
        InvalidState if the application is closed meanwhile.
        """
        while True:
            tenure = self._host.tenure(self.id)
            if tenure is not None:
                with contextlib.suppress(LeaseLost):  # another process has it now: its journal is looked at
                    await asyncio.shield(tenure.done)
                    return self._host.report(tenure.state)
            status = self.status
            if status != "running":
                return self._host.report(self._state(), status)
            await asyncio.sleep(POLL_SECONDS)

    async def report(self) -> Report:
        """The report of the run as it stands."""
        return self._host.report(self._state())

    async def events(  # the two in this order are the contract
        self,
        from_seq: int = 0,
        live: bool = True,  # noqa: FBT001, FBT002 - the SPEC's signature
    ) -> AsyncIterator[Recorded]:
        """The run's events with a seq of at least `from_seq`, in order.

        `live`: then those to come, until the run is paused or over.
        """
        after = max(from_seq - 1, 0)
        while True:
            is_last = not live or self.status != "running"
            for recorded in self._host.store.read(self.id, after):
                after = recorded.seq
                yield recorded
            if is_last:
                return
            tenure = self._host.tenure(self.id)
            if tenure is None:
                await asyncio.sleep(POLL_SECONDS)
            else:  # it is executed here: look often, and at once when it is over
                await asyncio.wait({tenure.done}, timeout=LOOK_SECONDS)

    async def tree(self) -> ExecutionTree:
        """The execution tree, of a run in any status."""
        return ExecutionTree.of(self._host.store.read(self.id), is_live=self.status == "running")

    async def cancel(self, reason: str = "") -> Report:
        """Cancel the run: what runs is cancelled, nothing new starts. A paused run is ended at once.

        Raises InvalidState if it is over, RunLeased if another process executes it.
        """
        if self.status in TERMINAL:
            message = f"run {self.id!r} is over: it {self._ended_as()}"
            raise InvalidState(message)
        if not codec.is_text(reason):
            message = f"run {self.id!r}: a reason is a text, not {reason!r}"
            raise RunError(message)
        tenure = self._host.tenure(self.id)
        if tenure is not None and not tenure.is_settled:
            tenure.cancel(reason)
        elif tenure is None and self._host.store.ownership(self.id) == "elsewhere":
            message = f"run {self.id!r} is executed by another process; cancel it there"
            raise RunLeased(message)
        else:
            await self._host.cancel_resting(self.id, reason)
        return await self.wait()

    async def resume(self, input: object = None, config: RunConfig | Mapping[str, Any] | None = None) -> Run:
        """Continue the run: see Dagger.resume."""
        return await self._host.resume(self.id, input, config)

    def _row(self) -> RunRow:
        row = self._host.store.row(self.id)
        if row is None:
            message = f"there is no run {self.id!r} in {self._host.store.url}"
            raise RunNotFound(message)
        return row

    def _state(self) -> State:
        """As the durable journal tells it; what was read before is not read again."""
        known = self._known
        self._known = replay(self._host.store, self.id, known.seq if known else 0, known)
        return self._known

    def _ended_as(self) -> str:
        status = self._row().status
        return f"was {status}" if status == "cancelled" else status

    def __repr__(self) -> str:
        return f"<Run {self.id}>"


def replay(store: Store, run_id: str, after: int = 0, state: State | None = None) -> State:
    """The state that the durable journal tells; with `state`, what follows in it."""
    with _collector_off():
        if state is None:
            return fold(recorded.event for recorded in store.read(run_id, after))
        for recorded in store.read(run_id, after):
            state.apply(recorded.event)
        return state


@contextmanager
def _collector_off() -> Iterator[None]:
    """Replaying makes many objects that stay: looking for garbage among them would double the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
