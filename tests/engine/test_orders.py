"""What an order from outside does to a run; what does not fit is refused, in the journal and to its sender."""

import asyncio
import threading

import pytest
from tests.worlds import HOUR, World, until

from dagger import Context, Dagger, Graph, InvalidState, RunNotFound, Static
from dagger.core.errors import DependencyNotFound, NodeAlreadyExists
from dagger.core.graph import Node
from dagger.core.orders import AddNode, Cancel, Pause
from dagger.engine import orders
from dagger.run import Run


async def nap(ctx: Context):
    await asyncio.sleep(600)
    return 1


async def quick():
    return 1


async def events_of(app, name="r"):
    return [recorded.event async for recorded in (await app.get_run(name)).events(live=False)]


async def types_of(app):
    return [event.type for event in await events_of(app)]


def beside(world, main, *actions, **options):
    """What `main` gives, called with two applications on the same store: of two processes, as far as they know."""

    async def whole(here):
        async with world.application(*actions, **options) as there:
            await there.runs()
            return await main(here, there)

    return world.run(whole, *actions, **options)


# -- from another application --------------------------------------------------------------------------------


def test_a_pause_from_elsewhere_stops_what_runs_and_counts_no_try(world):
    """It says why; resumed, the step has all its tries."""

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await asyncio.sleep(5)
        report = await (await there.get_run("r")).pause("lunch")
        assert (report.status, run.status, run.reason) == ("paused", "paused", "lunch")
        (asked,) = [event for event in await events_of(here) if event.type == "PauseRequested"]
        assert asked.order
        return (await (await here.resume("r")).wait()).node_outcomes["n0"].attempts

    assert beside(world, main, nap) == 1


def test_a_cancel_from_elsewhere_ends_the_run(world):
    """Its steps are cancelled for the reason given."""

    async def main(here, there):
        await here.start(Static("g"), run_id="r")
        await asyncio.sleep(5)
        report = await (await there.get_run("r")).cancel("enough")
        return report.status, report.error, report.node_outcomes["n0"].reason

    assert beside(world, main, nap) == ("cancelled", "RunCancelled: enough", "enough")


@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_an_order_reaches_a_run_at_full_load(world, order):
    """Steps that never suspend and never come to an end, and threads that do not wait, hold up nobody's order."""

    async def step(ctx: Context):
        ctx.add_node("step", dependencies=[ctx.node.id])

    stop = threading.Event()

    def burn():
        while not stop.is_set():
            pass

    async def main(here):
        graph = Graph("endless")
        graph.add("step", id="first")
        here.add_graph(graph)
        async with Dagger(world.store()) as there:
            await here.start(Static("endless"), run_id="r", config={"durability": "async"})
            report = await getattr(await there.get_run("r"), order)("enough")
        stop.set()
        return report.status

    assert world.run(main, step, burn) == {"pause": "paused", "cancel": "cancelled"}[order]


def test_a_parked_run_obeys_too(world):
    """Whoever sends the order executes it, as nobody else does."""

    async def sleeps(ctx: Context):
        await ctx.sleep(HOUR)
        return 1

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        assert (await (await there.get_run("r")).pause("lunch")).status == "paused"
        await asyncio.sleep(HOUR)  # its alarm goes off, and changes nothing
        assert (run.status, run.reason) == ("paused", "lunch")
        assert (await (await here.resume("r")).wait()).outputs == {"n0": {"output": 1}}
        await here.start(Static("g"), run_id="s")
        await asyncio.sleep(10)
        return (await (await there.get_run("s")).cancel("enough")).status

    assert beside(world, main, sleeps) == "cancelled"


