"""Definition -> YAML as a person would write it: short forms where nothing is lost; reads back exactly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.graph import Condition, Definition, Input, Map, Node, Output, Reuse, RunInput, depended
from dagger.spec.reuse import UNIT_SECONDS
from dagger.spec.yaml_reader import plain_value

_Plain = dict[str, Any]
"""What stands in the file: dicts, lists and JSON's scalars, in the order of writing."""


def to_yaml(definition: Definition) -> str:
    """The definition as a file that `load_text` reads back to the same definition."""
    head = {
        "name": definition.name,
        "description": definition.description,
        "instructions": list(definition.instructions),
        "tags": list(definition.tags),
        "author": definition.author,
        "version": definition.version,
        "signature": definition.signature,
        "config": definition.config,
    }
    plain = {key: value for key, value in head.items() if value or key == "name"}
    if definition.inputs is not None:
        plain["inputs"] = {name: _run_input(declared) for name, declared in definition.inputs.items()}
    blocks = ["\n".join(_mapping(plain, 0)), "nodes:" if definition.nodes else "nodes: []"]
    blocks += ["\n".join(_item(_node(node), 1)) for node in definition.nodes]
    first_node = "\n".join(blocks[1:3])
    return "\n\n".join([blocks[0], first_node, *blocks[3:]]) + "\n"


def _run_input(declared: RunInput) -> Any:
    kinds = list(declared.type) if isinstance(declared.type, tuple) else declared.type
    full: _Plain = {} if kinds is None else {"type": kinds}
    if isinstance(declared.default, msgspec.Raw):
        full["default"] = codec.decode(declared.default)
    if declared.description:
        full["description"] = declared.description
    return kinds if full.keys() == {"type"} and isinstance(kinds, str) else full


def _node(node: Node) -> _Plain:
    plain = {
        "id": node.id,
        "action": node.action,
        "graph": node.graph,
        "when": _condition(node.when),
        "map": _map(node.map),
        "cache": _cache(node.cache),
        "dependencies": _written(node),
        "inputs": _inputs(node.inputs),
        "outputs": [_output(output) for output in node.outputs],
        "failure": node.failure,
        "on_failure": node.on_failure,
        "description": node.description,
    }
    plain = {key: value for key, value in plain.items() if value or key == "id"}
    for field in ("timeout", "try_count", "run_when", "priority"):
        value = getattr(node, field)
        if value != _DEFAULTS[field]:
            plain[field] = int(value) if field == "timeout" and value == int(value) else value
    if node.instructions:
        plain["instructions"] = list(node.instructions)
    return plain


_DEFAULTS = {field: getattr(Node(id=""), field) for field in Node.__struct_fields__}


def _written(node: Node) -> list[str]:
    """The dependencies that no reference implies, or that stand before one of those."""
    implied = {node_id: place for place, node_id in enumerate(depended((), node.inputs, node.when, node.map))}
    written = list(node.dependencies)
    behind = len(implied)
    while written and implied.get(written[-1], behind) < behind:
        behind = implied[written.pop()]
    return written


def _condition(when: Condition | None) -> Any:
    if when is None or not when.tests:
        return when and when.reference
    return {"reference": when.reference, **{name: codec.decode(text) for name, text in when.tests.items()}}


def _map(map: Map | None) -> Any:
    if map is None or map.max_parallel is None:
        return map and map.reference
    return {"reference": map.reference, "max_parallel": map.max_parallel}


def _cache(cache: Reuse | None) -> Any:
    if cache is None or cache == Reuse():
        return cache is not None
    plain = {"key": list(cache.key), "ttl": _duration(cache.ttl_seconds)}
    return {name: value for name, value in plain.items() if value}


def _duration(seconds: float | None) -> str | float | None:
    """In the largest unit of which it is a whole number, if it is not endless."""
    for unit, length in reversed(UNIT_SECONDS.items()):
        if seconds is not None and seconds % length == 0 and seconds // length < 1_000_000_000:  # noqa: PLR2004 - digits
            return f"{int(seconds // length)}{unit}"
    return seconds


