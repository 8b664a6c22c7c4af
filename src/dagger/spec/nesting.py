"""Nesting: the graphs that nodes run as child flows; which there are, and what is wrong between them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TypeAlias

from dagger.core.check import Finding
from dagger.core.cycles import cycles
from dagger.core.errors import GraphError, Hints, Problem
from dagger.core.graph import ITEM, Definition, Node, node_of
from dagger.spec.inputs import wanted_inputs


def nested(roots: Iterable[Definition], known: Mapping[str, Definition]) -> dict[str, Definition]:
    """The graphs that some graphs run as child flows, and theirs, by name: those that are known."""
    found: dict[str, Definition] = {}
    rest = [*roots]
    while rest:
        for name in _children(rest.pop()):
            if name not in found and (child := known.get(name)) is not None:
                found[name] = child
                rest.append(child)
    return found


def nesting_findings(
    graphs: Mapping[str, Definition],
    known: Mapping[str, Definition],
    *,
    is_complete: bool,
    unsound: Container[str] = (),
) -> Iterator[tuple[str, Finding]]:
    """What is wrong with the child flows of `graphs`, which run each other or `known` ones: graph's name, and what.

    `is_complete`: a name that is neither among these is a problem; else such a graph may come later.
    `unsound`: graphs with problems of their own, so that it is open which inputs they take.
    """
    hints = Hints()
    around = {**nested(graphs.values(), known), **graphs}
    wanted: dict[str, _Wanted] = {}
    for name, graph in graphs.items():
        for index, node in enumerate(graph.nodes):
            child = node.graph
            if not child:
                continue
            if child in around and child not in unsound:
                if child not in wanted:
                    wanted[child] = wanted_inputs(around[child])
                for problem in _misfits(node, wanted[child], hints, is_open=around[child].inputs is None):
                    yield name, _finding(index, node, "inputs", problem)
            elif child not in around and is_complete:
                near = hints.nearest(child, dict.fromkeys((*graphs, *known)).keys(), otherwise="loaded")
                yield name, _finding(index, node, "graph", f"there is no graph {child!r}{near}")
    yield from _circles(graphs, around)


def require_nesting(graphs: Mapping[str, Definition], known: Mapping[str, Definition], *, is_complete: bool) -> None:
    """Raise GraphError with all that is wrong with the child flows of `graphs`; see `nesting_findings`."""
    problems = [
        Problem(f"graph {name!r}: {found.message}", found.kind)
        for name, found in nesting_findings(graphs, known, is_complete=is_complete)
    ]
    if problems:
        raise GraphError.of(problems)


_Wanted: TypeAlias = Mapping[str, bytes | None]
"""See `wanted_inputs`."""


def _misfits(node: Node, wanted: _Wanted, hints: Hints, *, is_open: bool) -> Iterator[str]:
    """Inputs that the node's graph does not take, and such as it needs; `is_open`: it declares none."""
    given = [entry.name for entry in node.inputs]
    for name in given:
        if name not in wanted:
            yield f"graph {node.graph!r} has no input {name!r}{hints.nearest(name, wanted, otherwise='it takes')}"
    missing = [name for name, default in wanted.items() if default is None and name not in given]
    if node.map is not None and not any(node_of(entry.reference) == ITEM for entry in node.inputs):
        if len(missing) == 1 or ITEM in missing:
            missing.remove(missing[0] if len(missing) == 1 else ITEM)
        elif not missing and not is_open and ITEM not in wanted:
            yield f"no input refers to the item, and graph {node.graph!r} needs no other; say x: {ITEM}"
    for name in missing:
        yield f"graph {node.graph!r} needs the input {name!r}; the node gives: {', '.join(given) or 'none'}"


def _circles(graphs: Mapping[str, Definition], around: Mapping[str, Definition]) -> Iterator[tuple[str, Finding]]:
    """Graphs that contain themselves, directly or through others, spelled out."""
    children = {name: _children(graph) for name, graph in {**graphs, **around}.items()}
    for name, *others in cycles(children):
        if name not in graphs:
            continue  # it was there before
        contained = [*reversed(others), name]  # `cycles` tells who waits last, we who is outermost first
        index, node = next((index, node) for index, node in enumerate(graphs[name].nodes) if node.graph == contained[0])
        spelled = " -> ".join([name, *contained])
        yield name, _finding(index, node, "graph", f"the graph contains itself: {spelled}", "CycleError")


def _children(graph: Definition) -> list[str]:
    """The names of the graphs that its nodes run, each once."""
    return list(dict.fromkeys(node.graph for node in graph.nodes if node.graph))


def _finding(index: int, node: Node, field: str, problem: str, kind: str = "GraphError") -> Finding:
    return Finding(("nodes", index, field), kind, f"node {node.id!r}: {problem}")
