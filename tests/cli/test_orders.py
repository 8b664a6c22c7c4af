"""dagger.cli.orders: `dagger pause` and `cancel`, from another terminal."""

import re

import pytest
from tests.cli.shell import finish, marker, wait_for


@pytest.fixture
def owner(begin, home):
    """A process that executes the run `mine`, which takes a minute; the application's code is gone meanwhile."""
    process = begin("run", "sleeping", "--app", "flows.py", "--run-id", "mine")
    wait_for(marker(home), process)
    (home / "flows.py").rename(home / "gone.py")
    return process


@pytest.mark.parametrize(
    ("order", "line", "status", "code"),
    [
        ("pause", "run mine is paused\n", "paused", 3),
        ("cancel", "run mine was cancelled\n", "cancelled", 1),
    ],
)
def test_a_run_of_another_process_takes_orders(shell, owner, order, line, status, code):
    """One line says what became of it; the owner leaves as if it had been asked itself."""
    typed = shell(order, "mine", "--reason", "tea time")

    assert (typed.code, typed.err) == (0, "")
    assert re.fullmatch(line, typed.out), typed.out
    assert finish(owner).code == code
    (row,) = shell("runs", "--json").json
    assert row["status"] == status
    assert "tea time" in row["reason"]


@pytest.mark.parametrize("order", ["pause", "cancel"])
def test_the_owner_says_why_its_run_has_stopped(shell, owner, order):
    """Nobody wonders who it was."""
    shell(order, "mine", "--reason", "tea time")

    assert "tea time" in finish(owner).err


def test_a_paused_run_is_cancelled_by_nobodys_process(shell):
    """There is no owner to do it, and the actions are not needed."""
    shell("run", "repairs", "--app", "flows.py", "--run-id", "two")

    assert shell("cancel", "two").out == "run two was cancelled\n"
    assert shell("runs", "--json").json[0]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("order", "run", "said"),
    [
        ("pause", "done", "error: run 'done' is "),
        ("cancel", "done", "error: run 'done' is over (succeeded): it cannot be cancelled"),
        ("pause", "dne", "error: there is no run 'dne' in dagger.db; did you mean 'done'?"),
        ("cancel", "dne", "error: there is no run 'dne' in dagger.db; did you mean 'done'?"),
        ("pause", "two", "error: run 'two' is paused"),
    ],
)
def test_what_cannot_be_ordered_is_refused(shell, order, run, said):
    """Exit code 2, and why."""
    shell("run", "ready", "--app", "flows.py", "--run-id", "done")
    shell("run", "repairs", "--app", "flows.py", "--run-id", "two")

    typed = shell(order, run)

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(said)
