"""What a spawned process does: attempt what its parent sends, one after the other, until the parent is gone.

Its main thread runs the actions; another one listens to the parent, so that an endless loop does not outlive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec

from dagger.core import cache, codec, errors, events
from dagger.core.errors import DaggerError, RegistryError, StepError
from dagger.core.graph import Node
from dagger.core.state import State
from dagger.engine import frames
from dagger.engine.binding import bind
from dagger.engine.context import LOGGER, Answer, AttemptContext
from dagger.engine.result import is_retryable, success, told
from dagger.spec.action import Action, action_of
from dagger.spec.importable import found_at

Value = TypeVar("Value")

_importing: list[str] = []
"""The script that is just being imported."""


def require_guard() -> None:
    """Raise DaggerError while the script is imported: what it runs then would run again in each process."""
    for script in _importing:
        message = (
            f"{script} starts a run when it is imported, and a process imports it to find its actions: "
            f'put what it runs under `if __name__ == "__main__":`'
        )
        raise DaggerError(message)


def main(descriptor: int) -> None:
    """Attempt what comes through a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent who decides what Ctrl-C means
    os.set_inheritable(descriptor, False)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # or a kill would take it along
    end = socket.socket(fileno=descriptor)
    os.register_at_fork(after_in_child=end.close)  # a fork of ours must not keep the line open
    parent = Parent(frames.Link(end, frames.FromParent))
    LOGGER.addHandler(_Forward(parent))
    LOGGER.propagate = False
    threading.Thread(target=parent.listen, name="dagger-parent", daemon=True).start()
    actions: dict[str, Action] = {}
    while (given := parent.next()) is not None:
        parent.done(_attempt(given, parent, actions))


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


def _attempt(given: frames.AttemptInput, parent: Parent, actions: dict[str, Action]) -> frames.AttemptResult:
    tried = Tried(given, parent)
    ctx: AttemptContext | None = None
    try:
        LOGGER.setLevel(given.log_level)
        action = actions.get(given.address)
        if action is None:
            action = actions[given.address] = _load(given)
            tried.began()
        run = Run(given, parent)
        keywords = bind(run, tried.step, tried.node, action)
        if action.context_name is not None:
            ctx = keywords[action.context_name] = AttemptContext(tried, run, is_async=action.is_async)
        result = action.function(**keywords)
        made = success(tried, ctx, asyncio.run(_awaited(result)) if action.is_async else result)
    except BaseException as error:  # noqa: BLE001 - user code raises anything
        return frames.AttemptResult(error=told(error), is_retryable=is_retryable(error))
    finally:
        if ctx is not None:
            ctx.close()
    return frames.AttemptResult(made.event, [(blob.hash, msgspec.Raw(blob.content)) for blob in made.blobs])


def _load(given: frames.AttemptInput) -> Action:
    """Import the action. Raises RegistryError that says why it cannot be."""
    sys.path[:] = given.sys_path
    sys.argv[:] = given.sys_argv
    module = given.address.partition(":")[0]
    where = f"node {given.node.id!r}: its process"
    try:
        if given.main:
            _import_main(given.main)
        else:
            importlib.import_module(module)
    except BaseException as error:
        message = f"{where} cannot import {' '.join(given.main.values()) or module}: {events.Error(*_named(error))}"
        raise RegistryError(message) from error
    action = action_of(found_at(given.address))
    if action is None:
        message = f"{where} found no action at {given.address}: the module gives it that name only elsewhere"
        raise RegistryError(message)
    return action


def _named(error: BaseException) -> tuple[str, str]:
    text = told(error)
    return text.type, text.message


def _import_main(where: dict[str, str]) -> None:
    """Import the script that the parent runs, under the name that multiprocessing gives it."""
    from multiprocessing import spawn

    _importing.extend(where.values())
    try:
        spawn.prepare(where)
    finally:
        _importing.clear()


async def _awaited(made: Any) -> Any:
    return await made if inspect.isawaitable(made) else made


