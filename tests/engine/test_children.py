"""Child flows that code executes: begun, found again, ended, and dropped with the step whose code waits for them."""

import asyncio
import re

import pytest
from tests.worlds import HOUR

from dagger import AgentDriven, Context, Graph, NonRetryable, Static, action
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
async def numbers() -> list:
    """Three."""
    return [0, 1, 2]


@action
async def fails() -> int:
    """Never well."""
    raise NonRetryable("no")


@action
async def asks(ctx: Context, question: str = "Go on?"):
    """What a person says."""
    return await ctx.review(question)


def pair():
    """Two steps in a row: what is given, and two more."""
    graph = Graph("pair")
    graph.add(add, id="second", x=graph.add(add, id="first", x=graph.input("x")))
    return graph


def one(called, name="one", config=None, **inputs):
    """A graph of one step."""
    graph = Graph(name, config=config)
    graph.add(called, id="only", **inputs)
    return graph


PAUSE = {"on_failure": "pause"}


class Flows:
    """Applications that have these graphs, and one of the given actions to begin with."""

    def __init__(self, world, *graphs, actions=()):
        self.world, self.graphs, self.actions = world, graphs, actions

    def application(self, *actions, **options):
        app = self.world.application(*actions, **options)
        app.include(add, nap, fails, asks, numbers, *self.actions)
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
                assert (tenure.underway.open, tenure.underway.idle, tenure.underway.dropped) == (0, 0, set())
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

    report = Flows(world, actions=[plan]).execute(parent, config={"review_frequency": None})
    assert (report.status, report.result) == ("succeeded", None)
    assert report.outputs["n0"]["output"] == [
        "succeeded", {"output": 5}, {"done": "u", "seen": ["failed"]}, "succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "inputs", "error"),
    [
        (Static("pair"), {}, "InputInvalid: .*'x'"),
        (Static("pear"), {"x": 1}, "GraphError: .*'pear'.*'pair'"),
        (AgentDriven("t", supervisor="ad"), {}, "ActionNotRegistered: .*'ad'.*'add'"),
        ("pair", {"x": 1}, "GraphError: 'pair' is nothing to execute"),
        (AgentDriven("t", keep_alive=True), {}, "StepError: node 'n0': execute: .* keep_alive would never end"),
    ],
    ids=["missing", "unknown graph", "unknown supervisor", "no spec", "keep_alive"],
)
def test_a_child_flow_that_cannot_be_started_fails_its_step(world, spec, inputs, error):
    """With what starting a run of it would raise; nothing of it is in the journal."""

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

    flows = Flows(world, one(nap, x=7))
    assert flows.execute(parent).outputs["n0"]["output"] == [7, 7]
    assert world.clock.passed_seconds == 60


def test_two_child_flows_at_once_without_keys_are_refused(world):
    """By their places alone, none of them would be known again."""

    async def parent(ctx: Context):
        await asyncio.gather(ctx.execute(Static("one")), ctx.execute(Static("one")))

    report = Flows(world, one(nap)).execute(parent, config=STOP)
    told = "another child of this step is open; where several are open each needs a key"
    assert report.error == f"n0: StepError: node 'n0': child: {told}"


@pytest.mark.parametrize("key", ["a/b", "failure", "failure:x", "a:b/", "ü 1"])
def test_a_key_may_be_any_text(world, key):
    """Whatever stands in it, the flow's steps have names of their own."""

    async def parent(ctx: Context):
        return (await ctx.execute(Static("pair"), inputs={"x": 1}, key=key)).outputs["second"]["output"]

    report = Flows(world, pair()).execute(parent)
    assert (report.status, report.outputs.get("n0"), report.error) == ("succeeded", {"output": 3}, None)


# -- failures ------------------------------------------------------------------------------------------------


def test_a_flow_that_failed_is_told_so_and_does_not_fail_the_run(world):
    """Whoever executed it decides, unless its graph says otherwise; outputs of what went well are there."""
    graph = Graph("half")
    graph.add(add, id="good", x=1)
    graph.add(add, id="lost", x=graph.add(fails, id="bad"))

    async def parent(ctx: Context):
        flow = await ctx.execute(Static("half"))
        return [flow.status, flow.outputs, flow.error]

    flows = Flows(world, graph)
    report = flows.execute(parent)
    told = "n0:child:1/bad: NonRetryable: no"
    assert (report.status, report.error) == ("succeeded", None)
    assert report.outputs["n0"]["output"] == ["failed", {"good": {"output": 2}}, told]
    assert not flows.state.scopes


def test_a_flow_that_fails_under_stop_fails_the_run(world):
    """What stops the run stops whoever waits in it."""

    async def parent(ctx: Context):
        await ctx.execute(Static("one"))

    report = Flows(world, one(fails, config={"on_failure": "stop"})).execute(parent)
    assert (report.status, report.error) == ("failed", "n0:child:1/only: NonRetryable: no")


