"""One attempt: bind the inputs, run the action in loop or thread under its deadline, hand back what became of it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import traceback
import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

import msgspec

from dagger.core import codec, events
from dagger.core.cache import Stored
from dagger.core.errors import AttemptTimedOut, InputInvalid, NonRetryable, OutputInvalid, nearest
from dagger.core.graph import Node, Reference
from dagger.core.state import State, scope_of, step_name
from dagger.engine.context import AttemptContext, sealed
from dagger.spec.action import Action, arguments, outputs

if TYPE_CHECKING:
    from dagger.engine.pools import Pool
    from dagger.engine.timers import Timer
    from dagger.engine.tenure import Tenure

GRACE_SECONDS = 5.0
"""How long a cancelled coroutine may take to clean up before it is given up, as a thread is at once."""

_NEVER_RETRIED = (NonRetryable, InputInvalid, OutputInvalid)
_BRACE = ord("{")


class Attempt:
    """One try of a step, from its place in the queue to its end."""

    __slots__ = ("context", "coroutine", "ctx", "cut_reason", "is_abandoned", "is_over", "node", "number",
                 "on_released", "order", "pools", "priority", "started_ms", "step", "task", "tenure", "timer",
                 "yielded")  # fmt: skip

    def __init__(self, tenure: Tenure, step: str, node: Node, number: int, pools: tuple[Pool, ...]) -> None:
        self.tenure = tenure
        self.step = step
        self.node = node
        self.number = number
        """Starts at 1."""
        self.pools = pools
        self.priority = node.priority
        self.order = 0
        self.ctx: AttemptContext | None = None
        self.timer: Timer | None = None
        self.task: asyncio.Task[None] | None = None
        """The worker that runs it, while its code is suspended."""
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.cut_reason = ""
        """Why the kernel cancelled it: it is to end, however it ends."""
        self.is_over = False
        """Its end is in the journal, or it was cut off."""
        self.is_abandoned = False
        """It is over for the kernel, but its code still runs."""
        self.on_released: Callable[[], None] | None = None
        """What waits for abandoned code to end."""

    def begin(self) -> bool:
        """Start the action. True: its code is suspended, and `proceed` must be awaited."""
        tenure = self.tenure
        self.started_ms = tenure.now_ms()
        try:
            action = tenure.action(self.node)
            texts = input_texts(tenure.state, self.step, self.node, action, tenure.load)
            keywords = arguments(action, self.node, texts)
            if action.context_name is not None:
                self.ctx = keywords[action.context_name] = AttemptContext(self, tenure.state, texts, tenure.load)
        except Exception as error:  # noqa: BLE001 - whatever a user's types raise fails the attempt
            self.fail(error)
            return False
        self.context = tenure.context.copy()
        if action.runs_in == "thread":
            self._begin_in_thread(action, keywords)
            return False
        return self._begin_in_loop(action, keywords)

    def _begin_in_loop(self, action: Action, keywords: dict[str, Any]) -> bool:
        """Run the code until it first suspends: most of the time it never does, and costs no task."""
        try:
            # calling a coroutine function runs none of its code: no context is needed for it
            made = action.function(**keywords) if action.is_async else self.context.run(action.function, **keywords)
            if type(made) is types.CoroutineType:
                coroutine = made
            elif inspect.isawaitable(made):
                coroutine = _awaited(made)
            else:
                self.succeed(made)
                return False
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            self.fail(error)
            return False
        try:
            self.yielded = self.context.run(coroutine.send, None)
        except StopIteration as stop:
            self.succeed(stop.value)
            return False
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            self.fail(error)
            return False
        self.coroutine = coroutine
        self.tenure.suspended(self)
        return True

    async def proceed(self) -> None:
        """Run the suspended code to its end, in the worker's own task."""
        coroutine = self.coroutine
        assert coroutine is not None  # noqa: S101 - `begin` said so
        try:
            result = await _drive(self.context, coroutine, self.yielded)
        except (Exception, asyncio.CancelledError, SystemExit) as error:
            self._ended(error, None)
        else:
            self._ended(None, result)

    def _begin_in_thread(self, action: Action, keywords: dict[str, Any]) -> None:
        tenure = self.tenure
        tenure.suspended(self)

        def call() -> None:
            error: BaseException | None = None
            made: Any = None
            try:
                # encoding belongs to the call: a large result must not hold up the loop
                made = outputs(self.node, self.context.run(action.function, **keywords))
            except BaseException as caught:  # noqa: BLE001 - it is handed to the loop
                error = caught
            tenure.kernel.call_soon_threadsafe(lambda: self._thread_ended(error, made))

        tenure.kernel.threads.submit(call)

    def _thread_ended(self, error: BaseException | None, made: dict[str, bytes]) -> None:
        if self.is_over:
            self._released()
        elif error is not None:
            self.fail(error)
        else:
            self._succeed_with(made)

    def _ended(self, error: BaseException | None, result: object) -> None:
        """The suspended code has ended; who ended it decides what that means."""
        if self.is_over:
            self._released()
        elif self.cut_reason:
            self._end_cut(error, result)
        elif isinstance(error, asyncio.CancelledError) and self.tenure.kernel.is_stopping():
            self.over()  # the event loop is shutting down: as if the process had died
        elif error is not None:
            self.fail(error)
        else:
            self.succeed(result)

    def _end_cut(self, error: BaseException | None, result: object) -> None:
        if self.cut_reason == "timeout":
            self.fail(self._timed_out())
        elif error is None:
            self.succeed(result)  # it finished all the same
        else:
            self.tenure.cut_off(self)

    def cut(self, reason: str) -> None:
        """Make the attempt end: `timeout`, or because the run halts. A thread cannot be: it is abandoned."""
        if self.is_over or (self.cut_reason and reason == "timeout"):
            return
        first = not self.cut_reason
        self.cut_reason = reason
        if self.task is None:
            self._abandon()
        elif first:
            self.task.cancel()
            if self.timer is not None:
                self.timer.cancel()
            self.timer = self.tenure.kernel.timers.after(GRACE_SECONDS, self._abandon)

    def _abandon(self) -> None:
        """Go on without waiting for the code to end."""
        if self.is_over:
            return
        self.is_abandoned = True
        self.tenure.abandoned(self)
        if self.cut_reason == "timeout":
            self.fail(self._timed_out())
        else:
            self.tenure.cut_off(self)

    def _released(self) -> None:
        """Abandoned code has ended at last."""
        if self.is_abandoned:
            self.is_abandoned = False
            self.tenure.released(self)
            if self.on_released is not None:
                self.on_released()

    def _timed_out(self) -> AttemptTimedOut:
        message = f"node {self.node.id!r}: attempt {self.number} timed out after {self.node.timeout:g} s"
        if self.is_abandoned:
            message += "; its code could not be stopped and still runs"
        return AttemptTimedOut(message)

    def succeed(self, result: object) -> None:
        """Record the success with all of its effects."""
        try:
            made = outputs(self.node, result)
        except Exception as error:  # noqa: BLE001 - a user's type may raise anything while it is encoded
            self.fail(error)
            return
        self._succeed_with(made)

    def _succeed_with(self, made: dict[str, bytes]) -> None:
        now = self.over()
        blobs: list[codec.Blob] = []
        raws = {name: _sealed(text, blobs) for name, text in made.items()}
        ctx = self.ctx
        if ctx is None:
            event = events.StepSucceeded(
                at=now, step=self.step, attempt=self.number, duration_ms=now - self.started_ms, outputs=raws
            )
        else:
            writes = []
            for write in ctx.cache.collected:  # type: ignore[attr-defined]
                kept, blob = sealed(write)
                writes.append(kept)
                if blob is not None:
                    blobs.append(blob)
            event = events.StepSucceeded(
                at=now,
                step=self.step,
                attempt=self.number,
                duration_ms=now - self.started_ms,
                outputs=raws,
                cache=writes,
                result=msgspec.UNSET if ctx.result is None else _sealed(ctx.result, blobs),
                tokens=ctx.tokens,
            )
        self.tenure.ended(self, event, blobs)

    def fail(self, error: BaseException) -> None:
        """Record the failure: decided elsewhere whether another attempt follows."""
        now = self.over()
        text = "".join(traceback.format_exception(error))
        told = events.Error(type(error).__name__, str(error), text)
        self.tenure.failed(
            self,
            told,
            retryable=not isinstance(error, _NEVER_RETRIED),
            now=now,
            duration_ms=now - self.started_ms,
        )

    def over(self) -> int:
        """Close the context, forget the deadline; returns the time."""
        self.is_over = True
        if self.ctx is not None:
            self.ctx.close()
        if self.timer is not None:
            self.timer.cancel()
        return self.tenure.now_ms()

    @property
    def tokens(self) -> int:
        """Tokens that the attempt spent."""
        return 0 if self.ctx is None else self.ctx.tokens

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970: its node's timeout, or the run's remaining time."""
        remaining = self.tenure.state.remaining_ms(self.started_ms)
        own = int(self.node.timeout * 1000)
        return self.started_ms + (own if remaining is None else min(own, remaining))


def _sealed(text: bytes, blobs: list[codec.Blob]) -> msgspec.Raw:
    if len(text) > codec.BLOB_ABOVE_BYTES or text[0] == _BRACE:
        text, blob = codec.seal(text)
        if blob is not None:
            blobs.append(blob)
    return msgspec.Raw(text)


@types.coroutine
def _drive(
    context: contextvars.Context, coroutine: Coroutine[Any, Any, Any], yielded: Any
) -> Generator[Any, Any, Any]:
    """Continue a coroutine that has suspended once, each time in its own context, in the task that awaits this.

    So `asyncio.current_task` and timeouts work in it, and its context variables stay in it.
    """
    while True:
        try:
            sent = yield yielded
        except BaseException as error:  # noqa: BLE001 - it belongs to the coroutine
            try:
                yielded = context.run(coroutine.throw, error)
            except StopIteration as stop:
                return stop.value
        else:
            try:
                yielded = context.run(coroutine.send, sent)
            except StopIteration as stop:
                return stop.value


async def _awaited(made: Any) -> Any:
    return await made


def input_texts(
    state: State, step: str, node: Node, action: Action, load: Callable[[str], bytes]
) -> dict[str, bytes]:
    """The JSON text of each of the node's inputs. Raises InputInvalid for what is not there."""
    sections = state.sections
    scope = scope_of(step)
    texts: dict[str, bytes] = {}
    for entry in node.inputs:
        reference = entry.reference
        if not reference:
            texts[entry.name] = bytes(entry.value)  # type: ignore[arg-type]
            continue
        section, _, key = reference.partition(".")
        try:
            stored = sections[f"{scope}/{section}" if scope and section != "inputs" else section][key]
        except KeyError:
            found = _follow(state, scope, node, entry.name, reference, load)
            if found is not None:
                texts[entry.name] = found
            elif entry.name in action.required:
                raise InputInvalid(_absent(state, scope, node, entry.name, reference)) from None
            continue
        texts[entry.name] = stored if type(stored) is bytes and stored[0] != _BRACE else _loaded(stored, load)
    return texts


