"""Deliveries: what is published becomes a step of each agent that reads it, when that has room, and each once."""

import msgspec
import pytest
from tests.core.journals import ERROR, agent, begun, failed, messages, node, published, succeeded

from dagger.core import events
from dagger.core.deliveries import flow_with_agents, room_of
from dagger.core.errors import IllegalEvent
from dagger.core.fold import apply
from dagger.core.graph import Definition, Map
from dagger.core.messages import Message
from dagger.core.steps import ERRORS_KEPT

EMPTY = Definition(name="flow")
CHILD = "n:child:1"


def run_of(*agents, **config):
    state, _ = begun(node("n"), agents=agents, config=config)
    return state


def opened(*payloads, graph=EMPTY, step="n", channel="tasks"):
    """A child flow that code executes, and what it begins with."""
    return events.ChildOpened(
        at=2_000,
        step=step,
        key="child:1",
        graph=graph.name,
        graphs={graph.name: graph},
        messages=messages(channel, *payloads),
    )


def handle(state, *steps, **effects):
    """The steps that become ready when these succeed, one after the other."""
    return [ready for step in steps for ready in apply(state, succeeded(step, **effects))]


def payloads(state, name="reader"):
    """Of the messages that wait at an agent and are no steps."""
    return [message.payload for message in state.inboxes[name].waiting]


# -- who gets what --------------------------------------------------------------------------------------------


def test_each_reader_of_a_channel_gets_each_message():
    """As a step of its own, whose node is the agent's, with the message as it was published."""
    state = run_of(agent("one", "tasks"), agent("two", "more", "tasks"), agent("deaf", "other"))
    assert apply(state, published("tasks", "a")) == ["one#2-1", "two#2-1"]
    pending = state.pending["two#2-1"]
    assert (pending.node, pending.unmet) == (state.agents["two"].agent.node, 0)
    assert pending.message == Message(2, 1, "tasks", b'"a"', "", 2_000)
    assert (pending.message.id, pending.message.parent, state.messages) == ("2-1", "", 1)
    assert "deaf" not in state.inboxes


def test_what_a_run_begins_with_is_of_its_first_event():
    """The nodes' steps come first, then the deliveries."""
    state, ready = begun(node("n"), agents=(agent("reader", "tasks"),), messages=messages("tasks", 1))
    assert ready == ["n", "reader#1-1"]
    assert state.pending["reader#1-1"].message.seq == state.seq == 1


def test_what_a_step_publishes_names_it_as_the_source():
    """Of a delivery, the message that it handled is the parent; an agent may read what it publishes itself."""
    state = run_of(agent("echo", "tasks"))
    handle(state, "n", messages=messages("tasks", 1))
    assert (state.pending["echo#2-1"].message.source, state.pending["echo#2-1"].message.parent) == ("n", "")
    assert handle(state, "echo#2-1", messages=messages("tasks", 2, 3)) == ["echo#3-1"]
    message = state.pending["echo#3-1"].message
    assert (message.id, message.source, message.parent) == ("3-1", "echo#2-1", "2-1")


def test_what_nobody_reads_is_counted_and_that_is_all():
    """It is in the journal; no step comes of it."""
    state = run_of(agent("reader", "tasks"))
    assert apply(state, published("void", 1, 2)) == []
    assert (state.messages, list(state.pending), state.inboxes) == (2, ["n"], {})


def test_a_delivery_that_succeeded_is_forgotten():
    """Nothing can refer to it: it is counted, and no more; it cannot succeed twice."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1))
    assert handle(state, "reader#2-1") == []
    assert (state.agents["reader"].handled, state.succeeded, state.inboxes["reader"].steps) == (1, {}, {})
    with pytest.raises(IllegalEvent):
        apply(state, succeeded("reader#2-1"))


def test_a_failed_attempt_keeps_its_place():
    """An ordered agent goes on with nothing else before the message was handled."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2))
    again = events.AttemptFailed(at=3_000, step="reader#2-1", attempt=1, error=ERROR, retry_at=9_000)
    assert apply(state, again) == []
    assert (state.pending["reader#2-1"].failures, len(state.inboxes["reader"].waiting)) == (1, 1)
    assert handle(state, "reader#2-1") == ["reader#2-2"]


# -- order, room, keys ----------------------------------------------------------------------------------------


