"""run.add_node: a node more, while the run goes on, from anywhere."""

import asyncio

import pytest

from dagger import (
    ActionNotRegistered,
    Context,
    Dagger,
    DependencyNotFound,
    Graph,
    GraphError,
    InvalidState,
    MemoryStore,
    NodeAlreadyExists,
    Static,
    ref,
)
from dagger.store.memory import Memory
from dagger.testing import VirtualClock


def application(store, clock):
    app = Dagger(store, clock=clock)
    app.go = asyncio.Event()

    @app.action
    async def nap(ctx: Context) -> float:
        await app.go.wait()
        return 1

    @app.action
    async def add(x: float, y: float) -> float:
        return x + y

    graph = Graph("g")
    graph.add(nap, id="nap", outputs=["slept"])
    app.add_graph(graph)
    return app


@pytest.fixture(params=["memory", "sqlite"])
def stores(request, tmp_path):
    """Two doors to the same runs, as of two processes."""
    memory = Memory()
    return lambda: MemoryStore(memory) if request.param == "memory" else tmp_path / "s.db"


@pytest.mark.parametrize("is_here", [True, False])
def test_a_node_is_added_by_the_owner_and_from_elsewhere(stores, is_here):
    """It waits for what it depends on, takes its outputs, and the run ends with it."""
    clock = VirtualClock()

    async def main():
        async with application(stores(), clock) as app, application(stores(), clock) as other:
            run = await app.start(Static("g"), run_id="r")
            handle = run if is_here else await other.get_run("r")
            given = {"x": ref("nap.slept"), "y": 4}
            named = await handle.add_node("add", id="sum", dependencies=["nap"], inputs=given)
            unnamed = await handle.add_node("add", inputs={"x": ref("sum"), "y": 1}, priority=3)
            app.go.set()
            report = await run.wait()
            return named, unnamed, report

    named, unnamed, report = clock.run(main())
    assert (named, report.status) == ("sum", "succeeded")
    assert unnamed.startswith("add_")
    assert (report.outputs["sum"], report.outputs[unnamed]) == ({"output": 5.0}, {"output": 6.0})


@pytest.mark.parametrize("is_here", [True, False])
def test_a_node_that_does_not_fit_is_refused(stores, is_here):
    """Each with its own error; the run goes on as if nothing had been."""
    clock = VirtualClock()

    async def main():
        async with application(stores(), clock) as app, application(stores(), clock) as other:
            run = await app.start(Static("g"), run_id="r")
            handle = run if is_here else await other.get_run("r")
            with pytest.raises(NodeAlreadyExists, match="node 'nap' is in run 'r' already"):
                await handle.add_node("nap", id="nap")
            with pytest.raises(
                DependencyNotFound, match=r"node 'n': dependency 'nop' is not a node.*did you mean 'nap'"
            ):
                await handle.add_node("nap", id="n", dependencies=["nop"])
            with pytest.raises(GraphError, match="node 'n': a node has no field 'seconds'"):
                await handle.add_node("nap", id="n", seconds=3)
            with pytest.raises(GraphError, match="must be letters"):
                await handle.add_node("nap", id="a b")
            with pytest.raises(ActionNotRegistered, match="node 'n': action 'nip' is not registered; did you mean"):
                await handle.add_node("nip", id="n")
            app.go.set()
            report = await run.wait()
            with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be given another node"):
                await handle.add_node("nap")
            return report

    assert clock.run(main()).status == "succeeded"


def test_a_paused_run_takes_it_in_when_it_is_resumed(stores):
    """Recorded at once, done by whoever resumes."""
    clock = VirtualClock()

    async def main():
        async with application(stores(), clock) as app:
            run = await app.start(Static("g"), run_id="r")
            await run.pause()
            await run.add_node("nap", id="more", dependencies=["nap"])
            app.go.set()
            return await (await app.resume("r")).wait()

    report = clock.run(main())
    assert (report.status, sorted(report.outputs)) == ("succeeded", ["more", "nap"])


def test_a_paused_run_is_told_at_once(stores):
    """What is acknowledged is in the journal, and what does not fit is refused now, also beside another application."""
    clock = VirtualClock()

    async def main():
        async with application(stores(), clock) as app, application(stores(), clock) as other:
            run = await app.start(Static("g"), run_id="r")
            await run.pause()
            there = await other.get_run("r")
            await there.add_node("nap", id="more")
            await run.add_node("nap", id="next", dependencies=["more"])
            with pytest.raises(NodeAlreadyExists):
                await there.add_node("nap", id="more")
            assert (await other.recover(), run.status) == ([], "paused")
            app.go.set()
            return await (await app.resume("r")).wait()

    report = clock.run(main())
    assert (report.status, sorted(report.outputs)) == ("succeeded", ["more", "nap", "next"])


def test_a_node_that_is_added_while_the_run_pauses_is_kept(stores):
    """Its id was given: it runs when the run is resumed."""
    clock = VirtualClock()

    async def main():
        async with application(stores(), clock) as app:
            run = await app.start(Static("g"), run_id="r")
            await asyncio.sleep(0.01)
            pausing = asyncio.ensure_future(run.pause())
            await asyncio.sleep(0)
            await run.add_node("nap", id="more")
            await pausing
            app.go.set()
            return await (await app.resume("r")).wait()

    report = clock.run(main())
    assert (report.status, sorted(report.outputs)) == ("succeeded", ["more", "nap"])
