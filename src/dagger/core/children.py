"""Child flows that a step's code executes: a step of their own, `step:key`, which answers the step's wait.

A part of the fold (see `core/fold`): pure changes of a state.
"""

from __future__ import annotations

import msgspec

from dagger.core import events
from dagger.core.cache import Stored
from dagger.core.events import step_name
from dagger.core.graph import INSTRUCTIONS, Node
from dagger.core.iterate import given_key
from dagger.core.state import Pending, State, Wait
from dagger.core.steps import HANDLER, members, open_scope

CHILD = "child"
"""The kind of a wait for a child flow."""


def child_of(step: str, key: str) -> str:
    """The step of a child flow, by the step whose code waits for it and the wait's key."""
    return f"{step}:{key}"


def open_child(state: State, event: events.ChildOpened) -> list[str]:
    """Begin the child flow, and the wait for it."""
    owner, step = state.pending[event.step].node, child_of(event.step, event.key)
    _drop(state, step)  # what an attempt before a resume has left
    state.waits.setdefault(event.step, {})[event.key] = Wait(CHILD, msgspec.json.encode(event.graph))
    for name, definition in event.graphs.items():
        state.graphs.setdefault(name, definition)  # a run keeps a graph as it first had it
    node = Node(id=child_of(owner.id, event.key), graph=event.graph, on_failure=owner.on_failure, answers=event.key)
    state.pending[step] = Pending(node, 0)
    own: dict[str, Stored] = {given_key(ordinal): bytes(value) for ordinal, value in enumerate(event.instructions)}
    state.sections[step_name(step, INSTRUCTIONS)] = own  # even if empty: the run's own are none of its supervisor's
    return open_scope(state, events.ScopeOpened(at=event.at, step=step, graph=event.graph, inputs=event.inputs))


def drop_scope(state: State, name: str) -> None:
    """Forget a child flow that has not ended, with all that is in it."""
    if name not in state.scopes:
        return
    for step in members(state, name):
        for one in (step, step + HANDLER):
            _drop(state, one)
    del state.scopes[name]
    for section in ("inputs", INSTRUCTIONS):
        state.sections.pop(step_name(name, section), None)


def _drop(state: State, step: str) -> None:
    drop_scope(state, step)
    for key in state.waits.pop(step, {}):
        _drop(state, child_of(step, key))
    pending = state.pending.pop(step, None)
    if pending is not None:
        state.stuck -= pending.is_stuck
        state.handled -= bool(pending.node.handles)
    for steps in (state.dependents, state.doomed, state.succeeded, state.unsuccessful, state.sections):
        steps.pop(step, None)
