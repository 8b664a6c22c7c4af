"""Rest: a run in which nothing is ready or running says that it waits; one with only waits open is parked."""

import asyncio

import pytest
from tests.worlds import HOUR, until

from dagger import Context, Dagger, Graph, InvalidState, NonRetryable, Static
from dagger.core import events
from dagger.core.graph import Node


async def nap(ctx: Context):
    await ctx.sleep(HOUR)
    return 1


async def types_of(run):
    return [recorded.type async for recorded in run.events(live=False)]


# -- waiting -------------------------------------------------------------------------------------------------


def test_a_short_delay_is_not_worth_telling(world):
    """Less than a second to the next attempt, or no time at all: two events more would say nothing."""

    async def blinks(ctx: Context):
        await ctx.sleep(0)
        if ctx.attempt < 3:
            raise ValueError("no")

    config = {"retry_strategy": {"linear": {"delay_secs": 0.9}}}
    assert world.execute(blinks, config=config).status == "succeeded"
    assert "RunWaiting" not in world.types


def test_short_sleeps_are_no_active_time(world):
    """A hundred times half a second, in a run that may be active for two."""

    async def polls(ctx: Context):
        for _ in range(100):
            await ctx.sleep(0.5)

    report = world.execute(polls, config={"timeout_seconds": 2, "on_failure": "stop"})
    assert (report.error, report.duration, world.clock.passed_seconds) == (None, 0, 50)


def test_a_waiting_run_says_what_for_and_until_when(world):
    """At once, in its row and in the journal."""

    async def longer(ctx: Context):
        await ctx.sleep(2 * HOUR)

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await until(lambda: run.status == "waiting")
        row = app.store.row("r")
        event = [recorded.event async for recorded in run.events(live=False)][-1]
        assert (run.reason, row.status, row.wake_at) == ("waits for 2 sleeps", "waiting", event.wake_at)
        assert (event.type, event.reason, event.is_active) == ("RunWaiting", "waits for 2 sleeps", False)
        return event.wake_at - event.at

    assert world.run(main, nap, longer) == HOUR * 1000


def test_a_run_goes_on_waiting_for_what_is_left(world):
    """Woken for the first, it says anew what it waits for."""

    async def shorter(ctx: Context):
        await ctx.sleep(3)

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(4)
        assert (run.status, run.reason) == ("waiting", "waits for 1 sleep")
        return await types_of(run)

    types = world.run(main, nap, shorter)
    assert [name for name in types if name.startswith("Run")] == ["RunStarted", "RunWaiting", "RunWoken", "RunWaiting"]


def test_a_run_with_a_delayed_attempt_waits_on_its_own_time(world):
    """It says when the attempt is due, is never parked, and its clock runs on."""

    async def flaky(ctx: Context):
        if ctx.attempt == 1:
            raise ValueError("no")

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(20)
        assert (run.status, run.reason) == ("waiting", "waits for another attempt in 60 s")
        report = await run.wait()
        return report.status, report.duration, await types_of(run)

    status, duration, types = world.run(main, flaky, config={"retry_strategy": {"linear": {"delay_secs": 60}}})
    assert (status, duration) == ("succeeded", 60)
    assert [name for name in types if name.startswith("Run")] == ["RunStarted", "RunWaiting", "RunWoken", "RunEnded"]


def test_the_runs_timeout_is_kept_while_an_attempt_is_delayed(world):
    """A delay is active time: the limit is reached in the midst of it."""

    async def fails():
        raise ValueError("no")

    config = {"retry_strategy": {"linear": {"delay_secs": 60}}, "timeout_seconds": 30, "on_failure": "stop"}
    report = world.execute(fails, config=config)
    assert (report.error, report.duration) == ("RunTimedOut: timeout_seconds of 30 used up", 30)


def test_the_runs_timeout_counts_from_one_wait_to_the_next(world):
    """Ten times 2 s of work within 25 s of active time, whatever is waited; 15 s are too few."""

    async def works(ctx: Context):
        for _ in range(10):
            await asyncio.sleep(2)
            await ctx.sleep(4)

    config = {"on_failure": "stop"}
    report = world.execute(works, config={**config, "timeout_seconds": 25})
    assert (report.status, report.duration) == ("succeeded", 20)

    async def main(app):
        report = await app.execute(Static("g"), config={"timeout_seconds": 15})
        return report.error, report.duration

    assert world.run(main, works, config=config) == ("RunTimedOut: timeout_seconds of 15 used up", 15)


# -- parked --------------------------------------------------------------------------------------------------


