"""The graphs that a file's graph runs, where they are in the other files of its folder."""

import pytest

from dagger import ActionNotRegistered, GraphError
from dagger.spec.beside import graphs_beside
from dagger.spec.graph_file import read_file


@pytest.fixture
def write(tmp_path):
    """`write(a="b c", b="")`: files of graphs that run others, and `act`; gives the first one's path."""

    def files(**graphs):
        for name, children in graphs.items():
            runs = "".join(f"  - {{id: run_{child}, graph: {child}}}\n" for child in children.split())
            (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nnodes:\n  - {{id: work, action: act}}\n{runs}")
        return tmp_path / f"{next(iter(graphs))}.yaml"

    return files


def names(path, known=()):
    return [graph.name for graph in graphs_beside(path, read_file(path), {"act"}, known)]


def test_the_graphs_that_a_file_runs_are_found_beside_it(write):
    """Theirs too, each once; those that are known are not looked for, those that nobody runs are left out."""
    path = write(a="b c known", b="c d", c="", d="a", other="missing")

    assert names(path, {"known"}) == ["b", "c", "d"]


def test_a_bad_file_is_a_problem_only_where_it_may_be_meant(write, tmp_path):
    """Of a graph that is found elsewhere, or is not looked for, it says nothing."""
    path = write(a="b", b="")
    (tmp_path / "bad.yaml").write_text("name: bad\nnodes: 5\n")
    (tmp_path / "worse.yml").write_text("{")
    assert names(path) == ["b"]

    write(a="b bda")
    with pytest.raises(GraphError) as caught:
        names(path)
    told = [(problem.file.rpartition("/")[2], problem.line) for problem in caught.value.problems]
    assert told == [("a.yaml", 5), ("bad.yaml", 2), ("worse.yml", 1)]
    assert caught.value.problems[0].message == (
        "node 'run_bda': there is no graph 'bda', neither registered nor in a sound file of this folder; "
        "give its file the same folder, or register it"
    )


def test_all_graphs_that_are_nowhere_are_told_at_once(write):
    """Once each node that runs one."""
    with pytest.raises(GraphError) as caught:
        names(write(a="x b y", b="x"))

    assert [problem.message.partition(":")[0] for problem in caught.value.problems] == ["node 'run_x'", "node 'run_y'"]


def test_a_graph_that_is_nowhere_is_told_with_the_nearest(write):
    """In the file whose node runs it."""
    path = write(a="b", b="c", cc="")

    with pytest.raises(GraphError, match=r"b\.yaml:4: node 'run_c': there is no graph 'c', .* did you mean 'cc'\?$"):
        names(path)


def test_a_graph_that_two_files_have_is_refused(write, tmp_path):
    """Which one was meant, nobody can know."""
    path = write(a="b", b="")
    (tmp_path / "z.yml").write_text((tmp_path / "b.yaml").read_text())

    message = r"z\.yml: graph 'b' is in b\.yaml already; give one of them another name$"
    with pytest.raises(GraphError, match=message):
        names(path)


def test_the_actions_of_what_was_found_are_checked(write, tmp_path):
    """With their lines, as those of the file itself."""
    path = write(a="b", other="")
    (tmp_path / "b.yaml").write_text("name: b\nnodes:\n  - {id: n, action: akt}\n")
    (tmp_path / "other.yaml").write_text("name: other\nnodes:\n  - {id: n, action: akt}\n")

    with pytest.raises(ActionNotRegistered, match=r"^\S*b\.yaml:3: .*'akt'"):
        names(path)
