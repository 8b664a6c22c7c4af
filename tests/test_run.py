"""Run: handle of one run; what it tells is durable, whichever process executes the run."""

import asyncio
import datetime

import pytest

from dagger import Context, Dagger, Graph, InvalidState, MemoryStore, RunError, RunNotFound, Static
from dagger.run import Run, replay
from dagger.store.memory import Memory
from dagger.store.sqlite import SqliteStore
from dagger.testing import VirtualClock


def application(store="memory:", clock=None):
    app = Dagger(store, clock=clock or VirtualClock())

    @app.action
    async def nap(ctx: Context, seconds: float = 60):
        ctx.cache.append("global", "order", ctx.node.id)
        await asyncio.sleep(seconds)
        return seconds

    @app.action
    async def boom():
        raise ValueError("no")

    graph = Graph("naps", tags=["t"])
    graph.add(nap, id="second", after=[graph.add(nap, id="first")])
    app.add_graph(graph)
    graph = Graph("bad", config={"max_attempts": 1})
    graph.add(boom, id="bad")
    app.add_graph(graph)
    return app


def run(main, app=None):
    app = app or application()

    async def whole():
        async with app:
            return await main(app)

    return app._clock.run(whole())


def test_it_tells_what_the_listing_knows():
    """Id, graph, tags, times in UTC, address, reason."""

    async def main(app):
        started = await app.start(Static("naps"), run_id="r", tags={"a": "b"})
        assert (started.id, started.graph, started.tags, started.app, started.reason) == (
            "r",
            "naps",
            {"a": "b"},
            "",
            "",
        )
        assert started.status == "running"
        await started.wait()
        assert started.started_at == datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        assert started.updated_at == datetime.datetime(2026, 1, 1, 0, 2, tzinfo=datetime.UTC)
        assert (started.status, repr(started)) == ("succeeded", "<Run r>")
        await app.execute(Static("bad"), run_id="b")
        assert (await app.get_run("b")).reason == "'bad' failed; mend the cause and resume the run"

    run(main)


def test_a_waiting_run_knows_when_it_goes_on():
    """In UTC; any other run goes on now, or not by itself."""
    app = application()

    @app.action
    async def sleeps(ctx: Context):
        await ctx.sleep(3600)

    graph = Graph("sleeping")
    graph.add(sleeps)
    app.add_graph(graph)

    async def main(app):
        started = await app.start(Static("sleeping"))
        times = [started.wake_at]
        for seconds in (2, 60):  # waiting, then parked
            await asyncio.sleep(seconds)
            times.append(started.wake_at)
        await started.wait()
        return [*times, started.wake_at]

    due = datetime.datetime(2026, 1, 1, 1, tzinfo=datetime.UTC)
    assert run(main, app) == [None, due, due, None]


def test_a_run_that_is_not_there_is_an_error_at_each_question():
    """A handle of an unknown id knows nothing."""

    async def main(app):
        await app.runs()
        unknown = Run("x", app)
        with pytest.raises(RunNotFound, match="there is no run 'x' in memory:"):
            _ = unknown.status
        with pytest.raises(RunNotFound):
            _ = unknown.cache
        with pytest.raises(RunNotFound):
            await unknown.wait()
        with pytest.raises(RunNotFound):
            await unknown.cancel()

    run(main)


def test_events_come_live_and_in_order_until_the_run_is_over():
    """From any seq; without live only what is there; each once."""

    async def main(app):
        started = await app.start(Static("naps"))
        seen = [recorded.seq async for recorded in started.events()]
        assert seen == list(range(1, 7))
        assert [recorded.seq async for recorded in started.events(4, live=False)] == [4, 5, 6]
        assert [recorded.seq async for recorded in started.events(99)] == []
        other = await app.start(Static("naps"))
        await asyncio.sleep(70)
        assert [recorded.type async for recorded in other.events(live=False)][-1] == "StepStarted"
        return [recorded.type async for recorded in other.events(5)]

    assert run(main) == ["StepSucceeded", "RunEnded"]


