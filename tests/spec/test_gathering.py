"""Gathering: what a generator yields is published together, at its end; one that has none is stopped."""

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass

import pytest

from dagger import Context, Dagger, EventDriven
from dagger.spec import gathering


def execute(agent, reader=None, **config):
    """The report of a run of one agent that reads `in`, and publishes to `out`."""

    async def main():
        async with Dagger("memory:", config={"max_attempts": 1, "on_failure": "stop", **config}) as app:
            app.agent(name="endless", subscribe="in", publish="out", timeout=0.3)(agent)
            if reader is not None:
                app.agent(subscribe="out")(reader)
            return await app.execute(EventDriven("in", None))

    return asyncio.run(main())


async def endless(given: object):
    """It waits for nothing, so that it keeps the event loop."""
    while True:
        yield 1


def test_a_generator_that_waits_for_nothing_is_cut_off_at_its_timeout():
    """It lets the loop in between its values, where a run has no `max_messages` to stop it."""

    async def slow(given: object):
        while True:
            time.sleep(0.001)  # code that computes
            yield 1

    report = execute(slow, max_messages=None)
    assert report.error == "endless#1-1: AttemptTimedOut: agent 'endless': attempt 1 timed out after 0.3 s"
    assert report.messages == 1


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_generator_that_never_ends_is_stopped(kind):
    """Before memory is full: nothing of it gets out."""

    def plain(given: object):
        while True:
            yield 1

    report = execute(endless if kind == "async" else plain, max_messages=10)
    said = "a generator has yielded 100,011 messages, and max_messages lets a run publish 10: does it never end?"
    assert report.error == f"endless#1-1: MessageLimitReached: {said}"
    assert report.messages == 1


def test_a_threads_generator_that_was_given_up_ends_at_its_next_value():
    """Its thread is free again, and nothing more is collected."""
    ended = threading.Event()

    def plain(given: object):
        try:
            while True:
                time.sleep(0.01)
                yield 1
        finally:
            ended.set()

    report = execute(plain, max_messages=None)
    assert "AttemptTimedOut" in report.error
    assert ended.wait(60)


def test_what_a_generator_yielded_that_was_given_up_is_not_looked_at():
    """The next attempt waits for its thread, and would for all of that."""
    checked = []

    @dataclass
    class Word:
        text: str

        def __post_init__(self):
            checked.append(self.text)

    def plain(given: object, ctx: Context):
        while ctx.attempt == 1:
            time.sleep(0.01)
            yield {"text": "unwanted"}

    async def reader(word: Word): ...

    report = execute(plain, reader, max_messages=None, max_attempts=2, retry_strategy="immediate")
    assert (report.status, report.messages) == ("succeeded", 1)
    assert checked == []


def test_a_generator_that_swallows_its_cancellation_is_stopped():
    """Where it yields on: else it would do so for ever, and no loop could end."""
    cut = []

    async def stubborn(given: object):
        while True:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                cut.append(True)
            yield 1

    report = execute(stubborn, max_messages=None)
    assert report.error == "endless#1-1: AttemptTimedOut: agent 'endless': attempt 1 timed out after 0.3 s"
    assert cut == [True]


def test_a_generator_may_have_a_timeout_of_its_own():
    """What it cancelled itself is not cut off."""

    async def patient(given: object):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.sleep(3600)
        yield 1
        yield 2

    assert execute(patient).messages == 3


def test_a_generator_that_fails_is_closed():
    """At once, and not when it is next tidied up."""
    closed = []

    async def some():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main():
        gathering.ROOM.set(1 - gathering.SPARE)
        with pytest.raises(gathering.MessageLimitReached):
            await gathering.gathering(some, object)[0]()
        return list(closed)

    assert asyncio.run(main()) == [True]
