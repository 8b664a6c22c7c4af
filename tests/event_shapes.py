"""The corpus goes on: agents and the messages between them, alone and beside nodes and child flows."""

import asyncio
import contextlib
import random
from typing import Any

from tests import flow_shapes  # noqa: F401 - nodes here call its actions
from tests.shapes import AGENTS, SHAPES, Shape

from dagger import AgentDriven, Context, EventDriven, Graph, Message, NonRetryable, RequestTimedOut, Static, ref

CONFIG = {"retry_strategy": {"linear": {"delay_secs": 30}}}


def driven(status="succeeded", *, message=1, spec=None, is_steady=True, **config):
    """A run of the agents that a function registers; it begins with this message on the channel `in`."""

    def register(function):
        name = function.__name__
        begins = spec or EventDriven("in", message)
        SHAPES[name] = Shape(name, begins, None, status, is_steady, {**CONFIG, **config})
        AGENTS[name] = [function]
        return function

    return register


@contextlib.contextmanager
def at_work(ledger, ctx):
    ledger.began(ctx)
    try:
        yield
    finally:
        ledger.ended(ctx)


def onward(*channels):
    """What an agent publishes that passes on one more than it was given."""
    return lambda x: [(channel, x + 1) for channel in channels]


def agent(app, ledger, name, subscribe, *channels, does=None, seconds=0, **options):
    """An agent that notes what it gets under its name, and publishes what `does` makes of it: channels and payloads."""

    @app.agent(name=name, subscribe=subscribe, publish=channels, **options)
    async def handle(x: Any, ctx: Context) -> None:
        with at_work(ledger, ctx):
            ctx.cache.append("global", name, x)
            ctx.cache.add("global", "handled", 1)
            if seconds:
                await asyncio.sleep(seconds)
            for channel, payload in (does or onward(*channels))(x):
                ctx.publish(channel, payload)


# -- topologies ------------------------------------------------------------------------------------------------------


@driven()
def pipeline(app, ledger):
    agent(app, ledger, "first", "in", "middle")
    agent(app, ledger, "second", "middle", "out", seconds=5)
    agent(app, ledger, "third", "out")


@driven()
def fan_out(app, ledger):
    agent(app, ledger, "source", "in", "news")
    for number in range(8):
        agent(app, ledger, f"reader{number}", ["news", "in"], seconds=number % 3)


@driven()
def agents_join(app, ledger):
    """Two work at the same; whoever of them is the second finds both in the cache."""
    agent(app, ledger, "left", "in", "half", seconds=10)
    agent(app, ledger, "right", "in", "half", seconds=20)

    @app.agent(subscribe="half", publish="whole")
    async def join(x: int, ctx: Context) -> list | None:
        with at_work(ledger, ctx):
            ctx.cache.append("global", "halves", x)
            halves = ctx.cache.get("global", "halves")
        return sorted(halves) if len(halves) == 2 else None

    agent(app, ledger, "whole", "whole")


@driven(message=0)
def cycle(app, ledger):
    """Round three agents until the number is large enough; beside a channel that nobody reads."""
    agent(app, ledger, "a", ["in", "c"], "b", "unread", does=lambda x: [("b", x + 1), ("unread", x)] if x < 6 else [])
    agent(app, ledger, "b", "b", "c_in", seconds=1)
    agent(app, ledger, "c", "c_in", "c")


@driven(message=5)
def generator(app, ledger):
    """Published together, at the end of a generator; read one by one, and by many at once."""

    @app.agent(subscribe="in", publish="each")
    async def count(n: int, ctx: Context):
        with at_work(ledger, ctx):
            for number in range(n):
                await asyncio.sleep(1)
                yield number

    agent(app, ledger, "one_by_one", "each", seconds=3)
    agent(app, ledger, "at_once", "each", seconds=3, concurrency=3)


@driven(message=[{"k": k, "n": n} for n, k in enumerate("aabacab")])
def keyed(app, ledger):
    agent(app, ledger, "source", "in", "each", does=lambda xs: [("each", x) for x in xs])
    agent(app, ledger, "by_key", "each", seconds=2, key="k")
    agent(app, ledger, "two_at_once", "each", seconds=2, key="k", concurrency=2)


@driven(message=[{"n": n, "text": "x" * n} for n in range(6)], channel_capacity=1)
def full_inboxes(app, ledger):
    """All but the first payload stay in the journal."""
    agent(app, ledger, "source", "in", "each", does=lambda xs: [("each", x) for x in xs])
    agent(app, ledger, "sizes", "each", "sizes", does=lambda x: [("sizes", len(x["text"]))], seconds=1)
    agent(app, ledger, "in_order", "sizes")
    agent(app, ledger, "at_once", "sizes", concurrency=3, seconds=2)


