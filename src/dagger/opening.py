"""Opening: a run's first event, made of what a caller gives. All that can refuse a start is here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from dagger.core import codec, events
from dagger.core.cache import Cache, CacheView, Write
from dagger.core.config import RunConfig
from dagger.core.deliveries import bind
from dagger.core.errors import GraphError, InputInvalid, NoAgentsRegistered, RunError, nearest
from dagger.core.graph import INSTRUCTIONS, Definition, literal
from dagger.core.iterate import given_key
from dagger.core.messages import AGENT, Published
from dagger.core.state import State
from dagger.engine.posts import require_pools
from dagger.engine.publishing import Publishing, payload_text
from dagger.ids import fresh_id
from dagger.registry import Registry
from dagger.spec.inputs import run_inputs
from dagger.spec.workflow import WorkflowSpec

Config: TypeAlias = RunConfig | Mapping[str, Any] | None
Seed: TypeAlias = CacheView | Mapping[str, Mapping[str, Any]] | None


class Given(NamedTuple):
    """What a caller may give to a start."""

    inputs: Mapping[str, Any] | None = None
    cache: Seed = None
    config: Config = None
    tags: Mapping[str, str] | None = None


class Opening:
    """A start that nothing speaks against.

    Raises GraphError, ActionNotRegistered, RegistryError, InputInvalid, ConfigError or RunError.
    """

    def __init__(self, spec: WorkflowSpec, registry: Registry, config: RunConfig, given: Given) -> None:
        if isinstance(spec, type) or not hasattr(spec, "opening"):
            message = f"{spec!r:.80} is nothing to execute: write Static(name), or load the file first"
            raise GraphError(message)
        inputs = given.inputs or {}
        begins = spec.opening(lambda name: registry.graph(name).definition, inputs)
        definition = begins.graph
        self.spec = begins.spec
        self.plan = registry.plan(definition)
        chosen = RunConfig.of(begins.config).merged(config).merged(definition.config)
        self._config = chosen.merged(given.config)
        self.inputs = run_inputs(definition, {**inputs, **begins.inputs} if begins.inputs else inputs, self.plan.wanted)
        self.instructions = tuple(_text_of(each) for each in begins.instructions)
        self.messages = tuple((channel, payload_text(None, channel, payload)) for channel, payload in begins.messages)
        """What is published first: channels, and payloads as JSON text."""
        self._told = (*self.instructions, *(msgspec.Raw(text) for _, text in self.messages))
        told = [self.name, *begins.inputs.values(), *map(codec.decode, self._told)]
        self.detail = literal(told if told[1:] else self.name, "spec")
        """What it is, apart from the caller's inputs."""
        self._seed = Cache.of(given.cache).writes()
        self._seed += [
            Write("set", INSTRUCTIONS, given_key(ordinal), text) for ordinal, text in enumerate(self.instructions)
        ]
        self._tags = _tags(given.tags)
        require_pools(registry.agents.values(), registry.code.values())
        self._agents = [each.agent for each in registry.agents.values()]
        self._blobs: list[codec.Blob] = []
        self._published = _published(self.messages, begins.reads, registry, self._blobs)
        self.keep_alive = begins.keep_alive
        """Whether it never ends by itself."""
        self._needs = tuple(registry.own_actions) if begins.calls_any else ()
        if begins.messages or begins.keep_alive:
            self._needs = tuple(AGENT + name for name in registry.own_agents)
        self.fingerprint = _fingerprint(self.spec, self.plan.digest, self.inputs, self._told)
        """Of spec, graphs, inputs, instructions and messages."""

    @property
    def definition(self) -> Definition:
        """The graph that it begins with."""
        return self.plan.graph

    @property
    def graphs(self) -> Mapping[str, Definition]:
        """Those that its nodes run, and theirs, by name."""
        return self.plan.graphs

    @property
    def name(self) -> str:
        """What a run knows the graph by, beside those that are registered under the same name."""
        return self.definition.name if self.spec.mode == "static" else f"{self.spec.name}@{self.plan.digest[:8]}"

    def event(self, run_id: str | None, now: int, app: str) -> tuple[events.RunStarted, list[codec.Blob]]:
        """The first event, and the blobs beside it. `run_id` None: a new one; `app`: the application's address."""
        blobs = [*self._blobs]
        event = events.RunStarted(
            at=now,
            run_id=run_id if run_id is not None else fresh_id(),
            spec=self.spec,
            graph=self.plan.graph,
            graphs=self.plan.graphs,
            config=self._config.to_dict(all_fields=True),
            inputs={name: codec.sealed(text, blobs) for name, text in self.inputs.items()},
            cache=[
                msgspec.structs.replace(write, value=codec.sealed(bytes(write.value), blobs)) for write in self._seed
            ],
            agents=tuple(self._agents),
            messages=self._published,
            keep_alive=self.keep_alive,
            tags=self._tags,
            needs=self._needs,
            app=app,
            fingerprint=self.fingerprint,
        )
        return event, blobs


def _fingerprint(
    spec: events.Spec, graphs: str, inputs: Mapping[str, bytes], instructions: Sequence[msgspec.Raw]
) -> str:
    given = {name: codec.canonical(inputs[name]).decode() for name in sorted(inputs)}
    told = [codec.canonical(bytes(text)).decode() for text in instructions]
    parts = [spec, graphs, given, *([told] if told else [])]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def _text_of(instruction: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(codec.encode(instruction))
    except codec.NotJson as error:
        message = f"instruction {instruction!r:.80}: {error}"
        raise InputInvalid(message) from None


class _Draft(NamedTuple):
    """A run that has its agents, and nothing else yet."""

    state: State


def _published(
    messages: Sequence[tuple[str, bytes]], reads: str, registry: Registry, blobs: list[codec.Blob]
) -> tuple[Published, ...]:
    """What a run begins with, as its first event has it. Raises NoAgentsRegistered and MessageInvalid."""
    if not reads:
        return ()
    state = State()
    bind(state, [each.agent for each in registry.agents.values()])
    if reads not in state.channels:
        known = f"; there are subscribers of: {', '.join(state.channels)}"
        message = f"no agent subscribes to channel {reads!r}{nearest(reads, state.channels) or known}"
        raise NoAgentsRegistered(message)
    publishing = Publishing(_Draft(state), registry.code)
    return tuple(publishing.message(None, channel, text, blobs) for channel, text in messages)


def _tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    if tags is not None and not isinstance(tags, Mapping):
        message = f"a run's tags are texts by name, not {tags!r:.80}"
        raise RunError(message)
    chosen = dict(tags or {})
    for key, value in chosen.items():
        if not codec.is_text(key) or not codec.is_text(value):
            message = f"a run's tags are texts by name, not {key!r}: {value!r}"
            raise RunError(message)
    return chosen


def input_text(run_id: str, value: object) -> msgspec.Raw | msgspec.UnsetType:
    """What a resume gives as input, as JSON text; None: nothing. Raises InputInvalid."""
    if value is None:
        return msgspec.UNSET
    try:
        return msgspec.Raw(codec.encode(value))
    except codec.NotJson as error:
        message = f"run {run_id!r}: input {error}"
        raise InputInvalid(message) from None
