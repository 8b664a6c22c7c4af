"""What user code may see, and what it does that takes effect with its attempt's success: that is collected."""

from __future__ import annotations

import datetime
import functools
import hashlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar, Unpack

import msgspec

from dagger.core import codec, events, iterate
from dagger.core.errors import AttemptOver, OutputInvalid, StepError
from dagger.core.events import scope_of, step_name
from dagger.core.graph import Node, made_id
from dagger.core.messages import Published, named
from dagger.core.steps import HANDLER, flow_of
from dagger.engine.binding import Source, input_values
from dagger.engine.overlay import AttemptCache, AttemptLog
from dagger.engine.publishing import payload_text
from dagger.spec.context import Context, FlowReport, Outcome
from dagger.spec.fields import After, Called, NodeFields
from dagger.spec.message import Message
from dagger.spec.nodes import action_name, new_node

LOGGER = logging.getLogger("dagger")
Answer = TypeVar("Answer")


class Tried(Protocol):
    """What a context needs of its attempt."""

    @property
    def step(self) -> str:
        """The step's name."""

    @property
    def node(self) -> Node:
        """The step's node."""

    @property
    def number(self) -> int:
        """Starts at 1."""

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970."""

    def spend(self, count: int) -> None:
        """Count tokens, at once."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled."""

    async def wait(self, kind: str, key: str, seconds: float) -> None:
        """Wait until that many seconds have passed since the step first came to this wait."""

    async def review(self, key: str, question: bytes, minutes: float | msgspec.UnsetType | None) -> bytes:
        """The answer to a question, as JSON text; `minutes` unset: as the config says."""

    async def execute(self, key: str, spec: object, inputs: Mapping[str, Any]) -> FlowReport:
        """What becomes of a child flow."""

    async def request(self, key: str, channel: str, text: bytes, seconds: float | None) -> bytes:
        """The reply to a message, as JSON text."""

    async def reserve(self, count: int) -> None:
        """Hold tokens until they are spent, or the attempt is over."""

    async def recall(self, key: str) -> bytes | None:
        """The result that the journal has of a memo."""

    async def memorise(self, key: str, text: bytes) -> None:
        """Journal the result of a memo."""

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """What the question comes to on the event loop; for other threads."""


