"""Flows of every mode in each other: their inboxes, dead letters and reports; on both stores."""

import asyncio

import pytest
from tests.mailed import AtWork, run
from tests.mixing import double, doubles, graph_of, keeps, mixed
from tests.worlds import World

from dagger import AgentDriven, Context, EventDriven, Graph, Message, Static, action, agent

START = EventDriven("start", None)


@action
async def plans(ctx: Context, task: str):
    """A supervisor of two turns."""
    if ctx.node.iteration.number == 1:
        ctx.add_node(double, inputs={"x": 4})
    else:
        ctx.finish(f"{task}: {ctx.cache.node(next(iter(ctx.outcomes)))['output']}")


@agent(subscribe="finish")
async def finishes(text: str, ctx: Context):
    """It ends a flow with a result."""
    await asyncio.sleep(1)
    ctx.finish(text.upper())


@pytest.mark.parametrize("mode", ["static", "agent", "events"])
@pytest.mark.parametrize("outer", ["static", "agent", "events"])
def test_every_mode_runs_in_every_other(world, outer, mode):
    """And its result goes on in the other one; all in one journal."""
    inner = {
        "static": Static("inner"),
        "agent": AgentDriven("t", supervisor="plans"),
        "events": EventDriven("finish", "t"),
    }

    async def child(ctx):
        found = await ctx.execute(inner[mode], inputs={"x": 3} if mode == "static" else {})
        return [found.status, found.result if mode != "static" else found.outputs["double"]["output"]]

    @action
    async def node(ctx: Context):
        ctx.finish(await child(ctx))

    @action
    async def supervisor(ctx: Context, task: str):
        ctx.finish(await child(ctx))

    @agent(subscribe="start")
    async def reader(asked: object, ctx: Context):
        ctx.finish(await child(ctx))

    graph = Graph("inner")
    graph.add(double, x=graph.input("x"))
    spec = {"static": Static("g"), "agent": AgentDriven("u", supervisor="supervisor"), "events": START}[outer]
    found, _ = mixed(
        world, spec, node, supervisor, reader, double, plans, finishes, graphs=[graph, graph_of(node)],
        config={"review_frequency": None},
    )  # fmt: skip

    assert (found.report.status, found.report.error) == ("succeeded", None)
    assert found.report.result == ["succeeded", {"static": 6, "agent": "t: 8", "events": "T"}[mode]]


def test_a_child_flow_of_messages_has_inboxes_of_its_own(world):
    """It ends when it is quiet, whatever goes on around it; its messages are handled in their order there."""
    work = AtWork()

    @agent(subscribe="in")
    async def reader(text: str, message: Message, ctx: Context):
        await work(text, 10)

    @action
    async def node(ctx: Context, name: str):
        ctx.publish("in", f"{name} outside")  # it goes when the node has succeeded: to the run's own
        await ctx.execute(EventDriven("in", f"{name} inside"))
        return round(world.clock.passed_seconds)

    graph = Graph("g")
    for name in ("one", "two"):
        graph.add(node, id=name, name=name)
    found, _ = mixed(world, Static("g"), node, reader, graphs=[graph])

    assert found.report.outputs == {"one": {"output": 10}, "two": {"output": 10}}
    assert (work.order[:2], sorted(work.order[2:])) == (["one inside", "two inside"], ["one outside", "two outside"])
    assert world.clock.passed_seconds == pytest.approx(30, abs=0.5)


def test_what_a_child_flow_publishes_stays_in_it(world):
    """It waits for all that follows, and only then is its result there."""

    @action
    async def node(ctx: Context):
        found = await ctx.execute(EventDriven("numbers", 4))
        return [found.status, round(world.clock.passed_seconds), ctx.cache.get("global", "kept")]

    found, _ = mixed(world, Static("g"), node, doubles, keeps, graphs=[graph_of(node)])

    assert found.report.outputs["node"] == {"output": ["succeeded", 1, [[8, "doubles"]]]}


def test_a_dead_letter_in_a_child_flow_is_its_codes_to_judge(world):
    """The flow has failed; the code goes on, and so does the run."""

    @agent(subscribe="in")
    async def fails(number: int):
        raise ValueError("no")

    @action
    async def node(ctx: Context):
        found = await ctx.execute(EventDriven("in", 4))
        return [found.status, found.error]

    async def main(app):
        app.add_graph(graph_of(node))
        handle = await app.start(Static("g"), run_id="r")
        report = await handle.wait()
        return report, await handle.dead_letters()

    report, letters = run(world, main, node, fails, config={"on_failure": "pause"})
    (status, error) = report.outputs["node"]["output"]
    assert (report.status, status) == ("succeeded", "failed")
    assert error.endswith("ValueError: no")
    assert (letters, report.agents["fails"]["failed"]) == ([], 1)


