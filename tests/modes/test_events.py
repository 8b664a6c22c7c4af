"""EventDriven: a run begins with one message, and ends when all is quiet; on both stores."""

import asyncio

import pytest
from tests.mailed import events_of, execute, run
from tests.worlds import World, until

from dagger import (
    ChannelNotDeclared,
    Context,
    Dagger,
    EventDriven,
    GraphError,
    InvalidState,
    Message,
    MessageInvalid,
    NoAgentsRegistered,
    RunExists,
    agent,
)
from dagger.core.events import Spec

TASK = {"type": "object", "properties": {"task": {"type": "string"}}}
RESULT = {"type": "object", "properties": {"result": {"type": "string"}}}


def opened(spec):
    """How a spec begins; it needs no graph."""

    def find(name):
        raise AssertionError(name)

    return spec.opening(find, {})


@agent(subscribe="tasks", publish="results", input_schema=TASK, output_schema=RESULT)
async def worker(message: Message, ctx: Context):
    """The original's own example."""
    ctx.publish("results", {"result": f"Done: {message.payload['task']}"})


@agent(subscribe="results", input_schema=RESULT)
async def collector(result: dict, message: Message, ctx: Context):
    """It notes what it is given."""
    ctx.cache.append("global", "results", [result["result"], message.source, message.id, message.parent])


# -- how it begins -------------------------------------------------------------------------------------------


def test_it_opens_with_one_message_and_no_node():
    """The channel is what the run is named after."""
    begins = opened(EventDriven("tasks", {"task": "t"}))

    assert (begins.spec, begins.messages) == (Spec("events", "tasks"), (("tasks", {"task": "t"}),))
    assert (begins.graph.nodes, begins.config, begins.keep_alive) == ((), {}, False)


def test_kept_alive_it_has_no_limit_of_its_own_and_needs_no_message():
    """Settings in place of the library's defaults: those that are given count."""
    begins = opened(EventDriven("tasks", keep_alive=True))

    assert (begins.messages, begins.keep_alive) == ((), True)
    assert begins.config == {"timeout_seconds": None, "max_messages": None}


@pytest.mark.parametrize("channel", [None, 5, "", "\ud800", b"c"], ids=repr)
def test_a_channel_is_a_text(channel):
    """Refused where it is written."""
    with pytest.raises(GraphError, match="EventDriven takes a channel's name, not "):
        EventDriven(channel, 1)


def test_without_a_message_nothing_would_ever_happen():
    """Unless it is kept alive, for messages from outside; None is a message like any other."""
    with pytest.raises(GraphError, match="takes the message to begin with; only with keep_alive it can wait"):
        EventDriven("tasks")
    assert opened(EventDriven("tasks", None)).messages == (("tasks", None),)


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        (EventDriven("task", {"task": "t"}), NoAgentsRegistered, "channel 'task'; did you mean 'tasks'"),
        (EventDriven("elsewhere", {}), NoAgentsRegistered, "there are subscribers of: human_review, tasks"),
        (EventDriven("tasks", {"task": 5}), MessageInvalid, "for channel 'tasks': at $.task: 5 is not of type"),
        (EventDriven("tasks", {"task": {1}}), MessageInvalid, "publish: message for channel 'tasks': at $.task: a set"),
        (EventDriven("tasks", float("nan")), MessageInvalid, "publish: message for channel 'tasks': "),
        (EventDriven, GraphError, "is nothing to execute"),
    ],
    ids=["near", "nobody", "schema", "set", "nan", "class"],
)  # fmt: skip
def test_what_cannot_begin_is_refused(world, spec, error, told):
    """Before there is a run."""

    async def main(app):
        with pytest.raises(error) as raised:
            await app.start(spec)
        return str(raised.value), await app.runs()

    message, runs = run(world, main, worker, collector)
    assert told in message
    assert runs == []


def test_a_run_is_known_by_channel_and_message(world):
    """Started again with the same it is attached to; with another message, channel, or none it is another run."""

    async def main(app):
        first = await app.execute(EventDriven("tasks", {"task": "t", "more": [1]}), run_id="r")
        again = await app.execute(EventDriven("tasks", {"more": [1], "task": "t"}), run_id="r")
        for other in (
            EventDriven("tasks", {"task": "u", "more": [1]}),
            EventDriven("results", {"task": "t", "more": [1]}),
            EventDriven("tasks", keep_alive=True),
        ):
            with pytest.raises(RunExists, match="run 'r' exists already, with another spec, graph or inputs"):
                await app.start(other, run_id="r")
        return first, again, await app.runs()

    first, again, runs = run(world, main, worker, collector)
    assert (first.run_id, again.run_id, again.messages) == ("r", "r", 2)
    assert len(runs) == 1


