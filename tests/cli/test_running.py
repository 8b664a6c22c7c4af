"""dagger.cli.running: `dagger run` and `dagger resume`, from the words to the exit code."""

import json
import shlex
import signal
import subprocess
import sys

import pytest
from tests.cli.shell import finish, left_waiting, marker, run_ids, typed, wait_for

_NOTHING = "there is no file '{}', and no registered graph of this name"
SUMS = ("run", "sums.yaml", "--app", "flows.py", "-i", "x=1", "-i", "y=2")


def test_a_run_that_succeeds_leaves_with_0_and_prints_what_it_gave(shell):
    """Outputs of the last nodes are on stdout, alone; the rest is on stderr."""
    typed = shell(*SUMS)

    assert typed.code == 0
    assert typed.out == "second.sum = 4.0\n"
    assert "succeeded after" in typed.err
    assert typed.err.rstrip().endswith("2 steps")


def test_a_graph_is_run_by_its_name(shell):
    """NAME is one that the application has loaded."""
    assert shell("run", "ready", "--app", "flows").out == "add.sum = 3.0\n"


def test_json_is_the_report_and_nothing_else_is_on_stdout(shell):
    """What an action prints goes to stderr, so that a program can read stdout."""
    typed = shell("run", "chatty", "--app", "flows.py", "--json")

    assert typed.json["status"] == "succeeded"
    assert typed.json["outputs"] == {"chatty": {"output": "said"}}
    assert "printed by the action" in typed.err


@pytest.mark.parametrize("json_asked", [[], ["--json"]])
def test_what_steps_tell_of_themselves_is_shown_at_once(home, begin, json_asked):
    """How far they are, and values that they show; both for people only."""
    running = begin("run", "telling", "--app", "flows.py", *json_asked)
    told = set()
    while len(told) < 2:
        told.add(running.stderr.readline())
    (home / "heard").touch()
    done = finish(running)

    assert told == {'emitted    telling: {"page":3}\n', "progress   telling: 50% half way\n"}
    assert done.json["status"] == "succeeded" if json_asked else done.out == ""


def test_a_run_that_sleeps_is_waited_for(shell):
    """The command stays until it is over."""
    assert shell("run", "naps", "--app", "flows.py", "-i", "seconds=0.1").code == 0


def test_what_an_action_prints_stays_on_stdout_otherwise(shell):
    """Without --json nobody's output is taken away."""
    assert shell("run", "chatty", "--app", "flows.py").out.splitlines()[0] == "printed by the action"


def test_quiet_says_nothing_on_success(shell):
    """Only outputs are left."""
    assert shell(*SUMS, "--quiet").err == ""


def test_inputs_come_from_words_and_from_files(shell, home):
    """@file.json gives several, and what stands later wins."""
    (home / "given.json").write_text('{"x": 40, "y": 5}')

    typed = shell("run", "sums.yaml", "--app", "flows.py", "-i", "@given.json", "-i", "y=1")

    assert typed.out == "second.sum = 42.0\n"


def test_without_an_application_the_missing_actions_are_named(shell):
    """A file alone cannot run."""
    typed = shell("run", "sums.yaml")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err == ("error: --app is missing: where are the actions add? --app module:name or path/file.py:name\n")


def test_a_name_without_an_application_is_refused(shell):
    """A name means nothing without an application."""
    typed = shell("run", "sums")

    assert typed.code == 2
    assert "which application has the graph 'sums'?" in typed.err


def test_an_unknown_graph_names_the_nearest(shell):
    """A slip of the finger is found at once."""
    typed = shell("run", "redy", "--app", "flows.py")

    assert (typed.code, typed.err) == (2, f"error: {_NOTHING.format('redy')}; did you mean the graph 'ready'?\n")


def test_a_missing_file_is_named(shell):
    """No traceback, and no store is made."""
    typed = shell("run", "nothing.yaml", "--app", "flows.py")

    assert typed.code == 2
    assert typed.err.startswith(f"error: {_NOTHING.format('nothing.yaml')}; registered: ready, ")


def test_nested_graphs_are_found_in_the_files_beside(shell, home):
    """Their nodes' graphs too; a bad file that is none of them is in nobody's way."""
    (home / "main.yaml").write_text("name: main\nnodes: [{id: all, graph: middle, inputs: {x: {value: 1}}}]\n")
    (home / "m.yml").write_text("name: middle\nnodes: [{id: s, graph: sums, inputs: {x: inputs.x, y: {value: 2}}}]\n")
    (home / "bad.yaml").write_text("name: bad\nnodes: 5\n")

    typed = shell("run", "main.yaml", "--app", "flows.py")

    assert (typed.code, typed.out) == (0, "all.sum = 4.0\n")


