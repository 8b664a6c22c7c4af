"""dagger.cli.following: a run is watched, asked for and cancelled by one command; see also test_asking."""

import asyncio
from types import SimpleNamespace

import pytest
from msgspec import Raw, structs

from dagger.cli.exits import Left
from dagger.cli.following import Following
from dagger.cli.live import Silent
from dagger.cli.progress import Progress
from dagger.core import events
from dagger.core.graph import Definition, Node

DONE = events.StepSucceeded(at=0, step="a", duration_ms=1200)
HALF = events.Progressed(at=0, step="a", fraction=0.5)
EMITTED = events.Emitted(at=0, step="a", value=Raw(b"1"))
BEGUN = events.RunStarted(
    at=0,
    run_id="r",
    spec=events.Spec("static", "g"),
    graph=Definition(name="g", nodes=(Node(id="a", action="x"),)),
)
ALIVE = structs.replace(BEGUN, keep_alive=True)
OVER = SimpleNamespace(status="succeeded")
RESTING = SimpleNamespace(status="waiting")
REVIEW = SimpleNamespace(id="r1")


def opened(kind, step="a"):
    return events.WaitOpened(at=0, step=step, key=kind, kind=kind)


class Going:
    """A run that ends when it is told to, and the store with its journal, which grows."""

    id = "r"
    url = "/x.db"

    def __init__(self, journal=(), live=(), owner="here"):
        self.journal = list(journal)
        self.live = live
        self.owner = owner
        self.status = "running"
        self.open = []
        self.ended = asyncio.Event()
        self.cancelled_for = None

    async def wait(self):
        await self.ended.wait()
        return OVER

    async def report(self):
        return RESTING

    async def reviews(self):
        return self.open

    async def cancel(self, reason):
        self.cancelled_for = reason
        self.ended.set()

    async def events(self, from_seq):
        for event in self.live:
            yield events.Recorded(0, event)
        await self.ended.wait()

    def row(self, run_id):
        return self

    def ownership(self, run_id):
        return self.owner

    def read(self, run_id, after, limit):
        for seq, event in list(enumerate(self.journal, 1))[after : after + limit]:
            yield events.Recorded(seq, event)


class Heard(Silent):
    """A display that keeps what it was told, and whether it was closed then."""

    is_blind = False

    def __init__(self):
        self.events = []
        self.said = []
        self.is_open = False
        self.told_closed = []

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, *_):
        self.is_open = False

    def tell(self, event):
        (self.events if self.is_open else self.told_closed).append(event)

    def say(self, text, *, is_bad=False):
        self.said.append(text)


class Sitting:
    """Somebody who sits there, and answers when `answers` is set."""

    is_there = True

    def __init__(self, run):
        self.run = run
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.was_cut = False

    async def ask(self, run, review):
        self.asked.set()
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.was_cut = True
            raise
        self.run.open.remove(review)


NOBODY = SimpleNamespace(is_there=False)


def report(run, display=None, progress=None, *, stop=None, asker=NOBODY):
    return Following(
        run, run, display or Heard(), progress or Progress(), stop=stop or asyncio.Event(), asker=asker
    ).report()


def test_everything_is_told_before_the_report_is_given():
    """Events that came with the end are not lost, and none is told twice."""

    async def main():
        run, display = Going([DONE] * 1000), Heard()
        following = asyncio.ensure_future(report(run, display))
        await asyncio.sleep(0)
        run.journal += [DONE] * 234
        run.ended.set()
        return await following, len(display.events)

    assert asyncio.run(main()) == (OVER, 1234)


def test_what_was_known_is_not_told_again():
    """A resumed run's display begins where the run does."""

    async def main():
        run, display, progress = Going([DONE] * 10), Heard(), Progress()
        progress.seq = 7
        run.ended.set()
        await report(run, display, progress)
        return len(display.events)

    assert asyncio.run(main()) == 3


def test_to_stop_is_to_cancel_the_run():
    """In an orderly way: its report is still given."""

    async def main():
        run, display, stop = Going(), Heard(), asyncio.Event()
        stop.set()
        return await report(run, display, stop=stop), run.cancelled_for, display.said

    assert asyncio.run(main()) == (OVER, "Ctrl-C", ["cancelling the run; Ctrl-C again leaves at once"])


def test_a_run_of_another_process_is_not_cancelled():
    """Only the command ends that looked on."""

    async def main():
        run, stop = Going(owner="elsewhere"), asyncio.Event()
        stop.set()
        with pytest.raises(Left, match="run r goes on in another process: only this command was ended"):
            await report(run, stop=stop)
        return run.cancelled_for

    assert asyncio.run(main()) is None


