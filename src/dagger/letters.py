"""Letters: messages from outside to a run, and those that its agents failed to handle."""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from dagger.core import codec, events
from dagger.core.errors import MessageInvalid
from dagger.core.events import Recorded
from dagger.core.journal import Store
from dagger.core.messages import Agent, Published, agent_of
from dagger.core.orders import Publish
from dagger.core.state import TERMINAL, State
from dagger.engine import orders
from dagger.engine.kernel import Tenant
from dagger.engine.mail import messages_of
from dagger.engine.publishing import contracts, refusal
from dagger.ids import fresh_id
from dagger.inbox import Teller, tell
from dagger.spec.agent import AgentAction
from dagger.spec.message import Message
from dagger.views.outcome import moment

AT_ONCE = 200
"""Messages that are taken in together: one event has them all."""


class Addressee(Protocol):
    """What is asked here of a run."""

    id: str

    @property
    def status(self) -> str: ...


class Sender(Teller, Protocol):
    """What is asked here of the application."""

    @property
    def own_agents(self) -> list[str]:
        """The names of those that are registered, and not built in."""

    async def durable(self) -> None:
        """Wait until all that was recorded so far is durable."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that an agent finally failed to handle."""

    message: Message
    agent: str
    errors: list[str]
    """Of each attempt, with its type, oldest first."""
    failed_at: datetime.datetime
    """When the last one failed, in UTC."""
    step: str
    """The delivery's name, as in the journal and the execution tree."""

    @property
    def id(self) -> str:
        """What `run.redeliver` knows it by: its message's id."""
        return self.message.id

    @property
    def message_id(self) -> str:
        """The same."""
        return self.message.id

    @property
    def channel(self) -> str:
        """Where it was published."""
        return self.message.channel

    @property
    def payload(self) -> Any:
        """A JSON value."""
        return self.message.payload


def batched(payloads: Iterable[object], tenure: Tenant | None) -> Iterator[Sequence[object]]:
    """So many at a time as are taken in together; `tenure`: of a run that is executed here."""
    rest = iter(payloads)
    room = AT_ONCE if tenure is None else tenure.state.config.channel_capacity
    while some := list(itertools.islice(rest, min(room, AT_ONCE))):
        yield some


async def post(host: Sender, run: Addressee, channel: str, texts: Sequence[bytes]) -> list[str | None]:
    """Publish messages to a run, whoever executes it; their ids, None where they wait for whoever takes it up.

    For what is raised see Run.publish.
    """
    order = Publish(id=fresh_id(), channel=channel, payloads=tuple(map(msgspec.Raw, texts)))
    if (status := run.status) in TERMINAL:
        raise orders.unfit(run.id, status, "published to")
    tenure, seq = host.tenure(run.id), 0
    if tenure is not None and not tenure.is_settled:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        tenure.post(order, done)
        seq = await done
    if seq:
        await host.durable()
    else:
        if tenure is not None:
            host.require_open()
        # who has agents takes the run up, if they are the run's, and then checks against them as they are here
        if host.store.ownership(run.id) != "elsewhere" and not host.own_agents:
            require_taken(host.store, run.id, channel, order.payloads)
        seq = await tell(host, run.id, order, requires_actions=True)
    return [f"{seq}-{index}" if seq else None for index in range(1, len(texts) + 1)]


def require_taken(
    store: Store,
    run_id: str,
    channel: str,
    payloads: Iterable[msgspec.Raw],
    known: Mapping[str, AgentAction] = MappingProxyType({}),
) -> None:
    """Refuse payloads that agents of a run take not while nobody executes it: later nobody could tell who sent them.

    It looks at the agents that the run began with: as they are now, or, if they are `known`, as they are there. Raises
    MessageInvalid.
    """
    values = [codec.decode(bytes(payload)) for payload in payloads]

    def refused(journal: Iterable[Recorded]) -> str:
        agents = {name: known[name].agent if name in known else agent for name, agent in _bound(journal).items()}
        readers = (agent for agent in agents.values() if channel in agent.subscriptions)
        sides = contracts((agent.name, agent.input_schema) for agent in readers)
        found = (value for value in values if not all(contract.is_valid(value) for _, contract in sides))
        return next((refusal(None, channel, sides, value) for value in found), "")

    # a long journal is read only for what is probably refused
    if refused(store.read(run_id, 0, 1)) and (said := refused(store.read(run_id))):
        raise MessageInvalid(said)


def _bound(journal: Iterable[Recorded]) -> dict[str, Agent]:
    """The agents that a run has, by name."""
    agents: dict[str, Agent] = {}
    for recorded in journal:
        match recorded.event:
            case events.RunStarted(agents=bound):
                agents |= {agent.name: agent for agent in bound}
            case events.AgentBound(agent=agent):
                agents[agent.name] = agent
            case events.AgentRemoved(name=name):
                agents.pop(name, None)
    return agents


def dead_letters(state: State, store: Store) -> list[DeadLetter]:
    """The dead letters of a run, oldest first, with what its journal has of them."""
    if not state.dead:
        return []
    published: dict[int, tuple[Published, ...]] = {}
    failures: dict[str, list[events.AttemptFailed | events.StepFailed]] = {}
    removed: dict[str, events.AgentRemoved] = {}
    wanted = {letter.message.seq for letter in state.dead.values()}
    for recorded in store.read(state.run_id, limit=state.seq):
        seq, event = recorded.seq, recorded.event
        if seq in wanted:
            published[seq] = messages_of(event)
        if isinstance(event, events.AttemptFailed | events.StepFailed) and event.step in state.dead:
            failures.setdefault(event.step, []).append(event)
        elif isinstance(event, events.AgentRemoved):
            removed[event.name] = event
    found = []
    for step, letter in state.dead.items():
        message, failed = letter.message, failures.get(step, [])
        text = bytes(published[message.seq][message.index - 1].payload)
        found.append(
            DeadLetter(
                message=Message.of(message, codec.decode(codec.resolve(text, store.blob)), state.run_id),
                agent=agent_of(step),
                errors=[str(event.error) for event in failed] or [f"agent {agent_of(step)!r} was removed"],
                failed_at=moment(failed[-1].at if failed else removed[agent_of(step)].at),
                step=step,
            )
        )
    return found
