"""Which deliveries wait for the disk under `sync`: those whose message is not there yet."""

import pytest
from tests.mailed import run, sends
from tests.worlds import World

from dagger import EventDriven, Graph, Static, action, agent
from dagger.core.graph import Node
from dagger.core.messages import Message
from dagger.core.state import Pending, State
from dagger.engine.durable import Durable


class Machine:
    """A kernel whose store is at a batch, and has made others durable."""

    def __init__(self):
        self.store, self.durable_batch = self, 0
        self.batch = 1


def step(state, name, seq=None):
    """A step that is ready; a delivery if it is of an event's message."""
    message = None if seq is None else Message(seq, 1, "c", b"1", "", 0)
    state.pending[name] = Pending(Node(id=name), 0, message=message)
    return name


def test_a_delivery_whose_message_is_durable_need_not_wait():
    """All others do: a node, and a delivery whose message was published in a batch that is not committed yet."""
    machine, state = Machine(), State(seq=5)
    durable = Durable(machine)
    early, node = step(state, "early", 5), step(state, "node")
    assert durable.parted(state, [early, node]) == ([], [early, node])

    machine.durable_batch, machine.batch, state.seq = 1, 2, 9
    late = step(state, "late", 9)
    assert durable.parted(state, [early, late, node]) == ([early], [late, node])

    machine.durable_batch = 2
    assert durable.parted(state, [early, late, node]) == ([early, late], [node])


def test_a_batch_that_grows_is_durable_as_a_whole():
    """What was appended to it after the last look counts too, but nothing of the next one."""
    machine, state = Machine(), State(seq=5)
    durable = Durable(machine)
    durable.parted(state, [])
    state.seq = 8
    durable.parted(state, [])
    machine.batch, state.seq = 2, 12
    durable.parted(state, [])
    machine.durable_batch = 1

    steps = [step(state, str(seq), seq) for seq in (5, 8, 9, 12)]
    assert durable.parted(state, steps) == (["5", "8"], ["9", "12"])


def test_nothing_is_durable_before_the_first_commit():
    """A run that begins waits for its first event."""
    machine, state = Machine(), State(seq=1)
    steps = [step(state, "a", 1)]

    assert Durable(machine).parted(state, steps) == ([], steps)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_agent_sees_a_message_that_a_crash_could_take_back(tmp_path, concurrency):
    """Under `sync`: when its code begins, the event that published it is on disk (I3)."""
    world, seen = World("sqlite", tmp_path), []

    @agent(subscribe="in", publish="out", concurrency=concurrency)
    async def first(number: int):
        on_disk("first", number)
        return number

    @agent(subscribe="out", concurrency=concurrency)
    async def second(number: int):
        on_disk("second", number)

    def on_disk(name, number):
        last = store.last_seq("r")
        journal = [recorded.event for recorded in store.read("r", 0, last)]
        published = [bytes(each.payload) for event in journal for each in getattr(event, "messages", ())
                     if each.channel == ("in" if name == "first" else "out")]  # fmt: skip
        seen.append(str(number).encode() in published)

    async def main(app):
        nonlocal store
        store = app.store
        return await app.execute(EventDriven("start", None), run_id="r")

    store = None
    assert run(world, main, sends(20), first, second, config={"durability": "sync"}).status == "succeeded"
    assert seen == [True] * 40


def test_two_messages_at_one_agent_do_not_wait_for_each_others_commit(tmp_path):
    """Only for their own: an agent with many messages is not held to one commit each."""
    world = World("sqlite", tmp_path)

    @agent(subscribe="in")
    async def reader(number: int):
        """It returns at once."""

    async def main(app):
        await app.execute(EventDriven("start", None), run_id="r", config={"durability": "sync"})
        return app.store.batch

    assert run(world, main, sends(200), reader) < 60


def test_a_node_waits_for_what_made_it_ready(tmp_path):
    """Beside agents as without: a step of a graph starts when its dependency's success is on disk."""
    world, known = World("sqlite", tmp_path), []

    @action
    async def first() -> int:
        return 1

    @action
    async def second(x: int):
        events = [recorded.type for recorded in store.read("r", 0, store.last_seq("r"))]
        known.append("StepSucceeded" in events)

    @agent(subscribe="in")
    async def reader(number: int):
        """So that the run has agents."""

    async def main(app):
        nonlocal store
        store = app.store
        graph = Graph("g")
        graph.add(second, x=graph.add(first))
        app.add_graph(graph)
        return await app.execute(Static("g"), run_id="r", config={"durability": "sync"})

    store = None
    assert run(world, main, first, second, reader).status == "succeeded"
    assert known == [True]
