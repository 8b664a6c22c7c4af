"""The one thread that writes: group commit, ownership, heartbeat, checkpoints.

What fails here ends the store: after a failed fsync SQLite would take the next commit as if nothing had been.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import apsw

from dagger.core.errors import DaggerError, StoreError
from dagger.core.journal import HEARTBEAT_SECONDS
from dagger.store.file import connect, explain, transaction
from dagger.store.owner import Observer, OwnerLock
from dagger.store.tables import FileLease, Part, Tables, encode

CHECKPOINT_FRAMES = 1_000
"""So many pages in the log are worth a checkpoint as soon as nothing else is to be done."""
CHECKPOINT_ANYWAY_FRAMES = 16_384
"""64 MiB of log are checkpointed even under load."""
IDLE_SECONDS = 0.05
"""So long without an order is idle."""

T = TypeVar("T")


class Writer:
    """A thread with the write connection. `post`, `ask` and `stop` are for other threads; it does the rest."""

    def __init__(
        self,
        path: str,
        monotonic: Callable[[], float],
        vfs: str | None,
        on_failure: Callable[[StoreError], None],
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
        self._lock: OwnerLock | None = None
        self._beat_at = 0.0
        self._checkpointed = 0
        """Pages that we had written to the log at the last checkpoint."""
        self._orders: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"dagger store {path}", daemon=True).start()

    def post(self, order: Callable[[], object]) -> None:
        """Do this after all that was posted before; it must not raise."""
        self._orders.put(order)

    def ask(self, order: Callable[[], T]) -> Future[T]:
        """The result of `order`, done after all that was posted before."""
        answer: Future[T] = Future()

        def obey() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(order())
            except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                answer.set_exception(error)

        self._orders.put(obey)
        return answer

    def stop(self) -> None:
        """End the thread after all that was posted before."""
        self._orders.put(None)

    def open(self) -> apsw.Connection:
        """Find or make the file; a second connection, for reading."""
        self._connection = connect(self.path, vfs=self._vfs, monotonic=self._monotonic)
        self._tables = Tables(self._connection, self.path)
        return connect(self.path, vfs=self._vfs, monotonic=self._monotonic)

    def close(self) -> None:
        """Give up all runs, empty the log, close."""
        with self._fatal():
            if self._lock is not None:
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
            encoded = [encode(part) for part in parts]  # before the transaction: others may write meanwhile
            with transaction(self._connection):
                answers = [self._tables.write(part, self.owner) for part in encoded]
        refused = zip(parts, answers, strict=True)
        return [(part.lease, error) for part, error in refused if error is not None]

    def claim(self, run_id: str) -> FileLease:
        """See Store."""
        with self._fatal(DaggerError, apsw.BusyError):
            self._own()
            with transaction(self._connection):
                return self._tables.take_over(run_id, self.owner, self.observer)

    def give_up(self, lease: FileLease) -> None:
        """Leave the run without an owner."""
        with self._fatal(apsw.BusyError), transaction(self._connection):
            self._tables.give_up(lease)

    def _own(self) -> None:
        """Be an owner. The lock is held before anybody can see our row."""
        if self._lock is None:
            with transaction(self._connection):
                owner = self._tables.add_owner()
                lock = OwnerLock(self.path, owner)
            self._lock, self.owner = lock, owner
            self._tables.grow_log()
            self._beat_at = self._monotonic() + HEARTBEAT_SECONDS

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
        while True:
            try:
                order = self._orders.get(timeout=self._patience())
            except queue.Empty:
                self._tend(enough_frames=CHECKPOINT_FRAMES)
                continue
            if order is None:
                return
            order()
            self._tend(enough_frames=CHECKPOINT_ANYWAY_FRAMES)

    def _patience(self) -> float | None:
        """Seconds until there is something to do without an order; None: never."""
        if self._lock is None:
            return None
        return IDLE_SECONDS if self._frames() >= CHECKPOINT_FRAMES else HEARTBEAT_SECONDS

    def _tend(self, *, enough_frames: int) -> None:
        """The heartbeat and the checkpoint, where they are due."""
        if self._lock is None:
            return
        with contextlib.suppress(StoreError), self._fatal(apsw.BusyError):
            if self._monotonic() >= self._beat_at:
                self._beat_at = self._monotonic() + HEARTBEAT_SECONDS
                self._tables.beat(self.owner)
            frames = self._frames()
            if frames >= enough_frames:
                self._checkpointed += frames
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _frames(self) -> int:
        """Pages that we have written to the log since the last checkpoint; others see to theirs."""
        return self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0] - self._checkpointed
