"""Delays: steps that wait for their next attempt."""

from __future__ import annotations

from collections.abc import Callable

from dagger.core.state import State
from dagger.engine.timers import Heap, Timer, Timers


class Delays:
    """The delayed steps of one run, and when the first of them is due."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._steps: dict[str, Timer] = {}
        self._due = Heap[int]()
        """When, in milliseconds since 1970."""

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: str, at: int, now: int, due: Callable[[], None]) -> None:
        """Call `due` at that time."""
        self._steps[step] = timer = self._timers.after((at - now) / 1000, due)
        self._due.push(at, timer)

    def hold(self, step: str, due: Callable[[], None]) -> None:
        """Delay a step until somebody calls `due`: when that will be nobody knows."""
        self._steps[step] = Timer(due)

    def end(self, step: str) -> bool:
        """The step's delay is over; False: it was forgotten meanwhile."""
        timer = self._steps.pop(step, None)
        if timer is None:
            return False
        timer.cancel()
        return True

    def next_due(self) -> int | None:
        """When the first is due, in milliseconds since 1970; None: of none it is known."""
        first = self._due.first()
        return None if first is None else first[0]

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
