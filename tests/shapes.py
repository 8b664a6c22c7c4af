"""The corpus: graph shapes that properties of every run are checked on. A new shape is one function."""

import asyncio
import dataclasses
import threading
from collections import Counter

from dagger import Context, Dagger, Graph, Static, WorkflowSpec

SHAPES = {}
"""By name."""
ACTIONS = []
"""What registers more actions, of an application and a ledger."""
AGENTS = {}
"""By a shape's name: likewise, the agents that its runs have; they would be in the journals of all."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """A graph, and what is known of its runs."""

    name: str
    spec: WorkflowSpec
    graph: Graph | None = None
    """Of a static one."""
    status: str = "succeeded"
    is_steady: bool = True
    """Whether the outcomes do not depend on which of several steps is faster."""
    config: dict = dataclasses.field(default_factory=dict)
    """What its runs are started with."""

    @property
    def dependencies(self):
        return {node.id: node.dependencies for node in self.graph.nodes.values()} if self.graph else {}


def shape(status="succeeded", *, is_steady=True):
    def register(function):
        graph = Graph(function.__name__, config={"retry_strategy": {"linear": {"delay_secs": 30}}})
        built = function(graph) or graph
        name = function.__name__
        SHAPES[name] = Shape(name, Static(name), built, status, is_steady)
        return function

    return register


class Ledger:
    """What user code saw, written from the loop and from threads."""

    def __init__(self):
        self.lines = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def began(self, ctx):
        with self._lock:
            self.lines.append(("began", step_of(ctx), ctx.attempt))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def ended(self, ctx):
        with self._lock:
            self.lines.append(("ended", step_of(ctx), ctx.attempt))
            self._now -= 1

    def count(self, word):
        return Counter(step for what, step, _ in self.lines if what == word)


def step_of(ctx):
    return ctx.idempotency_key.removeprefix(f"{ctx.run_id}/")


def total(values):
    """One number of whatever the inputs are: equal inputs, equal number."""
    match values:
        case bool() | None:
            return 0
        case int() | float():
            return values
        case str():
            return len(values)
        case dict():
            return sum(total(value) for value in values.values())
        case _:
            return sum(total(value) for value in values)


def application(store, ledger=None, shape="", **options):
    """An application with the corpus' actions and graphs, and one shape's agents."""
    app = Dagger(store, **options)
    ledger = ledger or Ledger()

    @app.action
    async def work(ctx: Context) -> int:
        """The inputs' total and one more; it never suspends."""
        ledger.began(ctx)
        ledger.ended(ctx)
        return total(ctx.inputs) + 1

    @app.action
    async def nap(ctx: Context, seconds: float = 60) -> float:
        """As `work`, after a sleep."""
        ledger.began(ctx)
        try:
            await asyncio.sleep(seconds)
        finally:
            ledger.ended(ctx)
        return total(ctx.inputs) + 1

    @app.action
    def thread(ctx: Context) -> int:
        """As `work`, in a thread."""
        ledger.began(ctx)
        ledger.ended(ctx)
        return total(ctx.inputs) + 1

    @app.action
    async def flaky(ctx: Context, failures: int = 2) -> int:
        """It fails so many times before it does as `work`."""
        ledger.began(ctx)
        ledger.ended(ctx)
        if ctx.attempt <= failures:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return total(ctx.inputs) + 1

    @app.action
    async def boom(ctx: Context) -> None:
        """It always fails."""
        ledger.began(ctx)
        ledger.ended(ctx)
        raise ValueError("no")

    @app.action
    async def page(ctx: Context) -> dict:
        """Two outputs of nested values."""
        ledger.began(ctx)
        ledger.ended(ctx)
        return {"page": {"items": [{"title": 'a "b" c', "size": 1.5}, {"title": "ü", "size": 2}]}, "n": 2}

    @app.action
    async def write(ctx: Context) -> int:
        """It writes to the cache in every way, and gives the run a result."""
        ledger.began(ctx)
        ctx.cache.append("global", "order", ctx.node.id)
        ctx.cache.add("global", "sum", 1)
        ctx.cache.set(ctx.node.id + "-notes", "seen", [ctx.attempt])
        ctx.finish(ctx.node.id)
        ctx.spend_tokens(3)
        ledger.ended(ctx)
        return ctx.cache.get("global", "sum") and 1

    for register in (*ACTIONS, *AGENTS.get(shape, ())):
        register(app, ledger)
    for each in SHAPES.values():
        if each.graph is not None:
            app.add_graph(each.graph)
    return app