@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_an_interrupted_run_obeys_without_its_actions(world, order):
    """The process that sends the order needs none of the run's code."""

    async def begin(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(1)

    async def give(app):
        report = await getattr(await app.get_run("r"), order)("enough")
        return report.status, await types_of(app)

    world.run(begin, nap)
    status, types = world.run(give, quick)
    assert status == {"pause": "paused", "cancel": "cancelled"}[order]
    assert types.count("StepStarted") == 1


# -- what does not fit ---------------------------------------------------------------------------------------


def test_an_order_to_a_run_that_is_not_there_is_refused(world):
    """By its id."""

    async def main(app):
        await app.runs()
        for order in (Run("x", app).pause, Run("x", app).cancel):
            with pytest.raises(RunNotFound, match="there is no run 'x' in"):
                await order()

    world.run(main, quick)


def test_an_order_to_a_run_that_is_over_is_refused(world):
    """Wherever it comes from, and never in silence."""

    async def main(here, there):
        await here.execute(Static("g"), run_id="r")
        run = await here.start(Static("g"), run_id="c")
        await run.cancel()
        for app in (here, there):
            with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be paused"):
                await (await app.get_run("r")).pause()
            with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be cancelled"):
                await (await app.get_run("r")).cancel()
            with pytest.raises(InvalidState, match="run 'c' was cancelled already"):
                await (await app.get_run("c")).cancel()
            with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it takes no orders"):
                await app.store.send("r", Pause(id="1"))

    beside(world, main, nap)


def test_a_paused_run_cannot_be_paused(world):
    """It can be cancelled."""

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await run.pause()
        for app in (here, there):
            with pytest.raises(InvalidState, match="run 'r' is paused already"):
                await (await app.get_run("r")).pause()
        return (await (await there.get_run("r")).cancel("enough")).status

    assert beside(world, main, nap) == "cancelled"


async def stubborn(ctx: Context):
    try:
        await asyncio.sleep(HOUR)
    finally:
        await asyncio.sleep(3)


def test_a_run_that_is_about_to_pause_can_only_be_cancelled(tmp_path):
    """While its code cleans up, a second pause is told so; a cancel comes through; a second cancel is told so."""
    world = World("memory", tmp_path)  # an order through a file takes real time, which the code's cleaning up has not

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await asyncio.sleep(1)
        pausing = asyncio.create_task(run.pause())
        await asyncio.sleep(1)
        for app in (here, there):
            with pytest.raises(InvalidState, match="run 'r' is being paused already"):
                await (await app.get_run("r")).pause()
        cancelling = asyncio.create_task((await there.get_run("r")).cancel("enough"))
        await asyncio.sleep(1)
        for app in (here, there):
            with pytest.raises(InvalidState, match="run 'r' is being cancelled already"):
                await (await app.get_run("r")).cancel()
        refused = [event.error.message for event in await events_of(here) if event.type == "OrderRefused"]
        assert refused == ["run 'r' is being paused already", "run 'r' is being cancelled already"]
        return [(await task).status for task in (pausing, cancelling)]

    assert beside(world, main, stubborn) == ["cancelled", "cancelled"]


# -- orders that come late -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "status"), [(Pause(id="1", reason="wait"), "paused"), (Cancel(id="1", reason="enough"), "cancelled")]
)
def test_an_order_at_the_very_end_is_not_lost(world, order, status):
    """It is in the inbox before the last step ends, and its owner has not heard of it: the run cannot end without."""
    sent = []

    def last(ctx: Context):
        if not sent:
            sent.append(ctx.attempt)
            put_into_the_inbox(world, ctx.run_id, order)
        return 1

    async def main(app):
        report = await app.execute(Static("g"), run_id="r")
        told = [event.order for event in await events_of(app) if getattr(event, "order", "")]
        assert (report.status, told) == (status, ["1"])
        return (await (await app.resume("r")).wait()).status if status == "paused" else "cancelled"

    assert world.run(main, last) == ("succeeded" if status == "paused" else "cancelled")


def put_into_the_inbox(world, run_id, order):
    """As another process does, whose order the owner has not looked for yet."""
    if world.kind == "memory":
        world.memory.runs[run_id].inbox[order.id] = order
        return

    async def send():
        store = world.store()
        await store.open(Deaf())
        await store.send(run_id, order)
        await store.close()

    asyncio.run(send())


class Deaf:
    """A listener of a store that only sends."""

    def committed(self, batch): ...
    def lost(self, lease, error): ...
    def ordered(self, lease, orders): ...
    def broken(self, error): ...


def test_an_order_that_the_owner_never_heard_of_reopens_the_run(world):
    """The store does not let it end; the order is obeyed, and the run ends as it says."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        tenure = app.tenure("r")
        await app.store.send("r", Cancel(id="1", reason="enough"))
        tenure.lease.orders.clear()
        return (await run.wait()).status, [event.type for event in await events_of(app)][-2:]

    status, types = world.run(main, nap)
    assert (status, types[-1]) == ("cancelled", "RunEnded")


def test_a_late_pause_does_not_pause_a_run_again_that_was_resumed_since(world):
    """Somebody resumed it after all: the order is refused in the journal, and the run goes on."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await run.pause()
        await app.store.send("r", Pause(id="late"))
        report = await (await app.resume("r")).wait()
        (refused,) = [event for event in await events_of(app) if event.type == "OrderRefused"]
        return report.status, refused.order, str(refused.error)

    assert world.run(main, nap) == ("succeeded", "late", "InvalidState: the run was resumed since")


