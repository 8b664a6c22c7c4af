"""Which files the answers come from: the standard library's sources, cut into shards of equal size."""

from __future__ import annotations

import hashlib
import os
import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path

NOT_LIBRARY = {"site-packages", "dist-packages", "__pycache__", "lib-dynload", "__phello__"}
USAGE_ONLY = {
    "test", "tests", "idle_test", "idlelib", "lib2to3", "turtledemo", "encodings", "pydoc_data", "ensurepip", "msilib",
    "_pyrepl",
}  # fmt: skip
"""Folders whose code shows how the library is used, but never is what somebody asks for."""


@dataclass(frozen=True)
class SourceFile:
    """One file of the library; `path` is relative to the library, with forward slashes."""

    path: str
    size: int
    mtime_ns: int

    @property
    def module(self) -> str:
        """The dotted name it is imported by: `json` for json/__init__.py."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_usage_only(self) -> bool:
        """Whether it is searched for usages only, never for answers."""
        return not USAGE_ONLY.isdisjoint(self.path.split("/")[:-1])


def library_folder(given: str = "") -> Path:
    """The folder named, or with `""` the standard library of the Python that is running."""
    folder = Path(given or sysconfig.get_path("stdlib")).resolve()
    if not folder.is_dir():
        raise FileNotFoundError(f"library {given!r} is not a folder; leave it empty for Python's own")
    return folder


def source_files(folder: Path) -> list[SourceFile]:
    """Every Python file below `folder` in a fixed order, without installed packages and caches."""
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in NOT_LIBRARY and "-" not in name)
        for name in sorted(names):
            if name.endswith(".py"):
                path = Path(where, name)
                facts = path.stat()
                found.append(SourceFile(path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns))
    return found


def fingerprint(files: list[SourceFile], *makers: str) -> str:
    """16 hex digits that change with Python, with any file's path, size or time, and with what makes the index."""
    digest = hashlib.sha256(platform.python_version().encode())
    for maker in makers:
        digest.update(maker.encode())
    for file in files:
        digest.update(f"{file.path}\0{file.size}\0{file.mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def shards(files: list[SourceFile], count: int) -> list[list[SourceFile]]:
    """The files in `count` parts of nearly equal work: largest first, each to the part with the least so far."""
    parts: list[list[SourceFile]] = [[] for _ in range(count)]
    loads = [0] * count
    # Parsing a library file for its symbols costs about four times what scanning it for usages does.
    work = {file.path: file.size * (1 if file.is_usage_only else 4) for file in files}
    for file in sorted(files, key=lambda file: (-work[file.path], file.path)):
        least = loads.index(min(loads))
        parts[least].append(file)
        loads[least] += work[file.path]
    return parts
