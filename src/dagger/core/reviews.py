"""Reviews: questions that wait for a person, as the journal and every listing have them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from dagger.core import codec
from dagger.core.errors import AnswerInvalid, ReviewError
from dagger.core.state import State, Wait

REVIEW = "review"
"""The kind of a wait for a person."""
LONGEST_MINUTES = 1440.0
"""A day, as in the config."""
Text = Annotated[str, msgspec.Meta(min_length=1)]
Options = Annotated[list[Any], msgspec.Meta(min_length=1)]
Minutes = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_MINUTES)]
"""What `problem` finds nothing wrong with, as types of JSON values."""


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person is asked: the detail of the wait."""

    question: str
    options: list[Any] | None = None
    """The only answers there are; None: any JSON value."""


class Review(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An open review: a question that a step of a run waits to be answered."""

    id: str
    """What it is answered by: twelve letters and digits."""
    run_id: str
    step: str
    """The step that asks: a node's id, after its scope if it has one."""
    key: str
    """The key of the step's wait."""
    question: str
    options: list[Any] | None = None
    """The only answers there are; None: any JSON value."""
    opened_ms: int
    due_ms: int | None = None

    @property
    def opened_at(self) -> datetime.datetime:
        """When it was asked, in UTC."""
        return datetime.datetime.fromtimestamp(self.opened_ms / 1000, datetime.UTC)

    @property
    def due_at(self) -> datetime.datetime | None:
        """Until when an answer is waited for, in UTC; None: for ever."""
        return None if self.due_ms is None else datetime.datetime.fromtimestamp(self.due_ms / 1000, datetime.UTC)


def open_reviews(state: State) -> list[tuple[str, str, Wait]]:
    """The reviews of a run that are open: step, key and wait of each. Looks at all waits."""
    return [
        (step, key, wait)
        for step, waits in state.waits.items()
        for key, wait in waits.items()
        if wait.is_open and wait.kind == REVIEW
    ]


def only_review(state: State, value: bytes) -> tuple[str, str, Wait] | None:
    """The one open review, if `value` answers it; None: none is open. Raises ReviewError or AnswerInvalid."""
    found = open_reviews(state)
    if len(found) > 1:
        ids = ", ".join(wait.review for _, _, wait in found[:5])
        message = f"run {state.run_id!r}: {len(found)} reviews are open; answer them by their ids: {ids}"
        raise ReviewError(message)
    for _, _, wait in found:
        answer_text(codec.decode(value), msgspec.json.decode(wait.detail, type=Question).options, wait.review)
    return found[0] if found else None


def review_id(run_id: str, step: str, key: str) -> str:
    """The id of a review: short enough to be typed, and the same whenever the journal is replayed."""
    return hashlib.blake2b(f"{run_id}\n{step}\n{key}".encode(), digest_size=6).hexdigest()


def problem(question: object, options: object, minutes: object) -> str:
    """What is wrong with the arguments of a review, or nothing."""
    if not codec.is_text(question) or not question:
        return f"a question is a text that is not empty, not {question!r:.80}"
    if options is not None and (isinstance(options, str) or not isinstance(options, Sequence) or not options):
        return f"options are a list of answers that is not empty, not {options!r:.80}; without them any answer will do"
    is_number = isinstance(minutes, (int, float)) and not isinstance(minutes, bool)
    if not (minutes is None or minutes is msgspec.UNSET or (is_number and 0 <= minutes <= LONGEST_MINUTES)):  # type: ignore[operator]
        return f"wait_minutes is a number from 0 to {LONGEST_MINUTES:g}, or None to wait for ever, not {minutes!r:.80}"
    return ""


def answer_text(value: object, options: Sequence[Any] | None, review: str) -> msgspec.Raw:
    """An answer as JSON text. Raises AnswerInvalid for what is no JSON, or none of the options."""
    try:
        text = codec.encode(value)
    except codec.NotJson as error:
        message = f"review {review}: the answer {error}"
        raise AnswerInvalid(message) from None
    same = codec.canonical(text)
    if options is not None and not any(codec.canonical(codec.encode(option)) == same for option in options):
        offered = ", ".join(codec.encode(option).decode() for option in options)
        message = f"review {review}: {text.decode():.80} is none of the options; choose one of {offered}"
        raise AnswerInvalid(message)
    return msgspec.Raw(text)
