"""What follows a supervisor's turn, as plain data."""

import msgspec
import pytest
from tests.core.journals import failed, succeeded

from dagger.core import events, iterate
from dagger.core.cache import Write
from dagger.core.config import RunConfig
from dagger.core.fold import apply, fold
from dagger.core.graph import INSTRUCTIONS, Definition, Input, Node

NEVER = RunConfig.of({"review_frequency": None})
RAW = msgspec.Raw(b'{"action":"a"}')


def begun(*, keep_alive=False, instructions=0, config=None):
    """The state of an agent-driven run before its first turn, and that turn's node."""
    first = iterate.first("plan", [Input("task", "inputs.task")], keep_alive=keep_alive)
    given = [Write("set", INSTRUCTIONS, iterate.given_key(ordinal), RAW) for ordinal in range(instructions)]
    started = events.RunStarted(
        at=1, run_id="r", spec=events.Spec("agent", "plan"), graph=Definition(name="plan", nodes=(first,)),
        config=config or {}, cache=given,
    )  # fmt: skip
    return fold([started]), first


def turn(step="supervisor_1", *added, **fields):
    """A successful turn that added nodes of these ids."""
    nodes = tuple(Node(id=each, action="a", on_failure="continue") for each in added)
    return succeeded(step, nodes=nodes, **fields)


def following(state, node, event, config=NEVER):
    return iterate.next_iteration(state, config, node, event)


# -- the next iteration --------------------------------------------------------------------------------------


def test_the_next_iteration_waits_for_what_was_added_whatever_becomes_of_it():
    """It is the same node with the next number; its hash is that of the same work."""
    state, first = begun()
    (second,) = following(state, first, turn("supervisor_1", "x", "y"))

    assert (second.id, second.dependencies, second.run_when) == ("supervisor_2", ("x", "y"), "finished")
    assert (second.action, second.inputs) == (first.action, first.inputs)
    assert second.iteration == msgspec.structs.replace(first.iteration, number=2)


def test_numbers_go_on_past_nine():
    """The number stands at the end of the id, and only there."""
    state, first = begun()
    node = msgspec.structs.replace(first, id="supervisor_9", iteration=iterate.Iteration(9))
    (tenth,) = following(state, node, turn("supervisor_1", "x"))
    assert tenth.id == "supervisor_10"
    (eleventh,) = following(state, tenth, turn("supervisor_1", "x"))
    assert eleventh.id == "supervisor_11"


@pytest.mark.parametrize(
    ("keep_alive", "instructions", "event", "ids"),
    [
        (False, 0, turn(), []),
        (False, 0, turn("supervisor_1", "x"), ["supervisor_2"]),
        (False, 1, turn(), ["supervisor_2"]),
        (True, 0, turn(), ["supervisor_2"]),
        (True, 0, turn("supervisor_1", "x", result=msgspec.Raw(b"1")), []),
        (False, 1, turn("supervisor_1", "x", result=msgspec.Raw(b"null")), []),
        (False, 1, turn(cache=(Write("delete", INSTRUCTIONS, iterate.given_key(0)),)), []),
        (False, 0, turn(cache=(Write("set", INSTRUCTIONS, "more", RAW),)), ["supervisor_2"]),
        (False, 0, turn(cache=(Write("set", "global", "more", RAW),)), []),
    ],
    ids=["idle", "added", "instructed", "alive", "finished", "finished null", "worked", "wrote one", "wrote other"],
)
def test_there_is_a_next_one_where_there_is_something_to_do(keep_alive, instructions, event, ids):
    """Added nodes, instructions that wait after this turn's writes, or an order to stay; never after the result."""
    state, first = begun(keep_alive=keep_alive, instructions=instructions)

    assert [node.id for node in following(state, first, event)] == ids


@pytest.mark.parametrize(("event", "is_idle"), [(turn(), True), (turn("supervisor_1", "x"), False)])
def test_one_that_has_nothing_to_do_is_idle(event, is_idle):
    """It begins when there is an instruction."""
    state, first = begun(keep_alive=True)
    (second,) = following(state, first, event)
    assert second.iteration.is_idle is is_idle


def test_a_result_that_somebody_else_gave_ends_the_iterations():
    """The run has its result: nothing new iterates."""
    state, first = begun()
    apply(state, events.NodeAdded(at=2, node=Node(id="x", action="a")))
    apply(state, succeeded("x", result=msgspec.Raw(b"1")))
    assert following(state, first, turn("supervisor_1", "y")) == ()


