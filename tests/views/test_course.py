"""How steps go and end, event by event."""

import sys

import pytest
from tests.views.journals import (
    T,
    agent,
    attempt_failed,
    dropped,
    ended,
    executed,
    failed,
    journal,
    json,
    node,
    opened,
    posted,
    skipped,
    started,
    succeeded,
)

from dagger.core.events import (
    AgentRemoved,
    CancelRequested,
    LimitReached,
    Redelivered,
    RunPaused,
    RunRecovered,
    RunResumed,
    StepCancelled,
    WaitAnswered,
    WaitOpened,
)
from dagger.core.graph import Definition, Map
from dagger.views.course import Courses, next_round
from dagger.views.outcome import moment

NESTED = Definition(name="clean", nodes=(node("strip"), node("lower", after=["strip"])))


def courses_of(*events, nodes=("a", "b")):
    """Of plain nodes, `each`, which is a map, and `sub`, which runs the graph of `strip` and `lower`."""
    plan = [*(node(name) for name in nodes), node("each", map=Map("inputs.l")), node("sub", "", graph="clean")]
    courses = Courses()
    for recorded in journal(plan, *events, graphs={"clean": NESTED})[0]:
        courses.apply(recorded.event)
    return courses


def statuses(courses):
    return {step: course.status for step, course in courses.by_step.items()}


def outcome_of(*events):
    return courses_of(*events).of("a").outcome()


def test_a_step_that_returns_at_once_starts_its_duration_before_its_end():
    """No start is in the journal for it."""
    outcome = outcome_of(succeeded("a", 50, duration_ms=20))
    assert (outcome.success, outcome.status, outcome.attempts) == (True, "succeeded", 1)
    assert (outcome.started_at, outcome.ended_at) == (moment(T + 30), moment(T + 50))


def test_every_failed_attempt_keeps_its_message():
    """The last one too, and the final error counts them."""
    outcome = outcome_of(
        started("a", 10), attempt_failed("a", 20), attempt_failed("a", 30, 2, "bang"), failed("a", 40, 3, "crash")
    )
    assert outcome.retry_messages == [
        "Attempt 1 failed: ValueError: boom",
        "Attempt 2 failed: ValueError: bang",
        "Attempt 3 failed: ValueError: crash",
    ]
    assert outcome.final_error == "Failed after 3 attempts. Last error: ValueError: crash"
    assert (outcome.success, outcome.status, outcome.attempts) == (False, "failed", 3)
    assert outcome.started_at == moment(T + 10)


def test_a_success_keeps_the_messages_of_failed_attempts():
    """And has no final error."""
    outcome = outcome_of(attempt_failed("a", 20, duration_ms=5), succeeded("a", 3000, 2, duration_ms=10))
    assert (outcome.status, outcome.attempts, outcome.final_error) == ("succeeded", 2, None)
    assert outcome.retry_messages == ["Attempt 1 failed: ValueError: boom"]
    assert outcome.duration == 2.985


def test_a_skipped_step_starts_when_it_ends():
    """It took no time and no attempt, and it says why."""
    outcome = courses_of(failed("a", 10), skipped("b", 11, "'a' failed")).of("b").outcome()
    assert (outcome.status, outcome.reason, outcome.attempts, outcome.retry_messages) == (
        "skipped",
        "'a' failed",
        0,
        [],
    )
    assert outcome.started_at == outcome.ended_at == moment(T + 11)


def test_a_step_stuck_under_pause_is_failed_until_the_run_is_resumed():
    """Then its fresh tries go on counting, and what it said stays."""
    stuck = [failed("a", 10, policy="pause"), RunPaused(at=T + 11, reason="'a' failed")]
    assert outcome_of(*stuck).status == "failed"

    resumed = [*stuck, RunResumed(at=T + 500)]
    assert outcome_of(*resumed).status == "pending"
    assert len(courses_of(*resumed).ended()) == 0

    again = outcome_of(*resumed, attempt_failed("a", 600), succeeded("a", 700, 2))
    assert (again.status, again.attempts) == ("succeeded", 3)
    assert again.retry_messages == ["Attempt 1 failed: ValueError: boom", "Attempt 2 failed: ValueError: boom"]


