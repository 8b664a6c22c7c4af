"""examples/stdlib_search, event-driven: whole runs of the team on small libraries, and what it makes of odd ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import dagger

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_search"
sys.path[:0] = [str(EXAMPLE.parent), str(EXAMPLE)] if str(EXAMPLE) not in sys.path else []

import agent  # noqa: E402
import ask  # noqa: E402
import team  # noqa: E402
from librarian import files  # noqa: E402
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
MEMBERS = ("supervisor", "planner", "searcher", "reader", "reasoner", "evaluator", "reporter")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    files.write_text(folder / "lamps.py", LAMPS)
    files.write_text(folder / "torches.py", TORCHES)
    return folder


class Solved(NamedTuple):
    report: dagger.Report
    messages: list[tuple[str, Any]]
    """Channel and payload of each, in the order of publication."""
    notes: dict[str, Any]
    """What the team noted for all of it."""

    def said(self, channel: str) -> list[Any]:
        return [payload for told, payload in self.messages if told == channel]


def solve(tmp_path: Path, library: Path, text: str, answer: str | None = None, **config: Any) -> Solved:
    """A run of the team; with `answer`, a person says it to the first question."""
    people = {"human_timeout_action": "autopilot", "human_wait_minutes": None if answer else 0}

    async def main() -> Solved:
        async with dagger.Dagger("memory:") as app:
            app.include(stdlib_app, agent, team)
            app.load_yaml_dir(EXAMPLE)
            asked = team.Question(text, str(tmp_path / "work"), str(library))
            run = await app.start(dagger.EventDriven("start", asked), run_id="team", config={**people, **config})
            published = []
            async for recorded in run.events():
                if recorded.type == "WaitOpened" and recorded.event.review and answer:
                    await run.answer(recorded.event.review, answer)
                published += getattr(recorded.event, "messages", ())
            messages = [(message.channel, json.loads(bytes(message.payload))) for message in published]
            report = await run.wait()
            return Solved(report, messages, {key: run.cache.get("notes", key) for key in run.cache.keys("notes")})

    return asyncio.run(main())


def test_the_team_answers_without_anybody(tmp_path, library):
    """It looks up what the pages speak of, asks, goes on without an answer, and says what it did."""
    report, messages, _ = solved = solve(tmp_path, library, "shine softly in a colour")
    assert report.overall_success
    assert report.result["followed"] == ["lamps.Lantern", "lamps.flicker"]
    assert (report.result["rounds"], report.result["chosen"]) == (2, None)
    line = 1 + TORCHES.splitlines().index("def gleam(colour):")
    assert report.result["answers"][0] == f"torches.gleam at torches.py:{line}"
    assert f"`torches.py:{line}`" in Path(report.result["path"]).read_text(encoding="utf-8")
    assert report.messages == len(messages)
    assert [report.agents[member]["handled"] for member in MEMBERS] == [5, 2, 6, 6, 9, 3, 1]
    assert [gap["about"][0]["name"] for gap in solved.said("gap_questions")] == ["lamps.Lantern"]


def test_each_channel_has_a_writer_and_a_reader(tmp_path, library):
    """Nothing is said into the void: every channel of the issue is used, and read."""
    channels = {told for told, _ in solve(tmp_path, library, "shine softly in a colour").messages}
    assert channels == {
        "start", "initial_query", "search_queries", "search_results", "page_content", "knowledge",
        "intermediate_answers", "evaluation_results", "gap_questions", "task_completed", "report_request",
        "final_answer", "human_review", "human_review.answered",
    }  # fmt: skip
    members = [getattr(team, member).__dagger_agent__.agent for member in MEMBERS]
    read = {channel for member in members for channel in member.subscriptions}
    assert channels - read == {"human_review"}, "that is what the built-in agent reads"


def test_what_a_person_chooses_comes_first(tmp_path, library):
    """Whatever the ranking says; the question went out on the channel `human_review`."""
    solved = solve(tmp_path, library, "shine softly in a colour", answer="lamps.glow")
    report = solved.report
    (asked,) = solved.said("human_review")
    assert asked["options"] == ["torches.gleam", "lamps.glow", agent.UNDECIDED]
    assert report.result["chosen"] == "lamps.glow"
    assert report.result["answers"][0].startswith("lamps.glow at lamps.py:")


def test_nobody_is_asked_where_nothing_competes(tmp_path, library):
    """And a question that nothing answers has an answer, too: that there is none."""
    report = solve(tmp_path, library, "qwertzuiop").report
    assert report.overall_success
    assert (report.result["answers"], report.result["rounds"]) == ([], 1)
    assert report.result["chosen"] == "nobody was asked"


def test_the_same_question_leads_to_the_same_messages(tmp_path, library):
    """Whichever search is done first: with one step at a time, or as many as there are."""

    def told(**config: Any) -> Counter[str]:
        messages = solve(tmp_path, library, "shine softly in a colour", **config).messages
        return Counter(f"{channel} {json.dumps(payload, sort_keys=True)}" for channel, payload in messages)

    told()  # the index is there from now on
    assert told() == told(max_parallel=1)


def test_what_is_read_does_not_hang_on_which_search_is_done_first(tmp_path, library):
    """The reader alone, given the same results in both orders."""
    solved = solve(tmp_path, library, "shine softly in a colour")
    found = [payload for payload in solved.said("search_results") if payload["wanted"]["round"] == 1]

    async def read(results: list[Any]) -> str:
        heard = []

        @dagger.agent(subscribe=["page_content", "knowledge"])
        async def listener(payload: dict[str, Any]) -> None:
            heard.append(payload)

        async with dagger.Dagger("memory:") as app:
            app.include(team.reader, listener)
            run = await app.start(dagger.EventDriven("search_results", keep_alive=True), cache={"notes": solved.notes})
            await run.publish_many("search_results", results)
            async for recorded in run.events():
                if recorded.type == "StepSucceeded" and len(heard) == 4:
                    break
            await run.cancel("all is heard")
        return json.dumps(heard)

    assert len(found) == 4
    assert asyncio.run(read(found)) == asyncio.run(read(found[::-1]))


def test_the_team_and_the_supervisor_come_to_the_same_answers(tmp_path, library):
    """They go by the same rule: who decides is another question than what."""

    async def main() -> dagger.Report:
        async with dagger.Dagger("memory:") as app:
            app.include(stdlib_app, agent, team)
            app.load_yaml_dir(EXAMPLE)
            inputs = {"workdir": str(tmp_path / "work"), "library": str(library)}
            config = {"human_timeout_action": "autopilot", "human_wait_minutes": 0}
            spec = dagger.AgentDriven("shine softly in a colour", supervisor="librarian")
            return await app.execute(spec, inputs=inputs, config=config)

    result = solve(tmp_path, library, "shine softly in a colour").report.result
    supervised = asyncio.run(main()).result
    assert {key: result[key] for key in ("answers", "followed", "chosen")} == {
        key: supervised[key] for key in ("answers", "followed", "chosen")
    }


def test_a_library_that_is_not_there_is_told(tmp_path):
    """The supervisor's message is a dead letter; mended, the run can be resumed."""
    report, *_ = solve(tmp_path, tmp_path / "nowhere", "shine softly")
    assert report.status == "paused"
    assert "nowhere" in report.error


