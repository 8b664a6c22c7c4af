"""Every case with its target. Sizes and targets are the only numbers here; all others are measured."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import floors
from flows import Shape, application, chain, fan, growing, increment, layers, mapped, seconds_of, warm_up
from measure import US, LeftOut, Row, Samples, Target, fresh_file, in_turn

from dagger import Dagger, Graph, Static

FLOORS = {
    "tasks": "one asyncio task per node, all gathered, each awaiting the same action on one input",
    "appends": "an event appended by hand through the same store, and awaited until it is durable, one after another",
    "commits": "such an event committed straight through apsw, one after another: no other thread, no waiting",
    "reading": "reading every event of the file and decoding it, and keeping none",
    "by hand": "the same events appended by hand through the same store, awaited as often, without the kernel",
    "parsing": "PyYAML's C loader on the same file: no checks, no positions",
    "queues": "bare asyncio queues, with a task for each stage or subscriber: nothing is checked or kept",
    "bare": "Python from start to exit, with nothing to do",
}
"""What stands beside the figures."""
SUBJECT = Path(__file__).with_name("subject.py")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    repeat: int = 7
    nodes: int = 10_000
    large: int = 100_000
    serial: int = 1_000
    runs: int = 1_000
    paced: int = 300
    """Runs started at 100 a second."""
    yaml: int = 1_000
    waiting: int = 10_000
    """Runs that wait for people."""
    messages: int = 10_000
    deliveries: int = 100_000
    agents: int = 1_000
    passing: int = 1_000_000
    """Messages through a run that goes on until it is stopped."""


Rows = AsyncIterator[Row | LeftOut]


def shapes(count: int) -> dict[str, Shape]:
    """The three shapes, with about `count` nodes each: 100 layers, or layers of 100."""
    return {
        f"fan, {count:,} nodes": functools.partial(fan, count),
        f"chain, {count:,} nodes": functools.partial(chain, count),
        f"layers, 100 × {count // 100}, 3 dependencies": functools.partial(layers, 100, count // 100),
    }


async def in_memory(sizes: Sizes) -> Rows:
    """Runs on the store in memory."""
    for (name, shape), limit in zip(shapes(sizes.nodes).items(), (1.0, 1.0, 1.25), strict=True):
        graph = shape()
        yield await _against_tasks(f"in memory: {name}", graph, Target(limit), sizes.repeat, durability="sync")


async def sqlite_async(sizes: Sizes) -> Rows:
    """Runs on SQLite with durability `async`."""
    for (name, shape), limit in zip(shapes(sizes.nodes).items(), (1.75, 1.75, 2.25), strict=True):
        graph = shape()
        yield await _against_tasks(f"SQLite, async: {name}", graph, Target(limit), sizes.repeat, durability="async")


async def sqlite_sync(sizes: Sizes) -> Rows:
    """Runs on SQLite with durability `sync`, where many nodes share a commit."""
    chosen = {name: shape for name, shape in shapes(sizes.nodes).items() if not name.startswith("chain")}
    for (name, shape), limit in zip(chosen.items(), (1.75, 3.0), strict=True):
        graph = shape()
        yield await _against_tasks(f"SQLite, sync: {name}", graph, Target(limit), sizes.repeat, durability="sync")


async def serial(sizes: Sizes) -> Rows:
    """A chain with durability `sync`: each node waits for the commit of the one before."""
    count = sizes.serial
    graph = chain(count)
    per_node, append, commit = await in_turn(
        sizes.repeat,
        lambda: _per_node(graph, durability="sync"),
        lambda: _on_file(floors.awaited_appends, count),
        lambda: _on_file(floors.raw_commits, count),
    )
    case = f"SQLite, sync: chain, {count:,} nodes"
    yield Row(case, "µs a node", per_node, Target(1.25), append, "appends")
    yield Row(case, "µs a node", per_node, Target(1.6), commit, "commits")


async def growth(sizes: Sizes) -> Rows:
    """What a node costs in a large run, against a small one."""
    small, large = 1_000, sizes.large
    places = (("in memory", True, 1.75), ("on disk, async", False, 1.5))
    for shape in (fan, chain):
        for place, is_memory, limit in places:
            few, many = shape(small), shape(large)
            measured = [_in_memory(few), _in_memory(many)] if is_memory else [_async(few), _async(many)]
            tasks = [functools.partial(_task, small), functools.partial(_task, large)]
            few_us, many_us, few_tasks, many_tasks = await in_turn(sizes.repeat, *measured, *tasks)
            case = f"growth {place}: {shape.__name__}, {large:,} nodes against {small:,}"
            grown, floor = many_us.over(few_us), many_tasks.over(few_tasks)
            yield Row(case, "×", grown, Target(limit, "figure"), floor, "tasks")


async def memory(sizes: Sizes) -> Rows:
    """Resident memory of a process with a run on SQLite whose nodes but the last have ended."""
    if not Path("/proc/self/statm").exists():
        yield LeftOut("memory of a run", "needs /proc")
        return
    for shape in ("chain", "layers"):
        weighed = []
        for _ in range(max(2, sizes.repeat // 3)):
            with fresh_file() as path:
                weighed.append(json.loads(subject("memory", f"{shape}:{sizes.large}", str(path))))
        peaks = [one["peak"] - one["values"] for one in weighed]
        note = f"at its peak; beyond its values, which are {weighed[0]['values'] // sizes.large} bytes a node"
        figure = Samples(tuple(peak / sizes.large / 1000 for peak in peaks))
        case = f"memory, SQLite: {shape}, {sizes.large:,} nodes"
        yield Row(case, "KB a node", figure, Target(1.7, "figure"), note=note)


async def file_size(sizes: Sizes) -> Rows:
    """Bytes of the file when the application is closed: definitions, journal, indexes."""
    named = {name: shape for name, shape in shapes(sizes.nodes).items() if not name.startswith("fan")}
    for (name, shape), limit in zip(named.items(), (300, 500), strict=True):
        graph = shape()
        with fresh_file() as path:
            async with application(path, graph, durability="async") as app:
                await app.execute(Static(graph.name))
            size = path.stat().st_size
        figure = Samples((size / len(graph.nodes),))
        yield Row(f"file: {name}", "bytes a node", figure, Target(limit, "figure"))


async def resume(sizes: Sizes) -> Rows:
    """A run that was killed before its last node, taken up by another process."""
    with fresh_file() as path:
        left = subprocess.run([sys.executable, str(SUBJECT), "leave", str(sizes.large), str(path)], check=False)
        if left.returncode == 0:
            message = "the process that should have been killed ended by itself"
            raise RuntimeError(message)

        async def taken_up() -> float:
            return float(subject("resume", str(path)))

        figure, floor = await in_turn(sizes.repeat, taken_up, lambda: floors.read_journal(path))
    case = f"resume: {sizes.large:,} nodes have ended, until the next begins"
    yield Row(case, "s", figure, Target(1.2, "figure"), floor, "reading")


async def mapping(sizes: Sizes) -> Rows:
    """One node that runs once for each item of a list."""
    graph, count = mapped(sizes.large), sizes.large
    for place, run in (("in memory", _in_memory(graph)), ("SQLite, async", _async(graph))):
        per_node, floor = await in_turn(sizes.repeat, run, functools.partial(_task, count))
        figure = _scaled(per_node, len(graph.nodes) / count)
        yield Row(f"{place}: map, {count:,} items", "µs an item", figure, Target(2.5), floor, "tasks")


async def adding(sizes: Sizes) -> Rows:
    """Nodes that each add the next."""
    small, count = 1_000, sizes.nodes
    for place, limit in (("in memory", 1.4), ("SQLite, async", 2.5)):
        durability = "sync" if place == "in memory" else "async"
        run = functools.partial(_grown, count, place == "in memory", durability)
        figure, floor = await in_turn(sizes.repeat, run, functools.partial(_task, count))
        case = f"{place}: {count:,} nodes, each adding the next"
        yield Row(case, "µs a node", figure, Target(limit), floor, "tasks")
    few, many = (functools.partial(_grown, size, True, "sync") for size in (small, sizes.large))
    few_us, many_us = await in_turn(sizes.repeat, few, many)
    case = f"growth in memory: {sizes.large:,} nodes that each add the next against {small:,}"
    yield Row(case, "×", many_us.over(few_us), Target(1.75, "figure"))


async def people(sizes: Sizes) -> Rows:
    """Reviews: how long until an answer of another process is seen, and the listing of runs that wait."""
    with fresh_file() as path:
        seen = [json.loads(subject("answer", str(path)))["seen"] for _ in range(sizes.repeat)]
    case = "SQLite, sync: a review answered by another process, until its step goes on"
    yield Row(case, "s", Samples(tuple(seen)), Target(0.5, "figure"))
    with fresh_file() as path:
        weighed = json.loads(subject("waiting", str(sizes.waiting), str(path)))
    note = f"{weighed['tasks']} tasks of theirs are left, and {weighed['tenures']} runs in memory"
    case = f"SQLite, sync: listing {sizes.waiting:,} runs that wait for people"
    yield Row(case, "s", Samples(tuple(weighed["listing"])), Target(1.0, "figure"), note=note)
    case = f"SQLite, sync: answering one of {sizes.waiting:,}, until its run has ended"
    yield Row(case, "s", Samples(tuple(weighed["answering"])), Target(0.5, "figure"))


async def many_runs(sizes: Sizes) -> Rows:
    """Many small runs at once, each durable at every node."""
    graph, count = chain(3), sizes.runs
    figure, floor = await in_turn(
        sizes.repeat,
        lambda: _with_file(functools.partial(_runs_a_second, graph, count)),
        lambda: _with_file(functools.partial(_hand_runs_a_second, count)),
    )
    case = f"SQLite, sync: {count:,} concurrent runs of 3 nodes"
    yield Row(case, "runs/s", figure, Target(3000, "figure", at_least=True), floor, "by hand")


async def first_step(sizes: Sizes) -> Rows:
    """How long a run takes to begin when 100 are started each second."""
    figure, floor = await in_turn(
        sizes.repeat,
        lambda: _with_file(functools.partial(_p99_of_first_steps, sizes.paced)),
        lambda: _with_file(functools.partial(_p99_of_appends, sizes.paced)),
    )
    case = f"SQLite, sync: start to first step, p99 of {sizes.paced} at 100 runs/s"
    yield Row(case, "ms", figure, Target(50, "figure"), floor, "by hand")


async def loading(sizes: Sizes) -> Rows:
    """A graph file, with all its checks."""
    case = f"loading a YAML file of {sizes.yaml:,} nodes, 3 dependencies each"
    with fresh_file() as path:
        path.write_text(layers(10, sizes.yaml // 10).to_yaml(), "utf-8")
        figure, floor = await in_turn(sizes.repeat, lambda: _load(path), lambda: floors.parse_yaml(path))
    yield Row(case, "ms", _scaled(figure, 1e3), Target(3.0), _scaled(floor, 1e3), "parsing")


async def starting(sizes: Sizes) -> Rows:
    """Python processes from start to exit."""
    commands = [
        ("`import dagger`", ["-c", "import dagger"], 8.0),
        ("`dagger --help`", ["-c", "from dagger.cli import main; main()", "--help"], 20.0),
    ]
    for case, arguments, limit in commands:
        figure, floor = await in_turn(sizes.repeat, floors.python(*arguments), floors.python("-c", "pass"))
        yield Row(case, "ms", _scaled(figure, 1e3), Target(limit), _scaled(floor, 1e3), "bare")


CASES: dict[str, Callable[[Sizes], Rows]] = {
    "memory-store": in_memory,
    "async": sqlite_async,
    "sync": sqlite_sync,
    "serial": serial,
    "growth": growth,
    "memory": memory,
    "file": file_size,
    "resume": resume,
    "map": mapping,
    "add": adding,
    "people": people,
    "runs": many_runs,
    "start": first_step,
    "load": loading,
    "import": starting,
}
"""By the name that `--only` takes, in the order of the table."""


# -- what they are made of -----------------------------------------------------------------------------------


async def _against_tasks(case: str, graph: Graph, target: Target, repeat: int, durability: str) -> Row:
    runs = _in_memory(graph) if case.startswith("in memory") else lambda: _per_node(graph, durability=durability)
    figure, floor = await in_turn(repeat, runs, functools.partial(_task, len(graph.nodes)))
    return Row(case, "µs a node", figure, target, floor, "tasks")


async def _task(count: int) -> float:
    return await floors.gathered_tasks(count) / count * US


def _in_memory(graph: Graph) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        return await seconds_of(application("memory:", graph), graph) / len(graph.nodes) * US

    return run


async def _grown(count: int, is_memory: bool, durability: str) -> float:  # noqa: FBT001 - a place
    graph = growing(count)
    if is_memory:
        return await seconds_of(application("memory:", graph, durability=durability), graph) / count * US
    return await _per_node(graph, durability=durability) / count * len(graph.nodes)


def _async(graph: Graph) -> Callable[[], Awaitable[float]]:
    return lambda: _per_node(graph, durability="async")


async def _per_node(graph: Graph, durability: str) -> float:
    with fresh_file() as path:
        app = application(path, graph, durability=durability)
        return await seconds_of(app, graph) / len(graph.nodes) * US


async def _on_file(floor: Callable[[Path, int], Awaitable[float]], count: int) -> float:
    with fresh_file() as path:
        return await floor(path, count) / count * US


async def _with_file(contender: Callable[[Path], Awaitable[float]]) -> float:
    with fresh_file() as path:
        return await contender(path)


async def _runs_a_second(graph: Graph, count: int, path: Path) -> float:
    async with application(path, graph) as app:
        await warm_up(app)
        gc.collect()
        began = time.perf_counter()
        reports = await asyncio.gather(*[app.execute(Static(graph.name)) for _ in range(count)])
        seconds = time.perf_counter() - began
        succeeded = all(report.overall_success for report in reports)
        del reports
    assert succeeded, "a run did not succeed"
    return count / seconds


async def _hand_runs_a_second(count: int, path: Path) -> float:
    async with floors.appender(path) as by_hand:

        async def one(number: int) -> None:
            lease = by_hand.begin(f"run-{number}")
            await by_hand.durable()
            for index in range(3):
                await by_hand.append(lease, index)

        gc.collect()
        began = time.perf_counter()
        await asyncio.gather(*[one(number) for number in range(count)])
        return count / (time.perf_counter() - began)


async def _p99_of_first_steps(count: int, path: Path) -> float:
    begun: dict[int, float] = {}
    app = Dagger(path)
    app.register_action(increment)

    @app.action
    async def note(number: int) -> int:
        begun[number] = time.perf_counter()
        return number

    graph = Graph("noted")
    before = graph.add(note, number=graph.input("number"))
    for _ in range(2):
        before = graph.add(increment, value=before)
    app.add_graph(graph)

    async def one(number: int) -> float:
        began = time.perf_counter()
        run = await app.start(Static("noted"), inputs={"number": number})
        await run.wait()
        return begun[number] - began

    async with app:
        await warm_up(app)
        return _p99(await _paced(one, count)) * 1e3


async def _p99_of_appends(count: int, path: Path) -> float:
    async with floors.appender(path) as by_hand:

        async def one(number: int) -> float:
            began = time.perf_counter()
            by_hand.begin(f"run-{number}")
            await by_hand.durable()
            return time.perf_counter() - began

        return _p99(await _paced(one, count)) * 1e3


async def _paced(one: Callable[[int], Awaitable[float]], count: int) -> list[float]:
    """What each of `count` calls gives, 100 of them begun each second."""
    gc.collect()
    began, tasks = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / 100 - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one(number)))
    return await asyncio.gather(*tasks)


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[-1]


async def _load(path: Path) -> float:
    app = application("memory:")
    gc.collect()
    began = time.perf_counter()
    app.load_yaml_file(path)
    return time.perf_counter() - began


def _scaled(samples: Samples, factor: float) -> Samples:
    return Samples(tuple(value * factor for value in samples.values))


def subject(*arguments: str) -> str:
    """What subject.py prints."""
    command = [sys.executable, str(SUBJECT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
