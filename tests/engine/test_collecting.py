"""What code does through its context takes effect with its attempt's success, in one journal entry, or not at all."""

import asyncio
import datetime

import pytest
from tests.mailed import events_of, execute, executed, run

from dagger import AttemptOver, Context, EventDriven, Graph, Message, Static, action, agent

START = EventDriven("start", {"n": 1})


@agent(subscribe="out")
async def sink(payload: object, ctx: Context):
    """It keeps what comes."""
    ctx.cache.append("global", "out", payload)


def test_all_that_is_collected_is_one_entry(world):
    """Publications, a reply, writes, nodes, the result (I2)."""

    @action
    async def node() -> int:
        return 1

    @agent(subscribe="start", publish="out")
    async def busy(asked: object, ctx: Context):
        ctx.publish("out", "a")
        ctx.cache.set("global", "k", 1)
        ctx.add_node(node, id="added")
        ctx.reply("r")
        ctx.finish("f")
        return "b"

    found = execute(world, START, busy, sink, node)

    (success,) = [event for event in found.events if type(event).__name__ == "StepSucceeded" and "busy" in event.step]
    assert [bytes(each.payload) for each in success.messages] == [b'"a"', b'"b"']
    assert [write.key for write in success.cache] == ["k"]
    assert [added.id for added in success.nodes] == ["added"]
    assert (bytes(success.reply), bytes(success.result)) == (b'"r"', b'"f"')


@pytest.mark.parametrize("error", [ValueError, asyncio.TimeoutError, SystemExit])
def test_an_attempt_that_failed_has_collected_nothing(world, error):
    """The next one begins anew."""

    @agent(subscribe="start", publish="out")
    async def frail(asked: object, ctx: Context):
        ctx.publish("out", ctx.attempt)
        ctx.cache.append("global", "attempts", ctx.attempt)
        if ctx.attempt < 3:
            raise error("not yet")

    async def main(app):
        report = await app.execute(START, run_id="r")
        cache = (await app.get_run("r")).cache
        return report.status, cache.get("global", "attempts"), cache.get("global", "out")

    assert run(world, main, frail, sink, config={"max_attempts": 3}) == ("succeeded", [3], [3])


@pytest.mark.parametrize("call", ["publish", "reply", "finish", "add_node"])
def test_once_an_attempt_is_over_its_context_is_closed(world, call):
    """What it does later would be lost, so it is refused: here a task that it has left behind."""
    told = []

    @agent(subscribe="start", publish="out")
    async def leaves(asked: object, ctx: Context):
        async def later():
            await asyncio.sleep(5)
            try:
                getattr(ctx, call)(*{"publish": ("out", 1), "add_node": ("sink",)}.get(call, (1,)))
            except AttemptOver as error:
                told.append(str(error))

        tasks.append(asyncio.create_task(later()))

    @agent(subscribe="start")
    async def slow(asked: object):
        await asyncio.sleep(10)

    tasks = []
    found = execute(world, START, leaves, slow, sink)

    assert found.report.status == "succeeded"
    (error,) = told
    assert "'leaves', attempt 1: the attempt is over" in error


def test_an_agent_sees_its_message(world):
    """All of it; each attempt anew."""
    seen = []

    @agent(subscribe="start")
    async def looks(message: Message, ctx: Context):
        assert ctx.message == message
        message.payload["n"] += 1
        seen.append((message, ctx.message is message, ctx.node.id, ctx.run_id, ctx.idempotency_key, ctx.attempt))
        if ctx.attempt == 1:
            raise ValueError("again")

    execute(world, START, looks, config={"max_attempts": 2})

    (first, _, node, run_id, key, _), (second, *_) = seen
    assert (first.id, first.channel, first.source, first.parent, first.run_id) == ("1-1", "start", None, None, "r")
    assert first.timestamp == datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert (node, run_id, key) == ("looks", "r", "r/looks#1-1")
    assert second.payload == first.payload == {"n": 2}  # what the first attempt did to its own is not seen


def test_a_node_has_no_message(world):
    """It was not called by one."""
    seen = []

    @action
    async def node(ctx: Context):
        seen.append(ctx.message)

    world.execute(node)
    assert seen == [None]


def test_a_message_names_who_published_it_and_why(world):
    """An agent, or a node; its parent is the message that was being handled, through child flows too."""
    seen = {}

    @agent(subscribe="start", publish="out")
    async def first(asked: object, ctx: Context):
        ctx.publish("out", "agent")
        ctx.add_node("node")
        await ctx.execute(Static("inner"))

    @action
    async def node(ctx: Context):
        ctx.publish("out", "added")

    @action
    async def inside(ctx: Context):
        ctx.publish("out", "inside")

    @agent(subscribe="out")
    async def reader(text: str, message: Message):
        seen[text] = message.source, message.parent

    inner = Graph("inner")
    inner.add(inside)

    async def main(app):
        app.add_graph(inner)
        return await executed(app, START)

    assert run(world, main, first, node, inside, reader).report.status == "succeeded"
    assert seen["agent"] == ("first", "1-1")
    assert seen["inside"] == ("inside", "1-1")
    assert seen["added"][0].startswith("node")


def test_what_may_be_added_as_a_node_is_an_action(world):
    """Agents are no actions: neither offered to a model, nor called by a node."""
    seen = []

    @agent(subscribe="start")
    async def curious(asked: object, ctx: Context):
        seen.extend(ctx.action_schemas)
        ctx.add_node("agent:sink")

    found = execute(world, START, curious, sink)
    assert not [name for name in seen if "sink" in name or "curious" in name]
    assert found.report.status == "failed"


def test_what_is_written_with_large_values_is_stored_beside_the_event(world):
    """Messages, replies and results."""
    large = "x" * 70_000

    @agent(subscribe="start", publish="out")
    async def busy(asked: object, ctx: Context):
        ctx.publish("out", large)
        ctx.reply(large)
        ctx.finish(large)

    async def main(app):
        handle = await app.start(START, run_id="r")
        report = await handle.wait()
        (success, _) = await events_of(handle, "StepSucceeded")
        return report.result, handle.cache.get("global", "out"), success

    result, out, success = run(world, main, busy, sink)
    assert (result, out) == (large, [large])
    assert max(len(success.messages[0].payload), len(success.reply), len(success.result)) < 200


@pytest.mark.parametrize("call", ["reply", "finish", "emit"])
def test_what_is_no_json_is_refused_where_it_is_given(world, call):
    """With what it was for."""

    @agent(subscribe="start")
    async def wrong(asked: object, ctx: Context):
        getattr(ctx, call)({"a": {1}})

    error = execute(world, START, wrong).report.error
    assert "OutputInvalid: agent 'wrong': " in error
    assert "at $.a: a set" in error
