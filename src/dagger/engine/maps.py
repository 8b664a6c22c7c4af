"""Maps: the lists of the maps that were begun, taken apart once, and how many of their items are at work."""

from __future__ import annotations

import msgspec

from dagger.core import codec
from dagger.core.events import scope_of
from dagger.engine.binding import Source
from dagger.engine.pools import Pool


class Maps:
    """The maps of one run."""

    def __init__(self, run: Source) -> None:
        self._run = run
        self._items: dict[str, list[msgspec.Raw]] = {}
        self._pools: dict[str, Pool] = {}

    @property
    def is_limited(self) -> bool:
        """Whether any of them limits how many of its items are at work."""
        return bool(self._pools)

    def begin(self, name: str) -> None:
        """Note what a scope that is begun asks for."""
        pending = self._run.state.pending.get(name)
        mapped = pending.node.map if pending is not None else None
        if mapped is not None and mapped.max_parallel is not None:
            self._pools[name] = Pool(mapped.max_parallel)

    def end(self, name: str) -> None:
        """Forget a scope that has ended."""
        self._items.pop(name, None)
        self._pools.pop(name, None)

    def pools_of(self, step: str) -> tuple[Pool, ...]:
        """What an item takes a slot of besides its action's pools."""
        pool = self._pools.get(scope_of(step))
        return () if pool is None else (pool,)

    def items(self, name: str) -> list[msgspec.Raw]:
        """The JSON texts of a map's items."""
        found = self._items.get(name)
        if found is None:
            text = codec.resolve(self._run.state.scopes[name].items, self._run.load)
            found = self._items[name] = msgspec.json.decode(text, type=list[msgspec.Raw])
        return found
