"""Bad input to agents: what cannot be is refused before anything happens, and the error says what, where and why."""

import asyncio
import re

import apsw
import pytest
from tests.mailed import events_of, executed, run
from tests.store import power_cut
from tests.store.test_file import common_path, nobody  # noqa: F401 - the path is a fixture
from tests.worlds import World, until

from dagger import (
    ChannelNotDeclared,
    Context,
    Dagger,
    EventDriven,
    InvalidState,
    MessageInvalid,
    PubSubAgent,
    RegistryError,
    StoreError,
    StoreFull,
    agent,
)
from dagger.store.sqlite import SqliteStore

START = EventDriven("start", 0)


async def handler(payload):
    """Anything."""


# -- registering ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "agent 'handler' subscribes to no channel, so it would never be called: say subscribe=…"),
        ({"subscribe": []}, "agent 'handler' subscribes to no channel"),
        ({"subscribe": ["a", ""]}, "agent 'handler': subscribe: a channel is a text that is not empty, not ''"),
        ({"subscribe": 5}, "agent 'handler': subscribe: a channel is a text that is not empty, not 5"),
        ({"subscribe": "a", "publish": [None]}, "agent 'handler': publish: a channel is a text that is not empty, not"),
        ({"subcribe": "a"}, "@agent has no option 'subcribe'; did you mean 'subscribe'?"),
        ({"subscribe": "a", "name": 3}, "agent: the name is a text, not 3"),
        ({"subscribe": "a", "name": "a b"}, "agent: the name 'a b' must be letters, digits, _ and -"),
        ({"subscribe": "a", "name": "a#1"}, "agent: the name 'a#1' must be letters, digits, _ and -"),
        ({"subscribe": "a", "concurrency": 0}, "agent 'handler': concurrency is a whole number of at least 1, not 0"),
        ({"subscribe": "a", "key": 5}, "agent 'handler': key is a path into the payload, such as customer.id, not 5"),
        ({"subscribe": "a", "timeout": -1}, "agent 'handler': timeout -1 must be a number of seconds above 0"),
        ({"subscribe": "a", "on_failure": "skip"}, "agent 'handler': on_failure 'skip' must be one of continue, pause"),
        ({"subscribe": "a", "rate": "often"}, "agent 'handler': rate is how many starts in what time, both above zero"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)) or "nothing",
)
def test_an_agent_that_cannot_be_is_refused(options, told):
    """At its registration, with the agent's name, the option and the value."""
    app = Dagger("memory:")

    with pytest.raises(RegistryError, match=re.escape(told)):
        app.agent(**options)(handler)
    assert list(app.agents) == ["human_review"]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("string", "is a JSON Schema, as a dict, not 'string'"),
        ({"type": "strin"}, """is no JSON Schema: at $.type: "strin" is not valid"""),
        ({"properties": {"a": {"type": 5}}}, "is no JSON Schema: at $.properties.a.type: 5 is not valid"),
        ({"pattern": "("}, """is no JSON Schema: at $.pattern: "(" is not a "regex\""""),
        ({"$ref": "#/$defs/none"}, "is no JSON Schema: Pointer '/$defs/none' does not exist"),
        ({"$ref": "http://nowhere.example/x.json"}, "is no JSON Schema: Resource 'http://nowhere.example/x.json'"),
    ],
    ids=["text", "type", "deep", "pattern", "reference", "elsewhere"],
)
@pytest.mark.parametrize("option", ["input_schema", "output_schema"])
def test_a_broken_schema_is_refused_with_its_place(option, schema, told):
    """Nothing is asked of a server, and no message is needed to see it."""
    with pytest.raises(RegistryError, match=re.escape(f"agent 'handler': {option} {told}")):
        Dagger("memory:").agent(subscribe="a", **{option: schema})(handler)


def test_an_agent_without_parentheses_is_refused():
    """As an action it could be so; an agent must say what it reads, and would silently be none."""
    app = Dagger("memory:")

    with pytest.raises(RegistryError, match=re.escape("@agent must say which channels 'handler' reads: @agent(subsc")):
        app.agent(handler)
    assert list(app.agents) == ["human_review"]


