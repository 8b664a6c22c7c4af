"""Choose: what an attempt's failure, a limit, or silence leads to. Pure, by tables; chance and time are given."""

from __future__ import annotations

from collections.abc import Callable

from dagger.core import events
from dagger.core.config import RunConfig
from dagger.core.deliveries import stuck_letters
from dagger.core.graph import Node
from dagger.core.messages import loops
from dagger.core.state import Scope, State

_LIMIT_POLICY = {"pause": "pause", "continue": "stop", "stop": "stop"}
"""A limit is a failure of the run, not of a step: there is nothing to continue with."""

FOLLOWS = {
    "pause": "the run will pause",
    "continue": "the run will continue",
    "stop": "the run will stop",
    "list": "it is a dead letter",
}
"""What follows from a step's final failure, in words."""
RECOVERIES = 3
"""So often a run may be recovered without a new success: once more, and it pauses."""
NAMED = 5
"""Steps that a reason names."""

_ENDING = {"cancel": "cancelled", "stop": "failed"}
"""How a run ends that halts for good."""


def after_failure(
    state: State,
    step: str,
    error: events.Error,
    *,
    retryable: bool,
    now: int,
    chance: float,
    duration_ms: int = 0,
) -> events.AttemptFailed | events.StepFailed:
    """What follows a failed attempt: another one after the strategy's delay, or the step's failure.

    `now` in milliseconds since 1970; `chance`, from 0 to 1, feeds the strategy's jitter.
    """
    pending = state.pending[step]
    attempt = pending.failures + 1
    config = config_of(state, step)
    if retryable and attempt < (pending.node.try_count or config.max_attempts):
        delay_seconds = config.retry_strategy.delay_seconds(attempt, chance)
        return events.AttemptFailed(
            at=now,
            step=step,
            attempt=attempt,
            error=error,
            duration_ms=duration_ms,
            retry_at=now + round(delay_seconds * 1000),
        )
    node = pending.node
    if node.failure and node.map is None:  # a map leaves it to its items
        return events.AttemptFailed(
            at=now, step=step, attempt=attempt, error=error, duration_ms=duration_ms, failure=node.failure
        )
    return _final(state, step, attempt, error, now, duration_ms)


def handled(state: State, step: str, now: int) -> events.StepFailed | None:
    """The failure of a step whose failure action has ended without recovering it; None: there was none."""
    pending = state.pending[step]
    return None if pending.error is None else _final(state, step, pending.failures, pending.error, now, 0)


def _final(  # noqa: PLR0917 - a failure's own parts
    state: State, step: str, attempt: int, error: events.Error, now: int, duration_ms: int
) -> events.StepFailed:
    policy = _policy_of(state, step)
    return events.StepFailed(at=now, step=step, attempt=attempt, error=error, duration_ms=duration_ms, policy=policy)


def failed_for_good(state: State, step: str, error: events.Error, now: int) -> events.StepFailed:
    """The failure of a step that is not tried any more, whatever its tries."""
    return _final(state, step, state.pending[step].failures + 1, error, now, 0)


def letter_policy(state: State, node: Node) -> str:
    """What a dead letter of the run's own flow means for it; `node`: the agent's."""
    return node.on_failure or ("list" if state.keep_alive else state.config.on_failure)


def _policy_of(state: State, step: str) -> str:
    """What becomes of the run when a step has finally failed: whoever is nearest says so.

    The step's own node; else, from the inside out, the graph that it is in, and the node that runs that graph: one
    that names a failure action wants to see its graph fail.
    """
    pending = state.pending[step]
    if pending.message is not None and not events.scope_of(step):
        return letter_policy(state, pending.node)
    policy = pending.node.on_failure
    while not policy and (scope := events.scope_of(step)):
        graph = state.scopes[scope].graph
        outer = state.pending[scope].node
        config = RunConfig.of(state.graphs[graph].config if graph else None)
        if "on_failure" in config.chosen:
            policy = config.on_failure
        else:
            is_seen = outer.answers or (outer.failure and outer.map is None)  # by code, or by a failure action
            policy = outer.on_failure or ("continue" if is_seen else "")
        step = scope
    return policy or state.config.on_failure


def config_of(state: State, step: str) -> RunConfig:
    """The config that a step's attempts are counted by: the run's, under what its child flows' graphs set."""
    config, scope, settings = state.config, events.scope_of(step), []
    while scope:
        if graph := state.scopes[scope].graph:
            settings.append(state.graphs[graph].config)
        scope = events.scope_of(scope)
    for over in reversed(settings):
        config = config.merged(over)
    return config


