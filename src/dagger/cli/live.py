"""Live progress: a picture that renews itself on a terminal, lines elsewhere. It reads the journal, like anybody."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

from dagger.cli.exits import Left
from dagger.cli.log import LOGGER
from dagger.cli.output import say
from dagger.cli.progress import Progress
from dagger.core import events
from dagger.core.errors import InvalidState, RunLeased
from dagger.run import Run
from dagger.views.report import Report
from dagger.views.texts import cut, duration_text, visible

TICK_SECONDS = 0.2
SLICE_SECONDS = 0.01
"""Of each tick, so much may go into reading: what is left is read at the next one. A reader that kept up with
100,000 steps a second would slow them down by half."""
PAGE = 250
"""Events read at once."""
LINES_PER_TICK = 200
"""Of steps that succeeded: more are counted, not named."""
ERROR_CHARACTERS = 300
NAMES_SHOWN = 8

Read = Callable[[str, int, int], Iterator[events.Recorded]]


class Display(Protocol):
    """What a person sees of a run while it goes on."""

    is_blind: bool
    """Whether it takes no notice of events: then they need not be read."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def tell(self, event: events.AnyEvent) -> None:
        """An event has come."""

    def tick(self, progress: Progress) -> None:
        """Some time has passed."""

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Say what became of the run."""


async def follow(run: Run, read: Read, display: Display, progress: Progress, stop: asyncio.Event) -> Report:
    """The run's report, once it is paused or over; until then the display shows how far it is.

    `progress` may have taken in events that the display need not tell. `stop` cancels the run; if another
    process executes it, that is none of our business, and Left is raised. Raises what `Run.wait` raises.
    """
    waiting = asyncio.ensure_future(run.wait())
    stopping = asyncio.ensure_future(_cancel(run, display, stop))
    try:
        with display:
            while not waiting.done():
                _catch_up(run.id, read, display, progress, SLICE_SECONDS)
                display.tick(progress)
                await asyncio.wait({waiting}, timeout=TICK_SECONDS)
                if stopping.done():
                    stopping.result()
            report = waiting.result()
            _catch_up(run.id, read, display, progress, float("inf"))
            return report
    finally:
        waiting.cancel()
        stopping.cancel()


async def _cancel(run: Run, display: Display, stop: asyncio.Event) -> None:
    await stop.wait()
    display.say("cancelling the run; Ctrl-C again leaves at once")
    try:
        await run.cancel("Ctrl-C")
    except RunLeased:
        raise Left(f"run {run.id} goes on in another process: only this command was ended") from None
    except InvalidState:
        pass  # it was over before


def _catch_up(run_id: str, read: Read, display: Display, progress: Progress, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while not display.is_blind:
        page = list(read(run_id, progress.seq, PAGE))
        for recorded in page:
            progress.apply(recorded)
            display.tell(recorded.event)
        if len(page) < PAGE or time.perf_counter() > until:
            return


class Silent:
    """Nothing but what is bad, at the end."""

    is_blind = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def tell(self, event: events.AnyEvent) -> None:
        """See Display."""

    def tick(self, progress: Progress) -> None:
        """See Display."""

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """See Display."""
        if is_bad:
            say(text)


class Lines(Silent):
    """A line for each step that has ended, and for each failed attempt."""

    is_blind = False

    def __init__(self) -> None:
        self._named = 0
        self._unnamed = 0

    def __exit__(self, *_: object) -> None:
        self._count()

    def tell(self, event: events.AnyEvent) -> None:
        """See Display."""
        line = line_of(event)
        if line is None:
            return
        if isinstance(event, events.StepSucceeded):
            self._named += 1
            if self._named > LINES_PER_TICK:
                self._unnamed += 1
                return
        self._write(line)

    def tick(self, progress: Progress) -> None:
        """See Display."""
        self._count()
        self._named = 0

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """See Display."""
        say(text)

    def _count(self) -> None:
        if self._unnamed:
            self._write(f"done       … and {self._unnamed:,} more steps")
        self._unnamed = 0

    def _write(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more, and the run goes on
            say(line)


class Logged(Silent):
    """The same as lines of the log; what fails the kernel logs itself."""

    is_blind = False

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def tell(self, event: events.AnyEvent) -> None:
        """See Display."""
        match event:
            case events.StepSucceeded():
                self._log(event.step, f"succeeded in {duration_text(event.duration_ms)}", attempt=event.attempt)
            case events.StepSkipped():
                self._log(event.step, f"skipped: {event.reason}")
            case events.StepCancelled():
                self._log(event.step, f"cancelled: {event.reason}", attempt=event.attempt)
            case _:
                pass

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """See Display."""
        LOGGER.log(logging.ERROR if is_bad else logging.INFO, "%s", text.strip(), extra={"run": self._run_id})

    def _log(self, step: str, text: str, **where: int) -> None:
        LOGGER.info("step %s: %s", step, text, extra={"run": self._run_id, "node": step, **where})


class Terminal(Silent):
    """A bar, counts and the names of what runs, renewed in place; failed attempts stay as lines above it."""

    is_blind = False

    def __init__(self) -> None:
        from rich.console import Console  # costs 50 ms, and only terminals need it
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        # a print to a pipe is no business of ours; one to the terminal must not tear the picture
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, event: events.AnyEvent) -> None:
        """See Display."""
        if isinstance(event, (events.AttemptFailed, events.StepFailed)):
            from rich.text import Text

            self._console.print(Text(visible(line_of(event) or "")), soft_wrap=True)

    def tick(self, progress: Progress) -> None:
        """See Display."""
        self._live.update(self._picture(progress), refresh=True)

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """See Display."""
        say(text)

    def _picture(self, progress: Progress) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        seconds = int(time.monotonic() - self._began)
        counts = Text(no_wrap=True, overflow="ellipsis")
        counts.append(f"{progress.ended:,}/{progress.total:,} steps")
        for number, word, style in (
            (len(progress.running), "running", "cyan"),
            (len(progress.waiting), "waiting", "yellow"),
            (len(progress.retrying), "retrying", "yellow"),
            (progress.failed, "failed", "red"),
            (progress.skipped, "skipped", "yellow"),
            (progress.tokens, "tokens", ""),
        ):
            if number:
                counts.append(", ").append(f"{number:,} {word}", style=style)
        counts.append(f", {seconds // 60}:{seconds % 60:02d}")
        head = Table.grid(padding=(0, 1))
        cells: list[Any] = [Text(visible(progress.graph), style="bold", no_wrap=True, overflow="ellipsis")]
        if self._console.width >= 60:  # noqa: PLR2004 - below, the counts need the room
            cells.append(ProgressBar(total=progress.total or 1, completed=progress.ended, width=20))
        head.add_row(*cells, counts)
        names = Text(f"  {names_of(progress)}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(head, names) if progress.running or progress.waiting else head


def line_of(event: events.AnyEvent) -> str | None:
    """The line that tells an event; None for those that are not told."""
    match event:
        case events.StepSucceeded():
            return f"done       {event.step} in {duration_text(event.duration_ms)}"
        case events.AttemptFailed():
            delay = duration_text(max(0, event.retry_at - event.at))
            return (
                f"retry      {event.step}: attempt {event.attempt} failed: {_one_line(event.error)}; again in {delay}"
            )
        case events.StepFailed():
            return f"failed     {event.step}: attempt {event.attempt}: {_one_line(event.error)}"
        case events.StepSkipped():
            return f"skipped    {event.step}: {event.reason}"
        case events.StepCancelled():
            return f"cancelled  {event.step}: {event.reason}"
        case events.LimitReached():
            return f"limit      {event.limit} of {event.value:g} used up"
        case _:
            return None


def names_of(progress: Progress) -> str:
    """The steps that run or wait, the first ones by name."""
    going = itertools.chain(progress.running, progress.waiting)
    named = ", ".join(visible(step) for step in itertools.islice(going, NAMES_SHOWN))
    more = len(progress.running) + len(progress.waiting) - NAMES_SHOWN
    return f"{named} and {more:,} more" if more > 0 else named


def _one_line(error: events.Error) -> str:
    return cut(" ".join(str(error).split()), ERROR_CHARACTERS)


def display_of(run_id: str, log: str | None, *, is_quiet: bool) -> Display:
    """The display that fits: the log if there is one, a picture on a terminal, or else lines."""
    if log is not None:
        return Logged(run_id)
    if is_quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()
