"""Files that other steps read: written whole or not at all, so a step may be killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: what that makes only its owner may read, also after it has taken the file's place.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """The file holds `text`, whole, or what it held before."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """The file holds `value` as JSON, whole, or what it held before."""
    write_text(path, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def read_json(path: Path) -> Any:
    """The value that `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_source(path: Path) -> str:
    """A source file's text with plain newlines; bytes that are no UTF-8 become replacement characters."""
    return path.read_bytes().decode("utf-8", errors="replace").replace("\r\n", "\n")
