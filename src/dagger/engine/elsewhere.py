"""Code that runs elsewhere than in the loop: in a thread, or in a process that a thread speaks with."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from dagger.core import codec
from dagger.core.cache import Appended
from dagger.core.events import scope_of, step_name
from dagger.core.state import Scope
from dagger.core.steps import HANDLER
from dagger.engine import frames
from dagger.engine.binding import Source, bind, hand_over, resolved
from dagger.engine.collecting import LOGGER, Tried
from dagger.engine.context import AttemptContext
from dagger.engine.processes import Process
from dagger.engine.publishing import checked
from dagger.engine.result import FailedThere, Success, success, told
from dagger.spec.action import Action

Work: TypeAlias = Callable[[], Success]
"""What a thread does for an attempt. What it raises is the attempt's failure."""


class Elsewhere(Tried, Protocol):
    """What is needed here of an attempt."""

    context: contextvars.Context
    ctx: AttemptContext | None
    is_over: bool

    async def began(self) -> int:
        """Its code begins only now; gives when it times out, in milliseconds since 1970."""


def in_thread(run: Source, attempt: Elsewhere, action: Action) -> Work:
    """Call a plain function. Raises InputInvalid."""
    keywords = bind(run, attempt.step, attempt.node, action)
    hand_over(keywords, action, attempt.ctx)

    def work() -> Success:
        result = attempt.context.run(action.function, **keywords)
        if attempt.is_over:
            raise asyncio.CancelledError  # it was given up: nobody wants what it made
        # encoding belongs to the call: a large result must not hold up the loop
        return success(run, attempt, action, attempt.ctx, result)

    return work


def in_process(run: Source, attempt: Elsewhere, given: frames.AttemptInput, process: Process) -> Work:
    """Have a process call a function."""

    def work() -> Success:
        result = process.attempt(given, lambda frame: _reply(run, attempt, frame))
        if result.success is None:
            assert result.error is not None
            raise FailedThere(result.error, is_retryable=result.is_retryable)
        blobs = [codec.Blob(hash_, bytes(content)) for hash_, content in result.blobs]
        event, as_of = result.success, run.agents_as_of
        if event.messages:  # who reads them is known only here
            messages = checked(run, attempt.node, event.messages, blobs)
            event = msgspec.structs.replace(event, messages=messages)
        return Success(event, blobs, as_of)

    return work


def attempt_input(run: Source, attempt: Elsewhere, action: Action) -> frames.AttemptInput:
    """What a process is to do. Raises InputInvalid where a reference leads nowhere."""
    state, step, node = run.state, attempt.step, attempt.node
    scope = scope_of(step)
    awaited = [step_name(scope, name) for name in node.dependencies]
    handled = step.removesuffix(HANDLER) if node.handles else ""
    scopes = {}
    while scope:
        scopes[scope] = Scope(item=state.scopes[scope].item)
        scope = scope_of(scope)
    return frames.AttemptInput(
        address=action.address,
        run_id=state.run_id,
        graph=state.spec.name,
        step=step,
        node=resolved(run, step, node, action),
        number=attempt.number,
        deadline_ms=attempt.deadline_ms(),
        now_ms=attempt.now_ms(),
        unsuccessful={name: state.unsuccessful[name] for name in awaited if name in state.unsuccessful},
        handled={handled: state.pending[handled]} if handled else {},
        scopes=scopes,
        log_level=LOGGER.getEffectiveLevel(),
        sys_path=[str(folder) for folder in sys.path],
        sys_argv=list(sys.argv),
        main=_main(action.address),
    )


def _main(address: str) -> dict[str, str]:
    """Where the script is that an address is in, in the words of multiprocessing.spawn."""
    if not address.startswith("__main__:"):
        return {}
    script = sys.modules["__main__"]
    if script.__spec__ is not None:
        return {"init_main_from_name": script.__spec__.name}
    return {"init_main_from_path": str(Path(str(script.__file__)).absolute())}


def _reply(run: Source, attempt: Elsewhere, frame: frames.Question | frames.Told) -> frames.Answer | None:
    """Do what the process told, or answer what it asked; in the thread that speaks with it."""
    match frame:
        case frames.Spend():
            attempt.spend(frame.count)
        case frames.Tell():
            attempt.tell(msgspec.structs.replace(frame.event, at=attempt.now_ms()))
        case frames.Log():
            record = logging.makeLogRecord(frame.record)
            logging.getLogger(record.name).handle(record)
        case _:
            try:
                return frames.Answer(msgspec.Raw(msgspec.json.encode(_answer(run, attempt, frame))))
            except Exception as error:  # noqa: BLE001 - it is raised where the question was asked
                return frames.Answer(error=told(error))
    return None


def _answer(run: Source, attempt: Elsewhere, question: frames.Question) -> object:
    sections = run.state.sections
    match question:
        case frames.Began():
            return attempt.ask(attempt.began())
        case frames.Recall():
            known = attempt.ask(attempt.recall(question.key))
            return None if known is None else frames.Found(msgspec.Raw(known))
        case frames.Memorise():
            return attempt.ask(attempt.memorise(question.key, bytes(question.text)))
        case frames.HasSection():
            return question.section in sections
        case frames.Sections():
            return list(sections)
        case frames.Keys():
            return list(sections.get(question.section, ()))
        case frames.Read():
            return _found(run, question.section, question.key)
        case frames.Load():
            section, cut, key = question.hash.partition("\n")
            stored = sections[section][key] if cut else b""
            return msgspec.Raw(stored.text(run.load) if isinstance(stored, Appended) else run.load(question.hash))


def _found(run: Source, section: str, key: str) -> frames.Found | None:
    """What is stored; a list under construction as a reference to all of it, which an append need not see."""
    stored = run.state.sections.get(section, {}).get(key)
    if stored is None:
        return None
    if isinstance(stored, Appended):
        reference = codec.BlobReference(f"{section}\n{key}", len(stored.items))
        return frames.Found(msgspec.Raw(msgspec.json.encode(reference)), is_appended=True)
    return frames.Found(msgspec.Raw(stored))
