"""What every store promises. A store's own test file fills the one hole, `make`, and inherits all the tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagger.core import codec, events
from dagger.core.cache import Write
from dagger.core.errors import (
    InvalidState,
    LeaseLost,
    OrdersUnread,
    RunExists,
    RunLeased,
    RunNotFound,
    StoreCorrupt,
)
from dagger.core.graph import Definition, Node
from dagger.core.journal import ORDERED, RELEASING, RunRow, Store, projected
from dagger.core.messages import Agent, Published
from dagger.core.orders import AddNode, Answer, Cancel, Instruct, Pause, Publish, Redeliver
from dagger.core.reviews import REVIEW, Question, Review

JSON = msgspec.Raw(b'{"x":[1.0,-0.0,1e5,12345678901234567890123],"y":"\\u0000 \\" \xc3\xa9 \xf0\x9f\x98\x80"}')


class Told:
    """A listener that remembers what it was told, in order."""

    def __init__(self):
        self.calls = []
        self.on_commit = None
        """Called with the batch, before it is remembered."""
        self._news = asyncio.Event()

    def committed(self, batch):
        if self.on_commit:
            self.on_commit(batch)
        self._tell(("committed", batch))

    def lost(self, lease, error):
        self._tell(("lost", lease, error))

    def ordered(self, lease, orders):
        self._tell(("ordered", lease, list(orders)))

    def broken(self, error):
        self._tell(("broken", error))

    @property
    def errors(self):
        return [call[-1] for call in self.calls if call[0] in ("lost", "broken")]

    @property
    def orders(self):
        """Each order that was told, with its lease."""
        return [(call[1], order) for call in self.calls if call[0] == "ordered" for order in call[2]]

    async def settled(self, store):
        """Wait until everything appended so far has become durable or was refused."""
        store.flush()
        while store.is_busy:
            await self.news()

    async def news(self):
        self._news.clear()
        await self._news.wait()

    def _tell(self, call):
        self.calls.append(call)
        self._news.set()


PAUSE, CANCEL = Pause(id="p", reason="wait, \u00e9"), Cancel(id="c")
ADD = AddNode(id="a", node=Node(id="b", action="act", dependencies=("a",)))
ANSWER = Answer(id="w", step="each/7/a", key="review:1", value=JSON, who="m\u00e4\U0001f600")
INSTRUCT = Instruct(id="i", value=JSON)
PUBLISH = Publish(id="m", channel="t\u00e4", payloads=(JSON, msgspec.Raw(b"1")))
REDELIVER = Redeliver(id="r", message="12-1", agent="worker")


def started(run_id="run-1", *, mode="static", graph="g", at=1_000, **fields):
    spec = events.Spec(mode=mode, name=graph)
    return events.RunStarted(at=at, run_id=run_id, spec=spec, graph=Definition(name=graph), **fields)


def succeeded(number, value=msgspec.UNSET, **fields):
    outputs = {} if value is msgspec.UNSET else {"value": value}
    return events.StepSucceeded(at=2_000 + number, step=f"node-{number}", outputs=outputs, **fields)


def asked(key, at=7, *, question="Go on?", options=None, due=None):
    """A step's code asks a person."""
    detail = msgspec.Raw(msgspec.json.encode(Question(question, options)))
    return events.WaitOpened(
        at=at, step="each/7/a", key=key, kind=REVIEW, detail=detail, wake_at=due, review=f"id of {key}"
    )


def answered(key, at=8, **fields):
    return events.WaitAnswered(at=at, step="each/7/a", key=key, review=f"id of {key}", **fields)


def came_from(order):
    """The event that an order becomes."""
    match order:
        case Pause():
            return events.PauseRequested(at=50, reason=order.reason, order=order.id)
        case Cancel():
            return events.CancelRequested(at=50, reason=order.reason, order=order.id)
        case AddNode():
            return events.NodeAdded(at=50, node=order.node, order=order.id)
        case Answer():
            return events.WaitAnswered(
                at=50, step=order.step, key=order.key, value=order.value, who=order.who, order=order.id
            )
        case Instruct():
            return events.Instructed(at=50, key="k", value=order.value, order=order.id)
        case Publish():
            messages = tuple(Published(order.channel, payload) for payload in order.payloads)
            return events.MessagesPublished(at=50, messages=messages, order=order.id)
        case Redeliver():
            return events.Redelivered(at=50, steps=(f"worker#{order.message}",), order=order.id)


