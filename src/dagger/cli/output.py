"""What goes to stdout and stderr: JSON, tables, values and times, on any terminal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from dagger.views.texts import cut, visible

ELASTIC_MINIMUM = 12
"""A column that gives way keeps so many characters."""
VALUE_CHARACTERS = 200
"""An output's value longer than this is cut; `--json` shows all of it."""

_GAP = "  "
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
    sys.stdout.flush()  # so that the two stand in order where they go to one place
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


def write(text: str) -> None:
    """A line of what was asked for, on stdout."""
    sys.stdout.write(f"{visible(text)}\n")


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


def question(text: str, options: Sequence[Any] | None) -> str:
    """What a person is asked, and the options in brackets: texts as they stand, all else as JSON."""
    offered = ", ".join(option if isinstance(option, str) else short(option) for option in options or ())
    return f"{text} [{offered}]" if options else text


def local_time(moment: datetime) -> str:
    """`23:00:11` for today, `2026-11-21 23:00` before, in this machine's zone."""
    local, today = moment.astimezone(), datetime.now(UTC).astimezone()
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M")


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]], elastic: Sequence[str] = ()) -> None:
    """Columns under headings. On a terminal that is too narrow the `elastic` ones are cut; a pipe gets all of it."""
    shown = [[visible(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(headings, *shown, strict=True)]
    if not sys.stdout.isatty():
        for row in (headings, *shown):
            write_raw(_GAP.join(_padded(row, widths)).rstrip())
        return
    from rich.console import Console  # costs 50 ms, and a pipe reads no colours
    from rich.text import Text

    console = Console(highlight=False)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - console.width
    for index in (index for index, heading in enumerate(headings) if heading in elastic):
        cut_by = max(0, min(excess, widths[index] - ELASTIC_MINIMUM))
        widths[index] -= cut_by
        excess -= cut_by
    console.print(Text(_GAP.join(_padded(headings, widths)).rstrip(), style="bold"), soft_wrap=True)
    for row in shown:
        line = Text(_GAP)
        cells = _padded([cut(cell, width) for cell, width in zip(row, widths, strict=True)], widths)
        line = line.join(Text(cell, style=_COLOURS.get(cell.rstrip(), "")) for cell in cells)
        line.rstrip()
        console.print(line, soft_wrap=True)  # an id that is wider than the terminal goes on below, never cut


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell + " " * (width - cell_width(cell)) for cell, width in zip(cells, widths, strict=True)]


def cell_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(
        2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter) for letter in text
    )


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
