"""What code publishes: checked before it is published, against whoever writes and reads it; on both stores."""

import asyncio
import dataclasses
import datetime
import enum
import threading

import pytest
from tests.engine import process_actions
from tests.mailed import QUICK, beside, events_of, execute, executed, run
from tests.worlds import until

from dagger import (
    ChannelNotDeclared,
    Context,
    Dagger,
    EventDriven,
    Graph,
    Message,
    MessageInvalid,
    Static,
    action,
    agent,
)
from dagger.engine.publishing import keys_of

START = EventDriven("start", None)


def publishes(payload, *more, channel="out", **options):
    """An agent that publishes one payload, and then others."""

    @agent(name="writer", subscribe="start", publish="out", **options)
    async def writer(asked: object, ctx: Context):
        for each in (payload, *more):
            ctx.publish(channel, each)

    return writer


def reads(taken, name="reader", **options):
    """An agent that keeps what it reads."""

    @agent(name=name, subscribe="out", **options)
    async def reader(message: Message):
        taken.append(message.payload)

    return reader


# -- what a payload may be -----------------------------------------------------------------------------------


@dataclasses.dataclass
class Page:
    """A payload."""

    title: str
    words: int = 0


class Colour(enum.Enum):
    """Another."""

    RED = "red"


@pytest.mark.parametrize(
    ("payload", "seen"),
    [
        (None, None),
        (0, 0),
        ("", ""),
        ([1, {"ü": None}], [1, {"ü": None}]),
        (Page("t"), {"title": "t", "words": 0}),
        ((Colour.RED, 1.5), ["red", 1.5]),
        ({"$blob": "x", "size": 3}, {"$blob": "x", "size": 3}),
        ("ä" * 70_000, "ä" * 70_000),
        (2**63, 2**63),
    ],
    ids=["none", "zero", "empty", "json", "dataclass", "tuple", "reference", "blob", "large-int"],
)
def test_any_json_value_is_a_payload(world, payload, seen):
    """It is made JSON when it is published: what looks like a reference of ours, and what is too large, too."""
    taken = []

    assert execute(world, START, publishes(payload), reads(taken)).report.status == "succeeded"
    assert taken == [seen]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (float("nan"), "agent 'writer': message for channel 'out': "),
        ({"a": [1, {2}]}, "agent 'writer': message for channel 'out': at $.a[1]: a set"),
        ({1: 2}, "agent 'writer': message for channel 'out': "),
        ("\ud800", "agent 'writer': message for channel 'out': "),
    ],
    ids=["nan", "set", "key", "surrogate"],
)
def test_what_is_no_json_is_refused_where_it_is_published(world, payload, told):
    """With its path; once, as no other attempt would go better."""
    taken = []
    found = execute(world, START, publishes(payload), reads(taken), config={"max_attempts": 3})

    assert found.report.error.startswith(f"writer#1-1: MessageInvalid: {told}")
    assert taken == []
    assert "AttemptFailed" not in {type(event).__name__ for event in found.events}


def test_what_was_published_does_not_change_with_what_its_publisher_does_later(world):
    """Nobody shares a mutable object."""
    taken = []

    @agent(subscribe="start", publish="out")
    async def writer(asked: object, ctx: Context):
        payload = {"n": 1}
        ctx.publish("out", payload)
        payload["n"] = 2
        ctx.publish("out", payload)

    execute(world, START, writer, reads(taken), reads(taken, "another"))

    assert sorted(each["n"] for each in taken) == [1, 1, 2, 2]


# -- contracts -----------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "maximum": 9}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["n"],
}


def test_every_violation_is_told_with_its_path_and_whose_schema_it_is(world):
    """Of the publisher's, and of every subscriber's."""
    wrong = {"n": 12, "tags": ["a", 1, 2]}
    schemas = {"type": "object", "required": ["m"]}
    found = execute(
        world,
        START,
        publishes(wrong, output_schema=SCHEMA),
        reads([], input_schema=schemas),
        reads([], "another", input_schema=SCHEMA),
    )

    error = found.report.error
    assert "MessageInvalid: agent 'writer': message for channel 'out': " in error
    for told in (
        "at $.n: ",
        "at $.tags[1]: ",
        "at $.tags[2]: ",
        "(schema of agent 'writer')",
        "(schema of agent 'reader')",
    ):
        assert told in error
    assert error.count("at $.n: ") == 1  # the same schema is told once


