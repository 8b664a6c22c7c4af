"""@agent, PubSubAgent: what handles the messages of channels, and what it publishes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, get_args, overload

import msgspec

from dagger.core import codec
from dagger.core.config import OnFailure
from dagger.core.errors import GraphError, OutputInvalid, RegistryError, nearest
from dagger.core.graph import Input, id_problem
from dagger.core.messages import AGENT, PAYLOAD, Agent
from dagger.spec import schema
from dagger.spec.action import Action
from dagger.spec.context import Context
from dagger.spec.contracts import Contract
from dagger.spec.gathering import Many, gathering
from dagger.spec.message import Message
from dagger.spec.nodes import new_node
from dagger.spec.signature import is_context, signature, type_hints

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__dagger_agent__"


class AgentOptions(TypedDict, total=False):
    """The keywords of `@agent`; None is the same as not given."""

    name: str | None
    """Default: the function's name."""
    subscribe: str | Iterable[str]
    """The channels that it reads: at least one."""
    publish: str | Iterable[str]
    """The channels that it may publish to."""
    input_schema: Mapping[str, Any] | None
    """JSON Schema of the payloads that it takes; default: of its payload's type."""
    output_schema: Mapping[str, Any] | None
    """JSON Schema of the payloads that it publishes; default: of the type that it returns or yields."""
    concurrency: int | None
    """Messages at work at once, at least 1; default 1, strictly in the order of publication; with `key`, no limit."""
    key: str | None
    """A path into the payload, `customer.id`: messages with the same value there are handled in order."""
    timeout: float | None
    """Seconds for one attempt."""
    try_count: int | None
    """Attempts of each message; default: the config's `max_attempts`."""
    on_failure: OnFailure | None
    """What a dead letter means for the run; default: as the config says."""
    priority: int
    """Higher runs first among the ready."""
    pool: str | None
    """As of an action."""
    rate: str | None
    """As of an action."""


_OPTIONS = tuple(AgentOptions.__annotations__)
_NODE_FIELDS = ("timeout", "try_count", "on_failure", "priority")


class PubSubAgent:
    """An agent as an object: subclass it, set these, and write `process_message`."""

    name: str = ""
    """Empty: the class's name."""
    subscriptions: Sequence[str] = ()
    publications: Sequence[str] = ()
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    concurrency: int | None = None
    key: str = ""

    async def process_message(self, message: Message, ctx: Context) -> Any:
        """Handle one message: what is returned is published, as by `@agent`."""
        raise NotImplementedError


