"""The answer as Markdown: the best symbols with where they are defined, what they say and how they are used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypedDict

from librarian.files import write_text
from librarian.illustrate import Illustrated
from librarian.question import Query, Topic
from librarian.rank import Ranking

NOTHING = "Nothing in the standard library's sources matches. Try other words, or fewer."
NOT_SURE = "Not sure: nothing fits all of the question; these come nearest."
SURE = 16.0
"""A best answer that scores less speaks of a part of the question only, as a rule."""


class Library(TypedDict):
    """What the answers come from. `was_built` is false when an index of exactly these files was there."""

    python: str
    workdir: str
    folder: str
    files: int
    bytes: int
    index: str
    was_built: bool
    modules: int
    symbols: int
    usages: int


def write(query: Query, answers: list[Illustrated], library: Library, ranking: Ranking, run_id: str) -> Path:
    """Write the report into the work directory, again where it is there already; its path."""
    path = Path(library["workdir"], "answers", run_id, "answer.md")
    write_text(path, markdown(query, answers, library, ranking, run_id))
    return path


def markdown(query: Query, answers: list[Illustrated], library: Library, ranking: Ranking, run_id: str) -> str:
    """The whole report. Places are `file:line` below the library's folder."""
    parts = [f"# {query['question']}", _headline(answers)]
    parts += [_answer(number, answer) for number, answer in enumerate(answers, 1)]
    parts += ["## How this was found", _how(query, library, ranking), f"The run was `{run_id}`."]
    return "\n\n".join(parts) + "\n"


def _headline(answers: list[Illustrated]) -> str:
    if not answers:
        return NOTHING
    best, *others = answers
    unsure = f"{NOT_SURE}\n\n" if best["score"] < SURE else ""
    said = f" — {best['says'][-1]}" if best["says"] else ""
    also = ", ".join(f"`{other['name']}`" for other in others[:2])
    return f"{unsure}**`{best['name']}`**{said}" + (f"\n\nSee also {also}." if also else "")


def _answer(number: int, answer: Illustrated) -> str:
    lines = [
        f"## {number}. `{answer['name']}`",
        f"`{place(answer)}` · {answer['kind']}",
        f"```python\n{answer['signature']}\n```",
    ]
    lines += [f"> {_escaped(said)}" for said in answer["says"]]
    if usage := answer["usage"]:
        lines.append(f"Used in `{usage['path']}:{usage['line']}`:\n\n```python\n{usage['code']}\n```")
    lines.append(_matched(answer))
    return "\n\n".join(lines)


def places(answers: list[Illustrated]) -> list[str]:
    """Where the answers are: `threading.Semaphore at threading.py:505`."""
    return [f"{answer['name']} at {place(answer)}" for answer in answers]


def place(answer: Illustrated) -> str:
    """`threading.py:505`, or `(built-in)` for what is written in C."""
    return f"{answer['path']}:{answer['line']}" if answer["line"] else answer["path"]


def _matched(answer: Illustrated) -> str:
    by = [f"{field} ({', '.join(dict.fromkeys(words))})" for field, words in answer["matched"].items()]
    return f"Found by: {'; '.join(by)}." if by else "Found by its name."


def _escaped(text: str) -> str:
    """Docstrings are no Markdown: `*args` must not become emphasis, nor `<name>` a tag; `max_workers` is safe."""
    return re.sub(r"[*<>\[\]\\]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text) if "`" not in text else text


def _how(query: Query, library: Library, ranking: Ranking) -> str:
    looked = "; ".join(_looked_for(topic) for topic in query["topics"] if not topic["is_pair"])
    index = "built in this run" if library["was_built"] else "taken over from an earlier run, as no file has changed"
    found = ", ".join(f"{field} {count:,}" for field, count in ranking["found"].items())
    lines = [
        f"- Looked for: {looked or 'nothing: the question has only words that say nothing'}",
        f"- Read: {library['files']:,} files of Python {library['python']}, {library['bytes'] / 1e6:.1f} MB",
        f"- Index: {library['modules']:,} modules, {library['symbols']:,} names, {library['usages']:,} usages; {index}",
        f"- Names that matched, by search: {found}; {ranking['considered']:,} were ranked",
    ]
    return "\n".join(lines)


def _looked_for(topic: Topic) -> str:
    others = ", ".join(term["text"] for term in topic["terms"][1:])
    return f"*{topic['asked']}*" + (f" ({others})" if others else "")
