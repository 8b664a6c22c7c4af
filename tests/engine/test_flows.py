"""What a step does instead of an attempt: conditions, child flows, failure actions, reuse; on both stores."""

import asyncio
from collections import Counter

import pytest

from dagger import Context, CycleError, Dagger, Graph, Static, StepError
from dagger.core.graph import NodeRef, RunInput
from dagger.testing import VirtualClock

FAST = {"retry_strategy": "immediate", "max_attempts": 1, "on_failure": "continue"}


class Flow:
    """An application on a virtual clock with one graph, and what its actions saw."""

    def __init__(self, url, **config):
        self.url = url
        self.clock = VirtualClock()
        self.calls = Counter()
        self.seen = {}
        self.bad = set()
        """Values that `work` fails on."""
        self.begin(**config)

    def begin(self, **config):
        """Another application, as of another process."""
        self.app = Dagger(self.url, clock=self.clock)
        self.graph = Graph("g", config={**FAST, **config})

        @self.app.action
        async def give(value: object):
            return value

        @self.app.action
        async def spread(value: dict):
            return value

        @self.app.action
        async def work(x: object, ctx: Context):
            """One more; slower for smaller numbers, so that a list's items end in the reverse order."""
            step = ctx.idempotency_key.removeprefix(f"{ctx.run_id}/")
            self.calls[step] += 1
            self.seen[step] = ctx.inputs
            await asyncio.sleep(max(100 - x, 0))
            if x in self.bad:
                raise ValueError(f"no {x}")
            return x + 1

        @self.app.action
        async def inputs(ctx: Context):
            return {"seen": ctx.inputs}

    def run(self, main):
        self.app.add_graph(self.graph)

        async def whole():
            async with self.app:
                return await main()

        return self.clock.run(whole())

    def execute(self, **options):
        async def main():
            report = await self.app.execute(Static("g"), **options)
            report.load()
            run = await self.app.get_run(report.run_id)
            self.journal = [recorded.event async for recorded in run.events(live=False)]
            return report

        return self.run(main)

    def resume(self, run_id, **options):
        async def main():
            report = await (await self.app.resume(run_id, **options)).wait()
            report.load()
            return report

        return self.run(main)

    def give(self, value, **options):
        return self.graph.add("give", value=value, **options)


@pytest.fixture(params=["memory", "sqlite"])
def flow(request, tmp_path):
    return Flow("memory:" if request.param == "memory" else tmp_path / "runs.db")


def statuses(report):
    return {outcome.node_id: outcome.status for outcome in report.node_outcomes}


def error_of(report, node_id):
    return report.node_outcomes[node_id].final_error.removeprefix("Failed after 1 attempt. Last error: ")


def ref(text):
    return NodeRef(text.partition(".")[0], text)


def pair(name="pair", **options):
    """A graph: one more than its input, and one more than that."""
    graph = Graph(name, **options)
    graph.add("work", id="second", x=graph.add("work", id="first", x=graph.input("x")))
    return graph


# -- conditions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "tests", "runs"),
    [
        (1, {}, True),
        (0, {}, False),
        ([], {}, False),
        ("no", {}, True),
        (None, {}, False),
        (5, {"equals": 5}, True),
        ("5", {"equals": 5}, False),
        (None, {"equals": None}, True),
        ({"a": [1]}, {"equals": {"a": [1]}}, True),
        (5, {"not_equals": 5}, False),
        (5, {"in": [4, 5]}, True),
        (5, {"not_in": [4, 5]}, False),
        ([5], {"in": [[5]]}, True),
        (5, {"gt": 5}, False),
        (5, {"gte": 5}, True),
        (5.5, {"gt": 5, "lt": 6}, True),
        (7, {"gt": 5, "lt": 6}, False),
        (5, {"lte": 4}, False),
        ("b", {"gt": "a"}, True),
    ],
    ids=range(19),
)
def test_a_condition_asks_what_its_reference_leads_to(value, tests, runs):
    """Without tests whether it is truthy; with several, all must pass."""
    flow = Flow("memory:")
    given = flow.graph.add("spread", value={"v": value})
    flow.graph.add("give", id="asked", value=1, when={"reference": given["v"], **tests})
    report = flow.execute()
    assert report.status == "succeeded"
    assert ("asked" in report.outputs) is runs


