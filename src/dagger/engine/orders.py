"""What an order from outside does to a run that this process owns; what does not fit is refused, in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dagger.core import events
from dagger.core.errors import DaggerError, DependencyNotFound, InvalidState, NodeAlreadyExists, nearest
from dagger.core.graph import Node
from dagger.core.orders import AddNode, AnyOrder, Cancel, Pause
from dagger.core.state import TERMINAL, State

GOING_ON = frozenset(("running", "waiting"))
"""Statuses in which steps run, or will."""


class Ordered(Protocol):
    """What is asked here of a run: see Tenure."""

    state: State
    now_ms: Callable[[], int]

    @property
    def is_settled(self) -> bool: ...
    def look_at(self, node: Node) -> None: ...
    def require_actions(self, node: Node) -> None: ...
    def record(self, event: events.Event) -> None: ...
    def note(self, event: events.Event) -> None: ...
    def halt(self) -> None: ...
    def step_over(self) -> None: ...


def obey(run: Ordered, order: AnyOrder) -> None:
    """Do what somebody outside ordered."""
    if run.is_settled:
        return  # it stays in the inbox, for whoever goes on with the run
    try:
        match order:
            case Pause():
                pause(run, order.reason, order.id)
            case Cancel():
                cancel(run, order.reason, order.id)
            case AddNode():
                add_node(run, order.node, order.id)
    except DaggerError as error:
        refuse(run, order, error)


def refuse(run: Ordered, order: AnyOrder, error: DaggerError) -> None:
    """Say in the journal why an order is not obeyed."""
    told = events.Error(type(error).__name__, str(error))
    run.record(events.OrderRefused(at=run.now_ms(), order=order.id, error=told))


def pause(run: Ordered, reason: str, order: str = "") -> None:
    """Start nothing new, cut off what runs without counting it as a try, then pause. Raises InvalidState."""
    _require_going_on(run, "paused")
    run.record(events.PauseRequested(at=run.now_ms(), reason=reason, order=order))
    run.halt()
    run.step_over()


def cancel(run: Ordered, reason: str, order: str = "") -> None:
    """Start nothing new, cancel what runs, then end. Raises InvalidState."""
    state = run.state
    if run.is_settled and state.status in TERMINAL:
        raise InvalidState(f"run {state.run_id!r} is over ({state.status}): it cannot be cancelled")
    if state.halt == "cancel":
        raise InvalidState(f"run {state.run_id!r} is being cancelled already")
    run.record(events.CancelRequested(at=run.now_ms(), reason=reason, order=order))
    run.halt()
    run.step_over()


def add_node(run: Ordered, node: Node, order: str = "") -> None:
    """Take in one more node. Costs O(dependencies).

    Raises InvalidState, NodeAlreadyExists, DependencyNotFound or ActionNotRegistered.
    """
    run.require_actions(node)
    event = events.NodeAdded(at=run.now_ms(), node=node, order=order)
    if run.state.status == "paused" and not run.is_settled:  # it was taken over to be told: nothing starts
        check_node(run.state, node)
        run.note(event)
        return
    if run.is_settled or run.state.halt != "pause":  # a run that is about to pause keeps it for later
        _require_going_on(run, "given another node")
    check_node(run.state, node)
    run.look_at(node)
    run.record(event)
    run.step_over()


def check_node(state: State, node: Node) -> None:
    """Raise NodeAlreadyExists or DependencyNotFound where a node does not fit into a run."""
    known = (state.pending, state.succeeded, state.unsuccessful)
    if any(node.id in steps for steps in known):
        raise NodeAlreadyExists(f"node {node.id!r} is in run {state.run_id!r} already; give it another id")
    for dependency in node.dependencies:
        if not any(dependency in steps for steps in known):
            near = nearest(dependency, [*state.pending, *state.succeeded])
            raise DependencyNotFound(f"node {node.id!r}: dependency {dependency!r} is not a node of the run{near}")


def _require_going_on(run: Ordered, what: str) -> None:
    state = run.state
    if run.is_settled or state.status not in GOING_ON:
        raise InvalidState(f"run {state.run_id!r} is {state.status}: it cannot be {what}")
    if state.halt:
        raise InvalidState(f"run {state.run_id!r} is about to {state.halt}: it cannot be {what}")
