"""Payloads beyond `channel_capacity` stay in the journal, and come back as they were when there is room."""

import asyncio
import gc
import threading
import time
import tracemalloc

import pytest
from tests.mailed import execute, run, sends
from tests.worlds import World

from dagger import Context, Dagger, EventDriven, Graph, MemoryStore, Message, Static, action, agent
from dagger.core import events
from dagger.core.codec import decode
from dagger.core.errors import StoreCorrupt
from dagger.core.graph import Node
from dagger.core.messages import Message as Waiting
from dagger.core.messages import Published, delivery_of
from dagger.core.state import Inbox, Pending, State
from dagger.engine.mail import AHEAD, AT_ONCE, KEPT, Mail, messages_of
from dagger.store.memory import Memory

START = EventDriven("start", None)
ROUNDS = 5
"""The first is slow, as all is done for the first time."""


def large(number):
    """A payload that is stored beside its event."""
    return {"number": number, "text": f"{number} " * 40_000}


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize(("make", "count"), [(lambda number: {"n": number}, 300), (large, 20)], ids=["small", "large"])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_payloads_beyond_capacity_come_back_intact(world, durability, make, count, concurrency):
    """In order, each as it was published; under `async` also before they are on disk."""
    taken = []

    @agent(subscribe="in", concurrency=concurrency)
    async def reader(message: Message):
        taken.append(message.payload)

    config = {"channel_capacity": 2, "durability": durability}
    assert execute(world, START, sends(count, make=make), reader, config=config).report.status == "succeeded"
    assert taken == [make(number) for number in range(1, count + 1)]


def test_a_thread_that_asks_for_its_message_has_it_read_in_the_loop():
    """The store is the loop's alone."""
    taken, threads = [], set()

    class Watched(MemoryStore):
        def read(self, *arguments, **options):
            threads.add(threading.get_ident())
            return super().read(*arguments, **options)

    @agent(subscribe="in")
    def reader(ctx: Context):
        taken.append(ctx.message.payload)

    app = Dagger(Watched(Memory()), config={"channel_capacity": 1})
    app.include(reader, sends(5))
    assert app.run(START).status == "succeeded"
    assert (taken, threads) == ([1, 2, 3, 4, 5], {threading.get_ident()})


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_payloads_of_many_events_come_back_intact(world, durability):
    """Each message is an event's of its own, and its reader is far behind."""
    taken = []

    @agent(subscribe="in", publish="out")
    async def passes(number: int) -> int:
        return -number

    @agent(subscribe="out")
    async def reader(number: int):
        await asyncio.sleep(1)
        taken.append(number)

    config = {"channel_capacity": 1, "durability": durability}
    execute(world, START, sends(250), passes, reader, config=config)

    assert taken == [-number for number in range(1, 251)]


def test_a_delivery_waits_for_its_payload_where_nothing_else_is_about_to_be_written(tmp_path):
    """Its message is being written, and nothing was appended since: it waits for no batch that stays empty."""
    taken = []

    @agent(subscribe="in", publish="log")
    async def reader(number: int, ctx: Context):
        taken.append(number)
        for _ in range(30):  # so that writing takes longer than a turn of the loop
            ctx.publish("log", "x" * 60_000)
        time.sleep(0.01)  # so that the loop turns before the next one begins

    async def main():  # by the real clock: a slice of the loop is to end when the first delivery has
        async with Dagger(tmp_path / "real.db", config={"channel_capacity": 1, "durability": "async"}) as app:
            app.include(sends(3), reader)
            return [(await asyncio.wait_for(app.execute(START), 20)).status for _ in range(ROUNDS)]

    assert asyncio.run(main()) == ["succeeded"] * ROUNDS
    assert taken == [1, 2, 3] * ROUNDS


def test_a_parameter_gets_the_payload_as_well_as_the_message(world):
    """Both are read when they are needed, and are decoded anew for each."""
    taken = []

    @agent(subscribe="in")
    async def reader(given: dict, message: Message, ctx: Context):
        given["changed"] = True
        taken.append((message.payload, ctx.message.payload == message.payload))

    execute(world, START, sends(5, make=lambda number: {"n": number}), reader, config={"channel_capacity": 1})

    assert taken == [({"n": number}, True) for number in range(1, 6)]


def test_a_retried_attempt_reads_its_payload_again(world):
    """It is the same in each."""
    taken = []

    @agent(subscribe="in")
    async def frail(given: dict, ctx: Context):
        taken.append(given["n"])
        if ctx.attempt < 3:
            raise ValueError("not yet")

    config = {"channel_capacity": 1, "max_attempts": 3}
    execute(world, START, sends(4, make=lambda number: {"n": number}), frail, config=config)

    assert taken == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