def test_a_flow_that_is_stuck_pauses_the_run_where_nothing_else_goes_on(world):
    """Resumed, it gets fresh tries, and its parent finds it again."""
    is_mended = []

    @action
    async def fragile():
        if not is_mended:
            raise NonRetryable("not yet")
        return 5

    async def parent(ctx: Context):
        world.tell("begins")
        return (await ctx.execute(Static("one"))).outputs["only"]["output"]

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        report = await run.wait()
        told = "'n0:child:1/only' failed; mend the cause and resume the run"
        assert (report.status, run.reason) == ("paused", told)
        is_mended.append(True)
        return await (await app.resume("r")).wait()

    report = Flows(world, one(fragile, config=PAUSE), actions=[fragile]).run(main, parent, nap)
    assert (report.status, report.outputs["n0"]) == ("succeeded", {"output": 5})
    assert [what for what, _ in world.told] == ["begins", "begins"]


def test_a_stuck_flow_lets_the_rest_go_on_first(world):
    """Sleeps and reviews elsewhere in the run are waited for."""

    async def parent(ctx: Context):
        await ctx.execute(Static("one"))

    async def sleeps(ctx: Context):
        await ctx.sleep(HOUR)

    report = Flows(world, one(fails, config=PAUSE)).execute(parent, sleeps)
    assert (report.status, round(world.clock.passed_seconds)) == ("paused", HOUR)
    assert report.node_outcomes["n1"].status == "succeeded"


# -- found again ---------------------------------------------------------------------------------------------


def test_a_retried_attempt_finds_the_same_flow(world):
    """It is not begun again, whether it is under way or over."""

    async def parent(ctx: Context):
        flow = asyncio.create_task(ctx.execute(Static("one")))
        await asyncio.sleep(1)
        if ctx.attempt == 1:
            raise ValueError("beside it")
        done = (await flow).outputs["only"]["output"]
        if ctx.attempt == 2:
            raise ValueError("after it")
        return done

    flows = Flows(world, one(nap, x=3))
    report = flows.execute(parent)
    assert (report.outputs["n0"]["output"], report.node_outcomes["n0"].attempts) == (3, 3)
    assert flows.type_count("ChildOpened") == 1
    assert world.clock.passed_seconds == 61


def test_a_step_that_was_stuck_finds_its_flow_when_the_run_is_resumed(world):
    """It went on meanwhile: pausing runs the rest."""

    async def parent(ctx: Context):
        flow = asyncio.create_task(ctx.execute(Static("one")))
        await asyncio.sleep(1)
        if not world.told:
            world.tell("fails")
            raise NonRetryable("once")
        return (await flow).outputs["only"]["output"]

    async def main(app):
        report = await app.execute(Static("g"), run_id="r")
        assert report.status == "paused"
        return await (await app.resume("r")).wait()

    report = Flows(world, one(nap, x=3)).run(main, parent)
    assert (report.status, report.outputs["n0"]) == ("succeeded", {"output": 3})


def test_a_flow_that_failed_its_step_begins_anew_when_the_run_is_resumed(world):
    """Somebody has mended the cause; what went well beside it stays. A retry alone finds the same answer."""
    is_mended, begun = [], []

    @action
    async def fragile():
        begun.append(1)
        if not is_mended:
            raise NonRetryable("not yet")
        return 5

    half = Graph("half")
    half.add(fragile, id="weak", after=[half.add(add, id="good", x=1)])

    async def parent(ctx: Context):
        first = await ctx.execute(Static("one"), key="first")
        flow = await ctx.execute(Static("half"), key="second")
        if not flow.overall_success:
            raise ValueError(flow.error)
        return [first.outputs["only"]["output"], flow.outputs["weak"]["output"]]

    async def main(app):
        report = await app.execute(Static("g"), run_id="r")
        assert (report.status, len(begun)) == ("paused", 1)
        is_mended.append(True)
        run = await app.resume("r")
        report = await run.wait()
        opened = [recorded.event.key async for recorded in run.events(live=False) if recorded.type == "ChildOpened"]
        return report, opened, str(await run.tree())

    flows = Flows(world, one(nap, x=3), half, actions=[fragile])
    report, opened, tree = flows.run(main, parent)
    assert (report.status, report.outputs["n0"]) == ("succeeded", {"output": [3, 5]})
    assert opened == ["first", "second", "second"]
    assert "succeeded: 6 nodes" in tree


