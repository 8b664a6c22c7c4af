"""Messages from outside that wait until the agents that read their channel have room; on both stores."""

import asyncio
import contextlib
import dataclasses
import sys

import pytest
from tests.mailed import AtWork, beside, events_of, filled, run, slow
from tests.worlds import HOUR, World, until

from dagger import Context, EventDriven, InvalidState, MessageInvalid, agent

ALIVE = EventDriven("in", keep_alive=True)
SMALL = {"channel_capacity": 3}


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
            await until(lambda: here.tenure("r").posts.waiting)  # its owner has looked at the inbox
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


def test_a_delivery_looks_at_no_channel_that_its_agent_does_not_read(world):
    """However many publishers wait elsewhere, it costs the same (I5)."""
    looked, others = [0], 30

    def one(number):
        @agent(subscribe=f"in-{number}", name=f"slow-{number}")
        async def busy(message: int):
            await asyncio.Event().wait()

        return busy

    @agent(subscribe="round", publish="round")
    async def again(number: int):
        return number - 1 if number else None

    def count(frame, event, _):
        looked[0] += event == "call" and frame.f_code.co_name == "is_full"

    async def main(app):
        handle = await app.start(EventDriven("round", keep_alive=True), run_id="r", config={"channel_capacity": 1})
        for number in range(others):
            await handle.publish(f"in-{number}", 1)
        waiting = [asyncio.create_task(handle.publish(f"in-{number}", 2)) for number in range(others)]
        await until(lambda: len(app.tenure("r").posts.waiting) == others)
        sys.setprofile(count)
        try:
            await handle.publish("round", 20)
            await until(lambda: app.tenure("r").state.agents["again"].handled == 21)
        finally:
            sys.setprofile(None)
        await handle.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    run(world, main, again, *map(one, range(others)))
    assert looked[0] < others


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
    """Whatever ends it: nothing was published. One that pauses takes the message, as any that is paused."""

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
        return report.status, told, await handle.report()

    status, told, report = run(world, main, reader)
    if how in {"finish", "pause"}:  # the first ends nothing: there was room before the end
        assert (status, type(told)) == ({"finish": "succeeded", "pause": "paused"}[how], str)
        assert report.agents["reader"]["waiting"] == (2 if how == "pause" else 0)
        return
    assert status == {"cancel": "cancelled", "stop": "failed"}[how]
    assert isinstance(told, InvalidState)
    assert "run 'r'" in str(told)


def test_a_service_that_has_its_result_ends_whoever_publishes(world):
    """From outside there would always be one more message: what was published by then is handled, and no more."""

    @agent(subscribe="in")
    async def reader(number: int, ctx: Context):
        await asyncio.sleep(1)
        ctx.finish("enough")

    async def main(app):
        handle = await app.start(ALIVE, run_id="r")
        published = []

        async def publish():
            while True:
                published.append(await handle.publish("in", 1))

        told = await asyncio.gather(*(publish() for _ in range(3)), return_exceptions=True)
        return await handle.wait(), told, published

    report, told, published = run(world, main, reader, config=SMALL)
    assert (report.status, report.result) == ("succeeded", "enough")
    assert report.agents["reader"]["handled"] == len(published)
    assert [type(error) for error in told] == [InvalidState] * 3


@pytest.mark.parametrize("comes", ["before", "after"])
def test_whoever_waits_for_room_hears_at_once_that_a_service_has_its_result(world, comes):
    """It would wait for as long as a person thinks, and then be refused, as there is nothing more to publish."""

    @agent(subscribe="in")
    async def reader(number: int, ctx: Context):
        await ctx.review("Go on?", wait_minutes=None)

    @agent(subscribe="end")
    async def ends(number: int, ctx: Context):
        ctx.finish("enough")

    async def main(app):
        handle = await app.start(ALIVE, run_id="r", config={"channel_capacity": 1})
        await handle.publish("in", 1)
        waits = asyncio.create_task(handle.publish("in", 2)) if comes == "before" else None
        await asyncio.sleep(1)
        await handle.publish("end", 1)
        await until(lambda: app.tenure("r").state.result is not None)
        with pytest.raises(InvalidState, match="run 'r' goes on no more: nothing was published"):
            await asyncio.wait_for(waits or handle.publish("in", 2), HOUR)
        (review,) = await handle.reviews()
        await handle.answer(review.id, "yes")
        return (await handle.wait()).result, round(world.clock.passed_seconds)

    assert run(world, main, reader, ends) == ("enough", 1)


def test_publishers_that_give_up_are_forgotten(world):
    """However many: they keep the run neither busy nor from parking."""

    @agent(subscribe="in")
    async def reader(number: int, ctx: Context):
        await ctx.review("Go on?", wait_minutes=None)

    async def main(app):
        handle = await app.start(EventDriven("in", 0), run_id="r", config={"channel_capacity": 1})
        for _ in range(100):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(handle.publish("in", 1), 0.01)
        await asyncio.sleep(10)
        parked = [recorded.type async for recorded in handle.events(live=False)][-1]
        await handle.cancel()
        return parked

    assert run(world, main, reader) == "RunParked"