def test_what_depends_on_a_step_that_its_condition_skipped_is_skipped_too(flow):
    """Naming it; what runs whatever became of it runs, and the run succeeds."""
    no = flow.give(1, id="no", when=flow.give(0, id="zero"))
    flow.graph.add("give", id="lost", value=no)
    flow.graph.add("give", id="lost_too", value=ref("lost"))
    flow.graph.add("give", id="tidy", value=2, after=[no], run_when="finished")
    report = flow.execute()
    reasons = {outcome.node_id: outcome.reason for outcome in report.node_outcomes if outcome.status == "skipped"}
    assert reasons == {
        "no": "condition",
        "lost": "'no' was skipped by its condition",
        "lost_too": "'no' was skipped by its condition",
    }
    assert (report.status, report.outputs["tidy"]) == ("succeeded", {"output": 2})


def test_a_condition_skips_a_map_and_a_graph_as_a_whole(flow):
    """Nothing of them is begun."""
    zero = flow.give(0, id="zero")
    flow.graph.add("work", id="each", map=flow.give([1, 2], id="listed"), when=zero)
    flow.graph.add(pair(), id="flow", x=1, when=zero)
    report = flow.execute()
    assert statuses(report) == {"zero": "succeeded", "listed": "succeeded", "each": "skipped", "flow": "skipped"}
    assert not flow.calls


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"reference": "data.text", "gt": 3}, "node 'asked': when: 'abc' cannot be compared: gt 3"),
        ({"reference": "data.none", "lt": "x"}, "node 'asked': when: None cannot be compared: lt 'x'"),
        ("data.txet", "node 'asked': when: 'data.txet': node 'data' gave no output 'txet'; did you mean 'text'?"),
        ("data.text.deep", "node 'asked': when: 'data.text.deep': 'deep' cannot be taken from a str"),
        ("bad.x", "node 'asked': when: 'bad.x': node 'bad' failed"),
        ("off.x", "node 'asked': when: 'off.x': node 'off' skipped"),
    ],
    ids=range(6),
)
def test_a_condition_that_cannot_be_asked_fails_its_step(when, told):
    """At once, and saying which field of which node it is."""
    flow = Flow("memory:")
    flow.graph.add("spread", id="data", value={"text": "abc", "none": None, "zero": 0})
    flow.graph.add("spread", id="bad", value=1)
    flow.graph.add("give", id="off", value=1, when="data.zero")
    flow.graph.add("give", id="asked", value=1, when=when, run_when="finished", try_count=5)
    report = flow.execute()
    assert error_of(report, "asked") == f"InputInvalid: {told}"


# -- graphs --------------------------------------------------------------------------------------------------


def test_a_graph_gives_what_its_one_last_node_gives(flow):
    """As that gives it; its steps are named after the node that runs it."""
    flow.graph.add("work", id="after", x=flow.graph.add(pair(), id="flow", x=1))
    report = flow.execute()
    assert report.outputs == {"flow": {"output": 3}, "after": {"output": 4}}
    assert list(statuses(report)) == ["flow/first", "flow/second", "flow", "after"]


def test_a_graph_with_several_last_nodes_gives_their_values_by_id(flow):
    """A bare value of one output, a dict of several; nothing of those that were skipped."""
    inner = Graph("inner")
    inner.add("give", id="one", value=1)
    inner.add("spread", id="two", value={"a": 1, "b": 2})
    inner.add("spread", id="none", value={})
    inner.add("give", id="off", value=1, when=inner.add("give", id="zero", value=0))
    flow.graph.add(inner, id="flow")
    assert flow.execute().outputs["flow"] == {"one": 1, "two": {"a": 1, "b": 2}, "none": None}


def test_declared_outputs_pick_from_what_a_graph_gives(flow):
    """By name; what is missing fails the node and says what there is."""
    inner = Graph("inner")
    inner.add("spread", id="both", value={"total": 1, "rest": 2})
    flow.graph.add(inner, id="flow", outputs=["total"])
    flow.graph.add(inner, id="wrong", outputs=["totl"])
    flow.graph.add(inner, id="other", outputs=["zzz"])
    report = flow.execute()
    assert report.outputs == {"flow": {"total": 1}}
    missing = "is missing in what graph 'inner' gives"
    assert error_of(report, "wrong") == (
        f"OutputInvalid: node 'wrong': declared output 'totl' {missing}; did you mean 'total'?"
    )
    assert error_of(report, "other") == (
        f"OutputInvalid: node 'other': declared output 'zzz' {missing}; it gives: total, rest"
    )