def test_a_name_is_taken_once():
    """By whomever; the first one stays."""

    async def another(payload): ...

    app = Dagger("memory:")
    app.agent(subscribe="a")(handler)
    first = app.agents["handler"]

    with pytest.raises(RegistryError, match="an agent 'handler' is registered already; give this one another name"):
        app.agent(subscribe="b", name="handler")(another)
    with pytest.raises(RegistryError, match="an agent 'human_review' is built in; give this one another name"):
        app.agent(subscribe="b", name="human_review")(another)
    assert app.agents["handler"] is first


def test_a_class_must_say_what_it_does_with_messages():
    """Its registration is refused, not its first message."""

    class Silent(PubSubAgent):
        subscriptions = ("a",)

    class Deaf(PubSubAgent):
        async def process_message(self, message, ctx): ...

    for thing, told in (
        (Silent, "Silent must define process_message(self, message, ctx)"),
        (Deaf(), "agent 'Deaf' subscribes to no channel"),
        (PubSubAgent, "is no agent: mark a function with @agent, or give a PubSubAgent"),
        (re.compile, "is no agent: mark a function with @agent, or give a PubSubAgent"),
        (5, "5 is no agent: mark a function with @agent, or give a PubSubAgent"),
    ):
        with pytest.raises(RegistryError, match=re.escape(told)):
            Dagger("memory:").register_agent(thing)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("handle", "there is no agent 'handle' to remove; did you mean 'handler'?"),
        ("x", "there is no agent 'x' to remove; registered: handler"),
        (None, "there is no agent None to remove; registered: handler"),
        ("human_review", "the agent 'human_review' is built in: it cannot be removed"),
    ],
)
def test_only_what_is_registered_is_removed(name, told):
    """The error names the nearest."""
    app = Dagger("memory:")
    app.agent(subscribe="a")(handler)

    with pytest.raises(RegistryError, match=re.escape(told)):
        app.remove_agent(name)


# -- publishing ----------------------------------------------------------------------------------------------


class Odd:
    """No JSON value."""


ITSELF = []
ITSELF.append(ITSELF)
NO_JSON = [
    (Odd(), "at $: an Odd is not a JSON value"),
    ({"a": {"b": [1, {2}]}}, "at $.a.b[1]: a set has no order and is not a JSON value; use sorted(…) or a list for it"),
    ([float("nan")], "at $[0]: nan is not a JSON number; use None or a string for it"),
    ({1: 2}, "at $: the key 1 is a int, not a string"),
    (b"x", "at $: a bytes is not a JSON value; use a text for it, e.g. base64"),
    ("\ud800", "at $: the text has lone surrogates and is not Unicode"),
    (ITSELF, "at $: nested deeper than 200 levels, or it contains itself"),
]


def failing(world, does, **options):
    """The report of a run whose first agent does this with its context, what its reader got, and how often it tried."""
    seen, tried = [], []

    @agent(subscribe="start", publish="next", **options)
    async def first(payload: object, ctx: Context):
        tried.append(ctx.attempt)
        return does(ctx)

    @agent(name="next", subscribe="next")
    async def second(payload: object):
        seen.append(payload)

    report = run(world, lambda app: app.execute(START), first, second, config={"max_attempts": 3})
    return report, seen, len(tried)


@pytest.mark.parametrize("way", ["returned", "published", "replied", "requested"])
def test_a_payload_that_is_no_json_fails_the_agent_at_once(world, way):
    """It would be the same again, so nothing is retried; what was published before is not published either."""

    def doing(payload):
        def does(ctx):
            ctx.publish("next", "before")
            match way:
                case "returned":
                    return payload
                case "published":
                    ctx.publish("next", payload)
                case "replied":
                    ctx.reply(payload)
                case _:
                    ctx.request("next", payload)
            return None

        return does

    where = "OutputInvalid: agent 'first': reply" if way == "replied" else "MessageInvalid: agent 'first': message for"
    where += "" if way == "replied" else " channel 'next'"
    for payload, told in NO_JSON:
        report, seen, tries = failing(world, doing(payload))

        assert (report.error, seen, tries) == (f"first#1-1: {where}: {told}", [], 1)


