"""Iterations: what keeps a supervisor's turn from taking place, and what follows one that has."""

from __future__ import annotations

from typing import Protocol

import msgspec

from dagger.core import decide, events, iterate
from dagger.core.errors import IterationLimitReached
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
    wait = state.waits.get(step, {}).get(iterate.INSTRUCTION)
    if wait is None:
        kind = iterate.INSTRUCTION
        wait = run.waits.opened(events.WaitOpened(at=now, step=step, key=kind, kind=kind))
    return wait.is_open


def finish(run: Iterating) -> None:
    """The run may have its result: then its supervisor waits for no more instructions."""
    if run.state.result is not None:
        for step in iterate.idle(run.state):
            run.waits.answer(step, iterate.INSTRUCTION)


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
    review = review_id(state.run_id, step, iterate.LIMIT_REVIEW) if policy == "pause" else ""
    reached = iterate.limit(state, now, policy, review)
    if reached is None:
        return None
    wait = state.waits.get(step, {}).get(iterate.LIMIT_REVIEW)
    if wait is not None and wait.value == _STOP:
        error = events.Error(IterationLimitReached.__name__, f"max_iterations of {reached.value:g} used up")
        return Instead(events.StepFailed(at=now, step=step, attempt=1, error=error, policy="stop"))
    if review and wait is None:
        _ask(run, step, now, reached, review)
    return Instead(reached)


def _ask(run: Iterating, step: str, now: int, reached: events.LimitReached, review: str) -> None:
    used = f"max_iterations of {reached.value:g} used up"
    asked = Question(f"{used}. {iterate.CONTINUE!r} grants as many again.", [iterate.CONTINUE, iterate.STOP])
    detail = msgspec.Raw(msgspec.json.encode(asked))
    run.waits.opened(
        events.WaitOpened(at=now, step=step, key=iterate.LIMIT_REVIEW, kind=REVIEW, detail=detail, review=review)
    )
