"""`dagger run`, `agent` and `resume`: a run is begun or continued here, and followed to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import typer

from dagger.app import Dagger
from dagger.cli import options
from dagger.cli.executing import Begin, execute
from dagger.cli.exits import UsageError
from dagger.cli.loading import app_of, find_run, is_graph_file, load_app, require_store
from dagger.cli.progress import Progress
from dagger.cli.values import config_of, inputs_of, instruction_of, tags_of, value_of
from dagger.core.errors import ActionNotRegistered, InputInvalid
from dagger.core.graph import Definition
from dagger.modes.agent import AgentDriven
from dagger.modes.static import Static
from dagger.modes.supervisor import SUPERVISOR
from dagger.run import Run
from dagger.spec import graph_file
from dagger.spec.workflow import WorkflowSpec

NAMED = 5


def run(
    target: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A graph's file, or its name in the application.")],
    *,
    inputs: options.Inputs = None,
    start: options.Start,
    manner: options.Manner,
) -> int:
    """Run a graph until it is over, paused, or waits for people.

    Graphs that a FILE's nodes run, and that the application does not have, are looked for in the files beside it.

    What the run asks is asked on the terminal. Ctrl-D leaves it open, for `dagger answer`.

    Ctrl-C cancels the run. A second Ctrl-C leaves at once, without waiting for what runs; `dagger resume` then ends
    the run as cancelled, or goes on with it if the first Ctrl-C had not been recorded.
    """

    def plan(application: Dagger) -> tuple[WorkflowSpec, dict[str, Any]]:
        graph = application.graph_to_run(target)
        return Static(graph.name), inputs_of(inputs or (), _texts(graph.definition))

    def load() -> Dagger:
        if start.app is None:
            raise UsageError(_lacks_app(target))
        return load_app(start.app, start.store)

    return execute(load, starting(plan, start), manner)


def agent(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What is to be done.")],
    *,
    supervisor: Annotated[
        str, typer.Option("--supervisor", metavar="ACTION", help="The action whose turns add the nodes.")
    ] = SUPERVISOR,
    instruction: Annotated[
        list[str] | None,
        typer.Option(
            "--instruction",
            metavar="JSON",
            help='What the supervisor finds waiting: {"action": …, "params": {…}, "priority": 0}; may be repeated.',
        ),
    ] = None,
    keep_alive: Annotated[
        bool, typer.Option("--keep-alive", help="Wait for instructions where else the run would end.")
    ] = False,
    inputs: options.Inputs = None,
    start: options.Start,
    manner: options.Manner,
) -> int:
    """Execute a task by turns of a supervisor: each may add nodes, and the next one sees what became of them.

    For what is asked, and for Ctrl-C, see `dagger run`.
    """
    instructions = [instruction_of(text) for text in instruction or ()]
    spec = AgentDriven(task, supervisor=supervisor, instructions=instructions, keep_alive=keep_alive)

    def plan(_: Dagger) -> tuple[WorkflowSpec, dict[str, Any]]:
        return spec, inputs_of(inputs or ())

    def load() -> Dagger:
        if start.app is None:
            raise UsageError("--app is missing: whose actions? --app module:name or --app path/file.py")
        if supervisor == SUPERVISOR and not instructions and not keep_alive:
            raise UsageError(_lacks_work(start.app))
        return load_app(start.app, start.store)

    return execute(load, starting(plan, start), manner)


def resume(
    run: options.RunId,
    *,
    input: Annotated[  # the SPEC's word
        str | None,
        typer.Option(
            "--input", "-i", metavar="VALUE", help="Answers the open review; without one, `global.input` in the cache."
        ),
    ] = None,
    app: options.App = None,
    store: options.Store = None,
    config: options.Config = None,
    manner: options.Manner,
) -> int:
    """Continue a paused, waiting or interrupted run.

    What succeeded does not run again, what failed gets fresh tries. `--config` may raise a limit. The application
    is the one that started the run, unless `--app` names another.
    """
    settings = config_of(config or ())
    value = None if input is None else value_of(input)

    def load() -> Dagger:
        application = app_of(run, store) if app is None else load_app(app, store)
        require_store(application.store.url)
        return application

    async def begin(application: Dagger, _: asyncio.Event) -> tuple[Run, Progress]:
        found = await find_run(application, run)
        progress = Progress.of(application.store.read(found.id))
        try:
            return await application.resume(found.id, input=value, config=settings), progress
        except ActionNotRegistered as error:
            raise UsageError(f"{error}\n  the application is {application.address}; --app names another") from None

    return execute(load, begin, manner)


def starting(plan: Callable[[Dagger], tuple[WorkflowSpec, dict[str, Any]]], start: options.Start) -> Begin:
    """Begins a new run, of what is planned once the application is there."""
    settings, tags = config_of(start.config or ()), tags_of(start.tag or ())

    async def begin(application: Dagger, _: asyncio.Event) -> tuple[Run, Progress]:
        spec, given = plan(application)
        try:
            started = await application.start(spec, inputs=given, config=settings, run_id=start.run_id, tags=tags)
        except InputInvalid as error:
            raise UsageError(f"{error}\n  inputs are given with -i key=value, or -i @file.json") from None
        return started, Progress()

    return begin


def _lacks_app(target: str) -> str:
    if not is_graph_file(target):
        return f"--app is missing: which application has the graph {target!r}? --app module:name or path/file.py:name"
    nodes = graph_file.read_file(target, None).nodes
    actions = dict.fromkeys(node.action for node in nodes if node.action)
    word, names = ("actions", actions) if actions else ("graphs", dict.fromkeys(node.graph for node in nodes))
    named = ", ".join(list(names)[:NAMED]) + (" …" if len(names) > NAMED else "")
    return f"--app is missing: where are the {word} {named}? --app module:name or path/file.py:name"


def _lacks_work(app: str) -> str:
    names = ", ".join(load_app(app).own_actions[:NAMED]) or "it has none yet"
    return (
        f"{SUPERVISOR} only works instructions, and there is none: nothing would be done\n"
        f'  give it work: --instruction \'{{"action": …, "params": {{…}}}}\', or --keep-alive and `dagger instruct`\n'
        f"  or another supervisor: --supervisor ACTION, one of the application's actions: {names}"
    )


def _texts(graph: Definition) -> list[str]:
    """The inputs that are declared to be strings: `5` is a text there."""
    return [name for name, declared in (graph.inputs or {}).items() if declared.type == "string"]
