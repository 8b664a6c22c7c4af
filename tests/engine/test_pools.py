"""Slots: a step takes one in each of its pools, all or none; rates; the ready queue's order."""

import asyncio
import dataclasses
import gc
import os
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagger import Dagger
from dagger.core.errors import RegistryError
from dagger.engine.pools import Pool, Pools, ReadyQueue, freed_at_rest
from dagger.engine.threads import THREADS
from dagger.engine.timers import Timers
from dagger.testing import VirtualClock


@dataclasses.dataclass(eq=False)
class Step:
    name: str
    pools: tuple = ()
    priority: int = 0

    def __lt__(self, other):
        raise AssertionError("steps are never compared")


def still():
    """A queue for pools without rates: nobody asks it for the time."""
    return ReadyQueue(timers=None, time=None, wake=None)


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
    queue = still()
    for name in "abc":
        add(queue, Step(name))
    assert (len(queue), taken(queue)) == (3, ["a", "b", "c"])


def test_higher_priorities_come_first_and_lower_ones_last():
    """Above 0 before the plain ones, below 0 after them, ties in order."""
    queue = still()
    for name, priority in [("plain", 0), ("low", -1), ("high", 2), ("higher", 9), ("plain2", 0), ("high2", 2)]:
        add(queue, Step(name, priority=priority))
    assert taken(queue) == ["higher", "high", "high2", "plain", "plain2", "low"]


def test_a_pool_hands_its_slots_to_the_best_that_waits():
    """Released slots go by priority, then by the order of becoming ready."""
    queue, pool = still(), Pool(1)
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
    assert (pool.free, pool.lanes) == (1, [])


def test_a_late_step_of_high_priority_moves_its_run_up():
    """Also before those of other runs."""
    queue, pool = still(), Pool(1)
    for start, name, priority in [("a", "holder", 0), ("a", "a0", 0), ("b", "b1", 1), ("a", "a2", 2)]:
        queue.add((start, name), priority, (pool,))
    order = []
    while queue:
        order.append(queue.pop()[1])
        queue.release((pool,))
    assert order == ["holder", "a2", "b1", "a0"]


def test_a_step_takes_all_of_its_slots_or_none():
    """Waiting for one pool it holds no slot of another."""
    queue, one, two = still(), Pool(1), Pool(1)
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


class Model:
    """What the queue promises, at the price of looking at every step: the best that can start does."""

    def __init__(self, sizes):
        self.free = list(sizes)
        self.waiting, self.ready, self.order = [], [], 0

    def add(self, step, chosen):
        self.order += 1
        self.waiting.append(((-step.priority, self.order), step, chosen))
        self.go_on()

    def go_on(self):
        for entry in sorted(self.waiting, key=lambda entry: entry[0]):
            if all(self.free[pool] for pool in entry[2]):
                self.waiting.remove(entry)
                self.ready.append(entry)
                for pool in entry[2]:
                    self.free[pool] -= 1

    def pop(self):
        # those of priority 0: in the order of being let go, as most of them have no number
        best = min(self.ready, key=lambda entry: entry[0] if entry[1].priority else (0, 0))
        self.ready.remove(best)
        return best[1]

    def release(self, chosen):
        for pool in chosen:
            self.free[pool] += 1
        self.go_on()

    def withdraw(self, run):
        gone = [entry for entry in self.waiting if entry[1].run == run]
        self.waiting = [entry for entry in self.waiting if entry[1].run != run]
        return len(gone)


@dataclasses.dataclass(frozen=True)
class Named:
    name: str
    run: int
    priority: int = 0


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.sets(st.integers(0, 2)), st.integers(0, 2)), max_size=30),
    st.lists(st.integers(1, 3), min_size=3, max_size=3),
    st.randoms(use_true_random=False),
)
def test_the_best_step_whose_slots_are_all_free_starts(plan, sizes, draw):
    """Whatever comes, goes and is withdrawn: slots are never overdrawn, nobody is forgotten or overtaken by a worse."""
    queue, pools, model = still(), [Pool(size) for size in sizes], Model(sizes)
    steps = [(Named(str(n), run, priority), sorted(chosen)) for n, (priority, chosen, run) in enumerate(plan)]
    by_name, coming, running = {step.name: chosen for step, chosen in steps}, list(steps), []
    while coming or queue or running:
        move = draw.choice(["add"] * bool(coming) + ["pop"] * bool(queue) + ["end"] * bool(running) + ["withdraw"])
        if move == "add":
            step, chosen = coming.pop(0)
            queue.add((step.run, step.name), step.priority, tuple(pools[i] for i in chosen))
            model.add(step, chosen)
        elif move == "pop":
            running.append(queue.pop()[1])
            assert running[-1] == model.pop().name
        elif move == "end":
            chosen = by_name[running.pop(draw.randrange(len(running)))]
            queue.release(tuple(pools[i] for i in chosen))
            model.release(chosen)
        elif not draw.randrange(8):
            run = draw.randrange(3)
            assert len(queue.withdraw(run)) == model.withdraw(run)
        assert (len(queue), [pool.free for pool in pools]) == (len(model.ready), model.free)
    assert (model.waiting, queue._lanes) == ([], {})


