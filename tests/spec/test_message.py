"""Message: what an agent handles, as it sees it."""

import datetime

import msgspec
import pytest

from dagger import Context, Dagger, EventDriven, Message
from dagger.testing import VirtualClock

AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_a_message_tells_all_that_is_known_of_it():
    """Where it came from, what led to it, when: for an agent's code, in UTC."""
    clock, seen = VirtualClock(AT), []
    app = Dagger("memory:", clock=clock)

    @app.agent("tasks", publish="results")
    async def worker(message: Message):
        seen.append(message)
        return message.payload["n"] + 1

    @app.agent("results")
    async def sink(message: Message, payload: int, ctx: Context):
        seen.append(message)
        assert payload == message.payload

    async def main():
        async with app:
            return await app.execute(EventDriven("tasks", {"n": 1}), run_id="r")

    assert clock.run(main()).status == "succeeded"
    assert seen == [
        Message(id="1-1", channel="tasks", payload={"n": 1}, timestamp=AT, run_id="r"),
        Message(id="2-1", channel="results", payload=2, source="worker", parent="1-1", timestamp=AT, run_id="r"),
    ]


def test_a_message_never_changes():
    """Each agent has a payload of its own; the rest nobody can set."""
    message = Message(id="1-1", channel="tasks", payload=1, timestamp=AT, run_id="r")
    with pytest.raises(AttributeError):
        message.payload = 2
    assert (message.source, message.parent) == (None, None)
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


def test_what_an_agent_does_to_a_payload_no_other_sees():
    """Each reader has it decoded anew."""
    clock, seen = VirtualClock(), []
    app = Dagger("memory:", clock=clock)
    for name in ("one", "two"):

        @app.agent("tasks", name=name)
        async def spoil(message: Message):
            message.payload.append(1)
            seen.append(message.payload)

    async def main():
        async with app:
            await app.execute(EventDriven("tasks", []))

    clock.run(main())
    assert seen == [[1], [1]]
