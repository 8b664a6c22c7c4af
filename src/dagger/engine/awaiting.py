"""Awaiting: what suspended code waits for, as far as asyncio lets it be seen; the only place that looks inside it.

What cannot be seen counts as work: it must not be cut off by parking the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

Awaits: TypeAlias = Mapping[asyncio.Future[None], "asyncio.Task[Any] | None"]
"""Of one attempt's open waits: what its code awaits, and in which task."""


def is_at_rest(awaits: Awaits, awaited: Any) -> bool:
    """Whether only open waits can end this: one itself, a task that awaits one, or a gathering of such."""
    if isinstance(awaited, asyncio.Task):
        return is_at_rest(awaits, getattr(awaited, "_fut_waiter", None))
    if awaited in awaits:
        return not awaited.done()
    is_one_open = False
    for child in _gathered(awaits, awaited):
        if not child.done():
            is_one_open = True
            if not is_at_rest(awaits, child):
                return False  # the others need no look: there may be thousands, and this is asked often
    return is_one_open


def _gathered(awaits: Awaits, awaited: Any) -> Iterable[asyncio.Future[Any]]:
    """What asyncio.gather or a TaskGroup waits for, if one of them is awaited."""
    children: Iterable[asyncio.Future[Any]] | None = getattr(awaited, "_children", None)
    if children is not None:
        return children
    for task in awaits.values():
        for callback, _ in getattr(task, "_callbacks", None) or ():
            group = getattr(callback, "__self__", None)
            if isinstance(group, asyncio.TaskGroup) and getattr(group, "_on_completed_fut", None) is awaited:
                return list(getattr(group, "_tasks", ()))
    return ()


def has_time_limit(loop: asyncio.AbstractEventLoop, tasks: Collection[asyncio.Task[Any] | None]) -> bool:
    """Whether code in one of the tasks has set itself a limit by `asyncio.timeout`: it must be there to keep it.

    Only the event loop knows of it; one that is not asyncio's own does not tell.
    """
    # the second: those that are due now, and have not been called yet
    for handle in (*getattr(loop, "_scheduled", ()), *getattr(loop, "_ready", ())):
        limit = getattr(getattr(handle, "_callback", None), "__self__", None)
        if isinstance(limit, asyncio.Timeout) and not handle.cancelled() and getattr(limit, "_task", None) in tasks:
            return True
    return False
