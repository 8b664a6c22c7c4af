"""A supervisor's turns: what follows each, what holds one up, and what comes instead; on both stores."""

import asyncio

import pytest
from tests import supervised
from tests.engine import process_actions
from tests.supervised import execute, ran

from dagger import (
    AgentDriven,
    Context,
    Graph,
    InvalidState,
    NodeAlreadyExists,
    NonRetryable,
    ReviewAnswered,
    Static,
    action,
)
from dagger.core.fold import fold

ASKED = {"on_failure": "pause", "max_iterations": 2}


async def note(ctx: Context, x: object = None) -> object:
    """What it is given."""
    return x


async def bad(ctx: Context, seconds: float = 0) -> None:
    """It fails, sooner or later."""
    await asyncio.sleep(seconds)
    raise NonRetryable("no")


async def tell(ctx: Context) -> None:
    """It gives the flow its result."""
    ctx.finish("told")


def turns(last, *, adds=("note",)):
    """A supervisor of so many iterations."""

    async def plan(ctx: Context):
        number = ctx.node.iteration.number
        if number == last:
            ctx.finish(number)
            return
        for each in adds:
            ctx.add_node(each)

    return plan


def types(found):
    return [type(event).__name__ for event in found.events]


# -- from one to the next ------------------------------------------------------------------------------------


def test_the_next_iteration_sees_what_became_of_what_this_one_added(world):
    """It waits for all of it, whatever becomes of that, and for nothing else."""
    seen = []

    async def plan(ctx: Context):
        seen.append({name: (each.status, each.final_error or each.reason) for name, each in ctx.outcomes.items()})
        if len(seen) == 3:
            return
        failing = ctx.add_node(bad, inputs={"seconds": 60})
        ctx.add_node(note, dependencies=[failing], id=f"lost_{len(seen)}")
        ctx.add_node(note)

    found = execute(world, plan, note, bad)

    first = {
        "bad_1_1": ("failed", "NonRetryable: no"),
        "lost_1": ("skipped", "'bad_1_1' failed"),
        "note_1_3": ("succeeded", None),
    }
    assert seen[:2] == [{}, first]
    assert list(seen[2]) == ["bad_2_1", "lost_2", "note_2_3"]
    assert (found.report.status, found.report.result, found.report.error) == ("succeeded", None, None)
    assert found.report.iterations == 3
    assert [step for step in found.statuses if step.startswith("supervisor")] == [f"supervisor_{n}" for n in (1, 2, 3)]


def test_number_and_time_of_each_iteration_are_kept(world):
    """In `global.iteration` and `global.timestamp`; an iteration sees its own."""
    seen = []

    async def plan(ctx: Context, task: str, depth: int):
        seen.append((ctx.cache.get("global", "iteration"), ctx.cache.get("global", "timestamp"), task, depth))
        if len(seen) < 3:
            ctx.add_node(doze)

    async def doze(ctx: Context):
        await asyncio.sleep(60)

    found = execute(world, plan, doze, inputs={"depth": 4})

    minutes = [f"2026-01-01T00:0{n}:00+00:00" for n in range(3)]
    assert seen == [(n + 1, minutes[n], "t", 4) for n in range(3)]
    section = fold(found.events).sections["global"]
    assert (section["iteration"], section["timestamp"]) == (b"3", f'"{minutes[2]}"'.encode())


@pytest.mark.parametrize("runs_in", ["thread", "process"])
def test_a_supervisor_may_run_anywhere(runs_in, world):
    """In a thread or a process, with the same iterations, outcomes and state."""

    def plan(ctx: Context):
        number = ctx.cache.get("global", "iteration")
        ctx.cache.append("global", "seen", [number, sorted(outcome.status for outcome in ctx.outcomes.values())])
        if number == 3:
            ctx.finish(number)
        else:
            ctx.add_node("noted")

    @action
    async def noted(ctx: Context):
        pass

    found = execute(world, process_actions.supervise if runs_in == "process" else plan, noted)

    assert (found.report.status, found.report.result, found.report.iterations) == ("succeeded", 3, 3)
    section = fold(found.events).sections["global"]
    assert section["iteration"] == b"3"
    assert list(found.statuses) == ["supervisor_1", "noted_1_1", "supervisor_2", "noted_2_1", "supervisor_3"]