def test_an_ordered_agent_handles_one_at_a_time_in_the_order_of_publication():
    """Whatever events the messages are of."""
    state = run_of(agent("reader", "tasks", "more"))
    assert apply(state, published("tasks", 1, 2)) == ["reader#2-1"]
    assert apply(state, published("more", 3)) == []
    steps = ["reader#2-1", "reader#2-2", "reader#3-1"]
    assert handle(state, *steps) == steps[1:]


def test_agents_do_not_hold_up_each_other():
    """Each has an inbox of its own."""
    state = run_of(agent("slow", "tasks"), agent("fast", "tasks"))
    apply(state, published("tasks", 1, 2))
    assert handle(state, "fast#2-1", "fast#2-2") == ["fast#2-2"]
    assert list(state.pending) == ["n", "slow#2-1"]


@pytest.mark.parametrize(
    ("concurrency", "capacity", "room"), [(1, 1000, 1), (1, 1, 1), (4, 10, 10), (40, 10, 40), (None, 10, 10)]
)
def test_the_room_of_an_agent_is_one_or_its_capacity(concurrency, capacity, room):
    """Order needs nothing but room for one; of the others a pool says how many are at work."""
    state = run_of(agent("reader", "tasks", concurrency=concurrency), channel_capacity=capacity)
    assert room_of(state, state.agents["reader"].agent) == room
    assert len(apply(state, published("tasks", *range(room + 3)))) == room
    assert state.inboxes["reader"].undelivered() == room + 3


@pytest.mark.parametrize(
    ("capacity", "ready"),
    [(1, []), (5, ["reader#2-4", "reader#2-5", f"{CHILD}/reader#3-4", f"{CHILD}/reader#3-5"])],
    ids=["less", "more"],
)
def test_a_capacity_that_changes_at_a_resume_changes_the_room(capacity, ready):
    """In every flow, from then on; an ordered agent has room for one, whatever it is."""
    state = run_of(agent("reader", "tasks", concurrency=None), agent("ordered", "tasks"), channel_capacity=3)
    apply(state, published("tasks", *range(5)))
    apply(state, opened(*range(5)))
    assert apply(state, events.RunResumed(at=3, config={"channel_capacity": capacity})) == ready
    assert (state.inboxes["reader"].room, state.inboxes["ordered"].room) == (capacity, 1)
    assert handle(state, "reader#2-1") == []


@pytest.mark.parametrize("key", ["", "k"])
def test_what_is_published_never_overtakes_what_waits(key):
    """Be there more room now, and be it full or not."""
    state = run_of(agent("reader", "tasks", concurrency=None, key=key), channel_capacity=2)
    keys = ["reader"] if key else []
    apply(state, published("tasks", *"abca", keys=keys))
    ready = ["reader#2-3"] if key else ["reader#2-3", "reader#2-4"]
    assert apply(state, events.RunResumed(at=3, config={"channel_capacity": 4})) == ready
    apply(state, published("tasks", *"adea", keys=keys))
    steps = handle(state, "reader#2-1", "reader#2-2", "reader#2-3", "reader#2-4")
    assert steps == (["reader#2-4", "reader#4-3", "reader#4-1"] if key else [f"reader#4-{i}" for i in (1, 2, 3, 4)])


def test_messages_with_one_key_are_handled_in_order():
    """Others pass them; each key takes room for one message."""
    state = run_of(agent("reader", "tasks", concurrency=None, key="k"), channel_capacity=2)
    ready = apply(state, published("tasks", "a", "a", "a", "b", "c", "a", keys=["reader"]))
    assert ready == ["reader#2-1", "reader#2-4"]
    assert [message.id for message in state.inboxes["reader"].waiting] == ["2-5", "2-6"]
    assert handle(state, "reader#2-4") == ["reader#2-5"]
    assert handle(state, "reader#2-1", "reader#2-2", "reader#2-3") == ["reader#2-2", "reader#2-3", "reader#2-6"]
    assert set(state.inboxes["reader"].lanes) == {'"a"', '"c"'}
    assert handle(state, "reader#2-5", "reader#2-6") == []
    assert (state.inboxes["reader"].lanes, state.inboxes["reader"].undelivered()) == ({}, 0)


def test_a_key_holds_up_no_other_key():
    """However many messages of it wait, and though their payloads are not kept."""
    state = run_of(agent("reader", "tasks", concurrency=None, key="k"), channel_capacity=3)
    apply(state, published("tasks", *"aaaaa", keys=["reader"]))
    assert apply(state, published("tasks", "b", keys=["reader"])) == ["reader#3-1"]
    assert [message.payload for message in state.inboxes["reader"].lanes['"a"']] == [b'"a"', b'"a"', b"", b""]
    assert bytes(state.pending["reader#3-1"].message.payload) == b'"b"'


