"""The loop shared by all runs: it goes on as long as anything can, grows with what suspends, and lets nobody hang."""

import asyncio
import contextlib
import logging
import time

import pytest

from dagger import Context, Dagger, DaggerError, Graph, InvalidState, Static
from dagger.testing import VirtualClock


def application(clock=None, store="memory:", **options):
    app = Dagger(store, clock=clock or VirtualClock(), **options)

    @app.action
    async def nap(seconds: float = 0.05):
        await asyncio.sleep(seconds)
        return seconds

    @app.action
    async def work(x: int = 0):
        return x + 1

    return app


@pytest.mark.parametrize("store", ["memory:", "runs.db"])
@pytest.mark.parametrize(("limit", "most"), [(None, 200), (4, 4)], ids=["all", "four"])
def test_two_hundred_waiting_nodes_wait_at_once(store, limit, most, tmp_path):
    """200 nodes of 50 ms are all under way together; under max_parallel 4 never more than four are."""
    clock, now, peak = VirtualClock(), 0, 0
    app = Dagger(store if store == "memory:" else tmp_path / store, clock=clock)

    @app.action
    async def wait():
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        await asyncio.sleep(0.05)
        now -= 1

    graph = Graph("g")
    for number in range(200):
        graph.add(wait, id=f"n{number}")
    app.add_graph(graph)

    async def main():
        async with app:
            return await app.execute(Static("g"), config={"max_parallel": limit})

    report = clock.run(main())
    assert report.overall_success
    assert peak == most
    assert report.duration == pytest.approx(0.05 * 200 / most)


def test_a_flow_of_sixty_nodes_runs():
    """No number of nodes is a number of iterations: the original stopped at 50."""
    app = application()
    graph, last = Graph("g"), 0
    for number in range(60):
        last = graph.add("work", id=f"n{number}", x=last)
    app.add_graph(graph)

    async def main():
        async with app:
            return (await app.execute(Static("g"))).outputs["n59"]

    assert asyncio.run(main()) == {"output": 60}


def test_other_tasks_of_the_loop_get_their_turn():
    """Ten thousand steps that never suspend do not starve a ticker beside them."""
    app = application(clock=None)
    graph = Graph("g")
    for number in range(10_000):
        graph.add("work", id=f"n{number}")
    app.add_graph(graph)

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with app:
            ticker = asyncio.create_task(tick())
            assert (await app.execute(Static("g"))).overall_success
            ticker.cancel()
        return ticks

    assert asyncio.run(main()) > 5


def test_no_more_workers_than_needed_are_kept():
    """After many steps that suspended at once, at most 64 idle workers remain, and closing ends them all."""
    clock = VirtualClock()
    app = application(clock)
    graph = Graph("g")
    for number in range(300):
        graph.add("nap", id=f"n{number}")

    def workers():
        return [task for task in asyncio.all_tasks() if task.get_name() == "dagger-worker"]

    app.add_graph(graph)

    async def main():
        async with app:
            await app.execute(Static("g"))
            await asyncio.sleep(1)
            kept = len(workers())
        return kept, len(workers())

    kept, left = clock.run(main())
    assert 0 < kept <= 64
    assert left == 0


def test_steps_that_do_not_suspend_share_a_worker():
    """Ten thousand no-ops need no crowd of tasks."""
    app = application()
    graph = Graph("g")
    for number in range(2_000):
        graph.add("work", id=f"n{number}")
    app.add_graph(graph)

    async def main():
        async with app:
            await app.execute(Static("g"))
            return len([task for task in asyncio.all_tasks() if task.get_name() == "dagger-worker"])

    assert asyncio.run(main()) < 10


def test_a_thousand_runs_at_once():
    """Runs share the workers without mixing: each has its own outputs, events and end."""
    clock = VirtualClock()
    app = application(clock)
    graph = Graph("g")
    graph.add(
        "work", id="after", x=graph.add("work", id="before", x=graph.input("n")), after=[graph.add("nap", id="nap")]
    )
    app.add_graph(graph)

    async def main():
        async with app:
            reports = await asyncio.gather(*(app.execute(Static("g"), inputs={"n": n}) for n in range(1_000)))
            return [report.outputs["after"]["output"] for report in reports]

    assert clock.run(main()) == [n + 2 for n in range(1_000)]


