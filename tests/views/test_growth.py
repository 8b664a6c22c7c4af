"""What an execution tree has in it, event by event: of any run, finished or not."""

import asyncio

import msgspec
from tests.views.journals import (
    T,
    agent,
    attempt_failed,
    edges,
    ended,
    executed,
    failed,
    json,
    node,
    opened,
    posted,
    skipped,
    started,
    statuses,
    succeeded,
    tree_of,
)

from dagger import Context, Dagger, EventDriven, Graph, NonRetryable, Static
from dagger.core import codec
from dagger.core.events import (
    AgentBound,
    AgentRemoved,
    CancelRequested,
    MessagesPublished,
    NodeAdded,
    Redelivered,
    RunParked,
    RunPaused,
    RunRecovered,
    RunResumed,
    RunWaiting,
    RunWoken,
    ScopeOpened,
    WaitOpened,
)
from dagger.core.graph import Condition, Definition, Map
from dagger.views.outcome import moment
from dagger.views.snapshot import ExecutionEdge

CLEAN = {"clean": Definition(name="clean", nodes=(node("strip"), node("lower", after=["strip"]), node("count")))}
EACH = node("each", "search", map=Map("inputs.l"), inputs={"q": "item", "n": "inputs.n"})
NODES = [node("a"), node("b", after=["a"]), node("c", after=["a", "b"], inputs={"x": "b.y", "n": [1, 2]})]


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


def test_details_are_short_and_load_no_blob():
    """References and literals of inputs; values of outputs, cut, large ones by their size."""
    text, _ = codec.seal(codec.encode("x" * 2_000_000))
    outputs = {"big": msgspec.Raw(text), "long": "ü" * 500, "n": 7}
    nodes = [node("b"), node("c", "resize", inputs={"x": "b.y", "n": [1, 2], "nothing": None})]
    tree = tree_of(nodes, succeeded("b", 1), succeeded("c", 1, outputs=outputs))
    detail = tree.details[1]
    assert (detail.action, detail.inputs) == ("resize", (("x", "b.y"), ("n", "[1,2]"), ("nothing", "null")))
    assert dict(detail.outputs) == {"big": "2.0 MB", "long": '"' + "ü" * 40 + "…", "n": "7"}


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


AGENTS = (agent("worker", "tasks"), agent("audit", "tasks"), agent("reader", "results"))
OUTSIDE = MessagesPublished(at=T + 5, messages=posted("tasks", {"n": 1}, {"n": 2}))


def test_a_message_hangs_on_its_publisher_and_its_deliveries_on_it():
    """Each reader of its channel has one; their ids are the message's and the agent's name."""
    tree = tree_of(
        [node("plan")],
        succeeded("plan", 5, messages=posted("tasks", 1)),
        succeeded("worker#2-1", 6, messages=posted("results", 2)),
        agents=AGENTS,
    )
    assert edges(tree) == [
        ("plan", "2-1", "published"),
        ("2-1", "worker#2-1", "processed_by"),
        ("2-1", "audit#2-1", "processed_by"),
        ("worker#2-1", "3-1", "published"),
        ("3-1", "reader#3-1", "processed_by"),
    ]
    assert statuses(tree) == {
        "plan": "succeeded",
        "2-1": "published",
        "worker#2-1": "succeeded",
        "audit#2-1": "pending",
        "3-1": "published",
        "reader#3-1": "pending",
    }
    message = tree.nodes[1]
    assert (message.timestamp, message.outcome.success, message.cache_ref) == (moment(T + 5), True, "")


def test_a_message_from_outside_hangs_on_nothing():
    """Those that a run begins with, and those that somebody published later."""
    tree = tree_of([], OUTSIDE, agents=AGENTS, messages=posted("results", 0))
    assert [edge for edge in edges(tree) if edge[2] == "published"] == []
    assert [(node.node_id, detail.kind) for node, detail in zip(tree.nodes, tree.details, strict=True)] == [
        ("1-1", "message"),
        ("reader#1-1", "delivery"),
        ("2-1", "message"),
        ("worker#2-1", "delivery"),
        ("audit#2-1", "delivery"),
        ("2-2", "message"),
        ("worker#2-2", "delivery"),
        ("audit#2-2", "delivery"),
    ]


