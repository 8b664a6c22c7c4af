"""Stems of words, from SQLite itself: so that what the question is compared by is what the index is searched by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

_SETUP = """
CREATE VIRTUAL TABLE word USING fts5 (text, tokenize='porter unicode61');
CREATE VIRTUAL TABLE stem USING fts5vocab (word, instance);
"""


def stems(words: Iterable[str]) -> dict[str, str]:
    """word -> stem, as FTS5's porter tokenizer has it; a phrase's stems are joined by spaces."""
    numbered = dict(enumerate(dict.fromkeys(words), 1))
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(_SETUP)
        connection.executemany("INSERT INTO word (rowid, text) VALUES (?, ?)", numbered.items())
        found: dict[str, list[str]] = {}
        for number, stem in connection.execute("SELECT doc, term FROM stem ORDER BY doc, offset"):
            found.setdefault(numbered[number], []).append(stem)
    finally:
        connection.close()
    return {word: " ".join(found.get(word, [word])) for word in numbered.values()}
