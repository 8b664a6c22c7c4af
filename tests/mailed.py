"""Event-driven runs on a World: what is executed, and what the journal has of it."""

import asyncio

from tests.supervised import executed

from dagger import Context, Dagger, agent

QUICK = {"retry_strategy": "immediate", "max_attempts": 1, "on_failure": "stop"}
"""Settings under which nothing is tried twice, and what fails ends the run."""


def application(world, *things, config=None, **options):
    """An application of a world with these actions and agents."""
    app = Dagger(world.store(), clock=world.clock, config={**QUICK, **(config or {})}, **options)
    app.include(*things)
    return app


def run(world, main, *things, **options):
    """What `main` gives, called with such an application."""

    async def whole():
        async with application(world, *things, **options) as app:
            return await main(app)

    return world.clock.run(whole())


def execute(world, spec, *things, **options):
    """What becomes of a spec; the journal, replayed, is the state that the run had (I1)."""
    return run(world, lambda app: executed(app, spec), *things, **options)


def beside(world, main, *things, **options):
    """What `main` gives, called with two applications on the same store: of two processes, as far as they know."""

    async def whole(here):
        async with application(world, *things, **options) as there:
            await there.runs()
            return await main(here, there)

    return run(world, whole, *things, **options)


def sends(count, channel="in", name="start", make=lambda number: number):
    """An agent of `start` that publishes so many numbers, from 1, in one step."""

    @agent(name=name, subscribe=name, publish=channel)
    async def source(asked: object):
        for number in range(1, count + 1):
            yield make(number)

    return source


class AtWork:
    """How many are at work at once: by whom it is asked."""

    def __init__(self):
        self.now = self.most = 0
        self.order = []

    def forget(self):
        """As if nothing had been at work yet."""
        self.now = self.most = 0
        self.order.clear()

    async def __call__(self, what, seconds=1.0):
        """Be at work for so long."""
        self.now += 1
        self.most = max(self.most, self.now)
        self.order.append(what)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.now -= 1


async def events_of(handle, *types):
    """The run's events of these types."""
    return [recorded.event async for recorded in handle.events(live=False) if recorded.type in types]


def slow(work, seconds=10, **options):
    """A reader that takes its time."""

    @agent(name="reader", subscribe="in", **options)
    async def reader(number: int, ctx: Context):
        await work(number, seconds)
        ctx.cache.append("global", "kept", number)

    return reader


async def filled(handle, count=3):
    """Publish so many messages, from 1."""
    for number in range(1, count + 1):
        await handle.publish("in", number)
