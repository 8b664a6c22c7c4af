"""The tree of a graph file -> Definition: what each key may hold, and where what it held was written."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from msgspec import UNSET

from dagger.core.check import MAP_OVER_A_LIST, Place
from dagger.core.config import RunConfig
from dagger.core.errors import ConfigError
from dagger.core.graph import (
    MAX_ID_LENGTH,
    TESTS,
    Condition,
    Definition,
    Input,
    Map,
    Node,
    Output,
    RunInput,
    depended,
    id_problem,
)
from dagger.spec.reading import (
    Read,
    Reading,
    choice_of,
    fields_of,
    flag_of,
    literal_of,
    seconds_of,
    text_of,
    texts_of,
    whole_of,
)
from dagger.spec.reuse import reuse
from dagger.spec.yaml_reader import Mapping, Scalar, Sequence, Tree, is_null, shown, value_of


class Found(NamedTuple):
    """What could be understood of a file."""

    definition: Definition
    """What is wrong is left out; a node without an id is called after its place: `#3`."""
    silent: set[Place]
    """See Reading."""
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
        if type(value) is Mapping and position in value.entries:
            key, value = value.entries[str(position)]
        return value.line if type(value) is Scalar else key.line


class _NodeTree(NamedTuple):
    tree: Mapping
    lines: dict[str, list[int]]
    """Of the inputs, the outputs and, once they are asked for, the dependencies."""


def graph(tree: Tree, reading: Reading) -> Found | None:
    """All of a file that could be understood; None where it holds no mapping. What is wrong goes into `reading`."""
    if type(tree) is not Mapping:
        reading.flaw(tree, "", f"a graph file is a mapping with `name` and `nodes`, not {shown(tree)}")
        return None
    fields = fields_of(tree, _GRAPH, "", reading, ())
    nodes: list[tuple[Node, _NodeTree]] = fields.pop("nodes", [])
    definition = Definition(**{"name": "", **fields}, nodes=tuple(node for node, _ in nodes))
    return Found(definition, reading.silent, tree, [written for _, written in nodes])


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
        return RunInput(**fields_of(tree, _RUN_INPUT, label, reading, ("inputs", name)))
    if type(tree) is Sequence:
        reading.flaw(tree, label, "write a type's name, or {type, default, description}")
        return RunInput()
    return RunInput() if is_null(tree) or tree.tag == "!" else RunInput(tree.text)


def _types(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Sequence:
        return text_of(tree, label, field, reading)
    # `null` is the name of a type here
    names = [item.text for item in tree.items if type(item) is Scalar]
    if len(names) < len(tree.items):
        reading.flaw(tree, label, f"{field} must be a type's name or a list of names")
        return UNSET
    return tuple(names)


_RUN_INPUT: dict[str, Read] = {"type": _types, "default": literal_of, "description": text_of}


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
    fields = fields_of(tree, _NODE, f"node {node_id!r}", reading, place)
    if not fields.pop("onfailure", True):
        fields["try_count"] = 1
    fields["id"] = node_id
    if (*place, "graph") in reading.silent:
        reading.silent.add((*place, "action"))  # that there is none
    if (*place, "map") in reading.silent:
        reading.silent.add((*place, "map", "reference"))
        fields["map"] = Map("")  # its inputs have an item all the same
    lines: dict[str, list[int]] = {}
    for field in ("inputs", "outputs"):
        if field in fields:
            placed = fields[field]
            if field == "inputs" and len(placed) < _size(tree.entries[field][1]):
                reading.silent.add((*place, field))  # what a graph would miss in them
            fields[field] = tuple(thing for thing, _ in placed)
            lines[field] = [line for _, line in placed]
    fields["dependencies"] = depended(
        fields.get("dependencies", ()), fields.get("inputs", ()), fields.get("when"), fields.get("map")
    )
    return Node(**fields), _NodeTree(tree, lines)


def _size(tree: Tree) -> int:
    return len(tree.items if type(tree) is Sequence else tree.entries if type(tree) is Mapping else ())


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
    found = fields_of(tree, _INPUT, label if name is None else f"{label}: input {shown(name)}", reading)
    return _input(tree, tree, found) if "name" in found else None


def _short_input(key: Scalar, tree: Tree, label: str, reading: Reading) -> _Placed:
    whose = f"{label}: input {shown(key, always=True)}"
    if type(tree) is Mapping:
        found = fields_of(tree, _NAMED_INPUT, whose, reading)
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
        found = fields_of(tree, _OUTPUT, f"{label}: outputs", reading)
        if "name" in found:
            return Output(**found), tree.line
        if "name" not in tree.entries or is_null(tree.entries["name"][1]):
            reading.flaw(tree, label, "an output needs a name")
        return None
    name = text_of(tree, label, "an output", reading)
    return None if name is UNSET else (Output(name), tree.line)


def _when(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is not Mapping:
        return _short(Condition, tree, label, f"{field} must be a reference, or {{reference, equals: …}}", reading)
    found = fields_of(tree, _WHEN, f"{label}: {field}", reading)
    return Condition(found.pop("reference", ""), found) if _is_whole(tree, found) else UNSET


def _map(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    if type(tree) is Sequence:
        reading.flaw(tree, label, f"{field} {MAP_OVER_A_LIST}")
        return UNSET
    if type(tree) is Scalar:
        return _short(Map, tree, label, f"{field} must be a reference, or {{reference, max_parallel}}", reading)
    found = fields_of(tree, _MAP, f"{label}: {field}", reading)
    return Map(**{"reference": "", **found}) if _is_whole(tree, found) else UNSET


def _short(kind: type[Condition | Map], tree: Tree, label: str, wanted: str, reading: Reading) -> Any:
    """What a reference alone says."""
    if type(tree) is Scalar and isinstance(value_of(tree, []), str):
        return kind(tree.text)
    reading.flaw(tree, label, f"{wanted}, not {shown(tree)}")
    return UNSET


def _is_whole(tree: Mapping, found: dict[str, Any]) -> bool:
    """Whether nothing in the mapping was found wrong."""
    return all(name in found or is_null(value) for name, (_, value) in tree.entries.items())


def _cache(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    value = reading.value(tree, label, field)
    try:
        return UNSET if value is UNSET else reuse(value or None, field)
    except ValueError as error:
        reading.flaw(tree, label, str(error))
        return UNSET


_NAMED_INPUT: dict[str, Read] = {"description": text_of, "reference": text_of, "value": literal_of}
_INPUT: dict[str, Read] = {"name": text_of, **_NAMED_INPUT}
_WHEN: dict[str, Read] = {"reference": text_of, **dict.fromkeys(TESTS, literal_of)}
_MAP: dict[str, Read] = {"reference": text_of, "max_parallel": whole_of}
_OUTPUT: dict[str, Read] = {"name": text_of, "description": text_of}
_NODE: dict[str, Read] = {
    "id": text_of,
    "action": text_of,
    "graph": text_of,
    "when": _when,
    "map": _map,
    "cache": _cache,
    "dependencies": texts_of,
    "inputs": _inputs,
    "outputs": _outputs,
    "failure": text_of,
    "onfailure": flag_of,
    "on_failure": choice_of,
    "description": text_of,
    "timeout": seconds_of,
    "try_count": whole_of,
    "run_when": choice_of,
    "priority": whole_of,
    "instructions": texts_of,
}
_GRAPH: dict[str, Read] = {
    "name": text_of,
    "description": text_of,
    "nodes": _nodes,
    "instructions": texts_of,
    "tags": texts_of,
    "author": text_of,
    "version": text_of,
    "signature": text_of,
    "config": _config,
    "inputs": _run_inputs,
}
