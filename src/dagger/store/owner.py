"""Who lives: a lock that dies with its process, and a heartbeat that an observer judges by its own clock."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dagger.core.errors import StoreError
from dagger.core.journal import HUNG_AFTER_SECONDS

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int, *, alone: bool) -> None:  # noqa: ARG001 - Windows has no shared ones
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int, *, alone: bool) -> None:
        # observers share the lock, so that two of them never take each other for the owner
        fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)


def lock_path(path: str, owner: int) -> str:
    """The lock file of an owner of the store at `path`."""
    return f"{path}-owner-{owner}"


_held: set[int] = set()
"""The descriptors of our locks: a forked child shares them, and would hold them when we are dead."""


def _forget_in_child() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class OwnerLock:
    """Held as long as the process lives, or until `release`: the system lets go of it after a kill -9 too."""

    def __init__(self, path: str, owner: int) -> None:
        self._path = lock_path(path, owner)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            _lock(self._file, alone=True)
            _held.add(self._file)
        except OSError as error:
            message = f"{self._path} cannot be made and locked ({error}); its directory must allow both"
            raise StoreError(message) from error

    def release(self) -> None:
        """Let go of it, and remove the file. Releasing twice does nothing."""
        if self._file >= 0:
            if self._file in _held:
                _held.remove(self._file)
                os.close(self._file)
            self._file = -1
            remove_lock(self._path)


def remove_lock(path: str) -> None:
    """Remove the lock file of an owner that is gone."""
    with contextlib.suppress(OSError):
        Path(path).unlink()


def is_locked(path: str) -> bool:
    """Whether the process that made this lock file is there."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # not ours to judge
    try:
        _lock(file, alone=False)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


class Observer:
    """Judges other owners. A heartbeat is a number that moves: clocks of two processes are never compared."""

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._seen: dict[int, tuple[int | None, float]] = {}
        """Owner -> its last heartbeat, and when it was first seen."""

    def is_alive(self, owner: int, beat: int | None) -> bool:
        """Whether the owner of this heartbeat lives: not so if its process is gone, or it hangs."""
        if not is_locked(lock_path(self._path, owner)):
            return False
        now = self._monotonic()
        seen = self._seen.get(owner)
        if seen is None or seen[0] != beat:
            self._seen[owner] = beat, now
            return True
        return now - seen[1] < HUNG_AFTER_SECONDS