@dataclasses.dataclass
class Visit:
    """A payload of which a schema cannot tell all."""

    at: datetime.datetime
    guests: int


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"at": "2026-01-02T03:04:05", "guests": 2.0}, "expected int, got float (at $.guests)"),
        ({"at": "tomorrow", "guests": 2}, "invalid RFC3339 encoded datetime (at $.at)"),
    ],
)
def test_what_only_the_type_refuses_is_refused_where_it_is_published(world, payload, told):
    """By an agent, and by somebody outside: the schema takes it, and whoever reads it would not."""

    @agent(subscribe=["out", "visits"])
    async def first(visit: Visit): ...

    @agent(subscribe=["out", "visits"])
    async def second(visit: Visit): ...

    ran = execute(world, START, publishes(payload), first, second)
    said = f"message for channel 'out': {told} (type of agent 'first')"
    assert ran.report.error == f"writer#1-1: MessageInvalid: agent 'writer': {said}"

    async def from_outside(app):
        with pytest.raises(MessageInvalid) as refused:
            await app.execute(EventDriven("visits", payload))
        fine = {"at": "2026-01-02T03:04:05", "guests": 2}
        assert (await app.execute(EventDriven("visits", fine))).overall_success
        return str(refused.value)

    assert run(world, from_outside, first, second) == f"publish: {said}".replace("'out'", "'visits'")


@pytest.mark.parametrize(("taken", "payload", "told"), [(int, "text", "int, got str"), (None, 5, "null, got int")])
def test_a_payload_is_decoded_where_no_schema_says_anything(world, taken, payload, told):
    """As it was told to take anything, or as there is nothing to take."""

    async def reader(given): ...

    reader.__annotations__["given"] = taken
    read = agent(subscribe="out", input_schema={})(reader)
    error = execute(world, START, publishes(payload), read).report.error
    assert error.startswith("writer#1-1: MessageInvalid: agent 'writer': message for channel 'out': expected " + told)


class Panic(BaseException):
    """What code that is not Python's may raise, as pyo3 does."""


class Mute(Exception):
    """It cannot even be told."""

    def __str__(self):
        raise Panic


RAISED = {"panics": Panic("boom"), "cancels": asyncio.CancelledError(), "mute": Mute(), "odd": ValueError("\udcff")}


@dataclasses.dataclass
class Picky:
    """A payload whose own code raises what it is told to."""

    raises: str
    more: dict[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if error := RAISED.get(self.raises):
            raise error


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ("panics", "Panic: boom"),
        ("cancels", "CancelledError: "),
        ("mute", "Mute: its message cannot be told: str() raised Panic"),
        ("odd", "\\udcff"),
    ],
)
def test_whatever_a_payloads_type_raises_is_told_whoever_publishes(world, raises, told):
    """By an agent, by who executes the run, and by an order: it ends no run, and holds up nothing after it."""
    taken = []

    @agent(subscribe=["out", "in"])
    async def picky(given: Picky):
        taken.append(given.raises)

    async def main(here, there):
        handle = await here.start(EventDriven("in", keep_alive=True), run_id="r")
        for publisher in (handle, await there.get_run("r")):
            with pytest.raises(MessageInvalid) as refused:
                await publisher.publish("in", {"raises": raises})
            assert str(refused.value) == f"publish: message for channel 'in': {told} (type of agent 'picky')"
            await publisher.publish("in", {"raises": "nothing"})
        await handle.publish("start", None)
        await until(lambda: handle.status == "waiting")
        (letter,) = await handle.dead_letters()
        await handle.cancel()
        return letter.errors

    errors = beside(world, main, publishes({"raises": raises}), picky)
    assert errors == [f"MessageInvalid: agent 'writer': message for channel 'out': {told} (type of agent 'picky')"]
    assert taken == ["nothing"] * 2


def test_the_first_twenty_violations_are_told_and_the_rest_counted(world):
    """An error stays readable."""
    found = execute(world, START, publishes({"n": 1, "tags": [*range(50)]}, output_schema=SCHEMA), reads([]))

    assert found.report.error.count("at $.tags[") == 20
    assert found.report.error.endswith("; and 30 more")