@driven(message=[0] * 4, channel_capacity=1)
def full_cycle(app, ledger):
    """Three agents go round with full inboxes; nobody waits for anybody's room."""
    agent(app, ledger, "source", "in", "a", does=lambda xs: [("a", x) for x in xs])
    agent(app, ledger, "a", "a", "b")
    agent(app, ledger, "b", "b", "c")
    agent(app, ledger, "c", "c", "a", does=lambda x: [("a", x + 1)] if x < 5 else [])


@driven(message="x" * 70_000)
def large_payloads(app, ledger):
    """Payloads that stand in blobs, on their way in, in an inbox, and out."""

    @app.agent(subscribe="in", publish="each")
    async def doubles(text: str, ctx: Context):
        with at_work(ledger, ctx):
            yield text
            yield text * 2

    @app.agent(subscribe="each", publish="size")
    async def measures(text: str, ctx: Context) -> int:
        with at_work(ledger, ctx):
            return len(text)

    agent(app, ledger, "notes", "size")


def swarm(seed):
    """The name of a run made by a seed: who reads what, how many at once, for how long, what follows, what fails."""

    def register(app, ledger):
        draw = random.Random(seed)
        for name in ("p", "q", "r", "s"):
            read = {"in", *draw.sample("abc", 1)} if name == "p" else draw.sample("abc", draw.randrange(1, 3))
            concurrency, key = draw.choice([(1, None), (2, None), (None, "path"), (2, "lane")])
            busy(app, ledger, f"{name}_{seed}", sorted(read), concurrency=concurrency, key=key)

    register.__name__ = f"swarm_{seed}"
    return driven(message={"path": "0", "lane": 0})(register).__name__


def busy(app, ledger, name, subscribe, **options):
    """An agent that draws what it does by what it is given."""

    @app.agent(name=name, subscribe=subscribe, publish=["a", "b", "c"], **options)
    async def handle(given: dict, ctx: Context) -> None:
        draw, path = random.Random(f"{name} {given}"), given["path"]
        fails = draw.random() < 0.2
        with at_work(ledger, ctx):
            ctx.cache.append("global", name, path)
            for number in range(draw.randrange(1, 3) if len(path) < 4 else 0):
                ctx.publish(draw.choice("abc"), {"path": f"{path}{number}", "lane": number})
            await asyncio.sleep(draw.choice([0, 0, 1, 7, 40]))
            if fails and ctx.attempt == 1:
                raise ConnectionError(path)


for seed in ("d1", "b2", "c6"):
    swarm(seed)


# -- failures and limits ---------------------------------------------------------------------------------------------


def frail(app, ledger, name="frail", failures=99, **options):
    """An agent that publishes, writes and fails: for good on odd numbers, a few times on others."""

    @app.agent(name=name, subscribe="each", publish="good", **options)
    async def handle(x: int, ctx: Context) -> int:
        with at_work(ledger, ctx):
            ctx.cache.append("global", name, x)
            ctx.publish("good", -x)
            if x % 2 and ctx.attempt <= failures:
                raise ValueError(f"{x} is odd")
        return x


def four_to(channel):
    return lambda x: [(channel, x + number) for number in range(4)]


@driven()
def fails_once(app, ledger):
    """What an attempt published that failed is not published; those behind it keep their places."""
    agent(app, ledger, "source", "in", "each", does=four_to("each"))
    frail(app, ledger, failures=2)
    frail(app, ledger, "frail_at_once", failures=1, concurrency=4)
    agent(app, ledger, "good", "good")


@driven("failed", on_failure="continue")
def dead_continue(app, ledger):
    agent(app, ledger, "source", "in", "each", does=four_to("each"))
    frail(app, ledger, try_count=2)
    agent(app, ledger, "good", "good")


@driven("paused")
def dead_pause(app, ledger):
    agent(app, ledger, "source", "in", "each", does=four_to("each"))
    frail(app, ledger, try_count=2)
    agent(app, ledger, "good", "good", seconds=5)


@driven("failed", is_steady=False, on_failure="stop")
def dead_stop(app, ledger):
    agent(app, ledger, "source", "in", "each", does=four_to("each"))
    agent(app, ledger, "slow", "each", seconds=1000)
    frail(app, ledger, try_count=2)


