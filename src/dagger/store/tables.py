"""What a transaction does to the tables: appending under an epoch, taking over, orders, blobs, owners.

Nothing here begins or ends a transaction, waits, or knows of threads: `writer` does.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from typing import Any, NamedTuple

import apsw
import msgspec

from dagger.core import codec, events
from dagger.core.codec import Blob
from dagger.core.errors import DaggerError, InvalidState, LeaseLost, OrdersUnread, RunExists, RunLeased, RunNotFound
from dagger.core.journal import RunRow, projected
from dagger.core.state import TERMINAL
from dagger.store.file import query
from dagger.store.lease import FileLease, Part
from dagger.store.owner import Observer, is_locked, lock_path, remove_lock
from dagger.store.reader import order_of, row_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK = 256  # events encoded at once: as a rule they are 64 KiB or less, so that none of them can be a blob
_STATEMENT_BYTES = 32 * 1024 * 1024  # SQLite takes a text of 1 GB
_ZSTD_LEVEL = 3
LOG_BYTES = 4 * 1024 * 1024
"""As much as is written between two checkpoints, when the writer has idle moments."""
_NOT_CREATED, _REFUSED = 0, -1  # instead of a run's key


class Encoded(NamedTuple):
    """A part as it will be written."""

    part: Part
    texts: list[tuple[int, bytes]]
    """JSON arrays of events, each with the number of events in it."""
    blobs: list[Blob]


def encode(part: Part) -> Encoded:
    """The part's events as JSON, those above the limit as blobs.

    Few long texts: each statement lets go of the interpreter, and a busy loop gives it back after 5 ms only.
    """
    texts: list[tuple[int, bytes]] = []
    blobs = list(part.blobs)
    gathered: list[bytes] = []
    count = size = 0
    for start in range(0, len(part.events), _CHUNK):
        chunk = part.events[start : start + _CHUNK]
        inner = events.encoder.encode(chunk)[1:-1]
        if len(inner) > codec.BLOB_ABOVE_BYTES:
            inner = _sealed(chunk, blobs)
        gathered.append(inner)
        count += len(chunk)
        size += len(inner)
        if size > _STATEMENT_BYTES or start + _CHUNK >= len(part.events):
            texts.append((count, b"[%b]" % b",".join(gathered)))
            gathered, count, size = [], 0, 0
    return Encoded(part, texts, blobs)


def _sealed(chunk: list[events.Event], blobs: list[Blob]) -> bytes:
    """The events' JSON, or references to the blobs that are added to `blobs`."""
    sealed = [codec.seal(events.encoder.encode(event)) for event in chunk]
    blobs += [blob for _, blob in sealed if blob is not None]
    return b",".join([text for text, _ in sealed])


