"""Requests and replies: who is answered, by whom, when nobody does, and after a restart; on both stores."""

import asyncio

import pytest
from tests.mailed import execute, run
from tests.requesting import asks, replies, silent

from dagger import Context, EventDriven, Graph, Message, RequestTimedOut, Static, action, agent

START = EventDriven("start", None)
TWICE = {"max_attempts": 2}


def test_a_reply_is_what_the_request_gives(world):
    """And no message: nobody else reads it."""
    found = execute(world, START, asks(), replies())

    assert (found.report.status, found.report.result) == ("succeeded", 40)
    assert sum(len(getattr(event, "messages", ())) for event in found.events) == 2


@pytest.mark.parametrize(
    "value", [None, [], {"$blob": "x", "size": 1}, "ä" * 70_000], ids=["null", "list", "ref", "blob"]
)
def test_any_json_is_a_reply(world, value):
    """What looks like a reference of ours, and what is too large for an event, too; null is one like any other."""

    @agent(subscribe="ask")
    async def oracle(question: dict, ctx: Context):
        ctx.reply(value)

    assert execute(world, START, asks(), oracle).report.result == value


def test_of_several_replies_the_first_is_the_answer(world):
    """The others go nowhere, of one agent or of many."""

    @agent(subscribe="ask")
    async def twice(question: dict, ctx: Context):
        await asyncio.sleep(1)
        ctx.reply("first")
        ctx.reply("second")

    found = execute(
        world, START, asks(), replies(seconds=5, value="slow"), twice, replies("last", seconds=9, value="last")
    )

    assert (found.report.status, found.report.result) == ("succeeded", "first")


def test_the_first_stays_the_answer_whatever_comes_later(world):
    """Another attempt gets it again, though somebody else has replied meanwhile (I8)."""
    found = []

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        found.append(await ctx.request("ask", {"n": 1}))
        await ctx.sleep(30)
        if ctx.attempt == 1:
            raise ValueError("again")

    execute(world, START, asker, replies(value="first"), replies("slow", seconds=9, value="slow"), config=TWICE)

    assert len(found) > 1
    assert set(found) == {"first"}