def test_an_agent_with_a_key_that_handles_one_at_a_time_handles_all_in_the_order_of_publication():
    """Until it may handle more: then those with one key are in order; and again from then on when it may not."""
    ordered, keyed = agent("reader", "tasks", key="k"), agent("reader", "tasks", concurrency=4, key="k")
    state = run_of(ordered)
    apply(state, published("tasks", *"aababcab", keys=["reader"]))
    assert handle(state, "reader#2-1", "reader#2-2") == ["reader#2-2", "reader#2-3"]
    assert apply(state, events.AgentBound(at=3, agent=keyed)) == ["reader#2-4", "reader#2-6"]
    assert handle(state, "reader#2-3", "reader#2-4") == ["reader#2-5", "reader#2-7"]
    apply(state, events.AgentBound(at=3, agent=ordered))
    assert apply(state, published("tasks", *"abca", keys=["reader"])) == []
    assert handle(state, "reader#2-5", "reader#2-6") == []
    steps = ["reader#2-7", "reader#2-8", "reader#9-1", "reader#9-2", "reader#9-3", "reader#9-4"]
    assert handle(state, *steps) == steps[1:]


def test_a_message_with_a_key_that_failed_lets_the_next_of_its_key_begin():
    """A dead letter holds up nobody."""
    state = run_of(agent("reader", "tasks", concurrency=4, key="k"))
    apply(state, published("tasks", "a", "a", keys=["reader"]))
    assert apply(state, failed("reader#2-1", "continue")) == ["reader#2-2"]


def test_keys_are_of_the_readers_that_have_some():
    """Another reader of the same message handles it as it does all."""
    state = run_of(agent("keyed", "tasks", concurrency=None, key="k"), agent("free", "tasks", concurrency=9))
    assert apply(state, published("tasks", "a", "a", keys=["keyed"])) == ["keyed#2-1", "free#2-1", "free#2-2"]


# -- memory ---------------------------------------------------------------------------------------------------


def test_payloads_beyond_the_capacity_are_left_to_the_journal_and_only_those():
    """Those at work count; nothing else of a message is lost."""
    state = run_of(agent("reader", "tasks"), channel_capacity=3)
    apply(state, published("tasks", *range(1, 6)))
    assert (bytes(state.pending["reader#2-1"].message.payload), payloads(state)) == (b"1", [b"2", b"3", b"", b""])
    dropped = state.inboxes["reader"].waiting[-1]
    assert dropped == Message(2, 5, "tasks", b"", "", 2_000)
    handle(state, "reader#2-1", "reader#2-2", "reader#2-3")
    apply(state, published("tasks", 6))
    assert (state.pending["reader#2-4"].message.payload, payloads(state)) == (b"", [b"", b"6"])


def test_a_message_without_its_payload_keeps_all_else():
    """Its source, what it asks for, its key, its round, and since when it waits."""
    state = run_of(agent("reader", "tasks", concurrency=2, key="k"), channel_capacity=1)
    wait = events.WaitOpened(at=5, step="n", key="request:1", kind="request", messages=messages("tasks", 1, 2, 3))
    keyed = tuple(msgspec.structs.replace(message, keys={"reader": "7"}) for message in wait.messages)
    apply(state, msgspec.structs.replace(wait, messages=keyed))
    behind = state.inboxes["reader"].lanes["7"]
    assert behind[1] == Message(2, 3, "tasks", b"", "n", 5, "request:1", "7")
    apply(state, failed("reader#2-1", "continue"))
    apply(state, events.Redelivered(at=6, steps=("reader#2-1",)))
    assert behind[-1] == Message(2, 1, "tasks", b"", "n", 5, "request:1", "7", 2, since=4)


