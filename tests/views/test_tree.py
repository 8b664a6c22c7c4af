"""The execution tree: of any run, finished or not."""

import json as stdlib_json

import msgspec
from tests.views.journals import (
    NASTY,
    T,
    attempt_failed,
    ended,
    failed,
    journal,
    json,
    node,
    opened,
    skipped,
    started,
    succeeded,
    svg_texts,
)

from dagger.core import codec
from dagger.core.events import (
    CancelRequested,
    NodeAdded,
    RunParked,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunWaiting,
    RunWoken,
    ScopeOpened,
)
from dagger.core.graph import Condition, Definition, Map
from dagger.views.outcome import moment
from dagger.views.tree import ExecutionEdge, ExecutionTree

CLEAN = {"clean": Definition(name="clean", nodes=(node("strip"), node("lower", after=["strip"]), node("count")))}
EACH = node("each", "search", map=Map("inputs.l"), inputs={"q": "item", "n": "inputs.n"})
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
    assert tree_of([node("a")], RunPaused(at=T + 2, reason="lunch")).title == "demo · run-1 · paused: lunch"
    waiting = [RunWaiting(at=T + 2, reason="waits for sleep:1"), RunParked(at=T + 3, reason="waits for sleep:1")]
    assert tree_of([node("a")], *waiting).title == "demo · run-1 · waiting"
    assert tree_of([node("a")], *waiting, RunWoken(at=T + 4)).title == "demo · run-1 · running"
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


def edges(tree):
    return [(edge.parent, tree.nodes[after].node_id, edge.label) for _, after, edge in tree.edges]


def test_a_nested_graph_hangs_on_the_step_that_began_it():
    """By the steps that it begins with; inside it, edges are those of its own nodes."""
    tree = tree_of(
        [node("sub", "", graph="clean")], opened("sub", 5, graph="clean"), started("sub/strip", 6), graphs=CLEAN
    )
    assert edges(tree) == [
        ("sub", "sub/strip", "child"),
        ("sub/strip", "sub/lower", "executed_after"),
        ("sub", "sub/count", "child"),
    ]
    assert statuses(tree) == {"sub": "running", "sub/strip": "running", "sub/lower": "pending", "sub/count": "pending"}
    assert tree.nodes[1].outcome.started_at == moment(T + 6)


def test_all_items_hang_on_their_map():
    """Those that nothing has happened to yet too."""
    tree = tree_of([EACH, node("end", after=["each"])], opened("each", 5, items=["a", "b"]), succeeded("each/0", 6))
    assert edges(tree) == [
        ("each", "end", "executed_after"),
        ("each", "each/0", "child"),
        ("each", "each/1", "child"),
    ]
    assert statuses(tree) == {"each": "running", "end": "pending", "each/0": "succeeded", "each/1": "pending"}


def test_an_item_may_be_a_graph():
    """Names say the way down."""
    pages = node("pages", "", graph="clean", map=Map("inputs.l"))
    tree = tree_of([pages], opened("pages", 5, items=[1]), opened("pages/0", 6, graph="clean"), graphs=CLEAN)
    assert [snapshot.node_id for snapshot in tree.nodes] == [
        "pages",
        "pages/0",
        "pages/0/strip",
        "pages/0/lower",
        "pages/0/count",
    ]
    assert ("pages/0", "pages/0/strip", "child") in edges(tree)


def test_a_failure_action_comes_after_the_step_that_it_handles():
    """It is a step of its own in the same scope, and its outputs are that step's."""
    tree = tree_of(
        [node("a", failure="rescue")],
        attempt_failed("a", 5, failure="rescue"),
        succeeded("a:failure", 9, outputs={"y": 2}, recovers={"x": json(-1)}),
    )
    assert edges(tree) == [("a", "a:failure", "executed_after")]
    assert statuses(tree) == {"a": "recovered", "a:failure": "succeeded"}
    assert [snapshot.cache_ref for snapshot in tree.nodes] == ["a", ""]
    assert [(detail.action, detail.outputs, detail.error) for detail in tree.details] == [
        ("work", (("x", "-1"),), ""),
        ("rescue", (("y", "2"),), ""),
    ]


