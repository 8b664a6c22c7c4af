"""The fold: apply(event) -> the steps that just became ready. All changes of state are here and in `core/steps` (I1).

`apply` reads no clock, draws no random number, does no I/O, and looks at one step, never at all of them (I5).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagger.core import cache, deliveries, events
from dagger.core.children import drop_child, note_failed, open_child
from dagger.core.graph import INSTRUCTIONS, Node
from dagger.core.iterate import CONTINUE, LIMIT, forgive
from dagger.core.lifecycle import APPLY, Apply, illegal, passed, require_going_on, require_running
from dagger.core.state import TERMINAL, Ended, Pending, Scope, State, Wait
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


def _instructed(state: State, event: events.Instructed) -> list[str]:
    require_going_on(state, event)
    cache.apply(state.sections, cache.Write("set", INSTRUCTIONS, event.key, event.value))
    return passed(state, event)


def _messages_published(state: State, event: events.MessagesPublished) -> list[str]:
    require_going_on(state, event)
    return passed(state, event, deliveries.deliver(state, event.messages, event.at, state.seq + 1))


def _agent_bound(state: State, event: events.AgentBound) -> list[str]:
    require_going_on(state, event)
    return passed(state, event, deliveries.bind(state, (event.agent,)))


def _agent_removed(state: State, event: events.AgentRemoved) -> list[str]:
    require_going_on(state, event)
    return passed(state, event, deliveries.remove_agent(state, event))


def _redelivered(state: State, event: events.Redelivered) -> list[str]:
    require_going_on(state, event)
    if not all(step in state.dead for step in event.steps):
        raise illegal(state, event)
    return passed(state, event, deliveries.redeliver(state, event.steps, anew=True))


def _order_refused(state: State, event: events.OrderRefused) -> list[str]:
    return passed(state, event)


def _node_added(state: State, event: events.NodeAdded) -> list[str]:
    if state.status in TERMINAL or event.node.id in state.pending or event.node.id in state.succeeded:
        raise illegal(state, event)
    return passed(state, event, add_nodes(state, "", (event.node,)))


def _step_started(state: State, event: events.StepStarted) -> list[str]:
    _require_pending(state, event, event.step).is_begun = True
    return passed(state, event)


def _step_succeeded(state: State, event: events.StepSucceeded) -> list[str]:
    step = event.step
    ended = state.pending.pop(step, None)
    if ended is None:
        raise illegal(state, event)
    state.seq = seq = state.seq + 1
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
    if event.messages:
        ready += deliveries.deliver(state, event.messages, event.at, seq, step)
    if ended.message is None:
        state.succeeded[step] = seq
    else:  # nothing can refer to a delivery
        ready += _delivered(state, event, ended)
    if event.cache or event.nodes or event.result is not msgspec.UNSET:
        ready += _more_effects(state, event, ended.node)
    if state.scopes or state.handled:
        close_scope(state, step)
        if event.recovers is not msgspec.UNSET and ended.node.handles:
            return ready + recover(state, step, seq, event.recovers)
        ready += leave(state, step, ended.node)
    return ready


def _delivered(state: State, event: events.StepSucceeded, ended: Pending) -> list[str]:
    state.agents[ended.node.id].handled += 1
    if event.reply is not msgspec.UNSET and ended.message is not None:
        deliveries.reply(state, ended.message, bytes(event.reply))
    return deliveries.delivered(state, event.step, ended)


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
    require_running(state, event)
    state.tokens += event.count
    return passed(state, event)


def _attempt_failed(state: State, event: events.AttemptFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    pending.failures = event.attempt
    pending.retry_at, pending.is_begun = event.retry_at, False
    if state.waits:
        deliveries.forget_timeouts(state, event.step)
    ready = handle_failure(state, event.step, event) if event.failure else []
    return passed(state, event, ready)


def _step_failed(state: State, event: events.StepFailed) -> list[str]:
    pending = _require_pending(state, event, event.step)
    step, name = event.step, events.scope_of(event.step)
    if state.waits:
        deliveries.forget_timeouts(state, step)
    if pending.message is not None:
        return passed(state, event, deliveries.die(state, event))
    if event.policy == "pause":
        _note_error(state, event)
        pending.is_stuck = True
        pending.failures = event.attempt
        state.stuck += 1
        return passed(state, event, lend_places(state, step))
    if not (pending.node.handles or pending.node.answers):  # else the step that it is for is told
        # what stops the run is the run's error: the child flow will not end
        flow = state.scopes[name] if name and event.policy != "stop" else state
        flow.failures += 1
        _note_error(flow, event)
    if event.policy == "stop" and not state.halt:
        state.halt, state.halt_reason = "stop", f"{step!r} failed"
    ended = Ended("failed", str(event.error))
    ready = end_badly(state, step, ended, f"{step!r} failed")
    if pending.node.answers:
        note_failed(state, step, pending.node.answers)
    if not name or pending.node.answers:
        close_scope(state, step)  # else it may be reopened with the child flow that it is in
    return passed(state, event, ready)


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
    return passed(state, event, end_badly(state, event.step, Ended("skipped", event.reason), passed_on))


def _step_cancelled(state: State, event: events.StepCancelled) -> list[str]:
    if _require_pending(state, event, event.step).node.answers:
        drop_child(state, event.step)
    else:  # it ends with its run: nothing follows from it, so nothing is skipped for it
        state.unsuccessful[event.step] = Ended("cancelled", event.reason)
        pending = state.pending.pop(event.step)
        if pending.message is not None:
            deliveries.cancelled(state, event.step, pending)
    return passed(state, event)


def _scope_opened(state: State, event: events.ScopeOpened) -> list[str]:
    _require_pending(state, event, event.step)
    if event.step in state.scopes or (event.graph and event.graph not in state.graphs):
        raise illegal(state, event)
    return passed(state, event, open_scope(state, event))


def _child_opened(state: State, event: events.ChildOpened) -> list[str]:
    _require_pending(state, event, event.step)
    if event.key in state.waits.get(event.step, {}) or event.graph not in {**event.graphs, **state.graphs}:
        raise illegal(state, event)
    return passed(state, event, open_child(state, event))


def _wait_opened(state: State, event: events.WaitOpened) -> list[str]:
    _require_pending(state, event, event.step)
    waits = state.waits.setdefault(event.step, {})
    if event.key in waits:
        raise illegal(state, event)
    wait = waits[event.key] = Wait(event.kind, _bytes(event.detail), event.wake_at, review=event.review)
    if not event.messages:
        return passed(state, event)
    wait.seq = state.seq + 1
    ready = deliveries.deliver(state, event.messages, event.at, wait.seq, event.step, event.key)
    return passed(state, event, ready)


def _wait_answered(state: State, event: events.WaitAnswered) -> list[str]:
    wait = state.waits.get(event.step, {}).get(event.key)
    if wait is None or not wait.is_open:
        raise illegal(state, event)
    if event.error is not None or deliveries.is_unheard(state, event, wait):  # a later attempt opens it anew
        del state.waits[event.step][event.key]
    wait.is_open, wait.value = False, _bytes(event.value)
    if wait.review and event.key.startswith(LIMIT) and wait.value == _CONTINUE:
        state.granted += state.config.max_iterations or 0
    return passed(state, event)


def _require_pending(state: State, event: events.Event, step: str) -> Pending:
    pending = state.pending.get(step)
    if pending is None:
        raise illegal(state, event)
    return pending


def _bytes(value: msgspec.Raw | msgspec.UnsetType) -> bytes:
    return b"" if value is msgspec.UNSET else bytes(value)


_APPLY: dict[type[events.Event], Apply] = {
    **APPLY,
    events.OrderRefused: _order_refused,
    events.NodeAdded: _node_added,
    events.MessagesPublished: _messages_published,
    events.AgentBound: _agent_bound,
    events.AgentRemoved: _agent_removed,
    events.Redelivered: _redelivered,
    events.Instructed: _instructed,
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
