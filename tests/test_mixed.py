"""Three modes in one run: nodes that publish, agents that add nodes, flows of each in the others; on both stores."""

import itertools

import pytest
from tests.mailed import AtWork
from tests.mixing import double, doubles, graph_of, keeps, mixed

from dagger import AgentDriven, Context, EventDriven, Graph, Static, action, agent

START = EventDriven("start", None)


# -- nodes that publish --------------------------------------------------------------------------------------


def test_a_node_publishes_and_the_run_waits_for_what_follows(world):
    """A static run ends when all is quiet, too."""

    @action
    async def publishes(ctx: Context) -> int:
        ctx.publish("numbers", 21)
        return 1

    found, cache = mixed(world, Static("g"), publishes, doubles, keeps, graphs=[graph_of(publishes)])

    assert (found.report.status, found.report.outputs) == ("succeeded", {"publishes": {"output": 1}})
    assert cache["kept"] == [[42, "doubles"]]


def test_a_nodes_dependents_do_not_wait_for_what_its_messages_lead_to(world):
    """They wait for the node."""
    told = []

    @action
    async def publishes(ctx: Context) -> int:
        ctx.publish("numbers", 1)
        return 1

    @action
    async def after(x: int):
        told.append(("after", round(world.clock.passed_seconds)))

    graph = Graph("g")
    graph.add(after, x=graph.add(publishes))
    mixed(world, Static("g"), publishes, after, doubles, keeps, graphs=[graph])

    assert told == [("after", 0)]


def test_nodes_of_a_nested_graph_and_of_a_map_publish_to_the_runs_agents(world):
    """Which outlive the child flow: it is the run that waits."""

    @action
    async def publishes(ctx: Context, x: int) -> int:
        ctx.publish("numbers", x)
        return x

    @action
    async def numbers() -> list:
        return [1, 2, 3]

    inner = Graph("inner")
    inner.add(publishes, x=10)
    graph = Graph("g")
    graph.add(inner, id="flow")
    graph.add(publishes, id="each", map=graph.add(numbers), x=graph.item)
    found, cache = mixed(world, Static("g"), publishes, numbers, doubles, keeps, graphs=[graph])

    assert found.report.status == "succeeded"
    assert sorted(number for number, _ in cache["kept"]) == [2, 4, 6, 20]


def test_a_supervisor_publishes(world):
    """Agent-driven runs have agents, too."""

    @action
    async def plan(ctx: Context, task: str):
        turn = ctx.node.iteration.number
        ctx.publish("numbers", turn)
        if turn < 3:
            ctx.add_node(double, inputs={"x": turn})
        else:
            ctx.finish(task)

    found, cache = mixed(world, AgentDriven("t", supervisor="plan"), plan, double, doubles, keeps,
                         config={"review_frequency": None})  # fmt: skip

    assert (found.report.status, found.report.result) == ("succeeded", "t")
    assert [number for number, _ in cache["kept"]] == [2, 4, 6]


def test_a_dead_letter_fails_a_static_run(world):
    """It counts as a failed step."""

    @action
    async def publishes(ctx: Context) -> int:
        ctx.publish("numbers", 21)
        return 1

    @agent(subscribe="numbers")
    async def fails(number: int):
        raise ValueError("no")

    found, _ = mixed(
        world, Static("g"), publishes, fails, graphs=[graph_of(publishes)], config={"on_failure": "continue"}
    )

    assert (found.report.status, found.report.error) == ("failed", "fails#2-1: ValueError: no")
    assert found.report.outputs == {"publishes": {"output": 1}}


# -- agents that add nodes -----------------------------------------------------------------------------------


def test_an_agent_adds_nodes_whose_outcomes_are_the_runs(world):
    """The run waits for them; ids are made of the delivery, so that each message's are its own."""

    @agent(subscribe="start")
    async def adds(asked: object, ctx: Context):
        first = ctx.add_node(double, inputs={"x": 1})
        ctx.add_node(double, inputs={"x": 2}, dependencies=[first])

    found, _ = mixed(world, START, adds, double)

    assert found.report.status == "succeeded"
    assert sorted(each["output"] for each in found.report.outputs.values()) == [2, 4]
    assert set(found.statuses.values()) == {"succeeded"}