def test_a_message_that_nobody_reads_is_there_too():
    """And says so."""
    tree = tree_of([node("plan")], succeeded("plan", 5, messages=posted("log", "begun")), agents=AGENTS)
    assert edges(tree) == [("plan", "2-1", "published")]
    assert tree.details[1] == ("log", ("nobody reads it",), (), (("payload", '"begun"'),), "", "message", "")


def test_a_message_goes_to_the_agents_that_were_bound_when_it_was_published():
    """One that comes later gets what comes later, one that was removed nothing any more."""
    late = agent("late", "tasks")
    tree = tree_of(
        [],
        OUTSIDE,
        AgentBound(at=T + 6, agent=late),
        AgentRemoved(at=T + 7, name="worker"),
        MessagesPublished(at=T + 8, messages=posted("tasks", 3)),
        agents=AGENTS,
    )
    assert [after for parent, after, _ in edges(tree) if parent == "5-1"] == ["audit#5-1", "late#5-1"]


def test_what_waits_at_an_agent_that_is_removed_has_failed():
    """Whether it was its turn already or not; what ran then goes on."""
    tree = tree_of(
        [],
        OUTSIDE,
        MessagesPublished(at=T + 6, messages=posted("tasks", 3)),
        started("worker#2-1", 6),
        AgentRemoved(at=T + 7, name="worker", policy="continue"),
        succeeded("worker#2-1", 8),
        agents=AGENTS[:1],
    )
    assert statuses(tree) | {"2-1": "", "2-2": "", "3-1": ""} == {
        "2-1": "",
        "worker#2-1": "succeeded",
        "2-2": "",
        "worker#2-2": "failed",
        "3-1": "",
        "worker#3-1": "failed",
    }
    assert tree.details[-1].error == "agent 'worker' was removed"
    assert tree.nodes[-1].outcome.ended_at == moment(T + 7)


def test_a_redelivery_is_another_delivery_of_the_same_message():
    """However often; the dead letter stays as it was."""
    tree = tree_of(
        [],
        failed("worker#1-1", 5, policy="list"),
        Redelivered(at=T + 6, steps=("worker#1-1",)),
        failed("worker#1-1.2", 7, policy="list"),
        Redelivered(at=T + 8, steps=("worker#1-1.2",)),
        succeeded("worker#1-1.3", 9),
        agents=AGENTS[:1],
        messages=posted("tasks", 1),
    )
    assert edges(tree) == [
        ("1-1", "worker#1-1", "processed_by"),
        ("1-1", "worker#1-1.2", "processed_by"),
        ("1-1", "worker#1-1.3", "processed_by"),
    ]
    assert list(statuses(tree).values()) == ["published", "failed", "failed", "succeeded"]
    assert [detail.error for detail in tree.details[1:3]] == ["ValueError: boom"] * 2


def test_a_request_hangs_on_the_step_that_waits_for_the_reply():
    """Which runs again with the first reply; what was replied is told where it was."""
    request = WaitOpened(at=T + 5, step="worker#1-1", key="request:1", kind="request", messages=posted("results", 2))
    asked = {"agents": (*AGENTS[::2], agent("second", "results")), "messages": posted("tasks", 1)}
    waiting = tree_of([], request, **asked)
    replied = tree_of([], request, succeeded("reader#2-1", 6, reply=json(42)), **asked)
    assert ("worker#1-1", "2-1", "published") in edges(waiting)
    assert (statuses(waiting)["worker#1-1"], statuses(replied)["worker#1-1"]) == ("waiting", "running")
    assert replied.details[3].outputs == (("reply", "42"),)
    assert replied.nodes[3].cache_ref == ""


