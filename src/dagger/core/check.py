"""Check: everything that is wrong with a graph, all at once, each with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, get_args

import msgspec

from dagger.core import codec
from dagger.core.config import OnFailure, RunConfig
from dagger.core.cycles import cycles
from dagger.core.errors import ConfigError, Hints
from dagger.core.graph import (
    DEFAULT_TIMEOUT_SECONDS,
    INPUT_TYPES,
    ITEM,
    TESTS,
    Definition,
    Input,
    Node,
    Output,
    Reference,
    RunInput,
    RunWhen,
    id_problem,
    is_of_type,
    node_of,
)

MAX_INTEGER = 2**53 - 1
"""What every reader of JSON keeps exactly."""
MAP_OVER_A_LIST = "takes a reference to a list, not the list itself: a node or a run input holds it"
"""What is said where a list is written down."""
MAX_SPELLED = 50
"""Nodes of a cycle that a message names; of longer ones the middle is left out."""


Place: TypeAlias = tuple[str | int, ...]


class Finding(NamedTuple):
    """A problem and its place in the definition, e.g. `("nodes", 3, "inputs", 0)`."""

    place: Place
    kind: str
    message: str
    first: Place = ()
    """Of what is there twice: where it is first."""


def check(
    definition: Definition, actions: Container[str] | None = None, hints: Hints | None = None
) -> Iterator[Finding]:
    """Everything that is wrong with a graph's fields and between its nodes; linear in their number.

    `actions` is what is registered; None: actions are not checked.
    """
    hints = hints or Hints()
    yield from _check_head(definition, hints)
    nodes: dict[str, Node] = {}
    places: dict[str, int] = {}
    for index, node in enumerate(definition.nodes):
        place = ("nodes", index, "id")
        if problem := id_problem(node.id):
            yield Finding(place, "GraphError", problem)
        elif node.id in nodes:
            first = ("nodes", places[node.id], "id")
            yield Finding(place, "NodeAlreadyExists", f"node {node.id!r}: a second node has this id", first)
        nodes.setdefault(node.id, node)
        places.setdefault(node.id, index)
    targets = Targets(nodes, definition.inputs, hints)
    for index, node in enumerate(definition.nodes):
        yield from _check_actions(node, index, actions, hints)
        yield from node_findings(node, index, targets)
    yield from _check_cycles(definition.nodes, places)


def node_findings(node: Node, index: int, targets: Targets) -> Iterator[Finding]:
    """What is wrong with the `index`-th node's fields, dependencies and references."""
    yield from _check_fields(node, index)
    if node.when is not None or node.map is not None or node.cache is not None:
        yield from _check_flow(node, index, targets)
    yield from _check_edges(node, index, targets)


def _check_head(definition: Definition, hints: Hints) -> Iterator[Finding]:
    if not definition.name:
        yield Finding(("name",), "GraphError", "a graph needs a name")
    if not definition.nodes:
        yield Finding(("nodes",), "GraphError", f"graph {definition.name!r:.80} has no nodes")
    settings = [field.name for field in dataclasses.fields(RunConfig)]
    for name, value in definition.config.items():
        try:
            if name in settings:
                RunConfig.of({name: value})
                continue
            problem = f"unknown setting {name!r}" + hints.nearest(name, settings, otherwise="settings")
        except ConfigError as error:
            problem = str(error)
        yield Finding(("config", name), "GraphError", f"config: {problem}")
    for name, declared in (definition.inputs or {}).items():
        yield from _check_run_input(name, declared, hints)


def _check_run_input(name: str, declared: RunInput, hints: Hints) -> Iterator[Finding]:
    kinds = (declared.type,) if isinstance(declared.type, str) else declared.type or ()
    unknown = [kind for kind in kinds if kind not in INPUT_TYPES]
    for kind in unknown:
        near = hints.nearest(kind, INPUT_TYPES, otherwise="types")
        yield Finding(("inputs", name, "type"), "GraphError", f"run input {name!r}: {kind!r} is no type{near}")
    if not name:
        yield Finding(("inputs", name), "GraphError", "a run input needs a name")
    if kinds and not unknown and isinstance(declared.default, msgspec.Raw):
        default = codec.decode(declared.default)
        if not is_of_type(default, kinds):
            text = bytes(declared.default).decode()
            message = f"run input {name!r}: the default {text:.60} is not of type {' or '.join(kinds)}"
            yield Finding(("inputs", name, "default"), "GraphError", message)


def _is_duration(value: object) -> bool:
    return type(value) in {int, float} and 0 < value < float("inf")  # type: ignore[operator]


def _is_count(value: object, low: int = 1) -> bool:
    return type(value) is int and low <= value <= MAX_INTEGER


