"""@agent and PubSubAgent: what can be an agent, what it is called with, what its result is published as."""

import asyncio
import dataclasses
import functools
import re
import types
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Annotated, Any, Optional, TypedDict

import jsonschema_rs
import msgspec
import pydantic
import pytest
from tests.spec import future_agents

from dagger import Context, Message, PubSubAgent, RegistryError, agent
from dagger.core.errors import OutputInvalid
from dagger.core.graph import Input
from dagger.core.messages import PAYLOAD
from dagger.spec.action import action_of
from dagger.spec.agent import AgentAction, Many, agent_of
from dagger.spec.limits import Rate


@dataclasses.dataclass
class Task:
    name: str
    tries: int = 1


class Book(TypedDict):
    title: str


class Struct(msgspec.Struct):
    task: Task


class Model(pydantic.BaseModel):
    a: int


async def plain(payload):
    return payload


def made(function=plain, **options):
    """The agent of a function that reads the channel `tasks`."""
    return AgentAction(function, **{"subscribe": "tasks", **options}).agent


# -- the function form ----------------------------------------------------------------------------------------


def test_a_marked_function_stays_a_function():
    """It is called as plain Python, and known as an agent by its name; it is no action."""

    @agent("tasks", publish="results")
    async def worker(task: dict) -> dict:
        """It works."""
        return {"done": task["x"]}

    @agent(subscribe=["a", "b", "a"], name="other")
    def named(payload):
        return payload

    assert (asyncio.run(worker({"x": 1})), named(5)) == ({"done": 1}, 5)
    assert (agent_of(worker).agent.name, agent_of(worker).agent.description) == ("worker", "It works.")
    assert (agent_of(named).agent.name, agent_of(named).agent.subscriptions) == ("other", ("a", "b"))
    assert (agent_of(worker).name, repr(agent_of(worker))) == ("agent:worker", "<agent worker>")
    assert agent_of(agent_of(worker)) is agent_of(worker)
    assert [agent_of(thing) for thing in (plain, 5, PubSubAgent, Task)] == [None] * 4
    assert action_of(worker) is None


def test_what_is_not_said_is_as_everywhere():
    """One message at a time, no schema, nothing published, the config's tries."""
    bare = made()
    assert (bare.concurrency, bare.key, bare.publications, bare.is_ordered) == (1, "", (), True)
    assert (bare.input_schema, bare.output_schema, bare.requests) == (None, None, False)
    assert (bare.node.try_count, bare.node.on_failure, bare.node.priority) == (None, "", 0)


def test_its_options_are_its_nodes_and_its_own():
    """Its pool and rate are as an action's; None is the same as not given."""
    told = made(timeout=5, try_count=2, on_failure="continue", priority=3, concurrency=4, key="customer.id", name=None)
    assert (told.node.timeout, told.node.try_count, told.node.on_failure, told.node.priority) == (5, 2, "continue", 3)
    assert (told.concurrency, told.key, told.name) == (4, "customer.id", "plain")
    assert made(key="id").concurrency is None
    assert made(timeout=None, concurrency=None, key=None) == made()
    limited = AgentAction(plain, subscribe="tasks", pool="net", rate="60/min")
    assert (limited.pool, limited.rate) == ("net", Rate.parse("60/min"))


class Ordered(pydantic.BaseModel):
    """A payload with fields, and no others."""

    model_config = pydantic.ConfigDict(extra="forbid")
    customer: dict[str, Any]
    number: int


class Customer(msgspec.Struct, forbid_unknown_fields=True):
    """Within a parcel."""

    id: int


class Parcel(msgspec.Struct, forbid_unknown_fields=True):
    """Another payload."""

    customer: Customer
    tags: dict[str, str]
    to: Customer | None = None


