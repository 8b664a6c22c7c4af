"""Mail: the payloads of messages that wait in the journal only, read when they are about to be handled."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from dagger.core import events
from dagger.core.errors import StoreCorrupt
from dagger.core.journal import Store
from dagger.core.messages import Message, Published
from dagger.core.state import Scope, State
from dagger.engine.collecting import Answer

AHEAD = 50
"""Events that are read at once: messages are handled in the order in which they stand in the journal."""
KEPT = 8 * 1024 * 1024
"""About so many bytes are kept until they are needed, besides the large events that are at work."""
AT_ONCE = KEPT // 8
"""About so many are read at once. An event that takes more is large: whoever reads it for one message decodes all of
them, so it is kept while a delivery is of it; when none is, it is forgotten as soon as others are asked for."""
_NOTE = 200
"""What a message takes besides its payload."""


class Addressee(Protocol):
    """What is asked here of a run: see Tenure."""

    state: State

    @property
    def kernel(self) -> Library: ...


class Library(Protocol):
    """What is asked here of the kernel."""

    @property
    def store(self) -> Store: ...
    def here(self, call: Callable[[], Answer]) -> Answer: ...


class Mail:
    """What one run reads again of its own journal."""

    def __init__(self, run: Addressee) -> None:
        self._run = run
        self._thread = threading.get_ident()
        self._read: OrderedDict[int, tuple[Published, ...]] = OrderedDict()
        """By seq, those that were asked for longest ago at the front."""
        self._kept = 0
        self._large: dict[int, tuple[Published, ...]] = {}
        """By seq, too."""
        self._patience = 0
        """So many others are asked for before it is looked again whether a delivery is of them."""

    def payload(self, message: Message) -> bytes:
        """The JSON text of a message's payload, or a reference to its blob; on any thread. Raises StoreCorrupt."""
        found = None
        if self._large:
            found = self._large.get(message.seq)
            if found is None:
                self._patience -= 1
                if self._patience < 0 and threading.get_ident() == self._thread:
                    self._tidy()
        if message.payload:
            return message.payload
        if found is None:
            if threading.get_ident() != self._thread:
                return self._run.kernel.here(lambda: self.payload(message))
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
        is_kept = message.seq in self._read or message.seq in self._large
        return is_kept or message.seq <= self._run.kernel.store.last_seq(self._run.state.run_id)

    def _look_up(self, seq: int) -> tuple[Published, ...]:
        wanted: tuple[Published, ...] = ()
        before = self._kept
        for recorded in self._run.kernel.store.read(self._run.state.run_id, seq - 1, AHEAD):
            messages = messages_of(recorded.event)
            weight = _weight(messages)
            if recorded.seq == seq:
                wanted = messages
            if weight > AT_ONCE:
                if recorded.seq == seq:
                    self._tidy()
                    self._large[seq] = messages
                break  # else it is kept when it is asked for
            if messages and recorded.seq not in self._read:
                self._read[recorded.seq] = messages
                self._kept += weight
            if self._kept - before > AT_ONCE:
                break  # they will do for a while
        while self._kept > KEPT:
            self._kept -= _weight(self._read.popitem(last=False)[1])
        return wanted

    def _tidy(self) -> None:
        """Forget the large events that no delivery is of any more: none of their messages is let in.

        The next look is as far off as this one was long, so that looking costs the same for each message.
        """
        state = self._run.state
        flows: list[State | Scope] = [state, *state.scopes.values()]
        inboxes = [inbox for flow in flows for inbox in list(flow.inboxes.values())]
        # a thread may ask for its message, while the event loop goes on
        let_in = [state.pending.get(step) for inbox in inboxes for step in list(inbox.steps)]
        at_work = {each.message.seq for each in let_in if each is not None and each.message is not None}
        self._large = {seq: kept for seq, kept in self._large.items() if seq in at_work}
        self._patience = len(flows) + len(inboxes) + len(let_in)


def _weight(messages: Iterable[Published]) -> int:
    return sum(len(each.payload) + _NOTE for each in messages)


def messages_of(event: object) -> tuple[Published, ...]:
    """What an event of the journal published."""
    return event.messages if isinstance(event, events.PUBLISHING) else ()