def test_outcomes_stand_in_the_order_of_ending():
    """A step that ended twice, before and after a resume, stands where it ended last."""
    courses = courses_of(
        failed("a", 10, policy="pause"),
        succeeded("b", 12),
        RunPaused(at=T + 13, reason=""),
        RunResumed(at=T + 20),
        succeeded("a", 30),
        ended(31),
    )
    assert courses.ended().keys() == ["b", "a"]


def test_a_cancelled_attempt_says_why():
    """It counts as an attempt: its code ran."""
    outcome = outcome_of(
        started("a", 5),
        CancelRequested(at=T + 9, reason="enough"),
        StepCancelled(at=T + 10, step="a", attempt=1, reason="enough", duration_ms=5),
    )
    assert (outcome.status, outcome.reason, outcome.attempts, outcome.final_error) == ("cancelled", "enough", 1, None)


@pytest.mark.parametrize(
    ("halt", "reason"),
    [
        ([CancelRequested(at=T + 30, reason="enough")], "enough"),
        ([CancelRequested(at=T + 30)], "the run was cancelled"),
        ([LimitReached(at=T + 30, limit="max_tokens", value=5, policy="stop")], "max_tokens of 5 used up"),
        (
            [
                LimitReached(at=T + 30, limit="max_tokens", value=5, policy="pause"),
                RunPaused(at=T + 31, reason="max_tokens of 5 used up"),
                RunResumed(at=T + 32),
                failed("b", 33, policy="stop"),
            ],
            "'b' failed",
        ),
        ([failed("b", 30, policy="stop")], "'b' failed"),
        ([], "the run ended"),
    ],
)
def test_a_step_between_two_attempts_is_cancelled_with_its_run(halt, reason):
    """No attempt ran that could be cut off, so the end of the run is its end."""
    outcome = outcome_of(attempt_failed("a", 20), *halt, ended(40, "failed"))
    assert (outcome.status, outcome.reason, outcome.ended_at) == ("cancelled", reason, moment(T + 40))


def test_a_step_that_never_started_has_no_outcome():
    """In the end it is unreached."""
    courses = courses_of(failed("a", 20, policy="stop"), ended(40, "failed"))
    assert courses.ended().keys() == ["a"]
    courses = Courses()
    courses.of("b")
    courses.apply(ended(40, "failed"))
    assert courses.of("b").status == "unreached"


def test_what_ran_when_a_process_died_is_interrupted_until_it_starts_again():
    """The attempt that died with it does not count."""
    died = [started("a", 5), RunRecovered(at=T + 100)]
    assert outcome_of(*died).status == "interrupted"
    again = outcome_of(*died, started("a", 110), succeeded("a", 120))
    assert (again.status, again.attempts, again.started_at) == ("succeeded", 1, moment(T + 5))


def test_a_step_waits_while_a_wait_is_open():
    """Answered, it runs again; a memo is running code and no wait to people."""
    review = WaitOpened(at=T + 1, step="a", key="review:1", kind="review")
    sleep = WaitOpened(at=T + 2, step="a", key="sleep:1", kind="sleep")
    memo = WaitOpened(at=T + 3, step="a", key="memo:1", kind="memo")
    answers = [WaitAnswered(at=T + 4, step="a", key=key) for key in ("review:1", "sleep:1")]
    assert outcome_of(review).status == "waiting"
    assert outcome_of(review, sleep, answers[0]).status == "waiting"
    assert outcome_of(review, sleep, *answers).status == "running"
    assert outcome_of(memo).status == "running"


