"""`dagger run` and `dagger resume`: begin, follow to the end, tell."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from dagger.app import Dagger
from dagger.cli import options, output, summary
from dagger.cli.exits import INTERRUPTED, RunLost, UsageError, of_status
from dagger.cli.interrupt import Interrupts
from dagger.cli.live import display_of, follow
from dagger.cli.loading import find_run, is_graph_file, load_app, open_store, require_store
from dagger.cli.log import logged
from dagger.cli.progress import Progress
from dagger.cli.values import config_of, inputs_of, tags_of, value_of
from dagger.core.errors import ActionNotRegistered, DaggerError, InputInvalid, InvalidState, StoreError
from dagger.core.events import RunStarted
from dagger.core.graph import Definition
from dagger.core.state import TERMINAL
from dagger.modes.static import Static
from dagger.run import Run
from dagger.spec import graph_file
from dagger.views.report import Report

NAMED = 5


def run(
    target: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A graph's file, or its name in the application.")],
    *,
    inputs: options.Inputs = None,
    app: options.App = None,
    store: options.AppStore = None,
    config: options.Config = None,
    tag: options.Tags = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="The run's id; default: a new one.")
    ] = None,
    json: options.Json = False,
    dot: options.Dot = None,
    log: options.Log = None,
    quiet: options.Quiet = False,
) -> int:
    """Run a graph until it is over, or paused.

    Graphs that a FILE's nodes run, and that the application does not have, are looked for in the files beside it.

    Ctrl-C cancels the run. A second Ctrl-C leaves at once, without waiting for what runs; `dagger resume` then ends
    the run as cancelled, or goes on with it if the first Ctrl-C had not been recorded.
    """
    settings, tags = config_of(config or ()), tags_of(tag or ())

    def load() -> Dagger:
        if app is None:
            raise UsageError(_lacks_app(target))
        return load_app(app, store)

    async def begin(application: Dagger) -> tuple[Run, Progress]:
        graph = application.graph_to_run(target)
        given = inputs_of(inputs or (), _texts(graph.definition))
        try:
            started = await application.start(
                Static(graph.name), inputs=given, config=settings, run_id=run_id, tags=tags
            )
        except InputInvalid as error:
            raise UsageError(f"{error}\n  inputs are given with -i key=value, or -i @file.json") from None
        return started, Progress()

    return _follow(load, begin, Manner(json, dot, log, quiet))


def resume(
    run: options.RunId,
    *,
    input: Annotated[  # the SPEC's word
        str | None, typer.Option("--input", "-i", metavar="JSON", help="A value for `global.input` in the cache.")
    ] = None,
    app: options.App = None,
    store: options.Store = None,
    config: options.Config = None,
    json: options.Json = False,
    dot: options.Dot = None,
    log: options.Log = None,
    quiet: options.Quiet = False,
) -> int:
    """Continue a paused or interrupted run.

    What succeeded does not run again, what failed gets fresh tries. `--config` may raise a limit. The application
    is the one that started the run, unless `--app` names another.
    """
    settings = config_of(config or ())
    value = None if input is None else value_of(input)

    def load() -> Dagger:
        application = _app_of(run, store) if app is None else load_app(app, store)
        require_store(application.store.url)
        return application

    async def begin(application: Dagger) -> tuple[Run, Progress]:
        found = await find_run(application, run)
        progress = Progress()
        for recorded in application.store.read(found.id):
            progress.apply(recorded)
        try:
            return await application.resume(found.id, input=value, config=settings), progress
        except ActionNotRegistered as error:
            raise UsageError(f"{error}\n  the application is {application.address}; --app names another") from None

    return _follow(load, begin, Manner(json, dot, log, quiet))


def _lacks_app(target: str) -> str:
    if not is_graph_file(target):
        return f"--app is missing: which application has the graph {target!r}? --app module:name or path/file.py:name"
    nodes = graph_file.read_file(target, None).nodes
    actions = dict.fromkeys(node.action for node in nodes if node.action)
    word, names = ("actions", actions) if actions else ("graphs", dict.fromkeys(node.graph for node in nodes))
    named = ", ".join(list(names)[:NAMED]) + (" …" if len(names) > NAMED else "")
    return f"--app is missing: where are the {word} {named}? --app module:name or path/file.py:name"


def _texts(graph: Definition) -> list[str]:
    """The inputs that are declared to be strings: `5` is a text there."""
    return [name for name, declared in (graph.inputs or {}).items() if declared.type == "string"]
