"""What mixed runs have in common: a node's work, an agent's, and what becomes of both."""

import asyncio

from tests.mailed import executed, run

from dagger import Context, Graph, Message, action, agent


@action
async def double(x: int) -> int:
    """A node's work."""
    return x * 2


@agent(subscribe="numbers", publish="doubled")
async def doubles(number: int) -> int:
    """An agent's work."""
    await asyncio.sleep(1)
    return number * 2


@agent(subscribe="doubled")
async def keeps(number: int, message: Message, ctx: Context):
    """It notes what it is given, where it is."""
    ctx.cache.append("global", "kept", [number, message.source])


def graph_of(*actions, name="g", **inputs):
    """A graph of one node for each action."""
    graph = Graph(name)
    for each in actions:
        graph.add(each, **inputs)
    return graph


def mixed(world, spec, *things, graphs=(), **options):
    """What becomes of a spec, and the run's cache (I1: replayed, the journal is the state that the run had)."""

    async def main(app):
        for graph in graphs:
            app.add_graph(graph)
        found = await executed(app, spec)
        return found, (await app.get_run("r")).cache

    async def whole(app):
        found, cache = await main(app)
        return found, {
            key: cache.get("global", key) for key in (cache.keys("global") if "kept" in cache.to_json() else [])
        }

    return run(world, whole, *things, **options)