class Tables:
    """The statements of the writer."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._append, self._create, self._project = query("append"), query("create"), query("project")
        self._beat = query("beat")

    def write(self, encoded: Encoded, owner: int) -> DaggerError | None:
        """Append the part, or say why it is refused: then nothing of it is written, or all but the run's end."""
        part = encoded.part
        lease, row, connection = part.lease, part.row, self._connection
        if lease.key == _NOT_CREATED and row is not None:
            connection.execute(self._create, (*_columns(row), owner, lease.epoch))
            lease.key = connection.last_insert_rowid() if connection.changes() else _REFUSED
            self.beat(owner)
        if lease.key == _REFUSED:
            return RunExists(f"run {lease.run_id!r} exists already in {self._path}")
        unread = self._unread(part, owner)
        if unread is not None:
            encoded = encode(self._without_end(part))
            row = encoded.part.row
        seq = lease.seq
        for count, text in encoded.texts:
            connection.execute(self._append, (lease.key, lease.seq, text, lease.epoch, owner))
            if not connection.changes():
                return LeaseLost(f"run {lease.run_id!r} in {self._path} was taken over by another owner")
            lease.seq += count
        for blob in encoded.blobs:
            self._keep(blob)
        if part.read:
            self._execute(query("take_out"), lease.key, _json(part.read))
        if part.keys:
            self._execute(query("remember"), lease.key, seq, _json(part.keys))
        if part.reviews:
            self._keep_reviews(part)
        if encoded.part.is_end:
            self._execute("DELETE FROM reviews WHERE run = ?1", lease.key)
        if row is not None:
            next_owner = None if encoded.part.is_last else owner
            columns = (row.status, row.reason, row.wake_at, row.updated_at, next_owner)
            connection.execute(self._project, (lease.key, *columns))
        return unread

    def take_over(self, run_id: str, owner: int, observer: Observer) -> FileLease:
        """Make `owner` the run's owner. Raises RunNotFound or RunLeased."""
        found = self._one(query("owner_of"), run_id)
        if found is None:
            raise RunNotFound(f"there is no run {run_id!r} in {self._path}")
        key, epoch, former, beat, pid, host = found
        if former not in (None, owner) and observer.is_alive(former, beat):
            raise RunLeased(f"run {run_id!r} is owned by process {pid} on {host}, which lives; pause the run first")
        self._execute("UPDATE runs SET owner = ?2, epoch = epoch + 1 WHERE key = ?1", key, owner)
        self.beat(owner)  # now: an observer may have seen the last one long ago, when we owned other runs
        seq = self._last_seq(key)
        lease = FileLease(run_id, key, epoch + 1, self._row(key), seq)
        texts = self._all("SELECT content FROM inbox WHERE run = ?1 ORDER BY key", key)
        lease.orders = [order_of(text, run_id, self._path) for (text,) in texts]
        return lease

    def give_up(self, lease: FileLease) -> None:
        """Leave the run without an owner, if it is still this lease's."""
        self._execute("UPDATE runs SET owner = NULL WHERE key = ?1 AND epoch = ?2", lease.key, lease.epoch)

    def send(self, run_id: str, order_id: str, text: str) -> int:
        """Put an order into the run's inbox, once; the run's last seq. Raises RunNotFound or InvalidState."""
        found = self._one("SELECT key, status FROM runs WHERE run_id = ?1", run_id)
        if found is None:
            raise RunNotFound(f"there is no run {run_id!r} in {self._path}")
        key, status = found
        if status in TERMINAL:
            raise InvalidState(f"run {run_id!r} is over ({status}): it takes no orders")
        self._execute(query("send"), key, order_id, text)
        return self._last_seq(key)

    def _last_seq(self, key: int) -> int:
        (seq,) = self._one("SELECT ifnull(max(seq), 0) FROM events WHERE run = ?1", key)
        return int(seq)

    def arrived(self, after: int) -> list[tuple[int, int, str]]:
        """The inbox above one of its keys: each order's key, its run's, and its text."""
        return self._all("SELECT key, run, content FROM inbox WHERE key > ?1 ORDER BY key", after)

    def grow_log(self) -> None:
        """Make the log as large as it may become, with what is then taken back.

        A commit that overwrites blocks which are there takes 140 µs, one that makes the file longer 220 to 320.
        """
        connection = self._connection
        pages = connection.pragma("cache_size")
        connection.pragma("cache_size", 8)  # what does not fit in the cache is written to the log, committed or not
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO blobs (hash, size, content) VALUES ('', 0, zeroblob(?))", (LOG_BYTES,))
        except apsw.FullError:
            pass  # the commits will say so, where they need the room
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.pragma("cache_size", pages)

    def add_owner(self) -> int:
        """The id of a new owner: this process. What crashes left behind is tidied up."""
        for (owner,) in self._all(query("idle_owners")):
            if not is_locked(lock_path(self._path, owner)):
                self._execute("DELETE FROM owners WHERE id = ?1", owner)
                remove_lock(lock_path(self._path, owner))
        now = time.time_ns() // 1_000_000
        statement = "INSERT INTO owners (pid, host, started_at) VALUES (?1, ?2, ?3)"
        self._execute(statement, os.getpid(), platform.node(), now)
        return self._connection.last_insert_rowid()

    def beat(self, owner: int) -> None:
        """Show that the owner lives. One without runs writes nothing, so an idle process leaves the disk alone."""
        self._execute(self._beat, owner)

    def remove_owner(self, owner: int) -> None:
        """Leave all of its runs without an owner."""
        self._execute("UPDATE runs SET owner = NULL WHERE owner = ?1", owner)
        self._execute("DELETE FROM owners WHERE id = ?1", owner)

    def _unread(self, part: Part, owner: int) -> OrdersUnread | None:
        """Why the part's RunEnded cannot be written: an order is in the inbox that no event of the part comes from.

        Under an old epoch there is none: the whole part is refused then.
        """
        if not part.is_end:
            return None
        lease = part.lease
        unread = {order for (order,) in self._all(query("unread"), lease.key, lease.epoch, owner)}.difference(part.read)
        if not unread:
            return None
        return OrdersUnread(f"run {lease.run_id!r} in {self._path} cannot end: its inbox holds {len(unread)} unread")

    def _without_end(self, part: Part) -> Part:
        """The part without its last event, and the row as it is without it."""
        row = self._row(part.lease.key)
        rest = part.events[:-1]
        for event in rest:
            row = projected(row, event) or row
        return part._replace(events=rest, row=row)

    def _row(self, key: int) -> RunRow:
        return row_of(self._one(f"{query('rows')} WHERE key = ?1", key))

    def _keep_reviews(self, part: Part) -> None:
        """Those that were opened, and not closed since."""
        self._execute(query("close_reviews"), part.lease.key, _json(list(part.reviews)))
        opened = [review for review in part.reviews.values() if review is not None]
        self._execute(query("open_reviews"), part.lease.key, _json(opened))

    def _keep(self, blob: Blob) -> None:
        if self._one("SELECT 1 FROM blobs WHERE hash = ?1", blob.hash) is None:
            packed = zstd.compress(blob.content, _ZSTD_LEVEL)
            content = packed if len(packed) < len(blob.content) else blob.content
            statement = "INSERT INTO blobs (hash, size, content) VALUES (?1, ?2, ?3)"
            values = blob.hash, len(blob.content), content
            self._connection.execute(statement, values, can_cache=False)  # a cached one would hold on to the content

    def _execute(self, statement: str, *values: str | int | bytes) -> None:
        self._connection.execute(statement, values)

    def _one(self, statement: str, *values: str | int) -> Any:
        return next(iter(self._all(statement, *values)), None)

    def _all(self, statement: str, *values: str | int) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


def _columns(row: RunRow) -> tuple[str | int | None, ...]:
    return tuple(_json(it) if isinstance(it, dict) else it for it in msgspec.structs.astuple(row))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
