"""People in the loop: what a run asks, where one sees it, who may answer, and what the answer does."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.worlds import HOUR, until

from dagger import (
    AgentDriven,
    AnswerInvalid,
    Context,
    Dagger,
    Graph,
    InvalidState,
    ReviewAnswered,
    ReviewError,
    ReviewNotFound,
    RunError,
    Static,
    action,
)

MINUTE = 60
STOP = {"max_attempts": 1, "on_failure": "stop"}


async def asks(ctx: Context):
    """What a person says."""
    return [await ctx.review("Go on?")]


async def asks_for_one(ctx: Context):
    """One of two."""
    return [await ctx.review("Which?", options=["a", {"x": 1, "y": [2]}])]


def asks_for(minutes):
    """An action that asks, and waits so long."""

    async def asks(ctx: Context):
        return [await ctx.review("Go on?", wait_minutes=minutes)]

    return asks


async def asked(run, count=1):
    """The reviews of the run, as soon as there are so many."""
    while len(found := await run.reviews()) < count:
        await asyncio.sleep(0.01)
    return found


async def events_of(run, *types):
    return [recorded.event async for recorded in run.events(live=False) if recorded.type in types]


def beside(world, main, *actions, **options):
    """What `main` gives, called with two applications on the same store: of two processes, as far as they know."""

    async def whole(here):
        async with world.application(*actions, **options) as there:
            await there.runs()
            return await main(here, there)

    return world.run(whole, *actions, **options)


# -- asking and answering ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["yes", None, 0, 1.5, [1, {"ü": None}], {"$blob": "x", "size": 3}, "ä" * 70_000])
def test_any_json_is_an_answer_where_no_options_are_given(world, value):
    """It comes back as it was given: what looks like a reference of ours, and what is too large for an event, too."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        assert (review.run_id, review.step, review.question, review.options) == ("r", "n0", "Go on?", None)
        await run.answer(review.id, value, who="ann")
        (event,) = await events_of(run, "WaitAnswered")
        assert (event.who, event.review, len(event.value) < 66_000) == ("ann", review.id, True)
        return (await run.wait()).outputs, await run.reviews()

    outputs, reviews = world.run(main, asks)
    assert (outputs, reviews) == ({"n0": {"output": [value]}}, [])