def test_a_graph_whose_last_node_is_skipped_gives_nothing(flow):
    """It has succeeded all the same; a declared output is missing then."""
    inner = Graph("inner")
    inner.add("give", id="last", value=1, when=inner.add("give", id="zero", value=0))
    flow.graph.add(inner, id="flow")
    flow.graph.add(inner, id="strict", outputs=["output"])
    report = flow.execute()
    assert report.outputs == {"flow": {}}
    assert error_of(report, "strict").endswith("gives; it gives: nothing")


def test_a_graphs_inputs_are_checked_against_what_it_declares(flow):
    """Types and defaults; the message names the node and the graph."""
    inner = Graph("inner", inputs={"x": "integer", "y": RunInput("integer", default=5)})
    inner.add("give", id="sum", value=inner.input("y"), after=[inner.add("give", id="x", value=inner.input("x"))])
    flow.graph.add(inner, id="fine", x=1)
    flow.graph.add(inner, id="given", x=1, y=flow.give(6))
    flow.graph.add(inner, id="wrong", x=flow.give("text"))
    flow.graph.add(inner, id="absent", x=ref("wrong.x"), run_when="finished")
    report = flow.execute()
    assert {name: outputs["output"] for name, outputs in report.outputs.items() if name in {"fine", "given"}} == {
        "fine": 5,
        "given": 6,
    }
    told = "InputInvalid: node 'wrong': graph 'inner': run input 'x' must be integer, not 'text'"
    assert error_of(report, "wrong") == told
    assert error_of(report, "absent") == "InputInvalid: node 'absent': graph 'inner': run input 'x' is missing"


def test_a_nested_graph_sees_its_own_nodes_inputs_and_outcomes(flow):
    """Its ids, its inputs and its cache sections come before those of the run, which has the same ones."""
    inner = Graph("inner")

    @flow.app.action
    async def look(ctx: Context):
        ctx.cache.set("fetch", "mark", ctx.cache.get("fetch", "output"))
        ctx.cache.set("global", "mark", 1)
        statuses = {name: outcome.status for name, outcome in ctx.outcomes.items()}
        return [ctx.cache.node("fetch"), ctx.cache.get("inputs", "x"), statuses]

    @flow.app.action
    async def look_again(ctx: Context):
        return ctx.cache.get("fetch", "mark", 0)

    fetch = inner.add("give", id="fetch", value=inner.input("x"))
    looked = inner.add(look, id="look", after=[fetch])
    inner.add(look_again, id="again", after=[looked])
    inner.add("give", id="seen", value=looked)
    outer = flow.graph.add("give", id="fetch", value=flow.graph.input("x"))
    flow.graph.add(inner, id="flow", x=2, after=[outer])
    flow.graph.add(look_again, id="outside", after=["flow"])
    report = flow.execute(inputs={"x": 1})
    assert report.outputs["flow"] == {"again": 2, "seen": [{"output": 2, "mark": 2}, 2, {"fetch": "succeeded"}]}
    assert report.outputs["outside"] == {"output": 0}


def test_finish_in_a_graph_gives_its_node_outputs(flow):
    """As an action's result would; the run's is for its own nodes. An item finishes the flow around its map."""

    @flow.app.action
    async def done(ctx: Context, x: int):
        ctx.finish({"total": x})

    inner = Graph("inner")
    inner.add(done, id="done", x=5)
    inner.add("give", id="other", value=1)
    flow.graph.add(inner, id="flow")
    flow.graph.add(inner, id="declared", outputs=["all"])
    mapped = Graph("mapped")
    mapped.add(done, id="each", map=mapped.add("give", id="listed", value=[7]))
    mapped.add("give", id="other", value=1)
    flow.graph.add(mapped, id="flow_of_map")
    report = flow.execute()
    assert report.outputs == {
        "flow": {"total": 5},
        "declared": {"all": {"total": 5}},
        "flow_of_map": {"total": 7},
    }
    assert report.result is None