def test_a_turn_is_never_taken_from_an_earlier_run(world):
    """A supervisor that may be reused otherwise is asked anew in each iteration of each run."""
    calls = []

    @action(cache=True)
    async def plan(ctx: Context):
        calls.append(ctx.run_id)
        if len(calls) % 2:
            ctx.add_node(note)

    async def main(app):
        return [await app.execute(AgentDriven("t", supervisor="plan")) for _ in range(2)]

    supervised.run(world, main, plan, note)

    assert len(calls) == 4


def test_a_node_with_the_id_of_the_next_iteration_is_one_too_many(world):
    """It would be overwritten: the step fails with its own error."""

    async def plan(ctx: Context):
        ctx.add_node(note, id="supervisor_2")

    found = execute(world, plan, note, config={"on_failure": "continue"})

    why = "the supervisor of run 'r' gives such ids to its turns; give it another id"
    told = f"supervisor_1: NodeAlreadyExists: node 'supervisor_2': {why}"
    assert (found.report.status, found.report.error) == ("failed", told)


def test_nobody_outside_can_take_the_id_of_a_turn_that_is_to_come(world):
    """Nor that of the review before it: the supervisor would be stuck for good. Other ids are free."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r")
        for name in ("supervisor_2", "supervisor_14_review"):
            with pytest.raises(NodeAlreadyExists, match="gives such ids to its turns; give it another id"):
                await run.add_node(note, id=name)
        for name in ("supervisor", "supervisor_x", "supervisor_2_x", "supervisor_123456789012"):
            await run.add_node(note, id=name)
        return await ran(run)

    async def plan(ctx: Context):
        await asyncio.sleep(60)
        if ctx.node.iteration.number == 1:
            ctx.add_node(note)

    found = supervised.run(world, main, plan, note)
    assert (found.report.status, len(found.statuses)) == ("succeeded", 7)


# -- the end -------------------------------------------------------------------------------------------------


def test_after_finish_nothing_new_iterates_and_what_runs_completes(world):
    """The first result stands; the turn that was to come is skipped, and says why."""

    async def slow(ctx: Context):
        await asyncio.sleep(60)
        ctx.finish("too late")

    found = execute(world, turns(9, adds=["tell", "slow"]), tell, slow)

    assert (found.report.status, found.report.result) == ("succeeded", "told")
    assert found.statuses == {
        "supervisor_1": "succeeded", "tell_1_1": "succeeded", "slow_1_2": "succeeded", "supervisor_2": "skipped",
    }  # fmt: skip
    assert found.report.node_outcomes["supervisor_2"].reason == "the result is there"


def test_a_turn_that_finishes_may_add_what_still_runs(world):
    """Nodes added beside the result complete; there is no next iteration."""

    async def plan(ctx: Context):
        ctx.add_node(note, inputs={"x": 7})
        ctx.finish(1)
        ctx.finish(2)

    found = execute(world, plan, note, config={"review_frequency": 1})

    assert found.statuses == {"supervisor_1": "succeeded", "note_1_1": "succeeded"}
    assert found.report.result == 1


def test_nobody_is_asked_about_an_iteration_that_will_not_take_place(world):
    """Where the result is there before the review between two iterations, it is skipped with the next one."""
    found = execute(world, turns(9, adds=["tell"]), tell, config={"review_frequency": 1})

    assert found.report.status == "succeeded"
    assert found.statuses["supervisor_1_review"] == found.statuses["supervisor_2"] == "skipped"
    assert "WaitOpened" not in types(found)


@pytest.mark.parametrize("seconds", [1, 60], ids=["awake", "parked"])
def test_a_review_between_two_iterations_ends_when_the_result_is_there(seconds, world):
    """Nobody needs its answer any more: the run ends, and nothing is listed."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r", config={"review_frequency": 1})
        await asyncio.sleep(seconds)
        assert [review.step for review in await run.reviews()] == ["supervisor_1_review"]
        await run.add_node(tell)
        if seconds == 60:
            await app.resume("r")  # nobody executes it: it takes the node in now
        return await ran(run), await run.reviews()

    found, left = supervised.run(world, main, turns(9), note, tell)

    assert (found.report.status, found.report.result, left) == ("succeeded", "told", [])
    assert found.statuses["supervisor_2"] == "skipped"


