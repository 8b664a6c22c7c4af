"""How steps go and end, event by event."""

import pytest
from tests.views.journals import T, attempt_failed, ended, failed, journal, node, skipped, started, succeeded

from dagger.core.events import (
    CancelRequested,
    LimitReached,
    RunPaused,
    RunRecovered,
    RunResumed,
    StepCancelled,
    WaitAnswered,
    WaitOpened,
)
from dagger.views.course import Courses
from dagger.views.outcome import moment


def courses_of(*events, nodes=("a", "b")):
    courses = Courses()
    for recorded in journal([node(name) for name in nodes], *events)[0]:
        courses.apply(recorded.event)
    return courses


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