def test_a_step_that_starts_again_with_an_open_wait_waits():
    """After a restart its code runs from its top, up to that wait."""
    sleep = WaitOpened(at=T + 2, step="a", key="sleep:1", kind="sleep")
    assert outcome_of(sleep, RunRecovered(at=T + 9), started("a", 10)).status == "waiting"


def test_a_step_is_recovered_by_its_failure_action():
    """It keeps what its attempts said; the failure action has a course of its own."""
    courses = courses_of(
        attempt_failed("a", 10),
        attempt_failed("a", 20, 2, "bang", failure="rescue"),
        succeeded("a:failure", 50, duration_ms=30, recovers={"x": json(1)}),
    )
    outcome = courses.of("a").outcome()
    assert (outcome.status, outcome.success, outcome.attempts, outcome.final_error) == ("recovered", True, 2, None)
    assert outcome.retry_messages == ["Attempt 1 failed: ValueError: boom", "Attempt 2 failed: ValueError: bang"]
    assert (outcome.started_at, outcome.ended_at) == (moment(T + 10), moment(T + 50))
    assert (courses.of("a:failure").status, courses.of("a:failure").attempts) == ("succeeded", 1)
    assert courses.ended().keys() == ["a:failure", "a"]


def test_a_failure_that_its_action_could_not_mend_is_told_once():
    """The step's failure repeats the attempt's, which came before the action ran."""
    tried = [attempt_failed("a", 10, failure="rescue"), failed("a:failure", 20, message="me too")]
    assert outcome_of(*tried).status == "pending"
    outcome = outcome_of(*tried, failed("a", 20))
    assert (outcome.status, outcome.attempts) == ("failed", 1)
    assert outcome.final_error == "Failed after 1 attempt. Last error: ValueError: boom"
    assert outcome.retry_messages == ["Attempt 1 failed: ValueError: boom"]


def test_a_failure_action_that_runs_again_ends_again():
    """A step stuck under `pause` gets fresh tries, and its failure action with them; it stands where it ended last."""
    once = [attempt_failed("a", 10, failure="rescue"), failed("a:failure", 20), failed("a", 20, policy="pause")]
    again = [attempt_failed("a", 50, failure="rescue"), succeeded("a:failure", 60, recovers={})]
    courses = courses_of(*once, succeeded("b", 21), RunPaused(at=T + 22, reason=""), RunResumed(at=T + 40), *again)
    assert courses.ended().keys() == ["b", "a:failure", "a"]
    assert (courses.of("a").status, courses.of("a").attempts) == ("recovered", 2)


def test_a_step_that_reuses_outputs_made_no_attempt():
    """It succeeded, and names the run that did the work."""
    outcome = outcome_of(succeeded("a", 10, reused="run-0"))
    assert (outcome.status, outcome.attempts, outcome.reused) == ("succeeded", 0, "run-0")
    assert outcome_of(succeeded("a", 10)).reused is None


def test_a_step_runs_from_the_beginning_of_its_child_flow_to_its_end():
    """The flow's steps have courses of their own."""
    flow = [opened("each", 10, items=[1, 2]), succeeded("each/0", 20), started("each/1", 30)]
    assert statuses(courses_of(*flow)) == {"each": "running", "each/0": "succeeded", "each/1": "running"}
    outcome = courses_of(*flow, succeeded("each/1", 40), succeeded("each", 50, duration_ms=40)).of("each").outcome()
    assert (outcome.status, outcome.started_at, outcome.duration) == ("succeeded", moment(T + 10), 0.04)


def test_a_child_flow_outlives_its_process():
    """Only what ran in it is interrupted."""
    died = courses_of(opened("each", 10, items=[1]), started("each/0", 20), RunRecovered(at=T + 99))
    assert statuses(died) == {"each": "running", "each/0": "interrupted"}


def test_in_a_paused_run_nothing_runs():
    """What was cut off has its turn again; resuming, child flows run on at once."""
    paused = [opened("each", 10, items=[1]), started("each/0", 20), RunPaused(at=T + 30, reason="lunch")]
    assert statuses(courses_of(*paused)) == {"each": "pending", "each/0": "pending"}
    assert statuses(courses_of(*paused, RunResumed(at=T + 40))) == {"each": "running", "each/0": "pending"}


