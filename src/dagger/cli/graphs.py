"""`dagger validate`, `ls`, `graph`, `schema`: graphs as they are written, loaded and drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import typer

from dagger.app import Dagger
from dagger.cli import options, output
from dagger.cli.exits import REFUSED, SUCCESS, UsageError
from dagger.cli.loading import find_run, is_graph_file, load_app, open_store
from dagger.core.errors import GraphError, Problem, nearest
from dagger.core.graph import ITEM, Definition
from dagger.core.messages import Agent
from dagger.core.steps import is_item
from dagger.graph import Graph
from dagger.spec import graph_file
from dagger.spec.action import Action
from dagger.spec.beside import graphs_beside, problem_of
from dagger.spec.contracts import disagreement
from dagger.spec.nesting import nesting_findings
from dagger.views.topology import Topology
from dagger.views.tree import ExecutionTree

Format = Literal["dot", "mermaid", "svg", "json"]
Out: TypeAlias = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; default: stdout.")
]
_SUFFIXES: dict[str, Format] = {".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".svg": "svg", ".json": "json"}


def validate(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="Graph files, or folders of them.", show_default=False)
    ] = None,
    *,
    app: options.App = None,
    json: options.Json = False,
) -> int:
    """Check graph files, and name every problem with its line.

    With --app also whether the application has the actions and graphs, and whether they take the nodes' inputs; and
    its agents, which need no FILE.
    """
    if not files and app is None:
        raise UsageError("FILE is missing: which graph files? Or --app module:name alone, for its agents")
    application = None if app is None else load_app(app)
    actions = None if application is None else application.actions
    found, problems = _read_all(files or (), actions)
    known = {} if application is None else {graph.name: graph.definition for graph in application.graphs()}
    if application is not None and not problems:  # a graph that is missing may be that of a bad file
        names = [*known, *(definition.name for _, definition in found)]
        for path, definition in found:
            try:
                known |= {each.name: each for each in graphs_beside(path, definition, actions, names)}
            except GraphError as error:
                problems += error.problems
    nesting = list(_nesting(found, known))
    for path, definition in found:
        misfits = [*_misfits(path, definition, actions or {}), *(each for each in nesting if each.file == path)]
        problems += misfits
        if not json and not misfits:
            nodes = output.count(len(definition.nodes), "node")
            output.write(f"{path}: graph {definition.name!r} of {nodes} is fine")
    if json:
        output.write_json(problems)
    for problem in () if json else problems:
        output.say(str(problem))
    if application is not None and not json and (application.own_agents or not files):
        _tell_agents(application)
    if app is None:
        output.say("actions were not checked: --app module:name or --app path/file.py says where they are")
    return REFUSED if problems else SUCCESS


def ls(
    *,
    app: options.App = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only graphs with this tag; may be repeated.")
    ] = None,
    json: options.Json = False,
) -> int:
    """List the graphs and agents of an application."""
    if app is None:
        raise UsageError("--app is missing: whose graphs? --app module:name or --app path/file.py")
    application = load_app(app)
    found = application.graphs(tags=tag or ())
    agents = [] if tag else [application.agents[name].agent for name in application.own_agents]
    if json:
        output.write_json([*map(_described, found), *map(_described_agent, agents)])
        return SUCCESS
    tables = {
        ("graph", "nodes", "version", "tags", "description"): [
            [graph.name, str(len(graph.nodes)), graph.version, " ".join(graph.tags), graph.description]
            for graph in found
        ],
        ("agent", "reads", "writes", "description"): [
            [agent.name, " ".join(agent.subscriptions), " ".join(agent.publications), agent.description]
            for agent in agents
        ],
    }
    told = {headings: rows for headings, rows in tables.items() if rows}
    for number, (headings, rows) in enumerate(told.items()):
        if number:
            output.write("")
        output.write_table(headings, rows, elastic=["description", "tags", "writes", "reads"])
    if not told:
        output.say("no graphs" + (" with this tag" if tag else " and no agents: the application has none"))
    return SUCCESS


def graph(
    target: Annotated[
        str, typer.Argument(metavar="RUN|FILE|NAME", help="A run, a graph's file, or its name in the application.")
    ],
    *,
    format: Annotated[
        Format | None, typer.Option("--format", help="Default: what FILE's name ends in, else dot.", show_default=False)
    ] = None,
    out: Out = None,
    app: options.App = None,
    store: options.Store = None,
) -> int:
    """Draw a run, or the plan of a graph."""
    chosen = format_of(out, format)
    return draw(_found(target, app, store), chosen, out)


def schema() -> int:
    """Print the JSON Schema of graph files, for editors."""
    output.write_json(graph_file.json_schema())
    return SUCCESS


def _read_all(
    files: Sequence[str], actions: Mapping[str, Action] | None
) -> tuple[list[tuple[str, Definition]], list[Problem]]:
    """The graphs of files and folders, each with its file, and what is wrong with the others."""
    found: list[tuple[str, Definition]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            found += _read(file, actions)
        except GraphError as error:
            problems += error.problems
    return found, problems


def _read(file: str, actions: Mapping[str, Action] | None) -> list[tuple[str, Definition]]:
    """The graphs of a file or a folder, each with its file. Raises GraphError."""
    if not Path(file).is_dir():
        return [(file, graph_file.read_file(file, actions))]
    found = graph_file.read_dir(file, actions)  # which refuses two graphs of one name
    paths = sorted(path for path in Path(file).iterdir() if path.suffix in {".yaml", ".yml"})
    files = {graph_file.read_file(path, None).name: str(path) for path in paths}
    return [(files.get(definition.name, file), definition) for definition in found]


def _tell_agents(app: Dagger) -> None:
    """How many agents an application has, and what may go wrong between them: those that cannot be it has refused."""
    topology = Topology.of([app.agents[name].agent for name in app.own_agents], disagreement)
    fine = f"{app.address}: {output.count(len(topology.agents), 'agent')}"
    warnings = [warning.message for warning in topology.warnings if not warning.is_note]
    output.write(fine if warnings or not topology.agents else f"{fine}, and no loop or request that cannot end")
    for message in warnings:
        output.say(f"warning: {message}")


def _nesting(found: Sequence[tuple[str, Definition]], known: Mapping[str, Definition]) -> Iterator[Problem]:
    """What is wrong between the graphs of the files and those that their nodes run."""
    graphs = {definition.name: definition for _, definition in found}
    files = {definition.name: path for path, definition in found}
    for name, finding in nesting_findings(graphs, known, is_complete=False):
        node = graphs[name].nodes[int(finding.place[1])]
        yield problem_of(files[name], node, finding.message, finding.kind)


def _misfits(file: str, definition: Definition, actions: Mapping[str, Action]) -> Iterator[Problem]:
    """Inputs that a node's action has no parameter for, and parameters that get none and have no default."""
    for node in definition.nodes:
        action = actions.get(node.action)
        if action is None:
            continue
        given = [one.name for one in node.inputs]
        if node.map is not None and not any(is_item(one.reference) for one in node.inputs):
            lacking = [name for name in action.required if name not in given]
            given.append(lacking[0] if len(lacking) == 1 else ITEM)  # where the item goes: see engine/binding
        takes = ", ".join(action.decoders) or "nothing"
        for name in given:
            if not action.is_open and name not in action.decoders:
                near = nearest(name, action.decoders) or f"; it takes: {takes}"
                message = f"action {node.action!r} has no parameter {name!r}{near}"
                yield problem_of(file, node, f"node {node.id!r}: {message}")
        for name in action.required:
            if name not in given:
                message = f"action {node.action!r} needs {name!r}; the node gives: {', '.join(given) or 'nothing'}"
                yield problem_of(file, node, f"node {node.id!r}: {message}")


