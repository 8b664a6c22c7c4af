"""Log lines: each one with its run, node and attempt, for people or as JSON; no payload above the debug level."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import msgspec

from dagger.views.texts import visible

PAYLOAD = "payload"
"""A field of this name (`extra={"payload": …}`) is written at the debug level only: it may hold what is secret."""

_STEP = ("run", "node", "attempt")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_RESERVED = frozenset(("time", "level", "logger", "message", "exception", "stack"))


class JsonFormatter(logging.Formatter):
    """One JSON object on one line, ready for a log collector.

    `time` (ISO 8601, UTC), `level`, `logger`, `message`; `run`, `node`, `attempt` where the line belongs to them; then
    the call's own fields, with a `_` after a name that is taken; `exception` and `stack` where there are any.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what is no JSON value is written as its `repr`."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{f"{name}_" if name in _RESERVED else name: value for name, value in fields(record).items()},
        }
        if trace := _trace(self, record):
            line["exception"] = trace
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return _json(line)


class TextFormatter(logging.Formatter):
    """One line for people: `09:30:00.250 WARNING [019f2c7a resize #2] took long  seconds=3`, in local time.

    Further lines, of a message or a traceback, are indented, so that nothing logged can pass for a line of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; control characters are shown as symbols."""
        own = fields(record)
        run, node, attempt = (own.pop(name, None) for name in _STEP)
        where = " ".join(str(part) for part in (run, node, f"#{attempt}" if attempt else None) if part)
        at = _time(record).astimezone().isoformat(timespec="milliseconds")[11:23]
        head = f"{at} {record.levelname:<7} {f'[{where}] ' if where else ''}{record.getMessage()}"
        tail = "".join(f"  {name}={_json(value)}" for name, value in own.items())
        parts = (head + tail, _trace(self, record), record.stack_info)
        return visible("\n".join(part for part in parts if part)).replace("\n", "\n    ")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the call and its logger added to the record: run, node and attempt first."""
    added = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if record.levelno > logging.DEBUG:
        added.pop(PAYLOAD, None)
    return {**{name: added[name] for name in _STEP if name in added}, **added}


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info and not record.exc_text:
        record.exc_text = formatter.formatException(record.exc_info)  # the standard formatter keeps it there as well
    return record.exc_text or ""


def _json(value: Any) -> str:
    """JSON text on one line; whatever cannot be written so becomes its `repr`."""
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, RecursionError):
        if isinstance(value, dict):
            return "{" + ",".join(f"{_json(str(key))}:{_json(inner)}" for key, inner in value.items()) + "}"
        return msgspec.json.encode(repr(value).encode(errors="backslashreplace").decode()).decode()
