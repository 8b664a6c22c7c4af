"""dagger.cli.live: what is shown while a run goes on."""

import io
import json
import re
import sys
from datetime import datetime

import msgspec
import pytest
from msgspec import Raw
from tests.views.journals import agent, posted

from dagger.cli import live
from dagger.cli.progress import Progress
from dagger.core import events
from dagger.core.graph import Definition, Node
from dagger.views.log import JsonFormatter

ERROR = events.Error("ValueError", "no\n  good")
DONE = events.StepSucceeded(at=0, step="a", duration_ms=1200)


def test_lines_are_written_as_steps_end(capsys):
    """On stderr, one each."""
    with live.Lines() as lines:
        lines.tell(DONE)
        lines.tell(events.StepStarted(at=0, step="b", attempt=1))
        lines.tick(Progress())

    assert capsys.readouterr() == ("", "done       a in 1.2 s\n")


def test_of_very_many_steps_the_rest_is_counted(capsys):
    """A run of 10,000 steps in a second is no wall of text; failures are always named."""
    with live.Lines() as lines:
        for _ in range(live.LINES_PER_TICK + 1500):
            lines.tell(DONE)
        lines.tell(events.StepSkipped(at=0, step="b", reason="x"))

    written = capsys.readouterr().err.splitlines()
    assert len(written) == live.LINES_PER_TICK + 2
    assert written[-2:] == ["skipped    b: x", "done       … and 1,500 more steps"]


def test_of_very_many_messages_from_outside_the_rest_is_counted(capsys):
    """By messages, not by events."""
    with live.Lines() as lines:
        for _ in range(live.LINES_PER_TICK + 10):
            lines.tell(events.MessagesPublished(at=0, messages=posted("tasks", 1, 2, 3)))

    written = capsys.readouterr().err.splitlines()
    assert written[0] == "published  3 messages to tasks"
    assert written[live.LINES_PER_TICK :] == ["published  … and 30 more messages"]


def test_a_stderr_that_nobody_reads_does_not_stop_the_run(monkeypatch):
    """`2>&1 | head -1`: the lines are lost, and nothing else."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with live.Lines() as lines:
        lines.tell(DONE)


def test_how_far_steps_are_is_told_once_a_second(capsys):
    """The last they said."""
    with live.Lines() as lines:
        for fraction in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            lines.tick(progress_of(told("a", fraction, "page\n3")))

    assert capsys.readouterr().err.splitlines() == ["progress   a: 10% page 3", "progress   a: 50% page 3"]


def test_who_has_said_nothing_since_is_not_told_again(capsys):
    """However long it takes."""
    progress = progress_of(told("a", 0.5))
    with live.Lines() as lines:
        for _ in range(12):
            lines.tick(progress)

    assert capsys.readouterr().err.splitlines() == ["progress   a: 50%"]


def test_quiet_is_silent_unless_something_is_bad(capsys):
    """Why a run failed is always said."""
    with live.Silent() as silent:
        silent.tell(DONE)
        silent.tick(Progress())
        silent.say("fine")
        silent.say("bad", is_bad=True)

    assert capsys.readouterr().err == "bad\n"


def test_a_log_gets_a_record_for_each_step(caplog):
    """With run, node and attempt; failures the kernel logs itself."""
    caplog.set_level("INFO")
    with live.Logged("r") as logged:
        logged.tell(DONE)
        logged.tell(events.StepSkipped(at=0, step="b", reason="x"))
        logged.tell(events.StepCancelled(at=0, step="c", attempt=1, reason="y"))
        logged.tell(events.StepFailed(at=0, step="d", attempt=1, error=ERROR, policy="pause"))
        logged.tick(Progress())
        logged.say("  over", is_bad=True)

    assert [record.getMessage() for record in caplog.records] == [
        "step a: succeeded in 1.2 s",
        "step b: skipped: x",
        "step c: cancelled: y",
        "over",
    ]
    assert [getattr(record, "node", None) for record in caplog.records] == ["a", "b", "c", None]
    assert {record.run for record in caplog.records} == {"r"}
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO", "INFO", "ERROR"]


def test_a_log_tells_what_came_from_outside_and_no_payload(caplog):
    """Messages, agents that came and went, redeliveries."""
    caplog.set_level("DEBUG")
    with live.Logged("r") as logged:
        logged.tell(events.MessagesPublished(at=0, messages=posted("tasks", "secret")))
        logged.tell(events.AgentBound(at=0, agent=agent("late", "tasks")))
        logged.tell(events.AgentRemoved(at=0, name="late"))
        logged.tell(events.Redelivered(at=0, steps=("worker#2-1",)))

    assert [record.getMessage() for record in caplog.records] == [
        "published 1 message to tasks",
        "agent late reads tasks",
        "agent late was removed; what waited at it became dead letters",
        "again worker#2-1: delivered anew",
    ]
    assert {(record.levelname, record.run) for record in caplog.records} == {("INFO", "r")}


def test_a_log_tells_who_answered_and_hides_what(caplog):
    """The question is logged by the kernel, when it is asked."""
    caplog.set_level("INFO")
    answered = events.WaitAnswered(at=0, step="a", key="k", value=Raw(b'"secret"'), review="r1", who="ann")
    with live.Logged("r") as logged:
        logged.tell(events.WaitAnswered(at=0, step="a", key="sleep:1"))
        logged.tell(answered)
        logged.tell(msgspec.structs.replace(answered, who="", value=msgspec.UNSET))

    assert [record.getMessage() for record in caplog.records] == [
        "step a: review r1 was answered by ann",
        "step a: review r1 was answered by nobody",
    ]


def test_a_log_tells_how_far_steps_are_and_hides_what_they_emit(caplog):
    """A value may be secret: it is the debug level's."""
    caplog.set_level("DEBUG")
    with live.Logged("r") as logged:
        logged.tell(events.Emitted(at=0, step="a", value=Raw(b'"secret"')))
        logged.tick(progress_of(told("a", 0.25, "page 3")))

    emitted, progressed = caplog.records
    assert (emitted.levelname, emitted.getMessage(), emitted.node) == ("DEBUG", "step a: emitted a value", "a")
    assert json.loads(JsonFormatter().format(emitted))["payload"] == "secret"
    assert (progressed.levelname, progressed.getMessage()) == ("INFO", "step a: 25% page 3")


