"""Beside: the graphs that a file's graph runs, where they are in the other files of its folder."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping
from pathlib import Path

from dagger.core.errors import GraphError, Problem, nearest
from dagger.core.graph import Definition, Node
from dagger.spec import graph_file


def graphs_beside(
    path: str | Path, graph: Definition, actions: Container[str] | None, known: Collection[str]
) -> list[Definition]:
    """Those that the nodes of a file's graph run, and theirs, that are not known: of the files beside it.

    A bad file beside it is a problem only if it is such a graph's, or may be: it cannot be read, and a graph is
    missing. Raises GraphError that names every problem of these files.
    """
    path = Path(path)
    family, origins = {graph.name: graph}, {graph.name: path}
    files: dict[str, list[Path]] | None = None
    problems: list[Problem] = []
    unreadable: list[Problem] = []
    while (missing := [*_missing(family, known)]) and not problems:
        if files is None:
            files, unreadable = _beside(path)
        for runs_it, node in missing:
            name = node.graph
            match files.get(name, []):
                case [file]:
                    if name not in family:
                        family[name], origins[name] = graph_file.read_file(file, actions), file
                case [first, second, *_]:
                    message = f"graph {name!r} is in {first.name} already; give one of them another name"
                    problems.append(Problem(message, file=str(second)))
                case _:
                    near = nearest(name, [*files, *known]) or "; give its file the same folder, or register it"
                    where = "neither registered nor in a sound file of this folder"
                    message = f"node {node.id!r}: there is no graph {name!r}, {where}{near}"
                    problems.append(problem_of(str(origins[runs_it]), node, message))
    if problems:
        raise GraphError.of([*dict.fromkeys(problems), *unreadable])
    return [*family.values()][1:]


def problem_of(file: str, node: Node, message: str, kind: str = "GraphError") -> Problem:
    """A problem of a node, with the line that its id stands in."""
    written = re.compile(rf"""\bid["']?\s*:\s*["']?{re.escape(node.id)}(?![\w-])""")
    lines = Path(file).read_text("utf-8").splitlines()
    line = next((number for number, text in enumerate(lines, 1) if written.search(text)), None)
    return Problem(message, kind, file, line)


def _missing(family: Mapping[str, Definition], known: Container[str]) -> Iterator[tuple[str, Node]]:
    """The nodes that run a graph that nobody has, each with the name of its own graph."""
    for graph in family.values():
        for node in graph.nodes:
            if node.graph and node.graph not in family and node.graph not in known:
                yield graph.name, node


def _beside(path: Path) -> tuple[dict[str, list[Path]], list[Problem]]:
    """The other graph files of the folder, by the names of their graphs; and what keeps others from being read."""
    files: dict[str, list[Path]] = {}
    problems: list[Problem] = []
    for file in sorted(path.parent.iterdir()):
        if file == path or file.suffix.lower() not in {".yaml", ".yml"} or not file.is_file():
            continue
        try:
            files.setdefault(graph_file.read_file(file).name, []).append(file)
        except GraphError as error:
            problems += error.problems
    return files, problems
