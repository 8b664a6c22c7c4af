"""A lease on a run in a file: gathers on the loop's thread what the writer's thread then gets as parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.journal import ORDERED, PROJECTED, RELEASING, REVIEWED, Lease, RunRow, projected, review_of
from dagger.core.reviews import Review

NOTED = PROJECTED | RELEASING | ORDERED | REVIEWED
"""The events that `FileLease.note` wants to see: all others are appended without a look."""
EVENTS_NOW = 32
"""So many are committed as fast as one."""


class FileLease(Lease):
    """A lease, and what the store notes of it."""

    __slots__ = ("has_new_row", "is_held", "is_lost", "is_over", "keys", "read", "reviews", "seq")

    def __init__(self, run_id: str, key: int, epoch: int, row: RunRow, seq: int) -> None:
        super().__init__(run_id, key, epoch, row)
        self.seq = seq
        """Of the run's last event in the file. This and `key` are the writer's, the rest is the loop's."""
        self.has_new_row = False
        """Whether `row` is yet to be handed to the writer."""
        self.read: list[str] = []
        """The orders that some of `events` come from, by id."""
        self.reviews: dict[str, Review | None] = {}
        """Those that some of `events` opened or closed, by id; None: closed."""
        self.keys: list[tuple[str, int, int]] = []
        """What may be reused: the key, the success's place in `events`, from 1, and its time."""
        self.is_held = False
        """Whether whoever claimed the run has the lease: until then, orders that come in are added to `orders`."""
        self.is_over = False
        """The run paused, parked or ended: the lease takes nothing after it."""
        self.is_lost = False
        """An append was refused, and the listener told."""

    def note(self, event: events.Event) -> None:
        """Of an event that was just appended: what the run's row becomes, its order, and its review."""
        if event.__class__ in PROJECTED:
            self.row = projected(self.row, event) or self.row
            self.has_new_row = True
        order = getattr(event, "order", "")
        if order and event.__class__ in ORDERED:
            self.read.append(order)
        review = getattr(event, "review", "")
        if review and event.__class__ in REVIEWED:
            self.reviews[review] = review_of(self.run_id, event) if isinstance(event, events.WaitOpened) else None
        self.is_over = event.__class__ in RELEASING

    def take(self) -> Part:
        """All that was appended since the last call: the lease lets go of it."""
        row = self.row if self.has_new_row else None
        part = Part(self, self.events, self.blobs, row, self.read, self.keys, self.reviews)
        self.events, self.blobs, self.has_new_row = [], [], False
        self.read, self.keys, self.reviews = [], [], {}
        return part


class Part(NamedTuple):
    """What one batch has for one run."""

    lease: FileLease
    events: list[events.Event]
    blobs: list[Blob]
    row: RunRow | None
    """None: as it was."""
    read: Sequence[str] = ()
    keys: Sequence[tuple[str, int, int]] = ()
    reviews: Mapping[str, Review | None] = {}

    @property
    def is_last(self) -> bool:
        """Whether its last event gives up the lease."""
        return bool(self.events) and self.events[-1].__class__ in RELEASING

    @property
    def is_end(self) -> bool:
        """Whether its last event ends the run."""
        return bool(self.events) and isinstance(self.events[-1], events.RunEnded)

    @property
    def is_small(self) -> bool:
        """Whether the loop may commit it itself: a few events of a run that is there."""
        return self.lease.key > 0 and not self.blobs and len(self.events) <= EVENTS_NOW
