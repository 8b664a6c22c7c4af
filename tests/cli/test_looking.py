"""dagger.cli.looking: `dagger runs`, `show` and `events`."""

import json
import signal
from datetime import datetime

import pytest
from tests.cli.shell import finish, left_waiting, marker, run_ids, wait_for

MANY = """\
from dagger import Dagger, Graph

app = Dagger(config={"on_failure": "continue", "max_attempts": 1})

@app.action
async def check(number: int) -> int:
    if number == 70:
        raise ValueError("seventy")
    return number

graph = Graph("many")
for number in range(80):
    graph.add(check, number=number, id=f"n{number}")
app.add_graph(graph)
"""

NESTED = """\
from dagger import Context, Dagger, Graph

app = Dagger(config={"max_attempts": 1})

@app.action
async def number(n: int = 1) -> int:
    return n

@app.action
async def broken() -> int:
    raise ValueError("no")

@app.action
async def mend(ctx: Context) -> None:
    ctx.recover({"output": 0})

inner = Graph("inner")
inner.add(number, id="deep", n=inner.add(broken, id="bad", failure=mend))
outer = Graph("outer")
first = outer.add(inner, id="first")
outer.add(number, id="middle", after=[first])
outer.add(inner, id="last", after=["middle"])
app.add_graph(outer)
"""


TEAM = """\
from dagger import Context, Dagger, Graph

app = Dagger(config={"on_failure": "continue", "max_attempts": 1, "max_messages": None})

@app.action
async def ask(count: int, ctx: Context) -> None:
    for number in range(count):
        ctx.publish("tasks", number)

@app.agent(subscribe="tasks", publish="results")
async def worker(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number

@app.agent(subscribe="results")
async def reader(number: int) -> None: ...

@app.agent(subscribe="nothing")
async def idle(number: int) -> None: ...

team = Graph("team")
team.add(ask, count=team.input("count"))
app.add_graph(team)
"""


@pytest.fixture
def three(shell):
    """Runs `one` (succeeded), `two` (paused) and `three` (failed)."""
    shell("run", "ready", "--app", "flows.py", "--run-id", "one", "--tag", "k=1", "--tag", "l=2")
    shell("run", "repairs", "--app", "flows.py", "--run-id", "two", "--tag", "k=1")
    shell("run", "repairs", "--app", "flows.py", "--run-id", "three", "--config", "on_failure=stop")
    return shell


def test_runs_are_listed_newest_first(three):
    """A line each; ids are whole, so that they can be copied."""
    lines = three("runs").out.splitlines()

    assert lines[0].split() == ["run", "graph", "status", "started", "lasted", "why", "tags"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["three", "repairs", "failed"],
        ["two", "repairs", "paused"],
        ["one", "ready", "succeeded"],
    ]
    assert lines[3].endswith("k=1 l=2")


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ([], ["three", "two", "one"]),
        (["--status", "paused"], ["two"]),
        (["--status", "waiting"], []),
        (["--status", "interrupted"], []),
        (["--graph", "repairs"], ["three", "two"]),
        (["--tag", "k=1"], ["two", "one"]),
        (["--tag", "k=1", "--tag", "l=2"], ["one"]),
        (["--limit", "1"], ["three"]),
        (["--graph", "repairs", "--status", "failed"], ["three"]),
    ],
)
def test_runs_are_found_by_what_they_are(three, words, ids):
    """Conditions add up."""
    assert run_ids(three, *words) == ids


def test_a_cut_list_says_so(three):
    """With the option that shows more."""
    assert three("runs", "--limit", "2").err == "… and older ones: --limit 20 shows more\n"


def test_an_empty_list_is_no_error(three):
    """Nothing on stdout, a word on stderr."""
    typed = three("runs", "--graph", "nothing")

    assert (typed.code, typed.out, typed.err) == (0, "", "no runs that fit\n")


def test_a_listed_run_is_described_in_json(three):
    """Times are ISO 8601, in UTC."""
    row = three("runs", "--json", "--status", "paused").json[0]

    assert {key: row[key] for key in ("run_id", "graph", "status", "tags", "reason")} == {
        "run_id": "two",
        "graph": "repairs",
        "status": "paused",
        "tags": {"k": "1"},
        "reason": "'fragile' failed; mend the cause and resume the run",
    }
    assert row["started_at"].endswith("Z")
    assert row["app"].endswith("flows.py:app")


@pytest.mark.parametrize("command", [["runs"], ["show", "x"], ["events", "x"], ["graph", "x"]])
def test_reading_makes_no_store(shell, home, command):
    """A slip in the name leaves no file behind."""
    typed = shell(*command, "--store", "nothing.db")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err == "error: there is no store nothing.db; name the file that holds the runs with --store\n"
    assert not (home / "nothing.db").exists()


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (".", "is a directory; name a file in it"),
        ("flows.py", "flows.py is not a SQLite file; name another file"),
        ("memory:", "memory: keeps nothing from one command to the next"),
        ("nats://somewhere", "is no store that this version knows"),
    ],
)
def test_what_is_no_store_is_refused(shell, store, said):
    """With what to do instead."""
    typed = shell("runs", "--store", store)

    assert typed.code == 2
    assert said in typed.err


