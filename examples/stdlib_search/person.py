"""The person at the terminal, who is asked where answers compete, and need not be there."""

from __future__ import annotations

import contextlib
import sys

from agent import UNDECIDED

from dagger import InvalidState, ReviewError, Run
from dagger.cli.asking import Asker

MINUTES = 2.0
"""How long an answer is waited for; then the librarian goes on without one."""

asker = Asker()
asker.is_there &= sys.platform != "win32"  # where no terminal can be listened to


def wait_minutes() -> float:
    """How long to wait for an answer: not at all where nobody can be asked."""
    return MINUTES if asker.is_there else 0.0


async def ask(run: Run) -> None:
    """Ask what the run waits for people to answer; nobody there, or Ctrl-D, leaves it to the librarian."""
    for review in await run.reviews():
        if asker.is_there:
            print(f"\n({MINUTES:g} minutes to answer, Ctrl-D: {UNDECIDED})", file=sys.stderr)
            await asker.ask(run, review)
        if not asker.is_there:
            with contextlib.suppress(ReviewError, InvalidState):  # no option here: its time must run out
                await run.answer(review.id, UNDECIDED)
