"""The fold: apply(event) -> the steps that just became ready. All changes of state are here and in `core/steps` (I1).

`apply` reads no clock, draws no random number, does no I/O, and looks at one step, never at all of them (I5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from dagger.core import cache, events
from dagger.core.children import drop_child, open_child
from dagger.core.config import RunConfig
from dagger.core.errors import IllegalEvent
from dagger.core.graph import INSTRUCTIONS, Node
from dagger.core.iterate import CONTINUE, LIMIT, forgive
from dagger.core.state import STANDS_STILL, TERMINAL, Ended, Pending, Scope, State, Wait
from dagger.core.steps import (
    ERRORS_KEPT,
    add_nodes,
    close_scope,
    end_badly,
    ended_well,
    flow_of,
    handle_failure,
    leave,
    lend_places,
    open_scope,
    recover,
    retry,
)

_CONTINUE = msgspec.json.encode(CONTINUE)
CONDITION = "condition"
"""The reason of a step that its own condition skipped."""


def apply(state: State, event: events.Event) -> list[str]:
    """Take in the next event; the steps that it made ready, in the order of their declaration.

    Raises IllegalEvent, and changes nothing, for an event that cannot follow what is here.
    """
    return _APPLY[type(event)](state, event)


def fold(journal: Iterable[events.Event]) -> State:
    """The state after all of `journal`."""
    state = State()
    for event in journal:
        apply(state, event)
    return state


def _run_started(state: State, event: events.RunStarted) -> list[str]:
    if state.seq:
        raise _illegal(state, event)
    state.run_id, state.spec = event.run_id, event.spec
    state.config = RunConfig.of(event.config)
    # a copy: flows that code executes bring more, and the event's belong to whoever made it
    state.graphs, state.needs = dict(event.graphs), event.needs
    state.started_at = state.active_since = event.at
    for write in event.cache:
        cache.apply(state.sections, write)
    if event.inputs:
        state.sections["inputs"] = {name: bytes(value) for name, value in event.inputs.items()}
    ready = add_nodes(state, "", event.graph.nodes)
    return _passed(state, event, ready)


def _run_recovered(state: State, event: events.RunRecovered) -> list[str]:
    _require_running(state, event)
    # what passed between the last event and the death of the process cannot be known: it is not counted
    _stop_clock(state, state.last_at)
    _go_on(state, event)
    state.recoveries += not event.was_let_go
    return _passed(state, event)


def _run_paused(state: State, event: events.RunPaused) -> list[str]:
    _require_running(state, event)
    state.status = "paused"
    _stop_clock(state, event.at)
    return _passed(state, event)


def _run_waiting(state: State, event: events.RunWaiting) -> list[str]:
    _require_running(state, event)
    state.status = "waiting"
    if not event.is_active:
        _stop_clock(state, event.at)
    return _passed(state, event)


def _run_parked(state: State, event: events.RunParked) -> list[str]:
    _require_running(state, event)
    state.status, state.is_parked = "waiting", True
    _stop_clock(state, event.at)
    return _passed(state, event)


def _run_woken(state: State, event: events.RunWoken) -> list[str]:
    if state.status != "waiting":
        raise _illegal(state, event)
    _go_on(state, event)
    return _passed(state, event)


def _instructed(state: State, event: events.Instructed) -> list[str]:
    if state.status in TERMINAL or not state.seq:
        raise _illegal(state, event)
    cache.apply(state.sections, cache.Write("set", INSTRUCTIONS, event.key, event.value))
    return _passed(state, event)


def _order_refused(state: State, event: events.OrderRefused) -> list[str]:
    return _passed(state, event)


def _pause_requested(state: State, event: events.PauseRequested) -> list[str]:
    _require_running(state, event)
    if state.halt:
        raise _illegal(state, event)
    state.halt, state.halt_reason, state.review = "pause", event.reason, event.review
    return _passed(state, event)


def _node_added(state: State, event: events.NodeAdded) -> list[str]:
    if state.status in TERMINAL or event.node.id in state.pending or event.node.id in state.succeeded:
        raise _illegal(state, event)
    return _passed(state, event, add_nodes(state, "", (event.node,)))


def _run_resumed(state: State, event: events.RunResumed) -> list[str]:
    if state.status in TERMINAL or not state.seq:
        raise _illegal(state, event)
    _go_on(state, event)
    state.recoveries, state.resumed_at, state.review = 0, event.at, ""
    if state.halt == "pause":  # a run that was cancelled or stopped stays so
        state.halt = state.halt_reason = state.limit = ""
    if event.config:
        state.config = state.config.merged(event.config)
    if event.input is not msgspec.UNSET:
        state.sections.setdefault("global", {})["input"] = bytes(event.input)
    stuck = [step for step, pending in state.pending.items() if pending.is_stuck]
    state.stuck = 0
    failed_so_far = tuple(f"{step}: " for step in stuck)
    state.errors = [error for error in state.errors if not error.startswith(failed_so_far)]
    return _passed(state, event, retry(state, stuck))


def _limit_reached(state: State, event: events.LimitReached) -> list[str]:
    _require_running(state, event)
    state.halt, state.halt_reason = event.policy, f"{event.limit} of {event.value:g} used up"
    state.limit, state.review = event.limit, event.review
    return _passed(state, event)


def _cancel_requested(state: State, event: events.CancelRequested) -> list[str]:
    if state.status in TERMINAL or not state.seq:
        raise _illegal(state, event)
    _go_on(state, event)
    state.halt, state.halt_reason = "cancel", event.reason
    return _passed(state, event)


def _run_ended(state: State, event: events.RunEnded) -> list[str]:
    _require_running(state, event)
    state.status = event.status
    _stop_clock(state, event.at)
    for unfinished in (state.pending, state.dependents, state.doomed, state.waits, state.scopes):
        unfinished.clear()
    return _passed(state, event)


def _step_started(state: State, event: events.StepStarted) -> list[str]:
    _require_pending(state, event, event.step)
    return _passed(state, event)


def _step_succeeded(state: State, event: events.StepSucceeded) -> list[str]:
    step = event.step
    ended = state.pending.pop(step, None)
    if ended is None:
        raise _illegal(state, event)
    state.seq = state.succeeded[step] = state.seq + 1
    state.last_at = event.at
    if event.outputs:
        section = state.sections[step] = {}
        for name, value in event.outputs.items():  # a comprehension is a call: a tenth of it all
            section[name] = bytes(value)
    if state.waits:
        state.waits.pop(step, None)
    if state.recoveries:
        state.recoveries = 0
    ready = ended_well(state, step) if step in state.dependents else []
    if event.cache or event.nodes or event.result is not msgspec.UNSET:
        ready += _more_effects(state, event, ended.node)
    if state.scopes or state.handled:
        close_scope(state, step)
        if event.recovers is not msgspec.UNSET and ended.node.handles:
            return ready + recover(state, step, state.seq, event.recovers)
        ready += leave(state, step, ended.node)
    return ready


def _more_effects(state: State, event: events.StepSucceeded, node: Node) -> list[str]:
    for write in event.cache:
        cache.apply(state.sections, write)
    if node.iteration is not None:
        state.iterations += 1
        forgive(state, event.step, node)
    name = flow_of(state, event.step)
    flow = state.scopes[name] if name else state
    if event.result is not msgspec.UNSET and flow.result is None:
        flow.result = bytes(event.result)
    if not event.nodes:
        return []
    if isinstance(flow, Scope):
        flow.added.update({added.id: added for added in event.nodes})
    return add_nodes(state, name, event.nodes)


def _tokens_spent(state: State, event: events.TokensSpent) -> list[str]:
    _require_running(state, event)
    state.tokens += event.count
    return _passed(state, event)


def _attempt_failed(state: State, event: events.AttemptFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    pending.failures = event.attempt
    pending.retry_at = event.retry_at
    ready = handle_failure(state, event.step, event) if event.failure else []
    return _passed(state, event, ready)


def _step_failed(state: State, event: events.StepFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    step, name = event.step, events.scope_of(event.step)
    if event.policy == "pause":
        _note_error(state, event)
        pending.is_stuck = True
        pending.failures = event.attempt
        state.stuck += 1
        return _passed(state, event, lend_places(state, step))
    if not (pending.node.handles or pending.node.answers):  # else the step that it is for is told
        # what stops the run is the run's error: the child flow will not end
        flow = state.scopes[name] if name and event.policy != "stop" else state
        flow.failures += 1
        _note_error(flow, event)
    if event.policy == "stop" and not state.halt:
        state.halt, state.halt_reason = "stop", f"{step!r} failed"
    ended = Ended("failed", str(event.error))
    ready = end_badly(state, step, ended, f"{step!r} failed")
    if not name or pending.node.answers:
        close_scope(state, step)  # else it may be reopened with the child flow that it is in
    return _passed(state, event, ready)


def _note_error(flow: State | Scope, event: events.StepFailed) -> None:
    if len(flow.errors) < ERRORS_KEPT:
        flow.errors.append(f"{event.step}: {event.error}")


def _step_skipped(state: State, event: events.StepSkipped) -> list[str]:
    _require_pending(state, event, event.step)
    is_own = event.reason == CONDITION
    passed_on = f"{event.step!r} was skipped by its condition" if is_own else event.reason
    node = state.pending[event.step].node
    if is_own and node.iteration is not None:
        forgive(state, event.step, node)  # a person saw it, and ended the supervisor's turns
    return _passed(state, event, end_badly(state, event.step, Ended("skipped", event.reason), passed_on))


def _step_cancelled(state: State, event: events.StepCancelled) -> list[str]:
    if _require_pending(state, event, event.step).node.answers:
        drop_child(state, event.step)
    else:  # it ends with its run: nothing follows from it, so nothing is skipped for it
        state.unsuccessful[event.step] = Ended("cancelled", event.reason)
        del state.pending[event.step]
    return _passed(state, event)


def _scope_opened(state: State, event: events.ScopeOpened) -> list[str]:
    _require_pending(state, event, event.step)
    if event.step in state.scopes or (event.graph and event.graph not in state.graphs):
        raise _illegal(state, event)
    return _passed(state, event, open_scope(state, event))


def _child_opened(state: State, event: events.ChildOpened) -> list[str]:
    _require_pending(state, event, event.step)
    if event.key in state.waits.get(event.step, {}) or event.graph not in {**event.graphs, **state.graphs}:
        raise _illegal(state, event)
    return _passed(state, event, open_child(state, event))


def _wait_opened(state: State, event: events.WaitOpened) -> list[str]:
    _require_pending(state, event, event.step)
    waits = state.waits.setdefault(event.step, {})
    if event.key in waits:
        raise _illegal(state, event)
    waits[event.key] = Wait(event.kind, _bytes(event.detail), event.wake_at, review=event.review)
    return _passed(state, event)


def _wait_answered(state: State, event: events.WaitAnswered) -> list[str]:
    wait = state.waits.get(event.step, {}).get(event.key)
    if wait is None or not wait.is_open:
        raise _illegal(state, event)
    if event.error is not None:  # nobody waits any more: a later attempt that comes to it opens it anew
        del state.waits[event.step][event.key]
    wait.is_open, wait.value = False, _bytes(event.value)
    if wait.review and event.key.startswith(LIMIT) and wait.value == _CONTINUE:
        state.granted += state.config.max_iterations or 0
    return _passed(state, event)


def _passed(state: State, event: events.Event, ready: list[str] | None = None) -> list[str]:
    state.seq += 1
    state.last_at = event.at
    return ready if ready is not None else []


def _go_on(state: State, event: events.Event) -> None:
    state.status, state.is_parked = "running", False
    if state.active_since == STANDS_STILL:
        state.active_since = event.at


def _stop_clock(state: State, at: int) -> None:
    if state.active_since != STANDS_STILL:
        state.active_ms += at - state.active_since
        state.active_since = STANDS_STILL


def _require_running(state: State, event: events.Event) -> None:
    if state.status not in {"running", "waiting"} or not state.seq:
        raise _illegal(state, event)


def _require_pending(state: State, event: events.Event, step: str) -> Pending:
    pending = state.pending.get(step)
    if pending is None:
        raise _illegal(state, event)
    return pending


def _illegal(state: State, event: events.Event) -> IllegalEvent:
    return IllegalEvent(
        f"run {state.run_id!r}, status {state.status}, after event {state.seq}: {event!r:.300} cannot follow"
    )


def _bytes(value: msgspec.Raw | msgspec.UnsetType) -> bytes:
    return b"" if value is msgspec.UNSET else bytes(value)


_Apply: TypeAlias = Callable[[State, Any], list[str]]
_APPLY: dict[type[events.Event], _Apply] = {
    events.RunStarted: _run_started,
    events.RunRecovered: _run_recovered,
    events.RunPaused: _run_paused,
    events.RunResumed: _run_resumed,
    events.RunWaiting: _run_waiting,
    events.RunParked: _run_parked,
    events.RunWoken: _run_woken,
    events.OrderRefused: _order_refused,
    events.PauseRequested: _pause_requested,
    events.NodeAdded: _node_added,
    events.Instructed: _instructed,
    events.LimitReached: _limit_reached,
    events.CancelRequested: _cancel_requested,
    events.RunEnded: _run_ended,
    events.StepStarted: _step_started,
    events.StepSucceeded: _step_succeeded,
    events.ScopeOpened: _scope_opened,
    events.ChildOpened: _child_opened,
    events.TokensSpent: _tokens_spent,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: _step_failed,
    events.StepSkipped: _step_skipped,
    events.StepCancelled: _step_cancelled,
    events.WaitOpened: _wait_opened,
    events.WaitAnswered: _wait_answered,
}
