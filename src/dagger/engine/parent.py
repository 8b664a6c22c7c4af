"""The parent as a spawned process sees it: it sends attempts, and answers questions about the run."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from typing import TypeVar

import msgspec

from dagger.core import errors
from dagger.core.errors import DaggerError, StepError
from dagger.engine import frames

Value = TypeVar("Value")


class Parent:
    """The process that sends attempts, and knows the run."""

    def __init__(self, link: frames.Link[frames.FromParent]) -> None:
        self._link = link
        self._given: queue.SimpleQueue[frames.AttemptInput | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[frames.Answer] = queue.SimpleQueue()
        self._is_busy = False
        self._turn = threading.RLock()
        """Of whoever asks or tells: answers come in the order of the questions."""

    def listen(self) -> None:
        """Take in what the parent sends. When it is gone, so is this process, whatever it is doing."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                frame = self._link.receive()
                if isinstance(frame, frames.Answer):
                    self._answers.put(frame)
                else:
                    self._is_busy = True
                    self._given.put(frame)
        if self._is_busy:
            with contextlib.suppress(OSError):
                os.killpg(os.getpid(), signal.SIGKILL)  # with whatever its code has started
            os._exit(1)
        self._given.put(None)

    def next(self) -> frames.AttemptInput | None:
        """The next attempt; None: the parent needs no more."""
        return self._given.get()

    def done(self, result: frames.AttemptResult) -> None:
        """Hand back what became of the attempt."""
        self._is_busy = False
        self.tell(result)

    def tell(self, frame: frames.AttemptResult | frames.Told) -> None:
        """Send what needs no answer."""
        with self._turn:
            self._link.send(frame)

    def ask(self, question: frames.Question, kind: type[Value]) -> Value:
        """The answer to a question. Raises what the parent raised."""
        with self._turn:
            self._link.send(question)
            answer = self._answers.get()
        if answer.error is not None:
            known = getattr(errors, answer.error.type, None)
            if isinstance(known, type) and issubclass(known, DaggerError):
                raise known(answer.error.message)
            raise StepError(str(answer.error))
        return msgspec.json.decode(answer.value, type=kind)
