"""The team of examples/stdlib_search in a process, to be killed: python team_run.py STORE LEDGER RUN LIBRARY.

With it is somebody who fails at whatever it hears of. What the team says in its log goes into the ledger, outside of
the journal, as the idempotency key of whoever says it; and on stdout as a `b`. At last the run's status on a line of
its own.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "stdlib_search"))

import app as library_app
import team

from dagger import Context, EventDriven, agent


class Ledger(logging.Handler):
    """Notes the key of each attempt that says something."""

    def __init__(self, path):
        super().__init__()
        self.written = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def emit(self, record):
        if hasattr(record, "attempt") and record.levelno == logging.INFO:
            os.write(self.written, f"{record.run}/{record.node}\n".encode())
            os.write(1, b"b")


@agent(name="heckler", subscribe="evaluation_results", try_count=2, on_failure="continue")
async def fail(evaluation: dict, ctx: Context):
    ctx.log.info("heckles")
    ctx.cache.append("global", "never", 1)
    raise ValueError(f"round {evaluation['round']} was not good enough")


async def main(store, ledger, run_id, library):
    logger = logging.getLogger("dagger")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(Ledger(ledger))
    asked = team.Question("shine softly in a colour", str(Path(store).parent / "work"), library)
    config = {"human_timeout_action": "autopilot", "human_wait_minutes": 0, "retry_strategy": "immediate"}
    app = library_app.app
    app.use_store(store)
    app.include(fail)
    async with app:
        for run in await app.recover():
            await run.wait()
        report = await app.execute(EventDriven("start", asked), run_id=run_id, config=config)
        os.write(1, f"\n{report.status}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
