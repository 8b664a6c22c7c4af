"""@action, NodeAction: inputs -> arguments, result -> outputs."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, Unpack, overload

import msgspec

from dagger.core import codec
from dagger.core.errors import InputInvalid, RegistryError, nearest
from dagger.core.graph import Node, Reuse
from dagger.core.messages import named
from dagger.spec import schema
from dagger.spec.context import Context
from dagger.spec.importable import address_of, found_at
from dagger.spec.limits import Rate
from dagger.spec.options import Options, RunsIn, refuse_options
from dagger.spec.reuse import reuse
from dagger.spec.signature import is_async, is_context, signature, type_hints

Function = TypeVar("Function", bound=Callable[..., Any])
_MARK = "__dagger_action__"
_PLACES = typing.get_args(RunsIn)


class NodeAction:
    """An action as an object: subclass it, set `name`, and write `execute`."""

    name: str = ""
    """Empty: the class's name."""

    def schema(self) -> dict[str, Any]:
        """`{"name", "description", "parameters": {JSON Schema}, "returns": {JSON Schema}}`.

        The inputs of a node that calls this action are checked against `parameters`.
        """
        return {
            "name": self.name or type(self).__name__,
            "description": inspect.getdoc(type(self)) or "",
            "parameters": {"type": "object"},
            "returns": {},
        }

    async def execute(self, ctx: Context) -> Any:
        """Do the work: the inputs are in `ctx.inputs`, what is returned becomes the outputs."""
        message = f"{type(self).__name__} must define execute(ctx)"
        raise RegistryError(message)