def test_only_an_option_is_an_answer_where_they_are_given(world):
    """Another is refused, and says which there are; equal JSON is equal however it is written."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        told = rf'review {review.id}: "b" is none of the options; choose one of "a", \{{"x":1,"y":\[2\]\}}'
        with pytest.raises(AnswerInvalid, match=told):
            await run.answer(review.id, "b")
        with pytest.raises(AnswerInvalid, match=f"review {review.id}: the answer"):
            await run.answer(review.id, {1, 2})
        assert [each.id for each in await run.reviews()] == [review.id]
        await run.answer(review.id, {"y": [2], "x": 1})
        return (await run.wait()).outputs["n0"]

    assert world.run(main, asks_for_one) == {"output": [{"x": 1, "y": [2]}]}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"question": ""}, "a question is a text that is not empty, not ''"),
        ({"question": 5}, "a question is a text that is not empty, not 5"),
        ({"options": []}, "options are a list of answers that is not empty, not []"),
        ({"options": "ab"}, "options are a list of answers that is not empty, not 'ab'"),
        ({"options": [{1}]}, "at $.options[0]: a set"),
        ({"wait_minutes": -1}, "wait_minutes is a number from 0 to 1440, or None to wait for ever, not -1"),
        ({"wait_minutes": 1441}, "wait_minutes is a number from 0 to 1440, or None to wait for ever, not 1441"),
        ({"wait_minutes": True}, "wait_minutes is a number from 0 to 1440, or None to wait for ever, not True"),
        ({"key": ""}, "a key is a text that is not empty, not ''"),
    ],
    ids=range(9),
)
def test_a_question_that_cannot_be_asked_fails_its_step(world, arguments, problem):
    """At once, and nobody is asked."""

    async def asks(ctx: Context):
        await ctx.review(**{"question": "Go on?", **arguments})

    report = world.execute(asks, config=STOP)
    assert f"node 'n0': review: {problem}" in report.error
    assert "WaitOpened" not in world.types


def test_threads_cannot_ask(world):
    """They would keep their thread for days."""

    def asks(ctx: Context):
        ctx.review("Go on?")

    assert world.execute(asks, config=STOP).error.startswith("n0: StepError: node 'n0': review is for async functions")


def test_several_questions_at_once_have_keys(world):
    """Each is answered by itself, in any order; the run waits for the last."""

    async def asks(ctx: Context):
        return await asyncio.gather(*[ctx.review(f"{key}?", key=key) for key in ("one", "two", "three")])

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        reviews = {review.key: review.id for review in await asked(run, 3)}
        with pytest.raises(ReviewError, match="run 'r': 3 reviews are open; answer them by their ids: "):
            await app.resume("r", input="x")
        for key in ("two", "three", "one"):
            await asyncio.sleep(10)  # it is parked meanwhile
            await run.answer(reviews[key], key.upper())
        return (await run.wait()).outputs["n0"]["output"]

    assert world.run(main, asks) == ["ONE", "TWO", "THREE"]


def test_a_question_that_was_changed_is_a_mismatch(world):
    """An answer to the old one would be taken for one to the new."""

    async def first(ctx: Context):
        await ctx.review("Delete?")

    async def second(ctx: Context):
        await ctx.review("Keep?")

    first.__name__ = second.__name__ = "asks"

    async def begin(app):
        await app.start(Static("g"), run_id="r", config=STOP)
        await asyncio.sleep(1)

    async def go_on(app):
        return (await (await app.resume("r", input="yes")).wait()).error

    world.run(begin, first)
    error = world.run(go_on, second)
    assert error.startswith("n0: WaitMismatch: node 'n0': wait 'review:1' is in the journal as review")
    assert "Delete?" in error
    assert "Keep?" in error


# -- how long ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [0, 5, 0.5])
def test_under_autopilot_code_goes_on_without_an_answer(world, minutes):
    """It gets None when the time is over; nobody is noted to have answered."""
    report = world.execute(asks_for(minutes), config={"human_timeout_action": "autopilot"})
    assert (report.status, report.outputs) == ("succeeded", {"n0": {"output": [None]}})
    assert world.clock.passed_seconds == pytest.approx(minutes * MINUTE, abs=0.2)


def test_the_config_says_how_long_where_the_code_does_not(world):
    """A question's own minutes win; None there waits for ever."""

    async def asks(ctx: Context):
        first = await ctx.review("config's?")
        second = await ctx.review("own?", wait_minutes=1)
        world.tell([first, second])
        return await ctx.review("for ever?", wait_minutes=None)

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(30 * 24 * HOUR)
        assert (run.status, run.wake_at) == ("waiting", None)
        (review,) = await run.reviews()
        assert (review.question, review.due_at) == ("for ever?", None)
        await run.answer(review.id, "at last")
        return (await run.wait()).outputs["n0"]

    config = {"human_wait_minutes": 3, "human_timeout_action": "autopilot"}
    assert world.run(main, asks, config=config) == {"output": "at last"}
    assert world.told[0] == ([None, None], 4 * MINUTE)


