"""Steps on their way: who takes slots, who gives them back, and when nothing of a run is at work."""

import asyncio

import pytest

from dagger import Context, Dagger, EventDriven, Graph, Static
from dagger.testing import VirtualClock


@pytest.fixture
def clock():
    return VirtualClock()


def execute(clock, build, **config):
    """The report of a graph, and the application's kernel, after a run of it."""

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            graph = Graph("g", config={"retry_strategy": "immediate", **config})
            build(app, graph)
            app.add_graph(graph)
            report = await app.execute(Static("g"))
            return report, app._kernel

    return clock.run(main())


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_every_slot_comes_back(clock, policy):
    """Of steps that succeed, fail, are retried, time out, rest, are skipped or cancelled."""

    def build(app, graph):
        @app.action(concurrency=2)
        async def work(ctx: Context, seconds: float = 0, bad: bool = False):
            await (ctx.sleep(seconds) if ctx.attempt == 1 else asyncio.sleep(seconds))
            if bad:
                raise ValueError

        last = [graph.add(work, seconds=1, id=f"w{number}") for number in range(4)]
        last.append(graph.add(work, bad=True, try_count=2))
        last.append(graph.add(work, seconds=9, timeout=1, try_count=2, bad=True))
        graph.add(work, after=last, id="after")
        graph.add(work, id="never", when={"reference": "inputs.no", "equals": 1})

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            graph = Graph("g", config={"retry_strategy": "immediate", "on_failure": policy, "max_parallel": 3})
            build(app, graph)
            app.add_graph(graph)
            report = await app.execute(Static("g"), inputs={"no": 0})
            return report.status, [pool.free for pool in app._kernel.pools["work"]]

    assert clock.run(main()) == ("failed", [2])


def test_resting_steps_make_room_for_others(clock):
    """Ten sleepers of one second take one second, however few may run at once."""

    def build(app, graph):
        @app.action
        async def nap(ctx: Context):
            await ctx.sleep(1)

        for number in range(10):
            graph.add(nap, id=f"n{number}")

    report, _ = execute(clock, build, max_parallel=1)
    assert (report.status, clock.passed_seconds) == ("succeeded", 1)


def test_higher_priority_goes_first_also_among_those_that_return(clock):
    """A step that has rested takes its turn as the others do."""
    order = []

    def build(app, graph):
        @app.action
        async def nap(ctx: Context):
            await ctx.sleep(1)
            order.append(ctx.node.id)

        for number in range(5):
            graph.add(nap, id=f"n{number}", priority=number)

    execute(clock, build, max_parallel=1)
    assert order == ["n4", "n3", "n2", "n1", "n0"]


def test_an_agents_slots_are_those_of_one_flow():
    """Whoever executes a flow keeps its slot meanwhile: the same agent handles messages in there all the same."""
    report, _ = dive(3)
    assert (report.status, report.error) == ("succeeded", None)


def test_of_flows_that_are_over_few_slots_are_kept():
    """They come and go in a run of months."""
    _, underway = dive(*[1] * 100)
    assert len(underway._agent_pools) < 10


def dive(*depths):
    """The report, and what was underway, of a run in which an agent executes so many flows in each other."""
    clock = VirtualClock()

    async def main():
        async with Dagger("memory:", clock=clock, config={"timeout_seconds": 60}) as app:

            @app.agent("start", publish="depths")
            async def leave(depths: list):
                for depth in depths:
                    yield depth

            @app.agent("depths", concurrency=2)
            async def diver(depth: int, ctx: Context):
                if depth:
                    inner = await ctx.execute(EventDriven("depths", depth - 1))
                    assert inner.status == "succeeded"

            run = await app.start(EventDriven("start", list(depths)))
            underway = app.tenure(run.id).underway
            return await run.wait(), underway

    return clock.run(main())
