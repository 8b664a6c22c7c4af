"""What can be executed: a mode of one's own is a spec like those that come along."""

import asyncio

import pytest

from dagger import AgentDriven, Dagger, Graph, GraphError, Static
from dagger.core.events import Spec
from dagger.spec.workflow import Beginning


class Twice:
    """A mode that is not Dagger's: a registered graph's nodes, and an input that the mode gives."""

    def opening(self, find, inputs):
        """See WorkflowSpec."""
        return Beginning(Spec("twice", "g"), find("g"), inputs={"x": 2}, config={"max_attempts": 7})


def application():
    app = Dagger("memory:", config={"timeout_seconds": 60})

    @app.action
    async def show(x: int) -> int:
        return x

    graph = Graph("g")
    graph.add(show, id="show", x=graph.input("x"))
    app.add_graph(graph)
    return app


def test_a_beginning_without_more_has_nothing_more():
    """A static run's: a graph, and that is all."""
    graph = Graph("g")
    assert Static("g").opening(lambda _: graph.definition, {}) == Beginning(Spec("static", "g"), graph.definition)
    assert not any(Beginning(Spec("static", "g"), graph.definition)[2:])


def test_any_object_that_opens_can_be_executed():
    """Its inputs come before the caller's of the same name, its config after the library's and before all others."""

    async def main():
        async with application() as app:
            run = await app.start(Twice(), inputs={"x": 1})
            events = [recorded.event async for recorded in run.events()]
            return (await run.wait()).outputs, events[0]

    outputs, started = asyncio.run(main())
    assert outputs == {"show": {"output": 2}}
    assert (started.spec, started.config["max_attempts"], started.config["timeout_seconds"]) == (
        Spec("twice", "g"), 7, 60,
    )  # fmt: skip


@pytest.mark.parametrize("spec", ["g", Graph("g"), None, Static, AgentDriven], ids=repr)
def test_anything_else_cannot(spec):
    """It says what to write instead."""

    async def main():
        async with application() as app:
            await app.start(spec)

    with pytest.raises(GraphError, match=r"is nothing to execute: write Static\(name\), or load the file first"):
        asyncio.run(main())
