"""Properties that hold for every run, over the corpus of shapes and over the stores."""

import asyncio
import random
import re
from collections import Counter

import pytest
from tests import agent_shapes, child_shapes, event_shapes, flow_shapes  # noqa: F401 - they add to the corpus
from tests.shapes import AGENTS, INPUTS, SHAPES, Ledger, application

from dagger import Dagger, EventDriven, MemoryStore, agent
from dagger.core.cache import CacheView
from dagger.core.children import child_of
from dagger.core.codec import Blob
from dagger.core.errors import IllegalEvent
from dagger.core.events import decode_event, encode_event, scope_of, step_name
from dagger.core.fold import apply, fold
from dagger.core.messages import MARK, agent_of
from dagger.core.state import TERMINAL, State
from dagger.store.memory import Memory
from dagger.store.sqlite import SqliteStore
from dagger.testing import VirtualClock
from dagger.views.tree import ExecutionTree

STORES = ["memory", "sqlite sync", "sqlite async"]
GOOD = [name for name, shape in SHAPES.items() if shape.status == "succeeded"]
FLOWS = ["maps_of_graphs", "recovered", "failing_items", "stuck_items", "waits"]
MESSAGES = ["full_inboxes", "large_payloads", "fails_once", "requests", "child_events"]


def store_of(kind, tmp_path):
    return MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "runs.db")


BLOBS = {}
"""What large values of the journals here refer to, by hash."""


def hashes_in(event):
    return [found.decode() for found in re.findall(rb'"\$blob":"(\w+)"', encode_event(event))]


def blobs_of(event):
    """The large values that an event refers to."""
    return [Blob(found, BLOBS[found]) for found in hashes_in(event)]


def run_shape(name, kind, tmp_path, **config):
    """The ledger, report and journal of one run."""
    clock, ledger = VirtualClock(), Ledger()
    if kind != "memory":
        config["durability"] = kind.partition(" ")[2]

    async def main():
        async with application(store_of(kind, tmp_path), ledger, name, clock=clock) as app:
            given = {**SHAPES[name].config, **config}
            report = await app.execute(SHAPES[name].spec, inputs=INPUTS.get(name), config=given, run_id="r")
            run = await app.get_run("r")
            journal = [recorded async for recorded in run.events(live=False)]
            report.load()
            BLOBS.update((found, app.store.blob(found)) for each in journal for found in hashes_in(each.event))
            return report, journal

    report, journal = clock.run(main())
    return ledger, report, journal


def told(report):
    """What a run came to, without times, and without the numbers of messages: an event more, and they are others."""
    outcomes = {}
    for outcome in report.node_outcomes:
        ended = repr((outcome.status, outcome.reason, outcome.final_error, outcome.retry_messages))
        outcomes.setdefault(unnumbered(outcome.node_id), []).append(unnumbered(ended))
    return (
        report.status,
        unnumbered(report.error or ""),
        report.result,
        {unnumbered(step): outputs for step, outputs in report.outputs.items()},
        {step: sorted(ended) for step, ended in outcomes.items()},
    )


def unnumbered(text):
    return re.sub(r"#\d+-\d+", "#", text)


def kept(journal):
    """What a run's agents left in the cache, in any order: they work beside each other."""
    cache = CacheView(fold(recorded.event for recorded in journal).sections, lambda _: b"")
    values = {key: cache.get("global", key) for key in cache.keys("global") if key != "timestamp"}
    return {key: sorted(value, key=repr) if isinstance(value, list) else value for key, value in values.items()}


