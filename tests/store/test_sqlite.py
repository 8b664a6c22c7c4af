"""dagger.store.sqlite: the contract; real processes, kill -9, power cuts; a disk that fails."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest
from tests.store import power_cut
from tests.store.contract import (
    ADD,
    CANCEL,
    JSON,
    PAUSE,
    StoreContract,
    Told,
    asked,
    came_from,
    folded,
    started,
    succeeded,
)
from tests.worlds import World

from dagger import Context, Static
from dagger.core import codec, events
from dagger.core.errors import LeaseLost, RunLeased, RunNotFound, StoreCorrupt, StoreError, StoreFull
from dagger.core.journal import HUNG_AFTER_SECONDS
from dagger.core.orders import Pause
from dagger.store import backlog, writer
from dagger.store.lease import EVENTS_NOW
from dagger.store.sqlite import SqliteStore


class TestSqliteStore(StoreContract):
    """The file keeps the contract."""

    def make(self, directory):
        return SqliteStore(directory / "dagger.db"), SqliteStore(directory / "dagger.db")


@contextlib.asynccontextmanager
async def opened(path, **options):
    store, told = SqliteStore(path, **options), Told()
    await store.open(told)
    try:
        yield store, told
    finally:
        await store.close()


class Clock:
    """A monotonic clock that stands still until it is told, or moves by a step whenever it is read."""

    now = 100.0
    step = 0.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dagger.db"


# -- on the loop's thread --------------------------------------------------------------------------------


def test_what_is_appended_while_a_batch_is_in_flight_gathers_in_the_next(path):
    """Group commit: a hundred callers wait for two commits, not for a hundred."""

    async def story():
        async with opened(path) as (store, told):
            gate = threading.Event()
            store._writer.post(gate.wait)
            lease = store.create(started())
            for number in range(100):
                store.flush()
                await asyncio.sleep(0)
                store.append(lease, succeeded(number))
            assert store.batch == 2
            gate.set()
            await told.settled(store)
            assert told.calls == [("committed", 1), ("committed", 2)]

    asyncio.run(story())


def test_callers_of_the_same_turn_share_a_commit(path):
    """Although each of them asks for it."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            assert store.flush() == 1
            for number in range(10):
                store.append(lease, succeeded(number))
                assert store.flush() == 1
            await told.settled(store)
            assert told.calls == [("committed", 1)]
            assert store.flush() == 1

    asyncio.run(story())


def test_a_store_that_is_not_open_says_so(path):
    """Before `open`, and after `close`."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            await told.settled(store)
        for use in (lambda: store.append(lease, succeeded(1)), lambda: store.row("run-1")):
            with pytest.raises(StoreError, match=r"dagger\.db is not open"):
                use()
        with pytest.raises(StoreError, match=r"dagger\.db is not open"):
            await store.claim("run-1")

    asyncio.run(story())


def test_a_lease_from_before_a_close_is_over(path):
    """Closing gave the run up: another process may have had it since."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            await told.settled(store)
            await store.close()
            await store.open(told)
            store.append(lease, succeeded(1))
            await told.settled(store)
            assert [type(error) for error in told.errors] == [LeaseLost]

    asyncio.run(story())


def test_a_lease_is_told_to_be_lost_once(path):
    """However many batches had something of it when it was refused."""

    async def story():
        async with opened(path) as (store, told):
            old = store.create(started())
            await store.claim("run-1")
            claims = []
            for number in range(3):  # a claim hands its batch over at once: now three are in flight
                store.append(old, succeeded(number))
                claims.append(asyncio.ensure_future(store.claim("run-1")))
                await asyncio.sleep(0)
            await asyncio.gather(*claims)
            await told.settled(store)
            assert [type(error) for error in told.errors] == [LeaseLost]
            assert told.errors[0].args[0].endswith("dagger.db was taken over by another owner")

    asyncio.run(story())


