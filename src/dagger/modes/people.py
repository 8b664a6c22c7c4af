"""The built-in agent that asks people: what is published to `human_review` becomes a review."""

from __future__ import annotations

from typing import Any

import msgspec

from dagger.core.messages import ANSWERED, HUMAN_REVIEW
from dagger.core.reviews import Minutes, Options, Text
from dagger.spec.agent import agent
from dagger.spec.context import Context
from dagger.spec.message import Message

AT_ONCE = 1000
"""Questions that may be open at once: nobody has to answer one before the next one is asked."""


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be asked, as `ctx.review` asks it.

    A slip in a name would be a question without options, or one that is asked for ever.
    """

    question: Text
    options: Options | None = None
    wait_minutes: Minutes | None = None


@agent(name=HUMAN_REVIEW, subscribe=HUMAN_REVIEW, publish=ANSWERED, concurrency=AT_ONCE)
async def human_review(asked: Question, message: Message, ctx: Context) -> dict[str, Any]:
    """Ask a person; the answer is published, null if nobody gave one in time, under `autopilot`."""
    minutes = msgspec.UNSET if asked.wait_minutes is None else asked.wait_minutes
    answer = await ctx.review(asked.question, options=asked.options, wait_minutes=minutes)
    ctx.reply(answer)
    return {"question": asked.question, "answer": answer, "message": message.id}
