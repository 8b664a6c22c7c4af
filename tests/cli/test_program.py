"""dagger.cli.program: help, usage errors, bugs; what leaves as which exit code."""

import os
import subprocess
import sys

import pytest
from tests.cli.shell import typed

from dagger.cli import program
from dagger.cli.program import execute


def test_help_shows_every_command_an_example_and_the_exit_codes(shell):
    """On one screen."""
    typed = shell("--help")

    assert typed.code == 0
    for word in (
        "run",
        "publish",
        "resume",
        "dead-letters",
        "redeliver",
        "pause",
        "cancel",
        "runs",
        "show",
        "events",
        "graph",
        "validate",
        "ls",
        "schema",
        "topology",
        "tools",
    ):
        assert f"\n  {word} " in typed.out
    assert "dagger run pipeline.yaml --app flows.py -i x=10 -i y=20" in typed.out
    assert "Exit codes: 0 success, 1 the run failed" in typed.out
    assert len(typed.out.splitlines()) <= 40


def test_without_words_the_help_is_shown_and_the_exit_code_is_2(shell):
    """Nothing was asked for."""
    typed = shell()

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith("Usage: dagger ")


def test_help_loads_nothing_that_it_does_not_need():
    """It is there at once: no store, no YAML, no colours."""
    code = (
        "import sys\nfrom dagger.cli import main\ncode = main(['run', '--help'])\n"
        "assert not {'apsw', 'jsonschema_rs', 'rich'} & set(sys.modules), sorted(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_library_loads_nothing_of_the_command():
    """`import dagger` costs neither typer nor rich."""
    code = "import sys, dagger\nassert not {'typer', 'rich', 'dagger.cli'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_version_is_told(shell):
    """One line."""
    typed = shell("--version")

    assert typed.code == 0
    assert typed.out.startswith("dagger ")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["rnu"], ["error: No such command 'rnu'. Did you mean 'run'?", "`dagger --help` tells what it takes"]),
        (["run"], ["error: Missing argument 'FILE|NAME'.", "`dagger run --help` tells what it takes"]),
        (
            ["runs", "--limit", "x"],
            [
                "error: Invalid value for '--limit': 'x' is not a valid integer.",
                "`dagger runs --help` tells what it takes",
            ],
        ),
        (
            ["runs", "--tags"],
            ["error: No such option: --tags Did you mean --tag?", "`dagger runs --help` tells what it takes"],
        ),
    ],
)
def test_wrong_words_are_told_in_two_lines(shell, words, lines):
    """What is wrong, and which help to read."""
    typed = shell(*words)

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.splitlines()[1] == lines[1]
    assert typed.err.splitlines()[0].split(":")[:2] == lines[0].split(":")[:2]


def test_a_traceback_is_shown_only_on_demand(shell):
    """--debug may stand anywhere on the line."""
    (plain, *debugged) = (shell(*words) for words in (["run", "x"], ["--debug", "run", "x"], ["run", "x", "--debug"]))

    assert "Traceback" not in plain.err
    for done in debugged:
        assert done.code == plain.code == 2
        assert done.err.startswith("Traceback")
        assert done.err.endswith(plain.err)


def test_after_two_dashes_debug_is_a_word(shell):
    """As every option."""
    assert "Traceback" not in shell("show", "--", "--debug").err


def test_a_bug_leaves_with_1_and_says_that_it_is_one(monkeypatch, capsys):
    """Nobody's input is blamed for it."""

    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(program, "program", broken)

    assert execute(["runs"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "error: ZeroDivisionError: division by zero"


def test_ctrl_c_outside_of_a_run_leaves_quietly(monkeypatch, capsys):
    """130, and no word."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "program", interrupted)

    assert execute(["runs"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["schema", "--help"])
def test_a_closed_pipe_is_no_error(home, command):
    """`dagger … | head -1` says nothing of it."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "dagger", command], check=False, stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_python_m_dagger_is_the_command(home):
    """Where no script is on the path."""
    assert typed("--version", cwd=home).out.startswith("dagger ")