def test_a_child_flow_that_failed_under_pause_gets_a_new_chance():
    """With all in it that did not succeed; what succeeded stays, and so do failures elsewhere and failure actions'."""
    courses = courses_of(
        failed("a", 1),
        opened("sub", 10, graph="clean"),
        attempt_failed("sub/strip", 20, failure="tell"),
        failed("sub/strip:failure", 20),
        failed("sub/strip", 20),
        skipped("sub/lower", 20, "'sub/strip' failed"),
        failed("sub", 21, policy="pause"),
        opened("each", 30, items=[1, 2]),
        succeeded("each/0", 31),
        failed("each/1", 32),
        failed("each", 33, policy="pause"),
        RunPaused(at=T + 40, reason=""),
        RunResumed(at=T + 50),
    )
    assert statuses(courses) == {
        "a": "failed",
        "sub": "running",
        "sub/strip": "pending",
        "sub/strip:failure": "failed",
        "sub/lower": "pending",
        "each": "running",
        "each/0": "succeeded",
        "each/1": "pending",
    }
    assert courses.ended().keys() == ["a", "sub/strip:failure", "each/0"]


def test_a_child_flow_is_cancelled_with_its_run():
    """What was begun in it too; what was not is unreached."""
    courses = courses_of(
        opened("sub", 10, graph="clean"), attempt_failed("sub/strip", 20), failed("a", 30, policy="stop")
    )
    courses.of("sub/lower")
    courses.apply(ended(40, "failed"))
    assert statuses(courses) == {
        "sub": "cancelled",
        "sub/strip": "cancelled",
        "a": "failed",
        "sub/lower": "unreached",
    }
    assert courses.of("sub").reason == "'a' failed"


GIVEN_UP = "the step that waited for it has ended"


def test_a_child_flow_that_is_given_up_is_cancelled_with_all_that_was_begun_in_it():
    """In flows of its own too, and without an attempt: no code of it was cut off. Its sibling goes on."""
    courses = courses_of(
        executed("a", 10, NESTED, key="k1"),
        executed("a", 10, NESTED, key="k11"),
        succeeded("a:k1/strip", 12),
        executed("a:k1/lower", 13, NESTED, key="deep"),
        started("a:k1/lower:deep/strip", 14),
        started("a:k11/strip", 15),
        dropped("a:k1", 20),
    )
    assert statuses(courses) == {
        "a": "running",
        "a:k1": "cancelled",
        "a:k11": "running",
        "a:k1/strip": "succeeded",
        "a:k1/lower": "cancelled",
        "a:k1/lower:deep": "cancelled",
        "a:k1/lower:deep/strip": "cancelled",
        "a:k11/strip": "running",
    }
    assert courses.ended().keys()[1:] == ["a:k1", "a:k1/lower", "a:k1/lower:deep", "a:k1/lower:deep/strip"]
    assert {outcome.reason for outcome in courses.ended()[1:]} == {GIVEN_UP}
    assert courses.of("a:k1").attempts == 0


def test_what_ended_in_a_child_flow_before_it_was_given_up_stays_as_it_was():
    """An attempt in it that was cut off counts, as everywhere."""
    courses = courses_of(
        executed("a", 10, NESTED, key="k1"),
        started("a:k1/strip", 11),
        dropped("a:k1/strip", 20, "cut off"),
        dropped("a:k1", 20),
    )
    outcome = courses.of("a:k1/strip").outcome()
    assert (outcome.status, outcome.reason, outcome.attempts) == ("cancelled", "cut off", 1)