def test_a_lease_given_up_says_what_to_do(path):
    """Another message than for one that is lost."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            store.append(lease, events.RunPaused(at=2, reason="asked"))
            store.append(lease, succeeded(1))
            (error,) = told.errors
            assert str(error) == f"run 'run-1' in {path} paused or ended; claim it to go on"

    asyncio.run(story())


def test_a_blob_is_kept_in_memory_until_its_own_batch_is_committed(path):
    """Not shorter, or a consumer would miss it; not longer, or memory would fill."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started(), [codec.Blob("a", b"a")])
            await asyncio.sleep(0)
            store.append(lease, succeeded(1), [codec.Blob("b", b"b")])
            told.on_commit = lambda _: found.append((store.blob("a"), store.blob("b")))
            found = []
            await told.settled(store)
            assert found == [(b"a", b"b")] * 2
            assert store._backlog.blob("b") is None

    asyncio.run(story())


def test_a_chain_of_large_values_leaves_nothing_behind(path):
    """A value is held until its batch is committed, and not by the store, its leases or its thread any longer."""

    def references(contents):
        return [sys.getrefcount(content) for content in contents]

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            contents = [os.urandom(100_000) for _ in range(9)]
            free = references(contents)
            for number, content in enumerate(contents[:-1]):
                store.append(lease, succeeded(number), [codec.Blob(str(number), content)])
                if number % 2:
                    await told.settled(store)
            store.append(lease, events.RunPaused(at=2, reason="asked"), [codec.Blob("8", contents[-1])])
            del content
            assert references(contents)[-1] > free[-1]
            await told.settled(store)
            while store._writer._at_work.locked():
                await asyncio.sleep(0)
            assert references(contents) == free
            assert [store.blob(str(number)) for number in range(9)] == contents

    asyncio.run(story())


def test_a_store_is_behind_while_too_much_is_not_committed(path, monkeypatch):
    """Then steps wait for the disk; the commit ends it."""
    monkeypatch.setattr(backlog, "BEHIND_EVENTS", 10)
    monkeypatch.setattr(backlog, "BEHIND_BYTES", 10)

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            for number in range(9):
                store.append(lease, succeeded(number))
            seen = [store.is_behind]
            store.append(lease, succeeded(9))
            seen.append(store.is_behind)
            await told.settled(store)
            seen.append(store.is_behind)
            store.append(lease, succeeded(10), [codec.Blob("a", b"more than 10")])
            seen.append(store.is_behind)
            await told.settled(store)
            seen.append(store.is_behind)
            assert seen == [False, True, False, True, False]

    asyncio.run(story())


def test_the_loop_commits_a_small_batch_itself_where_nobody_has_to_be_waited_for(path, monkeypatch):
    """Not one of several runs, with a blob, of a new run, too long, on a slow disk, or behind another errand."""
    monkeypatch.setattr(writer, "LISTEN_SECONDS", 60.0)  # so that the thread does nothing by itself

    async def story():
        async with opened(path) as (store, told):
            is_ours = []

            def notice():
                is_ours.append(threading.current_thread() is threading.main_thread())
                return False  # SQLite may go on

            hook = store._writer.ask(lambda: store._writer._connection.set_commit_hook(notice))
            await asyncio.wrap_future(hook)

            async def commit(*those, seconds_before=0.0):
                while store._writer._at_work.locked():
                    await asyncio.sleep(0)
                store._writer._commit_seconds = seconds_before
                for lease, blobs in those:
                    store.append(lease, succeeded(1), blobs)
                await told.settled(store)

            one, other = store.create(started()), store.create(started("run-2"))
            await commit()
            del is_ours[:]  # of an owner's beginning
            await commit((one, []))
            await commit((one, []), (other, []))
            await commit((one, [codec.Blob("a", b"a")]))
            await commit(*[(one, [])] * (EVENTS_NOW + 1))
            await commit((one, []), seconds_before=writer.QUICK_SECONDS * 2)
            gate = threading.Event()
            store._writer.post(gate.wait)
            store.append(one, succeeded(1))
            await asyncio.sleep(0)
            gate.set()
            await commit()
            await commit((one, []))
            assert is_ours == [True, False, False, False, False, False, True]
            assert [one.seq for one in store.read("run-1")] == list(range(1, 1 + 1 + 6 + EVENTS_NOW + 1))

    asyncio.run(story())