def test_in_another_application_they_are_read_from_the_journal(tmp_path):
    """What its predecessor had in memory is gone."""
    world, taken = World("sqlite", tmp_path), []

    @agent(subscribe="in")
    async def reader(given: dict):
        await asyncio.sleep(10)
        taken.append(given["number"])
        assert given == large(given["number"])

    async def begin(app):
        await app.start(START, run_id="r")
        await asyncio.sleep(35)

    async def go_on(app):
        return (await (await app.resume("r")).wait()).status

    things = sends(10, make=large), reader
    run(world, begin, *things, config={"channel_capacity": 2})
    assert run(world, go_on, *things, config={"channel_capacity": 2}) == "succeeded"
    assert taken == list(range(1, 11))


def test_a_payload_of_fifty_megabytes_goes_through(tmp_path):
    """It is stored once, whoever reads it."""
    world, sizes = World("sqlite", tmp_path), []

    @agent(subscribe="in")
    async def one(text: str):
        sizes.append(len(text))

    @agent(subscribe="in")
    async def two(text: str):
        sizes.append(len(text))

    found = execute(world, START, sends(2, make=lambda _: "ab" * 25_000_000), one, two, config={"channel_capacity": 1})

    assert (found.report.status, sizes) == ("succeeded", [50_000_000] * 4)
    assert world.path.stat().st_size < 60_000_000


def test_waiting_payloads_take_no_memory(tmp_path):
    """Beyond the capacity there is but a note of each: 60 MB wait in the journal, and are read as they are needed."""
    world, used = World("sqlite", tmp_path), []

    @action
    async def source(ctx: Context):
        for number in range(100):
            ctx.publish("in", f"{number} {'x' * 20_000}")

    @agent(subscribe="in")
    async def reader(given: str):
        if not used:
            await asyncio.sleep(10)  # by then all is published, and on disk
        if not given.partition(" ")[0].strip("0"):
            gc.collect()
        used.append(tracemalloc.get_traced_memory()[0])

    async def main(app):
        graph = Graph("g")
        for number in range(30):
            graph.add(source, id=f"n{number}")
        app.add_graph(graph)
        return await app.execute(Static("g"))

    tracemalloc.start()
    try:
        report = run(world, main, source, reader, config={"channel_capacity": 10, "max_messages": None})
    finally:
        tracemalloc.stop()
    assert report.status == "succeeded"
    assert len(used) == 3_000
    assert max(used[::100]) < 30_000_000


# -- reading -------------------------------------------------------------------------------------------------


class Journal:
    """A store that has only what is asked of one here, and counts what it is asked."""

    def __init__(self, *journal):
        self.events, self.asked = list(journal), []

    def read(self, run_id, after=0, limit=None):
        self.asked.append((after, limit))
        found = self.events[after : after + limit]
        return [events.Recorded(after + index, event) for index, event in enumerate(found, 1)]

    def last_seq(self, run_id):
        return len(self.events)


class Addressee:
    def __init__(self, *journal):
        self.store, self.state = Journal(*journal), State(run_id="r")
        self.kernel = self

    def here(self, call):
        return call()

    def handles(self, **seqs):
        """By agent: the events that the messages are of that it has been let in."""
        for name, of in seqs.items():
            messages = {delivery_of(name, waiting(seq)): waiting(seq) for seq in of}
            self.state.inboxes[name] = Inbox(1000, steps=dict.fromkeys(messages))
            for step, message in messages.items():
                self.state.pending[step] = Pending(Node(id=name), 0, message=message)


def published(*payloads):
    """An event that published these."""
    return events.MessagesPublished(at=0, messages=tuple(Published("c", each) for each in payloads))


def waiting(seq, index=1):
    return Waiting(seq, index, "c", b"", "", 0)


def in_memory(seq):
    return Waiting(seq, 1, "c", b"1", "", 0)


def numbers(count):
    return [published(str(number).encode()) for number in range(1, count + 1)]


def test_so_many_events_are_read_at_once():
    """Messages are handled in the order of the journal: what follows is about to be asked for."""
    run = Addressee(*numbers(3 * AHEAD))
    mail = Mail(run)

    assert [decode(mail.payload(waiting(seq))) for seq in range(1, 3 * AHEAD + 1)] == list(range(1, 3 * AHEAD + 1))
    assert run.store.asked == [(0, AHEAD), (AHEAD, AHEAD), (2 * AHEAD, AHEAD)]