def test_what_steps_tell_live_is_told():
    """It has no place in the journal, and takes nobody else's."""

    async def main():
        run, display, progress = Going([DONE] * 3, live=[HALF, EMITTED]), Heard(), Progress()
        run.ended.set()
        await report(run, display, progress)
        return display.events, progress.seq

    heard, seq = asyncio.run(main())
    assert seq == 3
    assert [event.type for event in heard if event != DONE] == ["Progressed", "Emitted"]
    assert heard.count(DONE) == 3


def test_the_display_is_closed_while_somebody_is_asked():
    """Nothing tears the prompt; what came meanwhile is told afterwards."""

    async def main():
        run, display = Going(live=[HALF]), Heard()
        run.open, sitting = [REVIEW], Sitting(run)
        following = asyncio.ensure_future(report(run, display, asker=sitting))
        await sitting.asked.wait()
        run.journal += [DONE]
        was_open = display.is_open
        sitting.answers.set()
        run.ended.set()
        return was_open, await following, display.told_closed, {event.type for event in display.events}

    assert asyncio.run(main()) == (False, OVER, [], {"StepSucceeded", "Progressed"})


def test_a_question_ends_with_the_run():
    """Somebody cancelled it, say: nobody need answer any more."""

    async def main():
        run = Going()
        run.open, sitting = [REVIEW], Sitting(run)
        following = asyncio.ensure_future(report(run, asker=sitting))
        await sitting.asked.wait()
        run.ended.set()
        return await following, sitting.was_cut

    assert asyncio.run(main()) == (OVER, True)


def test_ctrl_c_at_the_prompt_cancels_the_run():
    """The prompt is closed first, and opened no more."""

    async def main():
        run, stop, display = Going(), asyncio.Event(), Heard()
        run.open, sitting = [REVIEW], Sitting(run)
        following = asyncio.ensure_future(report(run, display, stop=stop, asker=sitting))
        await sitting.asked.wait()
        display.say = lambda _: display.said.append(sitting.was_cut)
        stop.set()
        return await following, run.cancelled_for, display.said

    assert asyncio.run(main()) == (OVER, "Ctrl-C", [True])


@pytest.mark.parametrize("display", [Heard, Silent])
@pytest.mark.parametrize("journal", [[opened("review")], [opened("review"), opened("instruction", "b")]])
def test_a_run_that_only_people_can_let_go_on_is_left_where_nobody_sits(display, journal):
    """Its report says that it waits; a display that reads nothing makes no difference."""

    async def main():
        run = Going([BEGUN, *journal, events.RunWaiting(at=9, reason="waits for 1 review")])
        run.status = "waiting"
        return await report(run, display())

    assert asyncio.run(main()) is RESTING


@pytest.mark.parametrize(
    ("status", "journal"),
    [
        ("parked", [opened("review"), opened("sleep", "b"), events.RunParked(at=9, reason="waits")]),
        ("parked", [opened("review"), events.RunParked(at=9, reason="waits for 1 review", wake_at=99)]),
        ("waiting", [opened("review"), events.RunWaiting(at=9, reason="another attempt", is_active=True)]),
        ("running", [opened("review")]),
        ("waiting", [ALIVE, events.RunWaiting(at=9, reason="waits for messages")]),
        ("waiting", [ALIVE, opened("review"), events.RunWaiting(at=9, reason="waits for 1 review")]),
    ],
)
def test_a_run_that_goes_on_by_itself_is_followed(status, journal):
    """A sleep will be over, a review or a delayed attempt is due, code still runs, or messages may come."""

    async def main():
        run = Going([BEGUN, *journal])
        run.status = status
        following = asyncio.ensure_future(report(run))
        await asyncio.sleep(0.01)
        assert not following.done()
        run.ended.set()
        return await following

    assert asyncio.run(main()) is OVER


@pytest.mark.parametrize(
    ("waits", "command"),
    [
        (opened("instruction"), "dagger instruct r ACTION -i KEY=VALUE --store /x.db"),
        (ALIVE, "dagger publish --run r CHANNEL MESSAGE --store /x.db"),
    ],
)
def test_where_somebody_sits_it_is_said_once_how_to_tell_the_run_what_it_waits_for(waits, command):
    """Nobody is asked for an instruction or a message."""

    async def main():
        run, display = Going([BEGUN, waits, events.RunWaiting(at=9, reason="waits")]), Heard()
        following = asyncio.ensure_future(report(run, display, asker=Sitting(run)))
        await asyncio.sleep(0)
        while len(display.events) < 3 and not following.done():
            await asyncio.sleep(0.001)
        run.journal += [DONE]
        while len(display.events) < 4 and not following.done():
            await asyncio.sleep(0.001)
        run.ended.set()
        await following
        return display.said

    (said,) = asyncio.run(main())
    assert command in said
    assert "Ctrl-C here cancels the run" in said
