"""A workflow of steps. The chain of plain functions, which is the faster way; fan and layers gather async steps.

A layer waits for the whole one before. It always keeps a journal: for what runs in memory here, on a disk in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import peer
from dbos import DBOS
from peer import LAYERS, Asked, Execute

NAME, PACKAGE = "DBOS", "dbos"


@DBOS.step()
def plain(value: int) -> int:
    return value + 1


@DBOS.step()
async def increment(value: int) -> int:
    return await peer.increment(value)


@DBOS.workflow()
def chain(count: int) -> int:
    value = 0
    for _ in range(count):
        value = plain(value)
    return value


@DBOS.workflow()
async def fan(count: int) -> int:
    value = await increment(0)
    gathered = await asyncio.gather(*[increment(value) for _ in range(count - 2)])
    return await increment(gathered[0])


@DBOS.workflow()
async def layers(count: int) -> int:
    values = [0] * (count // LAYERS)
    for _ in range(LAYERS):
        values = await asyncio.gather(*map(increment, values))
    return values[-1]


@asynccontextmanager
async def launched(asked: Asked, workflow: Callable[[int], Any]) -> AsyncIterator[Execute]:
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{asked.path}", "log_level": "ERROR"})
    DBOS.launch()

    async def execute() -> int:
        value = workflow(asked.count)
        return value if isinstance(value, int) else await value

    yield execute
    DBOS.destroy()


CASES = {
    "chain": partial(launched, workflow=chain),
    "fan": partial(launched, workflow=fan),
    "layers": partial(launched, workflow=layers),
    "durable chain, sync": partial(launched, workflow=chain),
}
