"""Static: a run begins with a graph's nodes."""

import pytest

from dagger import Dagger, Graph, GraphError, Static
from dagger.core.events import Spec
from dagger.spec.workflow import Beginning


def test_it_opens_with_the_registered_graph():
    """The spec as the journal holds it, and the graph as it is now."""
    graph = Graph("g")
    graph.add("act", id="n")
    found = []

    def find(name):
        found.append(name)
        return graph.definition

    assert Static("g").opening(find, {}) == Beginning(Spec("static", "g"), graph.definition)
    assert found == ["g"]


def test_a_run_keeps_the_graph_that_it_was_started_with():
    """A graph that is replaced or extended later changes no run under way."""
    app = Dagger("memory:")

    @app.action
    async def act():
        return 1

    def build(*ids):
        graph = Graph("g")
        for node_id in ids:
            graph.add(act, id=node_id)
        return app.add_graph(graph)

    first = build("a")

    async def main():
        async with app:
            run = await app.start(Static("g"))
            first.add(act, id="late")
            build("b", "c")
            return sorted((await run.wait()).outputs), sorted((await app.execute(Static("g"))).outputs)

    import asyncio

    assert asyncio.run(main()) == (["a"], ["b", "c"])


def test_a_graph_that_is_not_there_is_an_error():
    """It comes from the registry, with the nearest name."""
    import asyncio

    with pytest.raises(GraphError, match="there is no graph 'x'; loaded: none"):
        asyncio.run(Dagger("memory:").execute(Static("x")))


@pytest.mark.parametrize("name", [5, None, ["g"], Graph("g")], ids=["number", "none", "list", "graph"])
def test_a_graph_is_named_by_its_text(name):
    """Refused where it is written."""
    with pytest.raises(GraphError, match=r"Static takes the name of a registered graph, not .+"):
        Static(name)
