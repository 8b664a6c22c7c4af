"""dagger.cli.exits: which exit code comes of what, and errors in a few lines."""

import pytest

from dagger.cli import exits
from dagger.core.errors import GraphError, Problem, RunNotFound


@pytest.mark.parametrize(
    ("status", "code"),
    [("succeeded", 0), ("failed", 1), ("cancelled", 1), ("paused", 3), ("waiting", 3), ("interrupted", 3)],
)
def test_each_status_has_its_exit_code(status, code):
    """What is neither good nor over is 3."""
    assert exits.of_status(status) == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (exits.UsageError("so it is written"), 2, "error: so it is written\n"),
        (RunNotFound("there is no run"), 2, "error: there is no run\n"),
        (exits.RunLost("the disk is full"), 1, "error: the disk is full\n"),
        (exits.Left("it goes on"), 130, "error: it goes on\n"),
        (GraphError("there is no graph"), 2, "error: there is no graph\n"),
        (
            GraphError.of([Problem("one", file="a.yaml", line=1), Problem("two", file="b.yaml")]),
            2,
            "a.yaml:1: one\nb.yaml: two\n",
        ),
    ],
)
def test_an_error_is_told_in_a_line(capsys, error, code, said):
    """Those of files one by one, as editors read them."""
    assert exits.of_error(error) == code
    assert capsys.readouterr().err == said


def test_a_bug_is_called_one(capsys):
    """It is not the user's fault, and the way to tell us more is named."""
    assert exits.of_error(KeyError("x")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: KeyError: 'x'",
        "This is a bug in Dagger, or in code that it called at load; --debug shows where it came from.",
    ]


def test_debugging_shows_the_traceback(capsys):
    """Above the same lines."""
    try:
        raise exits.UsageError("so it is written")
    except exits.UsageError as error:
        exits.of_error(error, is_debugging=True)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "error: so it is written"
