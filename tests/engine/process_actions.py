"""Actions for processes, which import them by name; and how to run them."""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from dagger import Context, Dagger, Graph, Static, action


def execute(build, *, store="memory:", clock=None, config=None, actions=(), **options):
    """The report of a run of the graph that `build` fills; and the run's cache."""
    app = Dagger(store, clock=clock, config={"retry_strategy": "immediate", "on_failure": "continue", **(config or {})})
    app.include(sys.modules[__name__], *actions)
    graph = Graph("g")
    build(graph)
    app.add_graph(graph)

    async def main():
        async with app:
            report = await app.execute(Static("g"), run_id="r", **options)
            report.load()
            return report, (await app.get_run("r")).cache

    return clock.run(main()) if clock else asyncio.run(main())


def outcome(act, *, store="memory:", actions=(), **node):
    """The outcome of a graph of one node."""
    report, _ = execute(lambda graph: graph.add(act, id="n", **node), store=store, actions=actions)
    return report.node_outcomes["n"]


def wait_until(condition):
    """Wait for what another process does."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.005)


def is_gone(pid):
    """Whether a process runs no more; what nobody has asked after stays on as a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@action(runs_in="process")
def pid(after: object = None) -> int:
    """Which process it is."""
    return os.getpid()


@action(runs_in="process")
def echo(x: object) -> object:
    return x


@action(runs_in="process")
def loop(ctx: Context, attempts: int = 1) -> int:
    """It never ends, in so many attempts."""
    while ctx.attempt <= attempts:
        pass
    return ctx.attempt


@action(runs_in="process")
def leave_word(folder: str) -> None:
    """Write down its own and its child's process id, and go on for ever."""
    child = subprocess.Popen(["sleep", "3600"])
    Path(folder, "parts").write_text(f"{os.getpid()} {child.pid}")
    Path(folder, "parts").rename(Path(folder, "pids"))
    while True:
        time.sleep(3600)


@action(runs_in="process")
def exit_at_once(ctx: Context, attempts: int = 1, code: int = 1) -> int:
    if ctx.attempt <= attempts:
        os._exit(code)
    return ctx.attempt


@action(runs_in="process")
def fork_and_die() -> None:
    if not os.fork():
        time.sleep(3600)
    os._exit(5)


@action(runs_in="process")
def end_by(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])


@action(runs_in="process")
def segfault(ctx: Context) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctx.attempt == 1:
        ctypes.string_at(0)
    return ctx.attempt


@action(runs_in="process")
def ignore_interrupt() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


@action(runs_in="process")
def meet(folder: str, name: str) -> int:
    """It ends only when the other one is there too."""
    Path(folder, name).touch()
    wait_until(lambda: len(list(Path(folder).iterdir())) == 2)
    return os.getpid()


@action(runs_in="process")
def memo_then_die(ctx: Context, file: str) -> str:
    def once(word):
        with Path(file).open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        return word + "!"

    found = ctx.memo("paid", once, "yes")
    if ctx.attempt < 3:
        os._exit(7)
    return found


@action(runs_in="process")
def write_then_die(ctx: Context) -> None:
    ctx.cache.append("global", "list", ctx.attempt)
    ctx.spend_tokens(5)
    if ctx.attempt == 1:
        ctx.cache.set("global", "seen", "no")
        os._exit(1)


class Odd(Exception):
    """The parent might not have it."""


@action(runs_in="process")
def fail(kind: str) -> None:
    if kind == "odd":
        raise Odd("only here \ud800")
    if kind == "exit":
        sys.exit(3)
    if kind == "memory":
        raise MemoryError
    if kind == "memory eaten":
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        bytearray(1 << 40)
    raise KeyboardInterrupt


@action(runs_in="process")
def give(kind: str) -> object:
    """What cannot be encoded."""
    return {"nan": float("nan"), "object": object(), "key": {1: 2}}[kind]


@action(runs_in="process")
def number(x: int) -> int:
    return x


@action(runs_in="process")
def say(ctx: Context) -> None:
    """To everyone who listens."""
    ctx.log.info("%d of %s", 1, "two", extra={"size": 3, "what": object})
    try:
        raise Odd("shown")
    except Odd:
        ctx.log.exception("it failed")
    ctx.log.debug("nobody wants to know")
    logging.getLogger("other").warning("goes to stderr")
    print("on stdout")
    ctx.progress(0.5, "half")
    ctx.emit({"a": [1]})


