"""Publishing: what a run's code may publish is checked before it is published, against whoever writes and reads it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from dagger.core import codec
from dagger.core.errors import ChannelNotDeclared, MessageInvalid, nearest
from dagger.core.graph import Node
from dagger.core.messages import AGENT, ANSWERED, Agent, Published, named
from dagger.core.state import State
from dagger.engine.binding import Source
from dagger.spec.action import Action
from dagger.spec.agent import AgentAction
from dagger.spec.contracts import Contract
from dagger.spec.schema import Decode, complaint

_LOG = logging.getLogger("dagger")
KNOWN = 10_000
"""So many publishers and channels are remembered."""
_TOLD = 20
"""Violations that an error names."""


class Publisher(Protocol):
    """What is asked here of a run: see Tenure."""

    @property
    def state(self) -> State: ...


class _Channel(NamedTuple):
    """What must be known of a channel to publish there."""

    contracts: list[tuple[str, Contract]]
    """Of the publisher and the readers, each schema once, with the name of whose it is."""
    checks: list[Callable[[object], bool]]
    """Of these, those that a payload may violate though it is of all the types."""
    types: list[tuple[str, Decode]]
    """Of the readers, each once, with the name of the first agent that takes it: a schema cannot tell all that a type
    does not take, such as 2.0 for an `int`."""
    keys: list[tuple[str, list[str]]]
    """Readers that handle messages in order per key, with the path of the key."""


def returned(run: Source, node: Node, action: Action, result: object, blobs: list[codec.Blob]) -> list[Published]:
    """What a result is published as. Raises OutputInvalid, ChannelNotDeclared or MessageInvalid."""
    assert isinstance(action, AgentAction)
    payloads = action.payloads(result)
    if not payloads:
        return []
    (channel,) = action.agent.publications
    publish, made = run.message, []
    for payload in payloads:
        try:
            text = codec.encode(payload)
        except codec.NotJson:
            text = payload_text(node, channel, payload)  # says what is wrong
        made.append(publish(node, channel, text, blobs))
    return made


def checked(
    run: Source, node: Node, messages: Iterable[Published], blobs: Iterable[codec.Blob]
) -> tuple[Published, ...]:
    """What was published, as those who read it now take it. Raises ChannelNotDeclared or MessageInvalid."""
    contents = {blob.hash: blob.content for blob in blobs}
    texts = ((each.channel, codec.resolve(bytes(each.payload), contents.__getitem__)) for each in messages)
    return tuple(run.message(node, channel, text, []) for channel, text in texts)


def payload_text(node: Node | None, channel: str, payload: object) -> bytes:
    """A payload as JSON text; `node`: who publishes it, None somebody outside.

    Raises MessageInvalid, and ChannelNotDeclared for what no channel is called.
    """
    require_channel(node, channel)
    try:
        return codec.encode(payload)
    except codec.NotJson as error:
        message = f"{_named(node)}: message for channel {channel!r}: {error}"
        raise MessageInvalid(message) from None


class Publishing:
    """Where one run's messages may go; compiled at the first message of each publisher and channel."""

    def __init__(self, run: Publisher, code: Mapping[str, Action]) -> None:
        self._run = run
        self._code = code
        self.as_of = 0
        """How often agents were bound or removed."""
        self._channels: dict[tuple[str, str], _Channel] = {}
        """By the action that publishes, empty for somebody outside, and where to."""
        self._removed: dict[int, Agent] = {}
        """By their nodes, which deliveries keep that are at work: agents that others may have taken the place of."""

    def forget(self) -> None:
        """Agents were bound or removed."""
        removed = self._removed
        removed.update((id(each.agent.node), each.agent) for each in self._run.state.agents.values() if each.is_removed)
        while len(removed) > KNOWN:
            del removed[next(iter(removed))]
        self._channels = {}  # a thread that looks one up at this moment keeps it in the old dict
        self.as_of += 1

    def message(self, node: Node | None, channel: str, text: bytes, blobs: list[codec.Blob]) -> Published:
        """A payload's JSON text as it is published; `node` None: by somebody outside. What is large goes to `blobs`.

        Raises ChannelNotDeclared for a channel that the node's agent does not declare, and MessageInvalid with every
        violation of a schema, or what the first type says that does not take it.
        """
        channels, publisher = self._channels, "" if node is None else node.action
        if self._removed and id(node) in self._removed:
            publisher = f"{publisher}, removed: {id(node)}"
        found = channels.get((publisher, channel))
        if found is None:
            if len(channels) >= KNOWN:
                channels.clear()  # they are made on demand: there may be one for each message
            found = channels[publisher, channel] = self._look_up(self._writer(node), channel)
        sealed = codec.sealed(text, blobs)
        value = codec.decode(text) if found.checks or found.keys else None
        for is_valid in found.checks:
            if not is_valid(value):
                raise MessageInvalid(refusal(node, channel, found.contracts, value))
        for name, decode in found.types:
            try:
                decode(text)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # a type's own code may raise anything, and its reader could not take this
                value = codec.decode(text)
                if not all(contract.is_valid(value) for _, contract in found.contracts):
                    raise MessageInvalid(refusal(node, channel, found.contracts, value)) from None
                said = complaint(error, text, decode)
                message = f"{_named(node)}: message for channel {channel!r}: {said} (type of agent {name!r})"
                raise MessageInvalid(message) from error
        if not found.keys:
            return Published(channel, sealed)
        return Published(channel, sealed, {name: _key(value, path) for name, path in found.keys})

    def _writer(self, node: Node | None) -> Agent | None:
        """The agent whose code publishes: as it was when that began. None: it is no agent's."""
        if node is None or not node.action.startswith(AGENT):
            return None
        return self._removed.get(id(node)) or self._run.state.agents[node.id].agent

    def _look_up(self, writer: Agent | None, channel: str) -> _Channel:
        state = self._run.state
        if writer is not None and channel not in writer.publications:
            raise ChannelNotDeclared(undeclared(writer, channel))
        readers = [state.agents[name].agent for name in state.channels.get(channel, ())]
        if not readers and channel != ANSWERED:  # who requested a review has its answer
            _LOG.warning("run %s: nobody reads channel %r: messages there are kept in the journal, and no more",
                           state.run_id, channel, extra={"run": state.run_id})  # fmt: skip
        own = [] if writer is None else [(writer.name, writer.output_schema)]
        kept = contracts([*own, *((each.name, each.input_schema) for each in readers)])
        types, told = dict[int, tuple[str, Decode]](), set[Contract]()
        for each in readers:
            action = self._code.get(each.node.action)  # of some readers the code is not here
            if isinstance(action, AgentAction) and action.takes is not None and action.agent == each:
                types.setdefault(id(action.takes[0]), (each.name, action.takes[1]))
                if action.is_told_by_type and each.input_schema is not None:
                    told.add(Contract.of(each.input_schema, ""))
        checks = [contract.is_valid for _, contract in kept if contract not in told]
        return _Channel(kept, checks, list(types.values()), keys_of(readers))