def test_the_loop_does_not_wait_for_another_program_that_writes(path):
    """The writer's thread does; nothing is lost or written twice."""
    waiting = set()

    def monotonic():
        waiting.add(threading.current_thread() is threading.main_thread())
        return time.monotonic()

    async def story():
        async with opened(path, monotonic=monotonic) as (store, told):
            lease = store.create(started())
            await told.settled(store)
            while store._writer._at_work.locked():
                await asyncio.sleep(0)
            store._writer._commit_seconds = 0.0
            waiting.clear()
            with contextlib.closing(apsw.Connection(str(path))) as other:
                other.execute("BEGIN IMMEDIATE")
                store.append(lease, succeeded(1))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert store.is_busy
                other.execute("ROLLBACK")
            await told.settled(store)
            assert True not in waiting
            assert told.errors == []
            assert [one.seq for one in store.read("run-1")] == [1, 2]

    asyncio.run(story())


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_claim_that_nobody_waits_for_any_more_is_given_back(path, has_begun):
    """A cancelled caller leaves no run behind that is owned and idle."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            store.append(lease, events.RunPaused(at=2, reason="asked"))
            await told.settled(store)
            gate, begun, claim = threading.Event(), threading.Event(), store._writer.claim

            def slow_claim(run_id):
                begun.set()
                gate.wait()
                return claim(run_id)

            if has_begun:
                store._writer.claim = slow_claim
            else:
                store._writer.post(gate.wait)
            task = asyncio.create_task(store.claim("run-1"))
            await asyncio.sleep(0)
            if has_begun:
                await asyncio.to_thread(begun.wait)
            assert store.is_busy
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.set()
            await store.open(told)  # until the writer has done all it was told
            assert store.ownership("run-1") == "none"
            assert not store.is_busy

    asyncio.run(story())


def test_orders_that_come_while_a_claim_is_on_its_way_are_in_it(path):
    """Nobody knows the lease yet: the listener could not say whose they are."""

    async def story():
        async with opened(path) as (here, told), opened(path) as (there, _):
            lease = here.create(started())
            here.append(lease, events.RunPaused(at=2, reason="asked"))
            await told.settled(here)
            await there.send("run-1", PAUSE)
            claim = asyncio.ensure_future(here.claim("run-1"))
            sent = asyncio.ensure_future(here.send("run-1", CANCEL))
            await asyncio.sleep(0)
            here._writer.ask(lambda: None).result()  # both are done, and the loop has heard of neither
            await sent
            assert (await claim).orders == [PAUSE, CANCEL]
            assert told.orders == []

    asyncio.run(story())


def test_an_order_that_cannot_be_read_ends_its_run_here_and_no_other(path):
    """A newer Dagger may have sent it: whoever claims the run is told the same."""

    async def story():
        async with opened(path) as (store, told):
            lease, other = store.create(started()), store.create(started("run-2"))
            await told.settled(store)
            with contextlib.closing(apsw.Connection(str(path))) as connection:
                text = '{"type":"Rewind","id":"1"}'
                connection.execute("INSERT INTO inbox (run, id, content) VALUES (?, '1', ?)", (lease.key, text))
            while not told.errors:
                await told.news()
            store.append(lease, succeeded(1))
            store.append(other, succeeded(2))
            await told.settled(store)
            assert [type(error) for error in told.errors] == [StoreCorrupt, LeaseLost]
            expected = f"{path}: an order to run 'run-1' cannot be read: Invalid value 'Rewind'"
            assert str(told.errors[0]).startswith(expected)
            assert len(list(store.read("run-2"))) == 2
            with pytest.raises(StoreCorrupt, match="or a newer Dagger wrote it"):
                await store.claim("run-1")

    asyncio.run(story())


def test_orders_in_the_file_are_readable(path):
    """In the order of arrival; a place is never used again, or an owner would not see what comes there."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            for order in (PAUSE, CANCEL):
                await store.send("run-1", order)
                store.append(lease, came_from(order))
                await told.settled(store)
            await store.send("run-1", ADD)
            await told.settled(store)
            assert [order for _, order in told.orders] == [PAUSE, CANCEL, ADD]
            with contextlib.closing(sqlite3.connect(path)) as connection:
                statement = "SELECT key, id, content ->> 'type', content ->> '$.node.action' FROM inbox"
                assert connection.execute(statement).fetchall() == [(3, "a", "AddNode", "act")]

    asyncio.run(story())


