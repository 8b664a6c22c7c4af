"""Options that several commands have, with the words that explain them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

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