def test_one_invalid_message_takes_all_of_its_attempt_back(world):
    """Those before it too: nothing of a failed attempt gets out."""
    taken = []
    found = execute(world, START, publishes({"n": 1}, {"n": "x"}, output_schema=SCHEMA), reads(taken))

    assert found.report.status == "failed"
    assert taken == []


def test_code_may_catch_the_refusal_and_go_on(world):
    """It is raised where it publishes."""
    taken = []

    @agent(subscribe="start", publish="out")
    async def writer(asked: object, ctx: Context):
        try:
            ctx.publish("out", "no number")
        except MessageInvalid:
            ctx.publish("out", 1)
        try:
            ctx.publish("uot", 2)
        except ChannelNotDeclared:
            ctx.publish("out", 3)

    @agent(subscribe="out")
    async def reader(number: int):
        taken.append(number)

    assert execute(world, START, writer, reader).report.status == "succeeded"
    assert taken == [1, 3]


def test_what_is_returned_is_checked_as_what_is_published(world):
    """And what a generator yields."""

    @agent(subscribe="start", publish="out", output_schema={"type": "integer"})
    async def returns(asked: object):
        return "text"

    @agent(subscribe="start", publish="out", output_schema={"type": "integer"})
    async def yields(asked: object):
        yield 1
        yield "text"

    found = execute(world, START, returns, yields, reads([]), config={"on_failure": "continue"})

    assert "returns#1-1: MessageInvalid: agent 'returns': message for channel 'out': at $: " in found.report.error
    assert "yields#1-1: MessageInvalid: agent 'yields': message for channel 'out': at $: " in found.report.error


def test_a_result_needs_one_publication(world):
    """Else nobody knows where it goes."""

    @agent(subscribe="start", publish=["a", "b"])
    async def returns(asked: object):
        return 1

    error = execute(world, START, returns).report.error
    assert "returned a value, which goes to its one publication, but it declares 'a', 'b'" in error


@pytest.mark.parametrize("channel", ["", 5, None, {}, "\ud800"], ids=repr)
def test_a_channel_is_a_text(world, channel):
    """Wherever somebody publishes: in an agent, a node, or outside."""

    @action
    async def node(ctx: Context):
        ctx.publish(channel, 1)

    async def main(app):
        app.add_graph(graph)
        node_error = (await app.execute(Static("g"))).error
        handle = await app.start(EventDriven("start", keep_alive=True))
        with pytest.raises(ChannelNotDeclared, match="publish: a channel is a text that is not empty, not "):
            await handle.publish(channel, 1)
        await handle.cancel()
        return node_error, (await app.execute(START)).error

    graph = Graph("g")
    graph.add(node)
    node_error, error = run(world, main, publishes(1, channel=channel), node)
    assert "ChannelNotDeclared: node 'node': a channel is a text that is not empty, not " in node_error
    assert "ChannelNotDeclared: agent 'writer'" in error


# -- who publishes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["thread", "generator", "async generator", "context in thread"])
def test_plain_functions_and_generators_publish(world, kind):
    """In whatever they run."""
    taken = []

    @agent(name="writer", subscribe="start", publish="out")
    def in_thread(asked: object):
        return 1

    @agent(name="writer", subscribe="start", publish="out")
    def generator(asked: object):
        yield 1

    @agent(name="writer", subscribe="start", publish="out")
    async def async_generator(asked: object):
        await asyncio.sleep(1)
        yield 1

    @agent(name="writer", subscribe="start", publish="out")
    def context_in_thread(asked: object, ctx: Context):
        ctx.publish("out", 1)

    writer = {"thread": in_thread, "generator": generator, "async generator": async_generator}.get(
        kind, context_in_thread
    )
    assert execute(world, START, writer, reads(taken)).report.status == "succeeded"
    assert taken == [1]


