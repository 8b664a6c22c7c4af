"""Actions for processes: these import them by name."""

import os

from dagger import action


@action(runs_in="process")
def double(x: int) -> int:
    return x * 2


@action(runs_in="process")
def pid() -> int:
    return os.getpid()


@action(runs_in="process")
def die(code: int = 1):
    os._exit(code)
