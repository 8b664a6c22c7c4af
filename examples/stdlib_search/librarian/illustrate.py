"""What makes an answer convincing: the sentence of its docstring that decides, and real code that uses it."""

from __future__ import annotations

import re
import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

from librarian.docstrings import sentences
from librarian.files import read_source
from librarian.question import Query
from librarian.rank import Answer
from librarian.search import open_index
from librarian.stems import stems

FILES_READ = 40
"""Files searched for calls of a method: there is no telling whose `.close()` a line calls, so no index of them."""

LINES_SHOWN = 5
LONGEST_SENTENCE = 300

Words = list[dict[str, float]]
"""Per topic of the question: stem -> how much a text that has it says of the topic."""


class Usage(TypedDict):
    """Code that uses an answer: `line` is that of its first line."""

    path: str
    line: int
    code: str


class Illustrated(TypedDict):
    """An answer as the report shows it. `path` and `line` are where it is defined; line 0: built in."""

    name: str
    kind: str
    signature: str
    path: str
    line: int
    says: list[str]
    usage: Usage | None
    matched: dict[str, list[str]]
    score: float


class _Place(NamedTuple):
    path: str
    line: int
    text: str
    around: str


def illustrate(index: Path, library: Path, query: Query, answers: list[Answer]) -> list[Illustrated]:
    """Each answer with its decisive sentences and its best usage; None where the library shows none."""
    words = _weighted_stems(query)
    connection = open_index(index)
    try:
        return [_illustrated(connection, library, words, answer) for answer in answers]
    finally:
        connection.close()


def _weighted_stems(query: Query) -> Words:
    """Per topic, its stems with their weights; what the question says itself counts double."""
    stem = stems(term["text"] for topic in query["topics"] for term in topic["terms"])
    return [
        {
            stem[term["text"]]: topic["weight"] * term["weight"] * (2 if term["weight"] == 1.0 else 1)
            for term in topic["terms"]
        }
        for topic in query["topics"] if not topic["is_pair"]
    ]  # fmt: skip


def _illustrated(connection: sqlite3.Connection, library: Path, words: Words, answer: Answer) -> Illustrated:
    row = connection.execute("SELECT * FROM symbol WHERE id = ?", (answer["symbol"],)).fetchone()
    return {
        "name": row["name"], "kind": row["kind"], "signature": _with_owner(row["signature"], row["name"]),
        "path": row["path"], "line": row["line"], "says": deciding_sentences(row["doc"], words),
        "usage": _best_usage(connection, library, row, words), "matched": answer["matched"],
        "score": answer["score"],
    }  # fmt: skip


def _with_owner(signature: str, name: str) -> str:
    """`Semaphore(value=1)` as `asyncio.Semaphore(value=1)`, where the signature is that of a call."""
    leaf = name.rpartition(".")[2]
    return name + signature[signature.index("(") :] if re.match(r"\w+\(", signature) else signature or leaf


def deciding_sentences(doc: str, words: Words) -> list[str]:
    """The first sentence, which says what it is, and the one that speaks most of what is asked, if that is another."""
    said = [sentence for sentence in sentences(doc)[:40] if len(sentence) < LONGEST_SENTENCE] or sentences(doc)[:1]
    if not said:
        return [doc] if doc else []
    # Of two sentences that say as much the shorter one is clearer; of two alike the first.
    worth = {
        sentence: _relevance(sentence, words) * min(1.0, 100 / len(sentence)) ** 0.5 for sentence in reversed(said)
    }
    best = max(said, key=worth.__getitem__)
    return [said[0], best] if worth[best] > worth[said[0]] + 0.3 else [said[0]]


def _relevance(text: str, words: Words) -> float:
    found = re.findall(r"[a-z]{2,}", re.sub(r"([a-z])([A-Z])|_", r"\1 \2", text).lower())
    spoken = set(stems(found).values())
    return sum(max((weight for stem, weight in topic.items() if stem in spoken), default=0.0) for topic in words)


def _best_usage(connection: sqlite3.Connection, library: Path, row: sqlite3.Row, words: Words) -> Usage | None:
    places = [
        _Place(*place)
        for place in connection.execute("SELECT path, line, text, around FROM usage WHERE symbol = ?", (row["id"],))
    ]
    leaf = row["name"].rpartition(".")[2]
    if "method" in row["kind"] or row["kind"] == "property" or not places:
        places += _calls(library, _files_with(connection, row["module"]), leaf)
    if not places or row["kind"] == "module":
        return None
    best = max(places, key=lambda place: (_worth(place, leaf, words), place.path, -place.line))
    return {"path": best.path, "line": best.line, "code": _shown(library, best)}


def _files_with(connection: sqlite3.Connection, module: str) -> list[str]:
    sql = "SELECT DISTINCT usage.path FROM usage JOIN symbol ON symbol.id = usage.symbol WHERE module = ? LIMIT ?"
    return [row["path"] for row in connection.execute(sql, (module, FILES_READ))]


def _calls(library: Path, paths: list[str], leaf: str) -> Iterator[_Place]:
    """Lines that call `.leaf(`, in files that use the module: most likely, but not surely, the right class's."""
    for path in paths:
        if (library / path).is_file():
            for number, line in enumerate(read_source(library / path).splitlines(), 1):
                if f".{leaf}(" in line and not line.lstrip().startswith(("#", "def ")):
                    yield _Place(path, number, line.strip(), "")


def _worth(place: _Place, leaf: str, words: Words) -> float:
    """How well a line shows the name's use: a call with arguments in plain code, near what the question speaks of."""
    text = place.text
    worth = min(3.0, _relevance(f"{text} {place.around}", words))
    worth += 1.0 if re.search(rf"\b{leaf}\([^)\s]", text) else 0.0
    worth += 0.7 if re.search(rf"\b{leaf}\([^)]*\w=\w", text) else 0.0
    worth += 0.6 if re.match(rf"(?:with|for|async with|return|@|\w+ = (?:await )?)\W*[\w.]*{leaf}\b", text) else 0.0
    worth += 0.5 if not place.path.startswith("test/") else 0.0
    worth -= (
        1.5
        if re.search(r"\bassert|\bself\.fail|isinstance|issubclass|mock|patch|[Rr]aises|\bbogus|\bspam", text)
        else 0.0
    )
    worth -= 1.5 if not text.endswith((")", ":", "(", ",")) or re.match(r"[\"'(\[{]|class |except ", text) else 0.0
    return worth - (0.8 if len(text) > 90 else 0.0)


def _shown(library: Path, place: _Place) -> str:
    """The statement that starts on the line, and its block's first lines; the index's text if the file is gone."""
    file = library / place.path
    lines = read_source(file).splitlines() if file.is_file() else []
    if len(lines) < place.line or place.text not in lines[place.line - 1]:
        return place.text
    first = place.line - 1
    shown = [lines[first]]
    indent = len(lines[first]) - len(lines[first].lstrip())
    for line in lines[first + 1 : first + LINES_SHOWN]:
        is_open = sum(map("\n".join(shown).count, "([{")) > sum(map("\n".join(shown).count, ")]}"))
        is_inside = shown[0].rstrip().endswith(":") or shown[0].lstrip().startswith("@")
        if not is_open and not (is_inside and (len(line) - len(line.lstrip()) > indent or len(shown) == 1)):
            break
        if not is_open and not line.strip():
            break
        shown.append(line)
    return textwrap.dedent("\n".join(shown))
