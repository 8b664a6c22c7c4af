"""One heap of deadlines under one timer of the event loop; the system's clock."""

import asyncio
import time

import pytest

from dagger.engine.timers import SystemClock, Timer, Timers
from dagger.testing import VirtualClock


def simulate(story):
    """What was called, with the virtual time of each call."""
    clock, calls = VirtualClock(), []

    async def main():
        timers = Timers(asyncio.get_running_loop())

        def note(name):
            return lambda: calls.append((name, round(clock.passed_seconds, 3)))

        await story(timers, note)

    clock.run(main())
    return calls


def test_deadlines_are_called_in_their_order():
    """Each at its time, ties in the order of being set."""

    async def story(timers, note):
        for name, seconds in [("c", 3), ("a", 1), ("b", 2), ("a2", 1), ("now", 0), ("past", -5)]:
            timers.after(seconds, note(name))
        await asyncio.sleep(10)

    assert simulate(story) == [("now", 0), ("past", 0), ("a", 1), ("a2", 1), ("b", 2), ("c", 3)]


def test_a_cancelled_deadline_is_forgotten():
    """Cancelling works before, after and twice; thousands of cancelled ones take no room."""

    async def story(timers, note):
        kept = timers.after(1, note("kept"))
        for _ in range(5_000):
            timers.after(5, note("never")).cancel()
        assert len(timers._heap) < 200
        await asyncio.sleep(2)
        kept.cancel()
        gone = timers.after(1, note("never"))
        gone.cancel()
        gone.cancel()
        await asyncio.sleep(10)

    assert simulate(story) == [("kept", 1)]


def test_a_timer_of_no_heap_can_be_cancelled():
    """Only its owner calls it."""

    async def story(timers, note):
        timer = Timer(note("never"))
        await asyncio.sleep(1_000_000)
        timer.due()
        timer.cancel()
        assert timer.due is None

    assert simulate(story) == [("never", 1_000_000)]


def test_there_is_never_more_than_one_timer_of_the_loop():
    """Deadlines set by deadlines do not multiply what the loop has to look at."""

    async def story(timers, note):
        def again():
            note("again")()
            if len(timers._heap) < 50:
                timers.after(1, again)

        timers.after(1_000, note("last"))
        timers.after(1, again)
        await asyncio.sleep(30.5)
        live = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]
        assert len(live) == 1
        timers.close()

    assert len(simulate(story)) == 30


def test_one_that_raises_does_not_stop_the_others():
    """The heap goes on; the error goes to the loop's handler."""
    errors = []

    async def story(timers, note):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))

        def fail():
            raise ValueError("a bug")

        timers.after(1, fail)
        timers.after(2, note("after"))
        await asyncio.sleep(3)

    assert simulate(story) == [("after", 2)]
    assert [str(error) for error in errors] == ["a bug"]


def test_closing_forgets_all():
    """Nothing is called any more, and closing without a deadline is fine."""

    async def story(timers, note):
        timers.close()
        timers.after(1, note("never"))
        timers.close()
        await asyncio.sleep(5)

    assert simulate(story) == []


def test_the_system_clock_tells_milliseconds_since_1970():
    """It is the machine's time, and watches nothing."""
    clock = SystemClock()
    clock.watch(lambda: True)
    assert clock.now_ms() == pytest.approx(time.time() * 1000, abs=10_000)
