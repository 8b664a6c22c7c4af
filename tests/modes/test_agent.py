"""AgentDriven: a run begins with one supervisor, whose turns add the rest; on both stores."""

import asyncio
import datetime

import pytest
from tests import supervised
from tests.supervised import execute, ran

from dagger import (
    ActionNotRegistered,
    AgentDriven,
    Context,
    Dagger,
    Graph,
    GraphError,
    InputInvalid,
    NonRetryable,
    RunExists,
    ref,
)
from dagger.core.events import Spec
from dagger.core.graph import Input


def opened(spec, inputs=None):
    """How a spec begins; it needs no graph."""

    def find(name):
        raise AssertionError(name)

    return spec.opening(find, inputs or {})


# -- how it begins -------------------------------------------------------------------------------------------


def test_it_opens_with_one_supervisor():
    """The first iteration, with the task and the run's inputs, whatever the action is."""
    begins = opened(AgentDriven("find out", supervisor="plan"), {"depth": 3})

    (first,) = begins.graph.nodes
    assert (begins.spec, begins.inputs, begins.config) == (Spec("agent", "plan"), {"task": "find out"}, {})
    assert (first.id, first.action, first.iteration.number) == ("supervisor_1", "plan", 1)
    assert first.inputs == (Input("task", "inputs.task"), Input("depth", "inputs.depth"))
    assert first.hash


def test_kept_alive_it_has_no_time_limit_of_its_own():
    """A setting in place of the library's default: one that is given counts."""
    assert opened(AgentDriven("t", keep_alive=True)).config == {"timeout_seconds": None}
    assert opened(AgentDriven("t", keep_alive=True)).graph.nodes[0].iteration.keep_alive


@pytest.mark.parametrize("task", [None, 5, ["t"], b"t", "\ud800"], ids=repr)
def test_a_task_is_a_text(task):
    """Refused where it is written."""
    with pytest.raises(GraphError, match="AgentDriven takes a task as text, not "):
        AgentDriven(task)


@pytest.mark.parametrize("given", ["search", {"action": "search"}, 5, None, {"a", "b"}], ids=repr)
def test_instructions_are_a_list(given):
    """One alone is most likely meant to be in a list: it is refused where it is written."""
    with pytest.raises(GraphError, match=r"AgentDriven: instructions are a list of \{action, params, priority\}, not "):
        AgentDriven("t", instructions=given)


async def plan(ctx: Context, task: str) -> str:
    """It does nothing but to say what it was asked."""
    return task


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (AgentDriven("t", supervisor="pln"), ActionNotRegistered, "action 'pln' is not registered; did you mean"),
        (AgentDriven("t", supervisor="blind"), GraphError, "supervisor 'blind' does not receive its context"),
        (AgentDriven("t", supervisor=5), GraphError, "5"),
        (AgentDriven("t", supervisor=Graph("g")), GraphError, "Graph"),
        (AgentDriven("t", instructions=[float("nan")]), InputInvalid, "instruction nan"),
        (AgentDriven("t", instructions=[{"action": {1}}]), InputInvalid, "instruction "),
        (AgentDriven, GraphError, "is nothing to execute"),
    ],
    ids=["unknown", "blind", "number", "graph", "nan", "set", "class"],
)
def test_what_cannot_begin_is_refused(spec, error, message):
    """Before there is a run."""

    async def blind(task: str):
        """It does not see its context, so it could neither add nor finish."""

    async def main():
        async with Dagger("memory:") as app:
            app.register_action(plan)
            app.register_action(blind)
            with pytest.raises(error) as raised:
                await app.start(spec)
            return str(raised.value), await app.runs()

    told, runs = asyncio.run(main())
    assert message in told
    assert runs == []


def test_a_run_is_known_by_task_inputs_and_instructions(world):
    """Started again with the same it is attached to; with others it is another run."""

    async def main(app):
        spec = AgentDriven("t", supervisor=plan, instructions=["a"])
        first = await app.execute(spec, run_id="r")
        again = await app.execute(AgentDriven("t", supervisor="plan", instructions=("a",)), run_id="r")
        for other in (AgentDriven("u", plan, ["a"]), AgentDriven("t", plan, ["b"]), AgentDriven("t", plan)):
            with pytest.raises(RunExists):
                await app.start(other, run_id="r")
        return first, again

    first, again = supervised.run(world, main, plan)
    assert again.run_id == first.run_id == "r"
    assert again.outputs["supervisor_1"] == {"output": "t"}


def test_a_task_may_be_given_beside_inputs_but_not_twice(world):
    """The task is the mode's own input: it comes before one of the same name."""
    found = execute(world, plan, inputs={"task": "another", "x": 1})

    assert found.report.outputs["supervisor_1"] == {"output": "t"}


# -- what it comes to ----------------------------------------------------------------------------------------


async def search(q: str) -> str:
    """It finds what it is asked for."""
    return q.upper()


async def broken(q: str) -> str:
    """It never finds anything."""
    raise NonRetryable(f"no {q}")


async def five(ctx: Context, task: str):
    """A supervisor of ten lines: two searches a turn feed the next; the fifth gives the result."""
    found = [ctx.cache.node(name)["output"] for name in ctx.outcomes]
    turn = ctx.node.iteration.number
    if turn == 5:
        ctx.finish(found)
        return
    for word in ("left", "right"):
        ctx.add_node(search, inputs={"q": f"{task} {word} {len(''.join(found))}"})