def test_each_message_adds_nodes_of_its_own(world):
    """A retried attempt makes the same ids, another message others."""

    @agent(subscribe="start", publish="in")
    async def source(asked: object):
        for number in (1, 2, 3):
            yield number

    @agent(subscribe="in")
    async def adds(number: int, ctx: Context):
        ctx.add_node(double, inputs={"x": number})
        if ctx.attempt == 1:
            raise ValueError("once more")

    found, _ = mixed(world, START, source, adds, double, config={"max_attempts": 2})

    assert sorted(each["output"] for each in found.report.outputs.values()) == [2, 4, 6]


def test_an_added_node_that_fails_fails_the_run(world):
    """As any node."""

    @action
    async def boom():
        raise ValueError("no")

    @agent(subscribe="start")
    async def adds(asked: object, ctx: Context):
        ctx.add_node(boom, id="bad")

    found, _ = mixed(world, START, adds, boom)

    assert (found.report.status, found.report.error, found.statuses) == (
        "failed",
        "bad: ValueError: no",
        {"bad": "failed"},
    )


def test_an_agent_adds_a_node_that_publishes_again(world):
    """And so on: modes take turns."""

    @agent(subscribe="start")
    async def adds(number: int | None, ctx: Context):
        number = number or 0
        ctx.cache.append("global", "kept", number)
        if number < 5:
            ctx.add_node("back", inputs={"x": number + 1})

    @action
    async def back(ctx: Context, x: int):
        ctx.publish("start", x)

    found, cache = mixed(world, START, adds, back)

    assert (found.report.status, cache["kept"]) == ("succeeded", [0, 1, 2, 3, 4, 5])


# -- one cache, one set of limits ----------------------------------------------------------------------------


def test_all_share_one_cache(world):
    """What a node wrote an agent reads, and a child flow's agents too."""

    @action
    async def writes(ctx: Context):
        ctx.cache.set("shared", "n", 1)
        ctx.publish("in", "node")

    @agent(subscribe="in")
    async def adds(text: str, ctx: Context):
        ctx.cache.add("shared", "n", 1)
        if text == "node":
            await ctx.execute(EventDriven("in", "child"))
            ctx.add_node("reads")

    @action
    async def reads(ctx: Context) -> int:
        return ctx.cache.get("shared", "n")

    found, _ = mixed(world, Static("g"), writes, adds, reads, graphs=[graph_of(writes)])

    assert found.report.status == "succeeded"
    assert {"output": 3} in found.report.outputs.values()


@pytest.mark.parametrize("limit", ["max_messages", "max_tokens", "timeout_seconds", "max_parallel"])
def test_all_share_one_set_of_limits(world, limit):
    """Messages, tokens, time and places: of the run, its agents, its nodes, and flows in it."""
    work = AtWork()

    @action
    async def node(ctx: Context):
        await work("node", 10)
        ctx.spend_tokens(10)
        ctx.publish("in", 1)

    @action
    async def child(ctx: Context):
        await ctx.execute(EventDriven("in", 2))

    @agent(subscribe="in", concurrency=5)
    async def reader(number: int, ctx: Context):
        await work("agent", 10)
        ctx.spend_tokens(10)

    config = {limit: {"max_messages": 2, "max_tokens": 35, "timeout_seconds": 15, "max_parallel": 1}[limit]}
    graph = Graph("g")
    for number, act in itertools.product(range(2), (node, child)):
        graph.add(act, id=f"{act.__name__}{number}")
    found, _ = mixed(world, Static("g"), node, child, reader, graphs=[graph], config=config)

    if limit == "max_parallel":
        assert (found.report.status, work.most) == ("succeeded", 1)
        return
    error = {"max_messages": "MessageLimitReached", "max_tokens": "TokenLimitReached", "timeout_seconds": "RunTimedOut"}
    assert found.report.error.startswith(f"{error[limit]}: {limit} of ")