def require_channel(node: Node | None, channel: object) -> None:
    """Raise ChannelNotDeclared for what no channel is called; `node`: who publishes, None somebody outside."""
    if not (codec.is_text(channel) and channel):
        message = f"{_named(node)}: a channel is a text that is not empty, not {channel!r:.80}"
        raise ChannelNotDeclared(message)


def contracts(sides: Iterable[tuple[str, dict[str, Any] | None]]) -> list[tuple[str, Contract]]:
    """What a payload must keep: each schema once, with the name of the first agent that has it."""
    found: dict[int, tuple[str, Contract]] = {}
    for name, schema in sides:
        if schema is not None:
            contract = Contract.of(schema, f"agent {name!r}")
            found.setdefault(id(contract), (name, contract))
    return list(found.values())


def keys_of(readers: Iterable[Agent]) -> list[tuple[str, list[str]]]:
    """Those of the readers that have a key, with its path: who handles all in order may be changed before it has."""
    return [(each.name, each.key.split(".")) for each in readers if each.key]


def undeclared(agent: Agent, channel: str) -> str:
    """What to say of a channel that an agent does not declare."""
    declared = ", ".join(map(repr, agent.publications)) or "nothing"
    near = nearest(channel, agent.publications)
    return f"agent {agent.name!r} does not declare that it publishes to {channel!r}{near} (it declares: {declared})"


def _named(node: Node | None) -> str:
    return "publish" if node is None else named(node)


def refusal(node: Node | None, channel: str, sides: Sequence[tuple[str, Contract]], value: object) -> str:
    """Every violation, with its path, and whose schema it is."""
    told = [
        f"{violation} (schema of agent {name!r})"
        for name, contract in sides
        for violation in contract.violations(value)
    ]
    more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return f"{_named(node)}: message for channel {channel!r}: {'; '.join(told[:_TOLD])}{more}"


def _key(value: Any, path: Iterable[str]) -> str:
    """What a path leads to, as JSON text; messages in which it leads nowhere have the key null in common."""
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return codec.canonical(codec.encode(value)).decode()
