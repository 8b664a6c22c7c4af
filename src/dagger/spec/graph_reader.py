"""The tree of a graph file -> Definition: what each key may hold, and where what it held was written."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET

from dagger.core import codec
from dagger.core.check import Place
from dagger.core.config import RunConfig
from dagger.core.errors import ConfigError, Hints
from dagger.core.graph import MAX_ID_LENGTH, Definition, Input, Node, Output, RunInput, depended, id_problem
from dagger.spec.yaml_reader import Flaw, Mapping, Scalar, Sequence, Tree, is_null, shown, value_of


class Found(NamedTuple):
    """What could be understood of a file."""

    definition: Definition
    """What is wrong is left out; a node without an id is called after its place: `#3`."""
    silent: set[Place]
    """What was found wrong already: no need to tell what follows from it."""
    root: Mapping
    nodes: list[_NodeTree]

    def line(self, place: Place) -> int:
        """Where the thing at a place of the definition was written; starts at 1."""
        if place[:1] == ("nodes",) and len(place) > 1:
            return self._node_line(self.nodes[int(place[1])], place)
        line = self.root.line
        tree: Tree = self.root
        for part in place:
            if type(tree) is not Mapping or part not in tree.entries:
                break
            key, tree = tree.entries[str(part)]
            line = tree.line if type(tree) is Scalar else key.line
        return line

    def _node_line(self, node: _NodeTree, place: Place) -> int:
        _, index, field, position = (*place, "", "")[:4]
        if position != "" and field in node.lines:
            return node.lines[str(field)][int(position)]
        key, value = node.tree.entries.get(str(field), (node.tree, node.tree))
        if position != "" and type(value) is Sequence:
            if "dependencies" not in node.lines:
                # by name: what is stored has no doubles, and what the inputs refer to behind it
                lines = {item.text: item.line for item in reversed(value.items) if type(item) is Scalar}
                ids = self.definition.nodes[int(index)].dependencies
                node.lines["dependencies"] = [lines.get(node_id, value.line) for node_id in ids]
            return node.lines["dependencies"][int(position)]
        return value.line if type(value) is Scalar else key.line


class _NodeTree(NamedTuple):
    tree: Mapping
    lines: dict[str, list[int]]
    """Of the inputs, the outputs and, once they are asked for, the dependencies."""


class Reading:
    """One reading of one file: gathers what is wrong."""

    def __init__(self, flaws: list[Flaw], hints: Hints) -> None:
        self.silent: set[Place] = set()
        self._flaws = flaws
        self._hints = hints

    def flaw(self, where: Tree, label: str, message: str) -> None:
        """Note what is wrong with `where`; `label` says whose it is, e.g. `node 'sum'`."""
        self._flaws.append(Flaw(where.line, f"{label}: {message}" if label else message))

    def unknown_key(self, key: Scalar, label: str, valid: Collection[str]) -> None:
        near = self._hints.nearest(key.text, valid, otherwise="keys")
        self.flaw(key, label, f"unknown key {shown(key, always=True)}{near}")

    def value(self, tree: Tree, label: str, field: str) -> Any:
        """The tree's JSON value; UNSET, and noted, where it is none."""
        flaws: list[Flaw] = []
        value = value_of(tree, flaws)
        for flaw in flaws:
            self._flaws.append(Flaw(flaw.line, f"{label}: {field}: {flaw.message}" if label else flaw.message))
        return UNSET if flaws else value


Read: TypeAlias = Callable[[Tree, str, str, Reading], Any]
"""(value, whose it is, key, reading) -> what the definition holds; UNSET, and noted, where it will not do."""


def graph(tree: Tree, reading: Reading) -> Found | None:
    """All of a file that could be understood; None where it holds no mapping. What is wrong goes into `reading`."""
    if type(tree) is not Mapping:
        reading.flaw(tree, "", f"a graph file is a mapping with `name` and `nodes`, not {shown(tree)}")
        return None
    fields = _fields(tree, _GRAPH, "", reading, ())
    nodes: list[tuple[Node, _NodeTree]] = fields.pop("nodes", [])
    definition = Definition(**{"name": "", **fields}, nodes=tuple(node for node, _ in nodes))
    return Found(definition, reading.silent, tree, [written for _, written in nodes])


def _fields(
    tree: Mapping, reads: dict[str, Read], label: str, reading: Reading, place: Place | None = None
) -> dict[str, Any]:
    """What stands under each known key; nulls count as not written. `place` is in the definition, if it has one."""
    found = {}
    for name, (key, value) in tree.entries.items():
        read = reads.get(name)
        if read is None:
            reading.unknown_key(key, label, reads)
        elif not is_null(value) or read is _literal:
            refused = type(value) is Scalar and value.tag == "!"
            result = UNSET if refused else read(value, label, name, reading)
            if result is not UNSET:
                found[name] = result
            elif place is not None:
                reading.silent.add((*place, name))
    return found


# --------------------------------------------------------------------------------------------------------------- fields


