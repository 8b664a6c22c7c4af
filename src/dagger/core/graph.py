"""Graph, Node, Reference; adding costs O(dependencies); no cycle gets in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from dagger.core import codec
from dagger.core.errors import GraphError, Problem, nearest

ID_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
RESERVED_IDS = frozenset(("inputs", "global"))
"""Sections of the cache that are no node's."""
DEFAULT_TIMEOUT_SECONDS = 3600.0
INPUT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
"""JSON Schema's names of the types that a declared run input may have."""

RunWhen: TypeAlias = Literal["succeeded", "finished"]

_PATH = re.compile(r"\.(?P<name>[^.\[\]\s]+)|\[(?P<index>-?\d+)\]|\[(?P<quote>[\"'])(?P<key>.*?)(?P=quote)\]")


class Reference(NamedTuple):
    """Where a value comes from: an output of a node, or (node `inputs`) an input of the run."""

    node: str
    output: str | None
    """None: the node's only output, or the dict of them."""
    path: tuple[str | int, ...] = ()
    """Keys and indexes into the value."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`fetch.page.items[0].title` in its parts. Raises ValueError that says what a reference looks like."""
        node, dot, rest = text.partition(".")
        if not ID_PATTERN.match(node) or (dot and not rest):
            message = f"{text!r} is no reference; write node_id.output_name or inputs.name, then a path if need be"
            raise ValueError(message)
        parts: list[str | int] = []
        position = len(node)
        while position < len(text):
            match = _PATH.match(text, position)
            if match is None:
                message = f"{text!r} is no reference: {text[position:]!r} is neither .name nor [index]"
                raise ValueError(message)
            name, index = match["name"], match["index"]
            parts.append(int(index) if index else name if name is not None else match["key"])
            position = match.end()
        output = parts[0] if parts else None
        if isinstance(output, int):
            message = f"{text!r} is no reference: an output's name comes before {[output]}"
            raise ValueError(message)  # noqa: TRY004 - the text is wrong, not a type
        return cls(node, output, tuple(parts[1:]))


