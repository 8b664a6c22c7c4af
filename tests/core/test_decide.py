"""What an attempt's failure, a limit, or silence leads to."""

import pytest

from dagger.core import decide, events
from dagger.core.fold import apply, fold
from dagger.core.graph import Definition, Map, Node
from dagger.core.state import State

ERROR = events.Error("ValueError", "no")


def state_of(*nodes, config=None, after=()):
    started = events.RunStarted(
        at=1_000,
        run_id="r",
        spec=events.Spec("static", "g"),
        graph=Definition(name="g", nodes=nodes),
        config=config or {},
    )
    return fold([started, *after])


def node(node_id="n", **fields):
    return Node(id=node_id, action="a", **fields)


def failure(state, step="n", *, retryable=True, chance=0.0):
    return decide.after_failure(state, step, ERROR, retryable=retryable, now=5_000, chance=chance, duration_ms=7)


def test_a_failure_with_tries_left_is_retried_after_the_strategys_delay():
    """AttemptFailed with the time of the next attempt."""
    event = failure(state_of(node(), config={"retry_strategy": {"linear": {"delay_secs": 1.5}}}))
    assert event == events.AttemptFailed(at=5_000, step="n", attempt=1, error=ERROR, duration_ms=7, retry_at=6_500)


def test_the_last_try_fails_the_step():
    """StepFailed with the policy that applies."""
    event = failure(state_of(node(try_count=1)))
    assert event == events.StepFailed(at=5_000, step="n", attempt=1, error=ERROR, duration_ms=7, policy="pause")


@pytest.mark.parametrize(
    ("tries", "attempts", "failures", "is_last"),
    [(None, 3, 1, False), (None, 3, 2, True), (5, 3, 3, False), (1, 3, 0, True), (None, 1, 0, True)],
)
def test_the_nodes_try_count_wins_over_the_runs(tries, attempts, failures, is_last):
    """Failures so far count; the next one may be the last."""
    failed = [
        events.AttemptFailed(at=2_000, step="n", attempt=n + 1, error=ERROR, retry_at=2_000) for n in range(failures)
    ]
    event = failure(state_of(node(try_count=tries), config={"max_attempts": attempts}, after=failed))
    assert isinstance(event, events.StepFailed) is is_last
    assert event.attempt == failures + 1


def test_what_may_not_be_retried_fails_at_once():
    """Whatever tries are left."""
    assert isinstance(failure(state_of(node(try_count=9)), retryable=False), events.StepFailed)


@pytest.mark.parametrize(("own", "runs", "policy"), [("", "stop", "stop"), ("continue", "stop", "continue")])
def test_the_nodes_policy_wins_over_the_runs(own, runs, policy):
    """on_failure of the node, else of the run."""
    assert failure(state_of(node(on_failure=own, try_count=1), config={"on_failure": runs})).policy == policy


def test_chance_feeds_the_jitter():
    """With jitter 0.5 the luckiest waits half the delay."""
    strategy = {"exponential": {"initial_delay_secs": 10, "jitter": 0.5}}
    state = state_of(node(), config={"retry_strategy": strategy})
    assert [failure(state, chance=chance).retry_at for chance in (0.0, 1.0)] == [15_000, 10_000]


def test_a_failure_action_has_its_turn_after_the_last_try():
    """AttemptFailed names it; a map leaves it to its items."""
    state = state_of(node(failure="mend", try_count=2))
    assert not failure(state).failure
    expected = events.AttemptFailed(at=5_000, step="n", attempt=1, error=ERROR, duration_ms=7, failure="mend")
    assert failure(state, retryable=False) == expected
    mapped = state_of(node(failure="mend", map=Map("inputs.x")))
    assert isinstance(failure(mapped, retryable=False), events.StepFailed)


def test_what_its_failure_action_did_not_recover_fails_by_its_policy():
    """With the error of its last attempt; where no failure action had its turn, nothing follows."""
    state = state_of(node(failure="mend", on_failure="stop"))
    assert decide.handled(state, "n", 9_000) is None
    apply(state, events.AttemptFailed(at=2_000, step="n", attempt=3, error=ERROR, failure="mend"))
    apply(state, events.StepSucceeded(at=3_000, step="n:failure"))
    expected = events.StepFailed(at=9_000, step="n", attempt=3, error=ERROR, policy="stop")
    assert decide.handled(state, "n", 9_000) == expected


