"""Which steps become ready: nodes taken in, steps ended, child flows begun and left. Counts, never scans.

A part of the fold (see `core/fold`): pure changes of a state.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from dagger.core import events
from dagger.core.graph import INSTRUCTIONS, ITEM, Input, Node
from dagger.core.state import DeadLetter, Ended, Pending, Scope, State

ITEMS_AT_ONCE = 10_000
"""Items of one map that are steps at the same time: a longer list takes no more memory for its steps."""
ERRORS_KEPT = 20
"""Final errors whose text a run's own error quotes; the journal has all of them."""
HANDLER = ":failure"
"""What stands after a step's name in the name of its failure action's step. No node's id has a colon."""


def add_nodes(state: State, scope: str, nodes: Sequence[Node]) -> list[str]:
    """Take in nodes of one scope; a node may depend on any of them, on ended and on unended steps."""
    ready = []
    if scope:
        state.pending[scope].unmet += len(nodes)
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
                    unmet += 1  # for good: it is never ready
                continue
            unmet += 1
            waiting = dependents.get(awaited)
            if waiting is None:
                dependents[awaited] = [step]
            else:
                waiting.append(step)
        pending[step] = Pending(node, unmet)
        if node.iteration is not None:
            state.turns[scope] = step
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
    return go_on(state, ready) if state.scopes else ready


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
    return go_on(state, ready[::-1]) + leave(state, step, node)


def leave(state: State, step: str, node: Node) -> list[str]:
    """Tell whoever began an ended step: the child flow that it was in, or the step whose failure it handled."""
    if node.handles:
        handled = _handler_ended(state, step)
        state.pending[handled].unmet = 0
        return [handled]
    if node.answers:  # nothing can refer to it, and the step that waits for it is told by an event of its own
        state.succeeded.pop(step, None)
        state.unsuccessful.pop(step, None)
        return []
    name = events.scope_of(step)
    if not name:
        return []
    owner = state.pending[name]
    owner.unmet -= 1
    ready = begin_items(state, name, freed=1)
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
    state.waits.pop(step, None)
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
        ready = add_nodes(state, step, nodes)
    else:
        items = b"[]" if event.items is msgspec.UNSET else bytes(event.items)
        item, room = _item_node(owner.node), _room(owner.node)
        state.scopes[step] = Scope(item=item, items=items, count=event.count, room=room, began_at=event.at)
        owner.unmet = event.count
        ready = begin_items(state, step)
    return ready if owner.unmet else [step]


def _room(node: Node) -> int:
    """How many items of a map are steps at once: an action's take slots too, a graph's would not."""
    limit = node.map.max_parallel if node.map is not None and node.graph else None
    return ITEMS_AT_ONCE if limit is None else min(limit, ITEMS_AT_ONCE)


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


def begin_items(state: State, name: str, freed: int = 0) -> list[str]:
    """Make the next items of a map steps, as many as there is room for, now that `freed` places are free."""
    scope = state.scopes[name]
    if scope.item is None:
        return []
    scope.at_work -= freed
    ready = []
    while scope.at_work < scope.room and scope.begun < scope.count:
        step = f"{name}/{scope.begun}"
        scope.begun += 1
        if step in state.succeeded or step in state.pending or step in state.unsuccessful:
            continue  # the list is gone over anew, for what failed
        state.pending[step] = Pending(scope.item, 0)
        scope.at_work += 1
        ready.append(step)
    return go_on(state, ready)


def lend_places(state: State, step: str) -> list[str]:
    """A step is stuck: the items that it is, or is in, give their places to others, so that it holds up nothing."""
    ready = []
    while name := events.scope_of(step):
        inner = state.scopes.get(step)
        if state.scopes[name].item is not None and not (inner is not None and inner.is_lent):
            if inner is not None:
                inner.is_lent = True
            ready += begin_items(state, name, freed=1)
        step = name
    return ready