class AgentAction(Action):
    """An agent's code, made ready to be called with a message."""

    __slots__ = ("agent", "is_told_by_type", "takes")

    def __init__(
        self, function: Callable[..., Any], *, of_object: bool = False, **options: Unpack[AgentOptions]
    ) -> None:
        """`of_object`: the function takes two things, the message, or a payload of another type, and the context."""
        _refuse_options(options)
        if not callable(function):
            message = f"{function!r:.80} is no agent: mark a function with @agent, or subclass PubSubAgent"
            raise RegistryError(message)
        name = options.get("name") or str(getattr(function, "__name__", ""))
        if not codec.is_text(name):
            message = f"agent: the name is a text, not {name!r:.80}"
            raise RegistryError(message)
        if problem := id_problem(name):
            message = f"agent: {problem.replace('node id', 'the name', 1)}"
            raise RegistryError(message)
        hints = type_hints(function, name)
        takes = _takes(function, name, hints, of_object=of_object)
        called, returned = gathering(function, hints.get("return", Any))
        try:
            super().__init__(
                called,
                name=AGENT + name,
                context_name=takes.context,
                message_name=takes.message,
                pool=options.get("pool"),
                rate=options.get("rate"),
            )
        except RegistryError as error:
            message = str(error).replace(f"action {AGENT + name!r}", f"agent {name!r}", 1)
            raise RegistryError(message) from None
        self.publishes = True
        payload_type = hints.get(takes.payload or "", Any)
        self.takes: tuple[Any, schema.Decode] | None = None
        """The type of its payload, and what decodes it; None: it takes any JSON value."""
        if takes.payload and payload_type not in schema.ANYTHING:
            self.takes = payload_type, self.decoders[takes.payload]
        self.is_told_by_type = (
            self.takes is not None and options.get("input_schema") is None and schema.is_told_by_decoding(payload_type)
        )
        """Whether its schema says nothing that its type does not."""
        made = self._agent(name, options, (takes.payload, payload_type), returned)
        self.agent = msgspec.structs.replace(
            made, requests=_mentions(function, "request"), finishes=_mentions(function, "finish")
        )

    @classmethod
    def of_class(cls, thing: PubSubAgent) -> AgentAction:
        """The agent that a PubSubAgent object is."""
        if type(thing).process_message is PubSubAgent.process_message:
            message = f"{type(thing).__name__} must define process_message(self, message, ctx)"
            raise RegistryError(message)

        def told(field: str) -> Any:
            value = getattr(thing, field)
            return value() if callable(value) and not isinstance(value, type) else value

        made = cls(
            thing.process_message,
            of_object=True,
            name=told("name") or type(thing).__name__,
            subscribe=told("subscriptions"),
            publish=told("publications"),
            input_schema=told("input_schema"),
            output_schema=told("output_schema"),
            concurrency=told("concurrency"),
            key=told("key"),
        )
        # not what `inspect.getdoc` finds: that would be what PubSubAgent says of itself
        made.description = inspect.cleandoc(thing.process_message.__doc__ or type(thing).__doc__ or "")
        made.agent = msgspec.structs.replace(made.agent, description=made.description)
        return made

    def _agent(self, name: str, options: AgentOptions, payload: tuple[str | None, Any], returned: Any) -> Agent:
        subscriptions = _channels(name, "subscribe", options.get("subscribe"))
        if not subscriptions:
            message = f"agent {name!r} subscribes to no channel, so it would never be called: say subscribe=…"
            raise RegistryError(message)
        key = "" if (given_key := options.get("key")) is None else given_key
        concurrency = options.get("concurrency")
        if concurrency is None and not key:
            concurrency = 1
        if not (concurrency is None or (type(concurrency) is int and concurrency >= 1)):
            message = f"agent {name!r}: concurrency is a whole number of at least 1, not {concurrency!r:.80}"
            raise RegistryError(message)
        if key != "" and not (isinstance(key, str) and all(key.split("."))):
            message = f"agent {name!r}: key is a path into the payload, such as customer.id, not {key!r:.80}"
            raise RegistryError(message)
        given: dict[str, Any] = {field: value for field in _NODE_FIELDS if (value := options.get(field)) is not None}
        try:
            node = new_node(name, {"action": self.name}, (), {}, **given)
        except GraphError as error:
            message = str(error).replace("node", "agent", 1)
            raise RegistryError(message) from None
        if payload[0]:
            node = msgspec.structs.replace(node, inputs=(Input(payload[0], PAYLOAD),))
        input_schema = _schema(name, "input_schema", options.get("input_schema"), payload[1])
        if key and options.get("input_schema") is None:
            _refuse_key(name, key, input_schema or {})
        return Agent(
            name=name,
            description=self.description,
            subscriptions=subscriptions,
            publications=_channels(name, "publish", options.get("publish")),
            node=node,
            concurrency=concurrency,
            key=key,
            input_schema=input_schema,
            output_schema=_schema(name, "output_schema", options.get("output_schema"), returned),
            publishes_exactly=(
                options.get("output_schema") is None
                and self.context_name is None  # else it may publish more than it returns
                and schema.has_just_its_fields(returned)
            ),
        )

    def payloads(self, result: object) -> Sequence[object]:
        """What a result is published as, to its one publication. Raises OutputInvalid where nobody knows where to."""
        values: Sequence[object] = result.values if type(result) is Many else () if result is None else (result,)
        if values and len(self.agent.publications) != 1:
            told = ", ".join(map(repr, self.agent.publications)) or "none"
            message = (
                f"agent {self.agent.name!r} returned a value, which goes to its one publication, "
                f"but it declares {told}: use ctx.publish(channel, payload)"
            )
            raise OutputInvalid(message)
        return values

    def __repr__(self) -> str:
        return f"<agent {self.agent.name}>"


class _Takes(NamedTuple):
    """The parameters of an agent's code."""

    message: str | None = None
    context: str | None = None
    """None: found by its annotation, if there is one."""
    payload: str | None = None


def _takes(function: Callable[..., Any], name: str, hints: Mapping[str, Any], *, of_object: bool) -> _Takes:
    parameters = list(signature(function, name).parameters)
    if of_object:
        if len(parameters) != 2:  # noqa: PLR2004 - the message and the context
            problem = f"agent {name!r}: process_message takes two things: process_message(self, message, ctx)"
            raise RegistryError(problem)
        given, context = parameters
        hint = hints.get(given, Message)
        is_message = hint in (Message, Any, object) or Message in get_args(hint)
        return _Takes(given, context) if is_message else _Takes(None, context, given)
    message = [parameter for parameter in parameters if hints.get(parameter) is Message]
    rest = [each for each in parameters if each not in message and not is_context(hints.get(each, Any))]
    if len(rest) > 1 or len(message) > 1:
        both = " and ".join(map(repr, rest if len(rest) > 1 else message))
        problem = f"agent {name!r}: {both} cannot all be the payload: annotate the others with Message or Context"
        raise RegistryError(problem)
    return _Takes(message[0] if message else None, None, rest[0] if rest else None)