def test_a_node_publishes_to_any_channel_and_the_run_waits_for_what_follows(world):
    """It declares nothing, but what agents take counts."""
    taken = []

    @action
    async def node(ctx: Context):
        ctx.publish("out", 1)
        ctx.publish("nobody", {"any": "thing"})

    @agent(subscribe="out")
    async def reader(number: int, message: Message, ctx: Context):
        await ctx.sleep(100)
        taken.append((number, message.source, message.parent))

    graph = Graph("g")
    graph.add(node)

    async def main(app):
        app.add_graph(graph)
        return await executed(app, Static("g"))

    found = run(world, main, node, reader)
    assert (found.report.status, taken) == ("succeeded", [(1, "node", None)])


def in_process(name, *agents):
    """The report of a run of one action that runs in a process."""

    async def main():
        async with Dagger("memory:", config=QUICK) as app:
            app.include(getattr(process_actions, name), *agents)
            graph = Graph("g")
            graph.add(name)
            app.add_graph(graph)
            return await app.execute(Static("g"))

    return asyncio.run(main())


def test_a_node_in_a_process_publishes():
    """What it published comes with its success; order per key is kept, which only the parent knows."""
    taken, ended = [], []

    @agent(subscribe="out", key="nothing.here")
    async def keyed(given: dict):
        await asyncio.sleep(0.02 if given["n"] == 0 else 0)
        ended.append(given["n"])

    report = in_process("publishes", reads(taken), keyed)
    assert (report.status, report.error) == ("succeeded", None)
    assert [(each["n"], len(each["text"])) for each in taken] == [(0, 0), (1, 100_000), (2, 0)]
    assert ended == [0, 1, 2]


def test_what_a_process_publishes_is_checked_when_it_has_succeeded():
    """Who reads the channel is the parent's to know."""
    taken = []

    report = in_process("publishes_what_nobody_takes", reads(taken, input_schema=SCHEMA))
    assert report.error.startswith("publishes_what_nobody_takes: MessageInvalid: node 'publishes_what_nobody_takes': ")
    assert (taken, report.status) == ([], "failed")


def test_a_key_that_leads_nowhere_is_null():
    """Agents that handle one message at a time have theirs, too: they may handle more before they have them all."""

    @agent(name="keyed", subscribe="in", key="a.b")
    async def keyed(given: object):
        """By key."""

    @agent(name="ordered", subscribe="in", key="a.b", concurrency=1)
    async def ordered(given: object):
        """Strictly in order."""

    app = Dagger("memory:")
    found = [app.register_agent(each).agent for each in (keyed, ordered)]
    assert keys_of(found) == [("keyed", ["a", "b"]), ("ordered", ["a", "b"])]


def test_publishing_is_journalled_with_its_publishers_success(world):
    """One entry for publications, cache writes and the acknowledgement (I2)."""

    @agent(subscribe="start", publish="out")
    async def writer(asked: object, ctx: Context):
        ctx.cache.set("global", "k", 1)
        ctx.publish("out", "first")
        return "last"

    async def main(app):
        handle = await app.start(START, run_id="r")
        await handle.wait()
        return await events_of(handle, "StepSucceeded")

    first, _, _ = run(world, main, writer, reads([]))
    assert [(each.channel, bytes(each.payload)) for each in first.messages] == [("out", b'"first"'), ("out", b'"last"')]
    assert [write.key for write in first.cache] == ["k"]


# -- agents that change while their code runs ----------------------------------------------------------------


def at_work(form, payload, **options):
    """An agent that publishes a payload in the middle of its work, and what it waits for: it has begun, it may end."""
    begun, go = threading.Event(), threading.Event()

    async def until_told():
        begun.set()
        while not go.is_set():
            await asyncio.sleep(0.01)

    async def returns(asked: object):
        await until_told()
        return payload

    async def publishes(asked: object, ctx: Context):
        await until_told()
        ctx.publish("out", payload)

    async def requests(asked: object, ctx: Context):
        await until_told()
        await ctx.request("out", payload)

    def in_thread(asked: object):
        begun.set()
        go.wait()
        return payload

    def publishes_in_thread(asked: object, ctx: Context):
        begun.set()
        go.wait()
        ctx.publish("out", payload)

    code = {each.__name__: each for each in (returns, publishes, requests, in_thread, publishes_in_thread)}[form]
    return agent(name="writer", subscribe="start", publish="out", **options)(code), begun, go


