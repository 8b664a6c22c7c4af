"""Real processes on a real file, killed with SIGKILL at random moments, and resumed by others."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.crashing import application, steps

from dagger import Dagger, RunLeased

WORKER = Path(__file__).with_name("crashing.py")
TEAM = Path(__file__).with_name("team_run.py")
LIBRARY = {
    "lamps.py": '''"""Lamps."""
__all__ = ["glow", "beam", "Lantern"]

def glow(colour):
    """Shine softly in a colour. It is a Lantern that does so, with its bulbs."""

def beam(colour):
    """Shine softly, and far. See Lantern and flicker()."""

class Lantern:
    """What holds the bulbs of a house."""
''',
    "torches.py": '''"""Torches."""
__all__ = ["gleam"]

def gleam(colour):
    """Shine softly in a colour, as glow does, with a flame of its own."""
''',
}
SEED = 20_260_722

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")


def worker(directory, run_id, hold=0):
    command = [sys.executable, WORKER, directory / "runs.db", directory / "ledger", run_id, str(hold)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.stderr.close()
    process.wait(30)


def read_until(process, wanted):
    """What the worker says, until it has said so many bytes, or a wanted one, or its last."""
    said = b""
    while (len(said) < wanted if isinstance(wanted, int) else wanted not in said) and b"\n" not in said:
        piece = os.read(process.stdout.fileno(), 1)
        if not piece:
            break
        said += piece
    return said


async def journal_of(directory, run_id):
    async with Dagger(directory / "runs.db") as app:
        run = await app.get_run(run_id)
        return [recorded.event async for recorded in run.events(live=False)], run.cache.get("global", "order")


def check_run(directory, run_id):
    """Each step's success is in the journal exactly once, its effects once, its key in the ledger at least once."""
    journal, order = asyncio.run(journal_of(directory, run_id))
    successes = Counter(event.step for event in journal if type(event).__name__ == "StepSucceeded")
    assert set(successes.values()) == {1}
    assert set(steps()) <= set(successes)
    assert sorted(order) == sorted(steps())
    assert type(journal[-1]).__name__ == "RunEnded"
    assert journal[-1].status == "succeeded"
    keys = Counter((directory / "ledger").read_text().split())
    assert {f"{run_id}/{step}" for step in steps()} == {key for key in keys if key.startswith(f"{run_id}/")}


async def try_to_resume(directory, run_id):
    """What a second process gets that wants the run."""
    async with application(directory / "runs.db", directory / "ledger", 0) as app:
        assert (await app.get_run(run_id)).status == "running"
        with pytest.raises(RunLeased, match=rf"run '{run_id}' is owned by process \d+ on .*, which lives"):
            await app.resume(run_id)
        assert await app.recover() == []


def test_a_flow_killed_at_random_moments_and_resumed_each_time_is_done_once(tmp_path, request):
    """SIGKILL 50 times (20 without --campaign): each success once, each key seen, and nobody else gets it meanwhile."""
    kills = 50 if request.config.getoption("--campaign") else 20
    draw = random.Random(SEED)
    killed, number = 0, 0
    while True:
        run_id = f"run-{number}"
        is_last = killed >= kills
        hold = draw.randrange(1, 6) if killed % 5 == 4 and not is_last else 0
        process = worker(tmp_path, run_id, hold)
        said = read_until(process, b"\n" if is_last else b"H" if hold else draw.randrange(44))
        if b"H" in said:
            asyncio.run(try_to_resume(tmp_path, run_id))
        if b"\n" not in said:
            kill(process)
            killed += 1
            continue
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
        check_run(tmp_path, run_id)
        number += 1
        if is_last:
            break
    assert killed == kills


async def seen_of(directory, run_id):
    """What a run came to: its result, its tree without times, and how often each step succeeded."""
    async with Dagger(directory / "runs.db") as app:
        run = await app.get_run(run_id)
        report, tree = await run.report(), await run.tree()
        report.load()
        names = [(snapshot.node_id, snapshot.outcome.status) for snapshot in tree.nodes]
        edges = sorted((names[before][0], edge.label, names[after][0]) for before, after, edge in tree.edges)
        journal = [recorded.event async for recorded in run.events(live=False)]
        successes = Counter(event.step for event in journal if type(event).__name__ == "StepSucceeded")
        return (report.status, report.result, report.iterations, sorted(names), edges), successes