def test_sending_needs_no_ownership(path):
    """`dagger cancel` leaves nothing behind but the order."""

    async def story():
        async with opened(path) as (here, told), opened(path) as (there, _):
            here.create(started())
            await told.settled(here)
            await there.send("run-1", CANCEL)
            assert len(list(path.parent.glob("*-owner-*"))) == 1
            with contextlib.closing(sqlite3.connect(path)) as connection:
                assert connection.execute("SELECT count(*) FROM owners").fetchone() == (1,)

    asyncio.run(story())


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_review_is_in_the_file_as_soon_as_the_loop_is_idle(path, durability):
    """Whatever steps wait for: nobody is to be asked what a crash would forget. Its answer leaves as soon."""

    async def ask(ctx: Context):
        return await ctx.review("Go on?", options=["yes", "no"])

    async def main(app):
        run = await app.start(Static("g"))
        await asyncio.sleep(0.001)  # time passes only when the loop is idle, and the disk too
        async with opened(world.path) as (other, _):
            (review,) = other.reviews()
            assert (review.run_id, review.step, review.question, review.options) == (
                run.id, "n0", "Go on?", ["yes", "no"],
            )  # fmt: skip
            await run.answer(review.id, "yes")
            assert other.reviews() == []
        return await run.wait()

    world = World("sqlite", path.parent)
    report = world.run(main, ask, config={"durability": durability})
    assert report.outputs == {"n0": {"output": "yes"}}


def test_reviews_in_the_file_are_readable(path):
    """As everything a person may want to know."""

    async def story():
        async with opened(path) as (store, told):
            store.append(store.create(started()), asked("1", 5, question="W\u00e4hle", options=["a", 1], due=6))
            await told.settled(store)
            with contextlib.closing(sqlite3.connect(path)) as plain:
                rows = plain.execute("SELECT run_id, id, opened_at, content FROM reviews JOIN runs ON run = runs.key")
                ((*columns, content),) = rows
            assert columns == ["run-1", "id of 1", 5]
            assert content.startswith(
                '{"id":"id of 1","run_id":"run-1","step":"each/7/a","key":"1","question":"W\u00e4hle"'
            )
            assert content.endswith(',"options":["a",1],"opened_ms":5,"due_ms":6}')

    asyncio.run(story())


def test_a_success_that_is_gone_is_not_reused(path):
    """The table points to the event, and has no copy."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            store.append(lease, succeeded(1, key="k"))
            store.remember(lease, "k")
            await told.settled(store)
            assert store.reusable("k") is not None
            with contextlib.closing(apsw.Connection(str(path))) as connection:
                connection.execute("DELETE FROM events WHERE seq = 2")
            assert store.reusable("k") is None

    asyncio.run(story())


# -- the file --------------------------------------------------------------------------------------------


def test_any_sqlite_tool_can_read_the_journal(path):
    """Events are JSON text: `sqlite3 -readonly FILE` shows them while the store is in use."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started(tags={"a": "b"}))
            store.append(lease, succeeded(7, JSON))
            await told.settled(store)
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            with contextlib.closing(connection):
                statement = "SELECT seq, typeof(event), event ->> 'type', event ->> 'step' FROM events ORDER BY seq"
                assert connection.execute(statement).fetchall() == [
                    (1, "text", "RunStarted", None),
                    (2, "text", "StepSucceeded", "node-7"),
                ]
                assert connection.execute("SELECT tags FROM runs").fetchall() == [('{"a":"b"}',)]

    asyncio.run(story())