def test_a_question_without_words_is_refused_at_once(tmp_path):
    """By the contract of the channel `start`, before anything is in a journal."""

    async def main() -> None:
        async with dagger.Dagger("memory:") as app:
            app.include(team)
            with pytest.raises(dagger.MessageInvalid, match=r"channel 'start'.*'supervisor'"):
                await app.start(dagger.EventDriven("start", {"type": "Question"}))

    asyncio.run(main())


def test_it_is_told_who_did_how_much(tmp_path, library):
    """What `make run MODE=events` prints at its end."""
    report, *_ = solve(tmp_path, library, "shine softly in a colour")
    lines = dict(line.split(maxsplit=1) for line in ask.account(report))
    assert lines["team"].startswith("2 rounds, 33 messages: ")
    assert "supervisor 5, planner 2, searcher 6, reader 6, reasoner 9, evaluator 3, reporter 1" in lines["team"]
    assert lines["followed"] == "lamps.Lantern, lamps.flicker"
    assert lines["best"].startswith("torches.gleam at torches.py:")


def test_the_mode_is_known():
    """So `make run MODE=events` has a team answer."""
    spec, _, config = ask.MODES["events"]("how?", 3)
    assert (spec.channel, spec.message.question, spec.message.count) == ("start", "how?", 3)
    assert config["human_timeout_action"] == "autopilot"