# -- dead letters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "failures", "stuck", "halt"),
    [("stop", 1, 0, "stop"), ("continue", 1, 0, ""), ("pause", 0, 1, ""), ("list", 0, 0, "")],
)
def test_a_delivery_that_finally_failed_is_a_dead_letter(policy, failures, stuck, halt):
    """Its policy says what that means for the run; its agent goes on with the next message."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2))
    assert apply(state, failed("reader#2-1", policy)) == ["reader#2-2"]
    assert (state.failures, state.stuck, state.halt) == (failures, stuck, halt)
    assert state.errors == ([] if policy == "list" else ["reader#2-1: ValueError: no"])
    letter = state.dead["reader#2-1"]
    assert (letter.policy, letter.message) == (policy, Message(2, 1, "tasks", b"", "", 2_000))
    assert (state.agents["reader"].failed, state.unsuccessful, state.dependents) == (1, {}, {})


def test_only_the_first_of_what_stops_a_run_is_the_reason():
    """As of other steps."""
    state = run_of(agent("reader", "tasks", concurrency=2))
    apply(state, published("tasks", 1, 2))
    apply(state, failed("reader#2-2", "stop"))
    apply(state, failed("reader#2-1", "stop"))
    assert (state.halt_reason, state.failures) == ("'reader#2-2' failed", 2)


@pytest.mark.parametrize(("policy", "kept"), [("pause", True), ("continue", False), ("stop", False), ("list", False)])
def test_only_a_dead_letter_that_is_tried_again_as_it_was_keeps_its_waits(policy, kept):
    """What was answered is not asked again when the run is resumed."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1))
    apply(state, events.WaitOpened(at=3, step="reader#2-1", key="m", kind="memo"))
    apply(state, events.WaitAnswered(at=3, step="reader#2-1", key="m", value=msgspec.Raw(b"7")))
    apply(state, failed("reader#2-1", policy))
    assert ("reader#2-1" in state.waits) is kept


def test_a_resume_delivers_again_what_the_run_paused_for():
    """As the same steps with fresh tries, behind what waits; other letters stay dead."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2, 3))
    apply(state, events.AttemptFailed(at=3, step="reader#2-1", attempt=1, error=ERROR, retry_at=9))
    apply(state, failed("reader#2-1", "pause"))
    apply(state, failed("reader#2-2", "list"))
    apply(state, events.RunPaused(at=4, reason="x"))
    assert apply(state, events.RunResumed(at=5)) == []
    assert handle(state, "reader#2-3") == ["reader#2-1"]
    assert (state.stuck, state.errors, list(state.dead)) == (0, [], ["reader#2-2"])
    assert (state.pending["reader#2-1"].failures, state.pending["reader#2-1"].message.round) == (0, 1)


@pytest.mark.parametrize("policy", ["continue", "pause", "list"])
def test_a_redelivery_is_a_delivery_of_its_own_at_the_end_of_the_queue(policy):
    """With a name, and so an idempotency key, of its own; the failure counts no more, but as one of the agent's."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2, 3))
    apply(state, events.WaitOpened(at=3, step="reader#2-1", key="m", kind="memo"))
    apply(state, failed("reader#2-1", policy))
    assert apply(state, events.Redelivered(at=4, steps=("reader#2-1",))) == []
    assert handle(state, "reader#2-2", "reader#2-3") == ["reader#2-3", "reader#2-1.2"]
    assert (state.failures, state.stuck, state.errors, state.dead, state.waits) == (0, 0, [], {}, {})
    assert state.agents["reader"].failed == 1
    apply(state, failed("reader#2-1.2", policy))
    assert apply(state, events.Redelivered(at=5, steps=("reader#2-1.2",))) == ["reader#2-1.3"]


@pytest.mark.parametrize("is_anew", [True, False])
def test_what_was_redelivered_stays_behind_when_all_is_in_order_at_last(is_anew):
    """It was in order per key: what waited then comes before it, what is published later comes after it."""
    state = run_of(agent("reader", "tasks", concurrency=2, key="x"), channel_capacity=9)
    apply(state, published("tasks", 1, 2, 1, 2, keys=("reader",)))
    apply(state, failed("reader#2-1", "pause"))
    apply(state, events.Redelivered(at=4, steps=("reader#2-1",)) if is_anew else events.RunResumed(at=4))
    apply(state, published("tasks", 2, 1, keys=("reader",)))
    apply(state, events.AgentBound(at=5, agent=agent("reader", "tasks", key="x")))
    again = "reader#2-1.2" if is_anew else "reader#2-1"
    order = ["reader#2-2", "reader#2-3", "reader#2-4", again, "reader#5-1", "reader#5-2"]
    assert handle(state, *order[:-1]) == order[2:]  # two were let in before


