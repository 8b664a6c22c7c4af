"""Print the best three answers to many questions, for a person to judge: `python try_questions.py [FILE]`.

No run, no store: it calls the same plain functions that the actions call, on an index in a temporary folder. Where
the agent, which follows the names that it finds as the team does, comes to other answers than the static flow, both
are printed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from librarian import builtin_modules, corpus, files, follow, index, question, rank, search, shard

HERE = Path(__file__).parent


def build_index(folder: Path, thesaurus: question.Thesaurus) -> Path:
    """An index of the running Python's standard library."""
    library = corpus.library_folder()
    found = shard.read_shard(library, [file.path for file in corpus.source_files(library)])
    found["modules"] += builtin_modules.describe_c_modules(builtin_modules.names_of_c_modules())
    files.write_json(folder / "all.json", found)
    index.build(folder / "index.sqlite", [folder / "all.json"], thesaurus.abbreviations, "try_questions")
    return folder / "index.sqlite"


def best_names(path: Path, text: str, thesaurus: question.Thesaurus, count: int = 3) -> tuple[list[str], list[str]]:
    """The names of the best answers: of the static flow, and of the agent that nobody answers."""
    query = question.understand(text, thesaurus)
    hits = [search.search(path, query, field) for field in search.FIELDS]
    static = ranking = rank.rank(path, query, hits, follow.READ)
    known = list(query["names"])
    while leads := follow.leads(path, query, hits, ranking, known):
        known += [lead["name"] for lead in leads]
        hits += [found for lead in leads for found in follow.follow(path, query, lead)]
        ranking = rank.rank(path, query, hits, follow.READ)
    first, last = ([answer["name"] for answer in each["answers"][:count]] for each in (static, ranking))
    return first, last


def main() -> None:
    """A Markdown table of all questions in the file, a line each; lines that begin with # or | are left out."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "questions.txt"
    thesaurus = question.Thesaurus.load()
    print("| question | static | agent, where it differs |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = build_index(Path(folder), thesaurus)
        for text in source.read_text(encoding="utf-8").splitlines():
            if text.strip() and not text.startswith("#"):
                static, agent = best_names(path, text, thesaurus)
                print(f"| {text} | {', '.join(static)} | {', '.join(agent) if agent != static else ''} |")


if __name__ == "__main__":
    main()
