"""What becomes of an attempt's code: a success with all of its effects, or an error as text."""

from __future__ import annotations

import traceback
from typing import NamedTuple

from dagger.core import codec, events
from dagger.core.errors import (
    GraphError,
    InputInvalid,
    NonRetryable,
    OutputInvalid,
    RegistryError,
    ScopeFailed,
    WaitMismatch,
)
from dagger.engine.context import AttemptContext, Tried
from dagger.spec.action import outputs

_NEVER_RETRIED = (NonRetryable, GraphError, InputInvalid, OutputInvalid, RegistryError, ScopeFailed, WaitMismatch)


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


def success(attempt: Tried, ctx: AttemptContext | None, result: object) -> Success:
    """What the result of an attempt's code makes, with what its context has collected. Raises OutputInvalid."""
    blobs: list[codec.Blob] = []
    made = outputs(attempt.node, result, blobs)
    event = events.StepSucceeded(at=0, step=attempt.step, attempt=attempt.number, outputs=made)
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