def cut_journal(journal, length, kind, tmp_path):
    """A store whose process died after so many events; not open."""
    memory = Memory()

    class Deaf:
        def committed(self, batch): ...
        def lost(self, lease, error):
            raise error

        def broken(self, error):
            raise error

    async def write():
        store = MemoryStore(memory) if kind == "memory" else SqliteStore(tmp_path / f"cut{length}.db")
        await store.open(Deaf())
        lease = store.create(journal[0].event, blobs_of(journal[0].event))
        for recorded in journal[1:length]:
            if lease.row.status in {"paused", "parked"}:
                lease = await store.claim("r")
            store.append(lease, recorded.event, blobs_of(recorded.event))
        await store.close()

    asyncio.run(write())
    return MemoryStore(memory) if kind == "memory" else SqliteStore(tmp_path / f"cut{length}.db")


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", GOOD)
def test_each_step_succeeds_exactly_once_and_never_before_its_dependencies(name, kind, tmp_path):
    """Whatever the shape and the store: one success of each step, after the ends of all it depends on and has in it."""
    ledger, report, journal = run_shape(name, kind, tmp_path)

    assert (report.status, report.error) == ("succeeded", None)
    state, ended = State(), Counter()
    for recorded in journal:
        if recorded.type in {"StepSucceeded", "StepSkipped"}:
            step = recorded.event.step
            ended[step] += 1
            assert not any(other.startswith(f"{step}/") for other in state.pending)
            if recorded.type == "StepSucceeded":
                check_dependencies(state, step, ledger)
        apply(state, recorded.event)
    assert set(SHAPES[name].dependencies) <= {*ended, *report.outputs}
    assert set(ended.values()) == {1}
    failed = {recorded.event.step for recorded in journal if recorded.type == "AttemptFailed"}
    assert {count for step, count in ledger.count("began").items() if step not in failed} == {1}


def check_dependencies(state, step, ledger):
    """All that a step depends on has ended before it, and before its code began."""
    began = next((at for at, line in enumerate(ledger.lines) if line[:2] == ("began", step)), None)
    for dependency in state.pending[step].node.dependencies:
        awaited = step_name(scope_of(step), dependency)
        assert awaited in state.succeeded or awaited in state.unsuccessful
        lines = [at for at, line in enumerate(ledger.lines) if f"{line[1]}/".startswith(f"{awaited}/")]
        assert began is None or all(at < began for at in lines)


def published_by(event):
    return getattr(event, "messages", ())


def check_deliveries(journal):
    """Each message ends once at each reader in the publisher's flow, in order where the reader is ordered."""
    readers, children, sent, ended, lanes = {}, set(), {}, [], {}
    for recorded in journal:
        event, flow = recorded.event, scope_of(getattr(recorded.event, "step", ""))
        for reader in event.agents if recorded.type == "RunStarted" else ():
            for channel in reader.subscriptions:
                readers.setdefault(channel, []).append(reader)
        if recorded.type == "ChildOpened":
            children.add(flow := child_of(event.step, event.key))
        while flow and flow not in children:
            flow = scope_of(flow)
        for index, message in enumerate(published_by(event), 1):
            for reader in readers.get(message.channel, ()):
                lane = "all" if reader.is_ordered else message.keys.get(reader.name, "")
                sent[flow, reader.name, recorded.seq, index] = lane
        if recorded.type in {"StepSucceeded", "StepFailed", "StepCancelled"} and (name := agent_of(event.step)):
            seq, index = map(int, event.step.rpartition(MARK)[2].split("-"))
            ended.append((flow, name, seq, index))
            if lane := sent[ended[-1]]:
                lanes.setdefault((flow, name, lane), []).append((seq, index))
    assert max(Counter(ended).values(), default=0) <= 1
    assert all(lane == sorted(lane) for lane in lanes.values())
    state = fold(recorded.event for recorded in journal)
    assert state.messages == sum(len(published_by(recorded.event)) for recorded in journal)
    assert state.status != "succeeded" or set(sent) == set(ended)


def check_nothing_is_left(state):
    """I6, I9: nothing is to be done any more, and of what was handled there is a number."""
    assert {**state.pending, **state.doomed, **state.waits, **state.scopes} == {}
    assert not [step for step in (*state.succeeded, *state.sections) if MARK in step]
    assert not [name for name, inbox in state.inboxes.items() if inbox.undelivered() or inbox.steps or inbox.lanes]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", list(SHAPES))
def test_every_shape_ends_as_it_should(name, kind, tmp_path):
    """The status of each shape is the one that the rules give, on every store, and its outputs are the same.

    Nothing published is lost or handled twice, and an agent handles it in order: all of it, or what has one key.
    """
    _, report, journal = run_shape(name, kind, tmp_path)
    _, in_memory, _ = run_shape(name, "memory", tmp_path)

    assert report.status == SHAPES[name].status
    assert told(report) == told(in_memory)
    check_deliveries(journal)
    if report.status == "succeeded":
        check_nothing_is_left(fold(recorded.event for recorded in journal[:-1]))


