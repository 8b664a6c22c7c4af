"""EventDriven: publish one message; the agents do the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.errors import GraphError
from dagger.core.events import Spec
from dagger.core.graph import Definition
from dagger.spec.workflow import Beginning, FindGraph


class EventDriven(msgspec.Struct, frozen=True):
    """Publish a message, and go on until all is quiet: nothing runs, and no message waits at an agent.

    `message`: the payload, a JSON value. With `keep_alive` the run goes on until it is stopped, or code calls
    `ctx.finish`: it waits for messages from outside, needs none to begin with, and has no limit of time or messages but
    one that is set.
    """

    channel: str
    message: Any = msgspec.UNSET
    keep_alive: bool = False

    def __post_init__(self) -> None:
        if not (codec.is_text(self.channel) and self.channel):
            message = f"EventDriven takes a channel's name, not {self.channel!r:.80}"
            raise GraphError(message)
        if self.message is msgspec.UNSET and not self.keep_alive:
            message = f"EventDriven({self.channel!r}) takes the message to begin with; only with keep_alive it can wait"
            raise GraphError(message)

    def opening(self, find: FindGraph, inputs: Mapping[str, Any]) -> Beginning:
        """See WorkflowSpec."""
        return Beginning(
            Spec("events", self.channel),
            Definition(name=self.channel),
            messages=() if self.message is msgspec.UNSET else ((self.channel, self.message),),
            config={"timeout_seconds": None, "max_messages": None} if self.keep_alive else {},
            reads=self.channel,
            keep_alive=self.keep_alive,
        )
