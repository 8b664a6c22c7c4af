"""What becomes of messages that agents fail to handle: tries, dead letters, redelivery; on both stores."""

import asyncio

import pytest
from tests.mailed import beside, execute, run, sends
from tests.worlds import World, until

from dagger import Context, EventDriven, InvalidState, agent

START = EventDriven("start", None)


def mended():
    """An agent that fails for 2, until it is mended; and what it was asked, by which key."""
    broken, told = [True], []

    @agent(subscribe="in", publish="out")
    async def frail(number: int, ctx: Context):
        told.append((number, ctx.attempt, ctx.idempotency_key))
        ctx.cache.append("global", "half", number)
        if number == 2 and broken:
            raise ValueError(f"no {number}, try {ctx.attempt}")
        ctx.cache.append("global", "whole", number)
        yield number * 10

    return frail, broken, told


@agent(subscribe="out")
async def sink(number: int, ctx: Context):
    """It keeps what comes."""
    ctx.cache.append("global", "out", number)


def test_three_tries_with_backoff_then_a_dead_letter_with_its_errors_then_mended_and_redelivered(world):
    """Under `pause` the run pauses where it would end; a redelivery has fresh tries and its own idempotency key."""
    frail, broken, told = mended()
    config = {"on_failure": "pause", "max_attempts": 3, "retry_strategy": "exponential"}

    async def main(app):
        paused = await app.execute(START, run_id="r")
        at = round(world.clock.passed_seconds)
        handle = await app.get_run("r")
        (letter,) = await handle.dead_letters()
        broken.clear()
        await handle.redeliver(letter.id)
        assert (handle.status, await handle.dead_letters()) == ("paused", [])
        await app.resume("r")
        return paused, at, letter, await handle.wait(), handle.cache

    async def main_and_cache(app):
        paused, at, letter, report, cache = await main(app)
        return paused, at, letter, report, {key: cache.get("global", key) for key in ("half", "whole", "out")}

    paused, at, letter, report, cache = run(world, main_and_cache, sends(3), frail, sink, config=config)
    assert paused.status == "paused"
    assert "frail#2-2" in paused.error
    assert at == 6  # 2 s, then 4 s
    assert letter.errors == [f"ValueError: no 2, try {number}" for number in (1, 2, 3)]
    assert (letter.agent, letter.channel, letter.payload, letter.message.source, letter.step) == (
        "frail",
        "in",
        2,
        "start",
        "frail#2-2",
    )
    assert (report.status, report.error) == ("succeeded", None)
    assert cache == {"half": [1, 3, 2], "whole": [1, 3, 2], "out": [10, 30, 20]}
    assert told == [
        (1, 1, "r/frail#2-1"),
        *[(2, attempt, "r/frail#2-2") for attempt in (1, 2, 3)],
        (3, 1, "r/frail#2-3"),
        (2, 1, "r/frail#2-2.2"),
    ]


def test_resuming_a_paused_run_tries_its_dead_letters_anew(world):
    """As it does with any step that failed: the same delivery, the same key, fresh tries."""
    frail, broken, told = mended()

    async def main(app):
        await app.execute(START, run_id="r")
        handle = await app.get_run("r")
        again = await (await app.resume("r")).wait()
        (letter,) = await handle.dead_letters()
        broken.clear()
        report = await (await app.resume("r")).wait()
        return again, letter, report, await handle.dead_letters(), handle.cache.get("global", "out")

    config = {"on_failure": "pause", "max_attempts": 2}
    again, letter, report, left, out = run(world, main, sends(2), frail, sink, config=config)
    assert (again.status, letter.errors) == ("paused", [f"ValueError: no 2, try {each}" for each in (1, 2, 1, 2)])
    assert (report.status, report.error, left, out) == ("succeeded", None, [], [10, 20])
    assert {key for number, _, key in told if number == 2} == {"r/frail#2-2"}


def test_under_stop_a_dead_letter_fails_the_run_at_once(world):
    """What waits is not handled; it is still listed."""
    frail, _, told = mended()

    async def main(app):
        report = await app.execute(START, run_id="r")
        handle = await app.get_run("r")
        (letter,) = await handle.dead_letters()
        with pytest.raises(InvalidState, match=r"run 'r' is over \(failed\)"):
            await handle.redeliver(letter.id)
        return report

    report = run(world, main, sends(3), frail, sink, config={"on_failure": "stop"})
    assert (report.status, report.error) == ("failed", "frail#2-2: ValueError: no 2, try 1")
    assert [number for number, _, _ in told] == [1, 2]


def test_under_continue_the_rest_is_handled_and_the_run_ends_failed(world):
    """With the dead letter's error."""
    frail, _, _ = mended()

    async def main(app):
        report = await app.execute(START, run_id="r")
        return report, (await app.get_run("r")).cache.get("global", "out")

    report, out = run(world, main, sends(3), frail, sink, config={"on_failure": "continue"})
    assert (report.status, report.error, out) == ("failed", "frail#2-2: ValueError: no 2, try 1", [10, 30])


def test_under_continue_a_redelivery_that_succeeds_makes_the_run_succeed(world):
    """While something else keeps it going; the dead letter counts no more."""
    frail, broken, _ = mended()

    @agent(subscribe="start")
    async def slow(asked: object, ctx: Context):
        await ctx.sleep(60)

    async def main(app):
        handle = await app.start(START, run_id="r")
        while not (letters := await handle.dead_letters()):
            await asyncio.sleep(1)
        broken.clear()
        await handle.redeliver(letters[0].id)
        return await handle.wait(), await handle.dead_letters(), handle.cache.get("global", "out")

    report, left, out = run(world, main, sends(3), frail, sink, slow, config={"on_failure": "continue"})
    assert (report.status, report.error, left, out) == ("succeeded", None, [], [10, 30, 20])