class Action:
    """A function made ready to be called with a node's inputs."""

    __slots__ = ("_returns", "address", "cache", "context_name", "decoders", "description", "explicit_schema",
                 "function", "gathers", "is_async", "is_open", "is_simple", "message_name", "name", "pool", "publishes",
                 "rate", "refuse", "required", "runs_in", "slots", "version")  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        context_name: str | None = None,
        message_name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.function = function
        self.name: str = options.get("name") or str(getattr(function, "__name__", type(function).__name__))
        """The name that nodes call it by."""
        self.description = inspect.getdoc(function) or ""
        self.is_async = is_async(function)
        """Whether calling it gives a coroutine."""
        self.runs_in: RunsIn = options.get("runs_in") or ("loop" if self.is_async else "thread")
        self.decoders: dict[str, schema.Decode] = {}
        """What makes each parameter's value from JSON text."""
        self.required: frozenset[str] = frozenset()
        """The parameters without a default."""
        self.context_name = context_name
        """The parameter that receives the context; None: found by its annotation, if there is one."""
        self.message_name = message_name
        """Of an agent: the parameter that receives the message."""
        self.publishes = False
        """Whether what it returns is published, instead of being outputs: it is an agent's."""
        self.gathers = False
        """Whether a `**` parameter takes the inputs without a parameter of their own."""
        self.is_open = False
        """Whether inputs without a parameter of their own are welcome."""
        self.explicit_schema: dict[str, Any] | None = None
        self.refuse: Callable[[Mapping[str, Any]], str] | None = None
        """What is wrong with all inputs together, or nothing: from an explicit schema."""
        self._returns: Any = Any
        if self.runs_in not in _PLACES or (self.is_async and self.runs_in == "thread"):
            wanted = "'loop' or 'process', as it is async" if self.is_async else "'loop', 'thread' or 'process'"
            message = f"action {self.name!r}: runs_in is {wanted}, not {self.runs_in!r}"
            raise RegistryError(message)
        self.address = address_of(function, self.name) if self.runs_in == "process" else ""
        """`module:qualname`, by which a process finds the function; empty: it runs in this one."""
        self._read_signature()
        self.is_simple = self.runs_in == "loop" and self.context_name is None and message_name is None
        """Whether it runs in the loop and sees neither its context nor its message."""
        self._read_limits(options)
        self._read_cache(options)

    @classmethod
    def of_object(cls, thing: NodeAction) -> Action:
        """The action that a NodeAction object is."""
        name = thing.name or type(thing).__name__
        parameters = list(inspect.signature(thing.execute).parameters)
        if not parameters:
            message = f"action {name!r}: execute takes the context: execute(self, ctx)"
            raise RegistryError(message)
        action = cls(thing.execute, name=name, context_name=parameters[0])
        action.explicit_schema = thing.schema()
        action.description = action.explicit_schema.get("description", "")
        action.refuse = schema.refusal(action.explicit_schema.get("parameters", {}), f"action {action.name!r}")
        return action

    def _read_signature(self) -> None:
        hints = type_hints(self.function, self.name)
        self._returns = hints.pop("return", Any)
        required = []
        for parameter in signature(self.function, self.name).parameters.values():
            annotation = hints.get(parameter.name, Any)
            if parameter.name == self.message_name:
                continue
            if parameter.name == self.context_name or is_context(annotation):
                self.context_name, self.is_open = parameter.name, True
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.gathers = self.is_open = True
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                message = f"action {self.name!r}: inputs are bound by name, so {parameter} cannot be a parameter"
                raise RegistryError(message)
            else:
                self.decoders[parameter.name] = self._decoder(parameter.name, annotation)
                if parameter.default is parameter.empty:
                    required.append(parameter.name)
        self.required = frozenset(required)

    def _read_limits(self, options: Options) -> None:
        self.slots = options.get("concurrency")
        """Calls at once; None: as many as the pool's other actions say."""
        self.rate: Rate | None = None
        """Starts in a time; None: as the pool's other actions say."""
        if self.slots is not None and (type(self.slots) is not int or self.slots < 1):
            message = f"action {self.name!r}: concurrency is a whole number of at least 1, not {self.slots!r:.80}"
            raise RegistryError(message)
        if (rate := options.get("rate")) is not None:
            try:
                self.rate = Rate.parse(rate)
            except ValueError as error:
                message = f"action {self.name!r}: {error}"
                raise RegistryError(message) from None
        pool = options.get("pool")
        if pool is not None and not (pool and isinstance(pool, str)):
            message = f"action {self.name!r}: pool is a name that actions share, not {pool!r:.80}"
            raise RegistryError(message)
        self.pool: str = pool or (self.name if self.slots or self.rate else "")
        """The pool that its calls take a slot of, by default one of its own name; empty: none."""

    def _read_cache(self, options: Options) -> None:
        version = options.get("version")
        if version is not None and type(version) not in (str, int):
            message = f"action {self.name!r}: version is a text or a whole number, not {version!r:.80}"
            raise RegistryError(message)
        self.version = "" if version is None else str(version)
        """Another version is other work."""
        try:
            self.cache: Reuse | None = reuse(options.get("cache"), f"action {self.name!r}: cache")
        except ValueError as error:
            raise RegistryError(str(error)) from None
        """When an earlier run's outputs do, at nodes that do not say it themselves; None: never."""
        for name in self.cache.key if self.cache else ():
            if name not in self.decoders and not self.is_open:
                takes = ", ".join(self.decoders) or "none"
                near = nearest(name, self.decoders)
                message = f"action {self.name!r}: cache: key: it has no parameter {name!r}{near} (it takes: {takes})"
                raise RegistryError(message)

    def require_importable(self) -> None:
        """Raise RegistryError if another process would not find the function: only now can its module be complete."""
        found = found_at(self.address) if self.address else self
        if action_of(found) is not self:
            what = "nothing is there" if found is None else f"there is {found!r:.80}"
            message = (
                f"action {self.name!r}: a process would look for it at {self.address}, but {what}; "
                "let that name stand for the decorated function"
            )
            raise RegistryError(message)

    def _decoder(self, name: str, annotation: Any) -> schema.Decode:
        try:
            return schema.decoder(annotation)
        except (TypeError, NotImplementedError) as error:
            message = f"action {self.name!r}: parameter {name!r} cannot be made from JSON: {error}"
            raise RegistryError(message) from None

    def schema(self) -> dict[str, Any]:
        """`{"name", "description", "parameters": {JSON Schema}, "returns": {JSON Schema}}`."""
        if self.explicit_schema is not None:
            return self.explicit_schema
        hints = type_hints(self.function, self.name)
        made, shared = schema.json_schemas([hints.get(name, Any) for name in self.decoders])
        properties = dict(zip(self.decoders, made, strict=True))
        for name, default in self._defaults():
            properties[name]["default"] = default
        parameters: dict[str, Any] = {
            "type": "object",
            "properties": properties,
            "required": self._in_order(self.required),
        }
        if not self.is_open:
            parameters["additionalProperties"] = False
        if shared:
            parameters["$defs"] = shared
        (returns,), shared = schema.json_schemas([self._returns])
        if shared:
            returns["$defs"] = shared
        return {"name": self.name, "description": self.description, "parameters": parameters, "returns": returns}

    def _in_order(self, names: frozenset[str]) -> list[str]:
        return [name for name in self.decoders if name in names]

    def _defaults(self) -> Iterator[tuple[str, Any]]:
        """The parameters' defaults as JSON values: those that an input could be."""
        parameters = signature(self.function, self.name).parameters
        for name, decode in self.decoders.items():
            default = parameters[name].default
            if default is inspect.Parameter.empty:
                continue
            try:
                text = codec.encode(default)
                decode(text)
            except ValueError:  # codec's, msgspec's and models' errors are ValueErrors
                continue
            yield name, codec.decode(text)

    def __repr__(self) -> str:
        return f"<action {self.name}>"


