"""`dagger pause` and `cancel`: orders to a run, from any terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

import typer

from dagger.cli import options, output
from dagger.cli.exits import SUCCESS
from dagger.cli.loading import find_run, open_store
from dagger.run import Run
from dagger.views.report import Report

Reason: TypeAlias = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it is kept in the journal.")]


_VERBS = {"paused": "is paused", "cancelled": "was cancelled"}


def pause(run: options.RunId, *, reason: Reason = "", store: options.Store = None) -> int:
    """Pause a run, whichever process executes it: what runs is cut off, and begins anew when the run is resumed."""
    return _order(run, store, lambda found: found.pause(reason))


def cancel(run: options.RunId, *, reason: Reason = "", store: options.Store = None) -> int:
    """Cancel a run, whichever process executes it: what runs is cancelled, and the run is over."""
    return _order(run, store, lambda found: found.cancel(reason))


async def _became(obeyed: Awaitable[Report]) -> tuple[str, str]:
    """The run's id and its status. The report is let go of unread: it would read the whole journal."""
    report = await obeyed
    return report.run_id, report.status


def _order(run: str, store: str | None, give: Callable[[Run], Awaitable[Report]]) -> int:
    """Give an order, and tell what became of the run once it is in effect: the application's code is not needed."""
    app = open_store(store)

    async def main() -> tuple[str, str]:
        async with app:
            return await _became(give(await find_run(app, run)))

    run_id, status = asyncio.run(main())
    output.write(f"run {run_id} {_VERBS.get(status, status)}")
    return SUCCESS
