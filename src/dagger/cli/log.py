"""The log on stderr: warnings for people or, with `--log`, every line as text or JSON."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from dagger.views.log import JsonFormatter, TextFormatter

LOGGER = logging.getLogger("dagger")


class StderrHandler(logging.Handler):
    """Writes to what is stderr at that moment: the live display stands in for it, so that no line is torn."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; a log never stops a run."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - whatever the stream or the record's arguments raise
            self.handleError(record)


def log_everything() -> None:
    """Let debug lines through: they hold the tracebacks of failed attempts."""
    LOGGER.setLevel(logging.DEBUG)


@contextlib.contextmanager
def logged(kind: str | None) -> Iterator[None]:
    """Write the log as `text` or `json`. None: only warnings, unless the application has set up a log itself."""
    level, propagates = LOGGER.level, LOGGER.propagate
    if kind is None and LOGGER.hasHandlers():
        yield
        return
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter() if kind == "json" else TextFormatter())
    if kind is None:
        handler.addFilter(_is_news)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(level or (logging.WARNING if kind is None else logging.INFO))
    LOGGER.propagate = False  # else a log that the application has set up would say it again
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = propagates


def _is_news(record: logging.LogRecord) -> bool:
    """Failed attempts and reviews are told by the display, in the order of the journal."""
    is_told = record.funcName == "log_failure" or str(record.msg).startswith("step %s asks: ")
    return not is_told or record.levelno == logging.DEBUG
