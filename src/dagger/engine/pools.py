"""What limits how many steps run at once: a step takes a slot in each of its pools, all or none.

And the ready queue, in the same order: higher priority first, then whoever became ready first.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

Start: TypeAlias = Callable[..., Any]
"""What starts a step, by its name: each run has one."""
Due: TypeAlias = tuple[Start, str]
"""A step about to be attempted."""


class Pool:
    """A number of slots, and the steps that wait for one."""

    __slots__ = ("free", "waiting")

    def __init__(self, slots: int) -> None:
        self.free = slots
        self.waiting: list[tuple[int, int, Due, tuple[Pool, ...]]] = []


class ReadyQueue:
    """Steps that could start now, best first. O(1) where all have the same priority."""

    def __init__(self) -> None:
        self._plain: deque[Due] = deque()
        """Priority 0, in order."""
        self._others: list[tuple[int, int, Due]] = []
        self._orders = itertools.count()

    def __len__(self) -> int:
        return len(self._plain) + len(self._others)

    def add(self, due: Due, priority: int = 0, pools: tuple[Pool, ...] = ()) -> None:
        """Take in a step that became ready: it waits for slots first, if its pools have none free."""
        if pools or priority:
            self._place(-priority, next(self._orders), due, pools)
        else:
            self._plain.append(due)

    def pop(self) -> Due | None:
        """The next step to start; its slots are taken. None: there is none."""
        if self._others and (self._others[0][0] < 0 or not self._plain):
            return heapq.heappop(self._others)[2]
        return self._plain.popleft() if self._plain else None

    def release(self, pools: tuple[Pool, ...]) -> None:
        """Give back a step's slots; whoever waits for them comes nearer."""
        for pool in pools:
            pool.free += 1
        for pool in pools:
            while pool.free and pool.waiting:
                self._place(*heapq.heappop(pool.waiting))

    def _place(self, rank: int, order: int, due: Due, pools: tuple[Pool, ...]) -> None:
        """Into the queue of the first pool without a free slot, else among the ready, with all slots taken."""
        for pool in pools:
            if not pool.free:
                heapq.heappush(pool.waiting, (rank, order, due, pools))
                return
        for pool in pools:
            pool.free -= 1
        if rank:
            heapq.heappush(self._others, (rank, order, due))
        else:
            self._plain.append(due)
