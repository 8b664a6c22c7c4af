"""Deliveries of random runs: every message is, for each of its readers, in one place at any time, and then gone."""

import random
from collections import Counter

import msgspec
import pytest
from tests.core.journals import ERROR, agent, failed, messages, node, started, succeeded

from dagger.core import events
from dagger.core.children import child_of
from dagger.core.deliveries import room_of
from dagger.core.events import decode_event, encode_event, scope_of
from dagger.core.fold import apply, fold
from dagger.core.graph import Definition
from dagger.core.messages import agent_of
from dagger.core.state import Inbox, State

CHANNELS = "abcd"
"""Nobody reads the last."""
AGENTS = {
    one.name: one
    for one in (
        agent("ordered", "a", "b"),
        agent("echo", "b"),
        agent("many", "a", "c", concurrency=3),
        agent("keyed", "a", "b", "c", concurrency=None, key="k"),
        agent("slots", "c", concurrency=2, key="k"),
    )
}
KEYED = [name for name, one in AGENTS.items() if one.key]


class RandomRun:
    """A run to which events happen by chance, and what must be true of its messages, counted another way."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.capacity = self.most_kept = self.chance.choice([1, 2, 5, 20])
        first = started(node("n"), agents=tuple(AGENTS.values()), config={"channel_capacity": self.capacity})
        self.state, self.journal, self.bound = State(), [], dict(AGENTS)
        self.queues = {}
        """By flow and agent: what is undelivered, as message id, round and key, in the order of its turn."""
        self.dead = {}
        """Dead letters by step: flow, agent and the same."""
        self.openers = {}
        """Child flows that have not ended, and the steps that opened them."""
        self.handled = Counter()
        self.happened(first)
        self.sizes = sizes(self.state)

    def happened(self, event):
        ready = apply(self.state, event)
        self.journal.append(event)
        return ready

    # -- what can happen --------------------------------------------------------------------------------------

    def some(self):
        """A few messages, and the flow's queues that they go to."""
        channel = self.chance.choice(CHANNELS)
        made = messages(channel, *self.chance.choices("xyz", k=self.chance.randint(1, 4)), keys=KEYED)
        return made, [name for name, one in self.bound.items() if channel in one.subscriptions]

    def take_in(self, flow, made, readers):
        for index, message in enumerate(made, 1):
            for name in readers:
                entry = (f"{self.state.seq}-{index}", 1, message.keys.get(name, ""))
                self.queues.setdefault((flow, name), []).append(entry)

    def publish(self):
        made, readers = self.some()
        self.happened(events.MessagesPublished(at=1, messages=made))
        self.take_in("", made, readers)

    def deliveries(self):
        """Those whose code could end now."""
        return [step for step in self.state.pending if agent_of(step) and step not in self.openers.values()]

    def succeed(self, more=0.2):
        for step in self.deliveries()[:1] if self.chance.random() < 0.5 else self.deliveries()[-1:]:
            made, readers = self.some() if self.chance.random() < more else ((), [])
            flow, name, entry = self.taken(step)
            self.happened(succeeded(step, messages=made))
            self.handled[flow, name, entry[0]] += 1
            self.take_in(flow, made, readers)

    def fail(self):
        for step in self.deliveries()[:1]:
            if self.chance.random() < 0.5:
                self.happened(events.AttemptFailed(at=1, step=step, attempt=1, error=ERROR, retry_at=2))
            self.dead[step] = self.taken(step)
            self.happened(failed(step, self.chance.choice(["continue", "pause", "list"])))

    def taken(self, step):
        """Take a delivery out of its queue, where it must be the first, or the first of its key, if there is order."""
        flow, name = scope_of(step), agent_of(step)
        queue = self.queues[flow, name]
        entry = next(entry for entry in queue if named(flow, name, entry) == step)
        if AGENTS[name].is_ordered or AGENTS[name].key:
            assert entry == next(other for other in queue if AGENTS[name].is_ordered or other[2] == entry[2])
        queue.remove(entry)
        return flow, name, entry

    def redeliver(self):
        steps = [step for step, (_, name, _) in self.dead.items() if name in self.bound]
        chosen = tuple(self.chance.sample(steps, min(len(steps), 2)))
        if chosen:
            self.happened(events.Redelivered(at=1, steps=chosen))
        for step in chosen:
            flow, name, (message, at_round, key) = self.dead.pop(step)
            self.queues[flow, name].append((message, at_round + 1, key))

    def resume(self):
        again = [step for step, letter in self.state.dead.items() if letter.policy == "pause"]
        self.capacity = self.chance.choice([1, 2, 5, 20])
        self.most_kept = max(self.capacity, self.most_kept)
        self.happened(events.RunResumed(at=1, config={"channel_capacity": self.capacity}))
        for step in again:
            flow, name, entry = self.dead.pop(step)
            self.queues[flow, name].append(entry)

    def remove(self):
        name = self.chance.choice(list(AGENTS))
        if name in self.bound and self.chance.random() < 0.3:
            at_work = set(self.state.pending)
            self.happened(events.AgentRemoved(at=1, name=name, policy=self.chance.choice(["continue", "list"])))
            del self.bound[name]
            for (flow, reader), queue in self.queues.items():
                for entry in [*queue] if reader == name else ():
                    if named(flow, name, entry) not in at_work:
                        queue.remove(entry)
                        self.dead[named(flow, name, entry)] = flow, name, entry

    def bind(self):
        for name in [name for name in AGENTS if name not in self.bound][:1]:
            self.happened(events.AgentBound(at=1, agent=AGENTS[name]))
            self.bound[name] = AGENTS[name]

    def change(self):
        """An agent is bound anew, as whoever goes on with the run has it."""
        name = self.chance.choice([*self.bound])
        if AGENTS[name].key and self.chance.random() < 0.3:
            concurrency = self.chance.choice([1, 2, None])
            self.bound[name] = msgspec.structs.replace(AGENTS[name], concurrency=concurrency)
            self.happened(events.AgentBound(at=1, agent=self.bound[name]))

    def execute(self):
        opener = self.chance.choice(["n", *self.deliveries()])
        key = f"child:{len(self.journal)}"
        child = child_of(opener, key)
        if len(self.openers) < 4:
            made, readers = self.some()
            graphs = {"flow": Definition(name="flow")}
            self.happened(events.ChildOpened(at=1, step=opener, key=key, graph="flow", graphs=graphs, messages=made))
            self.openers[child] = opener
            self.take_in(child, made, readers)

    def close(self):
        """Whatever flow has nothing left to do."""
        for child in [child for child in self.openers if not self.state.pending[child].unmet]:
            self.happened(succeeded(child))
            opener = self.openers.pop(child)
            self.forget_the_dead()
            self.happened(events.WaitAnswered(at=1, step=opener, key=child.removeprefix(f"{opener}:")))

    def give_up(self):
        for child in list(self.openers)[:1] if self.chance.random() < 0.2 else ():
            self.happened(events.StepCancelled(at=1, step=child, attempt=1, reason="enough"))
            for other in [flow for flow in self.openers if flow == child or flow.startswith(f"{child}/")]:
                del self.openers[other]
            for flow, name in [where for where in self.queues if where[0] and where[0] not in self.openers]:
                del self.queues[flow, name]
            self.forget_the_dead()

    def forget_the_dead(self):
        """Of flows that are over."""
        self.dead = {step: where for step, where in self.dead.items() if where[0] in ("", *self.openers)}

    EVENTS = (publish, succeed, succeed, fail, redeliver, resume, remove, bind, change, execute, close, give_up)

    def go_on(self, steps):
        for _ in range(steps):
            self.chance.choice(self.EVENTS)(self)
            self.check()

    def drain(self):
        """Handle all there is; the agents that were removed are there again."""
        while self.bound.keys() != AGENTS.keys():
            self.bind()
        while self.deliveries() or self.openers or any(flow == "" for flow, _, _ in self.dead.values()):
            self.redeliver()
            for step in self.deliveries():
                flow, name, entry = self.taken(step)
                self.happened(succeeded(step))
                self.handled[flow, name, entry[0]] += 1
            self.close()
            self.check()

    # -- what must be true ------------------------------------------------------------------------------------

    def check(self):
        state = self.state
        expected = Counter(named(*where, entry) for where, queue in self.queues.items() for entry in queue)
        assert max(self.handled.values(), default=1) == 1
        assert state.dead.keys() == self.dead.keys()
        assert sorted(step for steps in state.dead_of.values() for step in steps) == sorted(self.dead)
        there = Counter()
        for flow in ("", *self.openers):
            for name, inbox in (state.scopes[flow] if flow else state).inboxes.items():
                there.update(self.undelivered(flow, name, inbox))
        assert there == expected
        assert set(there.values()) <= {1}
        assert not there.keys() & state.dead.keys()
        assert {step for step in state.pending if agent_of(step)} <= there.keys()

    def undelivered(self, flow, name, inbox):
        """The deliveries of one inbox, by name; what holds of it alone is checked."""
        behind = [message for lane in inbox.lanes.values() for message in lane]
        at_work = [self.state.pending[step].message for step in inbox.steps]
        kept = [message for message in (*behind, *at_work, *inbox.waiting) if message.payload]
        assert inbox.let_in == len(inbox.steps) + len(behind)
        assert inbox.room == room_of(self.state, self.state.agents[name].agent)
        # what is next would take more room than there is
        assert not inbox.waiting or len(inbox.steps) + (inbox.waiting[0].lane not in inbox.lanes) > inbox.room
        assert len(kept) <= self.most_kept + max(self.most_kept, inbox.room)
        if AGENTS[name].key:
            keys = [message.lane for message in at_work]
            assert len(keys) == len(set(keys))
            assert set(inbox.lanes) == set(keys)
        prefix = f"{flow}/" if flow else ""
        waiting = [named(flow, name, (message.id, message.round, "")) for message in (*behind, *inbox.waiting)]
        assert all(step.startswith(f"{prefix}{name}#") for step in inbox.steps)
        return [*inbox.steps, *waiting]