def format_of(out: str | None, format: Format | None) -> Format:
    """The format that is asked for, and that the file's name does not contradict. Raises UsageError."""
    suffix = Path(out or "").suffix.lower()
    if out is None or not suffix:
        return format or "dot"
    meant = _SUFFIXES.get(suffix)
    if meant is None:
        raise UsageError(f"-o {out}: {suffix} is no format of pictures here; names end in {', '.join(_SUFFIXES)}")
    if format is not None and format != meant:
        raise UsageError(f"-o {out} --format {format}: the name says {meant}; leave one of the two out")
    return meant


def _found(target: str, app: str | None, store: str | None) -> Graph | ExecutionTree:
    application = None if app is None else load_app(app, store)
    if is_graph_file(target):
        return Graph.of(graph_file.read_file(target, None if application is None else application.actions))
    if application is not None and target in {graph.name for graph in application.graphs()}:
        return application.graph(target)
    reader = open_store(application.store.url if application is not None else store)

    async def look() -> ExecutionTree:
        async with reader:
            return await (await find_run(reader, target)).tree()

    return asyncio.run(look())


def draw(thing: Graph | ExecutionTree | Topology, format: Format, out: str | None) -> int:
    """Write the picture to a file, or to stdout."""
    text = _drawn(thing, format)
    if out is None:
        output.write_raw(text)
        return SUCCESS
    try:
        Path(out).write_text(text if text.endswith("\n") else f"{text}\n", "utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}") from None
    return SUCCESS


def _drawn(thing: Graph | ExecutionTree | Topology, format: Format) -> str:
    match format:
        case "dot":
            return thing.to_dot()
        case "mermaid":
            return thing.to_mermaid()
        case "svg":
            return thing.to_svg()
        case "json":
            if not isinstance(thing, Graph):
                return thing.to_json(indent=2)
            return msgspec.json.format(msgspec.json.encode(thing.definition), indent=2).decode()


def _described(graph: Graph) -> dict[str, Any]:
    whole = msgspec.json.decode(msgspec.json.encode(graph.definition))
    words = ("name", "description", "author", "version", "signature")
    return {
        "kind": "graph",
        **{word: getattr(graph, word) for word in words},
        "tags": list(graph.tags),
        "inputs": whole.get("inputs"),
        "nodes": [node.id for node in graph.nodes.values()],
    }


def _described_agent(agent: Agent) -> dict[str, Any]:
    return {
        "kind": "agent",
        "name": agent.name,
        "description": agent.description,
        "reads": agent.subscriptions,
        "writes": agent.publications,
    }
