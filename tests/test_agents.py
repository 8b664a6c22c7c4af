"""Agents at work: who gets what, in which order, how many at once, what becomes of what fails; on both stores."""

import asyncio
import collections

import pytest
from tests.mailed import AtWork, events_of, execute, run, sends

from dagger import Context, EventDriven, Message, NonRetryable, PubSubAgent, agent

START = EventDriven("start", None)
TRIES = {"max_attempts": 3, "retry_strategy": {"linear": {"delay_secs": 10}}}


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


def test_a_waiting_delivery_gives_its_other_places_back(world):
    """Those of the run: others work meanwhile."""
    told = []

    @agent(subscribe="start")
    async def waits(asked: object, ctx: Context):
        await ctx.sleep(60)
        told.append(("waited", round(world.clock.passed_seconds)))

    @agent(subscribe="start")
    async def works(asked: object):
        await asyncio.sleep(10)
        told.append(("worked", round(world.clock.passed_seconds)))

    execute(world, START, waits, works, config={"max_parallel": 1})

    assert told == [("worked", 10), ("waited", 60)]


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


def test_a_key_that_waits_holds_up_no_other_key(world):
    """However many messages it has, and however few payloads are kept."""
    told = []

    @agent(subscribe="in", key="key")
    async def reader(given: dict, ctx: Context):
        if given["number"] == 1:
            await ctx.sleep(3600)
        told.append((given["number"], round(world.clock.passed_seconds)))

    source = sends(12, make=lambda number: {"number": number, "key": number // 10})
    execute(world, START, source, reader, config={"channel_capacity": 3})

    assert told == [(10, 0), (11, 0), (12, 0), *((number, 3600) for number in range(1, 10))]


def test_with_more_room_nothing_overtakes_what_waits(world):
    """A run that is resumed with a larger `channel_capacity` goes on in order per key, and at once."""
    told = []

    @agent(subscribe="in", key="key")
    async def reader(given: dict, ctx: Context):
        if given["number"] < 3:
            await ctx.sleep(3600)
        told.append((given["number"], round(world.clock.passed_seconds)))

    async def main(app):
        handle = await app.start(START, run_id="r", config={"channel_capacity": 2})
        await asyncio.sleep(1)
        await handle.pause()
        await app.resume("r", config={"channel_capacity": 100})
        await handle.publish("in", {"number": 7, "key": 3})
        return (await handle.wait()).status

    source = sends(6, make=lambda number: {"number": number, "key": min(number, 3)})
    assert run(world, main, source, reader) == "succeeded"
    assert told == [(3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (1, 3600), (2, 3600)]


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
    """1,000 messages can go round: nobody waits for room that only the others could make."""
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
    found = execute(world, START, sends(500, "a", make=lambda _: 1), *links, config=config)

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


# -- limits --------------------------------------------------------------------------------------------------


def test_a_loop_of_messages_is_stopped_and_named(world):
    """The limit's error names the channels in which they go round, and only those."""

    def link(name, reads, writes):
        @agent(name=name, subscribe=reads, publish=writes)
        async def passes(number: object) -> int:
            return 1

        return passes

    @agent(subscribe="aside")
    async def aside(number: object):
        """It reads what nobody writes."""

    links = link("first", "start", "ping"), link("there", "ping", "pong"), link("back", "pong", "ping")
    found = execute(world, START, *links, aside, link("idle", "other", "other"), config={"max_messages": 20})

    told = "MessageLimitReached: max_messages of 20 used up: messages can go round: "
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