def _loaded(stored: Stored, load: Callable[[str], bytes]) -> bytes:
    return codec.resolve(stored, load) if isinstance(stored, bytes) else stored.text(load)


def _follow(
    state: State, scope: str, node: Node, name: str, text: str, load: Callable[[str], bytes]
) -> bytes | None:
    """What a reference with a path, or to a whole node, leads to; None if its node did not succeed."""
    reference = Reference.parse(text)
    where = f"node {node.id!r}: input {name!r}: {text!r}: "
    source = reference.node if reference.node == "inputs" else step_name(scope, reference.node)
    section = state.sections.get(source, {})
    if source != "inputs" and source not in state.succeeded:
        return None
    if reference.output is None:
        if len(section) == 1:
            return _loaded(next(iter(section.values())), load)
        whole = {key: msgspec.Raw(_loaded(stored, load)) for key, stored in section.items()}
        return msgspec.json.encode(whole) if whole else b"null"
    if reference.output not in section:
        kind = "the run has no input" if source == "inputs" else f"node {reference.node!r} gave no output"
        near = nearest(reference.output, section) or f"; there is: {', '.join(section) or 'nothing'}"
        raise InputInvalid(f"{where}{kind} {reference.output!r}{near}")
    value = codec.decode(_loaded(section[reference.output], load))
    for part in reference.path:
        try:
            if isinstance(value, str) or (isinstance(part, str) and not isinstance(value, dict)):
                raise TypeError  # noqa: TRY301 - a character of a text is no part of it
            value = value[part]
        except (KeyError, IndexError, TypeError):
            raise InputInvalid(where + _dead_end(part, value)) from None
    return codec.encode(value)


def _dead_end(part: str | int, value: Any) -> str:
    match value:
        case dict():
            near = nearest(str(part), value) or f"; it has: {', '.join(list(value)[:8]) or 'nothing'}"
            return f"there is no key {part!r}{near}"
        case list():
            return f"there is no item {part!r} in a list of {len(value)}"
        case _:
            return f"{part!r} cannot be taken from a {type(value).__name__}"


def _absent(state: State, scope: str, node: Node, name: str, text: str) -> str:
    source = text.partition(".")[0]
    ended = state.unsuccessful.get(step_name(scope, source))
    return f"node {node.id!r}: input {name!r}: {text!r}: node {source!r} {ended.status if ended else 'has not run'}"
