"""Measures one peer in its own environment: `python peer.py NAME '{"chain": 1000}'`, with the size of each case.

Prints {"name": with version, "settings": text, "cases": {case: [figure, floor]}}, in microseconds for one node, message
or delivery. The floor is measured in the same process right after the case: a bare asyncio task per node, an fsync'd
SQLite commit per node where the case is durable, bare asyncio queues for messages. Needs the standard library and the
peer; of Dagger only where that is the peer.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import queues
from measure import ROOT, US, fresh_file

LAYERS = 10
STRIDES = (0, 1, 7)
"""Which neighbours in the layer before a node depends on."""
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk in memory, for a peer that cannot do without a file
WARM = 100
"""Nodes, messages or deliveries of the flow that is executed before, and does not count."""


@dataclass(frozen=True)
class Asked:
    """What a case is asked for."""

    count: int
    """Nodes, messages or deliveries."""
    path: Path
    """An empty SQLite file: on disk if the case is durable, else in memory if this machine has such a place."""


Execute = Callable[[], Awaitable[int]]
"""Runs a flow that is there already and gives the value of its last node, or what its last agents have added up."""
Prepare = Callable[[Asked], AbstractAsyncContextManager[Execute]]
"""Makes a flow."""


async def increment(value: int) -> int:
    """The no-op, the same for all."""
    return value + 1


def grid(count: int) -> Iterator[tuple[str, list[str]]]:
    """Layers of nodes, each with the three of the layer before that it waits for; it takes what the first gives."""
    width = count // LAYERS
    for layer in range(LAYERS):
        for place in range(width):
            parents = [f"n{layer - 1}_{(place + stride) % width}" for stride in STRIDES] if layer else []
            yield f"n{layer}_{place}", parents


async def measure(case: str, prepare: Prepare, count: int) -> list[float]:
    """Microseconds for one: the case, the floor."""
    await seconds(case, prepare, WARM)
    figure = await seconds(case, prepare, count)
    floor = await CASES[case].floor(count)
    return [figure / count * US, floor / count * US]


async def seconds(case: str, prepare: Prepare, count: int) -> float:
    """How long it takes to execute a flow; to make it does not count."""
    is_on_disk = case.startswith("durable") or not IN_MEMORY.is_dir()
    with fresh_file(ROOT / "build" if is_on_disk else IN_MEMORY) as path:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")  # faster, for those that do not ask for it
        async with prepare(Asked(count, path)) as execute:
            gc.collect()
            began = time.perf_counter()
            value = await execute()
            taken = time.perf_counter() - began
    if value != CASES[case].gives(count):
        message = f"{case}: it gave {value}, not {CASES[case].gives(count)}: nothing was measured"
        raise RuntimeError(message)
    return taken


async def tasks(count: int) -> float:
    """Seconds for one task per node, all gathered."""
    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*[asyncio.create_task(increment(index)) for index in range(count)])
    return time.perf_counter() - began


async def commits(count: int) -> float:
    """Seconds for `count` fsync'd commits of a row, one after another."""
    with fresh_file() as path, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE done (node INTEGER PRIMARY KEY, value TEXT)")
        began = time.perf_counter()
        for index in range(count):
            connection.execute("INSERT INTO done VALUES (?, ?)", (index, str(index)))
        return time.perf_counter() - began


@dataclass(frozen=True)
class Case:
    """What stands beside a case, and what shows that all that was asked for has been done."""

    floor: Callable[[int], Awaitable[float]]
    """Seconds of the bare thing, for so many nodes, messages or deliveries."""
    gives: Callable[[int], int]
    """What the execution of so many gives."""


CASES = {
    "chain": Case(tasks, lambda count: count),
    "fan": Case(tasks, lambda _: 3),
    "layers": Case(tasks, lambda _: LAYERS),
    "durable chain, sync": Case(commits, lambda count: count),
    "durable chain, async": Case(commits, lambda count: count),
    "pipeline": Case(queues.pipeline, queues.piped),
    "fan-out": Case(queues.fan_out, queues.fanned_out),
}


async def main(module: str, counts: dict[str, int]) -> None:
    peer = importlib.import_module(f"peers.{module}")
    measured = {case: await measure(case, prepare, counts[case]) for case, prepare in peer.CASES.items()}
    name = f"{peer.NAME} {metadata.version(peer.PACKAGE)}"
    print(json.dumps({"name": name, "settings": peer.__doc__, "cases": measured}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
