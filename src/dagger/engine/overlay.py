"""What one attempt sees of its run's cache and log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple, Protocol

import msgspec

from dagger.core import cache
from dagger.core.errors import OutputInvalid
from dagger.core.events import step_name
from dagger.core.graph import INSTRUCTIONS, Node


class Owner(Protocol):
    """The attempt's context."""

    node: Node

    def require_open(self) -> None: ...


class AttemptCache(cache.Cache):
    """The run's cache as one attempt sees it: the applied state, overlaid with its own writes."""

    def __init__(self, sections: cache.Sections, load: Callable[[str], bytes], context: Owner, scope: str = "") -> None:
        super().__init__(sections, load)
        self._context = context
        self._scope = scope
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
        self.collected.append(msgspec.structs.replace(write, section=self._here(section)))
        self._own.setdefault(section, {}).setdefault(key, []).append(write)

    def keys(self, section: str) -> list[str]:
        """See Cache."""
        names = dict.fromkeys([*list(self._sections.get(self._here(section), ())), *self._own.get(section, ())])
        return [name for name in names if self._stored(section, name) is not None]

    def _stored(self, section: str, key: str) -> cache.Stored | None:
        applied = self._sections.get(self._here(section), {}).get(key)
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

    def _here(self, section: str) -> str:
        """A section as the attempt's child flow knows it: its own nodes and inputs come before the run's."""
        if not self._scope:
            return section
        own = step_name(self._scope, section)
        return own if section == INSTRUCTIONS or own in self._sections else section

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
