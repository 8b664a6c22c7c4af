"""A flow in a process of its own that kills itself: python dying.py STORE KILLS.

Each of the steps `first` and `second` kills its process KILLS times: the file STORE.kills counts them.
A paused run is resumed, another one started or continued. It says on stdout what becomes of it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from dagger import Context, Dagger, Graph, Static


def application(store, kills, **options):
    app = Dagger(store, **options)
    ledger = Path(f"{store}.kills")

    @app.action
    async def steady(ctx: Context):
        return 1

    @app.action
    async def doomed(ctx: Context):
        await asyncio.sleep(0)
        written = ledger.read_text() if ledger.exists() else ""
        if written.split().count(ctx.node.id) < kills:
            ledger.write_text(f"{written}{ctx.node.id}\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return 2

    graph = Graph("doomed")
    first = graph.add(doomed, id="first", after=[graph.add(steady, id="before")])
    graph.add(doomed, id="second", after=[first])
    app.add_graph(graph)
    return app


async def main(store, kills):
    async with application(store, kills) as app:
        is_paused = bool(await app.runs("paused"))
        run = await (app.resume("r") if is_paused else app.start(Static("doomed"), run_id="r"))
        report = await run.wait()
        print(report.status, run.reason)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
