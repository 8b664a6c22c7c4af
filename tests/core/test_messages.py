"""Messages: how deliveries are named, what their names tell, and where messages can go round."""

import pytest
from tests.core.journals import agent

from dagger.core.messages import Message, agent_of, delivery_of, loops, message_of, name_of


def message(source="", round=1):
    return Message(12, 3, "tasks", b"1", source, 0, round=round)


def test_a_message_is_known_by_its_event_and_its_place_in_it():
    """Two of one event, of one millisecond, are two."""
    assert message().id == "12-3"


@pytest.mark.parametrize(("at_round", "step"), [(1, "reader#12-3"), (2, "reader#12-3.2"), (10, "reader#12-3.10")])
def test_a_delivery_is_named_by_its_agent_and_message(at_round, step):
    """And by its round: so each redelivery has an idempotency key of its own."""
    assert delivery_of("reader", message(round=at_round)) == step
    assert agent_of(step) == "reader"
    assert message_of(step) == "12-3"


@pytest.mark.parametrize(
    ("step", "name", "handles"),
    [
        ("reader#12-3", "reader", "12-3"),
        ("flow/reader-2_x#1-10.3", "reader-2_x", "1-10"),
        ("n:child:1/reader#2-1", "reader", "2-1"),
        ("n", "", ""),
        ("flow/each/7", "", ""),
        ("", "", ""),
        ("n:failure", "", ""),
        ("n:reader#2-1", "", ""),
        ("reader#2", "", ""),
        ("reader#2-1x", "", "2-1"),
        ("reader#2-1:child:1", "", "2-1"),
        ("reader#2-1:child:1/n", "", "2-1"),
        ("reader#2-1:child:1/other#5-2", "other", "5-2"),
        ("reader#2-1:child:1/n:child:1/m", "", "2-1"),
    ],
)
def test_a_step_tells_which_message_led_to_it(step, name, handles):
    """The one that it handles; else the one that the step handles which executes its flow."""
    assert (agent_of(step), message_of(step)) == (name, handles)


def test_a_messages_parent_is_what_its_source_handled():
    """None, where somebody outside, or a node, published it."""
    sources = ("", "n", "writer#5-1", "writer#5-1.2", "writer#5-1:child:1/n")
    assert [message(source).parent for source in sources] == ["", "", "5-1", "5-1", "5-1"]


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("flow/reader#2-1.2", "reader"),
        ("flow/n", "n"),
        ("n", "n"),
        ("", ""),
        ("each/7", "each"),
        ("sub/each/7/n1", "n1"),
    ],
)
def test_people_know_a_publisher_by_its_agent_or_node(step, name):
    """Without the flow that it is in."""
    assert name_of(step) == name


@pytest.mark.parametrize(("concurrency", "told"), [(1, True), (2, False), (None, False)])
def test_only_an_agent_with_one_message_at_a_time_is_ordered(concurrency, told):
    """With keys and no limit there is order only within a key."""
    assert agent("reader", "tasks", concurrency=concurrency).is_ordered is told


def test_loops_are_told_in_the_order_in_which_messages_go():
    """Each once, the shortest through its first channel; those of one channel, too. What ends somewhere is none."""
    agents = [
        agent("start", "in", publications=("x",)),
        agent("b", "y", publications=("z", "out")),
        agent("a", "x", publications=("y",)),
        agent("c", "z", publications=("x",)),
        agent("self", "echo", publications=("echo",)),
        agent("end", "out"),
        agent("late", "in", publications=("x", "y")),
    ]
    found = loops(agents)
    rings = [loop[loop.index(min(loop)) :] + loop[: loop.index(min(loop))] for loop in found]
    assert sorted(rings) == [["echo"], ["x", "y", "z"]]
    assert loops([]) == loops(agents[:2]) == []
