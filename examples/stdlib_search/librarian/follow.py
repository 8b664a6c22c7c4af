"""Following what was found: the names that the best answers speak of, and whether two answers compete."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypedDict

from librarian.question import Query
from librarian.rank import Answer, Ranking
from librarian.search import FIELDS, Hits, open_index, search

READ = 8
"""How many of the best answers are read for names."""

MOST_LEADS = 8
"""Names followed at a time: those that the best answers speak of."""

CLOSE = 0.9
"""A second answer that scores this part of the first competes with it: the ranking knows no better."""

MOST_OPTIONS = 4

NO_ANSWERS = ("module", "exception")
"""Kinds of names that docstrings mention in passing."""

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(|\b)")


class Page(TypedDict):
    """An answer that was read: the names that it speaks of, and how much the searches found there of each topic."""

    name: str
    scores: list[float]
    mentions: list[tuple[int, str]]


class Lead(TypedDict):
    """A name that answers speak of; `scores`: how much of each of the question's topics two of them say at least."""

    symbol: int
    name: str
    scores: list[float]


def leads(index: Path, query: Query, searches: list[Hits], ranking: Ranking, known: Collection[str]) -> list[Lead]:
    """The public names that the best answers speak of and that are not `known`, those of the best answer first."""
    return leads_of(read(index, query, searches, ranking), known)


def read(index: Path, query: Query, searches: list[Hits], ranking: Ranking) -> list[Page]:
    """The pages of the best answers, the best first."""
    silent = [0.0] * len(query["topics"])
    spoken = _spoken(searches)
    connection = open_index(index)
    try:
        return [
            {
                "name": answer["name"], "scores": spoken.get(answer["symbol"], silent),
                "mentions": _mentioned(connection, answer["symbol"]),
            }
            for answer in ranking["answers"][:READ]
        ]  # fmt: skip
    finally:
        connection.close()


def leads_of(pages: Iterable[Page], known: Collection[str]) -> list[Lead]:
    """The names that pages speak of and that are not `known`, those of the first page first."""
    said: dict[tuple[int, str], list[list[float]]] = {}
    for page in pages:
        for symbol, name in page["mentions"]:
            if name not in known:
                said.setdefault((symbol, name), [[0.0] * len(page["scores"])]).append(page["scores"])
    # What a single answer mentions is no evidence: `wraps` says that it calls `update_wrapper`, and is the better one.
    found = [
        Lead(symbol=symbol, name=name, scores=[sorted(scores)[-2] for scores in zip(*by, strict=True)])
        for (symbol, name), by in said.items()
    ]
    return found[:MOST_LEADS]


def follow(index: Path, query: Query, lead: Lead) -> list[Hits]:
    """What each field says of one name, however far down, and what the answers say that speak of it."""
    own: list[Hits] = [{**search(index, query, field, lead["symbol"]), "found": 0} for field in FIELDS]  # no new names
    return [*own, {"field": "mentions", "found": 1, "hits": [(lead["symbol"], lead["scores"])]}]


def competing(ranking: Ranking) -> list[Answer]:
    """The best answer and those that score nearly as much; empty where it stands alone."""
    close = [answer for answer in ranking["answers"] if answer["score"] >= CLOSE * ranking["answers"][0]["score"]]
    return close[:MOST_OPTIONS] if len(close) > 1 else []


def chosen_first(answers: list[Answer], chosen: str | None) -> list[Answer]:
    """The answers, with that which a person chose before the others; None: nobody did."""
    return sorted(answers, key=lambda answer: answer["name"] != chosen)


def _spoken(searches: list[Hits]) -> dict[int, list[float]]:
    """Per symbol, the most that any search found of each topic."""
    most: dict[int, list[float]] = {}
    for hits in searches:
        for symbol, scores in hits["hits"]:
            most[symbol] = [max(pair) for pair in zip(scores, most.get(symbol, scores), strict=True)]
    return most


def _mentioned(connection: sqlite3.Connection, symbol: int) -> list[tuple[int, str]]:
    """The names that a symbol speaks of: its class, and what its docstring and its signature name."""
    row = connection.execute("SELECT * FROM symbol WHERE id = ?", (symbol,)).fetchone()
    owner = row["name"].rpartition(".")[0]
    found: dict[int, str] = {}
    for text in dict.fromkeys([owner, *_NAME.findall(f"{row['doc']} {row['signature']}")]):
        name = text.rstrip("(")
        if text != owner and not _is_name(text):
            continue
        for full in (f"{owner}.{name}", f"{row['module']}.{name}", name):
            hit = connection.execute("SELECT id, kind FROM symbol WHERE name = ?", (full,)).fetchone()
            if hit and hit["id"] != symbol and hit["kind"] not in NO_ANSWERS:
                found[hit["id"]] = full
                break
    return list(found.items())


def _is_name(text: str) -> bool:
    """Whether a word of a docstring can only be a name: `Pickler`, `run_in_executor`, `os.walk`, `chain(`."""
    return len(text) > 2 and bool(re.search(r"[._(]|[a-z][A-Z]|^[A-Z]", text))
