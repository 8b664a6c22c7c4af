"""Listening: a run's events as they come, those of its journal and what its steps tell."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol

from dagger.core.events import Event, Recorded
from dagger.core.journal import Store
from dagger.engine.kernel import Tenant

POLL_SECONDS = 0.1
"""How often a run is looked at that another process executes."""
LOOK_SECONDS = 0.02
"""How often one is that this process executes."""
OWNED = ("running", "waiting")
"""What rows say of runs that have an owner: that it died, others have to see."""


class Station(Protocol):
    """What is asked here of the application."""

    @property
    def store(self) -> Store: ...
    def tenure(self, run_id: str) -> Tenant | None: ...
    def require_open(self) -> None: ...


class Heard(Protocol):
    """What is asked here of a run."""

    id: str

    @property
    def status(self) -> str: ...


async def listen(
    host: Station, run: Heard, from_seq: int, told: deque[Event], *, live: bool
) -> AsyncGenerator[Recorded, None]:
    """See Run.events. `told`: what the run's steps have told so far, and where they tell the rest."""
    after = max(from_seq - 1, 0)
    heard: Tenant | None = None
    try:
        while True:
            is_last = not live or run.status not in OWNED
            for recorded in host.store.read(run.id, after):
                after = recorded.seq
                yield recorded
            while told:
                yield Recorded(0, told.popleft())  # type: ignore[arg-type]
            if is_last:
                return
            tenure = host.tenure(run.id)
            if tenure is None:
                await asyncio.sleep(POLL_SECONDS)
                host.require_open()
                continue
            if tenure is not heard:  # the run was parked or paused meanwhile, and goes on under a new one
                if heard is not None:
                    heard.listeners.discard(told.append)
                heard = tenure
                heard.listeners.add(told.append)
            # it is executed here: look often, and at once when it is over
            await asyncio.wait({tenure.done}, timeout=LOOK_SECONDS)
    finally:
        if heard is not None:
            heard.listeners.discard(told.append)
