"""Letters: what somebody outside publishes to a run, and the messages that its agents failed to handle."""

import asyncio
import datetime

import pytest
from tests.worlds import until

from dagger import ChannelNotDeclared, Context, Dagger, EventDriven, Graph, InvalidState, MessageInvalid, Static
from dagger.letters import AT_ONCE, batched
from dagger.testing import VirtualClock


class Office:
    """Applications whose agent `clerk` handles what it can; `seen` is what it has handled, `bad` what it cannot."""

    def __init__(self, world):
        self.world, self.seen, self.bad = world, [], {"bad", "worse"}

    def application(self, **config):
        app = Dagger(self.world.store(), clock=self.world.clock, config={"retry_strategy": "immediate", **config})

        @app.agent("desk", publish="tray")
        async def clerk(payload: str) -> str:
            if payload in self.bad:
                raise ValueError(payload)
            self.seen.append(payload)
            return payload.upper()

        @app.agent("tray", on_failure="continue", try_count=1)
        async def archive(payload: str):
            if payload.lower() in self.bad or payload == "TORN":
                raise OSError("torn")

        return app

    def run(self, main, **config):
        async def whole():
            async with self.application(**config) as app:
                return await main(app)

        return self.world.clock.run(whole())


@pytest.fixture
def office(world):
    return Office(world)


def at(seconds):
    return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)


async def kept_alive(app):
    return await app.start(EventDriven("desk", keep_alive=True), run_id="r")


# -- dead letters ---------------------------------------------------------------------------------------------


def test_a_dead_letter_tells_what_failed_where_and_why(office):
    """Each attempt's error; the message as the agent had it, with its source and parent."""

    async def main(app):
        assert (await app.execute(EventDriven("desk", "torn"), run_id="r")).status == "failed"
        run = await app.get_run("r")
        (letter,) = await run.dead_letters()
        assert (letter.agent, letter.errors, letter.step) == ("archive", ["OSError: torn"], "archive#2-1")
        assert (letter.id, letter.channel, letter.payload) == ("2-1", "tray", "TORN")
        assert (letter.message.source, letter.message.parent, letter.message.run_id) == ("clerk", "1-1", "r")
        assert at(0) <= letter.message.timestamp <= letter.failed_at < at(1)

        assert (
            await app.execute(EventDriven("desk", "bad"), run_id="s", config={"max_attempts": 3})
        ).status == "paused"
        (letter,) = await (await app.get_run("s")).dead_letters()
        assert (letter.errors, letter.message.source) == (["ValueError: bad"] * 3, None)

    office.run(main)


def test_they_are_listed_oldest_first_and_the_handled_ones_are_not(office):
    """A run that is kept alive goes on with the next; a large payload is there too."""
    office.bad.add(large := "x" * 100_000)

    async def main(app):
        run = await kept_alive(app)
        assert await run.dead_letters() == []
        first, _, third, fourth = await run.publish_many("desk", ["bad", "good", large, "worse"])
        await until(lambda: app.tenure("r").state.agents["clerk"].failed == 3)
        letters = await run.dead_letters()
        assert [(letter.id, letter.payload) for letter in letters] == [
            (first, "bad"),
            (third, large),
            (fourth, "worse"),
        ]
        assert (run.status, office.seen) == ("running", ["good"])
        await run.cancel()
        assert await run.dead_letters() == letters

    office.run(main, channel_capacity=1)


def test_what_waited_at_an_agent_that_was_removed_says_so(office):
    """It was never tried: the reason is the removal, and its time."""

    async def main(app):
        gate = asyncio.Event()

        @app.agent("door")
        async def porter(payload):
            await gate.wait()

        run = await app.start(EventDriven("door", keep_alive=True), run_id="r")
        await run.publish_many("door", [1, 2])
        await asyncio.sleep(5)
        app.remove_agent("porter")
        gate.set()
        await until(lambda: app.tenure("r").state.agents["porter"].handled == 1)
        (letter,) = await run.dead_letters()
        assert (letter.id, letter.payload, letter.errors) == ("2-2", 2, ["agent 'porter' was removed"])
        assert at(5) <= letter.failed_at < at(6)
        with pytest.raises(InvalidState, match="agent 'porter' was removed: register it again before 'porter#2-2' is"):
            await run.redeliver("2-2")
        await run.cancel()

    office.run(main)