@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize("name", list(SHAPES))
def test_no_more_steps_run_at_once_than_max_parallel(name, limit, tmp_path):
    """The run's pool is never overdrawn, and what comes out is the same as without one."""
    ledger, report, journal = run_shape(name, "memory", tmp_path, max_parallel=limit)

    assert ledger.most_at_once <= limit
    assert report.status == SHAPES[name].status
    if name in AGENTS and limit == 1 and SHAPES[name].is_steady:
        assert kept(journal) == kept(run_shape(name, "memory", tmp_path)[2])


def test_max_parallel_is_used_to_the_full(tmp_path):
    """Steps that could run do run: 40 naps under a limit of 4 keep four busy."""
    ledger, report, _ = run_shape("wide_join", "memory", tmp_path, max_parallel=4)

    assert ledger.most_at_once == 4
    assert report.duration == pytest.approx(sum(n % 5 + 1 for n in range(40)) / 4, abs=4)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", list(SHAPES))
def test_replaying_the_journal_gives_the_live_state(name, kind, tmp_path):
    """I1: the fold of the events, read back from bytes, is the state that the run had."""
    clock = VirtualClock()
    durability = kind.partition(" ")[2] or "sync"

    async def main():
        async with application(
            store_of(kind, tmp_path), None, name, clock=clock, config={"durability": durability}
        ) as app:
            run = await app.start(SHAPES[name].spec, inputs=INPUTS.get(name), config=SHAPES[name].config)
            live = app.tenure(run.id).state
            await run.wait()
            return live, [recorded.event async for recorded in run.events(live=False)]

    live, journal = clock.run(main())
    # whoever wakes a parked run has a state of its own
    assert fold(decode_event(encode_event(event)) for event in journal[: live.seq]) == live
    assert live.seq == len(journal) or live.is_parked


@pytest.mark.parametrize("name", list(SHAPES))
def test_each_event_decodes_to_itself(name, tmp_path):
    """What the codec writes it reads back, equal in every field, and seqs have no gaps."""
    _, _, journal = run_shape(name, "memory", tmp_path)

    assert [recorded.seq for recorded in journal] == list(range(1, len(journal) + 1))
    for recorded in journal:
        assert decode_event(encode_event(recorded.event)) == recorded.event


@pytest.mark.parametrize("name", list(SHAPES))
def test_an_illegal_event_raises_and_changes_nothing(name, tmp_path):
    """Every event that cannot follow a prefix is refused by it, and leaves no trace in the state."""
    _, _, journal = run_shape(name, "memory", tmp_path)
    events = [recorded.event for recorded in journal]
    refused = 0
    for length in range(len(events) + 1):
        for event in events:
            before, state = fold(events[:length]), fold(events[:length])
            try:
                apply(state, event)
            except IllegalEvent:
                refused += 1
                assert state == before
    assert refused > len(events)


