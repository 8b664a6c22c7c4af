"""What a node's references lead to: the JSON text of each of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.cache import Stored
from dagger.core.errors import InputInvalid, nearest
from dagger.core.events import scope_of, step_name
from dagger.core.graph import Input, Node, Reference
from dagger.core.state import State
from dagger.spec.action import Action, argument, refuse_missing


def bind(state: State, step: str, node: Node, action: Action, load: Callable[[str], bytes]) -> dict[str, Any]:
    """The keyword arguments that a node's inputs make. Raises InputInvalid."""
    decoders = action.decoders
    made: dict[str, Any] = {}
    for entry in node.inputs:
        name = entry.name
        text = _text(state, step, node, entry, load)
        if text is None:
            if name in action.required:
                raise InputInvalid(_absent(state, scope_of(step), node, entry))
        elif name in decoders or not action.is_open:
            made[name] = argument(action, node, name, text)
        elif action.gathers:
            made[name] = codec.decode(text)
    for name in action.required:
        if name not in made:
            refuse_missing(action, node, made)
    if action.refuse is not None and (wrong := action.refuse(input_values(state, step, node, load))):
        message = f"node {node.id!r}: {wrong}"
        raise InputInvalid(message)
    return made


def input_values(state: State, step: str, node: Node, load: Callable[[str], bytes]) -> dict[str, Any]:
    """The values of a node's inputs by name, without those whose node did not succeed."""
    texts = [(entry.name, _text(state, step, node, entry, load)) for entry in node.inputs]
    return {name: codec.decode(text) for name, text in texts if text is not None}


def _text(
    state: State, step: str, node: Node, entry: Input, load: Callable[[str], bytes]
) -> bytes | msgspec.Raw | None:
    """The JSON text of an input; None if it refers to a node that did not succeed."""
    source = entry.reference
    if not source:
        return entry.value  # type: ignore[return-value]  # an input without a reference has a value
    if step != node.id and not source.startswith("inputs."):
        source = f"{scope_of(step)}/{source}"
    sections = state.sections
    section = sections.get(source)
    if section is not None and len(section) == 1 and source in state.succeeded:  # a whole node that gave one output
        (stored,) = section.values()
    else:
        name, _, key = source.partition(".")
        section = sections.get(name)
        if section is None or key not in section:
            return _follow(state, scope_of(step), node, entry, load)
        stored = section[key]
    return stored if type(stored) is bytes and stored[0] != codec.BRACE else _loaded(stored, load)


def _loaded(stored: Stored, load: Callable[[str], bytes]) -> bytes:
    return codec.resolve(stored, load) if isinstance(stored, bytes) else stored.text(load)


def _follow(state: State, scope: str, node: Node, entry: Input, load: Callable[[str], bytes]) -> bytes | None:
    """What a reference with a path, or to a whole node, leads to; None if its node did not succeed."""
    reference = Reference.parse(entry.reference)
    where = f"node {node.id!r}: input {entry.name!r}: {entry.reference!r}: "
    source = reference.node if reference.node == "inputs" else step_name(scope, reference.node)
    section = state.sections.get(source, {})
    if source != "inputs" and source not in state.succeeded:
        return None
    if reference.output is None:
        if len(section) == 1:
            return _loaded(next(iter(section.values())), load)
        whole = {key: msgspec.Raw(_loaded(stored, load)) for key, stored in section.items()}
        return msgspec.json.encode(whole) if whole else b"null"
    if reference.output not in section:
        kind = "the run has no input" if source == "inputs" else f"node {reference.node!r} gave no output"
        near = nearest(reference.output, section) or f"; there is: {', '.join(section) or 'nothing'}"
        raise InputInvalid(f"{where}{kind} {reference.output!r}{near}")
    value = codec.decode(_loaded(section[reference.output], load))
    for part in reference.path:
        try:
            if isinstance(value, str) or (isinstance(part, str) and not isinstance(value, dict)):
                raise TypeError  # noqa: TRY301 - a character of a text is no part of it
            value = value[part]
        except (KeyError, IndexError, TypeError):
            raise InputInvalid(where + _dead_end(part, value)) from None
    return codec.encode(value)


def _dead_end(part: str | int, value: Any) -> str:
    match value:
        case dict():
            near = nearest(str(part), value) or f"; it has: {', '.join(list(value)[:8]) or 'nothing'}"
            return f"there is no key {part!r}{near}"
        case list():
            return f"there is no item {part!r} in a list of {len(value)}"
        case _:
            return f"{part!r} cannot be taken from a {type(value).__name__}"


def _absent(state: State, scope: str, node: Node, entry: Input) -> str:
    source = Reference.parse(entry.reference).node
    ended = state.unsuccessful.get(step_name(scope, source))
    became = ended.status if ended else "has not run"
    return f"node {node.id!r}: input {entry.name!r}: {entry.reference!r}: node {source!r} {became}"