ERROR = events.Error(type="ValueError", message="böse ' \" \\ \n\t\x00 \u2028", traceback="Traceback …\n")
EVERY_KIND = [
    events.StepStarted(at=1, step="a", attempt=1),
    events.StepSucceeded(
        at=2,
        step="each/7/a",
        attempt=3,
        duration_ms=5,
        outputs={"value": JSON, "": msgspec.Raw(b"null")},
        cache=(
            Write("set", "global", "k", JSON),
            Write("delete", "global", "k"),
        ),
        nodes=(Node(id="b", action="act"),),
        result=JSON,
        recovers={"value": JSON},
        key="k",
        reused="run-0",
        messages=(Published("tasks", JSON), Published("ключ", JSON, {"worker": '"\u0000"'})),
        reply=JSON,
    ),
    events.MessagesPublished(at=2, messages=(Published("tasks", JSON),), order="6"),
    events.AgentBound(
        at=2, agent=Agent(name="worker", subscriptions=("tasks",), node=Node(id="worker"), input_schema={"const": 1.0})
    ),
    events.AgentRemoved(at=2, name="worker", policy="list"),
    events.Redelivered(at=2, steps=("worker#2-1", "worker#2-2.3"), order="7"),
    events.ScopeOpened(at=2, step="each", inputs={"a": JSON}, items=JSON, count=3),
    events.PauseRequested(at=2, reason="asked", order="1"),
    events.NodeAdded(at=2, node=Node(id="b", action="act"), order="2"),
    events.Instructed(at=2, key="k", value=JSON, order="3"),
    events.OrderRefused(at=2, order="4", error=ERROR, given=JSON),
    events.ChildOpened(
        at=2,
        step="a",
        key="child:1",
        graph="g",
        graphs={"g": Definition(name="g")},
        inputs={"a": JSON},
        instructions=(JSON, JSON),
    ),
    events.RunWaiting(at=2, reason="sleep", wake_at=10**12, is_active=True),
    events.RunWoken(at=2),
    events.TokensSpent(at=2, step="a", count=7),
    events.AttemptFailed(at=3, step="a", attempt=1, error=ERROR, retry_at=2**53),
    events.StepFailed(at=4, step="a", attempt=2, error=ERROR, policy="pause"),
    events.StepSkipped(at=5, step="b", reason="'a' failed"),
    events.StepCancelled(at=6, step="c", attempt=1, reason="the run ends"),
    asked("review:1", options=[JSON, None], due=10**12),
    answered("review:1", value=JSON, error=ERROR, who="\u00e4", order="5"),
    events.LimitReached(at=9, limit="max_tokens", value=1e5, policy="pause"),
    events.RunRecovered(at=10),
    events.RunResumed(at=11, config={"max_parallel": 3}, input=JSON),
    events.CancelRequested(at=12, reason="enough"),
    events.RunEnded(at=13, status="cancelled", error="it was cancelled"),
]