@pytest.mark.parametrize(
    ("channel", "told"),
    [
        ("nxet", "agent 'first' does not declare that it publishes to 'nxet'; did you mean 'next'? (it declares:"),
        ("start", "agent 'first' does not declare that it publishes to 'start' (it declares: 'next')"),
        ("", "agent 'first': a channel is a text that is not empty, not ''"),
        (5, "agent 'first': a channel is a text that is not empty, not 5"),
    ],
)  # fmt: skip
def test_publishing_to_a_channel_that_is_not_declared_fails_at_once(world, channel, told):
    """A typing mistake would otherwise be a message that nobody reads."""
    report, seen, tries = failing(world, lambda ctx: ctx.publish(channel, 1))

    assert report.error.startswith(f"first#1-1: ChannelNotDeclared: {told}")
    assert (seen, tries) == ([], 1)


def test_a_payload_of_50_mb_goes_its_way(tmp_path):
    """Stored once, by its hash; two agents get it whole, and the report is made without it."""
    text, sizes = "ü" * 25_000_000, []

    def reader(name):
        @agent(name=name, subscribe="start")
        async def reads(payload: str):
            sizes.append(payload == text)

        return reads

    async def main(app):
        report = await app.execute(EventDriven("start", text), run_id="r")
        (begins,) = await events_of(await app.get_run("r"), "RunStarted")
        return report.status, len(bytes(begins.messages[0].payload))

    status, size = run(World("sqlite", tmp_path), main, reader("one"), reader("two"))
    assert (status, sizes) == ("succeeded", [True, True])
    assert size < 100


def test_a_payload_that_a_schema_refuses_is_told_shortened(world):
    """Every violation with its place and whose schema it is, however large the value."""

    @agent(subscribe="in", input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["k"]})
    async def strict(payload: object): ...

    async def main(app):
        with pytest.raises(MessageInvalid) as raised:
            await app.start(EventDriven("in", {"n": "x" * 10_000_000}))
        return str(raised.value)

    told = run(world, main, strict)
    assert told.startswith("publish: message for channel 'in': at $")
    assert "at $.n: " in told
    assert """"k" is a required property (schema of agent 'strict')""" in told
    assert len(told) < 1000


# -- handlers that do not come to an end ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["function", "generator"])
def test_a_handler_that_hangs_times_out_and_the_next_message_is_handled(world, kind):
    """What a generator yielded before it hung is not published."""
    seen = []

    @agent(name="hangs", subscribe="start", publish="next", timeout=30, on_failure="continue")
    async def function(payload: int):
        if payload == 0:
            await asyncio.Event().wait()
        return payload

    @agent(name="hangs", subscribe="start", publish="next", timeout=30, on_failure="continue")
    async def generator(payload: int):
        yield payload
        if payload == 0:
            await asyncio.Event().wait()

    @agent(name="next", subscribe="next")
    async def reads(payload: int):
        seen.append(payload)

    async def main(app):
        handle = await app.start(START, run_id="r")
        await handle.publish("start", 1)
        return await handle.wait(), world.clock.passed_seconds

    report, passed = run(world, main, {"function": function, "generator": generator}[kind], reads)
    assert report.error == "hangs#1-1: AttemptTimedOut: agent 'hangs': attempt 1 timed out after 30 s"
    assert (report.status, seen) == ("failed", [1])
    assert passed == pytest.approx(30, abs=1)


def test_a_generator_that_yields_nothing_publishes_nothing(world):
    """That is no failure."""

    @agent(subscribe="start", publish="next")
    async def never(payload: object):
        for nothing in ():
            yield nothing

    found = run(world, lambda app: executed(app, START), never)
    assert (found.report.status, found.report.error) == ("succeeded", None)
    assert [event.messages for event in found.events if event.type == "StepSucceeded"] == [()]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()])
