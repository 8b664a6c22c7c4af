"""The built-in actions: `supervisor_step`, which works instructions, and `human_interrupt`, which asks a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dagger.core.errors import DaggerError
from dagger.core.graph import INSTRUCTIONS
from dagger.core.iterate import HUMAN_INTERRUPT, STOP
from dagger.spec.action import action
from dagger.spec.context import Context

SUPERVISOR = "supervisor_step"
HUMAN_REVIEW = "human_review"
"""What an instruction calls `human_interrupt`."""


_NO = frozenset((STOP, "no", "n", "end", "quit", "abort", "cancel"))
"""Answers by which a person lets nothing go on, however they are written."""


class _Instruction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instruction, as people and programs write it."""

    action: str
    params: dict[str, Any] | None = None
    priority: int = 0
    """Higher first."""
    timestamp: str | None = None
    """When it was given, for whoever reads it; older ones come first anyhow."""


class _Waiting(NamedTuple):
    key: str
    given: Any
    instruction: _Instruction


@action(SUPERVISOR)
async def supervisor_step(ctx: Context) -> None:
    """Work the instruction that is due: highest priority first, then oldest. Invalid ones are kept, and skipped."""
    for waiting in sorted(_valid(ctx), key=lambda waiting: -waiting.instruction.priority):
        ctx.cache.delete(INSTRUCTIONS, waiting.key)
        name = waiting.instruction.action
        try:
            ctx.add_node(HUMAN_INTERRUPT if name == HUMAN_REVIEW else name, inputs=waiting.instruction.params or {})
        except DaggerError as error:
            _keep_invalid(ctx, waiting.key, waiting.given, f"{type(error).__name__}: {error}")
        else:
            return


def _valid(ctx: Context) -> list[_Waiting]:
    """The instructions that can be read, oldest first; the others are kept as invalid."""
    found = []
    for key in ctx.cache.keys(INSTRUCTIONS):
        given = ctx.cache.get(INSTRUCTIONS, key)
        try:
            found.append(_Waiting(key, given, _read(given)))
        except (msgspec.DecodeError, RecursionError) as error:
            ctx.cache.delete(INSTRUCTIONS, key)
            _keep_invalid(ctx, key, given, f"an instruction is {{action, params, priority}}: {error}")
    return found


def _read(given: Any) -> _Instruction:
    if isinstance(given, str):
        return msgspec.json.decode(given, type=_Instruction)
    return msgspec.convert(given, _Instruction)


def _keep_invalid(ctx: Context, key: str, given: Any, error: str) -> None:
    ctx.log.warning("an instruction is skipped: %s", error)
    ctx.cache.set("global", f"invalid_{key}", {"instruction": given, "error": error})


@action(HUMAN_INTERRUPT)
async def human_interrupt(
    ctx: Context,
    question: str = "Go on?",
    options: Sequence[Any] | None = None,
    wait_minutes: float | None = None,
) -> Mapping[str, Any]:
    """Ask a person, and give what was answered as `answer`; null if nobody did in time, under `autopilot`.

    `goes_on` is whether that was anything but a no.
    """
    minutes = msgspec.UNSET if wait_minutes is None else wait_minutes
    answer = await ctx.review(question, options=options, wait_minutes=minutes)
    is_no = answer.strip().lower() in _NO if isinstance(answer, str) else answer is False
    return {"answer": answer, "goes_on": not is_no}


BUILT_IN = (supervisor_step, human_interrupt)
