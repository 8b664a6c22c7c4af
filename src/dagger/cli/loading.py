"""Which application, which store, which run: what `--app`, `--store` and the first letters of an id mean."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from dagger import address
from dagger.app import Dagger
from dagger.cli.exits import UsageError
from dagger.core.errors import DaggerError, RunNotFound, nearest
from dagger.core.state import TERMINAL
from dagger.run import Run

DEFAULT_STORE = "dagger.db"
NAMED = 5
"""So many runs are named where one was meant."""


def load_app(place: str, store: str | None = None) -> Dagger:
    """The application at `place`; it keeps its runs in `store`, or where it says itself."""
    app, found_at = address.load(place, Dagger)
    app.address = found_at  # where others import it from may be another module, with fewer actions
    if store is not None:
        app.use_store(store)
    return app


def open_store(store: str | None) -> Dagger:
    """An application without actions of its own: for reading a store that is there, and telling its runs something."""
    url = store or DEFAULT_STORE
    require_store(url)
    return Dagger(url)


def app_of(text: str, store: str | None) -> Dagger:
    """The application that started the run, on the store that the run is in."""
    reader = open_store(store)

    async def look() -> tuple[str, str]:
        async with reader:
            found = await find_run(reader, text)
            if found.status in TERMINAL:
                await reader.resume(found.id)  # which refuses, and says why
            return found.id, found.app

    run_id, place = asyncio.run(look())
    if not place:
        raise UsageError(f"run {run_id} does not say where its application is: name it with --app")
    try:
        return load_app(place, reader.store.url)
    except DaggerError as error:
        raise UsageError(f"{error}\n  this is the application that started the run; --app names another") from None


def require_store(url: str) -> None:
    """Raise UsageError where the store is not there: reading makes no file."""
    if url == "memory:":
        raise UsageError("memory: keeps nothing from one command to the next; name a file with --store")
    if "://" not in url and not Path(url).exists():
        raise UsageError(f"there is no store {url}; name the file that holds the runs with --store")


async def find_run(app: Dagger, text: str) -> Run:
    """The run of this id, or the only one whose id begins or ends so.

    Ids begin with the time, so those of runs that were started together differ at the end.
    """
    try:
        return await app.get_run(text)
    except RunNotFound:
        ids = [run.id for run in await app.runs(limit=None)]
    fitting = [run_id for run_id in ids if text and (run_id.startswith(text) or run_id.endswith(text))]
    if len(fitting) == 1:
        return await app.get_run(fitting[0])
    if fitting:
        named = ", ".join(fitting[:NAMED]) + (f" and {len(fitting) - NAMED} more" if fitting[NAMED:] else "")
        raise UsageError(f"{text!r} fits {len(fitting)} runs: {named}; give more of the id")
    near = nearest(text, ids) or f"; `dagger runs --store {app.store.url}` lists them"
    raise RunNotFound(f"there is no run {text!r} in {app.store.url}{near}")


def is_graph_file(text: str) -> bool:
    """Whether a file is meant, and not a name: also where there is no such file."""
    return text.endswith((".yaml", ".yml")) or "/" in text or os.sep in text or Path(text).is_file()


def absolute(url: str) -> str:
    """The store's name, valid in every folder."""
    return url if ":" in url[2:] or url == "memory:" else str(Path(url).resolve())
