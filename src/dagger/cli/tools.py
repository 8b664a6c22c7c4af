"""`dagger tools`: the actions of an application, as a language model is told of them."""

from __future__ import annotations

from typing import Annotated

import typer

from dagger.cli import options, output
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.loading import load_app
from dagger.spec.tools import ToolFormat


def tools(
    *,
    format: Annotated[ToolFormat, typer.Option("--format", help="Whose words to use.")] = "dagger",
    app: options.App = None,
) -> int:
    """Print the actions of an application as tools for a language model: a JSON list."""
    if app is None:
        raise UsageError("--app is missing: whose actions? --app module:name or --app path/file.py")
    output.write_json(load_app(app).tool_schemas(format))
    return SUCCESS