def test_five_iterations_of_two_nodes_each_that_feed_the_next(world):
    """The result is made of the last two, and the tree shows who added what and who waited for it."""
    found = execute(world, five, search, config={"review_frequency": 5})

    assert (found.report.status, found.report.result) == ("succeeded", ["T LEFT 19", "T RIGHT 19"])
    assert found.report.iterations == 5
    for turn in range(1, 5):
        for ordinal in (1, 2):
            node = f"search_{turn}_{ordinal}"
            assert (f"supervisor_{turn}", "added", node) in found.edges
            assert (node, "executed_after", f"supervisor_{turn + 1}") in found.edges
    assert len(found.tree.nodes) == 13


def test_a_node_that_fails_does_not_stop_the_supervisor(world):
    """The next iteration sees the failure, and may try something else; the run has succeeded."""

    async def plan(ctx: Context, task: str):
        match list(ctx.outcomes.values()):
            case []:
                ctx.add_node(broken, inputs={"q": task})
            case [outcome] if not outcome.success:
                ctx.add_node(search, inputs={"q": outcome.final_error})
            case [outcome]:
                ctx.finish(ctx.cache.get(outcome.node_id, "output"))

    found = execute(world, plan, search, broken)

    assert (found.report.status, found.report.error, found.report.result) == ("succeeded", None, "NONRETRYABLE: NO T")
    assert found.statuses["broken_1_1"] == "failed"


def test_nodes_may_refer_to_those_of_the_same_and_of_earlier_turns(world):
    """By their ids, made or given."""

    async def plan(ctx: Context, task: str):
        turn = ctx.node.iteration.number
        if turn == 1:
            first = ctx.add_node(search, inputs={"q": task})
            ctx.add_node(search, id="second", inputs={"q": ref(f"{first}.output")})
        elif turn == 2:
            ctx.add_node(search, id="third", inputs={"q": ref("second")}, dependencies=["search_1_1"])

    found = execute(world, plan, search)

    assert found.report.outputs["third"] == {"output": "T"}
    assert found.report.iterations == 3


# -- people --------------------------------------------------------------------------------------------------


def test_every_so_many_iterations_a_person_is_asked_and_may_go_on_for_days(tmp_path):
    """The run pauses at the second iteration; its process ends; another one answers, and no step has run twice."""
    from tests.worlds import World

    world, calls = World("sqlite", tmp_path), []
    asked = {"review_frequency": 2, "human_timeout_action": "pause", "human_wait_minutes": 0}

    async def plan(ctx: Context, task: str):
        calls.append(ctx.node.id)
        if ctx.node.iteration.number == 4:
            ctx.finish(len(calls))
        else:
            ctx.add_node(note)

    async def note(ctx: Context):
        calls.append(ctx.node.id)

    async def begin(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r")
        return (await run.wait()).status, run.reason

    async def answer(app):
        (review,) = await app.reviews()
        run = await app.get_run(review.run_id)
        await run.answer(review.id, "fine", who="ann")
        return review, await ran(run)

    status, reason = supervised.run(world, begin, plan, note, config=asked)
    before = list(calls)
    world.clock.advance(3 * 86_400)
    review, found = supervised.run(world, answer, plan, note, config=asked)

    assert (status, review.step) == ("paused", "supervisor_2_review")
    assert reason == f"review {review.id} of 'supervisor_2_review' was not answered in time"
    assert before == ["supervisor_1", "note_1_1", "supervisor_2", "note_2_1"]
    assert calls == [*before, "supervisor_3", "note_3_1", "supervisor_4"]
    assert (found.report.status, found.report.result) == ("succeeded", 7)
    answered = next(event for event in found.events if type(event).__name__ == "WaitAnswered")
    assert (answered.who, bytes(answered.value), answered.review) == ("ann", b'"fine"', review.id)


def test_autopilot_goes_on_after_the_wait(world):
    """Nobody answers within the minutes: the next iteration comes, at that time."""
    asked = {"review_frequency": 1, "human_timeout_action": "autopilot", "human_wait_minutes": 90}

    async def plan(ctx: Context, task: str):
        if ctx.node.iteration.number < 3:
            ctx.add_node(search, inputs={"q": task})

    found = execute(world, plan, search, config=asked)

    assert found.report.status == "succeeded"
    assert found.report.outputs["supervisor_1_review"] == {"answer": None, "goes_on": True}
    turns = [found.report.node_outcomes[f"supervisor_{n}"].started_at for n in (1, 2, 3)]
    assert [later - turns[0] for later in turns] == [datetime.timedelta(minutes=90 * n) for n in (0, 1, 2)]


def test_a_person_may_stop_between_two_iterations(world):
    """`stop` ends the run; any other answer lets it go on."""

    async def plan(ctx: Context, task: str):
        ctx.add_node(search, inputs={"q": task})

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor=plan), run_id="r")
        for answer in ({"any": "thing"}, "stop"):
            while not (reviews := await run.reviews()):
                await asyncio.sleep(0.01)
            assert "Any answer lets plan go on; 'stop', or no, ends it." in reviews[0].question
            await run.answer(reviews[0].id, answer)
        return await ran(run)

    found = supervised.run(world, main, plan, search, config={"review_frequency": 1})

    assert (found.report.status, found.report.iterations) == ("succeeded", 2)
    assert found.statuses["supervisor_3"] == "skipped"
