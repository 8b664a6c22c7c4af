"""A service: processes that wait for one run of agents. They are killed; those that are left go on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX's")

DOCUMENTED = (Path(__file__).parents[1] / "docs" / "channels.md").read_text("utf-8")


@pytest.fixture
def folder(tmp_path):
    """With the service as docs/channels.md has it; what it packs takes a moment, so that it can be killed at it."""
    text = DOCUMENTED.partition("<!-- file: office.py -->\n```python no-run\n")[2].partition("```")[0]
    working = text.replace("    print(", "    await asyncio.sleep(0.2)\n    print(")
    assert working != text
    (tmp_path / "office.py").write_text(working, "utf-8")
    return tmp_path


@pytest.fixture
def serve(folder):
    """`serve("a")`: another process of the service, which writes to the file `a`."""
    processes = []

    def begin(name):
        with (folder / name).open("w") as out:
            processes.append(subprocess.Popen([sys.executable, "office.py"], cwd=folder, stdout=out, stderr=out))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def dagger(folder, *words):
    done = subprocess.run(
        [sys.executable, "-m", "dagger", *words, "--store", "office.db"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.02)


def status(folder):
    with contextlib.suppress(AssertionError):  # there is no store yet
        return dagger(folder, "runs").partition("office")[2].split()[:2]
    return []


def test_a_service_outlives_its_processes(folder, serve):
    """Killed at work, then by `kill`; what comes while there is none waits; a cancel ends those that stand by, too."""

    def packed(*names):
        return [line for name in names for line in (folder / name).read_text().splitlines()]

    first = serve("a")
    wait_for(lambda: status(folder) == ["orders", "waiting"])
    standby = serve("b")
    dagger(folder, "publish", "--run", "office", "orders", "tea")
    wait_for(lambda: packed("a") == ["packed tea"])
    dagger(folder, "publish", "--run", "office", "orders", "jam")
    first.send_signal(signal.SIGKILL)
    wait_for(lambda: "packed jam" in packed("a", "b"))
    dagger(folder, "publish", "--run", "office", "orders", "bread")
    wait_for(lambda: "packed bread" in packed("b"))

    standby.terminate()
    standby.wait(timeout=60)
    told = dagger(folder, "publish", "--run", "office", "orders", "salt")
    assert "nobody executes run office now" in told
    again, other = serve("c"), serve("d")
    wait_for(lambda: "packed salt" in packed("c", "d"))
    dagger(folder, "cancel", "office")
    assert (again.wait(timeout=60), other.wait(timeout=60)) == (0, 0)
    assert sorted(set(packed("a", "b", "c", "d"))) == ["packed bread", "packed jam", "packed salt", "packed tea"]
    assert dagger(folder, "events", "office").count('"StepSucceeded"') == 4
