"""What a notebook shows of a graph, a run's tree and its report."""

import asyncio
from xml.etree import ElementTree

import pytest
from tests.views.journals import NASTY

from dagger import Dagger, Graph, Static

app = Dagger("memory:")


@app.action
async def fail(text: str) -> None:
    raise ValueError(text)


@pytest.fixture(scope="module")
def shown():
    """The HTML of each thing, all of them with text that wants to be more."""
    graph = Graph("g", description=NASTY)
    graph.add(fail, text=NASTY, description=NASTY)
    app.add_graph(graph)

    async def main():
        async with app:
            run = await app.start(Static("g"), config={"max_attempts": 1, "on_failure": "stop"})
            return await run.wait(), await run.tree(), run._repr_html_()

    report, tree, run = asyncio.run(main())
    return {"graph": graph._repr_html_(), "tree": tree._repr_html_(), "report": report._repr_html_(), "run": run}


def test_a_run_of_a_closed_application_is_shown_by_its_name(tmp_path):
    """The notebook falls back to the `repr`: no traceback for a look at a variable."""
    closed = Dagger(tmp_path / "runs.db")
    closed.register_action(fail)
    graph = Graph("g")
    graph.add(fail, text="")
    closed.add_graph(graph)

    async def main():
        async with closed:
            return await closed.start(Static("g"), run_id="r")

    run = asyncio.run(main())
    assert (run._repr_html_(), repr(run)) == (None, "<Run r>")


@pytest.mark.parametrize(
    ("thing", "element"), [("graph", "svg"), ("tree", "svg"), ("report", "table"), ("run", "table")]
)
def test_a_notebook_shows_a_picture_or_a_table(shown, thing, element):
    """One element that stands in the page as it is; what it holds is text, and never markup."""
    page = ElementTree.fromstring(shown[thing])

    tags = {found.tag.rpartition("}")[2] for found in page.iter()}
    assert element in tags
    assert not tags & {"b", "script", "img"}
    assert any("fail" in text for text in page.itertext())