@driven("failed", is_steady=False, on_failure="continue")
def dead_mixed(app, ledger):
    """Who fails for good says what that means, or the run does."""
    agent(app, ledger, "source", "in", "each", does=four_to("each"))
    frail(app, ledger, "first", try_count=1, concurrency=2)

    @app.agent(subscribe="good", try_count=5)
    async def hopeless(x: int, ctx: Context) -> None:
        with at_work(ledger, ctx):
            raise NonRetryable(f"not {x}")


@driven("paused", is_steady=False, max_messages=6)
def message_loop(app, ledger):
    agent(app, ledger, "to", ["in", "back"], "there", seconds=1)
    agent(app, ledger, "fro", "there", "back", seconds=1)


@driven("failed", is_steady=False, max_messages=6, on_failure="stop")
def message_loop_stopped(app, ledger):
    agent(app, ledger, "echo", ["in", "again"], "again", does=lambda x: [("again", x)] * 3)


# -- waits -----------------------------------------------------------------------------------------------------------


@driven()
def requests(app, ledger):
    """Asked twice at once, and again by an attempt that finds the replies; the oracle passes on what it is asked."""

    @app.agent(subscribe="in", publish=["ask", "told"])
    async def asker(x: int, ctx: Context) -> None:
        both = await asyncio.gather(*(ctx.request("ask", x + n, key=f"number {n}") for n in (1, 2)))
        third = await ctx.request("ask", sum(both))
        with at_work(ledger, ctx):
            ctx.publish("told", third)
            if ctx.attempt == 1:
                raise ConnectionError("after all replies")

    @app.agent(subscribe="ask", publish="heard", concurrency=2)
    async def oracle(x: int, ctx: Context) -> int:
        with at_work(ledger, ctx):
            await asyncio.sleep(x)
            ctx.reply(x * 10)
            ctx.reply("too late")
        return x

    agent(app, ledger, "heard", "heard")
    agent(app, ledger, "told", "told")


@driven()
def late_replies(app, ledger):
    """The reply comes when its time is over, to nobody; asked again, by this attempt or the next, it is in time."""

    @app.agent(subscribe="in", publish=["ask", "told"])
    async def asker(x: int, ctx: Context) -> None:
        try:
            found = await ctx.request("ask", x, timeout=10)
        except RequestTimedOut:
            found = await ctx.request("ask", 0, timeout=None)
        with at_work(ledger, ctx):
            ctx.publish("told", found)

    @app.agent(subscribe="in", publish=["ask", "told"])
    async def asks_anew(x: int, ctx: Context) -> None:
        found = await ctx.request("ask", x if ctx.attempt == 1 else 0, timeout=10)
        with at_work(ledger, ctx):
            ctx.publish("told", found)

    @app.agent(subscribe="ask", concurrency=4)
    async def slow(x: int, ctx: Context) -> None:
        with at_work(ledger, ctx):
            await asyncio.sleep(1000 * x)
            ctx.reply(x + 5)

    agent(app, ledger, "told", "told")


@driven(human_timeout_action="autopilot")
def agents_wait(app, ledger):
    """They sleep, remember and ask, and what is behind them waits too."""
    agent(app, ledger, "source", "in", "each", does=four_to("each"))

    @app.agent(subscribe="each", publish="done")
    async def patient(x: int, ctx: Context) -> int:
        first = await ctx.memo("first", lambda: x * 2)
        await ctx.sleep(first)
        answer = await ctx.review(f"{x}?", wait_minutes=0.05) if x == 2 else None
        with at_work(ledger, ctx):
            return first if answer is None else 0

    agent(app, ledger, "done", "done")


@driven(human_timeout_action="autopilot")
def people_asked(app, ledger):
    """By messages, of which one wants a reply, and none gets an answer in time."""
    asked = {"question": "Well?", "options": [1, 2], "wait_minutes": 0.1}
    agent(app, ledger, "asks", "in", "human_review", does=lambda _: [("human_review", asked)] * 2)

    @app.agent(subscribe="in", publish="human_review")
    async def waits(x: int, ctx: Context) -> None:
        told = await ctx.request("human_review", asked)
        with at_work(ledger, ctx):
            ctx.cache.set("global", "told", told)

    @app.agent(subscribe="human_review.answered")
    async def hears(told: dict, ctx: Context) -> None:
        with at_work(ledger, ctx):
            ctx.cache.append("global", "hears", [told["question"], told["answer"]])


