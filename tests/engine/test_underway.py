"""Steps on their way: who takes slots, who gives them back, and when nothing of a run is at work."""

import asyncio
import contextlib

import pytest

from dagger import Context, Dagger, EventDriven, Graph, Static, agent
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


def test_a_run_ends_though_flows_are_given_up_while_their_steps_wait_for_slots():
    """Whoever holds the slots that these wait for gives back just them, whatever was forgotten meanwhile."""
    report, underway = give_up_flows(20)
    assert (report.status, report.agents["outer"]["handled"]) == ("succeeded", 20)
    assert (underway.open, underway.dropped, underway._slots) == (0, set(), {})


def give_up_flows(count):
    """The report, and what was underway, of a run that gives up so many flows, each with messages on their way."""
    clock = VirtualClock()

    async def main():
        async with Dagger("memory:", clock=clock, config={"timeout_seconds": 60, "max_messages": None}) as app:

            @app.agent("start", publish="numbers")
            async def source(count: int):
                for number in range(count):
                    yield number

            @app.agent("numbers")
            async def outer(number: int, ctx: Context):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await ctx.execute(EventDriven("fan", number))

            @app.agent("fan", publish="inner")
            async def fan(number: int, ctx: Context):
                for each in range(50):
                    ctx.publish("inner", each)

            @app.agent("inner", concurrency=2)
            async def inner(number: int):
                await asyncio.sleep(9)

            run = await app.start(EventDriven("start", count))
            underway = app.tenure(run.id).underway
            return await run.wait(), underway

    return clock.run(main())


def test_of_maps_in_flows_that_are_given_up_nothing_is_kept():
    """Neither their lists nor the slots of their items."""
    clock = VirtualClock()

    async def main():
        async with Dagger("memory:", clock=clock) as app:

            @app.action
            async def nap(number: int):
                await asyncio.sleep(9)

            inner = Graph("inner")
            inner.add(nap, map={"reference": inner.input("numbers"), "max_parallel": 1}, id="each")
            app.add_graph(inner)

            @app.agent("start")
            async def outer(number: int, ctx: Context):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ctx.execute(Static("inner"), inputs={"numbers": [1, 2, 3]}), 1)

            run = await app.start(EventDriven("start", 1))
            maps = app.tenure(run.id).maps
            report = await run.wait()
            return report.status, clock.passed_seconds, maps._items, maps._pools

    assert clock.run(main()) == ("succeeded", 1, {}, {})


def exchange(*, first, then):
    """When an agent of these options began each message after it had taken another's place, which had one at work.

    And the slots of a pool, when all is done.
    """
    clock, begun = VirtualClock(), []

    def reader(**options):
        @agent("in", name="reader", concurrency=10, **options)
        async def read(number: int):
            begun.append(round(clock.passed_seconds, 1))
            await asyncio.sleep(1)

        return read

    async def main():
        async with Dagger("memory:", clock=clock, config={"channel_capacity": 10}) as app:

            @app.action(pool="api", concurrency=1)
            async def other():
                pass

            app.register_agent(reader(**first))
            run = await app.start(EventDriven("in", 0, keep_alive=True))
            await asyncio.sleep(0.5)
            app.remove_agent("reader")
            app.register_agent(reader(**then))
            await run.publish_many("in", list(range(4)))
            await asyncio.sleep(30)
            await run.cancel("enough")
            return begun[1:], [pool.free for pool in app._kernel.pools["other"]]

    return clock.run(main())


@pytest.mark.parametrize(
    ("first", "then", "begun"),
    [
        ({}, {"rate": "1/s"}, [0.5, 1.5, 2.5, 3.5]),
        ({"rate": "100/s"}, {"rate": "2/s"}, [0.5, 0.5, 1.5, 1.5]),
        ({"rate": "1/min"}, {}, [0.5] * 4),
        ({}, {"pool": "api"}, [0.5, 1.5, 2.5, 3.5]),
        ({"pool": "api"}, {}, [0.5] * 4),
        ({"pool": "api"}, {"pool": "api"}, [1, 2, 3, 4]),
    ],
)
def test_an_agent_that_takes_anothers_place_takes_the_slots_that_it_asks_for(first, then, begun):
    """And what was at work when it came gives back what that took: a slot, or none."""
    assert exchange(first=first, then=then) == (begun, [1])


def test_a_message_that_waits_for_the_disk_is_one_start_of_a_rate(tmp_path):
    """Its payload is read again when it is there; till then it keeps its place."""
    clock, begun = VirtualClock(), []

    async def main():
        config = {"channel_capacity": 1, "durability": "async"}
        async with Dagger(tmp_path / "d.db", clock=clock, config=config) as app:

            @app.agent("start", publish="in")
            async def source(count: int):
                for number in range(count):
                    yield number

            @app.agent("in", rate="2/min")
            async def read(number: int):
                begun.append(round(clock.passed_seconds / 60))

            return (await app.execute(EventDriven("start", 4))).status

    assert clock.run(main()) == "succeeded"
    assert begun == [0, 0, 1, 1]
