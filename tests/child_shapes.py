"""The corpus goes on: child flows that code executes, ended and dropped, and questions that nobody answers."""

import asyncio

from tests import flow_shapes  # noqa: F401 - the flows here call its actions
from tests.shapes import ACTIONS, shape

from dagger import Context, Graph, Static


def actions(app, ledger):
    """Register what the shapes here call besides the corpus' actions."""

    @app.action
    async def calls(ctx: Context, flow: str, x: int = 1, tries: int = 1) -> list:
        """What became of a flow; it fails at first, after having seen it."""
        found = await ctx.execute(Static(flow), inputs={"x": x})
        ledger.began(ctx)
        ledger.ended(ctx)
        if ctx.attempt < tries:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return [found.status, found.outputs, found.error, found.result]

    @app.action
    async def calls_two(ctx: Context, flow: str) -> list:
        """What became of two flows at once."""
        flows = [ctx.execute(Static(flow), inputs={"x": x}, key=f"number {x}/2") for x in (1, 2)]
        return [found.outputs for found in await asyncio.gather(*flows)]

    @app.action
    async def leaves(ctx: Context, flow: str) -> int:
        """It begins a flow, and does not wait for its end."""
        begun = asyncio.create_task(ctx.execute(Static(flow), inputs={"x": 1}))
        await asyncio.wait({begun, asyncio.create_task(ctx.sleep(10))}, return_when="FIRST_COMPLETED")
        return 1

    @app.action
    async def wonders(ctx: Context, x: int) -> int:
        """It asks, and nobody answers."""
        await ctx.memo("once", lambda: x)
        return 1 if await ctx.review(f"{x}?", wait_minutes=0.05) is None else 0


ACTIONS.append(actions)
AUTOPILOT = {"human_timeout_action": "autopilot"}


def row(name, *called, config=None, **fields):
    """A graph of steps in a row."""
    graph = Graph(name, config={"retry_strategy": {"linear": {"delay_secs": 30}}, **(config or {})})
    last = graph.input("x")
    for number, action in enumerate(called):
        last = graph.add(action, id=f"f{number}", x=last, **fields)
    return graph


def calling(name):
    """A graph whose step executes another that executes a third."""
    graph = Graph(name)
    graph.add("calls", id="caller", flow="deeper", x=graph.input("x"))
    return graph


def deeper():
    graph = Graph("deeper")
    graph.add("calls", id="inner", flow="sum_two", x=graph.input("x"), tries=2)
    return graph


@shape()
def child_flows(graph):
    graph.add("calls", id="plain", flow="sum_two", x=3)
    graph.add("calls", id="retried", flow="sum_two", tries=3)
    graph.add("calls_two", id="both", flow="sum_two")
    listed = graph.add("numbers", id="listed", count=3)
    graph.add("calls", id="each", map={"reference": listed, "max_parallel": 2}, flow="sum_two", x=graph.item)
    graph.add(calling("calling"), id="nested", x=2)


@shape()
def child_failing(graph):
    graph.add("calls", id="seen", flow="half_bad")


@shape("paused")
def child_stuck(graph):
    graph.add("work", id="after", x=graph.add("calls", id="stuck", flow="bad"))
    graph.add("nap", id="other", seconds=100)


@shape("failed", is_steady=False)
def child_stopping(graph):
    graph.add("calls", id="lost", flow="hard_bad")
    graph.add("nap", id="other", seconds=100)


@shape()
def child_dropped(graph):
    for name in ("slow", "half_bad", "asking_flow", "deeper", "bad", "maps_inside"):
        graph.add("leaves", id=f"leaves_{name}", flow=name)
    graph.add("nap", id="after", seconds=200)


@shape()
def questions(graph):
    listed = graph.add("numbers", id="listed", count=2)
    graph.add(row("asking", "wonders", config=AUTOPILOT), id="each", map=listed, x=graph.item)
    graph.add("calls", id="code", flow="asking_flow", x=7)


def register(app, ledger):
    """The graphs that code executes."""
    maps = Graph("maps_inside")
    listed = maps.add("numbers", id="listed", count=4)
    maps.add("nap", id="each", map={"reference": listed, "max_parallel": 1}, x=maps.item, seconds=300)
    for graph in (
        row("sum_two", "work", "nap"),
        row("slow", "nap", "work", "wonders"),
        row("half_bad", "work", "boom", "work", config={"on_failure": "continue"}),
        row("bad", "boom", try_count=1, on_failure="pause"),
        row("hard_bad", "boom", config={"on_failure": "stop"}),
        row("asking_flow", "wonders", config=AUTOPILOT),
        deeper(),
        maps,
    ):
        app.add_graph(graph)


ACTIONS.append(register)