def test_a_node_that_a_person_added_hangs_on_its_dependencies_alone():
    """No step added it."""
    tree = tree_of([node("a")], NodeAdded(at=T + 5, node=node("b", after=["a"])), NodeAdded(at=T + 6, node=node("c")))
    assert edges(tree) == [("a", "b", "executed_after")]
    assert [snapshot.timestamp for snapshot in tree.nodes] == [moment(T), moment(T + 5), moment(T + 6)]


def test_what_a_child_flow_put_in_the_cache_goes_when_its_step_succeeds():
    """The step has it then."""
    flow = [opened("each", 5, items=["a"]), succeeded("each/0", 6, outputs={"x": 1})]
    assert [snapshot.cache_ref for snapshot in tree_of([EACH], *flow).nodes] == ["", "each/0"]
    done = tree_of([EACH], *flow, succeeded("each", 6, outputs={"x": [1]}))
    assert [snapshot.cache_ref for snapshot in done.nodes] == ["each", ""]


def test_details_say_when_for_each_of_what_and_which_graph():
    """A few items show themselves; of many, and of those in a blob, nobody sees that."""
    when = Condition("inputs.x", {"gt": json(3)})
    each = msgspec.structs.replace(EACH, when=Condition("inputs.l"))
    nodes = [each, node("sub", "", graph="clean", when=when)]
    few = tree_of(nodes, opened("each", 5, items=["ab", {"c": 1}]))
    assert [(detail.action, detail.notes) for detail in few.details] == [
        ("search", ("when inputs.l", "for each of inputs.l")),
        ("graph clean", ("when inputs.x > 3",)),
        ("search", ()),
        ("search", ()),
    ]
    assert [detail.inputs for detail in few.details[2:]] == [
        (("q", '"ab"'), ("n", "inputs.n")),
        (("q", '{"c":1}'), ("n", "inputs.n")),
    ]
    many = tree_of(nodes, opened("each", 5, items=list(range(9))))
    assert many.details[2].inputs == (("q", "item"), ("n", "inputs.n"))
    blob = msgspec.Raw(b'{"$blob":"00","size":99999}')
    large = tree_of(nodes, ScopeOpened(at=T + 5, step="each", items=blob, count=1))
    assert large.details[2].inputs == (("q", "item"), ("n", "inputs.n"))


def test_an_item_that_no_input_refers_to_is_an_input_of_its_own():
    """It goes to the parameter that no input names."""
    tree = tree_of([node("each", map=Map("inputs.l"), inputs={"n": 1})], opened("each", 5, items=[7]))
    assert tree.details[1].inputs == (("n", "1"), ("item", "7"))


def test_a_map_without_items_says_so():
    """It has no steps to show."""
    tree = tree_of([EACH], opened("each", 5, items=[]))
    assert (len(tree.nodes), tree.details[0].notes) == (1, ("for each of inputs.l", "no items"))


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


def test_what_an_item_adds_stands_beside_its_map():
    """Where the item sees the nodes around it, in a child flow too."""
    each = Definition(name="pages", nodes=(EACH,))
    tree = tree_of(
        [EACH, node("sub", "", graph="pages")],
        opened("each", 5, items=["a"]),
        opened("sub", 5, graph="pages"),
        opened("sub/each", 6, items=["b"]),
        succeeded("each/0", 7, nodes=[node("more")]),
        succeeded("sub/each/0", 7, nodes=[node("more")]),
        graphs={"pages": each},
    )
    assert [(parent, after) for parent, after, label in edges(tree) if label == "added"] == [
        ("each/0", "more"),
        ("sub/each/0", "sub/more"),
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