def test_a_run_is_shown_step_by_step(three):
    """Steps that have not had their turn too."""
    lines = three("show", "two").out.splitlines()

    assert lines[0] == "run      two"
    assert "status   paused" in lines
    assert "tags     k=1" in lines
    assert "why      'fragile' failed; mend the cause and resume the run" in lines
    assert "steps    1 failed, 1 pending" in lines
    assert [line.split()[:2] for line in lines[-2:]] == [["fragile", "failed"], ["add", "pending"]]
    assert lines[-2].endswith("ConnectionError: the other side is down")


def test_what_a_step_gave_is_shown(three):
    """Shortened; --json has all of it."""
    assert three("show", "one").out.splitlines()[-1].endswith("sum = 3.0")
    assert three("show", "one", "--json").json["outputs"] == {"add": {"sum": 3.0}}


def test_of_many_steps_the_telling_ones_are_shown(shell, home):
    """Those that went wrong; --all shows the rest."""
    (home / "many.py").write_text(MANY)
    shell("run", "many", "--app", "many.py", "--run-id", "m")

    typed = shell("show", "m")
    assert [line.split()[0] for line in typed.out.splitlines()[-2:]] == ["step", "n70"]
    assert typed.err == "… and 79 more steps: --all shows them\n"
    assert len(shell("show", "m", "--all").out.splitlines()) == len(typed.out.splitlines()) + 79


def test_of_few_messages_each_is_shown_with_what_was_done_with_it(shell, home):
    """After the agents that had anything to do."""
    (home / "crew.py").write_text(TEAM)
    shell("run", "team", "--app", "crew.py", "-i", "count=2", "--run-id", "t")

    lines = shell("show", "t").out.splitlines()

    assert "steps    1 succeeded" in lines
    assert "messages 4" in lines
    agents, steps = (part.splitlines() for part in "\n".join(lines).split("\n\n")[1:])
    assert [line.split() for line in agents] == [
        ["agent", "handled", "failed", "waiting"],
        ["worker", "2"],
        ["reader", "2"],
    ]
    assert [line.split()[:2] for line in steps[1:4]] == [
        ["ask", "succeeded"],
        ["2-1", "published"],
        ["worker#2-1", "succeeded"],
    ]
    assert steps[2].endswith("  tasks: 0")


def test_of_many_messages_only_the_agents_tell_and_what_failed(shell, home):
    """However many there are; --all shows the rest."""
    (home / "crew.py").write_text(TEAM)
    shell("run", "team", "--app", "crew.py", "-i", "count=100", "--run-id", "t")

    typed = shell("show", "t")

    agents, steps = (part.splitlines() for part in typed.out.split("\n\n")[1:])
    assert [line.split() for line in agents[1:]] == [["worker", "99", "1"], ["reader", "99"]]
    assert [line.split()[:2] for line in steps[1:]] == [
        ["ask", "succeeded"],
        ["2-8", "published"],
        ["worker#2-8", "failed"],
    ]
    assert "messages 199" in typed.out
    assert typed.err == "… and 396 more steps and messages: --all shows them\n"
    assert len(shell("show", "t", "--all").out.splitlines()) == len(typed.out.splitlines()) + 396


def test_of_many_messages_with_which_all_is_well_there_is_no_empty_table(shell, home):
    """Only how many there are."""
    begin = "async def begin(count: int, ctx: Context) -> None:\n    for n in range(count): ctx.publish('nothing', n)"
    (home / "crew.py").write_text(f"{TEAM}\n@app.agent(subscribe='begin', publish='nothing')\n{begin}\n")
    shell("publish", "begin", "30", "--app", "crew.py", "--run-id", "t")

    typed = shell("show", "t")

    assert [line.split() for line in typed.out.split("\n\n")[-1].splitlines()] == [
        ["agent", "handled", "failed", "waiting"],
        ["idle", "30"],
        ["begin", "1"],
    ]
    assert typed.err == "… and 62 more steps and messages: --all shows them\n"


def test_of_very_many_agents_those_with_trouble_are_shown(shell, home):
    """The first twenty; --all shows the rest."""
    more = "\nfor number in range(30):\n    @app.agent(name=f'a{number}', subscribe='tasks')\n"
    (home / "crew.py").write_text(f"{TEAM}{more}    async def other(number: int) -> None: ...\n")
    shell("run", "team", "--app", "crew.py", "-i", "count=8", "--run-id", "t")

    typed = shell("show", "t")

    agents = typed.out.split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in agents[1:4]] == ["worker", "reader", "a0"]
    assert len(agents) == 1 + 20
    assert typed.err.splitlines()[0] == "… and 12 more agents: --all shows them"
    assert len(shell("show", "t", "--all").out.split("\n\n")[1].splitlines()) == 1 + 32


