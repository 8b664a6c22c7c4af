"""Inbox: telling a run something that this process may not execute, and what became of it."""

import asyncio

import pytest
from tests.worlds import until

from dagger import Context, InvalidState, ReviewAnswered, ReviewNotFound, Static
from dagger.core.orders import Cancel, Pause
from dagger.inbox import no_review, tell


async def asks(ctx: Context):
    """What a person says."""
    return await ctx.review("Go on?")


async def other():
    """Something else."""


def leave(world, seconds=1):
    """Leave a run behind that waits for a person, as a process that has died."""

    async def main(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(seconds)

    world.run(main, asks)


def test_whoever_tells_a_run_that_nobody_executes_sees_to_it_that_it_obeys(world):
    """It is taken over for that; what it refuses is raised to whoever ordered."""
    leave(world)

    async def main(app):
        await app.runs()
        await tell(app, "r", Pause(id="one", reason="lunch"))
        run = await app.get_run("r")
        await until(lambda: run.status == "paused")
        with pytest.raises(InvalidState, match="run 'r' is paused already"):
            await tell(app, "r", Pause(id="two"))
        await tell(app, "r", Cancel(id="three", reason="enough"))
        return (await run.wait()).error

    assert world.run(main, asks) == "RunCancelled: enough"


def test_an_order_that_needs_code_is_left_where_there_is_none(world):
    """It is durable when the call returns, and nobody has taken the run."""
    leave(world, seconds=60)

    async def main(app):
        await app.runs()
        await tell(app, "r", Pause(id="one"), requires_actions=True)
        return (await app.get_run("r")).status, app.store.wakeable(0), app.store.ownership("r")

    assert world.run(main, other) == ("waiting", ["r"], "none")


def test_why_there_is_no_review_is_told(world):
    """Answered, by whom; of a run that is over; or never asked."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        while not (found := await run.reviews()):
            await asyncio.sleep(0.01)
        assert isinstance(no_review(app.store, "r", "waiting", "x"), ReviewNotFound)
        await run.answer(found[0].id, 1, who="ann")
        await run.wait()
        assert isinstance(no_review(app.store, "r", "succeeded", "x"), InvalidState)
        told = no_review(app.store, "r", "succeeded", found[0].id)
        assert isinstance(told, ReviewAnswered)
        assert f"review {found[0].id} of run 'r' was answered by ann at 2026-01-01 00:00:0" in str(told)

    world.run(main, asks)
