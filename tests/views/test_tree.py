"""The execution tree: of any run, finished or not."""

import json as stdlib_json

import msgspec
from tests.views.journals import NASTY, T, attempt_failed, ended, failed, journal, node, skipped, started, succeeded

from dagger.core import codec
from dagger.core.events import CancelRequested, RunPaused, RunRecovered, RunResumed
from dagger.views.outcome import moment
from dagger.views.tree import ExecutionEdge, ExecutionTree

NODES = [node("a"), node("b", after=["a"]), node("c", after=["a", "b"], inputs={"x": "b.y", "n": [1, 2]})]


def tree_of(nodes, *events, is_live=True, **started_with):
    return ExecutionTree.of(journal(nodes, *events, **started_with)[0], is_live=is_live)


def statuses(tree):
    return {snapshot.node_id: snapshot.outcome.status for snapshot in tree.nodes}


def test_all_nodes_of_the_plan_are_there_from_the_beginning():
    """Those that have not run are pending; the timestamp is when the run took them in."""
    tree = tree_of(NODES)
    assert statuses(tree) == {"a": "pending", "b": "pending", "c": "pending"}
    assert {snapshot.timestamp for snapshot in tree.nodes} == {moment(T)}
    assert tree.nodes[0].outcome.started_at is None
    assert tree.nodes[0].outcome.ended_at is None


def test_dependencies_are_edges_from_the_one_before():
    """Labelled `executed_after`, by the places of the nodes."""
    assert tree_of(NODES).edges == [
        (0, 1, ExecutionEdge("a", "executed_after")),
        (0, 2, ExecutionEdge("a", "executed_after")),
        (1, 2, ExecutionEdge("b", "executed_after")),
    ]


def test_an_added_node_hangs_on_the_step_that_added_it():
    """And on what it depends on."""
    tree = tree_of([node("plan")], succeeded("plan", 5, nodes=[node("fetch"), node("parse", after=["fetch"])]))
    assert [(tree.nodes[a].node_id, tree.nodes[b].node_id, edge.label) for a, b, edge in tree.edges] == [
        ("plan", "fetch", "added"),
        ("fetch", "parse", "executed_after"),
        ("plan", "parse", "added"),
    ]
    assert tree.nodes[1].timestamp == moment(T + 5)


def test_a_running_run_shows_how_far_each_node_is():
    """Running, waiting for a retry, failed, skipped."""
    nodes = [node("a"), node("b"), node("c"), node("d", after=["c"])]
    tree = tree_of(nodes, started("a", 1), attempt_failed("b", 2), failed("c", 3), skipped("d", 3, "'c' failed"))
    assert statuses(tree) == {"a": "running", "b": "pending", "c": "failed", "d": "skipped"}
    assert tree.nodes[1].outcome.retry_messages == ["Attempt 1 failed: ValueError: boom"]
    assert [detail.error for detail in tree.details] == ["", "ValueError: boom", "ValueError: boom", "'c' failed"]


def test_a_run_without_a_process_shows_what_it_interrupted():
    """Only whoever reads the journal can know that: `is_live`."""
    assert statuses(tree_of([node("a")], started("a", 1), is_live=False)) == {"a": "interrupted"}
    assert statuses(tree_of([node("a")], started("a", 1), RunRecovered(at=T + 9))) == {"a": "interrupted"}


def test_nodes_that_an_ended_run_never_came_to_are_unreached():
    """They will not run any more, and nothing happened to them."""
    tree = tree_of(NODES, failed("a", 1, policy="stop"), ended(2, "failed"))
    assert statuses(tree) == {"a": "failed", "b": "unreached", "c": "unreached"}


def test_the_cache_ref_is_the_section_with_the_outputs():
    """Empty where there are none."""
    tree = tree_of(NODES, succeeded("a", 1, outputs={"x": 1}), succeeded("b", 2))
    assert [snapshot.cache_ref for snapshot in tree.nodes] == ["a", "", ""]