@pytest.mark.parametrize("name", list(AGENTS))
def test_a_tree_without_mail_is_the_tree_without_what_was_handled(name, tmp_path):
    """At every moment: what waits, what failed and what was redelivered is there, just as it is in the whole tree."""
    _, _, journal = run_shape(name, "memory", tmp_path)
    for length in range(1, len(journal) + 1):
        whole = ExecutionTree.of(journal[:length])
        some = ExecutionTree.of(journal[:length], keeps_mail=False)

        left = {node.node_id for node in some.nodes}
        assert [node for node in whole.nodes if node.node_id in left] == some.nodes
        assert whole.left_out == 0
        assert some.left_out == len(whole.nodes) - len(left)
        names = [node.node_id for node in whole.nodes]
        told = [(names[before], names[after], edge) for before, after, edge in whole.edges]
        kept_names = [node.node_id for node in some.nodes]
        assert sorted((kept_names[before], kept_names[after], edge) for before, after, edge in some.edges) == sorted(
            edge for edge in told if {edge[0], edge[1]} <= left
        )
        for node, detail in zip(whole.nodes, whole.details, strict=True):
            if node.node_id not in left:
                is_mail = detail.kind in {"message", "delivery"}
                assert is_mail or MARK in node.node_id, "only messages, and what was done for them, are left out"
                assert node.outcome.success or not is_mail
            elif detail.kind == "delivery":
                is_calm = node.outcome.status == "succeeded" and not node.outcome.retry_messages
                redelivered = "." in node.node_id.rpartition(MARK)[2]
                assert not is_calm or redelivered or scope_of(node.node_id), "handled, and not left out"


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.status in TERMINAL])
def test_nothing_follows_the_end(name, tmp_path):
    """I9: terminal means terminal: no event of the corpus can follow RunEnded."""
    _, _, journal = run_shape(name, "memory", tmp_path)
    events = [recorded.event for recorded in journal]
    assert fold(events).status == SHAPES[name].status
    for event in events:
        with pytest.raises(IllegalEvent):
            apply(fold(events), event)


def resume_at(name, length, journal, kind, tmp_path):
    """What a run comes to whose process died after `length` events, and what the second process executed."""
    clock, ledger = VirtualClock(), Ledger()
    clock.advance(5)

    async def main():
        store = cut_journal_in(clock, journal, length, kind, tmp_path)
        async with application(store, ledger, name, clock=clock) as app:
            run = await app.get_run("r")
            if run.status == "interrupted":
                (resumed,) = await app.recover()
                assert resumed.id == "r"
            elif run.status == "waiting":  # it was parked: nobody wakes it unasked
                await app.resume("r")
            report = await run.wait()
            report.load()
            return report, [recorded async for recorded in run.events(live=False)]

    return ledger, *clock.run(main())


def cut_journal_in(clock, journal, length, kind, tmp_path):
    # on a thread of its own: this is another process' event loop
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(cut_journal, journal, length, kind, tmp_path).result()


def check_a_cut(name, length, whole, kind, tmp_path):
    report, journal = whole
    done = {recorded.event.step for recorded in journal[:length] if recorded.type == "StepSucceeded"}
    ledger, resumed, after = resume_at(name, length, journal, kind, tmp_path)

    assert not done & set(ledger.count("began")), "a step ran again whose success is in the journal"
    assert [recorded.event for recorded in after[:length]] == [recorded.event for recorded in journal[:length]]
    successes = [recorded.event.step for recorded in after if recorded.type == "StepSucceeded"]
    assert len(successes) == len(set(successes))
    if name in AGENTS:
        check_deliveries(after)
    if SHAPES[name].is_steady:
        assert name not in AGENTS or kept(after) == kept(journal)
        assert told(resumed)[:4] == told(report)[:4]
        assert told(resumed)[4] == told(report)[4]
    assert resumed.status == report.status


@pytest.mark.parametrize("name", list(SHAPES))
def test_a_run_cut_at_every_event_ends_as_if_nothing_had_been(name, tmp_path):
    """Every prefix of the journal, resumed, leads to the same outcomes and outputs, and repeats no success."""
    _, report, journal = run_shape(name, "memory", tmp_path)
    for length in range(1, len(journal) + 1):
        check_a_cut(name, length, (report, journal), "memory", tmp_path)


@pytest.mark.parametrize("name", ["failing_continue", "failing_pause", "flaky", "effects", "nested", *FLOWS, *MESSAGES])
def test_a_run_cut_at_some_events_ends_so_on_disk_too(name, tmp_path):
    """The same from a file, at five prefixes drawn by a fixed seed; --campaign draws all."""
    _, report, journal = run_shape(name, "memory", tmp_path)
    lengths = random.Random(7).sample(range(1, len(journal) + 1), min(5, len(journal)))
    for length in lengths:
        check_a_cut(name, length, (report, journal), "sqlite", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHAPES))
