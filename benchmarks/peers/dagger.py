"""As in the table above, and then the report's value of the last node is read, for which it reads the whole journal.

Payloads are checked against the JSON Schemas of publisher and subscriber. One agent yields all of them: they get out
together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import agents
import flows
from peer import Asked, Execute, grid
from queues import SUBSCRIBERS

from dagger import EventDriven, Graph, Static

NAME, PACKAGE = "Dagger", "dagger-flow"


@asynccontextmanager
async def execution(asked: Asked, shape: Callable[[int], Graph], durability: str = "") -> AsyncIterator[Execute]:
    graph = shape(asked.count)
    last = list(graph.nodes)[-1]
    config = {"durability": durability} if durability else {}
    async with flows.application(asked.path if durability else "memory:", graph, **config) as app:
        await flows.warm_up(app)

        async def execute() -> int:
            return (await app.execute(Static(graph.name))).outputs[last]["output"]

        yield execute


def layers(count: int) -> Graph:
    graph, made = Graph("layers"), {}
    for name, parents in grid(count):
        first, *others = [made[parent] for parent in parents] or [0]
        made[name] = graph.add("increment", id=name, value=first, after=others)
    return graph


@asynccontextmanager
async def messages(asked: Asked, team: agents.Team, each: int = 1) -> AsyncIterator[Execute]:
    async with agents.application("memory:") as app:
        added = team(app)

        async def execute() -> int:
            await app.execute(EventDriven("start", {"count": asked.count // each}))
            return added.total

        yield execute


CASES = {
    "chain": partial(execution, shape=flows.chain),
    "fan": partial(execution, shape=flows.fan),
    "layers": partial(execution, shape=layers),
    "durable chain, sync": partial(execution, shape=flows.chain, durability="sync"),
    "durable chain, async": partial(execution, shape=flows.chain, durability="async"),
    "pipeline": partial(messages, team=agents.pipeline),
    "fan-out": partial(messages, team=agents.fan_out, each=SUBSCRIBERS),
}
