"""Outputs: what an action's result makes at its node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.errors import OutputInvalid
from dagger.core.graph import Node

DEFAULT_OUTPUT = "output"
"""Where a result goes that is no dict, of a node that declares no outputs."""
_ITEMLESS = frozenset((str, int, float, bool, list, tuple))
"""Types of results that surely have no items by name: asking whether others do costs twice their encoding."""


def outputs(node: Node, result: object, blobs: list[codec.Blob]) -> dict[str, msgspec.Raw]:
    """The outputs by name that an action's result makes at its node, as they stand in an event.

    What is large goes to `blobs`. Raises OutputInvalid.
    """
    declared = node.outputs
    if not declared and type(result) in _ITEMLESS:
        name = DEFAULT_OUTPUT
    elif len(declared) == 1:
        name = declared[0].name
    else:
        return {name: codec.sealed(text, blobs) for name, text in _texts(node, result).items()}
    return {name: codec.sealed(_text(node, name, result), blobs)}


def _texts(node: Node, result: object) -> dict[str, bytes]:
    declared = node.outputs
    if declared:
        return _declared(node, result)
    if result is None:
        return {}
    plain = _as_dict(result)
    if plain is None:
        return {DEFAULT_OUTPUT: _text(node, DEFAULT_OUTPUT, result)}
    for key in plain:
        if not codec.is_text(key):
            message = f"node {node.id!r}: an output's name is a string, not {key!r}"
            raise OutputInvalid(message)
    return {key: _text(node, key, value) for key, value in plain.items()}


def _declared(node: Node, result: object) -> dict[str, bytes]:
    """Several declared outputs: from a dict by name, or from a tuple or list by position."""
    names = [output.name for output in node.outputs]
    plain = _as_dict(result)
    if plain is None and isinstance(result, (tuple, list)):
        if len(result) != len(names):
            message = (
                f"node {node.id!r}: declares {len(names)} outputs ({', '.join(names)}) but got {len(result)} values"
            )
            raise OutputInvalid(message)
        plain = dict(zip(names, result, strict=True))
    if plain is None:
        message = (
            f"node {node.id!r}: declares the outputs {', '.join(names)}, so its action must return a dict of "
            f"them or a tuple in their order, not a {type(result).__name__}"
        )
        raise OutputInvalid(message)
    missing = [repr(name) for name in names if name not in plain]
    if missing:
        has = ", ".join(map(str, plain)) or "nothing"
        message = f"node {node.id!r}: declared output {', '.join(missing)} missing; the action returned: {has}"
        raise OutputInvalid(message)
    return {name: _text(node, name, plain[name]) for name in names}


def _as_dict(result: object) -> Mapping[Any, Any] | None:
    """The items of a dict, a dataclass, a Struct or a model; None of anything else."""
    if isinstance(result, Mapping):
        return result
    if hasattr(result, "__dataclass_fields__") or isinstance(result, msgspec.Struct) or hasattr(result, "model_dump"):
        try:
            plain = codec.decode(codec.encode(result))
        except codec.NotJson as error:
            raise OutputInvalid(str(error)) from None
        return plain if isinstance(plain, dict) else None
    return None


def _text(node: Node, name: str, value: object) -> bytes:
    try:
        return codec.encode(value)
    except codec.NotJson as error:
        message = f"node {node.id!r}: output {name!r}: {error}"
        raise OutputInvalid(message) from None