def test_a_graph_that_contains_itself_is_refused_at_the_start(flow):
    """Spelled out, before anything is in the journal."""
    first, second = Graph("first"), Graph("second")
    first.add(graph="second", id="s")
    second.add(graph="first", id="f")
    flow.app.add_graph(first)
    flow.app.add_graph(second)
    flow.graph.add(graph="first", id="flow")

    async def main():
        with pytest.raises(CycleError, match="node 's': the graph contains itself: first -> second -> first"):
            await flow.app.execute(Static("g"))
        assert await flow.app.runs() == []

    flow.run(main)


# -- failures in child flows ---------------------------------------------------------------------------------


def test_under_continue_a_child_flow_goes_on_and_then_its_node_fails(flow):
    """With the first errors of its steps; its own policy says what becomes of the run."""
    inner = Graph("inner")
    for number in range(5):
        inner.add("work", id=f"bad{number}", x=number)
    inner.add("work", id="good", x=9)
    flow.bad = {0, 1, 2, 3, 4}
    flow.graph.add(inner, id="flow")
    flow.graph.add("give", id="lost", value=ref("flow.good"))
    report = flow.execute()
    told = (
        "ScopeFailed: node 'flow': 5 of its steps failed: flow/bad4: ValueError: no 4; flow/bad3: ValueError: no 3; "
        "flow/bad2: ValueError: no 2; and 2 more"
    )
    assert (report.status, report.error) == ("failed", f"flow: {told}")
    assert error_of(report, "flow") == told
    assert statuses(report)["flow/good"] == "succeeded"
    assert report.node_outcomes["lost"].reason == "'flow' failed"


def test_under_stop_a_step_of_a_child_flow_stops_the_run(flow):
    """What runs is cancelled, wherever it is, and the run's error names the step."""
    flow.bad = {90}
    flow.graph.add(pair(), id="flow", x=90)
    flow.graph.add("work", id="other", x=1)
    report = _with_policy(flow, "stop").execute()
    assert (report.status, report.error) == ("failed", "flow/first: ValueError: no 90")
    assert statuses(report)["other"] == "cancelled"


def _with_policy(flow, policy):
    head = flow.graph
    flow.begin(on_failure=policy)
    for node in head.nodes.values():
        flow.graph.insert(node)
    for graph in head.nested.values():
        flow.app.add_graph(graph)
    return flow


@pytest.mark.parametrize("depth", [1, 2])
def test_under_pause_a_child_flow_waits_for_the_run_to_be_resumed(flow, depth):
    """What succeeded is not run again, what failed gets fresh tries, at any depth."""
    inner = Graph("inner")
    inner.add("work", id="good", x=5)
    inner.add("work", id="next", x=inner.add("work", id="bad", x=inner.input("x")))
    outer = Graph("outer")
    outer.add(inner, id="inner", x=outer.input("x"))
    flow.graph.add(inner if depth == 1 else outer, id="flow", x=90)
    flow.bad = {90}
    where = "flow" if depth == 1 else "flow/inner"
    report = _with_policy(flow, "pause").execute()
    assert (report.status, report.error) == ("paused", f"{where}/bad: ValueError: no 90")
    flow.bad = set()
    report = flow.resume(report.run_id)
    assert (report.status, report.error) == ("succeeded", None)
    assert report.outputs["flow"] == {"good": 6, "next": 92}
    assert flow.calls == {f"{where}/good": 1, f"{where}/bad": 2, f"{where}/next": 1}