@pytest.mark.parametrize(
    ("taken", "key", "told"),
    [
        (Parcel, "custmer.id", "there is no field 'custmer'; did you mean 'customer'?"),
        (Parcel, "customer.name", "there is no field 'name'; there are: id"),
        (Parcel, "customer.id.part", "'part' is looked for in what is of type integer"),
        (Parcel, "tags.any.part", "'part' is looked for in what is of type string"),
        (Ordered, "custmer", "there is no field 'custmer'; did you mean 'customer'?"),
        (Ordered, "number.part", "'part' is looked for in what is of type integer"),
        (list[Parcel], "customer", "'customer' is looked for in what is of type array"),
    ],
)
def test_a_key_that_leads_nowhere_in_any_payload_is_refused(taken, key, told):
    """Else all messages would have one value in common, and be handled one at a time."""

    def keyed(given): ...

    keyed.__annotations__["given"] = taken
    with pytest.raises(RegistryError, match=f"agent 'keyed': key '{key}' leads nowhere: {re.escape(told)}"):
        AgentAction(keyed, subscribe="orders", key=key)
    given = {"type": "object", "properties": {"other": {}}}
    assert AgentAction(keyed, subscribe="orders", key=key, input_schema=given).agent.key == key


class Loose(pydantic.BaseModel):
    """It keeps what else there is."""

    model_config = pydantic.ConfigDict(extra="allow")
    n: int


class Typed(TypedDict):
    """It takes no notice of what else there is, as a dataclass."""

    n: int


@dataclasses.dataclass
class Empty:
    """Likewise."""


@pytest.mark.parametrize(
    ("taken", "keys"),
    [
        (Parcel, ["customer.id", "customer", "tags.any", "to.id"]),
        (Ordered, ["customer.id", "customer.id.part"]),
        (Loose, ["n", "tenant", "tenant.id"]),
        (Typed, ["tenant"]),
        (Empty, ["tenant"]),
        (dict, ["tenant.id"]),
    ],
)
def test_a_key_that_may_lead_somewhere_is_taken(taken, keys):
    """Most types let fields be that they do not name: a payload may well have them."""

    def keyed(given): ...

    keyed.__annotations__["given"] = taken
    for key in keys:
        assert AgentAction(keyed, subscribe="orders", key=key).agent.key == key


def only_payload(task: Task):
    return task


def only_message(message: Message):
    return message.payload


def all_of_them(ctx: Context, it: Message, task: Task):
    return task


def as_texts(m: "Message", c: "Context", task: "Task"):
    return task


def none_of_them():
    return 1


def bare(x, ctx: Context):
    return x


