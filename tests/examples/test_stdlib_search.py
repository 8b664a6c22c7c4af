"""examples/stdlib_search: the pure parts on small texts, and the whole flow on a part of the real library."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import shutil
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import dagger

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_search"
sys.path[:0] = [str(EXAMPLE.parent), str(EXAMPLE)] if str(EXAMPLE) not in sys.path else []

from librarian import (  # noqa: E402
    builtin_modules,
    corpus,
    docstrings,
    exports,
    files,
    illustrate,
    index,
    names,
    question,
    rank,
    report,
    search,
    shard,
    sources,
    stems,
    usages,
)
from stdlib_search import app as stdlib_app  # noqa: E402

LAMPS = '''"""Lamps that shine.

dim -- how dark a lamp may get
"""
from lamps._bulb import *
from lamps._bulb import screw as fasten

__all__ = ["Lamp", "light", "glow", "dim"] + _bulb.__all__

# How dark.
dim = 3

class Lamp:
    """A lamp with a bulb."""

    def __init__(self, watts: int = 40):
        """Make one of so many watts."""

    def flash(self, times):
        """Go on and off so many times."""

_lamp = Lamp()
light = _lamp.flash

def glow(colour, *,
         brightness=1.0):
    """Shine softly.

    Args:
        colour: The name of a colour to shine in.
        brightness: How bright, from zero to one.
    """

def _hidden():
    """Not for users."""
'''
BULB = '''"""Bulbs."""
__all__ = ["screw"]

def screw(bulb, turns=3):
    """Fasten a bulb in its socket."""

def loose():
    """Not exported."""
'''
OLD_LAMPS = '''"""Lamps of old."""
import warnings
warnings._deprecated(__name__, remove=(3, 99))

def glow(flame):
    """Shine softly, with a flame."""
'''
HOUSE = """
import lamps
from lamps import Lamp as L

def light_the_corridor():
    # a warm evening
    lamps.glow("amber", brightness=0.5)
    text = "lamps.glow( is no usage in quotes"
    lamps.screw(bulb, turns=2)

def test_glow():
    with L(60) as lamp:
        lamp.flash(3)
        lamp.rest()
    dark = 1
"""

LAMPS_READ: report.Library = {
    "python": "3.11", "workdir": "work", "folder": "library", "files": 2, "bytes": 10, "index": "work/index.sqlite",
    "was_built": False, "modules": 1, "symbols": 1, "usages": 0,
}  # fmt: skip
NOTHING_FOUND: rank.Ranking = {"considered": 0, "found": {"names": 0}, "answers": []}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small library: a package with an inner module, an old one, a program that uses the package."""
    folder = tmp_path / "library"
    texts = {"lamps/__init__.py": LAMPS, "lamps/_bulb.py": BULB, "oldlamps.py": OLD_LAMPS, "test/house.py": HOUSE}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "site-packages").mkdir()
    (folder / "site-packages" / "stranger.py").write_text("x = 1", encoding="utf-8")
    return folder


@pytest.fixture
def lamp_index(tmp_path: Path, library: Path) -> Path:
    paths = [file.path for file in corpus.source_files(library)]
    files.write_json(tmp_path / "all.json", shard.read_shard(library, paths))
    index.build(tmp_path / "index.sqlite", [tmp_path / "all.json"], {}, "run-1")
    return tmp_path / "index.sqlite"


@pytest.fixture(scope="module")
def thesaurus() -> question.Thesaurus:
    return question.Thesaurus.load()


def answers_to(path: Path, text: str, thesaurus: question.Thesaurus, count: int = 3) -> list[rank.Answer]:
    query = question.understand(text, thesaurus)
    hits = [search.search(path, query, field) for field in search.FIELDS]
    return rank.rank(path, query, hits, count)["answers"]


