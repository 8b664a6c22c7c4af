"""How an attempt begins: code that ends at once costs no task, no attempt and no event of its own; on both stores."""

import asyncio
import time

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


def test_code_that_keeps_the_event_loop_is_told(caplog):
    """Its timeout could not act, and nobody else's could: it should have been a plain function."""

    async def blocks() -> int:
        time.sleep(1.05)
        return 1

    app = Dagger("memory:")
    app.register_action(blocks)
    graph = Graph("g")
    graph.add(blocks, timeout=0.1)
    report = app.run(graph)

    assert report.status == "succeeded"
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"run {report.run_id}: step blocks kept the event loop for 1." in line
