"""Conversation: what was said between a supervisor and its model, as its turns have kept it.

Each turn's node has what was said in it as an output, and nothing of the turns before: what a run writes grows with
what is said, not with its square. Besides, the journal has what a turn opened with and each answer as memos, for a turn
that is begun again, and the last answer's text as the result. A child flow has its own conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    SystemPromptPart,
    ToolReturnPart,
    UserPromptPart,
)

from dagger.core import codec, iterate
from dagger.core.graph import INSTRUCTIONS
from dagger.llm.tools import Call
from dagger.modes.agent import TASK
from dagger.spec.context import Context, Outcome

MESSAGES, CALLS = "messages", "calls"
"""The outputs of a turn in which it keeps what was said, and the nodes that it added."""


def written(messages: Sequence[ModelMessage]) -> list[Any]:
    """Messages as JSON values."""
    made: list[Any] = ModelMessagesTypeAdapter.dump_python(list(messages), mode="json")
    return made


def read(values: Sequence[Any]) -> list[ModelMessage]:
    """The messages that `written` made these of."""
    return ModelMessagesTypeAdapter.validate_json(codec.encode(values))


def said_before(ctx: Context) -> list[ModelMessage]:
    """What was said in the earlier turns."""
    return read([message for turn in _turns(ctx) for message in ctx.cache.get(turn, MESSAGES, [])])


def _turns(ctx: Context) -> list[str]:
    """The ids of the earlier turns."""
    assert ctx.node.iteration is not None
    number = ctx.node.iteration.number
    stem = ctx.node.id.removesuffix(str(number))
    return [f"{stem}{each}" for each in range(1, number)]


async def opening(ctx: Context, instructions: str) -> ModelRequest:
    """What a turn begins with: the task, or what became of what the turn before has asked for; and what it is told.

    It is in the journal before the model is asked: a turn that is begun again opens with the same, and an instruction
    that came in between waits for the next. Those that it opens with are done with when it has succeeded.
    """
    opened = await ctx.memo("opening", _opened, ctx, instructions)
    for key in opened["instructions"]:
        ctx.cache.delete(INSTRUCTIONS, key)
    (request,) = read(opened[MESSAGES])
    assert isinstance(request, ModelRequest)
    return request


def _opened(ctx: Context, instructions: str) -> dict[str, Any]:
    turns = _turns(ctx)
    parts = _results(ctx, turns[-1]) if turns else _task(ctx, instructions)
    waiting = ctx.cache.keys(INSTRUCTIONS)
    parts += [_instruction(ctx.cache.get(INSTRUCTIONS, key)) for key in waiting]
    return {MESSAGES: written([ModelRequest(parts)]), "instructions": waiting}


def refusal(calls: Sequence[Call]) -> ModelRequest:
    """What a model is told at once when nothing can be done of what it said."""
    if calls:
        return ModelRequest([_failed(call, call.error) for call in calls])
    return ModelRequest([UserPromptPart("Your answer was empty. Call a tool, or give the result as text.")])


def _task(ctx: Context, instructions: str) -> list[ModelRequestPart]:
    inputs = dict(ctx.inputs)
    parts: list[ModelRequestPart] = [SystemPromptPart(instructions)] if instructions else []
    parts.append(UserPromptPart(inputs.pop(TASK)))
    if inputs:
        parts.append(UserPromptPart(f"Inputs: {_text(inputs)}"))
    return parts


def _results(ctx: Context, turn: str) -> list[ModelRequestPart]:
    """What became of each tool call of the turn before; and what a person said who was asked to let this one begin."""
    calls = msgspec.convert(ctx.cache.get(turn, CALLS), list[Call])
    outcomes = ctx.outcomes
    parts: list[ModelRequestPart] = [
        _result(ctx, call, outcomes[call.node]) if call.node else _failed(call, call.error) for call in calls
    ]
    answer = ctx.cache.node(iterate.asked_before(ctx.node)).get("answer")
    if answer is not None:
        parts.append(UserPromptPart(f"A person who was asked whether you may go on answered: {_text(answer)}"))
    return parts


def _result(ctx: Context, call: Call, outcome: Outcome) -> ToolReturnPart:
    if outcome.success:
        return ToolReturnPart(call.tool, _text(ctx.cache.node(call.node)), call.id)
    why = outcome.final_error or outcome.reason or outcome.status
    return _failed(call, f"{outcome.status}: {why}")


def _failed(call: Call, error: str) -> ToolReturnPart:
    return ToolReturnPart(call.tool, error, call.id, outcome="failed")


def _instruction(given: object) -> UserPromptPart:
    return UserPromptPart(f"Instruction: {given if isinstance(given, str) else _text(given)}")


def _text(value: object) -> str:
    return codec.encode(value).decode()
