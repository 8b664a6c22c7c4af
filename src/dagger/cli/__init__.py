"""The command: parse, call app, print, exit code; no logic of its own."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words of a command line say (None: this process's own), and return the exit code.

    0 success, 1 the run failed, 2 bad usage or input, 3 paused or waiting, 130 ended by Ctrl-C.
    """
    from dagger.cli.program import execute  # typer is imported only by the command

    return execute(argv)