_ON_FAILURE = get_args(OnFailure)
_RUN_WHEN = get_args(RunWhen)
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("timeout", _is_duration, "must be a number of seconds above 0"),
    ("try_count", lambda tries: tries is None or _is_count(tries), "must be a whole number of at least 1"),
    ("priority", lambda priority: _is_count(priority, -MAX_INTEGER), "must be a whole number"),
    ("on_failure", ("", *_ON_FAILURE).__contains__, f"must be one of {', '.join(_ON_FAILURE)}"),
    ("run_when", _RUN_WHEN.__contains__, f"must be one of {', '.join(_RUN_WHEN)}"),
)
"""Field of a node, what it must hold, and that in words."""


def _check_fields(node: Node, index: int) -> Iterator[Finding]:
    if not node.action and not node.graph:
        message = f"node {node.id!r}: it has neither an action nor a graph; give one"
        yield Finding(("nodes", index, "action"), "GraphError", message)
    elif node.action and node.graph:
        message = f"node {node.id!r}: it has both an action and a graph; give one"
        yield Finding(("nodes", index, "graph"), "GraphError", message)
    for field, is_fine, wanted in _RULES:
        value = getattr(node, field)
        if not is_fine(value):
            yield Finding(("nodes", index, field), "GraphError", f"node {node.id!r}: {field} {value!r} {wanted}")
    if node.graph:
        for field, default in (("timeout", DEFAULT_TIMEOUT_SECONDS), ("try_count", None)):
            if getattr(node, field) != default:
                message = f"node {node.id!r}: {field} is that of attempts, and a graph has none; give it to its nodes"
                yield Finding(("nodes", index, field), "GraphError", message)
    yield from _check_names(node, index, "input", node.inputs)
    yield from _check_names(node, index, "output", node.outputs)


def _check_names(node: Node, index: int, word: str, entries: Iterable[Input | Output]) -> Iterator[Finding]:
    positions: dict[str, int] = {}
    for position, entry in enumerate(entries):
        place = ("nodes", index, f"{word}s", position)
        if not entry.name:
            yield Finding(place, "GraphError", f"node {node.id!r}: an {word} needs a name")
        elif entry.name in positions:
            first = ("nodes", index, f"{word}s", positions[entry.name])
            yield Finding(place, "GraphError", f"node {node.id!r}: there are two {word}s {entry.name!r}", first)
        positions.setdefault(entry.name, position)


_COMPARED: Mapping[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("in", "not_in"), ((list,), "a list")),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), ((int, float, str), "a number or a text")),
}
"""Test -> the types of what it compares with, and these in words; equality takes any."""


def _check_flow(node: Node, index: int, targets: Targets) -> Iterator[Finding]:
    """What is wrong with the fields that say whether, how often and how newly a node runs."""
    problems = (
        *_condition_problems(node, targets.hints),
        *_map_problems(node, targets.nodes),
        *_cache_problems(node, targets.hints),
    )
    for place, problem in problems:
        yield Finding(("nodes", index, *place), "GraphError", f"node {node.id!r}: {problem}")


_Problems: TypeAlias = Iterator[tuple[tuple[str, ...], str]]
"""(place in the node, message)"""


def _condition_problems(node: Node, hints: Hints) -> _Problems:
    for name, text in node.when.tests.items() if node.when is not None else ():
        value = codec.decode(text)
        kinds, wanted = _COMPARED.get(name, ((type(value),), ""))
        if name not in TESTS:
            yield ("when", name), f"when: there is no test {name!r}{hints.nearest(name, TESTS, otherwise='tests')}"
        elif type(value) not in kinds:
            yield ("when", name), f"when: {name} must be {wanted}, not {bytes(text).decode():.60}"


def _map_problems(node: Node, nodes: Mapping[str, Node]) -> _Problems:
    if node.map is not None:
        limit = node.map.max_parallel
        if limit is not None and not _is_count(limit):
            yield ("map", "max_parallel"), f"map: max_parallel {limit!r} must be a whole number of at least 1"
        if node.id == ITEM or ITEM in nodes:
            yield ("map",), f"map: its inputs call an item of the list {ITEM!r}; give the node {ITEM!r} another id"


def _cache_problems(node: Node, hints: Hints) -> _Problems:
    if node.cache is None:
        return
    if node.graph:
        yield ("cache",), f"cache: a graph is not reused as a whole; put it on the nodes of graph {node.graph!r}"
    names = [*(entry.name for entry in node.inputs), *([ITEM] if node.map is not None else [])]
    for name in node.cache.key:
        if name not in names:
            near = hints.nearest(name, names, otherwise="its inputs")
            yield ("cache", "key"), f"cache: key {name!r} is no input of the node{near}"


