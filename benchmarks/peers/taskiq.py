"""InMemoryBroker that awaits in place, without casting parameters: its fastest. It has no graphs: code awaits results.

All nodes of a fan or of a layer are sent, then all their results are awaited: a layer waits for the whole one before.
Messages are tasks whose parameter is a pydantic model, cast, which is its default. It has no subscribers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import peer
from peer import LAYERS, Asked, Execute
from pydantic import BaseModel
from queues import TEXT
from taskiq import InMemoryBroker

NAME, PACKAGE = "taskiq", "taskiq"
broker = InMemoryBroker(await_inplace=True, cast_types=False, max_stored_results=-1)


class Item(BaseModel):
    n: int
    name: str


@broker.task(task_name="increment")
async def increment(value: int) -> int:
    return await peer.increment(value)


async def every(values: list[int]) -> list[int]:
    """What each of these tasks gives."""
    sent = [await increment.kiq(value) for value in values]
    return [(await task.wait_result()).return_value for task in sent]


@asynccontextmanager
async def chain(asked: Asked) -> AsyncIterator[Execute]:
    async def execute() -> int:
        value = 0
        for _ in range(asked.count):
            value = (await (await increment.kiq(value)).wait_result()).return_value
        return value

    yield execute


@asynccontextmanager
async def fan(asked: Asked) -> AsyncIterator[Execute]:
    async def execute() -> int:
        (value,) = await every([0])
        gathered = await every([value] * (asked.count - 2))
        (value,) = await every(gathered[:1])
        return value

    yield execute


@asynccontextmanager
async def layers(asked: Asked) -> AsyncIterator[Execute]:
    async def execute() -> int:
        values = [0] * (asked.count // LAYERS)
        for _ in range(LAYERS):
            values = await every(values)
        return values[-1]

    yield execute


@asynccontextmanager
async def pipeline(asked: Asked) -> AsyncIterator[Execute]:
    casting, total = InMemoryBroker(await_inplace=True), 0

    @casting.task(task_name="first")
    async def first(item: Item) -> None:
        await second.kiq(Item(n=item.n + 1, name=item.name))

    @casting.task(task_name="second")
    async def second(item: Item) -> None:
        nonlocal total
        total += item.n

    async def execute() -> int:
        for n in range(asked.count):
            await first.kiq(Item(n=n, name=TEXT))
        return total

    yield execute


CASES = {"chain": chain, "fan": fan, "layers": layers, "pipeline": pipeline}
