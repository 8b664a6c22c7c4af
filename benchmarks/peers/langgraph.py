"""A StateGraph, compiled beforehand. Chains of plain functions, with SqliteSaver: faster than async, AsyncSqliteSaver.

The fan by `Send`, layers by static edges, both of async functions.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from peer import Asked, Execute, grid, increment

NAME, PACKAGE = "LangGraph", "langgraph"


class Value(TypedDict):
    value: int


class Gathered(Value):
    values: Annotated[list[int], operator.add]


class Named(TypedDict):
    values: Annotated[dict[str, int], operator.or_]


def chained(count: int) -> StateGraph:
    graph, before = StateGraph(Value), START
    for index in range(count):
        graph.add_node(f"n{index}", lambda state: {"value": state["value"] + 1})
        graph.add_edge(before, f"n{index}")
        before = f"n{index}"
    return graph


@asynccontextmanager
async def chain(asked: Asked) -> AsyncIterator[Execute]:
    graph = chained(asked.count).compile()

    async def execute() -> int:
        return graph.invoke({"value": 0}, {"recursion_limit": asked.count + 1})["value"]

    yield execute


@asynccontextmanager
async def durable(asked: Asked, durability: str) -> AsyncIterator[Execute]:
    with SqliteSaver.from_conn_string(str(asked.path)) as saver:
        saver.setup()
        graph = chained(asked.count).compile(checkpointer=saver)
        config = {"recursion_limit": asked.count + 1, "configurable": {"thread_id": "1"}}

        async def execute() -> int:
            return graph.invoke({"value": 0}, config, durability=durability)["value"]

        yield execute


@asynccontextmanager
async def fan(asked: Asked) -> AsyncIterator[Execute]:
    async def first(state: Gathered) -> dict[str, Any]:
        return {"value": await increment(state["value"])}

    async def between(state: Value) -> dict[str, Any]:
        return {"values": [await increment(state["value"])]}

    async def last(state: Gathered) -> dict[str, Any]:
        return {"value": await increment(state["values"][0])}

    def spread(state: Gathered) -> list[Send]:
        return [Send("between", {"value": state["value"]}) for _ in range(asked.count - 2)]

    graph = StateGraph(Gathered).add_node(first).add_node(between).add_node(last)
    graph.add_edge(START, "first").add_conditional_edges("first", spread, ["between"]).add_edge("between", "last")
    compiled = graph.compile()

    async def execute() -> int:
        return (await compiled.ainvoke({"value": 0}))["value"]

    yield execute


@asynccontextmanager
async def layers(asked: Asked) -> AsyncIterator[Execute]:
    def node(name: str, *parents: str) -> Any:
        async def step(state: Named) -> dict[str, Any]:
            return {"values": {name: await increment(state["values"][parents[0]])}}

        return step

    graph = StateGraph(Named)
    for name, parents in grid(asked.count):
        graph.add_node(name, node(name, *(parents or ["start"])))
        graph.add_edge(parents or START, name)
    compiled = graph.compile()

    async def execute() -> int:
        return (await compiled.ainvoke({"values": {"start": 0}}))["values"][name]

    yield execute


CASES = {
    "chain": chain,
    "fan": fan,
    "layers": layers,
    "durable chain, sync": partial(durable, durability="sync"),
    "durable chain, async": partial(durable, durability="async"),
}
