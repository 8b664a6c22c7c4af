"""Words inside identifiers: `BoundedSemaphore` is bounded, semaphore; `tempfile` is temp, file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_WORD = re.compile(r"[a-z]{2,}")


def words_of(identifier: str) -> list[str]:
    """The words that capitals, digits and underscores separate, in small letters."""
    return [part.lower() for part in _PARTS.findall(identifier)]


def is_private(dotted: str) -> bool:
    """Whether any part of the dotted name starts with an underscore."""
    return any(part.startswith("_") for part in dotted.split("."))


class Vocabulary:
    """What the library's prose says, to find the words in identifiers that are written as one."""

    def __init__(self, texts: Iterable[str], abbreviations: Mapping[str, list[str]], least: int = 12) -> None:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_WORD.findall(text.lower()))
        self._known = {word for word, count in counts.items() if count >= least and len(word) > 2}
        self._known |= set(abbreviations)
        self._counts = counts
        self._abbreviations = abbreviations

    def parts(self, word: str) -> list[str]:
        """The two known words that `word` is glued from, or nothing: `rmtree` gives rm, tree."""
        cuts: list[tuple[str, str]] = [(word[:at], word[at:]) for at in range(2, len(word) - 1)]
        known = [cut for cut in cuts if cut[0] in self._known and cut[1] in self._known]
        if not known or len(word) < 5:
            return []
        return list(max(known, key=lambda cut: min(self._counts[part] for part in cut)))

    def spelled_out(self, identifier: str) -> list[str]:
        """Every word to find the identifier by: whole, split, unglued, and with abbreviations spelled out."""
        found = [identifier.lower().replace("_", "")]
        for word in words_of(identifier):
            for part in [word, *self.parts(word)]:
                found += [part, *self._abbreviations.get(part, ())]
        return list(dict.fromkeys(found))
