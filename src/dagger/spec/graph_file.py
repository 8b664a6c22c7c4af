"""Graph files: YAML <-> Definition; all problems at once, each with its line and the nearest valid name."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from dagger.core.check import Finding, check
from dagger.core.config import RunConfig
from dagger.core.errors import GraphError, Hints, Problem
from dagger.core.graph import Definition
from dagger.spec import graph_reader, yaml_reader
from dagger.spec.graph_reader import Found
from dagger.spec.graph_schema import json_schema
from dagger.spec.graph_writer import to_yaml
from dagger.spec.nesting import nesting_findings
from dagger.spec.reading import Reading

__all__ = ["check_definition", "json_schema", "load_text", "read_dir", "read_file", "to_yaml"]


def read_file(path: str | Path, actions: Container[str] | None = None) -> Definition:
    """The graph of a file. Raises GraphError that names every problem of it; see `load_text`."""
    return _sound(_load_file(Path(path), actions))


def read_dir(
    path: str | Path, actions: Container[str] | None = None, known: Mapping[str, Definition] | None = None
) -> list[Definition]:
    """The graphs of all `.yaml` and `.yml` files of a directory, in the order of the files' names.

    Their nodes may run each other's graphs, and those that are known already; None: any others too.
    Raises one GraphError that names every problem of every file; two files with one graph name are a problem.
    """
    try:
        files = sorted(file for file in Path(path).iterdir() if _is_graph_file(file))
    except OSError as error:
        raise GraphError.of([_unreadable(Path(path), error, "give a directory of graph files")]) from None
    if not files:
        raise GraphError.of([Problem("no .yaml or .yml file in this directory", file=str(path))])
    loaded = [_load_file(file, actions) for file in files]
    problems = [problem for each in loaded for problem in each.problems]
    first: dict[str, _Loaded] = {}
    for each in loaded:
        name = each.definition.name if each.definition else ""
        if name and name in first:
            message = f"graph {name!r} is in {Path(first[name].file).name} already; give one of them another name"
            problems += each.told([Finding(("name",), "GraphError", message)])
        first.setdefault(name, each)
    problems += _nesting_problems([*first.values()], known)
    if problems:
        raise GraphError.of(sorted(problems, key=lambda problem: (problem.file or "", problem.line or 0)))
    return [each.definition for each in loaded if each.definition]


def load_text(text: str | bytes, *, file: str, actions: Container[str] | None = None) -> Definition:
    """The graph that a YAML text describes; `file` is what its problems are said to be in.

    `actions` are the registered ones; None: actions are not checked. Raises GraphError with every problem, in the
    order of their lines, of the class that they have in common.
    """
    return _sound(_load(text, file, actions))


def check_definition(definition: Definition, actions: Container[str] | None = None) -> None:
    """Raise GraphError with all that is wrong with a graph, as `load_text` does for a file."""
    problems = [Problem(found.message, found.kind) for found in check(definition, actions)]
    if problems:
        raise GraphError.of(problems)


class _Loaded(NamedTuple):
    file: str
    problems: list[Problem]
    definition: Definition | None = None
    """With problems: what could be understood, if anything."""
    found: Found | None = None
    last_line: int = 1

    def told(self, findings: Iterable[Finding]) -> Iterator[Problem]:
        """The findings as problems of the file, without those that only follow from what was told already."""
        assert self.found is not None, "without a graph nothing is found"
        for place, kind, message, first in findings:
            if place not in self.found.silent:
                more = f"; the first is in line {self.found.line(first)}" if first else ""
                # what is missing at the end of the text is missing in its last line, not behind it
                line = min(self.found.line(place), self.last_line)
                yield Problem(message + more, kind, self.file, line)


def _sound(loaded: _Loaded) -> Definition:
    """The graph of a file that stands alone: which graphs there will be besides, is not known yet."""
    problems = loaded.problems + _nesting_problems([loaded], None)
    if problems:
        raise GraphError.of(sorted(problems, key=lambda problem: problem.line or 0))
    assert loaded.definition is not None, "without a definition there is a problem"
    return loaded.definition


def _nesting_problems(loaded: Sequence[_Loaded], known: Mapping[str, Definition] | None) -> list[Problem]:
    """What is wrong between the graphs of some files."""
    by_name = {each.definition.name: each for each in loaded if each.definition}
    graphs = {name: each.definition for name, each in by_name.items() if each.definition}
    unsound = {name for name, each in by_name.items() if each.problems}
    found = nesting_findings(graphs, known or {}, is_complete=known is not None, unsound=unsound)
    return [problem for name, finding in found for problem in by_name[name].told([finding])]


def _is_graph_file(file: Path) -> bool:
    return file.suffix.lower() in {".yaml", ".yml"} and not file.name.startswith(".") and not file.is_dir()


def _load_file(path: Path, actions: Container[str] | None) -> _Loaded:
    try:
        with path.open("rb") as stream:
            data = stream.read(yaml_reader.MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        return _Loaded(str(path), [_unreadable(path, error, "give the path of a graph file")])
    return _load(data, str(path), actions)


def _unreadable(path: Path, error: Exception, advice: str) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem("there is no such file or directory; " + advice, file=str(path))
    if isinstance(error, IsADirectoryError):
        return Problem("this is a directory; give a file, or load the directory as one", file=str(path))
    reason = getattr(error, "strerror", None) or str(error)
    return Problem(f"cannot be read: {reason}; {advice}", file=str(path))


def _load(text: str | bytes, file: str, actions: Container[str] | None) -> _Loaded:
    tree, flaws = yaml_reader.read(text)
    hints = Hints()
    found = graph_reader.graph(tree, Reading(flaws, hints)) if tree is not None else None
    last_line = max(1, len(text.splitlines()))
    problems = [Problem(flaw.message, file=file, line=min(flaw.line, last_line)) for flaw in flaws]
    if found is None:
        return _Loaded(file, problems)
    loaded = _Loaded(file, problems, found.definition, found, last_line)
    problems += loaded.told(check(found.definition, actions, hints))
    if problems:
        return loaded
    definition = msgspec.structs.replace(
        found.definition,
        config=RunConfig.of(found.definition.config).to_dict(),
        nodes=tuple(node.hashed() for node in found.definition.nodes),
    )
    return loaded._replace(definition=definition)
