"""A flow in a process of its own, to be killed: python crashing.py STORE LEDGER RUN HOLD.

Where the run's name begins with `agent` it is agent-driven.

It says on stdout `b` when an action begins and `e` when one ends; `H` when the HOLD-th beginning (from 1) of this
process stands still for ever; at last the run's status on a line of its own.
"""

import asyncio
import os
import sys

from dagger import AgentDriven, Context, Dagger, Graph, Static


def flow():
    """Four layers of steps, in the loop and in threads, with a flaky one, cache writes, and a map of a graph."""
    graph = Graph("flow", config={"retry_strategy": "immediate"})
    above = [graph.add("step", id=f"a{n}", x=n) for n in range(3)]
    flaky = graph.add("flaky", id="flaky", after=above)
    for level in "bcd":
        inputs = {f"x{n}": ref for n, ref in enumerate(above)}
        above = [graph.add("thread" if n == 1 else "step", id=f"{level}{n}", inputs=inputs) for n in range(3)]
    inner = Graph("inner")
    inner.add("thread", id="second", x=inner.add("step", id="first", x=inner.input("x")))
    listed = graph.add("numbers", id="listed", after=above)
    each = graph.add(inner, id="each", map={"reference": listed, "max_parallel": 2})
    graph.add("total", id="last", x=flaky, inputs={f"x{n}": ref for n, ref in enumerate(above)}, xs=each)
    return graph


def steps():
    """Every step of the flow whose code notes its key."""
    plain = [node.id for node in flow().nodes.values() if node.action in {"step", "flaky", "thread", "total"}]
    return [*plain, *(f"each/{n}/{name}" for n in range(4) for name in ("first", "second"))]


def application(store, ledger, hold):
    app = Dagger(store)
    written = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    begun = 0

    def began(ctx):
        nonlocal begun
        begun += 1
        os.write(written, f"{ctx.idempotency_key}\n".encode())
        os.write(1, b"b")
        return begun == hold

    def ended(ctx):
        ctx.cache.append("global", "order", ctx.idempotency_key.partition("/")[2])
        ctx.cache.add("global", "sum", 1)
        os.write(1, b"e")

    def value(ctx):
        ended(ctx)
        numbers = [n for given in ctx.inputs.values() for n in (given if isinstance(given, list) else [given])]
        return sum(numbers) % 1_000 + 1

    @app.action
    async def numbers() -> list:
        return list(range(4))

    @app.action
    async def step(ctx: Context):
        if began(ctx):
            os.write(1, b"H")
            await asyncio.Event().wait()
        await asyncio.sleep(0.002)
        return value(ctx)

    @app.action
    async def total(ctx: Context):
        began(ctx)
        return value(ctx)

    @app.action
    async def flaky(ctx: Context):
        began(ctx)
        await asyncio.sleep(0)
        if ctx.attempt < 3:
            raise ConnectionError(f"attempt {ctx.attempt}")
        return value(ctx)

    @app.action
    def thread(ctx: Context):
        began(ctx)
        return value(ctx)

    add_supervisor(app, began, ended)
    app.add_graph(flow())
    return app


def add_supervisor(app, began, ended):
    """Five turns of two searches that feed the next."""

    @app.action
    async def search(ctx: Context, word: str) -> str:
        began(ctx)
        await asyncio.sleep(0.002)
        ended(ctx)
        return word.upper()

    @app.action
    async def supervise(ctx: Context, task: str):
        began(ctx)
        found = [ctx.cache.get(name, "output") for name in ctx.outcomes]
        turn = ctx.node.iteration.number
        if turn == 5:
            ctx.finish(found)
        else:
            for word in ("left", "right"):
                ctx.add_node(search, inputs={"word": f"{task} {word} {len(''.join(found))}"})
        await asyncio.sleep(0.002)
        ended(ctx)


async def main(store, ledger, run_id, hold):
    async with application(store, ledger, hold) as app:
        for run in await app.recover():
            await run.wait()
        spec = AgentDriven("t", supervisor="supervise") if run_id.startswith("agent") else Static("flow")
        report = await app.execute(spec, run_id=run_id)
        os.write(1, f"\n{report.status} {report.error or ''}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