def _check_actions(node: Node, index: int, actions: Container[str] | None, hints: Hints) -> Iterator[Finding]:
    if actions is None:
        return
    for field, action in (("action", node.action), ("failure", node.failure)):
        if action and action not in actions:
            word = "action" if field == "action" else "failure action"
            near = hints.nearest(action, actions, otherwise="registered") if isinstance(actions, Collection) else ""
            message = f"node {node.id!r}: {word} {action!r} is not registered{near}"
            yield Finding(("nodes", index, field), "ActionNotRegistered", message)


def _check_edges(node: Node, index: int, targets: Targets) -> Iterator[Finding]:
    referred = set()
    place: Place
    for field in ("when", "map"):
        if (value := getattr(node, field)) is not None:
            referred.add(node_of(value.reference))
            if problem := targets.problem(value.reference) if value.reference else "it needs a reference":
                place = ("nodes", index, field, "reference")
                yield Finding(place, "InvalidReference", f"node {node.id!r}: {field}: {problem}")
    for position, entry in enumerate(node.inputs):
        if entry.reference:
            referred.add(node_of(entry.reference))
            if problem := targets.problem(entry.reference, has_item=node.map is not None):
                place = ("nodes", index, "inputs", position)
                yield Finding(place, "InvalidReference", f"node {node.id!r}: input {entry.name!r}: {problem}")
        if bool(entry.reference) == (entry.value is not msgspec.UNSET):
            place = ("nodes", index, "inputs", position)
            advice = "both a reference and a value; give one" if entry.reference else "neither a reference nor a value"
            yield Finding(place, "GraphError", f"node {node.id!r}: input {entry.name!r}: it has {advice}")
    for position, dependency in enumerate(node.dependencies):
        if dependency not in targets.nodes and dependency not in referred:
            near = targets.hints.nearest(dependency, targets.nodes)
            message = f"node {node.id!r}: dependency {dependency!r} is not a node{near}"
            yield Finding(("nodes", index, "dependencies", position), "DependencyNotFound", message)


class Targets:
    """What references may lead to: the outputs of nodes, and the run's inputs."""

    def __init__(self, nodes: Mapping[str, Node], inputs: Mapping[str, RunInput] | None, hints: Hints) -> None:
        self.nodes = nodes
        self.hints = hints
        self._inputs = inputs
        self._outputs: dict[str, dict[str, None]] = {}  # of the nodes that were asked for
        self._starts: tuple[str, ...] = ()  # what a reference may begin with, once it is asked for

    def problem(self, text: str, *, has_item: bool = False) -> str:
        """Why the reference leads nowhere, or nothing. `has_item`: it may lead to the item of a map."""
        try:
            reference = Reference.parse(text)
        except ValueError as error:
            return str(error)
        if reference.node == "inputs":
            return self._input_problem(reference.output)
        if has_item and reference.node == ITEM:
            return ""
        node = self.nodes.get(reference.node)
        if node is None and reference.node == ITEM:
            return f"{text!r}: only the inputs of a node with `map` have an item"
        if node is None:
            self._starts = self._starts or (*self.nodes, "inputs")
            near = self.hints.nearest(reference.node, self._starts)
            return f"{text!r}: there is no node {reference.node!r}{near}"
        if reference.output is None and reference.path:
            return f"{text!r} is no reference: an output's name comes before {[reference.path[0]]}"
        names = self._outputs.get(node.id)
        if names is None:
            names = self._outputs[node.id] = dict.fromkeys(output.name for output in node.outputs)
        if names and reference.output is not None and reference.output not in names:
            near = self.hints.nearest(reference.output, names, otherwise="it gives")
            return f"{text!r}: node {reference.node!r} has no output {reference.output!r}{near}"
        return ""

    def _input_problem(self, name: str | None) -> str:
        if name is None:
            return "'inputs' needs a name: inputs.name"
        if self._inputs is None or name in self._inputs:
            return ""
        near = self.hints.nearest(name, self._inputs, otherwise="declared")
        return f"run input {name!r} is not declared{near}"


def _check_cycles(nodes: Iterable[Node], places: Mapping[str, int]) -> Iterator[Finding]:
    """One finding for each knot of nodes that wait for each other, spelled out."""
    waits: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        waits.setdefault(node.id, node.dependencies)
    for circle in cycles(waits):
        shown = circle if len(circle) <= MAX_SPELLED else [*circle[: MAX_SPELLED - 1], "…", circle[-1]]
        spelled = " -> ".join([*shown, circle[0]])
        how = "the nodes wait for each other" if len(circle) > 1 else "the node waits for itself"
        yield Finding(("nodes", places[circle[0]]), "CycleError", f"{how}: {spelled}")
