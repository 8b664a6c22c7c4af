"""The corpus goes on: child flows, conditions, failure actions, waits, reuse."""

from tests.shapes import ACTIONS, INPUTS, shape

from dagger import Context, Graph


def actions(app, ledger):
    """Register what the shapes here call besides the corpus' actions."""

    @app.action
    async def numbers(count: int) -> list:
        """A list to map over."""
        return list(range(count))

    @app.action
    async def picky(ctx: Context, x: int) -> int:
        """As `work`, of even numbers; it fails for odd ones."""
        ledger.began(ctx)
        ledger.ended(ctx)
        if x % 2:
            raise ValueError(f"{x} is odd")
        return x + 1

    @app.action
    async def mend(ctx: Context, error: str) -> None:
        """A failure action that recovers."""
        ledger.began(ctx)
        ctx.recover({"output": len(error)})
        ledger.ended(ctx)

    @app.action
    async def look(error: str) -> str:
        """A failure action that does not."""
        return error

    @app.action
    async def doze(ctx: Context, x: int) -> int:
        """As `work`, with waits."""
        first = await ctx.memo("first", lambda: x)
        await ctx.sleep(first + 1)
        ledger.began(ctx)
        ledger.ended(ctx)
        return first + 1

    @app.action
    async def done(ctx: Context, x: int) -> None:
        """It finishes its flow."""
        ledger.began(ctx)
        ctx.finish({"total": x, "more": [x]})
        ledger.ended(ctx)

    @app.action(cache=True)
    async def costly(ctx: Context, x: int) -> int:
        """As `work`, and not done twice."""
        ledger.began(ctx)
        ledger.ended(ctx)
        return x + 1


ACTIONS.append(actions)
INPUTS["conditions"] = {"wanted": False}


def pair(name, *, on_failure=None, first="work", second="work"):
    """A graph of two steps."""
    graph = Graph(name)
    given = graph.add(first, id="first", x=graph.input("x"), on_failure=on_failure)
    graph.add(second, id="second", x=given)
    return graph


@shape()
def maps(graph):
    listed = graph.add("numbers", id="listed", count=4)
    each = graph.add("nap", id="each", map=listed, x=graph.item, seconds=2)
    graph.add("work", id="sum", x=graph.add("work", id="few", map={"reference": each, "max_parallel": 2}, x=graph.item))
    empty = graph.add("work", id="empty", map=graph.add("numbers", id="none", count=0), x=graph.item)
    graph.add("work", id="after", x=empty)


@shape()
def graphs(graph):
    outer = Graph("outer")
    inner = outer.add(pair("inner", first="nap"), id="inner", x=outer.input("x"))
    outer.add("work", id="left", x=inner)
    outer.add("work", id="right", x=inner)
    flow = graph.add(outer, id="flow", x=1, outputs=["right"])
    graph.add("work", id="last", x=flow["right"])


@shape()
def maps_of_graphs(graph):
    rows = Graph("rows")
    listed = rows.add("numbers", id="listed", count=rows.input("n"))
    rows.add(pair("cell"), id="cells", map=listed, x=rows.item)
    limited = {"reference": graph.add("numbers", id="listed", count=3), "max_parallel": 1}
    graph.add("work", id="sum", x=graph.add(rows, id="rows", map=limited))


@shape()
def conditions(graph):
    seven = graph.add("work", id="seven", x=6)
    graph.add("work", id="yes", x=graph.add("work", id="more", x=seven, when={"reference": seven, "gt": 6}))
    no = graph.add("work", id="no", x=seven, when={"reference": seven, "lt": 6})
    graph.add("work", id="lost", x=no)
    graph.add("work", id="tidy", after=[no, "lost"], run_when="finished", x=seven)
    graph.add(pair("unwanted"), id="flow", x=1, when={"reference": seven, "in": [1, 2]})
    graph.add(
        "work", id="each", map=graph.add("numbers", id="listed", count=2), when=graph.input("wanted"), x=graph.item
    )


@shape()
def recovered(graph):
    bad = graph.add("boom", id="bad", failure="mend", try_count=2)
    graph.add("work", id="after", x=bad)
    each = graph.add("picky", id="each", map=graph.add("numbers", id="listed", count=4), failure="mend", try_count=1)
    graph.add("work", id="sum", x=each)
    flow = graph.add(pair("frail", first="boom", on_failure="continue"), id="flow", x=1, failure="mend")
    graph.add("work", id="last", x=flow)


@shape("failed")
def unrecovered(graph):
    for name, action in (("seen", "look"), ("worse", "boom")):
        bad = graph.add("boom", id=name, failure=action, on_failure="continue", try_count=1)
        graph.add("work", id=f"{name}_lost", x=bad)


@shape("failed", is_steady=False)
def unrecovered_stop(graph):
    bad = graph.add("boom", id="bad", failure="look", on_failure="stop", try_count=1)
    graph.add("work", id="lost", x=bad)
    graph.add("doze", id="asleep", x=4)


@shape("paused")
def unrecovered_pause(graph):
    graph.add("work", id="lost", x=graph.add("boom", id="bad", failure="boom", on_failure="pause", try_count=1))


@shape("failed")
def failing_items(graph):
    listed = graph.add("numbers", id="listed", count=4)
    graph.add("work", id="lost", x=graph.add("picky", id="each", map=listed, on_failure="continue", try_count=2))
    flows = graph.add(
        pair("brittle", first="picky", on_failure="continue"), id="flows", map=listed, on_failure="continue"
    )
    graph.add("work", id="tidy", after=[flows], run_when="finished", x=1)


@shape("paused")
def stuck_items(graph):
    listed = graph.add("numbers", id="listed", count=4)
    each = graph.add("picky", id="each", map=listed, on_failure="pause", try_count=1)
    graph.add("work", id="pending", x=each)
    graph.add(pair("fragile", first="picky", on_failure="continue"), id="flows", map=listed, on_failure="pause")


@shape("failed", is_steady=False)
def stopping_item(graph):
    listed = graph.add("numbers", id="listed", count=4)
    graph.add(pair("hard", first="picky", on_failure="stop"), id="flows", map=listed)


@shape()
def waits(graph):
    listed = graph.add("numbers", id="listed", count=3)
    graph.add("work", id="sum", x=graph.add("doze", id="each", map={"reference": listed, "max_parallel": 1}))


@shape()
def finished_flow(graph):
    flow = graph.add(pair("early", first="done"), id="flow", x=5, outputs=["total"])
    graph.add("work", id="after", x=flow["total"])


@shape(is_steady=False)
def reuse(graph):
    listed = graph.add("numbers", id="listed", count=3)
    graph.add("work", id="sum", x=graph.add("costly", id="each", map=listed))
    graph.add("costly", id="once", x=7)
