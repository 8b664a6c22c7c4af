"""NodeOutcome and the sequence of them that is also a mapping."""

from datetime import UTC, datetime

import pytest

from dagger.views.outcome import NodeOutcome, NodeOutcomes, iso, moment

A = NodeOutcome("fetch", success=True, status="succeeded", attempts=1)
B = NodeOutcome("parse", success=False, status="failed", final_error="Failed after 1 attempt. Last error: X")
OUTCOMES = NodeOutcomes([A, B])


def test_outcomes_are_a_sequence_in_the_order_of_ending():
    """Positions, slices, length, iteration, equality."""
    assert list(OUTCOMES) == [A, B]
    assert (OUTCOMES[0], OUTCOMES[-1], OUTCOMES[:1], len(OUTCOMES)) == (A, B, (A,), 2)
    assert NodeOutcomes([A, B]) == OUTCOMES
    assert NodeOutcomes([B, A]) != OUTCOMES


def test_outcomes_are_found_by_node_id_like_in_a_dict():
    """A subscript, `get`, `in`, keys, values, items."""
    assert OUTCOMES["parse"] is B
    assert (OUTCOMES.get("parse"), OUTCOMES.get("x"), OUTCOMES.get("x", A)) == (B, None, A)
    assert ("fetch" in OUTCOMES, "x" in OUTCOMES, A in OUTCOMES) == (True, False, True)
    assert (OUTCOMES.keys(), OUTCOMES.values()) == (["fetch", "parse"], [A, B])
    assert dict(OUTCOMES.items()) == {"fetch": A, "parse": B}


def test_a_missing_outcome_is_named_with_the_nearest():
    """A typing error in an id is seen at once."""
    with pytest.raises(KeyError, match=r"no outcome of a node 'fetsch'.*did you mean 'fetch'"):
        OUTCOMES["fetsch"]


def test_outcomes_are_shown_as_counts():
    """However many there are, one line."""
    assert repr(OUTCOMES) == "<1 succeeded, 1 failed nodes>"
    assert repr(NodeOutcomes()) == "<no nodes>"


def test_an_outcome_is_json_ready():
    """Times are ISO 8601 with milliseconds."""
    outcome = NodeOutcome(
        "a", success=False, status="skipped", reason="'b' failed", started_at=moment(1250), ended_at=moment(1250)
    )
    assert outcome.to_dict() == {
        "node_id": "a",
        "success": False,
        "status": "skipped",
        "retry_messages": [],
        "final_error": None,
        "reason": "'b' failed",
        "started_at": "1970-01-01T00:00:01.250Z",
        "ended_at": "1970-01-01T00:00:01.250Z",
        "attempts": 0,
        "reused": None,
    }


def test_a_duration_needs_a_start_and_an_end():
    """Seconds between them; nothing where one is missing."""
    outcome = NodeOutcome("a", success=True, status="succeeded", started_at=moment(1000), ended_at=moment(2500))
    assert outcome.duration == 1.5
    assert A.duration == 0.0


def test_times_are_exact_to_the_millisecond():
    """No float comes between the journal's integer and the time."""
    assert moment(1_780_000_000_001) == datetime(2026, 5, 28, 20, 26, 40, 1000, tzinfo=UTC)
    assert iso(moment(1_780_000_000_001)) == "2026-05-28T20:26:40.001Z"
    assert iso(None) is None