@pytest.mark.parametrize("on_failure", ["continue", "pause"])
def test_an_agent_that_is_removed_leaves_no_child_flow_behind(on_failure):
    """Nobody waits for it any more; where its message is to be tried again, the flow is kept for that."""
    clock = VirtualClock()
    app = Dagger("memory:", clock=clock, config={"retry_strategy": {"linear": {"delay_secs": 60}}})

    @app.agent("desk", on_failure=on_failure)
    async def clerk(payload: int, ctx: Context):
        if payload == 1:
            flow = asyncio.create_task(ctx.execute(EventDriven("desk", 2)))
            await asyncio.sleep(1)
            flow.cancel()
        raise ValueError(payload)

    async def main():
        async with app:
            run = await app.start(EventDriven("desk", 1))
            await asyncio.sleep(10)
            app.remove_agent("clerk")
            await asyncio.sleep(1)
            letters = await run.dead_letters()
            assert {error for letter in letters for error in letter.errors[1:]} == {
                "NoAgentsRegistered: agent 'clerk' was removed"
            }
            return run.status, [letter.payload for letter in letters]

    assert clock.run(main()) == (("failed", [1]) if on_failure == "continue" else ("paused", [1, 2]))


# -- redelivery -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "letter", "agent"])
def test_a_mended_agent_is_given_its_message_again(office, by):
    """By the message's id, or the letter itself; what was redelivered is listed no more."""

    async def main(app):
        run = await kept_alive(app)
        await run.publish("desk", "bad")
        await until(lambda: app.tenure("r").state.dead)
        (letter,) = await run.dead_letters()
        office.bad.clear()
        await run.redeliver(letter if by == "letter" else letter.id, agent="clerk" if by == "agent" else None)
        await until(lambda: office.seen)
        assert (office.seen, await run.dead_letters()) == (["bad"], [])
        await run.cancel()

    office.run(main)


def test_what_is_no_dead_letter_is_not_redelivered(office):
    """The nearest that is one is named, and the agent; a run that is over takes none."""

    async def main(app):
        run = await kept_alive(app)
        await run.publish_many("desk", ["good", "bad"])
        await until(lambda: app.tenure("r").state.dead)
        with pytest.raises(InvalidState, match=r"run 'r': message '2-1' is no dead letter: .*; did you mean '2-2'\?"):
            await run.redeliver("2-1")
        with pytest.raises(InvalidState, match="message '2-2' is no dead letter at agent 'archive'"):
            await run.redeliver("2-2", agent="archive")
        await run.cancel("enough")
        with pytest.raises(InvalidState, match=r"run 'r' is over \(cancelled\): it cannot be given a message again"):
            await run.redeliver("2-2")

    office.run(main)


def test_a_paused_run_takes_up_what_is_redelivered_when_it_is_resumed(office):
    """Any process may say so; with a delivery of its own, and so another idempotency key."""

    async def fail(app):
        assert (await app.execute(EventDriven("desk", "bad"), run_id="r")).status == "paused"

    async def mend(app):
        run = await app.get_run("r")
        await run.redeliver("1-1")
        assert (run.status, await run.dead_letters(), office.seen) == ("paused", [], [])
        await app.resume("r")
        assert (await run.wait()).status == "succeeded"
        steps = [recorded.event.step async for recorded in run.events(live=False) if recorded.type == "StepSucceeded"]
        assert steps[0] == "clerk#1-1.2"

    office.run(fail)
    office.bad.clear()
    office.run(mend)
    assert office.seen == ["bad"]