# -- files and corpus ----------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """A block that fails leaves the old content and nothing beside it."""
    files.write_text(tmp_path / "answer.md", "old")

    def write_half() -> None:
        with files.replacing(tmp_path / "answer.md") as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["answer.md"]
    assert (tmp_path / "answer.md").read_text(encoding="utf-8") == "old"


def test_installed_packages_are_no_part_of_the_library(library):
    """site-packages lies inside the standard library's folder and is somebody else's code."""
    found = corpus.source_files(library)
    assert [file.path for file in found] == ["oldlamps.py", "lamps/__init__.py", "lamps/_bulb.py", "test/house.py"]
    assert [file.module for file in found] == ["oldlamps", "lamps", "lamps._bulb", "test.house"]
    assert [file.is_usage_only for file in found] == [False, False, False, True]


def test_the_fingerprint_changes_with_any_file(library):
    """An index of older files is never taken for one of these."""
    before = corpus.fingerprint(corpus.source_files(library), "1")
    assert corpus.fingerprint(corpus.source_files(library), "1") == before
    assert corpus.fingerprint(corpus.source_files(library), "2") != before
    os.utime(library / "oldlamps.py", (1, 1))
    assert corpus.fingerprint(corpus.source_files(library), "1") != before


def test_shards_hold_every_file_once_and_are_alike_in_work():
    """The parts are read at the same time: the slowest one is what one waits for."""
    found = [corpus.SourceFile(f"m{number}.py", 100 + 37 * number % 900, 0) for number in range(200)]
    parts = corpus.shards(found, 4)
    assert sorted(file.path for part in parts for file in part) == sorted(file.path for file in found)
    loads = [sum(file.size for file in part) for part in parts]
    assert max(loads) - min(loads) < 1000


def test_a_library_that_is_no_folder_is_named(tmp_path):
    """The message says which input is wrong and what else to give."""
    with pytest.raises(FileNotFoundError, match=r"nowhere.* is not a folder; leave it empty"):
        corpus.library_folder(str(tmp_path / "nowhere"))


# -- words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("BoundedSemaphore", ["bounded", "semaphore"]),
        ("lru_cache", ["lru", "cache"]),
        ("HTTPServer", ["http", "server"]),
        ("b64encode", ["b", "64", "encode"]),
    ],
)
def test_identifiers_are_split_into_words(identifier, words):
    """Capitals, digits and underscores separate."""
    assert names.words_of(identifier) == words


def test_glued_words_come_apart_where_the_prose_knows_both_halves():
    """`rmtree` is found by "remove" and "tree", an ordinary word stays whole."""
    vocabulary = names.Vocabulary(["tree file temp"] * 20, {"rm": ["remove"]})
    assert vocabulary.spelled_out("rmtree") == ["rmtree", "rm", "remove", "tree"]
    assert vocabulary.spelled_out("tempfile") == ["tempfile", "temp", "file"]
    assert vocabulary.spelled_out("orange") == ["orange"]


def test_stems_are_those_of_the_index():
    """The thesaurus finds "limiting" under "limit", because SQLite's own tokenizer says that they are one."""
    assert stems.stems(["limiting", "limits", "deep copies"]) == {
        "limiting": "limit", "limits": "limit", "deep copies": "deep copi",
    }  # fmt: skip


# -- docstrings and sources ------------------------------------------------------------------------------


def test_what_is_said_of_one_argument_is_a_sentence():
    """So "max_workers: The maximum …" can be the sentence that decides."""
    said = docstrings.sentences(sources.cleaned("Shine.\n\nMore of it.\n\nArgs:\n    colour: The colour's name.\n"))
    assert said == ["More of it.", "colour: The colour's name."]


def test_signatures_in_docstrings_of_c_functions_are_taken_out():
    """The call lines are the signature, the rest is what is said."""
    doc = "iter(iterable) -> iterator\niter(callable, sentinel) -> iterator\n\nGet an iterator from an object."
    assert docstrings.without_call_lines(doc, "iter") == ("iter(iterable)", "Get an iterator from an object.")
    assert docstrings.without_call_lines("Plain words.", "iter") == ("", "Plain words.")