def test_a_delivery_that_is_cancelled_leaves_its_inbox():
    """Whoever takes the run up once more may bring other agents: nothing is there any more for them."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2))
    apply(state, events.CancelRequested(at=3, reason="x"))
    apply(state, events.StepCancelled(at=3, step="reader#2-1", attempt=1, reason="x"))
    assert list(state.inboxes["reader"].steps) == []
    apply(state, events.AgentBound(at=4, agent=agent("reader", "more", concurrency=2)))
    assert state.agents["reader"].agent.concurrency == 2


def test_only_the_first_errors_are_kept():
    """A run's own error quotes no more, however many dead letters there are."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", *range(ERRORS_KEPT + 5)))
    for number in range(1, ERRORS_KEPT + 6):
        apply(state, failed(f"reader#2-{number}", "continue"))
    assert (len(state.errors), state.failures, len(state.dead)) == (ERRORS_KEPT, ERRORS_KEPT + 5, ERRORS_KEPT + 5)


def test_only_dead_letters_are_redelivered():
    """All of them, or none."""
    state = run_of(agent("reader", "tasks", concurrency=2))
    apply(state, published("tasks", 1, 2))
    apply(state, failed("reader#2-1", "continue"))
    with pytest.raises(IllegalEvent):
        apply(state, events.Redelivered(at=4, steps=("reader#2-1", "reader#2-2")))
    assert (list(state.dead), state.failures) == (["reader#2-1"], 1)


# -- agents that come and go ----------------------------------------------------------------------------------


def test_a_message_goes_to_the_agents_that_are_bound_when_it_is_published():
    """Whoever comes later gets what is published later."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1))
    apply(state, events.AgentBound(at=3, agent=agent("late", "tasks")))
    assert apply(state, published("tasks", 2)) == ["late#4-1"]
    assert state.channels["tasks"] == ["reader", "late"]


def test_an_agent_that_is_bound_anew_is_as_it_is_now():
    """Its channels, its room; what it has done counts on, and what waits at it stays."""
    state = run_of(agent("reader", "tasks"), channel_capacity=5)
    apply(state, published("tasks", 1, 2, 3, 4))
    handle(state, "reader#2-1")
    ready = apply(state, events.AgentBound(at=4, agent=agent("reader", "more", concurrency=2)))
    assert ready == ["reader#2-3", "reader#2-4"]
    assert (state.channels, state.inboxes["reader"].room, state.agents["reader"].handled) == (
        {"more": ["reader"]},
        5,
        1,
    )
    assert apply(state, published("tasks", 5)) == []
    assert apply(state, published("more", 6)) == ["reader#6-1"]


@pytest.mark.parametrize(
    ("policy", "failures", "stuck"), [("stop", 3, 0), ("continue", 3, 0), ("pause", 0, 3), ("list", 0, 0)]
)
def test_what_waits_at_an_agent_that_is_removed_becomes_dead_letters(policy, failures, stuck):
    """Whether behind its key or for room; what is a step goes on. Then nothing goes there any more."""
    state = run_of(agent("reader", "tasks", concurrency=None, key="k"), agent("other", "tasks"), channel_capacity=2)
    apply(state, published("tasks", "a", "a", "b", "c", "d", keys=["reader"]))
    assert apply(state, events.AgentRemoved(at=3, name="reader", policy=policy)) == []
    assert list(state.dead) == ["reader#2-2", "reader#2-4", "reader#2-5"]
    assert (state.failures, state.stuck, state.agents["reader"].failed) == (failures, stuck, 3)
    assert state.errors[:1] == ([] if policy == "list" else ["reader#2-2: agent 'reader' was removed"])
    assert state.inboxes["reader"].undelivered() == 2
    assert handle(state, "reader#2-1", "reader#2-3") == []
    assert state.inboxes["reader"].undelivered() == 0
    assert apply(state, published("tasks", "e", keys=["reader"])) == []
    assert state.channels == {"tasks": ["other"]}
    apply(state, events.AgentRemoved(at=4, name="other", policy=policy))
    assert state.channels == {}


def test_an_agent_may_come_back():
    """It counts on; its dead letters can be redelivered then."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1, 2))
    handle(state, "reader#2-1")
    apply(state, events.AgentRemoved(at=3, name="reader", policy="list"))
    apply(state, failed("reader#2-2", "list"))
    apply(state, events.AgentBound(at=4, agent=agent("reader", "tasks")))
    assert apply(state, events.Redelivered(at=5, steps=("reader#2-2",))) == ["reader#2-2.2"]
    assert apply(state, published("tasks", 3)) == []
    assert (state.agents["reader"].handled, state.agents["reader"].failed) == (1, 1)
    assert not state.agents["reader"].is_removed


# -- requests -------------------------------------------------------------------------------------------------