@pytest.mark.parametrize(
    ("function", "message", "context", "payload"),
    [
        (only_payload, None, None, "task"),
        (only_message, "message", None, None),
        (all_of_them, "it", "ctx", "task"),
        (as_texts, "m", "c", "task"),
        (none_of_them, None, None, None),
        (bare, None, "ctx", "x"),
        (future_agents.worker, "message", "ctx", "task"),
        (future_agents.generator, "it", None, "task"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_message_and_context_are_received_by_annotation(function, message, context, payload):
    """Under any name, in any order, also where annotations are texts; the one other parameter is the payload."""
    action = AgentAction(function, subscribe="tasks")
    assert (action.message_name, action.context_name, list(action.decoders)) == (
        message,
        context,
        [payload] if payload else [],
    )
    assert action.agent.node.inputs == ((Input(payload, PAYLOAD),) if payload else ())


def test_annotations_of_a_module_with_texts_are_types():
    """Its schemas too."""
    worker = agent_of(future_agents.worker).agent
    assert worker.input_schema["$ref"] == "#/$defs/Task"
    generator = agent_of(future_agents.generator).agent
    assert (generator.input_schema["$ref"], generator.output_schema["$ref"]) == ("#/$defs/Task", "#/$defs/Task")
    assert (worker.output_schema["type"], worker.output_schema["items"]["$ref"]) == ("array", "#/$defs/Task")


# -- schemas --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Task, {"name": "n"}, {"tries": 1}),
        (Book, {"title": "t"}, {"title": 5}),
        (Struct, {"task": {"name": "n"}}, {"task": {}}),
        (Model, {"a": 1}, {"a": "x"}),
        (list[Task], [{"name": "n"}], [{}]),
        (dict[str, int], {"a": 1}, {"a": "x"}),
        (dict[str, None], {"a": None}, {"a": 1}),
        (int, 5, "5"),
    ],
    ids=str,
)
def test_schemas_come_from_types(annotation, good, bad):
    """The payload's for what it takes, the result's for what it publishes; both are complete in themselves."""

    async def act(payload):
        return payload

    act.__annotations__ = {"payload": annotation, "return": annotation}
    for schema in (made(act).input_schema, made(act).output_schema):
        assert jsonschema_rs.meta.is_valid(schema)
        validator = jsonschema_rs.validator_for(schema)
        assert (validator.is_valid(good), validator.is_valid(bad)) == (True, False)


@pytest.mark.parametrize("annotation", [Optional[Task], Task | None], ids=["Optional", "union"])  # noqa: UP045
def test_none_publishes_nothing_so_it_is_not_in_the_schema(annotation):
    """As a payload it may come."""

    async def act(payload):
        return payload

    act.__annotations__ = {"payload": annotation, "return": annotation}
    for schema, takes_none in ((made(act).input_schema, True), (made(act).output_schema, False)):
        validator = jsonschema_rs.validator_for(schema)
        assert (validator.is_valid(None), validator.is_valid({"name": "n"})) == (takes_none, True)


def test_two_types_and_none_are_the_two():
    """Whatever else may be returned is published."""

    async def act(payload) -> int | str | None:
        return payload

    validator = jsonschema_rs.validator_for(made(act).output_schema)
    assert [validator.is_valid(value) for value in (1, "a", None, 1.5)] == [True, True, False, False]


@pytest.mark.parametrize("annotation", [None, object, "Any"], ids=str)
def test_what_may_be_anything_has_no_schema(annotation):
    """Nothing is checked where nothing is said."""

    async def act(payload):
        return payload

    act.__annotations__ = {} if annotation == "Any" else {"payload": annotation, "return": annotation}
    assert (made(act).input_schema, made(act).output_schema) == (None, None)


def test_schemas_that_are_given_win():
    """Over the types; an empty one says nothing, as does none at all."""
    explicit = {"type": "object", "required": ["x"]}

    async def act(task: Task) -> Task:
        return task

    told = made(act, input_schema=explicit, output_schema={})
    assert (told.input_schema, told.output_schema) == (explicit, None)
    assert made(act, input_schema=None).input_schema == made(act).input_schema != None  # noqa: E711 - chained
    assert told.input_schema is not explicit, "a change of the user's dict would change the agent"


# -- what is published ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "payloads"),
    [(1, (1,)), ([1, 2], ([1, 2],)), (None, ()), (0, (0,)), (Many([1, None]), [1, None]), (Many([]), [])],
    ids=range(6),
)
def test_a_result_is_published_and_each_value_of_a_generator(result, payloads):
    """None publishes nothing; a list is one payload."""
    assert AgentAction(plain, subscribe="tasks", publish="out").payloads(result) == payloads


@pytest.mark.parametrize(
    ("publish", "told"), [((), "none"), (("a", "b"), "'a', 'b'")], ids=["nowhere", "more than one"]
)
def test_a_result_needs_one_publication(publish, told):
    """Else nobody knows where to; nothing needs none."""
    action = AgentAction(plain, subscribe="tasks", publish=publish)
    with pytest.raises(OutputInvalid) as refused:
        action.payloads(5)
    assert str(refused.value) == (
        "agent 'plain' returned a value, which goes to its one publication, "
        f"but it declares {told}: use ctx.publish(channel, payload)"
    )
    assert action.payloads(None) == ()
    assert list(action.payloads(Many([]))) == []


async def yields(task: Task, ctx: Context) -> AsyncIterator[Book]:
    """Books."""
    yield {"title": task.name}
    await ctx.request("ask", 1) if ctx else None
    yield {"title": "b"}


async def generates(task: Task) -> AsyncGenerator[Book, None]:
    yield {"title": task.name}


def iterates(task: Task, ctx: Context) -> Iterator[Book]:
    yield {"title": task.name}
    yield {"title": "b"}


def produces(task: Task) -> Generator[Book, None, str]:
    yield {"title": task.name}
    return "ignored"


