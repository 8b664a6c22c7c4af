"""How an attempt begins: code that ends at once costs no task, no attempt and no event of its own; on both stores."""

import asyncio
import time

import pydantic
import pytest
from tests import supervised
from tests.supervised import executed

from dagger import Context, Dagger, Graph, Static, action


def begun(world, act, **inputs):
    """What a run of one node comes to, without its first and last event."""
    graph = Graph("g", config={"on_failure": "continue"})

    def main(app):
        graph.add(act, id="n", inputs=inputs)
        app.add_graph(graph)
        return executed(app, Static("g"))

    found = supervised.run(world, main, act)
    return found, [type(event).__name__ for event in found.events[1:-1]]


async def at_once(x: int) -> int:
    """It never suspends."""
    return x + 1


async def sees(ctx: Context, x: int) -> int:
    """It never suspends, and sees its context."""
    return x + ctx.attempt


async def turns(x: int) -> int:
    """It suspends once."""
    await asyncio.sleep(0)
    return x + 1


def plain(x: int) -> int:
    """It runs in a thread."""
    return x + 1


@action(runs_in="loop")
def called(x: int) -> int:
    """A plain function on the loop."""
    return x + 1


@action(runs_in="loop")
def awaitable(x: int):
    """A plain function that returns something to await."""
    return turns(x)


@pytest.mark.parametrize(
    ("act", "is_started"),
    [(at_once, False), (sees, False), (called, False), (turns, True), (awaitable, True), (plain, True)],
    ids=["at once", "sees its context", "plain", "suspends", "awaitable", "thread"],
)
def test_only_what_does_not_end_at_once_is_said_to_have_started(act, is_started, world):
    """What comes of it is the same."""
    found, types = begun(world, act, x=1)

    assert found.report.outputs["n"] == {"output": 2}
    assert types == (["StepStarted"] if is_started else []) + ["StepSucceeded"]


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), SystemExit(3), StopAsyncIteration()])
def test_whatever_is_raised_at_once_fails_the_attempt(error, world):
    """User code raises anything: the run says so, and the process goes on."""

    async def act():
        raise error

    found, types = begun(world, act)

    assert types == ["StepFailed"]
    assert found.report.error.startswith(f"n: {type(error).__name__}")


def test_an_input_that_does_not_fit_fails_before_the_code_is_called(world):
    """At once and without retries; what a graph can tell of it was told before the run."""
    called = []

    async def take(x: int):
        called.append(x)

    async def give() -> object:
        return "one"

    def main(app):
        graph = Graph("g", config={"on_failure": "continue", "max_attempts": 3})
        graph.add(take, id="take", x=graph.add(give, id="give"))
        app.add_graph(graph)
        return executed(app, Static("g"))

    found = supervised.run(world, main, take, give)

    assert found.report.error == "take: InputInvalid: node 'take': input 'x': expected int, got str"
    assert called == []


def test_a_value_that_is_no_json_fails_its_step(world):
    """Where no attempt was made for the code, too."""

    async def act():
        return float("nan")

    found, types = begun(world, act)
    assert types == ["StepFailed"]
    assert "OutputInvalid" in found.report.error


BLOCKED = 1.05
"""Seconds: so long code may not keep the event loop."""


async def blocks():
    """And ends."""
    time.sleep(BLOCKED)


async def blocks_and_awaits():
    """Its first turn is long."""
    time.sleep(BLOCKED)
    await asyncio.sleep(0)


async def awaits_and_blocks():
    """Its last turn is long."""
    await asyncio.sleep(0)
    time.sleep(BLOCKED)


async def blocks_between():
    """A turn is long that is neither its first nor its last."""
    await asyncio.sleep(0)
    time.sleep(BLOCKED)
    await asyncio.sleep(0)


async def blocks_and_raises():
    """It never suspends."""
    time.sleep(BLOCKED)
    raise ValueError


async def awaits_blocks_and_raises():
    """It fails in a later turn."""
    await asyncio.sleep(0)
    time.sleep(BLOCKED)
    raise ValueError


@pytest.mark.parametrize(
    "act",
    [blocks, blocks_and_awaits, awaits_and_blocks, blocks_between, blocks_and_raises, awaits_blocks_and_raises],
    ids=lambda act: act.__name__,
)
def test_code_that_keeps_the_event_loop_is_told(act, caplog):
    """Once for each of its turns: no timeout could act, its own or another's; it should have been a plain function."""
    app = Dagger("memory:", config={"max_attempts": 1})
    app.register_action(act)
    graph = Graph("g")
    graph.add(act, id="n")
    report = app.run(graph)

    (line,) = [said for record in caplog.records if "event loop" in (said := record.getMessage())]
    assert f"run {report.run_id}: step n kept the event loop for " in line


def test_code_that_waits_for_long_does_not_keep_the_event_loop(caplog):
    """Only what it does between its waits is counted."""

    async def waits():
        await asyncio.sleep(BLOCKED)

    app = Dagger("memory:")
    app.register_action(waits)
    graph = Graph("g")
    graph.add(waits)

    assert app.run(graph).status == "succeeded"
    assert not caplog.records


class Oddity(BaseException):
    """As pytest's own outcomes are."""


@pytest.mark.parametrize("sees_context", [False, True])
def test_a_result_whose_type_raises_anything_while_it_is_encoded_fails_its_step(world, sees_context):
    """And no worker, which other runs have, too."""

    class Model(pydantic.BaseModel):
        @pydantic.model_serializer
        def told(self) -> str:
            raise Oddity("odd")

    async def act() -> object:
        return Model()

    async def sees(ctx: Context) -> object:
        return Model()

    found, types = begun(world, sees if sees_context else act)
    assert types[-1] == "StepFailed"
    assert "Oddity" in found.report.error
