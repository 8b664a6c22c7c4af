"""What steps may add to the flow that they are in, from wherever; on both stores."""

import asyncio
import threading

import pytest
from tests import supervised
from tests.engine import process_actions
from tests.supervised import executed, ran

from dagger import Context, DaggerError, Graph, Static, action, ref
from dagger.core.fold import fold


async def note(ctx: Context, x: object = None) -> object:
    """What it is given, else the node's id."""
    return ctx.node.id if x is None else x


async def whole(n: int) -> int:
    """A whole number, and one more."""
    return n + 1


async def refuse(ctx: Context) -> None:
    """It never succeeds."""
    raise ValueError(ctx.node.id)


def grown(world, grow, *actions, build=None, graphs=(), config=None):
    """What a run comes to whose one node, or else those that `build` adds, may add others."""
    graph = Graph("g")

    def main(app):
        for inner in graphs:
            app.add_graph(inner)
        (build or (lambda graph: graph.add(grow, id="grow")))(graph)
        app.add_graph(graph)
        return executed(app, Static("g"))

    return supervised.run(world, main, grow, note, whole, refuse, *actions, config=config)


# -- what fits -----------------------------------------------------------------------------------------------


def test_an_added_node_may_wait_for_any_other(world):
    """For what has ended, failed or was skipped, has not ended yet, was added before it, and the step that adds it."""

    async def grow(ctx: Context):
        ctx.add_node(note, id="late", dependencies=["slow"])
        ctx.add_node(note, id="tidy", dependencies=["bad", "lost"], run_when="finished")
        ctx.add_node(note, id="doomed", dependencies=["bad"])
        ctx.add_node(whole, id="sum", inputs={"n": ref("early")})
        ctx.add_node(whole, id="next", inputs={"n": ref("sum")}, dependencies=["grow"])

    async def slow(ctx: Context):
        await asyncio.sleep(60)

    def build(graph):
        graph.add("whole", id="early", n=1)
        graph.add(slow, id="slow")
        bad = graph.add("refuse", id="bad", on_failure="continue")
        graph.add("note", id="lost", x=bad)
        graph.add(grow, id="grow", after=["early", bad, "lost"], run_when="finished")

    found = grown(world, grow, slow, build=build)

    assert found.statuses == {
        "early": "succeeded", "slow": "succeeded", "bad": "failed", "lost": "skipped", "grow": "succeeded",
        "late": "succeeded", "tidy": "succeeded", "doomed": "skipped", "sum": "succeeded", "next": "succeeded",
    }  # fmt: skip
    assert found.report.node_outcomes["doomed"].reason == "'bad' failed"
    assert found.report.outputs["next"] == {"output": 4}
    assert found.report.node_outcomes["late"].started_at >= found.report.node_outcomes["slow"].ended_at


def test_added_nodes_are_shown(world):
    """In the report in the order in which they were added, and in the tree beneath the step that added them."""

    async def grow(ctx: Context):
        ctx.add_node(whole, id="b", inputs={"n": 1}, description="second")
        ctx.add_node(whole, id="a", inputs={"n": ref("b")})

    found = grown(world, grow)

    assert list(found.statuses) == ["grow", "b", "a"]
    assert {("grow", "added", "b"), ("b", "executed_after", "a")} <= found.edges
    assert "added" in found.tree.to_dot()
    assert 'n0 -.->|"added"| n1' in found.tree.to_mermaid()


def test_an_added_node_may_add_others(world):
    """Each step its own, with ids of its own where none is given, of bounded length at any depth."""

    async def grow(ctx: Context, depth: int = 30):
        if depth:
            ctx.add_node("grow", inputs={"depth": depth - 1})
            ctx.add_node("note")

    found = grown(world, grow)

    assert found.report.status == "succeeded"
    assert len(found.statuses) == 61
    assert max(map(len, found.statuses)) == len("grow_") + 12


def test_an_action_of_any_name_can_be_added_without_an_id(world):
    """The id that is made says what it calls, and is one."""

    async def grow(ctx: Context):
        return [ctx.add_node("2nd look"), ctx.add_node("x" * 200), ctx.add_node("größe")]

    def called(name):
        @action(name=name)
        async def look():
            return name

        return look

    named = [called(name) for name in ("2nd look", "x" * 200, "größe")]
    found = grown(world, grow, *named)

    assert found.report.status == "succeeded"
    first, long, other = found.report.outputs["grow"]["output"]
    assert (first[:10], long[:151], other[:6]) == ("_2nd_look_", "x" * 150 + "_", "gr__e_")


