"""Where names of the library are used: found with regular expressions, in any source text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import TypedDict

PER_FILE = 2
"""Usages of one name kept per file: many files show more ways to use it than many lines of one file."""

_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\n#(;]+)", re.MULTILINE)
_FROM = re.compile(r"^[ \t]*from[ \t]+(\w[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]+)", re.MULTILINE)
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CALL = re.compile(r"(\.?)\b([a-z]\w+)\(")
_NOT_A_USAGE = re.compile(r"\s*(?:#|from\b|import\b|def\b|\.\.|:|\*|[`\w]+[,)]*$|$)")


class Usage(TypedDict):
    """One line that uses `name`; `around` is the function it stands in and the comment above it."""

    name: str
    path: str
    line: int
    text: str
    around: str


class Found(TypedDict):
    """What one file uses: the modules it imports, how often each of their names, and a few usages to show."""

    imports: list[str]
    counts: dict[str, int]
    usages: list[Usage]


def usages_in(path: str, text: str) -> Found:
    """The usages of what the file imports, however it calls it: `t.mkdtemp()` after `import tempfile as t`."""
    bound, modules = imported_names(text)
    counts: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    usages: list[Usage] = []
    places = _Places(path, text)
    for local, name in bound.items():
        for used, offset in _occurrences(text, local, name):
            counts[used] += 1
            if kept[used] < PER_FILE and counts[used] < 20:
                usage = places.usage(used, offset)
                kept[used] += usage is not None
                usages += [usage] if usage else []
    return {"imports": sorted(modules), "counts": counts, "usages": usages}


def calls_in(text: str) -> Counter[str]:
    """How often each `name(` and each `.name(` is called: all that is known of built-in functions and methods."""
    return Counter(dot + name for dot, name in _CALL.findall(text))


def imported_names(text: str) -> tuple[dict[str, str], set[str]]:
    """({local name: dotted name}, modules imported); relative imports and those of tests' own modules are left out."""
    bound: dict[str, str] = {}
    modules: set[str] = set()
    for match in _IMPORT.finditer(text):
        for part in match[1].split(","):
            name, _, local = part.strip().partition(" as ")
            if re.fullmatch(r"\w[\w.]*", name):
                modules.add(name)
                bound[local.strip() or name.split(".")[0]] = name if local else name.split(".")[0]
    for match in _FROM.finditer(text):
        modules.add(match[1])
        for part in re.sub(r"#[^\n]*|[()\\]", "", match[2]).split(","):
            name, _, local = part.strip().partition(" as ")
            if name.isidentifier():
                bound[local.strip() or name] = f"{match[1]}.{name}"
    return {local: name for local, name in bound.items() if not name.startswith(("test.", "test_"))}, modules


def _occurrences(text: str, local: str, name: str) -> Iterator[tuple[str, int]]:
    is_module = "." not in name or name == local
    for match in _pattern(local).finditer(text):
        before = text[match.start() - 1 : match.start()]
        # A word's tail (`thread` in `mythread`), an attribute or a quoted name is not the imported thing.
        if before.isalnum() or before in ("_", ".", "'", '"', "-", "/") or (is_module and not match[1]):
            continue
        yield name + match[1], match.start()


@lru_cache(maxsize=4096)
def _pattern(local: str) -> re.Pattern[str]:
    # It begins with the plain name, not with `\b`: so the scan runs at the speed of a text search.
    return re.compile(re.escape(local) + r"(?!\w)((?:\.[A-Za-z]\w*){0,3})")


class _Places:
    """Lines and surroundings of places in one file; worked out only when the file has something to show."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._starts: list[int] = []
        self._definitions: list[tuple[int, str]] = []

    def usage(self, name: str, offset: int) -> Usage | None:
        """The line at `offset`, unless it imports, defines or only mentions the name."""
        if not self._starts:
            self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
            self._definitions = [(match.start(), match[1]) for match in _DEFINITION.finditer(self._text)]
        index = bisect_right(self._starts, offset) - 1
        line = self._line(index)
        if _NOT_A_USAGE.match(line) or len(line) > 160 or not re.search(r"[(=@\[]|\bwith\b|\bexcept\b", line):
            return None
        above = self._line(index - 1).strip() if index else ""
        around = f"{self._function(offset)} {above.lstrip('# ') if above.startswith('#') else ''}".strip()
        return {"name": name, "path": self._path, "line": index + 1, "text": line.strip(), "around": around}

    def _line(self, index: int) -> str:
        end = self._starts[index + 1] - 1 if index + 1 < len(self._starts) else len(self._text)
        return self._text[self._starts[index] : end]

    def _function(self, offset: int) -> str:
        at = bisect_right(self._definitions, (offset + 1, "")) - 1
        return self._definitions[at][1] if at >= 0 else ""
