"""Iterate: what follows a supervisor's turn. The next one is a node like any other, added as an effect of this one.

Pure, like `core/decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dagger.core import events
from dagger.core.cache import Write
from dagger.core.config import RunConfig
from dagger.core.events import step_name
from dagger.core.graph import INSTRUCTIONS, Condition, Input, Iteration, Node, literal, node_of
from dagger.core.state import State
from dagger.core.steps import flow_of

HUMAN_INTERRUPT = "human_interrupt"
"""The built-in action that asks a person."""
INSTRUCTION = "instruction"
"""The kind, and the key, of a supervisor's wait for one."""
LIMIT = "limit:"
"""What the keys of the run's own reviews begin with: each asks whether to go on beyond a limit. No other key does."""
CONTINUE, STOP = "continue", "stop"
"""Its options; the second also ends the turns when it is the answer to the review between two of them."""
REVIEW_SUFFIX = "_review"
"""What the id of the review before a turn ends with, after the former turn's."""
FINISHED = "the result is there"
"""The reason of an iteration that does not take place."""


def first(action: str, inputs: Sequence[Input], *, keep_alive: bool) -> Node:
    """The node that an agent-driven flow begins with."""
    return Node(id="supervisor_1", action=action, inputs=tuple(inputs), iteration=Iteration(1, keep_alive)).hashed()


def next_iteration(state: State, config: RunConfig, node: Node, turn: events.StepSucceeded) -> tuple[Node, ...]:
    """The nodes that follow a supervisor's turn, after those that it added itself.

    The next iteration waits for what this one added, whatever becomes of it; every `review_frequency`-th one for a
    person, too. There is none where there is nothing to do.
    """
    this, added = node.iteration, turn.nodes
    assert this is not None
    flow = flow_of(state, turn.step)
    if turn.result is not msgspec.UNSET or (state.scopes[flow] if flow else state).result is not None:
        return ()
    waits = has_instructions(state, turn.step, turn.cache)
    section = step_name(flow, INSTRUCTIONS)
    ignores = waits and not added and not any(write.section == section for write in turn.cache)
    is_idle = not (added or waits)
    if (is_idle or (ignores and this.ignores)) and not this.keep_alive:
        return ()
    waits_for = tuple(each.id for each in added)
    following = msgspec.structs.replace(
        node,
        id=f"{node.id.removesuffix(str(this.number))}{this.number + 1}",
        dependencies=waits_for,
        run_when="finished",
        when=None,
        iteration=Iteration(this.number + 1, this.keep_alive, is_idle, ignores),
    )
    if not config.review_frequency or this.number % config.review_frequency:
        return (following.hashed(),)
    review = _review(node, this, following)
    condition = Condition(f"{review.id}.goes_on")
    following = msgspec.structs.replace(following, dependencies=(*waits_for, review.id), when=condition)
    return review.hashed(), following.hashed()


def _review(node: Node, this: Iteration, following: Node) -> Node:
    """What asks a person between two iterations; it waits for what the next one waits for."""
    question = f"Iteration {this.number} is done. Any answer lets {node.action} go on; {STOP!r}, or no, ends it."
    return Node(
        id=node.id + REVIEW_SUFFIX,
        action=HUMAN_INTERRUPT,
        inputs=(Input("question", value=literal(question, "")),),
        dependencies=following.dependencies,
        run_when="finished",
        precedes=following.id,
    )


def asked_before(node: Node) -> str:
    """The node that asked a person before a supervisor's turn, or nothing. The last turn did not add it itself."""
    return "" if node.iteration is None or node.when is None else node_of(node.when.reference)


def has_instructions(state: State, step: str, writes: Iterable[Write] = ()) -> bool:
    """Whether an instruction waits for the supervisor that the step is a turn of, after these writes.

    Those of a child flow are its own.
    """
    section = step_name(flow_of(state, step), INSTRUCTIONS)
    written = {write.key: write.op != "delete" for write in writes if write.section == section}
    return any(written.values()) or any(key not in written for key in state.sections.get(section, ()))


def forgive(state: State, step: str, node: Node) -> None:
    """A supervisor has seen what failed among the nodes that its iteration waited for: that does not fail the flow."""
    flow = flow_of(state, step)
    seen = {step_name(flow, awaited) for awaited in node.dependencies}
    failed = [one for one in seen if one in state.unsuccessful and state.unsuccessful[one].status == "failed"]
    if not failed:
        return
    scope = state.scopes[flow] if flow else state
    scope.failures -= len(failed)
    told = tuple(f"{one}: " for one in failed)
    scope.errors = [error for error in scope.errors if not error.startswith(told)]


def limit(state: State, now: int, policy: str) -> events.LimitReached | None:
    """The limit that keeps an iteration from taking place, or None."""
    allowed = state.config.max_iterations
    if allowed is None or state.iterations < allowed + state.granted:
        return None
    return events.LimitReached(at=now, limit="max_iterations", value=allowed + state.granted, policy=policy)


def limit_key(reached: events.LimitReached) -> str:
    """The key of the review that asks whether to go on beyond a limit: for each value another one."""
    return f"{LIMIT}{reached.limit}:{reached.value:.0f}"


def given_key(ordinal: int) -> str:
    """The key of an instruction that the flow began with."""
    return f"instruction_given_{ordinal + 1}"


def has_supervisor(state: State) -> bool:
    """Whether the run itself has one that goes on."""
    return state.result is None and state.turns.get("") in state.pending


def idle(state: State, flow: str = "") -> list[str]:
    """The turn of a flow's supervisor that waits for an instruction, if one does."""
    turn = state.turns.get(flow, "")
    wait = state.waits.get(turn, {}).get(INSTRUCTION)
    return [turn] if wait is not None and wait.is_open and wait.kind == INSTRUCTION else []
