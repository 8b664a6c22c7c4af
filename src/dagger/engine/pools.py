"""What limits how many steps run at once: a step takes a slot in each of its pools, all or none.

And the ready queue, in the same order: higher priority first, then whoever became ready first.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from dagger.engine.threads import THREADS
from dagger.engine.timers import Timers
from dagger.spec.action import Action
from dagger.spec.limits import require_limits

Start: TypeAlias = Callable[..., Any]
"""What starts a step, by its name: each run has one."""
Due: TypeAlias = tuple[Start, str]
"""A step about to be attempted."""


class Pool:
    """A number of slots, and who waits for one. A step's end gives its slot back, or (a rate) time does."""

    __slots__ = ("free", "is_kept", "lanes", "seconds", "starts")

    def __init__(self, slots: int, seconds: float = 0.0, *, is_kept: bool = False) -> None:
        self.free = slots
        self.is_kept = is_kept
        """Whether a step keeps its slot while its code waits: an agent's."""
        self.seconds = seconds
        """Of a rate: a slot comes back so long after its step has started. 0: when the step ends."""
        self.starts: deque[float] = deque()
        """Of a rate: when the steps started whose slots have not come back yet."""
        self.lanes: list[tuple[int, int, int, _Lane]] = []
        """By what their best step is: rank, order, ticket, lane. As long as a slot is free nobody waits here."""


class _Lane:
    """Steps of one run that need the same slots: the best of them waits, in one pool at a time.

    Were each to go from pool to pool, whichever is full, it would cost as much as there are, again and again.
    """

    __slots__ = ("pools", "steps", "ticket")

    def __init__(self, pools: tuple[Pool, ...]) -> None:
        self.pools = pools
        self.steps: list[tuple[int, int, Due]] = []
        """A heap: rank, order, step."""
        self.ticket = 0
        """Its entry in a pool that has another one is void."""