def test_a_node_of_a_usual_size_takes_at_most_200_bytes(path):
    """A journal of 100,000 nodes is 20 MB."""

    async def story():
        async with opened(path) as (store, _):
            lease = store.create(started())
            for number in range(10_000):
                store.append(lease, succeeded(number, codec.encode({"x": 1.5, "y": "abc"})))

    asyncio.run(story())
    assert path.stat().st_size / 10_000 <= 200


def test_closing_leaves_one_file(path):
    """No log, no lock: the file can be copied."""

    async def story():
        async with opened(path) as (store, _):
            store.create(started())

    asyncio.run(story())
    assert [file.name for file in path.parent.iterdir()] == ["dagger.db"]


def test_a_store_that_closes_empties_the_log_for_those_that_stay(path):
    """The file alone holds everything then, although another store still has it open."""

    async def story():
        async with opened(path) as (stays, _):
            async with opened(path) as (leaves, _):
                leaves.create(started())
            assert path.with_name("dagger.db-wal").stat().st_size == 0
            assert stays.row("run-1").run_id == "run-1"

    asyncio.run(story())


# -- processes -------------------------------------------------------------------------------------------

PROCESS = """
import asyncio, sys
from dagger.core import events
from dagger.core.graph import Definition
from dagger.store.sqlite import SqliteStore

path, run_id, order = sys.argv[1:]
appended = {}

class Listener:
    def committed(self, batch):
        print("durable", appended.get(batch), flush=True)
    def lost(self, lease, error):
        print(type(error).__name__, flush=True)
    def ordered(self, lease, orders):
        print("ordered", *(order.id for order in orders), flush=True)
    def broken(self, error):
        print(error, flush=True)

async def main():
    store = SqliteStore(path)
    await store.open(Listener())
    spec = events.Spec(mode="static", name="g")
    lease = store.create(events.RunStarted(at=1, run_id=run_id, spec=spec, graph=Definition(name="g")))
    for number in range(10**9 if order == "forever" else 1):
        store.append(lease, events.StepSucceeded(at=number, step=f"node-{number}"))
        appended[store.batch] = number + 2
        if number % 5 == 0:
            store.flush()
            await asyncio.sleep(0)
    while store.is_busy:
        await asyncio.sleep(0.001)
    if order == "hold":
        print("holds", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        store.append(lease, events.StepSucceeded(at=7, step="late"))
        while store.is_busy:
            await asyncio.sleep(0.001)
    await store.close()

asyncio.run(main())
"""


@contextlib.contextmanager
def process(path, run_id="run-1", order="hold"):
    command = [sys.executable, "-c", PROCESS, str(path), run_id, order]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_until_held(child):
    assert "holds\n" in iter(child.stdout.readline, "")


@pytest.mark.parametrize("acknowledgements", [1, 3, 40])
def test_kill_9_leaves_a_prefix_with_all_that_was_acknowledged(path, acknowledgements):
    """What survives has no gap, is what was appended, and is at least what the caller was promised (I3)."""
    with process(path, order="forever") as child:
        lines = [child.stdout.readline() for _ in range(acknowledgements)]
        child.kill()
        lines += child.stdout.readlines()
    promised = int(lines[-1].split()[1])

    async def story():
        async with opened(path) as (store, _):
            recorded = list(store.read("run-1"))
            assert len(recorded) >= promised
            assert [one.seq for one in recorded] == list(range(1, len(recorded) + 1))
            assert [one.event.step for one in recorded[1:]] == [f"node-{number}" for number in range(len(recorded) - 1)]
            assert store.row("run-1") == folded(store)
            assert store.ownership("run-1") == "dead"
            assert (await store.claim("run-1")).epoch == 2

    asyncio.run(story())