# -- reviews -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frequency", "asked"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (5, [5]), (None, [])])
def test_a_person_is_asked_after_every_so_many_iterations(frequency, asked):
    """The review waits for what the iteration added, and the next iteration for the review."""
    state, node = begun()
    config = RunConfig.of({"review_frequency": frequency})
    found = []
    for number in range(1, 7):
        *reviews, node = following(state, node, turn("supervisor_1", "x"), config)
        assert node.id == f"supervisor_{number + 1}"
        assert node.dependencies == ("x", *(review.id for review in reviews))
        for review in reviews:
            assert (review.action, review.dependencies, review.run_when) == ("human_interrupt", ("x",), "finished")
            found.append(number)
    assert found == asked
    assert (node.when is not None) is (6 in asked)


# -- what it has seen ----------------------------------------------------------------------------------------


def seen(*outcomes):
    """The state after two turns, the second of which saw nodes that failed or not."""
    state, first = begun()
    event = turn("supervisor_1", *(f"n{index}" for index in range(len(outcomes))))
    nodes = event.nodes + following(state, first, event)
    apply(state, msgspec.structs.replace(event, nodes=nodes, cache=(Write("set", "global", "iteration", RAW),)))
    for index, policy in enumerate(outcomes):
        apply(state, failed(f"n{index}", policy) if policy else succeeded(f"n{index}"))
    return state


def test_what_a_turn_saw_fail_fails_nothing():
    """The failures are taken back with the turn's success, and not before."""
    state = seen("continue", None, "continue")
    assert (state.failures, len(state.errors)) == (2, 2)

    apply(state, turn("supervisor_2", cache=(Write("set", "global", "iteration", RAW),)))
    assert (state.failures, state.errors, state.iterations) == (0, [], 2)


def test_what_no_turn_saw_still_counts():
    """A failure of a node that the turn did not wait for stays."""
    state = seen("continue")
    apply(state, events.NodeAdded(at=3, node=Node(id="n01", action="a")))
    apply(state, failed("n01", "continue"))
    apply(state, turn("supervisor_2", cache=(Write("set", "global", "iteration", RAW),)))

    assert (state.failures, state.errors) == (1, ["n01: ValueError: no"])


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "granted", "used", "is_reached"),
    [(2, 0, 1, False), (2, 0, 2, True), (2, 2, 3, False), (2, 2, 4, True), (None, 0, 10_000, False)],
)
def test_so_many_iterations_are_allowed(allowed, granted, used, is_reached):
    """The config's, and those that people granted."""
    state, _ = begun(config={"max_iterations": allowed})
    state.iterations, state.granted = used, granted

    reached = iterate.limit(state, 5, "stop")

    assert (reached is not None) is is_reached
    if reached is not None:
        assert (reached.limit, reached.value, reached.policy) == ("max_iterations", allowed + granted, "stop")


def test_an_answer_grants_as_many_again():
    """`continue` does, anything else does not; an answer of another wait neither, whatever its key."""
    state, _ = begun(config={"max_iterations": 7})
    state.iterations = 7
    key = iterate.limit_key(iterate.limit(state, 5, "pause"))
    assert key == "limit:max_iterations:7"
    for name, answer, review, granted in [
        (key, b'"continue"', "x", 7),
        (key, b'"stop"', "x", 0),
        (key, b'"continue"', "", 0),
        ("review:1", b'"continue"', "x", 0),
    ]:
        state, _ = begun(config={"max_iterations": 7})
        step = "supervisor_1"
        apply(state, events.WaitOpened(at=2, step=step, key=name, kind="review" if review else "memo", review=review))
        apply(state, events.WaitAnswered(at=3, step=step, key=name, value=msgspec.Raw(answer), review=review))
        assert state.granted == granted


# -- who there is --------------------------------------------------------------------------------------------


def test_a_run_has_a_supervisor_as_long_as_one_is_to_come():
    """Not after its last turn, nor when the result is there."""
    state, _ = begun()
    assert iterate.has_supervisor(state)
    state.result = b"1"
    assert not iterate.has_supervisor(state)
    state, _ = begun()
    apply(state, turn())
    assert not iterate.has_supervisor(state)


def test_a_supervisor_that_waits_for_an_instruction_is_idle():
    """By its open wait; one that is answered is none."""
    state, _ = begun(keep_alive=True)
    assert iterate.idle(state) == []
    kind = iterate.INSTRUCTION
    apply(state, events.WaitOpened(at=2, step="supervisor_1", key=kind, kind=kind))
    assert iterate.idle(state) == ["supervisor_1"]
    apply(state, events.WaitAnswered(at=3, step="supervisor_1", key=kind))
    assert iterate.idle(state) == []
