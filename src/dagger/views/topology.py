"""Topology: which agents write to a channel and which read it, what may go wrong between them, and its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from dagger.core.cycles import cycles
from dagger.core.errors import Hints, nearest
from dagger.core.messages import HUMAN_REVIEW, Agent
from dagger.views.draw import Picture
from dagger.views.scene import Arrow, Box
from dagger.views.texts import cut

Disagreement: TypeAlias = Callable[[Agent, Agent], str]
"""A publisher's schema, a subscriber's, both names -> why no payload is valid for both; empty: one may be."""
Kind: TypeAlias = Literal["unread", "unwritten", "schemas", "loop", "requests", "key"]

SCHEMA_CHARACTERS = 30
PROPERTIES_TOLD = 3
NAMED = 8
"""Agents and channels of a loop that are named."""

_FIELDS = tuple(field for field in Agent.__struct_fields__ if field != "node")
"""What an agent's JSON has: all but how its deliveries are tried."""
_Ways: TypeAlias = dict[str, list[str]]
"""From each place those that messages reach next, or come from."""


class Channel(NamedTuple):
    """A channel with the names of its agents."""

    name: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]


class Warning(NamedTuple):  # noqa: A001 - the word of the glossary; nothing here warns as Python does
    """What may be a mistake, or be meant so."""

    kind: Kind
    """`unread`, `unwritten`: no agent reads a channel, or writes to it. `schemas`: what one side publishes there can
    never be valid for the other. `loop`: no message leads out of it. `requests`: agents may wait for each other. `key`:
    an agent's schema does not name the field whose values its messages are in order by."""
    message: str
    about: tuple[str, ...]
    """The channel, or the loop's agents."""

    @property
    def is_note(self) -> bool:
        """Whether it is about what every flow has: a channel where it begins, and one where its results go."""
        return self.kind in {"unread", "unwritten"}


@dataclass(frozen=True)
class Topology:
    """Agents and the channels between them."""

    agents: tuple[Agent, ...]
    channels: tuple[Channel, ...]
    """In the order in which the agents name them."""
    warnings: tuple[Warning, ...]
    title: str = ""

    @classmethod
    def of(cls, agents: Iterable[Agent], disagreement: Disagreement, title: str = "") -> Topology:
        """The topology of these agents; `disagreement` compares their schemas.

        The built-in agent that asks people is left out where no other agent has to do with its channels.
        """
        known = tuple(_in_use([*agents]))
        channels = tuple(_channels(known))
        of_channels = (_loose_ends(channels), _at_odds(known, channels, disagreement), _loops(known, channels))
        found = (each for kind in (*of_channels, _requests(known), _keys(known)) for each in kind)
        return cls(known, channels, tuple(found), title)

    def to_json(self, indent: int | None = None) -> str:
        """`{"agents": […], "channels": [{name, writers, readers}…], "warnings": [{kind, message, about}…]}`."""
        whole = {
            "agents": [{field: getattr(agent, field) for field in _FIELDS} for agent in self.agents],
            "channels": [channel._asdict() for channel in self.channels],
            "warnings": [warning._asdict() for warning in self.warnings],
        }
        text = msgspec.json.encode(whole)
        return (msgspec.json.format(text, indent=indent) if indent is not None else text).decode()

    def picture(self) -> Picture:
        """The agents as boxes, the channels as ellipses, with what may go wrong in them."""
        named = {agent.name: agent for agent in self.agents}
        boxes = {_agent_key(agent.name): _agent_box(agent) for agent in self.agents}
        boxes |= {_channel_key(channel.name): _channel_box(channel, named) for channel in self.channels}
        for warning in self.warnings:
            if not warning.is_note:  # which the picture shows: no arrow leads there
                first = warning.about[0]
                key = _channel_key(first) if warning.kind == "schemas" else _agent_key(first)
                boxes[key] = replace(boxes[key], error=f"{boxes[key].error}\n{warning.message}".strip())
        arrows: list[Arrow] = []
        for channel in self.channels:
            key = _channel_key(channel.name)
            arrows += [Arrow(_agent_key(name), key) for name in channel.writers]
            arrows += [Arrow(key, _agent_key(name)) for name in channel.readers]
        return Picture(tuple(boxes.values()), tuple(arrows), self.title)

    def to_dot(self) -> str:
        """The topology for Graphviz."""
        return self.picture().to_dot()

    def to_mermaid(self) -> str:
        """The topology for Mermaid."""
        return self.picture().to_mermaid()

    def to_svg(self) -> str:
        """The topology as an `<svg>` element. Raises DrawingFailed where no Graphviz is at hand."""
        return self.picture().to_svg()

    def _repr_html_(self) -> str:
        return self.picture()._repr_html_()


def _in_use(agents: list[Agent]) -> Iterator[Agent]:
    used = {name for each in agents if each.name != HUMAN_REVIEW for name in (*each.publications, *each.subscriptions)}
    return (each for each in agents if each.name != HUMAN_REVIEW or used & {*each.publications, *each.subscriptions})


def _channels(agents: Iterable[Agent]) -> Iterator[Channel]:
    sides: dict[str, tuple[list[str], list[str]]] = {}
    for agent in agents:
        for side, names in enumerate((agent.publications, agent.subscriptions)):
            for name in names:
                sides.setdefault(name, ([], []))[side].append(agent.name)
    for name, (writers, readers) in sides.items():
        yield Channel(name, tuple(writers), tuple(readers))


def _loose_ends(channels: Iterable[Channel]) -> Iterator[Warning]:
    unwritten = [channel.name for channel in channels if not channel.writers]
    hints = Hints()
    for channel in channels:
        if not channel.readers:
            near = hints.nearest(channel.name, unwritten)
            yield Warning("unread", f"channel {channel.name!r}: no agent reads it{near}", (channel.name,))
    for name in unwritten:
        told = f"channel {name!r}: no agent writes to it, so messages come from outside, or from nodes"
        yield Warning("unwritten", told, (name,))