def test_a_result_in_a_child_flow_ends_its_own_review_only(world):
    """That of the flow around it stays open."""

    async def child(ctx: Context):
        return (await ctx.execute(AgentDriven("deep", supervisor="inner"))).result

    async def inner(ctx: Context):
        ctx.add_node(late)

    async def late(ctx: Context):
        await asyncio.sleep(60)
        ctx.finish("late")

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r", config={"review_frequency": 1})
        await asyncio.sleep(30)
        await run.add_node(child, id="child")
        await asyncio.sleep(100)
        assert [review.step for review in await run.reviews()] == ["supervisor_1_review"]
        await run.answer((await run.reviews())[0].id, "stop")
        return await ran(run)

    found = supervised.run(world, main, turns(9), note, inner, child, late)
    assert (found.report.status, found.report.outputs["child"]) == ("succeeded", {"output": "late"})


def test_failures_that_no_iteration_saw_fail_the_run(world):
    """Of what the last iteration added, and of what others added; those that one saw do not."""

    async def plan(ctx: Context):
        if ctx.node.iteration.number == 2:
            ctx.finish("done")
        ctx.add_node(bad)

    found = execute(world, plan, bad)

    assert found.statuses["bad_1_1"] == found.statuses["bad_2_1"] == "failed"
    assert (found.report.status, found.report.result) == ("failed", "done")
    assert found.report.error == "bad_2_1: NonRetryable: no"


def test_a_failure_behind_what_was_added_is_not_seen(world):
    """A node that a supervisor's node added is not among the outcomes: its failure is the run's."""

    async def deep(ctx: Context):
        ctx.add_node(bad, on_failure="continue")

    found = execute(world, turns(2, adds=["deep"]), deep, bad)

    assert (found.report.status, found.report.result) == ("failed", 2)


def test_a_node_may_say_what_its_failure_does(world):
    """`on_failure` of an added node is its own: under `stop` the run fails at once, under `pause` it pauses."""

    def plan(policy):
        async def plan(ctx: Context):
            ctx.add_node(bad, on_failure=policy)

        return plan

    stopped = execute(world, plan("stop"), bad)
    assert (stopped.report.status, stopped.report.error) == ("failed", "bad_1_1: NonRetryable: no")
    assert "supervisor_2" not in stopped.statuses


def test_a_supervisor_that_raises_is_retried_then_the_run_pauses_and_can_be_resumed(world):
    """What a failed attempt added is not there; the resumed run goes on with the same iteration."""
    calls = []

    async def plan(ctx: Context):
        calls.append((ctx.node.id, ctx.attempt))
        if ctx.node.iteration.number == 2:
            ctx.finish(len(calls))
        ctx.add_node(note)
        if len(calls) <= 2:
            raise ConnectionError("down")

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r")
        first = await ran(run)
        return first, await ran(await run.resume())

    first, found = supervised.run(world, main, plan, note, config={"max_attempts": 2})

    assert (first.report.status, first.report.iterations) == ("paused", 0)
    assert first.report.error == "supervisor_1: ConnectionError: down"
    assert calls == [("supervisor_1", 1), ("supervisor_1", 2), ("supervisor_1", 1), ("supervisor_2", 1)]
    assert found.report.result == 4
    assert list(found.statuses) == ["supervisor_1", "note_1_1", "supervisor_2", "note_2_1"]


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_a_supervisor_that_fails_for_good_fails_the_run(policy, world):
    """What ran before completes; no iteration follows."""

    async def plan(ctx: Context):
        if ctx.node.iteration.number == 2:
            raise ValueError("lost")
        ctx.add_node(note)

    found = execute(world, plan, note, config={"on_failure": policy})

    assert (found.report.status, found.report.error) == ("failed", "supervisor_2: ValueError: lost")
    assert list(found.statuses) == ["supervisor_1", "note_1_1", "supervisor_2"]


def test_a_thousand_nodes_a_turn(world):
    """Each turn sees all of them; a run of three such turns is done in its order."""
    seen = []

    async def plan(ctx: Context):
        seen.append(len(ctx.outcomes))
        if len(seen) == 4:
            ctx.finish("enough")
        for ordinal in range(1000 if len(seen) < 4 else 0):
            ctx.add_node(bad if ordinal % 2 else note)

    found = execute(world, plan, note, bad)

    assert seen == [0, 1000, 1000, 1000]
    assert (found.report.status, found.report.error, len(found.statuses)) == ("succeeded", None, 3004)


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["continue", "stop"])
def test_a_supervisor_that_never_finishes_ends_at_the_limit(policy, world):
    """So many iterations and no more; what they added has ended."""
    found = execute(world, turns(0), note, config={"max_iterations": 3, "on_failure": policy})

    assert (found.report.status, found.report.iterations) == ("failed", 3)
    assert found.report.error == "IterationLimitReached: max_iterations of 3 used up"
    assert list(found.statuses)[-2:] in (["supervisor_3", "note_3_1"], ["note_3_1", "supervisor_4"])
    assert found.report.node_outcomes["note_3_1"].status == "succeeded"


