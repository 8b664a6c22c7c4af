"""How a run begins, pauses, waits, goes on and ends: the run's own events. A part of the fold (see `core/fold`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from dagger.core import cache, deliveries, events
from dagger.core.children import forget_failed
from dagger.core.config import RunConfig
from dagger.core.errors import IllegalEvent
from dagger.core.state import STANDS_STILL, TERMINAL, State
from dagger.core.steps import add_nodes, retry

Apply: TypeAlias = Callable[[State, Any], list[str]]


def _run_started(state: State, event: events.RunStarted) -> list[str]:
    if state.seq:
        raise illegal(state, event)
    state.run_id, state.spec = event.run_id, event.spec
    state.config = RunConfig.of(event.config)
    # a copy: flows that code executes bring more, and the event's belong to whoever made it
    state.graphs, state.needs = dict(event.graphs), event.needs
    state.started_at = state.active_since = event.at
    for write in event.cache:
        cache.apply(state.sections, write)
    if event.inputs:
        state.sections["inputs"] = {name: bytes(value) for name, value in event.inputs.items()}
    state.keep_alive = event.keep_alive
    deliveries.bind(state, event.agents)
    ready = add_nodes(state, "", event.graph.nodes)
    if event.messages:
        ready += deliveries.deliver(state, event.messages, event.at, state.seq + 1)
    return passed(state, event, ready)


def _run_recovered(state: State, event: events.RunRecovered) -> list[str]:
    require_running(state, event)
    # what passed between the last event and the death of the process cannot be known: it is not counted
    _stop_clock(state, state.last_at)
    was_at_work = state.status == "running" and not event.was_let_go and bool(state.ready())
    _go_on(state, event)
    state.recoveries += was_at_work  # else no step can have caused it
    return passed(state, event)


def _run_paused(state: State, event: events.RunPaused) -> list[str]:
    require_running(state, event)
    state.status = "paused"
    _stop_clock(state, event.at)
    return passed(state, event)


def _run_waiting(state: State, event: events.RunWaiting) -> list[str]:
    require_running(state, event)
    state.status = "waiting"
    if not event.is_active:
        _stop_clock(state, event.at)
    return passed(state, event)


def _run_parked(state: State, event: events.RunParked) -> list[str]:
    require_running(state, event)
    state.status, state.is_parked = "waiting", True
    _stop_clock(state, event.at)
    return passed(state, event)


def _run_woken(state: State, event: events.RunWoken) -> list[str]:
    if state.status != "waiting":
        raise illegal(state, event)
    _go_on(state, event)
    return passed(state, event)


def _pause_requested(state: State, event: events.PauseRequested) -> list[str]:
    require_running(state, event)
    if state.halt:
        raise illegal(state, event)
    state.halt, state.halt_reason, state.review = "pause", event.reason, event.review
    return passed(state, event)


def _run_resumed(state: State, event: events.RunResumed) -> list[str]:
    require_going_on(state, event)
    _go_on(state, event)
    state.recoveries, state.resumed_at, state.review = 0, event.at, ""
    if state.halt == "pause":  # a run that was cancelled or stopped stays so
        state.halt = state.halt_reason = state.limit = ""
    ready: list[str] = []
    if event.config:
        state.config = state.config.merged(event.config)
        ready = deliveries.make_room(state)
    if event.input is not msgspec.UNSET:
        state.sections.setdefault("global", {})["input"] = bytes(event.input)
    stuck = [step for step, pending in state.pending.items() if pending.is_stuck]
    state.stuck -= len(stuck)
    failed_so_far = tuple(f"{step}: " for step in stuck)
    state.errors = [error for error in state.errors if not error.startswith(failed_so_far)]
    letters = deliveries.stuck_letters(state)
    failed = [step for step in state.waits if step in state.pending and state.pending[step].failures]
    for step in (*failed, *letters) if state.waits else ():
        deliveries.forget_timeouts(state, step, event.at)
        forget_failed(state, step)
    ready += deliveries.redeliver(state, letters, anew=False)
    return passed(state, event, retry(state, stuck) + ready)


def _limit_reached(state: State, event: events.LimitReached) -> list[str]:
    require_running(state, event)
    used_up = f"{event.limit} of {event.value:g} used up"
    state.halt, state.halt_reason = event.policy, f"{used_up}: {event.detail}" if event.detail else used_up
    state.limit, state.review = event.limit, event.review
    return passed(state, event)


def _cancel_requested(state: State, event: events.CancelRequested) -> list[str]:
    require_going_on(state, event)
    _go_on(state, event)
    state.halt, state.halt_reason = "cancel", event.reason
    return passed(state, event)


def _run_ended(state: State, event: events.RunEnded) -> list[str]:
    require_running(state, event)
    state.status = event.status
    _stop_clock(state, event.at)
    for unfinished in (state.pending, state.dependents, state.doomed, state.waits, state.scopes):
        unfinished.clear()
    return passed(state, event)


def passed(state: State, event: events.Event, ready: list[str] | None = None) -> list[str]:
    """Note that an event was applied; the steps that it made ready."""
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


def require_running(state: State, event: events.Event) -> None:
    """Raise IllegalEvent where no step of the run can end now."""
    if state.status not in {"running", "waiting"} or not state.seq:
        raise illegal(state, event)


def require_going_on(state: State, event: events.Event) -> None:
    """Raise IllegalEvent where the run has not begun, or is over."""
    if state.status in TERMINAL or not state.seq:
        raise illegal(state, event)


def illegal(state: State, event: events.Event) -> IllegalEvent:
    """The error for an event that cannot follow what is here."""
    return IllegalEvent(
        f"run {state.run_id!r}, status {state.status}, after event {state.seq}: {event!r:.300} cannot follow"
    )


APPLY: dict[type[events.Event], Apply] = {
    events.RunStarted: _run_started,
    events.RunRecovered: _run_recovered,
    events.RunPaused: _run_paused,
    events.RunResumed: _run_resumed,
    events.RunWaiting: _run_waiting,
    events.RunParked: _run_parked,
    events.RunWoken: _run_woken,
    events.PauseRequested: _pause_requested,
    events.LimitReached: _limit_reached,
    events.CancelRequested: _cancel_requested,
    events.RunEnded: _run_ended,
}
"""What each of these events changes; the steps that became ready."""
