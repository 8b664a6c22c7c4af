"""Virtual clock: retries, timeouts and sleeps of hours pass in milliseconds, in their true order."""

from __future__ import annotations

import asyncio
import datetime
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualClock:
    """Time that jumps to the next deadline as soon as nothing else is to be done.

    Hand it to `Dagger(clock=clock)` and run the test with `clock.run(main())`: in there `asyncio.sleep(3600)`
    takes no time. Threads and the disk are real: while one of them is at work for Dagger, time stands still.

    `start`: a datetime with a zone; default 2026-01-01 00:00 UTC.
    """

    def __init__(self, start: datetime.datetime | None = None) -> None:
        start = start or datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        if start.tzinfo is None:
            message = f"a virtual clock starts at a time with a zone, not {start!r}"
            raise ValueError(message)
        self._start_ms = round(start.timestamp() * 1000)
        self._passed = 0.0
        self._watched: list[Callable[[], bool]] = []

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._start_ms + round(self._passed * 1000)

    @property
    def passed_seconds(self) -> float:
        """Virtual seconds since the start."""
        return self._passed

    def watch(self, is_busy: Callable[[], bool]) -> None:
        """Let time stand still while `is_busy()`: a thread is at work that will wake the event loop."""
        self._watched.append(is_busy)

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end, as `asyncio.run` does, in virtual time. May be called again: time goes on."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(main)

    def advance(self, seconds: float) -> None:
        """Let time pass while nothing runs: for what happens between two processes."""
        self._passed += seconds

    @property
    def is_held(self) -> bool:
        """Whether time stands still."""
        return any(is_busy() for is_busy in self._watched)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is virtual: where it would wait for time alone, it jumps."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        super().__init__(_JumpingSelector(clock))

    def time(self) -> float:
        return self._clock.passed_seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for real events where something real is under way; else let the time pass at once."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._clock.is_held:
            # whatever is under way wakes the loop when it is done; it may also have been done already
            return super().select(0.01)
        found = super().select(0)
        if not found and not self._clock.is_held:
            self._clock.advance(timeout)
        return found