def test_a_bad_file_that_may_hold_a_missing_graph_is_told(shell, home):
    """All problems, a line each."""
    (home / "main.yaml").write_text("name: main\nnodes: [{id: all, graph: bad}]\n")
    (home / "bad.yaml").write_text("name: bad\nnodes: 5\n")

    typed = shell("run", "main.yaml", "--app", "flows.py")

    assert typed.code == 2
    assert [line.split(" ")[0] for line in typed.err.splitlines()] == ["main.yaml:2:", "bad.yaml:2:"]
    assert "node 'all': there is no graph 'bad', neither registered nor in a sound file of this folder" in typed.err


def test_every_problem_of_a_file_is_one_line(shell, home):
    """file:line: message, as editors read it."""
    (home / "bad.yaml").write_text("name: bad\nnodes:\n  - {id: a, action: ad}\n  - {id: b, action: add, timeot: 1}\n")

    typed = shell("run", "bad.yaml", "--app", "flows.py")

    assert typed.code == 2
    assert [line.split(" ")[0] for line in typed.err.splitlines()] == ["bad.yaml:3:", "bad.yaml:4:"]


def test_missing_inputs_are_told_with_the_option_that_gives_them(shell, home):
    """All of them, and no store is made."""
    typed = shell("run", "sums.yaml", "--app", "flows.py")

    assert typed.code == 2
    assert "run input 'x' is missing; run input 'y' is missing" in typed.err
    assert "-i key=value" in typed.err
    assert not (home / "dagger.db").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i", "x"], "error: -i 'x': write key=value or @file.json\n"),
        (["--tag", "x"], "error: --tag 'x': write key=value\n"),
        (["--config", "max_paralel=3"], "unknown setting 'max_paralel'; did you mean 'max_parallel'?"),
        (["--config", "max_parallel=0"], "--config: max_parallel: 0: must be a whole number of at least 1"),
        (["--dot", "nowhere/run.dot"], "error: --dot nowhere/run.dot: there is no folder "),
        (["--app", "nothing.py"], "error: nothing.py does not exist"),
        (["--store", "flows.py"], "flows.py is not a SQLite file"),
        (["--store", "."], "is a directory; name a file in it"),
        (["--store", "nats://somewhere"], "is no store that this version knows"),
        (["--log", "xml"], "'xml' is not one of 'text', 'json'"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_wrong_words_leave_with_2_and_begin_nothing(shell, words, said):
    """Where, what, and what to do: at most three lines, no traceback."""
    typed = shell(*SUMS, *words)

    assert (typed.code, typed.out) == (2, "")
    assert said in typed.err
    assert len(typed.err.splitlines()) <= 3


def test_a_store_of_a_newer_version_is_refused(shell, home):
    """The message says what to upgrade."""
    shell(*SUMS)
    code = "import sqlite3; sqlite3.connect('dagger.db').execute('PRAGMA user_version = 99')"
    subprocess.run([sys.executable, "-c", code], check=True)

    typed = shell(*SUMS)

    assert typed.code == 2
    assert "dagger.db has store version 99" in typed.err


def test_a_failed_step_pauses_and_the_command_that_goes_on_is_printed(shell, home):
    """Exit code 3; the last line can be pasted into any shell, in any folder."""
    typed = shell("run", "repairs", "--app", "flows.py")

    (run_id,) = run_ids(shell)
    assert typed.code == 3
    assert "fragile: ConnectionError: the other" in typed.err
    assert typed.err.splitlines()[-1] == f"  go on:   dagger resume {run_id} --store {home / 'dagger.db'}"


def test_failed_attempts_are_told_once(shell):
    """The log's warnings of them are left to the display."""
    typed = shell("run", "repairs", "--app", "flows.py")

    assert typed.err.count("attempt 1") == 1
    assert typed.err.count("attempt 2") == 1


def test_warnings_of_an_action_are_seen(home):
    """ctx.log.warning reaches the person, with its step."""
    assert "wordy #1] mind the step" in typed("run", "wordy", "--app", "flows.py", cwd=home).err


def test_a_run_that_failed_leaves_with_1(shell):
    """`stop` ends it; it cannot be resumed, so its details are offered."""
    typed = shell("run", "repairs", "--app", "flows.py", "--config", "on_failure=stop")

    assert typed.code == 1
    assert "details: dagger show " in typed.err


def test_a_used_up_limit_is_doubled_in_the_command_that_goes_on(shell):
    """Resumed as it is, the run would pause again at once."""
    typed = shell("run", "spend", "--app", "flows.py", "--config", "max_tokens=10")

    assert typed.code == 3
    assert typed.err.splitlines()[-1].endswith("--config max_tokens=20")


def test_what_is_printed_to_go_on_works_when_it_is_pasted(shell, home):
    """With the limit that it raises."""
    typed = shell("run", "spend", "--app", "flows.py", "--config", "max_tokens=10")

    words = shlex.split(typed.err.splitlines()[-1].removeprefix("  go on:   dagger "))

    assert shell(*words).code == 0


def test_a_run_in_memory_cannot_be_resumed_and_says_so(shell, home):
    """No file is made, and no command is offered that would not work."""
    typed = shell("run", "repairs", "--app", "flows.py", "--store", "memory:")

    assert typed.code == 3
    assert "kept in memory only" in typed.err
    assert not (home / "dagger.db").exists()


def test_a_run_id_that_is_taken_attaches_or_refuses(shell):
    """The same run again is that run; another one is an error."""
    first = shell(*SUMS, "--run-id", "mine", "--json")
    again = shell(*SUMS, "--run-id", "mine", "--json")
    other = shell(*SUMS, "-i", "x=7", "--run-id", "mine")

    assert again.json == first.json
    assert other.code == 2
    assert "run 'mine' exists already, with another spec, graph or inputs" in other.err


def test_the_picture_is_written_at_the_end(shell, home):
    """--dot, for failed runs too."""
    shell("run", "repairs", "--app", "flows.py", "--dot", "run.dot")

    assert (home / "run.dot").read_text().startswith("digraph")


def test_a_picture_that_cannot_be_written_loses_nothing(shell, home):
    """The run's own exit code stands."""
    (home / "run.dot").mkdir()

    typed = shell(*SUMS, "--dot", "run.dot")

    assert (typed.code, typed.out) == (0, "second.sum = 4.0\n")
    assert "error: --dot run.dot: Is a directory" in typed.err


def test_tags_stand_with_the_run(shell):
    """They are texts, whatever they look like."""
    shell(*SUMS, "--tag", "customer=7")

    assert shell("runs", "--json").json[0]["tags"] == {"customer": "7"}


def test_a_log_in_json_takes_the_place_of_the_progress(shell):
    """Every line of stderr is an object, the last words too."""
    typed = shell("run", "repairs", "--app", "flows.py", "--log", "json")

    lines = [json.loads(line) for line in typed.err.splitlines()]
    assert {line["run"] for line in lines} == set(run_ids(shell))
    assert lines[0]["message"].startswith("step fragile: attempt 1 failed")
    assert lines[-1]["message"].startswith("go on:   dagger resume ")


def test_a_line_of_the_log_says_whose_it_is(shell):
    """Run, node and attempt, then what the call itself adds; a payload is the debug level's."""
    lines = map(
        json.loads, shell("run", "wordy", "--app", "flows.py", "--log", "json", "--run-id", "mine").err.splitlines()
    )

    line = next(line for line in lines if line["level"] == "warning")
    assert list(line) == ["time", "level", "logger", "message", "run", "node", "attempt", "centimetres"]
    assert (line["message"], line["run"], line["node"], line["attempt"]) == ("mind the step", "mine", "wordy", 1)
    assert line["centimetres"] == 20


def test_a_paused_run_goes_on_in_another_process_and_folder(shell, home, tmp_path_factory):
    """The journal knows where the application is: no --app is needed."""
    shell("run", "repairs", "--app", "flows.py")
    (home / "mended").touch()
    (run_id,) = run_ids(shell)

    resumed = typed("resume", run_id, "--store", home / "dagger.db", cwd=tmp_path_factory.mktemp("elsewhere"))
    assert resumed.code == 3, "there is no file `mended` in that folder"
    resumed = typed("resume", run_id[-6:], cwd=home)
    assert (resumed.code, resumed.out) == (0, "add.output = 2.0\n")


def test_a_resumed_run_tells_only_what_is_new(shell, home):
    """Lines of what happened before are not said again."""
    shell("run", "repairs", "--app", "flows.py")
    (home / "mended").touch()

    typed = shell("resume", run_ids(shell)[0])

    assert typed.err.splitlines()[0].startswith("done       fragile in ")


def test_an_input_is_given_to_the_resumed_run(shell, home):
    """It becomes global.input, and is in the journal."""
    shell("run", "repairs", "--app", "flows.py")
    shell("resume", run_ids(shell)[0], "--input", '{"answer": 42}')

    events = shell("events", run_ids(shell)[0]).out.splitlines()
    (resumed,) = [event for event in map(json.loads, events) if event["type"] == "RunResumed"]
    assert resumed["input"] == {"answer": 42}


def test_an_input_answers_the_one_open_review(shell):
    """As `dagger answer` would."""
    left_waiting("mine")

    typed = shell("resume", "mine", "--input", "green")

    assert (typed.code, typed.out) == (0, 'choose.output = "green"\n')


def test_an_input_that_is_no_answer_is_refused(shell):
    """And the run stays as it was."""
    left_waiting("mine")

    typed = shell("resume", "mine", "--input", "blue")

    assert typed.code == 2
    assert '"blue" is none of the options; choose one of "red", "green"' in typed.err
    assert len(shell("reviews", "--json").json) == 1


def test_a_finished_run_cannot_be_resumed(shell, home):
    """Also where its application is gone: that is not what is wrong."""
    shell(*SUMS)
    (home / "flows.py").unlink()

    typed = shell("resume", run_ids(shell)[0])

    assert typed.code == 2
    assert "is over (succeeded): it cannot be resumed" in typed.err


def test_an_unknown_run_cannot_be_resumed(shell):
    """The command that lists them is named."""
    shell(*SUMS)

    typed = shell("resume", "nothing")

    assert typed.code == 2
    assert typed.err == ("error: there is no run 'nothing' in dagger.db; `dagger runs --store dagger.db` lists them\n")


def test_resuming_makes_no_store(shell, home):
    """With --app neither."""
    for words in (["resume", "x"], ["resume", "x", "--app", "flows.py"]):
        typed = shell(*words)
        assert typed.code == 2
        assert "there is no store dagger.db" in typed.err
    assert not (home / "dagger.db").exists()


def test_an_application_that_has_moved_is_told_with_the_way_out(shell, home):
    """--app names where it is now."""
    shell("run", "repairs", "--app", "flows.py")
    (home / "flows.py").rename(home / "moved.py")

    typed = shell("resume", run_ids(shell)[0])

    assert typed.code == 2
    assert f"{home / 'flows.py'} does not exist" in typed.err
    assert "--app names another" in typed.err
    assert shell("resume", run_ids(shell)[0], "--app", "moved.py").code == 3


def test_an_application_without_the_actions_is_told_with_the_way_out(shell, home):
    """Which action is missing, and whose application it was."""
    (home / "other.py").write_text("from dagger import Dagger\napp = Dagger()\n")
    shell("run", "repairs", "--app", "flows.py")

    typed = shell("resume", run_ids(shell)[0], "--app", "other.py")

    assert typed.code == 2
    assert "action 'fragile' is not registered" in typed.err
    assert "--app names another" in typed.err


def test_the_module_that_was_named_is_the_one_in_the_journal(shell, home):
    """An application is often made in one module, and given its actions in another."""
    (home / "more.py").write_text("from flows import app as shop\n\n@shop.action\ndef one() -> int:\n    return 1\n")
    (home / "one.yaml").write_text("name: one\nnodes: [{id: a, action: one}]\n")

    shell("run", "one.yaml", "--app", "more:shop")

    assert shell("runs", "--json").json[0]["app"] == f"{home / 'more.py'}:shop"


def test_a_run_that_another_process_executes_cannot_be_resumed(shell, home, begin):
    """Its owner's process is named."""
    owner = begin("run", "sleeping", "--app", "flows.py", "--run-id", "mine")
    wait_for(marker(home), owner)

    typed = shell("resume", "mine")
    owner.kill()

    assert typed.code == 2
    assert f"run 'mine' is owned by process {owner.pid}" in typed.err
    assert finish(owner).out == ""


def test_a_killed_run_is_interrupted_and_goes_on(shell, home, begin):
    """kill -9: what was done is not done again."""
    owner = begin("run", "sleeping", "--app", "flows.py")
    wait_for(marker(home), owner)
    owner.kill()
    finish(owner)

    (row,) = shell("runs", "--json", "--status", "interrupted").json
    again = begin("resume", row["run_id"])
    wait_for(lambda: shell("runs", "--json").json[0]["status"] == "running", again)
    again.send_signal(signal.SIGINT)
    assert finish(again).code == 130


def test_ctrl_c_cancels_the_run_in_an_orderly_way(shell, home, begin):
    """The journal says so, and the exit code is a shell's 130."""
    running = begin("run", "sleeping", "--app", "flows.py")
    wait_for(marker(home), running)
    running.send_signal(signal.SIGINT)

    done = finish(running)

    assert done.code == 130
    assert "RunCancelled: Ctrl-C" in done.err
    assert shell("runs", "--json").json[0]["status"] == "cancelled"


def test_a_second_ctrl_c_leaves_at_once(shell, home, begin):
    """Also where an action blocks the event loop; the run is interrupted, as after a kill -9."""
    running = begin("run", "blocking", "--app", "flows.py")
    wait_for(marker(home), running)
    running.send_signal(signal.SIGINT)
    while running.poll() is None:
        running.send_signal(signal.SIGINT)

    done = finish(running)
    (row,) = shell("runs", "--json").json
    assert done.code == 130
    assert f"left run {row['run_id']} at once" in done.err
    assert row["status"] == "interrupted"


def test_ctrl_c_leaves_a_run_alone_that_another_process_executes(shell, home, begin):
    """Who attached to it only looks on."""
    words = ("run", "sleeping", "--app", "flows.py", "--run-id", "mine")
    owner = begin(*words)
    wait_for(marker(home), owner)
    guest = begin(*words)
    assert guest.stderr.readline().startswith("done       add in ")
    guest.send_signal(signal.SIGINT)
    done = finish(guest)

    assert done.code == 130
    assert "goes on in another process" in done.err
    assert shell("runs", "--json").json[0]["status"] == "running"
    owner.kill()
    finish(owner)


def test_a_store_that_fails_meanwhile_leaves_with_1(home):
    """What was acknowledged is kept, and the command that goes on is named."""
    (home / "breaking.py").write_text(
        "import os\n"
        "from dagger import Dagger\n"
        "app = Dagger()\n"
        "@app.action\n"
        "async def add(a: float, b: float) -> float:\n"
        "    import dagger.store.writer as writer\n"
        "    def fail(*_): raise OSError(28, 'No space left on device')\n"
        "    writer.transaction = fail\n"
        "    return a + b\n"
    )

    done = typed("run", "sums.yaml", "--app", "breaking.py", "-i", "x=1", "-i", "y=2", cwd=home)

    assert done.code == 1
    assert "go on: dagger resume " in done.err
    assert "Traceback" not in done.err


AGENT = ("agent", "tea", "--app", "asks.py", "--run-id", "mine")


def test_an_agent_works_on_a_task(shell):
    """By turns of the supervisor that is named; its result is printed."""
    typed = shell(*AGENT, "--supervisor", "plan", "--tag", "team=docs")

    assert (typed.code, typed.out) == (0, 'result = "tea done"\n')
    assert "done       search_2_1 in " in typed.err
    assert shell("runs", "--json").json[0]["tags"] == {"team": "docs"}


def test_an_agent_works_instructions(shell):
    """Those of the highest priority first; what is none is kept by the run, and skipped."""
    words = [
        '{"action": "search", "params": {"q": "low"}}',
        '{"action": "search", "params": {"q": "high"}, "priority": 5}',
        '{"action": "nothing"}',
    ]
    typed = shell(*AGENT, *(word for each in words for word in ("--instruction", each)))

    assert (typed.code, typed.out) == (0, 'search_1_1.output = "HIGH"\nsearch_2_1.output = "LOW"\n')


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--instruction", "{bad"], "error: --instruction {bad: JSON is malformed: "),
        (["--instruction", '{"a": NaN}'], 'error: --instruction {"a": NaN}: NaN is not JSON'),
        ([], "error: supervisor_step only works instructions, and there is none: nothing would be done\n"),
        (["--supervisor", "pln"], "action 'pln' is not registered; did you mean 'plan'?"),
        (["--supervisor", "search"], "supervisor 'search' does not receive its context"),
        (["--config", "max_paralel=3"], "unknown setting 'max_paralel'"),
    ],
)
def test_an_agent_that_cannot_be_is_refused(shell, home, words, said):
    """Nothing is begun."""
    typed = shell(*AGENT, *words)

    assert (typed.code, typed.out) == (2, "")
    assert said in typed.err
    assert not (home / "dagger.db").exists()


def test_an_agent_needs_an_application(shell):
    """Its actions are what the supervisor's nodes call."""
    assert shell("agent", "tea").err == (
        "error: --app is missing: whose actions? --app module:name or --app path/file.py\n"
    )