def asked(step="n", key="request:1"):
    return events.WaitOpened(at=3, step=step, key=key, kind="request", messages=messages("asks", 1))


def test_the_first_reply_is_the_answer():
    """Of several readers; those that come too late go nowhere."""
    state = run_of(agent("one", "asks"), agent("two", "asks"))
    assert apply(state, asked()) == ["one#2-1", "two#2-1"]
    assert state.pending["one#2-1"].message.request == "request:1"
    handle(state, "two#2-1", reply=msgspec.Raw(b'"first"'))
    handle(state, "one#2-1", reply=msgspec.Raw(b'"second"'))
    wait = state.waits["n"]["request:1"]
    assert (wait.is_open, wait.value) == (False, b'"first"')


def test_a_reply_that_nobody_waits_for_goes_nowhere():
    """Nobody asked for it, or whoever did has ended, or waits for something else under that key."""
    state = run_of(agent("one", "asks", "tasks"))
    apply(state, published("tasks", 1))
    handle(state, "one#2-1", reply=msgspec.Raw(b"1"))
    apply(state, asked())
    handle(state, "n")
    handle(state, "one#4-1", reply=msgspec.Raw(b"1"))
    assert state.waits == {}


def test_a_request_without_a_reply_in_time_is_made_again_by_the_next_attempt():
    """One that was answered, or is open, or another kind of wait, is not."""
    state = run_of(agent("one", "asks"))
    apply(state, events.StepStarted(at=3, step="n", attempt=1))
    for key in ("late", "answered", "open"):
        apply(state, asked(key=key))
    apply(state, events.WaitOpened(at=3, step="n", key="sleep:1", kind="sleep"))
    apply(state, events.WaitAnswered(at=4, step="n", key="answered", value=msgspec.Raw(b"1")))
    for key in ("late", "sleep:1"):
        apply(state, events.WaitAnswered(at=4, step="n", key=key))
    apply(state, events.AttemptFailed(at=5, step="n", attempt=1, error=ERROR, retry_at=6))
    assert list(state.waits["n"]) == ["answered", "open", "sleep:1"]


def test_a_request_that_times_out_is_kept_only_for_an_attempt_that_can_be_told():
    """Between two attempts there is none, nor before the first one after a resume."""
    state = run_of(agent("one", "asks"))

    def is_kept_where_it_times_out():
        apply(state, asked())
        apply(state, events.WaitAnswered(at=4, step="n", key="request:1"))
        return bool(state.waits["n"])

    apply(state, events.StepStarted(at=3, step="n", attempt=1))
    assert is_kept_where_it_times_out()
    apply(state, events.AttemptFailed(at=5, step="n", attempt=1, error=ERROR, retry_at=6))
    assert not is_kept_where_it_times_out()
    apply(state, events.StepStarted(at=6, step="n", attempt=2))
    assert is_kept_where_it_times_out()
    apply(state, events.StepFailed(at=7, step="n", attempt=2, error=ERROR, policy="pause"))
    apply(state, events.RunPaused(at=8, reason=""))
    apply(state, events.RunResumed(at=9))
    assert not is_kept_where_it_times_out()


def test_a_late_reply_answers_no_later_request():
    """The next attempt asked anew, maybe something else: only a reply to that is its answer."""
    state = run_of(agent("one", "asks", concurrency=2))
    apply(state, asked())
    apply(state, events.WaitAnswered(at=4, step="n", key="request:1"))
    apply(state, events.AttemptFailed(at=5, step="n", attempt=1, error=ERROR, retry_at=6))
    apply(state, asked())
    handle(state, "one#2-1", reply=msgspec.Raw(b'"late"'))
    assert state.waits["n"]["request:1"].is_open
    handle(state, "one#5-1", reply=msgspec.Raw(b'"in time"'))
    assert state.waits["n"]["request:1"].value == b'"in time"'


@pytest.mark.parametrize("step", ["n", "one#2-1"])
def test_a_request_that_was_not_answered_is_made_again_after_a_resume(step):
    """Fresh tries ask anew: else they would all find that nobody has replied."""
    state = run_of(agent("one", "tasks"), agent("two", "asks"))
    apply(state, published("tasks", 1))
    apply(state, asked(step))
    apply(state, events.WaitAnswered(at=4, step=step, key="request:1"))
    apply(state, failed(step, "pause"))
    apply(state, events.RunResumed(at=5))
    assert step in state.pending
    assert "request:1" not in state.waits.get(step, {})


# -- child flows ----------------------------------------------------------------------------------------------


