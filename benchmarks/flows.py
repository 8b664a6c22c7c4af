"""The flows that are measured: no-op actions with one input and one output, in three shapes, and a map."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagger import Context, Dagger, Graph, Static

DEPENDENCIES = 3
_STRIDES = (0, 1, 7)
"""Which neighbours in the layer before a node depends on."""


async def increment(value: int) -> int:
    """The no-op: one input, one output (not declared: its name is the default, `output`)."""
    return value + 1


async def grow(left: int, ctx: Context) -> int:
    """A no-op that adds the next one, which waits for it."""
    if left:
        ctx.add_node("grow", inputs={"left": left - 1}, dependencies=[ctx.node.id])
    return left


async def ask(ctx: Context) -> str:
    """A question to a person."""
    return str(await ctx.review("Go on?"))


async def numbers(count: int) -> list[int]:
    """What a map goes over."""
    return list(range(count))


class Holder:
    """An action that never ends, and when it began."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.began_at = 0.0

    async def hold(self, value: int) -> int:
        self.began_at = time.perf_counter()
        self.began.set()
        await asyncio.Event().wait()
        return value

    def join(self, app: Dagger) -> None:
        """Be the application's action `hold`."""

        @app.action
        async def hold(value: int) -> int:
            return await self.hold(value)


def chain(count: int, last: str = "increment") -> Graph:
    """Each node takes what the one before gives."""
    graph = Graph("chain")
    before = graph.add("increment", id="n0", value=0)
    for index in range(1, count):
        action = last if index == count - 1 else "increment"
        before = graph.add(action, id=f"n{index}", value=before)
    return graph


def fan(count: int, last: str = "increment") -> Graph:
    """One node, then all but one that take what it gives, then one that waits for them."""
    graph = Graph("fan")
    first = graph.add("increment", id="first", value=0)
    between = [graph.add("increment", id=f"n{index}", value=first) for index in range(count - 2)]
    graph.add(last, id="last", value=between[0], after=between)
    return graph


def layers(depth: int, width: int) -> Graph:
    """Layers of nodes; each waits for three of the layer before, and takes what one of them gives."""
    graph = Graph("layers")
    before = [graph.add("increment", id=f"n0_{place}", value=place) for place in range(width)]
    for layer in range(1, depth):
        before = [
            graph.add("increment", id=f"n{layer}_{place}", value=parents[0], after=parents[1:])
            for place in range(width)
            if (parents := [before[(place + stride) % width] for stride in _STRIDES])
        ]
    return graph


def mapped(count: int) -> Graph:
    """One node that gives a list, and one that calls the action for each of its items."""
    graph = Graph("map")
    graph.add("increment", id="each", map=graph.add("numbers", count=count))
    return graph


def growing(count: int) -> Graph:
    """One node that adds the next, and so on."""
    graph = Graph("growing")
    graph.add("grow", id="first", left=count - 1)
    return graph


def asking() -> Graph:
    """One node that asks a person."""
    graph = Graph("asking")
    graph.add("ask", id="ask")
    return graph


def application(store: str | Path, *graphs: Graph, holder: Holder | None = None, **config: Any) -> Dagger:
    """An application that knows the actions and the graphs."""
    app = Dagger(store, config=config)
    for action in (increment, numbers, grow, ask):
        app.register_action(action)
    if holder is not None:
        holder.join(app)
    for graph in graphs:
        app.add_graph(graph)
    return app


async def warm_up(app: Dagger) -> None:
    """One run of one node: the file, its owner and the threads are there then."""
    graph = Graph("warm_up")
    graph.add("increment", value=0)
    app.add_graph(graph)
    await app.execute(Static("warm_up"))


async def seconds_of(app: Dagger, graph: Graph) -> float:
    """How long the execution of a graph takes, from the call until it returns, on an application that is warm."""
    async with app:
        await warm_up(app)
        gc.collect()
        began = time.perf_counter()
        report = await app.execute(Static(graph.name))
        seconds = time.perf_counter() - began
        succeeded = report.overall_success
        del report  # else it would be read to its end when the application is closed
    if not succeeded:
        message = f"the run of {graph.name!r} did not succeed: nothing was measured"
        raise RuntimeError(message)
    return seconds


Shape = Callable[[], Graph]