def test_a_parked_run_has_no_owner_and_no_task(world):
    """After 5 s; whoever asks still hears that it waits."""

    async def main(app):
        before = len(asyncio.all_tasks())
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(4.9)
        assert (app.store.row("r").status, app.store.ownership("r")) == ("waiting", "here")
        await asyncio.sleep(0.3)
        assert (app.store.row("r").status, app.store.ownership("r"), app.tenure("r")) == ("parked", "none", None)
        assert (run.status, run.reason) == ("waiting", "waits for 1 sleep")
        assert [found.id for found in await app.runs("waiting")] == ["r"]
        return len(asyncio.all_tasks()) - before

    assert world.run(main, nap) <= 2  # idle workers, which wait for the next steps


def test_a_thousand_parked_runs_cost_no_tasks(world):
    """And all of them wake."""

    async def main(app):
        before = len(asyncio.all_tasks())
        runs = [await app.start(Static("g")) for _ in range(1_000)]
        await until(lambda: not app._kernel.tenures)
        await asyncio.sleep(1)
        assert len(await app.runs("waiting", limit=None)) == 1_000
        cost = len(asyncio.all_tasks()) - before
        await asyncio.sleep(HOUR)
        return cost, {run.status for run in runs}

    cost, statuses = world.run(main, nap, config={"durability": "async"})
    assert cost <= 64  # idle workers
    assert statuses == {"succeeded"}


def test_a_parked_run_wakes_in_its_own_process_when_it_is_due(world):
    """Without recover=True: whoever parked it set an alarm."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(HOUR - 1)
        assert run.status == "waiting"
        await asyncio.sleep(2)
        return run.status

    assert world.run(main, nap) == "succeeded"


def test_a_parked_run_wakes_in_another_process(world):
    """With recover=True in any that has its code; the parking one may be gone."""

    async def park(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(100)

    async def wake(app):
        run = await app.get_run("r")
        await asyncio.sleep(HOUR - 101)
        assert run.status == "waiting"
        await asyncio.sleep(2)
        return run.status

    world.run(park, nap)
    assert world.run(wake, nap, recover=True) == "succeeded"


def test_without_recover_another_process_leaves_a_parked_run(world):
    """`recover()` continues it once it is due, and not before."""

    async def park(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(100)

    async def look(app):
        assert await app.recover() == []
        await asyncio.sleep(HOUR)
        run = await app.get_run("r")
        assert run.status == "waiting"
        assert [found.id for found in await app.recover()] == ["r"]
        return (await run.wait()).status

    world.run(park, nap)
    assert world.run(look, nap) == "succeeded"


def test_execute_wait_and_events_go_on_until_a_parked_run_is_over(world):
    """How a run waits is nobody's business."""

    async def main(app):
        executed = asyncio.create_task(app.execute(Static("g"), run_id="r"))
        await asyncio.sleep(10)
        run = await app.get_run("r")

        async def listen():
            return [recorded.type async for recorded in run.events()]

        heard = asyncio.create_task(listen())
        reports = await asyncio.gather(executed, run.wait())
        return [report.status for report in reports], await heard == await types_of(run), (await heard)[-1]

    assert world.run(main, nap) == (["succeeded", "succeeded"], True, "RunEnded")


def test_cancelling_execute_cancels_a_parked_run(world):
    """As it does any other."""

    async def main(app):
        executed = asyncio.create_task(app.execute(Static("g"), run_id="r"))
        await asyncio.sleep(10)
        executed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await executed
        run = await app.get_run("r")
        return run.status, run.reason

    error = "RunCancelled: the call that awaited the run was cancelled"
    assert world.run(main, nap) == ("cancelled", error)


def test_whoever_waits_for_a_parked_run_is_told_when_the_application_is_closed(world):
    """Nobody polls a store that is closed."""

    async def main():
        app = world.application(nap)
        run = await app.start(Static("g"), run_id="r")

        async def listen():
            return [recorded async for recorded in run.events()]

        tasks = [asyncio.create_task(run.wait()), asyncio.create_task(listen())]
        await asyncio.sleep(10)
        await app.close()
        for task in tasks:
            with pytest.raises(InvalidState, match="the application was closed; resume or recover continues the run"):
                await task

    world.clock.run(main())


def test_runs_of_a_closed_application_wait_on_parked_before_or_by_that(world):
    """Nobody has died, and nothing is to be taken up before it is due."""

    async def begin(app):
        await app.start(Static("g"), run_id="parked")
        await asyncio.sleep(10)
        await app.start(Static("g"), run_id="waiting")
        await asyncio.sleep(2)

    async def go_on(app):
        runs = [await app.get_run(name) for name in ("parked", "waiting")]
        assert [run.status for run in runs] == ["waiting", "waiting"]
        assert [app.store.row(run.id).status for run in runs] == ["parked", "parked"]
        assert await app.recover() == []
        await asyncio.sleep(HOUR)
        await app.recover()
        return [(await run.wait()).status for run in runs]

    world.run(begin, nap)
    assert world.run(go_on, nap) == ["succeeded", "succeeded"]


