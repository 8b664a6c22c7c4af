"""Gathering: what a generator yields is published together, at its end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import time
import typing
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from dagger.core.errors import MessageLimitReached
from dagger.spec.signature import type_hints

ROOM: ContextVar[int | None] = ContextVar("room", default=None)
"""So many messages a run may publish; None: any number."""
SPARE = 100_000
"""A generator is stopped that has yielded so many more: it never ends. Of one that does nothing is lost: its run pauses
when they are published."""
IS_OVER: ContextVar[Callable[[], bool]] = ContextVar("is_over", default=lambda: False)
"""Whether nobody wants any more what a thread's code yields: it was given up at its timeout."""
TURN_SECONDS = 0.05
"""So long a generator that waits for nothing keeps the event loop, and with it the timer of its own timeout."""


class Many(NamedTuple):
    """What a generator has yielded: each is published."""

    values: list[Any]


def gathering(function: Callable[..., Any], returned: Any) -> tuple[Callable[..., Any], Any]:
    """What to call, and the type of what is published; `returned`: the function's return annotation."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def gather(*args: Any, **keywords: Any) -> Many:
            values: list[object] = []
            room, until = ROOM.get(), time.monotonic() + TURN_SECONDS
            task = asyncio.current_task()
            assert task is not None
            async with contextlib.aclosing(function(*args, **keywords)) as yielded:
                async for value in yielded:
                    _add(values, value, room)
                    if time.monotonic() > until:
                        if task.cancelling():
                            raise asyncio.CancelledError  # it has swallowed that, and may go on for ever
                        await asyncio.sleep(0)
                        until = time.monotonic() + TURN_SECONDS
            return Many(values)

    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def gather(*args: Any, **keywords: Any) -> Many:
            values: list[object] = []
            room, is_over = ROOM.get(), IS_OVER.get()
            with contextlib.closing(function(*args, **keywords)) as yielded:
                for value in yielded:
                    _add(values, value, room)
                    if is_over():
                        values.clear()  # here: with the error it would be freed on the event loop's thread
                        raise asyncio.CancelledError
            return Many(values)

    else:
        return function, _without_none(returned)
    hints = type_hints(function, function.__name__)
    parameters = inspect.signature(function)
    del gather.__wrapped__  # else it would be taken for the generator
    gather.__signature__ = parameters  # type: ignore[attr-defined]  # what inspect.signature looks for
    gather.__annotations__ = hints
    parts = typing.get_args(returned)
    return gather, parts[0] if parts else Any


def _add(values: list[object], value: object, room: int | None) -> None:
    values.append(value)
    if room is not None and len(values) > room + SPARE:
        message = f"a generator has yielded {len(values):,} messages, and max_messages lets a run publish {room:,}"
        raise MessageLimitReached(f"{message}: does it never end?")


def _without_none(annotation: Any) -> Any:
    """Nothing is published for None."""
    parts = typing.get_args(annotation)
    if type(None) not in parts:
        return annotation
    rest = [part for part in parts if part is not type(None)]
    return functools.reduce(lambda one, other: one | other, rest)
