"""Child flows that a step's code executes: a step of their own, `step:key`, which answers the step's wait.

A part of the fold (see `core/fold`): pure changes of a state.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dagger.core import events
from dagger.core.cache import Stored
from dagger.core.deliveries import deliver_in, deliveries_in, release_letters
from dagger.core.events import step_name
from dagger.core.graph import INSTRUCTIONS, Node
from dagger.core.iterate import given_key
from dagger.core.state import Pending, State, Wait
from dagger.core.steps import HANDLER, members, open_scope, take_back

CHILD = "child"
"""The kind of a wait for a child flow."""


def child_of(step: str, key: str) -> str:
    """The step of a child flow, by the step whose code waits for it and the wait's key.

    Whatever the key is, the name tells what is in it, and is none of another step.
    """
    named = ":" + key.replace("%", "%25").replace("/", "%2F")
    return f"{step}:%{named[1:]}" if named.startswith(HANDLER) else step + named


def owner_of(step: str, key: str) -> str:
    """The step whose code waits for a child flow, by the flow's own step and the wait's key."""
    return step.removesuffix(child_of("", key))


def open_child(state: State, event: events.ChildOpened) -> list[str]:
    """Begin the child flow, and the wait for it."""
    owner, step = state.pending[event.step].node, child_of(event.step, event.key)
    detail = b"" if event.detail is msgspec.UNSET else bytes(event.detail)
    state.waits.setdefault(event.step, {})[event.key] = Wait(CHILD, detail)
    for name, definition in event.graphs.items():
        state.graphs.setdefault(name, definition)  # a run keeps a graph as it first had it
    node = Node(id=child_of(owner.id, event.key), graph=event.graph, answers=event.key)
    state.pending[step] = Pending(node, 0)
    given = enumerate(event.instructions)
    own: dict[str, Stored] = {f"{given_key(ordinal)}@{step}": bytes(value) for ordinal, value in given}
    state.sections[step_name(step, INSTRUCTIONS)] = own  # even if empty: the run's own are none of its supervisor's
    ready = open_scope(state, events.ScopeOpened(at=event.at, step=step, graph=event.graph, inputs=event.inputs))
    if not event.messages:
        return ready
    was_empty = not state.pending[step].unmet  # then it is ready itself, as nothing is in it
    began = deliver_in(state, step, event.messages, event.at, state.seq + 1, event.step)
    return began if was_empty and state.pending[step].unmet else ready + began


def within(state: State, name: str) -> Iterator[str]:
    """What there may be of a child flow: its steps, their failure actions', and those of flows in it, these first."""
    for member in (*members(state, name), *deliveries_in(state, name)) if name in state.scopes else ():
        for step in (member, member + HANDLER):
            for key, wait in state.waits.get(step, {}).items():
                if wait.kind == CHILD:
                    yield from within(state, child_of(step, key))
                    yield child_of(step, key)
            yield from within(state, step)
            yield step


def orphans(state: State) -> list[str]:
    """Child flows of steps that have ended: a process died between the two. Looks at all pending steps."""
    found = []
    for step, pending in state.pending.items():
        if key := pending.node.answers:
            owner = owner_of(step, key)
            wait, awaiting = state.waits.get(owner, {}).get(key), state.pending.get(owner)
            if wait is None or (wait.is_open and awaiting is not None and awaiting.error is not None):
                found.append(step)
    return found


def note_failed(state: State, step: str, key: str) -> None:
    """A child flow has failed."""
    wait = state.waits.get(owner_of(step, key), {}).get(key)
    if wait is not None:  # else nobody waits for it any more
        wait.has_failed = True


def forget_failed(state: State, step: str) -> None:
    """A step is tried anew after somebody mended the cause: what failed of the flows that it executes begins anew."""
    for key, wait in [*state.waits.get(step, {}).items()]:
        if wait.has_failed:
            del state.waits[step][key]


def drop_child(state: State, step: str) -> None:
    """Forget a child flow that has not ended, with all that is in it, and the wait for it."""
    key = state.pending[step].node.answers
    state.waits.get(owner_of(step, key), {}).pop(key, None)
    inside = [*within(state, step), step]
    release_letters(state, set(inside))
    stuck = [one for one, pending in state.pending.items() if pending.is_stuck] if state.stuck else []
    left = set(stuck).difference(inside)
    for one in stuck:
        if one not in left:
            take_back(state, one, [*left])
    for one in inside:
        _forget(state, one)


def _forget(state: State, step: str) -> None:
    pending = state.pending.pop(step, None)
    if pending is not None:
        state.handled -= bool(pending.node.handles)
        if pending.is_stuck:
            state.stuck -= 1
            state.errors = [error for error in state.errors if not error.startswith(f"{step}: ")]
    for steps in (
        state.dependents, state.doomed, state.waits, state.scopes, state.succeeded, state.unsuccessful, state.turns,
    ):  # fmt: skip
        steps.pop(step, None)
    for section in (step, step_name(step, "inputs"), step_name(step, INSTRUCTIONS)):
        state.sections.pop(section, None)
