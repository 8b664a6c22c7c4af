"""Suspended code goes on in a worker's own task, each time in its own context."""

from __future__ import annotations

import contextvars
import inspect
import logging
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from dagger.core.state import State

_LOG = logging.getLogger("dagger")
BLOCKING_MS = 1000
"""So long code may keep the event loop, each time it has its turn, before it is told."""
_BLOCKED = (
    "run %s: step %s kept the event loop for %.1f s: meanwhile nothing else ran, and no timeout or order was seen; "
    "let it await, or write it as a plain function, which runs in a thread"
)


class Owned(Protocol):
    """What is asked here of a run: see Tenure."""

    @property
    def state(self) -> State: ...


class Suspended(Protocol):
    """What has suspended once."""

    step: str
    context: contextvars.Context
    """Its own."""
    yielded: Any
    """What it waits for."""

    @property
    def tenure(self) -> Owned: ...


@types.coroutine
def go_on(
    code: Suspended, coroutine: Coroutine[Any, Any, Any], breathe: Callable[[], None]
) -> Generator[Any, Any, Any]:
    """Continue a coroutine to its end in the task that awaits this; `breathe` is called each time it suspends.

    So `asyncio.current_task` and timeouts work in it, and its context variables stay in it. GeneratorExit is raised
    only where the event loop lets go of the task: what the coroutine raises is told apart.
    """
    run = code.context.run
    while True:
        try:
            sent = yield code.yielded
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to the coroutine
            resume: Callable[[Any], Any] = coroutine.throw
            sent = error
        else:
            resume = coroutine.send
        began = time.monotonic()
        try:
            code.yielded = run(resume, sent)
            breathe()
        except StopIteration as stop:
            return stop.value
        except GeneratorExit as error:
            message = "the action raised GeneratorExit"
            raise RuntimeError(message) from error
        finally:
            if (took_ms := (time.monotonic() - began) * 1000) >= BLOCKING_MS:
                tell_that_it_blocked(code.tenure, code.step, took_ms)


def tell_that_it_blocked(run: Owned, step: str, took_ms: float) -> None:
    """Nobody can stop code that neither ends nor awaits; that it did so can be told."""
    run_id = run.state.run_id
    _LOG.warning(_BLOCKED, run_id, step, took_ms / 1000, extra={"run": run_id, "node": step})


async def call(function: Callable[..., Any], keywords: dict[str, Any]) -> Any:
    """A plain function as a coroutine; what it returns is awaited, if it can be."""
    return await returned(function(**keywords))


async def returned(made: Any) -> Any:
    """What was made, awaited if it can be."""
    return await made if inspect.isawaitable(made) else made