def test_the_json_has_its_exact_form():
    """`{"nodes": [[index, snapshot]…], "edges": [[from, to, edge]…]}`."""
    tree = tree_of([node("a"), node("b", after=["a"])], succeeded("a", 250, duration_ms=50, outputs={"x": 1}))
    at = "2026-05-28T20:26:40"
    done = {
        "node_id": "a",
        "success": True,
        "status": "succeeded",
        "retry_messages": [],
        "final_error": None,
        "reason": "",
        "started_at": f"{at}.200Z",
        "ended_at": f"{at}.250Z",
        "attempts": 1,
    }
    todo = done | {
        "node_id": "b",
        "success": False,
        "status": "pending",
        "started_at": None,
        "ended_at": None,
        "attempts": 0,
    }
    expected = {
        "nodes": [
            [0, {"node_id": "a", "outcome": done, "cache_ref": "a", "timestamp": f"{at}.250Z"}],
            [1, {"node_id": "b", "outcome": todo, "cache_ref": "", "timestamp": f"{at}.000Z"}],
        ],
        "edges": [[0, 1, {"parent": "a", "label": "executed_after"}]],
    }
    assert stdlib_json.loads(tree.to_json()) == expected
    assert stdlib_json.loads(tree.to_json(indent=2)) == expected
    assert tree.to_json(indent=2).startswith('{\n  "nodes": [\n')


def test_trees_of_runs_that_did_the_same_have_equal_shapes():
    """Whatever the times and the order; a run that did something else has another."""
    one = tree_of([node("a"), node("b")], succeeded("a", 1), succeeded("b", 2), ended(3))
    other = tree_of([node("b"), node("a")], started("b", 5), succeeded("b", 70), succeeded("a", 80), ended(90))
    less = tree_of([node("a"), node("b")], succeeded("a", 1))
    assert one.shape() == other.shape() != less.shape()
    assert one.shape() == {"nodes": {"a": ("succeeded", 1), "b": ("succeeded", 1)}, "edges": []}


def test_details_are_short_and_load_no_blob():
    """References and literals of inputs; values of outputs, cut, large ones by their size."""
    text, _ = codec.seal(codec.encode("x" * 2_000_000))
    outputs = {"big": msgspec.Raw(text), "long": "ü" * 500, "n": 7}
    nodes = [node("b"), node("c", "resize", inputs={"x": "b.y", "n": [1, 2], "nothing": None})]
    tree = tree_of(nodes, succeeded("b", 1), succeeded("c", 1, outputs=outputs))
    detail = tree.details[1]
    assert (detail.action, detail.inputs) == ("resize", (("x", "b.y"), ("n", "[1,2]"), ("nothing", "null")))
    assert dict(detail.outputs) == {"big": "2.0 MB", "long": '"' + "ü" * 40 + "…", "n": "7"}


def test_the_picture_shows_status_duration_and_attempts():
    """And the last error, however the run goes on."""
    tree = tree_of([node("a"), node("b")], attempt_failed("a", 10), succeeded("a", 1500, 2), attempt_failed("b", 20))
    first, second = tree.picture().boxes
    assert (first.status, first.facts, first.error) == ("succeeded", ("1.5 s", "2 attempts"), "")
    assert (second.status, second.facts, second.error) == ("pending", (), "ValueError: boom")


def test_the_picture_leaves_out_who_added_a_node_where_that_goes_without_saying():
    """Where a node waits for its adder, or for a sibling, another arrow would only be in the way."""
    added = [node("x"), node("y", after=["x"]), node("z", after=["plan"]), node("w", after=["other"])]
    tree = tree_of([node("other"), node("plan")], succeeded("plan", 5, nodes=added))
    assert [(arrow.source, arrow.target, arrow.label) for arrow in tree.picture().arrows] == [
        ("plan", "x", "added"),
        ("x", "y", ""),
        ("plan", "z", ""),
        ("other", "w", ""),
        ("plan", "w", "added"),
    ]


def test_the_title_says_graph_run_and_status():
    """As of the end of the journal."""
    stuck = [failed("a", 1, policy="pause"), RunPaused(at=T + 2, reason="")]
    assert tree_of([node("a")]).title == "demo · run-1 · running"
    assert tree_of([node("a")], *stuck).title == "demo · run-1 · paused"
    assert tree_of([node("a")], *stuck, RunResumed(at=T + 3)).title == "demo · run-1 · running"
    assert tree_of([node("a")], CancelRequested(at=T + 1), ended(2, "cancelled")).title == "demo · run-1 · cancelled"
    assert repr(tree_of(NODES)) == "<ExecutionTree demo · run-1 · running: 3 nodes, 3 edges>"


def test_a_tree_is_drawn_in_every_form(graphviz):
    """Nasty values included."""
    nodes = [node("a", inputs={"v": NASTY}), node("b", after=["a"])]
    outputs = {NASTY: NASTY, "": ""}
    tree = tree_of(nodes, succeeded("a", 1, outputs=outputs), failed("b", 2, message=NASTY), name=NASTY)
    assert tree.to_dot().startswith("digraph ")
    assert "flowchart LR" in tree.to_mermaid()
    assert tree.to_svg().startswith("<svg ")
    assert tree.to_svg() in tree._repr_html_()