def test_a_reply_is_given_with_its_attempts_success_only(world):
    """An attempt that fails after it has replied has not."""

    @agent(subscribe="ask")
    async def frail(question: dict, ctx: Context):
        ctx.reply(ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("after all")

    assert execute(world, START, asks(), frail, config={"max_attempts": 3}).report.result == 3


def test_a_reply_to_what_nobody_requested_goes_nowhere(world):
    """An agent need not know whether anybody waits."""
    found = execute(world, EventDriven("ask", {"n": 1}), replies())

    assert found.report.status == "succeeded"


def test_only_agents_reply(world):
    """A node handles no message."""

    @action
    async def node(ctx: Context):
        ctx.reply(1)

    assert "reply is for agents: it handles no message" in world.execute(node, config={"on_failure": "stop"}).error


def test_a_node_requests_too(world):
    """It declares no channels."""

    @action
    async def node(ctx: Context):
        return [await ctx.request("ask", {"n": 4}, timeout=5)]

    async def main(app):
        graph = Graph("g")
        graph.add(node)
        app.add_graph(graph)
        return await app.execute(Static("g"), run_id="r")

    assert run(world, main, node, replies()).outputs == {"node": {"output": [8]}}


def test_many_requests_at_once_have_keys(world):
    """Each is answered by itself."""

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        ctx.finish(await asyncio.gather(*[ctx.request("ask", {"n": n}, key=f"k{n}") for n in range(50)]))

    assert execute(world, START, asker, replies()).report.result == [2 * n for n in range(50)]


def test_requests_go_round_in_circles_and_end(world):
    """An agent that waits holds its own place only: others answer it, and are answered."""

    @agent(subscribe="ask", publish="deeper")
    async def oracle(question: dict, ctx: Context):
        ctx.reply(await ctx.request("deeper", question["n"]) + 1)

    @agent(subscribe="deeper")
    async def deep(number: int, ctx: Context):
        await ctx.sleep(50)
        ctx.reply(number * 10)

    assert execute(world, START, asks(timeout=None), oracle, deep).report.result == 201


# -- when nobody replies -------------------------------------------------------------------------------------


def test_where_nobody_replies_in_time_it_is_an_error(world):
    """60 seconds, if nothing else is said; the attempt fails as by any other."""
    found = execute(world, START, asks(), silent)

    told = "asker#1-1: RequestTimedOut: agent 'asker': request: nobody replied on channel 'ask' within 60 s"
    assert (found.report.status, found.report.error) == ("failed", told)
    assert world.clock.passed_seconds == pytest.approx(60, abs=0.5)


def test_code_may_catch_it_and_go_on(world):
    """It is raised where the code waits."""

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        try:
            await ctx.request("ask", {"n": 1}, timeout=5)
        except RequestTimedOut:
            ctx.finish("nobody")

    assert execute(world, START, asker, silent).report.result == "nobody"


def test_another_attempt_asks_anew(world):
    """With a message of its own: whoever did not reply to the first may reply to the second."""
    asked = []

    @agent(subscribe="ask")
    async def sleepy(question: dict, message: Message, ctx: Context):
        asked.append(message.id)
        if len(asked) == 3:
            ctx.reply("at last")

    found = execute(world, START, asks(timeout=5), sleepy, config={"max_attempts": 3})

    assert (found.report.status, found.report.result) == ("succeeded", "at last")
    assert len(set(asked)) == 3
    assert world.clock.passed_seconds == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize(
    "config", [{"retry_strategy": {"linear": {"delay_secs": 10}}}, {"max_parallel": 1}], ids=["delayed", "queued"]
)
def test_a_request_that_times_out_between_two_attempts_is_asked_anew(world, config):
    """Nobody was there to be told, and the second attempt has not waited yet."""
    asked = []

    async def frail(ctx):
        await asyncio.sleep(1)
        if ctx.attempt == 1:
            raise ValueError("for another reason")

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        reply, _ = await asyncio.gather(ctx.request("ask", {}, timeout=3), frail(ctx))
        ctx.finish(reply)

    @agent(subscribe="ask")
    async def oracle(question: dict, message: Message, ctx: Context):
        asked.append(message.id)
        if len(asked) == 1:
            await asyncio.sleep(5)
        else:
            ctx.reply("at last")

    found = execute(world, START, asker, oracle, config={**TWICE, **config})

    assert (found.report.status, found.report.result, len(asked)) == ("succeeded", "at last", 2)


def test_a_late_reply_is_no_answer_to_what_was_asked_later(world):
    """Another attempt has asked anew: what it asked may be another question."""

    @agent(subscribe="ask", concurrency=2)
    async def slow(attempt: int, ctx: Context):
        await asyncio.sleep(7 if attempt == 1 else 3)
        ctx.reply(f"to {attempt}")

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        ctx.finish(await ctx.request("ask", ctx.attempt, timeout=5))

    assert execute(world, START, asker, slow, config=TWICE).report.result == "to 2"


def test_an_attempt_that_fails_for_another_reason_keeps_its_reply(world):
    """What was asked once is not asked again (I8)."""
    asked = []

    @agent(subscribe="ask")
    async def oracle(question: dict, message: Message, ctx: Context):
        asked.append(message.id)
        ctx.reply(len(asked))

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        found = await ctx.request("ask", {})
        if ctx.attempt < 3:
            raise ValueError("not yet")
        ctx.finish(found)

    found = execute(world, START, asker, oracle, config={"max_attempts": 3})
    assert (found.report.result, len(asked)) == (1, 1)


def test_a_request_that_nobody_reads_fails_at_once(world):
    """Nobody could ever reply, and no retry would go better."""
    found = execute(world, START, asks(), config={"max_attempts": 3})

    told = "asker#1-1: NoAgentsRegistered: agent 'asker': request: nobody reads channel 'ask', so nobody would reply"
    assert found.report.error == told
    assert world.clock.passed_seconds < 1


def test_requesting_where_nothing_was_declared_is_an_error(world):
    """As publishing is."""
    found = execute(world, START, asks(publish=["other"]), replies())

    assert "ChannelNotDeclared: agent 'asker' does not declare that it publishes to 'ask'" in found.report.error


def test_a_request_that_does_not_fit_is_refused(world):
    """By the schemas of whoever reads it."""

    @agent(subscribe="ask", input_schema={"required": ["m"]})
    async def picky(question: dict):
        """It takes what has an m."""

    found = execute(world, START, asks(), picky)
    assert (
        "MessageInvalid: agent 'asker': message for channel 'ask': at $: \"m\" is a required property"
        in found.report.error
    )


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan"), 10**12], ids=repr)
def test_a_timeout_is_a_number_of_seconds(world, timeout):
    """Above 0; None: for ever."""
    error = execute(world, START, asks(timeout=timeout), replies()).report.error
    assert f"StepError: agent 'asker': request: timeout is a number of seconds above 0, not {timeout!r}" in error


def test_threads_cannot_request(world):
    """They would keep their thread for as long as it takes."""

    @agent(subscribe="start", publish="ask")
    def asker(given: object, ctx: Context):
        ctx.request("ask", 1)

    assert "agent 'asker': request is for async functions" in execute(world, START, asker, replies()).report.error


def test_a_replier_that_becomes_a_dead_letter_leaves_the_request_open(world):
    """Until its time is over: it may be redelivered meanwhile, and reply then."""
    broken = [True]

    @agent(subscribe="ask", on_failure="continue")
    async def frail(question: dict, ctx: Context):
        if broken:
            raise ValueError("no")
        ctx.reply("mended")

    async def main(app):
        handle = await app.start(START, run_id="r")
        while not (letters := await handle.dead_letters()):
            await asyncio.sleep(1)
        broken.clear()
        await handle.redeliver(letters[0].id)
        return await handle.wait()

    report = run(world, main, asks(timeout=None), frail)
    assert (report.status, report.error, report.result) == ("succeeded", None, "mended")
