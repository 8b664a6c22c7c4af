"""Live progress: a picture that renews itself on a terminal, lines elsewhere. It reads the journal, like anybody."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self, TypeAlias

import msgspec

from dagger.cli.log import LOGGER
from dagger.cli.output import local_time, question, say, short
from dagger.cli.progress import Pace, Progress
from dagger.core import events
from dagger.core.reviews import REVIEW, Question
from dagger.views.log import PAYLOAD
from dagger.views.outcome import moment
from dagger.views.texts import cut, duration_text, visible

LINES_PER_TICK = 200
"""Of steps that succeeded: more are counted, not named."""
ERROR_CHARACTERS = 300
NOTE_CHARACTERS = 120
NAMES_SHOWN = 8
ROWS_SHOWN = 5
"""Steps that tell how far they are: so many on a terminal, each with a bar."""
BAR_COLUMNS = 60
"""On a narrower terminal the words need the room."""

AnyEvent: TypeAlias = events.AnyEvent | events.Progressed | events.Emitted


_STAYING = (events.AttemptFailed, events.StepFailed, events.Emitted, events.Instructed, events.WaitAnswered)
"""What leaves a line on a terminal. What a review asks stands in the picture, or right there where it is answered."""


class Display(Protocol):
    """What a person sees of a run while it goes on. It can be entered again and again."""

    is_blind: bool
    """Whether it takes no notice of events: then they need not be read."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def tell(self, event: AnyEvent) -> None:
        """An event has come."""

    def tick(self, progress: Progress) -> None:
        """Some time has passed."""

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """Say what became of the run."""


class Silent:
    """Nothing but what is bad, at the end."""

    is_blind = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def tell(self, event: AnyEvent) -> None:
        """See Display."""

    def tick(self, progress: Progress) -> None:
        """See Display."""

    def say(self, text: str, *, is_bad: bool = False) -> None:
        """See Display."""
        if is_bad:
            say(text)