def test_an_agent_driven_run_killed_at_random_moments_ends_with_the_same_tree(tmp_path, request):
    """Five iterations of two nodes each, SIGKILL 50 times (5 without --campaign), and recovered by another process."""
    kills = 50 if request.config.getoption("--campaign") else 5
    draw = random.Random(SEED)

    def finish(run_id):
        process = worker(tmp_path, run_id)
        out, errors = process.communicate(timeout=60)
        assert out.decode().splitlines()[-1].strip() == "succeeded", errors.decode()
        return asyncio.run(seen_of(tmp_path, run_id))

    whole, once = finish("agent-whole")
    assert whole[:3] == ("succeeded", ["T LEFT 19", "T RIGHT 19"], 5)
    assert len(once) == 13
    for number in range(kills):
        process = worker(tmp_path, f"agent-{number}")
        read_until(process, draw.randrange(26))
        kill(process)
        seen, successes = finish(f"agent-{number}")
        assert seen == whole
        assert successes == once
    keys = Counter((tmp_path / "ledger").read_text().split())
    assert {key.partition("/")[2] for key in keys} == set(once)


async def solved_by(directory, run_id):
    """What the team's run came to, but for the run's id and the numbers of events; and each step's successes."""
    async with Dagger(directory / "runs.db") as app:
        run = await app.get_run(run_id)
        report = await run.report()
        journal = [recorded.event async for recorded in run.events(live=False)]
        letters = [(letter.agent, letter.channel, letter.payload, letter.errors) for letter in await run.dead_letters()]
        cache = json.loads(run.cache.to_json().replace(run_id, "RUN"))
    successes = Counter(event.step for event in journal if type(event).__name__ == "StepSucceeded")
    channels = Counter(message.channel for event in journal for message in getattr(event, "messages", ()))
    return (report.status, report.messages, report.agents, channels, letters, cache), successes


def test_a_team_of_agents_killed_at_random_moments_comes_to_the_same_answer(tmp_path, request):
    """Seven agents and one that fails, SIGKILL 50 times (5 without --campaign), and recovered by another process."""
    kills = 50 if request.config.getoption("--campaign") else 5
    draw = random.Random(SEED)
    (tmp_path / "library").mkdir()
    for name, text in LIBRARY.items():
        (tmp_path / "library" / name).write_text(text, encoding="utf-8")

    def begin(run_id):
        command = [sys.executable, TEAM, tmp_path / "runs.db", tmp_path / "ledger", run_id, tmp_path / "library"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(run_id):
        out, errors = begin(run_id).communicate(timeout=60)
        assert out.decode().splitlines()[-1:] == ["failed"], errors.decode()  # by the dead letters
        seen, successes = asyncio.run(solved_by(tmp_path, run_id))
        assert set(successes.values()) == {1}
        done = {step for step in successes if "#" in step and ":" not in step and "human_review" not in step}
        noted = {
            line.partition("/")[2]
            for line in (tmp_path / "ledger").read_text().split()
            if line.startswith(f"{run_id}/")
        }
        assert {step for step in noted if not step.startswith("heckler#")} == done
        return seen

    finish("team-first")  # after it the index is there
    whole = finish("team-whole")
    status, messages, _, channels, letters, _ = whole
    assert (status, messages, channels["gap_questions"], len(letters)) == ("failed", 31, 1, 2)
    for number in range(kills):
        process = begin(f"team-{number}")
        read_until(process, draw.randrange(36))
        kill(process)
        assert finish(f"team-{number}") == whole


def test_while_a_run_goes_on_nobody_else_can_have_it(tmp_path):
    """A second process gets RunLeased as long as the first lives, and the run as soon as it is dead."""
    process = worker(tmp_path, "r", hold=5)
    said = read_until(process, b"H")
    assert b"H" in said, process.stderr.read().decode()
    asyncio.run(try_to_resume(tmp_path, "r"))
    kill(process)

    process = worker(tmp_path, "r")
    out, errors = process.communicate(timeout=60)
    assert out.decode().splitlines()[-1].strip() == "succeeded", errors.decode()
    check_run(tmp_path, "r")
