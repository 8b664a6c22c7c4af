"""Daemon threads for plain functions: they never keep a process from ending."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable

THREADS = 64
"""Plain functions at work at once. Enough for calls that mostly wait; Python runs one at a time anyhow."""

TURN_SECONDS = 0.0005
"""How long code may keep the interpreter from others while calls are under way. With Python's own 5 ms, eight calls
that compute keep the event loop, and with it every order, waiting for up to a second."""


class _Turns:
    """Shortens the turns of all threads while a call is under way: the interval is the process's, so is the count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._usual = 0.0

    def begin(self) -> None:
        with self._lock:
            if not self._calls:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN_SECONDS))
            self._calls += 1

    def end(self) -> None:
        with self._lock:
            self._calls -= 1
            if not self._calls:
                sys.setswitchinterval(self._usual)


_TURNS = _Turns()


class Threads:
    """Runs each call in a thread at once: an idle one, or a new one. How many there may be is a pool's to say."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._pending = 0
        """Calls submitted and not ended."""

    @property
    def is_busy(self) -> bool:
        """Whether a call is running."""
        return self._pending > 0

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call`, which must not raise, in a thread."""
        with self._lock:
            self._pending += 1
            is_short = self._pending > self._started
            self._started += is_short
        if is_short:
            threading.Thread(target=self._work, name=f"dagger-action-{self._started}", daemon=True).start()
        _TURNS.begin()
        self._calls.put(call)

    def close(self) -> None:
        """Let idle threads end; those at work end after their call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            finally:
                _TURNS.end()
                with self._lock:
                    self._pending -= 1
