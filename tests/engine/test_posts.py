"""Messages from outside that wait for room, and agents that come and go while a run goes on; on both stores."""

import asyncio
import time

import pytest
from tests.mailed import AtWork, application, beside, events_of, run, sends
from tests.worlds import World, until

from dagger import Context, EventDriven, InvalidState, MessageInvalid, RegistryError, agent

ALIVE = EventDriven("in", keep_alive=True)
SMALL = {"channel_capacity": 3}


def slow(work, seconds=10, **options):
    """A reader that takes its time."""

    @agent(name="reader", subscribe="in", **options)
    async def reader(number: int, ctx: Context):
        await work(number, seconds)
        ctx.cache.append("global", "kept", number)

    return reader


async def filled(handle, count=3):
    """Publish so many messages, from 1."""
    for number in range(1, count + 1):
        await handle.publish("in", number)


async def until_listed(handle):
    """The run's dead letters, as soon as there are any."""
    while not (letters := await handle.dead_letters()):
        await asyncio.sleep(0.01)
    return letters


# -- publishers ----------------------------------------------------------------------------------------------


def test_a_publisher_waits_while_the_reader_is_full_and_goes_on_after(world):
    """So memory stays bounded however fast somebody publishes; order is kept."""
    work, published = AtWork(), []

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        for number in range(1, 7):
            await handle.publish("in", number)
            published.append((number, round(world.clock.passed_seconds)))
        await until(lambda: len(handle.cache.get("global", "kept", [])) == 6)
        await handle.cancel()
        return handle.cache.get("global", "kept")

    kept = run(world, main, slow(work), config=SMALL)
    assert kept == [1, 2, 3, 4, 5, 6]
    assert published == [(1, 0), (2, 0), (3, 0), (4, 10), (5, 20), (6, 30)]


def test_from_another_application_a_publisher_waits_too(tmp_path):
    """Its order stays in the inbox until there is room."""
    world, gates, handled = World("sqlite", tmp_path), [asyncio.Event() for _ in range(6)], []

    @agent(subscribe="in")
    async def reader(number: int):
        await gates[number].wait()
        handled.append(number)

    async def main(here, there):
        handle = await here.start(ALIVE, run_id="r")
        other = await there.get_run("r")
        for number in range(3):
            assert await other.publish("in", number)
        for number in range(3, 6):
            waits = asyncio.create_task(other.publish("in", number))
            await asyncio.to_thread(time.sleep, 0.3)  # its owner has looked at the inbox
            assert not waits.done()
            gates[number - 3].set()
            assert await waits
        for gate in gates:
            gate.set()
        await until(lambda: len(handled) == 6)
        await handle.cancel()

    beside(world, main, reader, config=SMALL)
    assert handled == [0, 1, 2, 3, 4, 5]


def test_one_full_reader_holds_up_publishers_of_its_channel(world):
    """Each of them gets every message, so the slowest sets the pace; other channels are free."""
    work, quick = AtWork(), []

    @agent(subscribe=["in", "other"])
    async def reads(number: int):
        quick.append(number)

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await filled(handle)
        waits = asyncio.create_task(handle.publish("in", 4))
        await asyncio.sleep(1)
        assert not waits.done()
        await handle.publish("other", 5)
        was_waiting = not waits.done()
        await waits
        await until(lambda: len(quick) == 5)
        await handle.cancel()
        return was_waiting

    assert run(world, main, slow(work), reads, config=SMALL)
    assert quick == [1, 2, 3, 5, 4]


