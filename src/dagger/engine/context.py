"""What user code may see and do: what it awaits is here, what is collected in `engine/collecting`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dagger.core import codec, iterate, reviews
from dagger.core.errors import StepError
from dagger.core.messages import REQUEST, named
from dagger.engine.collecting import Collecting
from dagger.engine.publishing import payload_text
from dagger.spec.context import FlowReport
from dagger.spec.workflow import WorkflowSpec

LONGEST_SLEEP_SECONDS = 100 * 366 * 86_400
"""A hundred years: whoever asks for more has a wrong unit."""


class AttemptContext(Collecting):
    """One attempt's context. It is closed when the attempt is over: what came later would be lost."""

    def sleep(self, seconds: float, *, key: str | None = None) -> Coroutine[Any, Any, None]:
        """See Context."""
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if not (is_number and 0 <= seconds <= LONGEST_SLEEP_SECONDS):
            message = f"{named(self.node)}: sleep takes seconds from 0 to {LONGEST_SLEEP_SECONDS:,}, not {seconds!r}"
            raise StepError(message)
        self._require_async("sleep")
        return self._sleep(seconds, key)

    async def _sleep(self, seconds: float, key: str | None) -> None:
        with self._waiting("sleep", key) as chosen:
            await self._attempt.wait("sleep", chosen, seconds)

    def review(
        self,
        question: str,
        *,
        options: Sequence[Any] | None = None,
        wait_minutes: float | msgspec.UnsetType | None = msgspec.UNSET,
        key: str | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """See Context."""
        where = f"{named(self.node)}: review"
        problem = reviews.problem(question, options, wait_minutes)
        if problem:
            message = f"{where}: {problem}"
            raise StepError(message)
        asked: dict[str, Any] = {"question": question}
        if options is not None:
            asked["options"] = list(options)
        text = bytes(self._json(asked, "review"))
        self._require_async("review")
        return self._review(text, wait_minutes, key)

    async def _review(self, question: bytes, minutes: float | msgspec.UnsetType | None, key: str | None) -> Any:
        with self._waiting("review", key) as chosen:
            return codec.decode(await self._attempt.review(chosen, question, minutes))

    def execute(
        self, spec: WorkflowSpec, *, inputs: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Coroutine[Any, Any, FlowReport]:
        """See Context."""
        self._require_async("execute")
        return self._execute(spec, inputs or {}, key)

    async def _execute(self, spec: object, inputs: Mapping[str, Any], key: str | None) -> FlowReport:
        with self._waiting("child", key) as chosen:
            return await self._attempt.execute(chosen, spec, inputs)

    def request(
        self, channel: str, payload: object, timeout: float | None = 60, *, key: str | None = None
    ) -> Coroutine[Any, Any, Any]:
        """See Context."""
        self.require_open()
        self._require_async(REQUEST)
        is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if not (timeout is None or (is_number and 0 < timeout <= LONGEST_SLEEP_SECONDS)):
            message = f"{named(self.node)}: request: timeout is a number of seconds above 0, not {timeout!r}"
            raise StepError(message)
        return self._request(channel, payload_text(self.node, channel, payload), timeout, key)

    async def _request(self, channel: str, text: bytes, seconds: float | None, key: str | None) -> Any:
        with self._waiting(REQUEST, key) as chosen:
            return codec.decode(await self._attempt.request(chosen, channel, text, seconds))

    async def reserve_tokens(self, count: int) -> None:
        """See Context."""
        self.require_open()
        self.require_tokens(count)
        await self._attempt.reserve(count)

    def _require_async(self, call: str) -> None:
        if not self._is_async:  # told at once: such code cannot await what it is given
            why = "is for async functions: what runs in a thread or process can only use memo"
            raise StepError(f"{named(self.node)}: {call} {why}")

    def memo(self, key: str, function: Callable[..., Any], *args: Any) -> Any:
        """See Context."""
        return self._memo(key, function, args) if self._is_async else self._memo_in_thread(key, function, args)

    async def _memo(self, key: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self._waiting("memo", key):
            known = await self._attempt.recall(key)
            if known is None:
                result = function(*args)
                known = bytes(self._json(await result if inspect.isawaitable(result) else result, f"memo {key!r}"))
                await self._attempt.memorise(key, known)
        return codec.decode(known)

    def _memo_in_thread(self, key: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self._waiting("memo", key):
            ask = self._attempt.ask
            known = ask(self._attempt.recall(key))
            if known is None:
                known = bytes(self._json(function(*args), f"memo {key!r}"))
                ask(self._attempt.memorise(key, known))
        return codec.decode(known)

    @contextlib.contextmanager
    def _waiting(self, kind: str, key: str | None) -> Iterator[str]:
        """The key of a wait, while it is awaited. Raises StepError for a key that came before."""
        self.require_open()
        where = f"{named(self.node)}: {kind}"
        if key is None and kind != "memo":
            if kind in self._open_kinds:
                message = f"{where}: another {kind} of this step is open; where several are open each needs a key"
                raise StepError(message)
            self._unnamed[kind] = self._unnamed.get(kind, 0) + 1
        elif not codec.is_text(key) or not key:
            message = f"{where}: a key is a text that is not empty, not {key!r:.80}"
            raise StepError(message)
        elif key.startswith(iterate.LIMIT) or key == iterate.INSTRUCTION:
            message = f"{where}: the key {key!r} is one of the run's own: give the wait another one"
            raise StepError(message)
        chosen = key or f"{kind}:{self._unnamed[kind]}"
        if chosen in self._keys:
            message = f"{where}: the key {chosen!r} is used twice in one attempt: give each wait a key of its own"
            raise StepError(message)
        self._keys.add(chosen)
        if key is None:
            self._open_kinds.add(kind)
        try:
            yield chosen
        finally:
            if key is None:
                self._open_kinds.discard(kind)