def test_skip_takes_one_doomed_step_at_a_time():
    """With its reason; None when there is none."""
    state = state_of(node("a", on_failure="continue"), node("b", dependencies=("a",)))
    assert decide.skip(state, 1) is None
    apply(state, events.StepFailed(at=2_000, step="a", attempt=1, error=ERROR, policy="continue"))
    assert decide.skip(state, 3) == events.StepSkipped(at=3, step="b", reason="'a' failed")


@pytest.mark.parametrize(
    ("on_failure", "policy"),
    [("pause", "pause"), ("continue", "stop"), ("stop", "stop")],
    ids=["pause", "continue", "stop"],
)
def test_a_limit_is_a_failure_of_the_run(on_failure, policy):
    """With nothing to continue with: only pause pauses."""
    state = state_of(node(), config={"timeout_seconds": 2, "on_failure": on_failure})
    assert decide.limit(state, 2_999) is None
    assert decide.limit(state, 3_000) == events.LimitReached(at=3_000, limit="timeout_seconds", value=2, policy=policy)


def test_tokens_are_limited_too():
    """More than max_tokens is too many; exactly as many is not."""
    state = state_of(node(), config={"max_tokens": 5})
    state.tokens = 5
    assert decide.limit(state, 2_000) is None
    state.tokens = 6
    assert decide.limit(state, 2_000).limit == "max_tokens"


def test_a_halting_run_reaches_no_second_limit():
    """One reason to halt is enough."""
    state = state_of(node(), config={"timeout_seconds": 2}, after=[events.CancelRequested(at=2_000)])
    assert decide.limit(state, 9_000) is None


def test_without_limits_there_is_none():
    """timeout_seconds none and no max_tokens: for ever."""
    assert decide.limit(state_of(node(), config={"timeout_seconds": None}), 10**15) is None


def failed(step, policy):
    return events.StepFailed(at=2_000, step=step, attempt=1, error=ERROR, policy=policy)


@pytest.mark.parametrize(
    ("after", "status", "told"),
    [
        ([], "succeeded", ""),
        ([failed("a", "continue")], "failed", "a: ValueError: no"),
        ([failed("a", "stop")], "failed", "a: ValueError: no"),
        ([failed("a", "pause")], "paused", "'a' failed; mend the cause and resume the run"),
        (
            [failed(step, "pause") for step in "abcdefg"],
            "paused",
            "'a', 'b', 'c', 'd', 'e' and 2 more failed; mend the cause and resume the run",
        ),
        ([events.CancelRequested(at=2_000, reason="enough")], "cancelled", "RunCancelled: enough"),
        ([events.CancelRequested(at=2_000)], "cancelled", "RunCancelled"),
        ([failed("a", "pause"), events.CancelRequested(at=2_000)], "cancelled", "RunCancelled\na: ValueError: no"),
        (
            [events.LimitReached(at=2_000, limit="max_tokens", value=5, policy="stop")],
            "failed",
            "TokenLimitReached: max_tokens of 5 used up",
        ),
        (
            [events.LimitReached(at=2_000, limit="timeout_seconds", value=5, policy="pause")],
            "paused",
            "timeout_seconds of 5 used up",
        ),
    ],
    ids=range(10),
)
def test_what_becomes_of_a_run_when_nothing_is_on_its_way(after, status, told):
    """Cancelled, stopped, paused, stuck, failed, succeeded: in this order of precedence."""
    begun = (each.step for each in after if isinstance(each, events.StepFailed))
    state = state_of(*map(node, begun), after=after)
    event = decide.settle(state, 9_000)
    if status == "paused":
        assert event == events.RunPaused(at=9_000, reason=told)
    else:
        assert event == events.RunEnded(at=9_000, status=status, error=told)


def test_a_step_that_never_ran_is_a_bug_of_ours_and_not_a_success():
    """A run does not end well while something of it is left."""
    ended = decide.settle(state_of(node("left")), 9_000)
    assert (ended.status, "'left' never ran" in ended.error) == ("failed", True)


def test_a_paused_run_reaches_no_limit():
    """It may be told more than its limit: that is seen when it goes on."""
    state = state_of(node(), config={"timeout_seconds": 2}, after=[events.RunPaused(at=2_000, reason="")])
    state.messages = state.config.max_messages + 1
    assert decide.limit(state, 9_000) is None


def test_twenty_errors_are_told_and_the_rest_counted():
    """A run's error stays readable however many steps fail."""
    names = [f"n{number}" for number in range(25)]
    state = state_of(*(node(step) for step in names), after=[failed(step, "continue") for step in names])
    lines = decide.settle(state, 9_000).error.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 5 more"


def test_an_empty_state_settles():
    """Nothing failed: it succeeded."""
    assert decide.settle(State(), 1).status == "succeeded"
