"""Clock, and the engine's one deadline heap: retries, timeouts.

One timer of the event loop serves the whole heap: a `call_later` for each deadline would cost 2 µs each.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What time it is. Waiting is the event loop's: its clock runs with this one."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """Be told how to ask whether a thread is at work that will wake the loop: virtual time stands still then."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """See Clock: real time stands still for nobody."""


class Timer:
    """One deadline; `cancel()` forgets it."""

    __slots__ = ("_timers", "due")

    def __init__(self, due: Callable[[], None], timers: Timers) -> None:
        self.due: Callable[[], None] | None = due
        self._timers = timers

    def cancel(self) -> None:
        """Forget the deadline; it may have passed already."""
        if self.due is not None:
            self.due = None
            self._timers.forget()


class Timers:
    """A heap of deadlines under one timer of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._handle: asyncio.TimerHandle | None = None
        self._forgotten = 0

    def after(self, seconds: float, due: Callable[[], None]) -> Timer:
        """Call `due` on the loop `seconds` from now, at the earliest."""
        timer = Timer(due, self)
        when = self._loop.time() + max(seconds, 0.0)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if self._heap[0][2] is timer:
            self._set()
        return timer

    def never(self, due: Callable[[], None]) -> Timer:
        """A timer that nothing but its owner calls: it can be cancelled like any other."""
        return Timer(due, self)

    def forget(self) -> None:
        """Count one cancelled deadline; when most of the heap is such, drop them."""
        self._forgotten += 1
        if self._forgotten > 64 and self._forgotten * 2 > len(self._heap):  # noqa: PLR2004 - small heaps do not matter
            self._heap = [entry for entry in self._heap if entry[2].due is not None]
            heapq.heapify(self._heap)
            self._forgotten = 0

    def close(self) -> None:
        """Forget all deadlines."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._heap[0][0], self._run) if self._heap else None

    def _run(self) -> None:
        self._handle = None  # first: what is due may set a nearer one, and there is never more than one
        # the loop may call a little early, within its clock's resolution
        now = self._loop.time() + 1e-6
        try:
            while self._heap and self._heap[0][0] <= now:
                timer = heapq.heappop(self._heap)[2]
                if timer.due is None:
                    self._forgotten -= 1
                    continue
                due, timer.due = timer.due, None
                due()
        finally:
            self._set()
