"""One virtual time, and one set of data that several applications use, as several processes would."""

import asyncio

from dagger import Dagger, Graph, MemoryStore, Static
from dagger.store.memory import Memory
from dagger.store.sqlite import SqliteStore
from dagger.testing import VirtualClock

HOUR = 3600


class World:
    """Applications on one store and one clock; `told` is what their actions did, and when."""

    def __init__(self, kind, directory):
        self.kind, self.path, self.memory = kind, directory / "runs.db", Memory()
        self.clock, self.told, self.types = VirtualClock(), [], []

    def store(self):
        return MemoryStore(self.memory) if self.kind == "memory" else SqliteStore(self.path)

    def application(self, *actions, nodes=1, config=None, **options):
        """An application with a graph `g` of so many nodes (`n0`, `n1` …) for each action."""
        app = Dagger(self.store(), clock=self.clock, **options)
        graph = Graph("g", config={"retry_strategy": "immediate", **(config or {})})
        for index, action in enumerate(actions * nodes):
            if index < len(actions):
                app.register_action(action)
            graph.add(action, id=f"n{index}")
        app.add_graph(graph)
        return app

    def tell(self, what):
        """Note what happened, and at which second."""
        self.told.append((what, round(self.clock.passed_seconds)))

    def run(self, main, *actions, **options):
        """What `main` gives, called with such an application."""

        async def whole():
            async with self.application(*actions, **options) as app:
                return await main(app)

        return self.clock.run(whole())

    def execute(self, *actions, **options):
        """The report of a run of these actions; `types` are its events'."""

        async def main(app):
            report = await app.execute(Static("g"), run_id="r")
            report.load()
            self.types = [recorded.type async for recorded in (await app.get_run("r")).events(live=False)]
            return report

        return self.run(main, *actions, **options)

    def twice(self, first, second, seconds, **options):
        """The report of a run whose application was closed after so many seconds, and went on with other code."""

        async def begin(app):
            await app.start(Static("g"), run_id="r")
            await asyncio.sleep(seconds)

        async def go_on(app):
            await app.recover()
            report = await (await app.get_run("r")).wait()
            report.load()
            return report

        self.run(begin, first, **options)
        return self.run(go_on, second, recover=True, **options)


async def until(condition):
    """Wait until it is true: virtual time passes, and what is under way goes on."""
    while not condition():
        await asyncio.sleep(0.01)
