"""Inbox: telling a run something that this process may not execute, and what became of it."""

from __future__ import annotations

import asyncio
import datetime
from typing import Protocol

from dagger.core import errors
from dagger.core.errors import (
    ActionNotRegistered,
    GraphError,
    InvalidState,
    RegistryError,
    ReviewAnswered,
    ReviewError,
    ReviewNotFound,
    RunError,
    RunLeased,
)
from dagger.core.events import OrderRefused, WaitAnswered
from dagger.core.journal import Store
from dagger.core.orders import Answer, AnyOrder
from dagger.core.reviews import review_id as review_id_of
from dagger.core.state import TERMINAL
from dagger.engine.kernel import Tenant
from dagger.engine.orders import unfit
from dagger.takeover import Takeover

LOOK_SECONDS = 0.02
"""How often a run is looked at for what became of an order."""


class Teller(Protocol):
    """What is asked here of the application."""

    @property
    def store(self) -> Store:
        """The open store."""

    def tenure(self, run_id: str) -> Tenant | None:
        """The run's tenure, if this application executes it now."""

    def require_open(self) -> None:
        """Raise InvalidState where the application was closed."""

    async def takeover(self) -> Takeover:
        """What makes the application the owner of runs that have none."""


async def tell(host: Teller, run_id: str, order: AnyOrder, *, requires_actions: bool = False) -> int:
    """Put an order into a run's inbox, and wait until it is obeyed: by its owner, else here.

    Gives the seq of the event that it became; 0: it waits for whoever takes the run up.
    `requires_actions`: where they are not registered here, it is left to whoever has them. Raises what the order was
    refused for.
    """
    store = host.store
    after = await store.send(run_id, order)
    while True:
        for recorded in store.read(run_id, after):
            after, event = recorded.seq, recorded.event
            if getattr(event, "order", "") != order.id:
                continue
            if isinstance(event, OrderRefused):
                raise getattr(errors, event.error.type, RunError)(event.error.message)
            return after
        if host.tenure(run_id) is None and store.ownership(run_id) != "elsewhere":
            try:
                await (await host.takeover()).go_on(run_id, requires_actions=requires_actions)
            except (RunLeased, InvalidState):
                pass  # another process was faster, or another call
            except ActionNotRegistered:
                return 0
            except (GraphError, RegistryError):
                if not requires_actions:
                    raise
                return 0  # its code is here, and cannot be run as it is
        await asyncio.sleep(LOOK_SECONDS)
        host.require_open()


def no_review(store: Store, run_id: str, status: str, review_id: str) -> ReviewError | InvalidState:
    """Why no open review of the run has this id: looks at the inbox, and the whole journal."""
    for order in store.unread(run_id):
        if isinstance(order, Answer) and review_id == review_id_of(run_id, order.step, order.key):
            by = order.who or "somebody"
            return ReviewAnswered(
                f"review {review_id} of run {run_id!r} was answered by {by} already: "
                "the answer waits for whoever resumes the run"
            )
    for recorded in store.read(run_id):
        event = recorded.event
        if isinstance(event, WaitAnswered) and event.review == review_id:
            at = datetime.datetime.fromtimestamp(event.at / 1000, datetime.UTC)
            by = f"answered by {event.who}" if event.who else "closed"
            return ReviewAnswered(f"review {review_id} of run {run_id!r} was {by} at {at:%Y-%m-%d %H:%M:%S} UTC")
    if status in TERMINAL:
        return unfit(run_id, status, "answered")
    return ReviewNotFound(f"run {run_id!r} has no review {review_id!r}; `dagger reviews` lists the open ones")
