"""Snapshots and edges, as JSON values."""

from datetime import timedelta

from tests.views.journals import T

from dagger.views.outcome import NodeOutcome, moment
from dagger.views.snapshot import ExecutionEdge, NodeSnapshot


def test_a_snapshot_is_json_ready():
    """With its outcome in it, and its time as ISO 8601."""
    outcome = NodeOutcome("a", True, "succeeded", started_at=moment(T), ended_at=moment(T))
    snapshot = NodeSnapshot("a", outcome, "a", moment(T) + timedelta(seconds=1))
    assert snapshot.to_dict() == {
        "node_id": "a",
        "outcome": outcome.to_dict(),
        "cache_ref": "a",
        "timestamp": "2026-05-28T20:26:41.000Z",
    }


def test_an_edge_is_json_ready():
    """The parent by its id, and why."""
    assert ExecutionEdge("12-1", "processed_by").to_dict() == {"parent": "12-1", "label": "processed_by"}
