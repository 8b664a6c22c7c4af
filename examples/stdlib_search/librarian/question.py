"""What a question asks for: its words, each with what Python's documentation calls the same thing."""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from librarian.stems import stems

WORDS_FILE = Path(__file__).parents[1] / "words.toml"

ARTICLES = frozenset(
    ("a", "an", "the", "my", "your", "our", "its", "this", "that", "these", "those", "some", "any", "python")
)
LONGEST_PHRASE = 4

WEAK = 0.3
PHRASE_PARTS = 0.4
"""How much the single words of a known phrase count: "line" says little when the question says "command line"."""

PAIR = 0.25
"""How much it counts when two words of the question stand side by side."""

REPEATED = 0.4
"""How much a word counts in a second topic that has it too."""


class Term(TypedDict):
    """One thing to look up: a word, or several that must stand side by side. `weight` is from 0 to 1."""

    text: str
    weight: float


class Topic(TypedDict):
    """One word or phrase of the question and what it may be called; any of its terms satisfies it.

    A topic that is a `pair` is a bonus: two words side by side. An answer need not have it.
    """

    asked: str
    weight: float
    is_pair: bool
    terms: list[Term]


class Query(TypedDict):
    """The question taken apart. `names` are the identifiers it contains, like `os.path.join`."""

    question: str
    topics: list[Topic]
    names: list[str]


@dataclass(frozen=True)
class Thesaurus:
    """What people say and what Python says; see words.toml. Words in `weak` and keys of `means` are stems."""

    stopwords: frozenset[str]
    weak: frozenset[str]
    abbreviations: dict[str, list[str]]
    means: dict[str, list[str]]

    @classmethod
    def load(cls, path: Path = WORDS_FILE) -> Thesaurus:
        """The thesaurus in a TOML file with `stopwords`, `weak`, `[abbreviations]` and `[means]`."""
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        keys = {key: " ".join(word for word in key.split() if word not in ARTICLES) for key in data["means"]}
        stem = stems(keys.values())
        return cls(
            stopwords=frozenset(data["stopwords"].split()),
            weak=frozenset(stems(data["weak"].split()).values()),
            abbreviations={short: long.split() for short, long in data["abbreviations"].items()},
            means={stem[keys[key]]: words.split() for key, words in data["means"].items()},
        )


def understand(question: str, thesaurus: Thesaurus) -> Query:
    """The question's topics in its order, the longest known phrases first, without words that say nothing."""
    names = [name for name in re.findall(r"[A-Za-z_][\w.]*\w", question) if _is_identifier(name)]
    words = re.findall(r"[a-z][a-z0-9]*(?:-[a-z]+)?", re.sub(r"n't\b|'(?:s|re|ll|d|m|ve)\b", "", question.lower()))
    words = [word for word in words if word not in ARTICLES]
    topics = [topic for words_of_phrase in _phrases(words, thesaurus) for topic in _topics(words_of_phrase, thesaurus)]
    topics += _pairs([word for word in words if word not in thesaurus.stopwords or word == "at"], thesaurus)
    return {"question": question.strip(), "topics": _shared_out(topics), "names": names}


def _is_identifier(name: str) -> bool:
    return "_" in name.strip("_") or "." in name.strip(".") or bool(re.search(r"[a-z][A-Z]", name))


def _phrases(words: list[str], thesaurus: Thesaurus) -> list[list[str]]:
    """The words in order, those that the thesaurus knows as one phrase together."""
    lengths = range(2, LONGEST_PHRASE + 1)
    spans = {(at, n): " ".join(words[at : at + n]) for at in range(len(words)) for n in lengths if at + n <= len(words)}
    stem = stems(spans.values())
    found = []
    at = 0
    while at < len(words):
        known = [n for n in lengths if stem.get(spans.get((at, n), "")) in thesaurus.means]
        length = max(known, default=1)
        found.append(words[at : at + length])
        at += length
    return found


def _topics(words: list[str], thesaurus: Thesaurus) -> list[Topic]:
    said = " ".join(words)
    meant = thesaurus.means.get(stems([said])[said], [])
    if len(words) > 1:
        telling = [word for word in words if word not in thesaurus.stopwords]
        parts = [_topic(word, [word], PHRASE_PARTS * _weight(word, thesaurus)) for word in telling]
        return [_topic(said, [said, *meant], 1.0), *parts]
    if said in thesaurus.stopwords:
        return []
    return [_topic(said, [said, *thesaurus.abbreviations.get(said, ()), *meant], _weight(said, thesaurus))]


def _weight(word: str, thesaurus: Thesaurus) -> float:
    return WEAK if stems([word])[word] in thesaurus.weak else 1.0


def _topic(asked: str, texts: list[str], weight: float) -> Topic:
    """The further down the thesaurus has it, the less a word counts."""
    terms: dict[str, Term] = {}
    for place, (text, stem) in enumerate(stems(texts).items()):
        terms.setdefault(stem, {"text": text, "weight": 1.0 if not place else max(0.4, 0.9 - 0.1 * place)})
    return {"asked": asked, "weight": weight, "is_pair": False, "terms": list(terms.values())}


def _pairs(words: list[str], thesaurus: Thesaurus) -> list[Topic]:
    """Words side by side also count as one: "deep copy" is `deepcopy`, and prose with both together is nearer."""
    stem = stems(words)
    found: list[Topic] = []
    for one, two in itertools.pairwise(words):
        if not {stem[one], stem[two]} <= thesaurus.weak and not {one, two} <= thesaurus.stopwords:
            terms: list[Term] = [{"text": f"{one} {two}", "weight": 1.0}, {"text": one + two, "weight": 1.0}]
            found.append({"asked": f"{one} {two}", "weight": PAIR, "is_pair": True, "terms": terms})
    return found


def _shared_out(topics: list[Topic]) -> list[Topic]:
    """Each word counts fully in one topic only; else "message" would answer "send" as well as "email"."""
    topics = [topic for place, topic in enumerate(topics) if topic["asked"] not in {t["asked"] for t in topics[:place]}]
    stem = stems(term["text"] for topic in topics for term in topic["terms"])
    best: dict[str, float] = {}
    for topic in topics:
        for term in topic["terms"]:
            key = stem[term["text"]]
            best[key] = max(best.get(key, 0.0), topic["weight"] * term["weight"])
    for topic in topics:
        for term in topic["terms"]:
            if topic["weight"] * term["weight"] < best[stem[term["text"]]]:
                term["weight"] = round(term["weight"] * REPEATED, 2)
            else:
                best[stem[term["text"]]] = 9.0  # The first of equals keeps it.
    return topics