def test_an_agent_may_say_itself_what_its_dead_letters_mean(world):
    """As a node may."""
    told = []

    @agent(subscribe="in", on_failure="continue", try_count=2)
    async def frail(number: int):
        told.append(number)
        if number == 1:
            raise ValueError("no")

    found = execute(world, START, sends(2), frail, config={"on_failure": "stop", "max_attempts": 5})

    assert (found.report.status, told) == ("failed", [1, 1, 2])


def test_a_delivery_times_out_as_a_step_does(world):
    """A handler that hangs is tried again, then a dead letter."""

    @agent(subscribe="start", timeout=30)
    async def hangs(asked: object):
        await asyncio.Event().wait()

    found = execute(world, START, hangs, config={"max_attempts": 2})

    assert found.report.error == "hangs#1-1: AttemptTimedOut: agent 'hangs': attempt 2 timed out after 30 s"
    assert world.clock.passed_seconds == pytest.approx(60, abs=0.5)


def test_a_message_is_redelivered_where_it_failed_or_at_one_agent(world):
    """A message may have failed at several; what is no dead letter is named."""
    broken = [True]

    def frail(name):
        @agent(name=name, subscribe="start")
        async def fails(asked: object, ctx: Context):
            if broken:
                raise ValueError(name)
            ctx.cache.append("global", "mended", name)

        return fails

    async def main(app):
        await app.execute(START, run_id="r")
        handle = await app.get_run("r")
        for wrong, told in (({"message_id": "1-2"}, "message '1-2' is no dead letter: nothing is redelivered; did"),
                            ({"message_id": "1-1", "agent": "four"}, "is no dead letter at agent 'four'")):  # fmt: skip
            with pytest.raises(InvalidState, match=told):
                await handle.redeliver(**wrong)
        broken.clear()
        await handle.redeliver("1-1", agent="two")
        left = {letter.agent for letter in await handle.dead_letters()}
        await handle.redeliver("1-1")
        await app.resume("r")
        await handle.wait()
        return left, handle.cache.get("global", "mended")

    left, done = run(world, main, frail("one"), frail("two"), frail("three"), config={"on_failure": "pause"})
    assert left == {"one", "three"}
    assert sorted(done) == ["one", "three", "two"]


def test_another_application_lists_and_redelivers_them(tmp_path):
    """While the run goes on elsewhere, and while nobody executes it."""
    world = World("sqlite", tmp_path)
    frail, broken, _ = mended()

    async def main(here, there):
        handle = await here.start(EventDriven("in", 2, keep_alive=True), run_id="r")
        other = await there.get_run("r")
        while not (letters := await other.dead_letters()):
            await asyncio.sleep(0.01)
        broken.clear()
        await other.redeliver(letters[0].id)
        while not handle.cache.keys("global"):
            await asyncio.sleep(0.01)
        with pytest.raises(InvalidState, match="is no dead letter"):
            await other.redeliver(letters[0].id)
        broken.append(True)
        await other.publish("in", 2)
        while not (letters := await other.dead_letters()):
            await asyncio.sleep(0.01)
        broken.clear()
        await handle.pause()
        await other.redeliver(letters[0].id)
        await until(lambda: here.store.ownership("r") == "none")
        await here.resume("r")
        await until(lambda: handle.cache.get("global", "whole") == [2, 2])
        return (await handle.cancel()).status, await other.dead_letters()

    assert beside(world, main, frail, sink) == ("cancelled", [])


def test_a_redelivered_message_goes_to_the_end_of_the_queue(world):
    """What waits already comes first."""
    broken = [True]

    @agent(name="slow", subscribe="slow")
    async def slow(number: int, ctx: Context):
        if number == 1 and broken:
            raise ValueError("no")
        await asyncio.sleep(10)
        ctx.cache.append("global", "slow", number)

    async def main(app):
        handle = await app.start(EventDriven("slow", 1, keep_alive=True), run_id="r")
        await handle.publish_many("slow", [2, 3])
        while not (letters := await handle.dead_letters()):
            await asyncio.sleep(1)
        broken.clear()
        await handle.redeliver(letters[0].id)
        await until(lambda: len(handle.cache.get("global", "slow", [])) == 3)
        await handle.cancel()
        return handle.cache.get("global", "slow")

    assert run(world, main, slow) == [2, 3, 1]


def test_a_dead_letter_keeps_no_wait_of_its_own(world):
    """What it waited for is asked anew when it is redelivered, and its open questions are withdrawn."""
    broken = [True]

    @agent(subscribe="in")
    async def asks(number: int, ctx: Context):
        answers = asyncio.ensure_future(ctx.review("Go on?"))
        await asyncio.sleep(1)
        if broken:
            raise ValueError("no")
        ctx.finish(await answers)

    async def main(app):
        handle = await app.start(EventDriven("in", 1, keep_alive=True), run_id="r")
        while not (letters := await handle.dead_letters()):
            await asyncio.sleep(1)
        before = await handle.reviews()
        broken.clear()
        await handle.redeliver(letters[0].id)
        while not (reviews := await handle.reviews()):
            await asyncio.sleep(0.1)
        await handle.answer(reviews[0].id, "yes")
        return before, (await handle.wait()).result

    assert run(world, main, asks) == ([], "yes")
