"""The built-in actions: `supervisor_step`, which works instructions, and `human_interrupt`; on both stores."""

import asyncio
import json

import pytest
from tests import supervised
from tests.supervised import execute, ran

from dagger import AgentDriven, Context, Dagger, Graph, NonRetryable, Static
from dagger.core.fold import fold
from dagger.core.iterate import HUMAN_INTERRUPT
from dagger.modes.supervisor import SUPERVISOR


async def work(ctx: Context, x: int = 0) -> int:
    """It notes when its turn came."""
    ctx.cache.append("global", "order", x)
    return x


async def fail(ctx: Context) -> None:
    """It always fails."""
    raise NonRetryable("no")


def told(x, priority=0, **more):
    return {"action": "work", "params": {"x": x}, "priority": priority, **more}


def globals_of(found):
    sections = fold(found.events).sections["global"]
    return {
        key: [json.loads(bytes(item)) for item in stored.items] if hasattr(stored, "items") else json.loads(stored)
        for key, stored in sections.items()
    }


def order_of(found):
    return [found.report.outputs[step]["output"] for step in found.statuses if step.startswith("work")]


def invalid(found):
    """What was kept of instructions that could not be followed."""
    return {key: kept for key, kept in globals_of(found).items() if key.startswith("invalid_instruction_")}


@pytest.fixture
def do(world):
    def do(*instructions, **options):
        return execute(world, "supervisor_step", work, fail, instructions=instructions, **options)

    return do


# -- the queue -----------------------------------------------------------------------------------------------


def test_instructions_are_worked_by_priority_then_age(do):
    """Low, high, high-later, broken, unknown: high, high-later, low; the others are kept, and say why."""
    broken, unknown = '{"action": "work", ', {"action": "wrok", "priority": 9}
    found = do(told(1, 1), told(2, 5), json.dumps(told(3, 5)), broken, unknown)

    assert order_of(found) == [2, 3, 1]
    assert (found.report.status, found.report.error) == ("succeeded", None)
    kept = invalid(found)
    assert sorted(kept) == ["invalid_instruction_given_4", "invalid_instruction_given_5"]
    assert [entry["instruction"] for entry in kept.values()] == [broken, unknown]
    assert kept["invalid_instruction_given_4"]["error"].startswith(
        "an instruction is {action, params, priority}: Input data was truncated"
    )
    assert kept["invalid_instruction_given_5"]["error"] == (
        "ActionNotRegistered: node 'wrok_1_1': action 'wrok' is not registered; did you mean 'work'?"
    )


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (5, "Expected `object`, got `int`"),
        (None, "Expected `object`, got `null`"),
        ("", "Input data was truncated"),
        ("[1]", "Expected `object`, got `array`"),
        ({}, "missing required field `action`"),
        ({"action": 5}, "Expected `str`, got `int` - at `$.action`"),
        ({"action": "work", "params": [1]}, "$.params"),
        ({"action": "work", "priority": "high"}, "Expected `int`, got `str` - at `$.priority`"),
        ({"action": "work", "urgent": True}, "contains unknown field `urgent`"),
        ({"action": "work", "params": {"x": "one"}}, "InputInvalid: node 'work_1_1': input 'x': expected int, got str"),
        ({"action": "supervisor_3x"}, "ActionNotRegistered"),
    ],
    ids=str,
)
def test_an_invalid_instruction_is_kept_and_skipped(do, bad, why):
    """Whatever is wrong with it: the others are worked, and the run succeeds."""
    found = do(bad, told(7))

    assert order_of(found) == [7]
    assert found.report.status == "succeeded"
    (kept,) = invalid(found).values()
    assert kept["instruction"] == bad
    assert why in kept["error"]


def test_one_instruction_is_one_iteration(do):
    """Each becomes a node, and the last iteration finds nothing to do."""
    found = do(told(1), told(2), told(3))

    assert found.report.iterations == 4
    assert list(found.statuses) == [
        "supervisor_1", "work_1_1", "supervisor_2", "work_2_1", "supervisor_3", "work_3_1", "supervisor_4",
    ]  # fmt: skip
    assert not fold(found.events).sections.get("global:instructions")


def test_without_instructions_there_is_nothing_to_do(do):
    """One iteration, and the run has succeeded."""
    assert list(do().statuses) == ["supervisor_1"]


def test_an_instruction_whose_node_fails_stops_nothing(do):
    """The next one is worked."""
    found = do({"action": "fail"}, told(2))

    assert (found.report.status, found.statuses["fail_1_1"], order_of(found)) == ("succeeded", "failed", [2])


def test_params_are_literals_also_where_they_look_like_references(world):
    """Whoever instructs gives values, not references."""

    async def echo(ctx: Context, x: object) -> object:
        return x

    given = {"reference": "supervisor_1.y", "$ref": "#"}
    instruction = {"action": "echo", "params": {"x": given}, "timestamp": "2026-01-01T00:00:00Z"}
    found = execute(world, "supervisor_step", echo, instructions=[instruction])

    assert found.report.outputs["echo_1_1"] == given