def _at_odds(agents: Iterable[Agent], channels: Iterable[Channel], disagreement: Disagreement) -> Iterator[Warning]:
    named = {agent.name: agent for agent in agents}
    for channel in channels:
        for writer in channel.writers:
            for reader in channel.readers:
                why = disagreement(named[writer], named[reader])
                if why:
                    yield Warning("schemas", f"channel {channel.name!r}: {why}", (channel.name,))


def _keys(agents: Iterable[Agent]) -> Iterator[Warning]:
    """Keys that look misspelt: a payload may have more fields than its schema names, so they are not refused."""
    for agent in agents:
        schema = agent.input_schema or {}
        definitions, inner = schema.get("$defs", {}), schema
        for part in filter(None, agent.key.split(".")):
            inner = definitions.get(inner.get("$ref", "").removeprefix("#/$defs/"), inner)
            named = inner.get("properties", {}) if isinstance(inner, dict) else {}
            if named and part not in named:
                told = f"agent {agent.name!r}: key {agent.key!r}: its schema names no {part!r}{nearest(part, named)}"
                yield Warning("key", f"{told}; messages without it are handled one after another", (agent.name,))
            inner = named[part] if isinstance(named.get(part), dict) else {}


def _loops(agents: Iterable[Agent], channels: Iterable[Channel]) -> Iterator[Warning]:
    """Loops out of which nothing leads: no message, to an agent outside or a channel nobody reads, and no result."""
    ends = {_agent_key(agent.name) for agent in agents if agent.finishes}
    before: _Ways = {_agent_key(agent.name): [] for agent in agents}
    after: _Ways = {key: [] for key in before}
    for channel in channels:
        key = _channel_key(channel.name)
        before[key], after[key] = [*map(_agent_key, channel.writers)], [*map(_agent_key, channel.readers)]
        for writer in before[key]:
            after[writer].append(key)
        for reader in after[key]:
            before[reader].append(key)
    for circle in cycles(before):
        reached = _reached(circle[0], after)
        if reached <= _reached(circle[0], before) and reached.isdisjoint(ends):
            names = [key.partition("/")[2] for key in circle]
            message = f"loop without an exit: {_spelled(names)}; it ends only where an agent publishes nothing"
            yield Warning("loop", message, tuple(names[::2]))


def _requests(agents: Iterable[Agent]) -> Iterator[Warning]:
    """Circles of agents that request, each of the next one; one agent alone only if it handles a message at a time."""
    asking = [agent for agent in agents if agent.requests]
    before: _Ways = {
        agent.name: [
            other.name
            for other in asking
            if not {*agent.subscriptions}.isdisjoint(other.publications) and (agent.is_ordered or other is not agent)
        ]
        for agent in asking
    }
    for circle in cycles(before):
        why = "they may wait for each other's replies" if circle[1:] else "it would wait for its own reply"
        yield Warning("requests", f"request cycle: {_spelled(circle)}; {why}", tuple(circle))


def _reached(start: str, ways: _Ways) -> set[str]:
    reached, rest = {start}, [start]
    while rest:
        further = set(ways[rest.pop()]) - reached
        reached |= further
        rest += further
    return reached


def _spelled(circle: list[str]) -> str:
    shown = circle if len(circle) <= NAMED else [*circle[: NAMED - 1], "…", circle[-1]]
    return " -> ".join([*shown, circle[0]])


def _agent_key(name: str) -> str:
    return f"agents/{name}"


def _channel_key(name: str) -> str:
    return f"channels/{name}"


def _agent_box(agent: Agent) -> Box:
    described = " ".join(agent.description.split())
    return Box(
        key=_agent_key(agent.name),
        title=agent.name,
        action="agent",
        notes=(described,) if described else (),
        facts=(at_once(agent),),
    )


def at_once(agent: Agent) -> str:
    """How many messages an agent handles at once, and which of them in order: `4, in order per customer.id`."""
    count = "" if agent.concurrency is None else f"{agent.concurrency:,} at once"
    if agent.is_ordered:
        count = "one at a time"
    return ", ".join(filter(None, (count, agent.key and f"in order per {agent.key}")))


def _channel_box(channel: Channel, named: Mapping[str, Agent]) -> Box:
    schemas = [named[name].output_schema for name in channel.writers]
    schemas += [named[name].input_schema for name in channel.readers]
    said = " · ".join(dict.fromkeys(schema_text(schema) for schema in schemas if schema))
    return Box(
        key=_channel_key(channel.name),
        title=channel.name,
        action="channel",
        notes=(said,) if said else (),
        is_round=True,
    )


def schema_text(schema: Mapping[str, Any]) -> str:
    """A schema in short: its title, or its properties' names, or its types."""
    return cut(" ".join(_schema_words(schema).split()), SCHEMA_CHARACTERS)


def _schema_words(schema: Any) -> str:
    match schema:
        case {"title": str(title)}:
            return title
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"anyOf": [*several]} | {"oneOf": [*several]}:
            return " | ".join(map(_schema_words, several))
        case {"properties": {**properties}} if properties:
            names = [*map(str, properties)]
            return f"{{{', '.join(names[:PROPERTIES_TOLD])}{', …' if names[PROPERTIES_TOLD:] else ''}}}"
        case {"type": "array", "items": {**items}}:
            return f"[{_schema_words(items)}]"
        case {"type": str(kind)}:
            return kind
        case {"type": [*kinds]}:
            return " | ".join(map(str, kinds))
        case _:
            return "anything"