# -- what does not -------------------------------------------------------------------------------------------

BAD = {
    "action": (
        {"action": "nite", "id": "n"},
        "ActionNotRegistered",
        "action 'nite' is not registered; did you mean 'n",
    ),
    "duplicate": ({"action": "note", "id": "other"}, "NodeAlreadyExists", "node 'other' is in run 'r' already"),
    "itself": ({"action": "note", "id": "grow"}, "NodeAlreadyExists", "node 'grow' is in run 'r' already"),
    "missing": (
        {"action": "note", "id": "n", "dependencies": ["othr"]},
        "DependencyNotFound",
        "dependency 'othr' is not a node of run 'r'; did you mean 'other'?",
    ),
    "referred": (
        {"action": "note", "id": "n", "inputs": {"x": ref("nop.y")}},
        "DependencyNotFound",
        "dependency 'nop'",
    ),
    "circle": ({"action": "note", "id": "n", "dependencies": ["n"]}, "CycleError", "node 'n' waits for itself"),
    "literal": (
        {"action": "whole", "id": "n", "inputs": {"n": "x"}},
        "InputInvalid",
        "input 'n': expected int, got str",
    ),
    "unknown": ({"action": "whole", "id": "n", "inputs": {"n": 1, "m": 1}}, "InputInvalid", "m"),
    "lacking": ({"action": "whole", "id": "n"}, "InputInvalid", "input 'n' missing; action 'whole' requires it"),
    "id": ({"action": "note", "id": "a b"}, "GraphError", "node id 'a b' must be letters, digits, _ and -"),
    "reserved": ({"action": "note", "id": "inputs"}, "GraphError", "node id 'inputs' is reserved"),
    "no text": ({"action": "note", "id": 5}, "GraphError", "5"),
    "field": ({"action": "note", "id": "n", "secods": 1}, "GraphError", "a node has no field 'secods'"),
    "timeout": (
        {"action": "note", "id": "n", "timeout": -1},
        "GraphError",
        "timeout -1 must be a number of seconds above",
    ),
    "failure": (
        {"action": "note", "id": "n", "failure": "nop"},
        "ActionNotRegistered",
        "action 'nop' is not registered",
    ),
    "not json": ({"action": "note", "id": "n", "inputs": {"x": {1, 2}}}, "GraphError", "input 'x'"),
}


def other(graph):
    graph.add("grow", id="grow")
    graph.add("note", id="other")


@pytest.mark.parametrize("case", BAD)
def test_a_node_that_does_not_fit_fails_the_step_that_adds_it(case, world):
    """At once and without retries, with an error that names it; nothing of the step is left."""
    bad, error, message = BAD[case]

    async def grow(ctx: Context):
        ctx.cache.set("global", "trace", 1)
        ctx.add_node(note, id="before")
        ctx.add_node(**bad)

    found = grown(world, grow, build=other, config={"max_attempts": 3, "on_failure": "continue"})

    assert found.statuses == {"grow": "failed", "other": "succeeded"}
    final = found.report.node_outcomes["grow"].final_error
    assert final.startswith(f"Failed after 1 attempt. Last error: {error}: ")
    assert message in final
    assert "trace" not in fold(found.events).sections.get("global", {})


@pytest.mark.parametrize("case", BAD)
def test_a_node_that_does_not_fit_is_the_codes_to_deal_with(case, world):
    """The error is raised where the node is added: code may go on without it."""
    bad, error, _ = BAD[case]

    async def grow(ctx: Context):
        try:
            ctx.add_node(**bad)
        except DaggerError as raised:
            ctx.add_node(note, id="instead")
            return type(raised).__name__

    found = grown(world, grow, build=other)

    assert found.statuses == {"grow": "succeeded", "other": "succeeded", "instead": "succeeded"}
    assert found.report.outputs["grow"] == {"output": error}


@pytest.mark.parametrize("is_here", [True, False], ids=["here", "elsewhere"])
@pytest.mark.parametrize("case", [case for case in BAD if case != "itself"])
def test_a_node_that_does_not_fit_is_refused_from_outside(case, is_here, world):
    """`run.add_node` raises the same, whichever process executes the run, and the run goes on as if nothing was."""
    bad, error, message = BAD[case]
    graph = Graph("g")

    async def other():
        await asyncio.sleep(60)

    async def main(app):
        graph.add(other, id="other")
        app.add_graph(graph)
        run = await app.start(Static("g"), run_id="r")
        async with supervised.application(world, note, whole, other) as there:
            handle = run if is_here else await there.get_run("r")
            with pytest.raises(DaggerError) as raised:
                await handle.add_node(**bad)
        return type(raised.value).__name__, str(raised.value), await ran(run)

    name, told, found = supervised.run(world, main, note, whole, other)

    assert name == error
    assert message in told
    assert found.statuses == {"other": "succeeded"}


