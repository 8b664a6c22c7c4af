"""dagger.store.tables: exact JSON in the rows, chunks, blobs, fencing; each in one plain transaction."""

import contextlib
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.contract import answered, asked, started, succeeded

from dagger.core import codec, events
from dagger.core.errors import LeaseLost, OrdersUnread, RunExists
from dagger.core.journal import projected
from dagger.store import tables
from dagger.store.file import connect
from dagger.store.lease import FileLease, Part
from dagger.store.tables import Tables, encode

NUMBERS = ["0", "-0.0", "1.0", "1e5", "1E+5", "0.10", "1e400", "123456789012345678901234567890", "-1e-400"]


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with contextlib.closing(
        connect(str(tmp_path_factory.mktemp("tables") / "dagger.db"), monotonic=time.monotonic)
    ) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


@pytest.fixture
def written(connection):
    """Write parts in a transaction that is rolled back after the test."""
    connection.execute("BEGIN")
    ours = Tables(connection, "the file")
    yield lambda part, owner=1: ours.write(encode(part), owner)
    connection.execute("ROLLBACK")


def lease(run_id="run-1"):
    return FileLease(run_id, 0, 1, projected(None, started(run_id)), 0)


def part(lease, *appended, blobs=(), row=None):
    return Part(lease, list(appended), list(blobs), row or (lease.row if lease.key == 0 else None))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(values=st.lists(VALUES.map(codec.encode) | st.sampled_from(NUMBERS).map(str.encode), min_size=1, max_size=5))
def test_rows_hold_the_exact_text_of_their_events(connection, values):
    """SQLite takes the batch apart, and normalises nothing: no number, no escape, no order of keys."""
    appended = [succeeded(number, msgspec.Raw(value)) for number, value in enumerate(values)]
    connection.execute("BEGIN")
    new = lease()
    Tables(connection, "the file").write(encode(part(new, *appended)), 1)
    rows = connection.execute("SELECT seq, event FROM events WHERE run = ?", (new.key,)).fetchall()
    connection.execute("ROLLBACK")
    assert rows == [(number, events.encode_event(event).decode()) for number, event in enumerate(appended, 1)]


def test_a_value_of_the_allowed_depth_is_taken(connection, written):
    """SQLite reads JSON to a depth of 1,000, and a value may have 200."""
    deep = msgspec.Raw(codec.encode(eval("[" * codec.MAX_DEPTH + "]" * codec.MAX_DEPTH)))
    written(part(lease(), succeeded(1, deep)))
    assert bytes(deep).decode() in connection.execute("SELECT event FROM events").fetchone()[0]


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1_000])
def test_a_part_of_any_length_is_numbered_through(connection, written, count):
    """Long parts are written in chunks."""
    new = lease()
    written(part(new, *map(succeeded, range(count))))
    written(part(new, succeeded(count)))
    rows = connection.execute("SELECT seq, event ->> 'step' FROM events ORDER BY seq").fetchall()
    assert rows == [(number + 1, f"node-{number}") for number in range(count + 1)]
    assert new.seq == count + 1


def test_an_event_becomes_a_blob_above_the_limit_and_not_before(connection, written):
    """64 KiB are written as they are; small neighbours stay."""

    def sized(size):
        frame = len(events.encode_event(events.StepSkipped(at=1, step="s", reason="")))
        return events.StepSkipped(at=1, step="s", reason="x" * (size - frame))

    at_limit, above = sized(codec.BLOB_ABOVE_BYTES), sized(codec.BLOB_ABOVE_BYTES + 1)
    new = lease()
    written(part(new, succeeded(1), at_limit, above, succeeded(2)))
    written(part(new, at_limit))
    written(part(new, above))
    rows = [row for (row,) in connection.execute("SELECT event FROM events ORDER BY seq")]
    assert [codec.is_blob(row.encode()) for row in rows] == [False, False, True, False, False, True]
    size, content = connection.execute("SELECT size, length(content) FROM blobs").fetchone()
    assert (size, codec.blob_reference(rows[2].encode()).size) == (codec.BLOB_ABOVE_BYTES + 1,) * 2
    assert content < 200


@pytest.mark.parametrize(("content", "is_packed"), [(b"x" * 100, True), (b"x", False), (bytes(range(256)), False)])
def test_a_blob_is_packed_where_that_makes_it_smaller(connection, written, content, is_packed):
    """A reader knows by the length."""
    written(part(lease(), succeeded(1), blobs=[codec.Blob("h", content)]))
    size, stored = connection.execute("SELECT size, content FROM blobs").fetchone()
    assert size == len(content)
    assert (len(stored) < size) is is_packed
    assert is_packed or stored == content


def test_a_blob_is_stored_once(connection, written):
    """By its hash, whoever brings it again."""
    new = lease()
    for _ in range(2):
        written(part(new, succeeded(1), blobs=[codec.Blob("h", b"content")] * 2))
    assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (1,)


