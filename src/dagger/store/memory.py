"""The twin: the contract in its plainest form. Public and supported, for tests and for runs to be forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.errors import (
    DaggerError,
    InvalidState,
    LeaseLost,
    OrdersUnread,
    RunExists,
    RunLeased,
    RunNotFound,
    StoreCorrupt,
)
from dagger.core.journal import (
    ORDERED,
    PROJECTED,
    RELEASING,
    REVIEWED,
    Lease,
    Listener,
    Ownership,
    Reusable,
    RunRow,
    projected,
    review_of,
)
from dagger.core.orders import Answer, AnyOrder
from dagger.core.reviews import Review
from dagger.core.state import TERMINAL

_NOTED = PROJECTED | RELEASING | ORDERED | REVIEWED  # all other events are appended without a look


@dataclasses.dataclass
class _Run:
    row: RunRow
    owner: MemoryStore | None
    lease: Lease | None
    """The owner's; None: what is appended under any lease is refused."""
    epoch: int = 1
    journal: list[events.Event] = dataclasses.field(default_factory=list)
    inbox: dict[str, AnyOrder] = dataclasses.field(default_factory=dict)
    """By their ids, in order of arrival."""
    reviews: dict[str, Review] = dataclasses.field(default_factory=dict)
    """The open ones by their ids."""


@dataclasses.dataclass
class Memory:
    """What several stores in one process may share, as several processes share a file."""

    runs: dict[str, _Run] = dataclasses.field(default_factory=dict)
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    reusable: dict[str, Reusable] = dataclasses.field(default_factory=dict)