class Collecting(Context):
    """One attempt's context. It is closed when the attempt is over: what came later would be lost."""

    def __init__(self, attempt: Tried, run: Source, *, is_async: bool) -> None:
        """`is_async`: whether the code that receives it can await."""
        self._attempt = attempt
        self._run = run
        self._is_async = is_async
        self._keys: set[str] = set()
        """Of the waits that this attempt has come to."""
        self._unnamed: dict[str, int] = {}
        """How many waits of each kind had no key of their own."""
        self._open_kinds: set[str] = set()
        """Of the waits without a key of their own that are open."""
        state = run.state
        self.run_id = state.run_id
        self.graph = state.spec.name
        self.node = attempt.node
        self.attempt = attempt.number
        self.idempotency_key = f"{state.run_id}/{attempt.step}"
        self.result: bytes | None = None
        self.recovered: dict[str, msgspec.Raw] | None = None
        self.nodes: dict[str, Node] = {}
        """Those that it adds, by id."""
        self.checked_at = -1
        """As of which event the first of them was checked."""
        self.published: list[tuple[str, bytes]] = []
        """Channels and payloads, as JSON texts."""
        self._messages: list[Published] = []
        """The same as they were checked when the run had these agents:"""
        self._agents_as_of = run.agents_as_of
        self.replied: bytes | None = None
        self._blobs: list[codec.Blob] = []
        """What was published refers to them."""
        self._is_over = False
        self.keep_iteration()

    def keep_iteration(self) -> None:
        """Write what is kept of each iteration: it sees this itself, and it takes effect with its success."""
        if (iteration := self.node.iteration) is None:
            return
        self.cache.set("global", "iteration", iteration.number)
        now = datetime.datetime.fromtimestamp(self._attempt.now_ms() / 1000, datetime.UTC)
        self.cache.set("global", "timestamp", now.isoformat())

    @functools.cached_property
    def cache(self) -> AttemptCache:  # type: ignore[override]  # made when asked for: much code never asks
        """See Context."""
        state = self._run.state
        return AttemptCache(state.sections, self._run.load, self, flow_of(state, self._attempt.step))

    @functools.cached_property
    def message(self) -> Message | None:  # type: ignore[override]  # likewise
        """See Context."""
        pending = self._run.state.pending.get(self._attempt.step)
        known = pending.message if pending is not None else None
        if known is None:
            return None
        payload = codec.decode(codec.resolve(self._run.payload(known), self._run.load))
        return Message.of(known, payload, self.run_id)

    @property
    def inputs(self) -> dict[str, Any]:  # type: ignore[override]  # likewise
        """See Context. Decoded anew at each call."""
        return input_values(self._run, self._attempt.step, self.node)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:  # type: ignore[override]  # likewise
        """See Context."""
        return AttemptLog(LOGGER, {"run": self.run_id, "node": self._attempt.step, "attempt": self.attempt})

    @property
    def deadline(self) -> datetime.datetime:
        """See Context."""
        return datetime.datetime.fromtimestamp(self._attempt.deadline_ms() / 1000, datetime.UTC)

    @property
    def action_schemas(self) -> dict[str, dict[str, Any]]:
        """See Context. Made anew at each call."""
        return {name: each.schema() for name, each in self._run.known_actions.items() if not each.publishes}

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """See Context."""
        step, node = self._attempt.step, self.node
        if node.handles:
            return {node.handles: self._outcome(node.handles, step.removesuffix(HANDLER))}
        asked = iterate.asked_before(node)
        return {
            awaited: self._outcome(awaited, step_name(scope_of(step), awaited))
            for awaited in node.dependencies
            if awaited != asked
        }

    def _outcome(self, node_id: str, step: str) -> Outcome:
        state = self._run.state
        handled = state.pending.get(step)
        if handled is not None and handled.error is not None:  # this is its failure action
            return Outcome(node_id, "failed", str(handled.error))
        ended = state.unsuccessful.get(step)
        if ended is None:
            return Outcome(node_id, "succeeded")
        failed = ended.status == "failed"
        return Outcome(node_id, ended.status, ended.reason if failed else None, None if failed else ended.reason)

    def publish(self, channel: str, payload: object) -> None:
        """See Context."""
        self.require_open()
        text = payload_text(self.node, channel, payload)
        self._messages.append(self._run.message(self.node, channel, text, self._blobs))
        self.published.append((channel, text))

    def reply(self, payload: object) -> None:
        """See Context."""
        self.require_open()
        if self.message is None:
            message = f"{named(self.node)}: reply is for agents: it handles no message that somebody sent"
            raise StepError(message)
        text = bytes(self._json(payload, "reply"))
        self.replied = text if self.replied is None else self.replied

    def finish(self, result: object) -> None:
        """See Context."""
        self.require_open()
        text = bytes(self._json(result, "result"))
        self.result = text if self.result is None else self.result

    def spend_tokens(self, count: int) -> None:
        """See Context."""
        self.require_open()
        self.require_tokens(count)
        if count:
            self._attempt.spend(count)

    def require_tokens(self, count: int) -> None:
        """Raise StepError for what is no number of tokens."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            message = f"{named(self.node)}: tokens are a whole number of at least 0, not {count!r}"
            raise StepError(message)

    def add_node(
        self,
        action: Called,
        *,
        id: str | None = None,
        dependencies: After = (),
        inputs: Mapping[str, Any] | None = None,
        **fields: Unpack[NodeFields],
    ) -> str:
        """See Context."""
        self.require_open()
        name = action_name(action)
        node_id = self._made_id(name) if id is None else id
        node = new_node(node_id, {"action": name}, dependencies, inputs or {}, **fields)
        if self.node.iteration is not None and not node.on_failure:
            node = msgspec.structs.replace(node, on_failure="continue")  # the next iteration sees what became of it
        if not self.nodes:
            self.checked_at = self._run.state.seq
        self._run.require_node(self._attempt.step, node, self.nodes)
        self.nodes[node_id] = node
        return node_id

    def _made_id(self, action: str) -> str:
        """An id for a node: the same in every attempt of this step, and of bounded length at any depth."""
        ordinal = len(self.nodes) + 1
        if self.node.iteration is not None:
            return made_id(action, f"{self.node.iteration.number}_{ordinal}")
        return made_id(action, hashlib.blake2b(f"{self._attempt.step}/{ordinal}".encode(), digest_size=6).hexdigest())

    def recover(self, outputs: Mapping[str, object]) -> None:
        """See Context."""
        self.require_open()
        if not self.node.handles:
            message = f"{named(self.node)}: recover is for failure actions: it names no step whose failure it handles"
            raise StepError(message)
        if not isinstance(outputs, Mapping) or not all(codec.is_text(name) for name in outputs):
            message = f"{named(self.node)}: recover takes a dict of outputs by name, not {outputs!r:.80}"
            raise OutputInvalid(message)
        handled = self._run.state.pending.get(self._attempt.step.removesuffix(HANDLER))
        missing = [output.name for output in handled.node.outputs if output.name not in outputs] if handled else []
        if missing:
            has = ", ".join(outputs) or "nothing"
            where = f"{named(self.node)}: recover"
            message = f"{where}: node {self.node.handles!r} declares the output {missing[0]!r}; given: {has}"
            raise OutputInvalid(message)
        self.recovered = {name: self._json(value, f"recover: output {name!r}") for name, value in outputs.items()}

    def progress(self, fraction: float, note: str = "") -> None:
        """See Context."""
        self.require_open()
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            message = f"{named(self.node)}: progress is a fraction from 0 to 1, not {fraction!r}"
            raise StepError(message)
        at = self._attempt.now_ms()
        self._attempt.tell(events.Progressed(at=at, step=self._attempt.step, fraction=fraction, note=str(note)))

    def emit(self, value: object) -> None:
        """See Context."""
        self.require_open()
        text = self._json(value, "emit")
        self._attempt.tell(events.Emitted(at=self._attempt.now_ms(), step=self._attempt.step, value=text))

    def _json(self, value: object, what: str) -> msgspec.Raw:
        try:
            return msgspec.Raw(codec.encode(value))
        except codec.NotJson as error:
            message = f"{named(self.node)}: {what}: {error}"
            raise OutputInvalid(message) from None

    def with_effects(self, event: events.StepSucceeded, blobs: list[codec.Blob]) -> events.StepSucceeded:
        """The attempt's success with all that it collected; large values go to `blobs`."""
        writes = self.cache.collected if "cache" in self.__dict__ else ()
        blobs += self._blobs
        if not (
            writes
            or self.nodes
            or self.published
            or self.replied is not None
            or self.result is not None
            or self.recovered is not None
        ):
            return event
        return msgspec.structs.replace(
            event,
            cache=tuple(
                msgspec.structs.replace(write, value=codec.sealed(bytes(write.value), blobs)) for write in writes
            ),
            result=msgspec.UNSET if self.result is None else codec.sealed(self.result, blobs),
            nodes=tuple(self.nodes.values()),
            messages=(*self._checked(blobs), *event.messages),
            reply=msgspec.UNSET if self.replied is None else codec.sealed(self.replied, blobs),
            recovers=msgspec.UNSET
            if self.recovered is None
            else {name: codec.sealed(bytes(text), blobs) for name, text in self.recovered.items()},
        )

    def _checked(self, blobs: list[codec.Blob]) -> list[Published]:
        """What was published, checked anew where agents were bound or removed since. Raises MessageInvalid."""
        if self._agents_as_of == self._run.agents_as_of:
            return self._messages
        return [self._run.message(self.node, channel, text, blobs) for channel, text in self.published]

    def close(self) -> None:
        """Refuse all further calls."""
        self._is_over = True

    def require_open(self) -> None:
        """Raise AttemptOver once the attempt has ended."""
        if self._is_over:
            message = (
                f"{named(self.node)}, attempt {self.attempt}: the attempt is over (it timed out, was cancelled "
                f"or has returned), so this call would have no effect"
            )
            raise AttemptOver(message)
