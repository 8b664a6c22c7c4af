"""The full-text index: one SQLite file with the symbols, four FTS5 tables over them, and their usages."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from librarian.docstrings import mentions, sentences, summary
from librarian.exports import Entry, public_entries
from librarian.files import read_json, replacing
from librarian.names import Vocabulary, is_private
from librarian.sources import Module
from librarian.usages import Usage

FORMAT = "1"
"""Changes with what the index holds, so that an older one is not taken for it."""

EVERYBODY = 200
"""Packages that import `builtins`, if importing it were needed: as many as import the most popular module."""

WORDS_OF_USAGES = 400
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE symbol (
    id INTEGER PRIMARY KEY, name TEXT, module TEXT, kind TEXT, path TEXT, line INTEGER, signature TEXT, summary TEXT,
    doc TEXT, module_summary TEXT, uses INTEGER, importers INTEGER, is_exported INTEGER, is_deprecated INTEGER);
CREATE TABLE usage (symbol INTEGER, path TEXT, line INTEGER, text TEXT, around TEXT);
CREATE INDEX symbol_name ON symbol (name);
CREATE INDEX usage_symbol ON usage (symbol);
CREATE VIRTUAL TABLE names USING fts5 (own, owner, content='', tokenize='porter unicode61');
CREATE VIRTUAL TABLE docstrings USING fts5 (summary, body, module, content='', tokenize='porter unicode61');
CREATE VIRTUAL TABLE parameters USING fts5 (words, content='', tokenize='porter unicode61');
CREATE VIRTUAL TABLE usages USING fts5 (words, content='', tokenize='porter unicode61');
"""


class Shard(TypedDict):
    """What parsing a part of the library gave; see `sources` and `usages`."""

    modules: list[Module]
    imports: dict[str, list[str]]
    counts: dict[str, int]
    calls: dict[str, int]
    usages: list[Usage]


class About(TypedDict):
    """How much an index holds, and the id of the run that built it."""

    modules: int
    symbols: int
    usages: int
    built_by: str


def build(path: Path, shard_paths: Iterable[Path], abbreviations: Mapping[str, list[str]], built_by: str) -> None:
    """Write the index to `path`, whole or not at all, signed with the run that built it."""
    shards: list[Shard] = [read_json(shard_path) for shard_path in shard_paths]
    with replacing(path) as temporary:
        connection = sqlite3.connect(temporary)
        try:
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
            with connection:
                counts = _Writer(connection, shards, abbreviations).write()
                about = {**counts, "built_by": built_by}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", about.items())
        finally:
            connection.close()


def about(path: Path) -> About:
    """What the index holds and who built it."""
    connection = sqlite3.connect(path)
    try:
        return cast("About", dict(connection.execute("SELECT key, value FROM meta")))
    finally:
        connection.close()