class MemoryStore:
    """Journals in this process's memory."""

    url = "memory:"
    batch = 0
    is_immediate = True
    is_busy = False
    is_behind = False

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory or Memory()
        self._listener: Listener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self, listener: Listener) -> None:
        """See Store."""
        self._loop, self._listener = asyncio.get_running_loop(), listener

    async def close(self) -> None:
        """See Store."""
        self._listener = None

    def create(self, event: events.RunStarted, blobs: Sequence[Blob] = ()) -> Lease:
        """See Store. Raises RunExists at once."""
        runs = self._memory.runs
        if event.run_id in runs:
            message = f"run {event.run_id!r} exists already"
            raise RunExists(message)
        row = projected(None, event)
        assert row is not None
        lease = Lease(event.run_id, 0, 1, row)
        runs[event.run_id] = _Run(row, self, lease, journal=[event])
        self._keep(blobs)
        return lease

    def append(self, lease: Lease, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """See Store."""
        run = self._memory.runs[lease.run_id]
        if run.lease is not lease:
            self._lose(lease, LeaseLost(f"run {lease.run_id!r} was taken over by another owner"))
        elif run.inbox and isinstance(event, events.RunEnded):
            run.lease = None
            unread = f"its inbox holds {len(run.inbox)} unread"
            self._lose(lease, OrdersUnread(f"run {lease.run_id!r} cannot end: {unread}"))
        else:
            run.journal.append(event)
            if blobs:
                self._keep(blobs)
            if event.__class__ in _NOTED:
                self._note(run, lease, event)

    def _note(self, run: _Run, lease: Lease, event: events.Event) -> None:
        if event.__class__ in PROJECTED:
            run.row = lease.row = projected(run.row, event) or run.row
        if event.__class__ in ORDERED:
            run.inbox.pop(getattr(event, "order", ""), None)
        if isinstance(event, events.WaitOpened) and event.review:
            run.reviews[event.review] = review_of(lease.run_id, event)
        elif isinstance(event, events.WaitAnswered):
            run.reviews.pop(event.review, None)
        if event.__class__ in RELEASING:
            run.owner = run.lease = None
        if isinstance(event, events.RunEnded):
            run.reviews.clear()

    def remember(self, lease: Lease, key: str) -> None:
        """See Store."""
        run = self._memory.runs[lease.run_id]
        event = run.journal[-1]
        if run.lease is lease:
            assert isinstance(event, events.StepSucceeded)
            self._memory.reusable[key] = Reusable(lease.run_id, event)

    def reusable(self, key: str) -> Reusable | None:
        """See Store."""
        return self._memory.reusable.get(key)

    def flush(self) -> int:
        """See Store."""
        return self.batch

    async def claim(self, run_id: str) -> Lease:
        """See Store."""
        run = self._run(run_id)
        if self.ownership(run_id) == "elsewhere":
            message = f"run {run_id!r} is owned by another application in this process"
            raise RunLeased(message)
        run.owner = self
        run.epoch += 1
        run.lease = Lease(run_id, 0, run.epoch, run.row)
        run.lease.orders += run.inbox.values()
        return run.lease

    async def send(self, run_id: str, order: AnyOrder) -> int:
        """See Store."""
        run = self._run(run_id)
        if run.row.status in TERMINAL:
            message = f"run {run_id!r} is over ({run.row.status}): it takes no orders"
            raise InvalidState(message)
        seq = len(run.journal)
        if order.id in run.inbox:
            return seq
        run.inbox[order.id] = order
        if run.owner is not None and run.lease is not None and run.owner._loop is not None:  # noqa: SLF001 - one of us
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody is left to be told
                run.owner._loop.call_soon_threadsafe(run.owner._ordered, run, run.lease, order)  # noqa: SLF001
            await asyncio.sleep(0)  # until it is told
        return seq

    def _ordered(self, run: _Run, lease: Lease, order: AnyOrder) -> None:
        if run.lease is lease and self._listener is not None:
            self._listener.ordered(lease, [order])

    def wakeable(self, now_ms: int) -> list[str]:
        """See Store."""

        def is_due(run: _Run) -> bool:
            return bool(run.inbox) or (run.row.wake_at is not None and run.row.wake_at <= now_ms)

        return [run_id for run_id, run in self._memory.runs.items() if run.owner is None and is_due(run)]

    def give_up(self, lease: Lease) -> None:
        """See Store."""
        run = self._run(lease.run_id)
        if run.lease is lease:
            run.owner = run.lease = None

    def ownership(self, run_id: str) -> Ownership:
        """See Store. A closed store is a dead owner."""
        owner = self._run(run_id).owner
        if owner is None:
            return "none"
        if owner is self:
            return "here"
        return "dead" if owner._listener is None else "elsewhere"  # noqa: SLF001 - it is one of us

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> Iterator[events.Recorded]:
        """See Store."""
        journal = self._run(run_id).journal
        end = None if limit is None else after + limit
        for seq, event in enumerate(itertools.islice(journal, after, end), after + 1):
            yield events.Recorded(seq, event)  # type: ignore[arg-type]

    def last_seq(self, run_id: str) -> int:
        """See Store."""
        return len(self._run(run_id).journal)

    def blob(self, hash_: str) -> bytes:
        """See Store."""
        try:
            return self._memory.blobs[hash_]
        except KeyError:
            message = f"memory: has no blob {hash_}"
            raise StoreCorrupt(message) from None

    def row(self, run_id: str) -> RunRow | None:
        """See Store."""
        run = self._memory.runs.get(run_id)
        return run.row if run else None

    def reviews(self, run_id: str | None = None, limit: int | None = 100) -> list[Review]:
        """See Store."""
        runs = self._memory.runs.values() if run_id is None else [self._run(run_id)]
        found = [review for run in runs for review in run.reviews.values() if not _is_answered(run, review)]
        return sorted(found, key=lambda review: review.opened_ms)[:limit]

    def unread(self, run_id: str) -> list[AnyOrder]:
        """See Store."""
        return list(self._run(run_id).inbox.values())

    def rows(
        self,
        *,
        status: str | None = None,
        graph: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> list[RunRow]:
        """See Store."""
        wanted = (tags or {}).items()
        newest_first = (run.row for run in reversed(self._memory.runs.values()))
        fitting = (
            row
            for row in newest_first
            if status in (None, row.status) and graph in (None, row.graph) and wanted <= row.tags.items()
        )
        return list(itertools.islice(fitting, limit))

    def _run(self, run_id: str) -> _Run:
        try:
            return self._memory.runs[run_id]
        except KeyError:
            message = f"there is no run {run_id!r} in {self.url}"
            raise RunNotFound(message) from None

    def _keep(self, blobs: Sequence[Blob]) -> None:
        for blob in blobs:
            self._memory.blobs.setdefault(blob.hash, blob.content)

    def _lose(self, lease: Lease, error: DaggerError) -> None:
        if self._listener is not None:
            self._listener.lost(lease, error)


def _is_answered(run: _Run, review: Review) -> bool:
    answers = (order for order in run.inbox.values() if isinstance(order, Answer))
    return any((order.step, order.key) == (review.step, review.key) for order in answers)