def test_a_child_flow_has_inboxes_of_its_own_and_ends_when_nothing_is_undelivered():
    """Its steps are in it; what they publish stays in it; it is forgotten with all of them."""
    state = run_of(agent("reader", "tasks"), agent("writer", "more"))
    assert apply(state, opened(1, 2)) == [f"{CHILD}/reader#2-1"]
    assert state.pending[f"{CHILD}/reader#2-1"].message.source == "n"
    assert apply(state, published("tasks", "outside")) == ["reader#3-1"]
    assert state.pending[CHILD].unmet == 2
    published_there = apply(state, succeeded(f"{CHILD}/reader#2-1", messages=messages("more", 3)))
    assert published_there == [f"{CHILD}/writer#4-1", f"{CHILD}/reader#2-2"]
    assert handle(state, f"{CHILD}/reader#2-2") == []
    assert handle(state, f"{CHILD}/writer#4-1") == [CHILD]
    handle(state, CHILD)
    assert (state.scopes, list(state.pending), state.succeeded) == ({}, ["n", "reader#3-1"], {})


def test_what_a_child_flow_begins_with_was_led_to_by_what_its_code_handles():
    """The message of the delivery that executes it is the parent."""
    state = run_of(agent("reader", "tasks"), agent("boss", "go"))
    apply(state, published("go", 1))
    apply(state, opened(2, step="boss#2-1"))
    assert state.pending["boss#2-1:child:1/reader#3-1"].message.parent == "2-1"


def test_a_child_flow_waits_for_its_nodes_and_its_messages():
    """Whichever end last."""
    state = run_of(agent("reader", "tasks"))
    graph = Definition(name="two", nodes=(node("x"),))
    assert apply(state, opened(1, graph=graph)) == [f"{CHILD}/x", f"{CHILD}/reader#2-1"]
    assert handle(state, f"{CHILD}/reader#2-1") == []
    assert apply(state, succeeded(f"{CHILD}/x", messages=messages("tasks", 2))) == [f"{CHILD}/reader#4-1"]
    assert handle(state, f"{CHILD}/reader#4-1") == [CHILD]


@pytest.mark.parametrize("channel", ["void", "tasks"])
def test_a_child_flow_in_which_nothing_waits_has_ended(channel):
    """A message that nobody reads keeps nothing going."""
    state = run_of(agent("reader", "tasks"))
    assert apply(state, opened(1, channel=channel)) == ([CHILD] if channel == "void" else [f"{CHILD}/reader#2-1"])


def test_a_graph_and_a_map_publish_to_the_flow_around_them():
    """Only code that executes a flow makes one with agents of its own."""
    state, _ = begun(node("n"), node("sub", graph="g"), agents=(agent("reader", "tasks", concurrency=9),),
                     graphs={"g": Definition(name="g", nodes=(node("each", map=Map("inputs.xs")),))})  # fmt: skip
    apply(state, events.ScopeOpened(at=2, step="sub", graph="g"))
    apply(state, events.ScopeOpened(at=2, step="sub/each", items=msgspec.Raw(b"[1,2]"), count=2))
    assert flow_with_agents(state, "sub/each/0") == ""
    assert apply(state, succeeded("sub/each/0", messages=messages("tasks", 1))) == ["reader#4-1"]
    apply(state, opened(1, step="sub/each/1"))
    assert flow_with_agents(state, "sub/each/1:child:1/reader#5-1") == "sub/each/1:child:1"


@pytest.mark.parametrize(
    ("policy", "ready", "failures", "stuck", "own_failures"),
    [
        ("stop", [CHILD], 1, 0, 0),
        ("continue", [CHILD], 0, 0, 1),
        ("pause", [], 0, 1, 0),
        ("list", [CHILD], 0, 0, 0),
    ],
)
def test_a_dead_letter_of_a_child_flow_is_a_failure_in_it(policy, ready, failures, stuck, own_failures):
    """Unless it stops or pauses the run; a flow that is stuck does not end."""
    state = run_of(agent("reader", "tasks"))
    apply(state, opened(1))
    assert apply(state, failed(f"{CHILD}/reader#2-1", policy)) == ready
    scope = state.scopes[CHILD]
    assert (state.failures, state.stuck, scope.failures) == (failures, stuck, own_failures)
    assert len(scope.errors) == own_failures