def test_a_module_is_described_by_what_it_defines():
    """Qualified names, lines from 1, signatures as written and without `self`, comments where no docstring is."""
    module = sources.parse_module("lamps", "lamps/__init__.py", LAMPS)
    symbols = {symbol["qualname"]: symbol for symbol in module["symbols"]}
    assert symbols["Lamp"]["line"] == LAMPS.splitlines().index("class Lamp:") + 1
    assert symbols["Lamp"]["signature"] == "Lamp(watts: int = 40)"
    assert symbols["Lamp.flash"]["signature"] == "flash(times)"
    assert symbols["glow"]["signature"] == "glow(colour, *, brightness=1.0)"
    assert symbols["glow"]["parameters"] == ["colour", "brightness"]
    assert symbols["dim"]["doc"] == "How dark."
    assert module["aliases"] == {"light": "Lamp.flash"}
    assert module["is_open"]
    assert module["imported"] == {"fasten": "lamps._bulb.screw"}


def test_a_file_that_is_not_valid_python_has_no_symbols():
    """The library has such files on purpose, for its own tests."""
    assert sources.parse_module("bad", "bad.py", "def f(:") is None


def test_a_module_that_warns_at_import_is_deprecated():
    """All of it: an answer that will be gone is no answer."""
    assert sources.parse_module("oldlamps", "oldlamps.py", OLD_LAMPS)["deprecated"]
    one_class = 'def f():\n    warnings._deprecated("lamps.Candle", remove=(3, 14))\n'
    assert not sources.parse_module("lamps", "lamps.py", one_class)["deprecated"]


# -- usages ----------------------------------------------------------------------------------------------


def test_usages_are_found_under_whatever_name_they_were_imported():
    """Quoted text is no usage; the comment above and the function around are kept."""
    found = usages.usages_in("test/house.py", HOUSE)
    places = {usage["name"]: usage for usage in found["usages"]}
    assert set(places) == {"lamps.glow", "lamps.screw", "lamps.Lamp"}
    assert places["lamps.glow"]["text"] == 'lamps.glow("amber", brightness=0.5)'
    assert places["lamps.glow"]["around"] == "light_the_corridor a warm evening"
    assert HOUSE.splitlines()[places["lamps.Lamp"]["line"] - 1].strip() == "with L(60) as lamp:"
    assert found["imports"] == ["lamps"]


def test_one_file_shows_a_name_only_twice():
    """Many files show more ways than many lines of one."""
    found = usages.usages_in("a.py", "import os\n" + "os.getcwd()\n" * 50)
    assert len(found["usages"]) == usages.PER_FILE
    assert found["counts"] == {"os.getcwd": 50}


# -- public names ------------------------------------------------------------------------------------------


def test_symbols_go_by_their_public_names(library):
    """Re-exports, star imports and bound methods are followed; what is private stays out."""
    paths = [file.path for file in corpus.source_files(library)]
    entries = exports.public_entries(shard.read_shard(library, paths)["modules"], {})
    found = {entry.name: (entry.path, entry.symbol["qualname"]) for entry in entries}
    assert found["lamps.screw"] == ("lamps/_bulb.py", "screw")
    assert found["lamps.light"] == ("lamps/__init__.py", "Lamp.flash")
    assert found["lamps.Lamp.flash"] == ("lamps/__init__.py", "Lamp.flash")
    assert not any("hidden" in name or "loose" in name or "_bulb" in name for name in found)


def test_c_modules_tell_their_names_and_none_with_effects_is_imported():
    """`antigravity` would open a browser, `readline` would touch the terminal."""
    safe = builtin_modules.names_of_c_modules()
    assert not {"antigravity", "this", "readline", "_tkinter", "_testcapi"} & set(safe)
    (module,) = builtin_modules.describe_c_modules(["itertools"])
    chain = next(symbol for symbol in module["symbols"] if symbol["qualname"] == "chain.from_iterable")
    assert (module["path"], chain["line"], chain["signature"]) == ("(built-in)", 0, "from_iterable(iterable)")