class StoreContract:
    """The tests that every store passes."""

    def make(self, directory: Path) -> tuple[Store, Store]:
        """Two stores on the same, empty data, as two processes would have them; not open yet."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def two(self, directory: Path) -> AsyncIterator[tuple[Store, Told, Store, Told]]:
        """Both stores, open, each with its listener."""
        here, there = self.make(directory)
        told_here, told_there = Told(), Told()
        await here.open(told_here)
        await there.open(told_there)
        try:
            yield here, told_here, there, told_there
        finally:
            await here.close()
            await there.close()

    @contextlib.asynccontextmanager
    async def one(self, directory: Path) -> AsyncIterator[tuple[Store, Told]]:
        async with self.two(directory) as (store, told, _, _):
            yield store, told

    # -- the journal -------------------------------------------------------------------------------------

    def test_events_come_back_in_the_order_of_appending_numbered_from_1(self, tmp_path):
        """A journal has no gaps and no other order than that of its appends."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                first = started()
                lease = store.create(first)
                appended = [succeeded(number, JSON) for number in range(1_201)]
                for event in appended[:700]:
                    store.append(lease, event)
                await told.settled(store)
                for event in appended[700:]:
                    store.append(lease, event)
                await told.settled(store)
                recorded = list(store.read("run-1"))
                assert [one.seq for one in recorded] == list(range(1, 1_203))
                assert [one.event for one in recorded] == [first, *appended]
                assert [one.seq for one in store.read("run-1", 100, 700)] == list(range(101, 801))

        asyncio.run(story())

    def test_every_kind_of_event_comes_back_as_it_was(self, tmp_path):
        """Text, numbers and values are exact: nothing is normalised on the way."""
        others = {events.RunStarted, events.RunPaused, events.RunParked}
        assert {type(event) for event in EVERY_KIND} | others == set(events.AnyEvent.__args__)

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started(tags={"ключ": "значение", 'q"': ""}, inputs={"i": JSON}))
                for event in EVERY_KIND:
                    store.append(lease, event)
                await told.settled(store)
                assert [one.event for one in store.read("run-1", 1)] == EVERY_KIND

        asyncio.run(story())

    @pytest.mark.parametrize(
        ("after", "limit", "expected"),
        [
            (0, 2, [1, 2]),
            (3, 2, [4, 5]),
            (3, None, [4, 5, 6]),
            (5, 9, [6]),
            (6, None, []),
            (99, 1, []),
            (0, 0, []),
        ],
    )
    def test_a_page_begins_after_a_seq_and_has_at_most_the_limit(self, tmp_path, after, limit, expected):
        """Readers page through a journal by the last seq they saw."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                for number in range(5):
                    store.append(lease, succeeded(number))
                await told.settled(store)
                assert [one.seq for one in store.read("run-1", after, limit)] == expected

        asyncio.run(story())

    def test_the_other_store_reads_what_is_committed(self, tmp_path):
        """Any process can read any run, owned or not."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                here.append(lease, succeeded(1))
                await told.settled(here)
                assert list(there.read("run-1")) == list(here.read("run-1"))
                assert there.row("run-1") == here.row("run-1") == lease.row

        asyncio.run(story())

    def test_runs_do_not_mix(self, tmp_path):
        """Events of many runs appended in turns are numbered run by run."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                leases = [store.create(started(f"run-{number}")) for number in range(20)]
                for number in range(10):
                    for lease in leases:
                        store.append(lease, events.StepSkipped(at=number, step=lease.run_id, reason="r"))
                await told.settled(store)
                for lease in leases:
                    recorded = list(store.read(lease.run_id))
                    assert [one.seq for one in recorded] == list(range(1, 12))
                    assert {one.event.step for one in recorded[1:]} == {lease.run_id}

        asyncio.run(story())

    def test_a_run_that_is_not_there_is_named(self, tmp_path):
        """Whoever mistypes a run id is told which."""

        async def story():
            async with self.one(tmp_path) as (store, _):
                assert store.row("absent") is None
                for ask in (store.read, store.ownership, store.last_seq, store.reviews):
                    with pytest.raises(RunNotFound, match="there is no run 'absent' in "):
                        list(ask("absent"))
                with pytest.raises(RunNotFound, match="'absent'"):
                    await store.claim("absent")

        asyncio.run(story())

    # -- durability --------------------------------------------------------------------------------------

    def test_a_batch_is_told_to_be_committed_when_all_of_it_can_be_read(self, tmp_path):
        """`committed(n)` comes in order, and is never a promise only (I3)."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                number_of_events = {store.batch: 1}
                read = []

                def count(batch):
                    read.append(len(list(store.read("run-1"))) >= number_of_events.get(batch, 0))

                told.on_commit = count
                for number in range(200):
                    store.append(lease, succeeded(number))
                    number_of_events[store.batch] = number + 2
                    if number % 7 == 0:
                        store.flush()
                    if number % 20 == 0:
                        await asyncio.sleep(0)
                await told.settled(store)
                batches = [call[1] for call in told.calls]
                assert batches == sorted(set(batches))
                assert all(read)
                assert len(list(store.read("run-1"))) == 201
                if store.is_immediate:
                    assert (batches, store.batch) == ([], 0)
                else:
                    assert batches[-1] == store.batch - 1

        asyncio.run(story())

    def test_what_is_appended_becomes_durable_without_a_flush(self, tmp_path):
        """A forgotten flush delays nothing for longer than a turn of the loop."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                store.append(lease, succeeded(1))
                while store.is_busy:
                    await told.news()
                assert len(list(store.read("run-1"))) == 2

        asyncio.run(story())

    def test_a_store_is_busy_from_an_append_until_its_listener_is_told(self, tmp_path):
        """A virtual clock waits for the disk exactly then."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                assert not store.is_busy
                lease = store.create(started())
                assert store.is_busy is not store.is_immediate
                store.flush()
                assert store.is_busy is not store.is_immediate
                await told.settled(store)
                assert not store.is_busy
                store.append(lease, succeeded(1))
                assert store.is_busy is not store.is_immediate

        asyncio.run(story())

    def test_close_writes_what_is_appended_and_a_later_open_finds_it(self, tmp_path):
        """Closing is no crash: nothing has to be flushed first, and closing twice does nothing."""
        store, _ = self.make(tmp_path)
        told = Told()

        async def write():
            await store.open(told)
            lease = store.create(started())
            store.append(lease, succeeded(1))
            await store.close()
            await store.close()

        async def read():
            await store.open(Told())
            assert [one.type for one in store.read("run-1")] == ["RunStarted", "StepSucceeded"]
            assert store.ownership("run-1") in ("none", "here")
            lease = await store.claim("run-1")
            store.append(lease, succeeded(2))
            await store.close()

        asyncio.run(write())
        assert told.errors == []
        asyncio.run(read())

    def test_a_store_left_open_goes_on_in_another_loop(self, tmp_path):
        """`asyncio.run` twice on the same store: the second open changes the listener, and loses nothing."""
        store, _ = self.make(tmp_path)
        first, second = Told(), Told()

        async def begin():
            await store.open(first)
            lease = store.create(started())
            store.append(lease, succeeded(1))
            return lease

        async def go_on(lease):
            await store.open(second)
            assert len(list(store.read("run-1"))) == 2
            store.append(lease, succeeded(2))
            await second.settled(store)
            assert len(list(store.read("run-1"))) == 3
            await store.close()

        lease = asyncio.run(begin())
        asyncio.run(go_on(lease))
        assert second.errors == []

    # -- owners and epochs -------------------------------------------------------------------------------

    def test_a_new_run_belongs_to_the_store_that_created_it(self, tmp_path):
        """The other store sees it as owned elsewhere, and cannot claim it."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                await told.settled(here)
                assert (lease.run_id, lease.epoch) == ("run-1", 1)
                assert here.ownership("run-1") == "here"
                assert there.ownership("run-1") == "elsewhere"
                with pytest.raises(RunLeased, match="'run-1' is owned by"):
                    await there.claim("run-1")
                here.append(lease, succeeded(1))
                await told.settled(here)
                assert told.errors == []

        asyncio.run(story())

    @pytest.mark.parametrize(
        ("event", "status", "reason"),
        [
            (events.RunPaused(at=5, reason="asked"), "paused", "asked"),
            (events.RunParked(at=5, reason="sleep", wake_at=9), "parked", "sleep"),
            (events.RunEnded(at=5, status="failed", error="bad"), "failed", "bad"),
        ],
    )
    def test_pausing_parking_and_ending_give_the_run_up(self, tmp_path, event, status, reason):
        """In one transaction with the event: no process has to be alive for another to go on."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                here.append(lease, event)
                await told.settled(here)
                row = there.row("run-1")
                assert (row.status, row.reason, row.started_at, row.updated_at) == (status, reason, 1_000, 5)
                assert here.ownership("run-1") == there.ownership("run-1") == "none"

        asyncio.run(story())

    def test_nothing_can_be_appended_after_pausing_without_a_new_claim(self, tmp_path):
        """The lease is over with the event, even within the same batch."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                store.append(lease, events.RunPaused(at=5, reason="asked"))
                store.append(lease, succeeded(1))
                await told.settled(store)
                assert [type(error) for error in told.errors] == [LeaseLost]
                assert [one.type for one in store.read("run-1")] == ["RunStarted", "RunPaused"]

        asyncio.run(story())

    def test_a_run_that_paused_a_moment_ago_can_be_claimed_at_once(self, tmp_path):
        """Nobody has to wait for the pause to be durable, and the journal goes on where it was."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                first = store.create(started())
                store.append(first, events.RunPaused(at=5, reason="asked"))
                second = await store.claim("run-1")
                assert (second.epoch, second.row.status) == (2, "paused")
                store.append(second, events.RunResumed(at=6))
                store.append(second, succeeded(1))
                await told.settled(store)
                assert told.errors == []
                assert [one.seq for one in store.read("run-1")] == [1, 2, 3, 4]
                assert store.ownership("run-1") == "here"
                assert (store.row("run-1").status, second.row.status) == ("running", "running")

        asyncio.run(story())

    def test_of_two_claims_at_once_exactly_one_wins(self, tmp_path):
        """A run has one writer (I7)."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                for number in range(20):
                    run_id = f"run-{number}"
                    lease = here.create(started(run_id))
                    here.append(lease, events.RunPaused(at=5, reason="asked"))
                    await told.settled(here)
                    claims = await asyncio.gather(here.claim(run_id), there.claim(run_id), return_exceptions=True)
                    assert sorted(type(claim).__name__.removeprefix("File") for claim in claims) == [
                        "Lease",
                        "RunLeased",
                    ]
                    assert {here.ownership(run_id), there.ownership(run_id)} == {"here", "elsewhere"}

        asyncio.run(story())

    def test_a_closed_store_owns_nothing(self, tmp_path):
        """What a process leaves running when it ends, another can take at once."""

        async def story():
            async with self.two(tmp_path) as (here, _, there, told):
                here.create(started())
                await here.close()
                assert there.ownership("run-1") in ("none", "dead")
                lease = await there.claim("run-1")
                assert lease.epoch == 2
                there.append(lease, events.RunRecovered(at=7))
                await told.settled(there)
                assert [one.seq for one in there.read("run-1")] == [1, 2]

        asyncio.run(story())

    def test_appends_under_an_old_epoch_are_refused_wholly_and_others_are_not(self, tmp_path):
        """The former owner can write nothing more (I7); what else is in its batch is written."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                old = store.create(started("run-1"))
                other = store.create(started("run-2"))
                new = await store.claim("run-1")
                blob = codec.Blob("0" * 32, b"content")
                store.append(old, succeeded(1), [blob])
                store.append(other, succeeded(2))
                store.append(old, events.RunEnded(at=9, status="failed"))
                store.append(new, events.RunRecovered(at=3))
                await told.settled(store)
                lost = [call[1:] for call in told.calls if call[0] == "lost"]
                assert {lease for lease, _ in lost} == {old}
                assert {type(error) for _, error in lost} == {LeaseLost}
                assert "run 'run-1'" in str(lost[0][1])
                assert [one.type for one in store.read("run-1")] == ["RunStarted", "RunRecovered"]
                assert [one.type for one in store.read("run-2")] == ["RunStarted", "StepSucceeded"]
                assert store.row("run-1").status == "running"
                assert store.ownership("run-1") == "here"

        asyncio.run(story())

    def test_a_run_id_is_taken_once(self, tmp_path):
        """The second creation is refused with RunExists, and the first run does not notice."""

        async def story():
            async with self.two(tmp_path) as (here, told_here, there, told_there):
                first = here.create(started(tags={"who": "first"}))
                await told_here.settled(here)
                for store, told in ((here, told_here), (there, told_there)):
                    try:
                        second = store.create(started(tags={"who": "second"}))
                        store.append(second, succeeded(9))
                        await told.settled(store)
                        errors = told.errors
                    except RunExists as error:  # a store that knows at once says so at once
                        errors = [error]
                    assert [type(error) for error in errors] == [RunExists]
                    assert "run 'run-1' exists already" in str(errors[0])
                here.append(first, succeeded(1))
                await told_here.settled(here)
                assert [one.type for one in here.read("run-1")] == ["RunStarted", "StepSucceeded"]
                assert here.row("run-1").tags == {"who": "first"}
                assert here.ownership("run-1") == "here"

        asyncio.run(story())

    # -- orders ------------------------------------------------------------------------------------------

    def test_orders_of_anyone_reach_the_owner_once_and_in_the_order_of_sending(self, tmp_path):
        """A store tells the orders it took itself before `send` returns, and those of others soon."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, told_there):
                lease = here.create(started())
                await told.settled(here)
                await there.send("run-1", PAUSE)
                while len(told.orders) < 1:
                    await told.news()
                await here.send("run-1", ADD)
                assert told.orders == [(lease, PAUSE), (lease, ADD)]
                for order in (CANCEL, ANSWER, INSTRUCT):
                    await there.send("run-1", order)
                while len(told.orders) < 5:
                    await told.news()
                here.append(lease, succeeded(1))
                await told.settled(here)
                assert [order for _, order in told.orders] == [PAUSE, ADD, CANCEL, ANSWER, INSTRUCT]
                assert {owner for owner, _ in told.orders} == {lease}
                assert told_there.orders == []

        asyncio.run(story())

    def test_each_run_gets_its_own_orders(self, tmp_path):
        """However many runs a store owns, and others own."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, told_there):
                ours = [here.create(started(f"run-{number}")) for number in range(3)]
                theirs = there.create(started("run-3"))
                await told.settled(here)
                await told_there.settled(there)
                for number in range(4):
                    await here.send(f"run-{number}", Pause(id=str(number)))
                while not told_there.orders:
                    await told_there.news()
                assert [(lease, order.id) for lease, order in told.orders] == [(ours[n], str(n)) for n in range(3)]
                assert [(lease, order.id) for lease, order in told_there.orders] == [(theirs, "3")]

        asyncio.run(story())

    def test_an_order_to_a_run_that_just_began_is_taken(self, tmp_path):
        """Nobody has to wait for the beginning to be durable."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                await store.send("run-1", PAUSE)
                assert told.orders == [(lease, PAUSE)]

        asyncio.run(story())

    def test_a_claim_finds_what_is_unread_and_is_told_only_of_what_comes_later(self, tmp_path):
        """Orders to a paused run wait for whoever goes on with it."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                first = here.create(started())
                other = here.create(started("run-2"))
                here.append(first, events.RunPaused(at=2, reason="asked"))
                await told.settled(here)
                for order in (PAUSE, ANSWER, ADD, INSTRUCT):
                    await there.send("run-1", order)
                second = await here.claim("run-1")
                assert (first.orders, second.orders) == ([], [PAUSE, ANSWER, ADD, INSTRUCT])
                await here.send("run-1", CANCEL)
                await here.send("run-2", PAUSE)
                assert told.orders == [(second, CANCEL), (other, PAUSE)]
                third = await here.claim("run-1")
                assert third.orders == [PAUSE, ANSWER, ADD, INSTRUCT, CANCEL]

        asyncio.run(story())

    def test_an_order_is_in_the_inbox_once_however_often_it_is_sent(self, tmp_path):
        """A sender that heard no answer can send again."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                await told.settled(here)
                for store in (here, there, here):
                    await store.send("run-1", PAUSE)
                await here.send("run-1", CANCEL)
                assert told.orders == [(lease, PAUSE), (lease, CANCEL)]
                assert (await here.claim("run-1")).orders == [PAUSE, CANCEL]

        asyncio.run(story())

    @pytest.mark.parametrize(
        "order", [PAUSE, CANCEL, ADD, ANSWER, INSTRUCT, PUBLISH, REDELIVER], ids=lambda order: type(order).__name__
    )
    @pytest.mark.parametrize("is_refused", [False, True])
    def test_the_event_that_an_order_becomes_takes_it_out_of_the_inbox(self, tmp_path, order, is_refused):
        """That event and no other one; the two cannot be apart, as they are of one transaction."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                await here.send("run-1", order)
                await here.send("run-1", Pause(id="stays"))
                refused = events.OrderRefused(at=9, order=order.id, error=ERROR, given=JSON)
                event = refused if is_refused else came_from(order)
                assert type(event) in ORDERED
                here.append(lease, event)
                here.append(lease, events.CancelRequested(at=9, reason="asked of the owner directly"))
                here.append(lease, events.RunPaused(at=9, reason="asked"))
                await told.settled(here)
                assert (await there.claim("run-1")).orders == [Pause(id="stays")]

        asyncio.run(story())

    def test_a_refused_event_takes_no_order_out(self, tmp_path):
        """A former owner that wakes up late answers nothing (I7)."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                old = store.create(started())
                await store.send("run-1", PAUSE)
                await store.claim("run-1")
                store.append(old, came_from(PAUSE))
                await told.settled(store)
                assert [type(error) for error in told.errors] == [LeaseLost]
                assert (await store.claim("run-1")).orders == [PAUSE]

        asyncio.run(story())

    def test_orders_to_no_run_and_to_one_that_is_over_are_refused(self, tmp_path):
        """Never silence: the message says what the run is."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                here.append(lease, events.RunEnded(at=5, status="succeeded"))
                for store in (here, there):
                    with pytest.raises(InvalidState, match=r"^run 'run-1' is over \(succeeded\): it takes no orders$"):
                        await store.send("run-1", PAUSE)
                    with pytest.raises(RunNotFound, match="there is no run 'absent' in "):
                        await store.send("absent", PAUSE)
                await told.settled(here)
                assert told.errors == []
                assert there.wakeable(10**15) == []

        asyncio.run(story())

    def test_a_run_cannot_end_while_an_order_is_unread(self, tmp_path):
        """What came before the end is written; the run stays this store's, which may claim it at once."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                await told.settled(here)
                await here.send("run-1", PAUSE)
                here.append(lease, events.RunWaiting(at=3, reason="sleep", wake_at=7), [codec.Blob("f" * 32, b"b")])
                here.append(lease, events.RunEnded(at=5, status="succeeded"))
                await told.settled(here)
                (error,) = told.errors
                assert type(error) is OrdersUnread
                assert str(error).startswith("run 'run-1' ")
                assert str(error).endswith(" cannot end: its inbox holds 1 unread")
                assert [one.type for one in there.read("run-1")] == ["RunStarted", "RunWaiting"]
                assert there.row("run-1") == folded(here)
                assert there.ownership("run-1") == "elsewhere"
                assert there.wakeable(10**15) == []
                here.append(lease, succeeded(1))
                await told.settled(here)
                assert [type(error) for error in told.errors[1:]] == [LeaseLost]
                again = await here.claim("run-1")
                assert (again.orders, again.row.status, again.epoch) == ([PAUSE], "waiting", 2)
                here.append(again, came_from(PAUSE))
                here.append(again, events.RunEnded(at=6, status="succeeded"))
                await told.settled(here)
                assert len(told.errors) == 2
                assert [one.type for one in there.read("run-1", 2)] == ["PauseRequested", "RunEnded"]
                assert there.row("run-1").status == "succeeded"

        asyncio.run(story())

    def test_an_end_alone_in_its_batch_is_refused_too(self, tmp_path):
        """There is nothing before it to be written; and under an old epoch it is refused for that."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                old = store.create(started())
                await store.send("run-1", PAUSE)
                new = await store.claim("run-1")
                for lease in (old, new):
                    store.append(lease, events.RunEnded(at=5, status="succeeded"))
                    await told.settled(store)
                assert [type(error) for error in told.errors] == [LeaseLost, OrdersUnread]
                assert [one.type for one in store.read("run-1")] == ["RunStarted"]
                assert (store.row("run-1").status, store.ownership("run-1")) == ("running", "here")

        asyncio.run(story())

    @pytest.mark.parametrize("event", [events.RunPaused(at=5, reason="r"), events.RunParked(at=5, reason="r")])
    def test_a_run_pauses_and_parks_with_orders_unread(self, tmp_path, event):
        """Whoever goes on with it reads them."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                await store.send("run-1", ADD)
                store.append(lease, event)
                await told.settled(store)
                assert told.errors == []
                assert store.ownership("run-1") == "none"
                assert store.wakeable(0) == ["run-1"]

        asyncio.run(story())

    # -- reviews -----------------------------------------------------------------------------------------

    def test_an_open_review_is_listed_by_everybody_with_all_that_it_says(self, tmp_path):
        """Without a flush, and nothing of it is normalised. Other waits are nobody's business."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                options = ['ja, \u00e4 \0 " \U0001f600', {"b": [1.0, None], "a": 2**63}, True]
                here.append(lease, asked("1", 5, question="Wohin? \0\n' \U0001f600", options=options, due=10**13))
                here.append(lease, asked("2", 6))
                here.append(lease, events.WaitOpened(at=7, step="each/7/a", key="sleep:1", kind="sleep"))
                while here.is_busy:
                    await told.news()
                where = {"run_id": "run-1", "step": "each/7/a"}
                assert here.reviews() == there.reviews() == there.reviews("run-1") == [
                    Review(
                        id="id of 1", key="1", question="Wohin? \0\n' \U0001f600", options=options, opened_ms=5,
                        due_ms=10**13, **where,
                    ),
                    Review(id="id of 2", key="2", question="Go on?", opened_ms=6, **where),
                ]  # fmt: skip

        asyncio.run(story())

    def test_reviews_are_listed_oldest_first_up_to_the_limit(self, tmp_path):
        """Of all runs or of one; those of one moment as they were asked."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                for run_id, times in (("run-1", (30, 10, 50)), ("run-2", (40, 20, 20, 20)), ("run-3", ())):
                    lease = store.create(started(run_id))
                    for number, at in enumerate(times):
                        store.append(lease, asked(f"{at}-{number}", at))
                    await told.settled(store)

                def listed(*conditions):
                    return [review.key for review in store.reviews(*conditions)]

                assert listed() == listed(None, None) == ["10-1", "20-1", "20-2", "20-3", "30-0", "40-0", "50-2"]
                assert listed(None, 2) == ["10-1", "20-1"]
                assert listed("run-1") == listed("run-1", None) == ["10-1", "30-0", "50-2"]
                assert listed("run-2", 3) == ["20-1", "20-2", "20-3"]
                assert listed("run-3") == listed(None, 0) == []

        asyncio.run(story())

    def test_by_default_at_most_100_reviews_are_listed(self, tmp_path):
        """As for rows."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                for number in range(101):
                    store.append(lease, asked(str(number), number))
                await told.settled(store)
                assert (len(store.reviews()), len(store.reviews("run-1")), len(store.reviews(limit=None))) == (
                    100, 100, 101,
                )  # fmt: skip

        asyncio.run(story())

    @pytest.mark.parametrize("are_apart", [False, True])
    def test_an_answered_review_is_listed_no_more(self, tmp_path, are_apart):
        """Whether it opened in an earlier batch or in the same; the same question of another run stays."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease, other = store.create(started()), store.create(started("run-2"))
                for one in (lease, other):
                    store.append(one, asked("1"))
                    store.append(one, asked("2"))
                if are_apart:
                    await told.settled(store)
                store.append(lease, answered("1", value=JSON, who="me"))
                await told.settled(store)
                assert [review.key for review in store.reviews("run-1")] == ["2"]
                assert [review.key for review in store.reviews("run-2")] == ["1", "2"]

        asyncio.run(story())

    def test_a_review_outlives_everything_but_its_run(self, tmp_path):
        """Pausing, parking, another owner; what has ended waits for nobody."""

        async def story():
            async with self.two(tmp_path) as (here, told_here, there, told_there):
                lease = here.create(started())
                here.append(lease, asked("1"))
                for event in (events.RunPaused(at=9, reason="r"), events.RunParked(at=9, reason="r")):
                    here.append(lease, event)
                    await told_here.settled(here)
                    assert [review.key for review in there.reviews("run-1")] == ["1"]
                    lease = await here.claim("run-1")
                await here.close()
                lease = await there.claim("run-1")
                there.append(lease, asked("2"))
                await told_there.settled(there)
                assert [review.key for review in there.reviews()] == ["1", "2"]
                there.append(lease, asked("3"))
                there.append(lease, events.RunEnded(at=9, status="failed"))
                await told_there.settled(there)
                assert there.reviews() == there.reviews("run-1") == []

        asyncio.run(story())

    def test_an_end_that_is_refused_closes_no_review(self, tmp_path):
        """What came before it is written: the answer is an order that is yet to be read."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                store.append(lease, asked("1"))
                store.append(lease, asked("2"))
                await store.send("run-1", ANSWER)
                store.append(lease, answered("2"))
                store.append(lease, events.RunEnded(at=5, status="succeeded"))
                await told.settled(store)
                assert [type(error) for error in told.errors] == [OrdersUnread]
                assert [review.key for review in store.reviews()] == ["1"]

        asyncio.run(story())

    def test_a_former_owner_neither_asks_nor_answers(self, tmp_path):
        """What is refused changes no listing (I7)."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                old = store.create(started())
                store.append(old, asked("1"))
                await store.claim("run-1")
                store.append(old, asked("2"))
                store.append(old, answered("1"))
                store.append(old, events.RunEnded(at=9, status="cancelled"))
                await told.settled(store)
                assert {type(error) for error in told.errors} == {LeaseLost}
                assert [review.key for review in store.reviews()] == ["1"]

        asyncio.run(story())

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(data=st.lists(st.none() | st.integers(0, 3), max_size=20))
    def test_reviews_are_always_the_open_ones_of_the_journal(self, tmp_path_factory, data):
        """However it is cut into batches: a number asks, or answers what it asked. None: a commit."""

        async def story():
            async with self.one(tmp_path_factory.mktemp("store")) as (store, told):
                lease = store.create(started())
                is_open = dict.fromkeys(range(4), False)
                for at, number in enumerate([*data, None], 1_001):
                    if number is not None:
                        store.append(lease, (answered if is_open[number] else asked)(str(number), at))
                        is_open[number] = not is_open[number]
                        continue
                    await told.settled(store)
                    assert {int(review.key) for review in store.reviews()} == {key for key in range(4) if is_open[key]}

        asyncio.run(story())

    # -- waking ------------------------------------------------------------------------------------------

    def test_wakeable_are_waiting_runs_that_are_due_and_runs_with_unread_orders_if_nobody_owns_them(self, tmp_path):
        """An owner sees to its runs itself; a run that is over stays so."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                beginning = {
                    "due": [events.RunParked(at=1, reason="sleep", wake_at=100)],
                    "later": [events.RunParked(at=1, reason="sleep", wake_at=101)],
                    "never": [events.RunParked(at=1, reason="review")],
                    "ordered": [events.RunParked(at=1, reason="review")],
                    "both": [events.RunParked(at=1, reason="sleep", wake_at=1)],
                    "paused": [events.RunPaused(at=1, reason="asked")],
                    "ordered-paused": [events.RunPaused(at=1, reason="asked")],
                    "owned": [events.RunWaiting(at=1, reason="sleep", wake_at=1)],
                    "owned-ordered": [],
                    "over": [
                        events.RunWaiting(at=1, reason="sleep", wake_at=1),
                        events.RunEnded(at=2, status="cancelled"),
                    ],
                }
                for run_id, appended in beginning.items():
                    lease = here.create(started(run_id))
                    for event in appended:
                        here.append(lease, event)
                await told.settled(here)
                for run_id in ("ordered", "both", "ordered-paused", "owned-ordered"):
                    await there.send(run_id, PAUSE)
                    await there.send(run_id, CANCEL)
                assert sorted(there.wakeable(100)) == ["both", "due", "ordered", "ordered-paused"]
                assert sorted(here.wakeable(0)) == ["both", "ordered", "ordered-paused"]
                await here.claim("both")
                assert sorted(there.wakeable(101)) == ["due", "later", "ordered", "ordered-paused"]

        asyncio.run(story())

    def test_a_row_says_when_its_run_goes_on_by_itself(self, tmp_path):
        """Only while it waits."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started())
                seen = []
                for event in (
                    events.RunWaiting(at=1, reason="sleep", wake_at=10**13),
                    events.RunWoken(at=2),
                    events.RunParked(at=3, reason="review"),
                ):
                    here.append(lease, event)
                    await told.settled(here)
                    assert there.row("run-1") == there.rows()[0] == lease.row
                    seen.append(there.row("run-1").wake_at)
                assert seen == [10**13, None, None]
                assert [row.run_id for row in there.rows(status="parked")] == ["run-1"]

        asyncio.run(story())

    # -- reuse -------------------------------------------------------------------------------------------

    def test_the_newest_success_under_a_key_may_be_reused(self, tmp_path):
        """From the moment it is durable on, by anyone; large values stay references."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, told_there):
                blob = codec.Blob("b" * 32, b"[1]")
                large = msgspec.Raw(b'{"$blob":"%b","size":3}' % (b"b" * 32))
                assert here.reusable("k") is None
                one = here.create(started())
                here.append(one, succeeded(1))
                for number, key in ((2, "k"), (3, "k'"), (4, 'k"\u0000\u00e9')):
                    here.append(one, succeeded(number, large, key=key), [blob])
                    here.remember(one, key)
                here.append(one, events.StepSkipped(at=1, step="s", reason="r"))
                assert here.is_immediate or here.reusable("k") is None
                await told.settled(here)
                for number, key in ((2, "k"), (3, "k'"), (4, 'k"\u0000\u00e9')):
                    assert there.reusable(key) == ("run-1", succeeded(number, large, key=key))
                two = there.create(started("run-2"))
                there.append(two, succeeded(9, key="k"))
                there.remember(two, "k")
                await told_there.settled(there)
                assert here.reusable("k") == ("run-2", succeeded(9, key="k"))
                here.append(one, succeeded(5, key="k"))
                here.remember(one, "k")
                here.append(one, events.RunPaused(at=1, reason="r"))
                await told.settled(here)
                assert here.reusable("k") == ("run-1", succeeded(5, key="k"))

        asyncio.run(story())

    def test_a_refused_success_is_not_remembered(self, tmp_path):
        """Nobody reuses what is in no journal."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                old = store.create(started())
                await store.claim("run-1")
                for _ in range(2):
                    store.append(old, succeeded(1, key="k"))
                    store.remember(old, "k")
                    await told.settled(store)
                assert store.reusable("k") is None

        asyncio.run(story())

    # -- rows --------------------------------------------------------------------------------------------

    def test_rows_are_filtered_by_status_graph_and_tags_newest_first(self, tmp_path):
        """All of the conditions hold, and the limit counts what fits."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                for number in range(6):
                    tags = {"even": str(number % 2 == 0), "n": str(number), 'q"\\.$[0]é': "'"}
                    lease = store.create(started(f"run-{number}", graph=f"g{number % 3}", tags=tags))
                    if number >= 4:
                        store.append(lease, events.RunPaused(at=9, reason="asked"))
                await told.settled(store)

                def listed(**conditions):
                    return [row.run_id.removeprefix("run-") for row in store.rows(**conditions)]

                assert listed() == ["5", "4", "3", "2", "1", "0"]
                assert listed(limit=2) == ["5", "4"]
                assert listed(limit=None) == ["5", "4", "3", "2", "1", "0"]
                assert listed(status="paused") == ["5", "4"]
                assert listed(graph="g1") == ["4", "1"]
                assert listed(tags={"even": "True"}) == ["4", "2", "0"]
                assert listed(tags={"even": "True"}, limit=1) == ["4"]
                assert listed(tags={"even": "True", "n": "2"}) == ["2"]
                assert listed(tags={'q"\\.$[0]é': "'"}, graph="g0", status="running") == ["3", "0"]
                assert listed(tags={"even": "true"}) == []
                assert listed(tags={"absent": ""}) == []
                assert listed(tags={}) == ["5", "4", "3", "2", "1", "0"]
                assert listed(status="succeeded") == []

        asyncio.run(story())

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        data=st.lists(
            st.one_of(
                st.integers(1, 99).map(lambda at: events.RunPaused(at=at, reason="asked")),
                st.integers(1, 99).map(lambda at: events.RunResumed(at=at)),
                st.integers(1, 99).map(lambda at: events.RunRecovered(at=at)),
                st.integers(1, 99).map(lambda at: events.CancelRequested(at=at)),
                st.integers(1, 99).map(lambda at: events.RunWaiting(at=at, reason="sleep", wake_at=at + 1)),
                st.integers(1, 99).map(lambda at: events.RunParked(at=at, reason="sleep", wake_at=at + 1)),
                st.integers(1, 99).map(lambda at: events.RunWoken(at=at)),
                st.integers(1, 99).map(succeeded),
                st.integers(1, 99).map(lambda at: events.RunEnded(at=at, status="failed", error="bad")),
                st.none(),
            ),
            max_size=12,
        )
    )
    def test_a_row_is_always_the_fold_of_its_journal(self, tmp_path_factory, data):
        """The listing is a droppable copy: `projected` over the journal gives the same row. None: a commit."""

        async def story():
            async with self.one(tmp_path_factory.mktemp("store")) as (store, told):
                lease = store.create(started(mode="agent", app="m:n", fingerprint="f", tags={"a": "b"}))
                is_over = False
                for event in data:
                    if event is None:
                        await told.settled(store)
                        assert store.row("run-1") == folded(store)
                        continue
                    if is_over:
                        lease = await store.claim("run-1")
                    store.append(lease, event)
                    is_over = type(event) in RELEASING
                await told.settled(store)
                assert told.errors == []
                assert store.row("run-1") == folded(store) == lease.row
                assert store.rows() == [lease.row]
                assert store.ownership("run-1") == ("none" if is_over else "here")

        asyncio.run(story())

    # -- blobs -------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("content", [b"", b"x" * 200_000, bytes(range(256)) * 300])
    def test_a_blob_is_found_from_its_append_on_and_by_everybody_once_committed(self, tmp_path, content):
        """A consumer of a large value need not wait for the disk."""

        async def story():
            async with self.two(tmp_path) as (here, told, there, _):
                lease = here.create(started(), [codec.Blob("a" * 32, b"seed")])
                here.append(lease, succeeded(1), [codec.Blob("b" * 32, content), codec.Blob("a" * 32, b"seed")])
                assert here.blob("a" * 32) == b"seed"
                assert here.blob("b" * 32) == content
                await told.settled(here)
                here.append(lease, succeeded(2), [codec.Blob("b" * 32, content)])
                await told.settled(here)
                assert here.blob("b" * 32) == there.blob("b" * 32) == content
                assert there.blob("a" * 32) == b"seed"

        asyncio.run(story())

    def test_a_blob_that_is_not_there_is_a_damaged_store(self, tmp_path):
        """An event refers to it, so it should be."""

        async def story():
            async with self.one(tmp_path) as (store, _):
                with pytest.raises(StoreCorrupt, match="has no blob abc"):
                    store.blob("abc")

        asyncio.run(story())

    def test_a_large_event_comes_back_as_it_was(self, tmp_path):
        """Whatever an event's size, reading it is the same."""

        async def story():
            async with self.one(tmp_path) as (store, told):
                lease = store.create(started())
                large = [
                    events.StepSkipped(at=1, step="s", reason="x" * size)
                    for size in (codec.BLOB_ABOVE_BYTES - 100, codec.BLOB_ABOVE_BYTES, 10 * codec.BLOB_ABOVE_BYTES)
                ]
                for number, event in enumerate(large):
                    store.append(lease, succeeded(number))
                    store.append(lease, event)
                await told.settled(store)
                recorded = list(store.read("run-1", 1))
                assert [one.event for one in recorded[1::2]] == large
                assert [one.seq for one in recorded] == [2, 3, 4, 5, 6, 7]

        asyncio.run(story())


def folded(store) -> RunRow | None:
    row = None
    for recorded in store.read("run-1"):
        row = projected(row, recorded.event)
    return row