def _text(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is Scalar and not is_null(tree):
        return tree.text
    hint = "; a text that says null needs quotes" if is_null(tree) else ""
    reading.flaw(tree, label, f"{field} must be a text, not {shown(tree)}{hint}")
    return UNSET


def _texts(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Sequence:
        hint = f"; write [{tree.text}]" if type(tree) is Scalar and len(tree.text) <= MAX_ID_LENGTH else ""
        reading.flaw(tree, label, f"{field} must be a list of texts, not {shown(tree)}{hint}")
        return UNSET
    texts = [_text(item, label, f"an entry of {field}", reading) for item in tree.items]
    return tuple(text for text in texts if text is not UNSET)


def _choice(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    text = _text(tree, label, field, reading)
    return text.lower() if isinstance(text, str) else text


def _of_type(*kinds: type, wanted: str) -> Read:
    """What reads a value of one of some types of JSON."""

    def read(tree: Tree, label: str, field: str, reading: Reading) -> Any:
        value = reading.value(tree, label, field)
        if value is UNSET or type(value) in kinds:
            return value
        reading.flaw(tree, label, f"{field} must be {wanted}, not {shown(tree)}")
        return UNSET

    return read


_whole = _of_type(int, wanted="a whole number")
_flag = _of_type(bool, wanted="true or false")
_number = _of_type(int, float, wanted="a number of seconds above 0")


def _seconds(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    value = _number(tree, label, field, reading)
    try:
        # what is out of range is quoted as it was written
        return float(value) if value is not UNSET and value > 0 else value
    except OverflowError:
        reading.flaw(tree, label, f"{field} {shown(tree)} must be a number of seconds above 0")
        return UNSET


def _literal(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    value = reading.value(tree, label, field)
    try:
        return UNSET if value is UNSET else msgspec.Raw(codec.encode(value))
    except codec.NotJson as error:
        reading.flaw(tree, label, f"{field}: {error}")
        return UNSET


# --------------------------------------------------------------------------------------------------- config, run inputs


def _config(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Mapping:
        reading.flaw(tree, label, f"{field} must be a mapping of settings, not {shown(tree)}")
        return UNSET
    settings = {name: reading.value(value, field, name) for name, (_, value) in tree.entries.items()}
    return {name: value for name, value in settings.items() if value is not UNSET and not _is_unset(name, value)}


def _is_unset(name: str, value: object) -> bool:
    """Whether a null means "not written", as in the original's files: where a setting cannot be none."""
    if value is not None or name not in RunConfig.__dataclass_fields__:
        return False
    try:
        RunConfig.of({name: None})
    except ConfigError:
        return True
    return False


def _run_inputs(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Mapping:
        reading.flaw(tree, label, f"{field} must be a mapping of names to types, not {shown(tree)}")
        return UNSET
    return {name: _run_input(name, value, reading) for name, (_, value) in tree.entries.items()}


def _run_input(name: str, tree: Tree, reading: Reading) -> RunInput:
    label = f"run input {name!r:.80}"
    if type(tree) is Mapping:
        return RunInput(**_fields(tree, _RUN_INPUT, label, reading, ("inputs", name)))
    if type(tree) is Sequence:
        reading.flaw(tree, label, "write a type's name, or {type, default, description}")
        return RunInput()
    return RunInput() if is_null(tree) or tree.tag == "!" else RunInput(tree.text)


def _types(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Sequence:
        return _text(tree, label, field, reading)
    # `null` is the name of a type here
    names = [item.text for item in tree.items if type(item) is Scalar]
    if len(names) < len(tree.items):
        reading.flaw(tree, label, f"{field} must be a type's name or a list of names")
        return UNSET
    return tuple(names)


_RUN_INPUT: dict[str, Read] = {"type": _types, "default": _literal, "description": _text}


# ---------------------------------------------------------------------------------------------------------------- nodes


def _nodes(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Sequence:
        reading.flaw(tree, label, f"{field} must be a list of nodes, each with `id` and `action`, not {shown(tree)}")
        return UNSET
    nodes: list[tuple[Node, _NodeTree]] = []
    for number, item in enumerate(tree.items, 1):
        if type(item) is Mapping:
            nodes.append(_node(item, len(nodes), f"#{number}", reading))
        else:
            reading.flaw(item, f"node '#{number}'", f"a node is a mapping with `id` and `action`, not {shown(item)}")
            reading.silent.add(("nodes",))
    return nodes


def _node(tree: Mapping, index: int, fallback: str, reading: Reading) -> tuple[Node, _NodeTree]:
    place = ("nodes", index)
    node_id = _node_id(tree, fallback, (*place, "id"), reading)
    fields = _fields(tree, _NODE, f"node {node_id!r}", reading, place)
    if not fields.pop("onfailure", True):
        fields["try_count"] = 1
    fields["id"] = node_id
    fields.setdefault("action", "")
    lines: dict[str, list[int]] = {}
    for field in ("inputs", "outputs"):
        if field in fields:
            placed = fields[field]
            fields[field] = tuple(thing for thing, _ in placed)
            lines[field] = [line for _, line in placed]
    fields["dependencies"] = depended(fields.get("dependencies", ()), fields.get("inputs", ()))
    return Node(**fields), _NodeTree(tree, lines)


def _node_id(tree: Mapping, fallback: str, place: Place, reading: Reading) -> str:
    """What the node is called from here on; without a name of its own, what follows from that is not told."""
    key, value = tree.entries.get("id", (tree, Scalar("", tree.line, "")))
    if type(value) is Scalar and not is_null(value) and value.tag != "!":
        if len(value.text) <= MAX_ID_LENGTH:
            return value.text
        reading.flaw(value, f"node {fallback!r}", id_problem(value.text))
    elif is_null(value):
        reading.flaw(key, f"node {fallback!r}", "its id is missing")
    reading.silent.add(place)
    return fallback


def _inputs(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """The inputs and their lines: of a list of `{name, reference}`, a list of `{name: reference}`, or one mapping."""
    if type(tree) is Mapping:
        placed = [_short_input(key, value, label, reading) for key, value in tree.entries.values()]
    elif type(tree) is Sequence:
        placed = [_listed_input(item, label, reading) for item in tree.items]
    else:
        reading.flaw(tree, label, f"{field} must be a list of {{name, reference}}, or a mapping of names to references")
        return UNSET
    return [entry for entry in placed if entry is not None]


_Placed: TypeAlias = tuple[Input, int] | None


def _listed_input(tree: Tree, label: str, reading: Reading) -> _Placed:
    if type(tree) is not Mapping:
        reading.flaw(tree, label, f"an input must be {{name, reference}} or {{name, value}}, not {shown(tree)}")
        return None
    if len(tree.entries) == 1 and not tree.entries.keys() & _INPUT.keys():
        (pair,) = tree.entries.values()
        return _short_input(*pair, label, reading)
    entry = tree.entries.get("name")
    name = entry[1] if entry is not None else None
    if name is None or is_null(name):
        reading.flaw(tree, label, "an input needs a name")
    found = _fields(tree, _INPUT, label if name is None else f"{label}: input {shown(name)}", reading)
    return _input(tree, tree, found) if "name" in found else None


def _short_input(key: Scalar, tree: Tree, label: str, reading: Reading) -> _Placed:
    whose = f"{label}: input {shown(key, always=True)}"
    if type(tree) is Mapping:
        found = _fields(tree, _NAMED_INPUT, whose, reading)
        return _input(key, tree, {"name": key.text, **found})
    if type(tree) is Sequence or (not is_null(tree) and not isinstance(value_of(tree, []), str)):
        reading.flaw(tree, whose, f"{shown(tree)} is no reference; a literal is written {{value: …}}")
        return None
    found = {} if is_null(tree) else {"reference": tree.text}
    return None if tree.tag == "!" else _input(key, tree, {"name": key.text, **found})


def _input(where: Tree, tree: Tree, found: dict[str, Any]) -> _Placed:
    """The input, unless what it refers to or holds was found wrong already."""
    given = tree.entries if type(tree) is Mapping else {}
    if any(key in given and key not in found and not is_null(given[key][1]) for key in ("reference", "value")):
        return None
    return Input(**found), where.line


def _outputs(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """The outputs and their lines: of a list of names, or of `{name, description}`."""
    if type(tree) is not Sequence:
        reading.flaw(tree, label, f"{field} must be a list of names, or of {{name, description}}, not {shown(tree)}")
        return UNSET
    placed = [_output(item, label, reading) for item in tree.items]
    return UNSET if None in placed else placed


def _output(tree: Tree, label: str, reading: Reading) -> tuple[Output, int] | None:
    if type(tree) is Mapping:
        found = _fields(tree, _OUTPUT, f"{label}: outputs", reading)
        if "name" in found:
            return Output(**found), tree.line
        if "name" not in tree.entries or is_null(tree.entries["name"][1]):
            reading.flaw(tree, label, "an output needs a name")
        return None
    name = _text(tree, label, "an output", reading)
    return None if name is UNSET else (Output(name), tree.line)


_NAMED_INPUT: dict[str, Read] = {"description": _text, "reference": _text, "value": _literal}
_INPUT: dict[str, Read] = {"name": _text, **_NAMED_INPUT}
_OUTPUT: dict[str, Read] = {"name": _text, "description": _text}
_NODE: dict[str, Read] = {
    "id": _text,
    "action": _text,
    "dependencies": _texts,
    "inputs": _inputs,
    "outputs": _outputs,
    "failure": _text,
    "onfailure": _flag,
    "on_failure": _choice,
    "description": _text,
    "timeout": _seconds,
    "try_count": _whole,
    "run_when": _choice,
    "priority": _whole,
    "instructions": _texts,
}
_GRAPH: dict[str, Read] = {
    "name": _text,
    "description": _text,
    "nodes": _nodes,
    "instructions": _texts,
    "tags": _texts,
    "author": _text,
    "version": _text,
    "signature": _text,
    "config": _config,
    "inputs": _run_inputs,
}
