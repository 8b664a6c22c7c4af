"""examples/stdlib_search, agent-driven: what is followed, when a person is asked, and whole runs on small libraries."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import dagger

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_search"
sys.path[:0] = [str(EXAMPLE.parent), str(EXAMPLE)] if str(EXAMPLE) not in sys.path else []

import agent  # noqa: E402
from librarian import corpus, files, follow, index, question, rank, search, shard  # noqa: E402
from stdlib_search import app as stdlib_app  # noqa: E402

LAMPS = '''"""Lamps."""
__all__ = ["glow", "beam", "Lantern", "flicker"]

def glow(colour):
    """Shine softly in a colour. It is a Lantern that does so, with its bulbs; raises KeyError()."""

def beam(colour):
    """Shine softly, and far. See Lantern and flicker()."""

class Lantern:
    """What holds the bulbs of a house."""

def flicker(times):
    """Go on and off."""
'''
TORCHES = '''"""Torches."""
__all__ = ["gleam"]

def gleam(colour):
    """Shine softly in a colour, as glow does, with a flame of its own."""
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    files.write_text(folder / "lamps.py", LAMPS)
    files.write_text(folder / "torches.py", TORCHES)
    return folder


@pytest.fixture
def found(tmp_path: Path, library: Path):
    """What the static flow finds for `shine softly`: the index, the query, the searches and their ranking."""
    files.write_json(
        tmp_path / "all.json", shard.read_shard(library, [each.path for each in corpus.source_files(library)])
    )
    path = tmp_path / "index.sqlite"
    index.build(path, [tmp_path / "all.json"], {}, "run-1")
    query = question.understand("shine softly", question.Thesaurus.load())
    searches = [search.search(path, query, field) for field in search.FIELDS]
    return path, query, searches, rank.rank(path, query, searches, 8)


def test_names_that_the_answers_speak_of_are_followed(found):
    """Those that a search has not found; no exceptions, and no ordinary words."""
    assert {lead["name"] for lead in follow.leads(*found, known=[])} == {"lamps.Lantern", "lamps.flicker"}


def test_what_is_known_is_not_followed_again(found):
    """So that the turns come to an end."""
    assert [lead["name"] for lead in follow.leads(*found, known=["lamps.Lantern"])] == ["lamps.flicker"]


def test_only_what_two_answers_speak_of_gains_by_it(found):
    """One mention is a detail; two are a hint."""
    scores = {lead["name"]: sum(lead["scores"]) for lead in follow.leads(*found, known=[])}
    assert scores["lamps.flicker"] == 0
    assert scores["lamps.Lantern"] > 0


def test_what_was_followed_is_ranked_with_the_rest(found):
    """`Lantern` says nothing of shining itself."""
    path, query, searches, ranking = found
    for lead in follow.leads(*found, known=[]):
        searches += follow.follow(path, query, lead)
    again = rank.rank(path, query, searches, 8)
    assert "lamps.Lantern" not in [answer["name"] for answer in ranking["answers"]]
    assert "lamps.Lantern" in [answer["name"] for answer in again["answers"]]
    assert {field: again["found"][field] for field in search.FIELDS} == ranking["found"]


def test_answers_that_score_nearly_the_same_compete(found):
    """A best one that stands alone has no rivals, and nothing has none."""
    *_, ranking = found
    first = ranking["answers"][0]
    near, far = (
        {**first, "name": name, "score": first["score"] * part} for name, part in (("near", 0.95), ("far", 0.5))
    )
    assert follow.competing({**ranking, "answers": [first, near, far]}) == [first, near]
    assert follow.competing({**ranking, "answers": [first, far]}) == []
    assert follow.competing({**ranking, "answers": []}) == []


# -- whole runs ------------------------------------------------------------------------------------------------


def ask(tmp_path: Path, library: Path, task: str, answer: str | None = None, supervisor: str = "librarian"):
    """The report of an agent-driven run; with `answer`, a person says it to the first question."""
    config = {"human_timeout_action": "autopilot", "human_wait_minutes": None if answer else 0}
    inputs = {"workdir": str(tmp_path / "work"), "library": str(library)}

    async def main() -> dagger.Report:
        async with dagger.Dagger(tmp_path / "runs.db") as app:
            app.include(stdlib_app, agent)
            app.register_action(agent.model_librarian("test"))
            app.load_yaml_dir(EXAMPLE)
            run = await app.start(dagger.AgentDriven(task, supervisor=supervisor), inputs=inputs, config=config)
            async for recorded in run.events():
                if recorded.type == "WaitOpened" and recorded.event.review and answer:
                    await run.answer(recorded.event.review, answer)
            return await run.wait()

    return asyncio.run(main())


def test_the_agent_answers_without_anybody(tmp_path, library):
    """It follows what it discovers, asks, goes on without an answer, and says what it did."""
    report = ask(tmp_path, library, "shine softly in a colour")
    assert report.overall_success
    assert report.result["followed"] == ["lamps.Lantern", "lamps.flicker"]
    assert report.result["chosen"] is None
    line = 1 + TORCHES.splitlines().index("def gleam(colour):")
    assert report.result["answers"][0] == f"torches.gleam at torches.py:{line}"
    assert f"`torches.py:{line}`" in Path(report.result["path"]).read_text(encoding="utf-8")
    assert report.node_outcomes["follow_name_1_1"].status == "succeeded"


def test_what_a_person_chooses_comes_first(tmp_path, library):
    """Whatever the ranking says."""
    report = ask(tmp_path, library, "shine softly in a colour", answer="lamps.glow")
    assert report.result["chosen"] == "lamps.glow"
    assert report.result["answers"][0].startswith("lamps.glow at lamps.py:")


def test_nobody_is_asked_where_nothing_competes(tmp_path, library):
    """And a question that nothing answers has an answer, too: that there is none."""
    report = ask(tmp_path, library, "qwertzuiop")
    assert (report.result["answers"], report.result["followed"]) == ([], [])
    assert report.result["chosen"] == "nobody was asked"
    assert report.iterations == 2


def test_a_flow_that_cannot_be_is_told_by_the_supervisor(tmp_path):
    """A library that is not there."""
    report = ask(tmp_path, tmp_path / "nowhere", "shine softly")
    assert report.status == "paused"
    assert "nowhere" in report.error


def test_a_model_may_decide(tmp_path, library):
    """Here one that calls each of its tools once: the library is searched by the static flow."""
    pytest.importorskip("pydantic_ai")
    report = ask(tmp_path, library, "shine softly", supervisor="model_librarian")
    assert report.overall_success
    assert report.node_outcomes["ask_library_1_1"].status == "succeeded"
    assert "ask_library" in report.result


ASKING = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import ask, person
from dagger import AgentDriven, Context, Dagger

people = {"human_timeout_action": "autopilot", "human_wait_minutes": person.wait_minutes()}
app = Dagger("memory:", config=people)

@app.action
async def choose(ctx: Context) -> None:
    chosen = await ctx.review("Which one?", options=["red", "green", "decide yourself"])
    ctx.finish({"followed": [], "answers": [], "chosen": chosen})

async def main():
    async with app:
        run = await app.start(AgentDriven("choose", supervisor=choose))
        await ask.show_steps(run)
        print(*ask.account(await run.wait()), sep="\\n")

asyncio.run(main())
"""


