"""Asking the person at the terminal: a review's question and options, and a line typed in reply."""

from __future__ import annotations

import asyncio
import os
import sys

from dagger.cli.exits import UsageError
from dagger.cli.output import say, short
from dagger.cli.values import is_numbered, picked
from dagger.core.errors import AnswerInvalid, InvalidState, ReviewError
from dagger.core.reviews import Review
from dagger.run import Run

LOOK_SECONDS = 0.2
"""How often a question is looked at that somebody else may have answered meanwhile."""
LINE_BYTES = 4096
"""A terminal gives no line that is longer."""
_PROMPT = "> "


class Asker:
    """Asks whoever sits at the terminal, one review at a time."""

    def __init__(self) -> None:
        self.is_there = sys.stdin.isatty() and sys.stderr.isatty()
        """Whether somebody can be asked: nobody without a terminal, or when it was closed with Ctrl-D."""

    async def ask(self, run: Run, review: Review) -> None:
        """Ask until the review is answered, here or elsewhere, or the terminal is closed."""
        for line in asked(review):
            say(line)
        while (typed := await _line_of(run, review)) is not None:
            if not typed:
                say("")
                self.is_there = False
                return
            if text := typed.strip():
                try:
                    await run.answer(review.id, picked(text, review.options))
                except (AnswerInvalid, UsageError) as error:
                    say(str(error))
                except (ReviewError, InvalidState) as error:  # somebody was faster, or the run ends
                    say(str(error))
                    return
                else:
                    return


def asked(review: Review) -> list[str]:
    """The lines that ask: what is no text is shown as JSON."""
    is_by_number = is_numbered(review.options)
    shown = [option if isinstance(option, str) else short(option) for option in review.options or ()]
    options = [f"  {number}  {option}" if is_by_number else f"  {option}" for number, option in enumerate(shown, 1)]
    if not is_by_number:
        options.append("type the answer itself: a number is no place in this list")
    return [f"{review.step} asks: {review.question}", *options]


async def _line_of(run: Run, review: Review) -> str | None:
    """The next line that is typed, empty where the terminal was closed; None: the review is open no more."""
    sys.stderr.write(_PROMPT)
    sys.stderr.flush()
    loop, stdin = asyncio.get_running_loop(), sys.stdin.fileno()
    typed: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        loop.remove_reader(stdin)
        try:
            typed.set_result(os.read(stdin, LINE_BYTES))
        except OSError:  # the terminal is gone
            typed.set_result(b"")

    # the loop itself listens: a thread that reads could neither be ended nor left
    loop.add_reader(stdin, read)
    try:
        while not typed.done():
            await asyncio.wait({typed}, timeout=LOOK_SECONDS)
            if not typed.done() and all(each.id != review.id for each in await run.reviews()):
                say("")
                return None
    except asyncio.CancelledError:
        say("")  # what follows begins its own line
        raise
    finally:
        loop.remove_reader(stdin)
    return typed.result().decode(sys.stdin.encoding or "utf-8", "replace")
