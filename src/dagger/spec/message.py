"""Message: what an agent handles, as it sees it."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from dagger.core import messages


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable payload that somebody published to a channel."""

    id: str
    """`12-1`: the first message of the run's event 12."""
    channel: str
    payload: Any
    """A JSON value."""
    source: str | None = None
    """The agent, or the node, that published it; None: somebody outside."""
    parent: str | None = None
    """The id of the message whose handling led to this one; None: none did."""
    timestamp: datetime.datetime
    """When it was published, in UTC."""
    run_id: str

    @classmethod
    def of(cls, known: messages.Message, payload: Any, run_id: str) -> Message:
        """A message as the run knows it, with its payload as a value."""
        return cls(
            id=known.id,
            channel=known.channel,
            payload=payload,
            source=messages.name_of(known.source) or None,
            parent=known.parent or None,
            timestamp=datetime.datetime.fromtimestamp(known.at / 1000, datetime.UTC),
            run_id=run_id,
        )
