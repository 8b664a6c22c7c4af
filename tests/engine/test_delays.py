"""Delays: steps that wait for their next attempt."""

import asyncio

from dagger.engine.delays import Delays
from dagger.engine.timers import Timers
from dagger.testing import VirtualClock


def with_delays(main):
    """What `main` gives, called with delays on a virtual loop."""
    clock = VirtualClock()

    async def whole():
        return await main(Delays(Timers(asyncio.get_running_loop())), clock)

    return clock.run(whole())


def test_each_is_called_when_it_is_due():
    """In their order, and not before."""

    async def main(delays, clock):
        now, called = clock.now_ms(), []
        for step, seconds in (("b", 5), ("a", 2)):
            delays.add(step, now + seconds * 1000, now, lambda step=step: called.append((step, clock.passed_seconds)))
        await asyncio.sleep(10)
        return called

    assert with_delays(main) == [("a", 2), ("b", 5)]


def test_the_next_that_is_due_is_told():
    """What is over or was forgotten does not count; of one that is held nobody knows, but it counts as delayed."""

    async def main(delays, clock):
        told = [delays.next_due()]
        for step, at in (("a", 2_000), ("b", 5_000)):
            delays.add(step, at, 0, lambda step=step: delays.end(step))
        told.append(delays.next_due())
        await asyncio.sleep(3)
        told += [delays.next_due(), len(delays)]
        delays.end("b")
        delays.hold("b", lambda: None)
        told += [len(delays), delays.next_due(), delays.end("b"), delays.end("b"), len(delays)]
        return told

    assert with_delays(main) == [None, 2_000, 5_000, 1, 1, None, True, False, 0]


def test_a_step_that_is_delayed_anew_is_due_at_its_new_time():
    """What is left of its former delay, which was given up, neither tells the time nor ends the new one."""

    async def main(delays, clock):
        called = []
        delays.add("a", 2_000, 0, lambda: called.append("first"))
        delays.end("a")
        delays.add("a", 5_000, 0, lambda: called.append("second"))
        due = delays.next_due()
        await asyncio.sleep(10)
        return due, called

    assert with_delays(main) == (5_000, ["second"])


def test_delays_that_are_over_take_no_room():
    """Though one is due before all of them, and nobody asks which."""

    async def main(delays, clock):
        delays.add("first", 1_000, 0, lambda: None)
        for _ in range(5_000):
            delays.add("a", 2_000, 0, lambda: None)
            delays.end("a")
        return len(delays._due) < 200, delays.next_due()

    assert with_delays(main) == (True, 1_000)


def test_what_is_forgotten_is_not_called():
    """`clear` tells how many there were, held ones included."""

    async def main(delays, clock):
        called = []
        delays.add("a", 1_000, 0, lambda: called.append("a"))
        delays.hold("b", lambda: called.append("b"))
        count = delays.clear()
        await asyncio.sleep(2)
        return count, len(delays), called

    assert with_delays(main) == (2, 0, [])