def test_an_interrupted_run_goes_on_where_it_is_attached_to(tmp_path):
    """Started again with the same, it handles what waits, and nothing twice."""
    world, handled = World("sqlite", tmp_path), []

    @agent(subscribe="in")
    async def reader(number: int):
        await asyncio.sleep(10)
        handled.append(number)

    async def begin(app):
        handle = await app.start(EventDriven("in", 0), run_id="r")
        await handle.publish_many("in", [1, 2, 3])
        await asyncio.sleep(25)

    async def again(app):
        return await app.execute(EventDriven("in", 0), run_id="r")

    run(world, begin, reader)
    report = run(world, again, reader)
    assert (report.status, report.messages, handled) == ("succeeded", 4, [0, 1, 2, 3])


# -- what it comes to ----------------------------------------------------------------------------------------


def test_the_originals_own_example_returns(world):
    """Channel `tasks`, channel `results`, the schemas of its design document: the run ends when all is quiet."""
    found = execute(world, EventDriven("tasks", {"task": "search"}), worker, collector)

    assert (found.report.status, found.report.error, found.report.messages) == ("succeeded", None, 2)
    assert {name: each["handled"] for name, each in found.report.agents.items() if each["handled"]} == {
        "worker": 1,
        "collector": 1,
    }
    assert world.clock.passed_seconds < 0.2


def test_a_message_says_where_it_comes_from(world):
    """Its publisher, and the message whose handling led to it: true causality."""

    async def main(app):
        await app.execute(EventDriven("tasks", {"task": "search"}), run_id="r")
        return (await app.get_run("r")).cache.get("global", "results")

    ((result, source, its_id, parent),) = run(world, main, worker, collector)
    assert (result, source, parent) == ("Done: search", "worker", "1-1")
    assert its_id not in ("", "1-1")


def test_nobody_needs_to_read_what_the_last_one_publishes(world, caplog):
    """It is kept in the journal, with one warning however many there are."""

    @agent(subscribe="in", publish="out")
    async def echo(number: int):
        for each in range(number):
            yield each

    found = execute(world, EventDriven("in", 3), echo)

    assert (found.report.status, found.report.messages) == ("succeeded", 4)
    (success,) = [event for event in found.events if type(event).__name__ == "StepSucceeded"]
    assert [(each.channel, bytes(each.payload)) for each in success.messages] == [
        ("out", b"0"),
        ("out", b"1"),
        ("out", b"2"),
    ]
    assert caplog.text.count("nobody reads channel 'out'") == 1


def test_publishing_where_nothing_was_declared_fails_at_once(world):
    """No retry would go better."""

    @agent(subscribe="in", publish=["out"])
    async def loud(number: int, ctx: Context):
        ctx.publish("uot", number)

    found = execute(world, EventDriven("in", 3), loud, config={"max_attempts": 3})

    assert found.report.status == "failed"
    assert ChannelNotDeclared.__name__ in found.report.error
    assert "agent 'loud' does not declare that it publishes to 'uot'; did you mean 'out'" in found.report.error
    assert "AttemptFailed" not in {type(event).__name__ for event in found.events}


def test_it_finishes_with_a_result_and_what_waits_is_handled_all_the_same(world):
    """The first result in the journal stands; `finish` ends nothing that is under way."""
    handled = []

    @agent(subscribe="in")
    async def reads(number: int, ctx: Context):
        handled.append(number)
        ctx.finish(number * 10)

    @agent(subscribe="start", publish="in")
    async def starts(asked: object):
        for number in (1, 2, 3):
            yield number

    found = execute(world, EventDriven("start", None), starts, reads)

    assert (found.report.status, found.report.result, handled) == ("succeeded", 10, [1, 2, 3])


def test_a_run_without_a_limit_of_its_own_has_the_librarys(world):
    """1,000 messages, and an hour."""

    @agent(subscribe="in", publish="in")
    async def round_and_round(number: int) -> int:
        return number + 1

    @agent(subscribe="slow")
    async def slow(number: int):
        await asyncio.sleep(7200)

    loop = execute(world, EventDriven("in", 0), round_and_round)
    assert loop.report.status == "failed"
    assert loop.report.error.startswith(
        "MessageLimitReached: max_messages of 1000 used up: messages can go round: 'in' -> 'in'"
    )
    assert loop.report.messages == 1001

    async def main(app):
        return await app.execute(EventDriven("slow", 0), run_id="s")

    report = run(world, main, slow)
    assert (report.status, report.error) == ("failed", "RunTimedOut: timeout_seconds of 3600 used up")


# -- kept alive ----------------------------------------------------------------------------------------------


@agent(subscribe="in")
async def keeps(number: int, ctx: Context):
    """It keeps what it is given, and finishes at 0."""
    ctx.cache.append("global", "kept", number)
    if number == 0:
        ctx.finish("done")