def test_only_so_much_is_kept():
    """What was asked for longest ago is forgotten, and read again."""
    run = Addressee(*[published(*[b"0" * 10_000] * (KEPT // 40_000)) for _ in range(6)])
    mail = Mail(run)
    for seq in range(1, 7):
        mail.payload(waiting(seq))
    before = len(run.store.asked)
    mail.payload(waiting(6))
    assert len(run.store.asked) == before
    mail.payload(waiting(1))
    assert len(run.store.asked) == before + 1


def test_large_events_are_read_one_by_one():
    """What is read ahead is bounded by its size, too."""
    run = Addressee(*[published(b"0" * AT_ONCE) for _ in range(3)])
    mail = Mail(run)

    assert [len(mail.payload(waiting(seq))) for seq in (1, 2, 3)] == [AT_ONCE] * 3
    assert [after for after, _ in run.store.asked] == [0, 1, 2]


HUGE = published(*[b"0" * 1000] * (2 * KEPT // 1000))
"""An event that alone takes more than is kept."""


@pytest.mark.parametrize("handled", [{"a": [1], "b": [2]}, {"a": [1, 2]}], ids=["two", "one"])
def test_large_events_at_work_do_not_drive_each_other_out(handled):
    """Each is read once, whether two agents are at them, or one that handles several messages at once."""
    run = Addressee(HUGE, HUGE)
    mail = Mail(run)
    run.handles(**handled)
    for index in range(1, 100):
        for seq in (1, 2):
            mail.payload(waiting(seq, index))

    assert [after for after, _ in run.store.asked] == [0, 1]


def test_a_large_event_that_nobody_handles_any_more_makes_room_for_the_next():
    """Not the one that a slower agent is still at."""
    run = Addressee(HUGE, HUGE, HUGE)
    mail = Mail(run)
    for seq in (2, 3, 2):
        run.handles(slow=[1], fast=[seq])
        mail.payload(waiting(1))
        mail.payload(waiting(seq))

    assert [after for after, _ in run.store.asked] == [0, 1, 2, 1]


def test_a_large_event_that_is_handled_is_forgotten():
    """Whatever is asked for next, from the journal or not: a service does not keep its last burst for life."""
    run = Addressee(HUGE)
    mail = Mail(run)
    run.handles(reader=[1])
    mail.payload(waiting(1))
    run.handles(reader=[2])
    for seq in range(2, 12):
        assert mail.payload(in_memory(seq)) == b"1"
    mail.payload(waiting(1))

    assert [after for after, _ in run.store.asked] == [0, 0]


def test_a_large_event_is_kept_while_a_delivery_is_of_it():
    """However much else is asked for meanwhile; and who is at work is looked at now and then only."""
    looks = []

    class Counting(Addressee):
        def __getattribute__(self, name):
            if name == "state":
                looks.append(name)
            return super().__getattribute__(name)

    run = Counting(HUGE)
    run.handles(slow=[1], fast=range(2, 500))
    mail = Mail(run)
    mail.payload(waiting(1))
    looks.clear()
    for seq in range(2, 5000):
        mail.payload(in_memory(seq))
    assert len(looks) < 20
    mail.payload(waiting(1))
    assert len(run.store.asked) == 1


def test_a_large_event_drives_out_no_small_ones():
    """What was read ahead is about to be asked for."""
    run = Addressee(*numbers(10), HUGE)
    mail = Mail(run)
    for seq in (1, 11, 2, 11, 10):
        mail.payload(waiting(seq))

    assert [after for after, _ in run.store.asked] == [0, 10]


def test_an_event_larger_than_what_is_kept_is_read_once():
    """However many of its messages are asked for."""
    run = Addressee(HUGE, *numbers(3))
    mail = Mail(run)
    for index in range(1, 100):
        mail.payload(waiting(1, index))

    assert len(run.store.asked) == 1


def test_what_is_not_durable_yet_cannot_be_read():
    """A step that needs it waits for the disk, under `async` too."""
    mail = Mail(Addressee(*numbers(2)))

    assert [mail.is_here(waiting(seq)) for seq in (1, 2, 3)] == [True, True, False]


def test_a_message_that_the_journal_does_not_have_is_corruption():
    """It says which."""
    mail = Mail(Addressee(published(b"1")))

    for seq, index in ((1, 2), (7, 1)):
        with pytest.raises(StoreCorrupt, match=f"run 'r': event {seq} has no message {index}"):
            mail.payload(waiting(seq, index))


def test_other_events_publish_nothing():
    """And are no trouble."""
    assert messages_of(events.RunPaused(at=0, reason="")) == ()
    assert len(messages_of(published(b"1", b"2"))) == 2