@pytest.mark.parametrize("where", ["here", "there"])
def test_what_a_type_cannot_be_made_of_for_any_reason_hurts_only_its_publisher(tmp_path, where):
    """Its code may raise anything: the service goes on, and whoever takes it up later does not meet it again."""
    world = World("sqlite", tmp_path)
    handled = []

    @dataclasses.dataclass
    class Price:
        currency: str

        def __post_init__(self):
            self.rate = {"EUR": 1}[self.currency]

    @agent(subscribe="in")
    async def reader(price: Price):
        await asyncio.sleep(1)
        handled.append(price.currency)

    async def main(here, there):
        await here.start(ALIVE, run_id="r")
        other = await (there if where == "there" else here).get_run("r")
        for _ in range(3):
            await other.publish("in", {"currency": "EUR"})
        payloads = [{"currency": currency} for currency in ("XXX", "EUR")]
        told = await asyncio.gather(*(other.publish("in", each) for each in payloads), return_exceptions=True)
        await until(lambda: len(handled) == 4)
        await other.cancel()
        return told

    refused, published = beside(world, main, reader, config=SMALL)
    assert isinstance(refused, MessageInvalid)
    assert "message for channel 'in': KeyError: 'XXX' (type of agent 'reader')" in str(refused)
    assert isinstance(published, str)


def test_it_is_told_at_once_though_code_is_still_cleaning_up(world):
    """Nothing is published into a run that is about to end."""

    @agent(subscribe="in")
    async def reader(number: int):
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(4)

    async def main(app):
        handle = await app.start(EventDriven("in", 0), run_id="r", config={"channel_capacity": 1})
        waits = asyncio.create_task(handle.publish("in", 2))
        await asyncio.sleep(1)
        ends = asyncio.create_task(handle.cancel())
        (told,) = await asyncio.gather(waits, return_exceptions=True)
        return told, ends.done(), await ends

    told, was_over, report = run(world, main, reader)
    assert (type(told), was_over, report.status) == (InvalidState, False, "cancelled")


@pytest.mark.parametrize("policy", ["pause", "stop"])
@pytest.mark.parametrize("where", ["here", "there"])
def test_a_limit_that_is_reached_while_many_wait_is_told_each_of_them_once(tmp_path, where, policy):
    """Each message is in the journal once or not at all, and its publisher knows which."""
    world, work = World("sqlite", tmp_path), AtWork()

    async def main(here, there):
        config = {**SMALL, "max_messages": 3, "on_failure": policy}
        handle = await here.start(ALIVE, run_id="r", config=config)
        await handle.publish_many("in", [1, 2, 3])
        publisher = await (there if where == "there" else here).get_run("r")
        waiting = [asyncio.create_task(publisher.publish("in", number)) for number in (4, 5, 6)]
        await until(lambda: len(here.tenure("r").posts.waiting.get("in", ())) == 3)
        here.remove_agent("reader")
        here.register_agent(slow(work))
        told = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
        _, *published = await events_of(handle, "MessagesPublished")
        return told, [int(message.payload) for event in published for message in event.messages]

    told, published = beside(world, main, slow(work, 100))
    assert [isinstance(each, str) for each in told] == [True, policy == "pause", policy == "pause"]
    assert [type(each) for each in told if not isinstance(each, str)] == [InvalidState] * (policy == "stop") * 2
    assert sorted(published) == ([4, 5, 6] if policy == "pause" else [4])


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


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_run_that_somebody_waits_to_publish_to_is_not_parked(tmp_path, where):
    """It would have to be taken up again and again, as its inbox is not empty."""
    world = World("sqlite", tmp_path)

    @agent(subscribe="in")
    async def asks(number: int, ctx: Context):
        if number == 1:
            await ctx.review("Go on?")
        ctx.cache.append("global", "kept", number)

    async def main(here, there):
        handle = await here.start(EventDriven("in", 1), run_id="r", config={"channel_capacity": 1})
        while not (reviews := await handle.reviews()):
            await asyncio.sleep(0.01)
        publisher = handle if where == "here" else await there.get_run("r")
        waits = asyncio.create_task(publisher.publish("in", 2))
        await asyncio.sleep(600)
        was_waiting = not waits.done()
        await handle.answer(reviews[0].id, "yes")
        assert await waits
        report = await handle.wait()
        parked = await events_of(handle, "RunParked")
        return was_waiting, report.status, handle.cache.get("global", "kept"), len(parked)

    *found, parked = beside(world, main, asks)
    assert found == [True, "succeeded", [1, 2]]
    assert parked <= (where == "elsewhere")  # in virtual time that may be before its order is seen


def test_a_publisher_that_waits_is_told_that_the_application_was_closed(world):
    """Whoever goes on with the run has nothing of its message."""

    @agent(subscribe="in")
    async def reader(number: int):
        await asyncio.sleep(100)

    async def main(app):
        handle = await app.start(EventDriven("in", 0), run_id="r", config={"channel_capacity": 1})
        waits = asyncio.create_task(handle.publish("in", 2))
        await asyncio.sleep(1)
        await app.close()
        (told,) = await asyncio.gather(waits, return_exceptions=True)
        return told

    assert isinstance(run(world, main, reader), InvalidState)


def test_in_another_application_a_publisher_takes_the_run_up_whose_owner_has_gone(tmp_path):
    """It waits on until there is room, and is published once."""
    world, work = World("sqlite", tmp_path), AtWork()

    async def main(here, there):
        await here.start(EventDriven("in", 1), run_id="r", config={"channel_capacity": 1})
        handle = await there.get_run("r")
        waits = asyncio.create_task(handle.publish("in", 2))
        await until(lambda: there.store.unread("r"))
        await here.close()
        message_id = await waits
        report = await handle.wait()
        return message_id, report.status, handle.cache.get("global", "kept")

    message_id, status, kept = beside(world, main, slow(work))
    assert message_id
    assert (status, kept) == ("succeeded", [1, 2])


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