def test_what_steps_tell_reaches_whoever_listens_and_no_journal():
    """Progress and values come with the seq 0, in their order among the events; from threads too."""
    app = application()

    @app.action
    async def tells(ctx: Context):
        ctx.progress(0.5, "half")
        await asyncio.sleep(1)
        ctx.emit({"n": 1})
        await asyncio.sleep(1)

    @app.action
    def tells_from_a_thread(ctx: Context):
        ctx.emit("thread")

    graph = Graph("telling")
    graph.add(tells_from_a_thread, id="thread", after=[graph.add(tells, id="tells")])
    app.add_graph(graph)

    async def main(app):
        started = await app.start(Static("telling"))
        heard = [recorded async for recorded in started.events()]
        kept = [recorded async for recorded in started.events()]
        told = [recorded.event for recorded in heard if recorded.seq == 0]
        assert [recorded for recorded in heard if recorded.seq] == kept
        assert (told[0].type, told[0].step, told[0].fraction, told[0].note) == ("Progressed", "tells", 0.5, "half")
        return [(event.step, bytes(event.value)) for event in told[1:]]

    assert run(main, app) == [("tells", b'{"n":1}'), ("thread", b'"thread"')]


def telling(count, app=None):
    """An application whose graph `telling` emits 0, 1, 2 … without a pause."""
    app = app or application()

    @app.action
    async def tells(ctx: Context):
        for number in range(count):
            ctx.emit(number)

    graph = Graph("telling")
    graph.add(tells)
    app.add_graph(graph)
    return app


async def told(run):
    return [int(bytes(recorded.event.value)) async for recorded in run.events() if recorded.seq == 0]


def test_what_steps_told_before_anybody_asked_is_heard():
    """By the first who asks the handle that `start` gave, even when the run is over; and not twice."""

    async def main(app):
        started = await app.start(Static("telling"))
        await started.wait()
        assert [recorded.seq async for recorded in started.events(live=False)] == [1, 2, 3]
        return await told(started), await told(started)

    assert run(main, telling(3)) == ([0, 1, 2], [])


def test_of_what_nobody_has_asked_for_the_latest_thousand_are_kept():
    """Memory stays bounded."""

    async def main(app):
        started = await app.start(Static("telling"))
        await started.wait()
        return await told(started)

    assert run(main, telling(1500)) == list(range(500, 1500))


def test_nobody_listens_for_a_handle_that_is_gone():
    """`execute` has none either: what its steps tell is kept nowhere."""
    app = application()
    listeners = {}

    @app.action
    async def looks(ctx: Context):
        await asyncio.sleep(1)
        listeners[ctx.run_id] = len(app.tenure(ctx.run_id).listeners)

    graph = Graph("looking")
    graph.add(looks)
    app.add_graph(graph)

    async def main(app):
        kept = await app.start(Static("looking"), run_id="kept")
        await (await app.get_run((await app.start(Static("looking"), run_id="dropped")).id)).wait()
        await app.execute(Static("looking"), run_id="executed")
        await kept.wait()

    run(main, app)
    assert listeners == {"kept": 1, "dropped": 0, "executed": 0}


def test_who_listens_follows_the_run_through_its_tenures():
    """After a run was parked and woken it is the new tenure's attempts that tell; no old one is left a listener."""
    app = application()

    @app.action
    async def tells_after_a_sleep(ctx: Context):
        await ctx.sleep(60)
        await asyncio.sleep(1)
        ctx.emit(1)
        await asyncio.sleep(1)

    graph = Graph("parking")
    graph.add(tells_after_a_sleep)
    app.add_graph(graph)

    async def main(app):
        started = await app.start(Static("parking"), run_id="r")
        tenures = {}
        heard = []
        async for recorded in started.events():
            heard.append(recorded.type)
            if tenure := app.tenure("r"):
                tenures[id(tenure)] = tenure
        assert {"RunParked", "RunWoken", "Emitted"} <= set(heard)
        return [len(tenure.listeners) for tenure in tenures.values()]

    assert run(main, app) == [0, 0]


def test_the_cache_is_read_only_and_as_it_is_now():
    """A view of what is in the journal."""

    async def main(app):
        started = await app.start(Static("naps"))
        assert started.cache.get("global", "order", None) is None
        await asyncio.sleep(70)
        assert started.cache.get("global", "order") == ["first"]
        assert not hasattr(started.cache, "set")
        await started.wait()
        return started.cache.node("second"), started.cache.get("global", "order")

    assert run(main) == ({"output": 60}, ["first", "second"])


