"""Which hits answer the question: by the searches' evidence, what it covers of the question, how known the name is."""

from __future__ import annotations

import math
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from librarian.names import words_of
from librarian.question import Query
from librarian.search import Hits, open_index

EVIDENCE: Mapping[str, float] = {
    "names": 1.25, "docstrings": 0.9, "parameters": 0.25, "usages": 0.65, "mentions": 0.4,
}  # fmt: skip
"""What a point of each search is worth; for `mentions` see `follow`."""

ENOUGH = 11.0
MORE = 0.6
"""Points for one topic from which on each further one counts only `MORE`: repeating one word is not answering."""

COVERED = 4.5
"""Points for one topic that show that it is spoken of at all."""

KINDS: Mapping[str, float] = {
    "module": 0.55,
    "exception": 0.5,
    "property": 0.65,
    "method": 0.95,
    "async method": 0.95,
    "constant": 0.8,
}
MEMBERS = ("method", "async method", "property")
NAMED_SO = 1.35
"""A name of several words that all stand in the question (`TemporaryDirectory`) is worth so much more."""

PER_OWNER = 2
"""Answers from one class at most: the fourth method of Semaphore is no answer to a question that wants Semaphore."""

LESSER = 0.85
"""A second answer of a class must score this part of the first one: `release` adds nothing to `Semaphore`."""


class Answer(TypedDict):
    """One answer; `matched` says which words of the question each search found, `line` 0 that it is built in."""

    symbol: int
    name: str
    score: float
    matched: dict[str, list[str]]


class Ranking(TypedDict):
    """The best answers, the best first.

    `found` is how many symbols each search found, by field, and `considered` how many of them were looked at.
    """

    considered: int
    found: dict[str, int]
    answers: list[Answer]


def rank(index: Path, query: Query, searches: list[Hits], count: int) -> Ranking:
    """The `count` best symbols of all searches together; fewer, or none, when nothing matches."""
    evidence: dict[int, dict[str, list[float]]] = {}
    found: Counter[str] = Counter()
    for hits in searches:
        found[hits["field"]] += hits["found"]
        for symbol, scores in hits["hits"]:
            evidence.setdefault(symbol, {})[hits["field"]] = scores
    connection = open_index(index)
    try:
        named = _named(connection, query["names"])
        for symbol in named:
            evidence.setdefault(symbol, {})
        scored = [
            (_score(query, evidence[row["id"]], row) + 100 * (row["id"] in named), row)
            for row in _rows(connection, list(evidence))
        ]
    finally:
        connection.close()
    scored.sort(key=lambda pair: (-pair[0], pair[1]["name"]))
    best = _varied([pair for pair in scored if pair[0] > 0], count)
    answers: list[Answer] = [
        {
            "symbol": row["id"],
            "name": row["name"],
            "score": round(score, 2),
            "matched": _matched(query, evidence[row["id"]]),
        }
        for score, row in best
    ]
    return {"considered": len(evidence), "found": dict(found), "answers": answers}


def _rows(connection: sqlite3.Connection, symbols: list[int]) -> list[sqlite3.Row]:
    marks = ", ".join("?" * len(symbols))
    return connection.execute(f"SELECT * FROM symbol WHERE id IN ({marks})", symbols).fetchall()  # noqa: S608


def _named(connection: sqlite3.Connection, names: list[str]) -> set[int]:
    """The symbols that the question itself names, in full or by their last part."""
    found = set()
    for name in names:
        sql = (
            "SELECT id FROM symbol WHERE name = ?1 OR substr(name, -length(?2)) = ?2 "
            "ORDER BY name <> ?1, uses DESC LIMIT 3"
        )
        found |= {row["id"] for row in connection.execute(sql, (name, f".{name}"))}
    return found


def _score(query: Query, found: Mapping[str, list[float]], row: sqlite3.Row) -> float:
    topics = query["topics"]
    covered = asked = 0.0
    total: float = 0.0
    for place, topic in enumerate(topics):
        points = sum(EVIDENCE[field] * scores[place] for field, scores in found.items())
        total += topic["weight"] * (points if points < ENOUGH else ENOUGH + (points - ENOUGH) * MORE)
        if not topic["is_pair"]:
            asked += topic["weight"]
            covered += topic["weight"] * min(1.0, points / COVERED)
    coverage = covered / asked if asked else 0.0
    # A little is left without coverage: a long question may have one word that says it all.
    likely = prior(row) * (NAMED_SO if _is_said(row, query["question"]) else 1.0)
    return total * (0.2 + 0.8 * math.pow(coverage, 1.25)) * likely


def _is_said(row: sqlite3.Row, question: str) -> bool:
    """Whether the last part of the name is several words, all of which the question has; a member's say too little."""
    words = words_of(row["name"].rpartition(".")[2])
    return len(words) > 1 and row["kind"] not in MEMBERS and set(words) <= set(re.findall(r"[a-z]+", question.lower()))


def prior(row: sqlite3.Row) -> float:
    """How likely a symbol is an answer to any question: known, exported, described and not deprecated ones are."""
    # Logarithms: twice as often used is a little more likely, and nothing is ten times likelier than all others.
    likely: float = 1 + 0.10 * math.log1p(min(row["uses"], 300)) + 0.08 * math.log1p(min(row["importers"], 300))
    likely *= 1.0 if len(row["doc"]) > 60 else 0.85 if row["doc"] else 0.7
    likely *= 0.97 ** max(0, row["name"].count(".") - 1)
    likely *= 1.0 if row["is_exported"] else 0.7
    likely *= 0.35 if row["is_deprecated"] else 1.0
    kind: str = row["kind"]
    return likely * KINDS.get(kind, 1.0)


def _varied(scored: list[tuple[float, sqlite3.Row]], count: int) -> list[tuple[float, sqlite3.Row]]:
    """The best, without what repeats them: the same in another class of a package, a chosen class's lesser methods."""
    chosen: list[tuple[float, sqlite3.Row]] = []
    owners: dict[str, list[float]] = {}
    seen: set[tuple[str, str]] = set()
    for score, row in scored:
        if len(chosen) >= count:
            break
        owner, _, leaf = row["name"].rpartition(".")
        family = owner if row["kind"] in MEMBERS else row["name"]
        same = {(row["name"].partition(".")[0], leaf), (leaf, row["summary"])}
        others = owners.setdefault(family, [])
        if same & seen or len(others) >= PER_OWNER or score < LESSER * max(others, default=0):
            continue
        chosen.append((score, row))
        others.append(score)
        seen |= same
    return chosen


def _matched(query: Query, found: Mapping[str, list[float]]) -> dict[str, list[str]]:
    return {
        field: [topic["asked"] for topic, score in zip(query["topics"], scores, strict=True) if score > 0]
        for field, scores in found.items() if any(scores)
    }  # fmt: skip
