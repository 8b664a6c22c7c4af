"""What becomes of an attempt's code: a success with all of its effects, or an error as text."""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple

import msgspec

from dagger.core import codec, events
from dagger.core.errors import (
    ChannelNotDeclared,
    GraphError,
    InputInvalid,
    MessageInvalid,
    NoAgentsRegistered,
    NonRetryable,
    OutputInvalid,
    RegistryError,
    ScopeFailed,
    WaitMismatch,
)
from dagger.engine.binding import Source
from dagger.engine.collecting import Tried
from dagger.engine.context import AttemptContext
from dagger.engine.publishing import returned
from dagger.spec.action import Action
from dagger.spec.outputs import outputs

_NEVER_RETRIED = (
    ChannelNotDeclared,
    MessageInvalid,
    NoAgentsRegistered,
    NonRetryable,
    GraphError,
    InputInvalid,
    OutputInvalid,
    RegistryError,
    ScopeFailed,
    WaitMismatch,
)


class Success(NamedTuple):
    """A success, but for its times: those are the loop's to tell."""

    event: events.StepSucceeded
    blobs: list[codec.Blob]


class FailedThere(Exception):
    """An attempt failed in a process: its exception stays there, as nobody here may know its class."""

    def __init__(self, error: events.Error, *, is_retryable: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.is_retryable = is_retryable


def success(run: Source, attempt: Tried, action: Action, ctx: AttemptContext | None, result: object) -> Success:
    """What the result of an attempt's code makes, with what its context has collected.

    Raises OutputInvalid, ChannelNotDeclared or MessageInvalid.
    """
    blobs: list[codec.Blob] = []
    event = events.StepSucceeded(at=0, step=attempt.step, attempt=attempt.number)
    if action.publishes:
        made: dict[str, Any] = {"messages": tuple(returned(run, attempt.node, action, result, blobs))}
    else:
        made = {"outputs": outputs(attempt.node, result, blobs)}
    event = msgspec.structs.replace(event, **made)
    return Success(event if ctx is None else ctx.with_effects(event, blobs), blobs)


def told(error: BaseException) -> events.Error:
    """An exception as text, whatever it is."""
    if isinstance(error, FailedThere):
        return error.error
    text = "".join(traceback.format_exception(error))
    return events.Error(type(error).__name__, codec.readable(_message(error)), codec.readable(text))


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may go better."""
    return error.is_retryable if isinstance(error, FailedThere) else not isinstance(error, _NEVER_RETRIED)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a user's __str__ raises anything
        return f"its message cannot be told: str() raised {type(broken).__name__}"