def test_twice_within_a_step_is_once_too_often(world):
    """The ids of one step's nodes differ."""

    async def grow(ctx: Context):
        ctx.add_node(note, id="n")
        ctx.add_node(note, id="n")

    found = grown(world, grow, config={"on_failure": "continue"})

    assert found.report.error == "grow: NodeAlreadyExists: node 'n' is in run 'r' already; give it another id"


@pytest.mark.parametrize("where", ["loop", "thread"])
def test_of_two_steps_that_add_the_same_id_the_later_one_fails(where, world):
    """Both find it free; the one that ends later fails without retries, and nothing of it is left."""

    async def grow(ctx: Context, seconds: int):
        ctx.add_node(note, id="same", inputs={"x": seconds})
        ctx.add_node(note)
        ctx.cache.append("global", "order", seconds)
        await asyncio.sleep(seconds)

    def elsewhere(ctx: Context, seconds: int):
        ctx.add_node(note, id="same", inputs={"x": seconds})
        ctx.add_node(note)
        ctx.cache.append("global", "order", seconds)
        if seconds == 2:
            ended.wait(60)

    ended = threading.Event()

    async def free(ctx: Context):
        ended.set()

    def build(graph):
        act = "grow" if where == "loop" else elsewhere
        for seconds in (1, 2):
            graph.add(act, id=f"after{seconds}", seconds=seconds)
        graph.add(free, id="free", after=["after1"])

    found = grown(world, grow, elsewhere, free, build=build, config={"on_failure": "continue", "max_attempts": 3})

    assert found.report.node_outcomes["after2"].final_error == (
        "Failed after 1 attempt. Last error: NodeAlreadyExists: node 'same' is in run 'r' already; give it another id"
    )
    assert found.report.outputs["same"] == {"output": 1}
    assert len(found.statuses) == 5
    assert fold(found.events).sections["global"].keys() == {"order"}
    assert b"2" not in bytes(fold(found.events).sections["global"]["order"].head)


# -- attempts ------------------------------------------------------------------------------------------------


def test_a_failed_attempt_adds_nothing_and_the_next_one_adds_the_same(world):
    """Collected until it succeeds; ids that are made are the same in every attempt."""
    made = []

    async def grow(ctx: Context):
        made.append([ctx.add_node(note), ctx.add_node(note), ctx.add_node(whole, inputs={"n": 1})])
        if ctx.attempt < 3:
            raise ConnectionError

    found = grown(world, grow, config={"max_attempts": 3})

    assert made[0] == made[1] == made[2]
    assert len(set(made[0])) == 3
    assert list(found.statuses) == ["grow", *made[0]]
    assert set(found.statuses.values()) == {"succeeded"}


def test_what_was_added_is_added_alike_after_a_crash(world):
    """The process dies before the step has ended: the next one's attempt makes the same ids."""
    made = []
    graph = Graph("g")

    async def grow(ctx: Context):
        made.append(ctx.add_node(note))
        if len(made) == 1:
            await asyncio.sleep(1_000_000)

    async def begin(app):
        app.add_graph(graph)
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(1)

    async def go_on(app):
        (run,) = await app.recover()
        return await ran(run)

    graph.add(grow, id="grow")
    supervised.run(world, begin, grow, note)
    found = supervised.run(world, go_on, grow, note)

    assert made[0] == made[1]
    assert found.statuses == {"grow": "succeeded", made[0]: "succeeded"}


# -- from where ----------------------------------------------------------------------------------------------


def test_a_thread_may_add_nodes(world):
    """It sees the errors too."""

    def grow(ctx: Context):
        try:
            ctx.add_node("nop")
        except DaggerError as error:
            return type(error).__name__, ctx.add_node(whole, id="n", inputs={"n": 1})

    found = grown(world, grow)

    assert found.report.outputs == {"grow": {"output": ["ActionNotRegistered", "n"]}, "n": {"output": 2}}


PROCESS_CASES = ["action", "duplicate", "literal", "id", "failure", "circle"]


