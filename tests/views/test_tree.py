"""The execution tree: its JSON, its shape, its pictures."""

import json as stdlib_json

from tests.views.journals import (
    NASTY,
    T,
    agent,
    attempt_failed,
    ended,
    executed,
    failed,
    node,
    opened,
    posted,
    skipped,
    started,
    succeeded,
    svg_texts,
    tree_of,
)

from dagger.core.events import RunPaused, RunResumed
from dagger.core.graph import Condition, Definition, Map

CLEAN = {"clean": Definition(name="clean", nodes=(node("strip"), node("lower", after=["strip"]), node("count")))}
EACH = node("each", "search", map=Map("inputs.l"), inputs={"q": "item", "n": "inputs.n"})
NODES = [node("a"), node("b", after=["a"]), node("c", after=["a", "b"], inputs={"x": "b.y", "n": [1, 2]})]


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
        "reused": None,
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
    assert one.shape() == {"nodes": {"a": ("succeeded", 1), "b": ("succeeded", 1)}, "mail": [], "edges": []}


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


def test_a_tree_is_drawn_in_every_form(graphviz):
    """Nasty values included."""
    nodes = [node("a", inputs={"v": NASTY}), node("b", after=["a"])]
    outputs = {NASTY: NASTY, "": ""}
    tree = tree_of(nodes, succeeded("a", 1, outputs=outputs), failed("b", 2, message=NASTY), name=NASTY)
    assert tree.to_dot().startswith("digraph ")
    assert "flowchart LR" in tree.to_mermaid()
    assert tree.to_svg().startswith("<svg ")
    assert tree.to_svg() in tree._repr_html_()


def test_a_picture_frames_a_child_flow():
    """Its steps stand in the box of the step that began it, under their own names; no arrow says so again."""
    tree = tree_of(
        [EACH, node("sub", "", graph="clean")],
        opened("each", 5, items=["a"]),
        opened("sub", 5, graph="clean"),
        attempt_failed("each/0", 6, failure="rescue"),
        graphs=CLEAN,
    )
    picture = tree.picture()
    assert [(box.title, box.inside, box.is_item) for box in picture.boxes] == [
        ("each", "", False),
        ("sub", "", False),
        ("each/0", "each", True),
        ("strip", "sub", False),
        ("lower", "sub", False),
        ("count", "sub", False),
        ("each/0:failure", "each", True),
    ]
    assert [(arrow.source, arrow.target, arrow.label, arrow.is_dashed) for arrow in picture.arrows] == [
        ("sub/strip", "sub/lower", "", False),
        ("each/0", "each/0:failure", "failure", True),
    ]


def test_the_picture_tells_what_was_skipped_by_its_condition_and_what_was_reused():
    """In words."""
    when = Condition("inputs.x")
    tree = tree_of([node("a", when=when), node("b")], skipped("a", 5, "condition"), succeeded("b", 6, reused="run-0"))
    a, b = tree.picture().boxes
    assert (a.status, a.notes, a.error) == ("skipped", ("when inputs.x",), "condition not met")
    assert (b.status, b.facts) == ("succeeded", ("reused",))


def test_a_map_of_many_items_is_a_small_picture(graphviz):
    """One box in its frame counts them, and names those that want attention."""
    done = [succeeded(f"each/{index}", 6) for index in range(9_998)]
    tree = tree_of(
        [EACH], opened("each", 5, items=[0] * 10_000), *done, failed("each/9998", 7), started("each/9999", 8)
    )
    drawn = svg_texts(tree.to_svg())
    assert [text for text in drawn if "×" in text] == ["10,000 × search"]
    assert "9,998 succeeded · 1 failed · 1 running" in drawn
    assert "failed: each/9998" in drawn
    assert "running: each/9999" in drawn
    assert "10,000 × search" in tree.to_mermaid().replace("#215;", "×")


AGENTS = (agent("worker", "tasks"), agent("reader", "results"))


def test_shapes_know_messages_by_their_channels():
    """Their ids say when they came, which two runs that did the same need not have in common."""

    def handled(*first):
        done = [succeeded("worker#1-1", 5, messages=posted("results", 1)), succeeded("worker#1-2", 6)]
        return tree_of([], *first, *done, agents=AGENTS, messages=posted("tasks", 1, 2))

    shape = handled().shape()
    assert shape == handled(RunPaused(at=T + 1, reason=""), RunResumed(at=T + 2)).shape()
    assert shape == {
        "nodes": {},
        "mail": [
            ("reader#", "pending", 0),
            ("results", "published", 0),
            ("tasks", "published", 0),
            ("tasks", "published", 0),
            ("worker#", "succeeded", 1),
            ("worker#", "succeeded", 1),
        ],
        "edges": [
            ("results", "reader#", "processed_by"),
            ("tasks", "worker#", "processed_by"),
            ("tasks", "worker#", "processed_by"),
            ("worker#", "results", "published"),
        ],
    }


def test_a_picture_has_messages_as_ellipses_between_the_steps():
    """With channel, id and payload; the arrows need no words. A dead letter has its error."""
    tree = tree_of(
        [node("plan")],
        succeeded("plan", 5, messages=posted("tasks", {"n": 1})),
        failed("worker#2-1", 6, policy="list"),
        agents=AGENTS,
    )
    picture = tree.picture()
    assert [(box.title, box.notes, box.status, box.error, box.is_round) for box in picture.boxes] == [
        ("plan", (), "succeeded", "", False),
        ("tasks 2-1", ('{"n":1}',), "", "", True),
        ("worker#2-1", (), "failed", "ValueError: boom", False),
    ]
    assert [(arrow.source, arrow.target, arrow.label, arrow.is_dashed) for arrow in picture.arrows] == [
        ("plan", "2-1", "", False),
        ("2-1", "worker#2-1", "", False),
    ]


def test_a_picture_frames_the_messages_of_a_flow_that_code_executes():
    """What it begins with stands in its frame, and no arrow says so again."""
    flow = Definition(name="tasks", nodes=())
    tree = tree_of([node("work")], executed("work", 5, flow, messages=posted("tasks", 1)), agents=AGENTS)
    picture = tree.picture()
    assert [(box.title, box.action, box.inside) for box in picture.boxes] == [
        ("work", "work", ""),
        ("work:flow", "channel tasks", ""),
        ("tasks 2-1", "tasks", "work:flow"),
        ("worker#2-1", "worker", "work:flow"),
    ]
    assert [(arrow.source, arrow.target, arrow.label) for arrow in picture.arrows] == [
        ("work", "work:flow", "child"),
        ("2-1", "work:flow/worker#2-1", ""),
    ]


def test_a_run_of_many_messages_is_a_small_picture(graphviz):
    """A box for each agent and an ellipse for each channel count them; what wants attention is named."""
    done = [succeeded(f"worker#1-{index}", 6, messages=posted("results", 1)) for index in range(1, 9_999)]
    rest = [failed("worker#1-9999", 7, policy="list"), started("worker#1-10000", 8)]
    tree = tree_of([], *done, *rest, agents=AGENTS, messages=posted("tasks", *range(10_000)))
    drawn = svg_texts(tree.to_svg())
    assert sorted(text for text in drawn if "×" in text) == [
        "10,000 × tasks",
        "10,000 × worker",
        "9,998 × reader",
        "9,998 × results",
    ]
    assert "9,998 succeeded · 1 failed · 1 running" in drawn
    assert "failed: worker#1-9999" in drawn
    assert "running: worker#1-10000" in drawn
    assert len(tree.to_mermaid()) < 2_000
