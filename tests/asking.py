"""A flow in a process of its own that asks a person, to be killed while it waits: python asking.py STORE LEDGER.

It says `asked` on stdout as soon as the review is open. Each memo's function notes its name in the ledger.
"""

import asyncio
import sys
from pathlib import Path

from dagger import Context, Dagger, Graph, Static


def application(store, ledger):
    app = Dagger(store)

    def note(name):
        with Path(ledger).open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return name

    @app.action
    async def asks(ctx: Context):
        first = await ctx.memo("first", note, "first")
        answer = await ctx.review("Go on?")
        return [first, answer, await ctx.memo("second", note, "second")]

    graph = Graph("g")
    graph.add(asks)
    app.add_graph(graph)
    return app


async def main(store, ledger):
    async with application(store, ledger) as app:
        run = await app.start(Static("g"), run_id="r")
        while not await run.reviews():
            await asyncio.sleep(0.01)
        print("asked", flush=True)
        await run.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
