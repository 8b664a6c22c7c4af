"""What a run is given: its inputs, with defaults, checked before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.errors import InputInvalid, nearest
from dagger.core.graph import Definition, Reference, is_of_type, node_of


def run_inputs(
    definition: Definition, given: Mapping[str, Any], wanted: Mapping[str, bytes | None] | None = None
) -> dict[str, bytes]:
    """The run's inputs as JSON text, with defaults. Raises InputInvalid that names all that is missing or wrong.

    `wanted`: what `wanted_inputs` gives, where it is known already.
    """
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
    problems += _mistyped(definition, given, texts)
    wanted = wanted_inputs(definition) if wanted is None else wanted
    # where inputs are declared, those that are none of them are told already, each with the nearest
    others = [name for name in texts if name not in wanted] if definition.inputs is None else []
    for name, default in wanted.items():
        if name not in given:
            if default is None:
                near = nearest(name, others, label="is it meant by the given")
                problems.append(f"run input {name!r} is missing{near}")
            else:
                texts[name] = default
    if problems:
        message = f"graph {definition.name!r}: " + "; ".join(problems)
        raise InputInvalid(message)
    return texts


def wanted_inputs(definition: Definition) -> dict[str, bytes | None]:
    """Every input that the run must have, with its default's JSON text, or None where there is none."""
    if definition.inputs is not None:
        return {
            name: None if declared.default is msgspec.UNSET else bytes(declared.default)
            for name, declared in definition.inputs.items()
        }
    # nearly all references are to other nodes: their text is looked at before it is taken apart
    texts = [entry.reference for node in definition.nodes for entry in node.inputs]
    texts += [field.reference for node in definition.nodes for field in (node.when, node.map) if field is not None]
    texts = [text for text in texts if text.startswith("inputs") and node_of(text) == "inputs"]
    return {name: None for text in texts if (name := Reference.parse(text).output)}


def _mistyped(definition: Definition, given: Mapping[str, Any], texts: Mapping[str, bytes]) -> Iterator[str]:
    """What the declaration says against the given inputs; `texts` are those that are JSON."""
    declared = definition.inputs
    if declared is None:
        return
    for name, text in texts.items():
        if name not in declared:
            near = nearest(name, declared) or f"; it takes: {', '.join(declared) or 'none'}"
            yield f"there is no run input {name!r}{near}"
            continue
        kinds = declared[name].type
        names: Sequence[str] = (kinds,) if isinstance(kinds, str) else kinds or ()
        if names and not is_of_type(codec.decode(text), names):
            yield f"run input {name!r} must be {' or '.join(names)}, not {given[name]!r:.80}"
