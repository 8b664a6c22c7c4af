"""The Store protocol: append under an epoch, read, blobs, owners, projections; what "durable" means.

A store gathers appended events in a *batch* and writes the batch as a whole, so that what survives a crash
is a prefix of what was appended (I3). `store.batch` is the number of the batch that is open now;
`listener.committed(n)` says that batch n, and all before it, will survive a power cut. A store in memory is
durable at once: its `batch` never changes and is always committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.orders import AnyOrder
from dagger.core.reviews import Question, Review

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
    """`running`, `waiting`, `parked` (waiting, without an owner), `paused`, `succeeded`, `failed` or `cancelled`."""
    reason: str = ""
    """Why it is paused or what it waits for, or its error."""
    wake_at: int | None = None
    """When a waiting run goes on by itself, in milliseconds since 1970; None: it does not."""
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
        events.RunWaiting,
        events.RunParked,
        events.RunWoken,
        events.CancelRequested,
        events.RunEnded,
    )
)
"""The events that can change a run's row: all others are appended without a look."""

RELEASING = frozenset((events.RunPaused, events.RunParked, events.RunEnded))
"""The events that give up the lease: paused, parked and finished runs have no owner."""

ORDERED = frozenset(
    (
        events.PauseRequested,
        events.CancelRequested,
        events.NodeAdded,
        events.MessagesPublished,
        events.Redelivered,
        events.WaitAnswered,
        events.Instructed,
        events.OrderRefused,
    )
)
"""The events that an order becomes: appending one takes the order out of the inbox."""

REVIEWED = frozenset((events.WaitOpened, events.WaitAnswered, events.RunEnded))
"""The events that can open or close reviews."""


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
    change: tuple[str, str]
    wake_at: int | None = None
    match event:
        case events.RunPaused():
            change = "paused", event.reason
        case events.RunWaiting():
            change, wake_at = ("waiting", event.reason), event.wake_at
        case events.RunParked():
            change, wake_at = ("parked", event.reason), event.wake_at
        case events.RunResumed() | events.RunRecovered() | events.RunWoken() | events.CancelRequested():
            change = "running", ""
        case events.RunEnded():
            change = event.status, event.error
        case _:
            return row
    return msgspec.structs.replace(row, status=change[0], reason=change[1], wake_at=wake_at, updated_at=event.at)


def review_of(run_id: str, event: events.WaitOpened) -> Review:
    """The review that a wait for a person is, as listings have it."""
    assert event.detail is not msgspec.UNSET
    asked = msgspec.json.decode(event.detail, type=Question)
    return Review(
        id=event.review,
        run_id=run_id,
        step=event.step,
        key=event.key,
        question=asked.question,
        options=asked.options,
        opened_ms=event.at,
        due_ms=event.wake_at,
    )


class Lease:
    """The right to append to one run, as long as its epoch is the run's."""

    __slots__ = ("blobs", "epoch", "events", "key", "orders", "row", "run_id")

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
        self.orders: list[AnyOrder] = []
        """What was in the run's inbox when it was claimed, oldest first; later ones come to the listener."""


class Reusable(NamedTuple):
    """A success whose outputs may be taken again."""

    run_id: str
    event: events.StepSucceeded


class Listener(Protocol):
    """Whoever appends is told, on its own thread, what became of it."""

    def committed(self, batch: int) -> None:
        """All batches up to this one are durable."""

    def lost(self, lease: Lease, error: Exception) -> None:
        """What was appended under this lease was refused, and so is all that follows.

        The run is taken over (LeaseLost), its id is taken (RunExists), it has unread orders (OrdersUnread), or one
        that cannot be read (StoreCorrupt).
        """

    def ordered(self, lease: Lease, orders: Sequence[AnyOrder]) -> None:
        """These orders came into the inbox of a run that is owned under this lease; each is told once.

        Never before `create` or `claim` has returned the lease: what comes meanwhile is in `lease.orders`.
        """

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

    @property
    def is_behind(self) -> bool:
        """Whether so much is appended and not yet committed that steps should wait for the disk."""

    async def open(self, listener: Listener) -> None:
        """Create the store if absent, and get ready. Opening again changes the listener (and its event loop).

        Raises StoreError, StoreCorrupt or StoreVersionMismatch.
        """

    async def close(self) -> None:
        """Write what is appended, give up every lease, and close. Closing twice does nothing."""

    def create(self, event: events.RunStarted, blobs: Sequence[Blob] = ()) -> Lease:
        """Append a run's first event. `listener.lost` tells RunExists if the run id is taken."""

    def append(self, lease: Lease, event: events.Event, blobs: Sequence[Blob] = ()) -> None:
        """Append the next event to the open batch.

        One of RELEASING gives up the lease. One of ORDERED takes its order out of the inbox. A RunEnded is refused
        while an order is in the inbox: `listener.lost` tells OrdersUnread, and the run stays this store's: claim it.
        """

    def remember(self, lease: Lease, key: str) -> None:
        """The StepSucceeded appended last under this lease may be reused under `key`: see `reusable`."""

    def reusable(self, key: str) -> Reusable | None:
        """The newest durable success that was remembered under `key`."""

    def flush(self) -> int:
        """Commit the open batch as soon as the one before it is done. Called when there is nothing else to do.

        Returns the last batch that anything was appended to: when that is committed, all is durable.
        """

    async def claim(self, run_id: str) -> Lease:
        """Become the owner of a run that has none, or whose owner is dead or hung: its epoch is raised.

        Raises RunNotFound, and RunLeased if its owner lives.
        """

    async def send(self, run_id: str, order: AnyOrder) -> int:
        """Put an order into a run's inbox, durably; its owner is told within 0.2 s.

        Returns the seq of the run's last event then: what the order becomes has a higher one.
        Raises RunNotFound, and InvalidState if the run is over.
        """

    def wakeable(self, now_ms: int) -> list[str]:
        """The runs that nobody owns and that should go on: waiting ones that are due, or with orders unread."""

    def give_up(self, lease: Lease) -> None:
        """Leave a run that was claimed without an owner, as it was."""

    def ownership(self, run_id: str) -> Ownership:
        """Who owns the run."""

    def read(self, run_id: str, after: int = 0, limit: int | None = None) -> Iterator[events.Recorded]:
        """The durable events of a run with a seq above `after`, in order, at most `limit`.

        Also after `close`, for reports.
        """

    def last_seq(self, run_id: str) -> int:
        """The seq of the run's last durable event. Raises RunNotFound."""

    def blob(self, hash_: str) -> bytes:
        """A blob's content, durable or not; also after `close`. Raises StoreCorrupt where there is none."""

    def row(self, run_id: str) -> RunRow | None:
        """What is known of the run; None: no such run."""

    def reviews(self, run_id: str | None = None, limit: int | None = 100) -> list[Review]:
        """The durable open reviews, of one run or all, oldest first, at most `limit` (None: all).

        One whose answer is in the inbox is not open any more.
        """

    def unread(self, run_id: str) -> list[AnyOrder]:
        """The orders in a run's inbox, oldest first."""

    def rows(
        self,
        *,
        status: str | None = None,
        graph: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = 100,
    ) -> list[RunRow]:
        """The runs that fit all of the conditions, newest first, at most `limit` (None: all)."""