def test_iterations_are_counted_and_nothing_else(world):
    """Nodes, however many, and failed attempts of a supervisor do not count."""

    async def plan(ctx: Context):
        if ctx.attempt < 3:
            raise ConnectionError
        if ctx.node.iteration.number == 2:
            ctx.finish(1)
        for _ in range(60):
            ctx.add_node(note)

    found = execute(world, plan, note, config={"max_iterations": 2, "max_attempts": 3, "on_failure": "stop"})

    assert (found.report.status, found.report.iterations) == ("succeeded", 2)


def test_without_a_limit_there_is_none(world):
    """`max_iterations: none` goes beyond the default of 50."""
    found = execute(world, turns(60), note, config={"max_iterations": None})

    assert (found.report.status, found.report.iterations) == ("succeeded", 60)


def limited(world, main, *actions, last=9):
    """What `main` gives for a run that has come to the limit of two iterations."""

    async def begun(app):
        run = await app.start(AgentDriven("t", supervisor="plan"), run_id="r")
        assert (await run.wait()).status == "paused"
        assert run.reason == "max_iterations of 2 used up"
        (review,) = await run.reviews()
        assert review.question == "max_iterations of 2 used up. 'continue' grants as many again."
        assert review.options == ["continue", "stop"]
        return await main(app, run, review)

    return supervised.run(world, begun, turns(last), note, *actions, config=ASKED)


def test_a_person_may_grant_as_many_iterations_again_and_again(world):
    """Under `pause` a review is open; its answer continues the paused run, until the next limit."""

    async def main(app, run, review):
        asked = []
        while run.status == "paused":
            (review,) = await run.reviews()
            asked.append((review.step, review.question.split(".")[0]))
            await run.answer(review.id, "continue")
            report = await run.wait()
        return asked, report, await run.reviews()

    asked, report, left = limited(world, main)

    assert asked == [(f"supervisor_{n + 1}", f"max_iterations of {n} used up") for n in (2, 4, 6, 8)]
    assert (report.status, report.result, report.iterations, left) == ("succeeded", 9, 9, [])


def test_a_person_may_stop_at_the_limit(world):
    """`stop` ends the run failed, with the limit's error."""

    async def main(app, run, review):
        await run.answer(review.id, "stop")
        return await ran(run), await run.reviews()

    found, left = limited(world, main)

    assert (found.report.status, left) == ("failed", [])
    assert "IterationLimitReached: max_iterations of 2 used up" in found.report.error


def test_a_resume_may_raise_the_limit(world):
    """The run goes on as if it had been so from the start; the question is withdrawn."""

    async def main(app, run, review):
        report = await (await run.resume(config={"max_iterations": 20})).wait()
        return report, await run.reviews()

    report, left = limited(world, main)

    assert (report.status, report.result, left) == ("succeeded", 9, [])


def test_a_resume_alone_grants_nothing(world):
    """The limit is still reached, and the same question open."""

    async def main(app, run, review):
        report = await (await run.resume()).wait()
        return report, await run.reviews() == [review]

    report, is_same = limited(world, main)

    assert (report.status, report.iterations, is_same) == ("paused", 2, True)