def test_kept_alive_it_waits_for_messages_and_wakes_for_each(world):
    """It says so after a second of silence; hours later it goes on, with its clock and its owner."""

    async def main(app):
        handle = await app.start(EventDriven("in", 1, keep_alive=True), run_id="r")
        await until(lambda: handle.status == "waiting")
        reason, waits_at = handle.reason, world.clock.passed_seconds
        await asyncio.sleep(3 * 3600)
        message_id = await handle.publish("in", 2)
        await until(lambda: handle.cache.get("global", "kept", []) == [1, 2])
        running = handle.status
        await until(lambda: handle.status == "waiting")
        report = await handle.cancel("enough")
        return reason, waits_at, message_id, running, report, await events_of(handle, "RunParked", "RunWoken")

    reason, waits_at, message_id, running, report, told = run(world, main, keeps)
    assert (reason, running) == ("waits for messages", "running")
    assert waits_at == pytest.approx(1.0, abs=0.3)
    assert message_id
    assert (report.status, report.error, report.messages) == ("cancelled", "RunCancelled: enough", 2)
    assert [type(event).__name__ for event in told] == ["RunWoken"]


def test_kept_alive_it_may_begin_without_a_message_and_ends_when_somebody_finishes(world):
    """What was published before that is handled."""

    async def main(app):
        handle = await app.start(EventDriven("in", keep_alive=True), run_id="r")
        ids = await handle.publish_many("in", [3, 2, 1, 0, 7])
        report = await handle.wait()
        with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be published to"):
            await handle.publish("in", 5)
        return ids, report, handle.cache.get("global", "kept")

    ids, report, kept = run(world, main, keeps)
    assert len(set(ids)) == 5
    assert (report.status, report.result, kept) == ("succeeded", "done", [3, 2, 1, 0, 7])


def test_kept_alive_and_waiting_it_survives_its_application(tmp_path):
    """Another one takes it up with the next message; what was said before stays said."""
    world = World("sqlite", tmp_path)

    async def begin(app):
        handle = await app.start(EventDriven("in", 1, keep_alive=True), run_id="r")
        await until(lambda: handle.status == "waiting")

    async def go_on(app):
        handle = await app.get_run("r")
        before = handle.status
        await handle.publish("in", 2)
        await handle.publish("in", 0)
        report = await handle.wait()
        return before, report, handle.cache.get("global", "kept")

    run(world, begin, keeps)
    before, report, kept = run(world, go_on, keeps)
    assert (before, report.status, report.result, kept) == ("waiting", "succeeded", "done", [1, 2, 0])


def test_kept_alive_dead_letters_are_only_listed(world):
    """Whatever the config says: the run goes on with the next message."""

    @agent(subscribe="in")
    async def frail(number: int, ctx: Context):
        if number == 2:
            raise ValueError("no 2")
        keeps_it = ctx.cache.append("global", "kept", number)
        if number == 3:
            ctx.finish(None)
        return keeps_it

    async def main(app):
        handle = await app.start(EventDriven("in", 1, keep_alive=True), run_id="r")
        await handle.publish_many("in", [2, 3])
        report = await handle.wait()
        return report, await handle.dead_letters(), handle.cache.get("global", "kept")

    report, (letter,), kept = run(world, main, frail)
    assert (report.status, report.error, kept) == ("succeeded", None, [1, 3])
    assert (letter.agent, letter.payload, letter.errors) == ("frail", 2, ["ValueError: no 2"])


def test_a_limit_that_is_given_counts_for_runs_that_are_kept_alive(world):
    """Only the defaults differ."""

    async def main(app):
        handle = await app.start(EventDriven("in", 1, keep_alive=True), run_id="r", config={"max_messages": 3})
        await handle.publish_many("in", [2, 3])
        await until(lambda: len(handle.cache.get("global", "kept", [])) == 3)
        await handle.publish("in", 4)
        return await handle.wait()

    report = run(world, main, keeps)
    assert (report.status, report.error) == ("failed", "MessageLimitReached: max_messages of 3 used up")


def test_two_runs_know_nothing_of_each_other(world):
    """Agents are an application's, messages a run's."""

    async def main(app):
        one = await app.start(EventDriven("in", 1, keep_alive=True), run_id="one")
        two = await app.start(EventDriven("in", 2, keep_alive=True), run_id="two")
        await one.publish("in", 0)
        await two.publish("in", 0)
        await asyncio.gather(one.wait(), two.wait())
        return one.cache.get("global", "kept"), two.cache.get("global", "kept")

    assert run(world, main, keeps) == ([1, 0], [2, 0])


def test_a_run_that_waits_for_messages_has_somebody_who_reads_them():
    """Even if it begins with none: nobody would ever hear of the slip."""

    async def main():
        async with Dagger("memory:") as app:
            app.agent("orders", name="clerk")(_take)
            with pytest.raises(NoAgentsRegistered, match="'ordres'; did you mean 'orders'"):
                await app.start(EventDriven("ordres", keep_alive=True))

    asyncio.run(main())


async def _take(order: dict): ...
