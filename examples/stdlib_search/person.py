"""The person at the terminal, who is asked where answers compete, and need not be there."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import sys

from dagger import AnswerInvalid, Review, ReviewError, Run

MINUTES = 2.0
"""How long an answer is waited for; then the librarian goes on without one."""


def wait_minutes() -> float:
    """How long to wait for an answer: not at all where nobody can be asked."""
    return MINUTES if sys.stdin.isatty() and sys.platform != "win32" else 0.0


async def ask(run: Run) -> None:
    """Ask what the run waits for people to answer, until each question is answered or its time is over."""
    for review in await run.reviews():
        print(f"\n{review.question} ({MINUTES:g} minutes to answer)", file=sys.stderr)
        for number, option in enumerate(review.options or (), 1):
            print(f"  {number}  {option}", file=sys.stderr)
        with contextlib.suppress(ReviewError, TimeoutError):  # answered elsewhere, or too late
            await _answer(run, review)


async def _answer(run: Run, review: Review) -> None:
    while True:
        line = (await _typed(review)).strip()
        numbered = dict(enumerate(review.options or (), 1))
        try:
            await run.answer(review.id, numbered.get(int(line), line) if line.isdecimal() else line)
        except AnswerInvalid as error:
            print(error, file=sys.stderr)
        else:
            return


async def _typed(review: Review) -> str:
    """The next line. Raises TimeoutError when the question's time is over."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()
    loop.add_reader(sys.stdin, lambda: typed.done() or typed.set_result(sys.stdin.readline()))
    left = review.due_at - datetime.datetime.now(datetime.UTC) if review.due_at else None
    try:
        async with asyncio.timeout(left.total_seconds() if left else None):
            return await typed
    finally:
        loop.remove_reader(sys.stdin)
