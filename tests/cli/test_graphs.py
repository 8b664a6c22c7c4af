"""dagger.cli.graphs: `dagger validate`, `ls`, `graph` and `schema`."""

import json

import pytest
from tests.cli.shell import run_ids

BAD = "name: bad\nnodes:\n  - {id: a, action: ad}\n  - {id: a, action: add}\n"


def test_a_sound_file_is_called_fine(shell):
    """And it is said that the actions were not looked at."""
    typed = shell("validate", "sums.yaml")

    assert (typed.code, typed.out) == (0, "sums.yaml: graph 'sums' of 2 nodes is fine\n")
    assert typed.err.startswith("actions were not checked: --app ")


def test_with_an_application_the_actions_are_checked(shell, home):
    """Nothing is left unsaid then."""
    (home / "bad.yaml").write_text("name: bad\nnodes: [{id: a, action: ad}]\n")

    assert shell("validate", "sums.yaml", "--app", "flows.py").err == ""
    assert shell("validate", "bad.yaml").code == 0
    typed = shell("validate", "bad.yaml", "--app", "flows.py")
    assert typed.code == 2
    assert typed.err == "bad.yaml:2: node 'a': action 'ad' is not registered; did you mean 'add'?\n"


def test_all_problems_of_all_files_are_named(shell, home):
    """One bad file hides no other, and the good ones are named too."""
    (home / "bad.yaml").write_text(BAD)
    (home / "worse.yaml").write_text("nodes: []\n")

    typed = shell("validate", "bad.yaml", "sums.yaml", "worse.yaml", "missing.yaml")

    assert typed.code == 2
    assert typed.out == "sums.yaml: graph 'sums' of 2 nodes is fine\n"
    files = {line.partition(":")[0] for line in typed.err.splitlines()[:-1]}
    assert files == {"bad.yaml", "worse.yaml", "missing.yaml"}


def test_a_folder_stands_for_its_files(shell, home):
    """All of their problems, too."""
    (home / "all").mkdir()
    (home / "all/one.yaml").write_text(BAD)
    (home / "all/two.yml").write_text((home / "sums.yaml").read_text())

    assert shell("validate", "all").err.startswith("all/one.yaml:4: node 'a'")
    (home / "all/one.yaml").unlink()
    assert shell("validate", "all").out == "all/two.yml: graph 'sums' of 2 nodes is fine\n"


def test_with_an_application_the_nodes_inputs_are_compared_with_the_actions_parameters(shell, home):
    """Names that nobody takes, and those that are missing; whoever has the context may take anything."""
    (home / "bad.yaml").write_text(
        "name: bad\nnodes:\n"
        "  - {id: one, action: add, inputs: {a: inputs.x, bb: {value: 1}}}\n"
        "  - {id: two, action: fragile, inputs: {zebra: {value: 1}}}\n"
        "  - {id: three, action: sleepy, inputs: {seconds: {value: 1}, more: {value: 1}}}\n"
    )

    typed = shell("validate", "bad.yaml", "--app", "flows.py")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.splitlines() == [
        "bad.yaml:3: node 'one': action 'add' has no parameter 'bb'; did you mean 'b'?",
        "bad.yaml:3: node 'one': action 'add' needs 'b'; the node gives: a, bb",
        "bad.yaml:4: node 'two': action 'fragile' has no parameter 'zebra'; it takes: nothing",
    ]
    assert shell("validate", "bad.yaml").code == 0


def test_the_item_of_a_map_is_given_to_the_action_too(shell, home):
    """To the one parameter that nothing else goes to, or as `item`."""
    (home / "maps.yaml").write_text(
        "name: maps\nnodes:\n"
        "  - {id: one, action: add, map: inputs.many, inputs: {b: {value: 1}}}\n"
        "  - {id: two, action: add, map: inputs.many, inputs: {a: item, b: item}}\n"
        "  - {id: three, action: add, map: inputs.many, inputs: {a: {value: 1}, b: {value: 1}}}\n"
    )

    assert shell("validate", "maps.yaml", "--app", "flows.py").err.splitlines() == [
        "maps.yaml:5: node 'three': action 'add' has no parameter 'item'; it takes: a, b"
    ]


OUTER = "name: outer\nnodes:\n  - {id: a, graph: sums, inputs: {x: {value: 1}, y: {value: 2}}}\n"


