"""Mail: the payloads of messages that wait in the journal only, read when they are about to be handled."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from dagger.core import events
from dagger.core.errors import StoreCorrupt
from dagger.core.journal import Store
from dagger.core.messages import Message, Published
from dagger.core.state import State

AHEAD = 50
"""Events that are read at once: messages are handled in the order in which they stand in the journal."""
KEPT = 8 * 1024 * 1024
"""About so many bytes are kept until they are needed, besides those of the event that was asked for."""
AT_ONCE = KEPT // 8
"""About so many are read at once: fewer events than `AHEAD`, where they are large."""
_NOTE = 200
"""What a message takes besides its payload."""


class Addressee(Protocol):
    """What is asked here of a run: see Tenure."""

    state: State

    @property
    def store(self) -> Store: ...


class Mail:
    """What one run reads again of its own journal."""

    def __init__(self, run: Addressee) -> None:
        self._run = run
        self._read: OrderedDict[int, tuple[Published, ...]] = OrderedDict()
        """By seq, those that were asked for longest ago at the front."""
        self._kept = 0

    def payload(self, message: Message) -> bytes:
        """The JSON text of a message's payload, or a reference to its blob. Raises StoreCorrupt."""
        if message.payload:
            return message.payload
        found = self._read.get(message.seq)
        if found is None:
            found = self._look_up(message.seq)
        else:
            self._read.move_to_end(message.seq)
        if len(found) < message.index:
            run_id = self._run.state.run_id
            text = f"run {run_id!r}: event {message.seq} has no message {message.index}"
            raise StoreCorrupt(text)
        return bytes(found[message.index - 1].payload)

    def is_here(self, message: Message) -> bool:
        """Whether the payload can be read now: what is not durable yet cannot."""
        return message.seq in self._read or message.seq <= self._run.store.last_seq(self._run.state.run_id)

    def _look_up(self, seq: int) -> tuple[Published, ...]:
        wanted: tuple[Published, ...] = ()
        before = self._kept
        for recorded in self._run.store.read(self._run.state.run_id, seq - 1, AHEAD):
            messages = messages_of(recorded.event)
            if recorded.seq == seq:
                wanted = messages
            if messages and recorded.seq not in self._read:
                self._read[recorded.seq] = messages
                self._kept += _weight(messages)
            if self._kept - before > AT_ONCE:
                break  # they will do for a while
        room = KEPT + _weight(wanted)
        while self._kept > room:
            self._kept -= _weight(self._read.popitem(last=False)[1])
        return wanted


def _weight(messages: Iterable[Published]) -> int:
    return sum(len(each.payload) + _NOTE for each in messages)


def messages_of(event: object) -> tuple[Published, ...]:
    """What an event of the journal published."""
    return event.messages if isinstance(event, events.PUBLISHING) else ()
