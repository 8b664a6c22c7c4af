"""What a run is given: its inputs, with defaults, checked before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.errors import InputInvalid, nearest
from dagger.core.graph import INPUT_TYPES, Definition


def run_inputs(definition: Definition, given: Mapping[str, Any]) -> dict[str, bytes]:
    """The run's inputs as JSON text, with defaults. Raises InputInvalid that names all that is missing or wrong."""
    if not isinstance(given, Mapping):
        message = f"inputs are a dict of names, not {given!r}"
        raise InputInvalid(message)
    texts: dict[str, bytes] = {}
    problems: list[str] = []
    for name, value in given.items():
        if not codec.is_text(name):
            problems.append(f"run input {name!r}: a name is a string")
            continue
        try:
            texts[name] = codec.encode(value)
        except codec.NotJson as error:
            problems.append(f"run input {name!r}: {error}")
    for name, default in _wanted_inputs(definition).items():
        if name not in given:
            if default is None:
                problems.append(f"run input {name!r} is missing{nearest(name, given)}")
            else:
                texts[name] = default
    problems += _mistyped(definition, given)
    if problems:
        message = f"graph {definition.name!r}: " + "; ".join(problems)
        raise InputInvalid(message)
    return texts


def _wanted_inputs(definition: Definition) -> dict[str, bytes | None]:
    """Every input that the run must have, with its default's JSON text, or None where there is none."""
    if definition.inputs is not None:
        return {
            name: None if declared.default is msgspec.UNSET else bytes(declared.default)
            for name, declared in definition.inputs.items()
        }
    wanted: dict[str, bytes | None] = {}
    for node in definition.nodes:
        for entry in node.inputs:
            if entry.reference.startswith("inputs."):
                name = entry.reference[len("inputs.") :].partition(".")[0].partition("[")[0]
                wanted[name] = None
    return wanted


def _mistyped(definition: Definition, given: Mapping[str, Any]) -> Iterable[str]:
    declared = definition.inputs
    if declared is None:
        return
    for name, value in given.items():
        if name not in declared:
            near = nearest(name, declared) or f"; it takes: {', '.join(declared) or 'none'}"
            yield f"there is no run input {name!r}{near}"
            continue
        kinds = declared[name].type
        names: Sequence[str] = (kinds,) if isinstance(kinds, str) else kinds or ()
        plain = msgspec.to_builtins(value, enc_hook=lambda thing: thing.__dict__)
        if names and not any(_is_of(kind, plain) for kind in names):
            yield f"run input {name!r} must be {' or '.join(names)}, not {value!r:.80}"


def _is_of(kind: str, value: object) -> bool:
    value = list(value) if isinstance(value, tuple) else value
    return isinstance(value, INPUT_TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
