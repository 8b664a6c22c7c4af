"""What people see of child flows that code executes: in the report, in the tree and in its picture."""

import asyncio

import pytest

from dagger import AgentDriven, Context, Dagger, Graph, Static


async def told(app):
    """The report and the tree of a run whose step executes a flow, a supervisor that goes on to one, and a bad one."""

    @app.action
    async def fetch() -> int:
        return 7

    @app.action
    async def burn() -> None:
        raise ValueError("too hot")

    @app.action
    async def plan(task: str, ctx: Context) -> None:
        if "deeper" in ctx.outcomes:
            ctx.finish(task)
        else:
            ctx.add_node(deeper, id="deeper", outputs=["found"])

    @app.action
    async def deeper(ctx: Context) -> int:
        return (await ctx.execute(Static("fine"), key="again")).outputs["fetch"]["output"]

    @app.action
    async def work(ctx: Context) -> list[str]:
        flows = {"fine": Static("fine"), "agent": AgentDriven("dig", supervisor=plan), "bad": Static("bad")}
        return [(await ctx.execute(spec, key=f"{key} one")).status for key, spec in flows.items()]

    for name, action in {"fine": fetch, "bad": burn, "g": work}.items():
        graph = Graph(name)
        graph.add(action)
        app.add_graph(graph)
    async with app:
        run = await app.start(Static("g"), config={"max_attempts": 1, "on_failure": "continue"}, run_id="r")
        return await run.wait(), await run.tree()


@pytest.fixture(scope="module")
def seen():
    return asyncio.run(told(Dagger("memory:")))


def test_a_report_has_a_child_flows_steps_under_the_step_that_executed_it(seen):
    """Its own name is that step's and the wait's key; whatever is in it ends before it."""
    report, _ = seen
    assert [(outcome.node_id, outcome.status, outcome.attempts) for outcome in report.node_outcomes] == [
        ("work:fine one/fetch", "succeeded", 1),
        ("work:fine one", "succeeded", 1),
        ("work:agent one/supervisor_1", "succeeded", 1),
        ("work:agent one/deeper:again/fetch", "succeeded", 1),
        ("work:agent one/deeper:again", "succeeded", 1),
        ("work:agent one/deeper", "succeeded", 1),
        ("work:agent one/supervisor_2", "succeeded", 1),
        ("work:agent one", "succeeded", 1),
        ("work:bad one/burn", "failed", 1),
        ("work:bad one", "failed", 1),
        ("work", "succeeded", 1),
    ]
    last = "Last error: ScopeFailed: work:bad one/burn: ValueError: too hot"
    assert report.node_outcomes["work:bad one"].final_error == f"Failed after 1 attempt. {last}"


def test_a_report_has_the_outputs_of_the_runs_own_nodes_alone(seen):
    """A child flow's went to the code that waited for it, which has made of its failure what it would."""
    report, _ = seen
    assert report.outputs == {"work": {"output": ["succeeded", "succeeded", "failed"]}}
    assert (report.status, report.error, report.result) == ("succeeded", None, None)


def test_the_tree_hangs_a_child_flow_on_the_step_that_executed_it(seen):
    """And its first steps on it. What failed is kept in the cache with what led to it, and nothing else."""
    _, tree = seen
    assert [(edge.parent, tree.nodes[after].node_id) for _, after, edge in tree.edges if edge.label == "child"] == [
        ("work", "work:fine one"),
        ("work:fine one", "work:fine one/fetch"),
        ("work", "work:agent one"),
        ("work:agent one", "work:agent one/supervisor_1"),
        ("work:agent one/deeper", "work:agent one/deeper:again"),
        ("work:agent one/deeper:again", "work:agent one/deeper:again/fetch"),
        ("work", "work:bad one"),
        ("work:bad one", "work:bad one/burn"),
    ]
    assert [node.node_id for node in tree.nodes if node.cache_ref] == ["work"]


def test_the_picture_has_a_child_flow_in_a_frame_beside_the_step_that_executed_it(seen):
    """An arrow leads there, and none inside. A supervisor's flow is called as the supervisor."""
    picture = seen[1].picture()
    assert [(box.title, box.action, box.inside) for box in picture.boxes] == [
        ("work", "work", ""),
        ("work:fine one", "graph fine", ""),
        ("fetch", "fetch", "work:fine one"),
        ("work:agent one", "graph plan", ""),
        ("supervisor_1", "plan", "work:agent one"),
        ("deeper", "deeper", "work:agent one"),
        ("supervisor_2", "plan", "work:agent one"),
        ("deeper:again", "graph fine", "work:agent one"),
        ("fetch", "fetch", "work:agent one/deeper:again"),
        ("work:bad one", "graph bad", ""),
        ("burn", "burn", "work:bad one"),
    ]
    assert [(arrow.source, arrow.target, arrow.label) for arrow in picture.arrows] == [
        ("work", "work:fine one", "child"),
        ("work", "work:agent one", "child"),
        ("work:agent one/supervisor_1", "work:agent one/deeper", "added"),
        ("work:agent one/deeper", "work:agent one/supervisor_2", ""),
        ("work:agent one/deeper", "work:agent one/deeper:again", "child"),
        ("work", "work:bad one", "child"),
    ]