def test_a_run_of_a_living_process_is_leased_and_of_a_killed_one_free_at_once(path):
    """The lock dies with the process."""

    async def story():
        async with opened(path) as (store, _):
            with process(path) as child:
                wait_until_held(child)
                assert store.ownership("run-1") == "elsewhere"
                with pytest.raises(RunLeased, match=f"'run-1' is owned by process {child.pid} on "):
                    await store.claim("run-1")
                child.kill()
                child.wait()
                assert store.ownership("run-1") == "dead"
                lease = await store.claim("run-1")
                assert (lease.epoch, store.ownership("run-1")) == (2, "here")

    asyncio.run(story())


def test_a_run_of_a_hanging_process_is_free_after_10_s_and_that_process_can_write_nothing_more(path):
    """The heartbeat is judged by the observer's clock, the late append by its epoch (I7)."""
    clock = Clock()

    async def story():
        async with opened(path, monotonic=clock) as (store, _):
            with process(path) as child:
                wait_until_held(child)
                os.kill(child.pid, signal.SIGSTOP)
                os.waitpid(child.pid, os.WUNTRACED)
                assert store.ownership("run-1") == "elsewhere"
                clock.now += HUNG_AFTER_SECONDS - 0.1
                with pytest.raises(RunLeased):
                    await store.claim("run-1")
                clock.now += 0.2
                assert store.ownership("run-1") == "dead"
                assert (await store.claim("run-1")).epoch == 2
                os.kill(child.pid, signal.SIGCONT)
                out, _ = child.communicate("go on\n", timeout=30)
                assert out == "LeaseLost\ndurable None\n"
                assert [one.seq for one in store.read("run-1")] == [1, 2]
                assert store.ownership("run-1") == "here"

    asyncio.run(story())


def test_an_owner_whose_heart_beats_is_never_taken_for_hanging(path):
    """However long it owns its run, and although the observer looks only now and then."""
    here, there = Clock(), Clock()

    async def story():
        async with opened(path, monotonic=here) as (owner, told), opened(path, monotonic=there) as (observer, _):
            lease = owner.create(started())
            for number in range(5):
                owner.append(lease, succeeded(number))
                await told.settled(owner)
                here.now += 2.5
                owner.append(lease, succeeded(number))
                await owner.open(told)  # until the writer has done all it was told
                there.now += HUNG_AFTER_SECONDS - 0.1
                assert observer.ownership("run-1") == "elsewhere"

    asyncio.run(story())


def test_an_owner_that_owns_again_after_an_idle_hour_is_not_taken_for_hanging(path):
    """Without runs there is no heartbeat, so a claim is one."""
    there = Clock()

    async def story():
        async with opened(path, monotonic=Clock()) as (owner, told), opened(path, monotonic=there) as (observer, _):
            lease = owner.create(started())
            await told.settled(owner)
            assert observer.ownership("run-1") == "elsewhere"
            owner.append(lease, events.RunPaused(at=2, reason="asked"))
            await told.settled(owner)
            there.now += 3_600
            await owner.claim("run-1")
            assert observer.ownership("run-1") == "elsewhere"
            owner.create(started("run-2"))
            there.now += 3_600
            await told.settled(owner)
            assert observer.ownership("run-2") == "elsewhere"

    asyncio.run(story())


def test_an_owner_in_another_process_hears_an_order_while_it_is_idle_and_before_it_may_end(path):
    """It looks by itself; and it cannot end the run without having read what came."""

    async def story():
        async with opened(path) as (store, _):
            with process(path) as child:
                wait_until_held(child)
                await store.send("run-1", Pause(id="first"))
                await store.send("run-1", Pause(id="second"))
                heard = []
                while len(heard) < 2:
                    line = await asyncio.to_thread(child.stdout.readline)
                    assert line.startswith("ordered ")
                    heard += line.split()[1:]
                assert heard == ["first", "second"]

    asyncio.run(story())


