"""Live progress: a picture that renews itself on a terminal, lines elsewhere. It reads the journal, like anybody."""

from __future__ import annotations

import contextlib
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol, Self

from dagger.cli.log import LOGGER
from dagger.cli.output import say
from dagger.cli.progress import Handled, Pace, Progress
from dagger.cli.words import NAMES_SHOWN, AnyEvent, line_of, resting, told_by
from dagger.core import events
from dagger.views.log import PAYLOAD
from dagger.views.texts import duration_text, visible

LINES_PER_TICK = 200
"""Of steps that succeeded, and of messages from outside: more are counted, not named."""
ROWS_SHOWN = 5
"""Steps that tell how far they are: so many on a terminal, each with a bar."""
AGENTS_SHOWN = 8
"""Agents on a terminal, a row each."""
BAR_COLUMNS = 60
"""On a narrower terminal the words need the room."""

_MANY: dict[type[events.Event], str] = {
    events.StepSucceeded: "done       … and {:,} more steps",
    events.MessagesPublished: "published  … and {:,} more messages",
}
"""What may come by the thousand, and in which words it is counted."""
_STAYING = (
    events.AttemptFailed,
    events.StepFailed,
    events.Emitted,
    events.Instructed,
    events.WaitAnswered,
    events.AgentBound,
    events.AgentRemoved,
    events.Redelivered,
    events.OrderRefused,
)
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
        self._unnamed: Counter[str] = Counter()

    def __exit__(self, *_: object) -> None:
        self._count()

    def tell(self, event: AnyEvent) -> None:
        """See Display."""
        line = line_of(event)
        if line is None:
            return
        many = _MANY.get(type(event))
        if many is not None:
            self._named += 1
            if self._named > LINES_PER_TICK:
                self._unnamed[many] += len(event.messages) if isinstance(event, events.MessagesPublished) else 1
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
        for line, number in self._unnamed.items():
            self._write(line.format(number))
        self._unnamed.clear()

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
            case events.MessagesPublished() | events.AgentBound() | events.AgentRemoved() | events.Redelivered():
                LOGGER.info("%s", " ".join((line_of(event) or "").split()), extra={"run": self._run_id})
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
            (progress.messages, "messages", ""),
            (progress.tokens, "tokens", ""),
        ):
            if number:
                told = f"{number:,} {word}" if number > 1 else f"1 {word.removesuffix('s')}"
                counts.append(", ").append(told, style=style)
        counts.append(f", {seconds // 60}:{seconds % 60:02d}")
        head = Table.grid(padding=(0, 1))
        cells: list[Any] = [Text(visible(progress.graph), style="bold", no_wrap=True, overflow="ellipsis")]
        if self._console.width >= BAR_COLUMNS:
            cells.append(ProgressBar(total=progress.total or 1, completed=progress.ended, width=20))
        head.add_row(*cells, counts)
        parts: list[Any] = [head]
        if rows := agent_rows(progress):
            agents = Table.grid(padding=(0, 1))
            for row in rows:
                agents.add_row(*(Text(f"  {visible(cell)}", no_wrap=True, overflow="ellipsis") for cell in row))
            parts.append(agents)
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


def names_of(progress: Progress) -> str:
    """The steps that run or wait, the first ones by name."""
    going = itertools.chain(progress.running, progress.waiting)
    named = ", ".join(visible(step) for step in itertools.islice(going, NAMES_SHOWN))
    more = len(progress.running) + len(progress.waiting) - NAMES_SHOWN
    return f"{named} and {more:,} more" if more > 0 else named


def agent_rows(progress: Progress) -> list[list[str]]:
    """Of the first agents that messages reached: the name, and how many it handled, failed to handle, has waiting."""
    reached = [each for each in progress.agents.items() if each[1].handled or each[1].failed or each[1].waiting]
    rows = [
        [name, *(f"{number:,} {word}" if number else "" for number, word in _counted(counts))]
        for name, counts in reached[:AGENTS_SHOWN]
    ]
    more = len(reached) - AGENTS_SHOWN
    return [*rows, [f"and {more:,} more agents"]] if more > 0 else rows


def _counted(counts: Handled) -> tuple[tuple[int, str], ...]:
    return (counts.handled, "handled"), (counts.failed, "failed"), (counts.waiting, "waiting")


def display_of(run_id: str, log: str | None, *, is_quiet: bool) -> Display:
    """The display that fits: the log if there is one, a picture on a terminal, or else lines."""
    if log is not None:
        return Logged(run_id)
    if is_quiet:
        return Silent()
    return Terminal() if sys.stderr.isatty() else Lines()
