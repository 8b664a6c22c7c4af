"""`dagger pause` and `cancel`: orders to a run, from any terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

import typer

from dagger.cli import options, output, summary
from dagger.cli.exits import SUCCESS
from dagger.cli.loading import find_run, open_store
from dagger.run import Run
from dagger.views.report import Report

Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it is kept in the journal.")]


def pause(run: options.RunId, *, reason: Reason = "", store: options.Store = None) -> int:
    """Pause a run, whichever process executes it: what runs is cut off, and begins anew when the run is resumed."""
    return _order(run, store, lambda found: found.pause(reason))


def cancel(run: options.RunId, *, reason: Reason = "", store: options.Store = None) -> int:
    """Cancel a run, whichever process executes it: what runs is cancelled, and the run is over."""
    return _order(run, store, lambda found: found.cancel(reason))


def _order(run: str, store: str | None, give: Callable[[Run], Awaitable[Report]]) -> int:
    """Give an order, and tell what became of the run once it is in effect: the application's code is not needed."""
    app = open_store(store)

    async def main() -> Report:
        async with app:
            return await give(await find_run(app, run))

    output.write(summary.headline(asyncio.run(main())))
    return SUCCESS