def _look(ctx, x, y):
    seen = {}
    seen["who"] = [ctx.run_id, ctx.graph, ctx.node.id, ctx.attempt, ctx.idempotency_key, ctx.deadline.isoformat()]
    seen["inputs"] = [x, y, ctx.inputs, [(entry.name, entry.reference) for entry in ctx.node.inputs]]
    seen["outcomes"] = dict(ctx.outcomes)
    seen["cache"] = _write_and_read(ctx.cache)
    seen["errors"] = list(_errors(ctx))
    seen["memo"] = [ctx.memo("a", lambda: None), ctx.memo("b", dict, [("k", "x" * 100_000)])]
    ctx.finish(ctx.node.id)
    ctx.spend_tokens(3)
    return {"seen": seen}


def _write_and_read(cache):
    cache.append("global", "list", "new")
    cache.append("global", "list", "again")
    cache.add("global", "sum", 1)
    cache.delete("global", "gone")
    cache.set("mine", "large", "x" * 100_000)
    cache.set("mine", "blob", {"$blob": "no reference", "size": 1})
    return [
        cache.get("global", "list"),
        cache.get("global", "sum"),
        cache.get("global", "gone", None),
        cache.get("other", "large", None),
        cache.get("nowhere", "k", "default"),
        cache.node("inputs"),
        cache.keys("global"),
        sorted(cache),
        "nowhere" in cache,
        len(cache.to_json()),
    ]


def _errors(ctx):
    for call in (
        lambda: ctx.cache.get("global", "lisd"),
        lambda: ctx.cache.set("inputs", "a", 1),
        lambda: ctx.cache.add("global", "list", 1),
        lambda: ctx.finish(float("nan")),
        lambda: ctx.spend_tokens(-1),
        lambda: ctx.recover({}),
        lambda: ctx.progress(2),
        lambda: [ctx.memo("twice", dict), ctx.memo("twice", dict)],
        lambda: asyncio.run(ctx.sleep(1)),
    ):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - they are compared
            yield f"{type(error).__name__}: {error}"


@action(runs_in="process")
def look_from_process(ctx: Context, x: object, y: object) -> dict:
    return _look(ctx, x, y)


@action(runs_in="thread")
def look_from_thread(ctx: Context, x: object, y: object) -> dict:
    return _look(ctx, x, y)


@action(runs_in="process")
def recover(ctx: Context, error: str) -> None:
    ctx.recover({"output": [error, ctx.outcomes, sorted(ctx.inputs)]})


@action(runs_in="process")
def inside(ctx: Context, x: int) -> list:
    """What a step of a child flow sees."""
    ctx.cache.append("global", "steps", ctx.idempotency_key)
    return [x, ctx.inputs, ctx.cache.node("inputs"), ctx.cache.get("first", "output", None)]


@action(runs_in="thread")
def inside_thread(ctx: Context, x: int) -> list:
    ctx.cache.append("global", "steps", ctx.idempotency_key)
    return [x, ctx.inputs, ctx.cache.node("inputs"), ctx.cache.get("first", "output", None)]


@action(runs_in="process")
async def memo_with_await(ctx: Context) -> list:
    async def once():
        await asyncio.sleep(0)
        return [1, 2]

    return [await ctx.memo("k", once), type(asyncio.current_task()).__name__]


@action(runs_in="process")
async def sleep(ctx: Context) -> None:
    await ctx.sleep(1)


@action(runs_in="process")
def grow(ctx: Context, grown: dict) -> str:
    """It adds a node."""
    return ctx.add_node(**grown)


@action(runs_in="process")
def supervise(ctx: Context) -> None:
    """A supervisor of three iterations."""
    number = ctx.cache.get("global", "iteration")
    ctx.cache.append("global", "seen", [number, sorted(outcome.status for outcome in ctx.outcomes.values())])
    if number == 3:
        ctx.finish(number)
    else:
        ctx.add_node("noted")


@action(runs_in="process")
def look_around(ctx: Context) -> list:
    return list(ctx.action_schemas)


@action(runs_in="process")
def publishes(ctx: Context) -> None:
    """It publishes three messages, one of them large."""
    for number, text in enumerate(("", "x" * 100_000, "")):
        ctx.publish("out", {"n": number, "text": text})


@action(runs_in="process")
def publishes_what_nobody_takes(ctx: Context) -> None:
    """Its parent knows the schema."""
    ctx.publish("out", {"n": "no number"})