def test_a_flow_that_failed_an_attempt_begins_anew_when_the_run_is_resumed_before_the_next_one(world):
    """The run was paused meanwhile; a flow whose failure the code has come to terms with stays as it was."""
    is_mended = []

    @action
    async def fragile():
        if not is_mended:
            raise NonRetryable("not yet")

    async def parent(ctx: Context):
        flow = await ctx.execute(Static("one"))
        if not flow.overall_success:
            raise ValueError(flow.error)

    async def content(ctx: Context):
        flow = await ctx.execute(Static("one"))
        await ctx.sleep(HOUR)
        return flow.status

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)
        await run.pause()
        is_mended.append(True)
        return await (await app.resume("r")).wait()

    config = {"retry_strategy": {"linear": {"delay_secs": 1000}}}
    report = Flows(world, one(fragile), actions=[fragile]).run(main, parent, content, config=config)
    assert (report.status, report.outputs["n1"]) == ("succeeded", {"output": "failed"})
    assert report.node_outcomes["n0"].attempts == 2


def test_another_spec_under_the_same_key_is_a_mismatch(world):
    """Both are said."""

    async def first(ctx: Context):
        await ctx.execute(Static("one"))

    async def second(ctx: Context):
        await ctx.execute(Static("pair"), inputs={"x": 1})

    first.__name__ = second.__name__ = "parent"
    flows = Flows(world, one(nap), pair())

    async def begin(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(10)

    async def go_on(app):
        return (await (await app.resume("r")).wait()).error

    flows.run(begin, first, config=STOP)
    error = flows.run(go_on, second, config=STOP)
    told = 'wait \'child:1\' is in the journal as child "one", and the code now asks for child "pair"'
    assert told in error
    assert error.startswith("n0: WaitMismatch")


def test_large_values_go_in_and_come_out(world):
    """They are stored once each, beside the journal."""
    text = "ä" * BLOB_ABOVE_BYTES

    @action
    async def echo(text: str) -> str:
        return text

    graph = Graph("echo")
    graph.add(echo, id="only", text=graph.input("text"))

    async def parent(ctx: Context):
        flow = await ctx.execute(Static("echo"), inputs={"text": text})
        return flow.outputs["only"]["output"] == text

    flows = Flows(world, graph, actions=[echo])
    report = flows.execute(parent)
    assert (report.outputs, report.error) == ({"n0": {"output": True}}, None)
    assert max(len(encode_event(event)) for event in flows.journal) < BLOB_ABOVE_BYTES


# -- where it may be -----------------------------------------------------------------------------------------


def test_flows_in_flows(world):
    """Each is named as the step that executes it."""

    @action
    async def middle(ctx: Context):
        return (await ctx.execute(Static("pair"), inputs={"x": 1})).outputs["second"]["output"]

    async def parent(ctx: Context):
        return (await ctx.execute(Static("one"))).outputs["only"]["output"]

    flows = Flows(world, one(middle), pair(), actions=[middle])
    assert flows.execute(parent).outputs["n0"] == {"output": 3}
    assert [event.step for event in flows.journal if event.type == "StepSucceeded"] == [
        "n0:child:1/only:child:1/first", "n0:child:1/only:child:1/second", "n0:child:1/only:child:1",
        "n0:child:1/only", "n0:child:1", "n0",
    ]  # fmt: skip


def names_of(state):
    """All steps that a state knows of."""
    known = (state.succeeded, state.unsuccessful, state.sections, state.pending, state.waits, state.scopes)
    return {name for names in (*known, state.dependents, state.doomed) for name in names}


@pytest.mark.parametrize("inner", ["pair", "half"])
def test_a_flow_in_a_nested_graph_and_in_a_map_leaves_nothing(world, inner):
    """When the step that executed it has ended, well or badly, the state holds no name of it."""

    @action
    async def middle(ctx: Context, x: int):
        return (await ctx.execute(Static(inner), inputs={"x": x})).outputs["first"]["output"]

    nested = Graph("nested")
    nested.add(middle, id="only", x=nested.input("x"))
    outer = Graph("outer")
    outer.add(nested, id="flow", x=1)
    outer.add(middle, id="each", map=outer.add(numbers, id="listed"), x=outer.item)
    half = Graph("half", config={"on_failure": "continue"})
    half.add(fails, id="bad", after=[half.add(add, id="first", x=half.input("x"))])

    async def main(app):
        app.add_graph(outer)
        run = await app.start(Static("outer"), run_id="r")
        tenure = app.tenure("r")
        return await run.wait(), tenure.state

    report, state = Flows(world, pair(), half, actions=[middle]).run(main, add)
    outputs = {"flow": {"output": 2}, "each": {"output": [1, 2, 3]}}
    assert (report.status, report.outputs) == ("succeeded", {"listed": {"output": [0, 1, 2]}, **outputs})
    assert {name for name in names_of(state) if ":" in name} == set()


# -- dropped -------------------------------------------------------------------------------------------------


@action
async def again():
    """It is tried again, later."""
    raise ValueError("not now")


@action
async def held_up(ctx: Context):
    """It sleeps, durably."""
    await ctx.sleep(HOUR)


@action
async def executes(ctx: Context):
    """A flow in the flow."""
    await ctx.execute(Static("leaf"))


def busy():
    """A flow of which something is in every state that a step can be in: running, queued, delayed, waiting."""
    graph = Graph("busy", config={"retry_strategy": {"linear": {"delay_secs": 500}}})
    graph.add(add, id="pending", x=graph.add(nap, id="running", seconds=100))
    graph.add(again, id="delayed")
    graph.add(asks, id="asking")
    graph.add(held_up, id="sleeping")
    inner = Graph("inner")
    inner.add(nap, id="deep", seconds=100)
    graph.add(inner, id="flow")
    listed = graph.add(numbers, id="listed")
    graph.add(nap, id="each", map={"reference": listed, "max_parallel": 2}, x=graph.item, seconds=50)
    graph.add(executes, id="executing")
    return graph


@pytest.mark.parametrize("slots", [None, 1, 3])
@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_flow_that_nobody_waits_for_is_dropped_with_all_that_is_in_it(world, slots, ends):
    """Running, queued, delayed, asleep, in flows of its own: all slots are free, and the run goes on and ends."""

    async def parent(ctx: Context):
        flow = asyncio.create_task(ctx.execute(Static("busy")))
        await asyncio.wait({flow, asyncio.create_task(ctx.sleep(10))}, return_when="FIRST_COMPLETED")
        if ends == "badly":
            raise NonRetryable("enough")
        return 1

    async def after(ctx: Context):
        await ctx.sleep(20)
        return 2

    flows = Flows(world, busy(), one(nap, "leaf", seconds=100), actions=[again, held_up, executes])
    options = {"max_parallel": slots} if slots else {}
    report = flows.execute(parent, after, config={"on_failure": "continue", **options})
    assert report.status == ("succeeded" if ends == "well" else "failed")
    assert report.outputs["n1"] == {"output": 2}
    (cancelled,) = [event for event in flows.journal if event.type == "StepCancelled" and event.step == "n0:child:1"]
    assert cancelled.reason == "the step that waited for it has ended"
    assert {name for name in names_of(flows.state) if ":" in name} == set()
    assert world.clock.passed_seconds < 31


def test_code_of_a_dropped_flow_is_cancelled(world):
    """It sees the cancel, and does nothing any more."""

    @action
    async def works():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            world.tell("cancelled")
            raise

    async def parent(ctx: Context):
        asyncio.create_task(ctx.execute(Static("one")))  # noqa: RUF006 - it is left behind
        await asyncio.sleep(5)

    async def later():
        await asyncio.sleep(50)

    assert Flows(world, one(works), actions=[works]).execute(parent, later).status == "succeeded"
    assert world.told == [("cancelled", 5)]


def test_two_runs_of_one_graph_know_only_the_flows_of_their_own_journals(world):
    """What one of them has executed stands in no other's state: each is replayed from its own journal."""

    async def parent(ctx: Context):
        return (await ctx.execute(Static("pair"), inputs={"x": 1})).outputs["second"]["output"]

    async def main(app):
        runs = [await app.start(Static("g"), run_id=name) for name in ("a", "b")]
        reports = [await run.wait() for run in runs]
        journals = [[recorded.event async for recorded in run.events(live=False)] for run in runs]
        opened = [list(event.graphs) for events in journals for event in events if event.type == "ChildOpened"]
        return [report.status for report in reports], opened, [fold(events).status for events in journals]

    found = Flows(world, pair()).run(main, parent)
    assert found == (["succeeded"] * 2, [["pair"]] * 2, ["succeeded"] * 2)


def test_another_task_under_the_same_key_is_another_flow(world):
    """The spec is compared on replay, and not the name alone."""
    tasks = ["first"]

    @action
    async def idle(ctx: Context):
        """A turn that does nothing."""

    async def parent(ctx: Context):
        await ctx.execute(AgentDriven(tasks[-1], supervisor="idle"))
        tasks.append("second")
        raise ValueError("again")

    report = Flows(world, actions=[idle]).execute(parent, config={"retry_strategy": "immediate"})
    assert re.search(r'WaitMismatch: .*"first".*"second"', report.error)


def test_a_flow_that_executes_itself_is_stopped(world):
    """Its store would grow until the disk is full."""

    @action
    async def again(ctx: Context):
        flow = await ctx.execute(Static("deep"))
        if not flow.overall_success:
            raise NonRetryable(flow.error)

    async def parent(ctx: Context):
        return (await ctx.execute(Static("deep"))).error

    graph = Graph("deep", config={"max_attempts": 1})
    graph.add(again)
    report = Flows(world, graph, actions=[again]).execute(parent)
    assert "flows are 50 deep in each other here" in report.outputs["n0"]["output"]