def test_a_run_that_waited_when_its_process_ended_is_in_no_crash_loop(world):
    """Nothing was at work: however often the application is closed while it waits."""

    async def begin(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(2)

    async def go_on(app):
        await app.recover()
        await asyncio.sleep(2)
        return (await app.get_run("r")).status

    world.run(begin, nap)
    assert {world.run(go_on, nap) for _ in range(6)} == {"waiting"}


# -- steps whose code is not here ----------------------------------------------------------------------------


def test_a_step_whose_action_is_not_registered_here_is_waited_for(world):
    """The run says for which, is never parked, and goes on as soon as somebody registers it."""

    async def late():
        return "here"

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        tenure, extra = app.tenure("r"), Node(id="extra", action="late")
        tenure.look_at(extra)
        tenure.record(events.NodeAdded(at=tenure.now_ms(), node=extra))  # as of a former owner, who had it
        await asyncio.sleep(2 * HOUR)
        told = "waits for 'extra': action 'late' is not registered here"
        assert (run.status, run.reason, app.store.ownership("r")) == ("waiting", told, "here")
        app.register_action(late)
        report = await run.wait()
        return report.status, report.outputs["extra"], report.duration

    assert world.run(main, nap) == ("succeeded", {"output": "here"}, 0)


@pytest.mark.parametrize("waits_for", ["review", "sleep"])
def test_a_run_that_only_waits_is_parked_when_its_application_is_closed(tmp_path, waits_for):
    """Nobody has died: it waits on, without an owner, and goes on where its code is."""

    def application():
        app = Dagger(tmp_path / "runs.db")

        @app.action
        async def ask(ctx: Context):
            return await (ctx.review("Go on?") if waits_for == "review" else ctx.sleep(3600))

        graph = Graph("g")
        graph.add(ask)
        app.add_graph(graph)
        return app

    async def main():
        async with application() as app:
            run = await app.start(Static("g"), run_id="r")
            while run.status != "waiting":
                await asyncio.sleep(0.01)
        async with application() as app:
            run = await app.get_run("r")
            return run.status, app.store.ownership("r"), [e.type async for e in run.events(live=False)][-1]

    assert asyncio.run(main()) == ("waiting", "none", "RunParked")


def test_a_run_with_code_at_work_is_let_go_when_its_application_is_closed(tmp_path):
    """What it has begun may be half done: that it was cut off has to be seen."""

    async def main():
        app = Dagger(tmp_path / "runs.db")

        @app.action
        async def work(ctx: Context):
            await asyncio.gather(ctx.sleep(3600), asyncio.sleep(3600))

        graph = Graph("g")
        graph.add(work)
        app.add_graph(graph)
        async with app:
            await app.start(Static("g"), run_id="r")
            await asyncio.sleep(0.05)
        async with Dagger(tmp_path / "runs.db") as reader:
            return (await reader.get_run("r")).status

    assert asyncio.run(main()) == "interrupted"


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "open"])
def test_a_run_whose_code_cleans_up_before_it_pauses_is_not_said_to_wait(is_closed, world):
    """Its child flow is stuck, and nothing is waited for: closed then, it pauses with whoever goes on with it."""

    async def fails():
        raise NonRetryable("no")

    async def cleans(ctx: Context):
        try:
            await ctx.execute(Static("child"))
        finally:
            await asyncio.sleep(2)

    async def main(app):
        child, graph = Graph("child", config={"on_failure": "pause"}), Graph("h")
        child.add(fails)
        graph.add(cleans)
        app.add_graph(child)
        app.add_graph(graph)
        run = await (app.resume("r") if world.told else app.start(Static("h"), run_id="r"))
        await asyncio.sleep(1)
        expected = "paused" if world.told else "running"  # it was about to pause when it was closed
        assert run.status == expected
        if not is_closed or world.told:
            assert (await run.wait()).status == "paused"
        world.tell("begun")

    for _ in range(1 + is_closed):
        world.run(main, fails, cleans)
    assert "RunWaiting" not in world.types
    assert "RunParked" not in world.types


def test_a_run_is_not_parked_on_an_answer_that_is_about_to_be_durable(world):
    """A sleep ends in the moment in which the run would be parked: its code goes on at once; nobody would wake it."""

    async def short(ctx: Context):
        await ctx.sleep(5)
        world.tell("awake")

    world.execute(short, nap)

    assert world.told == [("awake", 5)]
