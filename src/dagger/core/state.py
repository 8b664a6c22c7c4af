"""The fold: apply(event) -> the steps that just became ready. Counts, never scans.

Two rules. All changes of state are in this file (I1): `apply` reads no clock, draws no random number, does
no I/O. And state holds what is still to be done, with one index entry for each finished step (I6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from dagger.core import cache, events
from dagger.core.config import RunConfig
from dagger.core.errors import IllegalEvent
from dagger.core.graph import Node

ERRORS_KEPT = 20
"""Final errors whose text a run's own error quotes; the journal has all of them."""

TERMINAL = frozenset(("succeeded", "failed", "cancelled"))
"""Statuses that never change again (I9)."""


class Pending(msgspec.Struct, gc=False):
    """A step that has not ended yet."""

    node: Node
    unmet: int
    """Dependencies that have not ended."""
    failures: int = 0
    """Failed attempts since the step last got fresh tries."""
    retry_at: int = 0
    """When the next attempt is due, in milliseconds since 1970; 0: at once."""
    is_stuck: bool = False
    """It finally failed under `pause`: it waits for the run to be resumed."""


class Ended(msgspec.Struct, frozen=True):
    """How a step ended that did not succeed."""

    status: str
    """`failed`, `skipped` or `cancelled`."""
    reason: str
    """The final error, or why it was skipped or cancelled."""


class Wait(msgspec.Struct):
    """Something a step waits for, open or answered (I8)."""

    kind: str
    detail: bytes = b""
    wake_at: int | None = None
    is_open: bool = True
    value: bytes = b""
    error: events.Error | None = None


class State(msgspec.Struct):
    """A run as its journal tells it."""

    run_id: str = ""
    spec: events.Spec = events.Spec("", "")
    status: str = "running"
    """`running`, `paused`, or one of TERMINAL."""
    config: RunConfig = RunConfig()
    seq: int = 0
    """Of the last event applied."""
    pending: dict[str, Pending] = {}
    dependents: dict[str, list[str]] = {}
    """Of each step that has not ended: the steps that wait for it."""
    succeeded: dict[str, int] = {}
    """Each step that succeeded: the place of its event in the journal."""
    unsuccessful: dict[str, Ended] = {}
    """Each step that ended otherwise."""
    doomed: dict[str, str] = {}
    """Steps that will not run, with the reason: each becomes a StepSkipped."""
    sections: cache.Sections = {}
    """The cache."""
    waits: dict[str, dict[str, Wait]] = {}
    """Of each step that has not ended: its waits by key."""
    stuck: int = 0
    """How many pending steps are stuck."""
    failures: int = 0
    """How many steps finally failed and stay so."""
    errors: list[str] = []
    """The first final errors."""
    halt: str = ""
    """Nothing new starts: `pause`, `stop` or `cancel`."""
    halt_reason: str = ""
    result: bytes | None = None
    """The first that was given to `ctx.finish`."""
    tokens: int = 0
    started_at: int = 0
    last_at: int = 0
    """When the last event happened."""
    active_ms: int = 0
    """Active time before `active_since`."""
    active_since: int = 0

    def apply(self, event: events.Event) -> list[str]:
        """Take in the next event; the steps that it made ready, in the order of their declaration.

        Raises IllegalEvent, and changes nothing, for an event that cannot follow what is here.
        """
        return _APPLY[type(event)](self, event)

    def ready(self) -> list[str]:
        """Every step that could start: looks at all pending ones, so it is for the beginning of a tenure."""
        pending = self.pending.items()
        return [step for step, its in pending if not its.unmet and not its.is_stuck and step not in self.doomed]

    def remaining_ms(self, now: int) -> int | None:
        """Milliseconds of active time that the run has left; None: no limit."""
        limit = self.config.timeout_seconds
        if limit is None:
            return None
        return int(limit * 1000) - self.active_ms - (now - self.active_since)


def fold(journal: Iterable[events.Event]) -> State:
    """The state after all of `journal`."""
    state = State()
    for event in journal:
        state.apply(event)
    return state


