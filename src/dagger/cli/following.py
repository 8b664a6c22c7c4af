"""Follow a run to its end: show how far it is, ask who is there to be asked, cancel it on Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

from dagger.cli.asking import Asker
from dagger.cli.exits import Left
from dagger.cli.live import Display
from dagger.cli.progress import Progress
from dagger.cli.summary import instruction, publication
from dagger.core.errors import InvalidState, StoreError
from dagger.core.events import Recorded, RunWaiting
from dagger.core.iterate import INSTRUCTION
from dagger.core.journal import Store
from dagger.core.reviews import REVIEW, Review
from dagger.run import Run
from dagger.views.report import Report

TICK_SECONDS = 0.2
SLICE_SECONDS = 0.01
"""Of each tick, so much may go into reading: what is left is read at the next one. A reader that kept up with
100,000 steps a second would slow them down by half."""
PAGE = 250
"""Events read at once."""
_OF_PEOPLE = frozenset((REVIEW, INSTRUCTION))
"""The kinds of waits that people end: where one is open, and nothing has a due time, no process is needed."""


class Following:
    """One run as one command sees it. `progress` may have taken in events that the display need not tell."""

    def __init__(
        self, run: Run, store: Store, display: Display, progress: Progress, *, stop: asyncio.Event, asker: Asker
    ) -> None:
        self._run = run
        self._store = store
        self._display = display
        self._progress = progress
        self._stop = stop
        self._asker = asker
        self._asking: asyncio.Future[None] | None = None
        self._is_shown = asyncio.Event()
        self._is_told = False
        """Whether it was said how to give the run an instruction, or a message."""

    async def report(self) -> Report:
        """The run's report, once it is paused, over, or parked for people whom nobody here can ask.

        `stop` cancels the run; if another process executes it, that is none of our business, and Left is raised.
        Raises what `Run.wait` raises.
        """
        stopped = asyncio.ensure_future(self._stop.wait())
        stopping = asyncio.ensure_future(self._cancel())
        try:
            while True:
                report = await self._leg(stopped, stopping)
                if report.status != "paused" or not self._asker.is_there or self._stop.is_set():
                    return report
                self._read(float("inf"))
                # what nobody answered in time, or was open when somebody paused the run, is left to `dagger answer`
                reviews = [each for each in await self._run.reviews() if each.id == self._progress.paused_for]
                if not reviews:
                    return report
                await self._ask(reviews[0], stopped)
                if not self._asker.is_there:
                    return report
                if self._stop.is_set():
                    await stopping
        finally:
            stopped.cancel()
            stopping.cancel()

    async def _leg(self, stopped: asyncio.Future[Any], stopping: asyncio.Future[None]) -> Report:
        """The report once the run comes to a stand: the display shows how far it is, and closes for each question."""
        waiting = asyncio.ensure_future(self._run.wait())
        listening = asyncio.ensure_future(self._listen())
        try:
            while (review := await self._show(waiting, stopping, listening)) is not None:
                await self._ask(review, stopped, waiting)
            return waiting.result() if waiting.done() else await self._run.report()
        finally:
            waiting.cancel()
            listening.cancel()

    async def _show(
        self, waiting: asyncio.Future[Report], stopping: asyncio.Future[None], listening: asyncio.Future[None]
    ) -> Review | None:
        """Show how far the run is, until a review is to be asked: that one; None: there is nothing more to follow."""
        with self._display as display:
            self._is_shown.set()
            while not waiting.done():
                self._catch_up(SLICE_SECONDS)
                display.tick(self._progress)
                if stopping.done():
                    stopping.result()
                if self._stop.is_set():
                    pass  # it is being cancelled
                elif self._asker.is_there:
                    for review in await self._run.reviews():
                        if review.id != self._progress.paused_for:  # it is asked when the run has come to a stand
                            self._is_shown.clear()
                            return review
                    self._say_what_it_waits_for()
                elif self._is_left_to_people():
                    return None
                await asyncio.wait({waiting}, timeout=TICK_SECONDS)
            waiting.result()
            await asyncio.wait({listening}, timeout=TICK_SECONDS)  # it ends with the run
            self._catch_up(float("inf"))
            return None

    async def _ask(self, review: Review, *others: asyncio.Future[Any]) -> None:
        """Ask, unless one of the others happens first."""
        self._asking = asking = asyncio.ensure_future(self._asker.ask(self._run, review))
        try:
            await asyncio.wait({asking, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
        await asyncio.wait({asking})
        if not asking.cancelled():
            asking.result()

    async def _cancel(self) -> None:
        await self._stop.wait()
        run_id = self._run.id
        if self._store.ownership(run_id) == "elsewhere":
            raise Left(f"run {run_id} goes on in another process: only this command was ended")
        if self._asking is not None:
            await asyncio.wait({self._asking})  # its prompt is being closed
        self._display.say("cancelling the run; Ctrl-C again leaves at once")
        with contextlib.suppress(InvalidState):  # it was over before
            await self._run.cancel("Ctrl-C")

    async def _listen(self) -> None:
        """Tell what is told live only, and has no place in the journal: how far steps are, and what they emit."""
        if self._display.is_blind:
            return
        with contextlib.suppress(StoreError):  # which `Run.wait` raises too
            async for recorded in self._run.events(sys.maxsize):
                await self._is_shown.wait()  # a line in the middle of a prompt would tear it
                self._take(recorded)

    def _catch_up(self, seconds: float) -> None:
        """Tell the display what the journal has that is new; one that is blind reads nothing."""
        if not self._display.is_blind:
            self._read(seconds)

    def _read(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while True:
            page = list(self._store.read(self._run.id, self._progress.seq, PAGE))
            for recorded in page:
                self._take(recorded)
            if len(page) < PAGE or time.perf_counter() > until:
                return

    def _take(self, recorded: Recorded) -> None:
        self._progress.apply(recorded)
        self._display.tell(recorded.event)

    def _say_what_it_waits_for(self) -> None:
        """Say it once, when the run waits for that: nobody is asked for an instruction, or a message."""
        if self._is_told or self._progress.rest is None:
            return
        if INSTRUCTION in self._progress.waits_for:
            what, command = "an instruction", instruction(self._run.id, self._store.url)
        elif self._progress.keeps_alive:
            what, command = "messages", publication(self._run.id, self._store.url)
        else:
            return
        self._is_told = True
        self._display.say(f"waits for {what}; from another terminal:\n  {command}\nCtrl-C here cancels the run")

    def _is_left_to_people(self) -> bool:
        """Whether nothing but a person's answer or instruction lets the run go on: it is parked when it is left.

        A review that has a due time lets it go on by itself, and that needs a process.
        """
        row = self._store.row(self._run.id)
        if row is None or row.status not in {"waiting", "parked"}:
            return False
        self._read(float("inf"))
        rest = self._progress.rest
        if rest is None or rest.wake_at is not None or (isinstance(rest, RunWaiting) and rest.is_active):
            return False
        if self._progress.keeps_alive:  # whoever began it serves it until Ctrl-C
            return False
        waits = self._progress.waits_for  # what else is waited for, say a reply, may come of what a person does
        return not waits or not waits.isdisjoint(_OF_PEOPLE)