def test_a_dead_letter_of_a_child_flow_is_forgotten_with_it():
    """There is nothing that would wait for it any more; what became of it stands in the report."""
    clock = VirtualClock()
    app = Dagger("memory:", clock=clock)

    @app.agent("desk")
    async def clerk(payload):
        raise ValueError(payload)

    @app.action
    async def ask(ctx: Context):
        report = await ctx.execute(EventDriven("desk", 7))
        await asyncio.sleep(60)
        return report.status

    graph = Graph("g")
    graph.add(ask)
    app.add_graph(graph)

    async def main():
        async with app:
            run = await app.start(Static("g"), config={"max_attempts": 1})
            await asyncio.sleep(10)
            assert await run.dead_letters() == []
            with pytest.raises(InvalidState, match="message '2-1' is no dead letter: nothing is redelivered"):
                await run.redeliver("2-1")
            return await run.wait()

    report = clock.run(main())
    assert report.outputs["ask"] == {"output": "failed"}
    assert report.agents["clerk"] == {"handled": 0, "failed": 1, "waiting": 0}
    assert report.node_outcomes["ask:child:1/clerk#2-1"].final_error.endswith("ValueError: 7")


# -- from outside ---------------------------------------------------------------------------------------------


def test_messages_from_outside_have_ids_and_keep_their_order(office):
    """However many at once: by the hundred they are one event."""
    count = 2 * AT_ONCE + 1

    async def main(app):
        run = await kept_alive(app)
        ids = await run.publish_many("desk", (str(number) for number in range(count)))
        assert len(set(ids)) == count
        assert await run.publish_many("desk", []) == []
        await until(lambda: len(office.seen) == count)
        types = [recorded.type async for recorded in run.events(live=False)]
        assert types.count("MessagesPublished") == 3
        await run.cancel()

    office.run(main, max_messages=None)
    assert office.seen == [str(number) for number in range(count)]


def test_batches_have_all_in_order():
    """The last is shorter; of nothing there is none."""
    texts = [str(number).encode() for number in range(AT_ONCE + 1)]
    assert [list(batch) for batch in batched(texts, None)] == [texts[:AT_ONCE], texts[AT_ONCE:]]
    assert list(batched([], None)) == []


@pytest.mark.parametrize(
    ("channel", "payload", "error", "told"),
    [
        (
            "desk",
            5,
            MessageInvalid,
            "publish: message for channel 'desk': at $: 5 is not of type \"string\" (schema of",
        ),
        ("desk", float("nan"), MessageInvalid, "publish: message for channel 'desk': at $: nan is not a JSON number"),
        ("", "x", ChannelNotDeclared, "a channel is a text that is not empty, not ''"),
        (5, "x", ChannelNotDeclared, "a channel is a text that is not empty, not 5"),
    ],
    ids=["schema", "no JSON", "empty", "no text"],
)
def test_a_message_that_cannot_be_is_refused(office, channel, payload, error, told):
    """To whoever publishes it; the run goes on."""

    async def main(app):
        run = await kept_alive(app)
        with pytest.raises(error) as refused:
            await run.publish_many(channel, ["good", payload])
        assert told in str(refused.value)
        if error is MessageInvalid and payload == 5:
            where = "(the 2. of 2 messages that are taken in together: none of these is published)"
            assert str(refused.value).endswith(where)
        assert await run.publish("desk", "good")
        await until(lambda: office.seen)
        await run.cancel()

    office.run(main)
    assert office.seen == ["good"]


def test_of_many_messages_those_that_were_taken_in_before_stay_published(office):
    """And the error says no other thing: it tells of those only that were to be taken in with the bad one."""

    async def main(app):
        run = await kept_alive(app)
        with pytest.raises(MessageInvalid) as refused:
            await run.publish_many("desk", [*["good"] * (AT_ONCE + 100), 5, *["good"] * 200])
        await until(lambda: len(office.seen) == AT_ONCE)
        await run.cancel()
        return str(refused.value)

    told = office.run(main)
    assert told.endswith("(the 101. of 200 messages that are taken in together: none of these is published)")
    assert office.seen == ["good"] * AT_ONCE


def test_a_run_that_is_over_takes_no_message(office):
    """It says so, and nothing is written."""

    async def main(app):
        await app.execute(EventDriven("desk", "a"), run_id="r")
        run = await app.get_run("r")
        with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be published to"):
            await run.publish("desk", "b")

    office.run(main)