def test_a_child_flow_that_failed_under_continue_is_taken_up_again(flow):
    """Its node is stuck: resuming it gives what failed and was skipped in it another chance, whatever the depth."""
    inner = Graph("inner", config={"on_failure": "continue"})
    inner.add("work", id="good", x=5)
    inner.add("work", id="next", x=inner.add("work", id="bad", x=inner.input("x")))
    outer = Graph("outer", config={"on_failure": "continue"})
    outer.add(inner, id="inner", map=outer.add("give", id="listed", value=[90, 91]))
    flow.graph.add(outer, id="flow", on_failure="pause")
    flow.bad = {90}
    report = flow.execute()
    assert report.status == "paused"
    assert report.error.startswith("flow: ScopeFailed: node 'flow': 1 of its steps failed: flow/inner: ScopeFailed: ")
    again = flow.resume(report.run_id)  # nothing is mended yet
    assert (again.status, again.error) == ("paused", report.error)
    flow.bad = set()
    report = flow.resume(report.run_id)
    assert (report.status, report.outputs["flow"]) == ("succeeded", {"good": [6, 6], "next": [92, 93]})
    assert flow.calls["flow/inner/0/bad"] == 3
    assert {count for step, count in flow.calls.items() if step != "flow/inner/0/bad"} == {1}


def test_a_node_that_failed_after_its_flow_is_tried_again_at_a_resume(flow):
    """Its graph succeeded and gave not what it declares: it does not hang, it fails as before."""
    inner = Graph("inner")
    inner.add("give", id="only", value=1)
    outer = Graph("outer")
    outer.add(inner, id="inner", outputs=["zzz"])
    flow.graph.add(outer, id="flow", on_failure="pause")
    flow.graph.add(inner, id="direct", outputs=["zzz"], on_failure="pause")
    report = flow.execute()
    assert report.status == "paused"
    assert flow.resume(report.run_id).error == report.error


def test_a_failed_dependency_and_a_failed_flow_after_it_are_both_taken_up(flow):
    """What runs whatever became of its dependency waits for that one again, then for its own steps."""
    inner = Graph("inner", config={"on_failure": "continue"})
    first = inner.add("work", id="first", x=90)
    inner.add(pair(), id="then", x=91, after=[first], run_when="finished")
    flow.graph.add(inner, id="flow", on_failure="pause")
    flow.bad = {90, 91}
    report = flow.execute()
    assert (report.status, list(flow.calls)) == ("paused", ["flow/first", "flow/then/first"])
    flow.bad = set()
    assert flow.resume(report.run_id).outputs["flow"] == {"output": 93}
    assert flow.clock.passed_seconds == (10 + 9) + (10 + 9 + 8)  # none of them beside another


def test_retries_and_timeouts_hold_in_child_flows(flow):
    """Each step of one is tried as often as it says, each time as long as it says."""
    inner = Graph("inner")
    inner.add("work", id="slow", x=0, timeout=7, try_count=2)
    inner.add("work", id="flaky", x=5, try_count=3)
    flow.bad = {5}
    flow.graph.add(inner, id="flow")
    report = flow.execute()
    slow, flaky = report.node_outcomes["flow/slow"], report.node_outcomes["flow/flaky"]
    assert (slow.attempts, slow.duration, flaky.attempts) == (2, 14, 3)
    assert slow.final_error.endswith("node 'slow': attempt 2 timed out after 7 s")


# -- failure actions -----------------------------------------------------------------------------------------


def mending(flow, **options):
    """A failure action that gives the length of the error, and notes what it got."""

    @flow.app.action(**options)
    async def mend(error: str, ctx: Context, x: int = 0):
        flow.seen["mend"] = {"error": error, "x": x, "inputs": ctx.inputs, "outcomes": ctx.outcomes}
        ctx.recover({"output": x * 10})
        return "not this"

    return mend


def test_a_failure_action_gives_its_step_other_outputs(flow):
    """It gets the error and the inputs after the last try; the run goes on as if nothing had been."""
    flow.bad = {90}
    flow.graph.add("work", id="after", x=flow.graph.add("work", id="bad", x=90, failure=mending(flow), try_count=2))
    report = flow.execute()
    assert (report.status, report.error) == ("succeeded", None)
    assert (report.outputs["bad"], report.outputs["after"]) == ({"output": 900}, {"output": 901})
    outcome = report.node_outcomes["bad"]
    assert (outcome.status, outcome.success, outcome.attempts) == ("recovered", True, 2)
    seen = flow.seen["mend"]
    assert (seen["error"], seen["x"]) == ("ValueError: no 90", 90)
    assert seen["inputs"] == {"x": 90, "error": "ValueError: no 90"}
    assert [(name, told.status, told.final_error) for name, told in seen["outcomes"].items()] == [
        ("bad", "failed", "ValueError: no 90")
    ]
    types = [event.type for event in flow.journal if getattr(event, "step", "").startswith("bad")]
    assert types == ["StepStarted", "AttemptFailed", "StepStarted", "AttemptFailed", "StepSucceeded"]