class ReadyQueue:
    """Steps that could start now, best first. O(1) where all have the same priority and no pools, else O(log n)."""

    def __init__(self, timers: Timers, time: Callable[[], float], wake: Callable[[], None]) -> None:
        self._timers = timers
        self._time = time
        """The event loop's clock, in seconds: the timers' own."""
        self._wake = wake
        """Told when time alone has let a step go on."""
        self._plain: deque[Due] = deque()
        """Priority 0, in order."""
        self._others: list[tuple[int, int, Due]] = []
        self._lanes: dict[Start, dict[tuple[Pool, ...], _Lane]] = {}
        """What waits for slots, by its run."""
        self._orders = itertools.count(1)

    def __len__(self) -> int:
        return len(self._plain) + len(self._others)

    def add(self, due: Due, priority: int = 0, pools: tuple[Pool, ...] = ()) -> None:
        """Take in a step that became ready: it waits for slots first, if its pools have none free."""
        if not pools and not priority:
            self._plain.append(due)
            return
        order = next(self._orders)
        for pool in pools:
            if not pool.free:
                self._wait(-priority, order, due, pools, pool)
                return
        self._take(-priority, order, due, pools)

    def extend(self, start: Start, steps: Iterable[str]) -> None:
        """Take in steps of priority 0 that need no slots."""
        append = self._plain.append
        for step in steps:
            append((start, step))

    def pop(self) -> Due | None:
        """The next step to start; its slots are taken. None: there is none."""
        if self._others and (self._others[0][0] < 0 or not self._plain):
            return heapq.heappop(self._others)[2]
        return self._plain.popleft() if self._plain else None

    def release(self, pools: tuple[Pool, ...]) -> None:
        """Give back a step's slots, but those of rates; whoever waits for them comes nearer."""
        for pool in pools:
            if not pool.seconds:
                pool.free += 1
        for pool in pools:
            if pool.lanes:
                self._serve(pools)
                break

    def withdraw(self, start: Start) -> list[str]:
        """Forget the steps that wait for slots to be started by `start`: their run halts. Gives them."""
        gone: list[str] = []
        for lane in self._lanes.pop(start, {}).values():
            gone += [step for _, _, (_, step) in lane.steps]
            lane.steps.clear()
            lane.ticket = 0
        return gone

    def _wait(self, rank: int, order: int, due: Due, pools: tuple[Pool, ...], pool: Pool) -> None:
        lanes = self._lanes.setdefault(due[0], {})
        lane = lanes.get(pools)
        if lane is None:
            lane = lanes[pools] = _Lane(pools)
        heapq.heappush(lane.steps, (rank, order, due))
        if lane.steps[0][1] == order:
            self._stand(lane, pool)

    def _stand(self, lane: _Lane, pool: Pool) -> None:
        """Let a lane wait in one of its pools, and nowhere else."""
        rank, order, _ = lane.steps[0]
        lane.ticket = next(self._orders)
        heapq.heappush(pool.lanes, (rank, order, lane.ticket, lane))

    def _serve(self, pools: tuple[Pool, ...]) -> None:
        """Let the best of those that wait here go on: to start, or to wait where else a slot is missing."""
        while True:
            best = None
            for pool in pools:
                if pool.free and pool.lanes and (best is None or pool.lanes[0] < best.lanes[0]):
                    best = pool
            if best is None:
                return
            _, _, ticket, lane = heapq.heappop(best.lanes)
            if ticket != lane.ticket:
                continue
            for other in lane.pools:
                if not other.free:
                    self._stand(lane, other)
                    break
            else:
                rank, order, due = heapq.heappop(lane.steps)
                self._take(rank, order, due, lane.pools)
                if lane.steps:
                    self._stand(lane, best)
                else:
                    self._close(due[0], lane)

    def _close(self, start: Start, lane: _Lane) -> None:
        """Forget an empty lane."""
        lanes = self._lanes[start]
        del lanes[lane.pools]
        if not lanes:
            del self._lanes[start]

    def _take(self, rank: int, order: int, due: Due, pools: tuple[Pool, ...]) -> None:
        """All slots are free: take them, and queue the step among the ready."""
        for pool in pools:
            pool.free -= 1
            if pool.seconds:
                due = functools.partial(self._begin, pool, due[0]), due[1]
        if rank:
            heapq.heappush(self._others, (rank, order, due))
        else:
            self._plain.append(due)

    def _begin(self, pool: Pool, start: Start, *arguments: Any) -> Any:
        """Start a step under a rate: its window begins now, and not when the step was queued."""
        pool.starts.append(self._time())
        if len(pool.starts) == 1:
            self._timers.after(pool.seconds, lambda: self._elapsed(pool))
        return start(*arguments)

    def _elapsed(self, pool: Pool) -> None:
        """The oldest start of a rate lies a window back."""
        pool.starts.popleft()
        if pool.starts:
            self._timers.after(pool.starts[0] + pool.seconds - self._time(), lambda: self._elapsed(pool))
        pool.free += 1
        self._serve((pool,))
        self._wake()


def freed_at_rest(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    """Whose slots a step gives back while its code waits; when it goes on, it takes them anew, and only them."""
    return tuple(pool for pool in pools if not (pool.seconds or pool.is_kept))


def kept_at_rest(pools: tuple[Pool, ...]) -> tuple[Pool, ...]:
    """Whose slots a step keeps meanwhile."""
    return tuple(pool for pool in pools if pool.is_kept)


class Pools:
    """The pools that each step of an action takes a slot in, besides those of its run: by the action's name."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = actions
        self._known: dict[str, tuple[Action, tuple[Pool, ...]]] = {}
        self._places: dict[str, tuple[Pool, ...]] = {
            "loop": (),
            "thread": (Pool(THREADS),),
            "process": (Pool(os.cpu_count() or 1),),
        }
        self._named: dict[tuple[str, Any], Pool] = {}
        """By name and limit."""

    def __getitem__(self, name: str) -> tuple[Pool, ...]:
        """The same as long as the action is. Raises RegistryError for a pool that nobody sized."""
        action = self._actions.get(name)
        if action is None:
            return ()  # a node with a graph, or a step that fails when it starts
        known = self._known.get(name)
        if known is not None and known[0] is not action:
            self._known.clear()  # the one before it may have sized a pool of others, too
            known = None
        if known is None:
            known = self._known[name] = action, self._made(action)
        return known[1]

    def _made(self, action: Action) -> tuple[Pool, ...]:
        pools = self._places[action.runs_in]
        if action.pool:
            slots, rate = require_limits(action.pool, self._actions.values())
            if slots is not None:
                pools += (self._named.setdefault((action.pool, slots), Pool(slots)),)
            if rate is not None:
                pools += (self._named.setdefault((action.pool, rate), Pool(*rate)),)
        return pools