def test_steps_of_a_run_that_halts_are_withdrawn_from_all_pools():
    """They take no slot on their way out; those of other runs move up, and those that are ready already stay."""
    queue, one, two = still(), Pool(1), Pool(1)
    for start, name, pools in [
        ("a", "holder", (one,)), ("a", "a1", (one,)), ("a", "a2", (one, two)), ("a", "a3", (one,)), ("b", "b", (one,)),
    ]:  # fmt: skip
        queue.add((start, name), 0, pools)
    assert (queue.withdraw("a"), queue.withdraw("a"), queue.withdraw("c")) == (["a1", "a3", "a2"], [], [])
    assert taken(queue) == ["holder"]
    queue.release((one,))
    assert taken(queue) == ["b"]
    queue.release((one,))
    assert (one.free, two.free, one.lanes, queue._lanes) == (1, 1, [], {})


def test_a_withdrawn_run_is_not_kept_in_memory():
    """However long its pool stands still."""

    class Run:
        def start(self, step):
            pass

    queue, pool, run = still(), Pool(1), Run()
    for name in ("holder", "waiting"):
        queue.add((run.start, name), 0, (pool,))
    queue.pop()
    queue.withdraw(run.start)
    known = weakref.ref(run)
    del run
    gc.collect()
    assert known() is None


def test_a_crowd_is_not_moved_from_pool_to_pool():
    """Ten thousand steps that need two pools cost no more per step, whichever of the two is full."""
    queue, one, two = still(), Pool(1), Pool(1)
    for n in range(10_000):
        queue.add(("run", str(n)), 0, (one, two))
    queue.pop()
    for closed, opened in [(one, two), (two, one)] * 50:
        queue.add(("other", "short"), 9, (closed,))
        queue.release((opened,))
        queue.release((closed,))
        queue.pop()
        assert len(one.lanes) + len(two.lanes) < 5
        queue.release((closed,))
        queue.pop()


# -- rates ---------------------------------------------------------------------------------------------------


EARLY = 1e-5
"""Seconds: more than a loop calls early, within its clock's resolution, and than times are rounded here."""


class Kernel:
    """Starts what is ready, and gives the slots back after the step's seconds."""

    def __init__(self, loop):
        self.loop = loop
        self.queue = ReadyQueue(Timers(loop), loop.time, self.wake)
        self.starts = []

    def wake(self):
        self.loop.call_soon(self.drain)

    def drain(self):
        while (due := self.queue.pop()) is not None:
            start, step = due
            start(step)

    def add(self, name, pools, seconds=0.0, priority=0):
        def start(step):
            self.starts.append((step, round(self.loop.time(), 6)))
            self.loop.call_later(seconds, end)

        def end():
            self.queue.release(pools)
            self.wake()

        self.queue.add((start, name), priority, pools)
        self.wake()


def simulate(story, seconds=10_000):
    """The starts, with their virtual times."""

    async def main():
        kernel = Kernel(asyncio.get_running_loop())
        story(kernel)
        await asyncio.sleep(seconds)
        return kernel.starts

    return VirtualClock().run(main())


def test_a_rate_lets_so_many_start_in_each_window():
    """Those that wait start as soon as the window allows, in their order; no sooner for having ended."""

    def story(kernel):
        rate = Pool(2, 10.0)
        for name in "abcde":
            kernel.add(name, (rate,), seconds=1)
        kernel.add("first", (rate,), priority=1)

    assert simulate(story) == [("a", 0), ("b", 0), ("first", 10), ("c", 10), ("d", 20), ("e", 20)]


def test_the_window_slides():
    """It is counted from each start, not from a full minute."""

    def story(kernel):
        rate = Pool(2, 10.0)
        for at in (0, 8, 9, 11, 17, 30):
            kernel.loop.call_later(at, kernel.add, str(at), (rate,))

    assert simulate(story) == [("0", 0), ("8", 8), ("9", 10), ("11", 18), ("17", 20), ("30", 30)]


def test_a_window_begins_with_the_start_itself():
    """A step that was let go, and then had to wait for a worker, counts from when it started."""

    async def main():
        loop = asyncio.get_running_loop()
        queue, rate, starts = ReadyQueue(Timers(loop), loop.time, lambda: None), Pool(1, 10.0), []
        for name in "ab":
            queue.add((starts.append, name), 0, (rate,))
        await asyncio.sleep(7)
        start, step = queue.pop()
        start(step)
        await asyncio.sleep(9.9)
        assert (starts, len(queue)) == (["a"], 0)
        await asyncio.sleep(0.2)
        assert len(queue) == 1

    VirtualClock().run(main())


def test_a_step_that_waits_for_a_slot_has_not_used_the_rate():
    """All or none, with rates too; and one that waits for the rate holds no slot."""

    def story(kernel):
        slot, rate = Pool(1), Pool(1, 10.0)
        kernel.add("holder", (slot,), seconds=3)
        kernel.add("both", (slot, rate))
        kernel.add("rated", (rate,))
        kernel.add("slot", (slot,), seconds=100)
        kernel.add("late", (rate, slot))

    assert simulate(story) == [("holder", 0), ("rated", 0), ("slot", 3), ("both", 103), ("late", 113)]


