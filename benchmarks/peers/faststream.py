"""The test broker of NATS: everything in memory, each message handled in place. No log; payloads are pydantic models.

They are encoded as JSON and validated where they arrive: its default.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream.nats import NatsBroker, TestNatsBroker
from peer import Asked, Execute
from pydantic import BaseModel
from queues import SUBSCRIBERS, TEXT

NAME, PACKAGE = "FastStream", "faststream"


class Item(BaseModel):
    n: int
    name: str


class Sum:
    """Adds up."""

    total = 0

    async def add(self, item: Item) -> None:
        self.total += item.n


@asynccontextmanager
async def execution(broker: NatsBroker, added: Sum, messages: int) -> AsyncIterator[Execute]:
    async with TestNatsBroker(broker):

        async def execute() -> int:
            for n in range(messages):
                await broker.publish(Item(n=n, name=TEXT), "first")
            return added.total

        yield execute


@asynccontextmanager
async def pipeline(asked: Asked) -> AsyncIterator[Execute]:
    broker, added = NatsBroker(logger=None), Sum()

    @broker.subscriber("first")
    @broker.publisher("second")
    async def stage(item: Item) -> Item:
        return Item(n=item.n + 1, name=item.name)

    broker.subscriber("second")(added.add)
    async with execution(broker, added, asked.count) as execute:
        yield execute


@asynccontextmanager
async def fan_out(asked: Asked) -> AsyncIterator[Execute]:
    broker, added = NatsBroker(logger=None), Sum()
    for _ in range(SUBSCRIBERS):
        broker.subscriber("first")(added.add)
    async with execution(broker, added, asked.count // SUBSCRIBERS) as execute:
        yield execute


CASES = {"pipeline": pipeline, "fan-out": fan_out}
