"""Requests that wait for long, survive restarts, or are changed meanwhile; on both stores."""

import asyncio

import pytest
from tests.mailed import events_of, run, sends
from tests.requesting import asks, silent
from tests.worlds import World, until

from dagger import Context, EventDriven, InvalidState, Message, agent

START = EventDriven("start", None)


def test_while_it_waits_for_a_reply_the_run_waits_and_its_clock_stands_still(world):
    """Days, if need be; and it may be parked."""

    @agent(subscribe="ask")
    async def oracle(question: dict, ctx: Context):
        ctx.reply(await ctx.review("What?"))

    async def main(app):
        handle = await app.start(START, run_id="r")
        while not (reviews := await handle.reviews()):
            await asyncio.sleep(1)
        await asyncio.sleep(3 * 86_400)
        status, reason = handle.status, handle.reason
        await handle.answer(reviews[0].id, "that")
        return status, reason, await handle.wait(), await events_of(handle, "RunParked")

    status, reason, report, parked = run(world, main, asks(timeout=None), oracle)
    assert (status, report.status, report.result) == ("waiting", "succeeded", "that")
    assert "1 request" in reason
    assert len(parked) == 1
    assert report.duration < 60


@pytest.mark.parametrize("seconds", [5, 25], ids=["asked", "answered"])
def test_a_request_survives_a_restart(tmp_path, seconds):
    """It is not made again, and its reply is not lost, whether it came before or after."""
    world, asked = World("sqlite", tmp_path), []

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        found = await ctx.request("ask", {}, timeout=None)
        await ctx.sleep(30)
        ctx.finish(found)

    @agent(subscribe="ask")
    async def oracle(question: dict, message: Message, ctx: Context):
        await ctx.sleep(20)
        asked.append(message.id)
        ctx.reply(message.id)

    async def begin(app):
        await app.start(START, run_id="r")
        await asyncio.sleep(seconds)

    async def go_on(app):
        return await (await app.resume("r")).wait()

    run(world, begin, asker, oracle)
    report = run(world, go_on, asker, oracle)
    assert (report.status, report.error) == ("succeeded", None)
    assert [report.result] == asked


def test_a_request_whose_time_is_over_after_a_restart_has_timed_out(tmp_path):
    """Its time goes on while nobody executes the run."""
    world = World("sqlite", tmp_path)

    async def begin(app):
        await app.start(START, run_id="r")
        await asyncio.sleep(5)

    async def go_on(app):
        return await (await app.resume("r")).wait()

    run(world, begin, asks(timeout=100), silent)
    world.clock.advance(1000)
    report = run(world, go_on, asks(timeout=100), silent)
    assert "RequestTimedOut" in report.error


def test_a_request_of_a_channel_that_was_changed_is_a_mismatch(tmp_path):
    """A reply to the old one would be taken for one to the new."""
    world = World("sqlite", tmp_path)

    @agent(subscribe=["ask", "query"])
    async def oracle(question: dict, ctx: Context):
        await ctx.sleep(100)
        ctx.reply(1)

    async def begin(app):
        await app.start(START, run_id="r")
        await asyncio.sleep(5)

    async def go_on(app):
        handle = await app.resume("r")
        return await handle.wait()

    run(world, begin, asks(publish=["ask", "query"], timeout=None), oracle)
    report = run(world, go_on, asks(publish=["ask", "query"], channel="query", timeout=None), oracle)
    told = (
        "WaitMismatch: agent 'asker': wait 'request:1' is in the journal as request \"ask\", and the code now asks for"
    )
    assert told in report.error
    assert 'request "query"' in report.error


# -- whoever is to reply is a dead letter --------------------------------------------------------------------


def breaks(broken, **options):
    """An agent that replies as soon as nothing is broken."""

    @agent(subscribe="ask", **options)
    async def frail(question: dict, ctx: Context):
        if broken:
            raise ValueError("no")
        ctx.reply("mended")

    return frail


def test_a_request_keeps_no_run_from_pausing_for_the_dead_letter_that_is_to_reply(world):
    """Waiting does not help it, resuming does: the letter is tried anew, and what it replies is the answer."""
    broken, asked = [True], []

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        asked.append(ctx.attempt)
        ctx.finish(await ctx.request("ask", {}, timeout=None))

    async def main(app):
        handle = await app.start(START, run_id="r", config={"on_failure": "pause"})
        paused = await handle.wait()
        reason = handle.reason
        broken.clear()
        await app.resume("r")
        return paused.status, reason, await handle.wait(), await events_of(handle, "WaitOpened")

    status, reason, report, opened = run(world, main, asker, breaks(broken))
    assert (status, reason) == ("paused", "'frail#2-1' failed; mend the cause and resume the run")
    assert (report.status, report.result, report.error) == ("succeeded", "mended", None)
    assert (len(opened), asked) == (1, [1, 1])


@pytest.mark.parametrize("what", ["sleep", "review", "timeout"])
def test_a_run_pauses_for_a_dead_letter_when_nothing_goes_on_by_itself(world, what):
    """A sleep ends, a person answers, and a request with a timeout is asked anew."""
    broken = [True]

    @agent(subscribe="start")
    async def other(given: object, ctx: Context):
        if what == "review":
            await ctx.review("?")
        elif what == "sleep":
            await ctx.sleep(100)

    async def main(app):
        handle = await app.start(START, run_id="r", config={"on_failure": "pause"})
        await asyncio.sleep(50)
        before = handle.status
        for review in await handle.reviews():
            await handle.answer(review.id, "so")
        return before, (await handle.wait()).status

    asker = asks(timeout=100 if what == "timeout" else None)
    assert run(world, main, asker, breaks(broken), other) == ("waiting", "paused")