def test_a_failure_action_takes_of_the_inputs_what_it_wants(flow):
    """What it has no parameter for is not passed, not even in a map; an input called error gives way."""

    @flow.app.action
    async def tell(error: str):
        return error

    flow.bad = {90}
    flow.graph.add("work", id="bad", x=90, failure=tell)
    flow.graph.add("work", id="each", map=flow.give([90]), failure=tell)
    report = flow.execute()
    assert statuses(report)["bad:failure"] == statuses(report)["each/0:failure"] == "succeeded"
    assert statuses(report)["bad"] == "failed"
    assert report.error.splitlines()[0] == "bad: ValueError: no 90"


def test_an_items_failure_action_recovers_that_item(flow):
    """It gets the item as the step's own action had it, in the loop and in a thread."""

    @flow.app.action
    def mend_there(error: str, x: int, ctx: Context):
        ctx.recover({"output": -x, "told": ctx.outcomes["there"].final_error})

    flow.bad = {91, 92}
    listed = flow.give([90, 91, 92])
    flow.graph.add("work", id="each", map=listed, failure=mending(flow))
    flow.graph.add("work", id="there", map=listed, failure=mend_there)
    report = flow.execute()
    assert report.outputs["each"] == {"output": [91, 910, 920]}
    assert report.outputs["there"] == {
        "output": [91, -91, -92],
        "told": [None, "ValueError: no 91", "ValueError: no 92"],
    }
    assert report.status == "succeeded"


def test_a_graphs_failure_action_recovers_the_whole_of_it(flow):
    """Its steps stay failed, and nothing is left of it in the state."""
    flow.bad = {90}
    flow.graph.add(pair(), id="flow", x=90, failure=mending(flow))
    report = flow.execute()
    assert report.outputs == {"flow": {"output": 900}}
    assert statuses(report)["flow/first"] == "failed"
    assert report.node_outcomes["flow"].status == "recovered"


@pytest.mark.parametrize("policy", ["stop", "continue", "pause"])
def test_a_failure_action_comes_before_the_policy(flow, policy):
    """What it does not recover fails as it would have; its own failure changes nothing in that."""

    @flow.app.action
    async def worse(error: str):
        raise ValueError("worse")

    flow.bad = {90}
    flow.graph.add("work", id="bad", x=90, failure=worse)
    flow.graph.add("work", id="after", x=ref("bad"))
    report = flow.execute(config={"on_failure": policy})
    assert report.status == ("paused" if policy == "pause" else "failed")
    assert report.error == "bad: ValueError: no 90"
    assert error_of(report, "bad:failure") == "ValueError: worse"
    assert [event.policy for event in flow.journal if event.type == "StepFailed"] == ["continue", policy]


def test_after_a_resume_the_failure_action_has_its_turn_again(flow):
    """Fresh tries first."""
    flow.bad = {90}
    is_patient = True

    @flow.app.action
    async def mend(error: str, ctx: Context):
        if not is_patient:
            ctx.recover({"output": 1})

    flow.graph.add("work", id="bad", x=90, failure=mend, on_failure="pause")
    report = flow.execute()
    assert report.status == "paused"
    is_patient = False
    report = flow.resume(report.run_id)
    assert (report.status, report.outputs, flow.calls) == ("succeeded", {"bad": {"output": 1}}, {"bad": 2})


def test_a_failure_action_has_one_try_and_the_steps_timeout(flow):
    """It is cut off like any attempt."""

    @flow.app.action
    async def slow(error: str):
        flow.calls["slow"] += 1
        await asyncio.sleep(60)

    flow.bad = {99}
    flow.graph.add("work", id="bad", x=99, failure=slow, timeout=7, try_count=3)
    report = flow.execute()
    assert error_of(report, "bad:failure").endswith("timed out after 7 s")
    assert flow.calls["slow"] == 1


