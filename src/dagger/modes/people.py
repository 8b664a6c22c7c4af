"""The built-in agent that asks people: what is published to `human_review` becomes a review."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Required, TypedDict

import msgspec

from dagger.core.messages import ANSWERED, HUMAN_REVIEW
from dagger.spec.agent import agent
from dagger.spec.context import Context
from dagger.spec.message import Message

AT_ONCE = 1000
"""Questions that may be open at once: nobody has to answer one before the next one is asked."""


class Question(TypedDict, total=False):
    """What is to be asked."""

    question: Required[str]
    options: Sequence[Any] | None
    wait_minutes: float | None


@agent(name=HUMAN_REVIEW, subscribe=HUMAN_REVIEW, publish=ANSWERED, concurrency=AT_ONCE)
async def human_review(asked: Question, message: Message, ctx: Context) -> dict[str, Any]:
    """Ask a person; the answer is published, null if nobody gave one in time, under `autopilot`."""
    minutes = asked.get("wait_minutes")
    answer = await ctx.review(
        asked["question"],
        options=asked.get("options"),
        wait_minutes=msgspec.UNSET if minutes is None else minutes,
    )
    ctx.reply(answer)
    return {"question": asked["question"], "answer": answer, "message": message.id}
