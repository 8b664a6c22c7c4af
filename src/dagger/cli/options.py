"""Options that several commands have, with the words that explain them; and groups of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_type_hints

import typer

App: TypeAlias = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:NAME", help="The application: package.module:name, or path/file.py."),
]
Inputs: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="KEY=VALUE",
        help="An input, JSON or else a string; KEY=@file.json, or @file.json. May be repeated.",
    ),
]
Store: TypeAlias = Annotated[
    str | None, typer.Option("--store", metavar="FILE", help="The store that has the runs; default: dagger.db.")
]
AppStore: TypeAlias = Annotated[
    str | None, typer.Option("--store", metavar="FILE", help="Where the run is kept; default: as the application says.")
]
Config: TypeAlias = Annotated[
    list[str] | None, typer.Option("--config", metavar="KEY=VALUE", help="A setting of the run; may be repeated.")
]
Tags: TypeAlias = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag of the run; may be repeated.")
]
NewId: TypeAlias = Annotated[
    str | None, typer.Option("--run-id", metavar="ID", help="The run's id; default: a new one.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON on stdout, and nothing else there.")]
Dot: TypeAlias = Annotated[
    str | None, typer.Option("--dot", metavar="FILE", help="Write the run's picture for Graphviz at the end.")
]
Log: TypeAlias = Annotated[
    Literal["text", "json"] | None, typer.Option("--log", help="Write a log to stderr in place of the progress.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="No progress: only outputs and failures.")]
RunId: TypeAlias = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or as much of its beginning or end as is unique.")
]


class Start(NamedTuple):
    """How a run is begun."""

    app: App = None
    store: AppStore = None
    config: Config = None
    tag: Tags = None
    run_id: NewId = None


class Manner(NamedTuple):
    """How a run is shown."""

    json: Json = False
    dot: Dot = None
    log: Log = None
    quiet: Quiet = False


def unfolded(command: Callable[..., int]) -> Callable[..., int]:
    """The command as typer reads it: with the options of a group in the group's place."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if hint in {Start, Manner}}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        fields = get_type_hints(groups[name], include_extras=True)
        for field, default in groups[name]._field_defaults.items():
            parameters.append(inspect.Parameter(field, parameter.kind, default=default, annotation=fields[field]))

    @functools.wraps(command)
    def called(**given: Any) -> int:
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in group._fields})
        return command(**given)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # where inspect looks first
    return called
