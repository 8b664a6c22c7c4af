"""`dagger topology`: the agents of an application, the channels between them, and what may go wrong there."""

from __future__ import annotations

from typing import Annotated

import typer

from dagger.cli import options, output
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.graphs import Format, Out, draw, format_of
from dagger.cli.loading import load_app
from dagger.spec.contracts import disagreement
from dagger.views.topology import Topology, at_once


def topology(
    *,
    app: options.App = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="Draw it; default: a table, or what FILE's name ends in.", show_default=False),
    ] = None,
    out: Out = None,
    json: options.Json = False,
) -> int:
    """Show agents and channels, and what may go wrong between them.

    That is: channels that nobody reads or writes, schemas that disagree, loops without an exit, and agents that may
    wait for each other.
    """
    if app is None:
        raise UsageError("--app is missing: whose agents? --app module:name or --app path/file.py")
    if json and format not in {None, "json"}:
        raise UsageError(f"--json --format {format}: the two contradict each other; leave one of them out")
    asked: Format | None = "json" if json else format
    chosen = None if out is None and asked is None else format_of(out, asked)
    found = Topology.of([action.agent for action in load_app(app).agents.values()], disagreement, app)
    if chosen is not None:
        return draw(found, chosen, out)
    if not found.agents:
        output.say("no agents: the application has registered none")
        return SUCCESS
    output.write_table(
        ["agent", "reads", "writes", "handles"],
        [
            [agent.name, " ".join(agent.subscriptions), " ".join(agent.publications), at_once(agent)]
            for agent in found.agents
        ],
        elastic=["writes", "reads"],
    )
    for warning in found.warnings:
        output.write(f"{'note' if warning.is_note else 'warning'}: {warning.message}")
    return SUCCESS
