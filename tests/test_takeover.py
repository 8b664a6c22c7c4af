"""Takeover: becoming the owner of a run that nobody executes: to resume it, to wake it, or to tell it an order."""

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.worlds import HOUR, World, until

from dagger import (
    ActionNotRegistered,
    Context,
    EventDriven,
    Graph,
    InvalidState,
    RegistryError,
    RunLeased,
    RunNotFound,
    Static,
    agent,
)
from dagger.core import events

DYING = Path(__file__).with_name("dying.py")


async def nap(ctx: Context):
    await ctx.sleep(HOUR)
    return 1


async def work(ctx: Context):
    await asyncio.sleep(600)
    return 1


async def other():
    return 0


def leave(world, *actions, seconds=1, **options):
    """Leave a run behind, as a process that has died."""

    async def main(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(seconds)

    world.run(main, *actions, **options)


async def types_of(app, name="r"):
    return [recorded.type async for recorded in (await app.get_run(name)).events(live=False)]


# -- who may ---------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_there_cannot_be_taken_over(world):
    """By its id."""

    async def main(app):
        with pytest.raises(RunNotFound, match="there is no run 'x' in"):
            await (await app.takeover()).resume("x", {})

    world.run(main, work)


def test_a_run_that_is_over_or_goes_on_cannot_be_taken_over(world):
    """Here it is told so; elsewhere it is leased."""

    async def main(app):
        await app.execute(Static("g"), run_id="over")
        await app.start(Static("g"), run_id="r")
        takeover = await app.takeover()
        with pytest.raises(InvalidState, match=r"run 'over' is over \(succeeded\)"):
            await takeover.resume("over", {})
        with pytest.raises(InvalidState, match="run 'r' goes on in this application: there is nothing to resume"):
            await takeover.resume("r", {})
        async with world.application(work) as there:
            with pytest.raises(RunLeased):
                await (await there.takeover()).resume("r", {})
            assert await (await there.takeover()).attempt(["r", "over", "x"]) == []

    world.run(main, work)


def test_a_run_whose_code_is_not_here_is_left_alone_and_named_once(world, caplog):
    """It keeps its state for a process that has the code; resuming it in person is an error."""
    leave(world, work)

    async def main(app):
        for _ in range(3):
            assert await app.recover() == []
        with pytest.raises(ActionNotRegistered, match="'work' is not registered"):
            await app.resume("r")
        return (await app.get_run("r")).status, app.store.ownership("r")

    with caplog.at_level(logging.WARNING, logger="dagger"):
        status, owner = world.run(main, other)
    assert (status, owner != "here") == ("interrupted", True)
    assert len([record for record in caplog.records if "run r is not continued here" in record.message]) == 1


def test_what_an_agent_here_cannot_do_keeps_runs_from_being_claimed(world):
    """Its pool has no size: each of them stays whose it was, and nobody who waits for one hangs."""

    def reader(**options):
        @agent(subscribe="in", **options)
        async def reads(number: int):
            await asyncio.sleep(600)

        return reads

    async def begin(app):
        app.register_agent(reader())
        for name in "ab":
            await app.start(EventDriven("in", 1), run_id=name)
        await asyncio.sleep(1)

    async def main(app):
        app.register_agent(reader(pool="db"))
        assert [await app.recover() for _ in range(2)] == [[], []]
        for name in "ab":
            with pytest.raises(RegistryError, match="pool 'db' has no size"):
                await app.resume(name)
            assert app.store.ownership(name) != "here"
        runs = [await app.get_run(name) for name in "ab"]
        with pytest.raises(RegistryError, match="pool 'db' has no size"):
            await app.start(EventDriven("in", 2), run_id="c")
        return [(await run.wait()).status for run in runs], len(await app.runs())

    world.run(begin, other)
    assert world.run(main, other) == (["interrupted"] * 2, 2)


def test_of_two_processes_that_recover_only_one_continues_a_run(world):
    """An interrupted one, and a parked one that is due: each goes on once, and its steps with it."""
    began = []

    async def counted(ctx: Context):
        began.append(ctx.run_id)
        await ctx.sleep(HOUR)
        await asyncio.sleep(60)

    leave(world, counted, seconds=10)
    world.clock.advance(HOUR)

    async def main(app):
        async with world.application(counted, recover=True) as there:
            await asyncio.gather(app.recover(), there.recover())
            await asyncio.sleep(300)
            return (await app.get_run("r")).status, (await types_of(app)).count("RunWoken")

    assert world.run(main, counted, recover=True) == ("succeeded", 1)
    assert began == ["r", "r"]


def test_of_those_that_attach_to_an_interrupted_run_at_once_one_continues_it(world):
    """Two processes of a service may begin in the same moment, and a call beside another: all have the run."""
    leave(world, work, seconds=1)

    async def main(app):
        async with world.application(work) as there:
            runs = await asyncio.gather(*(one.start(Static("g"), run_id="r") for one in (app, there, app, there)))
            reports = [await run.wait() for run in runs]
            return [report.status for report in reports], (await types_of(app)).count("RunRecovered")

    assert world.run(main, work) == (["succeeded"] * 4, 1)


def test_a_service_that_is_begun_again_hears_though_nothing_is_recovered(world):
    """It was closed in an orderly way, so that its run is parked: whoever starts it has it."""

    async def serve(app, number):
        async def hear(what: str):
            world.told.append(what)

        app.register_agent(agent(subscribe="orders")(hear))
        await app.start(EventDriven("orders", keep_alive=True), run_id="office")
        async with world.application(other) as there:
            assert await (await there.get_run("office")).publish("orders", f"tea {number}") is not None
        await asyncio.sleep(5)

    for number in range(3):
        world.run(lambda app, number=number: serve(app, number), other)
    assert world.told == ["tea 0", "tea 1", "tea 2"]


def test_whoever_executes_a_run_that_was_parked_elsewhere_sees_its_end(world):
    """Its process is gone, and nobody else looks at the time."""
    leave(world, nap, seconds=10)

    async def main(app):
        assert (await app.get_run("r")).status == "waiting"
        report = await asyncio.wait_for(app.execute(Static("g"), run_id="r"), 2 * HOUR)
        return report.status, round(world.clock.passed_seconds)

    assert world.run(main, nap) == ("succeeded", HOUR)


def test_a_parked_run_is_attached_to_though_its_code_is_not_here(world, caplog):
    """A node was added while it went on: who has that node's action goes on with it, and this one sees its end."""

    async def grows(ctx: Context):
        ctx.add_node("nap", id="late")

    async def begin(app):
        app.register_action(nap)
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        status = run.status
        there = world.application(grows, recover=True)
        there.register_action(nap)
        async with there:
            return status, (await asyncio.wait_for(run.wait(), 2 * HOUR)).status

    world.run(begin, grows)
    with caplog.at_level(logging.WARNING, logger="dagger"):
        assert world.run(main, grows) == ("waiting", "succeeded")
    assert "run r is not continued here: node 'late': action 'nap' is not registered" in caplog.text


def test_starting_a_paused_run_again_resumes_it_not(world):
    """That is for a person."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await run.pause("lunch")
        again = await app.execute(Static("g"), run_id="r")
        return again.status, run.reason

    assert world.run(main, nap) == ("paused", "lunch")


def test_a_run_that_cannot_begin_after_all_is_let_go_of(tmp_path):
    """An agent came while the run was claimed whose pool has no size: nobody hangs, and the run can go on later."""
    world = World("sqlite", tmp_path)

    def reader(name, **options):
        @agent(name=name, subscribe=name, **options)
        async def reads(number: int):
            await asyncio.sleep(60)

        return reads

    async def begin(app):
        app.include(reader("in"))
        await app.start(EventDriven("in", 1), run_id="r")
        await asyncio.sleep(1)

    async def main(app):
        app.include(reader("in"))
        await app.runs()
        recovering = asyncio.create_task(app.recover())
        await asyncio.sleep(0)  # it has looked, and claims the run
        app.register_agent(reader("late", pool="db"))
        assert await recovering == []
        run = await app.get_run("r")
        found = run.status, (await run.wait()).status
        await until(lambda: app.store.ownership("r") == "none")  # anybody else may have it
        app.register_agent(reader("other", pool="db", rate="5/s"))
        await app.resume("r")
        return found, (await run.wait()).status

    world.run(begin, other)
    assert world.run(main, other) == (("interrupted", "interrupted"), "succeeded")


def test_who_cannot_execute_a_run_cannot_cancel_it_and_says_so(tmp_path):
    """Its code is here, and cannot be run as it is: nobody else is kept from the run, and the order waits for them."""
    world = World("sqlite", tmp_path)

    @agent(subscribe="in")
    async def reads(number: int): ...

    @agent(subscribe="other", pool="db")
    async def unsized(number: int): ...

    async def begin(app):
        app.include(reads)
        await app.start(EventDriven("in", keep_alive=True), run_id="r")
        await asyncio.sleep(10)

    async def refused(app):
        app.include(reads, unsized)
        run = await app.get_run("r")
        with pytest.raises(RegistryError, match="pool 'db' has no size"):
            await run.cancel("enough")
        await until(lambda: app.store.ownership("r") == "none")

    async def takes_it(app):
        app.include(reads)
        await app.resume("r")
        return (await (await app.get_run("r")).wait()).status

    world.run(begin, other)
    world.run(refused, other)
    assert world.run(takes_it, other) == "cancelled"


# -- paused runs -----------------------------------------------------------------------------------------------


@agent(subscribe="notes")
async def reader(note: str):
    """It takes what somebody outside publishes."""


def test_a_paused_run_is_resumed_by_nobody_but_a_person(world):
    """Not by its alarm from when it was parked, nor by whoever recovers."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        await run.pause("lunch")
        async with world.application(nap, recover=True) as there:
            await asyncio.sleep(HOUR)
            await there.recover()
        return run.status, run.reason, (await types_of(app)).count("RunResumed")

    assert world.run(main, nap, recover=True) == ("paused", "lunch", 0)


def test_a_parked_run_can_be_resumed_with_other_settings(world):
    """They stand in the journal, and it waits on for what it waited."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        await app.resume("r", config={"timeout_seconds": 50})
        assert "RunResumed" in await types_of(app)
        await asyncio.sleep(10)
        assert app.store.row("r").status == "parked"
        report = await run.wait()
        return report.status, round(world.clock.passed_seconds)

    assert world.run(main, nap) == ("succeeded", HOUR)


def test_an_alarm_wakes_a_run_only_if_it_is_still_parked(world):
    """Another process went on with it since, and died: that one's run is for those to take over who recover."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        there = world.application(nap)
        await there.resume("r", config={"timeout_seconds": 50})
        await asyncio.sleep(1)
        await there.store.close()  # and no more: the application had no time to park what waits
        if there.store.is_immediate:
            pytest.skip("in memory nothing keeps an application from going on with a closed store")
        before = await types_of(app)
        await asyncio.sleep(2 * HOUR)
        return run.status, (await types_of(app))[len(before) :]

    assert world.run(main, nap) == ("interrupted", [])


def test_a_paused_run_goes_on_with_its_answer_though_it_is_told_something_else_meanwhile(world):
    """Whoever tells it owns it for that moment: what comes then is not lost with that owner."""

    async def asks(ctx: Context):
        answer = await ctx.review("Go on?", wait_minutes=1)
        await asyncio.sleep(60)
        return answer

    async def main(app):
        app.register_agent(reader)
        for turns in range(5):
            run = await app.start(Static("g"), run_id=f"r{turns}")
            assert (await run.wait()).status == "paused"
            (review,) = await run.reviews()
            paused_at = app.store.last_seq(run.id)
            publishing = asyncio.create_task(run.publish("notes", "hello"))
            while app.store.ownership(run.id) == "none" and app.store.last_seq(run.id) == paused_at:
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            await run.answer(review.id, "yes")
            assert await publishing is not None
            assert (await run.wait()).status == "succeeded"

    world.run(main, asks, config={"human_timeout_action": "pause"})


def test_whoever_gives_up_telling_a_paused_run_something_leaves_it_to_others(world):
    """At whichever moment: it is nobody's then, and can be resumed."""

    async def main(app):
        app.register_agent(reader)
        for turns in range(3):
            run = await app.start(Static("g"), run_id=f"r{turns}")
            await run.pause()
            paused_at = app.store.last_seq(run.id)
            publishing = asyncio.create_task(run.publish("notes", "hello"))
            while app.store.ownership(run.id) == "none" and app.store.last_seq(run.id) == paused_at:
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            publishing.cancel()
            await until(lambda run=run: app.store.ownership(run.id) == "none")
            assert (await (await run.resume()).wait()).status == "succeeded"

    world.run(main, nap)


# -- the steps in flight ---------------------------------------------------------------------------------------


def test_a_cancelled_run_with_a_sleeping_step_is_ended_by_whoever_takes_it_over(world):
    """CancelRequested is in the journal: the sleep is not waited for."""

    async def stubborn(ctx: Context):
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(3)

    async def begin(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(2)
        cancelling = asyncio.create_task(run.cancel("enough"))
        await asyncio.sleep(0.5)
        assert run.status == "running"
        await app.close()
        with pytest.raises(InvalidState):
            await cancelling

    async def end(app):
        await app.recover()
        report = await (await app.get_run("r")).wait()
        return report.status, report.error

    world.run(begin, nap, stubborn)
    began = world.clock.passed_seconds
    assert world.run(end, nap, stubborn) == ("cancelled", "RunCancelled: enough")
    assert world.clock.passed_seconds - began < 60


def test_a_waiting_run_that_was_about_to_pause_pauses_in_the_hands_of_another(world):
    """PauseRequested is in the journal: what slept is not waited for."""

    async def slow_to_end(ctx: Context):
        try:
            await ctx.sleep(HOUR)
        finally:
            await asyncio.sleep(3)

    async def begin(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(2)
        pausing = asyncio.create_task(run.pause("lunch"))
        await asyncio.sleep(0.5)
        await app.close()
        with pytest.raises(InvalidState):
            await pausing

    async def go_on(app):
        await app.recover()
        report = await (await app.get_run("r")).wait()
        return report.status, (await types_of(app))[-1]

    world.run(begin, slow_to_end)
    assert world.run(go_on, slow_to_end) == ("paused", "RunPaused")
    assert world.clock.passed_seconds < 60


def test_a_run_recovered_again_and_again_without_a_success_pauses(world):
    """The fourth time it names what was at work; resumed, it gets as many chances anew; a success ends the count.

    A closed store in memory is a dead owner; one on disk was closed in an orderly way, and that is no crash.
    """

    async def begin(app):
        await app.recover()
        await asyncio.sleep(100)
        run = await app.get_run("r")
        return run.status, run.reason

    async def resume(app):
        await app.resume("r")
        await asyncio.sleep(100)
        return (await app.get_run("r")).status

    leave(world, work, nap, seconds=100)
    told = [world.run(begin, work, nap) for _ in range(4)]
    if world.kind == "sqlite":
        assert told == [("running", "")] * 4
        return
    reason = "crash loop: its process died 4 times without a new success; in flight: 'n0'"
    assert told == [("running", "")] * 3 + [("paused", reason)]
    assert world.run(resume, work, nap) == "running"
    assert [world.run(begin, work, nap)[0] for _ in range(4)] == ["running"] * 3 + ["paused"]


def test_a_service_in_which_nothing_was_at_work_is_in_no_crash_loop(world):
    """However often its process dies in its first second, before it is said to wait."""

    async def pack(order: str):
        pass

    async def main(app):
        lives = []
        for _ in range(6):
            there = world.application(other)
            there.register_agent(agent(subscribe="orders")(pack))
            run = await there.start(EventDriven("orders", keep_alive=True), run_id="office")
            lives.append((there, run.status))
            await asyncio.sleep(0.5)
            await there.store.close()  # and no more: its run is not parked
        for there, _ in lives:
            await there.close()
        return {status for _, status in lives}

    assert world.run(main, other) == {"running"}


# -- real processes --------------------------------------------------------------------------------------------


def dying(store, kills):
    """What a process says of the run, and how it ended."""
    done = subprocess.run(
        [sys.executable, DYING, store, str(kills)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.strip(), done.returncode


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_step_that_kills_its_process_pauses_its_run(tmp_path):
    """Killed four times at the same step: paused, with the step named; resumed, it gets as many chances again."""
    store = str(tmp_path / "runs.db")
    for _ in range(2):
        for _ in range(4):
            assert dying(store, 8) == ("", -9)
        said = "crash loop: its process died 4 times without a new success; in flight: 'first'"
        assert dying(store, 8) == (f"paused {said}", 0)
    assert dying(store, 0) == ("succeeded", 0)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_a_success_in_between_ends_the_count(tmp_path):
    """Killed three times at one step and three at the next, a run goes on by itself."""
    store = str(tmp_path / "runs.db")
    for _ in range(6):
        assert dying(store, 3) == ("", -9)
    assert dying(store, 3) == ("succeeded", 0)


def test_a_flow_that_nobody_waits_for_is_dropped_with_what_it_asks(world):
    """Its process died after the step that had begun it ended, and before it was dropped itself."""

    async def asks(ctx: Context):
        return await ctx.review("Go on?")

    async def begins(ctx: Context):
        await asyncio.wait({asyncio.create_task(ctx.execute(Static("child")))}, timeout=1)

    async def later(ctx: Context):
        await ctx.sleep(60)

    async def main(app):
        child, graph = Graph("child"), Graph("h")
        child.add(asks)
        graph.add(later, after=[graph.add(begins)])
        app.add_graph(child)
        app.add_graph(graph)
        report = await app.execute(Static("h"), run_id="whole")
        journal = [recorded.event for recorded in app.store.read("whole")]
        died = [(type(event).__name__, event.at) for event in journal].index(("StepSucceeded", journal[-1].at - 60_000))
        lease = app.store.create(msgspec.structs.replace(journal[0], run_id="r"))
        for event in journal[1 : died + 1]:
            if not (isinstance(event, events.WaitAnswered) and event.review):
                app.store.append(lease, event)
        await app.durable()
        app.store.give_up(lease)
        assert [review.run_id for review in await app.reviews()] == ["r"]
        run = await app.resume("r")
        left = await app.reviews()
        return report.status, left, (await run.wait()).status

    assert world.run(main, asks, begins, later) == ("succeeded", [], "succeeded")
