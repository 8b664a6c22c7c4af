"""Telling a run something, from any terminal: its owner is told; where it has none, the run goes on here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from dagger.app import Dagger
from dagger.cli.executing import Told, execute
from dagger.cli.exits import Left
from dagger.cli.loading import load_app, open_store, require_store
from dagger.cli.options import Manner
from dagger.cli.progress import Progress
from dagger.cli.summary import resumption
from dagger.core.errors import DaggerError
from dagger.core.journal import Store
from dagger.run import Run

Give: TypeAlias = Callable[[], Awaitable[Told | None]]
"""Gives a run what it is to be told: what to say when that is in its journal, None when it is in the inbox."""
Check: TypeAlias = Callable[[Run, Dagger, Dagger | None], str]
"""Raises UsageError for what the run's application would refuse later, or says that nobody could check it. The
second has the run's store, the third is the application, if it could be loaded."""


Find: TypeAlias = Callable[[Dagger], Awaitable[tuple[Run, Give]]]
"""Finds the run that is to be told something."""


def tell(
    find: Find,
    what: str,
    app: str | None,
    store: str | None,
    manner: Manner,
    *,
    check: Check | None = None,
) -> int:
    """Tell a run something, if it can be of use, and follow it if it goes on here."""
    known: Dagger | None = None
    why = ""

    def load() -> Dagger:
        nonlocal known, why
        if app is not None:
            known = load_app(app, store)
            require_store(known.store.url)
            return known
        reader = open_store(store)
        is_elsewhere, place = asyncio.run(_look(find, reader))
        if is_elsewhere and check is None:
            return reader
        try:
            known = load_app(place, reader.store.url) if place else None
        except DaggerError as error:
            why = f"\n  its application cannot be loaded: {error}"
        return reader if known is None or is_elsewhere else known

    async def begin(application: Dagger, stop: asyncio.Event) -> tuple[Run, Progress] | Told:
        found, give = await find(application)
        unchecked = f"{why}{check(found, application, known)}" if check is not None else why
        before = application.store.last_seq(found.id)
        given = await _unless(stop, give(), found, application.store)
        values = {"run_id": found.id, "status": found.status, **(given.values if given is not None else {})}
        if given is not None and found.status != "paused":
            if application.store.ownership(found.id) != "elsewhere":
                # a long journal is read only where the run goes on here: whoever owns it has been told already
                return found, Progress.of(application.store.read(found.id, limit=before))
            text = f"{given.text}; run {found.id} goes on in another process{unchecked}"
            return Told(text, values | {"is_executed": True, "go_on": None})
        place = "MODULE:NAME" if known is None else "" if known.address == found.app else known.address
        go_on = resumption(found.id, application.store.url, place)
        happened = f"{what} is recorded; nobody executes run {found.id} now"
        if given is not None:
            happened = f"{given.text}; run {found.id} is paused"
        return Told(f"{happened}{unchecked}\n  go on: {go_on}", values | {"is_executed": False, "go_on": go_on})

    return execute(load, begin, manner)


async def _look(find: Find, reader: Dagger) -> tuple[bool, str]:
    """Whether another process executes the run, and where its application is."""
    async with reader:
        found, _ = await find(reader)
        return reader.store.ownership(found.id) == "elsewhere", found.app


async def _unless(stop: asyncio.Event, giving: Awaitable[Told | None], run: Run, store: Store) -> Told | None:
    """What a run is told, unless Ctrl-C comes first: a message may have to wait until an agent has room for it."""
    given, stopped = asyncio.ensure_future(giving), asyncio.ensure_future(stop.wait())
    await asyncio.wait({given, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if given.done():
        return given.result()
    given.cancel()
    if store.ownership(run.id) == "here":
        return Told("", {})  # it goes on here by now: who follows it cancels it
    told = f"run {run.id} has not taken all of it in yet; what is in its inbox, it will"
    raise Left(f"{told}: only this command was ended")