def test_several_processes_may_make_the_file_at_once(path):
    """Whoever is first makes the tables, and nobody fails."""
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(process(path, f"run-{number}", "once")) for number in range(4)]
        assert [child.wait(timeout=60) for child in children] == [0, 0, 0, 0]

    async def story():
        async with opened(path) as (store, _):
            assert {row.run_id for row in store.rows()} == {"run-0", "run-1", "run-2", "run-3"}
            assert all(len(list(store.read(row.run_id))) == 2 for row in store.rows())

    asyncio.run(story())


def test_what_a_killed_owner_left_behind_is_tidied_up(path):
    """Its row and its lock file go as soon as its runs are taken and somebody new comes."""
    with process(path) as child:
        wait_until_held(child)
    assert len(list(path.parent.glob("*-owner-*"))) == 1

    async def take():
        async with opened(path) as (store, _):
            await store.claim("run-1")

    async def come():
        async with opened(path) as (store, told):
            store.create(started("run-2"))
            await told.settled(store)
            assert len(list(path.parent.glob("*-owner-*"))) == 1

    asyncio.run(take())
    asyncio.run(come())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM owners").fetchone() == (0,)
    assert [file.name for file in path.parent.iterdir()] == ["dagger.db"]


# -- power, disk, locks ----------------------------------------------------------------------------------


def test_a_power_cut_at_any_sync_leaves_a_prefix_with_all_that_was_acknowledged(path, tmp_path, monkeypatch):
    """Of what was not synced any part may be on the disk, in the file and in the log, checkpoints included."""
    monkeypatch.setattr(writer, "CHECKPOINT_ANYWAY_FRAMES", 12)
    first = started()
    appended = [succeeded(number, JSON) for number in range(60)]
    durable = {}

    async def live(disk):
        async with opened(path, vfs=power_cut.NAME) as (store, told):
            disk.acknowledged = lambda: max(durable.values(), default=0)
            counts = {}
            told.on_commit = lambda batch: durable.__setitem__(batch, counts[batch])
            lease = store.create(first)
            counts[store.batch] = 1
            for number, event in enumerate(appended):
                store.append(lease, event)
                counts[store.batch] = number + 2
                if number % 2 == 0:
                    await told.settled(store)

    with power_cut.Disk() as disk:
        asyncio.run(live(disk))
    assert len({moment.acknowledged for moment in disk.moments}) > 30
    assert len({moment.synced.get(str(path)) for moment in disk.moments}) > 4  # checkpoints

    async def survive(directory, promised):
        async with opened(directory / path.name) as (store, _):
            try:
                recorded = list(store.read("run-1"))
            except RunNotFound:
                recorded = []
            assert len(recorded) >= promised
            assert [one.event for one in recorded] == [first, *appended][: len(recorded)]
            assert [one.seq for one in recorded] == list(range(1, len(recorded) + 1))
            assert not recorded or store.row("run-1") == folded(store)

    for number, moment in enumerate(disk.moments):
        directory = tmp_path / str(number)
        directory.mkdir()
        for name, content in moment.after_power_cut(seed=number).items():
            (directory / Path(name).name).write_bytes(content)
        asyncio.run(survive(directory, moment.acknowledged))


async def check_that_it_is_over(store, told, lease, kind, text):
    """The listener was told once, and whatever is tried quotes the first failure."""
    assert [type(error) for error in told.errors] == [kind]
    assert text in str(told.errors[0])
    for use in (lambda: store.append(lease, succeeded(1)), lambda: store.create(started("run-2"))):
        with pytest.raises(kind, match="takes nothing more since this failed: ") as caught:
            use()
        assert str(told.errors[0]) in str(caught.value)
    with pytest.raises(kind, match="takes nothing more since this failed: "):
        await store.claim("run-1")


async def check_that_others_can_go_on(path, run_id="run-1"):
    async with opened(path) as (other, told):
        assert other.ownership(run_id) == "dead"
        lease = await other.claim(run_id)
        other.append(lease, events.RunRecovered(at=9))
        await told.settled(other)
        assert told.errors == []
        return [one.type for one in other.read(run_id)]