@pytest.mark.parametrize("function", [yields, generates, iterates, produces])
def test_of_a_generator_each_value_is_published_at_its_end(function):
    """Plain or async; its schema is that of one value, and its parameters are its own."""
    action = AgentAction(function, subscribe="tasks", publish="out")
    arguments = {"task": Task("a")} | ({"ctx": None} if action.context_name else {})
    result = action.function(**arguments)
    result = asyncio.run(result) if action.is_async else result
    assert result == Many([{"title": "a"}, {"title": "b"}][: 2 if action.context_name else 1])
    assert (action.is_async, action.runs_in) == (
        (True, "loop") if function in (yields, generates) else (False, "thread")
    )
    assert action.agent.output_schema["$defs"].keys() == {"Book"}
    assert action.agent.input_schema["$defs"].keys() == {"Task"}
    assert (action.agent.name, list(action.decoders)) == (function.__name__, ["task"])
    assert action.agent.description == (function.__doc__ or "")


def test_a_generator_without_annotations_publishes_anything():
    """There is no schema."""

    async def act(payload):
        yield payload

    assert (made(act).input_schema, made(act).output_schema) == (None, None)


def test_where_it_runs_is_as_of_an_action():
    """Async code in the loop, a plain function in a thread."""
    assert [AgentAction(each, subscribe="tasks").runs_in for each in (plain, bare)] == ["loop", "thread"]


async def asks(payload, ctx: Context):
    async def inner():
        return await ctx.request("ask", payload)

    return await inner()


@functools.wraps(asks)
def wrapped(*args, **keywords):
    return asks(*args, **keywords)


@pytest.mark.parametrize(
    ("function", "told"), [(asks, True), (wrapped, True), (yields, True), (plain, False)], ids=range(4)
)
def test_whether_it_requests_is_seen_in_its_code(function, told):
    """However it is wrapped; a function in it counts. So the topology can warn of agents that wait for each other."""
    assert made(function).requests is told


def test_a_callable_needs_a_name():
    """A partial has none of its own."""
    partial = functools.partial(asks, payload=1)
    assert made(partial, name="ask_one").name == "ask_one"


# -- the class form -------------------------------------------------------------------------------------------


class Worker(PubSubAgent):
    """Works."""

    name = "worker"
    subscriptions = ("tasks", "more")
    publications = "results"
    input_schema = types.MappingProxyType({"type": "object"})
    output_schema = types.MappingProxyType({"type": "string"})
    concurrency = 4
    key = "id"

    async def process_message(self, message, ctx):
        """It works."""
        return message.payload


class Methods(PubSubAgent):
    def __init__(self, channel="tasks"):
        self.channel = channel

    def name(self):
        return f"reads_{self.channel}"

    def subscriptions(self):
        return (self.channel,)

    def publications(self):
        return ["results"]

    def input_schema(self):
        return {"type": "integer"}

    def process_message(self, message: Message, ctx: Context) -> Task:
        return Task(str(message.payload))


def test_the_class_form_has_attributes():
    """As the options of the function form; the two parameters are the message and the context, whatever they say."""
    worker = agent_of(Worker)
    told = worker.agent
    assert (told.name, told.subscriptions, told.publications) == ("worker", ("tasks", "more"), ("results",))
    assert (told.input_schema, told.output_schema) == ({"type": "object"}, {"type": "string"})
    assert (told.concurrency, told.key, told.description) == (4, "id", "It works.")
    assert (worker.message_name, worker.context_name, worker.decoders) == ("message", "ctx", {})
    assert told.node.inputs == ()
    assert agent_of(Worker) is worker


@pytest.mark.parametrize(
    ("of_class", "of_method", "told"),
    [("Reads.", "Works.", "Works."), ("Reads.", None, "Reads."), (None, None, "")],
    ids=["method", "class", "neither"],
)
def test_the_class_form_is_described_by_its_own_docstrings(of_class, of_method, told):
    """Its method's, else the class's; never by those of PubSubAgent."""

    class Reader(Deaf):
        __doc__ = of_class
        subscriptions = ("tasks",)

        async def process_message(self, message, ctx):
            return message

        process_message.__doc__ = of_method

    assert agent_of(Reader).agent.description == told


def test_the_class_form_may_have_methods():
    """Two objects of a class are two agents; a result's type is its schema here, too."""
    one, other = agent_of(Methods()), agent_of(Methods("more"))
    assert [each.agent.name for each in (one, other)] == ["reads_tasks", "reads_more"]
    assert other.agent.subscriptions == ("more",)
    assert one.agent.input_schema == {"type": "integer"}
    assert one.agent.output_schema["$defs"].keys() == {"Task"}
    assert one.runs_in == "thread"


