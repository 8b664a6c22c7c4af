"""The one thread that writes: group commit, ownership, heartbeat, checkpoints; it notices orders, too.

What fails here ends the store: after a failed fsync SQLite would take the next commit as if nothing had been.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import apsw

from dagger.core.errors import DaggerError, StoreError
from dagger.core.journal import HEARTBEAT_SECONDS
from dagger.store.file import connect, explain, patience, transaction
from dagger.store.lease import FileLease, Part
from dagger.store.owner import Observer, OwnerLock
from dagger.store.tables import Tables, encode

CHECKPOINT_FRAMES = 1_000
"""So many pages in the log are worth a checkpoint as soon as nothing else is to be done."""
CHECKPOINT_ANYWAY_FRAMES = 16_384
"""64 MiB of log are checkpointed even under load."""
IDLE_SECONDS = 0.05
"""So long without an errand is idle."""
LISTEN_SECONDS = 0.1
"""How often an idle owner looks for orders; one at work looks after every commit."""
QUICK_SECONDS = 0.001
"""A disk whose last commit took no longer may be waited for by the loop itself."""

T = TypeVar("T")


class Writer:
    """A thread with the write connection. `post`, `ask` and `stop` are for other threads; it does the rest."""

    def __init__(
        self,
        path: str,
        monotonic: Callable[[], float],
        vfs: str | None,
        on_failure: Callable[[StoreError], None],
        on_orders: Callable[[FileLease, list[str]], None],
    ) -> None:
        self.path = path
        self.owner = 0
        """Our row in `owners`; 0 until there is something to own."""
        self.observer = Observer(path, monotonic)
        """Of other owners; the loop's thread asks it as well."""
        self.failed: StoreError | None = None
        """The first failure: nothing is written after it."""
        self._monotonic = monotonic
        self._vfs = vfs
        self._on_failure = on_failure
        self._on_orders = on_orders
        self._lock: OwnerLock | None = None
        self._beat_at = 0.0
        self._checkpointed = 0
        """Pages that we had written to the log at the last checkpoint."""
        self._leases: dict[int, FileLease] = {}
        """Of the runs that we own, by their keys."""
        self._data_version = 0
        """At the last look into the inbox. It changes with the commits of other connections only."""
        self._heard = 0
        """The inbox's key of the last order that we have seen, whoever it was for."""
        self._at_work = threading.Lock()
        """Held by whoever uses the connection: this thread, or the loop's in `write_now`."""
        self._posted = self._done = 0
        """Errands, counted by the thread that posts and by the one that does them."""
        self._commit_seconds = 0.0
        """What the last one took."""
        self._errands: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"dagger store {path}", daemon=True).start()

    def post(self, errand: Callable[[], object]) -> None:
        """Do this after all that was posted before; it must not raise."""
        self._posted += 1
        self._errands.put(errand)

    def ask(self, errand: Callable[[], T]) -> Future[T]:
        """The result of `errand`, done after all that was posted before."""
        answer: Future[T] = Future()

        def obey() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(errand())
            except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                answer.set_exception(error)

        self.post(obey)
        return answer

    def stop(self) -> None:
        """End the thread after all that was posted before."""
        self._errands.put(None)

    def open(self) -> apsw.Connection:
        """Find or make the file; a second connection, for reading."""
        self._connection = connect(self.path, vfs=self._vfs, monotonic=self._monotonic)
        self._tables = Tables(self._connection, self.path)
        return connect(self.path, vfs=self._vfs, monotonic=self._monotonic)

    def close(self) -> None:
        """Give up all runs, empty the log, close."""
        with self._fatal():
            if self._lock is not None:  # else the log is as good as empty, or another's business
                with transaction(self._connection):
                    self._tables.remove_owner(self.owner)
                self._connection.set_busy_handler(None)
                with contextlib.suppress(apsw.BusyError):  # others have the file open, and use its log
                    self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._let_go()

    def write(self, parts: list[Part]) -> list[tuple[FileLease, DaggerError]]:
        """Commit a batch; what was refused, and why."""
        with self._fatal():
            self._own()
            return self._commit(parts)

    def write_now(self, parts: list[Part]) -> list[tuple[FileLease, DaggerError]] | None:
        """As `write`, on the caller's thread; None: somebody would have to be waited for, and nothing is done.

        Two hand-overs between threads take 110 to 130 µs: for a serial caller half as much as the commit itself.
        """
        if self._posted != self._done or self._commit_seconds > QUICK_SECONDS:
            return None
        if not self._at_work.acquire(blocking=False):
            return None
        try:
            with self._fatal():
                if self._frames() >= CHECKPOINT_ANYWAY_FRAMES:
                    return None
                self._connection.set_busy_handler(None)
                try:
                    return self._commit(parts)
                except apsw.BusyError:
                    return None
                finally:
                    self._connection.set_busy_handler(patience(self._monotonic))
        finally:
            self._at_work.release()

    def _commit(self, parts: list[Part]) -> list[tuple[FileLease, DaggerError]]:
        encoded = [encode(part) for part in parts]  # before the transaction: others may write meanwhile
        began = time.perf_counter()
        with transaction(self._connection):
            answers = [self._tables.write(part, self.owner) for part in encoded]
        self._commit_seconds = time.perf_counter() - began
        for part, error in zip(parts, answers, strict=True):
            if error is None and not part.is_last:
                self._leases[part.lease.key] = part.lease
            else:
                self._forget(part.lease)
        return [(part.lease, error) for part, error in zip(parts, answers, strict=True) if error is not None]

    def claim(self, run_id: str) -> FileLease:
        """See Store."""
        with self._fatal(DaggerError, apsw.BusyError):
            self._own()
            with transaction(self._connection):
                lease = self._tables.take_over(run_id, self.owner, self.observer)
                self._hear()  # nobody sends meanwhile: what the lease has in `orders` is not told again
            self._leases[lease.key] = lease
            return lease

    def give_up(self, lease: FileLease) -> None:
        """Leave the run without an owner."""
        with self._fatal(apsw.BusyError), transaction(self._connection):
            self._tables.give_up(lease)
        self._forget(lease)

    def send(self, run_id: str, order_id: str, text: str) -> int:
        """See Store. Of an order to a run of ours the loop is told before the answer comes."""
        with self._fatal(DaggerError, apsw.BusyError):
            with transaction(self._connection):
                seq = self._tables.send(run_id, order_id, text)
            self._hear()
        return seq

    def _own(self) -> None:
        """Be an owner. The lock is held before anybody can see our row."""
        if self._lock is None:
            with transaction(self._connection):
                owner = self._tables.add_owner()
                lock = OwnerLock(self.path, owner)
            self._lock, self.owner = lock, owner
            self._tables.grow_log()
            self._beat_at = self._monotonic() + HEARTBEAT_SECONDS

    def _forget(self, lease: FileLease) -> None:
        if self._leases.get(lease.key) is lease:
            del self._leases[lease.key]

    @contextlib.contextmanager
    def _fatal(self, *answers: type[Exception]) -> Iterator[None]:
        """What fails inside is the end of the store, except for the errors that are answers."""
        if self.failed is not None:
            raise self.failed
        try:
            yield
        except answers as error:
            if isinstance(error, DaggerError):
                raise
            raise explain(error, self.path) from error
        except Exception as error:
            self.failed = explain(error, self.path)
            self._let_go()
            self._on_failure(self.failed)
            raise self.failed from error

    def _let_go(self) -> None:
        """Whoever wants our runs may have them."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        with contextlib.suppress(apsw.Error):
            self._connection.close(force=True)

    def _work(self) -> None:
        patience_seconds = None
        while True:
            try:
                errand = self._errands.get(timeout=patience_seconds)
            except queue.Empty:
                with self._at_work:
                    self._tend(enough_frames=CHECKPOINT_FRAMES)
                    patience_seconds = self._patience()
                continue
            if errand is None:
                return
            with self._at_work:
                errand()
                del errand  # with what it holds: values may be large, and the next one hours away
                self._done += 1
                self._tend(enough_frames=CHECKPOINT_ANYWAY_FRAMES)
                patience_seconds = self._patience()

    def _patience(self) -> float | None:
        """Seconds until there is something to do without an errand; None: never."""
        if self._lock is None:
            return None
        if self._frames() >= CHECKPOINT_FRAMES:
            return IDLE_SECONDS
        return LISTEN_SECONDS if self._leases else HEARTBEAT_SECONDS

    def _tend(self, *, enough_frames: int) -> None:
        """Orders that came in; the heartbeat and the checkpoint, where they are due."""
        if self._lock is None:
            return
        with contextlib.suppress(StoreError), self._fatal(apsw.BusyError):
            self._listen()
            if self._monotonic() >= self._beat_at:
                self._beat_at = self._monotonic() + HEARTBEAT_SECONDS
                self._tables.beat(self.owner)
            frames = self._frames()
            if frames >= enough_frames:
                self._checkpointed += frames
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._listen()  # again: that took up to 0.2 s

    def _listen(self) -> None:
        """Look into the inbox, if anybody else has written since the last look."""
        version = self._connection.pragma("data_version")
        if version != self._data_version and self._leases:
            self._hear()
            self._data_version = version  # of before: what came in meanwhile is seen at the next look

    def _hear(self) -> None:
        """Tell of new orders to our runs. The others are in `orders` for whoever claims theirs."""
        heard: dict[int, list[str]] = {}
        for key, run, text in self._tables.arrived(self._heard):
            self._heard = key
            if run in self._leases:
                heard.setdefault(run, []).append(text)
        for run, texts in heard.items():
            self._on_orders(self._leases[run], texts)

    def _frames(self) -> int:
        """Pages that we have written to the log since the last checkpoint; others see to theirs."""
        return self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0] - self._checkpointed