@pytest.mark.parametrize("how", ["here", "there", "input", "other process"])
def test_a_run_that_paused_for_want_of_an_answer_goes_on_with_it(world, how):
    """Whoever answers, and however; what was done before is not done again."""

    async def before():
        world.tell("before")
        return 1

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        report = await run.wait()
        (review,) = await run.reviews()
        assert (report.status, run.reason) == ("paused", f"review {review.id} of 'n1' was not answered in time")
        await asyncio.sleep(HOUR)
        if how == "input":
            run = await here.resume("r", input="yes")
        else:
            run = await (there if how == "there" else here).get_run("r")
            await run.answer(review.id, "yes")
        return (await run.wait()).outputs

    async def pauses(app):
        return (await app.execute(Static("g"), run_id="r")).status

    async def answers(app):
        (review,) = await app.reviews()
        run = await app.get_run("r")
        await run.answer(review.id, "yes")
        return (await run.wait()).outputs

    if how == "other process":
        assert world.run(pauses, before, asks_for(5)) == "paused"
        outputs = world.run(answers, before, asks_for(5))
    else:
        outputs = beside(world, main, before, asks_for(5))
    assert outputs == {"n0": {"output": 1}, "n1": {"output": ["yes"]}}
    assert [what for what, _ in world.told] == ["before"]


def test_an_answer_to_another_review_leaves_a_paused_run_paused(world):
    """It is kept: when the run goes on, it is not asked again."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        assert (await run.wait()).status == "paused"
        first, second = await run.reviews()
        assert (first.step, second.step) == ("n0", "n1")
        await run.answer(second.id, "second")
        assert (run.status, len(await run.reviews())) == ("paused", 1)
        await run.answer(first.id, "first")
        return (await run.wait()).outputs

    async def other(ctx: Context):
        return await ctx.review("other?", wait_minutes=None)

    assert world.run(main, asks_for(5), other) == {"n0": {"output": ["first"]}, "n1": {"output": "second"}}


def test_an_answer_to_a_run_that_a_person_paused_is_kept_for_when_it_is_resumed(world):
    """Answering is no order to go on."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await run.pause("lunch")
        await run.answer(review.id, "yes")
        assert (run.status, await run.reviews()) == ("paused", [])
        return (await (await app.resume("r")).wait()).outputs["n0"]

    assert world.run(main, asks) == {"output": ["yes"]}


def test_a_run_resumed_without_an_answer_waits_on_for_one(world):
    """Its time is over: it is said to wait, it is parked, and it takes the answer whenever it comes."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        assert (await run.wait()).status == "paused"
        await app.resume("r")
        await asyncio.sleep(1)
        (review,) = await run.reviews()
        assert (run.status, review.id in run.reason) == ("waiting", True)
        await asyncio.sleep(HOUR)
        assert (run.status, app.tenure("r")) == ("waiting", None)
        await run.answer(review.id, "late")
        return (await run.wait()).outputs["n0"]

    assert world.run(main, asks_for(5)) == {"output": ["late"]}


def test_a_run_resumed_under_autopilot_goes_on_without_the_answer(world):
    """The review's time is over by then."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        assert (await run.wait()).status == "paused"
        await app.resume("r", config={"human_timeout_action": "autopilot"})
        return (await run.wait()).outputs["n0"], await run.reviews()

    assert world.run(main, asks_for(5)) == ({"output": [None]}, [])


# -- answers that cannot be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [5, "\ud800", ["ann"]])
def test_whoever_answers_is_named_by_a_text(world, who):
    """What is no text would stand in the journal, and nobody could read the run any more."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        with pytest.raises(RunError, match="run 'r': who answers is a text, not "):
            await run.answer(review.id, "yes", who=who)
        await run.answer(review.id, "yes")
        return (await run.wait()).status

    assert world.run(main, asks) == "succeeded"


def test_an_answer_to_what_is_not_asked_is_refused(world):
    """Unknown, answered, and of a run that is over: each says so."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        with pytest.raises(ReviewNotFound, match="run 'r' has no review 'x'; `dagger reviews` lists the open ones"):
            await run.answer("x", 1)
        await run.answer(review.id, "yes", who="ann")
        told = f"review {review.id} of run 'r' was answered by ann at 2026-01-01 00:00:0. UTC"
        with pytest.raises(ReviewAnswered, match=told):
            await run.answer(review.id, "no")
        await run.wait()
        with pytest.raises(ReviewAnswered, match=told):
            await run.answer(review.id, "no")
        with pytest.raises(InvalidState, match=r"run 'r' is over \(succeeded\): it cannot be answered"):
            await run.answer("x", "no")

    world.run(main, asks)