@pytest.mark.parametrize("policy", ["pause", "continue"])
def test_with_nothing_to_do_no_limit_is_reached(policy, world):
    """A kept supervisor that has used up its turns waits for an instruction; the limit keeps it from working that."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        await asyncio.sleep(2)
        assert (run.status, run.reason) == ("waiting", "waits for 1 instruction")
        await run.instruct("note")
        return (await run.wait()).status

    config = {"max_iterations": 1, "on_failure": policy}
    status = supervised.run(world, main, idle, note, config=config)
    assert status == ("paused" if policy == "pause" else "failed")


def test_a_question_about_a_limit_that_is_none_any_more_is_withdrawn(world):
    """Resumed with a higher limit the run asks nothing while it goes on: a late answer would be lost."""

    async def main(app, run, review):
        await run.resume(config={"max_iterations": 5, "review_frequency": 1})
        while not [each for each in await run.reviews() if each.step.endswith("_review")]:
            await asyncio.sleep(1)
        with pytest.raises(ReviewAnswered):
            await run.answer(review.id, "stop")
        return [each.step for each in await run.reviews()]

    assert limited(world, main) == ["supervisor_3_review"]


def test_a_turn_that_is_omitted_asks_nothing_any_more(world):
    """The result came from elsewhere while the run was paused at its limit."""

    async def main(app, run, review):
        await run.add_node(tell, priority=5)
        await run.add_node(long)
        await run.resume(config={"max_parallel": 1})
        await asyncio.sleep(10)
        return run.status, await run.reviews()

    async def long(ctx: Context):
        await ctx.sleep(60)

    assert limited(world, main, tell, long) == ("waiting", [])


def test_a_turn_may_come_to_another_limit_before_it_has_its_place(world):
    """Another supervisor used up what was granted for it: it asks anew, as often as it takes."""
    tried = []

    async def one(ctx: Context, task: str):
        number = ctx.node.iteration.number
        if task == "a" and number == 2 and not tried:
            tried.append(number)
            raise ConnectionError("once")
        if number == 3:
            ctx.finish(task)
        else:
            ctx.add_node(note)

    async def both(ctx: Context):
        flows = [ctx.execute(AgentDriven(task, supervisor="one"), key=task) for task in "ab"]
        return [flow.result for flow in await asyncio.gather(*flows)]

    async def main(app):
        graph = Graph("g")
        graph.add(both, id="both")
        app.add_graph(graph)
        run, asked = await app.start(Static("g"), run_id="r"), []
        while (report := await run.wait()).status == "paused":
            (review,) = await run.reviews()
            asked.append(review.question[:22])
            await run.answer(review.id, "continue")
        return report, asked

    config = {**ASKED, "max_attempts": 2, "retry_strategy": {"linear": {"delay_secs": 30}}}
    report, asked = supervised.run(world, main, one, both, note, config=config)
    assert (report.status, report.outputs["both"]["output"]) == ("succeeded", ["a", "b"])
    assert asked == ["max_iterations of 2 us", "max_iterations of 4 us"]


@pytest.mark.parametrize("key", ["limit:max_iterations:2", "instruction"])
def test_the_keys_of_the_runs_own_waits_are_refused(key, world):
    """Else code could grant itself turns."""

    async def plan(ctx: Context):
        await ctx.memo(key, lambda: "continue")

    found = execute(world, plan, config={"on_failure": "continue"})
    told = f"the key {key!r} is one of the run's own: give the wait another one"
    assert found.report.error == f"supervisor_1: StepError: node 'supervisor_1': memo: {told}"


def test_resuming_with_the_answer_as_input_answers_the_review(world):
    """The one open review takes what `resume` is given."""

    async def main(app, run, review):
        return await (await run.resume(input="continue")).wait()

    assert limited(world, main, last=4).result == 4


def test_the_iterations_of_child_flows_count_too(world):
    """The limit is the run's: a supervisor's own and those of flows that its steps execute."""

    async def inner(ctx: Context):
        if ctx.node.iteration.number == 3:
            ctx.finish("inner")
        else:
            ctx.add_node(note)

    async def outer(ctx: Context):
        if ctx.node.iteration.number == 2:
            ctx.finish(ctx.outcomes["flow"].status)
        else:
            ctx.add_node(child, id="flow")

    async def child(ctx: Context):
        return (await ctx.execute(AgentDriven("deep", supervisor="inner"))).result

    found = execute(world, outer, inner, child, note, config={"max_iterations": 5, "on_failure": "stop"})
    assert (found.report.status, found.report.iterations) == ("succeeded", 5)
    assert found.report.outputs["flow"] == {"output": "inner"}


def test_the_limit_inside_a_child_flow_ends_the_run(world):
    """One too many there, and the run is over, in an orderly way."""

    async def inner(ctx: Context):
        ctx.add_node(note)

    async def child(ctx: Context):
        return (await ctx.execute(AgentDriven("deep", supervisor="inner"))).result

    graph = Graph("g")

    async def main(app):
        graph.add(child, id="child")
        app.add_graph(graph)
        return await supervised.executed(app, Static("g"))

    found = supervised.run(world, main, inner, child, note, config={"max_iterations": 4, "on_failure": "stop"})

    assert (found.report.status, found.report.iterations) == ("failed", 4)
    assert found.report.error.startswith("IterationLimitReached: max_iterations of 4 used up")


# -- keep_alive ----------------------------------------------------------------------------------------------


async def idle(ctx: Context) -> None:
    """It works instructions by hand, and finishes when it is told to."""
    ctx.cache.append("global", "turns", ctx.node.iteration.number)
    for key in ctx.cache.keys("global:instructions"):
        told = ctx.cache.get("global:instructions", key)
        ctx.cache.delete("global:instructions", key)
        if told["action"] == "tell":
            ctx.finish("told")
        else:
            ctx.add_node(told["action"], inputs=told["params"])


@pytest.mark.parametrize("seconds", [1, 60], ids=["awake", "parked"])
@pytest.mark.parametrize("is_here", [True, False], ids=["here", "elsewhere"])
def test_kept_alive_it_waits_for_instructions(is_here, seconds, world):
    """No matter how long, and in which process it is told, parked or not: each instruction wakes it."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        async with supervised.application(world, idle, note, tell) as there:
            handle = run if is_here else await there.get_run("r")
            for x in (1, 2):
                await asyncio.sleep(seconds)
                assert run.status == "waiting"
                await handle.instruct("note", {"x": x})
            await asyncio.sleep(seconds)
            await handle.instruct(tell)
            return await ran(handle)

    found = supervised.run(world, main, idle, note, tell)

    assert (found.report.status, found.report.result) == ("succeeded", "told")
    assert [found.report.outputs[step]["output"] for step in found.statuses if step.startswith("note")] == [1, 2]
    assert found.report.iterations == 6
    assert "RunParked" in types(found) or seconds == 1


