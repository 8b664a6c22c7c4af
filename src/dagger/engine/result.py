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
    StepError,
    WaitMismatch,
)
from dagger.core.graph import Node
from dagger.engine.binding import Source
from dagger.engine.collecting import Tried
from dagger.engine.context import AttemptContext
from dagger.engine.publishing import checked, returned
from dagger.spec.action import Action
from dagger.spec.outputs import outputs
from dagger.spec.schema import said

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
    agents_as_of: int
    """When its messages were checked: see Source."""


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
    as_of = run.agents_as_of
    event = events.StepSucceeded(at=0, step=attempt.step, attempt=attempt.number)
    if action.publishes:
        made: dict[str, Any] = {"messages": tuple(returned(run, attempt.node, action, result, blobs))}
    else:
        made = {"outputs": outputs(attempt.node, result, blobs)}
    event = msgspec.structs.replace(event, **made)
    return Success(event if ctx is None else ctx.with_effects(event, blobs), blobs, as_of)


def as_taken_now(run: Source, node: Node, made: Success) -> events.StepSucceeded:
    """A success with its messages checked anew where agents were bound or removed since they were.

    Code that ran elsewhere has ended some time before the loop hears of it. Raises MessageInvalid.
    """
    event = made.event
    if not event.messages or made.agents_as_of == run.agents_as_of:
        return event
    return msgspec.structs.replace(event, messages=checked(run, node, event.messages, made.blobs))


def told(error: BaseException) -> events.Error:
    """An exception as text, whatever it is."""
    if isinstance(error, FailedThere):
        return error.error
    text = "".join(traceback.format_exception(error))
    return events.Error(type(error).__name__, said(error), codec.readable(text))


def is_retryable(error: BaseException) -> bool:
    """Whether another attempt may go better. A StepError of no kind says that code uses its context as nobody can."""
    if isinstance(error, FailedThere):
        return error.is_retryable
    return not (isinstance(error, _NEVER_RETRIED) or type(error) is StepError)