@pytest.mark.parametrize("case", [None, *PROCESS_CASES])
def test_a_process_may_add_nodes(case, tmp_path):
    """What does not fit is told at its success: that fails, without retries."""
    added = {"action": "note", "id": "n", "inputs": {"x": 1}} if case is None else BAD[case][0]

    def build(graph):
        graph.add(process_actions.grow, id="grow", grown=added)
        graph.add(note, id="other")

    report, _ = process_actions.execute(build, actions=[action(note), action(whole)])

    if case is None:
        assert report.outputs["n"] == {"output": 1}
    else:
        assert {outcome.node_id for outcome in report.node_outcomes} == {"grow", "other"}
        final = report.node_outcomes["grow"].final_error
        assert final.startswith(f"Failed after 1 attempt. Last error: {BAD[case][1]}: ")


def test_a_step_of_a_nested_graph_adds_to_that_graph(world):
    """Its ids are the nested graph's own; it cannot name a node outside; the graph ends with what was added."""

    async def grow(ctx: Context):
        try:
            ctx.add_node(note, id="n", dependencies=["outside"])
        except DaggerError as error:
            ctx.cache.set("global", "told", str(error))
        ctx.add_node(whole, id="outside", inputs={"n": ref("inputs.n")})
        ctx.add_node(note, id="more", inputs={"x": ref("outside")}, dependencies=["grow"])

    inner = Graph("inner")

    def build(graph):
        if not inner.nodes:
            inner.add("grow", id="grow", n=inner.input("n"))
        early = graph.add("whole", id="outside", n=1)
        graph.add("note", id="after", x=graph.add(inner, id="flow", n=early))

    found = grown(world, grow, build=build)

    ended = {event.step: event.outputs for event in found.events if type(event).__name__ == "StepSucceeded"}
    assert list(ended) == ["outside", "flow/grow", "flow/outside", "flow/more", "flow", "after"]
    assert bytes(ended["flow/more"]["output"]) == b"3"
    told = fold(found.events).sections["global"]["told"].decode()
    assert "dependency 'outside' is not a node of child flow 'flow' of run 'r'" in told
    assert ("flow/grow", "added", "flow/outside") in found.edges


def test_an_item_of_a_map_adds_to_the_flow_around_it(world):
    """Each item's ids are its own; what it adds outlives the map, and may wait for it."""

    async def grow(ctx: Context, x: int):
        ctx.add_node(whole, inputs={"n": x}, dependencies=["each"])
        return x

    def build(graph):
        listed = graph.add("note", id="list", x=[1, 2, 3])
        graph.add("grow", id="each", map=listed, x=graph.item)

    found = grown(world, grow, build=build)

    added = [step for step in found.statuses if step.startswith("whole_")]
    assert [found.report.outputs[step]["output"] for step in added] == [2, 3, 4]
    assert set(found.statuses.values()) == {"succeeded"}


def test_an_added_node_may_be_a_map_a_failure_action_may_add(world):
    """All fields of a node are there; and a step that handles a failure adds beside the step that failed."""

    async def grow(ctx: Context):
        ctx.add_node(note, id="list", inputs={"x": [1, 2]})
        ctx.add_node(whole, id="each", map=ref("list"), inputs={"n": ref("item")}, priority=2)
        ctx.add_node(refuse, id="bad", failure="mend", when={"reference": "list", "not_equals": 3})

    async def mend(ctx: Context, error: str):
        ctx.recover({"output": ctx.add_node(note)})

    found = grown(world, grow, mend)

    assert found.report.outputs["each"] == {"output": [2, 3]}
    assert found.statuses["bad"] == "recovered"
    assert found.statuses[found.report.outputs["bad"]["output"]] == "succeeded"


def test_a_nested_flow_that_is_resumed_retries_what_was_added_to_it(world):
    """An added node that failed there gets its fresh tries, and what succeeded stays."""
    calls = []
    inner, graph = Graph("inner", config={"on_failure": "continue"}), Graph("g")

    async def grow(ctx: Context):
        ctx.add_node(work, id="bad")
        ctx.add_node(work, id="good")
        ctx.add_node(work, id="last", dependencies=["bad", "good"])

    async def work(ctx: Context):
        calls.append(ctx.node.id)
        if calls == ["bad"]:
            raise ValueError("no")

    inner.add(grow, id="grow")
    graph.add(inner, id="flow", on_failure="pause")

    async def main(app):
        app.add_graph(graph)
        run = await app.start(Static("g"), run_id="r")
        first = await ran(run)
        return first, await ran(await run.resume())

    first, found = supervised.run(world, main, grow, work)

    assert first.report.status == "paused"
    assert found.report.status == "succeeded"
    assert calls == ["bad", "good", "bad", "last"]
    assert first.tree.nodes