@shape()
def single(graph):
    graph.add("work", id="only", x=41)


@shape()
def chain(graph):
    last = 0
    for number in range(6):
        last = graph.add("work", id=f"n{number}", x=last)


@shape()
def fan(graph):
    first = graph.add("work", id="first", x=1)
    for number in range(12):
        graph.add("work", id=f"leaf{number}", x=first, y=number)


@shape()
def diamond(graph):
    top = graph.add("work", id="top", x=3)
    left, right = graph.add("nap", id="left", x=top), graph.add("nap", id="right", x=top, seconds=30)
    graph.add("work", id="bottom", a=left, b=right)


@shape()
def layers(graph):
    above = [graph.add("work", id=f"l0_{n}", x=n) for n in range(3)]
    for level in range(1, 4):
        inputs = {f"x{number}": ref for number, ref in enumerate(above)}
        above = [graph.add("nap" if n == level - 1 else "work", id=f"l{level}_{n}", inputs=inputs) for n in range(3)]


@shape()
def disconnected(graph):
    for number in range(3):
        graph.add("work", id=f"b{number}", x=graph.add("nap", id=f"a{number}", seconds=10 * number))


@shape("failed")
def failing_continue(graph):
    bad = graph.add("boom", id="bad", on_failure="continue", try_count=2)
    lost = graph.add("work", id="lost", x=bad)
    graph.add("work", id="lost_too", x=lost)
    good = graph.add("work", id="good", x=1)
    graph.add("work", id="half", x=good, y=bad)


@shape("paused")
def failing_pause(graph):
    good = graph.add("work", id="good", x=1)
    bad = graph.add("boom", id="bad", on_failure="pause", x=good, try_count=2)
    graph.add("work", id="pending", x=bad)
    graph.add("nap", id="other", x=good)


@shape("failed", is_steady=False)
def failing_stop(graph):
    graph.add("nap", id="long", seconds=1000)
    bad = graph.add("boom", id="bad", on_failure="stop", try_count=2)
    graph.add("work", id="never", x=bad)


@shape()
def flaky(graph):
    first = graph.add("flaky", id="first", failures=2)
    second = graph.add("flaky", id="second", x=first, failures=1)
    graph.add("work", id="third", x=second)


@shape()
def long(graph):
    for number in range(4):
        graph.add("nap", id=f"long{number}", seconds=300 * (number + 1))


@shape()
def threads(graph):
    first = graph.add("thread", id="first", x=1)
    graph.add("thread", id="joined", a=graph.add("thread", id="a", x=first), b=graph.add("thread", id="b", x=first))


@shape("failed")
def run_when_finished(graph):
    bad = graph.add("boom", id="bad", on_failure="continue", try_count=1)
    lost = graph.add("work", id="lost", x=bad)
    tidy = graph.add("work", id="tidy", after=[lost, bad], run_when="finished", x=5)
    graph.add("work", id="last", x=tidy)


@shape()
def priorities(graph):
    for number in range(8):
        graph.add("work", id=f"n{number}", priority=number % 3 - 1, x=number)


@shape()
def wide_join(graph):
    parts = {f"p{number}": graph.add("nap", id=f"part{number}", seconds=number % 5 + 1) for number in range(40)}
    graph.add("work", id="join", inputs=parts)


@shape()
def nested(graph):
    fetch = graph.add("page", id="fetch", outputs=["page", "n"])
    title = graph.add("work", id="title", x=fetch["page"]["items"][0]["title"])
    graph.add("work", id="whole", x=fetch["page"], y=graph.input("given")["deep"][1], z=title)
    graph.add("work", id="both", x=fetch)


@shape()
def effects(graph):
    before = graph.add("write", id="w0")
    for number in range(1, 4):
        graph.add("write", id=f"w{number}", after=[before])


@shape("failed")
def mixed(graph):
    first = graph.add("flaky", id="first", failures=1)
    naps = [graph.add("nap", id=f"nap{n}", x=first, seconds=n + 1, priority=n) for n in range(3)]
    bad = graph.add("boom", id="bad", on_failure="continue", x=first, try_count=3)
    aside = graph.add("thread", id="aside", x=naps[0])
    graph.add("work", id="lost", x=bad, y=aside)
    graph.add("write", id="tidy", after=[bad, *naps], run_when="finished", x=first)


INPUTS = {"nested": {"given": {"deep": [0, {"n": 4, "text": '<&">\n😀'}]}}}
"""The run inputs of the shapes that need some."""
