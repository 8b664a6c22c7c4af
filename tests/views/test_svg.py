"""SVG by the dot command: which one, and what is said when it fails."""

import stat
import sys
from pathlib import Path

import pytest

from dagger.core.errors import DaggerError
from dagger.views import svg
from dagger.views.svg import DrawingFailed, find_command, to_svg


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A machine that has only the commands made here: `commands("dot", "echo x")`."""
    beside = tmp_path / "python" / "bin"
    beside.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(beside / "python"))

    def make(name, script, folder=tmp_path):
        path = Path(folder) / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    make.beside = beside
    return make


def test_the_svg_can_stand_in_a_page(graphviz):
    """It is one element, without the declarations of a file, in fonts of equal widths."""
    drawn = to_svg('digraph { a [label="x"] }')
    assert drawn.startswith("<svg ")
    assert drawn.rstrip().endswith("</svg>")
    assert 'font-family="Helvetica Neue,Helvetica,Arial' in drawn


def test_dot_is_preferred_and_graphviz_pure_is_found_beside_python(commands):
    """A virtual environment need not be on the PATH."""
    pure = commands("graphviz-pure", "", commands.beside)
    assert find_command() == pure
    dot = commands("dot", "")
    assert find_command() == dot


def test_without_graphviz_the_error_says_how_to_get_it(commands):
    """One line, with the exact command."""
    with pytest.raises(DaggerError, match=r'no dot command is here: pip install "dagger-flow\[draw\]"'):
        to_svg("digraph {}")


def test_a_failing_command_is_quoted(commands):
    """Its exit code and what it said."""
    commands("dot", "echo 'syntax error in line 1' >&2; exit 3")
    with pytest.raises(DrawingFailed, match="dot failed with exit code 3; it said: syntax error in line 1"):
        to_svg("digraph {}")


def test_a_command_that_draws_nothing_has_failed(commands):
    """Whatever its exit code."""
    commands("dot", "exit 0")
    with pytest.raises(DrawingFailed, match="exit code 0; it said: nothing"):
        to_svg("digraph {}")


def test_a_command_that_cannot_start_is_named(commands):
    """A file that is executable and no program."""
    path = Path(commands("dot", ""))
    path.write_text("#!/no/such/interpreter\n")
    with pytest.raises(DrawingFailed, match="dot cannot be started"):
        to_svg("digraph {}")


def test_a_command_that_hangs_is_stopped(commands, monkeypatch):
    """And the error says what else can be done."""
    commands("dot", "exec /bin/sleep 30")
    monkeypatch.setattr(svg, "TIMEOUT_SECONDS", 0.05)
    with pytest.raises(DrawingFailed, match=r"drew nothing within 0\.05 s: to_dot\(\) gives the text"):
        to_svg("digraph {}")