def test_the_class_form_takes_a_payload_of_another_type_than_message():
    """As the function form does: with its schema, decoded."""

    class Typed(PubSubAgent):
        subscriptions = ("tasks",)

        async def process_message(self, task: Task, ctx: Context) -> None: ...

    found = agent_of(Typed)
    assert (found.message_name, found.context_name, [*found.decoders]) == (None, "ctx", ["task"])
    assert found.agent.input_schema["$defs"].keys() == {"Task"}
    assert [each.name for each in found.agent.node.inputs] == ["task"]


@pytest.mark.parametrize(
    "hint",
    [Message, Any, object, Message | None, Annotated[Message, "doc"], Annotated[Message, {"not": "hashable"}]],
    ids=str,
)
def test_the_class_form_takes_the_message_however_that_is_said(hint):
    """Or nothing is said at all."""

    class Reads(PubSubAgent):
        subscriptions = ("tasks",)

        async def process_message(self, given, ctx): ...

    Reads.process_message.__annotations__["given"] = hint
    found = agent_of(Reads)
    assert (found.message_name, found.agent.input_schema, found.agent.node.inputs) == ("given", None, ())


def test_what_an_agent_with_a_context_publishes_may_have_more_fields_than_it_returns():
    """`ctx.publish` takes anything that its schema lets through."""

    async def works(payload: int, ctx: Context) -> Task: ...

    assert not agent_of(agent("tasks", publish="results")(works)).agent.publishes_exactly


def test_a_type_is_no_schema():
    """It is said by an annotation."""

    class Typed(Deaf):
        subscriptions = ("tasks",)
        input_schema = Task

        async def process_message(self, message, ctx): ...

    with pytest.raises(RegistryError, match=r"'Typed': input_schema is a JSON Schema, as a dict, .* by an annotation"):
        agent_of(Typed)


class Base(msgspec.Struct):
    name: str


class Derived(Base):
    more: str


@pytest.mark.parametrize(
    ("gives", "told"),
    [(Task, True), (Derived, True), (Base, False), (Model, False), (Book, False), (str, False), (list[Task], False)],
)
def test_what_an_agent_publishes_has_just_the_fields_of_its_type_where_no_value_can_have_more(gives, told):
    """What is of a subclass, computed, or a dict, may."""

    async def works(payload: int): ...

    works.__annotations__["return"] = gives
    assert agent_of(agent("tasks", publish="results")(works)).agent.publishes_exactly is told


def test_a_class_without_a_name_has_its_own_and_a_subclass_is_another_agent():
    """What it inherits is its parent's, not the agent that the parent is."""

    class Child(Worker):
        name = ""
        key = ""

        async def process_message(self, message, ctx):
            yield 1

    assert agent_of(Worker).agent.name == "worker"
    child = agent_of(Child)
    assert (child.agent.name, child.agent.concurrency, child.agent.key) == ("Child", 4, "")
    assert asyncio.run(child.function(None, None)) == Many([1])


# -- what cannot be an agent ----------------------------------------------------------------------------------


def stars(*payloads):
    return payloads


def two(a, b):
    return a


def two_messages(a: Message, b: Message):
    return a


def positional(x, /):
    return x


def untold(x: complex):
    return x


def no_json(x) -> complex:
    return x


def unknown(x: "NoSuchType"):  # noqa: F821 - the case
    return x


class Mute(PubSubAgent):
    subscriptions = ("tasks",)


class OneParameter(PubSubAgent):
    subscriptions = ("tasks",)

    async def process_message(self, message):
        return message


