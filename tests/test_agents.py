"""Agents at work: who gets what, in which order, how many at once, what becomes of what fails; on both stores."""

import asyncio
import collections

import pytest
from tests.mailed import AtWork, application, events_of, execute, executed, run, sends
from tests.worlds import until

from dagger import Context, EventDriven, InvalidState, Message, NonRetryable, PubSubAgent, agent

START = EventDriven("start", None)
TRIES = {"max_attempts": 3, "retry_strategy": {"linear": {"delay_secs": 10}}}


def numbered(event):
    """What a journal's event was about."""
    return type(event).__name__


# -- who gets what -------------------------------------------------------------------------------------------


def test_two_messages_of_one_millisecond_at_two_agents_are_four_attempts_each_once(world):
    """Messages are told apart by where they stand in the journal, and each agent gets each."""
    seen = collections.Counter()

    @agent(subscribe="in")
    async def one(number: int, message: Message):
        seen["one", number, message.timestamp] += 1

    @agent(subscribe="in")
    async def two(number: int, message: Message):
        seen["two", number, message.timestamp] += 1

    found = execute(world, START, sends(2), one, two)

    assert found.report.status == "succeeded"
    assert sorted((who, number) for who, number, _ in seen) == [("one", 1), ("one", 2), ("two", 1), ("two", 2)]
    assert set(seen.values()) == {1}
    assert len({at for _, _, at in seen}) == 1


def test_an_agent_gets_its_own_messages_too(world):
    """If it reads the channel that it publishes to."""

    @agent(subscribe="start", publish="start")
    async def counts(number: int | None, ctx: Context):
        ctx.cache.append("global", "seen", number)
        return (number or 0) + 1 if (number or 0) < 3 else None

    async def main(app):
        await app.execute(START, run_id="r")
        return (await app.get_run("r")).cache.get("global", "seen")

    assert run(world, main, counts) == [None, 1, 2, 3]


def test_one_agent_reads_many_channels_and_a_class_is_an_agent(world):
    """The message says which channel it came by."""

    class Hub(PubSubAgent):
        """A router."""

        name = "hub"
        subscriptions = ("start", "a", "b")
        publications = ("a", "b")

        async def process_message(self, message, ctx):
            ctx.cache.append("global", "seen", [message.channel, message.payload])
            if message.channel == "start":
                ctx.publish("b", 2)
                ctx.publish("a", 1)

    async def main(app):
        await app.execute(START, run_id="r")
        return (await app.get_run("r")).cache.get("global", "seen")

    assert run(world, main, Hub) == [["start", None], ["b", 2], ["a", 1]]


# -- in which order, and how many at once --------------------------------------------------------------------


def test_an_agent_handles_one_message_at_a_time_in_the_order_of_publication(world):
    """Different agents run side by side."""
    one, two = AtWork(), AtWork()

    @agent(subscribe="in")
    async def first(number: int):
        await one(number, 5 - number)

    @agent(subscribe="in")
    async def second(number: int):
        await two(number, number)

    execute(world, START, sends(4), first, second)

    assert (one.order, one.most, two.order, two.most) == ([1, 2, 3, 4], 1, [1, 2, 3, 4], 1)
    assert world.clock.passed_seconds == pytest.approx(10, abs=0.5)


def test_a_retried_message_holds_up_the_rest_of_an_ordered_agent(world):
    """Order is order: nothing overtakes it, for as long as its retries are delayed."""
    told = []

    @agent(subscribe="in")
    async def frail(number: int, ctx: Context):
        told.append((number, ctx.attempt, round(world.clock.passed_seconds)))
        if number == 1 and ctx.attempt < 3:
            raise ValueError("not yet")

    assert execute(world, START, sends(3), frail, config=TRIES).report.status == "succeeded"
    assert told == [(1, 1, 0), (1, 2, 10), (1, 3, 20), (2, 1, 20), (3, 1, 20)]


def test_a_waiting_message_holds_up_the_rest_of_an_ordered_agent(world):
    """A wait is a part of handling it."""
    told = []

    @agent(subscribe="in")
    async def waits(number: int, ctx: Context):
        if number == 1:
            await ctx.sleep(60)
        told.append((number, round(world.clock.passed_seconds)))

    execute(world, START, sends(3), waits)

    assert told == [(1, 60), (2, 60), (3, 60)]


