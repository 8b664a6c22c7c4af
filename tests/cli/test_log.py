"""dagger.cli.log: what of the log is written to stderr, and how."""

import json
import logging

import pytest

from dagger.cli.log import LOGGER, log_everything, logged


@pytest.fixture
def alone(monkeypatch):
    """Calling it leaves the logger as in a process without pytest's handlers, which come with each phase of a test."""

    def leave_alone():
        monkeypatch.setattr(logging.getLogger(), "handlers", [])
        monkeypatch.setattr(LOGGER, "handlers", [])
        monkeypatch.setattr(LOGGER, "propagate", True)

    yield leave_alone
    LOGGER.setLevel(logging.NOTSET)


def log_failure(message):
    LOGGER.warning(message)


def test_people_get_warnings_only(alone, capsys):
    """Failed attempts and reviews are left to the display."""
    alone()
    with logged(None):
        LOGGER.info("quiet")
        LOGGER.warning("step %s asks: %s", "a", "told by the display")
        LOGGER.warning("loud", extra={"node": "a"})
        log_failure("told by the display")

    assert capsys.readouterr().err.endswith("WARNING [a] loud\n")


def test_a_log_of_the_applications_own_is_left_alone(alone, capsys):
    """Who has set up a log gets it as before."""
    alone()
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    LOGGER.addHandler(handler)

    with logged(None):
        LOGGER.warning("loud")

    assert len(seen) == 1
    assert capsys.readouterr().err == ""


def test_a_log_that_is_asked_for_is_whole_and_said_once(alone, capsys):
    """Failed attempts too; the application's own log is not written besides."""
    alone()
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    logging.getLogger().addHandler(handler)

    with logged("json"):
        LOGGER.info("fine")
        log_failure("bad")

    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["fine", "bad"]
    assert seen == []


def test_debug_lines_are_let_through(alone, capsys):
    """They hold tracebacks."""
    alone()
    log_everything()
    with logged(None):
        LOGGER.debug("deep")

    assert "DEBUG   deep" in capsys.readouterr().err


def test_nothing_is_left_behind(alone):
    """The next command in the same process begins as this one did."""
    alone()
    before = LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)
    with logged("text"):
        pass
    assert (LOGGER.level, LOGGER.propagate, LOGGER.handlers) == before


def test_a_log_never_stops_a_run(alone, monkeypatch):
    """A closed stderr is nobody's failure."""
    alone()
    monkeypatch.setattr("sys.stderr", None)
    with logged("text"):
        LOGGER.warning("into nothing")