@pytest.mark.parametrize("policy", ["continue", "pause", "list"])
def test_a_child_flow_waits_for_what_is_redelivered_in_it(policy):
    """As for any message; its failure counts no more."""
    state = run_of(agent("reader", "tasks"))
    apply(state, opened(1, 2))
    apply(state, failed(f"{CHILD}/reader#2-1", policy))
    assert apply(state, events.Redelivered(at=4, steps=(f"{CHILD}/reader#2-1",))) == []
    assert handle(state, f"{CHILD}/reader#2-2") == [f"{CHILD}/reader#2-1.2"]
    assert (state.scopes[CHILD].failures, state.scopes[CHILD].errors, state.stuck) == (0, [], 0)
    assert handle(state, f"{CHILD}/reader#2-1.2") == [CHILD]


def test_a_child_flow_that_paused_the_run_goes_on_with_it():
    """A resume delivers its dead letters too."""
    state = run_of(agent("reader", "tasks"))
    apply(state, opened(1))
    apply(state, failed(f"{CHILD}/reader#2-1", "pause"))
    assert apply(state, events.RunResumed(at=4)) == [f"{CHILD}/reader#2-1"]
    assert handle(state, f"{CHILD}/reader#2-1") == [CHILD]


@pytest.mark.parametrize(("own", "failures", "ready"), [("", 1, [CHILD]), ("pause", 0, [])])
@pytest.mark.parametrize("policy", ["continue", "pause", "stop"])
def test_what_waits_in_a_child_flow_at_an_agent_that_is_removed_is_dead_too(policy, own, failures, ready):
    """The flow ends with what is still at work; where the agent says pause, it waits for the letters."""
    state = run_of(agent("reader", "tasks", on_failure=own))
    apply(state, opened(1, 2))
    assert apply(state, events.AgentRemoved(at=3, name="reader", policy=policy)) == []
    assert (list(state.dead), state.scopes[CHILD].failures) == ([f"{CHILD}/reader#2-2"], failures)
    assert handle(state, f"{CHILD}/reader#2-1") == ready


def test_a_child_flow_that_is_over_takes_its_dead_letters_along():
    """Nothing can be delivered there any more; those of others stay, and the agent's failures count on."""
    state = run_of(agent("reader", "tasks"))
    apply(state, published("tasks", 1))
    apply(state, opened(1, 2))
    for step in ("reader#2-1", f"{CHILD}/reader#3-1", f"{CHILD}/reader#3-2"):
        apply(state, failed(step, "continue"))
    assert list(state.scopes[CHILD].dead) == [f"{CHILD}/reader#3-1", f"{CHILD}/reader#3-2"]
    apply(state, failed(CHILD, "continue"))
    assert (list(state.dead), state.dead_of) == (["reader#2-1"], {"2-1": ["reader#2-1"]})
    assert state.agents["reader"].failed == 3


def test_a_child_flow_that_is_given_up_takes_its_deliveries_along():
    """At work, waiting, dead: the run does not pause for them, and keeps nothing of them."""
    state = run_of(agent("reader", "tasks"), agent("writer", "tasks"))
    apply(state, opened(1, 2))
    apply(state, failed(f"{CHILD}/reader#2-1", "pause"))
    apply(state, failed(f"{CHILD}/reader#2-2", "continue"))
    apply(state, events.StepCancelled(at=4, step=CHILD, attempt=1, reason="enough"))
    assert (list(state.pending), state.scopes, state.stuck, state.errors) == (["n"], {}, 0, [])
    assert (state.dead, state.dead_of, state.agents["reader"].failed) == ({}, {}, 2)


@pytest.mark.parametrize("is_resumed", [False, True], ids=["dead", "waiting"])
def test_a_child_flow_that_is_given_up_leaves_nothing_of_a_dead_letter_that_is_tried_again(is_resumed):
    """Its waits, and the child flow that its code executed: also where it waits behind another message."""
    state = run_of(agent("reader", "tasks"))
    letter, inner = f"{CHILD}/reader#2-1", f"{CHILD}/reader#2-1:child:1"
    apply(state, opened(1, 2))
    apply(state, opened(2, step=letter))
    apply(state, events.WaitOpened(at=3, step=f"{inner}/reader#3-1", key="k", kind="sleep"))
    apply(state, failed(letter, "pause"))
    if is_resumed:
        apply(state, events.RunResumed(at=4))
        assert letter not in state.pending
    apply(state, events.StepCancelled(at=4, step=CHILD, attempt=1, reason="enough"))
    assert (list(state.pending), state.scopes, state.stuck, state.waits) == (["n"], {}, 0, {"n": {}})