class Lines(Silent):
    """A line for each step that has ended, for each failed attempt, and for what steps tell of themselves."""

    is_blind = False

    def __init__(self) -> None:
        self._pace = Pace()
        self._named = 0
        self._unnamed = 0

    def __exit__(self, *_: object) -> None:
        self._count()

    def tell(self, event: AnyEvent) -> None:
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
        for event in self._pace.moved(progress):
            self._write(f"progress   {event.step}: {told_by(event)}")

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
        self._pace = Pace()

    def tell(self, event: AnyEvent) -> None:
        """See Display."""
        match event:
            case events.StepSucceeded():
                self._log(event.step, f"succeeded in {duration_text(event.duration_ms)}", attempt=event.attempt)
            case events.StepSkipped():
                self._log(event.step, f"skipped: {event.reason}")
            case events.StepCancelled():
                self._log(event.step, f"cancelled: {event.reason}", attempt=event.attempt)
            case events.WaitAnswered(review=review) if review:
                self._log(event.step, f"review {review} was answered by {event.who or 'nobody'}")
            case events.Emitted():
                where = {"run": self._run_id, "node": event.step, PAYLOAD: event.value}
                LOGGER.debug("step %s: emitted a value", event.step, extra=where)
            case _:
                pass

    def tick(self, progress: Progress) -> None:
        """See Display."""
        for event in self._pace.moved(progress):
            self._log(event.step, told_by(event))

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

    def tell(self, event: AnyEvent) -> None:
        """See Display."""
        if isinstance(event, _STAYING) and (line := line_of(event)) is not None:
            from rich.text import Text

            self._console.print(Text(visible(line)), soft_wrap=True)

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
        if self._console.width >= BAR_COLUMNS:
            cells.append(ProgressBar(total=progress.total or 1, completed=progress.ended, width=20))
        head.add_row(*cells, counts)
        parts: list[Any] = [head]
        if progress.progressed:
            parts.append(self._rows(list(progress.progressed.values())[:ROWS_SHOWN]))
        if progress.running or progress.waiting:
            parts.append(Text(f"  {names_of(progress)}", style="dim", no_wrap=True, overflow="ellipsis"))
        if progress.rest is not None:
            parts.append(Text(f"  {resting(progress.rest)}", style="yellow", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _rows(self, told: Iterable[events.Progressed]) -> Any:
        """How far steps are, in their own words."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        rows = Table.grid(padding=(0, 1))
        for event in told:
            cells: list[Any] = [Text(f"  {visible(event.step)}", no_wrap=True, overflow="ellipsis")]
            if self._console.width >= BAR_COLUMNS:
                cells.append(ProgressBar(total=1.0, completed=event.fraction, width=20))
            rows.add_row(*cells, Text(visible(told_by(event)), no_wrap=True, overflow="ellipsis"))
        return rows


def line_of(event: AnyEvent) -> str | None:
    """The line that tells an event; None for those that are not told."""
    told = _LINES.get(type(event))
    return None if told is None else told(event)


def _one_line(error: events.Error | str) -> str:
    return cut(" ".join(str(error).split()), ERROR_CHARACTERS)


def _success(event: events.StepSucceeded) -> str:
    if event.reused:
        return f"reused     {event.step} from run {event.reused}"
    took = duration_text(event.duration_ms)
    if event.recovers is not msgspec.UNSET:
        return f"recovered  {event.step.partition(':')[0]} by its failure action in {took}"
    return f"done       {event.step} in {took}"


def _attempt_failed(event: events.AttemptFailed) -> str:
    error = _one_line(event.error)
    if event.failure:
        return f"failed     {event.step}: attempt {event.attempt}: {error}; {event.failure} handles it"
    delay = duration_text(max(0, event.retry_at - event.at))
    return f"retry      {event.step}: attempt {event.attempt} failed: {error}; again in {delay}"


def _asks(event: events.WaitOpened) -> str | None:
    if event.kind != REVIEW:
        return None
    asked = msgspec.json.decode(bytes(event.detail or b""), type=Question)
    return f"asks       {event.step}: {_one_line(question(asked.question, asked.options))} ({event.review})"


def _answered(event: events.WaitAnswered) -> str | None:
    if not event.review:
        return None
    if event.who:
        return f"answered   {event.step}: {short(event.value, NOTE_CHARACTERS)} by {event.who} ({event.review})"
    what = "withdrawn " if event.error else "unanswered"
    return f"{what} {event.step}: the question is open no more ({event.review})"


def _waits(event: events.RunWaiting) -> str | None:
    # an attempt that is delayed has said so itself
    return None if event.is_active else f"waits      {resting(event).removeprefix('waits ')}"


_LINES: dict[type[events.Event], Callable[[Any], str | None]] = {
    events.StepSucceeded: _success,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: lambda event: f"failed     {event.step}: attempt {event.attempt}: {_one_line(event.error)}",
    events.StepSkipped: lambda event: f"skipped    {event.step}: {event.reason}",
    events.StepCancelled: lambda event: f"cancelled  {event.step}: {event.reason}",
    events.LimitReached: lambda event: f"limit      {event.limit} of {event.value:g} used up",
    events.Emitted: lambda event: f"emitted    {event.step}: {short(event.value)}",
    events.NodeAdded: lambda event: f"added      {event.node.id}",
    events.ChildOpened: lambda event: f"began      {event.step}: child flow {event.graph}",
    events.Instructed: lambda event: f"instructed {short(event.value, NOTE_CHARACTERS)}",
    events.WaitOpened: _asks,
    events.WaitAnswered: _answered,
    events.RunWaiting: _waits,
}
"""What people want to hear of, and in which words."""


def resting(event: events.RunWaiting | events.RunParked) -> str:
    """What a run waits for, and when it goes on by itself."""
    return event.reason if event.wake_at is None else f"{event.reason}; goes on at {local_time(moment(event.wake_at))}"


def told_by(event: events.Progressed) -> str:
    """How far a step is, and what it says of it."""
    return f"{event.fraction:.0%} {cut(' '.join(event.note.split()), NOTE_CHARACTERS)}".rstrip()


def names_of(progress: Progress) -> str:
    """The steps that run or wait, the first ones by name."""
    going = itertools.chain(progress.running, progress.waiting)
    named = ", ".join(visible(step) for step in itertools.islice(going, NAMES_SHOWN))
    more = len(progress.running) + len(progress.waiting) - NAMES_SHOWN
    return f"{named} and {more:,} more" if more > 0 else named


def display_of(run_id: str, log: str | None, *, is_quiet: bool) -> Display:
    """The display that fits: the log if there is one, a picture on a terminal, or else lines."""
    if log is not None:
        return Logged(run_id)
    if is_quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()
