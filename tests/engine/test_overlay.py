"""What one attempt sees of its run's cache and log: the applied state, under its own writes."""

import logging

import msgspec
import pytest

from dagger.core.cache import Appended
from dagger.core.errors import OutputInvalid
from dagger.core.graph import Node
from dagger.engine.overlay import AttemptCache, AttemptLog


class Owner:
    """An attempt's context, as far as its cache asks."""

    node = Node(id="n", action="a")
    is_open = True

    def require_open(self):
        if not self.is_open:
            raise RuntimeError("over")


def load(hash_):
    raise AssertionError(hash_)


def cache_of(sections, scope=""):
    return AttemptCache(sections, load, Owner(), scope)


def test_reads_see_the_state_under_the_attempts_own_writes():
    """Set, appended, added and deleted; the state itself is not changed, and the writes are collected in order."""
    sections = {"global": {"kept": b"1", "gone": b"2", "sum": b"3", "list": Appended(b"[1]", [b"2"])}}
    cache = cache_of(sections)
    cache.set("global", "new", "x")
    cache.delete("global", "gone")
    cache.add("global", "sum", 4)
    cache.append("global", "list", 3)
    cache.append("own", "list", 1)

    assert {key: cache.get("global", key) for key in cache.keys("global")} == {
        "kept": 1, "sum": 7, "list": [1, 2, 3], "new": "x",
    }  # fmt: skip
    assert cache.get("global", "gone", default=None) is None
    assert list(cache) == ["global", "own"]
    assert [(write.op, write.key) for write in cache.collected] == [
        ("set", "new"), ("delete", "gone"), ("add", "sum"), ("append", "list"), ("append", "list"),
    ]  # fmt: skip
    assert sections == {"global": {"kept": b"1", "gone": b"2", "sum": b"3", "list": Appended(b"[1]", [b"2"])}}


def test_what_others_append_meanwhile_is_seen_before_the_attempts_own():
    """The state goes on under the attempt: its own items stand after those that are applied."""
    items = [b"1"]
    cache = cache_of({"s": {"k": Appended(b"[]", items)}})
    cache.append("s", "k", 9)
    assert cache.get("s", "k") == [1, 9]
    items.append(b"2")
    assert cache.get("s", "k") == [1, 2, 9]


def test_what_others_set_meanwhile_is_seen():
    """An attempt's sum is that of what is there now."""
    sections = {"s": {"k": b"1"}}
    cache = cache_of(sections)
    cache.add("s", "k", 10)
    assert cache.get("s", "k") == 11
    sections["s"]["k"] = b"5"
    assert cache.get("s", "k") == 15


def test_an_attempt_in_a_child_flow_sees_its_own_nodes_first():
    """A node's section, the inputs and the instructions are those of its flow; other sections are the run's."""
    sections = {
        "flow/fetch": {"page": b'"inner"'}, "fetch": {"page": b'"outer"'}, "before": {"x": b"1"}, "global": {"y": b"2"},
        "flow/global:instructions": {}, "global:instructions": {"k": b"3"}, "flow/inputs": {"z": b"4"},
    }  # fmt: skip
    cache = cache_of(sections, "flow")

    assert cache.node("fetch") == {"page": "inner"}
    assert (cache.get("before", "x"), cache.get("global", "y"), cache.get("inputs", "z")) == (1, 2, 4)
    assert cache.keys("global:instructions") == []
    cache.set("global", "new", 1)
    cache.set("global:instructions", "new", 1)
    assert [write.section for write in cache.collected] == ["global", "flow/global:instructions"]


def test_inputs_are_read_only_and_a_closed_context_takes_no_writes():
    """A write that would be lost, or change what the run was started with, is an error at once."""
    cache = cache_of({"inputs": {"x": b"1"}})
    with pytest.raises(OutputInvalid, match="node 'n': the section 'inputs' of the cache is the run's: it is read-onl"):
        cache.set("inputs", "x", 2)
    cache._context.is_open = False
    with pytest.raises(RuntimeError, match="over"):
        cache.set("global", "x", 2)
    assert cache.collected == []
    assert cache.get("inputs", "x") == 1


def test_a_thousand_appends_and_reads_cost_a_thousand_steps():
    """Each look applies only what was written since the last: a list in the overlay is one object, and grows."""
    cache = cache_of({})
    for number in range(1000):
        cache.append("s", "k", number)
        assert len(cache.get("s", "k")) == number + 1
    overlaid = cache._overlaid["s", "k"]
    assert overlaid.writes == 1000
    assert isinstance(overlaid.stored, Appended)


def test_a_line_of_the_log_names_run_node_and_attempt(caplog):
    """Beside what the call itself adds."""
    log = AttemptLog(logging.getLogger("dagger.test"), {"run": "r", "node": "n", "attempt": 2})
    with caplog.at_level(logging.INFO):
        log.info("so %s", "far", extra={"own": 1})
    (record,) = caplog.records
    assert (record.getMessage(), record.run, record.node, record.attempt, record.own) == ("so far", "r", "n", 2, 1)


def test_writes_are_json_texts():
    """What is collected stands in the journal as it is."""
    cache = cache_of({})
    cache.set("s", "k", {"a": (1, 2)})
    assert bytes(cache.collected[0].value) == b'{"a":[1,2]}'
    assert msgspec.json.decode(cache.collected[0].value) == cache.get("s", "k")
