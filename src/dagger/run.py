"""Run: handle of one run: wait, events, cancel, resume, cache, tree."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from dagger.core import codec
from dagger.core.cache import CacheView
from dagger.core.config import RunConfig
from dagger.core.errors import (
    GraphError,
    InvalidState,
    LeaseLost,
    MessageInvalid,
    RunError,
    RunNotFound,
    StoreError,
)
from dagger.core.events import Event, Recorded
from dagger.core.graph import literal, made_id
from dagger.core.journal import RunRow
from dagger.core.orders import AddNode, Answer, Cancel, Instruct, Pause, Redeliver
from dagger.core.reviews import Review, answer_text
from dagger.core.state import TERMINAL, State
from dagger.engine import orders
from dagger.engine.growth import check_node
from dagger.engine.kernel import Tenant
from dagger.engine.publishing import payload_text
from dagger.engine.replay import replay
from dagger.ids import fresh_id, user_name
from dagger.inbox import no_review, tell
from dagger.letters import DeadLetter, Sender, batched, dead_letters, post
from dagger.listening import OWNED, POLL_SECONDS, listen
from dagger.spec.fields import After, Called, NodeFields
from dagger.spec.nodes import action_name, new_node
from dagger.views.outcome import moment
from dagger.views.report import Report

if TYPE_CHECKING:  # drawing is rare, and `import dagger` has a budget
    from dagger.views.tree import ExecutionTree

TOLD = 1_000
"""Of what steps tell and nobody has looked at yet, so much is kept: the oldest is forgotten first."""


class Host(Sender, Protocol):
    """What a handle needs of the application it came from."""

    def report(self, state: State, status: str | None = None) -> Report:
        """The report of a state, kept readable after the store is closed."""

    def report_of(self, run_id: str, status: str) -> Report:
        """The report of a run as its journal stands now."""

    async def resume(
        self, run_id: str, input: object = None, config: RunConfig | Mapping[str, Any] | None = None
    ) -> Run:
        """Continue a run."""


class Run:
    """One run. It reads the journal: what it tells is durable, whichever process executes the run."""

    def __init__(self, run_id: str, host: Host, begun: Tenant | None = None) -> None:
        """`begun`: the tenure to listen to from now on, for the first who asks for live events."""
        self.id = run_id
        """What `get_run` and the command find it by."""
        self._host = host
        self._early: deque[Event] | None = None
        """What steps have told before anybody asked."""
        if begun is not None:
            self._early = deque(maxlen=TOLD)
            begun.listeners.add(self._early.append)
        self._begun = begun
        self._known: State | None = None
        """As of the last look at the journal."""

    @property
    def status(self) -> str:
        """`running`, `waiting`, `paused`, `succeeded`, `failed`, `cancelled`, or `interrupted`: its process died."""
        row = self._row()
        if row.status == "parked":  # how a run waits is nobody's business
            return "waiting"
        if row.status not in OWNED or self._host.tenure(self.id) is not None:
            return row.status
        # `here` without a tenure: the event loop that executed it has ended
        if self._host.store.ownership(self.id) == "elsewhere":
            return row.status
        return "interrupted" if self._row() == row else self.status  # else it was given up between the two looks

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
        return moment(self._row().started_at)

    @property
    def updated_at(self) -> datetime.datetime:
        """When its status last changed, in UTC."""
        return moment(self._row().updated_at)

    @property
    def wake_at(self) -> datetime.datetime | None:
        """When it goes on by itself, in UTC; None: it does not wait, or for nothing that time brings."""
        at = self._row().wake_at
        return None if at is None else moment(at)

    @property
    def cache(self) -> CacheView:
        """A read-only view of the run's cache, as it is now."""
        return CacheView(self._state().sections, self._host.store.blob)

    async def wait(self) -> Report:
        """Wait until the run is paused or over.

        The report's status is `interrupted` if the run's process died and this application leaves it so. Raises
        StoreError if the store failed, InvalidState if the application is closed meanwhile.
        """
        while True:
            tenure = self._host.tenure(self.id)
            if tenure is not None:
                with contextlib.suppress(LeaseLost):  # another process has it now: its journal is looked at
                    await asyncio.shield(tenure.done)
                    if tenure.state.status not in OWNED:  # else it is parked
                        return self._host.report(tenure.state)
                self._host.require_open()
            status = self.status
            if status not in OWNED and not (
                status == "interrupted" and (await self._host.takeover()).is_coming(self.id)
            ):
                return self._host.report_of(self.id, status)
            await asyncio.sleep(POLL_SECONDS)
            self._host.require_open()

    async def report(self) -> Report:
        """The report of the run as it stands."""
        return self._host.report_of(self.id, self.status)

    async def events(  # the two in this order are the contract
        self,
        from_seq: int = 0,
        live: bool = True,  # noqa: FBT001, FBT002 - the SPEC's signature
    ) -> AsyncIterator[Recorded]:
        """The run's events with a seq of at least `from_seq`, in order.

        `live`: then those to come, until the run is paused or over; and, where the run is executed in this
        application, what its steps tell by `ctx.progress` and `ctx.emit`, with the seq 0. The handle that `start`
        gives has listened from the beginning, and tells the first who asks; of what waits to be looked at, the
        latest 1,000 are kept.
        """
        told: deque[Event] = deque(maxlen=TOLD)
        if live and self._early is not None:
            told, self._early = self._early, None
        # whoever stops listening is no listener from then on, and not when it is next tidied up
        async with contextlib.aclosing(listen(self._host, self, from_seq, told, live=live)) as heard:
            async for recorded in heard:
                yield recorded

    async def tree(self) -> ExecutionTree:
        """The execution tree, of a run in any status."""
        from dagger.views.tree import ExecutionTree

        return ExecutionTree.of(self._host.store.read(self.id), is_live=self.status in OWNED)

    async def pause(self, reason: str = "") -> Report:
        """Pause the run: what runs is cut off without counting as a try, nothing new starts, until it is resumed.

        From any process, in effect within 0.5 s. Raises InvalidState if it is paused or over.
        """
        self._require_text(reason)
        if (status := self.status) in {"paused", *TERMINAL}:
            raise orders.unfit(self.id, status, "paused")
        if (tenure := self._tenure()) is not None:
            orders.pause(tenure, reason)
        else:
            await tell(self._host, self.id, Pause(id=fresh_id(), reason=reason))
        return await self.wait()

    async def cancel(self, reason: str = "") -> Report:
        """Cancel the run: what runs is cancelled, nothing new starts. A paused run is ended at once.

        From any process, in effect within 0.5 s. Raises InvalidState if it is over.
        """
        self._require_text(reason)
        if (status := self.status) in TERMINAL:
            raise orders.unfit(self.id, status, "cancelled")
        if (tenure := self._tenure()) is not None:
            orders.cancel(tenure, reason)
        else:
            await tell(self._host, self.id, Cancel(id=fresh_id(), reason=reason))
        return await self.wait()

    async def add_node(
        self,
        action: Called,
        *,
        id: str | None = None,
        dependencies: After = (),
        inputs: Mapping[str, Any] | None = None,
        **fields: Unpack[NodeFields],
    ) -> str:
        """Add a node to the run, from any process; its id.

        Inputs are references (`ref("fetch.page")`) or literals; the other fields are those of `Graph.add`. A run that
        nobody executes, and that is not paused, takes the node in when it is taken up. Raises GraphError for a node
        that cannot be, NodeAlreadyExists, DependencyNotFound, ActionNotRegistered, and InvalidState if the run is over.
        """
        order_id, name = fresh_id(), action_name(action)
        node_id = id if id is not None else made_id(name, order_id[-12:])
        node = new_node(node_id, {"action": name}, dependencies, inputs or {}, **fields).hashed()
        if (status := self.status) in TERMINAL:
            raise orders.unfit(self.id, status, "given another node")
        if (tenure := self._tenure()) is not None:
            orders.add_node(tenure, node)
            await self._host.durable()
            return node_id
        order = AddNode(id=order_id, node=node)
        check_node(self._state(), node)
        if status == "paused" or self._host.store.ownership(self.id) == "elsewhere":
            await tell(self._host, self.id, order)
        else:
            await self._host.store.send(self.id, order)
        return node_id

    async def reviews(self) -> list[Review]:
        """The run's open reviews: what it waits for people to answer, oldest first."""
        return self._host.store.reviews(self.id, limit=None)

    async def answer(self, review_id: str, value: object, who: str | None = None) -> None:
        """Answer an open review of the run, from any process; it is in the journal when this returns.

        A run that nobody executes goes on here, if its actions are registered here: else the answer waits for whoever
        resumes it. `who`: by default the user of this process. Raises ReviewNotFound, ReviewAnswered, AnswerInvalid
        for what is none of the review's options, and InvalidState if the run is over.
        """
        review = next((each for each in await self.reviews() if each.id == review_id), None)
        if review is None:
            raise no_review(self._host.store, self.id, self.status, review_id)
        text = answer_text(value, review.options, review_id)
        who = user_name() if who is None else who
        self._require_text(who, "who answers")
        order = Answer(id=fresh_id(), step=review.step, key=review.key, value=text, who=who)
        if (tenure := self._tenure()) is not None and not orders.is_pausing(tenure.state):
            orders.answer(tenure, order)
            await self._host.durable()
        else:
            try:
                await tell(self._host, self.id, order, requires_actions=True)
            except InvalidState:
                if (status := self.status) not in TERMINAL:
                    raise
                raise no_review(self._host.store, self.id, status, review_id) from None  # it was answered meanwhile

    async def instruct(self, action: Called, params: Mapping[str, Any] | None = None, priority: int = 0) -> None:
        """Give the run's supervisor an instruction, from any process: an action, its inputs, and how urgent it is.

        `supervisor_step` works the highest priority first, then the oldest. Raises InvalidState where the run is over
        or has no supervisor that goes on, and GraphError for params that are no JSON.
        """
        if not isinstance(params, Mapping | None) or isinstance(priority, bool) or not isinstance(priority, int):
            message = f"run {self.id!r}: an instruction has params by name and a whole number as priority"
            raise GraphError(f"{message}, not {params!r:.80} and {priority!r:.80}")
        given = {"action": action_name(action), "params": dict(params or {}), "priority": priority}
        value = literal({**given, "timestamp": datetime.datetime.now(datetime.UTC).isoformat()}, "instruction")
        if (status := self.status) in TERMINAL:
            raise orders.unfit(self.id, status, "given an instruction")
        if (tenure := self._tenure()) is not None:
            orders.instruct(tenure, value)
            await self._host.durable()
        else:
            await tell(self._host, self.id, Instruct(id=fresh_id(), value=value), requires_actions=True)

    async def publish(self, channel: str, payload: object) -> str | None:
        """Publish a message to the run, from any process; its id, None where it waits for whoever takes the run up.

        Waits while an agent that reads the channel has `channel_capacity` messages waiting. Raises MessageInvalid for a
        payload that an agent's schema does not take, and InvalidState if the run is over.
        """
        return (await self.publish_many(channel, [payload]))[0]

    async def publish_many(self, channel: str, payloads: Iterable[object]) -> list[str | None]:
        """Publish messages, in this order; their ids.

        They are taken in by the 200, or the `channel_capacity`, as the agents that read the channel have room: see
        `publish`. What is raised for one of them leaves those published that were taken in before.
        """
        if isinstance(payloads, str | bytes | Mapping) or not isinstance(payloads, Iterable):
            message = f"run {self.id!r}: publish_many takes a list of payloads, not {payloads!r:.80}"
            raise MessageInvalid(message)
        ids: list[str | None] = []
        for some in batched(payloads, self._tenure()):
            ids += await post(self._host, self, channel, [payload_text(None, channel, payload) for payload in some])
        return ids

    async def dead_letters(self) -> list[DeadLetter]:
        """The messages that agents finally failed to handle and that were not redelivered, oldest first.

        Reads the journal where there are any.
        """
        return dead_letters(self._state(), self._host.store)

    async def redeliver(self, message_id: str | DeadLetter, agent: str | None = None) -> None:
        """Have a dead letter delivered anew, at the end of the queue, with fresh tries and a new idempotency key.

        `message_id`: or the dead letter itself, and then where it failed. `agent`: only there; by default wherever it
        failed. A paused run takes it up when it is resumed. Raises InvalidState for what is no dead letter, or if the
        run is over.
        """
        if isinstance(message_id, DeadLetter):
            agent, message_id = agent or message_id.agent, message_id.message_id
        order = Redeliver(id=fresh_id(), message=message_id, agent=agent or "")
        if (status := self.status) in TERMINAL:
            raise orders.unfit(self.id, status, "given a message again")
        if (tenure := self._tenure()) is not None:
            orders.redeliver(tenure, order)
            await self._host.durable()
        else:
            orders.dead_letters(self._state(), message_id, order.agent)
            await tell(self._host, self.id, order, requires_actions=True)

    def _tenure(self) -> Tenant | None:
        """The run's tenure, if steps of it may run here."""
        tenure = self._host.tenure(self.id)
        return None if tenure is None or tenure.is_settled else tenure

    def _require_text(self, given: object, what: str = "a reason") -> None:
        if not codec.is_text(given):
            message = f"run {self.id!r}: {what} is a text, not {given!r:.80}"
            raise RunError(message)

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

    def _repr_html_(self) -> str | None:
        try:
            return self._host.report_of(self.id, self.status)._repr_html_()
        except StoreError:  # the application is closed: nobody asked for more than the name
            return None

    def __del__(self) -> None:
        if self._begun is not None and self._early is not None:  # nobody can ask a handle that is gone
            self._begun.listeners.discard(self._early.append)

    def __repr__(self) -> str:
        return f"<Run {self.id}>"