def _channels(name: str, option: str, given: str | Iterable[str] | None) -> tuple[str, ...]:
    channels = (given,) if isinstance(given, str) or not isinstance(given, Iterable | None) else tuple(given or ())
    for channel in channels:
        if not (codec.is_text(channel) and channel):
            message = f"agent {name!r}: {option}: a channel is a text that is not empty, not {channel!r:.80}"
            raise RegistryError(message)
    return tuple(dict.fromkeys(channels))


def _schema(name: str, option: str, given: Mapping[str, Any] | None, annotation: Any) -> dict[str, Any] | None:
    where = f"agent {name!r}: {option}"
    if given is not None:
        if not isinstance(given, Mapping):
            message = f"{where} is a JSON Schema, as a dict, not {given!r:.80}; a type is said by an annotation"
            raise RegistryError(message)
        Contract.of(dict(given), where)
        return dict(given) or None
    if annotation in (Any, object, None, type(None)):
        return None
    try:
        (made,), shared = schema.json_schemas([annotation])
    except (TypeError, NotImplementedError) as error:
        message = f"{where}: no JSON Schema can be made of {annotation!r}: {error}; annotate it, or give one"
        raise RegistryError(message) from None
    return {**made, "$defs": shared} if shared else made or None


def _refuse_key(name: str, key: str, of_type: dict[str, Any]) -> None:
    """Raise RegistryError for a path that leads nowhere in any payload of the type; most types let more fields be."""
    definitions, inner = of_type.get("$defs", {}), of_type
    for part in key.split("."):
        inner = definitions.get(inner.get("$ref", "").removeprefix("#/$defs/"), inner)
        kind, fields = inner.get("type"), inner.get("properties", {})
        if isinstance(kind, str) and kind != "object":
            message = f"agent {name!r}: key {key!r} leads nowhere: {part!r} is looked for in what is of type {kind}"
            raise RegistryError(message)
        inner = fields.get(part, inner.get("additionalProperties"))
        if inner is False:
            near = nearest(part, fields) or f"; there are: {', '.join(fields) or 'none'}"
            message = f"agent {name!r}: key {key!r} leads nowhere: there is no field {part!r}{near}"
            raise RegistryError(message)
        if not isinstance(inner, dict):
            return  # what is in it, its type does not say


def _mentions(function: Callable[..., Any], name: str) -> bool:
    """Whether a function's code, or a function's in it, uses an attribute of that name."""
    codes = [getattr(inspect.unwrap(function), "__code__", None)]
    while codes:
        code = codes.pop()
        if code is None:
            continue
        if name in code.co_names:
            return True
        codes += [each for each in code.co_consts if inspect.iscode(each)]
    return False


def _refuse_options(given: Mapping[str, object]) -> None:
    for name in given:
        if name not in _OPTIONS:
            takes = ", ".join(_OPTIONS)
            message = f"@agent has no option {name!r}{nearest(name, _OPTIONS) or f'; it takes: {takes}'}"
            raise RegistryError(message)


@overload
def agent(**options: Unpack[AgentOptions]) -> Callable[[Function], Function]: ...
@overload
def agent(subscribe: str, /, **options: Unpack[AgentOptions]) -> Callable[[Function], Function]: ...
def agent(subscribe: str = "", /, **options: Unpack[AgentOptions]) -> Callable[[Function], Function]:
    """Make a function an agent that an application can register; it stays callable as plain Python.

    A parameter annotated `Message` receives the message, one annotated `Context` the context; the one other parameter
    is the payload. What it returns is published to its one publication; of a generator each yielded value, together at
    its end. Raises RegistryError for what no agent can be.
    """
    if callable(subscribe):
        name = getattr(subscribe, "__name__", subscribe)
        message = f"@agent must say which channels {name!r:.80} reads: @agent(subscribe=…)"
        raise RegistryError(message)
    if subscribe:
        options["subscribe"] = subscribe

    def mark(decorated: Function) -> Function:
        made = AgentAction(decorated, **options)
        try:
            setattr(decorated, _MARK, made)
        except AttributeError:
            message = f"{decorated!r:.80} cannot be marked as an agent; wrap it in a function"
            raise RegistryError(message) from None
        return decorated

    return mark


def agent_of(thing: object) -> AgentAction | None:
    """The agent that `thing` is: a marked function, a PubSubAgent or its class; None where it is none."""
    if isinstance(thing, AgentAction):
        return thing
    if inspect.isclass(thing) and (not issubclass(thing, PubSubAgent) or thing is PubSubAgent):
        return None
    if inspect.isclass(thing) or isinstance(thing, PubSubAgent):
        own = vars(thing).get(_MARK)  # not what it inherits: a subclass is an agent of its own
        if own is None:
            made = thing() if isinstance(thing, type) else thing
            assert isinstance(made, PubSubAgent)
            own = AgentAction.of_class(made)
            setattr(thing, _MARK, own)
        return own
    marked = getattr(thing, _MARK, None)
    return marked if isinstance(marked, AgentAction) else None
