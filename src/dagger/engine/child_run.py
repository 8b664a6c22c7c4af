"""An attempt and its run as code in a process sees them: what did not come along is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Coroutine, Iterator, Mapping
from typing import Any, cast

import msgspec

from dagger.core import cache, codec, events
from dagger.core.errors import GraphError, NodeAlreadyExists, StepError
from dagger.core.graph import Node, id_problem
from dagger.core.messages import Message, Published
from dagger.core.state import State
from dagger.engine import frames
from dagger.engine.collecting import Answer
from dagger.engine.parent import Parent
from dagger.spec.action import Action
from dagger.spec.context import FlowReport

_MAYBE: Any = frames.Found | None


class Tried:
    """The attempt as its context sees it: see engine/context."""

    def __init__(self, given: frames.AttemptInput, parent: Parent) -> None:
        self.step = given.step
        self.node = given.node
        self.number = given.number
        self._deadline_ms = given.deadline_ms
        self._now_ms = given.now_ms
        self._parent = parent

    def began(self) -> None:
        """Tell that the code was loaded only now: the time for that is none of the attempt's."""
        self._deadline_ms = self._parent.ask(frames.Began(), int)

    def deadline_ms(self) -> int:
        """When the attempt times out, in milliseconds since 1970."""
        return self._deadline_ms

    def now_ms(self) -> int:
        """The parent's clock when the attempt began; of what is told, the parent says when it hears of it."""
        return self._now_ms

    def spend(self, count: int) -> None:
        """Count tokens, at once."""
        self._parent.tell(frames.Spend(count))

    def tell(self, event: events.Event) -> None:
        """Show listeners something that is not journalled."""
        assert isinstance(event, (events.Progressed, events.Emitted))
        self._parent.tell(frames.Tell(event))

    async def wait(self, kind: str, key: str, seconds: float) -> None:
        """Nobody could hold a process's place while it waits."""
        raise StepError(self._only_memo(kind))

    async def review(self, key: str, question: bytes, minutes: object) -> bytes:
        """As `wait`."""
        raise StepError(self._only_memo("review"))

    async def execute(self, key: str, spec: object, inputs: object) -> FlowReport:
        """As `wait`."""
        raise StepError(self._only_memo("execute"))

    async def request(self, key: str, channel: str, text: bytes, seconds: float | None) -> bytes:
        """As `wait`."""
        raise StepError(self._only_memo("request"))

    async def reserve(self, count: int) -> None:
        """As `wait`."""
        raise StepError(self._only_memo("reserve_tokens"))

    def _only_memo(self, call: str) -> str:
        return f"node {self.node.id!r}: {call}: what runs in a process can only use memo"

    async def recall(self, key: str) -> bytes | None:
        """The result that the journal has of a memo. Raises WaitMismatch."""
        known = self._parent.ask(frames.Recall(key), _MAYBE)
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
        )
        self.sections = cast("cache.Sections", _Sections(parent))
        """They are none of the state's: inputs have their values with them, and nobody need ask for those."""

    @property
    def known_actions(self) -> Mapping[str, Action]:
        """They are the parent's to know."""
        message = "what runs in a process does not know the application's actions"
        raise StepError(message)

    def action(self, node: Node) -> Action:
        """What an action takes of a map's items is among the inputs."""
        raise KeyError(node.action)

    def items(self, scope: str) -> list[msgspec.Raw]:
        """Of a map's items the attempt has its own, as an input."""
        raise KeyError(scope)

    agents_as_of = 0
    """They are the parent's to know."""

    def payload(self, message: Message) -> bytes:
        """No agent's code runs in a process."""
        raise KeyError(message.id)

    def message(self, node: Node | None, channel: str, text: bytes, blobs: list[codec.Blob]) -> Published:
        """Who reads the channel is the parent's to know: it checks when the attempt has succeeded."""
        return Published(channel, codec.sealed(text, blobs))

    def require_node(self, step: str, node: Node, added: Container[str]) -> None:
        """What can be told here; the rest is checked when the attempt has succeeded."""
        if problem := id_problem(node.id):
            raise GraphError(problem)
        if node.id in added:
            message = f"node {node.id!r} was added already; give it another id"
            raise NodeAlreadyExists(message)


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
        return sum(1 for _ in self)


class _Section(Mapping[str, cache.Stored]):
    def __init__(self, sections: _Sections, name: str) -> None:
        self._sections = sections
        self._name = name

    def __getitem__(self, key: str) -> cache.Stored:
        found = self._sections.parent.ask(frames.Read(self._name, key), _MAYBE)
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
        return sum(1 for _ in self)