def test_a_running_supervisor_is_instructed_from_anywhere(world):
    """`run.instruct`: one of a higher priority overtakes those that wait, also one from another process."""

    async def slow(ctx: Context, x: int = 0):
        await asyncio.sleep(60)
        return x

    async def main(app):
        given = [{"action": "slow", "params": {"x": x}} for x in (1, 2, 3)]
        run = await app.start(AgentDriven("t", instructions=given), run_id="r")
        await asyncio.sleep(1)
        await run.instruct("slow", {"x": 9}, priority=1)
        async with supervised.application(world, slow) as there:
            await (await there.get_run("r")).instruct(slow, {"x": 10}, priority=2)
        await run.instruct("slow", {"x": 4})
        return await ran(run)

    found = supervised.run(world, main, slow)

    steps = [step for step in found.statuses if step.startswith("slow")]
    assert [found.report.outputs[step]["output"] for step in steps] == [1, 10, 9, 2, 3, 4]


def test_a_kept_alive_supervisor_works_instructions_as_they_come(world):
    """An invalid one, too, is kept, and the next one is waited for."""

    async def main(app):
        run = await app.start(AgentDriven("t", keep_alive=True), run_id="r")
        for params in ({"x": 1}, {"x": "no"}, {"x": 2}):
            await asyncio.sleep(100)
            await run.instruct("work", params)
        await asyncio.sleep(100)
        await run.cancel()
        return await ran(run)

    found = supervised.run(world, main, work)

    assert globals_of(found)["order"] == [1, 2]
    assert len(invalid(found)) == 1


# -- people --------------------------------------------------------------------------------------------------


def test_human_review_asks_a_person(world):
    """As an instruction it is `human_interrupt`, with its params."""

    async def main(app):
        params = {"question": "Which?", "options": ["a", "b"]}
        run = await app.start(AgentDriven("t", instructions=[{"action": "human_review", "params": params}]), run_id="r")
        while not (reviews := await run.reviews()):
            await asyncio.sleep(0.01)
        await run.answer(reviews[0].id, "b")
        return reviews[0], await ran(run)

    review, found = supervised.run(world, main)

    assert (review.question, review.options, review.step) == ("Which?", ["a", "b"], "human_interrupt_1_1")
    assert found.report.outputs["human_interrupt_1_1"] == {"answer": "b", "goes_on": True}


def test_human_interrupt_is_an_action_of_any_graph(world):
    """It gives the answer, or null where nobody answered in time under autopilot."""

    async def main(app):
        graph = Graph("g", config={"human_timeout_action": "autopilot"})
        asked = graph.add("human_interrupt", id="ask", question="How many?", wait_minutes=5)
        graph.add(show, id="show", x=asked["answer"])
        app.add_graph(graph)
        return await supervised.executed(app, Static("g"))

    async def show(x: int | None) -> str:
        return repr(x)

    found = supervised.run(world, main, show)

    assert found.report.outputs["show"] == {"output": "None"}
    assert found.report.node_outcomes["show"].started_at.minute == 5


def test_a_question_that_is_none_fails_its_step(do):
    """A wrong param of `human_review` is that instruction's failure, and stops nothing."""
    asked = {"action": "human_review", "params": {"question": ""}}
    found = do(asked, {"action": "human_review", "params": {"options": "ab"}}, told(3))

    assert order_of(found) == [3]
    assert found.statuses["human_interrupt_1_1"] == "failed"


def test_every_application_has_them():
    """By these names, beside its own actions."""
    assert list(Dagger("memory:").actions) == [SUPERVISOR, HUMAN_INTERRUPT]


# -- what must not stop or confuse it ------------------------------------------------------------------------


def test_an_instruction_that_nobody_can_read_stops_nothing(do):
    """However deep it is nested."""
    found = do('{"action": "work", "params": {"x": ' + "[" * 100_000, told(1))
    assert (found.report.status, order_of(found), len(invalid(found))) == ("succeeded", [1], 1)


def test_a_supervisor_of_ones_own_may_leave_instructions_alone(world):
    """It is asked once more, as one may have come meanwhile, and then no more."""

    async def deaf(ctx: Context):
        """It does nothing."""

    found = execute(world, deaf, work, instructions=[told(1)])
    assert (found.report.status, found.report.iterations) == ("succeeded", 2)


def test_a_child_flows_supervisor_works_its_own_instructions_only(world):
    """Even when its own are used up; what is invalid in both is kept of both."""

    async def parent(ctx: Context):
        await ctx.execute(AgentDriven("sub", instructions=[told(1), "{broken"]))

    async def main(app):
        graph = Graph("g")
        graph.add("parent")
        app.add_graph(graph)
        flow = AgentDriven("t", instructions=[told(7), "{bad", {"action": "parent"}, told(8)])
        return await ran(await app.start(flow, run_id="r"))

    found = supervised.run(world, main, parent, work)
    inner = [step for step in found.statuses if "/work" in step]
    assert (found.report.status, order_of(found), len(inner), len(invalid(found))) == ("succeeded", [7, 8], 1, 2)


@pytest.mark.parametrize(("answer", "goes_on"), [("No", False), (" STOP ", False), (False, False), ("yes", True)])
def test_a_no_between_two_turns_ends_them(world, answer, goes_on):
    """However it is written; what had failed was seen by whoever said so."""

    async def plan(ctx: Context):
        ctx.add_node("fail")

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r", config={"review_frequency": 1})
        while not (reviews := await run.reviews()):
            await asyncio.sleep(0.01)
        await run.answer(reviews[0].id, answer)
        if goes_on:
            while not await run.reviews():
                await asyncio.sleep(0.01)
            await run.cancel()
        return await ran(run)

    found = supervised.run(world, main, plan, fail)
    assert ("supervisor_2" in found.statuses and found.statuses["supervisor_2"] == "succeeded") is goes_on
    assert found.report.status == ("cancelled" if goes_on else "succeeded")
