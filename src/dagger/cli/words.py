"""Words: what happens in a run, each event in one line for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from dagger.cli.output import count, local_time, question, short
from dagger.core import events
from dagger.core.messages import Published
from dagger.core.reviews import REVIEW, Question
from dagger.core.steps import HANDLER
from dagger.views.outcome import moment
from dagger.views.texts import cut, duration_text, visible

ERROR_CHARACTERS = 300
NOTE_CHARACTERS = 120
NAMES_SHOWN = 8
"""Channels and steps that a line names."""

AnyEvent: TypeAlias = events.AnyEvent | events.Progressed | events.Emitted


def line_of(event: AnyEvent) -> str | None:
    """The line that tells an event; None for those that are not told."""
    told = _LINES.get(type(event))
    line = None if told is None else told(event)
    return None if line is None else visible(line).replace("\n", " ")  # names may have newlines


def _one_line(error: events.Error | str) -> str:
    return cut(" ".join(str(error).split()), ERROR_CHARACTERS)


def _success(event: events.StepSucceeded) -> str:
    if event.reused:
        return f"reused     {event.step} from run {event.reused}"
    took = duration_text(event.duration_ms)
    if event.recovers is not msgspec.UNSET:
        return f"recovered  {event.step.removesuffix(HANDLER)} by its failure action in {took}"
    replied = ", replied" if event.reply is not msgspec.UNSET else ""
    published = f", published {messages_text(event.messages)}" if event.messages else ""
    return f"done       {event.step} in {took}{replied}{published}"


def messages_text(messages: Sequence[Published]) -> str:
    """How many messages to which channels: `3 messages to results, log`. No payload: it may be secret."""
    channels = list(dict.fromkeys(message.channel for message in messages))
    more = ", …" if channels[NAMES_SHOWN:] else ""
    return cut(f"{count(len(messages), 'message')} to {', '.join(channels[:NAMES_SHOWN])}{more}", NOTE_CHARACTERS)


def _attempt_failed(event: events.AttemptFailed) -> str:
    error = _one_line(event.error)
    if event.failure:
        return f"failed     {event.step}: attempt {event.attempt}: {error}; {event.failure} handles it"
    delay = duration_text(max(0, event.retry_at - event.at))
    return f"retry      {event.step}: attempt {event.attempt} failed: {error}; again in {delay}"


def _redelivered(event: events.Redelivered) -> str:
    named = ", ".join(event.steps[:NAMES_SHOWN])
    more = len(event.steps) - NAMES_SHOWN
    return f"again      {named}{f' and {more:,} more' if more > 0 else ''}: delivered anew"


def _child(event: events.ChildOpened) -> str:
    if event.messages:
        return f"channel {event.messages[0].channel}"
    # a run may know a supervisor's graph by another name than its own
    return f"child flow {event.graphs[event.graph].name if event.graph in event.graphs else event.graph}"


def _limit(event: events.LimitReached) -> str:
    return f"limit      {event.limit} of {event.value:g} used up{f': {event.detail}' if event.detail else ''}"


def _asks(event: events.WaitOpened) -> str | None:
    if event.messages:
        return f"requests   {event.step}: {messages_text(event.messages)}"
    if event.kind != REVIEW:
        return None
    asked = msgspec.json.decode(bytes(event.detail or b""), type=Question)
    return f"asks       {event.step}: {_one_line(question(asked.question, asked.options))} ({event.review})"


def _answered(event: events.WaitAnswered) -> str | None:
    if not event.review:
        return None
    if event.who:
        return f"answered   {event.step}: {short(event.value, NOTE_CHARACTERS)} by {event.who} ({event.review})"
    what = "withdrawn " if event.error else "unanswered"
    return f"{what} {event.step}: the question is open no more ({event.review})"


def _waits(event: events.RunWaiting) -> str | None:
    # an attempt that is delayed has said so itself
    return None if event.is_active else f"waits      {resting(event).removeprefix('waits ')}"


_LINES: dict[type[events.Event], Callable[[Any], str | None]] = {
    events.StepSucceeded: _success,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: lambda event: f"failed     {event.step}: attempt {event.attempt}: {_one_line(event.error)}",
    events.StepSkipped: lambda event: f"skipped    {event.step}: {event.reason}",
    events.StepCancelled: lambda event: f"cancelled  {event.step}: {event.reason}",
    events.LimitReached: _limit,
    events.MessagesPublished: lambda event: f"published  {messages_text(event.messages)}",
    events.AgentBound: lambda event: f"agent      {event.agent.name} reads {', '.join(event.agent.subscriptions)}",
    events.AgentRemoved: lambda event: f"agent      {event.name} was removed; what waited at it became dead letters",
    events.Redelivered: _redelivered,
    events.OrderRefused: lambda event: f"refused    an order: {_one_line(event.error)}",
    events.Emitted: lambda event: f"emitted    {event.step}: {short(event.value)}",
    events.NodeAdded: lambda event: f"added      {event.node.id}",
    events.ChildOpened: lambda event: f"began      {event.step}: {_child(event)}",
    events.Instructed: lambda event: f"instructed {short(event.value, NOTE_CHARACTERS)}",
    events.WaitOpened: _asks,
    events.WaitAnswered: _answered,
    events.RunWaiting: _waits,
}
"""What people want to hear of, and in which words."""


def resting(event: events.RunWaiting | events.RunParked) -> str:
    """What a run waits for, and when it goes on by itself."""
    return event.reason if event.wake_at is None else f"{event.reason}; goes on at {local_time(moment(event.wake_at))}"


def told_by(event: events.Progressed) -> str:
    """How far a step is, and what it says of it."""
    return f"{event.fraction:.0%} {cut(' '.join(event.note.split()), NOTE_CHARACTERS)}".rstrip()
