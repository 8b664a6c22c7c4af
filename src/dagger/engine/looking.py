"""Look at a ready step that may need no attempt: a child flow, a condition, a supervisor's turn that is held up."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Protocol

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.journal import Reusable
from dagger.core.state import Pending, State
from dagger.engine import children, flows, iterations
from dagger.engine.attempt import Attempt, OwnedRun
from dagger.engine.kernel import Kernel
from dagger.engine.limits import Limits
from dagger.engine.maps import Maps
from dagger.engine.underway import Underway
from dagger.engine.waits import Waits


class Looked(OwnedRun, Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    state: State
    waits: Waits
    maps: Maps
    limits: Limits
    underway: Underway
    context: contextvars.Context
    keys: dict[str, str]
    now_ms: Callable[[], int]

    @property
    def is_halting(self) -> bool: ...
    def reusable(self, key: str) -> Reusable | None: ...
    def mailed(self) -> None: ...
    def record(self, event: events.Event, blobs: Sequence[Blob] = ()) -> None: ...
    def halt(self) -> None: ...
    def step_over(self) -> None: ...
    def drop(self, flows_left: Sequence[str]) -> None: ...


def look(run: Looked, step: str) -> None:
    """Do what a step does instead of an attempt; if it does nothing, it waits for its slots."""
    pending = run.state.pending.get(step)
    # a flow that was about to end may have been given a dead letter again: it is ready when that has ended
    if pending is not None and not pending.unmet and not run.is_halting:
        try:
            found = _found(run, step, pending, run.kernel.now_ms)
        except Exception as error:  # noqa: BLE001 - a condition or a list that is none fails the step
            run.maps.end(step)
            attempt = Attempt(run, step, pending.node, pending.failures + 1, run.kernel.now_ms, run.context)
            attempt.fail(error)
            return
        if found is None:
            if iterations.is_held_up(run, step, pending.node, run.kernel.now_ms):
                run.underway.fall_asleep(step)
                run.step_over()
            else:
                run.underway.wait_for_slots(step)
            return
        _do_instead(run, step, found)
    run.underway.dropped.discard(step)
    run.underway.open -= 1
    run.step_over()


def _found(run: Looked, step: str, pending: Pending, now: int) -> flows.Instead | None:
    """What a step does instead of an attempt; None: nothing, unless it is held up."""
    node = pending.node
    if node.answers:
        return children.end_child(run, step, node, now)
    found = iterations.omitted(run, step, node, now) or flows.instead(run, step, pending, now)
    if found is not None or iterations.is_held_up(run, step, node, now):
        return found
    return iterations.limited(run, step, node, now)


def _do_instead(run: Looked, step: str, found: flows.Instead) -> None:
    event, flows_left = found.event, list[str]()
    if isinstance(event, events.ScopeOpened):
        run.underway.begin_scope(step)
    else:
        run.maps.end(step)
        if run.state.waits and not isinstance(event, events.LimitReached):
            flows_left = run.waits.leave(step, is_stuck=is_stuck(event))
    run.record(*found)
    run.drop(flows_left)
    if run.state.halt:
        run.halt()


def is_stuck(event: events.Event) -> bool:
    """Whether a step finally failed, and waits for the run to be resumed."""
    return isinstance(event, events.StepFailed) and event.policy == "pause"