def test_with_concurrency_nothing_is_held_up_by_what_is_retried(world):
    """A delayed retry frees its place: the others go on."""
    told = []

    @agent(subscribe="in", concurrency=2)
    async def frail(number: int, ctx: Context):
        told.append((number, round(world.clock.passed_seconds)))
        if number <= 2 and ctx.attempt == 1:
            raise ValueError("not yet")

    execute(world, START, sends(5), frail, config=TRIES)

    assert told == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (1, 10), (2, 10)]


@pytest.mark.parametrize("capacity", [1, 2, 1000])
def test_so_many_are_at_work_at_once_and_never_more(world, capacity):
    """They begin in order, and end in any."""
    work = AtWork()

    @agent(subscribe="in", concurrency=3)
    async def reader(number: int):
        await work(number, 10 - number)

    execute(world, START, sends(9), reader, config={"channel_capacity": capacity})

    assert (work.most, work.order) == (3, list(range(1, 10)))


def test_a_waiting_delivery_keeps_its_agents_place(world):
    """Else an agent with a place for two would have any number of messages begun and waiting."""
    now, most, ends = set(), [], []

    @agent(subscribe="in", concurrency=2)
    async def waits(number: int, ctx: Context):
        now.add(number)
        most.append(len(now))
        await ctx.sleep(60)
        now.remove(number)
        ends.append((number, round(world.clock.passed_seconds)))

    execute(world, START, sends(5), waits)

    assert max(most) == 2
    assert [at for _, at in ends] == [60, 60, 120, 120, 180]


def test_with_a_key_messages_are_handled_in_order_per_key(world):
    """Different keys go side by side; what leads nowhere has a key in common."""
    work, told = AtWork(), []

    @agent(subscribe="in", key="customer.id")
    async def reader(order: dict):
        number = order["number"]
        await work(number, 1)
        told.append((order.get("customer", {}).get("id"), number, round(world.clock.passed_seconds)))

    ids = ["a", "a", 1, "1", None, "a"]

    def make(number):
        given = ids[number - 1]
        return {"number": number, **({} if given is None else {"customer": {"id": given}})}

    execute(world, START, sends(6, make=make), reader)

    by_key = collections.defaultdict(list)
    for key, number, at in told:
        by_key[key].append((number, at))
    assert by_key == {"a": [(1, 1), (2, 2), (6, 3)], 1: [(3, 1)], "1": [(4, 1)], None: [(5, 1)]}
    assert work.most == 4


def test_a_key_and_a_number_are_both_kept(world):
    """In order per key, and never more than so many at once."""
    work, by_key = AtWork(), collections.defaultdict(list)

    @agent(subscribe="in", key="key", concurrency=2)
    async def reader(given: dict):
        await work(given["number"], 1)
        by_key[given["key"]].append(given["number"])

    execute(world, START, sends(8, make=lambda number: {"number": number, "key": number % 4}), reader)

    assert work.most == 2
    assert by_key == {1: [1, 5], 2: [2, 6], 3: [3, 7], 0: [4, 8]}
    assert world.clock.passed_seconds == pytest.approx(4, abs=0.5)


def test_a_retried_message_holds_up_its_key_only(world):
    """Order per key is order, too."""
    told = []

    @agent(subscribe="in", key="key")
    async def frail(given: dict, ctx: Context):
        told.append((given["number"], round(world.clock.passed_seconds)))
        if given["number"] == 1 and ctx.attempt == 1:
            raise ValueError("not yet")

    execute(world, START, sends(4, make=lambda number: {"number": number, "key": number % 2}), frail, config=TRIES)

    assert told == [(1, 0), (2, 0), (4, 0), (1, 10), (3, 10)]


def test_higher_priority_goes_first_among_the_ready(world):
    """An agent's, as a node's."""
    told = []

    def reader(name, priority):
        @agent(name=name, subscribe="in", priority=priority)
        async def reads(number: int):
            told.append((name, number))

        return reads

    execute(world, START, sends(2), reader("low", 0), reader("high", 5), config={"max_parallel": 1})

    assert told[0] == ("high", 1)
    assert told.index(("high", 2)) < told.index(("low", 2))


# -- when there are many -------------------------------------------------------------------------------------


