"""The virtual clock: hours pass in no time, in their true order, and threads and disks are waited for."""

import asyncio
import datetime
import threading

import pytest

from dagger.testing import VirtualClock


def test_sleeps_take_no_time_and_keep_their_order():
    """An hour is over at once; whoever sleeps less wakes first."""
    clock, woken = VirtualClock(), []

    async def sleep(name, seconds):
        await asyncio.sleep(seconds)
        woken.append((name, clock.passed_seconds))

    async def main():
        await asyncio.gather(sleep("hour", 3600), sleep("minute", 60), sleep("now", 0), sleep("day", 86_400))

    clock.run(main())
    assert woken == [("now", 0), ("minute", 60), ("hour", 3600), ("day", 86_400)]
    assert clock.now_ms() == 1_767_225_600_000 + 86_400_000


def test_a_start_is_a_time_with_a_zone():
    """Any zone; without one it is no moment."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    assert VirtualClock(datetime.datetime(1970, 1, 1, 3, tzinfo=zone)).now_ms() == 3_600_000
    with pytest.raises(ValueError, match="starts at a time with a zone, not"):
        VirtualClock(datetime.datetime(2026, 1, 1))  # noqa: DTZ001 - the case


def test_time_goes_on_in_the_next_run():
    """Two runs are two processes, one after the other; between them time may pass too."""
    clock = VirtualClock()
    clock.run(asyncio.sleep(5))
    clock.advance(10)
    clock.run(asyncio.sleep(5))
    assert clock.passed_seconds == 20


def test_time_stands_still_while_something_real_is_at_work():
    """A watched thread holds the clock; when it is done, time goes on."""
    clock, gate, busy = VirtualClock(), threading.Event(), [True]
    clock.watch(lambda: busy[0])
    seen = []

    async def main():
        loop = asyncio.get_running_loop()

        def work():
            gate.wait(10)
            seen.append(clock.passed_seconds)
            loop.call_soon_threadsafe(done.set_result, None)
            busy[0] = False

        done = loop.create_future()
        thread = threading.Thread(target=work)
        sleeper = asyncio.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        assert clock.is_held
        thread.start()
        gate.set()
        await done
        thread.join()
        assert not sleeper.done()
        await sleeper

    clock.run(main())
    assert seen == [0]
    assert clock.passed_seconds == 100


def test_timeouts_are_virtual_too():
    """asyncio.timeout works on the loop's time."""
    clock = VirtualClock()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()

    clock.run(main())
    assert clock.passed_seconds == pytest.approx(3600)


def test_the_result_and_the_error_of_main_come_out():
    """As with asyncio.run."""

    async def fail():
        raise KeyError("x")

    async def give():
        return 5

    assert VirtualClock().run(give()) == 5
    with pytest.raises(KeyError):
        VirtualClock().run(fail())