class Input(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One input of a node: a reference to a value, or the value itself."""

    name: str
    reference: str = ""
    """`node_id.output_name[.path]` or `inputs.name[.path]`; empty for a literal."""
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A literal, as JSON text."""
    description: str = ""


class Output(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One declared output of a node."""

    name: str
    description: str = ""


class Node(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One unit of work: which action, on what, after which nodes."""

    id: str
    action: str
    dependencies: tuple[str, ...] = ()
    """Ids of the nodes it waits for: those written down, then those its inputs refer to."""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    """Empty: whatever the action returns."""
    failure: str = ""
    """The action to run when this node has finally failed; empty: none."""
    on_failure: str = ""
    """`stop`, `continue` or `pause`; empty: as the run's config says."""
    description: str = ""
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    """Seconds for one attempt; the run's remaining time caps it."""
    try_count: int | None = None
    """Attempts, at least 1; None: the config's `max_attempts`."""
    run_when: RunWhen = "succeeded"
    """`finished`: run whatever became of the dependencies."""
    priority: int = 0
    """Higher runs first among the ready."""
    instructions: tuple[str, ...] = ()
    hash: str = ""
    """Of the definition: equal hash, equal work. Set by `hashed`."""

    def hashed(self) -> Node:
        """This node with its definition's hash."""
        bare = msgspec.structs.replace(self, hash="", description="", instructions=())
        digest = hashlib.blake2b(msgspec.json.encode(bare), digest_size=8).hexdigest()
        return msgspec.structs.replace(self, hash=digest)


class RunInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """An input that a graph declares."""

    type: str | tuple[str, ...] | None = None
    """JSON Schema's name of the type, or several; None: any."""
    default: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """JSON text; unset: the input is required."""
    description: str = ""


class Definition(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A graph as data: what stands in a run's journal."""

    name: str
    description: str = ""
    author: str = ""
    version: str = ""
    signature: str = ""
    tags: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    """Only the settings that the graph sets."""
    inputs: dict[str, RunInput] | None = None
    """Declared run inputs; None: whatever its nodes refer to."""
    nodes: tuple[Node, ...] = ()


class Finding(NamedTuple):
    """A problem and its place in the definition, e.g. `("nodes", 3, "inputs", 0)`."""

    place: tuple[str | int, ...]
    kind: str
    message: str


def depended(written: Iterable[str], inputs: Iterable[Input]) -> tuple[str, ...]:
    """Every node id that must come first: the written dependencies, then the nodes referred to, each once."""
    ids = dict.fromkeys(written)
    for entry in inputs:
        node = entry.reference.partition(".")[0].partition("[")[0]
        if node and node != "inputs":
            ids[node] = None
    return tuple(ids)


def check(definition: Definition, actions: Container[str] | None = None) -> Iterator[Finding]:
    """Everything that is wrong between the nodes: ids, dependencies, references, actions, cycles.

    `actions` is what is registered; None: actions are not checked.
    """
    if not definition.nodes:
        yield Finding(("nodes",), "GraphError", f"graph {definition.name!r} has no nodes")
    nodes: dict[str, Node] = {}
    for index, node in enumerate(definition.nodes):
        place = ("nodes", index, "id")
        if problem := id_problem(node.id):
            yield Finding(place, "GraphError", problem)
        elif node.id in nodes:
            yield Finding(place, "NodeAlreadyExists", f"node {node.id!r}: a second node has this id")
        nodes.setdefault(node.id, node)
    for index, node in enumerate(definition.nodes):
        yield from _check_actions(node, index, actions)
        yield from _check_edges(node, index, nodes, definition)
    yield from _check_cycles(definition.nodes)


def id_problem(node_id: str) -> str:
    """Why `node_id` cannot be a node's id, or nothing."""
    if node_id in RESERVED_IDS:
        return f"node id {node_id!r} is reserved: choose another"
    if not ID_PATTERN.match(node_id):
        return f"node id {node_id!r} must be letters, digits, _ and -, and begin with a letter or _"
    return ""


def _check_actions(node: Node, index: int, actions: Container[str] | None) -> Iterator[Finding]:
    if actions is None:
        return
    for field, action in (("action", node.action), ("failure", node.failure)):
        if action and action not in actions:
            known = actions if isinstance(actions, Iterable) else ()
            word = "action" if field == "action" else "failure action"
            message = f"node {node.id!r}: {word} {action!r} is not registered{nearest(action, known)}"
            yield Finding(("nodes", index, field), "ActionNotRegistered", message)


def _check_edges(node: Node, index: int, nodes: Mapping[str, Node], definition: Definition) -> Iterator[Finding]:
    referred = set()
    for position, entry in enumerate(node.inputs):
        if entry.reference:
            place = ("nodes", index, "inputs", position)
            referred.add(entry.reference.partition(".")[0])
            if problem := reference_problem(entry.reference, nodes, definition.inputs):
                yield Finding(place, "InvalidReference", f"node {node.id!r}: input {entry.name!r}: {problem}")
    for position, dependency in enumerate(node.dependencies):
        if dependency not in nodes and dependency not in referred:
            message = f"node {node.id!r}: dependency {dependency!r} is not a node{nearest(dependency, nodes)}"
            yield Finding(("nodes", index, "dependencies", position), "DependencyNotFound", message)


def reference_problem(text: str, nodes: Mapping[str, Node], inputs: Mapping[str, RunInput] | None) -> str:
    """Why the reference leads nowhere, or nothing."""
    try:
        reference = Reference.parse(text)
    except ValueError as error:
        return str(error)
    if reference.node == "inputs":
        if reference.output is None:
            return "'inputs' needs a name: inputs.name"
        if inputs is not None and reference.output not in inputs:
            return f"run input {reference.output!r} is not declared{nearest(reference.output, inputs)}"
        return ""
    node = nodes.get(reference.node)
    if node is None:
        return f"{text!r}: there is no node {reference.node!r}{nearest(reference.node, [*nodes, 'inputs'])}"
    names = [output.name for output in node.outputs]
    if names and reference.output is not None and reference.output not in names:
        near = nearest(reference.output, names) or f"; it gives: {', '.join(names)}"
        return f"{text!r}: node {reference.node!r} has no output {reference.output!r}{near}"
    return ""


def _check_cycles(nodes: Iterable[Node]) -> Iterator[Finding]:
    """One finding for each knot of nodes that wait for each other, spelled out."""
    places: dict[str, int] = {}
    waits: dict[str, tuple[str, ...]] = {}
    for index, node in enumerate(nodes):
        places.setdefault(node.id, index)
        waits.setdefault(node.id, node.dependencies)
    done: set[str] = set()
    for start, first in waits.items():
        path: dict[str, Iterator[str]] = {} if start in done else {start: iter(first)}
        while path:
            current, rest = next(reversed(path.items()))
            following = next((node for node in rest if node in waits and node not in done), None)
            if following is None:
                done.add(current)
                del path[current]
            elif following in path:
                ids = list(path)
                # each arrow reads "waits for"; written in the order in which the nodes would run
                cycle = [*reversed(ids[ids.index(following) :])]
                spelled = " -> ".join([*cycle, cycle[0]])
                yield Finding(("nodes", places[following]), "CycleError", f"the nodes wait for each other: {spelled}")
                done.update(path)
                path = {}
            else:
                path[following] = iter(waits[following])


class NodeRef:
    """What `Graph.add` and `Graph.input` return: stands for a value that a later node takes."""

    __slots__ = ("_names", "node", "reference")

    def __init__(self, node: str, reference: str, names: tuple[str, ...] = ()) -> None:
        self.node = node
        """The node's id, or `inputs`."""
        self.reference = reference
        """As it would be written in YAML."""
        self._names = names

    def __getitem__(self, key: str | int) -> NodeRef:
        """One output of the node by name; further keys and indexes go into the value."""
        is_output = self.reference == self.node
        if is_output and (not isinstance(key, str) or (self._names and key not in self._names)):
            gives = ", ".join(self._names) or "outputs by name"
            raise _invalid("InvalidReference", f"node {self.node!r} has no output {key!r}; it gives: {gives}")
        plain = isinstance(key, str) and re.fullmatch(r"[^.\[\]\s'\"]+", key)
        part = f".{key}" if plain else f"[{key}]" if isinstance(key, int) else f'["{key}"]'
        return NodeRef(self.node, self.reference + part)

    def __repr__(self) -> str:
        return f"<reference {self.reference}>"


def _invalid(kind: str, message: str) -> GraphError:
    return GraphError.of([Problem(message, kind)])


class GraphBuilder:
    """A named set of nodes, in the making: what is added must fit what is there, so no cycle can arise."""

    def __init__(self, definition: Definition) -> None:
        self._head = msgspec.structs.replace(definition, nodes=())
        self._nodes: dict[str, Node] = {node.id: node for node in definition.nodes}

    @property
    def definition(self) -> Definition:
        """The graph as data."""
        return msgspec.structs.replace(self._head, nodes=tuple(self._nodes.values()))

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by id, in the order of being added."""
        return self._nodes

    def insert(self, node: Node) -> None:
        """Add a node whose dependencies and references are already here. Costs O(dependencies).

        Raises NodeAlreadyExists, DependencyNotFound, InvalidReference, or GraphError for a bad id.
        """
        if problem := id_problem(node.id):
            raise _invalid("GraphError", problem)
        if node.id in self._nodes:
            raise _invalid("NodeAlreadyExists", f"node {node.id!r} is already in graph {self._head.name!r}")
        findings = list(_check_edges(node, len(self._nodes), self._nodes, self._head))
        if findings:
            raise GraphError.of([Problem(finding.message, finding.kind) for finding in findings])
        self._nodes[node.id] = node.hashed()

    def fresh_id(self, action: str) -> str:
        """The action's name, numbered from the second node on: `square`, `square_2`."""
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", action)
        stem = stem if ID_PATTERN.match(stem) and stem not in RESERVED_IDS else f"node_{stem}"
        number, fresh = 1, stem
        while fresh in self._nodes:
            number += 1
            fresh = f"{stem}_{number}"
        return fresh


def literal(value: object, where: str) -> msgspec.Raw:
    """The JSON text of a literal. Raises GraphError that begins with `where`."""
    try:
        return msgspec.Raw(codec.encode(value))
    except codec.NotJson as error:
        message = f"{where}: {error}"
        raise GraphError(message) from None