class _Writer:
    """Brings the shards together and writes the tables."""

    def __init__(
        self, connection: sqlite3.Connection, shards: list[Shard], abbreviations: Mapping[str, list[str]]
    ) -> None:
        self.connection = connection
        self.modules = [module for shard in shards for module in shard["modules"]]
        self.usages = [usage for shard in shards for usage in shard["usages"]]
        self.uses = _total(shard["counts"] for shard in shards)
        self.calls = _total(shard["calls"] for shard in shards)
        self.importers = _importers(shards) | {"builtins": EVERYBODY}
        docs = [module["doc"] for module in self.modules]
        docs += [symbol["doc"] for module in self.modules for symbol in module["symbols"]]
        self.vocabulary = Vocabulary(docs, abbreviations)
        self.docs = {module["name"]: module["doc"] for module in self.modules}
        self.mentions = {name: mentions(doc) for name, doc in self.docs.items()}
        self.spellings: dict[str, list[str]] = {}
        self.owners: Counter[str] = Counter()

    def write(self) -> dict[str, int]:
        entries = [entry for entry in public_entries(self.modules, self.uses) if self.is_worth(entry)]
        ids = {entry.name: number for number, entry in enumerate(entries, 1)}
        self.owners.update(entry.name.rpartition(".")[2] for entry in entries if "method" in entry.symbol["kind"])
        usages = self.usages_by_symbol(ids)
        for number, entry in enumerate(entries, 1):
            self.write_symbol(number, entry, usages.get(number, []))
        return {
            "modules": len(self.modules), "symbols": len(entries), "usages": sum(map(len, usages.values())),
        }  # fmt: skip

    def is_worth(self, entry: Entry) -> bool:
        """Constants that nobody describes or uses are noise: curses alone has four hundred."""
        if is_private(entry.name):
            return False
        described = entry.symbol["doc"] or entry.symbol["qualname"] in self.mentions.get(entry.module, {})
        return bool(described or self.uses.get(entry.name) or entry.symbol["kind"] != "constant")

    def usages_by_symbol(self, ids: Mapping[str, int]) -> dict[int, list[Usage]]:
        """Each usage goes to the longest known name it starts with: `os.environ.get` is a usage of `os.environ`."""
        found: dict[int, list[Usage]] = {}
        for usage in self.usages:
            name = usage["name"]
            while name and name not in ids:
                name = name.rpartition(".")[0]
            if name:
                found.setdefault(ids[name], []).append(usage)
        return found

    def write_symbol(self, number: int, entry: Entry, usages: list[Usage]) -> None:
        symbol = entry.symbol
        leaf = entry.name.rpartition(".")[2]
        said = self.mentions.get(entry.module, {}).get(leaf, "")
        doc = "\n\n".join(text for text in (symbol["doc"], said) if text)
        first = (sentences(doc) or [summary(doc)])[0]
        module_summary = summary(self.docs.get(entry.module) or self.docs.get(entry.path[:-3].replace("/", "."), ""))
        self.insert("symbol", (
            number, entry.name, entry.module, symbol["kind"], entry.path, entry.line, symbol["signature"], first, doc,
            module_summary, self.uses_of(entry), self.importers.get(entry.module, 0),
            entry.is_exported, entry.is_deprecated,
        ))  # fmt: skip
        owner = entry.name.rpartition(".")[0]
        self.insert_words("names", number, self.spelled(leaf), self.spelled(owner))
        self.insert_words("docstrings", number, summary(doc)[:400], doc, module_summary)
        self.insert_words("parameters", number, " ".join(self.spelled(name) for name in symbol["parameters"]))
        self.insert_words("usages", number, self.words_of_usages(usages))
        for usage in usages[:60]:
            self.insert("usage", (number, usage["path"], usage["line"], usage["text"], usage["around"]))

    def uses_of(self, entry: Entry) -> int:
        """How often the library uses it. Whose method `.close()` calls is not known: all classes share the calls."""
        leaf = entry.name.rpartition(".")[2]
        if entry.symbol["kind"] in ("method", "async method"):
            return max(self.uses[entry.name], self.calls[f".{leaf}"] // self.owners[leaf])
        return self.calls[leaf] if entry.module == "builtins" else self.uses[entry.name]

    def words_of_usages(self, usages: list[Usage]) -> str:
        words: list[str] = []
        for usage in usages:
            words += f"{self.spelled(usage['around'])} {self.spelled(usage['text'])}".split()
            if len(words) > WORDS_OF_USAGES:
                break
        return " ".join(words)

    def spelled(self, text: str) -> str:
        """The words of an identifier or a line of code, with glued and shortened ones spelled out."""
        found = []
        for part in text.replace(".", " ").split():
            if part not in self.spellings:
                self.spellings[part] = self.vocabulary.spelled_out(part)
            found += self.spellings[part]
        return " ".join(found)

    def insert(self, table: str, row: tuple[Any, ...]) -> None:
        self.connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608

    def insert_words(self, table: str, number: int, *texts: str) -> None:
        if any(texts):
            columns = "rowid, own, owner" if table == "names" else None
            columns = columns or ("rowid, summary, body, module" if table == "docstrings" else "rowid, words")
            places = ", ".join("?" * (len(texts) + 1))
            self.connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", (number, *texts))  # noqa: S608


def _total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return total


def _importers(shards: list[Shard]) -> dict[str, int]:
    """How many packages import each module: files of one package count once, or idlelib would make tkinter popular."""
    importers: dict[str, set[str]] = {}
    for shard in shards:
        for path, modules in shard["imports"].items():
            for module in modules:
                # Every test file is a package of its own: a test imports what it needs, as a user's program does.
                importers.setdefault(module, set()).add(path if path.startswith("test/") else path.split("/")[0])
    return {module: len(packages) for module, packages in importers.items()}
