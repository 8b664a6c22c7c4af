"""dagger.cli.output: what goes to stdout and stderr, on any terminal."""

import datetime
import io
import os
import re
import sys

import pytest

from dagger.cli import output


class Terminal(io.TextIOWrapper):
    """What looks like a terminal to who writes to it."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    def isatty(self):
        return True

    @property
    def text(self):
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def terminal(monkeypatch):
    """Calling it makes stdout a terminal of 40 columns, and gives it."""

    def show():
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return show


ROWS = [["0198-a", "succeeded", "one two three four five six"], ["0198-b", "failed", "short"]]
HEADINGS = ["run", "status", "description"]


def test_a_table_for_a_pipe_is_whole(capsys):
    """No colours, nothing cut, no spaces at the ends of lines."""
    output.write_table(HEADINGS, ROWS, elastic=["description"])

    assert capsys.readouterr().out.splitlines() == [
        "run     status     description",
        "0198-a  succeeded  one two three four five six",
        "0198-b  failed     short",
    ]


def test_a_table_fits_a_narrow_terminal(terminal):
    """Columns that may give way are cut; statuses have their colours."""
    screen = terminal()

    output.write_table(HEADINGS, ROWS, elastic=["description"])

    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen.text).splitlines()
    assert plain == [
        "run     status     description",
        "0198-a  succeeded  one two three four f…",
        "0198-b  failed     short",
    ]
    assert "\x1b[32msucceeded" in screen.text
    assert "\x1b[31mfailed" in screen.text


def test_an_id_is_never_cut(terminal):
    """It is there to be copied: rather the line is longer than the terminal."""
    screen = terminal()

    output.write_table(["run", "graph"], [["0" * 50, "a graph of a long name"]], elastic=["graph"])

    assert "0" * 50 + "  a graph of…" in screen.text


def test_colours_can_be_turned_off(terminal, monkeypatch):
    """NO_COLOR, as everywhere."""
    monkeypatch.setenv("NO_COLOR", "1")
    screen = terminal()

    output.write_table(HEADINGS, ROWS)

    assert "\x1b[3" not in screen.text


def test_wide_letters_keep_the_columns_straight(capsys):
    """Two columns for each letter of Chinese, none for an accent of its own."""
    output.write_table(["name", "n"], [["日本", "1"], ["e\u0301a", "2"], ["abcd", "3"]])

    assert capsys.readouterr().out.splitlines() == ["name  n", "日本  1", "e\u0301a    2", "abcd  3"]


def test_nothing_written_can_steer_the_terminal(capsys):
    """Escapes in names and errors are shown, not obeyed."""
    output.say("a\x1b[2Jb")
    output.write("c\x07d")
    output.write_table(["x"], [["e\x1b[31mf\ng"]])

    assert capsys.readouterr() == ("c␇d\nx\ne␛[31mf g\n", "a␛[2Jb\n")


def test_letters_that_a_terminal_lacks_are_replaced(monkeypatch):
    """They are never an error."""
    stream = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.prepare_streams()

    output.write("naïve …")

    assert stream.text == "na?ve ?\n"


def test_json_is_exact_on_every_terminal(monkeypatch, capsys):
    """Letters that it lacks are written as escapes."""
    output.write_json({"a": "naïve"}, indent=0)
    assert capsys.readouterr().out == '{"a":"naïve"}\n'

    stream = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.write_json({"a": "naïve"}, indent=0)
    assert stream.text == '{"a": "na\\u00efve"}\n'


def test_stdout_can_be_kept_for_one_thing(capfd):
    """Prints, and what is written below Python, go to stderr meanwhile."""
    with output.stdout_kept():
        print("printed")
        os.write(1, b"raw\n")
    print("kept")

    assert capfd.readouterr() == ("kept\n", "printed\nraw\n")


def test_times_are_local_and_short():
    """The date stands only where it is another day."""
    now = datetime.datetime.now(datetime.UTC)

    assert output.local_time(now) == now.astimezone().strftime("%H:%M:%S")
    past = datetime.datetime(2020, 5, 17, 12, 0, tzinfo=datetime.UTC)
    assert output.local_time(past) == past.astimezone().strftime("%Y-%m-%d %H:%M")


def test_values_are_shortened():
    """JSON, cut."""
    assert output.short({"a": [1, None]}) == '{"a":[1,null]}'
    assert output.short("x" * 300) == '"' + "x" * 198 + "…"


def test_numbers_have_their_plural():
    """And thousands are told apart."""
    assert [output.count(number, "node") for number in (0, 1, 2000)] == ["0 nodes", "1 node", "2,000 nodes"]


@pytest.mark.parametrize(
    ("options", "text"), [(None, "Go on?"), (["yes", 5, None], "Go on? [yes, 5, null]"), ([["a"]], 'Go on? [["a"]]')]
)
def test_a_question_is_told_with_its_options(options, text):
    """Texts as they stand, all else as JSON."""
    assert output.question("Go on?", options) == text
