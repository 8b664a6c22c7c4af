"""In a process: what an action sees, what it may do, and how its failures come home."""

import asyncio
import logging
import subprocess
import sys

import pytest
from tests.engine import process_actions as actions
from tests.engine.process_actions import execute, outcome

from dagger import Dagger, Graph, Static
from dagger.core.events import Emitted, Progressed
from dagger.testing import VirtualClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no process groups")


@pytest.fixture(scope="module")
def both():
    """What an action saw and left in a process, and in a thread: report and cache of each."""
    seen = []
    for act in (actions.look_from_process, actions.look_from_thread):

        def build(graph, act=act):
            first = graph.add(act, id="first", x={"a": [1]}, y=graph.input("word"))
            failed = graph.add("number", id="failed", x="no number", try_count=1)
            graph.add(act, id="second", x=first["seen"], y=None, after=[first, failed], run_when="finished")

        cache = {"global": {"list": [1], "sum": 10, "gone": 1}, "other": {"large": "y" * 100_000}}
        seen.append(execute(build, clock=VirtualClock(), cache=cache, inputs={"word": "z"}))
    return seen


def test_only_a_spawned_process_loads_it():
    """Nobody else pays for it."""
    code = "import sys, dagger; assert 'dagger.engine.child' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_context_shows_the_same_as_in_a_thread(both):
    """Run, node, inputs, key, deadline, outcomes, the cache with its own writes over it, errors, memos."""
    (process, process_cache), (thread, thread_cache) = both

    assert list(process.outputs) == ["first", "second"]
    assert process.outputs == thread.outputs
    assert process_cache == thread_cache


def test_what_it_collects_takes_effect_with_its_success(both):
    """Cache writes of every kind, the run's result, and tokens."""
    (report, cache), _ = both

    assert cache.node("global") == {"list": [1, "new", "again", "new", "again"], "sum": 12}
    assert cache.node("mine") == {"large": "x" * 100_000, "blob": {"$blob": "no reference", "size": 1}}
    assert (report.result, report.tokens) == ("first", 6)


def test_a_failure_action_recovers_its_step():
    """It gets the error, and the outcome of the step that it handles."""
    report, _ = execute(lambda graph: graph.add("fail", id="n", kind="odd", failure="recover", try_count=1))

    error, outcomes, inputs = report.outputs["n"]["output"]
    assert error == "Odd: only here \\ud800"
    assert outcomes["n"]["final_error"] == error
    assert inputs == ["error", "kind"]


@pytest.mark.parametrize("act", [actions.inside, actions.inside_thread], ids=["process", "thread"])
def test_steps_of_child_flows_see_their_own(act):
    """Items of a map get their item, steps of a nested graph its inputs and outputs, as in a thread."""
    nested = Graph("nested")
    first = nested.add("echo", id="first", x=nested.input("word"))
    nested.add(act, id="second", x=3, after=first)

    def build(graph):
        graph.add(act, id="each", map=graph.input("list"))
        graph.add(nested, id="sub", word="inner")

    report, cache = execute(build, inputs={"list": [5, 6]})
    outer = {"list": [5, 6]}
    assert report.outputs["each"]["output"] == [[5, {"x": 5}, outer, None], [6, {"x": 6}, outer, None]]
    assert report.outputs["sub"]["output"] == [3, {"x": 3}, {"word": "inner"}, "inner"]
    assert sorted(cache.get("global", "steps")) == ["r/each/0", "r/each/1", "r/sub/second"]


def test_an_async_function_has_a_loop_of_its_own():
    """Its memo is awaited, as anywhere."""
    report, _ = execute(lambda graph: graph.add(actions.memo_with_await, id="n"))

    assert report.outputs["n"]["output"] == [[1, 2], "Task"]


def test_waits_but_memo_are_refused():
    """Nobody would hold its process's place."""
    found = outcome(actions.sleep, try_count=1)

    assert found.final_error.endswith("StepError: node 'n': sleep: what runs in a process can only use memo")


