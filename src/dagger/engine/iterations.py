"""Iterations: what keeps a supervisor's turn from taking place, and what follows one that has."""

from __future__ import annotations

from typing import Protocol

import msgspec

from dagger.core import decide, events, iterate
from dagger.core.errors import IterationLimitReached
from dagger.core.events import step_name
from dagger.core.graph import Node
from dagger.core.reviews import REVIEW, Question, review_id
from dagger.core.state import State, Wait
from dagger.core.steps import flow_of
from dagger.engine.flows import Instead

_STOP = msgspec.json.encode(iterate.STOP)


class Waits(Protocol):
    """What is asked here of a run's waits: see engine/waits."""

    def opened(self, event: events.WaitOpened) -> Wait: ...
    def answer(self, step: str, key: str) -> None: ...
    def withdraw(self, step: str, key: str) -> None: ...


class Iterating(Protocol):
    """What is asked here of a run: see Tenure."""

    state: State

    @property
    def waits(self) -> Waits: ...


def is_held_up(run: Iterating, step: str, node: Node, now: int) -> bool:
    """Whether a turn begins with an instruction that is not there yet: then its step has a wait for it."""
    state = run.state
    if node.iteration is None or not node.iteration.is_idle or iterate.has_instructions(state, step):
        return False
    _withdraw(run, step)  # while there is nothing to do, nobody needs more turns
    wait = state.waits.get(step, {}).get(iterate.INSTRUCTION)
    if wait is None:
        kind = iterate.INSTRUCTION
        wait = run.waits.opened(events.WaitOpened(at=now, step=step, key=kind, kind=kind))
    return wait.is_open


def finish(run: Iterating, step: str) -> None:
    """The flow of a step has its result: its supervisor waits for no more instructions, nor for a person."""
    state, flow = run.state, flow_of(run.state, step)
    for turn in iterate.idle(state, flow):
        run.waits.answer(turn, iterate.INSTRUCTION)
    coming = state.pending.get(state.turns.get(flow, ""))
    asking = step_name(flow, iterate.asked_before(coming.node)) if coming is not None else ""
    for key in [key for key, wait in state.waits.get(asking, {}).items() if wait.is_open]:
        run.waits.answer(asking, key)


def omitted(run: Iterating, step: str, node: Node, now: int) -> Instead | None:
    """What follows instead of a supervisor's turn, or of the review before one: the flow has its result."""
    if node.iteration is None and not node.precedes:
        return None
    state, flow = run.state, flow_of(run.state, step)
    if (state.scopes[flow] if flow else state).result is None:
        return None
    return Instead(events.StepSkipped(at=now, step=step, reason=iterate.FINISHED))


def limited(run: Iterating, step: str, node: Node, now: int) -> Instead | None:
    """What follows instead of a supervisor's turn: no turns are left."""
    if node.iteration is None:
        return None
    state = run.state
    policy = decide.limit_policy(decide.config_of(state, step))
    reached = iterate.limit(state, now, policy)
    key = "" if reached is None else iterate.limit_key(reached)
    _withdraw(run, step, but=key)
    if reached is None:
        return None
    wait = state.waits.get(step, {}).get(key)
    if wait is not None and wait.value == _STOP:
        error = events.Error(IterationLimitReached.__name__, f"max_iterations of {reached.value:g} used up")
        return Instead(events.StepFailed(at=now, step=step, attempt=1, error=error, policy="stop"))
    if policy != "pause":
        return Instead(reached)
    if wait is None:
        wait = _ask(run, step, now, reached, key)
    return Instead(msgspec.structs.replace(reached, review=wait.review))


def _ask(run: Iterating, step: str, now: int, reached: events.LimitReached, key: str) -> Wait:
    used = f"{reached.limit} of {reached.value:g} used up"
    asked = Question(f"{used}. {iterate.CONTINUE!r} grants as many again.", [iterate.CONTINUE, iterate.STOP])
    detail, review = msgspec.Raw(msgspec.json.encode(asked)), review_id(run.state.run_id, step, key)
    return run.waits.opened(events.WaitOpened(at=now, step=step, key=key, kind=REVIEW, detail=detail, review=review))


def _withdraw(run: Iterating, step: str, but: str = "") -> None:
    """Nobody needs to be asked about a limit that is not the one in the way."""
    for key, wait in list(run.state.waits.get(step, {}).items()):
        if wait.is_open and key.startswith(iterate.LIMIT) and key != but:
            run.waits.withdraw(step, key)
