"""Log lines, for people and as JSON."""

import json
import logging
import re
import sys

import pytest

from dagger.views.log import JsonFormatter, TextFormatter

STEP = {"run": "run-1", "node": "resize", "attempt": 2}


def record(message="hello", *args, level=logging.INFO, trace=None, **added):
    made = logging.LogRecord("dagger", level, "x.py", 1, message, args, trace)
    made.created = 1_780_000_000.25
    made.__dict__.update(added)
    return made


def as_json(*args, **fields):
    line = JsonFormatter().format(record(*args, **fields))
    assert "\n" not in line
    return json.loads(line)


def as_text(*args, **fields):
    return TextFormatter().format(record(*args, **fields))[13:]


def raised():
    try:
        raise ValueError("boom")
    except ValueError:
        return sys.exc_info()


def test_a_json_line_has_time_level_message_and_step():
    """Then the call's own fields."""
    assert as_json("took %s", "long", seconds=3, **STEP) == {
        "time": "2026-05-28T20:26:40.250Z",
        "level": "info",
        "logger": "dagger",
        "message": "took long",
        "run": "run-1",
        "node": "resize",
        "attempt": 2,
        "seconds": 3,
    }


def test_a_text_line_has_the_same_for_people():
    """In local time, the step in brackets."""
    line = TextFormatter().format(record("took long", level=logging.WARNING, seconds=3, **STEP))
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.250 WARNING \[run-1 resize #2\] took long  seconds=3", line)
    assert as_text("hello") == "INFO    hello"
    assert as_text("hello", run="run-1") == "INFO    [run-1] hello"


def test_an_exception_is_told_with_its_traceback():
    """In JSON as one field, for people indented below the line."""
    assert as_json("oh", trace=raised())["exception"].endswith("ValueError: boom")
    assert as_text("oh", trace=raised()).endswith("\n    ValueError: boom")
    assert as_json("oh", stack_info="Stack:\n  here")["stack"] == "Stack:\n  here"
    assert as_text("oh", stack_info="Stack:\n  here").endswith("oh\n    Stack:\n      here")


def test_nothing_logged_passes_for_a_line_of_its_own():
    """Newlines are indented or escaped, control characters shown."""
    assert as_text("one\n20:26:40.250 INFO    two\x1b[31m") == "INFO    one\n    20:26:40.250 INFO    two␛[31m"
    assert as_json("one\ntwo\x1b")["message"] == "one\ntwo\x1b"


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_payloads_are_not_written_above_the_debug_level(level):
    """They may hold what is secret."""
    assert "payload" not in as_json("x", level=level, payload={"key": "secret"})
    assert "secret" not in as_text("x", level=level, payload={"key": "secret"})


def test_payloads_are_written_at_the_debug_level():
    """Whoever asks for it sees them."""
    assert as_json("x", level=logging.DEBUG, payload={"key": 1})["payload"] == {"key": 1}
    assert as_text("x", level=logging.DEBUG, payload={"key": 1}) == 'DEBUG   x  payload={"key":1}'


def test_any_value_can_be_logged():
    """What is no JSON value is written as Python would show it; a taken name gets an underscore."""
    line = as_json("x", thing=object, number=float("nan"), bad="\ud800", odd={(1, 2): {3}}, time="own")
    assert (line["thing"], line["number"], line["bad"]) == ("<class 'object'>", None, "'\\ud800'")
    assert line["odd"] == {"(1, 2)": [3]}
    assert (line["time"], line["time_"]) == ("2026-05-28T20:26:40.250Z", "own")
