"""Clock, and the engine's one timer: retries, timeouts.

One timer of the event loop serves a whole heap of deadlines: a `call_later` for each would cost 2 µs each.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

When = TypeVar("When", int, float)
SMALL = 64
"""A heap of so few deadlines is not tidied up."""


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
    """One deadline; `cancel()` forgets it. In no heap, it is called by nobody but its owner."""

    __slots__ = ("due",)

    def __init__(self, due: Callable[[], None]) -> None:
        self.due: Callable[[], None] | None = due
        """None: it has passed, or was forgotten."""

    def cancel(self) -> None:
        """Forget the deadline; it may have passed already."""
        self.due = None


class Heap(Generic[When]):
    """Which of some deadlines is the first; when most of them may be over, those that are get dropped."""

    def __init__(self) -> None:
        self._entries: list[tuple[When, int, Timer]] = []
        self._order = itertools.count()
        self._room = SMALL

    def __len__(self) -> int:
        """Those that are over included."""
        return len(self._entries)

    def push(self, when: When, timer: Timer) -> None:
        """Take in a deadline."""
        if len(self._entries) >= self._room:
            self._entries = [entry for entry in self._entries if entry[2].due is not None]
            heapq.heapify(self._entries)
            self._room = max(SMALL, 2 * len(self._entries))
        heapq.heappush(self._entries, (when, next(self._order), timer))

    def first(self) -> tuple[When, Timer] | None:
        """The first that is not over."""
        while self._entries:
            when, _, timer = self._entries[0]
            if timer.due is not None:
                return when, timer
            heapq.heappop(self._entries)
        return None

    def clear(self) -> None:
        """Forget all of them."""
        self._entries.clear()


class Timers:
    """A heap of deadlines under one timer of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap = Heap[float]()
        self._handle: asyncio.TimerHandle | None = None

    def after(self, seconds: float, due: Callable[[], None]) -> Timer:
        """Call `due` on the loop `seconds` from now, at the earliest."""
        timer = Timer(due)
        when = self._loop.time() + max(seconds, 0.0)
        self._heap.push(when, timer)
        if self._heap.first() == (when, timer):
            self._set()
        return timer

    def close(self) -> None:
        """Forget all deadlines."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        first = self._heap.first()
        self._handle = None if first is None else self._loop.call_at(first[0], self._run)

    def _run(self) -> None:
        self._handle = None  # first: what is due may set a nearer one, and there is never more than one
        # the loop may call a little early, within its clock's resolution
        now = self._loop.time() + 1e-6
        try:
            while (first := self._heap.first()) is not None and first[0] <= now:
                timer = first[1]
                due, timer.due = timer.due, None
                if due is not None:
                    due()
        finally:
            self._set()