def test_graphs_that_nodes_run_are_looked_for_among_the_files_and_in_the_application(shell, home):
    """And beside the files, as `dagger run` does. Without an application any others may come later."""
    (home / "outer.yaml").write_text(OUTER)
    (home / "slip.yaml").write_text(OUTER.replace("graph: sums", "graph: reddy").replace("outer", "slip"))

    assert shell("validate", "outer.yaml", "slip.yaml").code == 0
    assert shell("validate", "outer.yaml", "sums.yaml", "--app", "flows.py").code == 0
    assert shell("validate", "outer.yaml", "--app", "flows.py").code == 0
    (home / "misfit.yaml").write_text(OUTER.replace("y:", "why:").replace("outer", "misfit"))
    assert "graph 'sums' has no input 'why'" in shell("validate", "misfit.yaml", "--app", "flows.py").err
    assert shell("validate", "slip.yaml", "--app", "flows.py").err == (
        "slip.yaml:3: node 'a': there is no graph 'reddy', neither registered nor in a sound file of this folder; "
        "did you mean 'ready'?\n"
    )


def test_files_that_do_not_fit_each_other_are_told(shell, home):
    """What the one gives, and the other does not take; and circles."""
    (home / "outer.yaml").write_text(OUTER.replace("y:", "why:"))
    (home / "inner.yaml").write_text(OUTER.replace("sums", "outer").replace("name: outer", "name: inner"))

    typed = shell("validate", "outer.yaml", "sums.yaml")

    assert typed.code == 2
    assert "outer.yaml:3: node 'a': graph 'sums' has no input 'why'" in typed.err
    (home / "outer.yaml").write_text(OUTER.replace("sums", "inner"))
    problems = shell("validate", "outer.yaml", "inner.yaml", "--json").json
    (circle,) = [problem["message"] for problem in problems if problem["kind"] == "CycleError"]
    assert "the graph contains itself: " in circle


def test_problems_come_as_json(shell, home):
    """File, line, kind and message of each."""
    (home / "bad.yaml").write_text(BAD)

    (problem,) = shell("validate", "bad.yaml", "--json").json

    assert (problem["file"], problem["line"], problem["kind"]) == ("bad.yaml", 4, "NodeAlreadyExists")
    assert shell("validate", "sums.yaml", "--json").json == []


def test_the_agents_of_an_application_are_checked_with_its_files_or_alone(shell, home):
    """Those that cannot be, it has refused when it was loaded; what may go wrong between the others is a warning."""
    fine = f"{home / 'crew.py'}:app: 4 agents, and no loop or request that cannot end\n"
    assert shell("validate", "--app", "crew.py") == (0, fine, "")
    (home / "one.yaml").write_text("name: one\nnodes: [{id: a, action: add}]\n")
    assert shell("validate", "one.yaml", "--app", "crew.py").out == fine
    assert shell("validate", "--app", "crew.py", "--json").json == []

    again = '@app.agent(subscribe="a", publish="a")\ndef again(a: str) -> str: return a\n'
    (home / "loop.py").write_text(f"from dagger import Dagger\napp = Dagger()\n{again}")
    typed = shell("validate", "--app", "loop.py")
    assert (typed.code, typed.out) == (0, f"{home / 'loop.py'}:app: 1 agent\n")
    assert typed.err.startswith("warning: loop without an exit: again -> a -> again")


def test_without_files_or_an_application_nothing_is_validated(shell):
    """Both are named."""
    typed = shell("validate")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err == "error: FILE is missing: which graph files? Or --app module:name alone, for its agents\n"


def test_the_graphs_of_an_application_are_listed(shell):
    """With what finds them: tags and descriptions."""
    typed = shell("ls", "--app", "flows.py")

    assert typed.out.splitlines()[:2] == [
        "graph     nodes  version  tags       description",
        "ready     1      2        demo sums  one and two",
    ]


def test_graphs_are_found_by_their_tags(shell):
    """All of several must be there."""
    assert [row["name"] for row in shell("ls", "--app", "flows", "--tag", "demo", "--json").json] == ["ready"]
    assert shell("ls", "--app", "flows", "--tag", "demo", "--tag", "x", "--json").json == []
    assert shell("ls", "--app", "flows", "--tag", "x").err == "no graphs with this tag\n"


