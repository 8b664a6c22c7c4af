"""dagger.cli.live: what is shown while a run goes on."""

import asyncio
import io
import re
import sys

import pytest

from dagger.cli import live
from dagger.cli.progress import Progress
from dagger.core import events
from dagger.core.graph import Definition, Node

ERROR = events.Error("ValueError", "no\n  good")
DONE = events.StepSucceeded(at=0, step="a", duration_ms=1200)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (DONE, "done       a in 1.2 s"),
        (
            events.AttemptFailed(at=0, step="a", attempt=2, error=ERROR, retry_at=2000),
            "retry      a: attempt 2 failed: ValueError: no good; again in 2.0 s",
        ),
        (
            events.StepFailed(at=0, step="a", attempt=3, error=ERROR, policy="pause"),
            "failed     a: attempt 3: ValueError: no good",
        ),
        (events.StepSkipped(at=0, step="b", reason="'a' failed"), "skipped    b: 'a' failed"),
        (events.StepCancelled(at=0, step="b", attempt=1, reason="Ctrl-C"), "cancelled  b: Ctrl-C"),
        (
            events.LimitReached(at=0, limit="max_tokens", value=10, policy="pause"),
            "limit      max_tokens of 10 used up",
        ),
        (events.StepStarted(at=0, step="a", attempt=1), None),
    ],
)
def test_events_are_told_in_one_line_each(event, line):
    """Those that people want to hear of."""
    assert live.line_of(event) == line


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


def test_a_stderr_that_nobody_reads_does_not_stop_the_run(monkeypatch):
    """`2>&1 | head -1`: the lines are lost, and nothing else."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with live.Lines() as lines:
        lines.tell(DONE)


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


class Screen(io.StringIO):
    """stderr, as a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def progress_of(*journal):
    nodes = tuple(Node(id=f"n{number}", action="x") for number in range(12))
    begun = events.RunStarted(
        at=0, run_id="r", spec=events.Spec("static", "demo"), graph=Definition(name="demo", nodes=nodes)
    )
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


def test_a_narrow_terminal_is_not_overrun(screen, monkeypatch):
    """Nothing wraps: a picture that did could not be renewed in place."""
    monkeypatch.setenv("COLUMNS", "30")
    shown = screen()
    with live.Terminal() as terminal:
        terminal.tick(progress_of(*(events.StepStarted(at=0, step=f"n{n}", attempt=1) for n in range(9))))

    assert max(map(len, plain(shown.getvalue()).replace("\r", "\n").splitlines())) <= 30


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


class Going:
    """A run that ends when it is told to, and a journal that grows."""

    id = "r"

    def __init__(self, journal=()):
        self.journal = list(journal)
        self.ended = asyncio.Event()
        self.cancelled_for = None

    async def wait(self):
        await self.ended.wait()
        return "the report"

    async def cancel(self, reason):
        self.cancelled_for = reason
        self.ended.set()

    def read(self, run_id, after, limit):
        for seq, event in list(enumerate(self.journal, 1))[after : after + limit]:
            yield events.Recorded(seq, event)


class Heard(live.Silent):
    """A display that keeps what it was told."""

    is_blind = False

    def __init__(self):
        self.events = []
        self.said = []

    def tell(self, event):
        self.events.append(event)

    def say(self, text, *, is_bad=False):
        self.said.append(text)


def test_everything_is_told_before_the_report_is_given():
    """Events that came with the end are not lost, and none is told twice."""

    async def main():
        run, display = Going([DONE] * 1000), Heard()
        following = asyncio.ensure_future(live.follow(run, run.read, display, Progress(), asyncio.Event()))
        await asyncio.sleep(0)
        run.journal += [DONE] * 234
        run.ended.set()
        return await following, len(display.events)

    assert asyncio.run(main()) == ("the report", 1234)


def test_what_was_known_is_not_told_again():
    """A resumed run's display begins where the run does."""

    async def main():
        run, display, progress = Going([DONE] * 10), Heard(), Progress()
        progress.seq = 7
        run.ended.set()
        await live.follow(run, run.read, display, progress, asyncio.Event())
        return len(display.events)

    assert asyncio.run(main()) == 3


def test_to_stop_is_to_cancel_the_run():
    """In an orderly way: its report is still given."""

    async def main():
        run, display, stop = Going(), Heard(), asyncio.Event()
        stop.set()
        report = await live.follow(run, run.read, display, Progress(), stop)
        return report, run.cancelled_for, display.said

    assert asyncio.run(main()) == ("the report", "Ctrl-C", ["cancelling the run; Ctrl-C again leaves at once"])