def test_an_answer_to_a_cancelled_run_is_refused(world):
    """Its reviews are withdrawn with it."""

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await run.cancel("enough")
        assert (await run.reviews(), await app.reviews()) == ([], [])
        with pytest.raises(InvalidState, match=r"run 'r' is over \(cancelled\): it cannot be answered"):
            await run.answer(review.id, "yes")

    world.run(main, asks)


@pytest.mark.parametrize("where", ["here", "there"])
def test_an_answer_to_a_run_that_is_being_cancelled_is_refused(world, where):
    """It is not left in the inbox, where it would keep the run from ending."""

    async def stubborn():
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
            raise

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        cancelling = asyncio.create_task(run.cancel("enough"))
        await asyncio.sleep(1)
        asker = run if where == "here" else await there.get_run("r")
        with pytest.raises(InvalidState, match=r"is (being cancelled|over \(cancelled\)): it cannot be"):
            await asker.answer(review.id, "yes")
        return (await cancelling).status

    assert beside(world, main, asks, stubborn) == "cancelled"


def test_an_answer_to_a_run_that_is_about_to_pause_is_heard(world):
    """It is kept until the run has paused."""

    async def stubborn():
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
            raise

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        pausing = asyncio.create_task(run.pause("lunch"))
        await asyncio.sleep(1)
        await (await there.get_run("r")).answer(review.id, "yes")
        return (
            (await pausing).status,
            await run.reviews(),
            [e.who for e in await events_of(run, "WaitAnswered")] != [""],
        )

    assert beside(world, main, asks, stubborn) == ("paused", [], True)


@pytest.mark.parametrize("seconds", [1, 60], ids=["waiting", "parked"])
def test_of_two_who_answer_at_once_one_wins(world, seconds):
    """The other is told that he was late."""

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await asyncio.sleep(seconds)
        answers = [
            (await app.get_run("r")).answer(review.id, who, who=who)
            for app, who in ((here, "ann"), (there, "bob"), (there, "cid"))
        ]
        told = await asyncio.gather(*answers, return_exceptions=True)
        (late, later) = [each for each in told if each is not None]
        assert isinstance(late, ReviewAnswered)
        assert isinstance(later, ReviewAnswered)
        (event,) = await events_of(run, "WaitAnswered")
        return (await run.wait()).outputs["n0"] == {"output": [event.who]}

    assert beside(world, main, asks)


# -- reviews that nobody waits for ---------------------------------------------------------------------------


def test_a_review_is_withdrawn_when_its_step_ends(world):
    """Because its time was over, the code gave it up, or it failed; an answer to it is refused."""

    async def times_out(ctx: Context):
        waiting = asyncio.create_task(ctx.review("timeout?"))
        await asyncio.sleep(HOUR)
        return await waiting

    async def gives_up(ctx: Context):
        try:
            await asyncio.wait_for(ctx.review("patience?"), 30)
        except TimeoutError:
            return "no patience"

    async def fails(ctx: Context):
        asyncio.create_task(ctx.review("failure?"))  # noqa: RUF006 - it is left behind
        await asyncio.sleep(60)
        raise ValueError("no")

    async def rests(ctx: Context):
        await ctx.sleep(2 * HOUR)

    async def main(app):
        graph = Graph("h", config={"on_failure": "continue", "max_attempts": 1})
        for each in (times_out, gives_up, fails, rests):
            graph.add(each, timeout=60)
        app.add_graph(graph)
        run = await app.start(Static("h"), run_id="r")
        reviews = await asked(run, 3)
        await asyncio.sleep(100)
        assert (await run.reviews(), await app.reviews()) == ([], [])
        for review in reviews:
            with pytest.raises(ReviewAnswered, match="was closed at"):
                await run.answer(review.id, 1)
        return await run.wait()

    report = world.run(main, times_out, gives_up, fails, rests)
    assert report.outputs["gives_up"] == {"output": "no patience"}
    assert report.node_outcomes["times_out"].status == "failed"


