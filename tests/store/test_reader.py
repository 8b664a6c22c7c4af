"""dagger.store.reader: what is damaged is named; the rest of reading is in the store's contract."""

import asyncio
import itertools

import pytest
from tests.store.contract import Told, asked, started, succeeded

from dagger.core import codec, events
from dagger.core.errors import StoreCorrupt
from dagger.core.orders import Pause
from dagger.store import reader
from dagger.store.file import connect
from dagger.store.sqlite import SqliteStore


def damaged(path, statement):
    """A store of one run with two small events and a large one, after `statement`."""

    async def story():
        store, told = SqliteStore(path), Told()
        await store.open(told)
        lease = store.create(started())
        store.append(lease, succeeded(1))
        store.append(lease, succeeded(2, codec.encode("x" * 100_000)))
        await store.close()

    asyncio.run(story())
    connection = connect(str(path), monotonic=lambda: 0.0)
    connection.execute(statement)
    return reader.Reader(connection, str(path))


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE events SET event = '{\"type\":' WHERE seq = 2", "event 2 of run 'run-1' cannot be read: "),
        ('UPDATE events SET event = \'{"type":"Unknown","at":1}\' WHERE seq = 2', "Unknown"),
        ("UPDATE events SET event = '{\"$blob\":1}' WHERE seq = 2", "event 2 of run 'run-1' cannot be read: "),
        ("DELETE FROM blobs", "has no blob "),
        ("UPDATE blobs SET content = substr(content, 1, 20)", "blob .* cannot be read: "),
    ],
)
def test_a_damaged_event_is_named(tmp_path, statement, complaint):
    """StoreCorrupt says which event of which run, and why."""
    broken = damaged(tmp_path / "dagger.db", statement)
    with pytest.raises(StoreCorrupt, match=complaint) as caught:
        list(broken.read("run-1", 0, None))
    assert str(tmp_path / "dagger.db") in str(caught.value)
    broken.close()


def test_events_before_the_damage_can_be_read(tmp_path):
    """One bad row does not hide what is good."""
    broken = damaged(tmp_path / "dagger.db", "DELETE FROM blobs")
    events = broken.read("run-1", 0, None)
    assert [next(events).seq, next(events).seq] == [1, 2]
    broken.close()


def test_a_reader_writes_nothing(tmp_path):
    """There is one writer."""
    whole = damaged(tmp_path / "dagger.db", "SELECT 1")
    with pytest.raises(Exception, match="readonly"):
        whole._connection.execute("DELETE FROM events")
    whole.close()


def test_a_damaged_review_is_named(tmp_path):
    """StoreCorrupt, not a listing without it."""

    async def ask():
        store = SqliteStore(tmp_path / "dagger.db")
        await store.open(Told())
        store.append(store.create(started()), asked("1"))
        await store.close()

    asyncio.run(ask())
    connection = connect(str(tmp_path / "dagger.db"), monotonic=lambda: 0.0)
    connection.execute("UPDATE reviews SET content = substr(content, 1, 20)")
    broken = reader.Reader(connection, "the file")
    with pytest.raises(StoreCorrupt, match=r"^the file: an open review cannot be read: .* a newer Dagger wrote it$"):
        broken.reviews(None, None)
    broken.close()


@pytest.mark.parametrize("run_count", [10, 1_000])
def test_listing_reviews_looks_at_no_others(tmp_path, run_count):
    """By indexes: the oldest of ten thousand, and those of one run, cost as much as a few."""

    async def ask():
        store = SqliteStore(tmp_path / "dagger.db")
        await store.open(Told())
        for number in range(run_count):
            lease = store.create(started(f"run-{number}"))
            store.append(lease, asked("1", run_count - number))
            store.append(lease, events.RunParked(at=1, reason="1 review"))
        await store.close()

    asyncio.run(ask())
    connection = connect(str(tmp_path / "dagger.db"), monotonic=lambda: 0.0)
    one = reader.Reader(connection, "the file")
    instructions = itertools.count()
    connection.set_progress_handler(lambda: next(instructions) < 0, 1)
    assert [review.opened_ms for review in one.reviews(None, 3)] == [1, 2, 3]
    assert [review.run_id for review in one.reviews("run-7", None)] == ["run-7"]
    assert next(instructions) < 200
    one.close()


@pytest.mark.parametrize("run_count", [10, 1_000])
def test_finding_the_runs_to_wake_looks_at_no_others(tmp_path, run_count):
    """By indexes: ten thousand parked runs cost as much as one."""

    async def park():
        store = SqliteStore(tmp_path / "dagger.db")
        await store.open(Told())
        for number in range(run_count):
            lease = store.create(started(f"run-{number}"))
            store.append(lease, events.RunParked(at=1, reason="sleep", wake_at=1_000 + number))
        await store.send("run-7", Pause(id="1"))
        await store.close()

    asyncio.run(park())
    connection = connect(str(tmp_path / "dagger.db"), monotonic=lambda: 0.0)
    one = reader.Reader(connection, "the file")
    instructions = itertools.count()
    connection.set_progress_handler(lambda: next(instructions) < 0, 1)
    assert one.wakeable(1_001) == ["run-0", "run-1", "run-7"]
    assert next(instructions) < 200
    one.close()