@pytest.mark.parametrize(
    ("order", "status"), [(Pause(id="late"), "paused"), (Cancel(id="late"), "cancelled")], ids=["pause", "cancel"]
)
def test_orders_left_in_the_inbox_of_a_paused_run_do_not_resume_it(world, order, status):
    """Whoever recovers runs obeys them; a paused run stays paused until somebody resumes it."""

    async def begin(app):
        await (await app.start(Static("g"), run_id="r")).pause()
        await app.store.send("r", order)

    async def recover(app):
        assert await app.recover() == []
        run = await app.get_run("r")
        await until(lambda: app.store.wakeable(world.clock.now_ms()) == [])
        await until(lambda: app.store.ownership("r") == "none")
        return run.status, [event.type for event in await events_of(app)].count("RunResumed")

    world.run(begin, nap)
    assert world.run(recover, quick) == (status, 0)


def test_a_late_pause_of_a_run_with_a_failed_step_is_refused(world):
    """It is paused already: for another reason, which stays."""

    async def fails():
        raise ValueError("no")

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await run.wait()
        await app.store.send("r", Pause(id="late", reason="lunch"))
        await app.recover()
        (refused,) = [event for event in await events_of(app) if event.type == "OrderRefused"]
        return run.status, run.reason, str(refused.error)

    reason = "'n0' failed; mend the cause and resume the run"
    assert world.run(main, fails) == ("paused", reason, "InvalidState: run 'r' is paused already")


def test_two_orders_at_once_to_a_run_that_nobody_executes_are_both_heard(world):
    """Whichever sender executes it; the cancel wins."""

    async def sleeps(ctx: Context):
        await ctx.sleep(HOUR)

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        other = await there.get_run("r")
        told = await asyncio.gather(run.pause(), other.cancel(), return_exceptions=True)
        assert not isinstance(told[1], Exception)
        assert not isinstance(told[0], Exception) or isinstance(told[0], InvalidState)
        return run.status

    assert beside(world, main, sleeps) == "cancelled"


def test_an_order_to_a_run_that_is_just_being_woken_is_heard(world):
    """Whoever takes the run over first finds it, or is told."""

    async def sleeps(ctx: Context):
        await ctx.sleep(HOUR)

    async def main(app):
        runs = [await app.start(Static("g")) for _ in range(20)]
        await asyncio.sleep(10)
        takeover = await app.takeover()
        cancelling = [asyncio.create_task(run.cancel()) for run in runs]
        for run in runs:
            await asyncio.sleep(0)
            takeover.wake(run.id)
        return {report.status for report in await asyncio.gather(*cancelling)}

    assert world.run(main, sleeps) == {"cancelled"}


def test_an_order_wakes_a_parked_run_in_a_process_that_recovers(world):
    """Its sender may be gone."""

    async def sleeps(ctx: Context):
        await ctx.sleep(HOUR)

    async def begin(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        await app.store.send("r", Cancel(id="1", reason="enough"))

    async def recover(app):
        run = await app.get_run("r")
        await until(lambda: run.status == "cancelled")
        return round(world.clock.passed_seconds)

    world.run(begin, sleeps)
    assert world.run(recover, sleeps, recover=True) < 13


# -- nodes that are added ------------------------------------------------------------------------------------


def test_a_node_is_added_to_a_run_that_goes_on(world):
    """From elsewhere too: it runs when what it depends on has ended."""

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        await there.store.send("r", AddNode(id="1", node=Node(id="extra", action="quick", dependencies=("n0",))))
        await there.store.send("r", AddNode(id="2", node=Node(id="free", action="quick")))
        report = await run.wait()
        return report.status, sorted(report.outputs)

    assert beside(world, main, nap, quick) == ("succeeded", ["extra", "free", "n0", "n1"])


def test_a_node_that_does_not_fit_is_refused(world):
    """Its id is taken, or its dependency is none; a run that is paused takes none."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        tenure = app.tenure("r")
        with pytest.raises(NodeAlreadyExists, match="node 'n0' is in run 'r' already; give it another id"):
            orders.add_node(tenure, Node(id="n0", action="nap"))
        told = "node 'x': dependency 'nap0' is not a node of run 'r'; did you mean 'n0'?"
        with pytest.raises(DependencyNotFound, match=told):
            orders.add_node(tenure, Node(id="x", action="nap", dependencies=("nap0",)))
        await app.store.send("r", AddNode(id="1", node=Node(id="n0", action="nap")))
        await until(lambda: any(recorded.type == "OrderRefused" for recorded in app.store.read("r")))
        await run.pause()
        with pytest.raises(InvalidState, match="run 'r' is paused: it cannot be given another node"):
            orders.add_node(tenure, Node(id="x", action="nap"))
        (refused,) = [event for event in await events_of(app) if event.type == "OrderRefused"]
        return refused.order, str(refused.error)

    told = "NodeAlreadyExists: node 'n0' is in run 'r' already; give it another id"
    assert world.run(main, nap) == ("1", told)