def test_a_cycle_of_three_agents_with_room_for_one_message_each_finishes(world):
    """1,000 messages go round: nobody waits for room that only the others could make."""
    seen = collections.Counter()

    def link(name, reads, writes):
        @agent(name=name, subscribe=reads, publish=writes)
        async def passes(number: int):
            seen[name] += 1
            if number < 3:
                yield number + 1

        return passes

    links = link("a", "a", "b"), link("b", "b", "c"), link("c", "c", "a")
    config = {"channel_capacity": 1, "max_messages": None}
    found = execute(world, START, sends(500, "a", make=lambda number: 1), *links, config=config)

    assert (found.report.status, seen) == ("succeeded", {"a": 500, "b": 500, "c": 500})


def test_a_generator_that_publishes_a_thousand_and_then_raises_publishes_none(world):
    """Effects of a failed attempt are nowhere: neither what it yielded, nor what its context collected."""

    @agent(subscribe="start", publish="in")
    async def loud(asked: object, ctx: Context):
        for number in range(1000):
            ctx.cache.append("global", "sent", number)
            yield number
        raise NonRetryable("after all")

    @agent(subscribe="in")
    async def reads(number: int, ctx: Context):
        ctx.cache.append("global", "seen", number)

    async def main(app):
        report = await app.execute(START, run_id="r")
        handle = await app.get_run("r")
        return report, handle.cache.to_json(), await events_of(handle, "StepSucceeded")

    report, cache, successes = run(world, main, loud, reads)
    assert (report.status, report.error) == ("failed", "loud#1-1: NonRetryable: after all")
    assert "sent" not in cache
    assert "seen" not in cache
    assert successes == []


# -- what becomes of what fails ------------------------------------------------------------------------------


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
    frail, _, told = mended()

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

    assert found.report.error == "hangs#1-1: AttemptTimedOut: node 'hangs': attempt 2 timed out after 30 s"
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


# -- limits --------------------------------------------------------------------------------------------------


def test_a_loop_of_messages_is_stopped_and_named(world):
    """The limit's error names the channels in which they go round, and only those."""

    def link(name, reads, writes):
        @agent(name=name, subscribe=reads, publish=writes)
        async def passes(number: object):
            for channel in (writes if isinstance(writes, list) else [writes])[:1]:
                return {"to": channel}

        return passes

    @agent(subscribe="aside")
    async def aside(number: object):
        """It reads what nobody writes."""

    links = link("first", "start", "ping"), link("there", "ping", "pong"), link("back", "pong", "ping")
    found = execute(world, START, *links, aside, config={"max_messages": 20})

    told = "MessageLimitReached: max_messages of 20 used up: messages go round: "
    assert found.report.status == "failed"
    assert found.report.error in {f"{told}'ping' -> 'pong' -> 'ping'", f"{told}'pong' -> 'ping' -> 'pong'"}


def test_under_pause_a_run_that_reached_max_messages_goes_on_with_more(world):
    """Nothing that waits is lost."""
    seen = []

    @agent(subscribe="in")
    async def reads(number: int):
        seen.append(number)

    async def main(app):
        paused = await app.execute(START, run_id="r", config={"max_messages": 5, "on_failure": "pause"})
        resumed = await app.resume("r", config={"max_messages": 100})
        return paused, await resumed.wait(), resumed.reason

    paused, report, _ = run(world, main, sends(10), reads)
    assert (paused.status, report.status) == ("paused", "succeeded")
    assert sorted(seen) == list(range(1, 11))


def test_tokens_and_time_are_the_runs(world):
    """One limit of tokens, and of active time, over all agents."""

    @agent(subscribe="in")
    async def spends(number: int, ctx: Context):
        ctx.spend_tokens(40)

    @agent(subscribe="in", concurrency=5)
    async def slow(number: int):
        await asyncio.sleep(100)

    tokens = execute(world, START, sends(5), spends, config={"max_tokens": 100})
    assert (tokens.report.error, tokens.report.tokens) == ("TokenLimitReached: max_tokens of 100 used up", 120)

    async def main(app):
        return await app.execute(START, run_id="s")

    late = run(world, main, sends(5), slow, config={"timeout_seconds": 50})
    assert (late.status, late.error) == ("failed", "RunTimedOut: timeout_seconds of 50 used up")


__all__ = ["application", "executed", "numbered", "until"]
