"""The answer as Markdown: the best symbols with where they are defined, what they say and how they are used."""

from __future__ import annotations

import re
from typing import TypedDict

from librarian.illustrate import Illustrated
from librarian.question import Query, Topic

NOTHING = "Nothing in the standard library's sources matches. Try other words, or fewer."
NOT_SURE = "Not sure: nothing fits all of the question; these come nearest."
SURE = 16.0
"""A best answer that scores less speaks of a part of the question only, as a rule."""


class Account(TypedDict):
    """What the run did to find the answers, for the end of the report."""

    python: str
    files: int
    bytes: int
    modules: int
    symbols: int
    usages: int
    index_was_built: bool
    found: dict[str, int]
    considered: int


def markdown(query: Query, answers: list[Illustrated], account: Account, run_id: str) -> str:
    """The whole report. Places are `file:line` below the library's folder."""
    parts = [f"# {query['question']}", _headline(answers)]
    parts += [_answer(number, answer) for number, answer in enumerate(answers, 1)]
    parts += ["## How this was found", _how(query, account), f"The run was `{run_id}`."]
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


def place(answer: Illustrated) -> str:
    """`threading.py:505`, or `(built-in)` for what is written in C."""
    return f"{answer['path']}:{answer['line']}" if answer["line"] else answer["path"]


def _matched(answer: Illustrated) -> str:
    by = [f"{field} ({', '.join(dict.fromkeys(words))})" for field, words in answer["matched"].items()]
    return f"Found by: {'; '.join(by)}." if by else "Found by its name."


def _escaped(text: str) -> str:
    """Docstrings are no Markdown: `*args` must not become emphasis, nor `<name>` a tag; `max_workers` is safe."""
    return re.sub(r"[*<>\[\]\\]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text) if "`" not in text else text


def _how(query: Query, account: Account) -> str:
    looked = "; ".join(_looked_for(topic) for topic in query["topics"] if not topic["is_pair"])
    index = (
        "built in this run" if account["index_was_built"] else "taken over from an earlier run, as no file has changed"
    )
    found = ", ".join(f"{field} {count:,}" for field, count in account["found"].items())
    lines = [
        f"- Looked for: {looked or 'nothing: the question has only words that say nothing'}",
        f"- Read: {account['files']:,} files of Python {account['python']}, {account['bytes'] / 1e6:.1f} MB",
        f"- Index: {account['modules']:,} modules, {account['symbols']:,} names, {account['usages']:,} usages; {index}",
        f"- Names that matched, by search: {found}; {account['considered']:,} were ranked",
    ]
    return "\n".join(lines)


def _looked_for(topic: Topic) -> str:
    others = ", ".join(term["text"] for term in topic["terms"][1:])
    return f"*{topic['asked']}*" + (f" ({others})" if others else "")
