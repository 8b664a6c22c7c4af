"""Growth: what a step may add to the flow that it is in."""

from __future__ import annotations

import re
import string
from collections.abc import Container, Iterable

from dagger.core.errors import CycleError, DependencyNotFound, GraphError, NodeAlreadyExists, nearest
from dagger.core.events import step_name
from dagger.core.graph import Node, id_problem
from dagger.core.iterate import REVIEW_SUFFIX
from dagger.core.state import State
from dagger.engine.binding import Source

_OF_A_TURN = re.compile(rf"[0-9]{{1,9}}({REVIEW_SUFFIX})?")


def check_node(state: State, node: Node, flow: str = "", added: Container[str] = ()) -> None:
    """Raise GraphError where a node does not fit into a flow, beside those of the ids `added`."""
    if problem := id_problem(node.id):
        raise GraphError(problem)
    if node.iteration is None and not node.precedes and _is_of_a_turn(state, node.id, flow):
        raise NodeAlreadyExists(
            f"node {node.id!r}: the supervisor of {_named(state, flow)} gives such ids to its turns; give it another id"
        )
    if node.id in added or _is_known(state, step_name(flow, node.id)):
        raise NodeAlreadyExists(f"node {node.id!r} is in {_named(state, flow)} already; give it another id")
    if node.id in node.dependencies:
        raise CycleError(f"node {node.id!r} waits for itself")
    for dependency in node.dependencies:
        awaited = step_name(flow, dependency)
        if not (dependency in added or _is_known(state, awaited)):
            near = nearest(awaited, [*state.pending, *state.succeeded])
            where = _named(state, flow)
            raise DependencyNotFound(f"node {node.id!r}: dependency {dependency!r} is not a node of {where}{near}")


def _is_known(state: State, step: str) -> bool:
    return step in state.pending or step in state.succeeded or step in state.unsuccessful


def _is_of_a_turn(state: State, node_id: str, flow: str) -> bool:
    """Whether a flow's supervisor gives such an id. Made ids end with twelve characters, maybe digits all of them."""
    turn = state.turns.get(flow, "").removeprefix(step_name(flow, ""))
    name = turn.rstrip(string.digits)
    return bool(turn and node_id.startswith(name) and _OF_A_TURN.fullmatch(node_id.removeprefix(name)))


def _named(state: State, flow: str) -> str:
    return f"child flow {flow!r} of run {state.run_id!r}" if flow else f"run {state.run_id!r}"


def require_grown(run: Source, step: str, nodes: Iterable[Node]) -> None:
    """Raise what speaks against all that a step adds: others may have added nodes meanwhile."""
    added = set[str]()
    for node in nodes:
        run.require_node(step, node, added)
        added.add(node.id)
