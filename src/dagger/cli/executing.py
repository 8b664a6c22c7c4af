"""Execute a run for a command: begin it, follow it to its end, and tell what it came to."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from dagger.app import Dagger
from dagger.cli import output, summary
from dagger.cli.asking import Asker
from dagger.cli.exits import INTERRUPTED, SUCCESS, RunLost, UsageError, of_status
from dagger.cli.following import Following
from dagger.cli.interrupt import Interrupts
from dagger.cli.live import display_of
from dagger.cli.log import logged
from dagger.cli.options import Manner
from dagger.cli.progress import Progress
from dagger.cli.standing import LETTERS_SHOWN, Standing, standing_of, start_of
from dagger.core.errors import InvalidState, StoreError
from dagger.core.graph import Definition
from dagger.run import Run
from dagger.views.report import Report


class Ended(NamedTuple):
    """A run that nobody follows any more, with all that is told of it."""

    report: Report
    graph: Definition
    standing: Standing
    store: str
    app: str
    """Where the application is, if that is not where the journal says; else empty."""
    is_interrupted: bool
    picture: str | None


class Told(NamedTuple):
    """A run that was told something, and does not go on here: there is nothing to follow."""

    text: str
    values: dict[str, Any]
    """The same for `--json`."""


Begin: TypeAlias = Callable[[Dagger, asyncio.Event], Awaitable[tuple[Run, Progress] | Told]]
"""Begins or continues a run, or only tells it something; the event is Ctrl-C, for what may take long."""


def execute(load: Callable[[], Dagger], begin: Begin, manner: Manner) -> int:
    """Begin a run, see it to its end, and tell: under `--json` nothing else gets to stdout, whoever prints."""
    if manner.dot is not None and not Path(manner.dot).absolute().parent.is_dir():
        raise UsageError(f"--dot {manner.dot}: there is no folder {Path(manner.dot).absolute().parent}")
    with logged(manner.log):
        with output.stdout_kept() if manner.json else contextlib.nullcontext():
            ended = asyncio.run(_execute(load(), begin, manner))
        if isinstance(ended, Ended):
            return _tell(ended, manner)
        if manner.json:
            output.write_json(ended.values)
        else:
            output.write(ended.text)
        return SUCCESS


async def _execute(application: Dagger, begin: Begin, manner: Manner) -> Ended | Told:
    stop = asyncio.Event()
    with Interrupts(asyncio.get_running_loop(), stop.set) as interrupts:
        async with application:
            url = application.store.url
            begun = await begin(application, stop)
            if isinstance(begun, Told):
                return begun
            run, progress = begun
            app = "" if run.app == application.address else application.address
            interrupts.farewell = (
                f"left run {run.id} at once; resumed, it ends as cancelled, if that was recorded in time\n"
            )
            display = display_of(run.id, manner.log, is_quiet=manner.quiet)
            try:
                report = await Following(run, application.store, display, progress, stop=stop, asker=Asker()).report()
                standing = await standing_of(run, application.store, report)
            except (StoreError, InvalidState) as error:
                raise RunLost(f"{error}\n  go on: {summary.resumption(run.id, url, app)}") from error
            graph = start_of(run, application.store).graph
            picture = (await run.tree()).to_dot() if manner.dot is not None else None
            return Ended(report, graph, standing, url, app, interrupts.happened, picture)


def _tell(ended: Ended, manner: Manner) -> int:
    report = ended.report
    has_succeeded = report.status == "succeeded"
    display = display_of(report.run_id, manner.log, is_quiet=manner.quiet)
    display.say(summary.headline(report), is_bad=not has_succeeded)
    if manner.json:
        output.write_json({**report.to_dict(), **ended.standing.to_dict(ended.store)})
    else:
        for line in summary.outputs(report, ended.graph, ended.store):
            output.write(line)
        sys.stdout.flush()
    if manner.dot is not None and ended.picture is not None:
        try:
            Path(manner.dot).write_text(ended.picture, "utf-8")
        except OSError as error:
            output.say(f"error: --dot {manner.dot}: {error.strerror or error}")
    standing = ended.standing
    for line in (*standing.skipped(), *standing.undelivered(ended.store)):
        display.say(f"  {line}", is_bad=True)
    for line in summary.trouble(
        report,
        standing.reason,
        ended.store,
        standing.reviews,
        app=ended.app,
        awaits_instruction=standing.awaits_instruction,
        told={letter.step for letter in standing.dead[:LETTERS_SHOWN]},
    ):
        display.say(line, is_bad=True)
    if report.status == "cancelled" and ended.is_interrupted:
        return INTERRUPTED
    return of_status(report.status)
