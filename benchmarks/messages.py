"""The cases of agents and messages, with their targets."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import agents
import floors
import queues
from cases import SUBJECT, Rows, Sizes, subject
from measure import US, LeftOut, Row, Samples, Target, fresh_file, in_turn

PLACES = {"in memory": "sync", "SQLite, async": "async", "SQLite, sync": "sync"}
"""Where a run is, and its durability."""


async def pipeline(sizes: Sizes) -> Rows:
    """A producer and two stages, with JSON Schemas on both sides."""
    count = sizes.messages
    for place, limit, beside, bare in (
        ("in memory", 50_000, "queues", queues.pipeline),
        ("SQLite, async", 30_000, "by hand", _by_hand),
        ("SQLite, sync", 25_000, "by hand", _by_hand),
    ):
        run = _run(place, agents.pipeline, count, queues.piped(count))
        seconds, floor = await in_turn(sizes.repeat, run, functools.partial(bare, count))
        case = f"{place}: two stages, {count:,} messages with schemas"
        target = Target(limit, "figure", at_least=True)
        yield Row(case, "messages/s", _rate(count, seconds), target, _rate(count, floor), beside)


async def fan_out(sizes: Sizes) -> Rows:
    """Every message to every subscriber."""
    count = sizes.deliveries
    messages = count // queues.SUBSCRIBERS
    for place, limit in (("in memory", 8), ("SQLite, sync", 10)):
        run = _run(place, agents.fan_out, messages, queues.fanned_out(count))
        seconds, floor = await in_turn(sizes.repeat, run, functools.partial(queues.fan_out, count))
        case = f"{place}: {messages:,} messages to {queues.SUBSCRIBERS} subscribers"
        yield Row(case, "µs a delivery", _each(count, seconds), Target(limit, "figure"), _each(count, floor), "queues")


async def crowd(sizes: Sizes) -> Rows:
    """As many agents as messages."""
    count = sizes.agents
    team = functools.partial(agents.crowd, count)
    for place in ("in memory", "SQLite, sync"):
        run = _run(place, team, count, count * (count - 1) // 2)
        (seconds,) = await in_turn(sizes.repeat, run)
        milliseconds = Samples(tuple(value * 1e3 for value in seconds.values))
        yield Row(
            f"{place}: {count:,} agents on a channel each, one message each", "ms", milliseconds, Target(200, "figure")
        )


async def recovery(sizes: Sizes) -> Rows:
    """A run that was killed while messages waited, taken up by another process."""
    handled, waiting = sizes.large, sizes.messages
    with fresh_file() as path:
        arguments = [sys.executable, str(SUBJECT), "leave_messages", str(handled), str(waiting), str(path)]
        if subprocess.run(arguments, check=False).returncode == 0:
            message = "the process that should have been killed ended by itself"
            raise RuntimeError(message)

        async def taken_up() -> float:
            return float(subject("resume_messages", str(path)))

        figure, floor = await in_turn(sizes.repeat, taken_up, lambda: floors.read_journal(path))
    case = f"recovery: {handled:,} messages handled, {waiting:,} waiting, until the next begins"
    yield Row(case, "s", figure, Target(1.5, "figure"), floor, "reading")


async def keep_alive(sizes: Sizes) -> Rows:
    """A run that goes on until it is stopped: what it holds, and whether it gets slower."""
    if not Path("/proc/self/statm").exists():
        yield LeftOut("memory of a keep_alive run", "needs /proc")
        return
    with fresh_file() as path:
        points = json.loads(subject("keep_alive", str(sizes.passing), str(path)))
    _, before, _ = points[0]
    curve = tuple((count, (resident - before) / 1e6) for count, resident, _ in points)
    grown = Samples((max(megabytes for _, megabytes in curve),))
    case = f"SQLite, async: a keep_alive run, {sizes.passing:,} messages"
    note = "what the process holds at most beyond what it held before the first message; messages come from outside"
    yield Row(f"{case}: memory", "MB", grown, Target(30, "figure"), note=note, curve=curve)
    tenth = len(points) // 10
    first, last = points[tenth][2] - points[0][2], points[-1][2] - points[-1 - tenth][2]
    yield Row(f"{case}: the last tenth against the first", "×", Samples((last / first,)), Target(1.1, "figure"))


CASES: dict[str, Callable[[Sizes], Rows]] = {
    "pipeline": pipeline,
    "fan-out": fan_out,
    "agents": crowd,
    "recovery": recovery,
    "keep-alive": keep_alive,
}
"""By the name that `--only` takes, in the order of the table."""


async def _by_hand(count: int) -> float:
    with fresh_file() as path:
        return await floors.appended(path, count)


def _run(place: str, team: agents.Team, start: int, expected: int) -> Callable[[], Awaitable[float]]:
    """What gives the seconds of one execution there."""

    async def run() -> float:
        durability = PLACES[place]
        if place == "in memory":
            return await agents.seconds_of(agents.application("memory:"), team, start, expected)
        with fresh_file() as path:
            return await agents.seconds_of(agents.application(path, durability=durability), team, start, expected)

    return run


def _rate(count: int, seconds: Samples) -> Samples:
    return Samples(tuple(count / value for value in seconds.values))


def _each(count: int, seconds: Samples) -> Samples:
    return Samples(tuple(value / count * US for value in seconds.values))
