"""Delays: steps that wait for their next attempt."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from dagger.core.state import State
from dagger.engine.timers import Timer, Timers


class Delays:
    """The delayed steps of one run, and when the first of them is due."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._steps: dict[str, Timer] = {}
        self._due: list[tuple[int, str]] = []
        """A heap of when, in milliseconds since 1970; those that are over included."""

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: str, at: int, now: int, due: Callable[[], None]) -> None:
        """Call `due` at that time."""
        self._steps[step] = self._timers.after((at - now) / 1000, due)
        heapq.heappush(self._due, (at, step))

    def hold(self, step: str, due: Callable[[], None]) -> None:
        """Delay a step until somebody calls `due`."""
        self._steps[step] = self._timers.never(due)

    def end(self, step: str) -> bool:
        """The step's delay is over; False: it was forgotten meanwhile."""
        return self._steps.pop(step, None) is not None

    def next_due(self) -> int | None:
        """When the first is due, in milliseconds since 1970; None: there is none."""
        while self._due and self._due[0][1] not in self._steps:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def clear(self) -> int:
        """Forget all of them; how many there were."""
        for timer in self._steps.values():
            timer.cancel()
        count = len(self._steps)
        self._steps.clear()
        return count


def chance(state: State) -> float:
    """What feeds a delay's jitter: another one for each failure, the same for each rehearsal of a run."""
    import random  # only failures need it

    return random.Random(f"{state.run_id}/{state.seq}").random()
