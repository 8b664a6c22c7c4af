"""What one run may use up: its time, and its tokens, spent or held; on both stores."""

import asyncio

import pytest
from tests import supervised
from tests.supervised import executed

from dagger import Context, Graph, Static, StepError


def execute(world, *actions, config, **options):
    """What a run of a node for each action comes to."""
    graph = Graph("g")

    def main(app):
        for act in actions:
            graph.add(act, id=act.__name__, **options)
        app.add_graph(graph)
        return executed(app, Static("g"))

    return supervised.run(world, main, *actions, config=config)


def spender(name, *counts, holds=(), seconds=1):
    """An action that holds tokens, and spends some after each second."""

    async def spend(ctx: Context):
        for count in holds:
            await ctx.reserve_tokens(count)
        for count in counts:
            await asyncio.sleep(seconds)
            ctx.spend_tokens(count)

    spend.__name__ = name
    return spend


@pytest.mark.parametrize(("policy", "status"), [("pause", "paused"), ("continue", "failed"), ("stop", "failed")])
def test_a_run_ends_when_its_time_is_used_up(policy, status, world):
    """To the second, by the policy, and named with its value."""

    async def slow(ctx: Context):
        await asyncio.sleep(100)

    found = execute(world, slow, config={"timeout_seconds": 30, "on_failure": policy})

    assert (found.report.status, world.clock.passed_seconds) == (status, pytest.approx(30, abs=0.1))
    limit = next(event for event in found.events if type(event).__name__ == "LimitReached")
    assert (limit.limit, limit.value) == ("timeout_seconds", 30)
    assert found.report.error == "RunTimedOut: timeout_seconds of 30 used up"


def test_time_that_a_run_waits_is_not_its_own(world):
    """Its clock stands still while only waits are open."""

    async def patient(ctx: Context):
        await ctx.sleep(3600)

    assert execute(world, patient, config={"timeout_seconds": 30}).report.status == "succeeded"


def test_tokens_count_at_once_and_to_the_last(world):
    """The limit is what may be spent: one more ends the run, whatever becomes of the attempt."""
    exact = execute(world, spender("a", 5, 5), config={"max_tokens": 10, "on_failure": "stop"})
    assert (exact.report.status, exact.report.tokens) == ("succeeded", 10)


def test_one_token_more_is_too_many(world):
    """The attempt is cut off there."""
    over = execute(world, spender("a", 5, 6, 100), config={"max_tokens": 10, "on_failure": "stop"})

    assert (over.report.status, over.report.tokens) == ("failed", 11)
    assert over.report.error == "TokenLimitReached: max_tokens of 10 used up"
    assert over.statuses == {"a": "cancelled"}


def test_tokens_that_are_held_count_as_spent_for_others(world):
    """Who holds what is left lets nobody else begin a call: the run's limit is reached before the call."""
    found = execute(
        world, spender("a", 6, holds=[6]), spender("b", 6, holds=[5]), config={"max_tokens": 10, "on_failure": "stop"}
    )

    assert (found.report.status, found.report.tokens) == ("failed", 0)
    assert found.report.error == "TokenLimitReached: max_tokens of 10 used up"


def test_what_is_spent_is_held_no_more_and_the_rest_is_given_back(world):
    """A call that cost less than was held for it leaves the rest to whoever comes next."""
    graph = Graph("g")
    first, second = spender("first", 2, holds=[8]), spender("second", 8, holds=[8])

    def main(app):
        graph.add(second, id="second", after=[graph.add(first, id="first")])
        app.add_graph(graph)
        return executed(app, Static("g"))

    found = supervised.run(world, main, first, second, config={"max_tokens": 10, "on_failure": "stop"})

    assert (found.report.status, found.report.tokens) == ("succeeded", 10)


def test_who_holds_again_holds_that_instead(world):
    """A second call of the same attempt takes the place of the first, not of what is left beside it."""
    found = execute(world, spender("a", 8, holds=[6, 4, 8]), config={"max_tokens": 8, "on_failure": "stop"})
    assert (found.report.status, found.report.tokens) == ("succeeded", 8)


def test_who_fails_or_is_dropped_holds_nothing(world):
    """What an attempt held is free for the next one, and what was held in a child flow that is given up."""

    async def fails(ctx: Context):
        await ctx.reserve_tokens(8)
        await asyncio.sleep(1)
        if ctx.attempt == 1:
            raise ConnectionError("once")

    async def leaves(ctx: Context):
        await asyncio.wait({asyncio.create_task(ctx.execute(Static("child")))}, timeout=60)

    async def holds(ctx: Context):
        await ctx.reserve_tokens(8)
        await asyncio.sleep(600)

    def main(app):
        child, graph = Graph("child"), Graph("g")
        child.add(holds)
        left = graph.add(leaves, after=[graph.add(fails)])
        graph.add(spend, after=[left])
        app.add_graph(child)
        app.add_graph(graph)
        return executed(app, Static("g"))

    spend = spender("spend", 8, holds=[8])
    config = {"max_tokens": 8, "on_failure": "stop", "max_attempts": 2}
    found = supervised.run(world, main, fails, leaves, holds, spend, config=config)
    assert (found.report.status, found.report.error) == ("succeeded", None)


def test_a_paused_run_goes_on_with_a_higher_limit(world):
    """The step that was cut off at its reserve begins anew, and what was spent stays spent."""

    async def main(app):
        graph = Graph("g")
        graph.add(act, id="a")
        app.add_graph(graph)
        run = await app.start(Static("g"), run_id="r")
        first = await run.wait()
        return first, await (await run.resume(config={"max_tokens": 30})).wait()

    act = spender("a", 5, 6, 1)
    first, report = supervised.run(world, main, act, config={"max_tokens": 10})
    assert (first.status, first.tokens, report.status, report.tokens) == ("paused", 11, "succeeded", 23)


@pytest.mark.parametrize("count", [-1, 1.5, True, "1", None])
def test_tokens_are_whole_numbers(count, world):
    """Anything else is the code's error, also where tokens are only held."""

    async def wrong(ctx: Context):
        with pytest.raises(StepError, match="tokens are a whole number of at least 0, not "):
            ctx.spend_tokens(count)
        with pytest.raises(StepError, match="tokens are a whole number of at least 0, not "):
            await ctx.reserve_tokens(count)

    assert execute(world, wrong, config={}).report.status == "succeeded"
