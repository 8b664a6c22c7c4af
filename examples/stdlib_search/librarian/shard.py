"""One part of the library read: its modules' symbols, and what its files use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from librarian.corpus import SourceFile
from librarian.files import read_source
from librarian.index import Shard
from librarian.sources import parse_module
from librarian.usages import calls_in, usages_in


def read_shard(folder: Path, paths: list[str]) -> Shard:
    """Everything the index needs of these files; a file that is no valid Python still shows usages."""
    shard: Shard = {"modules": [], "imports": {}, "counts": {}, "calls": {}, "usages": []}
    counts: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for path in paths:
        file = SourceFile(path, 0, 0)
        text = read_source(folder / path)
        found = usages_in(path, text)
        counts.update(found["counts"])
        shard["imports"][path] = found["imports"]
        shard["usages"] += found["usages"]
        if not file.is_usage_only:
            calls.update(calls_in(text))
            if module := parse_module(file.module, path, text):
                shard["modules"].append(module)
    shard["counts"], shard["calls"] = dict(counts), dict(calls)
    return shard