def test_an_agent_in_a_child_flow_adds_nodes_to_it(world):
    """They are the flow's, and in its report."""

    @agent(subscribe="in")
    async def adds(number: int, ctx: Context):
        ctx.add_node(double, id="inside", inputs={"x": number})

    @action
    async def node(ctx: Context):
        found = await ctx.execute(EventDriven("in", 4))
        return [found.outputs]

    found, _ = mixed(world, Static("g"), node, adds, double, graphs=[graph_of(node)])

    assert found.report.outputs == {"node": {"output": [{"inside": {"output": 8}}]}}


def test_agents_are_in_each_other_as_deep_as_need_be(world):
    """A delivery executes a flow of messages whose deliveries execute others."""

    @agent(subscribe="down")
    async def down(number: int, ctx: Context):
        if number:
            found = await ctx.execute(EventDriven("down", number - 1))
            ctx.finish(found.result + 1)
        else:
            ctx.finish(0)

    found, _ = mixed(world, EventDriven("down", 8), down)

    assert (found.report.status, found.report.result) == ("succeeded", 8)


def test_a_flow_that_is_kept_alive_is_no_child(world):
    """It would never end."""

    @action
    async def node(ctx: Context):
        await ctx.execute(EventDriven("numbers", 1, keep_alive=True))

    found, _ = mixed(world, Static("g"), node, doubles, graphs=[graph_of(node)])
    assert "a child flow with keep_alive would never end" in found.report.error


def test_a_child_flow_of_messages_survives_a_restart(tmp_path):
    """With what waits in it, and nothing handled twice."""
    world, handled = World("sqlite", tmp_path), []

    @agent(subscribe="in", publish="more")
    async def splits(number: int):
        for each in range(number):
            yield each

    @agent(subscribe="more")
    async def reader(number: int, ctx: Context):
        await asyncio.sleep(10)
        handled.append(number)
        ctx.finish(number)

    @action
    async def node(ctx: Context):
        ctx.finish((await ctx.execute(EventDriven("in", 5))).result)

    async def begin(app):
        app.add_graph(graph_of(node))
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(25)

    async def go_on(app):
        app.add_graph(graph_of(node))
        return await (await app.resume("r")).wait()

    run(world, begin, node, splits, reader)
    report = run(world, go_on, node, splits, reader)
    assert (report.status, report.result, handled) == ("succeeded", 0, [0, 1, 2, 3, 4])


def test_when_its_code_gives_a_child_flow_up_what_waits_in_it_is_dropped(world):
    """Nobody waits for it any more; the run goes on."""
    handled = []

    @agent(subscribe="in", publish="more")
    async def splits(number: int):
        for each in range(number):
            yield each

    @agent(subscribe="more")
    async def reader(number: int):
        await asyncio.sleep(10)
        handled.append(number)

    @action
    async def node(ctx: Context):
        flow = asyncio.ensure_future(ctx.execute(EventDriven("in", 5)))
        await asyncio.sleep(15)
        flow.cancel()
        return "enough"

    found, _ = mixed(world, Static("g"), node, splits, reader, graphs=[graph_of(node)])

    assert (found.report.status, found.report.outputs["node"]) == ("succeeded", {"output": "enough"})
    assert handled == [0]


def test_each_flow_has_an_agents_places_of_its_own(world):
    """Never more at once than it says in each of three; who executes a flow may hold a place in the one around it."""
    work = AtWork()

    @agent(subscribe="start", publish="in")
    async def splits(asked: object):
        for number in range(4):
            yield number

    @agent(subscribe="in", concurrency=2)
    async def reader(number: int):
        await work(number, 10)

    @action
    async def node(ctx: Context):
        ctx.publish("start", None)
        await ctx.execute(START)

    graph = Graph("g")
    for number in range(3):
        graph.add(node, id=f"n{number}")
    found, _ = mixed(world, Static("g"), node, splits, reader, graphs=[graph])

    assert (found.report.status, work.most, len(work.order)) == ("succeeded", 3 * 2, 24)