def test_what_agents_take_not_is_refused_while_nobody_executes_the_run(office):
    """By what its journal says that they take: whoever takes it up could not tell the sender. What fits is kept."""

    async def whole():
        async with office.application() as app:
            await kept_alive(app)
        async with Dagger(office.world.store(), clock=office.world.clock) as outside:
            run = await outside.get_run("r")
            with pytest.raises(MessageInvalid, match=r"5 is not of type \"string\" \(schema of agent 'clerk'\)"):
                await run.publish_many("desk", ["fits", 5])
            return await run.publish("desk", "fits"), len(outside.store.unread("r"))

    assert office.world.clock.run(whole()) == (None, 1)


def test_who_has_other_agents_refuses_nothing_for_them(office):
    """The run will never have them."""

    async def whole():
        async with office.application() as app:
            await kept_alive(app)
        async with Dagger(office.world.store(), clock=office.world.clock) as outside:

            @outside.agent("desk")
            async def other(payload: int): ...

            return await (await outside.get_run("r")).publish("desk", "fits")

    assert office.world.clock.run(whole()) is None


def test_a_paused_run_whose_agent_was_changed_here_takes_what_its_journal_says(office):
    """It is not bound before the run is resumed."""

    async def whole():
        async with office.application() as app:
            run = await kept_alive(app)
            await run.pause()
        async with Dagger(office.world.store(), clock=office.world.clock) as there:

            @there.agent("desk", name="clerk")
            async def clerk(payload: int): ...

            run = await there.get_run("r")
            with pytest.raises(MessageInvalid, match="5 is not of type"):
                await run.publish("desk", 5)
            return await run.publish("desk", "fits")

    assert office.world.clock.run(whole()) is not None


def test_what_an_agent_takes_that_came_later_counts_too(office):
    """It is in the journal, which is read whole only where its first event refuses something."""

    async def whole():
        async with office.application() as app:
            await kept_alive(app)
            app.remove_agent("clerk")

            @app.agent("desk", name="clerk")
            async def clerk(payload: int): ...

        async with Dagger(office.world.store(), clock=office.world.clock) as outside:
            return await (await outside.get_run("r")).publish("desk", 5)

    assert office.world.clock.run(whole()) is None


def test_another_process_publishes_through_the_inbox(office):
    """Its message's id is known when the owner has taken it in; what is refused there is raised here."""

    async def main(app):
        run = await kept_alive(app)
        async with office.application() as other:
            told = await other.get_run("r")
            seq, _, index = (await told.publish("desk", "a")).partition("-")
            (event,) = [recorded.event async for recorded in run.events(live=False) if recorded.seq == int(seq)]
            assert bytes(event.messages[int(index) - 1].payload) == b'"a"'
            with pytest.raises(MessageInvalid, match="5 is not of type"):
                await told.publish("desk", 5)
        await until(lambda: office.seen)
        await run.cancel()

    office.run(main)
    assert office.seen == ["a"]


def test_a_paused_run_takes_in_a_message_and_handles_it_when_it_is_resumed(office):
    """It is durable when `publish` returns."""

    async def main(app):
        run = await kept_alive(app)
        await run.pause("lunch")
        assert await run.publish("desk", "a") is not None
        assert (run.status, office.seen) == ("paused", [])
        await app.resume("r")
        await until(lambda: office.seen)
        await run.cancel()

    office.run(main)


def test_a_paused_run_takes_in_messages_beyond_its_limit(office):
    """What is published is not refused: the limit is looked at when the run goes on."""

    async def main(app):
        assert (await app.execute(EventDriven("desk", "bad"), run_id="r")).status == "paused"
        run = await app.get_run("r")
        assert all([await run.publish("desk", letter) for letter in "abc"])
        await run.cancel()

    office.run(main, max_messages=1)


def test_whoever_has_not_the_runs_code_leaves_the_message_to_whoever_has(office):
    """There is no id yet: nobody has taken it in."""

    async def begin(app):
        run = await kept_alive(app)
        await run.publish("desk", "a")
        await until(lambda: office.seen)

    async def publish():
        async with Dagger(office.world.store(), clock=office.world.clock) as other:
            return await (await other.get_run("r")).publish("desk", "b")

    async def go_on(app):
        await app.recover()
        await until(lambda: len(office.seen) == 2)
        await (await app.get_run("r")).cancel()

    office.run(begin)
    assert office.world.clock.run(publish()) is None
    office.run(go_on)
    assert office.seen == ["a", "b"]