def test_a_retried_attempt_finds_its_question(world):
    """It is asked once, and the answer of before is the answer."""

    async def asks(ctx: Context):
        answer = await ctx.review("Go on?")
        if ctx.attempt < 3:
            raise ConnectionError("later")
        return answer

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await run.answer(review.id, "yes")
        report = await run.wait()
        return report.outputs["n0"], len(await events_of(run, "WaitOpened"))

    assert world.run(main, asks) == ({"output": "yes"}, 1)


def test_a_stuck_step_keeps_its_question(world):
    """It can be answered while the run is paused: resumed, the step finds the answer."""
    failing = [True]

    async def asks(ctx: Context):
        answer = asyncio.create_task(ctx.review("Go on?"))
        await asyncio.sleep(1)
        if failing.pop() if failing else False:
            raise ValueError("no")
        return await answer

    async def main(app):
        run = await app.start(Static("g"), run_id="r", config={"max_attempts": 1})
        assert (await run.wait()).status == "paused"
        (review,) = await run.reviews()
        await run.answer(review.id, "yes")
        assert run.status == "paused"
        return (await (await app.resume("r")).wait()).outputs

    assert world.run(main, asks) == {"n0": {"output": "yes"}}


def test_a_question_that_was_withdrawn_is_asked_anew(world):
    """When the failure action has had its turn and the run is resumed, nobody has answered it yet."""
    failing = [True]

    async def asks(ctx: Context):
        answer = asyncio.create_task(ctx.review("Go on?"))
        await asyncio.sleep(1)
        if failing.pop() if failing else False:
            raise ValueError("no")
        return await answer

    async def looks():
        return None

    async def main(app):
        graph = Graph("h", config={"max_attempts": 1})
        graph.add(asks, failure=looks)
        app.add_graph(graph)
        run = await app.start(Static("h"), run_id="r")
        assert (await run.wait()).status == "paused"
        assert await run.reviews() == []
        await app.resume("r")
        (review,) = await asked(run)
        await run.answer(review.id, "yes")
        return (await run.wait()).outputs

    assert world.run(main, asks, looks) == {"asks": {"output": "yes"}}


# -- while it waits ------------------------------------------------------------------------------------------


def test_a_waiting_run_says_how_to_answer_and_costs_nothing(world):
    """Its slots are free, its clocks stand still, and once parked there is no task and no owner."""

    async def works():
        await asyncio.sleep(30)
        world.tell("worked")

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await asyncio.sleep(40)
        assert world.told == [("worked", 30)]
        url = app.store.url
        how = "" if url == "memory:" else f"; dagger answer {review.id} VALUE --store {url}"
        told = f"waits for 1 review (review {review.id}: 'Go on?'{how})"
        assert (run.status, run.reason) == ("waiting", told)
        await asyncio.sleep(HOUR)
        assert (run.status, app.tenure("r"), app.store.ownership("r")) == ("waiting", None, "none")
        assert [each.id for each in await app.runs(status="waiting")] == ["r"]
        await run.answer(review.id, 1)
        return await run.wait()

    config = {"max_parallel": 1, "timeout_seconds": 60}
    report = world.run(main, asks, works, config=config)
    assert (report.status, round(report.duration)) == ("succeeded", 30)