def test_what_it_logs_prints_and_shows_reaches_the_parent(caplog, capfd):
    """Lines of the log with their fields, output as it is, progress and values as events."""
    seen = []

    async def main():
        async with Dagger("memory:") as app:
            app.include(actions)
            graph = Graph("g")
            graph.add(actions.say, id="n")
            app.add_graph(graph)
            run = await app.start(Static("g"), run_id="r")
            seen.extend([recorded.event async for recorded in run.events(live=True)])

    with caplog.at_level(logging.INFO, "dagger"):
        asyncio.run(main())

    line, failure = [record for record in caplog.records if record.name == "dagger"]
    assert (line.getMessage(), line.levelname) == ("1 of two", "INFO")
    assert (line.run, line.node, line.attempt, line.size, line.what) == ("r", "n", 1, 3, "<class 'object'>")
    assert (line.funcName, line.exc_text) == ("say", None)
    assert failure.exc_text.endswith("process_actions.Odd: shown")
    assert capfd.readouterr() == ("on stdout\n", "goes to stderr\n")
    shown = [event for event in seen if isinstance(event, (Progressed, Emitted))]
    assert [getattr(event, "fraction", None) or bytes(event.value) for event in shown] == [0.5, b'{"a":[1]}']
    assert all(event.at > 0 for event in shown)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("odd", "Odd: only here \\ud800"),
        ("exit", "SystemExit: 3"),
        ("memory", "MemoryError"),
        ("memory eaten", "MemoryError"),
        ("interrupt", "KeyboardInterrupt"),
    ],
)
def test_whatever_it_raises_fails_its_attempt(kind, told):
    """Only texts come home: the parent need not know the class."""
    assert outcome(actions.fail, kind=kind, try_count=1).final_error == f"Failed after 1 attempt. Last error: {told}"


def test_the_traceback_comes_home(caplog):
    """It shows the line in the action's file."""
    with caplog.at_level(logging.DEBUG, "dagger"):
        outcome(actions.fail, kind="odd", try_count=1)

    assert 'raise Odd("only here' in caplog.text


@pytest.mark.parametrize(
    ("act", "inputs", "told"),
    [
        (actions.give, {"kind": "nan"}, "OutputInvalid: node 'n': output 'output': at $: nan is not a JSON number"),
        (actions.give, {"kind": "object"}, "OutputInvalid: node 'n': output 'output': at $: an object is not a JSON"),
        (actions.give, {"kind": "key"}, "OutputInvalid: node 'n': an output's name is a string, not 1"),
        (actions.number, {"x": "1"}, "InputInvalid: node 'n': input 'x': expected int, got str"),
        (actions.number, {}, "InputInvalid: node 'n': input 'x' missing; action 'number' requires it"),
    ],
    ids=["nan", "object", "key", "type", "missing"],
)
def test_what_would_be_the_same_again_is_not_tried_again(act, inputs, told):
    """A result that is no JSON, an input that does not fit."""
    found = outcome(act, try_count=5, **inputs)

    assert found.attempts == 1
    assert told in found.final_error


SCRIPT = """
import sys
from pathlib import Path
from dagger import Dagger, Graph
import acts
app = Dagger("memory:")
app.include(acts)
graph = Graph("g")
graph.add("act", id="n")
if __name__ == "__main__":
    Path(acts.__file__).write_text(sys.argv[1])
    print(app.run(graph).node_outcomes["n"].final_error)
"""


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("import nowhere", "cannot import acts: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)", "cannot import acts: SystemExit: 3"),
        ("act = 1", "found no action at acts:act: there is 1"),
        ("", "found no action at acts:act: nothing is there"),
    ],
)
def test_a_module_that_is_another_there_is_told(then, told, tmp_path):
    """It was changed since it was imported here, or does not import there; another attempt would not help."""
    (tmp_path / "acts.py").write_text("from dagger import action\n@action(runs_in='process')\ndef act(): ...\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    out = subprocess.check_output(
        [sys.executable, "script.py", then], cwd=tmp_path, stderr=subprocess.DEVNULL, text=True
    )

    assert out == f"Failed after 1 attempt. Last error: RegistryError: node 'n': its process {told}\n"


def test_the_applications_actions_stay_the_parents_to_know():
    """A process has loaded what it runs, and no more."""
    found = outcome(actions.look_around)

    assert "StepError: what runs in a process does not know the application's actions" in found.final_error
