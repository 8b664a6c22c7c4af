"""Child flows that code executes: begun, found again, ended, and dropped with the step whose code waits for them."""

import asyncio

import pytest
from tests.worlds import HOUR, World, until

from dagger import AgentDriven, Context, Dagger, Graph, NonRetryable, Static, action
from dagger.core.codec import BLOB_ABOVE_BYTES
from dagger.core.events import decode_event, encode_event
from dagger.core.fold import fold


@action
async def add(x: int, y: int = 1) -> int:
    """A sum."""
    return x + y


@action
async def nap(x: int = 0, seconds: float = 60) -> int:
    """The number, later."""
    await asyncio.sleep(seconds)
    return x


@action
async def fails() -> int:
    """Never well."""
    raise NonRetryable("no")


@action
def in_thread(x: int) -> int:
    """One more."""
    return x + 1


@action
async def asks(ctx: Context, question: str = "Go on?"):
    """What a person says."""
    return await ctx.review(question)


def pair():
    """Two steps in a row: what is given, and two more."""
    graph = Graph("pair")
    graph.add(add, id="second", x=graph.add(add, id="first", x=graph.input("x", "integer")))
    return graph


def one(called, name="one", config=None, **inputs):
    """A graph of one step."""
    graph = Graph(name, config=config)
    graph.add(called, id="only", **inputs)
    return graph


class Flows:
    """Applications that have these graphs, and one of the given actions to begin with."""

    def __init__(self, world, *graphs):
        self.world, self.graphs = world, graphs

    def application(self, *actions, **options):
        app = self.world.application(*actions, **options)
        app.include(add, nap, fails, in_thread, asks)
        for graph in self.graphs:
            app.add_graph(graph)
        return app

    def run(self, main, *actions, **options):
        async def whole():
            async with self.application(*actions, **options) as app:
                return await main(app)

        return self.world.clock.run(whole())

    def execute(self, *actions, is_checked=True, **options):
        """The report of a run of these actions, whose journal tells the state that it had."""

        async def main(app):
            run = await app.start(Static("g"), run_id="r")
            tenure = app.tenure("r")
            report = await run.wait()
            report.load()
            self.journal = [recorded.event async for recorded in run.events(live=False)]
            self.state = fold(decode_event(encode_event(event)) for event in self.journal)
            if is_checked and "RunParked" not in [event.type for event in self.journal]:
                assert tenure.state == self.state, "I1"
                assert (tenure.underway.open, tenure.underway.idle, tenure.underway.dropped) == (0, 0, {})
            return report

        return self.run(main, *actions, **options)

    def type_count(self, name):
        return [event.type for event in self.journal].count(name)


STOP = {"max_attempts": 1, "on_failure": "stop"}


# -- what comes of it ----------------------------------------------------------------------------------------


def test_a_child_flow_gives_what_became_of_it(world):
    """Status, outputs by node, no error; its steps are the run's, its inputs its own."""

    async def parent(ctx: Context):
        flow = await ctx.execute(Static("pair"), inputs={"x": 1})
        assert flow.overall_success
        return [flow.run_id, flow.status, flow.outputs, flow.result, flow.error]

    flows = Flows(world, pair())
    report = flows.execute(parent)
    outputs = {"first": {"output": 2}, "second": {"output": 3}}
    assert (report.outputs["n0"], report.error) == ({"output": ["r", "succeeded", outputs, None, ""]}, None)


def test_a_child_flow_may_be_agent_driven_with_instructions_of_its_own(world):
    """Its supervisor works them, and none of the run's; its result is the flow's, not the run's."""

    async def parent(ctx: Context):
        first = await ctx.execute(AgentDriven("t", instructions=[{"action": "add", "params": {"x": 4}}]))
        second = await ctx.execute(AgentDriven("u", supervisor="plan"))
        return [first.status, first.outputs["add_1_1"], second.result, second.status]

    @action
    async def plan(ctx: Context, task: str):
        if ctx.cache.get("global", "iteration") == 2:
            ctx.finish({"done": task, "seen": [outcome.status for outcome in ctx.outcomes.values()]})
        else:
            ctx.add_node("fails")

    app_of = Flows(world)

    async def main(app):
        app.register_action(plan)
        return await app.execute(Static("g"), config={"review_frequency": None})

    report = app_of.run(main, parent)
    assert (report.status, report.result) == ("succeeded", None)
    assert report.outputs["n0"]["output"] == [
        "succeeded", {"output": 5}, {"done": "u", "seen": ["failed"]}, "succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "inputs", "error"),
    [
        (Static("pair"), {}, "InputInvalid: .*'x'"),
        (Static("pair"), {"x": "one"}, "InputInvalid: .*'x'"),
        (Static("pair"), {"x": 1, "z": 1}, "InputInvalid: .*'z'"),
        (Static("pear"), {"x": 1}, "GraphError: .*'pear'.*'pair'"),
        (AgentDriven("t", supervisor="ad"), {}, "ActionNotRegistered: .*'ad'.*'add'"),
        ("pair", {"x": 1}, "GraphError: 'pair' is nothing to execute"),
        (AgentDriven("t", keep_alive=True), {}, "StepError: node 'n0': execute: .* keep_alive would never end"),
    ],
    ids=["missing", "wrong type", "unknown input", "unknown graph", "unknown supervisor", "no spec", "keep_alive"],
)
def test_a_child_flow_that_cannot_be_started_fails_its_step(world, spec, inputs, error):
    """With what starting a run of it would raise; nothing of it is in the journal."""
    import re

    async def parent(ctx: Context):
        await ctx.execute(spec, inputs=inputs)

    flows = Flows(world, pair())
    report = flows.execute(parent, config=STOP)
    assert re.match(f"n0: {error}", report.error), report.error
    assert flows.type_count("ChildOpened") == 0


def test_child_flows_are_for_async_functions(world):
    """A thread is told so at once."""

    def parent(ctx: Context):
        ctx.execute(Static("pair"), inputs={"x": 1})

    report = Flows(world, pair()).execute(parent, config=STOP)
    assert report.error.startswith("n0: StepError: node 'n0': execute is for async functions")


def test_two_child_flows_at_once_need_keys_and_run_side_by_side(world):
    """As two waits of any kind do."""

    async def parent(ctx: Context):
        both = [ctx.execute(Static("one"), key=key) for key in ("left", "right")]
        return [flow.outputs["only"]["output"] for flow in await asyncio.gather(*both)]

    async def unnamed(ctx: Context):
        await asyncio.gather(ctx.execute(Static("one")), ctx.execute(Static("one")))

    flows = Flows(world, one(nap, x=7))
    assert flows.execute(parent).outputs["n0"]["output"] == [7, 7]
    assert world.clock.passed_seconds == 60
