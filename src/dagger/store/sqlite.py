"""The store in one SQLite file: appends gather in memory, a writer thread commits them in batches."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.errors import DaggerError, LeaseLost, StoreCorrupt, StoreError
from dagger.core.journal import Lease, Listener, Ownership, Reusable, RunRow, projected
from dagger.core.orders import AnyOrder, encode_order
from dagger.core.reviews import Review
from dagger.store.backlog import Backlog
from dagger.store.lease import NOTED, FileLease, Part
from dagger.store.reader import ClosedReader, Reader, order_of
from dagger.store.writer import Writer

BUSY_SECONDS = 0.001
"""So long a loop may be busy while a commit is under way before it rests."""
REST_SECONDS = 0.000_05
"""As long as a thread takes to wake up."""

T = TypeVar("T")


class SqliteStore:
    """Journals in the file at `path`; its directory must exist. Several processes may share the file.

    `monotonic` is the clock that tells a hanging owner; `vfs` names a file layer of SQLite, for tests.
    """

    is_immediate = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        vfs: str | None = None,
    ) -> None:
        self.url = os.fspath(path)
        self._path = str(Path(path).resolve())
        self.batch = 1
        self._monotonic = monotonic
        self._vfs = vfs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._failed: StoreError | None = None
        self._dirty: list[FileLease] = []
        """Leases that the open batch has events of."""
        self._last: dict[FileLease, Part] = {}
        """What the open batch has of leases that are over."""
        self._in_flight = 0
        """Batches that the writer has: one, or more where a claim would not wait."""
        self._asked = 0
        """Questions that the writer has not answered."""
        self._is_flush_wanted = False
        self._rest_at = 0.0
        """When a busy loop lets the writer's thread in."""
        self._backlog = Backlog()

    @property
    def is_busy(self) -> bool:
        """See Store."""
        return bool(self._in_flight or self._asked or self._dirty)

    @property
    def is_behind(self) -> bool:
        """See Store."""
        return self._backlog.is_behind

    async def open(self, listener: Listener) -> None:
        """See Store."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._in_flight = 0  # what was handed over on a loop that is gone is told to nobody
        self._loop, self._listener = loop, listener
        if self._writer is not None and self._writer.failed is None:
            self._hand_over()
            await self._ask(self._writer, lambda: None)  # until all of it is written
            return
        await self.close()
        writer = Writer(self._path, self._monotonic, self._vfs, self._tell_failure, self._tell_orders)
        try:
            connection = await self._ask(writer, writer.open)
            self._reader = Reader(connection, self._path)
        except BaseException:
            writer.stop()
            raise
        self._writer, self._failed = writer, None

    async def close(self) -> None:
        """See Store."""
        writer, reader = self._writer, self._reader
        if writer is None or reader is None:
            return
        self._hand_over()
        self._writer = self._reader = None
        reader.close()
        try:
            with contextlib.suppress(StoreError):  # the listener is told
                await self._ask(writer, writer.close)
        finally:
            writer.stop()
            self._backlog = Backlog()

    def create(self, event: events.RunStarted, blobs: Sequence[Blob] = ()) -> Lease:
        """See Store."""
        row = projected(None, event)
        assert row is not None
        lease = FileLease(event.run_id, 0, 1, row, 0)
        lease.has_new_row = lease.is_held = True
        self.append(lease, event, blobs)
        return lease

    def append(self, lease: Lease, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """See Store."""
        pending = lease.events
        if not pending and not self._begin(lease):
            return
        pending.append(event)
        self._backlog.appended += 1
        if blobs:
            self._keep(lease, blobs)
        if event.__class__ in NOTED:
            assert isinstance(lease, FileLease)
            lease.note(event)
            if lease.is_over:
                self._last[lease] = lease.take()  # so that the next append finds it empty, and is refused

    def remember(self, lease: Lease, key: str) -> None:
        """See Store."""
        assert isinstance(lease, FileLease)
        if lease.events:  # none: it was refused
            lease.keys.append((key, len(lease.events), lease.events[-1].at))

    def reusable(self, key: str) -> Reusable | None:
        """See Store."""
        return self._usable_reader().reusable(key)

    def flush(self) -> int:
        """See Store. It happens at the loop's next turn, for which `_begin` has seen to it.

        So ten callers that go on in the same turn share a commit, and not the first one has it for itself.
        """
        last = self.batch if self._dirty else self.batch - 1
        if self._in_flight or self._asked:
            self._let_the_writer_in()
        return last

    async def claim(self, run_id: str) -> Lease:
        """See Store."""
        writer = self._usable_writer()
        self._hand_over()  # a run that paused a moment ago can be claimed
        lease = await self._ask(writer, lambda: writer.claim(run_id), unwanted=writer.give_up)
        lease.is_held = True
        return lease

    async def send(self, run_id: str, order: AnyOrder) -> int:
        """See Store."""
        writer = self._usable_writer()
        text = encode_order(order).decode()
        self._hand_over()  # a run that began a moment ago takes orders
        return await self._ask(writer, lambda: writer.send(run_id, order.id, text))

    def wakeable(self, now_ms: int) -> list[str]:
        """See Store."""
        return self._usable_reader().wakeable(now_ms)

    def give_up(self, lease: Lease) -> None:
        """See Store."""
        assert isinstance(lease, FileLease)
        writer = self._usable_writer()

        def leave() -> None:
            with contextlib.suppress(StoreError):  # told by _tell_failure
                writer.give_up(lease)

        writer.post(leave)

    def ownership(self, run_id: str) -> Ownership:
        """See Store."""
        owner, beat = self._usable_reader().owned(run_id)
        if owner is None or self._writer is None:
            return "none"
        if owner == self._writer.owner:
            return "here"
        return "elsewhere" if self._writer.observer.is_alive(owner, beat) else "dead"

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> Iterator[events.Recorded]:
        """See Store."""
        return self._journal_reader().read(run_id, after, limit)

    def last_seq(self, run_id: str) -> int:
        """See Store."""
        return self._usable_reader().last_seq(run_id)

    def blob(self, hash_: str) -> bytes:
        """See Store."""
        fresh = self._backlog.blob(hash_)
        return self._journal_reader().blob(hash_) if fresh is None else fresh

    def row(self, run_id: str) -> RunRow | None:
        """See Store."""
        return self._usable_reader().row(run_id)

    def reviews(self, run_id: str | None = None, limit: int | None = 100) -> list[Review]:
        """See Store."""
        return self._usable_reader().reviews(run_id, limit)

    def unread(self, run_id: str) -> list[AnyOrder]:
        """See Store."""
        return self._usable_reader().unread(run_id)

    def rows(
        self,
        *,
        status: str | None = None,
        graph: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> list[RunRow]:
        """See Store."""
        return self._usable_reader().rows(status, graph, tags, limit)

    def _begin(self, lease: Lease) -> bool:
        """Note that the open batch has events of this lease; False: it is over."""
        self._usable_writer()
        assert isinstance(lease, FileLease)
        assert self._loop is not None
        if lease.is_lost or lease.is_over:
            why = "was taken over by another owner" if lease.is_lost else "paused or ended; claim it to go on"
            self._tell_lost(lease, LeaseLost(f"run {lease.run_id!r} in {self.url} {why}"))
            return False
        if not self._dirty:
            # no timer: it would wait for a virtual clock, and that for the timer
            self._loop.call_soon(self._end_batch, self.batch)
        self._dirty.append(lease)
        return True

    def _keep(self, lease: Lease, blobs: Sequence[Blob]) -> None:
        for blob in blobs:
            lease.blobs.append(blob)
            self._backlog.keep(blob, self.batch)

    def _end_batch(self, batch: int) -> None:
        """The turn of the loop in which the batch began is over."""
        if batch != self.batch:
            return
        if self._in_flight:
            self._is_flush_wanted = True
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the open batch to the writer, and open the next."""
        self._is_flush_wanted = False
        writer, loop = self._writer, self._loop
        if writer is None or loop is None or not self._dirty:
            return
        parts = [self._last.get(lease) or lease.take() for lease in self._dirty if not lease.is_lost]
        self._dirty, self._last = [], {}
        told = functools.partial(_tell, loop, self._written, loop, self.batch, self._backlog.appended)
        self.batch += 1
        self._in_flight += 1
        self._rest_at = time.perf_counter() + BUSY_SECONDS
        if not (len(parts) == 1 and parts[0].is_small and _write(writer.write_now, parts, told)):
            writer.post(lambda: _write(writer.write, parts, told))

    def _let_the_writer_in(self) -> None:
        """Give the interpreter away for a moment, where the loop has been busy for long.

        A loop that only polls between its turns takes the interpreter back before another thread wakes up, and
        ends that thread's 5 ms of waiting each time: a commit took 350 ms, and until the loop had nothing to do.
        """
        if time.perf_counter() >= self._rest_at:
            time.sleep(REST_SECONDS)
            self._rest_at = time.perf_counter() + BUSY_SECONDS

    def _written(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: int,
        appended: int,
        lost: list[tuple[FileLease, DaggerError]],
    ) -> None:
        if loop is not self._loop or self._failed is not None or self._listener is None:
            return
        self._in_flight -= 1
        self._backlog.committed(batch, appended)
        for lease, error in lost:
            self._lose(lease, error)
        if self._is_flush_wanted and not self._in_flight:
            self._hand_over()  # before the listener: the disk works while it does
        self._listener.committed(batch)

    def _lose(self, lease: FileLease, error: DaggerError) -> None:
        if not lease.is_lost:
            lease.is_lost = True
            lease.take()
            self._tell_lost(lease, error)

    def _tell_lost(self, lease: FileLease, error: Exception) -> None:
        if self._listener is not None:
            self._listener.lost(lease, error)

    def _tell_orders(self, lease: FileLease, texts: list[str]) -> None:
        if self._loop is not None:
            _tell(self._loop, self._ordered, lease, texts)

    def _ordered(self, lease: FileLease, texts: list[str]) -> None:
        """What is told to a lease that is over stays in the inbox, for whoever claims the run next."""
        if lease.is_lost or lease.is_over or self._listener is None:
            return
        try:
            orders = [order_of(text, lease.run_id, self._path) for text in texts]
        except StoreCorrupt as error:
            self._lose(lease, error)
            return
        if lease.is_held:
            self._listener.ordered(lease, orders)
        else:
            lease.orders += orders

    def _tell_failure(self, error: StoreError) -> None:
        if self._loop is not None:
            _tell(self._loop, self._break, error)

    def _break(self, error: StoreError) -> None:
        """Nothing is taken any more; what was not committed is gone."""
        self._failed = error
        for lease in self._dirty:
            lease.take()
        self._dirty, self._last, self._backlog, self._in_flight = [], {}, Backlog(), 0
        if self._listener is not None:
            self._listener.broken(error)

    async def _ask(self, writer: Writer, job: Callable[[], T], unwanted: Callable[[T], None] | None = None) -> T:
        """The answer of the writer's thread; `unwanted` gets one that came after the caller was cancelled."""
        answer = writer.ask(job)
        self._asked += 1
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            if unwanted is not None and not answer.cancelled():
                writer.post(lambda: _give_back(answer, unwanted))
            raise
        finally:
            self._asked -= 1

    def _usable_writer(self) -> Writer:
        if self._failed is not None:
            raise type(self._failed)(f"{self.url} takes nothing more since this failed: {self._failed}")
        if self._writer is None:
            raise StoreError(f"{self.url} is not open")
        return self._writer

    def _usable_reader(self) -> Reader:
        if self._reader is None:
            raise StoreError(f"{self.url} is not open")
        return self._reader

    def _journal_reader(self) -> Reader | ClosedReader:
        return ClosedReader(self._path) if self._reader is None and self._loop else self._usable_reader()


def _write(
    write: Callable[[list[Part]], list[tuple[FileLease, DaggerError]] | None],
    parts: list[Part],
    told: Callable[[list[tuple[FileLease, DaggerError]]], None],
) -> bool:
    """Whether `write` did it, for better or worse."""
    try:
        lost = write(parts)
    except StoreError:  # told by _tell_failure
        return True
    if lost is not None:
        told(lost)
    return lost is not None


def _give_back(answer: Future[T], unwanted: Callable[[T], None]) -> None:
    with contextlib.suppress(StoreError):
        if answer.exception() is None:
            unwanted(answer.result())


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *values: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
        loop.call_soon_threadsafe(call, *values)