class Tried:
    """The attempt as its context sees it: see engine/context."""

    def __init__(self, given: frames.AttemptInput, parent: Parent) -> None:
        self.step = given.step
        self.node = given.node
        self.number = given.number
        self._deadline_ms = given.deadline_ms
        self._parent = parent

    def began(self) -> None:
        """Tell that the code was loaded only now: the time for that is none of the attempt's."""
        self._deadline_ms = self._parent.ask(frames.Began(), int)

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970."""
        return self._deadline_ms

    def now_ms(self) -> int:
        """It is the parent's clock that counts: it says when it hears of something."""
        return 0

    def spend(self, count: int) -> None:
        """Count tokens, at once."""
        self._parent.tell(frames.Spend(count))

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled."""
        assert isinstance(event, (events.Progressed, events.Emitted))
        self._parent.tell(frames.Tell(event))

    async def wait(self, kind: str, key: str, seconds: float) -> None:
        """Nobody could hold a process's place while it waits."""
        message = f"node {self.node.id!r}: {kind}: what runs in a process can only use memo"
        raise StepError(message)

    async def recall(self, key: str) -> bytes | None:
        """The result that the journal has of a memo. Raises WaitMismatch."""
        known = self._parent.ask(frames.Recall(key), frames.Found | None)  # type: ignore[arg-type]
        return None if known is None else bytes(known.text)

    async def memorise(self, key: str, text: bytes) -> None:
        """Journal the result of a memo."""
        self._parent.ask(frames.Memorise(key, msgspec.Raw(text)), type(None))

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """What the question comes to: the parent answers while this thread waits."""
        with contextlib.closing(question):
            try:
                question.send(None)
            except StopIteration as stop:
                return cast("Answer", stop.value)
        message = "a question to the parent process suspended"
        raise AssertionError(message)


class Run:
    """The run as the attempt sees it: what it needs in any case came along, the cache is asked for."""

    def __init__(self, given: frames.AttemptInput, parent: Parent) -> None:
        self.load: Callable[[str], bytes] = lambda hash_: bytes(parent.ask(frames.Load(hash_), msgspec.Raw))
        """A blob's content."""
        self.state = State(
            run_id=given.run_id,
            spec=events.Spec("", given.graph),
            unsuccessful=given.unsuccessful,
            pending=given.handled,
            scopes=given.scopes,
            sections=cast("cache.Sections", _Sections(parent)),
        )

    def action(self, node: Node) -> Action:
        """What an action takes of a map's items is among the inputs."""
        raise KeyError(node.action)

    def items(self, scope: str) -> list[msgspec.Raw]:
        """Of a map's items the attempt has its own, as an input."""
        raise KeyError(scope)


class _Sections(Mapping[str, Mapping[str, cache.Stored]]):
    """The run's cache, asked for key by key: it may be large."""

    def __init__(self, parent: Parent) -> None:
        self.parent = parent
        self.known: dict[tuple[str, str], cache.Stored] = {}
        """What was read last: it is the same object as long as it is equal, as AttemptCache goes by that."""

    def __getitem__(self, section: str) -> Mapping[str, cache.Stored]:
        return _Section(self, section)

    def __contains__(self, section: object) -> bool:
        return self.parent.ask(frames.HasSection(str(section)), bool)

    def __iter__(self) -> Iterator[str]:
        return iter(self.parent.ask(frames.Sections(), list[str]))

    def __len__(self) -> int:
        return len(list(self))


class _Section(Mapping[str, cache.Stored]):
    def __init__(self, sections: _Sections, name: str) -> None:
        self._sections = sections
        self._name = name

    def __getitem__(self, key: str) -> cache.Stored:
        found = self._sections.parent.ask(frames.Read(self._name, key), frames.Found | None)  # type: ignore[arg-type]
        if found is None:
            raise KeyError(key)
        text = bytes(found.text)
        stored: cache.Stored = cache.Appended(text, []) if found.is_appended else text
        known = self._sections.known
        if known.get((self._name, key)) != stored:
            known[self._name, key] = stored
        return known[self._name, key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sections.parent.ask(frames.Keys(self._name), list[str]))

    def __len__(self) -> int:
        return len(list(self))


class _Forward(logging.Handler):
    """Has the parent log what actions log here."""

    def __init__(self, parent: Parent) -> None:
        super().__init__()
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            fields = {**vars(record), "msg": record.getMessage(), "args": None, "exc_info": None}
            if record.exc_info:
                fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
            self._parent.tell(frames.Log({name: _plain(value) for name, value in fields.items()}))
        except Exception:  # noqa: BLE001 - as every handler does: a line for the log fails nobody
            self.handleError(record)


def _plain(value: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(codec.encode(value))
    except codec.NotJson:
        return msgspec.Raw(codec.encode(codec.readable(repr(value))))