def test_a_dead_letter_redelivered_while_the_run_pauses_is_delivered_when_it_is_resumed(world):
    """Who requested of it may still clean up; and gets the reply."""
    broken = [True]

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        try:
            ctx.finish(await ctx.request("ask", {}, timeout=None))
        except asyncio.CancelledError:
            await asyncio.sleep(3)
            raise

    async def main(app):
        handle = await app.start(START, run_id="r", config={"on_failure": "pause"})
        while not (letters := await handle.dead_letters()):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        broken.clear()
        await handle.redeliver(letters[0].id)
        paused = (await handle.wait()).status
        await app.resume("r")
        return paused, (await handle.wait()).result

    assert run(world, main, asker, breaks(broken)) == ("paused", "mended")


@pytest.mark.parametrize("kind", ["sleep", "review", "request"])
def test_a_dead_letter_that_waits_behind_another_one_when_it_is_resumed_finds_what_it_waited_for(world, kind):
    """Its wait is open in the journal: it is answered though its turn comes later."""
    broken = [True]

    @agent(subscribe="in", publish="ask")
    async def worker(number: int, ctx: Context):
        waits = {"sleep": lambda: ctx.sleep(100), "review": lambda: ctx.review("?"), "request": lambda: asks_for(ctx)}
        if broken:
            await asyncio.wait_for(waits[kind](), 10)
        else:
            ctx.cache.append("global", "told", await waits[kind]())

    async def asks_for(ctx):
        return await ctx.request("ask", {}, timeout=None)

    @agent(subscribe="ask", concurrency=5)
    async def oracle(question: dict, ctx: Context):
        await ctx.sleep(200)
        ctx.reply("so")

    async def main(app):
        config = {"on_failure": "pause", "human_wait_minutes": 2, "human_timeout_action": "autopilot"}
        handle = await app.start(START, run_id="r", config=config)
        paused = await handle.wait()
        broken.clear()
        await app.resume("r")
        report = await handle.wait()
        return paused.status, report.status, report.error, handle.cache.get("global", "told")

    told = ["so", "so"] if kind == "request" else [None, None]
    assert run(world, main, sends(2), worker, oracle) == ("paused", "succeeded", None, told)


def test_a_request_whose_time_was_over_while_the_run_was_paused_is_made_again(world):
    """Nobody was there to hear a reply: the resumed step has lost no try by it."""
    broken, asked = [True], []

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        waits = ctx.request("ask", {}, timeout=100)
        ctx.finish(await (asyncio.wait_for(waits, 10) if broken else waits))

    @agent(subscribe="ask")
    async def oracle(question: dict, ctx: Context):
        asked.append(1)
        if not broken:
            ctx.reply("so")

    async def main(app):
        handle = await app.start(START, run_id="r", config={"on_failure": "pause"})
        await handle.wait()
        await asyncio.sleep(1_000)
        broken.clear()
        await app.resume("r")
        return (await handle.wait()).result

    assert run(world, main, asker, oracle) == "so"
    assert len(asked) == 2


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_run_that_pauses_for_no_dead_letter_says_which_one_a_request_waits_for(world, keep_alive):
    """It is to be redelivered; others are not named."""
    broken = [True]

    async def main(app):
        handle = await app.start(EventDriven("start", None, keep_alive=keep_alive), run_id="r")
        await until(lambda: handle.status == "waiting")
        reason = handle.reason
        broken.clear()
        (letter,) = [each for each in await handle.dead_letters() if each.agent == "frail"]
        await handle.redeliver(letter.id)
        return reason, letter.step, (await handle.wait()).result

    policy = {} if keep_alive else {"on_failure": "continue"}

    @agent(subscribe="start", **policy)
    async def unlucky(given: object):
        raise ValueError("no")

    reason, step, result = run(world, main, asks(timeout=None), breaks(broken, **policy), unlucky)
    assert reason == f"waits for 1 request (dead letter {step!r})" + (" and messages" if keep_alive else "")
    assert result == "mended"


def test_what_a_dead_letter_has_requested_keeps_no_run_from_pausing_after_a_restart(tmp_path):
    """It is tried anew when the run is resumed: nobody waits for the reply before."""
    world = World("sqlite", tmp_path)

    async def fails():
        raise ValueError("no")

    @agent(subscribe="start", publish="ask")
    async def asker(given: object, ctx: Context):
        await asyncio.gather(ctx.request("ask", {}, timeout=10_000), fails())

    @agent(subscribe="start", publish="ask")
    async def worker(given: object, ctx: Context):
        await asyncio.sleep(100)
        await ctx.request("ask", {}, timeout=None)

    async def begin(app):
        await app.start(START, run_id="r", config={"on_failure": "pause"})
        await asyncio.sleep(5)

    async def go_on(app):
        (recovered,) = await app.recover()
        return (await recovered.wait()).status

    run(world, begin, asker, silent, worker)
    assert run(world, go_on, asker, silent, worker) == "paused"
    assert world.clock.passed_seconds < 200


def test_a_cancelled_run_asks_nobody_any_more(world):
    """What waits for a reply ends with the run."""

    async def main(app):
        handle = await app.start(START, run_id="r")
        await until(lambda: handle.status == "waiting")
        report = await handle.cancel()
        with pytest.raises(InvalidState):
            await handle.publish("start", None)
        return report.status

    assert run(world, main, asks(timeout=None), silent) == "cancelled"