def test_only_a_failure_action_can_recover(flow):
    """Anywhere else there is no step that it could be for."""

    @flow.app.action
    async def lost(ctx: Context):
        with pytest.raises(StepError, match="node 'lost': recover is for failure actions"):
            ctx.recover({})

    flow.graph.add(lost, id="lost")
    assert flow.execute().status == "succeeded"


def test_open_waits_of_a_step_do_not_outlive_its_recovery(flow):
    """A step that failed beside a sleep, and was recovered, is waited for by nobody: not after a resume either."""

    @flow.app.action
    async def both(ctx: Context):
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.sleep(10_000))
            await asyncio.sleep(1)
            raise ValueError("no")

    flow.bad = {90}
    flow.graph.add(both, id="both", failure=mending(flow))
    flow.graph.add(both, id="stuck", on_failure="pause")
    flow.graph.add("work", id="bad", x=90, on_failure="pause", after=["both"])
    report = flow.execute()
    assert (report.status, report.outputs["both"]) == ("paused", {"output": 0})
    flow.bad = set()
    assert flow.clock.passed_seconds < 100
    report = flow.resume(report.run_id)
    assert (report.status, report.outputs["bad"]) == ("paused", {"output": 91})


# -- reuse ---------------------------------------------------------------------------------------------------


def costly(flow, *, writes=False, **options):
    """Register an action that is worth keeping, and a node of it; `begin` before registering it anew."""

    @flow.app.action(**{"cache": True, **options})
    async def costly(ctx: Context, x: object = 0, y: object = 0):
        flow.calls["costly"] += 1
        if writes:
            ctx.cache.set("global", "done", 1)
        return [x, y]

    return costly


def reused(report):
    return {outcome.node_id: outcome.reused for outcome in report.node_outcomes if outcome.reused}


def test_equal_work_is_not_done_again_in_a_later_run(flow):
    """Its outputs are taken from the run that did it, which journal and outcome name."""
    inputs = {"x": flow.graph.input("x"), "y": flow.give([1.5, {"b": 1, "a": 2}])}
    flow.graph.add(costly(flow), id="costly", inputs=inputs)
    first = flow.execute(inputs={"x": {"k": 1, "l": 2}})
    second = flow.execute(inputs={"x": {"l": 2, "k": 1}})
    assert (reused(first), reused(second)) == ({}, {"costly": first.run_id})
    assert second.outputs == first.outputs
    assert [event.reused for event in flow.journal if event.type == "StepSucceeded"][-1] == first.run_id
    assert reused(flow.execute(inputs={"x": 2})) == {}
    assert flow.calls == {"costly": 2}


@pytest.mark.parametrize(
    ("options", "node", "is_reused"),
    [
        ({}, {}, True),
        ({"version": 2}, {}, False),
        ({}, {"id": "other"}, False),
        ({}, {"timeout": 5}, False),
        ({}, {"description": "other words"}, True),
    ],
    ids=["same", "version", "id", "definition", "description"],
)
def test_other_work_is_done_in_another_process(options, node, is_reused, tmp_path):
    """Another version of the action or another definition of the node is other work; what people read is not."""
    flow = Flow(tmp_path / "runs.db")
    flow.graph.add(costly(flow, version=1), id="costly", x=1)
    flow.execute()
    flow.begin()
    flow.graph.add(costly(flow, **{"version": 1, **options}), **{"id": "costly", "x": 1, **node})
    assert bool(reused(flow.execute())) is is_reused


def test_what_is_too_old_is_done_again(flow):
    """`ttl` is the age of the work itself: reusing it does not make it younger."""
    flow.graph.add(costly(flow, cache={"ttl": "1h"}), id="costly")
    found = []
    for _ in range(4):
        found.append(bool(reused(flow.execute())))
        flow.clock.advance(1_500)
    assert found == [False, True, True, False]


def test_key_says_which_inputs_make_it_the_same_work(flow):
    """The others do not count; a node's own `cache` wins over its action's."""
    flow.graph.add(costly(flow), id="costly", x=1, y=flow.graph.input("y"), cache={"key": "x"})
    first = flow.execute(inputs={"y": 1})
    assert flow.execute(inputs={"y": 2}).outputs["costly"] == first.outputs["costly"] == {"output": [1, 1]}