def argument(action: Action, node: Node, name: str, text: bytes | msgspec.Raw) -> Any:
    """The value of one parameter from an input's JSON text. Raises InputInvalid."""
    decode = action.decoders.get(name)
    if decode is None:
        takes = ", ".join(action.decoders) or "none"
        near = nearest(name, action.decoders)
        message = f"node {node.id!r}: action {action.name!r} has no parameter {name!r}{near} (it takes: {takes})"
        raise InputInvalid(message)
    try:
        return decode(text)
    except (msgspec.DecodeError, ValueError) as error:
        message = f"{named(node)}: input {name!r}: {schema.complaint(error, bytes(text), decode)}"
        raise InputInvalid(message) from None


def require_fit(action: Action, node: Node) -> None:
    """Raise InputInvalid where the node's inputs cannot be the action's: their names, and the values of literals."""
    if node.map is not None:
        return  # its item goes where it fits
    for entry in node.inputs:
        is_known = entry.name in action.decoders
        if not (entry.reference if is_known else action.is_open):
            argument(action, node, entry.name, b"" if entry.value is msgspec.UNSET else entry.value)
    refuse_missing(action, node, {entry.name: None for entry in node.inputs})
    if action.refuse is not None and not any(entry.value is msgspec.UNSET for entry in node.inputs):
        values = {entry.name: entry.value for entry in node.inputs if entry.value is not msgspec.UNSET}
        wrong = action.refuse({name: codec.decode(value) for name, value in values.items()})
        if wrong:
            message = f"node {node.id!r}: {wrong}"
            raise InputInvalid(message)


def refuse_missing(action: Action, node: Node, made: Mapping[str, Any]) -> None:
    """Raise InputInvalid where a required parameter has no value."""
    missing = [repr(name) for name in action.decoders if name in action.required and name not in made]
    if missing:
        word = "input" if len(missing) == 1 else "inputs"
        message = f"node {node.id!r}: {word} {', '.join(missing)} missing; action {action.name!r} requires it"
        raise InputInvalid(message)


@overload
def action(function: Function, /) -> Function: ...
@overload
def action(function: str | None = None, /, **options: Unpack[Options]) -> Callable[[Function], Function]: ...
def action(
    function: Function | str | None = None, /, **options: Unpack[Options]
) -> Function | Callable[[Function], Function]:
    """Make a function an action that an application can register; it stays callable as plain Python.

    `name`: what nodes call it by; default: the function's name. `runs_in`: `loop` (the default of an async function),
    `thread` (of a plain one) or `process`. `concurrency`: calls at once, in this application. `rate`: starts in a
    time, `60/min`. `pool`: its actions share both. `cache`: True, or a dict of `key` and `ttl`: an earlier run's
    outputs do where these inputs and the `version` are the same.
    Raises RegistryError for an option that will not do, and for a signature that inputs cannot fill.
    """
    refuse_options(options)
    if function is None or isinstance(function, str):
        options["name"] = function or options.get("name")
        return lambda decorated: _marked(decorated, options)
    return _marked(function, options)


def _marked(function: Function, options: Options) -> Function:
    made = Action(function, **options)
    try:
        setattr(function, _MARK, made)
    except AttributeError:
        message = f"{function!r} cannot be marked as an action; wrap it in a function"
        raise RegistryError(message) from None
    return function


def action_of(thing: object) -> Action | None:
    """The action that `thing` is: a marked function, a NodeAction or its class; None where it is none."""
    if isinstance(thing, Action):
        return thing
    if inspect.isclass(thing) and (not issubclass(thing, NodeAction) or thing is NodeAction):
        return None
    if inspect.isclass(thing) or isinstance(thing, NodeAction):
        own = vars(thing).get(_MARK)  # not what it inherits: a subclass is an action of its own
        if own is None:
            made = thing() if isinstance(thing, type) else thing
            assert isinstance(made, NodeAction)
            own = Action.of_object(made)
            setattr(thing, _MARK, own)
        return own
    marked = getattr(thing, _MARK, None)
    return marked if isinstance(marked, Action) else None