def test_messages_that_were_taken_in_together_may_be_more_than_there_is_room_for(world):
    """Room is looked at once for a hundred: what is beyond stays in the journal only."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        ids = await handle.publish_many("in", range(10))
        await until(lambda: len(handle.cache.get("global", "kept", [])) == 10)
        await handle.cancel()
        return ids, handle.cache.get("global", "kept")

    ids, kept = run(world, main, slow(work), config=SMALL)
    assert (len(set(ids)), kept) == (10, list(range(10)))


def test_what_a_publisher_gives_up_is_not_published(world):
    """It was cancelled while it waited: nobody would know of the message."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await filled(handle)
        given_up, waits = (asyncio.create_task(handle.publish("in", number)) for number in (98, 4))
        await asyncio.sleep(1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await waits
        await until(lambda: len(handle.cache.get("global", "kept", [])) == 4)
        await handle.cancel()
        return given_up.cancelled(), handle.cache.get("global", "kept")

    assert run(world, main, slow(work), config=SMALL) == (True, [1, 2, 3, 4])


@pytest.mark.parametrize("how", ["cancel", "pause", "stop", "finish"])
def test_a_publisher_that_waits_is_told_that_the_run_goes_on_no_more(world, how):
    """Whatever ends or pauses it: nothing was published."""

    @agent(subscribe="in")
    async def reader(number: int, ctx: Context):
        await asyncio.sleep(10)
        if how == "stop" and number == 1:
            raise ValueError("no")
        if how == "finish":
            ctx.finish(number)

    async def main(app):
        handle = await app.start(EventDriven("in", 0), run_id="r", config={"channel_capacity": 1})
        if how == "stop":
            await handle.publish("in", 1)
        waits = asyncio.create_task(handle.publish("in", 2))
        await asyncio.sleep(1)
        ends = {"cancel": handle.cancel, "pause": handle.pause}.get(how, handle.wait)
        report = await ends()
        (told,) = await asyncio.gather(waits, return_exceptions=True)
        return report.status, told

    status, told = run(world, main, reader)
    if how == "finish":  # it ends nothing: there was room before the end
        assert (status, type(told)) == ("succeeded", str)
        return
    assert status == {"cancel": "cancelled", "pause": "paused", "stop": "failed"}[how]
    assert isinstance(told, InvalidState)
    assert "run 'r'" in str(told)


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_in_another_application_it_is_told_so_too(tmp_path, how):
    """An order that waits for room keeps no run from ending, and is refused."""
    world = World("sqlite", tmp_path)

    @agent(subscribe="in")
    async def reader(number: int):
        await asyncio.sleep(10)
        if how == "stop":
            raise ValueError("no")

    async def main(here, there):
        handle = await here.start(EventDriven("in", 0), run_id="r", config={"channel_capacity": 1})
        waits = asyncio.create_task((await there.get_run("r")).publish("in", 2))
        await asyncio.sleep(1)
        report = await (handle.cancel() if how == "cancel" else handle.wait())
        (told,) = await asyncio.gather(waits, return_exceptions=True)
        return report.status, told

    status, told = beside(world, main, reader)
    assert status == {"cancel": "cancelled", "stop": "failed"}[how]
    assert isinstance(told, InvalidState)
    assert "run 'r'" in str(told)


def test_in_another_application_a_publisher_waits_while_the_run_is_paused(tmp_path):
    """What it ordered is published at once into a run that nobody executes: nothing there would make room."""
    world, work = World("sqlite", tmp_path), AtWork()

    async def main(here, there):
        handle = await here.start(EventDriven("in", 1), run_id="r", config={"channel_capacity": 1})
        waits = asyncio.create_task((await there.get_run("r")).publish("in", 2))
        await asyncio.sleep(1)
        await handle.pause()
        assert await waits
        await until(lambda: here.store.ownership("r") == "none")  # the other one had it, to tell it
        await here.resume("r")
        report = await handle.wait()
        return report.status, handle.cache.get("global", "kept")

    assert beside(world, main, slow(work)) == ("succeeded", [1, 2])


def test_what_no_agent_takes_is_refused_and_the_rest_stays_published(world):
    """The error is the publisher's, here and in another application."""
    work = AtWork()

    async def main(here, there):
        handle = await here.start(ALIVE, run_id="r")
        for app in (here, there):
            publisher = await app.get_run("r")
            with pytest.raises(MessageInvalid, match="publish: message for channel 'in': at \\$: \"x\" is not of type"):
                await publisher.publish("in", "x")
            with pytest.raises(MessageInvalid, match="publish: message for channel 'in': "):
                await publisher.publish("in", float("inf"))
            await publisher.publish("in", 7)
        await until(lambda: len(handle.cache.get("global", "kept", [])) == 2)
        await handle.cancel()
        return handle.cache.get("global", "kept")

    if world.kind == "sqlite":
        assert beside(world, main, slow(work, 0)) == [7, 7]
    else:
        assert run(world, lambda app: main(app, app), slow(work, 0)) == [7, 7]


def test_a_paused_run_takes_messages_and_handles_them_when_it_is_resumed(world):
    """They are in the journal when publishing returns."""
    work = AtWork()

    async def main(app):
        handle = await app.start(EventDriven("in", 1), run_id="r")
        await handle.pause()
        ids = await handle.publish_many("in", [2, 3])
        meanwhile = handle.status
        await app.resume("r")
        report = await handle.wait()
        return ids, meanwhile, report.status, handle.cache.get("global", "kept")

    ids, meanwhile, status, kept = run(world, main, slow(work))
    assert all(ids)
    assert (meanwhile, status, kept) == ("paused", "succeeded", [1, 2, 3])


# -- agents that come ----------------------------------------------------------------------------------------


@agent(subscribe="in")
async def late(number: int, ctx: Context):
    """It comes while the run goes on."""
    ctx.cache.append("global", "late", number)


def test_an_agent_that_comes_gets_what_is_published_from_then_on(world):
    """And nothing from before, though others have not handled that yet."""
    work = AtWork()

    async def main(app):
        handle = await app.start(EventDriven("in", 1), run_id="r")
        await handle.publish("in", 2)
        app.register_agent(late)
        await handle.publish("in", 3)
        report = await handle.wait()
        (bound,) = await events_of(handle, "AgentBound")
        return report.status, bound.agent.name, handle.cache.get("global", "kept"), handle.cache.get("global", "late")

    assert run(world, main, slow(work)) == ("succeeded", "late", [1, 2, 3], [3])


def test_an_agent_that_comes_while_the_run_waits_rouses_it_not(world):
    """It has nothing to do yet."""

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await until(lambda: handle.status == "waiting")
        app.register_agent(late)
        await handle.publish("in", 5)
        await until(lambda: handle.cache.get("global", "late", []) == [5])
        return (await handle.cancel()).status

    assert run(world, main, slow(AtWork(), 0)) == "cancelled"


def test_an_agent_whose_schema_never_agrees_is_refused_and_the_run_goes_on(world):
    """Nothing of it is bound."""

    @agent(subscribe="in")
    async def wants_text(text: str):
        """What is published there is a number."""

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        with pytest.raises(RegistryError, match="can never agree on channel 'in'"):
            app.register_agent(wants_text)
        report = await handle.wait()
        return report.status, await events_of(handle, "AgentBound")

    @agent(subscribe="start", publish="in")
    async def source(asked: object) -> int:
        await asyncio.sleep(10)
        return 1

    assert run(world, main, source) == ("succeeded", [])


# -- agents that go ------------------------------------------------------------------------------------------


def test_what_waits_at_an_agent_that_goes_becomes_dead_letters(world):
    """What it has begun it ends; what is published later goes not to it."""
    work = AtWork()

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r", config={"on_failure": "continue"})
        await asyncio.sleep(5)
        app.remove_agent("reader")
        await handle.publish("in", 9)
        report = await handle.wait()
        return report, await handle.dead_letters(), handle.cache.get("global", "kept")

    report, letters, kept = run(world, main, sends(4), slow(work))
    assert (report.status, kept, work.order) == ("failed", [1], [1])
    assert [(each.agent, each.payload) for each in letters] == [("reader", 2), ("reader", 3), ("reader", 4)]
    assert {tuple(each.errors) for each in letters} == {("agent 'reader' was removed",)}


@pytest.mark.parametrize(
    ("policy", "status"), [("continue", "failed"), ("stop", "failed"), ("pause", "paused"), (None, "running")]
)
def test_what_they_mean_for_the_run_the_config_says(world, policy, status):
    """As for any dead letter; a run that is kept alive lists them."""
    work = AtWork()

    async def main(app):
        config = {} if policy is None else {"on_failure": policy}
        spec = ALIVE if policy is None else EventDriven("in", 1)
        handle = await app.start(spec, run_id="r", config=config)
        await handle.publish_many("in", [2, 3, 4])
        await asyncio.sleep(5)
        app.remove_agent("reader")
        if policy is None:
            await asyncio.sleep(1)
            return handle.status, len(await handle.dead_letters())
        return (await handle.wait()).status, len(await handle.dead_letters())

    found, letters = run(world, main, slow(work))
    assert found == status
    assert letters == (2 if policy is None else 3)


def test_with_places_for_many_what_is_delayed_or_waits_for_a_place_goes_and_what_runs_goes_on(world):
    """Also what an agent with a key has put behind another one."""
    work = AtWork()

    @agent(name="reader", subscribe="in", concurrency=2, key="key")
    async def reader(given: dict, ctx: Context):
        await work(given["number"], 10)
        if given["number"] == 1:
            raise ValueError("again")

    config = {"on_failure": "continue", "max_attempts": 5, "retry_strategy": {"linear": {"delay_secs": 100}}}

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        await asyncio.sleep(15)  # 1 is delayed, 2 has ended, 3 and 4 are at work, 5 waits for a place, 6 is behind 4
        app.remove_agent("reader")
        report = await handle.wait()
        return report.status, [(each.payload["number"]) for each in await handle.dead_letters()]

    keys = [1, 2, 3, 4, 5, 4]
    source = sends(6, make=lambda number: {"number": number, "key": keys[number - 1]})
    status, letters = run(world, main, source, reader, config=config)
    assert (status, sorted(letters), work.order) == ("failed", [1, 5, 6], [1, 2, 3, 4])


def test_a_publisher_that_waited_for_an_agent_that_goes_waits_no_longer(world):
    """There is nobody left who is full."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await filled(handle)
        waits = asyncio.create_task(handle.publish("in", 4))
        await asyncio.sleep(1)
        app.remove_agent("reader")
        message_id = await asyncio.wait_for(waits, 5)
        await handle.cancel()
        return message_id

    assert run(world, main, slow(work), config=SMALL)


def test_a_dead_letter_of_an_agent_that_is_gone_is_redelivered_when_it_is_back(world):
    """Until then it is refused, and says why."""
    work = AtWork()

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        await handle.publish_many("in", [1, 2])
        await asyncio.sleep(5)
        app.remove_agent("reader")
        (letter,) = await until_listed(handle)
        with pytest.raises(InvalidState, match="agent 'reader' was removed: register it again before 'reader#"):
            await handle.redeliver(letter.id)
        app.register_agent(slow(work))
        await handle.redeliver(letter.id)
        await until(lambda: handle.cache.get("global", "kept", []) == [1, 2])
        await handle.cancel()
        return await handle.dead_letters()

    assert run(world, main, slow(work)) == []


# -- agents that are elsewhere -------------------------------------------------------------------------------


def elsewhere(tmp_path, begin, go_on, before, after, config=None):
    """What becomes of a run that one application began and another, with other agents, goes on with."""
    world = World("sqlite", tmp_path)
    run(world, begin, *before, config=config)
    return run(world, go_on, *after, config=config)


@agent(subscribe="start", publish="in")
async def splits(asked: object):
    """It is slow, and then publishes."""
    await asyncio.sleep(10)
    for number in (1, 2):
        yield number


async def begins(app):
    """The run is left while its first step is at work."""
    await app.start(EventDriven("start", None), run_id="r")
    await asyncio.sleep(5)


def test_messages_of_an_agent_that_is_not_here_wait_and_the_run_says_for_whom(tmp_path):
    """They are handled as soon as it is registered, though it is the same as ever."""

    async def go_on(app):
        handle = await app.resume("r")
        await until(lambda: handle.status == "waiting")
        reason = handle.reason
        app.register_agent(late)
        report = await asyncio.wait_for(handle.wait(), 60)
        return reason, report.status, handle.cache.get("global", "late"), await events_of(handle, "AgentBound")

    reason, status, seen, bound = elsewhere(tmp_path, begins, go_on, [splits, late], [splits])
    assert reason == "waits for 'late#5-1': agent 'late' is not registered here"
    assert (status, seen, bound) == ("succeeded", [1, 2], [])


def test_whoever_takes_a_run_over_brings_its_own_agents(tmp_path):
    """What they are now counts for what is published from then on, and one more gets its messages."""

    @agent(name="late", subscribe="in", concurrency=2)
    async def changed(number: int, ctx: Context):
        ctx.cache.append("global", "changed", number)

    @agent(subscribe="in")
    async def more(number: int, ctx: Context):
        ctx.cache.append("global", "more", number)

    async def go_on(app):
        handle = await app.resume("r")
        report = await handle.wait()
        bound = [event.agent.name for event in await events_of(handle, "AgentBound")]
        return report.status, sorted(bound), handle.cache.get("global", "changed"), handle.cache.get("global", "more")

    found = elsewhere(tmp_path, begins, go_on, [splits, late], [splits, changed, more])
    assert found == ("succeeded", ["late", "more"], [1, 2], [1, 2])


@pytest.mark.parametrize(("was", "now"), [(4, 2), (4, 1), (1, 2)], ids=["fewer", "ordered", "more"])
def test_what_waits_at_an_agent_that_was_changed_keeps_to_what_it_is_now(tmp_path, was, now):
    """Never more at once than whoever goes on with the run allows."""
    work = AtWork()

    def reader(concurrency):
        @agent(name="reader", subscribe="in", concurrency=concurrency)
        async def reads(number: int):
            await work(number, 10)

        return reads

    async def begin(app):
        await app.start(EventDriven("start", None), run_id="r")
        await asyncio.sleep(5)

    async def go_on(app):
        work.now = work.most = 0
        work.order.clear()
        return (await (await app.resume("r")).wait()).status

    status = elsewhere(tmp_path, begin, go_on, [sends(8), reader(was)], [sends(8), reader(now)])
    assert (status, sorted(work.order), work.most) == ("succeeded", list(range(1, 9)), now)
    if now == 1:
        assert work.order == list(range(1, 9))


__all__ = ["application"]
