"""Which steps become ready: nodes taken in, steps ended, child flows begun and left. Counts, never scans.

A part of the fold (see `core/fold`): pure changes of a state.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dagger.core import events
from dagger.core.graph import ITEM, Input, Node
from dagger.core.state import Ended, Pending, Scope, State

ITEMS_AT_ONCE = 10_000
"""Items of one map that are steps at the same time: a longer list takes no more memory for its steps."""
ERRORS_KEPT = 20
"""Final errors whose text a run's own error quotes; the journal has all of them."""
HANDLER = ":failure"
"""What stands after a step's name in the name of its failure action's step. No node's id has a colon."""


def add_nodes(state: State, scope: str, nodes: Iterable[Node]) -> list[str]:
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


def ended_well(state: State, step: str) -> list[str]:
    """The steps that were waiting for one that has just succeeded, as far as it was the last they waited for."""
    ready = []
    pending = state.pending
    for dependent in state.dependents.pop(step, ()):
        waiting = pending.get(dependent)
        if waiting is None:
            continue  # skipped, because of another of its dependencies
        waiting.unmet -= 1
        if not waiting.unmet:
            ready.append(dependent)
    return ready


def end_badly(state: State, step: str, ended: Ended, reason: str) -> list[str]:
    """Take a step out of the pending ones; those that wait for its success are doomed, others come closer."""
    node = state.pending.pop(step).node
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
    return ready[::-1] + leave(state, step, node)


def leave(state: State, step: str, node: Node) -> list[str]:
    """Tell whoever began an ended step: the child flow that it was in, or the step whose failure it handled."""
    if node.handles:
        handled = _handler_ended(state, step)
        state.pending[handled].unmet = 0
        return [handled]
    name = events.scope_of(step)
    if not name:
        return []
    owner = state.pending[name]
    owner.unmet -= 1
    ready = begin_items(state, name, 1)
    return ready if owner.unmet else [*ready, name]


def handle_failure(state: State, step: str, failed: events.AttemptFailed) -> list[str]:
    """Give a step's failure action its turn, as a step of its own in the same scope."""
    pending = state.pending[step]
    pending.error, pending.unmet = failed.error, 1
    state.handled += 1
    node = pending.node
    told = Input("error", value=msgspec.Raw(msgspec.json.encode(str(failed.error))))
    handler = Node(
        id=node.id + HANDLER,
        action=failed.failure,
        inputs=(*[entry for entry in node.inputs if entry.name != "error"], told),
        on_failure="continue",
        timeout=node.timeout,
        try_count=1,
        priority=node.priority,
        handles=node.id,
    )
    state.pending[step + HANDLER] = Pending(handler, 0)
    return [step + HANDLER]


def recover(state: State, handler: str, seq: int, outputs: dict[str, msgspec.Raw]) -> list[str]:
    """The failure action gave its step outputs: the step has succeeded."""
    step = _handler_ended(state, handler)
    node = state.pending.pop(step).node
    state.succeeded[step] = seq
    state.sections[step] = {name: bytes(value) for name, value in outputs.items()}
    close_scope(state, step)
    return ended_well(state, step) + leave(state, step, node)


def _handler_ended(state: State, handler: str) -> str:
    """Forget a failure action's step, which nothing can refer to; the step that it handles."""
    state.handled -= 1
    state.succeeded.pop(handler, None)
    state.unsuccessful.pop(handler, None)
    state.sections.pop(handler, None)
    return handler.removesuffix(HANDLER)


def open_scope(state: State, event: events.ScopeOpened) -> list[str]:
    """Begin a child flow: the nodes of a graph, or the first items of a map."""
    step = event.step
    owner = state.pending[step]
    state.sections[f"{step}/inputs"] = {name: bytes(value) for name, value in event.inputs.items()}
    if event.graph:
        nodes = state.graphs[event.graph].nodes
        state.scopes[step] = Scope(event.graph, began_at=event.at)
        owner.unmet = len(nodes)
        ready = add_nodes(state, step, nodes)
    else:
        items = b"[]" if event.items is msgspec.UNSET else bytes(event.items)
        item = _item_node(owner.node)
        state.scopes[step] = Scope(item=item, items=items, count=event.count, began_at=event.at)
        owner.unmet = event.count
        ready = begin_items(state, step, ITEMS_AT_ONCE)
    return ready if owner.unmet else [step]


def _item_node(node: Node) -> Node:
    """What a map runs for each item: its other inputs were bound when it began, and are the scope's."""
    inputs = tuple(
        entry if not entry.reference or is_item(entry.reference) else Input(entry.name, f"inputs.{entry.name}")
        for entry in node.inputs
    )
    return msgspec.structs.replace(node, inputs=inputs, dependencies=(), map=None, when=None, run_when="succeeded")


def is_item(reference: str) -> bool:
    """Whether a reference leads to the item of a map."""
    return reference == ITEM or reference.startswith((f"{ITEM}.", f"{ITEM}["))


def begin_items(state: State, name: str, room: int) -> list[str]:
    """Make the next items of a map steps, as many as there is room for."""
    scope = state.scopes[name]
    if scope.item is None or scope.begun == scope.count:
        return []
    begun, scope.begun = scope.begun, min(scope.begun + room, scope.count)
    ready = [f"{name}/{index}" for index in range(begun, scope.begun)]
    for step in ready:
        state.pending[step] = Pending(scope.item, 0)
    return ready


def members(state: State, name: str) -> Iterable[str]:
    """The steps of a child flow, those that were not begun included."""
    scope = state.scopes[name]
    if scope.item is not None:
        return (f"{name}/{index}" for index in range(scope.count))
    return (f"{name}/{node.id}" for node in state.graphs[scope.graph].nodes)


def close_scope(state: State, name: str) -> None:
    """Forget a child flow whose step has succeeded: nobody can refer to what is in it."""
    if name not in state.scopes:
        return
    for step in members(state, name):
        state.succeeded.pop(step, None)
        state.sections.pop(step, None)
        if state.unsuccessful.pop(step, None) is not None:
            close_scope(state, step)
    del state.scopes[name]
    del state.sections[f"{name}/inputs"]


def reopen_scope(state: State, name: str) -> list[str]:
    """Give what did not succeed in a child flow a new chance; what succeeded stays."""
    scope = state.scopes[name]
    scope.failures, scope.errors = 0, []
    again = [step for step in members(state, name) if step in state.unsuccessful]
    for step in again:
        del state.unsuccessful[step]
    if scope.item is not None:
        for step in again:
            state.pending[step] = Pending(scope.item, 0)
        ready = again
    else:
        nodes = {f"{name}/{node.id}": node for node in state.graphs[scope.graph].nodes}
        ready = add_nodes(state, name, [nodes[step] for step in again])
    state.pending[name].unmet = len(again)
    for step in again:
        if step in state.scopes:
            ready = [*[other for other in ready if other != step], *reopen_scope(state, step)]
    return ready