@driven(spec=EventDriven("in", 0, keep_alive=True))
def kept_alive(app, ledger):
    """It dies of a result, not of silence; a dead letter is listed only."""

    @app.agent(subscribe=["in", "on"], publish="on", try_count=1)
    async def lives(x: int, ctx: Context) -> None:
        await ctx.sleep(20)
        with at_work(ledger, ctx):
            if x == 4:
                ctx.finish({"at": x})
            else:
                ctx.publish("on", x + 1)

    @app.agent(subscribe="on", try_count=1)
    async def fails(x: int, ctx: Context) -> None:
        with at_work(ledger, ctx):
            raise ValueError(x)


# -- with nodes and child flows --------------------------------------------------------------------------------------


def publishing(app, ledger):
    """Actions that publish, as nodes do."""

    @app.action
    async def posts(ctx: Context, x: int = 1) -> int:
        with at_work(ledger, ctx):
            ctx.publish("each", x)
            ctx.publish("each", x + 1)
        return x + 1

    @app.action
    async def executes(ctx: Context, x: int) -> list:
        found = await ctx.execute(EventDriven("each", x))
        with at_work(ledger, ctx):
            return [found.status, found.outputs, (found.error or "").count("\n"), found.result]

    @app.action
    async def supervises(ctx: Context, task: str) -> None:
        with at_work(ledger, ctx):
            if ctx.node.iteration.number == 3:
                ctx.finish(task)
            else:
                ctx.add_node("posts", inputs={"x": ctx.node.iteration.number})
                ctx.publish("each", 10)


@driven(spec=Static("posting"))
def nodes_publish(app, ledger):
    """Nodes publish, also in a graph and in a map, in a thread, and at the second attempt; the run waits for it all."""
    publishing(app, ledger)
    inner, graph = Graph("letters"), Graph("posting")
    inner.add("work", id="after", x=inner.add("posts", id="posts", x=inner.input("x")))
    first = graph.add("posts", id="first")
    graph.add("work", id="last", x=first)
    listed = graph.add("numbers", id="listed", count=2)
    graph.add("posts", id="each", map=listed, x=graph.item)
    graph.add(inner, id="flow", x=first)
    app.add_graph(graph)

    @app.agent(subscribe="each")
    def in_thread(x: int, ctx: Context) -> None:
        with at_work(ledger, ctx):
            ctx.cache.append("global", "in_thread", x)

    agent(app, ledger, "slow", "each", seconds=7)


@driven(spec=AgentDriven("task", supervisor="supervises"), review_frequency=None)
def supervised_posts(app, ledger):
    """A supervisor and its nodes publish; it is finished before what follows is."""
    publishing(app, ledger)
    agent(app, ledger, "slow", "each", seconds=100)


@driven()
def agents_add_nodes(app, ledger):
    """Nodes that depend on each other, and publish to whoever added them."""
    publishing(app, ledger)

    @app.agent(subscribe=["in", "each"], publish="added")
    async def adds(x: int, ctx: Context) -> str:
        with at_work(ledger, ctx):
            if x < 3:
                first = ctx.add_node("posts", id=f"first{x}", inputs={"x": x + 1})
                ctx.add_node("work", id=f"second{x}", inputs={"x": ref(first)})
        return "a text"

    @app.agent(subscribe="added", concurrency=2)
    async def seen(text: str, message: Message, ctx: Context) -> None:
        with at_work(ledger, ctx):
            ctx.cache.append("global", "seen", [text, message.source, bool(message.parent)])


@driven(spec=Static("executing"))
def child_events(app, ledger):
    """Event-driven child flows of nodes and of an agent, each with inboxes of its own; dead letters are theirs."""
    publishing(app, ledger)
    graph = Graph("executing")
    listed = graph.add("numbers", id="listed", count=2)
    both = graph.add("executes", id="both", map=listed, x=graph.item)
    graph.add("posts", id="after", x=5, after=[both])
    app.add_graph(graph)

    @app.agent(subscribe="each", publish=["more", "good"], try_count=1, on_failure="continue")
    async def splits(x: int, ctx: Context) -> int:
        with at_work(ledger, ctx):
            ctx.publish("good", x)
            if x == 1:
                ctx.finish("one")
                ctx.publish("more", 1)
            if x == 0:
                raise ValueError("nothing")

    @app.agent(subscribe="more")
    async def executes_more(x: int, ctx: Context) -> None:
        found = await ctx.execute(EventDriven("good", 7 + x))
        with at_work(ledger, ctx):
            ctx.cache.append("global", "more", found.status)

    agent(app, ledger, "good", "good", seconds=4)
    agent(app, ledger, "at_once", "good", seconds=4, concurrency=2)
