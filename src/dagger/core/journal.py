"""The Store protocol: append under an epoch, read, blobs, owners, projections; what "durable" means.

A store gathers appended events in a *batch* and writes the batch as a whole, so that what survives a crash
is a prefix of what was appended (I3). `store.batch` is the number of the batch that is open now;
`listener.committed(n)` says that batch n, and all before it, will survive a power cut. A store in memory is
durable at once: its `batch` never changes and is always committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from dagger.core import events
from dagger.core.codec import Blob

Ownership: TypeAlias = Literal["none", "here", "elsewhere", "dead"]
"""Whether a process owns a run: nobody, this store object, another living one, one that died or hangs."""

HEARTBEAT_SECONDS = 2.0
"""How often an owner shows that it lives."""
HUNG_AFTER_SECONDS = 10.0
"""An owner whose heartbeat an observer has seen unchanged for so long, by its own clock, may be replaced."""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing says of a run: a droppable copy of its run events, written with them."""

    run_id: str
    mode: str
    graph: str
    status: str
    """`running`, `paused`, `succeeded`, `failed` or `cancelled`."""
    reason: str = ""
    """Why it is paused, or its error."""
    tags: dict[str, str] = {}
    app: str = ""
    fingerprint: str = ""
    started_at: int = 0
    """Milliseconds since 1970."""
    updated_at: int = 0
    """When the run last started, paused, went on or ended."""


PROJECTED = frozenset(
    (
        events.RunStarted,
        events.RunRecovered,
        events.RunPaused,
        events.RunResumed,
        events.CancelRequested,
        events.RunEnded,
    )
)
"""The events that can change a run's row: all others are appended without a look."""


def projected(row: RunRow | None, event: events.Event) -> RunRow | None:
    """The row after the event; `row` itself where the event changes nothing in it."""
    if isinstance(event, events.RunStarted):
        return RunRow(
            run_id=event.run_id,
            mode=event.spec.mode,
            graph=event.graph.name,
            status="running",
            tags=event.tags,
            app=event.app,
            fingerprint=event.fingerprint,
            started_at=event.at,
            updated_at=event.at,
        )
    if row is None:
        return None
    change: tuple[str, str] | None = None
    match event:
        case events.RunPaused():
            change = "paused", event.reason
        case events.RunResumed() | events.RunRecovered() | events.CancelRequested():
            change = "running", ""
        case events.RunEnded():
            change = event.status, event.error
        case _:
            return row
    return msgspec.structs.replace(row, status=change[0], reason=change[1], updated_at=event.at)


def is_owned(row: RunRow) -> bool:
    """Whether a run of this row needs an owner: paused and finished runs have none."""
    return row.status == "running"


class Lease:
    """The right to append to one run, as long as its epoch is the run's."""

    __slots__ = ("blobs", "epoch", "events", "key", "row", "run_id")

    def __init__(self, run_id: str, key: int, epoch: int, row: RunRow) -> None:
        self.run_id = run_id
        self.key = key
        """The store's own number of the run; 0 until it is created."""
        self.epoch = epoch
        self.row = row
        """As of the last event appended under this lease."""
        self.events: list[events.Event] = []
        """Appended, and not yet handed to the writer."""
        self.blobs: list[Blob] = []
        """What these events refer to."""


class Listener(Protocol):
    """Whoever appends is told, on its own thread, what became of it."""

    def committed(self, batch: int) -> None:
        """All batches up to this one are durable."""

    def lost(self, lease: Lease, error: Exception) -> None:
        """What was appended under this lease was refused: the run is taken over (LeaseLost) or taken (RunExists)."""

    def broken(self, error: Exception) -> None:
        """The store failed: what was not committed is gone, and the store takes nothing more."""


class Store(Protocol):
    """One process's door to the journals. All methods are for the thread of the event loop that opened it."""

    url: str
    """How a person names it: the path, or `memory:`."""
    batch: int
    """The number of the batch that `append` adds to."""
    is_immediate: bool
    """Whether what is appended is durable at once."""

    @property
    def is_busy(self) -> bool:
        """Whether a commit is under way that will call the listener."""

    async def open(self, listener: Listener) -> None:
        """Create the store if absent, and get ready. Opening again changes the listener (and its event loop).

        Raises StoreError, StoreCorrupt or StoreVersionMismatch.
        """

    async def close(self) -> None:
        """Write what is appended, give up every lease, and close. Closing twice does nothing."""

    def create(self, event: events.RunStarted, blobs: Sequence[Blob] = ()) -> Lease:
        """Append a run's first event. `listener.lost` tells RunExists if the run id is taken."""

    def append(self, lease: Lease, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """Append the next event to the open batch. An event that pauses or ends the run gives up its lease."""

    def flush(self) -> int:
        """Commit the open batch as soon as the one before it is done. Called when there is nothing else to do.

        Returns the last batch that anything was appended to: when that is committed, all is durable.
        """

    async def claim(self, run_id: str) -> Lease:
        """Become the owner of a run that has none, or whose owner is dead or hung: its epoch is raised.

        Raises RunNotFound, and RunLeased if its owner lives.
        """

    def give_up(self, lease: Lease) -> None:
        """Leave a run that was claimed without an owner, as it was."""

    def ownership(self, run_id: str) -> Ownership:
        """Who owns the run."""

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> Iterator[events.Recorded]:
        """The durable events of a run with a seq above `after`, in order, at most `limit`."""

    def blob(self, hash_: str) -> bytes:
        """A blob's content, durable or not. Raises StoreCorrupt where there is none."""

    def row(self, run_id: str) -> RunRow | None:
        """What is known of the run; None: no such run."""

    def rows(
        self,
        *,
        status: str | None = None,
        graph: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> list[RunRow]:
        """The runs that fit all of the conditions, newest first, at most `limit` (None: all)."""