def test_what_a_delivery_adds_and_executes_hangs_on_it():
    """As on any step."""
    tree = tree_of(
        [],
        executed("worker#1-1", 5, CLEAN["clean"]),
        succeeded("worker#1-1:flow/strip", 6),
        succeeded("worker#1-1", 7, nodes=(node("extra"),)),
        agents=AGENTS[:1],
        messages=posted("tasks", 1),
    )
    assert edges(tree) == [
        ("1-1", "worker#1-1", "processed_by"),
        ("worker#1-1", "worker#1-1:flow", "child"),
        ("worker#1-1:flow", "worker#1-1:flow/strip", "child"),
        ("worker#1-1:flow/strip", "worker#1-1:flow/lower", "executed_after"),
        ("worker#1-1:flow", "worker#1-1:flow/count", "child"),
        ("worker#1-1", "extra", "added"),
    ]


def test_messages_in_a_flow_that_code_executes_stay_there():
    """What it begins with hangs on it; what a sub-graph in it publishes goes to the flow around the sub-graph."""
    flow = Definition(name="tasks", nodes=(node("sub", "", graph="clean"),))
    tree = tree_of(
        [node("work")],
        executed("work", 5, flow, messages=posted("tasks", 1)),
        opened("work:flow/sub", 6, graph="clean"),
        succeeded("work:flow/sub/strip", 7, messages=posted("results", 2)),
        agents=AGENTS[::2],
        graphs=CLEAN,
    )
    mail = [(parent, after, label) for parent, after, label in edges(tree) if label in ("published", "processed_by")]
    assert mail == [
        ("work:flow", "2-1", "published"),
        ("2-1", "work:flow/worker#2-1", "processed_by"),
        ("work:flow/sub/strip", "4-1", "published"),
        ("4-1", "work:flow/reader#4-1", "processed_by"),
    ]
    inside = {node.node_id: detail.inside for node, detail in zip(tree.nodes, tree.details, strict=True)}
    assert (inside["2-1"], inside["4-1"], inside["work:flow/reader#4-1"]) == ("work:flow", "work:flow", "work:flow")
    assert tree.details[1].action == "channel tasks"


async def seen(app):
    """The report and the tree of a run that pauses for a dead letter, and again when that was delivered anew."""
    mended = []

    @app.agent(subscribe="tasks", publish=["questions", "results"])
    async def worker(task: int, ctx: Context) -> None:
        answer = await ctx.request("questions", task)
        if answer == 3 and not mended:
            raise NonRetryable("three")
        ctx.publish("results", answer)

    @app.agent(subscribe="questions", concurrency=2)
    async def oracle(question: int, ctx: Context) -> None:
        ctx.reply(question + 1)

    @app.agent(subscribe="results")
    async def keeper(result: int, ctx: Context) -> None:
        if result == 1:
            await ctx.execute(EventDriven("more", result))

    @app.agent(subscribe="more")
    async def deeper(result: int) -> None: ...

    @app.action
    async def begin(ctx: Context) -> None:
        for number in range(5):
            ctx.publish("tasks", number)

    graph = Graph("team")
    graph.add(begin)
    app.add_graph(graph)
    async with app:
        run = await app.start(Static("team"), config={"on_failure": "pause"})
        yield await run.wait(), await run.tree()
        mended.append(True)
        (letter,) = await run.dead_letters()
        await run.redeliver(letter.message.id)
        yield await (await app.resume(run.id)).wait(), await run.tree()


def test_a_tree_tells_the_same_of_real_runs_as_their_reports():
    """How many messages there were, and what each agent did with them."""

    async def look():
        return [each async for each in seen(Dagger("memory:"))]

    told = asyncio.run(look())
    assert [(report.status, report.messages, len(report.node_outcomes)) for report, _ in told] == [
        ("paused", 15, 2),
        ("succeeded", 17, 3),
    ]
    for report, tree in told:
        kinds = [detail.kind for detail in tree.details]
        assert kinds.count("message") == report.messages
        counted = {name: dict.fromkeys(counts, 0) for name, counts in report.agents.items()}
        for snapshot, detail in zip(tree.nodes, tree.details, strict=True):
            if detail.kind == "delivery":
                counted[detail.action]["handled" if snapshot.outcome.success else "failed"] += 1
        assert counted == report.agents
