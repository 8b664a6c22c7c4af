"""Following what was found: the names that the best hits speak of and nobody has looked up, and whether two compete."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypedDict

from librarian.question import Query
from librarian.rank import Answer, Ranking
from librarian.search import FIELDS, Hits, open_index, search

READ = 8
"""How many of the best answers are read for names."""

MOST_LEADS = 8
"""Names followed at a time, the best answers' first."""

CLOSE = 0.95
"""A second answer that scores this part of the first competes with it: the difference is less than the ranking knows."""

_NAME = re.compile(r"(?<![\w.])[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?:\(|\b)")


class Lead(TypedDict):
    """A name that answers speak of, and how much each of them says of each topic of the question, the most of all."""

    symbol: int
    name: str
    said_by: list[str]
    scores: list[float]


def leads(index: Path, searches: list[Hits], ranking: Ranking, known: Collection[str]) -> list[Lead]:
    """The names that the best answers speak of, and that are not `known`: those of the best first."""
    spoken = _spoken(searches)
    found: dict[int, Lead] = {}
    connection = open_index(index)
    try:
        for answer in ranking["answers"][:READ]:
            for symbol, name in _mentioned(connection, answer["symbol"]):
                if name not in known:
                    lead = found.setdefault(symbol, {"symbol": symbol, "name": name, "said_by": [], "scores": []})
                    scores = spoken.get(answer["symbol"], [])
                    lead["said_by"].append(answer["name"])
                    lead["scores"] = [max(pair) for pair in zip(scores, lead["scores"] or scores, strict=True)]
    finally:
        connection.close()
    return list(found.values())[:MOST_LEADS]


def follow(index: Path, query: Query, lead: Lead) -> list[Hits]:
    """What every field says of one name, and as a field of its own what those say that speak of it."""
    hits = [search(index, query, field, lead["symbol"]) for field in FIELDS]
    mentions: Hits = {"field": "mentions", "found": 1, "hits": [(lead["symbol"], lead["scores"])]}
    return [*hits, mentions]


def competing(ranking: Ranking) -> list[Answer]:
    """The answers that nearly score as the best one; empty where it stands alone."""
    first, *others = ranking["answers"] or [None]
    near = [answer for answer in others if answer["score"] >= CLOSE * first["score"]] if first else []
    return [first, *near] if near else []


def _spoken(searches: list[Hits]) -> dict[int, list[float]]:
    """Per symbol, the most that a search found of each topic."""
    most: dict[int, list[float]] = {}
    for hits in searches:
        for symbol, scores in hits["hits"]:
            most[symbol] = [max(pair) for pair in zip(scores, most.get(symbol, scores), strict=True)]
    return most


def _mentioned(connection: sqlite3.Connection, symbol: int) -> list[tuple[int, str]]:
    """The public names that a symbol speaks of: its class, and what its docstring and signature name."""
    row = connection.execute("SELECT * FROM symbol WHERE id = ?", (symbol,)).fetchone()
    owner = row["name"].rpartition(".")[0]
    found = {}
    for text in [owner, *_NAME.findall(f"{row['doc']} {row['signature']}")]:
        if _is_name(text):
            name = text.rstrip("(")
            for full in (f"{owner}.{name}", f"{row['module']}.{name}", name):
                hit = connection.execute("SELECT id, kind FROM symbol WHERE name = ?", (full,)).fetchone()
                if hit and hit["id"] != symbol and hit["kind"] != "module":
                    found[hit["id"]] = full
                    break
    return list(found.items())


def _is_name(text: str) -> bool:
    """Whether a word of a docstring can only be a name: `Pickler`, `run_in_executor`, `os.walk`, `chain(`."""
    return len(text) > 2 and bool(re.search(r"[._(]|[a-z][A-Z]|^[A-Z]", text))
