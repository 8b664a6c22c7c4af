"""Graph files: YAML <-> Definition; all problems at once, each with its line and the nearest valid name."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

import msgspec

from dagger.core.check import check
from dagger.core.config import RunConfig
from dagger.core.errors import GraphError, Hints, Problem
from dagger.core.graph import Definition
from dagger.spec import graph_reader, yaml_reader
from dagger.spec.graph_reader import Reading
from dagger.spec.graph_schema import json_schema
from dagger.spec.graph_writer import to_yaml

__all__ = ["check_definition", "json_schema", "load_text", "read_dir", "read_file", "to_yaml"]


def read_file(path: str | Path, actions: Container[str] | None = None) -> Definition:
    """The graph of a file. Raises GraphError that names every problem of it; see `load_text`."""
    loaded = _load_file(Path(path), actions)
    return _sound(loaded.definition, loaded.problems)


def read_dir(path: str | Path, actions: Container[str] | None = None) -> list[Definition]:
    """The graphs of all `.yaml` and `.yml` files of a directory, in the order of the files' names.

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
    names: dict[str, Path] = {}
    for file, each in zip(files, loaded, strict=True):
        name = each.definition.name if each.definition else ""
        if name and name in names:
            message = f"graph {name!r} is in {names[name].name} already; give one of them another name"
            problems.append(Problem(message, file=str(file), line=each.name_line))
        names.setdefault(name, file)
    if problems:
        raise GraphError.of(sorted(problems, key=lambda problem: (problem.file or "", problem.line or 0)))
    return [each.definition for each in loaded if each.definition]


def load_text(text: str | bytes, *, file: str, actions: Container[str] | None = None) -> Definition:
    """The graph that a YAML text describes; `file` is what its problems are said to be in.

    `actions` are the registered ones; None: actions are not checked. Raises GraphError with every problem, in the
    order of their lines, of the class that they have in common.
    """
    loaded = _load(text, file, actions)
    return _sound(loaded.definition, loaded.problems)


def check_definition(definition: Definition, actions: Container[str] | None = None) -> None:
    """Raise GraphError with all that is wrong with a graph, as `load_text` does for a file."""
    problems = [Problem(found.message, found.kind) for found in check(definition, actions)]
    if problems:
        raise GraphError.of(problems)


class _Loaded(NamedTuple):
    definition: Definition | None
    """With problems: what could be understood, if anything."""
    problems: list[Problem]
    name_line: int | None = None


def _sound(definition: Definition | None, problems: list[Problem]) -> Definition:
    if problems:
        raise GraphError.of(problems)
    assert definition is not None, "without a definition there is a problem"
    return definition


def _is_graph_file(file: Path) -> bool:
    return file.suffix.lower() in {".yaml", ".yml"} and not file.name.startswith(".") and not file.is_dir()


def _load_file(path: Path, actions: Container[str] | None) -> _Loaded:
    try:
        with path.open("rb") as stream:
            data = stream.read(yaml_reader.MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        return _Loaded(None, [_unreadable(path, error, "give the path of a graph file")])
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
    problems = [Problem(flaw.message, file=file, line=flaw.line) for flaw in flaws]
    if found is None:
        return _Loaded(None, _in_order(problems, text))
    for finding in check(found.definition, actions, hints):
        if finding.place not in found.silent:
            first = f"; the first is in line {found.line(finding.first)}" if finding.first else ""
            problems.append(Problem(finding.message + first, finding.kind, file, found.line(finding.place)))
    if problems:
        return _Loaded(found.definition, _in_order(problems, text), found.line(("name",)))
    definition = msgspec.structs.replace(
        found.definition,
        config=RunConfig.of(found.definition.config).to_dict(),
        nodes=tuple(node.hashed() for node in found.definition.nodes),
    )
    return _Loaded(definition, [], found.line(("name",)))


def _in_order(problems: list[Problem], text: str | bytes) -> list[Problem]:
    """By their lines; what is missing at the end of the text is missing in its last line, not behind it."""
    last = max(1, len(text.splitlines()))
    return sorted(
        (msgspec.structs.replace(found, line=min(found.line or 1, last)) for found in problems),
        key=lambda found: found.line or 1,
    )