def _inputs(inputs: Iterable[Input]) -> Any:
    """A mapping of names to references; a list where there are descriptions."""
    if not any(entry.description for entry in inputs):
        return {entry.name: entry.reference or {"value": _literal(entry)} for entry in inputs}
    listed = []
    for entry in inputs:
        plain = {"name": entry.name, "description": entry.description, "reference": entry.reference}
        plain = {key: value for key, value in plain.items() if value or key == "name"}
        listed.append(plain if entry.reference else {**plain, "value": _literal(entry)})
    return listed


def _literal(entry: Input) -> Any:
    return codec.decode(entry.value) if isinstance(entry.value, msgspec.Raw) else None


def _output(output: Output) -> Any:
    return {"name": output.name, "description": output.description} if output.description else output.name


# ------------------------------------------------------------------------------------------------------- plain -> lines

_STEP = "  "
_SIMPLE = re.compile(r"\.?[\w/(][\w ,;.:/()\[\]{}+*=!?'\"<>|&%$@^~#-]*")
"""What may go without quotes, if it says nothing else so; `- ` and the like are only special at the start."""
_BROKEN = re.compile(r": |:$| #| $")
_ELSEWHERE = re.compile(
    r"(?i:y|n|yes|no|on|off|true|false|null)|\.?[0-9][0-9_,.:eE+-]*|0[box][0-9a-fA-F_]+|[0-9]{4}-[0-9]{1,2}-.*"
)
"""What other YAML readers take for a truth value, a number or a date: quoted, to be safe for them too."""
_MAX_KEY = 500
"""Characters: a longer key is written as `? key`; YAML allows 1,024 bytes without."""


def _mapping(plain: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key, value in plain.items():
        written = _text(key)
        if len(written) <= _MAX_KEY:
            yield from _entry(f"{written}:", value, depth)
        else:
            yield f"{_STEP * depth}? {written}"
            yield from _entry(":", value, depth)


def _entry(start: str, value: Any, depth: int) -> Iterator[str]:
    """A value behind its key."""
    indent = _STEP * depth
    if isinstance(value, dict) and value:
        yield indent + start
        yield from _mapping(value, depth + 1)
    elif isinstance(value, list) and value:
        yield indent + start
        for item in value:
            yield from _item(item, depth + 1)
    else:
        yield f"{indent}{start} {_scalar(value, depth + 1)}"


def _item(value: Any, depth: int) -> Iterator[str]:
    """An entry of a list."""
    indent = _STEP * depth
    lines: Iterable[str]
    if isinstance(value, dict) and value:
        lines = _mapping(value, depth + 1)
    elif isinstance(value, list) and value:
        lines = (line for item in value for line in _item(item, depth + 1))
    else:
        lines = [_STEP * (depth + 1) + _scalar(value, depth + 1)]
    for number, line in enumerate(lines):
        yield f"{indent}- {line[len(indent) + 2 :]}" if number == 0 else line


def _scalar(value: Any, depth: int) -> str:
    if isinstance(value, str):
        return _text_block(value, depth) if _is_block(value) else _text(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return "null" if value is None else str(value).lower()  # an integer, True or False


def _float(value: float) -> str:
    """As Python writes it, with a point: `1e+16` would be a text for YAML 1.1."""
    text = repr(value)
    return text if "." in text else text.replace("e", ".0e")


def _is_block(text: str) -> bool:
    """Whether the text can stand as it is, in lines of its own."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 2 or not lines[0] or not lines[-1]:  # noqa: PLR2004 - one line is no block
        return False
    return all(line.isprintable() and not line.endswith(" ") for line in lines) and not lines[0].startswith(" ")


def _text_block(text: str, depth: int) -> str:
    lines = text.removesuffix("\n").split("\n")
    start = "|" if text.endswith("\n") else "|-"
    return "\n".join([start, *(_STEP * depth + line if line else "" for line in lines)])


def _text(text: str) -> str:
    is_plain = _SIMPLE.fullmatch(text) and text.isprintable() and not _BROKEN.search(text)
    if is_plain and not _ELSEWHERE.fullmatch(text) and isinstance(plain_value(text), str):
        return text
    escaped = re.sub(r'["\\]|[^ -~]', lambda found: _escaped(found[0]), text)
    return f'"{escaped}"'


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004 - of two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - of four digits
