"""What limits how many steps run at once: a step takes a slot in each of its pools, all or none.

And the ready queue, in the same order: higher priority first, then whoever became ready first.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import Protocol


class Queued(Protocol):
    """What waits in the queues: a step about to be attempted."""

    pools: tuple[Pool, ...]
    priority: int
    order: int
    """Its place among all that became ready."""


class Pool:
    """A number of slots, and the steps that wait for one."""

    __slots__ = ("free", "waiting")

    def __init__(self, slots: int) -> None:
        self.free = slots
        self.waiting: list[tuple[int, int, Queued]] = []


class ReadyQueue:
    """Steps that could start now, best first. O(1) where all have the same priority."""

    def __init__(self) -> None:
        self._plain: deque[Queued] = deque()
        """Priority 0, in order."""
        self._others: list[tuple[int, int, Queued]] = []
        self._orders = itertools.count()

    def __len__(self) -> int:
        return len(self._plain) + len(self._others)

    def add(self, step: Queued) -> None:
        """Take in a step that became ready: it waits for slots first, if its pools have none free."""
        if step.pools or step.priority:
            step.order = next(self._orders)
            self._place(step)
        else:
            self._plain.append(step)

    def pop(self) -> Queued | None:
        """The next step to start; its slots are taken. None: there is none."""
        if self._others and (self._others[0][0] < 0 or not self._plain):
            return heapq.heappop(self._others)[2]
        return self._plain.popleft() if self._plain else None

    def release(self, step: Queued) -> None:
        """Give back the step's slots; whoever waits for them comes nearer."""
        for pool in step.pools:
            pool.free += 1
        for pool in step.pools:
            while pool.free and pool.waiting:
                self._place(heapq.heappop(pool.waiting)[2])

    def _place(self, step: Queued) -> None:
        """Into the queue of the first pool without a free slot, else among the ready, with all slots taken."""
        for pool in step.pools:
            if not pool.free:
                heapq.heappush(pool.waiting, (-step.priority, step.order, step))
                return
        for pool in step.pools:
            pool.free -= 1
        if step.priority:
            heapq.heappush(self._others, (-step.priority, step.order, step))
        else:
            self._plain.append(step)
