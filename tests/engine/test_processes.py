"""Processes: kept and reused, killed singly, and never outlived by what they have started."""

import asyncio
import importlib
import os
import signal
import subprocess
import sys

import msgspec
import pytest
from tests.engine import process_actions as actions
from tests.engine.process_actions import execute, is_gone, outcome, wait_until

from dagger import Dagger, Graph, Static
from dagger.core.errors import ProcessDied
from dagger.core.graph import Input, Node
from dagger.engine import frames
from dagger.engine.processes import Processes
from dagger.testing import VirtualClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")


def test_a_process_is_kept_for_the_next_attempt():
    """One after the other they need one, and it is not this one."""

    def build(graph):
        first = graph.add(actions.pid, id="a")
        second = graph.add(actions.pid, id="b", after=first)
        graph.add(actions.pid, id="c", after=second)

    report, _ = execute(build)
    (pid,) = {outputs["output"] for outputs in report.outputs.values()}
    assert pid != os.getpid()
    assert is_gone(pid)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one process to a processor")
def test_two_attempts_at_once_have_two_processes(tmp_path):
    """Each waits until the other one is there."""

    def build(graph):
        graph.add(actions.meet, id="a", folder=str(tmp_path), name="a")
        graph.add(actions.meet, id="b", folder=str(tmp_path), name="b")

    report, _ = execute(build)
    assert len({outputs["output"] for outputs in report.outputs.values()}) == 2


def test_an_endless_loop_is_killed_at_its_timeout_and_tried_again():
    """The code is gone, so the next attempt waits for nobody."""
    found = outcome(actions.loop, timeout=0.3, try_count=9)

    assert found.status == "succeeded"
    assert found.retry_messages[0] == "Attempt 1 failed: AttemptTimedOut: node 'n': attempt 1 timed out after 0.3 s"


@pytest.mark.parametrize(
    ("act", "inputs", "told"),
    [
        (actions.exit_at_once, {"attempts": 9}, "exited with code 1"),
        (actions.exit_at_once, {"attempts": 9, "code": 0}, "exited with code 0"),
        (actions.end_by, {"name": "SIGTERM"}, "was killed by signal 15 (SIGTERM)"),
        (actions.end_by, {"name": "SIGKILL"}, "was killed by signal 9 (SIGKILL); perhaps it ran out of memory"),
    ],
    ids=["exit 1", "exit 0", "terminated", "killed"],
)
def test_the_end_of_a_process_fails_its_attempt_and_is_told(act, inputs, told):
    """With the exit code, or the signal by name."""
    found = outcome(act, try_count=1, **inputs)

    assert found.final_error == f"Failed after 1 attempt. Last error: ProcessDied: node 'n': its process {told}"


@pytest.mark.parametrize("act", [actions.exit_at_once, actions.segfault], ids=["exit", "segfault"])
def test_a_death_costs_one_attempt(act):
    """The next attempt has a process of its own, and the run goes on."""
    found = outcome(act)

    assert (found.status, found.attempts) == ("succeeded", 2)