class Deaf(PubSubAgent):
    async def process_message(self, message, ctx):
        return message


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: made(stars), "agent 'stars': inputs are bound by name, so *payloads cannot be a parameter"),
        (lambda: made(positional), "agent 'positional': inputs are bound by name, so x cannot be a parameter"),
        (lambda: made(two), "agent 'two': 'a' and 'b' cannot all be the payload: annotate the others with Message or"),
        (lambda: made(two_messages), "agent 'two_messages': 'a' and 'b' cannot all be the payload"),
        (lambda: made(untold), "agent 'untold': parameter 'x' cannot be made from JSON"),
        (lambda: made(no_json), "agent 'no_json': output_schema: no JSON Schema can be made of <class 'complex'>"),
        (lambda: made(unknown), "an annotation names what is not there at run time: name 'NoSuchType' is not defined"),
        (lambda: made(lambda x: x), "agent: the name '<lambda>' must be letters, digits, _ and -"),
        (lambda: agent_of(Mute), "Mute must define process_message(self, message, ctx)"),
        (
            lambda: agent_of(OneParameter),
            "agent 'OneParameter': process_message takes two things: process_message(self",
        ),
        (lambda: agent_of(Deaf), "agent 'Deaf' subscribes to no channel, so it would never be called: say subscribe=…"),
        (lambda: agent(plain), "@agent must say which channels 'plain' reads: @agent(subscribe=…)"),
    ],
    ids=range(12),
)
def test_what_cannot_be_an_agent_is_refused(make, told):
    """With the reason, when it is marked or registered: never when its first message comes."""
    with pytest.raises(RegistryError) as refused:
        make()
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"subscribe": None}, "agent 'plain' subscribes to no channel, so it would never be called: say subscribe=…"),
        ({"subscribe": []}, "agent 'plain' subscribes to no channel"),
        ({"subscribe": ["a", ""]}, "agent 'plain': subscribe: a channel is a text that is not empty, not ''"),
        ({"subscribe": 5}, "agent 'plain': subscribe: a channel is a text that is not empty, not 5"),
        ({"publish": [5]}, "agent 'plain': publish: a channel is a text that is not empty, not 5"),
        ({"publish": "\ud800"}, "agent 'plain': publish: a channel is a text that is not empty, not '\\ud800'"),
        ({"name": "a b"}, "agent: the name 'a b' must be letters, digits, _ and -, and begin with a letter or _"),
        ({"name": "a#1-1"}, "agent: the name 'a#1-1' must be letters"),
        ({"name": "inputs"}, "agent: the name 'inputs' is reserved: choose another"),
        ({"name": 5}, "agent: the name is a text, not 5"),
        ({"concurrency": 0}, "agent 'plain': concurrency is a whole number of at least 1, not 0"),
        ({"concurrency": True}, "at least 1, not True"),
        ({"concurrency": 1.5}, "at least 1, not 1.5"),
        ({"key": 5}, "agent 'plain': key is a path into the payload, such as customer.id, not 5"),
        ({"key": 0}, "key is a path into the payload, such as customer.id, not 0"),
        ({"key": "a..b"}, "key is a path into the payload, such as customer.id, not 'a..b'"),
        ({"timeout": -1}, "agent 'plain': timeout -1 must be a number of seconds above 0"),
        ({"try_count": 0}, "agent 'plain': try_count 0 must be a whole number of at least 1"),
        ({"on_failure": "explode"}, "agent 'plain': on_failure 'explode' must be one of continue, pause, stop"),
        ({"priority": "high"}, "agent 'plain': expected int, got str (at $.priority)"),
        ({"pool": 5}, "agent 'plain': pool is a name that actions share, not 5"),
        ({"rate": "often"}, "agent 'plain': rate is how many starts in what time"),
        ({"input_schema": 5}, "agent 'plain': input_schema is a JSON Schema, as a dict, not 5"),
        ({"input_schema": {"type": "objekt"}}, "agent 'plain': input_schema is no JSON Schema: at $.type: \"objekt\""),
        ({"output_schema": {"$ref": "http://localhost/x"}}, "agent 'plain': output_schema is no JSON Schema"),
        ({"subscibe": "a"}, "@agent has no option 'subscibe'; did you mean 'subscribe'?"),
        ({"colour": 1}, "@agent has no option 'colour'; it takes: name, subscribe, publish, input_schema"),
    ],
    ids=range(27),
)
def test_a_bad_option_is_refused_with_what_it_may_be(options, told):
    """By name, with the value."""
    with pytest.raises(RegistryError) as refused:
        made(**options)
    assert told in str(refused.value)


def test_a_method_is_marked_by_wrapping_it():
    """A bound method takes no mark: that is said, as of an action."""
    with pytest.raises(RegistryError, match="cannot be marked as an agent; wrap it in a function"):
        agent("tasks")(Methods().process_message)