def test_a_run_id_is_created_once_and_what_follows_is_refused_too(connection, written):
    """The lease has no run: nothing of it can get into the other one's journal."""
    written(part(lease(), started()))
    second = lease()
    for again in (part(second, started()), part(second, succeeded(1), blobs=[codec.Blob("h", b"c")])):
        assert isinstance(written(again), RunExists)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (0,)


@pytest.mark.parametrize("change", ["epoch = epoch + 1", "owner = 2", "owner = NULL"])
def test_a_part_of_a_former_owner_is_refused_wholly(connection, written, change):
    """Events, blobs and row (I7)."""
    old = lease()
    written(part(old, started()))
    connection.execute(f"UPDATE runs SET {change}")
    ended = projected(old.row, events.RunEnded(at=9, status="failed"))
    late = part(old, *map(succeeded, range(300)), blobs=[codec.Blob("h", b"c")], row=ended)
    assert isinstance(written(late), LeaseLost)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM blobs").fetchone() == (0,)
    assert connection.execute("SELECT status FROM runs").fetchone() == ("running",)


def test_small_events_are_encoded_together():
    """One statement for all of a part, as each statement costs a hand-over of the interpreter."""
    encoded = encode(part(lease(), *map(succeeded, range(3 * tables._CHUNK + 1))))
    assert [count for count, _ in encoded.texts] == [3 * tables._CHUNK + 1]
    assert encoded.blobs == []


def test_a_statement_has_a_limit(connection, written, monkeypatch):
    """Far below the 1 GB that SQLite takes."""
    monkeypatch.setattr(tables, "_STATEMENT_BYTES", 30_000)
    encoded = encode(part(lease(), *map(succeeded, range(2_000))))
    assert len(encoded.texts) > 2
    assert written(encoded.part) is None
    assert connection.execute("SELECT count(*), max(seq) FROM events").fetchone() == (2_000, 2_000)


def test_many_successes_are_remembered_in_one_statement(connection, written):
    """By their places in the journal; of one key the last."""
    new = lease()
    written(part(new, *map(succeeded, range(10))))
    keys = [("a", 1, 5), ("b", 2, 6), ("a", 300, 7)]
    written(part(new, *map(succeeded, range(300)))._replace(keys=keys))
    rows = connection.execute("SELECT key, run, seq, at FROM reuse ORDER BY key").fetchall()
    assert rows == [("a", new.key, 310, 7), ("b", new.key, 12, 6)]


def test_a_refused_part_touches_neither_orders_nor_keys(connection, written):
    """A former owner consumes nothing (I7)."""
    old = lease()
    written(part(old, started()))
    Tables(connection, "the file").send("run-1", "o", "{}")
    connection.execute("UPDATE runs SET epoch = epoch + 1")
    assert isinstance(written(part(old, succeeded(1))._replace(read=["o"], keys=[("k", 1, 5)])), LeaseLost)
    assert connection.execute("SELECT id FROM inbox").fetchall() == [("o",)]
    assert connection.execute("SELECT key FROM reuse").fetchall() == []


def test_many_reviews_are_opened_and_closed_in_one_part(connection, written):
    """In as many statements as one."""
    new = lease()
    for number in range(300):
        new.note(asked(str(number), number))
    written(part(new, *map(succeeded, range(300)))._replace(reviews=new.take().reviews))
    assert connection.execute("SELECT count(*), max(opened_at) FROM reviews").fetchone() == (300, 299)
    for number in range(1, 300):
        new.note(answered(str(number)))
    new.note(asked("0", 1_000))
    written(part(new, succeeded(1))._replace(reviews=new.take().reviews))
    rows = connection.execute("SELECT run, id, opened_at, content ->> 'question' FROM reviews").fetchall()
    assert rows == [(new.key, "id of 0", 1_000, "Go on?")]


def test_a_refused_end_leaves_the_row_as_the_events_before_it_make_it(connection, written):
    """The run stays with its owner."""
    old = lease()
    written(part(old, started()))
    Tables(connection, "the file").send("run-1", "o", "{}")
    end = events.RunEnded(at=9, status="failed")
    late = part(old, events.RunWaiting(at=7, reason="sleep", wake_at=8), end, row=projected(old.row, end))
    assert isinstance(written(late), OrdersUnread)
    row = connection.execute("SELECT status, reason, wake_at, updated_at, owner FROM runs").fetchone()
    assert row == ("waiting", "sleep", 8, 7, 1)
    assert written(part(old, end, row=projected(old.row, end))._replace(read=["o"])) is None
    row = connection.execute("SELECT status, wake_at, owner FROM runs").fetchone()
    assert row == ("failed", None, None)
    assert connection.execute("SELECT max(seq) FROM events").fetchone() == (3,)
