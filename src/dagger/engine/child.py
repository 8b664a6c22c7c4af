"""What a spawned process does: attempt what its parent sends, one after the other, until the parent is gone.

Its main thread runs the actions; another one listens to the parent, so that an endless loop does not outlive it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import sys
import threading

import msgspec

from dagger.core import codec
from dagger.core.errors import RegistryError
from dagger.core.steps import flow_of
from dagger.engine import frames
from dagger.engine.binding import bind
from dagger.engine.child_run import Run, Tried
from dagger.engine.collecting import LOGGER
from dagger.engine.context import AttemptContext
from dagger.engine.overlay import AttemptCache
from dagger.engine.parent import Parent
from dagger.engine.processes import importing
from dagger.engine.result import is_retryable, success, told
from dagger.engine.trampoline import returned
from dagger.spec.action import Action, action_of
from dagger.spec.importable import found_at


def main(descriptor: int) -> None:
    """Attempt what comes through a socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent who decides what Ctrl-C means
    os.set_inheritable(descriptor, False)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # or a kill would take it along
    end = socket.socket(fileno=descriptor)
    os.register_at_fork(after_in_child=lambda: _hang_up(end))
    parent = Parent(frames.Link(end, frames.FromParent))
    LOGGER.addHandler(_Forward(parent))
    LOGGER.propagate = False
    threading.Thread(target=parent.listen, name="dagger-parent", daemon=True).start()
    actions: dict[str, Action] = {}
    while (given := parent.next()) is not None:
        parent.done(_attempt(given, parent, actions))


def _hang_up(end: socket.socket) -> None:
    """What this process forks must not keep the line to the parent open."""
    if end.fileno() >= 0:
        os.close(end.detach())


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
            ctx.cache = AttemptCache(run.sections, run.load, ctx, flow_of(run.state, tried.step))
            ctx.keep_iteration()
        result = action.function(**keywords)
        made = success(run, tried, action, ctx, asyncio.run(returned(result)) if action.is_async else result)
    except BaseException as error:  # noqa: BLE001 - user code raises anything
        return frames.AttemptResult(error=told(error), is_retryable=is_retryable(error))
    finally:
        if ctx is not None:
            ctx.close()
    return frames.AttemptResult(made.event, [(blob.hash, msgspec.Raw(blob.content)) for blob in made.blobs])


def _load(given: frames.AttemptInput) -> Action:
    """Import the action. Raises RegistryError that says why it cannot be."""
    from multiprocessing import spawn

    sys.path[:] = given.sys_path
    sys.argv[:] = given.sys_argv
    module = given.address.partition(":")[0]
    where = f"node {given.node.id!r}: its process"
    importing.set()
    try:
        if given.main:
            spawn.prepare(given.main)  # the parent's script, under the name that multiprocessing gives it
        else:
            importlib.import_module(module)
    except BaseException as error:
        cause = msgspec.structs.replace(told(error), traceback="")
        message = f"{where} cannot import {' '.join(given.main.values()) or module}: {cause}"
        raise RegistryError(message) from error
    finally:
        importing.clear()
    found = found_at(given.address)
    action = action_of(found)
    if action is None:
        what = "nothing is there" if found is None else f"there is {found!r:.80}"
        message = f"{where} found no action at {given.address}: {what}"
        raise RegistryError(message)
    return action


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