def named(flow, name, entry):
    message, at_round, _ = entry
    return f"{flow}/{name}#{message}"[0 if flow else 1 :] + ("" if at_round == 1 else f".{at_round}")


def sizes(state):
    """Of all that a state holds many of, but for inboxes and dead letters."""
    held = {name: getattr(state, name) for name in state.__struct_fields__ if name not in ("inboxes", "dead")}
    return {name: len(value) for name, value in held.items() if isinstance(value, dict | list)}


@pytest.mark.parametrize("seed", range(60))
def test_each_message_is_once_in_one_place_for_each_reader_and_then_gone(seed):
    """At work, behind its key, waiting, dead or handled, or its flow is over; in the end nothing is left."""
    run = RandomRun(seed)
    run.go_on(300)
    run.drain()
    state = run.state
    assert all(inbox == Inbox(inbox.room) for inbox in state.inboxes.values())
    assert (state.failures, state.stuck, state.errors) == (0, 0, [])
    assert state.waits.keys() <= {"n"}
    assert sizes(state) == run.sizes | {"graphs": len(state.graphs), "waits": len(state.waits)}
    assert (run.dead, state.dead) == ({}, {})
    handled = Counter()
    for _, name, _ in run.handled:
        handled[name] += 1
    assert handled == Counter({name: bound.handled for name, bound in state.agents.items() if bound.handled})


@pytest.mark.parametrize("seed", range(10))
def test_the_journal_alone_gives_the_state(seed):
    """I1: as often as one folds it, and read back from bytes."""
    run = RandomRun(seed)
    run.go_on(120)
    assert fold(run.journal) == fold(decode_event(encode_event(event)) for event in run.journal) == run.state


def test_memory_stays_flat_however_many_messages_pass():
    """A run that goes on holds no more after a thousand of them than after a hundred."""
    run = RandomRun(0)

    def pass_through(count):
        for _ in range(count):
            run.publish()
            while run.deliveries():
                run.succeed(more=0)
        assert all(inbox == Inbox(inbox.room) for inbox in run.state.inboxes.values())
        return sizes(run.state), len(run.state.inboxes)

    before = pass_through(40)
    assert pass_through(400) == before
    assert run.state.messages > 1_000
