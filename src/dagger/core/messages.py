"""Agents, channels and messages as a run knows them; a message that waits at an agent becomes a step: a delivery."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from dagger.core.cycles import cycles
from dagger.core.graph import Node

MARK = "#"
"""Stands in a delivery's step between the agent's name and the message's id: `reader#12-1`. No node's id has one."""
PAYLOAD = "#payload"
"""What the input of an agent's node refers to: the payload of the message that is handled."""
AGENT = "agent:"
"""What the name of an agent's code begins with, beside the actions'."""
HUMAN_REVIEW = "human_review"
"""The channel whose messages a person is asked, and the name of the built-in agent that asks."""
ANSWERED = "human_review.answered"
"""The channel where the answers go."""
REQUEST = "request"
"""The kind of a wait for a reply."""
_DELIVERY = re.compile(rf"(?P<agent>[^:{MARK}]+){MARK}(?P<message>\d+-\d+)(\.\d+)?")
_ITEM = re.compile(r"/\d+$")
"""The end of an item's step: no node's id begins with a digit."""


class Published(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One message as the event of its publisher has it."""

    channel: str
    payload: msgspec.Raw
    """JSON text, or a reference to its blob."""
    keys: dict[str, str] = {}
    """By the name of each reader that handles messages in order per key: the key, as JSON text."""


class Agent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An agent as a run's journal has it: what it reads and writes, and how its deliveries are handled."""

    name: str
    description: str = ""
    subscriptions: tuple[str, ...]
    publications: tuple[str, ...] = ()
    requests: bool = False
    """Whether its code seems to request, and not only to publish."""
    finishes: bool = False
    """Whether its code seems to give the run its result."""
    node: Node
    """What each of its deliveries is a step of."""
    concurrency: int | None = 1
    """Deliveries at work at once; 1: strictly in the order of publication; None: as many as there are keys."""
    key: str = ""
    """A path into the payload: messages with the same value there are handled in order. Empty: no keys."""
    input_schema: dict[str, Any] | None = None
    """JSON Schema of the payloads that it takes; None: any."""
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the payloads that it publishes; None: any."""
    publishes_exactly: bool = False
    """Whether they have no fields but those of that schema, as it is made of a type that says so."""

    @property
    def is_ordered(self) -> bool:
        """Whether it handles one message at a time, strictly in the order of publication."""
        return self.concurrency == 1


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message that waits at an agent, or is being handled."""

    seq: int
    """Of the event that published it."""
    index: int
    """Its place among the event's messages, from 1."""
    channel: str
    payload: bytes
    """JSON text, or a reference to its blob; empty: it is still in the journal only."""
    source: str
    """The step that published it; empty: somebody outside."""
    at: int
    """When it was published, in milliseconds since 1970."""
    request: str = ""
    """The key of the source's wait for a reply; empty: it asked for none."""
    lane: str = ""
    """The key by which its agent handles messages in order, as JSON text; empty: the agent has no keys."""
    round: int = 1
    """Starts at 1; each redelivery is another one, with an idempotency key of its own."""
    since: int = 0
    """The event that put it into its inbox again; 0: the one that published it."""

    @property
    def id(self) -> str:
        """`12-1`: the first message of the run's event 12."""
        return f"{self.seq}-{self.index}"

    @property
    def parent(self) -> str:
        """The id of the message whose handling led to this one; empty: none did."""
        return message_of(self.source)


def named(node: Node) -> str:
    """`node 'fetch'`, or `agent 'reader'`: what messages to people call what a step is of."""
    return f"agent {node.id!r}" if node.action.startswith(AGENT) else f"node {node.id!r}"


def delivery_of(agent: str, message: Message) -> str:
    """The delivery's id in its scope: `reader#12-1`, redelivered `reader#12-1.2`."""
    name = f"{agent}{MARK}{message.seq}-{message.index}"
    return name if message.round == 1 else f"{name}.{message.round}"


def agent_of(step: str) -> str:
    """The name of a delivery's agent; empty: the step is no delivery."""
    found = _DELIVERY.fullmatch(step.rpartition("/")[2])
    return found["agent"] if found else ""


def name_of(step: str) -> str:
    """What people know a step by that publishes: the agent's name, or the node's id; of an item, its map's."""
    return agent_of(step) or _ITEM.sub("", step).rpartition("/")[2]


def message_of(step: str) -> str:
    """The id of the message that a step handles, or that the step handles which executes its flow; empty: none."""
    for part in reversed(step.split("/")):
        if (found := _DELIVERY.match(part)) is not None:
            return found["message"]
    return ""


def loops(agents: Iterable[Agent]) -> list[list[str]]:
    """Channels in which messages can go round, a loop each, in the order in which they go."""
    led: dict[str, list[str]] = {}
    for agent in agents:
        for channel in agent.publications:
            led.setdefault(channel, []).extend(agent.subscriptions)
    return list(cycles(led))