@pytest.mark.parametrize("seconds", [1, 60], ids=["waiting", "parked"])
def test_a_review_may_be_anywhere(world, seconds):
    """In a nested graph, an item of a map, a child flow that code executes; each answer goes where it belongs."""

    @action
    async def asks_x(ctx: Context, x: int):
        return [x, await ctx.review(f"{x}?")]

    @action
    async def numbers():
        return [1, 2]

    @action
    async def executes(ctx: Context):
        return (await ctx.execute(Static("inner"), inputs={"x": 3})).outputs["asks"]["output"]

    async def main(app):
        inner, outer = Graph("inner"), Graph("outer")
        inner.add(asks_x, id="asks", x=inner.input("x"))
        outer.add(inner, id="flow", x=0)
        outer.add(asks_x, id="each", map=outer.add(numbers, id="listed"), x=outer.item)
        outer.add(executes, id="code")
        app.include(asks_x, numbers, executes)
        app.add_graph(inner)
        app.add_graph(outer)
        run = await app.start(Static("outer"), run_id="r")
        reviews = await asked(run, 4)
        for review in reviews:
            await asyncio.sleep(seconds)
            await run.answer(review.id, review.question)
        return (await run.wait()).outputs, {review.step for review in reviews}

    outputs, steps = world.run(main, asks)
    assert steps == {"flow/asks", "each/0", "each/1", "code:child:1/asks"}
    assert outputs["flow"] == {"output": [0, "0?"]}
    assert outputs["each"] == {"output": [[1, "1?"], [2, "2?"]]}
    assert outputs["code"] == {"output": [3, "3?"]}


def test_one_answer_wakes_one_run(world):
    """The others stay parked, and are listed."""

    async def main(app):
        for number in range(20):
            await app.start(Static("g"), run_id=f"r{number}")
        await asyncio.sleep(60)
        reviews = await app.reviews(limit=None)
        assert (len(reviews), len(await app.reviews(limit=5))) == (20, 5)
        assert {review.run_id for review in reviews} == {f"r{number}" for number in range(20)}
        run = await app.get_run("r7")
        await run.answer(next(review.id for review in reviews if review.run_id == "r7"), 1)
        await run.wait()
        parked = [each.id for each in await app.runs(status="waiting", limit=None)]
        woken = [name for name in parked if await events_of(await app.get_run(name), "RunWoken", "RunRecovered")]
        return len(parked), woken

    assert world.run(main, asks) == (19, [])


# -- other processes -----------------------------------------------------------------------------------------


def test_an_answer_from_elsewhere_reaches_a_run_that_waits_in_memory(world):
    """It is in the journal when `answer` returns, with who gave it and the order that it came by."""

    async def main(here, there):
        run = await here.start(Static("g"), run_id="r")
        (review,) = await asked(await there.get_run("r"))
        assert here.tenure("r") is not None
        await (await there.get_run("r")).answer(review.id, "yes", who="ann")
        (event,) = await events_of(run, "WaitAnswered")
        assert (event.who, bool(event.order)) == ("ann", True)
        assert there.tenure("r") is None
        return (await run.wait()).outputs["n0"]

    assert beside(world, main, asks) == {"output": ["yes"]}


def leave(world, *actions, seconds=1, **options):
    """Leave a run behind, as a process that has died."""

    async def main(app):
        await app.start(Static("g"), run_id="r")
        await asyncio.sleep(seconds)

    world.run(main, *actions, **options)


@pytest.mark.parametrize("how", ["answer", "resume", "input"])
@pytest.mark.parametrize("seconds", [1, 60], ids=["waiting", "parked"])
def test_a_waiting_run_whose_process_is_gone_goes_on_days_later(world, seconds, how):
    """By the answer itself, or resumed with or before it."""
    leave(world, asks, seconds=seconds)
    world.clock.advance(3 * 24 * HOUR)

    async def main(app):
        (review,) = await app.reviews()
        run = await app.get_run("r")
        if how == "input":
            await app.resume("r", input="yes")
        elif how == "resume":
            await app.resume("r")
        if how != "input":
            await run.answer(review.id, "yes")
        return (await run.wait()).outputs["n0"]

    assert world.run(main, asks) == {"output": ["yes"]}