def test_items_of_a_map_are_reused_one_by_one(flow):
    """Only what is new is done."""
    flow.graph.add(costly(flow), id="each", map=flow.graph.input("listed"), x=flow.graph.item)
    flow.execute(inputs={"listed": [1, 2, 3]})
    report = flow.execute(inputs={"listed": [3, 4, 1]})
    assert sorted(reused(report)) == ["each/0", "each/2"]
    assert (report.outputs["each"]["output"], flow.calls["costly"]) == ([[3, 0], [4, 0], [1, 0]], 4)


def test_a_step_that_changed_more_than_its_outputs_is_done_again(flow):
    """Its writes would be missing."""
    flow.graph.add(costly(flow, writes=True), id="costly")
    assert [reused(flow.execute()) for _ in range(2)] == [{}, {}]


def test_work_is_known_by_the_inputs_that_it_began_with(flow):
    """What somebody writes over them meanwhile is not what the outputs came from."""

    @flow.app.action
    async def overwrite(ctx: Context):
        ctx.cache.set("source", "output", 2)

    @flow.app.action(cache=True)
    async def slow(x: int):
        await asyncio.sleep(60)
        return x

    source = flow.give(1, id="source")
    flow.graph.add(slow, id="slow", x=source)
    flow.graph.add(overwrite, id="overwrite", after=[source])
    first = flow.execute()
    assert reused(flow.execute()) == {"slow": first.run_id}


@pytest.mark.parametrize(
    ("node", "config", "status", "inner"),
    [
        ({}, {}, "paused", "failed"),
        ({"on_failure": "continue"}, {}, "failed", "failed"),
        ({"on_failure": "stop"}, {}, "failed", "failed"),
        ({}, {"on_failure": "continue"}, "paused", "failed"),
        ({"on_failure": "continue"}, {"on_failure": "stop"}, "failed", "failed"),
        ({"failure": "mend"}, {}, "succeeded", "failed"),
    ],
)
def test_whoever_is_nearest_says_what_a_failure_in_a_child_flow_means(flow, node, config, status, inner):
    """The graph's own config, then the node that runs it; one with a failure action sees its graph fail."""

    async def mend(error: str, ctx: Context) -> None:
        assert error.startswith("ScopeFailed: ")
        ctx.recover({"output": 5})

    flow.begin(on_failure="pause")
    flow.app.register_action(mend)
    graph = Graph("inner", config=config)
    graph.add("work", id="bad", x=90)
    flow.bad = {90}
    flow.graph.add(graph, id="flow", **node)
    report = flow.execute()
    assert (report.status, statuses(report)["flow/bad"]) == (status, inner)
    if status == "succeeded":
        assert (statuses(report)["flow"], report.outputs["flow"]) == ("recovered", {"output": 5})


def test_a_nested_graphs_config_counts_the_attempts_of_its_steps(flow):
    """And nobody else's."""
    graph = Graph("inner", config={"max_attempts": 3, "retry_strategy": "immediate", "on_failure": "continue"})
    graph.add("work", id="bad", x=90)
    flow.bad = {90}
    flow.graph.add(graph, id="flow")
    flow.graph.add("work", id="other", x=90, try_count=1)
    report = flow.execute()
    assert [report.node_outcomes[step].attempts for step in ("flow/bad", "other")] == [3, 1]


@pytest.mark.parametrize(("when", "status"), [({"equals": 1}, "skipped"), ({"not_in": [0, 1]}, "succeeded")])
def test_true_is_no_1(flow, when, status):
    """As JSON has it."""
    given = flow.graph.add("give", id="given", value=True)
    flow.graph.add("work", id="then", x=1, when={"reference": given, **when})
    assert statuses(flow.execute())["then"] == status


def test_a_recovery_gives_what_its_node_declares(flow):
    """Else the step that needs it would be the one to fail."""

    @flow.app.action
    async def mend(ctx: Context) -> None:
        ctx.recover({"other": 5})

    flow.bad = {90}
    flow.graph.add("work", id="bad", x=90, outputs=["wanted"], failure="mend")
    report = flow.execute()
    assert "OutputInvalid: node 'bad:failure': recover: node 'bad' declares the output 'wanted'; given: other" in (
        report.node_outcomes["bad:failure"].final_error
    )
