"""Agent-driven runs on a World: what a supervisor did, what the journal says of it, and what it came to."""

from typing import Any, NamedTuple

from dagger import AgentDriven, Dagger
from dagger.core.fold import fold

NEVER = {"retry_strategy": "immediate", "review_frequency": None}
"""Settings under which nobody is asked between two iterations, and no time passes."""


class Ran(NamedTuple):
    """What a run came to."""

    report: Any
    events: list[Any]
    tree: Any

    @property
    def statuses(self):
        return {outcome.node_id: outcome.status for outcome in self.report.node_outcomes}

    @property
    def added(self):
        """The ids of the nodes that were added, in their order."""
        return [node.id for event in self.events for node in getattr(event, "nodes", ())]

    @property
    def edges(self):
        """The tree's edges, each as `from -label-> to`."""
        made = self.tree.to_dict() if hasattr(self.tree, "to_dict") else None
        return made


def application(world, *actions, config=None, **options):
    """An application of a world with these actions."""
    app = Dagger(world.store(), clock=world.clock, config={**NEVER, **(config or {})}, **options)
    for action in actions:
        app.register_action(action)
    return app


def run(world, main, *actions, **options):
    """What `main` gives, called with such an application."""

    async def whole():
        async with application(world, *actions, **options) as app:
            return await main(app)

    return world.clock.run(whole())


async def ran(handle):
    """What became of a run, once it has paused or ended."""
    report = await handle.wait()
    report.load()
    events = [recorded.event async for recorded in handle.events(live=False)]
    return Ran(report, events, await handle.tree())


def execute(world, supervisor, *actions, task="t", config=None, inputs=None, cache=None, **spec):
    """What becomes of a task."""

    async def main(app):
        agent = AgentDriven(task, supervisor=supervisor, **spec)
        handle = await app.start(agent, run_id="r", inputs=inputs, cache=cache)
        tenure = app.tenure("r")
        found = await ran(handle)
        live = tenure.state
        assert fold(found.events) == live, "I1: replaying gives the same state"
        return found

    named = () if isinstance(supervisor, str) else (supervisor,)
    return run(world, main, *named, *actions, config=config)