def test_a_thousand_messages_of_a_handler_that_raises_do_not_get_out(tmp_path, error):
    """Whatever it raises: none is in the journal, nor anything that it wrote."""
    seen = []

    @agent(subscribe="start", publish="next")
    async def many(payload: object, ctx: Context):
        for number in range(1000):
            ctx.publish("next", number)
            ctx.cache.append("global", "numbers", number)
        raise error

    @agent(subscribe="next")
    async def reads(payload: int):
        seen.append(payload)

    async def main():
        app = Dagger(SqliteStore(tmp_path / "runs.db"), config={"max_attempts": 1, "on_failure": "stop"})
        app.include(many, reads)
        async with app:
            await app.execute(START, run_id="r")

    try:
        asyncio.run(main())
    except (KeyboardInterrupt, SystemExit) as raised:
        assert raised is error  # noqa: PT017 - pytest.raises cannot expect only some

    async def look():
        async with Dagger(tmp_path / "runs.db") as app:
            handle = await app.get_run("r")
            return await events_of(handle, "StepSucceeded"), handle.cache.keys("global")

    assert asyncio.run(look()) == ([], [])
    assert seen == []


# -- what is published to, or redelivered in, a run that is not going on -------------------------------------


@agent(subscribe="start")
async def notes(payload: object, ctx: Context):
    """It keeps what it gets."""
    ctx.cache.append("global", "noted", payload)


@agent(subscribe="start")
async def sleeps(payload: int, ctx: Context):
    """It sleeps for as long as it is told."""
    await ctx.sleep(payload)


@agent(subscribe="start")
async def works(payload: int):
    """It is at work for as long as it is told."""
    await asyncio.sleep(payload)


def test_a_run_that_is_over_is_not_published_to(world):
    """Nor is anything redelivered in it, with the status in the error; it stays as it was."""

    async def main(app):
        await app.execute(START, run_id="r")
        handle = await app.get_run("r")
        before = app.store.last_seq("r")
        for order, told in (
            (handle.publish("start", 1), "it cannot be published to"),
            (handle.publish_many("start", [1, 2]), "it cannot be published to"),
            (handle.redeliver("1-1"), "it cannot be given a message again"),
        ):
            with pytest.raises(InvalidState, match=re.escape(f"run 'r' is over (succeeded): {told}")):
                await order
        return before == app.store.last_seq("r"), handle.cache.get("global", "noted")

    assert run(world, main, notes) == (True, [0])


def test_what_is_published_to_a_paused_run_waits_until_it_is_resumed(world):
    """It is in the journal when the call returns."""

    async def main(app):
        handle = await app.start(EventDriven("start", 1000), run_id="r")
        await asyncio.sleep(1)
        await handle.pause("lunch")
        await handle.publish("start", 5)
        status, types = handle.status, [recorded.type async for recorded in handle.events(live=False)]
        report = await (await app.resume("r")).wait()
        return status, types[-1], report.status, sorted(handle.cache.get("global", "noted"))

    assert run(world, main, works, notes) == ("paused", "MessagesPublished", "succeeded", [5, 1000])


def test_what_is_published_wakes_a_run_that_waits_or_is_parked(world):
    """It is handled at once, not when the wait is over."""

    async def main(app):
        handle = await app.start(EventDriven("start", 1000), run_id="r")
        await asyncio.sleep(1)
        waits = handle.status, app.tenure("r") is not None
        await handle.publish("start", 500)
        await asyncio.sleep(10)
        parked = handle.status, app.tenure("r") is not None
        await handle.publish("start", 500)
        await asyncio.sleep(1)
        noted = handle.cache.get("global", "noted")
        return waits, parked, noted, (await handle.wait()).status

    assert run(world, main, sleeps, notes) == (("waiting", True), ("waiting", False), [1000, 500, 500], "succeeded")