# -- questions -----------------------------------------------------------------------------------------------


def test_a_question_becomes_topics_with_synonyms(thesaurus):
    """Phrases are known as such, words that say nothing are gone."""
    query = question.understand("How do I limit how many tasks run at once?", thesaurus)
    asked = {topic["asked"]: [term["text"] for term in topic["terms"]] for topic in query["topics"]}
    assert "semaphore" in asked["limit"]
    assert "concurrent" in asked["at once"]
    assert "how" not in asked


def test_a_word_counts_fully_in_one_topic_only():
    """Else "message" would answer both words of "send mail"."""
    small = question.Thesaurus(frozenset(), frozenset(), {}, {"send": ["message"], "mail": ["message"]})
    topics = question.understand("send mail", small)["topics"]
    weights = [term["weight"] for topic in topics for term in topic["terms"] if term["text"] == "message"]
    assert weights == [0.8, round(0.8 * question.REPEATED, 2)]


def test_words_side_by_side_also_count_as_one(thesaurus):
    """So "deep copy" finds `deepcopy`."""
    pairs = [topic for topic in question.understand("deep copy", thesaurus)["topics"] if topic["is_pair"]]
    assert [term["text"] for term in pairs[0]["terms"]] == ["deep copy", "deepcopy"]


def test_identifiers_in_a_question_are_noticed(thesaurus):
    """Whoever writes `os.path.join` means it."""
    query = question.understand("when is os.path.join better than PurePath or lru_cache?", thesaurus)
    assert query["names"] == ["os.path.join", "PurePath", "lru_cache"]


@pytest.mark.parametrize(
    "text", ["", "?!", "how do I", '"; DROP TABLE symbol; --', "NEAR(a b, 2) AND col:x*", "qwertzuiop", "日本語"]
)
def test_no_question_breaks_the_search(lamp_index, thesaurus, text):
    """Whatever is asked is words to look up, never the index's query language."""
    assert answers_to(lamp_index, text, thesaurus) == []


# -- search, rank, report ------------------------------------------------------------------------------------


def test_an_unknown_field_is_named_with_the_known_ones(lamp_index, thesaurus):
    """A typing error in the YAML file fails at once and says what there is."""
    with pytest.raises(ValueError, match="no field 'nmaes' to search; there are names, docstrings, parameters, usages"):
        search.search(lamp_index, question.understand("glow", thesaurus), "nmaes")


def test_deprecated_names_come_after_their_successors(lamp_index, thesaurus):
    """Both `glow`s say the same; the one to use comes first."""
    found = [answer["name"] for answer in answers_to(lamp_index, "shine softly", thesaurus)]
    assert found.index("lamps.glow") < found.index("oldlamps.glow")


def test_a_name_in_the_question_is_the_first_answer(lamp_index, thesaurus):
    """Even when other words speak for something else."""
    assert answers_to(lamp_index, "shine softly with lamps.screw", thesaurus)[0]["name"] == "lamps.screw"


def test_a_class_that_the_question_spells_out_comes_before_what_speaks_of_it(tmp_path, thesaurus):
    """`TemporaryDirectory` says it itself; NamedTemporaryFile only tells that it is deleted automatically."""
    library = Path(sysconfig.get_path("stdlib"))
    files.write_json(tmp_path / "all.json", shard.read_shard(library, ["tempfile.py", "shutil.py"]))
    index.build(tmp_path / "index.sqlite", [tmp_path / "all.json"], thesaurus.abbreviations, "run-1")
    answer = answers_to(tmp_path / "index.sqlite", "temporary directory deleted automatically", thesaurus)[0]
    assert answer["name"] == "tempfile.TemporaryDirectory"


