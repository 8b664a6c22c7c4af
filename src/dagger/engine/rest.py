"""Rest: a run in which nothing is ready or running says that it waits; one with only waits open is parked."""

from __future__ import annotations

from typing import Protocol

from dagger.core import events
from dagger.core.state import State
from dagger.engine.kernel import Kernel
from dagger.engine.posts import Posts
from dagger.engine.timers import Timer
from dagger.engine.underway import Underway
from dagger.engine.waits import Waits

WORTH_TELLING_MS = 1_000
"""A run with a delayed attempt that is due sooner is not said to wait: two events for each short delay would say
nothing. Where only waits are open they say that the run's clock stands still, however shortly."""
PARK_AFTER_SECONDS = 5.0
"""So long a run with only waits open keeps its tasks and its owner: a short wait need not begin anew."""


IDLE_SECONDS = 1.0
"""So long a run that is kept alive is quiet before it is said to wait for messages: they may come one by one."""


class Resting(Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    state: State
    waits: Waits
    underway: Underway
    posts: Posts

    @property
    def is_halting(self) -> bool: ...
    @property
    def is_kept_alive(self) -> bool: ...

    def record(self, event: events.Event) -> None: ...
    def park(self, event: events.RunParked) -> None: ...


class Rest:
    """Watches one run for when it falls quiet."""

    def __init__(self, run: Resting) -> None:
        self._run = run
        self._timer: Timer | None = None
        self._wake_at: int | None = None
        """Until when the run was last said to wait."""
        self._idle: Timer | None = None
        """When a run that is kept alive is said to wait for messages."""

    @property
    def has_reason(self) -> bool:
        """Whether anything but a child flow is waited for."""
        run = self._run
        return run.waits.has_open or run.underway.has_delayed or bool(run.underway.held())

    def quiet(self, *, is_idle: bool = False) -> None:
        """Nothing of the run is ready or running any more: say so, if that will last. `is_idle`: it has lasted."""
        run = self._run
        delayed, due = run.underway.next_attempt(), run.waits.next_due()
        wake_at = min((at for at in (delayed, due) if at is not None), default=None)
        is_said = run.state.status == "waiting" and wake_at == self._wake_at  # else a wait was due that was given up
        if run.is_halting or is_said:
            return
        now = run.kernel.tick()
        is_active = run.underway.has_delayed
        if run.is_kept_alive and not run.waits.has_open and not is_active and not run.underway.held() and not is_idle:
            self._idle = self._idle or run.kernel.timers.after(IDLE_SECONDS, lambda: self.quiet(is_idle=True))
            return
        if wake_at is not None and wake_at - now < (WORTH_TELLING_MS if is_active else 1):
            return
        self._wake_at = wake_at
        run.record(events.RunWaiting(at=now, reason=self._reason(now), wake_at=wake_at, is_active=is_active))
        if not (is_active or run.underway.held() or self._timer or run.is_kept_alive):
            self._park_later()

    def over(self) -> bool:
        """Something of the run is ready again; whether the run was said to wait."""
        self.close()
        if self._run.state.status != "waiting":
            return False
        self._run.record(events.RunWoken(at=self._run.kernel.tick()))
        return True

    def close(self) -> None:
        """Forget the timers."""
        for timer in (self._timer, self._idle):
            if timer is not None:
                timer.cancel()
        self._timer = self._idle = None

    def park_now(self) -> bool:
        """Park the run without delay, as its application is closed; False: it does not only wait."""
        is_idle = self._run.is_kept_alive and self._run.underway.is_quiet and not self._run.underway.has_delayed
        if not (self._timer or is_idle) or not self._only_waits:
            return False
        self.close()
        self._park()
        return True

    @property
    def _only_waits(self) -> bool:
        """Whether nothing is lost by closing all code: an answer that is about to be durable is somebody's to hear."""
        return self._run.underway.is_quiet and self._run.waits.can_be_closed()

    def _park_later(self) -> None:
        self._timer = self._run.kernel.timers.after(PARK_AFTER_SECONDS, self._park_or_stay)

    def _park_or_stay(self) -> None:
        self._timer = None
        if self._run.posts.waiting or not self._only_waits:  # who publishes would have to take it up again at once
            self._park_later()
        else:
            self._park()

    def _park(self) -> None:
        now = self._run.kernel.tick()
        self._run.park(events.RunParked(at=now, reason=self._reason(now), wake_at=self._run.waits.next_due()))

    def _reason(self, now: int) -> str:
        run = self._run
        delayed = run.underway.next_attempt()
        when = "as soon as code that cannot be stopped has ended"
        if delayed is not None:
            when = f"in {max(delayed - now, 0) / 1000:g} s"
        told = [
            run.waits.named(),
            f"another attempt {when}" if run.underway.has_delayed else "",
            run.underway.held(),
            "messages" if run.is_kept_alive else "",
        ]
        return "waits for " + " and ".join(filter(None, told))