@pytest.mark.parametrize("seconds", [1, 60, 600], ids=["waiting", "parked", "paused"])
def test_an_answer_given_where_the_code_is_not_waits_for_whoever_has_it(world, seconds):
    """The process that answers does not take the run; one that recovers, and has the code, does."""
    leave(world, asks_for(5), seconds=seconds)

    async def other():
        return 1

    async def answers(app):
        (review,) = await app.reviews()
        run = await app.get_run("r")
        before = run.status
        await run.answer(review.id, "yes", who="ann")
        await asyncio.sleep(5)
        await until(lambda: app.store.ownership("r") != "here")
        return run.status == before

    async def recovers(app):
        run = await app.get_run("r")
        await asyncio.sleep(10)
        return (await run.wait()).outputs["n0"], [event.who for event in await events_of(run, "WaitAnswered")]

    assert world.run(answers, other, recover=True)
    assert world.run(recovers, asks_for(5), recover=True) == ({"output": ["yes"]}, ["ann"])


WAITER = Path(__file__).with_name("asking.py")


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")
def test_memos_around_a_review_are_done_once_though_its_process_is_killed(tmp_path):
    """memo, review, memo; killed while it waits, answered by a second process, gone on with by a third."""
    from tests import asking

    command = [sys.executable, WAITER, tmp_path / "runs.db", tmp_path / "ledger"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()

    async def answer():
        async with Dagger(tmp_path / "runs.db") as app:
            (review,) = await app.reviews()
            run = await app.get_run("r")
            assert run.status == "interrupted"
            await run.answer(review.id, "yes")

    async def go_on():
        async with asking.application(tmp_path / "runs.db", tmp_path / "ledger") as app:
            return (await (await app.resume("r")).wait()).outputs

    asyncio.run(answer())
    assert asyncio.run(go_on()) == {"asks": {"output": ["first", "yes", "second"]}}
    assert (tmp_path / "ledger").read_text().split() == ["first", "second"]


def test_an_answer_that_waits_for_the_runs_code_is_an_answer(world):
    """The review is listed no more, and nobody can answer it another time."""

    async def main(here):
        run = await here.start(Static("g"), run_id="r")
        (review,) = await asked(run)
        await asyncio.sleep(10)  # it is parked
        async with Dagger(world.store(), clock=world.clock) as there:  # has none of its actions
            found = await there.get_run("r")
            await found.answer(review.id, "yes", who="ann")
            with pytest.raises(ReviewAnswered, match="answered by ann already: the answer waits for whoever resumes"):
                await found.answer(review.id, "no", who="bob")
            listed = await there.reviews()
        return listed, (await (await here.resume("r")).wait()).outputs["n0"]["output"]

    assert world.run(main, asks) == ([], ["yes"])


def test_code_goes_on_with_an_answer_when_that_is_on_disk(tmp_path):
    """Else a crash could have it acted on, and then answered otherwise (I3)."""
    seen = []

    async def main():
        app = Dagger(tmp_path / "runs.db")

        @app.action
        async def acts(ctx: Context):
            await ctx.review("Go on?")
            store = app.store
            seen.extend(each.type for each in (recorded.event for recorded in store.read("r")))

        graph = Graph("g")
        graph.add(acts)
        app.add_graph(graph)
        async with app:
            run = await app.start(Static("g"), run_id="r")
            (review,) = await asked(run)
            await run.answer(review.id, "x" * 200_000)
            await run.wait()

    asyncio.run(main())
    assert "WaitAnswered" in seen


def test_a_run_of_a_supervisor_is_left_to_who_has_one_of_its_actions(world):
    """The built-in supervisor is everywhere; elsewhere it would find none of its instructions' actions."""

    async def work():
        return 1

    async def main(here):
        run = await here.start(AgentDriven("t", keep_alive=True), run_id="r")
        await asyncio.sleep(10)
        async with Dagger(world.store(), clock=world.clock, recover=True) as there:
            await (await there.get_run("r")).instruct("work")
            await asyncio.sleep(5)
            nodes_there = (await (await there.get_run("r")).report()).node_outcomes
        await here.recover()
        await asyncio.sleep(5)
        names = [outcome.node_id for outcome in (await run.report()).node_outcomes]
        await run.cancel()
        return len(nodes_there), names

    assert world.run(main, work) == (1, ["supervisor_1", "supervisor_2", "work_2_1", "supervisor_3"])
