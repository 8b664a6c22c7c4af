"""Choose: what an attempt's failure, a limit, or silence leads to. Pure, by tables; chance and time are given."""

from __future__ import annotations

from dagger.core import events
from dagger.core.state import State

_LIMIT_POLICY = {"pause": "pause", "continue": "stop", "stop": "stop"}
"""A limit is a failure of the run, not of a step: there is nothing to continue with."""

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
    tries = pending.node.try_count or state.config.max_attempts
    if retryable and attempt < tries:
        delay_seconds = state.config.retry_strategy.delay_seconds(attempt, chance)
        return events.AttemptFailed(
            at=now,
            step=step,
            attempt=attempt,
            error=error,
            duration_ms=duration_ms,
            retry_at=now + round(delay_seconds * 1000),
        )
    policy = pending.node.on_failure or state.config.on_failure
    return events.StepFailed(at=now, step=step, attempt=attempt, error=error, duration_ms=duration_ms, policy=policy)


def skip(state: State, now: int) -> events.StepSkipped | None:
    """The next step that has to be skipped, or None."""
    for step, reason in reversed(state.doomed.items()):  # from the end: a dict that loses its first is slow
        return events.StepSkipped(at=now, step=step, reason=reason)
    return None


def limit(state: State, now: int) -> events.LimitReached | None:
    """The limit that the run has used up, or None."""
    if state.halt:
        return None
    config, found = state.config, ""
    remaining = state.remaining_ms(now)
    if remaining is not None and remaining <= 0:
        found = "timeout_seconds"
    elif config.max_tokens is not None and state.tokens > config.max_tokens:
        found = "max_tokens"
    if not found:
        return None
    value = getattr(config, found)
    return events.LimitReached(at=now, limit=found, value=value, policy=_LIMIT_POLICY[config.on_failure])


def settle(state: State, now: int) -> events.RunPaused | events.RunEnded:
    """What becomes of a run in which nothing is ready, running or waiting any more."""
    if state.halt in _ENDING:
        return events.RunEnded(at=now, status=_ENDING[state.halt], error=_error(state))
    if state.halt == "pause":
        return events.RunPaused(at=now, reason=state.halt_reason)
    if state.stuck:
        failed = [repr(step) for step, pending in state.pending.items() if pending.is_stuck]
        named = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")  # noqa: PLR2004
        return events.RunPaused(at=now, reason=f"{named} failed; mend the cause and resume the run")
    status = "failed" if state.failures else "succeeded"
    return events.RunEnded(at=now, status=status, error=_error(state))


def _error(state: State) -> str:
    """The final errors joined; what halted the run comes first where no step's failure did."""
    lines = list(state.errors)
    if state.failures + state.stuck > len(lines):
        lines.append(f"and {state.failures + state.stuck - len(lines)} more")
    if state.halt == "cancel":
        lines.insert(0, "RunCancelled" + (f": {state.halt_reason}" if state.halt_reason else ""))
    elif state.halt == "stop" and (name := _LIMIT_ERRORS.get(state.halt_reason.partition(" ")[0])):
        lines.insert(0, f"{name}: {state.halt_reason}")
    return "\n".join(lines)


_LIMIT_ERRORS = {"timeout_seconds": "RunTimedOut", "max_tokens": "TokenLimitReached"}
"""The error that a limit stands for in `report.error`."""
