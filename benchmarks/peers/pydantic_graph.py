"""GraphBuilder, built beforehand; the fan by `map` and a join. It has no way to say that a node waits for any three."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from peer import Asked, Execute, increment
from pydantic_graph import GraphBuilder, StepContext, reduce_list_append

Input = StepContext[None, None, int]

NAME, PACKAGE = "pydantic-graph", "pydantic-graph"


@asynccontextmanager
async def chain(asked: Asked) -> AsyncIterator[Execute]:
    async def step(given: Input) -> int:
        return await increment(given.inputs)

    graph = GraphBuilder(input_type=int, output_type=int)
    before = graph.start_node
    for index in range(asked.count):
        node = graph.step(step, node_id=f"n{index}")
        graph.add_edge(before, node)
        before = node
    graph.add_edge(before, graph.end_node)
    built = graph.build()
    yield lambda: built.run(inputs=0)


@asynccontextmanager
async def fan(asked: Asked) -> AsyncIterator[Execute]:
    graph = GraphBuilder(input_type=int, output_type=int)

    @graph.step
    async def first(given: Input) -> list[int]:
        return [await increment(given.inputs)] * (asked.count - 2)

    @graph.step
    async def between(given: Input) -> int:
        return await increment(given.inputs)

    @graph.step
    async def last(given: StepContext[None, None, list[int]]) -> int:
        return await increment(given.inputs[0])

    gathered = graph.join(reduce_list_append, initial_factory=list[int])
    graph.add(
        graph.edge_from(graph.start_node).to(first),
        graph.edge_from(first).map().to(between),
        graph.edge_from(between).to(gathered),
        graph.edge_from(gathered).to(last),
        graph.edge_from(last).to(graph.end_node),
    )
    built = graph.build()
    yield lambda: built.run(inputs=0)


CASES = {"chain": chain, "fan": fan}
