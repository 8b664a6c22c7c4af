"""Reading what is committed, on the loop's thread: a point read is 5 µs, asking another thread is 100."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from dagger.core import codec, events
from dagger.core.errors import RunNotFound, StoreCorrupt, StoreError
from dagger.core.journal import Reusable, RunRow
from dagger.core.orders import AnyOrder, decode_order
from dagger.core.reviews import Review
from dagger.store.file import connect, explained, query

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAGE = 500
"""Events read at once: no read stays open while the caller thinks, so it holds up no checkpoint."""

_FITS_TAGS = """NOT EXISTS (
    SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS (
        SELECT 1 FROM json_each(runs.tags) AS tag WHERE tag.key = wanted.key AND tag.value = wanted.value))"""
_review_decoder = msgspec.json.Decoder(Review)


class Owned(NamedTuple):
    """Who has a run."""

    owner: int | None
    beat: int | None


class Reader:
    """Answers from the file."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._page = query("page")
        connection.execute("PRAGMA query_only = 1")

    def close(self) -> None:
        """Nothing can be read after it."""
        with contextlib.suppress(apsw.Error):  # the last to close empties the log: on a full disk it stays as it is
            self._connection.close(force=True)

    def read(self, run_id: str, after: int, limit: int | None) -> Iterator[events.Recorded]:
        """See Store."""
        key = self._key(run_id)
        left = sys.maxsize if limit is None else limit
        while left > 0:
            page = self._all(self._page, key, after, min(left, PAGE))
            for seq, text in page:
                yield events.Recorded(seq, self._decode(run_id, seq, text))
            if len(page) < PAGE:
                return
            after = page[-1][0]
            left -= len(page)

    def unread(self, run_id: str) -> list[AnyOrder]:
        """See Store."""
        texts = self._all("SELECT content FROM inbox WHERE run = ?1 ORDER BY key", self._key(run_id))
        return [order_of(text, run_id, self._path) for (text,) in texts]

    def last_seq(self, run_id: str) -> int:
        """See Store."""
        found = self._one(query("last_seq"), run_id)
        if found is None:
            raise self._no_run(run_id)
        return int(found[0])

    def blob(self, hash_: str) -> bytes:
        """See Store."""
        found = self._one("SELECT size, content FROM blobs WHERE hash = ?1", hash_)
        if found is None:
            raise StoreCorrupt(f"{self._path} has no blob {hash_}: it is damaged; restore a copy")
        size, content = found
        if len(content) == size:
            return bytes(content)
        try:
            return zstd.decompress(content)
        except zstd.ZstdError as error:
            raise StoreCorrupt(f"{self._path}: blob {hash_} cannot be read: {error}; restore a copy") from error

    def row(self, run_id: str) -> RunRow | None:
        """See Store."""
        found = self._one(query("rows") + " WHERE run_id = ?1", run_id)
        return None if found is None else row_of(found)

    def reviews(self, run_id: str | None, limit: int | None) -> list[Review]:
        """See Store."""
        where, keys = ("", ()) if run_id is None else (" AND run = ?", (self._key(run_id),))
        statement = f"{query('reviews')}{where} ORDER BY opened_at, key LIMIT ?"
        return [self._review(text) for (text,) in self._all(statement, *keys, -1 if limit is None else limit)]

    def rows(
        self, status: str | None, graph: str | None, tags: Mapping[str, str] | None, limit: int | None
    ) -> list[RunRow]:
        """See Store."""
        conditions = {"status = ?": status, "graph = ?": graph}
        if tags:
            conditions[_FITS_TAGS] = msgspec.json.encode(dict(tags)).decode()
        wanted = {condition: value for condition, value in conditions.items() if value is not None}
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        statement = f"{query('rows')}{where} ORDER BY key DESC LIMIT ?"
        return [row_of(found) for found in self._all(statement, *wanted.values(), -1 if limit is None else limit)]

    def owned(self, run_id: str) -> Owned:
        """The run's owner, and its heartbeat. Raises RunNotFound."""
        found = self._one(query("owner_of"), run_id)
        if found is None:
            raise self._no_run(run_id)
        return Owned(found[2], found[3])

    def wakeable(self, now_ms: int) -> list[str]:
        """See Store."""
        return [run_id for (run_id,) in self._all(query("wakeable"), now_ms)]

    def reusable(self, key: str) -> Reusable | None:
        """See Store."""
        found = self._one(query("reusable"), key)
        if found is None:
            return None
        event = self._decode(*found)
        assert isinstance(event, events.StepSucceeded)
        return Reusable(found[0], event)

    def _one(self, statement: str, value: str) -> Any:
        return next(iter(self._all(statement, value)), None)

    def _all(self, statement: str, *values: str | int) -> list[Any]:
        with explained(self._path):
            return self._connection.execute(statement, values).fetchall()

    def _decode(self, run_id: str, seq: int, text: str) -> events.AnyEvent:
        data = text.encode()
        try:
            return events.decode_event(codec.resolve(data, self.blob))
        except msgspec.DecodeError as error:
            message = f"{self._path}: event {seq} of run {run_id!r} cannot be read: {error}"
            raise StoreCorrupt(f"{message}; it is damaged, or a newer Dagger wrote it") from error

    def _review(self, text: str) -> Review:
        try:
            return _review_decoder.decode(text)
        except msgspec.DecodeError as error:
            message = f"{self._path}: an open review cannot be read: {error}"
            raise StoreCorrupt(f"{message}; it is damaged, or a newer Dagger wrote it") from error

    def _key(self, run_id: str) -> int:
        found = self._one("SELECT key FROM runs WHERE run_id = ?1", run_id)
        if found is None:
            raise self._no_run(run_id)
        return int(found[0])

    def _no_run(self, run_id: str) -> RunNotFound:
        return RunNotFound(f"there is no run {run_id!r} in {self._path}")


class ClosedReader:
    """Answers from the file of a store that is closed: opened for each answer. Raises StoreError if it is gone."""

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self, run_id: str, after: int, limit: int | None) -> Iterator[events.Recorded]:
        """See Store."""
        with self._opened() as reader:
            yield from reader.read(run_id, after, limit)

    def blob(self, hash_: str) -> bytes:
        """See Store."""
        with self._opened() as reader:
            return reader.blob(hash_)

    def _opened(self) -> contextlib.closing[Reader]:
        if not Path(self._path).exists():  # else it would be made anew, and have nothing
            raise StoreError(f"{self._path} is gone: what was not read from it before cannot be read any more")
        return contextlib.closing(Reader(connect(self._path, monotonic=time.monotonic), self._path))


def row_of(found: tuple[Any, ...]) -> RunRow:
    """The row from the columns of the statement `rows`."""
    run_id, mode, graph, status, reason, wake_at, tags, *rest = found
    return RunRow(
        run_id=run_id,
        mode=mode,
        graph=graph,
        status=status,
        reason=reason,
        wake_at=wake_at,
        tags=msgspec.json.decode(tags),
        app=rest[0],
        fingerprint=rest[1],
        started_at=rest[2],
        updated_at=rest[3],
    )


def order_of(text: str, run_id: str, path: str) -> AnyOrder:
    """The order from a text of the inbox. Raises StoreCorrupt."""
    try:
        return decode_order(text)
    except msgspec.DecodeError as error:
        message = f"{path}: an order to run {run_id!r} cannot be read: {error}"
        raise StoreCorrupt(f"{message}; it is damaged, or a newer Dagger wrote it") from error
