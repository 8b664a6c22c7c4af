"""Takeover: becoming the owner of a run that nobody executes: to resume it, to wake it, or to tell it an order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from dagger.core import codec, decide, events
from dagger.core.children import orphans, within
from dagger.core.errors import (
    ActionNotRegistered,
    DaggerError,
    GraphError,
    IllegalEvent,
    InvalidState,
    RegistryError,
    RunLeased,
    RunNotFound,
    StoreCorrupt,
)
from dagger.core.graph import Node
from dagger.core.journal import Lease
from dagger.core.messages import AGENT
from dagger.core.orders import Answer, Pause
from dagger.core.reviews import only_review
from dagger.core.state import STANDS_STILL, TERMINAL, State
from dagger.engine.children import dropped
from dagger.engine.kernel import Kernel
from dagger.engine.orders import obey, refusal, unfit
from dagger.engine.posts import differs, require_pools
from dagger.engine.replay import replay
from dagger.engine.tenure import Tenure
from dagger.ids import user_name
from dagger.spec.action import Action
from dagger.spec.agent import AgentAction
from dagger.views.course import Courses

_LOG = logging.getLogger("dagger")
_NOT_HERE = (GraphError, RegistryError, StoreCorrupt, IllegalEvent)
"""What keeps a run from being taken over here, and others not: what its code lacks here, or its journal."""


class Known(Protocol):
    """What is asked here of the application."""

    @property
    def code(self) -> Mapping[str, Action]: ...
    @property
    def agents(self) -> Mapping[str, AgentAction]: ...
    def require_actions(self, nodes: Iterable[Node]) -> None: ...


class Takeover:
    """Takes over runs of one store for one kernel."""

    def __init__(self, kernel: Kernel, known: Known, *, recovers: bool) -> None:
        """`recovers`: the application looks for runs that a dead process left."""
        self._kernel = kernel
        self._recovers = recovers
        self._known = known
        self._taking: set[str] = set()
        """Runs that are being claimed."""
        self._left: set[str] = set()
        """Runs that could not be taken over here, and were told."""

    async def resume(
        self, run_id: str, config: Mapping[str, Any], text: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    ) -> None:
        """Continue a paused, waiting or interrupted run. For what is raised see Dagger.resume."""

        def require_answer(state: State) -> None:
            if text is not msgspec.UNSET:
                only_review(state, bytes(text))

        tenure, was_parked = await self._take(run_id, check=require_answer)
        now = self._kernel.clock.now_ms()
        review = None if text is msgspec.UNSET else only_review(tenure.state, bytes(text))
        if tenure.state.status == "paused" or config or text is not msgspec.UNSET:
            for order in [order for order in tenure.lease.orders if isinstance(order, Pause)]:
                # it came before this, too late to be obeyed: it must not pause the run again
                tenure.lease.orders.remove(order)
                tenure.note(refusal(order, InvalidState("the run was resumed since"), now, []))
            blobs: list[codec.Blob] = []
            given = text if text is msgspec.UNSET else codec.sealed(bytes(text), blobs)
            if review is not None:
                step, key, wait = review
                answered = events.WaitAnswered(
                    at=now, step=step, key=key, value=given, review=wait.review, who=user_name()
                )
                tenure.note(answered, blobs)
                was_parked = False  # the answered step's code is to run
                given, blobs = msgspec.UNSET, []
            tenure.note(events.RunResumed(at=now, config=dict(config), input=given), blobs)
        await self._begin(tenure, was_parked=was_parked)

    async def go_on(self, run_id: str, *, requires_actions: bool) -> bool:
        """Continue a run that nobody executes, as its inbox says; a paused one obeys, and stays paused.

        Gives whether it goes on here. Raises as `resume` does.
        """
        kernel = self._kernel
        tenure, was_parked = await self._take(run_id, requires_actions=requires_actions)
        if tenure.state.status != "paused":
            await self._begin(tenure, was_parked=was_parked)
            return True
        try:
            # an answer may be what the run was paused for, so it is left to whoever has its code
            orders = sorted(tenure.lease.orders, key=lambda order: isinstance(order, Answer))
            tenure.lease.orders.clear()
            for order in orders:
                if tenure.state.status != "paused":
                    tenure.lease.orders.append(order)
                    continue
                if isinstance(order, Answer):
                    self._require_code(tenure.state)
                obey(tenure, order)
            if tenure.state.status == "running" and not tenure.state.halt:  # it was this answer that it was paused for
                await self._begin(tenure, was_parked=False)
                return True
        finally:
            if tenure.state.status == "paused" and not tenure.is_settled:
                del kernel.tenures[run_id]  # nobody executes it: what comes now waits in its inbox
                await asyncio.shield(kernel.loop.create_task(give_up(kernel, tenure.lease)))
        return False

    async def _begin(self, tenure: Tenure, *, was_parked: bool) -> None:
        now = self._kernel.clock.now_ms()
        self._bind(tenure, now)
        for child in orphans(tenure.state):
            for step in list(within(tenure.state, child)):
                tenure.waits.leave(step)
            tenure.note(dropped(now, child))
        begin(tenure, tenure.state.ready(), was_parked=was_parked)
        await self._kernel.durable()
        if tenure.done.done():
            tenure.done.result()  # the store may have refused it: another process took the run over

    async def attempt(self, run_ids: Iterable[str]) -> list[str]:
        """Continue those of the runs that can be continued here; which they are."""
        taken = []
        for run_id in run_ids:
            row = self._kernel.store.row(run_id)
            try:
                requires_actions = row is not None and (row.status != "paused" or run_id in self._left)
                if row is not None and await self.go_on(run_id, requires_actions=requires_actions):
                    taken.append(run_id)
            except (RunLeased, InvalidState):
                continue  # another process was faster, or another call
            except _NOT_HERE as error:
                if run_id not in self._left:  # once: `recover=True` looks every second
                    _LOG.warning("run %s is not continued here: %s", run_id, error, extra={"run": run_id})
                self._left.add(run_id)
        return taken

    def is_coming(self, run_id: str) -> bool:
        """Whether an interrupted run is about to be continued here: nothing is known that keeps it from that."""
        return self._recovers and run_id not in self._left

    def wake(self, run_id: str) -> None:
        """Continue a run that was parked here and is due; where another process was faster, nothing is to be done."""

        async def go_on() -> None:
            try:
                row = self._kernel.store.row(run_id)
                if row is not None and row.status == "parked":  # else somebody has woken, paused or ended it
                    await self.attempt([run_id])
            except DaggerError as error:
                _LOG.warning("run %s is due and was not woken: %s", run_id, error, extra={"run": run_id})

        self._kernel.keep(go_on())

    async def _take(
        self, run_id: str, *, requires_actions: bool = True, check: Callable[[State], None] = lambda _: None
    ) -> tuple[Tenure, bool]:
        """The tenure of a run that nobody executes, none of its steps begun yet; and whether it was parked.

        `check` may raise what else speaks against it.
        """
        kernel = self._kernel
        store = kernel.store
        ending = kernel.tenures.get(run_id)
        if ending is not None and ending.is_settled:
            await asyncio.wait({ending.done})  # it has paused or ended, and only the disk is waited for
        row = store.row(run_id)
        if row is None:
            message = f"there is no run {run_id!r} in {store.url}"
            raise RunNotFound(message)
        if row.status in TERMINAL:
            raise unfit(run_id, row.status, "resumed")
        if run_id in kernel.tenures or run_id in self._taking:
            message = f"run {run_id!r} goes on in this application: there is nothing to resume"
            raise InvalidState(message)
        self._taking.add(run_id)  # two claims by one process would each raise the epoch, and fence off the other
        try:
            # what can refuse comes before the claim, if it can: a claimed run is this process's to finish
            state = replay(store, run_id)
            check(state)
            if requires_actions:
                self._require_code(state)
            was_let_go = store.ownership(run_id) == "none"
            lease = await store.claim(run_id)
            try:
                return self._tenure_of(lease, replay(store, run_id, state.seq, state), was_let_go=was_let_go)
            except BaseException:
                store.give_up(lease)
                raise
        finally:
            self._taking.discard(run_id)

    def _require_code(self, state: State) -> None:
        """Raise ActionNotRegistered where what the run may still do is not registered here.

        Raises RegistryError and GraphError where it is, and cannot be run as it says.
        """
        if state.needs and self._known.code.keys().isdisjoint(state.needs):
            called = ", ".join(name.removeprefix(AGENT) for name in state.needs[:5])
            message = (
                f"run {state.run_id!r} may call {called}: none of them is registered here; what was renamed keeps its "
                f"name with name={state.needs[0].removeprefix(AGENT)!r}"
            )
            raise ActionNotRegistered(message)
        # a message at an agent that is not here waits, and the run says for whom
        self._known.require_actions(each.node for each in state.pending.values() if each.message is None)
        for graph in state.graphs.values():
            self._known.require_actions(graph.nodes)
        require_pools(self._known.agents.values(), self._known.code.values())

    def _tenure_of(self, lease: Lease, state: State, *, was_let_go: bool) -> tuple[Tenure, bool]:
        """The tenure of a run that was just claimed."""
        run_id, now = lease.run_id, self._kernel.clock.now_ms()
        if state.status in TERMINAL:
            message = f"run {run_id!r} is over ({state.status}): another process was faster"
            raise InvalidState(message)
        tenure = Tenure(self._kernel, lease, state, self._known.code)
        was_parked = state.is_parked
        # no code was at work then, so that nothing of it is lost, and no time has passed for it
        if state.status == "waiting" and state.active_since == STANDS_STILL:
            tenure.note(events.RunWoken(at=now))
        elif state.status != "paused":
            tenure.note(events.RunRecovered(at=now, was_let_go=was_let_go))
            if reason := decide.crash_loop(state, lambda: self._in_flight(run_id)):
                tenure.note(events.PauseRequested(at=now, reason=reason))
        self._kernel.tenures[run_id] = tenure
        return tenure, was_parked

    def _bind(self, tenure: Tenure, now: int) -> None:
        """The run has this application's agents from now on, as they are here."""
        for found in self._known.agents.values():
            if differs(tenure.state, found.agent):
                tenure.note(events.AgentBound(at=now, agent=found.agent))
                tenure.publishing.forget()  # it may have been told orders before

    def _in_flight(self, run_id: str) -> list[str]:
        """The steps whose code was at work when the run's process died."""
        courses = Courses()
        for recorded in self._kernel.store.read(run_id):
            courses.apply(recorded.event)
        was_running = {"running", "interrupted"}
        return [
            step
            for step, course in courses.by_step.items()
            if course.status in was_running and not course.has_scope  # a child flow has no code: its steps have
        ]


def begin(tenure: Tenure, ready: list[str], *, was_parked: bool = False) -> None:
    """Have a tenure begin; one that cannot is let go of, so that nobody waits for it, and others can have it."""
    try:
        tenure.begin(ready, was_parked=was_parked)
    except BaseException as error:
        tenure.kernel.let_go(tenure, error)
        tenure.kernel.keep(give_up(tenure.kernel, tenure.lease))
        raise


async def give_up(kernel: Kernel, lease: Lease) -> None:
    """Leave a run without an owner, as soon as what it was told is durable; if it has not been claimed since."""
    await kernel.durable()
    kernel.store.give_up(lease)
