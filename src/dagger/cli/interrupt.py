"""Ctrl-C: the first one asks for an orderly end, the second leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from types import FrameType
from typing import Self

from dagger.cli.exits import INTERRUPTED

_SHOW_CURSOR = b"\x1b[?25h\n"


class Interrupts:
    """While it is entered, Ctrl-C calls `on_first` in the event loop, and later ones end the process."""

    def __init__(self, loop: AbstractEventLoop, on_first: Callable[[], None]) -> None:
        self.happened = False
        self.farewell = ""
        """What the second one says when it leaves."""
        self._loop = loop
        self._on_first = on_first
        self._before: object = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python sends signals nowhere else
            # not loop.add_signal_handler: an action that blocks the loop must not keep the second one waiting
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)  # type: ignore[arg-type]  # what signal() itself gave

    def _interrupted(self, _: int, __: FrameType | None) -> None:
        if self.happened:
            with contextlib.suppress(OSError):  # nobody may be there to read it
                os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + self.farewell.encode())
            os._exit(INTERRUPTED)  # no clean-up may hold it up; the journal is as after a kill -9
        self.happened = True
        self._loop.call_soon_threadsafe(self._on_first)
