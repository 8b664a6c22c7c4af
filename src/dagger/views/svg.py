"""DOT text -> SVG text, by the `dot` command, or by graphviz-pure, which pip installs anywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dagger.core.errors import DrawingFailed

TIMEOUT_SECONDS = 60.0
"""A folded picture takes under two seconds: what takes a minute will take for ever."""

_PROLOG = re.compile(r".*?(?=<svg\b)", re.DOTALL)
_FONTS = re.compile(r'(<text\b[^<>]*? font-family=")[^"]*"')
_FAMILY = "Helvetica Neue,Helvetica,Arial,Liberation Sans,sans-serif"
"""Fonts of equal widths: the text fits where Graphviz measured it."""


def to_svg(dot: str) -> str:
    """The picture as an `<svg>` element. Raises DrawingFailed."""
    drawn = _run([find_command(), "-Tsvg"], dot.encode()).decode()
    # without the XML declaration and the document type, it can stand in a page as it is
    return _FONTS.sub(rf'\1{_FAMILY}"', _PROLOG.sub("", drawn, count=1))


def find_command() -> str:
    """The path of Graphviz's `dot`, else of graphviz-pure, on the PATH or beside this Python. Raises DrawingFailed."""
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join(filter(None, (os.environ.get("PATH"), beside)))
    found = shutil.which("dot", path=path) or shutil.which("graphviz-pure", path=path)
    if found is None:
        message = 'drawing needs Graphviz, and no dot command is here: pip install "dagger-flow[draw]"'
        raise DrawingFailed(message)
    return found


def _run(command: list[str], text: bytes) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command; the text goes in on its standard input
            command, input=text, capture_output=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        message = f"{command[0]} drew nothing within {TIMEOUT_SECONDS:g} s: to_dot() gives the text to draw elsewhere"
        raise DrawingFailed(message) from None
    except OSError as error:
        message = f"{command[0]} cannot be started: {error}"
        raise DrawingFailed(message) from None
    if done.returncode or b"<svg" not in done.stdout:
        said = done.stderr.decode(errors="replace").strip() or "nothing"
        message = f"{command[0]} failed with exit code {done.returncode}; it said: {said:.300}"
        raise DrawingFailed(message)
    return done.stdout