def take_back(state: State, step: str, stuck: Sequence[str] = ()) -> None:
    """A stuck step is tried anew, or given up: the items that it is in count as at work again.

    Above their limit if need be; but not those in which another step is `stuck`.
    """
    while step := events.scope_of(step):
        inner = state.scopes[step]
        if inner.is_lent and not any(other.startswith(f"{step}/") for other in stuck):
            inner.is_lent = False
            state.scopes[events.scope_of(step)].at_work += 1


def members(state: State, name: str) -> Iterable[str]:
    """The steps of a child flow, those that were not begun included."""
    scope = state.scopes[name]
    if scope.item is not None:
        return (f"{name}/{index}" for index in range(scope.count))
    return (f"{name}/{node.id}" for node in nodes_of(state, scope))


def nodes_of(state: State, scope: Scope) -> Iterable[Node]:
    """The nodes of a graph that was begun, those that steps in it added included."""
    return itertools.chain(state.graphs[scope.graph].nodes, scope.added.values())


def close_scope(state: State, name: str) -> None:
    """Forget a child flow whose step has succeeded: nobody can refer to what is in it."""
    if name not in state.scopes:
        return
    for step in members(state, name):
        state.succeeded.pop(step, None)
        state.sections.pop(step, None)
        if state.unsuccessful.pop(step, None) is not None:
            close_scope(state, step)
    for letter in [*state.scopes[name].dead]:
        forget_letter(state, letter)
    del state.scopes[name]
    state.turns.pop(name, None)
    for section in ("inputs", INSTRUCTIONS):
        state.sections.pop(f"{name}/{section}", None)


def forget_letter(state: State, step: str) -> DeadLetter:
    """A delivery is no dead letter any more: it takes place anew, or never, as the flow that it was in is over."""
    letter, name = state.dead.pop(step), events.scope_of(step)
    steps = state.dead_of[letter.message.id]
    steps.remove(step)
    if not steps:
        del state.dead_of[letter.message.id]
    if name:
        del state.scopes[name].dead[step]
    return letter


def retry(state: State, stuck: Iterable[str]) -> list[str]:
    """Give stuck steps fresh tries, and what did not succeed in their child flows with them."""
    ready = []
    maps = {}
    for step in stuck:
        name = events.scope_of(step)
        take_back(state, step)
        if name and state.scopes[name].item is not None:
            del state.pending[step]  # others have its place: it takes its turn among them
            maps[name] = state.scopes[name]
            continue
        pending = state.pending[step]
        pending.is_stuck, pending.failures, pending.retry_at, pending.error = False, 0, 0, None
        pending.is_begun = False
        ready.append(step)
    ready = go_on(state, ready)
    for name, scope in maps.items():
        scope.begun = 0
        ready += begin_items(state, name)
    return ready


def go_on(state: State, ready: list[str]) -> list[str]:
    """Those of the steps that have begun no child flow; where one has, what it takes to take that up again."""
    return [begun for step in ready for begun in (reopen_scope(state, step) if step in state.scopes else (step,))]


def reopen_scope(state: State, name: str) -> list[str]:
    """Give what did not succeed in a child flow a new chance; what succeeded stays."""
    scope = state.scopes[name]
    scope.failures, scope.errors, scope.begun, scope.is_lent = 0, [], 0, False
    again = [step for step in members(state, name) if step in state.unsuccessful]
    for step in again:
        del state.unsuccessful[step]
    owner = state.pending[name]
    if scope.item is not None:
        owner.unmet = len(again)
        ready = begin_items(state, name)
    else:
        nodes = {f"{name}/{node.id}": node for node in nodes_of(state, scope)}
        ready = go_on(state, add_nodes(state, name, [nodes[step] for step in again]))
    return ready if owner.unmet else [name]


def flow_of(state: State, step: str) -> str:
    """The child flow whose nodes a step sees, or the run: an item of a map sees those around the map."""
    name = events.scope_of(step)
    while name and state.scopes[name].item is not None:
        name = events.scope_of(name)
    return name