def test_a_listed_graph_is_described_in_json(shell):
    """Everything but its nodes' inner life."""
    (row,) = shell("ls", "--app", "flows.py", "--tag", "demo", "--json").json

    assert row == {
        "kind": "graph",
        "name": "ready",
        "description": "one and two",
        "author": "",
        "version": "2",
        "signature": "",
        "tags": ["demo", "sums"],
        "inputs": None,
        "nodes": ["add"],
    }


def test_the_agents_of_an_application_are_listed(shell, home):
    """After its graphs, with what they read and write; they have no tags."""
    assert shell("ls", "--app", "crew.py").out.splitlines()[:3] == [
        "agent    reads    writes   description",
        "worker   tasks    results",
        "keeper   results           Keep what was made.",
    ]
    graph = "graph = Graph('one')\ngraph.add(add, a=1)\napp.add_graph(graph)\n"
    action = "@app.action\ndef add(a: int) -> int: return a\n"
    (home / "both.py").write_text(f"from dagger import Graph\nfrom crew import app\n{action}{graph}")
    words = [line.split()[0] if line else "" for line in shell("ls", "--app", "both.py").out.splitlines()]
    assert words == ["graph", "one", "", "agent", "worker", "keeper", "asker", "carrier"]
    assert shell("ls", "--app", "both.py", "--tag", "x").err == "no graphs with this tag\n"
    rows = shell("ls", "--app", "both.py", "--json").json
    assert [(row["kind"], row["name"]) for row in rows[:2]] == [("graph", "one"), ("agent", "worker")]
    assert (rows[1]["reads"], rows[1]["writes"]) == (["tasks"], ["results"])


def test_listing_graphs_needs_an_application(shell, home):
    """And says so; one without graphs is no error."""
    (home / "none.py").write_text("from dagger import Dagger\napp = Dagger()\n")

    assert shell("ls").err.startswith("error: --app is missing: whose graphs?")
    typed = shell("ls", "--app", "none.py")
    assert (typed.code, typed.err) == (0, "no graphs and no agents: the application has none\n")


@pytest.mark.parametrize(("format", "start"), [("dot", "digraph"), ("mermaid", "---"), ("svg", "<svg"), ("json", "{")])
def test_plans_and_runs_are_drawn_in_each_format(shell, format, start):
    """A file, a graph by name, a run by its id."""
    shell("run", "ready", "--app", "flows.py")
    (run_id,) = run_ids(shell)

    for words in (["sums.yaml"], ["ready", "--app", "flows.py"], [run_id], [run_id[-8:]]):
        typed = shell("graph", *words, "--format", format)
        assert typed.code == 0, typed
        assert typed.out.startswith(start)


def test_a_picture_goes_to_a_file_in_the_format_of_its_name(shell, home):
    """A name without an ending leaves it to --format."""
    shell("graph", "sums.yaml", "-o", "plan.svg")
    shell("graph", "sums.yaml", "-o", "plan", "--format", "json")

    assert (home / "plan.svg").read_text().startswith("<svg")
    assert (home / "plan").read_text().startswith("{")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.yaml"], "nothing.yaml: there is no such file"),
        (["nothing"], "error: there is no run 'nothing' in dagger.db"),
        (["nothing", "--app", "flows.py"], "error: there is no run 'nothing' in dagger.db"),
        (["nothing", "--store", "other.db"], "error: there is no store other.db"),
        (["sums.yaml", "-o", "nowhere/plan.dot"], "error: nowhere/plan.dot cannot be written: No such file"),
        (["sums.yaml", "-o", "x.png"], "error: -o x.png: .png is no format of pictures here; names end in .dot, "),
        (["sums.yaml", "-o", "x.json", "--format", "dot"], "error: -o x.json --format dot: the name says json; "),
        (["sums.yaml", "--format", "png"], "error: Invalid value for '--format': 'png' is not one of 'dot'"),
    ],
)
def test_what_cannot_be_drawn_is_told(shell, words, said):
    """Exit code 2, and where."""
    shell("run", "ready", "--app", "flows.py")

    typed = shell("graph", *words)

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(said)


def test_the_schema_of_graph_files_is_printed(shell):
    """For editors."""
    schema = shell("schema").json

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.dumps(schema).count("on_failure") > 0