def asked(typed: str | None) -> tuple[list[str], str]:
    """What is said of the person in the end, and what a terminal shows where this is typed; None: there is none."""
    command = [sys.executable, "-c", ASKING, str(EXAMPLE)]
    if typed is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
        shown = done.stderr
    else:
        master, slave = pty.openpty()
        os.write(master, typed.encode())
        done = subprocess.run(
            command, stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True, check=True, timeout=60
        )
        os.write(slave, b"\f")  # the end of what is shown
        shown = ""
        while "\f" not in shown:
            shown += os.read(master, 4096).decode()
        os.close(master)
        os.close(slave)
    return [line for line in done.stdout.splitlines() if line.startswith("person")], shown


def test_a_person_at_the_terminal_chooses_by_the_number():
    """An empty line is no answer, and what is no option is told."""
    said, shown = asked("\nblue\n2\n")
    assert said == ["person   green"]
    assert shown.count("is none of the options") == 1
    assert '"blue" is none of the options' in shown


def test_ctrl_d_leaves_the_choice_to_the_librarian():
    """At once, without a word of options."""
    said, shown = asked("\x04")
    assert said == ["person   decide yourself"]
    assert "none of the options" not in shown


def test_without_a_terminal_nobody_is_asked_or_said_to_be_late():
    """Nobody was waited for."""
    said, shown = asked(None)
    assert said == ["person   nobody is there to ask"]
    assert "Which one?" not in shown


def test_an_unknown_mode_is_told_with_those_that_there_are():
    """What `make run MODE=agnt` prints."""
    command = [sys.executable, str(EXAMPLE / "ask.py"), "--mode", "agnt", "anything"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "invalid choice: 'agnt' (choose from" in done.stderr
    assert "static" in done.stderr
    assert "agent" in done.stderr
