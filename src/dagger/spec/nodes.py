"""Nodes as code writes them: keyword arguments -> Node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack, get_args

import msgspec

from dagger.core import codec
from dagger.core.check import MAP_OVER_A_LIST
from dagger.core.config import OnFailure
from dagger.core.errors import GraphError, nearest
from dagger.core.graph import (
    DEFAULT_TIMEOUT_SECONDS,
    Condition,
    Definition,
    Input,
    Map,
    Node,
    NodeRef,
    Output,
    Reuse,
    depended,
    literal,
)
from dagger.spec.action import action_of
from dagger.spec.fields import After, NodeFields
from dagger.spec.reuse import reuse
from dagger.spec.schema import in_words


def new_node(
    node_id: str, called: Mapping[str, str], after: After, inputs: Mapping[str, Any], **fields: Unpack[NodeFields]
) -> Node:
    """The node of these fields; `called`: its action or its graph. Raises GraphError.

    Whether what it refers to is there is not asked here.
    """
    where = f"node {node_id!r}"
    for name in fields:
        if name not in NodeFields.__annotations__:
            near = nearest(name, NodeFields.__annotations__)
            message = f"{where}: a node has no field {name!r}{near}; its inputs are given as inputs={{…}}"
            raise GraphError(message)
    given = _inputs(where, inputs)
    if not fields and type(node_id) is str and not called.get("graph"):  # as code adds nodes by the thousand
        return Node(
            id=node_id, action=called["action"], inputs=given, dependencies=depended(_waited_for(where, after), given)
        )
    condition, mapped = _condition(where, fields.get("when")), _map(where, fields.get("map"))
    node = Node(
        id=node_id,
        action=called.get("action", ""),
        graph=called.get("graph", ""),
        when=condition,
        map=mapped,
        cache=_reuse(where, fields.get("cache")),
        dependencies=depended(_waited_for(where, after), given, condition, mapped),
        inputs=given,
        outputs=tuple(Output(output) for output in texts(f"{where}: outputs", fields.get("outputs", ()))),
        failure=action_name(failure) if (failure := fields.get("failure")) else "",
        on_failure=_policy(where, fields.get("on_failure")),
        description=fields.get("description", ""),
        timeout=_above_zero(where, fields.get("timeout")),
        try_count=_tries(where, fields.get("try_count"), fields.get("onfailure")),
        run_when=fields.get("run_when", "succeeded"),
        priority=fields.get("priority", 0),
        instructions=texts(f"{where}: instructions", fields.get("instructions", ())),
    )
    require_types(node, where)
    return node


def require_types(made: Node | Definition, where: str) -> None:
    """Raise GraphError for a field of the wrong type: a journal with it in could not be read back."""
    try:
        msgspec.json.decode(msgspec.json.encode(made), type=type(made))
    except (TypeError, ValueError) as error:  # msgspec's and Unicode's errors are ValueErrors
        message = f"{where}: {in_words(error)}"
        raise GraphError(message) from None


def action_name(action: object) -> str:
    """The name that nodes call an action by. Raises GraphError."""
    if isinstance(action, str):
        return action
    known = action_of(action)
    name = known.name if known else getattr(action, "__name__", None)
    if not isinstance(name, str):
        message = f"{action!r} is no action: give its name, the function, or the NodeAction"
        raise GraphError(message)
    return name


def _inputs(where: str, inputs: Mapping[str, Any]) -> tuple[Input, ...]:
    if not isinstance(inputs, Mapping):
        message = f"{where}: inputs are a dict of names, not {inputs!r:.80}"
        raise GraphError(message)
    return tuple(_input(where, name, value) for name, value in inputs.items())


def _input(where: str, name: str, value: object) -> Input:
    if not codec.is_text(name):
        message = f"{where}: an input's name is a text, not {name!r:.80}"
        raise GraphError(message)
    if isinstance(value, NodeRef):
        return Input(name, value.reference)
    return Input(name, value=literal(value, f"{where}: input {name!r}"))


HINT = "; an input of that name goes into inputs={{'{}': …}}"


def _condition(where: str, given: object) -> Condition | None:
    if isinstance(given, Mapping):
        tests = {str(name): value for name, value in given.items() if name != "reference"}
        texts = {name: literal(value, f"{where}: when: {name}") for name, value in tests.items()}
        return Condition(_reference(where, "when", given.get("reference", "")), texts)
    return None if given is None else Condition(_reference(where, "when", given))


def _map(where: str, given: object) -> Map | None:
    if isinstance(given, Mapping):
        for name in given:
            if name not in _MAP:
                near = nearest(str(name), _MAP) or f"; it takes: {', '.join(_MAP)}"
                message = f"{where}: map: unknown key {name!r:.80}{near}"
                raise GraphError(message)
        return Map(_reference(where, "map", given.get("reference", "")), given.get("max_parallel"))
    return None if given is None else Map(_reference(where, "map", given))


_MAP = ("reference", "max_parallel")


def _reference(where: str, field: str, given: object) -> str:
    """As it is written in a file."""
    if isinstance(given, NodeRef | str):
        return given.reference if isinstance(given, NodeRef) else given
    is_list = field == "map" and isinstance(given, list | tuple)
    problem = MAP_OVER_A_LIST if is_list else f"takes a reference, not {given!r:.80}"
    message = f"{where}: {field} {problem}{HINT.format(field)}"
    raise GraphError(message)


def _reuse(where: str, given: object) -> Reuse | None:
    try:
        return reuse(None if given is False else given, f"{where}: cache")
    except ValueError as error:
        raise GraphError(str(error) + HINT.format("cache")) from None


def _waited_for(where: str, after: object) -> Iterator[str]:
    """The ids of one node or several."""
    for one in (after,) if isinstance(after, NodeRef | str) or not isinstance(after, Iterable) else after:
        if not isinstance(one, NodeRef | str):
            message = f"{where}: after takes references and node ids, not {one!r:.80}"
            raise GraphError(message)
        yield one.node if isinstance(one, NodeRef) else one


def texts(where: str, given: Iterable[str]) -> tuple[str, ...]:
    """One text or several; what is no text among them is found by `require_types`."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable):
        message = f"{where} takes texts, not {given!r:.80}"
        raise GraphError(message)
    return tuple(given)


def _policy(where: str, on_failure: str | None) -> str:
    if on_failure not in (None, *get_args(OnFailure)):
        message = f"{where}: on_failure {on_failure!r} must be one of {', '.join(get_args(OnFailure))}"
        raise GraphError(message)
    return on_failure or ""


def _above_zero(where: str, seconds: float | None) -> float:
    if seconds is None:
        return DEFAULT_TIMEOUT_SECONDS
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        message = f"{where}: timeout {seconds!r} must be a number of seconds above 0"
        raise GraphError(message)
    return float(seconds)


def _tries(where: str, tries: int | None, onfailure: bool | None) -> int | None:  # noqa: FBT001 - as in a file
    if tries is not None and (isinstance(tries, bool) or not isinstance(tries, int) or tries < 1):
        message = f"{where}: try_count {tries!r} must be a whole number of at least 1"
        raise GraphError(message)
    if not isinstance(onfailure, bool | None):
        message = f"{where}: onfailure {onfailure!r} must be True or False"
        raise GraphError(message)
    if onfailure is not False:
        return tries
    if tries not in (None, 1):
        message = f"{where}: onfailure=False is try_count=1, not {tries}"
        raise GraphError(message)
    return 1
