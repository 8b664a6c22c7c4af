"""Execute a run for a command: begin it, follow it to its end, and tell what it came to."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from dagger.app import Dagger
from dagger.cli import output, summary
from dagger.cli.asking import Asker
from dagger.cli.exits import INTERRUPTED, SUCCESS, RunLost, UsageError, of_status
from dagger.cli.following import Following
from dagger.cli.interrupt import Interrupts
from dagger.cli.live import display_of
from dagger.cli.log import logged
from dagger.cli.progress import Progress
from dagger.core.errors import InvalidState, StoreError
from dagger.core.events import RunStarted
from dagger.core.graph import Definition
from dagger.core.reviews import Review
from dagger.run import Run
from dagger.views.report import Report


class Manner(NamedTuple):
    """How a run is shown."""

    json: bool
    dot: str | None
    log: str | None
    quiet: bool


class Ended(NamedTuple):
    """A run that nobody follows any more, with all that is told of it."""

    report: Report
    graph: Definition
    reason: str
    reviews: Sequence[Review]
    store: str
    is_interrupted: bool
    picture: str | None


Begin: TypeAlias = Callable[[Dagger], Awaitable[tuple[Run, Progress] | None]]
"""Begins or continues a run; None: there is nothing to follow here."""


def execute(load: Callable[[], Dagger], begin: Begin, manner: Manner) -> int:
    """Begin a run, see it to its end, and tell: under `--json` nothing else gets to stdout, whoever prints."""
    if manner.dot is not None and not Path(manner.dot).absolute().parent.is_dir():
        raise UsageError(f"--dot {manner.dot}: there is no folder {Path(manner.dot).absolute().parent}")
    with logged(manner.log):
        with output.stdout_kept() if manner.json else contextlib.nullcontext():
            ended = asyncio.run(_execute(load(), begin, manner))
        return SUCCESS if ended is None else _tell(ended, manner)


async def _execute(application: Dagger, begin: Begin, manner: Manner) -> Ended | None:
    stop = asyncio.Event()
    with Interrupts(asyncio.get_running_loop(), stop.set) as interrupts:
        async with application:
            url = application.store.url
            begun = await begin(application)
            if begun is None:
                return None
            run, progress = begun
            interrupts.farewell = (
                f"left run {run.id} at once; resumed, it ends as cancelled, if that was recorded in time\n"
            )
            display = display_of(run.id, manner.log, is_quiet=manner.quiet)
            try:
                report = await Following(run, application.store, display, progress, stop=stop, asker=Asker()).report()
                reviews = await run.reviews()
            except (StoreError, InvalidState) as error:
                raise RunLost(f"{error}\n  go on: {summary.command('resume', run.id, url)}") from error
            (first,) = application.store.read(run.id, 0, 1)
            assert isinstance(first.event, RunStarted), "every journal begins so"
            picture = (await run.tree()).to_dot() if manner.dot is not None else None
            return Ended(report, first.event.graph, run.reason, reviews, url, interrupts.happened, picture)


def _tell(ended: Ended, manner: Manner) -> int:
    report = ended.report
    has_succeeded = report.status == "succeeded"
    display = display_of(report.run_id, manner.log, is_quiet=manner.quiet)
    display.say(summary.headline(report), is_bad=not has_succeeded)
    if manner.json:
        output.write_json(report.to_dict())
    else:
        for line in summary.outputs(report, ended.graph, ended.store):
            output.write(line)
        sys.stdout.flush()
    if manner.dot is not None and ended.picture is not None:
        try:
            Path(manner.dot).write_text(ended.picture, "utf-8")
        except OSError as error:
            output.say(f"error: --dot {manner.dot}: {error.strerror or error}")
    for line in summary.trouble(report, ended.reason, ended.store, ended.reviews):
        display.say(line, is_bad=True)
    if report.status == "cancelled" and ended.is_interrupted:
        return INTERRUPTED
    return of_status(report.status)
