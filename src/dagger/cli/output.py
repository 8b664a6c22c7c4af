"""What goes to stdout and stderr: JSON, tables, values and times, on any terminal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from dagger.views.texts import cut, visible

VALUE_CHARACTERS = 200
"""An output's value longer than this is cut; `--json` shows all of it."""

_COLOURS = {
    "succeeded": "green",
    "recovered": "green",
    "failed": "red",
    "interrupted": "red",
    "cancelled": "yellow",
    "paused": "yellow",
    "waiting": "yellow",
    "skipped": "yellow",
    "running": "cyan",
}


def prepare_streams() -> None:
    """Characters that a terminal lacks are replaced, and never an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def write(text: str) -> None:
    """A line of what was asked for, on stdout."""
    print(visible(text))


def write_raw(text: str) -> None:
    """Text for a program, on stdout, as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def write_json(value: Any, *, indent: int = 2) -> None:
    """A JSON value on stdout; `indent` 0: in one line."""
    text = msgspec.json.encode(value)
    if not _is_unicode(sys.stdout):
        write_raw(json.dumps(msgspec.json.decode(text), indent=indent or None))
    else:
        write_raw((msgspec.json.format(text, indent=indent) if indent else text).decode())


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Whatever is printed meanwhile, by subprocesses and C code too, goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def count(number: int, word: str) -> str:
    """`1 node`, `2,000 nodes`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def short(value: Any, limit: int = VALUE_CHARACTERS) -> str:
    """A value as JSON text, cut."""
    return cut(msgspec.json.encode(value).decode(), limit)


def local_time(moment: datetime) -> str:
    """`23:00:11` for today, `2026-11-21 23:00` before, in this machine's zone."""
    local, today = moment.astimezone(), datetime.now(UTC).astimezone()
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M")


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under headings: cut to fit a terminal, whole where a program reads them."""
    shown = [[visible(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _write_for_terminal(headings, shown)
        return
    widths = [max(map(len, column)) for column in zip(headings, *shown, strict=True)]
    for row in (headings, *shown):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write_raw("  ".join(padded).rstrip())


def _write_for_terminal(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # costs 50 ms, and scripts read no colours
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        # an id is for copying: it is the one thing that is never cut
        table.add_column(heading, no_wrap=True, overflow="fold" if heading == "run" else "ellipsis")
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