def test_an_answer_is_illustrated(lamp_index, library, thesaurus):
    """With the sentence that decides, and code with its file and line."""
    query = question.understand("which colour to shine in", thesaurus)
    (answer,) = illustrate.illustrate(lamp_index, library, query, answers_to(lamp_index, "glow colour", thesaurus, 1))
    assert answer["says"] == ["Shine softly.", "colour: The name of a colour to shine in."]
    assert answer["signature"] == "lamps.glow(colour, *, brightness=1.0)"
    line = HOUSE.splitlines().index('    lamps.glow("amber", brightness=0.5)') + 1
    assert answer["usage"] == {"path": "test/house.py", "line": line, "code": 'lamps.glow("amber", brightness=0.5)'}
    shutil.rmtree(library)
    (again,) = illustrate.illustrate(lamp_index, library, query, answers_to(lamp_index, "glow colour", thesaurus, 1))
    assert again["usage"] == answer["usage"]


def test_a_block_is_shown_with_its_first_lines(lamp_index, library, thesaurus):
    """`with …:` alone would say little."""
    query = question.understand("lamp with a bulb", thesaurus)
    lamp = [answer for answer in answers_to(lamp_index, "lamps.Lamp", thesaurus) if answer["name"] == "lamps.Lamp"]
    (answer,) = illustrate.illustrate(lamp_index, library, query, lamp)
    assert answer["usage"]["code"] == "with L(60) as lamp:\n    lamp.flash(3)\n    lamp.rest()"


def test_a_report_without_answers_says_so(thesaurus):
    """And what was looked for."""
    text = report.markdown(question.understand("limit *all*", thesaurus), [], LAMPS_READ, NOTHING_FOUND, "run-1")
    assert report.NOTHING in text
    assert "taken over from an earlier run" in text
    assert text.endswith("The run was `run-1`.\n")
    assert "run.svg" not in text, "only ask.py draws it, and says so"


def test_a_poor_answer_is_called_so(lamp_index, library, thesaurus):
    """Who asks for what the library has not is not misled."""
    query = question.understand("glow colour", thesaurus)
    (answer,) = illustrate.illustrate(lamp_index, library, query, answers_to(lamp_index, "glow colour", thesaurus, 1))

    def told(score: float) -> str:
        return report.markdown(query, [answer | {"score": score}], LAMPS_READ, NOTHING_FOUND, "run-1")

    assert report.NOT_SURE in told(report.SURE - 1)
    assert report.NOT_SURE not in told(report.SURE)


def test_many_threads_read_at_once():
    """CPython 3.11 counts the depth of syntax trees once for all threads; warnings of what is read stay silent."""
    text = 'X = "\\d"\n' + "def f(a, b=(1, [2, {3: 4}])):\n    return [a for a in (b, b)]\n" * 30
    threshold = gc.get_threshold()

    def switch_threads(*_: object) -> None:  # at a collection inside the parser
        time.sleep(0.0001)

    gc.callbacks.append(switch_threads)
    gc.set_threshold(50)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: sources.parse_module("m", "m.py", text), range(24)))
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(switch_threads)
    assert all(module is not None for module in found)


# -- the flow ------------------------------------------------------------------------------------------------

PART_OF_THE_LIBRARY = ("asyncio", "concurrent", "copy.py", "queue.py", "tempfile.py", "threading.py")


@pytest.fixture
def part_of_the_library(tmp_path: Path) -> Path:
    """Some thirty files of the real standard library: an end-to-end run over all of it takes seconds."""
    folder = tmp_path / "some"
    folder.mkdir()
    for name in PART_OF_THE_LIBRARY:
        source = Path(sysconfig.get_path("stdlib"), name)
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def flow(tmp_path: Path) -> dagger.Dagger:
    """An application with the example's actions and graph, and a store of its own."""
    made = dagger.Dagger(tmp_path / "runs.db")
    made.include(stdlib_app)
    made.load_yaml_dir(EXAMPLE)
    return made


