"""The corpus goes on: graphs that grow, and agent-driven runs."""

import random

from tests.shapes import ACTIONS, SHAPES, Shape, shape

from dagger import AgentDriven, Context, Graph, ref

ASKED_NEVER = {"review_frequency": None, "retry_strategy": {"linear": {"delay_secs": 30}}}


def agent(name, status="succeeded", *, is_steady=True, config=None, **spec):
    """An agent-driven run of this name."""
    driven = AgentDriven(name, **spec)
    SHAPES[name] = Shape(name, driven, None, status, is_steady, {**ASKED_NEVER, **(config or {})})


def actions(app, ledger):
    """Register what the shapes here call besides the corpus' actions."""

    @app.action
    async def grow(ctx: Context, depth: int) -> int:
        """It adds two nodes, one of them as deep as is left, and one that waits for both."""
        ledger.began(ctx)
        if depth:
            below = [ctx.add_node("grow", inputs={"depth": depth - 1}), ctx.add_node("nap", inputs={"seconds": depth})]
            ctx.add_node("write", dependencies=below)
        ledger.ended(ctx)
        return depth

    @app.action
    async def five(ctx: Context, task: str) -> int:
        """Five turns; each adds two nodes that feed the next, and one that fails."""
        ledger.began(ctx)
        turn = ctx.node.iteration.number
        found = [ctx.cache.get(name, "output", 0) for name in ctx.outcomes]  # those that failed, and a review: 0
        if turn == 5:
            ctx.finish([task, found])
        else:
            ctx.add_node("nap", inputs={"seconds": turn, "x": sum(found)})
            ctx.add_node("thread", inputs={"x": sum(found)})
            ctx.add_node("boom", try_count=turn)
        ledger.ended(ctx)
        return turn

    @app.action
    async def wild(ctx: Context, task: str) -> None:
        """Whatever a seed makes of each turn: up to three nodes, with any dependencies, some of which fail."""
        ledger.began(ctx)
        turn = ctx.node.iteration.number
        draw = random.Random(f"{task} {turn}")
        known = [*ctx.outcomes, ctx.node.id]
        for _ in range(draw.randrange(4) if turn < 6 else 0):
            after = draw.sample(known, draw.randrange(len(known)))
            act = draw.choice(["work", "nap", "boom", "write", "thread"])
            tries, when = draw.randrange(1, 3), draw.choice(["succeeded", "finished"])
            known.append(ctx.add_node(act, dependencies=after, try_count=tries, run_when=when))
        if turn == 1 and draw.random() < 0.2:
            ctx.finish(turn)
        ctx.cache.append("global", "seen", sorted(outcome.status for outcome in ctx.outcomes.values()))
        ledger.ended(ctx)


def more_actions(app, ledger):
    """The same, of supervisors that do not fare well, and of those inside others."""

    @app.action
    async def endless(ctx: Context) -> None:
        """It adds a node each turn, and never finishes."""
        ledger.began(ctx)
        ctx.add_node("work")
        ledger.ended(ctx)

    @app.action
    async def frail(ctx: Context) -> None:
        """It fails in its second iteration."""
        ledger.began(ctx)
        ledger.ended(ctx)
        if ctx.node.iteration.number == 2:
            raise ValueError("no more")
        ctx.add_node("nap")

    @app.action
    async def child(ctx: Context, x: int) -> int:
        """What an agent-driven flow of its own comes to."""
        found = await ctx.execute(AgentDriven(f"child {x}", supervisor="wild"))
        return len(found.outputs) + x

    @app.action
    async def parent(ctx: Context, task: str) -> None:
        """Two turns, the first of which adds what executes flows of its own."""
        if ctx.node.iteration.number == 1:
            for x in (1, 2):
                ctx.add_node("child", inputs={"x": x})
            ctx.add_node("work", inputs={"x": ref("child_1_1")})
        else:
            ctx.finish([outcome.status for outcome in ctx.outcomes.values()])


ACTIONS += [actions, more_actions]


@shape()
def growing(graph):
    graph.add("work", id="after", x=graph.add("grow", id="root", depth=3))


@shape()
def growing_inside(graph):
    inner = Graph("sprouts")
    inner.add("grow", id="seed", depth=inner.input("depth"))
    listed = graph.add("numbers", id="listed", count=3)
    flows = graph.add(inner, id="flows", map={"reference": listed, "max_parallel": 2}, depth=graph.item)
    graph.add("grow", id="each", map=listed, depth=graph.item)
    graph.add("work", id="after", x=1, after=[flows])


agent("agent_five", supervisor="five")
agent("agent_parent", supervisor="parent", is_steady=False)
agent("agent_limit", "paused", supervisor="endless", config={"max_iterations": 3})
agent("agent_limit_stop", "failed", supervisor="endless", config={"max_iterations": 3, "on_failure": "stop"})
agent("agent_stuck", "paused", supervisor="frail", config={"max_attempts": 2})
agent("agent_frail", "failed", supervisor="frail", config={"on_failure": "continue", "max_attempts": 1})
agent(
    "agent_reviewed",
    supervisor="five",
    config={"review_frequency": 2, "human_wait_minutes": 0.05, "human_timeout_action": "autopilot"},
)
agent(
    "agent_instructed",
    instructions=[
        {"action": "nap", "params": {"seconds": 5}},
        {"action": "boom", "priority": 3},
        '{"action": "work", "params": {"x": 1}, "priority": 3}',
        {"action": "wrok"},
        "{",
    ],
)
SEEDS = ["one", "two", "three", "four"]
for seed in SEEDS:
    agent(f"wild_{seed}", supervisor="wild")