def test_a_run_cut_at_every_event_ends_so_on_disk_too(name, tmp_path):
    """The same from a file, at every prefix."""
    _, report, journal = run_shape(name, "memory", tmp_path)
    for length in range(1, len(journal) + 1):
        check_a_cut(name, length, (report, journal), "sqlite", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_swarm_of_agents_cut_twice_ends_as_if_nothing_had_been(seed, tmp_path):
    """Agents and messages drawn by a seed: each prefix leads to the same end, and so does a prefix of what follows."""
    name, draw = event_shapes.swarm(seed), random.Random(seed)
    _, report, journal = run_shape(name, "memory", tmp_path)
    for length in range(1, len(journal)):
        check_a_cut(name, length, (report, journal), "memory", tmp_path)
        _, resumed, after = resume_at(name, length, journal, "memory", tmp_path)
        check_a_cut(name, draw.randrange(length, len(after)), (resumed, after), "memory", tmp_path)


def told_from_outside(store, clock, *, is_mended):
    """An application with two agents, of which one fails for 1 until it is mended, and a third to come and go."""
    app = Dagger(store, clock=clock, config={"max_attempts": 1})

    @agent(subscribe="in", publish="out")
    async def reads(x: int):
        await asyncio.sleep(5)
        return x

    @agent(subscribe="in", concurrency=3)
    async def frail(x: int):
        if x == 1 and not is_mended:
            raise ValueError(x)

    @agent(subscribe=["in", "out"])
    async def late(x: int):
        await asyncio.sleep(2)

    app.include(reads, frail)
    return app, late


async def tell_it(app, late):
    """Publish, bind, remove, answer a dead letter with a redelivery, pause and resume; the run's journal."""
    run = await app.start(EventDriven("in", 0), run_id="r")
    await run.publish_many("in", [1, 2])
    await asyncio.sleep(1)
    app.register_agent(late)
    await run.publish("in", 3)
    await asyncio.sleep(12)
    app.remove_agent("late")
    await run.pause("lunch")
    await run.publish("in", 4)
    app.register_agent(late)
    await (await app.resume("r")).wait()
    return [recorded async for recorded in run.events(live=False)]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_run_that_was_told_things_from_outside_and_was_cut_loses_none(kind, tmp_path):
    """Every prefix, resumed until it is over: each message that is in the journal is handled once by each reader."""
    clock = VirtualClock()

    async def whole():
        app, late = told_from_outside(MemoryStore(), clock, is_mended=False)
        async with app:
            return await tell_it(app, late)

    async def go_on(length):
        app, late = told_from_outside(cut_journal_in(clock, journal, length, kind, tmp_path), clock, is_mended=True)
        app.include(late)
        async with app:
            run = await app.get_run("r")
            while run.status not in TERMINAL:
                await (await app.resume("r")).wait()
            return run.status, [recorded async for recorded in run.events(live=False)]

    journal = clock.run(whole())
    types = {recorded.type for recorded in journal}
    assert {"MessagesPublished", "AgentBound", "AgentRemoved", "RunPaused", "StepFailed"} <= types
    for length in range(1, len(journal) + 1, 1 if kind == "memory" else 5):
        status, after = clock.run(go_on(length))

        assert status == "succeeded"
        steps = [each.event.step for each in after if each.type == "StepSucceeded"]
        handled = sorted((agent_of(step), step.rpartition(MARK)[2].partition(".")[0]) for step in steps)
        sent = [
            f"{each.seq}-{index}"
            for each in after
            for index, message in enumerate(published_by(each.event), 1)
            if message.channel == "in"
        ]
        for name in ("reads", "frail"):
            assert [message for reader, message in handled if reader == name] == sorted(sent)


def test_an_interrupted_run_is_nobodys_to_wait_for(tmp_path):
    """A cut journal's run has a report that says so: there is nothing to wait for."""
    _, _, journal = run_shape("chain", "memory", tmp_path)

    async def main():
        async with application(cut_journal_in(None, journal, 4, "memory", tmp_path)) as app:
            run = await app.get_run("r")
            assert run.status == "interrupted"
            assert (await run.wait()).status == "interrupted"

    asyncio.run(main())


def test_an_empty_state_takes_only_a_beginning():
    """Before RunStarted there is no run that anything could happen to."""
    with pytest.raises(IllegalEvent):
        apply(State(), decode_event(b'{"type":"RunPaused","at":1,"reason":"x"}'))
