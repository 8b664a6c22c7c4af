"""What cannot be beaten by much: the bare thing that stands beside a figure."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import msgspec
import yaml
from flows import increment
from queues import TEXT

from dagger.core import events
from dagger.core.graph import Definition, Node
from dagger.core.journal import Lease
from dagger.core.messages import Published
from dagger.core.orders import AnyOrder
from dagger.store.sqlite import SqliteStore

_TABLE = """CREATE TABLE events (run INTEGER NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL,
PRIMARY KEY (run, seq)) STRICT, WITHOUT ROWID"""
_NODES = (Node(id="n", action="increment"),)


async def gathered_tasks(count: int) -> float:
    """Seconds for one task per node, all gathered: each calls the same action on one input."""
    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*[asyncio.create_task(increment(index)) for index in range(count)])
    return time.perf_counter() - began


def success(index: int) -> events.StepSucceeded:
    """The event of the index-th node of a chain."""
    outputs = {"output": msgspec.Raw(str(index).encode())}
    return events.StepSucceeded(at=time.time_ns() // 1_000_000, step=f"n{index}", outputs=outputs)


class Appender:
    """A store used by hand, without the kernel: append, and wait until that is durable. A store's Listener."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def committed(self, batch: int) -> None:
        """See Listener."""
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted <= batch:
                future.set_result(None)
            else:
                self._waiting.append((wanted, future))

    def lost(self, lease: Lease, error: Exception) -> None:
        """See Listener."""
        raise error

    def ordered(self, lease: Lease, orders: Sequence[AnyOrder]) -> None:
        """See Listener: nobody orders anything here."""

    def broken(self, error: Exception) -> None:
        """See Listener."""
        raise error

    def begin(self, run_id: str) -> Lease:
        """Append a run's first event."""
        now = time.time_ns() // 1_000_000
        graph = Definition(name="by hand", nodes=_NODES)
        started = events.RunStarted(at=now, run_id=run_id, spec=events.Spec("static", "by hand"), graph=graph)
        return self.store.create(started)

    async def durable(self) -> None:
        """Wait until all that was appended is on disk."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.store.batch, future))
        self.store.flush()
        await future

    async def append(self, lease: Lease, index: int) -> None:
        """Append one event, and wait until it is on disk."""
        self.store.append(lease, success(index))
        await self.durable()


@asynccontextmanager
async def appender(path: Path) -> AsyncIterator[Appender]:
    """A store of its own, open and warm."""
    store = SqliteStore(path)
    by_hand = Appender(store)
    await store.open(by_hand)
    by_hand.begin("warm-up")
    await by_hand.durable()
    try:
        yield by_hand
    finally:
        await store.close()


async def awaited_appends(path: Path, count: int) -> float:
    """Seconds for `count` appends through the store, each waited for before the next."""
    async with appender(path) as by_hand:
        lease = by_hand.begin("serial")
        await by_hand.durable()
        gc.collect()
        began = time.perf_counter()
        for index in range(count):
            await by_hand.append(lease, index)
        return time.perf_counter() - began


def piped(count: int) -> Iterator[events.StepSucceeded]:
    """The events of a producer of so many messages, a stage that publishes each anew, and one that ends them."""

    def published(channel: str, n: int) -> Published:
        return Published(channel, msgspec.Raw(msgspec.json.encode({"n": n, "name": TEXT})))

    def event(step: str, *messages: Published) -> events.StepSucceeded:
        return events.StepSucceeded(at=time.time_ns() // 1_000_000, step=step, messages=messages)

    yield event("feed#1-1", *[published("first", n) for n in range(count)])
    yield from (event(f"stage#2-{n + 1}", published("second", n)) for n in range(count))
    yield from (event(f"add#{n + 3}-1") for n in range(count))


async def appended(path: Path, count: int) -> float:
    """Seconds for those events, appended one after another, until all are durable."""
    async with appender(path) as by_hand:
        lease = by_hand.begin("messages")
        await by_hand.durable()
        gc.collect()
        began = time.perf_counter()
        for event in piped(count):
            by_hand.store.append(lease, event)
        await by_hand.durable()
        return time.perf_counter() - began


async def raw_commits(path: Path, count: int) -> float:
    """Seconds for `count` commits of such an event, straight through apsw on this thread."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("PRAGMA synchronous = FULL")
    connection.wal_autocheckpoint(0)
    connection.execute(_TABLE)
    gc.collect()
    began = time.perf_counter()
    for index in range(count):
        text = events.encode_event(success(index)).decode()
        connection.execute("INSERT INTO events VALUES (1, ?, ?)", (index, text))
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


async def read_journal(path: Path) -> float:
    """Seconds to read and decode every event of a file, and to keep none."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    began = time.perf_counter()
    for (text,) in connection.execute("SELECT event FROM events ORDER BY run, seq"):
        events.decode_event(text) if text[:9] != '{"$blob":' else None
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


async def parse_yaml(path: Path) -> float:
    """Seconds of PyYAML's C loader for a file."""
    text = path.read_text("utf-8")
    gc.collect()
    began = time.perf_counter()
    yaml.load(text, yaml.CSafeLoader)
    return time.perf_counter() - began


def python(*arguments: str) -> Callable[[], Awaitable[float]]:
    """What gives the seconds that this Python takes with these arguments, from start to exit."""
    # compiled modules are kept, as they are for everybody else: the first round makes them
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    async def run() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
        return time.perf_counter() - began

    return run
