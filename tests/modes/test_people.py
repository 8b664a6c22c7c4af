"""The built-in agent that asks people what is published to `human_review`; on both stores."""

import asyncio

import msgspec
import pytest
from tests.mailed import execute, run
from tests.worlds import World, until

from dagger import Context, EventDriven, Message, MessageInvalid, agent
from dagger.core.reviews import problem
from dagger.modes.people import Question

REVIEW, ANSWERED = "human_review", "human_review.answered"


@agent(subscribe=ANSWERED)
async def notes(said: dict, message: Message, ctx: Context):
    """It keeps what people say."""
    ctx.cache.append("global", "said", [said["question"], said["answer"], said["message"], message.source])


async def asked(handle, count=1):
    """The reviews of the run, as soon as there are so many."""
    while len(found := await handle.reviews()) < count:
        await asyncio.sleep(0.01)
    return found


def asks(*questions, **more):
    """An agent that has so many questions asked."""

    @agent(subscribe="start", publish=REVIEW)
    async def curious(asked: object):
        for question in questions:
            yield {"question": question, **more}

    return curious


def test_a_message_is_asked_and_its_answer_published(world):
    """With the question and the message that it answers; who said what is in the journal, as for any review."""

    async def main(app):
        handle = await app.start(EventDriven(REVIEW, {"question": "Go on?", "options": ["yes", {"no": 1}]}), run_id="r")
        (review,) = await asked(handle)
        await handle.answer(review.id, {"no": 1}, who="ann")
        report = await handle.wait()
        return review, report, handle.cache.get("global", "said")

    review, report, said = run(world, main, notes)
    assert (review.step, review.question, review.options) == ("human_review#1-1", "Go on?", ["yes", {"no": 1}])
    assert report.status == "succeeded"
    assert said == [["Go on?", {"no": 1}, "1-1", "human_review"]]


def test_who_requests_a_review_need_not_have_its_answer_published_to_anybody(world, caplog):
    """The reply is the point: no warning says that nobody reads it."""

    @agent(subscribe="start", publish=REVIEW)
    async def asker(given: object, ctx: Context):
        ctx.finish(await ctx.request(REVIEW, {"question": "Go on?"}, timeout=None))

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        (review,) = await asked(handle)
        await handle.answer(review.id, "yes")
        return (await handle.wait()).result

    assert run(world, main, asker) == "yes"
    assert "nobody reads" not in caplog.text


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({}, 'at $: "question" is a required property'),
        ({"question": 5}, "at $.question"),
        ("Go on?", "at $"),
        ({"question": "Go on?", "options": "yes"}, "at $.options"),
        ({"question": "Go on?", "option": ["yes"]}, "('option' was unexpected)"),
        ({"question": ""}, "at $.question"),
        ({"question": "Go on?", "options": []}, "at $.options"),
        ({"question": "Go on?", "wait_minutes": -5}, "at $.wait_minutes"),
        ({"question": "Go on?", "wait_minutes": 1441}, "at $.wait_minutes"),
        ({"question": "Go on?", "wait_minutes": True}, "at $.wait_minutes"),
    ],
    ids=["none", "number", "text", "options", "slip", "empty", "no options", "negative", "too long", "bool"],
)
def test_what_is_no_question_is_refused_before_it_is_published(world, payload, told):
    """It has a schema as any agent."""

    async def main(app):
        with pytest.raises(MessageInvalid) as raised:
            await app.start(EventDriven(REVIEW, payload))
        return str(raised.value)

    message = run(world, main, notes)
    assert told in message
    assert "agent 'human_review'" in message


@pytest.mark.parametrize("question", ["", "Go on?"])
@pytest.mark.parametrize("options", [None, [], ["yes"], ["yes", "yes"], [None]], ids=repr)
@pytest.mark.parametrize("minutes", [None, -1, -0.001, 0, 0.5, 1440, 1440.001, 1e6], ids=repr)
def test_a_question_is_what_can_be_asked(question, options, minutes):
    """No more and no less: what is published would end as a dead letter, or could not be asked this way."""
    payload = {"question": question, "options": options, "wait_minutes": minutes}
    try:
        msgspec.convert(payload, Question)
    except msgspec.ValidationError:
        is_question = False
    else:
        is_question = True
    assert is_question == (not problem(question, options, minutes))


@pytest.mark.parametrize(("minutes", "config"), [(30, {}), (None, {"human_wait_minutes": 30})], ids=["own", "config"])
def test_under_autopilot_the_answer_is_null_when_the_time_is_over(world, minutes, config):
    """The payload says how long, else the config."""
    question = {"question": "Go on?", **({} if minutes is None else {"wait_minutes": minutes})}
    config = {"human_timeout_action": "autopilot", **config}

    async def main(app):
        report = await app.execute(EventDriven(REVIEW, question), run_id="r")
        return report, (await app.get_run("r")).cache.get("global", "said")

    report, said = run(world, main, notes, config=config)
    assert (report.status, said) == ("succeeded", [["Go on?", None, "1-1", "human_review"]])
    assert world.clock.passed_seconds == pytest.approx(30 * 60, abs=1)


