"""The agents that are measured: one that makes messages, some that handle them, and what those have added up."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from flows import Holder
from queues import SUBSCRIBERS, TEXT

from dagger import Context, Dagger, EventDriven


class Start(msgspec.Struct):
    """What the first agent is asked for."""

    count: int
    held: int = 0


class Item(msgspec.Struct):
    """The payload of what it publishes."""

    n: int
    name: str


class Sum:
    """What the last agents have added up, and how many messages that were."""

    def __init__(self) -> None:
        self.total = self.count = 0
        self.at: dict[int, Callable[[], None]] = {}
        """What is called when so many messages have been handled."""

    async def add(self, item: Item) -> None:
        self.total += item.n
        self.count += 1
        if self.count in self.at:
            self.at[self.count]()


Team = Callable[[Dagger], Sum]
"""Registers agents."""


def items(count: int) -> list[Item]:
    """So many payloads."""
    return [Item(n, TEXT) for n in range(count)]


def pipeline(app: Dagger) -> Sum:
    """One agent publishes each message anew, the next adds up."""
    added = _fed(app)

    @app.agent(subscribe="first", publish="second")
    async def stage(item: Item) -> Item:
        return Item(item.n + 1, item.name)

    @app.agent(subscribe="second")
    async def add(item: Item) -> None:
        await added.add(item)

    return added


def fan_out(app: Dagger) -> Sum:
    """Every subscriber gets every message."""
    added = _fed(app)
    for index in range(SUBSCRIBERS):

        @app.agent(name=f"subscriber{index}", subscribe="first")
        async def add(item: Item) -> None:
            await added.add(item)

    return added


def crowd(count: int, app: Dagger) -> Sum:
    """As many agents as messages: each has a channel of its own."""
    added, channels = Sum(), [f"channel{index}" for index in range(count)]

    @app.agent(subscribe="start", publish=channels)
    async def spread(start: Start, ctx: Context) -> None:
        for n, channel in enumerate(channels[: start.count]):
            ctx.publish(channel, Item(n, TEXT))

    for index, channel in enumerate(channels):

        @app.agent(name=f"agent{index}", subscribe=channel)
        async def add(item: Item) -> None:
            await added.add(item)

    return added


def held(holder: Holder, app: Dagger) -> Sum:
    """Messages that are handled, and others that wait behind one whose handling does not end."""
    added = _fed(app)

    @app.agent(subscribe="first")
    async def add(item: Item) -> None:
        await added.add(item)

    @app.agent(subscribe="start", publish="held")
    async def reserve(start: Start) -> AsyncIterator[Item]:
        for item in items(start.held):
            yield item

    @app.agent(subscribe="held")
    async def hold(item: Item) -> None:
        await holder.hold(item.n)

    return added


def application(store: str | Path, **config: Any) -> Dagger:
    """An application without limits."""
    return Dagger(store, config={"max_messages": None, "timeout_seconds": None, **config})


async def seconds_of(app: Dagger, team: Team, start: int, expected: int) -> float:
    """How long so many messages take, from the call until it returns, on an application that is warm."""
    added = team(app)
    async with app:
        await app.execute(EventDriven("start", {"count": 1}))
        added.total = 0
        gc.collect()
        began = time.perf_counter()
        report = await app.execute(EventDriven("start", {"count": start}))
        seconds = time.perf_counter() - began
        succeeded, error = report.overall_success, report.error
        del report  # else it would be read to its end when the application is closed
    if not succeeded or added.total != expected:
        message = f"the agents have added up {added.total}, not {expected} ({error}): nothing was measured"
        raise RuntimeError(message)
    return seconds


def _fed(app: Dagger) -> Sum:
    """With the producer: an agent that yields what it publishes."""

    @app.agent(subscribe="start", publish="first")
    async def feed(start: Start) -> AsyncIterator[Item]:
        for item in items(start.count):
            yield item

    return Sum()