class Screen(io.StringIO):
    """stderr, as a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def told(step, fraction, note=""):
    return events.Progressed(at=0, step=step, fraction=fraction, note=note)


NODES = tuple(Node(id=f"n{number}", action="x") for number in range(12))
BEGUN = events.RunStarted(
    at=0, run_id="r", spec=events.Spec("static", "demo"), graph=Definition(name="demo", nodes=NODES)
)


def progress_of(*journal, begun=BEGUN):
    progress = Progress()
    for seq, event in enumerate((begun, *journal), 1):
        progress.apply(events.Recorded(seq, event))
    return progress


@pytest.fixture
def screen(monkeypatch):
    """Calling it makes stderr a terminal of 100 columns, and gives what is sent to it."""

    def show():
        stream = Screen()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return show


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_terminal_shows_counts_and_names(screen):
    """Done of total, what runs, waits, is retried, failed; tokens, time, and the first names."""
    retried = events.AttemptFailed(at=0, step="n0", attempt=1, error=ERROR, retry_at=5)
    failed = events.StepFailed(at=0, step="n1", attempt=1, error=ERROR, policy="continue")
    running = [events.StepStarted(at=0, step=f"n{number}", attempt=1) for number in range(2, 12)]
    asks = events.WaitOpened(at=0, step="n11", key="r", kind="review")

    shown = screen()
    with live.Terminal() as terminal:
        terminal.tell(failed)
        terminal.tick(progress_of(events.TokensSpent(at=0, step="n1", count=1234), retried, failed, *running, asks))

    shown = plain(shown.getvalue())
    assert "failed     n1: attempt 1: ValueError: no good" in shown
    assert "1/12 steps, 9 running, 1 waiting, 1 retrying, 1 failed, 1,234 tokens, 0:00" in shown
    assert "n2, n3, n4, n5, n6, n7, n8, n9 and 2 more" in shown


def test_one_message_is_no_plural(screen):
    """As everywhere else."""
    shown = screen()
    with live.Terminal() as terminal:
        terminal.tick(progress_of(events.MessagesPublished(at=0, messages=posted("tasks", 1))))

    assert ", 1 message, 0:00" in plain(shown.getvalue())


def test_a_terminal_shows_how_far_steps_are(screen):
    """The first few that tell; with a bar, and their own words."""
    steps = [told(f"n{number}", number / 10, "of ten") for number in range(7)]

    shown = screen()
    with live.Terminal() as terminal:
        terminal.tell(events.Emitted(at=0, step="n0", value=Raw(b"[1]")))
        terminal.tick(progress_of(*steps))

    lines = plain(shown.getvalue()).replace("\r", "\n").splitlines()
    assert "emitted    n0: [1]" in lines
    rows = [line.split() for line in lines if "of ten" in line]
    assert [row[0] for row in rows][:5] == ["n0", "n1", "n2", "n3", "n4"]
    assert {row[0] for row in rows[5:]} <= {"n0", "n1", "n2", "n3", "n4"}  # the last picture is drawn twice
    assert rows[3][-3:] == ["30%", "of", "ten"]
    assert rows[3][1].startswith("━" * 5)


def test_a_terminal_shows_what_agents_do(screen):
    """A row for each of the first that messages reached: handled, failed, waiting."""
    agents = tuple(agent(f"agent{number}", f"c{number}") for number in range(11))
    begun = events.RunStarted(
        at=0, run_id="r", spec=events.Spec("events", "c0"), graph=Definition(name="c0"), agents=agents
    )
    journal = [
        events.MessagesPublished(at=0, messages=posted("c0", 1, 2, 3)),
        events.StepSucceeded(at=0, step="agent0#2-1"),
        events.StepFailed(at=0, step="agent0#2-2", attempt=1, error=ERROR, policy="list"),
        *(events.MessagesPublished(at=0, messages=posted(f"c{number}", 1)) for number in range(1, 10)),
    ]
    shown = screen()
    with live.Terminal() as terminal:
        terminal.tell(events.AgentRemoved(at=0, name="agent10"))
        terminal.tick(progress_of(*journal, begun=begun))

    lines = plain(shown.getvalue()).replace("\r", "\n").splitlines()
    assert "agent      agent10 was removed; what waited at it became dead letters" in lines
    assert any("2/12 steps, 1 failed, 12 messages, 0:00" in line for line in lines)
    rows = [line.split() for line in lines if line.strip().startswith("agent") and "#" not in line][1:9]
    assert rows[0] == ["agent0", "1", "handled", "1", "failed", "1", "waiting"]
    assert [row[0] for row in rows] == [f"agent{number}" for number in range(8)]
    assert any(line.split() == ["and", "2", "more", "agents"] for line in lines)


def test_a_terminal_shows_what_a_run_waits_for(screen):
    """And when it goes on by itself."""
    wake_at = datetime(2099, 1, 2, 3, 4).astimezone()
    waits = events.RunWaiting(at=0, reason="1 step sleeps", wake_at=int(wake_at.timestamp() * 1000))

    shown = screen()
    with live.Terminal() as terminal:
        terminal.tick(progress_of(waits))
        terminal.tick(progress_of(waits, events.RunWoken(at=1)))

    waiting, woken = plain(shown.getvalue()).split("demo", 2)[1:]
    assert "1 step sleeps; goes on at 2099-01-02 03:04" in waiting
    assert "sleeps" not in woken


def test_a_narrow_terminal_is_not_overrun(screen, monkeypatch):
    """Nothing wraps: a picture that did could not be renewed in place."""
    monkeypatch.setenv("COLUMNS", "30")
    shown = screen()
    with live.Terminal() as terminal:
        running = [events.StepStarted(at=0, step=f"n{n}", attempt=1) for n in range(9)]
        rest = events.RunWaiting(at=0, reason="for a very long time")
        terminal.tick(progress_of(*running, told("n1", 0.5, "a note of some length, and more"), rest))

    assert max(map(len, plain(shown.getvalue()).replace("\r", "\n").splitlines())) <= 30


def test_a_terminal_can_be_left_and_entered_again(screen):
    """In between somebody types there; who answered leaves a line."""
    shown = screen()
    terminal = live.Terminal()
    with terminal:
        terminal.tick(progress_of())
    shown.write("> prompt\n")
    with terminal:
        terminal.tell(events.WaitAnswered(at=0, step="a", key="k", value=Raw(b"1"), review="r1", who="ann"))
        terminal.tell(events.WaitAnswered(at=0, step="a", key="sleep:1"))
        terminal.tick(progress_of(DONE))

    _, answered = plain(shown.getvalue()).split("> prompt\n")
    assert "answered   a: 1 by ann (r1)" in answered
    assert "1/12 steps" in answered


def test_the_cursor_comes_back(screen):
    """Also where the display ends with an error."""
    shown = screen()
    with pytest.raises(ZeroDivisionError), live.Terminal():
        1 / 0  # noqa: B018 - the error is the point

    assert shown.getvalue().rindex("\x1b[?25h") > shown.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("log", "is_quiet", "kind"),
    [("json", False, live.Logged), ("text", True, live.Logged), (None, True, live.Silent), (None, False, live.Lines)],
)
def test_the_display_fits_what_was_asked(log, is_quiet, kind):
    """The log comes first; lines are for where no terminal is."""
    assert type(live.display_of("r", log, is_quiet=is_quiet)) is kind


def test_a_terminal_gets_the_picture(screen):
    """Unless something else was asked for."""
    screen()
    assert type(live.display_of("r", None, is_quiet=False)) is live.Terminal
    assert type(live.display_of("r", None, is_quiet=True)) is live.Silent
