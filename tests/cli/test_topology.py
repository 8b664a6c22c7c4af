"""dagger.cli.topology: `dagger topology`."""

import pytest

AGENTS = '''"""An application with agents."""

from dagger import Dagger

app = Dagger()


@app.agent(subscribe="start", publish="tasks")
async def planner(goal: str) -> str:
    return goal


@app.agent(subscribe="tasks", publish=["results", "log"], concurrency=4)
async def worker(task: str) -> None:
    """Works."""


@app.agent(subscribe="results", publish="results", key="customer.id")
async def keeper(result: dict) -> None:
    """Keeps."""
'''


@pytest.fixture
def agents(home):
    """`agents.py`: a planner, a worker, and a keeper that reads what it writes."""
    (home / "agents.py").write_text(AGENTS, "utf-8")


def test_agents_are_listed_with_their_channels_and_what_may_go_wrong(shell, agents):
    """Notes about what every flow has, and warnings."""
    typed = shell("topology", "--app", "agents.py")

    assert (typed.code, typed.err) == (0, "")
    assert typed.out.splitlines() == [
        "agent    reads    writes       handles",
        "planner  start    tasks        one at a time",
        "worker   tasks    results log  4 at once",
        "keeper   results  results      in order per customer.id",
        "note: channel 'log': no agent reads it",
        "note: channel 'start': no agent writes to it, so messages come from outside, or from nodes",
        "warning: loop without an exit: keeper -> results -> keeper; it ends only where an agent publishes nothing",
    ]


def test_a_topology_comes_as_json(shell, agents):
    """Agents with their schemas, channels, warnings."""
    told = shell("topology", "--app", "agents.py", "--json").json

    assert told == shell("topology", "--app", "agents.py", "--format", "json").json
    assert [agent["name"] for agent in told["agents"]] == ["planner", "worker", "keeper"]
    assert told["agents"][0]["input_schema"] == {"type": "string"}
    assert told["channels"][0] == {"name": "tasks", "writers": ["planner"], "readers": ["worker"]}
    assert [warning["kind"] for warning in told["warnings"]] == ["unread", "unwritten", "loop"]


@pytest.mark.parametrize(("format", "start"), [("dot", 'digraph "agents'), ("mermaid", "---"), ("svg", "<svg")])
def test_a_topology_is_drawn_in_each_format(shell, agents, format, start):
    """On stdout, for whatever shows it."""
    typed = shell("topology", "--app", "agents.py", "--format", format)

    assert (typed.code, typed.err) == (0, "")
    assert typed.out.startswith(start)
    assert "planner" in typed.out


def test_a_topology_is_drawn_to_a_file_in_the_format_of_its_name(shell, agents, home):
    """As `dagger graph` does."""
    assert shell("topology", "--app", "agents.py", "-o", "agents.mmd").out == ""
    assert "<b>planner</b>" in (home / "agents.mmd").read_text("utf-8")


def test_an_application_without_agents_is_no_error(shell):
    """It has no topology."""
    typed = shell("topology", "--app", "flows.py")

    assert (typed.code, typed.out, typed.err) == (0, "", "no agents: the application has registered none\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: --app is missing: whose agents? --app module:name or --app path/file.py\n"),
        (["--app", "agents.py", "-o", "x.png"], "error: -o x.png: .png is no format of pictures here; names end in "),
        (["--app", "agents.py", "-o", "x.svg", "--json"], "error: -o x.svg --format json: the name says svg; "),
        (["--app", "agents.py", "--format", "svg", "--json"], "error: --json --format svg: the two contradict each "),
        (["--app", "agents.py", "--format", "png"], "error: Invalid value for '--format': 'png' is not one of 'dot'"),
    ],
)
def test_wrong_words_leave_with_2(shell, agents, words, said):
    """And with what to type instead."""
    typed = shell("topology", *words)

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(said)