def _run_started(state: State, event: events.RunStarted) -> list[str]:
    if state.seq:
        raise _illegal(state, event)
    state.run_id, state.spec = event.run_id, event.spec
    state.config = RunConfig.of(event.config)
    state.started_at = state.active_since = event.at
    for write in event.cache:
        cache.apply(state.sections, write)
    if event.inputs:
        state.sections["inputs"] = {name: bytes(value) for name, value in event.inputs.items()}
    ready = _add_nodes(state, "", event.graph.nodes)
    return _passed(state, event, ready)


def _run_recovered(state: State, event: events.RunRecovered) -> list[str]:
    _require_running(state, event)
    # what passed between the last event and the death of the process cannot be known: it is not counted
    state.active_ms += state.last_at - state.active_since
    state.active_since = event.at
    return _passed(state, event)


def _run_paused(state: State, event: events.RunPaused) -> list[str]:
    _require_running(state, event)
    state.status = "paused"
    state.active_ms += event.at - state.active_since
    return _passed(state, event)


def _run_resumed(state: State, event: events.RunResumed) -> list[str]:
    if state.status in TERMINAL or not state.seq:
        raise _illegal(state, event)
    if state.status == "paused":
        state.active_since = event.at
    state.status = "running"
    if state.halt == "pause":  # a run that was cancelled or stopped stays so
        state.halt = state.halt_reason = ""
    if event.config:
        state.config = state.config.merged(event.config)
    if event.input is not msgspec.UNSET:
        state.sections.setdefault("global", {})["input"] = bytes(event.input)
    stuck = [step for step, pending in state.pending.items() if pending.is_stuck]
    for step in stuck:
        pending = state.pending[step]
        pending.is_stuck, pending.failures, pending.retry_at = False, 0, 0
    state.stuck = 0
    failed_so_far = tuple(f"{step}: " for step in stuck)
    state.errors = [error for error in state.errors if not error.startswith(failed_so_far)]
    return _passed(state, event, stuck)


def _limit_reached(state: State, event: events.LimitReached) -> list[str]:
    _require_running(state, event)
    state.halt, state.halt_reason = event.policy, f"{event.limit} of {event.value:g} used up"
    return _passed(state, event)


def _cancel_requested(state: State, event: events.CancelRequested) -> list[str]:
    if state.status in TERMINAL or not state.seq:
        raise _illegal(state, event)
    if state.status == "paused":
        state.active_since = event.at
    state.status = "running"
    state.halt, state.halt_reason = "cancel", event.reason
    return _passed(state, event)


def _run_ended(state: State, event: events.RunEnded) -> list[str]:
    _require_running(state, event)
    state.status = event.status
    state.active_ms += event.at - state.active_since
    state.pending.clear()
    state.dependents.clear()
    state.doomed.clear()
    state.waits.clear()
    return _passed(state, event)


def _step_started(state: State, event: events.StepStarted) -> list[str]:
    _require_pending(state, event, event.step)
    return _passed(state, event)


def _step_succeeded(state: State, event: events.StepSucceeded) -> list[str]:
    step = event.step
    pending = state.pending
    if pending.pop(step, None) is None:
        raise _illegal(state, event)
    state.seq = state.succeeded[step] = state.seq + 1
    state.last_at = event.at
    if event.outputs:
        section = state.sections[step] = {}
        for name, value in event.outputs.items():  # a comprehension is a call: a tenth of it all
            section[name] = bytes(value)
    if state.waits:
        state.waits.pop(step, None)
    ready = []
    for dependent in state.dependents.pop(step, ()):
        waiting = pending.get(dependent)
        if waiting is None:
            continue  # skipped, because of another of its dependencies
        waiting.unmet -= 1
        if not waiting.unmet:
            ready.append(dependent)
    if event.cache or event.nodes or event.result is not msgspec.UNSET:
        ready += _more_effects(state, event)
    return ready


def _more_effects(state: State, event: events.StepSucceeded) -> list[str]:
    for write in event.cache:
        cache.apply(state.sections, write)
    if state.result is None and event.result is not msgspec.UNSET:
        state.result = bytes(event.result)
    return _add_nodes(state, events.scope_of(event.step), event.nodes) if event.nodes else []


def _tokens_spent(state: State, event: events.TokensSpent) -> list[str]:
    _require_running(state, event)
    state.tokens += event.count
    return _passed(state, event)