def test_a_report_can_be_had_at_any_time():
    """It says how things stand, and does not change any more."""

    async def main(app):
        started = await app.start(Static("naps"))
        await asyncio.sleep(70)
        early = await started.report()
        last = await started.wait()
        return (early.status, list(early.outputs)), (last.status, list(last.outputs))

    assert run(main) == (("running", ["first"]), ("succeeded", ["first", "second"]))


def test_the_tree_can_be_had_of_a_run_in_any_status():
    """While it goes on and after."""

    async def main(app):
        started = await app.start(Static("naps"))
        await asyncio.sleep(70)
        before = (await started.tree()).to_json()
        await started.wait()
        return before != (await started.tree()).to_json()

    assert run(main)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_run_of_another_process_is_followed_through_the_journal(kind, tmp_path):
    """wait, events and status work on a store where somebody else executes the run."""
    clock, memory = VirtualClock(), Memory()

    def store():
        return MemoryStore(memory) if kind == "memory" else SqliteStore(tmp_path / "runs.db")

    async def main():
        async with application(store(), clock) as here, application(store(), clock) as there:
            started = await here.start(Static("naps"), run_id="r")
            followed = await there.get_run("r")
            assert followed.status == "running"
            types = [recorded.type async for recorded in followed.events()]
            report = await followed.wait()
            assert (await started.wait()).status == report.status == "succeeded"
            return types[-1], report.outputs

    assert clock.run(main()) == ("RunEnded", {"first": {"output": 60}, "second": {"output": 60}})


def test_several_may_wait_and_each_may_give_up():
    """Cancelling one wait cancels neither the run nor another's."""

    async def main(app):
        started = await app.start(Static("naps"))
        waiting = [asyncio.create_task(started.wait()) for _ in range(3)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        reports = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(reports[0], asyncio.CancelledError)
        return [report.status for report in reports[1:]]

    assert run(main) == ["succeeded", "succeeded"]


def test_a_handle_resumes_its_run():
    """As Dagger.resume does, with its errors."""

    async def main(app):
        await app.execute(Static("bad"), run_id="r")
        handle = await app.get_run("r")
        again = await handle.resume(config={"on_failure": "continue"})
        assert (await again.wait()).status == "failed"
        with pytest.raises(InvalidState, match=r"run 'r' is over \(failed\)"):
            await handle.resume()
        with pytest.raises(InvalidState, match=r"run 'r' is over \(failed\): it cannot be cancelled"):
            await handle.cancel()

    run(main)


@pytest.mark.parametrize("reason", [None, 5, "\ud800"], ids=range(3))
def test_a_reason_is_a_text(reason):
    """Anything else could not be read back from the journal."""

    async def main(app):
        started = await app.start(Static("naps"))
        with pytest.raises(RunError, match="a reason is a text"):
            await started.cancel(reason)
        return (await started.wait()).status

    assert run(main) == "succeeded"


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_cancel_at_the_moment_of_the_pause_is_kept(kind, tmp_path):
    """A run that has just paused, durably or not yet, is cancelled all the same; one that just ended says so."""
    app = application("memory:" if kind == "memory" else tmp_path / "runs.db")

    async def main(app):
        started = await app.start(Static("bad"), run_id="r")
        tenure = app.tenure("r")
        while tenure is not None and not tenure.is_settled:
            await asyncio.sleep(0)
            tenure = app.tenure("r")
        return (await started.cancel("enough")).error

    assert run(main, app) == "RunCancelled: enough\nbad: ValueError: no"


def test_replay_goes_on_from_a_state():
    """What follows after a seq is applied to the state given."""

    async def main(app):
        await app.execute(Static("naps"), run_id="r")
        whole = replay(app.store, "r")
        part = replay(app.store, "r")
        from dagger.core.fold import fold

        early = fold(recorded.event for recorded in app.store.read("r", limit=3))
        assert replay(app.store, "r", 3, early) == whole == part

    run(main)
