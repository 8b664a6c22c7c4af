"""dagger.cli.telling: whoever owns a run is told; where nobody does, the run goes on in the command, or waits."""

import contextlib
import signal
import sqlite3

import pytest
from tests.cli.shell import events_of, finish, wait_for

TASK = '{"word": "ab", "times": 2}'
BAD = '{"word": "bad", "times": 1}'


@pytest.fixture
def paused(shell):
    """The run `mine` is paused."""
    assert shell("publish", "tasks", BAD, "--app", "crew.py", "--run-id", "mine").code == 3


def test_a_paused_run_is_told_and_stays_paused(shell, home, paused):
    """The command that goes on is named; that is what was asked for, so the exit code is 0."""
    typed = shell("publish", "--run", "mine", "tasks", TASK)

    (published,) = [event for event in events_of(shell, "mine") if event["type"] == "MessagesPublished"]
    assert typed.code == 0
    assert typed.out.splitlines() == [
        f"message {published['seq']}-1 is published; run mine is paused",
        f"  go on: dagger resume mine --store {home / 'dagger.db'}",
    ]
    assert shell("runs", "--json").json[0]["status"] == "paused"


def test_what_a_paused_run_was_told_is_given_to_programs(shell, home, paused):
    """Also where its application is now."""
    (home / "crew.py").rename(home / "moved.py")
    told = shell("publish", "--run", "mine", "tasks", TASK, "--app", "moved.py", "--json").json

    assert len(told.pop("messages")) == 1
    assert told == {
        "run_id": "mine",
        "status": "paused",
        "is_executed": False,
        "go_on": f"dagger resume mine --store {home / 'dagger.db'} --app {home / 'moved.py'}:app",
    }


def test_ctrl_c_ends_a_command_whose_message_has_no_room_yet(begin, shell, home):
    """The message is in the inbox by then: the run takes it in when it can."""
    owner = begin("publish", "heavy", "--keep-alive", "--app", "crew.py", "--run-id", "mine")
    wait_for(lambda: "waits for messages" in shell("runs").out, owner)
    shell("publish", "--run", "mine", "heavy", "one")  # until it is carried there is no room for more
    left = begin("publish", "--run", "mine", "heavy", "two")
    wait_for(lambda: unread() == 1, left)
    left.send_signal(signal.SIGINT)

    done = finish(left)
    assert (done.code, done.out) == (130, "")
    assert done.err.startswith("error: run mine has not taken all of it in yet; what is in its inbox, it will")
    (home / "relieved").touch()
    wait_for(lambda: len(handled(shell)) == 2, owner)


def unread():
    """How many orders wait in the inboxes of the store."""
    with contextlib.closing(sqlite3.connect("file:dagger.db?mode=ro", uri=True)) as store:
        return store.execute("SELECT count(*) FROM inbox").fetchone()[0]


def handled(shell):
    return [event for event in events_of(shell, "mine") if event["type"] == "StepSucceeded"]
