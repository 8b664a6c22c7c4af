"""Suspended code goes on in a worker's own task, each time in its own context."""

from __future__ import annotations

import contextvars
import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol


class Suspended(Protocol):
    """What has suspended once."""

    context: contextvars.Context
    """Its own."""
    yielded: Any
    """What it waits for."""


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
        try:
            code.yielded = run(resume, sent)
            breathe()
        except StopIteration as stop:
            return stop.value
        except GeneratorExit as error:
            message = "the action raised GeneratorExit"
            raise RuntimeError(message) from error


async def call(function: Callable[..., Any], keywords: dict[str, Any]) -> Any:
    """A plain function as a coroutine; what it returns is awaited, if it can be."""
    return await returned(function(**keywords))


async def returned(made: Any) -> Any:
    """What was made, awaited if it can be."""
    return await made if inspect.isawaitable(made) else made
