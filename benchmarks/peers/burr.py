"""A graph of actions, built beforehand. Chains of plain functions with `run`, which is the faster way; SQLitePersister.

The fan by MapStates, of async functions. It has no way to say that an action waits for several.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from burr.core import ApplicationBuilder, State, action
from burr.core.parallelism import MapStates
from burr.core.persistence import SQLitePersister
from peer import Asked, Execute, increment

NAME, PACKAGE = "Burr", "apache-burr"


@action(reads=["value"], writes=["value"])
def plain(state: State) -> State:
    return state.update(value=state["value"] + 1)


@action(reads=["value"], writes=["value"])
async def step(state: State) -> State:
    return state.update(value=await increment(state["value"]))


@action(reads=["values"], writes=["value"])
async def last(state: State) -> State:
    return state.update(value=await increment(state["values"][0]))


class Between(MapStates):
    """So many steps at once, on the same value."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    @property
    def reads(self) -> list[str]:
        return ["value"]

    @property
    def writes(self) -> list[str]:
        return ["values"]

    def is_async(self) -> bool:
        return True

    def action(self, state: State, inputs: dict[str, Any]) -> Any:
        return step

    def states(self, state: State, context: Any, inputs: dict[str, Any]) -> Any:
        return (state for _ in range(self.count))

    async def reduce(self, state: State, states: Any) -> State:
        return state.update(values=[one["value"] async for one in states])


def chained(count: int) -> ApplicationBuilder:
    names = [f"n{index}" for index in range(count)]
    builder = ApplicationBuilder().with_actions(**dict.fromkeys(names, plain))
    return builder.with_transitions(*pairwise(names)).with_entrypoint("n0").with_state(value=0)


@asynccontextmanager
async def chain(asked: Asked) -> AsyncIterator[Execute]:
    application = chained(asked.count).build()

    async def execute() -> int:
        return application.run(halt_after=[f"n{asked.count - 1}"])[-1]["value"]

    yield execute


@asynccontextmanager
async def durable(asked: Asked) -> AsyncIterator[Execute]:
    persister = SQLitePersister.from_values(str(asked.path))
    persister.initialize()
    application = chained(asked.count).with_state_persister(persister).with_identifiers(app_id="1").build()

    async def execute() -> int:
        return application.run(halt_after=[f"n{asked.count - 1}"])[-1]["value"]

    yield execute
    persister.cleanup()


@asynccontextmanager
async def fan(asked: Asked) -> AsyncIterator[Execute]:
    builder = ApplicationBuilder().with_actions(first=step, between=Between(asked.count - 2), last=last)
    builder = builder.with_transitions(("first", "between"), ("between", "last"))
    application = await builder.with_entrypoint("first").with_state(value=0).abuild()

    async def execute() -> int:
        return (await application.arun(halt_after=["last"]))[-1]["value"]

    yield execute


CASES = {"chain": chain, "fan": fan, "durable chain, sync": durable}