async def exchanged(writer, begun, go, *others, meanwhile):
    """What becomes of a run while whose first message is at work its application does something."""
    async with Dagger("memory:", config=QUICK) as app:
        app.include(writer, *others)
        handle = await app.start(START)
        await until(begun.is_set)
        meanwhile(app)
        go.set()
        return await handle.wait()


FORMS = ["returns", "publishes", "requests", "in_thread", "publishes_in_thread"]


def answers(taken):
    """An agent that keeps what it reads, and replies."""

    @agent(subscribe="out")
    async def reader(message: Message, ctx: Context):
        taken.append(message.payload)
        ctx.reply(None)

    return reader


@pytest.mark.parametrize("other", [{"publish": "elsewhere"}, {"publish": "out", "output_schema": {"type": "integer"}}])
@pytest.mark.parametrize("form", FORMS)
def test_what_code_publishes_whose_agent_was_exchanged_is_its_own_agents(form, other):
    """Neither the channels nor the schema of the agent that has taken its place are asked."""
    taken = []

    @agent(name="writer", subscribe="start", **other)
    async def new(asked: object): ...

    def exchange(app):
        app.remove_agent("writer")
        app.register_agent(new)

    report = asyncio.run(exchanged(*at_work(form, "text"), answers(taken), meanwhile=exchange))
    assert (report.status, report.error, taken) == ("succeeded", None, ["text"])


@pytest.mark.parametrize("form", FORMS)
def test_its_own_contract_counts_though_its_agent_was_exchanged(form):
    """What the new agent would publish is another thing; that holds for the second exchange, too."""
    taken = []

    @agent(name="writer", subscribe="start", publish="out")
    async def new(asked: object): ...

    @agent(name="writer", subscribe="start", publish="out", output_schema={"type": "string"})
    async def newest(asked: object): ...

    def exchange(app):
        for each in (new, newest):
            app.remove_agent("writer")
            app.register_agent(each)

    work = at_work(form, "text", output_schema={"type": "integer"})
    report = asyncio.run(exchanged(*work, answers(taken), meanwhile=exchange))
    assert report.error.startswith("writer#1-1: MessageInvalid: agent 'writer': message for channel 'out': at $: ")
    assert (report.status, taken) == ("failed", [])


@dataclasses.dataclass
class Held:
    """A payload that is being checked until somebody says that it may go on."""

    n: int
    text: str = ""

    def __post_init__(self):
        CHECKING.set()
        GO.wait()


CHECKING, GO = threading.Event(), threading.Event()


@agent(subscribe="out")
async def holds(given: Held): ...


async def overtaken(reader, *writers):
    """The report of a run, and what is published in it, where a reader comes while a thread checks that."""
    CHECKING.clear()
    GO.clear()
    graph = Graph("g")
    graph.add("publishes")
    async with Dagger("memory:", config=QUICK) as app:
        app.include(holds, process_actions.publishes, *writers)
        app.add_graph(graph)
        handle = await app.start(START if writers else Static("g"))
        await until(CHECKING.is_set)
        app.register_agent(reader)
        GO.set()
        report = await handle.wait()
        return report, [each for event in await events_of(handle, "StepSucceeded") for each in event.messages]


@pytest.mark.parametrize("form", ["in_thread", "publishes_in_thread", "in_process"])
def test_what_a_thread_has_checked_is_checked_anew_where_an_agent_came_before_its_end_is_recorded(form):
    """What the agent does not take is told its publisher, and what it takes has its key; with large payloads, too."""
    writers = []
    if form != "in_process":
        writer, _, go = at_work(form, {"n": 2, "text": "ä" * 70_000})
        go.set()
        writers = [writer]

    @agent(name="reader", subscribe="out")
    async def strict(text: str): ...

    @agent(name="reader", subscribe="out", key="n")
    async def keyed(given: Held): ...

    report, _ = asyncio.run(overtaken(strict, *writers))
    step, who = ("writer#1-1", "agent 'writer'") if writers else ("publishes", "node 'publishes'")
    assert report.error.startswith(f"{step}: MessageInvalid: {who}: message for channel 'out': at $: ")
    report, messages = asyncio.run(overtaken(keyed, *writers))
    assert report.status == "succeeded"
    assert messages
    assert all(each.keys for each in messages)
