"""Slots: a step takes one in each of its pools, all or none; the ready queue's order."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from dagger.engine.pools import Pool, ReadyQueue


@dataclasses.dataclass(eq=False)
class Step:
    name: str
    pools: tuple = ()
    priority: int = 0

    def __lt__(self, other):
        raise AssertionError("steps are never compared")


def add(queue, step):
    queue.add((step, step.name), step.priority, step.pools)


def taken(queue):
    """The names of all that could start now, in that order."""
    names = []
    while queue:
        names.append(queue.pop()[1])
    return names


def test_equal_priorities_start_in_the_order_of_becoming_ready():
    """First come, first served."""
    queue = ReadyQueue()
    for name in "abc":
        add(queue, Step(name))
    assert (len(queue), taken(queue)) == (3, ["a", "b", "c"])


def test_higher_priorities_come_first_and_lower_ones_last():
    """Above 0 before the plain ones, below 0 after them, ties in order."""
    queue = ReadyQueue()
    for name, priority in [("plain", 0), ("low", -1), ("high", 2), ("higher", 9), ("plain2", 0), ("high2", 2)]:
        add(queue, Step(name, priority=priority))
    assert taken(queue) == ["higher", "high", "high2", "plain", "plain2", "low"]


def test_a_pool_hands_its_slots_to_the_best_that_waits():
    """Released slots go by priority, then by the order of becoming ready."""
    queue, pool = ReadyQueue(), Pool(1)
    first = Step("first", (pool,))
    add(queue, first)
    for name, priority in [("a", 0), ("b", 1), ("c", 0)]:
        add(queue, Step(name, (pool,), priority))
    order = []
    while queue:
        step, _ = queue.pop()
        order.append(step.name)
        assert not queue
        queue.release(step.pools)
    assert order == ["first", "b", "a", "c"]
    assert (pool.free, pool.waiting) == (1, [])


def test_a_step_takes_all_of_its_slots_or_none():
    """Waiting for one pool it holds no slot of another."""
    queue, one, two = ReadyQueue(), Pool(1), Pool(1)
    holder, both, other = Step("holder", (two,)), Step("both", (one, two)), Step("other", (one,))
    add(queue, holder)
    add(queue, both)
    add(queue, other)
    assert [queue.pop()[1], queue.pop()[1]] == ["holder", "other"]
    assert not queue
    queue.release(holder.pools)
    assert not queue
    queue.release(other.pools)
    assert queue.pop()[0] is both


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.sets(st.integers(0, 2))), max_size=30),
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_pools_are_never_overdrawn_and_nobody_is_forgotten(plan, sizes, draw):
    """Whatever comes and goes: at most the slots are taken, and in the end every step has run."""
    queue, pools = ReadyQueue(), [Pool(size) for size in sizes]
    waiting = [
        Step(str(n), tuple(pools[i] for i in sorted(chosen)), priority) for n, (priority, chosen) in enumerate(plan)
    ]
    running, done = [], 0
    while waiting or queue or running:
        move = draw.choice([*(["add"] if waiting else []), *(["pop"] if queue else []), *(["end"] if running else [])])
        if move == "add":
            add(queue, waiting.pop(0))
        elif move == "pop":
            running.append(queue.pop()[0])
        else:
            queue.release(running.pop(draw.randrange(len(running))).pools)
            done += 1
        for pool, size in zip(pools, sizes, strict=True):
            assert 0 <= pool.free <= size
            assert sum(pool in step.pools for step in running) <= size - pool.free
    assert done == len(plan)
    assert [pool.free for pool in pools] == sizes
