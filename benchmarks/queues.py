"""Bare `asyncio.Queue`s, what messages stand beside: nothing is checked, copied, counted or kept.

Needs the standard library only: it runs in the environment of every peer.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

SUBSCRIBERS = 100
"""Of the channel that is fanned out."""
TEXT = "a message that is measured"
Queue = asyncio.Queue[dict[str, Any] | None]
"""Of payloads; None: there are no more."""


async def pipeline(count: int) -> float:
    """Seconds for so many messages through two stages: a queue and a task each."""
    first, second = Queue(), Queue()

    async def one() -> None:
        while (item := await first.get()) is not None:
            second.put_nowait({"n": item["n"] + 1, "name": item["name"]})
        second.put_nowait(None)

    gc.collect()
    began = time.perf_counter()
    stages = [asyncio.create_task(one()), asyncio.create_task(_add_up(second))]
    for n in range(count):
        first.put_nowait({"n": n, "name": TEXT})
    first.put_nowait(None)
    await asyncio.gather(*stages)
    return time.perf_counter() - began


async def fan_out(count: int) -> float:
    """Seconds for so many deliveries: each subscriber has a queue and a task, and gets every message."""
    queues = [Queue() for _ in range(SUBSCRIBERS)]
    gc.collect()
    began = time.perf_counter()
    subscribers = [asyncio.create_task(_add_up(queue)) for queue in queues]
    for n in range(count // SUBSCRIBERS):
        for queue in queues:
            queue.put_nowait({"n": n, "name": TEXT})
    for queue in queues:
        queue.put_nowait(None)
    await asyncio.gather(*subscribers)
    return time.perf_counter() - began


def piped(count: int) -> int:
    """What the second stage has added up when each of so many messages was handled once."""
    return count * (count + 1) // 2


def fanned_out(count: int) -> int:
    """What the subscribers have added up when each of so many deliveries took place once."""
    messages = count // SUBSCRIBERS
    return SUBSCRIBERS * messages * (messages - 1) // 2


async def _add_up(queue: Queue) -> int:
    total = 0
    while (item := await queue.get()) is not None:
        total += item["n"]
    return total
