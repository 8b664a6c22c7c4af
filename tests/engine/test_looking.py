"""What a ready step does instead of an attempt; a delivery never does."""

import asyncio

import pytest
from tests.mailed import AtWork, executed, run
from tests.worlds import World, until

from dagger import AgentDriven, Context, EventDriven, Graph, Static, action, agent, ref
from dagger.core import events
from dagger.engine.looking import is_stuck

ONE_AT_A_TIME = {"max_parallel": 1}


@action
async def numbers(count: int = 3) -> list:
    """A list."""
    return list(range(count))


@action
async def work(x: int) -> int:
    """It does little."""
    return x + 1


def of(graph, world, *actions, **options):
    """What becomes of a graph, and that the replayed journal is the state that it had (I1)."""

    async def main(app):
        app.add_graph(graph)
        return await executed(app, Static("g"))

    return run(world, main, numbers, work, *actions, **options)


def test_a_list_that_is_none_fails_its_step_without_an_attempt(world):
    """What it is not a list of is told."""
    graph = Graph("g")
    graph.add(work, id="each", map=graph.add(work, id="one", x=1), x=graph.item, try_count=1)
    graph.add(work, id="other", x=5)
    found = of(graph, world, config={**ONE_AT_A_TIME, "on_failure": "continue"})

    assert found.statuses == {"one": "succeeded", "each": "failed", "other": "succeeded"}
    assert "each" in found.report.error
    assert not [event for event in found.events if type(event).__name__ == "StepStarted" and event.step == "each"]


def test_a_condition_that_cannot_be_told_fails_its_step(world):
    """As if its code had failed, but it gives no slots back that it never had: what is compared is no number."""
    at_work = AtWork()

    @action
    async def slow(x: list):
        await at_work(x)

    graph = Graph("g")
    text = graph.add(numbers, id="text", count=2)
    graph.add(work, id="picky", x=1, when={"reference": text, "gt": 3}, try_count=1)
    for number in range(3):
        graph.add(slow, id=f"slow{number}", x=text)
    found = of(graph, world, slow, config={**ONE_AT_A_TIME, "on_failure": "continue"})

    assert (found.statuses["picky"], found.report.status, at_work.most) == ("failed", "failed", 1)


def test_a_condition_that_does_not_hold_skips_its_step(world):
    """And nothing was taken for it."""
    graph = Graph("g")
    one = graph.add(work, id="one", x=1)
    graph.add(work, id="no", x=1, when={"reference": one, "gt": 5})
    graph.add(work, id="yes", x=1, when={"reference": one, "lt": 5})
    found = of(graph, world, config=ONE_AT_A_TIME)

    assert found.statuses == {"one": "succeeded", "no": "skipped", "yes": "succeeded"}


def test_a_child_flow_takes_no_slot_of_its_own(world):
    """Its steps do: with one place a nested graph and a map end all the same."""
    inner = Graph("inner")
    inner.add(work, x=inner.input("x"))
    graph = Graph("g")
    listed = graph.add(numbers)
    graph.add(inner, id="flows", map=listed, x=graph.item)
    graph.add(work, id="each", map=listed, x=graph.item)
    found = of(graph, world, config=ONE_AT_A_TIME)

    assert (found.report.status, found.statuses["flows"], found.statuses["each"]) == ("succeeded",) * 3


def test_a_step_that_was_given_up_while_it_was_queued_is_on_its_way_no_more(world):
    """The run ends; nothing is counted twice."""
    begun = []

    @action
    async def slow(x: int):
        begun.append(x)
        await asyncio.sleep(10)

    @action
    async def gives_up(ctx: Context):
        flow = asyncio.ensure_future(ctx.execute(Static("inner")))
        await asyncio.sleep(15)
        flow.cancel()

    inner = Graph("inner")
    inner.add(slow, id="each", map={"reference": inner.add(numbers, count=10), "max_parallel": 2}, x=inner.item)
    graph = Graph("g")
    graph.add(gives_up)

    async def main(app):
        app.add_graph(inner)
        app.add_graph(graph)
        return await executed(app, Static("g"))

    found = run(world, main, numbers, slow, gives_up)
    assert (found.report.status, begun) == ("succeeded", [0, 1, 2, 3])