def test_a_step_that_goes_on_after_a_wait_is_no_second_start():
    """It takes its slots again, without the rate."""
    slot, rate = Pool(1), Pool(1, 10.0)

    def story(kernel):
        kernel.add("step", (slot, rate))
        kernel.loop.call_later(1, kernel.add, "step again", freed_at_rest((slot, rate)))
        kernel.loop.call_later(2, kernel.add, "other", (slot, rate))

    assert freed_at_rest((slot, rate)) == (slot,)
    assert simulate(story) == [("step", 0), ("step again", 1), ("other", 10)]


def test_withdrawn_steps_use_no_rate():
    """A cancelled run of a thousand does not hold up the next one for a thousand windows."""

    def story(kernel):
        rate = Pool(1, 60.0)
        kernel.add("first", (rate,))
        for n in range(1000):
            kernel.queue.add(("cancelled", str(n)), 0, (rate,))
        kernel.add("next", (rate,))
        assert len(kernel.queue.withdraw("cancelled")) == 1000

    assert simulate(story) == [("first", 0), ("next", 60)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 8), st.integers(-1, 1), st.sets(st.integers(0, 3), min_size=1)),
        max_size=40,
    ),
    st.lists(st.integers(1, 3), min_size=4, max_size=4),
    st.integers(1, 20),
)
def test_never_more_at_once_nor_in_any_window(plan, sizes, window):
    """Two pools of slots and two rates, steps that come and end at any time: each limit holds, and all start."""
    pools = [Pool(sizes[0]), Pool(sizes[1]), Pool(sizes[2], window / 3), Pool(sizes[3], float(window))]

    def story(kernel):
        for n, (at, seconds, priority, chosen) in enumerate(plan):
            kernel.loop.call_later(at / 4, kernel.add, n, tuple(pools[i] for i in sorted(chosen)), seconds, priority)

    starts = simulate(story)
    assert sorted(step for step, _ in starts) == list(range(len(plan)))
    for i, pool in enumerate(pools):
        times = [(at, plan[step][1]) for step, at in starts if i in plan[step][3]]
        for at, _ in times:
            if pool.seconds:
                assert sum(at - pool.seconds + EARLY < other <= at for other, _ in times) <= sizes[i]
            else:
                assert sum(other <= at < other + length - EARLY for other, length in times) <= sizes[i]
    assert [(pool.free, len(pool.starts)) for pool in pools] == [(size, 0) for size in sizes]


# -- the pools of an application -----------------------------------------------------------------------------


def app_with(**actions):
    """An application, and its pools, with actions of these options."""
    app = Dagger("memory:")
    for name, options in actions.items():

        @app.action(name=name, **options)
        async def act():
            return 1

    return Pools(app.actions)


def test_an_action_has_a_slot_in_the_pools_it_names():
    """Its own, or those it shares; the slots and the rate of each once, whoever gives them."""
    pools = app_with(
        free={}, own={"concurrency": 3}, rated={"rate": "2/s"}, a={"pool": "web", "concurrency": 2},
        b={"pool": "web"}, c={"pool": "web", "rate": "60/min"},
    )  # fmt: skip
    assert pools["free"] == ()
    assert [(pool.free, pool.seconds) for pool in pools["own"]] == [(3, 0.0)]
    assert [(pool.free, pool.seconds) for pool in pools["rated"]] == [(2, 1.0)]
    assert [(pool.free, pool.seconds) for pool in pools["b"]] == [(2, 0.0), (60, 60.0)]
    assert pools["a"] == pools["b"] == pools["c"]
    assert pools["a"] is pools["a"]


def test_threads_and_processes_are_slots_of_pools():
    """Of one pool each, for all that run there."""
    app = Dagger("memory:")

    @app.action
    def plain():
        return 1

    @app.action(concurrency=5)
    def limited():
        return 1

    app.action(runs_in="process")(still)
    pools = Pools(app.actions)
    assert [pool.free for pool in pools["plain"]] == [THREADS]
    assert pools["limited"][0] is pools["plain"][0]
    assert [pool.free for pool in pools["limited"]] == [THREADS, 5]
    assert [pool.free for pool in pools["still"]] == [os.cpu_count()]


def test_a_name_without_an_action_has_no_pools_until_it_is_registered():
    """Nothing is remembered of it."""
    app = Dagger("memory:")
    pools = Pools(app.actions)
    assert pools["later"] == ()

    @app.action(concurrency=1)
    async def later():
        return 1

    assert [pool.free for pool in pools["later"]] == [1]


def test_a_pool_that_nobody_sized_is_refused():
    """When it is first used, as any of its actions may give the size."""
    pools = app_with(a={"pool": "web"}, b={"pool": "web"}, c={"pool": "other", "concurrency": 1})
    with pytest.raises(RegistryError) as refused:
        pools["a"]
    assert str(refused.value) == "pool 'web' has no size; give concurrency or rate on one of its actions: a, b"