def crash_loop(state: State, in_flight: Callable[[], list[str]]) -> str:
    """Why a run that was just recovered should not go on, or nothing. `in_flight`: what ran when its process died."""
    if state.recoveries <= RECOVERIES:
        return ""
    named = few(in_flight() or state.ready())
    return f"crash loop: its process died {state.recoveries} times without a new success; in flight: {named}"


def skip(state: State, now: int) -> events.StepSkipped | None:
    """The next step that has to be skipped, or None."""
    for step, reason in reversed(state.doomed.items()):  # from the end: a dict that loses its first is slow
        return events.StepSkipped(at=now, step=step, reason=reason)
    return None


def limit(state: State, now: int, *, held: int = 0) -> events.LimitReached | None:
    """The limit that the run has used up, or None. `held`: tokens that are about to be spent."""
    if state.halt or state.status == "paused":  # it was told something: whoever resumes it finds what is used up
        return None
    config, found = state.config, ""
    remaining = state.remaining_ms(now)
    if remaining is not None and remaining <= 0:
        found = "timeout_seconds"
    elif config.max_tokens is not None and state.tokens + held > config.max_tokens:
        found = "max_tokens"
    elif config.max_messages is not None and state.messages > config.max_messages:
        found = "max_messages"
    if not found:
        return None
    detail = _loops(state) if found == "max_messages" else ""
    return events.LimitReached(
        at=now, limit=found, value=getattr(config, found), policy=limit_policy(config), detail=detail
    )


def _loops(state: State) -> str:
    """In which channels messages can go round: of those in which there are any now."""
    flows: list[State | Scope] = [state, *state.scopes.values()]
    inboxes = [inbox for flow in flows for inbox in flow.inboxes.values()]
    at_work = (state.pending[step].message for inbox in inboxes for step in inbox.steps)
    busy = {message.channel for message in at_work if message is not None}
    busy |= {message.channel for inbox in inboxes for message in inbox.waiting}
    every = loops(bound.agent for bound in state.agents.values() if not bound.is_removed)
    found = [circle for circle in every if busy.intersection(circle)]
    circles = [" -> ".join(map(repr, [*circle, circle[0]])) for circle in found[:NAMED]]
    return f"messages can go round: {'; '.join(circles)}" if circles else ""


def limit_policy(config: RunConfig) -> str:
    """What follows when the run has used up a limit: `pause` or `stop`."""
    return _LIMIT_POLICY[config.on_failure]


def settle(state: State, now: int) -> events.RunPaused | events.RunEnded:
    """What becomes of a run in which nothing is ready, running or waiting any more."""
    if state.halt in _ENDING:
        return events.RunEnded(at=now, status=_ENDING[state.halt], error=_error(state))
    if state.halt == "pause":
        return events.RunPaused(at=now, reason=state.halt_reason)
    if state.stuck:
        return events.RunPaused(at=now, reason=stuck(state))
    if state.pending:
        error = f"a bug in Dagger, please report it: {few(list(state.pending))} never ran"
        return events.RunEnded(at=now, status="failed", error=error)
    status = "failed" if state.failures else "succeeded"
    return events.RunEnded(at=now, status=status, error=_error(state))


def stuck(state: State) -> str:
    """Why a run pauses in which steps finally failed that are to be tried again."""
    steps = [step for step, pending in state.pending.items() if pending.is_stuck] + stuck_letters(state)
    return f"{few(steps)} failed; mend the cause and resume the run"


def few(steps: list[str]) -> str:
    """The first few of the steps."""
    more = f" and {len(steps) - NAMED} more" if len(steps) > NAMED else ""
    return ", ".join(map(repr, steps[:NAMED])) + more


def _error(state: State) -> str:
    """The final errors joined; what halted the run comes first where no step's failure did."""
    lines = list(state.errors)
    if state.failures + state.stuck > len(lines):
        lines.append(f"and {state.failures + state.stuck - len(lines)} more")
    if state.halt == "cancel":
        lines.insert(0, "RunCancelled" + (f": {state.halt_reason}" if state.halt_reason else ""))
    elif state.halt == "stop" and (name := _LIMIT_ERRORS.get(state.limit)):
        lines.insert(0, f"{name}: {state.halt_reason}")
    return "\n".join(lines)


_LIMIT_ERRORS = {
    "timeout_seconds": "RunTimedOut",
    "max_tokens": "TokenLimitReached",
    "max_iterations": "IterationLimitReached",
    "max_messages": "MessageLimitReached",
}
"""The error that a limit stands for in `report.error`."""