def _attempt_failed(state: State, event: events.AttemptFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    pending.failures = event.attempt
    pending.retry_at = event.retry_at
    return _passed(state, event)


def _step_failed(state: State, event: events.StepFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    if len(state.errors) < ERRORS_KEPT:
        state.errors.append(f"{event.step}: {event.error}")
    if event.policy == "pause":
        pending.is_stuck = True
        pending.failures = event.attempt
        state.stuck += 1
        return _passed(state, event)
    state.failures += 1
    if event.policy == "stop" and not state.halt:
        state.halt, state.halt_reason = "stop", f"{event.step!r} failed"
    ended = Ended("failed", str(event.error))
    return _passed(state, event, _end_badly(state, event.step, ended, f"{event.step!r} failed"))


def _step_skipped(state: State, event: events.StepSkipped) -> list[str]:
    _require_pending(state, event, event.step)
    return _passed(state, event, _end_badly(state, event.step, Ended("skipped", event.reason), event.reason))


def _step_cancelled(state: State, event: events.StepCancelled) -> list[str]:
    _require_pending(state, event, event.step)
    # a cancelled step ends with its run: nothing follows from it, so nothing is skipped for it
    state.unsuccessful[event.step] = Ended("cancelled", event.reason)
    del state.pending[event.step]
    return _passed(state, event)


def _wait_opened(state: State, event: events.WaitOpened) -> list[str]:
    _require_pending(state, event, event.step)
    waits = state.waits.setdefault(event.step, {})
    if event.key in waits:
        raise _illegal(state, event)
    waits[event.key] = Wait(event.kind, _bytes(event.detail), event.wake_at)
    return _passed(state, event)


def _wait_answered(state: State, event: events.WaitAnswered) -> list[str]:
    wait = state.waits.get(event.step, {}).get(event.key)
    if wait is None or not wait.is_open:
        raise _illegal(state, event)
    wait.is_open, wait.value, wait.error = False, _bytes(event.value), event.error
    return _passed(state, event)


def _end_badly(state: State, step: str, ended: Ended, reason: str) -> list[str]:
    """Take a step out of the pending ones; those that wait for its success are doomed, others come closer."""
    del state.pending[step]
    state.doomed.pop(step, None)
    state.waits.pop(step, None)
    state.unsuccessful[step] = ended
    ready = []
    for dependent in reversed(state.dependents.pop(step, ())):  # the doomed are taken from the end
        waiting = state.pending.get(dependent)
        if waiting is None:
            continue
        if waiting.node.run_when == "finished":
            waiting.unmet -= 1
            if not waiting.unmet:
                ready.append(dependent)
        else:
            state.doomed.setdefault(dependent, reason)
    return ready[::-1]


def _add_nodes(state: State, scope: str, nodes: Iterable[Node]) -> list[str]:
    """Take in nodes of one scope; a node may depend on any of them, on ended and on unended steps."""
    ready = []
    pending, dependents, succeeded = state.pending, state.dependents, state.succeeded
    for node in nodes:
        step = f"{scope}/{node.id}" if scope else node.id
        unmet = 0
        for dependency in node.dependencies:
            awaited = f"{scope}/{dependency}" if scope else dependency
            if awaited in succeeded:
                continue
            if awaited in state.unsuccessful:
                if node.run_when != "finished":
                    state.doomed.setdefault(step, f"{awaited!r} {state.unsuccessful[awaited].status}")
                continue
            unmet += 1
            waiting = dependents.get(awaited)
            if waiting is None:
                dependents[awaited] = [step]
            else:
                waiting.append(step)
        pending[step] = Pending(node, unmet)
        if not unmet and step not in state.doomed:
            ready.append(step)
    return ready


def _passed(state: State, event: events.Event, ready: list[str] | None = None) -> list[str]:
    state.seq += 1
    state.last_at = event.at
    return ready if ready is not None else []


def _require_running(state: State, event: events.Event) -> None:
    if state.status != "running" or not state.seq:
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
    events.LimitReached: _limit_reached,
    events.CancelRequested: _cancel_requested,
    events.RunEnded: _run_ended,
    events.StepStarted: _step_started,
    events.StepSucceeded: _step_succeeded,
    events.TokensSpent: _tokens_spent,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: _step_failed,
    events.StepSkipped: _step_skipped,
    events.StepCancelled: _step_cancelled,
    events.WaitOpened: _wait_opened,
    events.WaitAnswered: _wait_answered,
}
