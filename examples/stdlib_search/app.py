"""The actions of search.yaml and index.yaml, and whoever else answers: agent.py, team.py.

Each action is plain Python: `librarian` does the work and knows nothing of Dagger. Every one may be killed at any
moment and started again: files are written whole or not at all, under names that say what is in them. What goes from
node to node, and so into the run's journal, is small; the text stays in files.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Literal, TypedDict

import agent
import team
from librarian import builtin_modules, corpus, files, illustrate, index, question, rank, report, search, shard
from librarian.illustrate import Illustrated
from librarian.question import Query
from librarian.rank import Ranking
from librarian.report import Library
from librarian.search import Hits

from dagger import Context, Dagger

app = Dagger("stdlib_search.db")

MODEL = os.environ.get("DAGGER_MODEL", "")
"""The language model that decides in the agent's mode, as pydantic-ai names it; empty: a rule decides."""

SHARDS = 4
READING: Literal["thread", "process"] = "thread" if sys.platform == "win32" else "process"
"""Parsing keeps a core busy, and threads would share one; Windows has no process actions."""


class Part(TypedDict):
    """A part of the library to read: `list` is a file with the paths, `result` where what is found goes."""

    list: str
    result: str
    files: int


class Manifest(TypedDict):
    """The library as it is now. `index` is named by `fingerprint`, so it is there only if nothing has changed."""

    python: str
    workdir: str
    folder: str
    fingerprint: str
    files: int
    bytes: int
    index: str
    index_is_there: bool
    parts: list[Part]
    c_modules: str


@app.action
def understand(text: str) -> Query:
    """Take a question apart: its words, and what Python's documentation calls the same things."""
    return question.understand(text, question.Thesaurus.load())


@app.action
def collect(workdir: str, library: str) -> Manifest:
    """List the library's files in parts of equal work, and see whether an index of exactly these is there.

    All its paths are absolute: the run may be resumed in another folder.
    """
    folder = corpus.library_folder(library)
    found = corpus.source_files(folder)
    fingerprint = corpus.fingerprint(found, index.FORMAT, question.WORDS_FILE.read_text(encoding="utf-8"))
    work = Path(workdir, fingerprint).absolute()
    parts: list[Part] = []
    for number, part in enumerate(corpus.shards(found, SHARDS)):
        paths = work / f"part-{number}.files.json"
        files.write_json(paths, [file.path for file in part])
        parts.append({"list": str(paths), "result": str(work / f"part-{number}.json"), "files": len(part)})
    return {
        "python": platform.python_version(), "workdir": str(work.parent), "folder": str(folder.absolute()),
        "fingerprint": fingerprint,
        "files": len(found), "bytes": sum(file.size for file in found),
        "index": str(work / "index.sqlite"), "index_is_there": (work / "index.sqlite").is_file(),
        "parts": parts, "c_modules": str(work / "c-modules.json"),
    }  # fmt: skip


@app.action(runs_in=READING)
def read_part(folder: str, part: Part) -> dict[str, int]:
    """Read a part's files: definitions with docstrings, and usages."""
    found = shard.read_shard(Path(folder), files.read_json(Path(part["list"])))
    files.write_json(Path(part["result"]), found)
    symbols = sum(len(module["symbols"]) for module in found["modules"])
    return {"files_read": part["files"], "symbols": symbols, "usages": len(found["usages"])}


@app.action(runs_in=READING)
def read_c_modules(path: str) -> int:
    """Ask the modules written in C for their names and docstrings; gives how many answered."""
    modules = builtin_modules.describe_c_modules(builtin_modules.names_of_c_modules())
    files.write_json(Path(path), {"modules": modules, "imports": {}, "counts": {}, "calls": {}, "usages": []})
    return len(modules)


@app.action
def build_index(ctx: Context, manifest: Manifest) -> Library:
    """Bring the parts together in one full-text index, unless that of the same fingerprint is there."""
    path = Path(manifest["index"])
    results = [Path(part["result"]) for part in manifest["parts"]] + [Path(manifest["c_modules"])]
    if not path.is_file():
        index.build(path, results, question.Thesaurus.load().abbreviations, ctx.run_id)
    for result in results:
        result.unlink(missing_ok=True)  # some 10 MB, and all of it is in the index now
    about = index.about(path)
    # Not "did I write it just now": a process killed after writing finds its own index when it starts again.
    return {
        "python": manifest["python"], "workdir": manifest["workdir"], "folder": manifest["folder"],
        "files": manifest["files"], "bytes": manifest["bytes"],
        "index": str(path), "was_built": about["built_by"] == ctx.run_id,
        "modules": about["modules"], "symbols": about["symbols"], "usages": about["usages"],
    }  # fmt: skip


@app.action(name="search")
def search_field(index: str, query: Query, field: str) -> Hits:
    """Search one field of the index: names, docstrings, parameters or usages."""
    return search.search(Path(index), query, field)


@app.action(name="rank")
def rank_hits(index: str, query: Query, searches: list[Hits], count: int) -> Ranking:
    """Fuse the searches' hits into the best answers."""
    return rank.rank(Path(index), query, searches, count)


@app.action(name="illustrate")
def illustrate_answers(library: Library, query: Query, ranking: Ranking) -> list[Illustrated]:
    """Give each answer the sentence that decides and code that uses it."""
    return illustrate.illustrate(Path(library["index"]), Path(library["folder"]), query, ranking["answers"])


@app.action
def write_report(
    ctx: Context, query: Query, library: Library, ranking: Ranking, answers: list[Illustrated]
) -> dict[str, str]:
    """Write the answer as Markdown into the work directory; gives its path and the best answer's name."""
    path = report.write(query, answers, library, ranking, ctx.run_id)
    return {"path": str(path), "best": answers[0]["name"] if answers else ""}


app.include(agent, team)
app.load_yaml_dir(Path(__file__).parent)
if MODEL:
    app.register_action(agent.model_librarian(MODEL))
