"""dagger.cli.loading: which application, which store, which run."""

import asyncio

import pytest

from dagger.app import Dagger
from dagger.cli.exits import UsageError
from dagger.cli.loading import absolute, find_run, is_graph_file, load_app, open_store, require_store
from dagger.core.errors import RunNotFound
from dagger.graph import Graph


def find(text, ids=("alpha-one", "alpha-two", "beta-one", "beta")):
    async def main():
        async with Dagger("memory:") as app:
            app.register_action(lambda: 1)
            graph = Graph("g")
            graph.add("<lambda>", id="a")
            app.add_graph(graph)
            for run_id in ids:
                await app.start(Static("g"), run_id=run_id)
            return (await find_run(app, text)).id

    from dagger.modes.static import Static

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "found"), [("beta", "beta"), ("alpha-o", "alpha-one"), ("two", "alpha-two"), ("beta-", "beta-one")]
)
def test_a_run_is_found_by_as_much_as_is_unique(text, found):
    """Its id, or the beginning or end of it; a whole id is never ambiguous."""
    assert find(text) == found


def test_several_runs_that_fit_are_named():
    """So that more of the id can be given."""
    with pytest.raises(UsageError) as caught:
        find("alpha")
    assert str(caught.value) == "'alpha' fits 2 runs: alpha-two, alpha-one; give more of the id"


def test_many_runs_that_fit_are_counted():
    """Five are enough."""
    with pytest.raises(UsageError, match="'run' fits 8 runs: run7, run6, run5, run4, run3 and 3 more; give more"):
        find("run", [f"run{number}" for number in range(8)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aplha-one", "there is no run 'aplha-one' in memory:; did you mean 'alpha-one'?"),
        ("zzz", "there is no run 'zzz' in memory:; `dagger runs --store memory:` lists them"),
        ("", "there is no run '' in memory:; `dagger runs --store memory:` lists them"),
    ],
)
def test_an_unknown_run_names_the_nearest(text, said):
    """Or the command that lists them."""
    with pytest.raises(RunNotFound) as caught:
        find(text)
    assert str(caught.value) == said


def test_an_application_keeps_its_own_store_unless_told_otherwise(home):
    """--store wins over what the application says."""
    (home / "shop.py").write_text("from dagger import Dagger\napp = Dagger('own.db')\n")

    assert load_app("shop.py").store.url == "own.db"
    assert load_app("shop.py", "other.db").store.url == "other.db"


def test_an_application_knows_how_it_was_found(home):
    """So that its runs can say it."""
    assert load_app("flows").address == f"{home / 'flows.py'}:app"


def test_only_a_store_that_is_there_is_opened(home):
    """The default one, or the one that is named."""
    with pytest.raises(UsageError, match=r"there is no store dagger\.db"):
        open_store(None)
    (home / "dagger.db").touch()
    assert open_store(None).store.url == "dagger.db"
    with pytest.raises(UsageError, match="memory: keeps nothing from one command to the next"):
        require_store("memory:")


@pytest.mark.parametrize(
    ("text", "is_file"),
    [("a.yaml", True), ("a.yml", True), ("./a", True), ("flows.py", True), ("sums", False), ("a.b", False)],
)
def test_a_file_is_told_from_a_name(home, text, is_file):
    """By its ending, its folder, or because it is there."""
    assert is_graph_file(text) is is_file


@pytest.mark.parametrize("url", ["memory:", "nats://host", "/tmp/x.db"])
def test_a_store_that_is_named_for_every_folder_stays(url):
    """Only paths of this folder are made absolute."""
    assert absolute(url) == url


def test_a_path_is_made_absolute(home):
    """Pasted elsewhere, the command finds the same file."""
    assert absolute("runs.db") == str(home / "runs.db")