def test_a_child_flow_that_is_given_up_costs_the_same_among_few_and_among_many():
    """Only what is in it is looked at."""

    def calls(flows):
        keys = [f"k{number}" for number in range(flows)]
        begun = [executed("a", 1, NESTED, key=key) for key in keys]
        begun += [started(f"a:{key}/strip", 2) for key in keys]
        events = [recorded.event for recorded in journal([node("a")], *begun)[0]]
        count = 0

        def counted(frame, event, argument):
            nonlocal count
            count += 1

        courses = Courses()
        before = sys.getprofile()
        sys.setprofile(counted)
        try:
            for event in (*events, *(dropped(f"a:{key}", 3) for key in keys)):
                courses.apply(event)
        finally:
            sys.setprofile(before)
        return count

    assert calls(100) < 12 * calls(10)


AGENTS = (agent("worker", "tasks"), agent("replier", "questions"))


def mail_of(*events, keeps_deliveries=False, **started_with):
    """Of a run that begins with three messages for `worker`, and has the node `a`."""
    courses = Courses(keeps_deliveries=keeps_deliveries)
    given = {"agents": AGENTS, "messages": posted("tasks", 1, 2, 3), "graphs": {"clean": NESTED}} | started_with
    for recorded in journal([node("a")], *events, **given)[0]:
        courses.apply(recorded.event)
    return courses


def test_of_deliveries_those_that_succeeded_are_forgotten():
    """With all that their code executed; what failed stays, and so does what a tree asks to keep."""
    events = [
        succeeded("a", 1),
        executed("worker#1-1", 2, NESTED),
        failed("worker#1-1:flow/strip", 3),
        skipped("worker#1-1:flow/lower", 3, "'worker#1-1:flow/strip' failed"),
        succeeded("worker#1-1:flow", 4),
        WaitAnswered(at=T + 4, step="worker#1-1", key="flow"),
        attempt_failed("worker#1-1", 5),
        succeeded("worker#1-1", 6),
        failed("worker#1-2", 7, policy="list"),
    ]
    assert mail_of(*events).ended().keys() == ["a", "worker#1-2"]
    assert statuses(mail_of(*events)) == {"a": "succeeded", "worker#1-2": "failed"}
    assert mail_of(*events, keeps_deliveries=True).ended().keys() == [
        "a",
        "worker#1-1:flow/strip",
        "worker#1-1:flow/lower",
        "worker#1-1:flow",
        "worker#1-1",
        "worker#1-2",
    ]


def test_whatever_is_forgotten_leaves_nothing_behind():
    """A run of a million messages is told of in the memory of one."""
    request = WaitOpened(at=T + 1, step="worker#1-1", key="r", kind="request", messages=posted("questions", 1))
    child = [executed("worker#1-1", 3, NESTED), succeeded("worker#1-1:flow/strip", 4)]
    child += [succeeded("worker#1-1:flow/lower", 4), succeeded("worker#1-1:flow", 4)]
    child += [WaitAnswered(at=T + 4, step="worker#1-1", key="flow")]
    courses = mail_of(request, succeeded("replier#2-1", 2, reply=json(1)), *child, succeeded("worker#1-1", 5))
    fresh = vars(mail_of()) | {"_seq": courses._seq}
    assert vars(courses) == fresh


def test_what_was_answered_too_late_is_no_new_step():
    """A wait that was withdrawn when its delivery had ended, and was forgotten."""
    review = WaitOpened(at=T + 1, step="worker#1-1", key="review:1", kind="review")
    courses = mail_of(review, succeeded("worker#1-1", 2))
    courses.apply(WaitAnswered(at=T + 3, step="worker#1-1", key="review:1"))
    assert statuses(courses) == {}


