"""Requests that wait for long, survive restarts, or are changed meanwhile; on both stores."""

import asyncio

import pytest
from tests.mailed import events_of, run
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
