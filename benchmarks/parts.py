"""Where a step's time goes: its parts, each by itself, as the kernel calls them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
from flows import grow, increment

from dagger.core import events
from dagger.core.fold import apply
from dagger.core.graph import Definition, Input, Node, depended
from dagger.core.journal import Lease
from dagger.core.state import State
from dagger.engine.binding import bind
from dagger.engine.growth import check_node
from dagger.engine.pools import ReadyQueue
from dagger.engine.timers import SystemClock, Timers
from dagger.spec.action import Action, require_fit
from dagger.spec.nodes import new_node
from dagger.spec.outputs import outputs
from dagger.store.memory import MemoryStore

COUNT = 10_000
TURNS = 7


class _Run:
    """A run of a chain, as far as binding looks at it."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.state = State()
        self.load: Callable[[str], bytes] = lambda _: b""
        spec = events.Spec("static", "chain")
        self.started = events.RunStarted(at=1, run_id="r", spec=spec, graph=Definition(name="chain", nodes=nodes))
        apply(self.state, self.started)

    def items(self, _: str) -> list[msgspec.Raw]:
        return []


def measure() -> list[tuple[str, float]]:
    """Each part's name, with the microseconds that it takes for one step of a chain in memory."""
    loop = asyncio.new_event_loop()
    try:
        turns = [_turn(loop) for _ in range(TURNS)]
    finally:
        loop.close()
    return [(name, statistics.median(turn[name] for turn in turns)) for name in turns[0]]


def _turn(loop: asyncio.AbstractEventLoop) -> dict[str, float]:
    nodes = tuple(_node(index) for index in range(COUNT))
    began = time.perf_counter()
    run = _Run(nodes)
    found = {"taking in its definition": _each(began)}
    action = Action(increment)
    run.state.sections["n0"] = {"output": b"1"}
    run.state.succeeded["n0"] = 1
    found["binding its input"] = _timed(lambda: bind(run, "n1", nodes[1], action))
    found["calling its code in a context of its own"] = _timed(_call)
    blobs: list[Any] = []
    found["checking and encoding its output"] = _timed(lambda: outputs(nodes[1], 7, blobs))
    made = {"output": msgspec.Raw(b"7")}
    found["making its event"] = _timed(
        lambda: events.StepSucceeded(at=5, step="n1", attempt=1, duration_ms=0, outputs=made)
    )
    found["applying its event"] = _applied(_Run(nodes).state)
    store, clock = MemoryStore(), SystemClock()
    lease: Lease = store.create(run.started)
    event = events.StepSucceeded(at=5, step="n1", outputs=made)
    found["appending its event"] = _timed(lambda: store.append(lease, event))
    found["reading the clock"] = _timed(clock.now_ms)
    queue = ReadyQueue(Timers(loop), loop.time, lambda: None)
    due: Any = (_call, "n1")
    found["waiting in the queue"] = _timed(lambda: (queue.extend(due[0], [due[1]]), queue.pop()))
    adds = Action(grow)
    added = new_node("x", {"action": "grow"}, ["n0"], {"left": 5})
    found["besides, if it adds a node: making that"] = _timed(
        lambda: new_node("x", {"action": "grow"}, ["n0"], {"left": 5})
    )
    found["checking it against its flow and its action"] = _timed(
        lambda: (check_node(run.state, added), require_fit(adds, added))
    )
    return found


def _node(index: int) -> Node:
    given = (Input("value", f"n{index - 1}.output" if index else "inputs.value"),)
    return Node(id=f"n{index}", action="increment", inputs=given, dependencies=depended((), given))


def _call() -> None:
    context = contextvars.copy_context().copy()
    with contextlib.suppress(StopIteration):
        context.run(increment(1).send, None)


def _applied(state: State) -> float:
    made = [
        events.StepSucceeded(at=5, step=f"n{index}", outputs={"output": msgspec.Raw(b"7")}) for index in range(COUNT)
    ]
    began = time.perf_counter()
    for event in made:
        apply(state, event)
    return _each(began)


def _timed(part: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(COUNT):
        part()
    return _each(began)


def _each(began: float) -> float:
    return (time.perf_counter() - began) / COUNT * 1e6
