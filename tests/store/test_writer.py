"""dagger.store.writer: the order of work, failures, the heartbeat, checkpoints."""

import contextlib
import threading
import time

import apsw
import pytest
from tests.store.contract import started, succeeded

from dagger.core import events
from dagger.core.errors import LeaseLost, OrdersUnread, RunNotFound, StoreError
from dagger.core.journal import projected
from dagger.store import tables, writer
from dagger.store.lease import FileLease, Part
from dagger.store.writer import Writer

PAUSED, ENDED = events.RunPaused(at=5, reason="asked"), events.RunEnded(at=5, status="failed")


@contextlib.contextmanager
def working(path, monotonic=time.monotonic):
    failures = []
    told = []
    one = Writer(str(path), monotonic, None, failures.append, lambda lease, texts: told.append((lease, texts)))
    one.failures, one.told = failures, told
    reading = one.ask(one.open).result()
    try:
        yield one
    finally:
        reading.close()
        with contextlib.suppress(StoreError):
            one.ask(one.close).result()
        one.stop()


def parts(lease, *appended):
    return [Part(lease, list(appended), [], lease.row if lease.key == 0 else None)]


def new_lease(run_id="run-1"):
    return FileLease(run_id, 0, 1, projected(None, started(run_id)), 0)


def until(condition):
    """Wait for another thread; the test's timeout ends it."""
    while not condition():
        time.sleep(0.001)


def test_errands_are_done_one_after_another(tmp_path):
    """In the order of being posted, on one thread that is not ours."""
    with working(tmp_path / "dagger.db") as one:
        obeyed = []
        for number in range(100):
            one.post(lambda number=number: obeyed.append((number, threading.get_ident())))
        one.ask(lambda: None).result()
        assert [number for number, _ in obeyed] == list(range(100))
        assert {thread for _, thread in obeyed} == {one.ask(threading.get_ident).result()} != {threading.get_ident()}


def test_an_answer_that_is_an_error_ends_nothing(tmp_path):
    """RunNotFound is no failure of the store."""
    with working(tmp_path / "dagger.db") as one:
        with pytest.raises(RunNotFound):
            one.ask(lambda: one.claim("absent")).result()
        assert one.ask(lambda: one.write(parts(new_lease(), started()))).result() == []
        assert (one.failed, one.failures) == (None, [])


def test_after_a_failure_nothing_is_written_and_the_first_error_stands(tmp_path):
    """Its runs are free for others at once: the lock is released."""
    with working(tmp_path / "dagger.db") as one:
        lease = new_lease()
        one.ask(lambda: one.write(parts(lease, started()))).result()
        assert len(list(tmp_path.glob("*-owner-*"))) == 1
        lease.events.append(None)
        with pytest.raises(StoreError, match="TypeError") as first:
            one.ask(lambda: one.write([Part(lease, [object()], [], None)])).result()
        for order in (lambda: one.write(parts(lease, succeeded(1))), lambda: one.claim("run-1"), one.close):
            with pytest.raises(StoreError) as later:
                one.ask(order).result()
            assert later.value is first.value
        assert one.failures == [first.value]
        assert list(tmp_path.glob("*-owner-*")) == []


def test_an_owner_looks_into_the_inbox_when_others_have_written(tmp_path, monkeypatch):
    """By itself; an order is told once, and those to runs of others are not its business."""
    monkeypatch.setattr(writer, "LISTEN_SECONDS", 0.005)
    path = tmp_path / "dagger.db"
    with working(path) as one, working(path) as other:
        lease, theirs = new_lease(), new_lease("run-2")
        one.ask(lambda: one.write(parts(lease, started()))).result()
        other.ask(lambda: other.write(parts(theirs, started("run-2")))).result()
        for number, run_id in enumerate(["run-1", "run-2", "run-1"]):
            other.ask(lambda n=number, run_id=run_id: other.send(run_id, str(n), f"order {n}")).result()
        until(lambda: len([text for _, texts in one.told for text in texts]) == 2)
        one.ask(lambda: None).result()
        assert [(lease_, text) for lease_, texts in one.told for text in texts] == [
            (lease, "order 0"),
            (lease, "order 2"),
        ]
        assert other.told == [(theirs, ["order 1"])]


def test_an_owner_at_work_looks_after_every_errand(tmp_path, monkeypatch):
    """It is never idle then."""
    monkeypatch.setattr(writer, "LISTEN_SECONDS", 60.0)
    path = tmp_path / "dagger.db"
    with working(path) as one, working(path) as other:
        lease = new_lease()
        one.ask(lambda: one.write(parts(lease, started()))).result()
        other.ask(lambda: other.send("run-1", "1", "order")).result()
        assert one.told == []
        for number in range(2):
            one.ask(lambda number=number: one.write(parts(lease, succeeded(number)))).result()
        one.ask(lambda: None).result()
        assert one.told == [(lease, ["order"])]


def test_an_owner_that_writes_alone_does_not_look_into_the_inbox(tmp_path):
    """What a commit of its own changed it knows."""
    with working(tmp_path / "dagger.db") as one:
        lease, statements = new_lease(), []

        def trace(_, statement, __):
            statements.append(statement)
            return True  # go on

        one.ask(lambda: one.write(parts(lease, started()))).result()
        one.ask(lambda: one._connection.set_exec_trace(trace)).result()
        one.ask(lambda: one.write(parts(lease, succeeded(1)))).result()
        one.ask(lambda: None).result()
        assert 'pragma "data_version"' in statements
        assert not [statement for statement in statements if "FROM inbox" in statement]


