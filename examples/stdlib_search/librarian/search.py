"""One search: which symbols' names, docstrings, parameters or usages say what the question asks."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from librarian.question import Query, Term

MOST_HITS = 250
"""Hits a search hands on. They stand in the run's journal, some 40 bytes each, so not thousands."""

PER_TERM = 1500

FIELDS: Mapping[str, str] = {"names": "3.0, 1.2", "docstrings": "3.0, 1.0, 0.6", "parameters": "1.0", "usages": "1.0"}
"""Each searchable field (a table of the index) with bm25's weights of its columns: a summary says more than a body."""


class Hits(TypedDict):
    """What one search found: per symbol, its score for each of the question's topics, best symbol first."""

    field: str
    found: int
    hits: list[tuple[int, list[float]]]


def search(index: Path, query: Query, field: str, symbol: int | None = None) -> Hits:
    """The best hits of one field, or what it has of one symbol. A topic scores by its best term, not by all."""
    if field not in FIELDS:
        raise ValueError(f"no field {field!r} to search; there are {', '.join(FIELDS)}")
    topics = query["topics"]
    scores: dict[int, list[float]] = {}
    connection = open_index(index)
    try:
        for place, topic in enumerate(topics):
            for term in topic["terms"]:
                for found, score in _matches(connection, field, term, symbol):
                    row = scores.setdefault(found, [0.0] * len(topics))
                    row[place] = max(row[place], round(score * term["weight"], 2))
    finally:
        connection.close()
    weights = [topic["weight"] for topic in topics]
    ranked = sorted(scores.items(), key=lambda hit: (-_sum(hit[1], weights), hit[0]))
    return {"field": field, "found": len(scores), "hits": ranked[:MOST_HITS]}


def open_index(path: Path) -> sqlite3.Connection:
    """A connection that can only read."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


def _matches(connection: sqlite3.Connection, field: str, term: Term, symbol: int | None) -> list[tuple[int, float]]:
    phrase = " ".join(re.findall(r"[^\W_]+", term["text"]))
    if not phrase:
        return []
    rows = connection.execute(
        f"SELECT rowid, -bm25({field}, {FIELDS[field]}) AS score FROM {field} "  # noqa: S608
        f"WHERE {field} MATCH ?1 AND (?2 IS NULL OR rowid = ?2) ORDER BY score DESC LIMIT ?3",
        (f'"{phrase}"', symbol, PER_TERM),
    )
    return [(row["rowid"], row["score"]) for row in rows]


def _sum(scores: list[float], weights: list[float]) -> float:
    return sum(score * weight for score, weight in zip(scores, weights, strict=True))
