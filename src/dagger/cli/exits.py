"""Exit codes, and errors in one to three lines: what, where, what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from dagger.cli.output import say
from dagger.core.errors import DaggerError, GraphError

SUCCESS = 0
FAILED = 1
"""The run failed or was cancelled; or the command itself did, which is a bug."""
REFUSED = 2
"""Bad usage or input: nothing was started or changed."""
WAITING = 3
"""The run is paused or waits: somebody has to do something."""
INTERRUPTED = 130
"""Ctrl-C, as shells count it: 128 + SIGINT."""
PIPE_CLOSED = 141
"""Whoever read the output has left, as shells count it: 128 + SIGPIPE."""


class Left(DaggerError):
    """Ctrl-C ended the command, and not the run, which goes on in another process."""


_OF_STATUS = {"succeeded": SUCCESS, "failed": FAILED, "cancelled": FAILED}


class UsageError(DaggerError):
    """What was typed cannot be done; the message says what to type instead."""


class RunLost(DaggerError):
    """The run could not be followed to its end: the store failed, or another process took it over."""


_OF_ERROR: dict[type[Exception], int] = {RunLost: FAILED, Left: INTERRUPTED}


def of_status(status: str) -> int:
    """The exit code for a run that is in this status."""
    return _OF_STATUS.get(status, WAITING)


def of_error(error: Exception, *, is_debugging: bool = False) -> int:
    """Tell an error on stderr, and return its exit code."""
    if is_debugging:
        say("".join(traceback.format_exception(error)).rstrip())
    for line in _lines(error):
        say(line)
    if not isinstance(error, DaggerError):
        return FAILED
    return _OF_ERROR.get(type(error), REFUSED)


def _lines(error: Exception) -> Iterator[str]:
    match error:
        case GraphError() if any(problem.file for problem in error.problems):
            yield from map(str, error.problems)
        case DaggerError():
            yield f"error: {error}"
        case _:
            yield f"error: {type(error).__name__}: {error}"
            yield "This is a bug in Dagger, or in code that it called at load; --debug shows where it came from."