def test_the_time_to_load_the_code_is_none_of_the_attempts(tmp_path, monkeypatch):
    """Its import takes longer than the attempt has."""
    mark = tmp_path / "imported"
    (tmp_path / "slow_to_import.py").write_text(
        "import time; from pathlib import Path; from dagger import action\n"
        f"mark = Path({str(mark)!r})\n"
        "time.sleep(mark.exists() * 0.8); mark.touch()\n"
        "@action(runs_in='process')\n"
        "def act(): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    act = importlib.import_module("slow_to_import").act

    assert outcome(act, timeout=0.7, try_count=9, actions=[act]).status == "succeeded"


def test_others_do_not_notice_a_death():
    """What runs in another process meanwhile, or after it, is none the worse."""

    def build(graph):
        graph.add(actions.exit_at_once, id="dies", attempts=9, try_count=3)
        for number in range(6):
            graph.add(actions.echo, id=f"n{number}", x=number)

    report, _ = execute(build)
    assert [report.outputs[f"n{number}"]["output"] for number in range(6)] == [0, 1, 2, 3, 4, 5]
    assert report.node_outcomes["dies"].status == "failed"


def test_what_it_has_forked_does_not_hide_a_death():
    """The fork lives on for an hour, and would hold the line to the parent open."""
    found = outcome(actions.fork_and_die, try_count=1)

    assert found.final_error.endswith("ProcessDied: node 'n': its process exited with code 5")


def test_a_memo_is_found_after_a_death(tmp_path):
    """Its function has run once, though the process died twice after it."""
    found = outcome(actions.memo_then_die, file=str(tmp_path / "lines"), store=tmp_path / "runs.db")

    assert (found.status, found.attempts) == ("succeeded", 3)
    assert len((tmp_path / "lines").read_text().splitlines()) == 1


def test_a_death_leaves_no_writes_but_tokens_are_spent():
    """What was collected goes with the attempt."""
    report, cache = execute(lambda graph: graph.add(actions.write_then_die, id="n"))

    assert cache.node("global") == {"list": [2]}
    assert report.tokens == 10


@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_a_run_that_halts_kills_its_processes(order, tmp_path):
    """Nobody waits for them, and nothing of them is left."""

    async def main():
        async with Dagger("memory:") as app:
            app.include(actions)
            graph = Graph("g")
            graph.add(actions.leave_word, id="n", folder=str(tmp_path))
            app.add_graph(graph)
            run = await app.start(Static("g"))
            await asyncio.to_thread(wait_until, (tmp_path / "pids").exists)
            await (run.pause() if order == "pause" else run.cancel("enough"))
            report = await run.wait()
            return report.status, (tmp_path / "pids").read_text().split()

    status, pids = asyncio.run(main())
    assert status == {"pause": "paused", "cancel": "cancelled"}[order]
    wait_until(lambda: all(map(is_gone, pids)))


def test_a_closed_application_leaves_no_process(tmp_path):
    """What is at work is killed; the run is interrupted and could be resumed."""

    async def main():
        async with Dagger("memory:") as app:
            app.include(actions)
            graph = Graph("g")
            graph.add(actions.leave_word, id="n", folder=str(tmp_path))
            app.add_graph(graph)
            await app.start(Static("g"))
            await asyncio.to_thread(wait_until, (tmp_path / "pids").exists)
        return (tmp_path / "pids").read_text().split()

    pids = asyncio.run(main())
    assert is_gone(pids[0])
    wait_until(lambda: is_gone(pids[1]))


def test_a_process_that_died_while_idle_is_not_given_an_attempt():
    """Nobody's attempt fails for it."""

    async def main():
        async with Dagger("memory:") as app:
            app.include(actions)
            graph = Graph("g", config={"max_attempts": 1})
            graph.add(actions.pid, id="n")
            app.add_graph(graph)
            first = (await app.execute(Static("g"))).outputs["n"]["output"]
            os.kill(first, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: is_gone(first))
            return first, (await app.execute(Static("g"))).outputs["n"]["output"]

    first, second = asyncio.run(main())
    assert first != second


def what_it_is_given():
    """An attempt that gives the id of its process."""
    node = Node(id="n", action="pid", inputs=(Input(name="after", value=msgspec.Raw(b"null")),))
    return frames.AttemptInput(
        "tests.engine.process_actions:pid", "r", "g", "n", node, 1, 0, 0, {}, {}, {}, 0, list(sys.path), [], {}
    )


def test_a_process_that_was_killed_as_its_attempt_ended_is_waited_for():
    """Its result came first, so that no thread speaks with it any more: a zombie would stay, and the line to it."""
    processes = Processes()
    process = processes.take()
    result = process.attempt(what_it_is_given(), lambda _: frames.Answer(msgspec.Raw(b"0")))
    pid = int(bytes(result.success.outputs["output"]))

    process.kill()
    processes.give_back(process)

    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_process_that_was_killed_before_it_was_there_does_not_outlive_its_start():
    """Its attempt was cut off while a thread was about to start it: none of the code runs."""
    process = Processes().take()
    process.kill()

    with pytest.raises(ProcessDied, match="was killed by signal 9"):
        process.attempt(what_it_is_given(), lambda _: frames.Answer(msgspec.Raw(b"0")))


def test_an_interrupt_is_the_parents_to_deal_with():
    """Ctrl-C reaches whole groups of processes; this one goes on until it is told."""
    report, _ = execute(lambda graph: graph.add(actions.ignore_interrupt, id="n"))

    assert report.outputs["n"]["output"] == "went on"


def test_virtual_time_stands_still_while_a_process_is_at_work():
    """Its start alone would be hours to a clock that jumps."""
    clock = VirtualClock()
    report, _ = execute(lambda graph: graph.add(actions.pid, id="n", timeout=1), clock=clock)

    assert report.status == "succeeded"
    assert clock.passed_seconds == 0


def test_large_values_go_there_and_back():
    """Ten megabytes each way, through the journal's blobs."""
    text = "ü" * 5_000_000
    report, _ = execute(lambda graph: graph.add(actions.echo, id="b", x=graph.add(actions.echo, id="a", x=text)))

    assert report.outputs["b"]["output"] == text


SCRIPT = """
import atexit, sys
from dagger import Dagger, Graph, Static
app = Dagger("memory:", config={"max_attempts": 3, "retry_strategy": "immediate"})

@app.action(runs_in="process")
def act(x: int) -> list:
    print("began", flush=True)
    while x < 0:
        pass
    return [x, sys.argv[1:]]

graph = Graph("g")
graph.add(act, id="n", x=int(sys.argv[1]))
"""
GUARDED = SCRIPT + 'if __name__ == "__main__":\n    print(app.run(graph).outputs)\n'
UNGUARDED = SCRIPT + 'report = app.run(graph)\nprint(report.error, report.node_outcomes["n"].attempts)\n'


def start(tmp_path, source, number):
    script = tmp_path / "script.py"
    script.write_text(source)
    command = [sys.executable, script, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_action_of_the_script_itself_is_found(tmp_path):
    """Its file is imported once more, under another name; what it prints is seen."""
    out, _ = start(tmp_path, GUARDED, 7).communicate(timeout=60)

    assert out == "began\n{'n': {'output': [7, ['7']]}}\n"


def test_a_script_without_a_guard_is_told_to_have_one(tmp_path):
    """It would start itself again and again."""
    out, _ = start(tmp_path, UNGUARDED, 7).communicate(timeout=60)

    script = tmp_path / "script.py"
    assert out == (
        f"n: RegistryError: node 'n': its process cannot import {script}: DaggerError: it starts a run when it is "
        'imported; put what it runs under `if __name__ == "__main__":` 1\n'
    )


def test_a_module_that_starts_a_run_is_told_to_have_one_too(tmp_path):
    """As `dagger run --app script.py` imports it: each process would start one more."""
    bound = 'import os, sys\nos.environ["DEPTH"] = os.environ.get("DEPTH", "") + "x"\n'
    bound += 'os.environ["DEPTH"] == "xxx" and sys.exit()\n'
    (tmp_path / "flows.py").write_text(bound + UNGUARDED)
    out, _ = start(tmp_path, "import flows", 7).communicate(timeout=60)

    assert out == (
        "n: RegistryError: node 'n': its process cannot import flows: DaggerError: it starts a run when it is "
        'imported; put what it runs under `if __name__ == "__main__":` 1\n'
    )


def test_no_process_outlives_its_parent(tmp_path):
    """A kill of the parent ends it in the middle of an endless loop, with what it has started."""
    starts = 'import subprocess; child = subprocess.Popen(["sleep", "600"]); print(child.pid, flush=True)'
    parent = start(tmp_path, GUARDED.replace('print("began", flush=True)', starts), -1)
    child = parent.stdout.readline().strip()
    parent.kill()

    wait_until(lambda: is_gone(child))
    out, _ = parent.communicate(timeout=60)  # nobody holds its output any more
    assert out == ""


def test_an_idle_process_ends_in_an_orderly_way(tmp_path):
    """What it wants to do at its end it does."""
    source = GUARDED.replace("    return", '    atexit.register(print, "the end")\n    return')
    out, _ = start(tmp_path, source, 7).communicate(timeout=60)

    assert sorted(out.splitlines()) == ["began", "the end", "{'n': {'output': [7, ['7']]}}"]