def test_what_was_appended_becomes_durable_even_if_the_batch_is_already_on_its_way(tmp_path):
    """Waiting for durability twice in a row never waits for a batch that nobody will write."""
    clock = VirtualClock()
    app = application(clock, tmp_path / "runs.db")
    graph = Graph("g")
    graph.add("work", id="n")
    app.add_graph(graph)

    async def main():
        async with app:
            await app.execute(Static("g"))
            kernel = app._kernel
            for _ in range(3):
                await kernel.durable()
            kernel.store.flush()
            first, second = kernel.durable(), kernel.durable()
            await asyncio.gather(first, second)

    clock.run(main())


def test_under_sync_a_step_starts_only_when_its_cause_is_on_disk(tmp_path):
    """I3: what an action can read from the file includes the success of all it depends on."""
    clock = VirtualClock()
    app = Dagger(tmp_path / "runs.db", clock=clock)

    @app.action
    async def look(ctx: Context, x: int = 0):
        stored = [recorded.event for recorded in app.store.read(ctx.run_id)]
        done = {event.step for event in stored if type(event).__name__ == "StepSucceeded"}
        assert set(ctx.node.dependencies) <= done
        assert stored
        return 1

    graph, last = Graph("g"), 0
    for number in range(10):
        last = graph.add(look, id=f"n{number}", x=last)
    app.add_graph(graph)

    async def main():
        async with app:
            return await app.execute(Static("g"), config={"retry_strategy": "immediate", "max_attempts": 1})

    report = clock.run(main())
    assert (report.status, report.error) == ("succeeded", None)


def test_closing_lets_go_of_runs_under_way():
    """Whoever waits is told to resume; the run's code is cancelled, and the run stays interrupted."""
    clock = VirtualClock()
    app = application(clock)
    graph = Graph("g")
    graph.add("nap", id="n", seconds=1000)
    app.add_graph(graph)

    async def main():
        run = await app.start(Static("g"))
        waiting = asyncio.create_task(run.wait())
        await asyncio.sleep(1)
        await app.close()
        with pytest.raises(InvalidState, match="the application was closed; resume or recover continues the run"):
            await waiting
        await app.close()  # twice does nothing

    clock.run(main())


def test_a_worker_that_failed_makes_no_run_hang():
    """A bug of ours is logged, and everybody who waits is told."""
    clock = VirtualClock()
    app = application(clock)
    graph = Graph("g")
    graph.add("nap", id="n")
    app.add_graph(graph)

    async def main():
        async with app:
            run = await app.start(Static("g"))
            tenure = app.tenure(run.id)
            tenure.ended = None  # the bug
            with pytest.raises(DaggerError, match=r"a bug in Dagger, please report it: TypeError: .*not callable"):
                await run.wait()
            assert run.status == "interrupted"

    with contextlib.suppress(asyncio.CancelledError):
        clock.run(main())


def test_real_time_is_kept_too():
    """Under the system clock a retry waits for its delay, and a run measures real milliseconds."""
    app = Dagger("memory:")

    @app.action
    async def flaky(ctx: Context):
        if ctx.attempt == 1:
            raise ValueError("again")

    graph = Graph("g", config={"retry_strategy": {"linear": {"delay_secs": 0.03}}})
    graph.add(flaky, id="n")
    app.add_graph(graph)

    async def main():
        async with app:
            began = time.monotonic()
            report = await app.execute(Static("g"))
            return time.monotonic() - began, report.duration

    passed, duration = asyncio.run(main())
    assert passed + 0.002 >= 0.03  # the journal keeps whole milliseconds
    assert duration + 0.001 >= 0.03


@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_what_a_person_is_asked_is_in_the_log_at_the_debug_level_only(level, world, caplog):
    """It may be secret; who asks, and which review that is, is told at once."""

    async def asks(ctx: Context):
        await ctx.review("the secret?")

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        while not (found := await run.reviews()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        await run.cancel()
        return found[0].id

    with caplog.at_level(level, "dagger"):
        review = world.run(main, asks)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.partition(";")[0] for line in warned] == [f"step n0 asks: review {review}"]
    assert ("the secret?" in caplog.text) is (level == logging.DEBUG)