def test_a_full_disk_ends_the_store_and_loses_nothing_acknowledged(path):
    """StoreFull, once; the runs can be taken over at once, and the store opened again when there is room."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            await told.settled(store)
            limit = "PRAGMA max_page_count = 20"
            await asyncio.wrap_future(store._writer.ask(lambda: store._writer._connection.execute(limit).fetchall()))
            store.append(lease, succeeded(1), [codec.Blob("a" * 32, os.urandom(200_000))])
            store.flush()
            store.append(lease, succeeded(2))
            while store.is_busy:
                await told.news()
            await check_that_it_is_over(store, told, lease, StoreFull, f"{path}: no space is left")
            assert [one.type for one in store.read("run-1")] == ["RunStarted"]
            assert await check_that_others_can_go_on(path) == ["RunStarted", "RunRecovered"]
            await store.open(told)
            again = await store.claim("run-1")
            store.append(again, succeeded(3))
            await told.settled(store)
            assert len(told.errors) == 1
            assert len(list(store.read("run-1"))) == 3

    asyncio.run(story())


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (apsw.IOError("disk I/O error"), StoreError, "cannot be written (disk I/O error); check the disk"),
        (apsw.FullError("disk is full"), StoreFull, "no space is left (disk is full); make room"),
    ],
)
def test_a_failed_sync_is_the_end_of_the_store(path, error, kind, text):
    """The next commit would be taken as if nothing had been: so there is none."""

    async def story(disk):
        async with opened(path, vfs=power_cut.NAME) as (store, told):
            lease = store.create(started())
            store.append(lease, succeeded(1))
            await told.settled(store)
            disk.error = error
            store.append(lease, succeeded(2))
            await told.settled(store)
            disk.error = None
            await check_that_it_is_over(store, told, lease, kind, text)
            assert [call for call in told.calls if call[0] == "committed"] == [("committed", 1)]
        assert await check_that_others_can_go_on(path) == ["RunStarted", "StepSucceeded", "RunRecovered"]

    with power_cut.Disk() as disk:
        asyncio.run(story(disk))


def test_a_file_locked_by_another_program_for_long_is_a_clear_error(path):
    """A claim can be tried again; events that cannot be written end the store."""
    clock = Clock()

    async def story():
        async with opened(path, monotonic=clock) as (store, told):
            lease = store.create(started())
            store.append(lease, events.RunPaused(at=2, reason="asked"))
            await told.settled(store)
            other = apsw.Connection(str(path))
            other.set_busy_timeout(5_000)
            other.execute("BEGIN IMMEDIATE")
            clock.step = 3.0
            with pytest.raises(StoreError, match="is locked by another program for 10 s; end that one"):
                await store.claim("run-1")
            assert told.errors == []
            assert clock.now < 300
            other.execute("ROLLBACK")
            lease = await store.claim("run-1")
            other.execute("BEGIN IMMEDIATE")
            store.append(lease, succeeded(1))
            await told.settled(store)
            await check_that_it_is_over(store, told, lease, StoreError, "is locked by another program for 10 s")
            other.close()

    asyncio.run(story())


def test_an_event_that_cannot_be_written_is_called_a_bug(path):
    """It ends the store, as memory and journal differ from then on; the message says whose turn it is."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            store.append(lease, events.StepSkipped(at=1, step="a", reason="\ud800"))
            await told.settled(store)
            (error,) = told.errors
            assert "a bug in Dagger: please report it" in str(error)

    asyncio.run(story())


def test_a_loop_that_is_busy_for_long_lets_the_writer_in(path):
    """Otherwise nothing would become durable as long as there is something to do."""

    async def story():
        async with opened(path) as (store, told):
            lease = store.create(started())
            await told.settled(store)
            began = time.monotonic()
            while len(told.calls) < 50:
                store.append(lease, succeeded(1))
                store.flush()
                turn = time.monotonic()
                while time.monotonic() < turn + 0.001:
                    pass
                await asyncio.sleep(0)
            assert time.monotonic() - began < 5

    asyncio.run(story())