def test_the_steps_of_a_child_flow_stand_under_the_step_that_began_it(shell, home):
    """And a failure action's under the step whose failure it handled: in the order of the tree, not of time."""
    (home / "nested.py").write_text(NESTED)
    shell("run", "outer", "--app", "nested.py", "--run-id", "n")

    steps = [line.split()[0] for line in shell("show", "n").out.partition("\n\n")[2].splitlines()]

    below = ["bad", "bad:failure", "deep"]
    expected = ["first", *(f"first/{step}" for step in below), "middle", "last", *(f"last/{step}" for step in below)]
    assert steps[-len(expected) :] == expected


def test_the_journal_is_printed_line_by_line(three):
    """`seq` first, then the event as it was written."""
    events = [json.loads(line) for line in three("events", "one").out.splitlines()]

    assert [(event["seq"], event["type"]) for event in events] == [
        (1, "RunStarted"),
        (2, "StepSucceeded"),
        (3, "RunEnded"),
    ]
    assert three("events", "one").out.startswith('{"seq":1,"type":"RunStarted",')


def test_the_journal_is_printed_from_any_event_on(three):
    """SEQ itself included; behind the end there is nothing."""
    assert [json.loads(line)["seq"] for line in three("events", "one", "--from", "2").out.splitlines()] == [2, 3]
    assert three("events", "one", "--from", "4").out == ""
    assert three("events", "one", "--from", "-1").code == 2


@pytest.mark.parametrize("run", ["one", "two"])
def test_to_follow_what_goes_no_further_is_to_read_it(three, run):
    """A run that is over, or paused."""
    typed = three("events", run, "-f")

    assert (typed.code, typed.out) == (0, three("events", run).out)


def test_a_run_that_goes_on_elsewhere_is_followed_to_its_end(home, begin):
    """Each event is told when it is there, through a pipe too."""
    owner = begin("run", "sleeping", "--app", "flows.py", "--run-id", "mine")
    wait_for(marker(home), owner)

    follower = begin("events", "mine", "--follow", PYTHONUNBUFFERED="")
    told = [json.loads(follower.stdout.readline())["type"] for _ in range(3)]
    owner.send_signal(signal.SIGINT)
    rest = finish(follower)

    assert told == ["RunStarted", "StepSucceeded", "StepStarted"]
    assert [json.loads(line)["type"] for line in rest.out.splitlines()] == [
        "CancelRequested",
        "StepCancelled",
        "RunEnded",
    ]
    assert (rest.code, rest.err) == (0, "")


def test_a_run_that_goes_on_elsewhere_can_be_looked_at(shell, home, begin):
    """Reading disturbs nobody; a killed one shows as interrupted."""
    owner = begin("run", "sleeping", "--app", "flows.py", "--run-id", "mine")
    wait_for(marker(home), owner)

    assert "status   running" in shell("show", "mine").out.splitlines()
    assert shell("show", "mine").out.splitlines()[-1].split()[:2] == ["sleepy", "running"]
    assert shell("graph", "mine").code == 0
    assert '"type":"StepStarted"' in shell("events", "mine").out
    owner.kill()
    finish(owner)
    assert "status   interrupted" in shell("show", "mine").out.splitlines()
    assert shell("show", "mine").out.splitlines()[-1].split()[:2] == ["sleepy", "interrupted"]
    assert shell("show", "mine", "--json").json["status"] == "interrupted"


def test_a_run_that_waits_says_what_for_and_until_when(shell, home, begin):
    """In the list, in the one run's, and in JSON."""
    owner = begin("run", "naps", "--app", "flows.py", "-i", "seconds=3600", "--run-id", "mine")
    wait_for(lambda: '"waiting"' in shell("runs", "--json").out, owner)

    (row,) = shell("runs", "--json").json
    heads, line = shell("runs").out.splitlines()
    shown = shell("show", "mine").out.splitlines()

    slept = datetime.fromisoformat(row["wake_at"]) - datetime.fromisoformat(row["started_at"])
    assert 3600 <= slept.total_seconds() < 3700
    assert row["reason"] == "waits for 1 sleep"
    assert heads.endswith("why")
    assert row["reason"] in line
    assert "; goes on at " in line
    assert f"why      {row['reason']}" in shown
    assert [part for part in shown if part.startswith("goes on  ")]


def test_a_waiting_run_shows_what_it_asks(shell, home):
    """With the command that answers it."""
    review = left_waiting("mine")

    lines = shell("show", "mine").out.splitlines()
    assert "asks:    Which one? [red, green] (choose)" in lines
    assert f"answer:  dagger answer {review} VALUE --store {home / 'dagger.db'}" in lines
