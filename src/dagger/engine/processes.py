"""Spawned processes for actions: kept for the next attempt, killed singly, each with all that it has started."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypeAlias

from dagger.core.errors import DaggerError, ProcessDied
from dagger.engine import frames

END_SECONDS = 5.0
"""How long an idle process may take to end in an orderly way before it is killed."""

Reply: TypeAlias = Callable[[frames.Question | frames.Told], frames.Answer | None]
"""What is said to a frame; None: nothing."""


importing = threading.Event()
"""Set in a spawned process while it imports the module of an action."""


class Process:
    """A spawned process that makes one attempt at a time. It is started when it gets its first one."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._link: frames.Link[frames.FromChild] | None = None
        self._is_killed = False
        self.loaded: set[str] = set()
        """The addresses of the code that it has imported."""

    def attempt(self, given: frames.AttemptInput, reply: Reply) -> frames.AttemptResult:
        """Have it make an attempt; blocks until that is over. Raises ProcessDied, OSError where it does not start."""
        link = self._link or self._start(given.sys_path)
        try:
            link.send(given)
            while not isinstance(frame := link.receive(), frames.AttemptResult):
                if isinstance(frame, frames.Began):
                    self.loaded.add(given.address)
                answer = reply(frame)
                if answer is not None:
                    link.send(answer)
        except (EOFError, ConnectionError):
            message = f"node {given.node.id!r}: its process {_ending(self._bury())}"
            raise ProcessDied(message) from None
        except BaseException:
            self._bury()  # nobody knows what it would say next
            raise
        return frame

    @property
    def is_alive(self) -> bool:
        """Whether it can make another attempt."""
        return self._popen is not None and not self._is_killed and self._popen.poll() is None

    def kill(self) -> None:
        """End it now with all that it has started, whatever it is doing; from whichever thread."""
        self._is_killed = True
        if self._popen is not None and self._popen.returncode is None:
            with contextlib.suppress(OSError):  # it has gone by itself
                os.killpg(self._popen.pid, signal.SIGKILL)

    def end(self) -> None:
        """Let it end, in an orderly way if it is idle; blocks until it is gone."""
        if self._popen is None or self._link is None:
            return
        if not self._is_killed:
            with contextlib.suppress(OSError):
                self._link.finish()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(END_SECONDS)
        self._bury()

    def _start(self, sys_path: list[str]) -> frames.Link[frames.FromChild]:
        if sys.platform == "win32":
            message = "runs_in='process' needs process groups, which Windows does not have; use 'thread'"
            raise DaggerError(message)
        ours, its = socket.socketpair()
        program = f"import sys; sys.path[:] = {sys_path!r}; from dagger.engine.child import main; main({its.fileno()})"
        with its, contextlib.ExitStack() as failed:
            failed.enter_context(ours)
            # in a group of its own: what it starts can be killed with it, and Ctrl-C reaches the parent alone
            self._popen = subprocess.Popen(  # noqa: S603 - it is this interpreter
                [*_interpreter(), "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                process_group=0,
            )
            failed.pop_all()
        self._link = frames.Link(ours, frames.FromChild)
        if self._is_killed:  # while it was started
            self.kill()
        return self._link

    def _bury(self) -> int:
        """See to it that it is gone; gives its exit code as Popen tells it."""
        assert self._popen is not None
        assert self._link is not None
        self.kill()
        self._link.close()
        return self._popen.wait()


class Processes:
    """The processes of one kernel. How many there may be is a pool's to say. For the loop's thread alone."""

    def __init__(self) -> None:
        if importing.is_set():  # what the module runs would run once more in each process
            message = 'it starts a run when it is imported; put what it runs under `if __name__ == "__main__":`'
            raise DaggerError(message)
        self._all: set[Process] = set()
        self._idle: list[Process] = []

    def take(self) -> Process:
        """A process for one attempt: the one that was idle last, or a new one."""
        while self._idle:
            process = self._idle.pop()
            if process.is_alive:
                return process
            self._all.discard(process)
            process.end()  # it has ended by itself
        process = Process()
        self._all.add(process)
        return process

    def give_back(self, process: Process) -> None:
        """The attempt is over, however."""
        if process.is_alive:
            self._idle.append(process)
        else:
            self._all.discard(process)
            process.end()  # it may have been killed as its attempt ended

    async def close(self) -> None:
        """Kill those at work, and let the idle ones end."""
        for process in self._all.difference(self._idle):
            process.kill()
        await asyncio.gather(*(asyncio.to_thread(process.end) for process in self._all))


def _interpreter() -> list[str]:
    """This interpreter, with the options that it was started with."""
    from multiprocessing import spawn  # costs 10 ms, and few applications need it

    return list(itertools.takewhile(lambda part: part != "-c", spawn.get_command_line()))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = "; perhaps it ran out of memory" if -code == signal.SIGKILL else ""
    return f"was killed by signal {-code}{name}{hint}"
