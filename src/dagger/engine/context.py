"""What user code may see and do; collects its effects."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple, Protocol

import msgspec

from dagger.core import cache, codec, events
from dagger.core.errors import AttemptOver, OutputInvalid
from dagger.core.events import scope_of, step_name
from dagger.core.graph import Node
from dagger.core.state import State
from dagger.engine.binding import input_values
from dagger.spec.context import Context, Outcome

LOGGER = logging.getLogger("dagger")


class Tried(Protocol):
    """What a context needs of its attempt."""

    @property
    def step(self) -> str:
        """The step's name."""

    @property
    def node(self) -> Node:
        """The step's node."""

    @property
    def number(self) -> int:
        """Starts at 1."""

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970."""

    def spend(self, count: int) -> None:
        """Count tokens, at once."""


class AttemptContext(Context):
    """One attempt's context. It is closed when the attempt is over: what came later would be lost."""

    def __init__(self, attempt: Tried, state: State, load: Callable[[str], bytes]) -> None:
        self._attempt = attempt
        self._state = state
        self._load = load
        self.run_id = state.run_id
        self.graph = state.spec.name
        self.node = attempt.node
        self.message = None
        self.attempt = attempt.number
        self.idempotency_key = f"{state.run_id}/{attempt.step}"
        self.cache: AttemptCache = AttemptCache(state.sections, load, self)
        self.result: bytes | None = None
        self._is_over = False

    @property
    def inputs(self) -> dict[str, Any]:  # type: ignore[override]  # made when asked for: most code never asks
        """See Context. Decoded anew at each call."""
        return input_values(self._state, self._attempt.step, self.node, self._load)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:  # type: ignore[override]  # likewise
        """See Context."""
        return AttemptLog(LOGGER, {"run": self.run_id, "node": self._attempt.step, "attempt": self.attempt})

    @property
    def deadline(self) -> datetime.datetime:
        """See Context."""
        return datetime.datetime.fromtimestamp(self._attempt.deadline_ms() / 1000, datetime.UTC)

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """See Context."""
        scope = scope_of(self._attempt.step)
        return {node: self._outcome(node, step_name(scope, node)) for node in self.node.dependencies}

    def _outcome(self, node_id: str, step: str) -> Outcome:
        ended = self._state.unsuccessful.get(step)
        if ended is None:
            return Outcome(node_id, "succeeded")
        failed = ended.status == "failed"
        return Outcome(node_id, ended.status, ended.reason if failed else None, None if failed else ended.reason)

    def finish(self, result: object) -> None:
        """See Context."""
        self.require_open()
        try:
            text = codec.encode(result)
        except codec.NotJson as error:
            message = f"node {self.node.id!r}: result: {error}"
            raise OutputInvalid(message) from None
        self.result = text if self.result is None else self.result

    def spend_tokens(self, count: int) -> None:
        """See Context."""
        self.require_open()
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            message = f"node {self.node.id!r}: tokens are a whole number of at least 0, not {count!r}"
            raise OutputInvalid(message)
        if count:
            self._attempt.spend(count)

    def with_effects(self, event: events.StepSucceeded, blobs: list[codec.Blob]) -> events.StepSucceeded:
        """The attempt's success with all that it collected; large values go to `blobs`."""
        return msgspec.structs.replace(
            event,
            cache=tuple(
                msgspec.structs.replace(write, value=codec.sealed(bytes(write.value), blobs))
                for write in self.cache.collected
            ),
            result=msgspec.UNSET if self.result is None else codec.sealed(self.result, blobs),
        )

    def close(self) -> None:
        """Refuse all further calls."""
        self._is_over = True

    def require_open(self) -> None:
        """Raise AttemptOver once the attempt has ended."""
        if self._is_over:
            message = (
                f"node {self.node.id!r}, attempt {self.attempt}: the attempt is over (it timed out, was cancelled "
                f"or has returned), so this call would have no effect"
            )
            raise AttemptOver(message)


class AttemptCache(cache.Cache):
    """The run's cache as one attempt sees it: the applied state, overlaid with its own writes."""

    def __init__(self, sections: cache.Sections, load: Callable[[str], bytes], context: AttemptContext) -> None:
        super().__init__(sections, load)
        self._context = context
        self.collected: list[cache.Write] = []
        self._own: dict[str, dict[str, list[cache.Write]]] = {}
        """The same by section and key."""
        self._overlaid: dict[tuple[str, str], _Overlaid] = {}

    def _apply(self, op: str, section: str, key: str, value: object) -> None:
        self._context.require_open()
        if section == "inputs":
            message = f"node {self._context.node.id!r}: the section 'inputs' of the cache is the run's: it is read-only"
            raise OutputInvalid(message)
        write = cache.collect(op, section, key, value, self._stored(section, key), self._load)
        self.collected.append(write)
        self._own.setdefault(section, {}).setdefault(key, []).append(write)

    def keys(self, section: str) -> list[str]:
        """See Cache."""
        names = dict.fromkeys([*list(self._sections.get(section, ())), *self._own.get(section, ())])
        return [name for name in names if self._stored(section, name) is not None]

    def _stored(self, section: str, key: str) -> cache.Stored | None:
        applied = self._sections.get(section, {}).get(key)
        own = self._own.get(section, {}).get(key)
        if own is None:
            return applied
        size = len(applied.items) if isinstance(applied, cache.Appended) else 0
        known = self._overlaid.get((section, key))
        if known is None or known.applied is not applied or known.size != size:
            copy = applied
            if isinstance(applied, cache.Appended):
                copy = cache.Appended(applied.head, applied.items[:size])
            known = _Overlaid(applied, size, 0, copy)
        overlay: cache.Sections = {section: {} if known.stored is None else {key: known.stored}}
        for write in own[known.writes :]:  # only those since the last look: a thousand appends cost a thousand steps
            cache.apply(overlay, write)
        stored = overlay.get(section, {}).get(key)
        self._overlaid[section, key] = _Overlaid(applied, size, len(own), stored)
        return stored

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys([*list(self._sections), *self._own])
        return iter([name for name in names if self.keys(name)])


class _Overlaid(NamedTuple):
    """A key as an attempt sees it, and of what it was made."""

    applied: cache.Stored | None
    size: int
    """Items of an applied list, which grows in place."""
    writes: int
    """Own writes that are in it."""
    stored: cache.Stored | None


class AttemptLog(logging.LoggerAdapter[logging.Logger]):
    """Adds run, node and attempt to a line, and keeps what the call itself adds."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """See logging.LoggerAdapter: before Python 3.13 it drops the call's own `extra`."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
