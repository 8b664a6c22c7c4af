"""Who asks, who replies, and who does not: agents for tests of requests."""

import asyncio

from dagger import Context, agent


def asks(*, channel="ask", publish="ask", **options):
    """An agent that requests, and finishes with what it is told."""

    @agent(name="asker", subscribe="start", publish=publish)
    async def asker(given: object, ctx: Context):
        ctx.finish(await ctx.request(channel, {"n": 20}, **options))

    return asker


def replies(name="oracle", *, seconds=0, value=None):
    """An agent that replies after a while."""

    @agent(name=name, subscribe="ask")
    async def oracle(question: dict, ctx: Context):
        await asyncio.sleep(seconds)
        ctx.reply(question["n"] * 2 if value is None else value)

    return oracle


@agent(subscribe="ask")
async def silent(question: dict):
    """It never replies."""
