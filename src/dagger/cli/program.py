"""The command's words: what typer makes of them, and which exit code comes of it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import Exit, TyperException

from dagger.cli import log, options, output
from dagger.cli.exits import INTERRUPTED, PIPE_CLOSED, REFUSED, SUCCESS, of_error

_EPILOG = """\b
Example:
  dagger run pipeline.yaml --app flows.py -i x=10 -i y=20
  dagger runs
  dagger show RUN

\b
Exit codes: 0 success, 1 the run failed or was cancelled, 2 bad usage or input,
3 the run is paused or waits, 130 Ctrl-C.
With --debug, anywhere on the line, errors come with their tracebacks.
"""

_COMMANDS = {
    "run": "running",
    "agent": "running",
    "publish": "messages",
    "resume": "running",
    "reviews": "people",
    "answer": "people",
    "instruct": "people",
    "dead-letters": "messages",
    "redeliver": "messages",
    "pause": "orders",
    "cancel": "orders",
    "runs": "looking",
    "show": "looking",
    "events": "looking",
    "graph": "graphs",
    "validate": "graphs",
    "ls": "graphs",
    "schema": "graphs",
    "topology": "topology",
    "tools": "tools",
}
"""Each command, in the order of `--help`, and the module that it is in."""


def program(words: Sequence[str]) -> typer.Typer:
    """The command as typer has it: with the subcommand that `words` name, or all where they name none.

    An order to a run is to be there soon, and what the other subcommands import would be half of its time.
    """
    made = typer.Typer(
        name="dagger",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,  # rich would double the time of --help
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    made.callback(epilog=_EPILOG)(root)
    for name in [*words[:1]] if words and words[0] in _COMMANDS else _COMMANDS:
        module = importlib.import_module(f"dagger.cli.{_COMMANDS[name]}")
        made.command(name)(options.unfolded(getattr(module, name.replace("-", "_"))))
    return made


def _tell_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if is_wanted:
        from importlib import metadata  # costs 10 ms

        try:
            output.write(f"dagger {metadata.version('dagger-flow')}")
        except metadata.PackageNotFoundError:
            output.write("dagger of an unknown version: it is not installed, only found on the path")
        raise Exit


def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Durable agentic workflows: run graphs, look at runs, go on where a run stopped."""


def execute(argv: Sequence[str] | None = None) -> int:
    """Do what the words say (None: this process's own), and return the exit code. No exception leaves."""
    words, is_debugging = _without_debug(list(sys.argv[1:] if argv is None else argv))
    output.prepare_streams()
    if is_debugging:
        log.log_everything()
    try:
        code = program(words)(words, prog_name="dagger", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _misused(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit:
        return PIPE_CLOSED  # typer leaves so when a write finds the pipe closed, and in no other case
    except BrokenPipeError:
        # the interpreter flushes stdout once more when it ends: into nothing, then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in a few lines
        return of_error(error, is_debugging=is_debugging)
    return code if isinstance(code, int) else SUCCESS


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """The words without `--debug`, wherever it stands: people add it at the end of what has just failed."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != "--debug"]
    return kept + words[end:], len(kept) < end


def _misused(error: TyperException) -> int:
    """Tell what is wrong with the words, and which help to read."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dagger"
    said = error.format_message().replace("Value error, ", "")  # pydantic's words, not ours
    if type(error).__name__ == "NoArgsIsHelpError":
        output.say(said)
    else:
        output.say(f"error: {said}\n`{path} --help` tells what it takes")
    return REFUSED
