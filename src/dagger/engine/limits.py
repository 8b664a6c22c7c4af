"""Limits of one run in this process: its deadline, the tokens spent, and those that are held for a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dagger.core import decide, events
from dagger.core.state import STANDS_STILL, State
from dagger.engine.attempt import Attempt
from dagger.engine.kernel import Kernel
from dagger.engine.timers import Timer


class Limited(Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    state: State
    now_ms: Callable[[], int]

    @property
    def is_settled(self) -> bool: ...
    @property
    def is_halting(self) -> bool: ...
    def record(self, event: events.Event) -> None: ...
    def halt(self) -> None: ...
    def step_over(self) -> None: ...


class Limits:
    """Watches what one run may use up."""

    def __init__(self, run: Limited) -> None:
        self._run = run
        self._deadline: Timer | None = None
        self._held: dict[Attempt, int] = {}
        """Tokens that attempts hold and have not spent."""
        self._all_held = 0

    def watch(self, least_ms: int = 0) -> None:
        """Set the timer of the run's own deadline, unless its clock stands still."""
        run = self._run
        self.close()
        remaining = run.state.remaining_ms(run.now_ms())
        if remaining is not None and run.state.active_since != STANDS_STILL and not run.is_halting:
            self._deadline = run.kernel.timers.after(max(remaining, least_ms) / 1000, self._due)

    def close(self) -> None:
        """Forget the timer."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def spent(self, attempt: Attempt, count: int) -> None:
        """An attempt's code spent tokens: they count whatever becomes of it, and are held no more."""
        run = self._run
        if run.is_settled:
            return
        if attempt in self._held:
            self._hold(attempt, max(self._held[attempt] - count, 0))
        run.record(events.TokensSpent(at=run.now_ms(), step=attempt.step, count=count))
        self.check()

    def hold(self, attempt: Attempt, count: int) -> bool:
        """Hold tokens for an attempt, instead of those that it holds.

        False: there are not so many left, and the run's limit is reached.
        """
        self._hold(attempt, count)
        self.check()
        return not self._run.is_halting

    def release(self, attempt: Attempt) -> None:
        """The attempt is over: it holds nothing."""
        self._all_held -= self._held.pop(attempt, 0)

    def _hold(self, attempt: Attempt, count: int) -> None:
        self._all_held += count - self._held.get(attempt, 0)
        self._held[attempt] = count

    def _due(self) -> None:
        self.check()
        self.watch(1)  # the timer and the clock may differ by a millisecond, or the clock was set

    def check(self) -> None:
        """Halt the run if it has used up a limit."""
        run = self._run
        if run.is_settled:
            return
        reached = decide.limit(run.state, run.now_ms(), held=self._all_held)
        if reached is not None:
            run.record(reached)
            run.halt()
            run.step_over()