def test_what_is_published_to_an_interrupted_run_is_the_reason_to_continue_it(world):
    """By whoever has its agents; else it is left to them, without an id."""

    async def begin(app):
        await app.start(EventDriven("start", 50), run_id="r")
        await asyncio.sleep(1)

    async def go_on(app):
        handle = await app.get_run("r")
        before, told = handle.status, await handle.publish("start", 5)
        return before, told is not None, handle.status

    run(world, begin, works, notes)
    assert run(world, go_on) == ("interrupted", False, "interrupted")
    assert run(world, go_on, works, notes) == ("interrupted", True, "running")


@pytest.mark.parametrize(
    ("channel", "payload", "error", "told"),
    [
        ("", 1, ChannelNotDeclared, "publish: a channel is a text that is not empty, not ''"),
        (5, 1, ChannelNotDeclared, "publish: a channel is a text that is not empty, not 5"),
        ("start", Odd(), MessageInvalid, "publish: message for channel 'start': at $: an Odd is not a JSON value"),
        ("start", "x", MessageInvalid, """publish: message for channel 'start': at $: "x" is not of type "integer" """),
    ],
    ids=["empty", "number", "object", "schema"],
)
def test_what_cannot_be_published_is_told_to_whoever_publishes_it(world, channel, payload, error, told):
    """Wherever the run is: here, or paused; nothing comes into its journal but that an order was refused."""

    async def main(app):
        handle = await app.start(EventDriven("start", keep_alive=True), run_id="r")
        for pauses in (False, True):
            if pauses:
                await handle.pause()
            with pytest.raises(error, match=re.escape(told.strip())):
                await handle.publish(channel, payload)
        return await events_of(handle, "MessagesPublished"), handle.cache.keys("global")

    assert run(world, main, sleeps) == ([], [])


def test_only_dead_letters_are_redelivered(world):
    """Not what was handled, what nobody published, or what was redelivered just before."""

    @agent(subscribe="start")
    async def fails(payload: int):
        if payload:
            raise ValueError(payload)

    async def main(app):
        handle = await app.start(EventDriven("start", 0, keep_alive=True), run_id="r")
        dead = await handle.publish("start", 1)
        await until(lambda: app.tenure("r").state.dead)
        near = f"; did you mean {dead!r}?"
        for given, told in (
            (("1-1", None), "message '1-1' is no dead letter: nothing is redelivered"),
            (("9-9", None), "message '9-9' is no dead letter: nothing is redelivered"),
            ((f"{dead}1", None), f"message '{dead}1' is no dead letter: nothing is redelivered{near}"),
            ((5, None), "message 5 is no dead letter: nothing is redelivered"),
            (
                (dead, "fail"),
                f"message {dead!r} is no dead letter at agent 'fail': nothing is redelivered; did you mean",
            ),
        ):
            with pytest.raises(InvalidState, match=re.escape(f"run 'r': {told}")):
                await handle.redeliver(*given)
        both = await asyncio.gather(handle.redeliver(dead), handle.redeliver(dead), return_exceptions=True)
        return both[0], str(both[1]), dead

    first, second, dead = run(world, main, fails)
    assert (first, second) == (None, f"run 'r': message {dead!r} is no dead letter: nothing is redelivered")


# -- agents that go, and stores that fail --------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["continue", "stop", "pause", "keep_alive"])
def test_what_waits_at_a_removed_agent_becomes_dead_letters(world, policy):
    """What is at work ends as it would have, and nothing more goes there; the run fails as with any dead letter."""

    async def main(app):
        is_kept = policy == "keep_alive"
        config = {"on_failure": "stop" if is_kept else policy}
        handle = await app.start(EventDriven("start", 10, keep_alive=is_kept), run_id="r", config=config)
        await handle.publish_many("start", [20, 30])
        await asyncio.sleep(1)
        app.remove_agent("works")
        if policy != "stop":
            await handle.publish("start", 40)
        await asyncio.sleep(15)
        report = await (handle.cancel("enough") if is_kept else handle.wait())
        letters = [(letter.payload, letter.errors) for letter in await handle.dead_letters()]
        return report.status, letters, len(await events_of(handle, "StepSucceeded")), handle.cache.keys("global")

    status, letters, handled, _ = run(world, main, works)
    assert letters == [(20, ["agent 'works' was removed"]), (30, ["agent 'works' was removed"])]
    ended = {"continue": ("failed", 1), "stop": ("failed", 0), "pause": ("paused", 1), "keep_alive": ("cancelled", 1)}
    assert (status, handled) == ended[policy]


