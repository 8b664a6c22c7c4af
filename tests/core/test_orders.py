"""dagger.core.orders: what anyone outside tells a run, as readable JSON."""

import msgspec
import pytest

from dagger.core.graph import Node
from dagger.core.orders import (
    AddNode,
    Answer,
    AnyOrder,
    Cancel,
    Instruct,
    Order,
    Pause,
    Publish,
    Redeliver,
    decode_order,
    encode_order,
)

EVERY_KIND = [
    (Pause(id="1", reason="wait"), b'{"type":"Pause","id":"1","reason":"wait"}'),
    (Cancel(id="2"), b'{"type":"Cancel","id":"2"}'),
    (AddNode(id="3", node=Node(id="n", action="a")), b'{"type":"AddNode","id":"3","node":{"id":"n","action":"a"}}'),
    (
        Answer(id="4", step="s", key="review:1", value=msgspec.Raw(b'"yes"'), who="me"),
        b'{"type":"Answer","id":"4","step":"s","key":"review:1","value":"yes","who":"me"}',
    ),
    (Instruct(id="5", value=msgspec.Raw(b"{}")), b'{"type":"Instruct","id":"5","value":{}}'),
    (
        Publish(id="6", channel="tasks", payloads=(msgspec.Raw(b"1"), msgspec.Raw(b"[2]"))),
        b'{"type":"Publish","id":"6","channel":"tasks","payloads":[1,[2]]}',
    ),
    (
        Redeliver(id="7", message="12-1", agent="worker"),
        b'{"type":"Redeliver","id":"7","message":"12-1","agent":"worker"}',
    ),
]


@pytest.mark.parametrize(("order", "text"), EVERY_KIND, ids=lambda value: getattr(value, "id", ""))
def test_an_order_is_readable_and_comes_back_as_it_was(order, text):
    """Its type stands first."""
    assert encode_order(order) == text
    assert decode_order(text) == decode_order(text.decode()) == order


def test_every_kind_of_order_is_known_to_the_decoder():
    """AnyOrder lists all subclasses of Order."""
    assert {type(order) for order, _ in EVERY_KIND} == set(AnyOrder.__args__) == set(Order.__subclasses__())


def test_an_order_of_the_future_is_refused():
    """No version guesses what another one means."""
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'Rewind'"):
        decode_order('{"type":"Rewind","id":"1"}')


def test_an_order_needs_an_id():
    """An event names its order by it: an empty one could never be taken out of the inbox."""
    with pytest.raises(ValueError, match="an order needs an id"):
        Pause(id="")
    with pytest.raises(msgspec.ValidationError, match="an order needs an id"):
        decode_order('{"type":"Pause","id":""}')
