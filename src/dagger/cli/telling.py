"""Telling a run something, from any terminal: its owner is told; where it has none, the run goes on here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from dagger.app import Dagger
from dagger.cli.executing import Told, execute
from dagger.cli.exits import Left
from dagger.cli.loading import load_app, open_store, require_store
from dagger.cli.options import Manner
from dagger.cli.progress import Progress
from dagger.cli.standing import start_of
from dagger.cli.summary import resumption
from dagger.core.errors import DaggerError
from dagger.core.journal import Store
from dagger.core.state import TERMINAL
from dagger.run import Run

Give: TypeAlias = Callable[[], Awaitable[Told | None]]
"""Gives a run what it is to be told: what to say when that is in its journal, None when it is in the inbox."""
Check: TypeAlias = Callable[[Run, Dagger, Dagger | None], str]
"""Raises UsageError for what the run's application would refuse later, or says that nobody could check it. The
second has the run's store, the third is the application, if it could be loaded."""
Leave: TypeAlias = Callable[[Run, Dagger, Dagger | None], Awaitable[Told | None]]
"""Leaves in the inbox what a run is to be told that is kept alive and that nobody executes: a command that took it up
would have to serve it for ever. Given the same as Check."""


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
    leave: Leave | None = None,
) -> int:
    """Tell a run something, if it can be of use, and follow it if it goes on here."""
    known: Dagger | None = None
    why = ""

    def load() -> Dagger:
        nonlocal known, why
        if app is not None:
            known = load_app(app, store)
            require_store(known.store.url)
        reader = open_store(store if known is None else known.store.url)
        is_elsewhere, is_left, place = asyncio.run(_look(find, reader))
        is_left = is_left and leave is not None  # with `recover=True` the application would take the run up at once
        if known is not None or (is_elsewhere and check is None):
            return known if known is not None and not is_left else reader
        try:
            known = load_app(place, reader.store.url) if place else None
        except DaggerError as error:
            why = f"\n  its application cannot be loaded: {error}"
        return reader if known is None or is_elsewhere or is_left else known

    async def begin(application: Dagger, stop: asyncio.Event) -> tuple[Run, Progress] | Told:
        found, give = await find(application)
        unchecked = f"{why}{check(found, application, known)}" if check is not None else why
        before = application.store.last_seq(found.id)
        is_left = leave is not None and _is_left(found, application.store)
        giving = leave(found, application, known) if leave is not None and is_left else give()
        given = await _unless(stop, giving, found, application.store)
        values = {"run_id": found.id, "status": found.status, **(given.values if given is not None else {})}
        if given is not None and found.status != "paused":
            if application.store.ownership(found.id) != "elsewhere":
                # a long journal is read only where the run goes on here: whoever owns it has been told already
                return found, Progress.of(application.store.read(found.id, limit=before))
            text = f"{given.text}; run {found.id} goes on in another process{unchecked}"
            return Told(text, values | {"is_executed": True, "go_on": None})
        happened = f"{what} is recorded; nobody executes run {found.id} now"
        if given is not None:
            happened = f"{given.text}; run {found.id} is paused"
        return _resting(f"{happened}{unchecked}{_WAITS if is_left else ''}", found, application, known, values)

    return execute(load, begin, manner)


_WAITS = "\n  it waits in the inbox for whoever takes the run up: `dagger resume`, or an application with recover=True"


def _resting(happened: str, run: Run, reader: Dagger, known: Dagger | None, values: dict[str, Any]) -> Told:
    """What is told of a run that goes on nowhere, with the command that goes on."""
    place = "MODULE:NAME" if known is None else "" if known.address == run.app else known.address
    go_on = resumption(run.id, reader.store.url, place)
    return Told(f"{happened}\n  go on: {go_on}", values | {"is_executed": False, "go_on": go_on})


async def _look(find: Find, reader: Dagger) -> tuple[bool, bool, str]:
    """Whether another process executes the run, whether it is left, and where its application is."""
    async with reader:
        found, _ = await find(reader)
        is_left = _is_left(found, reader.store)
        return reader.store.ownership(found.id) == "elsewhere", is_left, found.app


def _is_left(run: Run, store: Store) -> bool:
    """Whether it is kept alive, and nobody executes it; one that is paused obeys, and stays paused."""
    if run.status in {"paused", *TERMINAL} or store.ownership(run.id) == "elsewhere":
        return False
    return start_of(run, store).keep_alive


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