def test_the_flow_answers_from_real_sources(tmp_path, part_of_the_library):
    """Two questions: the first builds the index, the second takes it over, and both say so."""

    async def main() -> list[dagger.Report]:
        reports = []
        async with flow(tmp_path) as made:
            for text in ("how do I limit how many tasks run at once?", "make a deep copy of an object"):
                inputs = {"question": text, "workdir": str(tmp_path / "work"), "library": str(part_of_the_library)}
                reports.append(await made.execute(dagger.Static("stdlib_search"), inputs=inputs))
        return reports

    first, second = asyncio.run(main())
    assert first.error is None
    assert "Semaphore" in first.outputs["report"]["best"]
    assert first.outputs["index"]["library"]["was_built"]
    text = Path(first.outputs["report"]["path"]).read_text(encoding="utf-8")
    line = 1 + next(
        number
        for number, line in enumerate((part_of_the_library / "threading.py").read_text(encoding="utf-8").splitlines())
        if line.startswith("class Semaphore")
    )
    assert f"`threading.py:{line}`" in text
    assert "built in this run" in text
    assert second.outputs["report"]["best"] == "copy.deepcopy"
    assert not second.outputs["index"]["library"]["was_built"]
    assert first.node_outcomes["index/read"].status == "succeeded"
    assert {second.node_outcomes[f"index/{step}"].status for step in ("read", "read_c_modules")} == {"skipped"}
    assert "taken over" in Path(second.outputs["report"]["path"]).read_text(encoding="utf-8")


def test_a_flow_whose_index_failed_goes_on_without_reading_again(tmp_path, library, monkeypatch):
    """It pauses; mended and resumed, what was done is not done again."""
    build = index.build

    def fail(*_: object) -> None:
        raise dagger.NonRetryable("no space left on device")

    async def main() -> tuple[dagger.Report, dagger.Report, list[str]]:
        inputs = {"question": "shine softly", "workdir": str(tmp_path / "work"), "library": str(library)}
        monkeypatch.setattr(index, "build", fail)
        async with flow(tmp_path) as made:
            paused = await made.execute(dagger.Static("stdlib_search"), inputs=inputs)
        monkeypatch.setattr(index, "build", build)
        async with flow(tmp_path) as made:
            run = await made.resume(paused.run_id)
            done = await run.wait()
            events = [recorded.event async for recorded in run.events() if recorded.type == "StepStarted"]
            return paused, done, [event.step for event in events]

    paused, done, started = asyncio.run(main())
    assert paused.status == "paused"
    assert "no space left on device" in paused.error
    assert done.overall_success
    assert done.outputs["report"]["best"] == "lamps.glow"
    reading = ["index/read/0", "index/read/1", "index/read/2", "index/read/3", "index/read_c_modules"]
    assert sorted(step for step in started if step.startswith("index/read")) == reading
    assert done.outputs["index"]["library"]["files"] == len(corpus.source_files(library))


def test_a_run_that_was_started_in_another_folder_goes_on_there(tmp_path, library, monkeypatch):
    """A relative workdir means that of the start: no later step looks for it in the folder it is resumed in."""
    build = index.build

    def fail(*_: object) -> None:
        raise dagger.NonRetryable("no space left on device")

    async def main() -> dagger.Report:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(index, "build", fail)
        inputs = {"question": "shine softly", "workdir": "work", "library": "library"}
        async with flow(tmp_path) as made:
            paused = await made.execute(dagger.Static("stdlib_search"), inputs=inputs)
        monkeypatch.setattr(index, "build", build)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        async with flow(tmp_path) as made:
            return await (await made.resume(paused.run_id)).wait()

    done = asyncio.run(main())
    assert done.outputs["report"]["path"] == str(tmp_path / "work" / "answers" / done.run_id / "answer.md")
    assert list((tmp_path / "elsewhere").iterdir()) == []
