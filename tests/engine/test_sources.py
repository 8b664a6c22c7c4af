"""What a run's attempts look up, and what they may add; on both stores."""

import asyncio

import pytest
from tests import supervised
from tests.supervised import executed

from dagger import ActionNotRegistered, Context, Graph, Static, ref


async def note(ctx: Context, x: object = None) -> object:
    """What it is given."""
    return x


async def slow(ctx: Context) -> None:
    """It takes a minute."""
    await asyncio.sleep(60)


async def whole(n: int) -> int:
    """A whole number."""
    return n


def run(world, main, *actions):
    async def begun(app):
        graph = Graph("g")
        graph.add(slow, id="slow")
        app.add_graph(graph)
        handle = await app.start(Static("g"), run_id="r")
        return await main(app, handle, app.tenure("r"))

    return supervised.run(world, begun, note, slow, whole, *actions)


def test_an_action_that_is_not_here_is_named_with_the_nearest(world):
    """By the node that calls it; the failure action likewise."""

    async def main(app, handle, tenure):
        with pytest.raises(ActionNotRegistered, match="node 'n': action 'nite' is not registered; did you mean 'note'"):
            await handle.add_node("nite", id="n")
        with pytest.raises(ActionNotRegistered, match="node 'n': action 'hole' is not registered; did you mean 'whol"):
            await handle.add_node("note", id="n", failure="hole")
        return await handle.wait()

    assert run(world, main).status == "succeeded"


def test_what_is_registered_later_is_found(world):
    """A run knows the actions of its application as they are now."""

    async def late(ctx: Context):
        return 5

    async def grow(ctx: Context):
        ctx.add_node("late", id="n")

    async def main(app, handle, tenure):
        await handle.wait()
        graph = Graph("later")
        graph.add(grow, id="grow")
        app.add_graph(graph)
        app.register_action(late)
        return (await app.execute(Static("later"))).outputs["n"]

    assert run(world, main, grow) == {"output": 5}


def test_a_step_whose_nodes_fit_no_more_when_it_ends_has_failed(world):
    """Between the adding and the end another node took the id."""

    async def grow(ctx: Context):
        ctx.add_node(note, id="taken")
        await ctx.memo("meanwhile", meanwhile)

    async def meanwhile():
        run = await apps[0].get_run("s")
        await run.add_node(whole, id="taken", inputs={"n": 3})

    apps = []

    async def main(app, handle, tenure):
        await handle.wait()
        graph = Graph("later", config={"on_failure": "continue"})
        graph.add(grow, id="grow")
        app.add_graph(graph)
        apps.append(app)
        report = await app.execute(Static("later"), run_id="s")
        report.load()
        return report.error, report.outputs["taken"]

    error, taken = run(world, main, grow)

    assert error == "grow: NodeAlreadyExists: node 'taken' is in run 's' already; give it another id"
    assert taken == {"output": 3}


def test_what_an_added_node_asks_of_the_loop_is_noted(world):
    """Conditions, maps and priorities count for nodes that a step adds, as they do for a plan's."""
    order = []

    async def grow(ctx: Context):
        ctx.add_node(note, id="list", inputs={"x": [1, 2]})
        ctx.add_node(whole, id="no", inputs={"n": 1}, when={"reference": "list", "equals": 5})
        ctx.add_node(whole, id="each", map=ref("list"), inputs={"n": ref("item")})
        for priority in (1, 3, 2):
            ctx.add_node(noted, id=f"p{priority}", priority=priority, dependencies=["each"])

    async def noted(ctx: Context):
        order.append(ctx.node.id)

    async def main(app):
        graph = Graph("g")
        graph.add(grow, id="grow")
        app.add_graph(graph)
        return await executed(app, Static("g"))

    found = supervised.run(world, main, grow, note, whole, noted)

    assert (found.report.status, found.statuses["no"]) == ("succeeded", "skipped")
    assert found.report.outputs["each"] == {"output": [1, 2]}
    assert order == ["p3", "p2", "p1"]
