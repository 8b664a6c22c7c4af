"""Prose of docstrings: the first paragraph, sentences, one-line texts."""

from __future__ import annotations

import inspect
import re

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"(*\[])")
_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*[-*] )|\n(?=\s*\w+: )|(?<=:)\n(?=\s)")
_FIELD = re.compile(r"^\s*(?:>>>|\.\. |:param|:return|[-=~^*]{4,})")


def cleaned(doc: str | None, limit: int = 4000) -> str:
    """The docstring without its indentation, at most `limit` characters; empty for None."""
    return inspect.cleandoc(doc)[:limit] if doc else ""


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def without_call_lines(doc: str, name: str) -> tuple[str, str]:
    """(signature, rest) of a docstring that begins with `name(...) -> what`, as those of C functions do."""
    signature, said = "", ""
    while match := _call_line(doc.lstrip(), name):
        signature = signature or f"{name}({match['inside']})"
        said = match["said"] or said
        doc = doc.lstrip()[match.end() :]
    # A bare type after the arrow ("bool") says nothing; a phrase ("new empty dictionary") may be all there is.
    parts = [said if " " in said else "", doc.strip()]
    return signature, "\n".join(part for part in parts if part)


def _call_line(doc: str, name: str) -> re.Match[str] | None:
    arrow = r"\s*(?:(?:--*>|=>|--|:)\s*(?P<said>.*?))?\.?[ \t]*(?:\n|$)"
    return re.match(rf"(?:\w+\.)*{name}\((?P<inside>.*?)\){arrow}", doc)


def summary(doc: str) -> str:
    """The first paragraph that is prose, on one line; empty if there is none."""
    for paragraph in re.split(r"\n\s*\n", doc):
        lines = [line for line in paragraph.splitlines() if not _FIELD.match(line)]
        text = one_line(" ".join(lines))
        if re.search(r"[A-Za-z]{2}", text):
            return text
    return ""


def sentences(doc: str) -> list[str]:
    """The sentences of the prose, each on one line; examples, field lists and rules of dashes are left out.

    What an argument list says of one argument ("max_workers: The maximum …") is a sentence of its own.
    """
    found = []
    for paragraph in _PARAGRAPH.split(doc):
        lines = [line for line in paragraph.splitlines() if not _FIELD.match(line)]
        text = one_line(" ".join(lines))
        found += [part for part in _SENTENCE_END.split(text) if re.search(r"[A-Za-z]{2}.* ", part)]
    return found


def mentions(doc: str) -> dict[str, str]:
    """name -> description, from the `name -- what it is` lists that module docstrings carry."""
    found: dict[str, str] = {}
    for line in doc.splitlines():
        match = re.match(r"^\s*(?:[-*]\s+)?([A-Za-z_][\w.]*)(?:\([^)]*\))?\s*(?:--+>?|:|–)\s+(\S.{6,})$", line)
        if match:
            found.setdefault(match[1].split(".")[-1], match[2])
    return found
