"""The run as code in a process sees it: the cache is asked for, key by key."""

import msgspec

from dagger.core import cache
from dagger.engine import frames
from dagger.engine.child_run import Run
from dagger.engine.overlay import AttemptCache


class Asked:
    """A parent that has a list of a million items, and keeps what it was asked."""

    def __init__(self):
        self.questions = []

    def ask(self, question, kind):
        self.questions.append(question)
        match question:
            case frames.Read("s", "list"):
                return frames.Found(msgspec.Raw(b'{"$blob":"s\\nlist","size":1000000}'), is_appended=True)
            case frames.Read("s", "text"):
                return frames.Found(msgspec.Raw(b'"t"'))
            case frames.Load("s\nlist"):
                return msgspec.Raw(b"[1,2]")
            case frames.Sections() | frames.Keys("s"):
                return ["s"]
            case frames.HasSection(name):
                return name == "s"
        return None


class Open:
    def require_open(self):
        pass


GIVEN = frames.AttemptInput("m:f", "r", "g", "n", None, 1, 0, 7, {}, {}, {}, 0, [], [], {})


def test_an_append_asks_for_no_item_of_the_list():
    """It costs the same at any length; who reads the list gets all of it, with its own items."""
    parent = Asked()
    run = Run(GIVEN, parent)
    own = AttemptCache(run.sections, run.load, Open())
    for number in (3, 4, 5):
        own.append("s", "list", number)
    assert {type(question) for question in parent.questions} == {frames.Read}
    assert own.get("s", "list") == [1, 2, 3, 4, 5]


def test_what_is_read_twice_and_is_equal_is_the_same():
    """So the cache lays only new writes of its own over it, and not all of them at each look."""
    sections = Run(GIVEN, Asked()).sections
    assert sections["s"]["list"] is sections["s"]["list"]
    assert isinstance(sections["s"]["list"], cache.Appended)
    assert sections["s"]["text"] == b'"t"'


def test_the_cache_is_a_mapping_of_mappings():
    """As the state's own."""
    sections = Run(GIVEN, Asked()).sections
    assert ("s" in sections, "t" in sections, list(sections), len(sections)) == (True, False, ["s"], 1)
    assert list(sections["s"]) == ["s"]
    assert sections["s"].get("none") is None