def test_kept_alive_it_has_no_time_limit(world):
    """A day passes, and another, and its clock does not run."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        await asyncio.sleep(3 * 86_400)
        await run.instruct("tell")
        return await run.wait()

    report = supervised.run(world, main, idle, tell)
    assert (report.status, report.result) == ("succeeded", "told")


def test_kept_alive_it_ends_when_it_is_cancelled(world):
    """A supervisor that waits has nothing to be cut off."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        await asyncio.sleep(60)
        await run.cancel("enough")
        with pytest.raises(InvalidState, match=r"run 'r' is over \(cancelled\): it cannot be given an instruction"):
            await run.instruct("note")
        return await ran(run)

    found = supervised.run(world, main, idle, note)
    assert (found.report.status, found.statuses["supervisor_2"]) == ("cancelled", "cancelled")


def test_kept_alive_it_ends_when_somebody_else_finishes(world):
    """A supervisor that waits for an instruction waits no longer once the result is there."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        await asyncio.sleep(1)
        await run.add_node(tell, id="tell")
        return await ran(run)

    found = supervised.run(world, main, idle, tell)

    assert (found.report.status, found.report.result) == ("succeeded", "told")
    assert found.statuses == {"supervisor_1": "succeeded", "tell": "succeeded", "supervisor_2": "skipped"}


def test_an_instruction_waits_for_a_run_that_is_paused(world):
    """It is in the journal at once, and worked when the run is resumed."""

    async def main(app):
        run = await app.start(AgentDriven("t", supervisor="idle", keep_alive=True), run_id="r")
        await asyncio.sleep(1)
        await run.pause()
        await run.instruct("tell")
        assert run.status == "paused"
        return await (await run.resume()).wait()

    assert supervised.run(world, main, idle, tell).result == "told"


def test_a_run_without_a_supervisor_takes_no_instruction(world):
    """A static run, and one whose supervisor had its last turn, say so."""
    graph = Graph("g")

    async def slow(ctx: Context):
        await asyncio.sleep(60)

    async def plan(ctx: Context):
        ctx.add_node(slow)
        ctx.finish(1)

    async def main(app):
        graph.add(slow, id="slow")
        app.add_graph(graph)
        for spec in (Static("g"), AgentDriven("t", supervisor=plan)):
            run = await app.start(spec)
            await asyncio.sleep(1)
            with pytest.raises(InvalidState, match="has no supervisor that goes on: nobody would follow an instructi"):
                await run.instruct("slow")
            assert (await run.wait()).status == "succeeded"

    supervised.run(world, main, slow, plan)
