"""Listening: a run's events as they come, from its journal and from its steps, wherever it is executed."""

import asyncio
import contextlib

import pytest
from tests.worlds import until

from dagger import Context, EventDriven, InvalidState, Static
from dagger.listening import LOOK_SECONDS, POLL_SECONDS


async def tells(ctx: Context):
    """Something now, and something later."""
    ctx.emit(1)
    await asyncio.sleep(10)
    ctx.emit(2)
    await asyncio.sleep(10)


def types_of(heard):
    return [recorded.type for recorded in heard]


def test_events_are_heard_when_they_happen_and_the_last_at_once(world):
    """The listener is told of each within a moment of its time; then the journal is at its end, and so is it."""

    async def main(app):
        started = await app.start(Static("g"), run_id="r")
        heard = [(recorded, world.clock.passed_seconds) async for recorded in started.events()]
        journal = [(recorded.type, at) for recorded, at in heard if recorded.seq]
        told = [(recorded.type, at) for recorded, at in heard if not recorded.seq]
        assert [kind for kind, _ in journal] == ["RunStarted", "StepStarted", "StepSucceeded", "RunEnded"]
        assert [at for _, at in journal] == pytest.approx([0, 0, 20, 20], abs=3 * LOOK_SECONDS)
        assert told == [("Emitted", pytest.approx(at, abs=3 * LOOK_SECONDS)) for at in (0, 10)]

    world.run(main, tells)


@pytest.mark.parametrize(("from_seq", "heard"), [(0, [1, 2, 3, 4]), (1, [1, 2, 3, 4]), (4, [4]), (9, [])])
def test_what_is_asked_from_a_place_on_begins_there(world, from_seq, heard):
    """Seqs start at 1; 0 is the same."""

    async def main(app):
        await app.execute(Static("g"), run_id="r")
        run = await app.get_run("r")
        for live in (True, False):
            assert [recorded.seq async for recorded in run.events(from_seq, live=live)] == heard

    world.run(main, tells)


def test_what_is_there_now_is_all_without_live(world):
    """Nobody waits, and what steps tell is not heard."""

    async def main(app):
        started = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(5)
        heard = [recorded async for recorded in started.events(live=False)]
        assert (types_of(heard), world.clock.passed_seconds) == (
            ["RunStarted", "StepStarted"],
            pytest.approx(5, abs=0.1),
        )

    world.run(main, tells)


def test_a_run_that_another_process_executes_is_heard_by_its_journal(world):
    """What its steps tell is not: that is in no journal."""

    async def main(app):
        async with world.application(tells) as other:
            await app.start(Static("g"), run_id="r")
            run = await other.get_run("r")
            heard = [(recorded, world.clock.passed_seconds) async for recorded in run.events()]
        assert types_of(recorded for recorded, _ in heard) == ["RunStarted", "StepStarted", "StepSucceeded", "RunEnded"]
        assert heard[-1][1] == pytest.approx(20, abs=2 * POLL_SECONDS)

    world.run(main, tells)


def test_a_pause_is_the_last_that_is_heard(world):
    """Whoever resumes it listens anew, from where they were."""

    async def main(app):
        started = await app.start(Static("g"), run_id="r")

        async def pause():
            await asyncio.sleep(5)
            await started.pause("lunch")

        pausing = asyncio.create_task(pause())
        heard = [recorded async for recorded in started.events()]
        await pausing
        assert types_of(heard)[-2:] == ["PauseRequested", "RunPaused"]
        await app.resume("r")
        again = [recorded async for recorded in started.events(heard[-1].seq + 1)]
        assert types_of(recorded for recorded in again if recorded.seq) == [
            "RunResumed",
            "StepStarted",
            "StepSucceeded",
            "RunEnded",
        ]

    world.run(main, tells)


def test_whoever_stops_listening_is_told_no_more(world):
    """Nothing of a listener is left at the run."""

    async def main(app):
        started = await app.start(Static("g"), run_id="r")
        run, tenure = await app.get_run("r"), app.tenure("r")
        before = len(tenure.listeners)
        async with contextlib.aclosing(run.events()) as hearing:
            async for recorded in hearing:
                if recorded.type == "Emitted":
                    break
            assert (recorded.type, len(tenure.listeners)) == ("Emitted", before + 1)
        assert len(tenure.listeners) == before
        await started.wait()

    world.run(main, tells)


def test_a_listener_of_a_closed_application_is_told_so(world):
    """It hears no more, and would wait for ever."""

    async def main(app):
        other = world.application(tells)
        async with other:
            await app.start(Static("g"), run_id="r")
            run = await other.get_run("r")
            hearing = run.events()
            assert (await anext(hearing)).type == "RunStarted"
            assert (await anext(hearing)).type == "StepStarted"
        with pytest.raises(InvalidState, match="closed"):
            await anext(hearing)

    world.run(main, tells)


def test_what_is_published_from_outside_is_heard_too(world):
    """Of a run that is kept alive, for as long as it is."""

    async def main(app):
        seen = []

        @app.agent("tasks")
        async def worker(payload: int):
            seen.append(payload)

        started = await app.start(EventDriven("tasks", keep_alive=True), run_id="r")
        heard = []

        async def hear():
            heard.extend([recorded async for recorded in started.events()])

        hearing = asyncio.create_task(hear())
        await started.publish("tasks", 1)
        await until(lambda: seen)
        await started.cancel()
        await hearing
        assert [kind for kind in types_of(heard) if kind not in ("RunWaiting", "RunWoken")] == [
            "RunStarted",
            "MessagesPublished",
            "StepSucceeded",
            "CancelRequested",
            "RunEnded",
        ]

    world.run(main, tells)
