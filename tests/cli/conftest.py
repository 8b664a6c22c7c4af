"""A folder with an application in it, and the command, called in this process."""

import sys

import pytest
from tests.cli import shell as kit


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The current folder: `flows.py`, `asks.py` and `crew.py` with applications, `sums.yaml` with a graph.

    What is imported is forgotten.
    """
    (tmp_path / "flows.py").write_text(kit.FLOWS, "utf-8")
    (tmp_path / "asks.py").write_text(kit.ASKS, "utf-8")
    (tmp_path / "crew.py").write_text(kit.TEAM, "utf-8")
    (tmp_path / "sums.yaml").write_text(kit.SUMS, "utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)) or not file:
            del sys.modules[name]


@pytest.fixture
def shell(home, capfd):
    """`shell("run", "sums.yaml", …)` gives the exit code and what was written."""
    return lambda *words: kit.in_process(capfd, *words)


@pytest.fixture
def begin(home):
    """`begin("run", …)`: the command in a process of its own; those that are left are killed."""
    begun = []

    def start(*words, **environment):
        begun.append(kit.begin(*words, cwd=home, **environment))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        if not process.stdout.closed:
            process.communicate()


@pytest.fixture
def terminal(home):
    """`terminal("run", …)`: the command in a process of its own, at a terminal; those that are left are killed."""
    begun = []

    def start(*words):
        begun.append(kit.Terminal(*words, cwd=home))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            each.process.kill()
            each.finish()
