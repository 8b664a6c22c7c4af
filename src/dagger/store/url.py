"""Which store a URL names."""

from __future__ import annotations

from pathlib import Path

from dagger.core.errors import StoreError
from dagger.core.journal import Store
from dagger.store.memory import MemoryStore


def store_of(store: str | Path | Store) -> Store:
    """The store of a path or `memory:`, or the store that is given. Raises StoreError."""
    if not isinstance(store, (str, Path)):
        return store
    if str(store) == "memory:":
        return MemoryStore()
    if "://" in str(store):
        message = f"{str(store)!r} is no store that this version knows; give a file's path or 'memory:'"
        raise StoreError(message)
    from dagger.store.sqlite import SqliteStore

    return SqliteStore(store)
