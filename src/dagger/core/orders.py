"""Orders: what anyone outside tells a run; each becomes one event, once."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from dagger.core.graph import Node


class Order(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type", tag=True):
    """One order. In the inbox it is a JSON object whose `type` is the class's name."""

    id: str
    """Given by the sender, and not empty: the event that follows names it, and sending it again adds nothing."""

    def __post_init__(self) -> None:
        if not self.id:
            message = "an order needs an id: without it, no event could take it out of the inbox"
            raise ValueError(message)


class Pause(Order, frozen=True, kw_only=True, tag=True):
    """Start nothing new, cut off what runs, and wait to be resumed."""

    reason: str = ""


class Cancel(Order, frozen=True, kw_only=True, tag=True):
    """Start nothing new, cut off what runs, and end."""

    reason: str = ""


class AddNode(Order, frozen=True, kw_only=True, tag=True):
    """Take in one more node."""

    node: Node


class Answer(Order, frozen=True, kw_only=True, tag=True):
    """Answer an open review."""

    step: str
    key: str
    """Of the step's wait."""
    value: msgspec.Raw
    who: str = ""


class Instruct(Order, frozen=True, kw_only=True, tag=True):
    """Give the run's supervisor one more instruction."""

    value: msgspec.Raw
    """`{action, params, priority}` as JSON text."""


class Publish(Order, frozen=True, kw_only=True, tag=True):
    """Publish messages."""

    channel: str
    payloads: tuple[msgspec.Raw, ...]


class Redeliver(Order, frozen=True, kw_only=True, tag=True):
    """Have a message's dead letters delivered anew."""

    message: str
    """Its id."""
    agent: str = ""
    """Only at this one; empty: wherever it failed."""


AnyOrder: TypeAlias = Pause | Cancel | AddNode | Answer | Instruct | Publish | Redeliver
"""Every order there is."""

_decoder: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)


def encode_order(order: Order) -> bytes:
    """The order as JSON text."""
    return msgspec.json.encode(order)


def decode_order(text: bytes | str) -> AnyOrder:
    """The order that `text` writes. Raises msgspec.ValidationError for what no version here knows."""
    return _decoder.decode(text)