def test_an_errand_that_the_thread_has_taken_and_not_begun_comes_first(tmp_path):
    """Nothing overtakes it on the caller's thread."""
    with working(tmp_path / "dagger.db") as one:
        lease, done = new_lease(), []
        one.ask(lambda: one.write(parts(lease, started()))).result()
        with one._at_work:
            one.post(lambda: done.append("errand"))
            until(one._errands.empty)
            one._commit_seconds = 0.0
        assert one.write_now(parts(lease, succeeded(1))) is None or done == ["errand"]


def test_leases_that_are_over_are_forgotten(tmp_path):
    """A store that executes a million runs holds those that go on."""
    with working(tmp_path / "dagger.db") as one:
        leases = [new_lease(f"run-{number}") for number in range(5)]
        for lease in leases:
            one.ask(lambda lease=lease: one.write(parts(lease, started(lease.run_id)))).result()
        again = one.ask(lambda: one.claim("run-1")).result()
        one.ask(lambda: one.send("run-3", "1", "order")).result()
        one.ask(lambda: one.give_up(leases[0])).result()
        late = one.ask(lambda: one.write(parts(leases[1], succeeded(1)))).result()
        paused = projected(leases[2].row, PAUSED)
        one.ask(lambda: one.write([Part(leases[2], [PAUSED], [], paused)])).result()
        unread = one.ask(lambda: one.write([Part(leases[3], [ENDED], [], projected(leases[3].row, ENDED))])).result()
        assert [type(error) for (_, error) in (*late, *unread)] == [LeaseLost, OrdersUnread]
        assert list(one._leases.values()) == [again, leases[4]]


def test_a_failure_on_the_callers_thread_is_as_fatal(tmp_path):
    """The store is over whichever thread found out."""
    with working(tmp_path / "dagger.db") as one:
        lease = new_lease()
        one.ask(lambda: one.write(parts(lease, started()))).result()
        one.ask(lambda: None).result()
        until(lambda: not one._at_work.locked())
        one._commit_seconds = 0.0
        with pytest.raises(StoreError, match="TypeError") as first:
            one.write_now([Part(lease, [object()], [], None)])
        with pytest.raises(StoreError) as later:
            one.ask(lambda: one.write(parts(lease, succeeded(1)))).result()
        assert later.value is first.value
        assert one.failures == [first.value]
        assert list(tmp_path.glob("*-owner-*")) == []


def test_an_owner_shows_that_it_lives_without_being_asked(tmp_path, monkeypatch):
    """The heartbeat moves while it owns a run; an idle process without runs leaves the disk alone."""
    monkeypatch.setattr(writer, "HEARTBEAT_SECONDS", 0.005)
    path = tmp_path / "dagger.db"
    with working(path) as one, contextlib.closing(apsw.Connection(str(path))) as observer:
        one.ask(lambda: one.write(parts(new_lease(), started()))).result()

        def beat():
            return observer.execute("SELECT beat FROM owners").fetchone()[0]

        seen = beat()
        until(lambda: beat() > seen + 2)
        one.ask(lambda: one._connection.execute("UPDATE runs SET owner = NULL")).result()
        one.ask(lambda: None).result()
        changes, due = observer.pragma("data_version"), one._beat_at
        until(lambda: one._beat_at > due + 0.02)
        one.ask(lambda: None).result()
        assert observer.pragma("data_version") == changes


def test_the_log_is_copied_into_the_file_when_nothing_else_is_to_be_done(tmp_path, monkeypatch):
    """Not within a commit, and not for a few pages."""
    monkeypatch.setattr(writer, "CHECKPOINT_FRAMES", 5)
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.001)
    path = tmp_path / "dagger.db"
    with working(path) as one:
        lease = new_lease()
        one.ask(lambda: one.write(parts(lease, started()))).result()
        one.ask(lambda: one.write(parts(lease, *map(succeeded, range(1_000))))).result()
        until(lambda: path.stat().st_size > 1_000 * 60)


def test_the_log_stays_small_under_constant_load(tmp_path, monkeypatch):
    """A checkpoint comes after so many pages, and the log begins anew in its old blocks."""
    monkeypatch.setattr(writer, "CHECKPOINT_ANYWAY_FRAMES", 20)
    monkeypatch.setattr(tables, "LOG_BYTES", 1)
    path = tmp_path / "dagger.db"
    with working(path) as one:
        lease = new_lease()
        for number in range(100):
            one.post(lambda number=number: one.write(parts(lease, started() if number == 0 else succeeded(number))))
        one.ask(lambda: None).result()
        assert (tmp_path / "dagger.db-wal").stat().st_size < 40 * 4_200


def test_a_reader_in_the_way_of_a_checkpoint_delays_it_only(tmp_path, monkeypatch):
    """The log grows as long as it must, without a checkpoint after every commit, and begins anew later."""
    monkeypatch.setattr(writer, "CHECKPOINT_ANYWAY_FRAMES", 20)
    path = tmp_path / "dagger.db"
    log = tmp_path / "dagger.db-wal"
    with working(path) as one, contextlib.closing(apsw.Connection(str(path))) as other:
        lease = new_lease()

        def write(count):
            for number in range(count):
                one.ask(lambda number=number: one.write(parts(lease, succeeded(number)))).result()

        one.ask(lambda: one.write(parts(lease, started()))).result()
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchall()
        write(100)
        grown = log.stat().st_size
        assert grown > 80 * 4_200
        assert one.ask(one._frames).result() < 20
        other.execute("COMMIT")
        write(100)
        assert log.stat().st_size <= grown + 21 * 4_200
        assert one.failures == []