def test_what_an_agent_that_is_gone_left_is_redelivered_when_it_is_back(world):
    """Until then the error says what to do."""

    async def main(app):
        handle = await app.start(EventDriven("start", 10, keep_alive=True), run_id="r")
        await handle.publish("start", 20)
        await asyncio.sleep(1)
        app.remove_agent("works")
        await asyncio.sleep(1)
        (letter,) = await handle.dead_letters()
        with pytest.raises(InvalidState, match=f"agent 'works' was removed: register it again before '{letter.step}'"):
            await handle.redeliver(letter.message_id)
        app.register_agent(works)
        await handle.redeliver(letter.message_id)
        await asyncio.sleep(40)
        return [event.step for event in await events_of(handle, "StepSucceeded")], letter.step

    handled, step = run(world, main, works)
    assert handled == ["works#1-1", f"{step}.2"]


def recovered(path, *things):
    """What another application makes of the runs that are there: their journal, and what is in the cache."""

    async def main():
        async with Dagger(path) as app:
            app.include(*things)
            for handle in await app.recover():
                await handle.wait()
            handle = await app.get_run("r")
            journal = [recorded async for recorded in handle.events(live=False)]
            return handle.status, journal, handle.cache.get("global", "noted")

    return asyncio.run(main())


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_store_that_is_full_in_the_middle_loses_and_repeats_nothing(tmp_path, durability):
    """The run's caller is told; when there is room again, each message is handled once, in order."""
    path, full = tmp_path / "runs.db", []

    @agent(subscribe="start", publish="each")
    async def sends(payload: int):
        for number in range(payload):
            yield number

    @agent(subscribe="each")
    async def counts(number: int, ctx: Context):
        ctx.cache.append("global", "noted", number)
        if number == 20:
            for disk in full:
                disk.error = apsw.FullError("disk is full")
            await asyncio.sleep(0)

    async def main():
        app = Dagger(SqliteStore(path, vfs=power_cut.NAME), config={"durability": durability})
        app.include(sends, counts)
        async with app:
            with pytest.raises(StoreFull, match=f"{path}: no space is left .* make room, then resume the runs"):
                await app.execute(EventDriven("start", 50), run_id="r")
            with pytest.raises(StoreError, match="no space is left"):
                await (await app.get_run("r")).publish("each", 1)

    with power_cut.Disk() as disk:
        full.append(disk)
        asyncio.run(main())
    full.clear()
    status, journal, noted = recovered(path, sends, counts)
    successes = [recorded.event.step for recorded in journal if recorded.type == "StepSucceeded"]
    assert (status, noted, len(successes)) == ("succeeded", list(range(50)), len(set(successes)))
    assert any(recorded.type == "RunRecovered" for recorded in journal)


def test_a_read_only_store_is_told_before_anything_is_published(common_path):  # noqa: F811 - it is the fixture
    """At once, with the file; no agent is asked."""
    seen = []

    @agent(subscribe="start")
    async def reads(payload: object):
        seen.append(payload)

    async def main():
        app = Dagger(common_path)
        app.include(reads)
        async with app:
            await app.execute(START)

    asyncio.run(main())
    common_path.chmod(0o444)
    with nobody(), pytest.raises(StoreError, match=f"{common_path} (is read-only|cannot be opened for writing)"):
        asyncio.run(main())
    assert seen == [0]
