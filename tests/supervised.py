"""Agent-driven runs on a World: what the journal, the report and the tree say of them."""

from typing import Any, NamedTuple

from dagger import AgentDriven, Dagger
from dagger.core.fold import fold

QUICK = {"retry_strategy": "immediate", "max_attempts": 1, "review_frequency": None}
"""Settings under which nobody is asked between two iterations, and nothing is tried twice."""


class Ran(NamedTuple):
    """What a run came to."""

    report: Any
    events: list[Any]
    tree: Any

    @property
    def statuses(self):
        return {outcome.node_id: outcome.status for outcome in self.report.node_outcomes}

    @property
    def edges(self):
        """The tree's edges: from, label, to."""
        names = [snapshot.node_id for snapshot in self.tree.nodes]
        return {(names[before], edge.label, names[after]) for before, after, edge in self.tree.edges}


def application(world, *actions, config=None, **options):
    """An application of a world with these actions."""
    app = Dagger(world.store(), clock=world.clock, config={**QUICK, **(config or {})}, **options)
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


async def executed(app, spec, **options):
    """What becomes of a spec; on the way, I1: the replayed journal is the state that the run had."""
    handle = await app.start(spec, run_id="r", **options)
    live = app.tenure("r").state
    found = await ran(handle)
    assert fold(found.events[: live.seq]) == live
    assert live.seq == len(found.events) or live.is_parked  # whoever wakes it has a state of its own
    return found


def execute(world, supervisor, *actions, task="t", config=None, inputs=None, **spec):
    """What becomes of a task."""

    def main(app):
        return executed(app, AgentDriven(task, supervisor=supervisor, **spec), inputs=inputs)

    named = () if isinstance(supervisor, str) else (supervisor,)
    return run(world, main, *named, *actions, config=config)