def test_what_was_done_before_is_not_done_again(world):
    """Its outputs are an earlier run's."""
    calls = []

    @action(cache=True)
    async def costly(x: int) -> int:
        calls.append(x)
        return x * 10

    graph = Graph("g")
    graph.add(costly, x=4)

    async def main(app):
        app.add_graph(graph)
        first = await app.execute(Static("g"))
        return first, await app.execute(Static("g"))

    first, again = run(world, main, costly)
    assert (first.outputs, again.outputs, calls) == ({"costly": {"output": 40}},) * 2 + ([4],)
    assert again.node_outcomes["costly"].reused


def test_a_supervisor_that_waits_for_an_instruction_is_asleep(world):
    """Its run waits, and it begins with the instruction."""
    calls = []

    @action
    async def told(x: int):
        calls.append(x)

    async def main(app):
        handle = await app.start(AgentDriven("t", keep_alive=True), run_id="r")
        await until(lambda: handle.status == "waiting")
        reason = handle.reason
        await handle.instruct("told", {"x": 1})
        await until(lambda: calls)
        await handle.cancel()
        return reason

    assert "instruction" in run(world, main, told)
    assert calls == [1]


def test_deliveries_go_their_way_beside_steps_that_are_looked_at(world):
    """A run with maps, conditions and child flows in it handles messages as any other."""
    at_work, handled = AtWork(), []

    @action
    async def publishes(ctx: Context, x: int):
        ctx.publish("in", x)

    @agent(subscribe="in", concurrency=2)
    async def reader(number: int, ctx: Context):
        await at_work(number, 10)
        handled.append(number)

    graph = Graph("g")
    listed = graph.add(numbers, count=5)
    graph.add(publishes, id="each", map=listed, x=graph.item)
    graph.add(work, id="no", x=1, when={"reference": ref("numbers.output[0]"), "gt": 5})
    found = of(graph, world, publishes, reader)

    assert (found.report.status, at_work.most, sorted(handled)) == ("succeeded", 2, [0, 1, 2, 3, 4])


def test_an_agents_result_is_never_taken_from_an_earlier_run(world):
    """A message is handled, whatever was handled before."""
    handled = []

    @agent(subscribe="in")
    async def reader(number: int):
        handled.append(number)

    async def main(app):
        for _ in range(2):
            await app.execute(EventDriven("in", 1))

    run(world, main, reader)
    assert handled == [1, 1]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.StepFailed(at=0, step="s", attempt=1, error=events.Error("E", ""), policy="pause"), True),
        (events.StepFailed(at=0, step="s", attempt=1, error=events.Error("E", ""), policy="stop"), False),
        (events.StepSkipped(at=0, step="s", reason="condition"), False),
    ],
    ids=["pause", "stop", "skipped"],
)
def test_only_what_failed_under_pause_is_stuck(event, expected):
    """It waits for the run to be resumed."""
    assert is_stuck(event) is expected


def test_a_flow_that_is_given_a_dead_letter_again_does_not_end_before_it(tmp_path):
    """It was about to end, and only its last event was not durable yet (I9)."""
    broken, handled = [True], []

    @agent("desk")
    async def clerk(payload: int):
        if broken:
            raise ValueError(payload)
        await asyncio.sleep(1)
        handled.append(payload)

    @agent("start", publish="desk")
    async def asks(payload: int, ctx: Context):
        report = await ctx.execute(EventDriven("desk", payload))
        ctx.finish([report.status, *handled])

    async def main(app):
        started = await app.start(EventDriven("start", 7))
        dead = app.tenure(started.id).state.dead
        while not dead:
            await asyncio.sleep(0)
        broken.clear()
        await started.redeliver(next(iter(dead.values())).message.id)
        report = await started.wait()
        return report.status, report.result

    assert run(World("sqlite", tmp_path), main, clerk, asks) == ("succeeded", ["succeeded", 7])