def test_what_becomes_of_a_dead_letter_is_told():
    """Of its redelivery, and of itself where the resumed run tries it anew."""
    one = posted("tasks", 1)
    stuck = [failed("worker#1-1", 5, policy="pause"), RunPaused(at=T + 6, reason="")]
    resumed = mail_of(*stuck, RunResumed(at=T + 7), succeeded("worker#1-1", 8), messages=one)
    assert [(each.node_id, each.status, each.attempts) for each in resumed.ended()] == [("worker#1-1", "succeeded", 2)]

    anew = Redelivered(at=T + 7, steps=("worker#1-1",))
    waits = mail_of(*stuck, anew, RunResumed(at=T + 8), messages=one)
    assert statuses(waits) == {"worker#1-1": "failed", "worker#1-1.2": "pending"}
    done = mail_of(*stuck, anew, RunResumed(at=T + 8), succeeded("worker#1-1.2", 9), messages=one)
    assert done.ended().keys() == ["worker#1-1", "worker#1-1.2"]


def test_a_redelivery_has_a_name_of_its_own():
    """Numbered from 2, in any scope."""
    assert next_round("reader#12-1") == "reader#12-1.2"
    assert next_round("reader#12-1.9") == "reader#12-1.10"
    assert next_round("work:k/reader#12-1") == "work:k/reader#12-1.2"


def test_a_reply_ends_the_wait_for_it():
    """Only the requester's, and only while that is open: the second reply finds nobody."""
    agents = (*AGENTS, agent("second", "questions"))
    request = WaitOpened(at=T + 1, step="a", key="request:1", kind="request", messages=posted("questions", 1))
    sleep = WaitOpened(at=T + 1, step="a", key="sleep:1", kind="sleep")
    replies = [succeeded("replier#2-1", 2, reply=json(1)), succeeded("second#2-1", 3, reply=json(2))]
    assert mail_of(request, agents=agents).of("a").status == "waiting"
    assert mail_of(request, succeeded("replier#2-1", 2), agents=agents).of("a").status == "waiting"
    assert mail_of(request, replies[0], agents=agents).of("a").status == "running"
    assert mail_of(request, sleep, replies[0], agents=agents).of("a").status == "waiting"
    assert mail_of(request, replies[0], sleep, replies[1], agents=agents).of("a").status == "waiting"
    assert mail_of(request, replies[0], succeeded("a", 3), replies[1], agents=agents).of("a").status == "succeeded"


def test_a_step_that_requested_may_end_twice():
    """Before and after a resume."""
    request = WaitOpened(at=T + 1, step="a", key="request:1", kind="request", messages=posted("questions", 1))
    stuck = [failed("a", 2, policy="pause"), RunPaused(at=T + 3, reason=""), RunResumed(at=T + 4)]
    courses = mail_of(request, *stuck, succeeded("a", 5))
    assert courses.of("a").status == "succeeded"


def test_what_waited_at_an_agent_that_was_removed_has_failed_without_an_attempt():
    """Where it is known that it waited; what its owner says of it then is told as well."""
    removed = AgentRemoved(at=T + 7, name="worker", policy="continue")
    courses = mail_of(keeps_deliveries=True)
    for step in ("worker#1-1", "worker#1-2", "other#1-2"):
        courses.of(step)
    courses.apply(removed)
    courses.apply(failed("worker#1-1", 8, message="agent 'worker' was removed"))
    assert statuses(courses) == {"worker#1-1": "failed", "worker#1-2": "failed", "other#1-2": "pending"}
    outcome = courses.of("worker#1-2").outcome()
    assert outcome.final_error == "Failed after 0 attempts. Last error: agent 'worker' was removed"
    assert (outcome.ended_at, outcome.attempts) == (moment(T + 7), 0)
    assert courses.of("worker#1-1").attempts == 1


def test_what_waited_at_a_removed_agent_gets_its_chance_when_the_run_is_resumed():
    """Under `pause`, as every dead letter does."""
    removed = AgentRemoved(at=T + 7, name="worker", policy="pause")
    courses = mail_of(keeps_deliveries=True)
    courses.of("worker#1-2")
    for event in (removed, RunPaused(at=T + 8, reason=""), RunResumed(at=T + 9)):
        courses.apply(event)
    assert statuses(courses) == {"worker#1-2": "pending"}
    assert len(courses.ended()) == 0
