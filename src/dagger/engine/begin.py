"""Begin an attempt. Most code ends at once, and no Attempt is made for it: it would cost as much as a no-op's call."""

from __future__ import annotations

import asyncio
import types

import msgspec

from dagger.core import codec, events
from dagger.core.graph import Node
from dagger.core.messages import Published
from dagger.engine.attempt import Attempt, OwnedRun
from dagger.engine.binding import bind, hand_over
from dagger.engine.context import AttemptContext
from dagger.engine.publishing import returned as returned_messages
from dagger.engine.trampoline import BLOCKING_MS, call, returned, tell_that_it_blocked
from dagger.spec.action import Action
from dagger.spec.outputs import outputs

_NO_OUTPUTS: dict[str, msgspec.Raw] = {}
_NO_MESSAGES: tuple[Published, ...] = ()


def begin(run: OwnedRun, step: str, node: Node, number: int, task: asyncio.Task[None]) -> Attempt | None:
    """Start a step's action in a worker's task. Gives the attempt if its code is suspended: await its `proceed`."""
    started_ms = run.kernel.now_ms
    context = run.context.copy()
    attempt: Attempt | None = None
    blobs: list[codec.Blob] = []
    try:
        action = run.action(node)
        if not action.is_simple:
            attempt = _of(action, Attempt(run, step, node, number, started_ms, context))
            if action.runs_in != "loop":
                attempt.begin_elsewhere(action)
                return None
        keywords = bind(run, step, node, action)
        if attempt is not None:
            hand_over(keywords, action, attempt.ctx)
        coroutine = action.function(**keywords) if action.is_async else call(action.function, keywords)
        if type(coroutine) is not types.CoroutineType:
            coroutine = returned(coroutine)
        try:
            yielded = context.run(coroutine.send, None)  # until the code first suspends it costs no task
        except StopIteration as stop:  # the coroutine's own: it has returned
            result = stop.value
        else:
            attempt = attempt or _of(action, Attempt(run, step, node, number, started_ms, context))
            attempt.suspend(coroutine, yielded, task)
            return attempt
        finally:
            if (took_ms := run.kernel.tick() - started_ms) >= BLOCKING_MS:
                tell_that_it_blocked(run, step, took_ms)
        if attempt is None:
            messages = tuple(returned_messages(run, node, action, result, blobs)) if action.publishes else _NO_MESSAGES
            made = _NO_OUTPUTS if action.publishes else outputs(node, result, blobs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - user code raises anything, its types while they are encoded too
        (attempt or Attempt(run, step, node, number, started_ms, context)).fail(error)
        return None
    if attempt is not None:
        attempt.succeed(result)
        return None
    now = run.kernel.now_ms
    event = events.StepSucceeded(
        at=now, step=step, attempt=number, duration_ms=now - started_ms, outputs=made, messages=messages
    )
    run.ended(step, node, event, blobs)
    return None


def _of(action: Action, attempt: Attempt) -> Attempt:
    """The attempt, of this action, with the context that its code sees."""
    attempt.action = action
    if action.context_name is not None or action.message_name is not None:
        attempt.ctx = AttemptContext(attempt, attempt.tenure, is_async=action.is_async)
    return attempt
