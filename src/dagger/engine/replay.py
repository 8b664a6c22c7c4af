"""Replay: the state that a run's durable journal tells."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from dagger.core.fold import apply, fold
from dagger.core.journal import Store
from dagger.core.state import State


def replay(store: Store, run_id: str, after: int = 0, state: State | None = None, limit: int | None = None) -> State:
    """The state that the durable journal tells; with `state`, what follows in it; `limit`: so many events at most."""
    with _collector_off():
        if state is None:
            return fold(recorded.event for recorded in store.read(run_id, after, limit))
        for recorded in store.read(run_id, after, limit):
            apply(state, recorded.event)
        return state


@contextmanager
def _collector_off() -> Iterator[None]:
    """Replaying makes many objects that stay: looking for garbage among them would double the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