def test_whoever_requests_gets_the_answer_as_reply(world):
    """Besides being published: `ctx.request` waits for it."""

    @agent(subscribe="start", publish=REVIEW)
    async def curious(given: object, ctx: Context):
        ctx.finish([await ctx.request(REVIEW, {"question": "Go on?"}, timeout=None)])

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        (review,) = await asked(handle)
        await asyncio.sleep(60)
        status = handle.status
        await handle.answer(review.id, "yes")
        return status, await handle.wait(), handle.cache.get("global", "said")

    status, report, said = run(world, main, curious, notes)
    assert (status, report.result) == ("waiting", ["yes"])
    assert [each[:2] for each in said] == [["Go on?", "yes"]]


def test_many_questions_are_open_at_once(world):
    """Nobody has to answer one before the next is asked; each answer goes on by itself, in any order."""

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        reviews = await asked(handle, 100)
        for review in reversed(reviews):
            await handle.answer(review.id, review.question.upper())
        return await handle.wait(), handle.cache.get("global", "said")

    questions = [f"q{number}?" for number in range(100)]
    report, said = run(world, main, asks(*questions), notes)
    assert report.status == "succeeded"
    assert [each[:2] for each in said] == [[each, each.upper()] for each in reversed(questions)]


def test_a_question_holds_up_no_other_agent(world):
    """While it is open the rest of the run goes on."""
    times = []

    @agent(subscribe="start")
    async def busy(given: object):
        for _ in range(3):
            await asyncio.sleep(10)
            times.append(round(world.clock.passed_seconds))

    async def main(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        (review,) = await asked(handle)
        await until(lambda: len(times) == 3)
        await handle.answer(review.id, 1)
        return await handle.wait()

    assert run(world, main, asks("Go on?"), busy, notes).status == "succeeded"
    assert times == [10, 20, 30]


def test_a_run_that_asked_is_answered_by_another_application_days_later(tmp_path):
    """It waits without a process; the answer is published there, once."""
    world = World("sqlite", tmp_path)

    async def begin(app):
        handle = await app.start(EventDriven("start", None), run_id="r")
        await asked(handle, 2)

    async def answer(app):
        handle = await app.get_run("r")
        status = handle.status
        for review in await app.reviews():
            await handle.answer(review.id, review.question.upper(), who="ann")
        return status, await handle.wait(), handle.cache.get("global", "said")

    run(world, begin, asks("a?", "b?"), notes)
    world.clock.advance(3 * 86_400)
    status, report, said = run(world, answer, asks("a?", "b?"), notes)
    assert (status, report.status) == ("waiting", "succeeded")
    assert [each[:2] for each in said] == [["a?", "A?"], ["b?", "B?"]]


def test_a_run_that_paused_for_want_of_an_answer_is_resumed_with_it(tmp_path):
    """`app.resume(run_id, input=…)` elsewhere is the answer."""
    world = World("sqlite", tmp_path)
    config = {"human_timeout_action": "pause", "human_wait_minutes": 5}

    async def begin(app):
        return await app.execute(EventDriven(REVIEW, {"question": "Go on?"}), run_id="r")

    async def go_on(app):
        handle = await app.resume("r", input="yes")
        return await handle.wait(), handle.cache.get("global", "said")

    paused = run(world, begin, notes, config=config)
    world.clock.advance(86_400)
    report, said = run(world, go_on, notes, config=config)
    assert (paused.status, report.status) == ("paused", "succeeded")
    assert said == [["Go on?", "yes", "1-1", "human_review"]]


def test_paused_by_hand_it_asks_on_and_takes_the_answer_when_it_is_resumed(world):
    """An answer that comes while it is paused waits for whoever resumes it."""

    async def main(app):
        handle = await app.start(EventDriven(REVIEW, {"question": "Go on?"}), run_id="r")
        (review,) = await asked(handle)
        paused = await handle.pause("lunch")
        await handle.answer(review.id, "yes")
        meanwhile = handle.status, handle.cache.get("global", "said", None)
        await app.resume("r")
        return paused.status, meanwhile, (await handle.wait()).status, handle.cache.get("global", "said")

    paused, meanwhile, status, said = run(world, main, notes)
    assert (paused, meanwhile, status) == ("paused", ("paused", None), "succeeded")
    assert [each[:2] for each in said] == [["Go on?", "yes"]]


def test_nobody_needs_to_read_the_answers(world):
    """They are kept in the journal."""
    found = execute(
        world,
        EventDriven(REVIEW, {"question": "Go on?", "wait_minutes": 0}),
        config={"human_timeout_action": "autopilot"},
    )

    assert found.report.status == "succeeded"
    (success,) = [event for event in found.events if type(event).__name__ == "StepSucceeded"]
    assert [(each.channel, bytes(each.payload)) for each in success.messages] == [
        (ANSWERED, b'{"question":"Go on?","answer":null,"message":"1-1"}')
    ]
