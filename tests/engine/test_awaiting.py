"""Awaiting: what suspended code waits for, as far as asyncio lets it be seen."""

import asyncio
import time

import pytest

from dagger.engine.awaiting import has_time_limit, is_at_rest


async def gather(*coroutines):
    await asyncio.gather(*coroutines)


async def group(*coroutines):
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)


async def first_of(*coroutines):
    await asyncio.wait([asyncio.create_task(coroutine) for coroutine in coroutines])


async def in_turn(*coroutines):
    for task in [asyncio.create_task(coroutine) for coroutine in coroutines]:
        await task


class Doing:
    """What code may do."""

    def __init__(self):
        self.awaits = {}

    async def wait(self):
        future = asyncio.get_running_loop().create_future()
        self.awaits[future] = asyncio.current_task()
        await future

    async def work(self):
        await asyncio.Event().wait()


async def looked_at(code):
    """Whether suspended code is at rest; `code` is called with what can open a wait, and work."""
    do = Doing()
    task = asyncio.create_task(code(do))
    for _ in range(5):
        await asyncio.sleep(0)
    found = is_at_rest(do.awaits, task)
    task.cancel()
    await asyncio.wait([task])
    return found


@pytest.mark.parametrize(
    ("code", "is_so"),
    [
        (lambda do: do.wait(), True),
        (lambda do: do.work(), False),
        (lambda do: gather(do.wait(), do.wait()), True),
        (lambda do: gather(do.wait(), do.work()), False),
        (lambda do: gather(asyncio.sleep(0), do.wait()), True),
        (lambda do: group(do.wait(), do.wait()), True),
        (lambda do: group(do.wait(), do.work()), False),
        (lambda do: gather(group(do.wait()), gather(do.wait())), True),
        (lambda do: gather(group(do.wait(), do.work()), gather(do.wait())), False),
        (lambda do: in_turn(do.wait(), do.wait()), True),
        (lambda do: first_of(do.wait(), do.wait()), False),  # cannot be seen: so it counts as work
        (lambda _: asyncio.sleep(60), False),
    ],
    ids=range(12),
)
def test_code_is_at_rest_that_only_open_waits_can_end(code, is_so):
    """Whatever else it might go on for is work."""
    assert asyncio.run(looked_at(code)) is is_so


def test_a_wait_that_is_answered_is_no_rest():
    """The code is about to go on."""

    async def main():
        future = asyncio.get_running_loop().create_future()
        before = is_at_rest({future: None}, future)
        future.set_result(None)
        return before, is_at_rest({future: None}, future)

    assert asyncio.run(main()) == (True, False)


class Counted(asyncio.Future):
    """Something to await that counts how often it was looked at."""

    looks = 0

    def done(self):
        self.looks += 1
        return super().done()


def test_a_look_ends_at_the_first_that_works():
    """Of many that are gathered the others are not looked at: code may be asked often."""

    async def main():
        work, counted = asyncio.get_running_loop().create_future(), Counted()
        gathered = asyncio.gather(work, counted)
        return is_at_rest({}, gathered), counted.looks

    assert asyncio.run(main()) == (False, 0)


def test_a_time_limit_is_seen_while_it_runs():
    """Of the tasks that are asked about, and no others; over or called off, it is none."""

    async def main():
        loop, task, told = asyncio.get_running_loop(), asyncio.current_task(), []
        async with asyncio.timeout(60) as limit:
            told += [has_time_limit(loop, {task}), has_time_limit(loop, {asyncio.create_task(asyncio.sleep(0))})]
            limit.reschedule(None)
            told.append(has_time_limit(loop, {task}))
        async with asyncio.timeout(60):
            pass
        return [*told, has_time_limit(loop, {task}), has_time_limit(object(), {task})]

    assert asyncio.run(main()) == [True, False, False, False, False]


def test_a_time_limit_that_is_due_this_very_moment_is_seen_too():
    """Whoever looks in the same turn of the loop, before it is kept, sees it."""

    async def main():
        loop, task, told = asyncio.get_running_loop(), asyncio.current_task(), []
        loop.call_later(0.01, lambda: told.append(has_time_limit(loop, {task})))

        async def limited():
            async with asyncio.timeout(0.011):
                time.sleep(0.02)  # both are due when the loop turns again
                await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            await limited()
        return told

    assert asyncio.run(main()) == [True]
