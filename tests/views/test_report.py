"""Report: its head at once, its steps lazily, and nothing that changes later."""

import itertools
import json as stdlib_json
import tracemalloc

import msgspec
import pytest
from tests.views.journals import (
    T,
    agent,
    attempt_failed,
    ended,
    executed,
    failed,
    journal,
    json,
    node,
    opened,
    posted,
    skipped,
    started,
    succeeded,
)

from dagger.core import codec
from dagger.core.errors import StoreError
from dagger.core.events import (
    AgentBound,
    AgentRemoved,
    CancelRequested,
    LimitReached,
    MessagesPublished,
    PauseRequested,
    Recorded,
    Redelivered,
    RunParked,
    RunPaused,
    RunResumed,
    RunWaiting,
    RunWoken,
    StepCancelled,
    TokensSpent,
)
from dagger.core.graph import Definition, Map
from dagger.views.outcome import moment
from dagger.views.report import Report


class Counted:
    """A journal that counts how often it is read."""

    def __init__(self, recorded):
        self.recorded = recorded
        self.reads = 0

    def __call__(self):
        self.reads += 1
        return iter(self.recorded)


def no_blobs(hash_):
    raise AssertionError(f"blob {hash_} was loaded")


def report_of(nodes, *following, load=no_blobs, **started_with):
    recorded, state = journal(nodes, *following, **started_with)
    return Report(state, Counted(recorded), load)


def test_a_run_that_succeeded():
    """Status, outputs by node and name, result, tokens, active seconds, outcomes."""
    report = report_of(
        [node("add"), node("square", after=["add"])],
        TokensSpent(at=T + 9, step="add", count=7),
        succeeded("add", 10, outputs={"sum": 30.0}),
        succeeded("square", 20, outputs={"root": 5, "list": [1]}, result=json({"done": True})),
        ended(1500),
    )
    assert (report.run_id, report.status, report.overall_success, report.error) == ("run-1", "succeeded", True, None)
    assert report.outputs == {"add": {"sum": 30.0}, "square": {"root": 5, "list": [1]}}
    assert (report.result, report.tokens, report.duration) == ({"done": True}, 7, 1.5)
    assert [outcome.node_id for outcome in report.node_outcomes] == ["add", "square"]
    assert (report.agents, report.messages, report.iterations) == ({}, 0, 0)


def test_a_run_that_failed_names_failures_and_skips():
    """The error joins the final errors; what was skipped says because of what."""
    report = report_of(
        [node("a"), node("b", after=["a"]), node("c")],
        attempt_failed("a", 10),
        failed("a", 20, attempt=2),
        skipped("b", 20, "'a' failed"),
        failed("c", 30, message="bang"),
        ended(40, "failed", "a: ValueError: boom\nc: ValueError: bang"),
    )
    assert (report.status, report.overall_success) == ("failed", False)
    assert report.error == "a: ValueError: boom\nc: ValueError: bang"
    assert {name: outcome.status for name, outcome in report.node_outcomes.items()} == {
        "a": "failed",
        "b": "skipped",
        "c": "failed",
    }
    assert report.node_outcomes["b"].reason == "'a' failed"
    assert report.outputs == {}


def test_a_paused_run_has_an_error_and_after_its_resume_another_report():
    """The old report still says what it said, though it is read only now."""
    stuck = [failed("a", 10, policy="pause"), RunPaused(at=T + 20, reason="'a' failed")]
    recorded, state = journal([node("a")], *stuck)
    old = Report(state, Counted(recorded), no_blobs)

    more, later = journal([node("a")], *stuck, RunResumed(at=T + 9000), succeeded("a", 9100), ended(9100))
    recorded[:] = more
    new = Report(later, Counted(more), no_blobs)

    assert (old.status, old.error, old.duration) == ("paused", "a: ValueError: boom", 0.02)
    assert old.node_outcomes["a"].status == "failed"
    assert (new.status, new.error, new.duration) == ("succeeded", None, 0.12)
    assert new.node_outcomes["a"].retry_messages == ["Attempt 1 failed: ValueError: boom"]
    assert new.node_outcomes["a"].success


@pytest.mark.parametrize(
    ("following", "status", "error"),
    [
        ([CancelRequested(at=T + 5, reason="enough"), ended(9, "cancelled")], "cancelled", "RunCancelled: enough"),
        ([CancelRequested(at=T + 5), ended(9, "cancelled")], "cancelled", "RunCancelled"),
        (
            [LimitReached(at=T + 5, limit="max_tokens", value=100, policy="stop"), ended(9, "failed")],
            "failed",
            "TokenLimitReached: max_tokens of 100 used up",
        ),
        (
            [LimitReached(at=T + 5, limit="timeout_seconds", value=1, policy="pause"), RunPaused(at=T + 9, reason="")],
            "paused",
            "RunTimedOut: timeout_seconds of 1 used up",
        ),
        ([RunPaused(at=T + 9, reason="a person wished so")], "paused", None),
        ([PauseRequested(at=T + 5, reason="lunch"), RunPaused(at=T + 9, reason="lunch")], "paused", None),
        ([], "running", None),
    ],
)
def test_the_error_names_what_halted_the_run(following, status, error):
    """By the type of error that it is, whether it ended the run or paused it."""
    report = report_of([node("a")], *following)
    assert (report.status, report.error) == (status, error)


def test_a_cancelled_run_reports_what_was_done_and_what_was_cut_off():
    """Steps that never started have no outcome."""
    report = report_of(
        [node("a"), node("b"), node("c", after=["b"])],
        succeeded("a", 5, outputs={"x": 1}),
        started("b", 6),
        CancelRequested(at=T + 8, reason="enough"),
        StepCancelled(at=T + 9, step="b", attempt=1, reason="enough", duration_ms=3),
        ended(9, "cancelled"),
    )
    assert [(outcome.node_id, outcome.status) for outcome in report.node_outcomes] == [
        ("a", "succeeded"),
        ("b", "cancelled"),
    ]
    assert report.outputs == {"a": {"x": 1}}


def test_a_running_run_has_a_report_too():
    """Its duration goes up to its last event."""
    report = report_of([node("a"), node("b")], succeeded("a", 250))
    assert (report.status, report.overall_success, report.duration) == ("running", False, 0.25)


def test_the_head_costs_no_reading():
    """The journal is read once, when outcomes or outputs are first asked for."""
    recorded, state = journal([node("a")], succeeded("a", 1, outputs={"x": 1}), ended(2))
    read = Counted(recorded)
    report = Report(state, read, no_blobs)
    assert (report.status, report.error, repr(report)) == (
        "succeeded",
        None,
        "<Report of run 'run-1': succeeded after 2 ms>",
    )
    assert read.reads == 0
    assert (report.node_outcomes["a"].success, report.outputs, report.to_dict()["status"]) == (
        True,
        {"a": {"x": 1}},
        "succeeded",
    )
    assert read.reads == 1


def test_after_loading_the_report_lets_go_of_the_store():
    """The application loads it when it closes; it can be read for ever after."""
    recorded, state = journal([node("a")], succeeded("a", 1, outputs={"x": 1}), ended(2))
    read = Counted(recorded)
    report = Report(state, read, no_blobs)
    report.load()
    report.load()
    assert (report._read, report._load, read.reads) == (None, None, 1)
    assert report.outputs == {"a": {"x": 1}}


def test_large_outputs_are_loaded_with_the_outputs_and_not_with_the_outcomes():
    """Whoever asks how it went waits for no blob."""
    text, blob = codec.seal(codec.encode("x" * 100_000))
    loaded = []

    def load(hash_):
        loaded.append(hash_)
        return blob.content

    report = report_of([node("a")], succeeded("a", 1, outputs={"x": msgspec.Raw(text)}), ended(2), load=load)
    assert report.node_outcomes["a"].success
    assert loaded == []
    assert report.outputs["a"]["x"] == "x" * 100_000
    assert loaded == [blob.hash]


def test_outputs_of_child_scopes_are_not_the_runs_own():
    """Their outcomes are there, under their whole names; the map's node has the lists."""
    report = report_of(
        [node("each", map=Map("inputs.pages")), node("join", after=["each"])],
        opened("each", 1, items=["p", "q"]),
        succeeded("each/1", 2, outputs={"x": 2}),
        succeeded("each/0", 3, outputs={"x": 1}),
        succeeded("each", 3, outputs={"x": [1, 2]}),
        succeeded("join", 4, outputs={"y": 3}),
        ended(4),
    )
    assert report.outputs == {"each": {"x": [1, 2]}, "join": {"y": 3}}
    assert report.node_outcomes.keys() == ["each/1", "each/0", "each", "join"]


def test_a_recovered_node_has_the_outputs_that_its_failure_action_gave():
    """The failure action itself has an outcome, and no outputs."""
    report = report_of(
        [node("a", failure="rescue")],
        attempt_failed("a", 10, failure="rescue"),
        succeeded("a:failure", 20, outputs={"note": "sorry"}, recovers={"x": json(-1)}),
        ended(20),
    )
    assert (report.status, report.error, report.outputs) == ("succeeded", None, {"a": {"x": -1}})
    assert report.node_outcomes["a"].status == "recovered"
    assert report.node_outcomes["a:failure"].success


def test_a_failure_action_that_recovers_nothing_has_no_outputs():
    """Its node has failed."""
    report = report_of(
        [node("a", failure="tell")],
        attempt_failed("a", 10, failure="tell"),
        succeeded("a:failure", 20, outputs={"note": "sorry"}),
        failed("a", 20),
        ended(20, "failed", "a: ValueError: boom"),
    )
    assert (report.outputs, report.error) == ({}, "a: ValueError: boom")


def test_while_only_waits_are_open_no_active_time_passes():
    """A waiting run has a report too, and a parked one."""
    waiting = [succeeded("a", 250), RunWaiting(at=T + 300, reason="waits for sleep:1")]
    woken = [*waiting, RunParked(at=T + 5300, reason="waits for sleep:1"), RunWoken(at=T + 90_000), ended(90_100)]
    nodes = [node("a"), node("b")]
    assert (report_of(nodes, *waiting).status, report_of(nodes, *waiting).duration) == ("waiting", 0.3)
    assert (report_of(nodes, *woken).status, report_of(nodes, *woken).duration) == ("succeeded", 0.4)


def test_a_run_that_waits_for_an_attempt_is_active():
    """The delay between two tries counts."""
    waiting = RunWaiting(at=T + 300, reason="another attempt", is_active=True)
    assert report_of([node("a"), node("b")], waiting, succeeded("b", 700)).duration == 0.7


def test_attempts_whose_code_could_not_be_stopped_are_counted():
    """However they ended."""
    report = report_of(
        [node("a"), node("b")],
        attempt_failed("a", 10, is_abandoned=True),
        attempt_failed("a", 20, 2),
        failed("a", 30, 3, is_abandoned=True),
        CancelRequested(at=T + 35),
        StepCancelled(at=T + 40, step="b", attempt=1, reason="", is_abandoned=True),
        ended(40, "cancelled"),
    )
    assert (report.abandoned, report.to_dict()["abandoned"]) == (3, 3)


def test_the_report_is_json_ready():
    """Every field, in a form that any JSON writer takes."""
    report = report_of([node("a")], failed("a", 10, policy="stop"), ended(20, "failed"))
    as_json = stdlib_json.loads(stdlib_json.dumps(report.to_dict()))
    assert as_json == report.to_dict()
    assert list(as_json) == [
        "run_id",
        "status",
        "overall_success",
        "result",
        "error",
        "node_outcomes",
        "outputs",
        "agents",
        "tokens",
        "messages",
        "iterations",
        "duration",
        "lasted",
        "abandoned",
    ]
    assert repr(report) == "<Report of run 'run-1': failed after 20 ms: a: ValueError: boom>"


def test_how_long_a_run_lasted_is_what_a_clock_on_the_wall_says():
    """Waits and pauses count, which its active time leaves out; where they were long, both are told."""
    waits = RunWaiting(at=T + 100, reason="waits for 1 sleep", wake_at=T + 7_200_000)
    report = report_of([node("a")], waits, RunWoken(at=T + 7_200_000), succeeded("a", 7_200_010), ended(7_200_020))

    assert (report.lasted, report.duration) == (7200.02, 0.12)
    assert repr(report) == "<Report of run 'run-1': succeeded after 2 h 0 min (120 ms of it active)>"
    assert "succeeded · 2 h 0 min (120 ms of it active)" in report._repr_html_()


def test_a_report_of_later_says_again_why_it_cannot_be_read():
    """Its state is replayed when it is asked for; where that fails once, the next question fares no worse."""
    recorded, state = journal([node("a")], failed("a", 10), ended(20, "failed"))
    states = iter([StoreError("the disk is gone"), state])

    def replay():
        found = next(states)
        if isinstance(found, StoreError):
            raise found
        return found

    report = Report.later("run-1", "failed", replay, Counted(recorded), no_blobs)

    with pytest.raises(StoreError, match="the disk is gone"):
        _ = report.error
    assert report.error == "a: ValueError: boom"
    assert report.node_outcomes["a"].status == "failed"


def test_a_notebook_shows_the_outcomes_as_a_table():
    """Run, status and time above; values are not loaded for it."""
    blob = msgspec.Raw(b'{"$blob":"00","size":9}')
    report = report_of(
        [node("a"), node("b")], succeeded("a", 10, outputs={"x": blob}), failed("b", 30), ended(40, "failed")
    )

    shown = report._repr_html_()

    assert "<caption" in shown
    assert ">run run-1 · failed · 40 ms<" in shown
    assert shown.count("<tr>") == 3
    assert ">Failed after 1 attempt. Last error: ValueError: boom<" in shown


AGENTS = (agent("worker", "tasks"), agent("reader", "results"), agent("human_review", "human_review"))


def test_a_report_counts_what_each_agent_did():
    """All messages count, those from outside too. The built-in agent is told of where it was needed."""
    report = report_of(
        [],
        succeeded("worker#1-1", 5, messages=posted("results", 1)),
        failed("worker#1-2", 6, policy="continue"),
        MessagesPublished(at=T + 7, messages=posted("log", 1)),
        agents=(*AGENTS, agent("idle", "nothing")),
        messages=posted("tasks", 1, 2, 3),
    )
    assert report.messages == 5
    assert report.agents == {
        "worker": {"handled": 1, "failed": 1, "waiting": 1},
        "reader": {"handled": 0, "failed": 0, "waiting": 1},
        "idle": {"handled": 0, "failed": 0, "waiting": 0},
    }
    assert report.to_dict()["agents"] == report.agents
    asked = report_of([], agents=AGENTS, messages=posted("human_review", {"question": "?"}))
    assert asked.agents["human_review"] == {"handled": 0, "failed": 0, "waiting": 1}


def test_agents_are_counted_over_all_flows_of_a_run():
    """What code executes has inboxes of its own."""
    flow = Definition(name="tasks", nodes=())
    report = report_of(
        [node("a"), node("b")],
        executed("a", 5, flow, messages=posted("tasks", 1, 2)),
        executed("b", 6, flow, messages=posted("tasks", 3)),
        MessagesPublished(at=T + 7, messages=posted("tasks", 4)),
        succeeded("b:flow/worker#3-1", 8),
        agents=AGENTS[:1],
    )
    assert (report.agents, report.messages) == ({"worker": {"handled": 1, "failed": 0, "waiting": 3}}, 4)


def test_what_agents_handled_has_no_outcome_and_no_outputs_and_what_they_failed_at_has_one():
    """Redelivered, it shows what became of that; what an agent's code added is a node like any other."""
    report = report_of(
        [node("a")],
        succeeded("a", 1, outputs={"x": 1}),
        succeeded("worker#1-1", 5, outputs={"x": 1}, nodes=(node("more"),)),
        failed("worker#1-2", 6, policy="list"),
        succeeded("more", 7, outputs={"y": 2}),
        Redelivered(at=T + 7, steps=("worker#1-2",)),
        succeeded("worker#1-2.2", 8),
        agents=AGENTS[:1],
        messages=posted("tasks", 1, 2),
    )
    assert [(each.node_id, each.status) for each in report.node_outcomes] == [
        ("a", "succeeded"),
        ("worker#1-2", "failed"),
        ("more", "succeeded"),
        ("worker#1-2.2", "succeeded"),
    ]
    assert report.outputs == {"a": {"x": 1}, "more": {"y": 2}}


def test_what_waited_at_an_agent_that_was_removed_has_an_outcome():
    """It is a dead letter, though no attempt of it failed."""
    removed = AgentRemoved(at=T + 5, name="worker", policy="list")
    report = report_of([], removed, agents=AGENTS[:1], messages=posted("tasks", 1, 2))
    (outcome,) = report.node_outcomes
    assert (outcome.node_id, outcome.status, outcome.ended_at) == ("worker#1-2", "failed", moment(T + 5))
    assert outcome.final_error == "Failed after 0 attempts. Last error: agent 'worker' was removed"

    anew = [AgentBound(at=T + 6, agent=AGENTS[0]), Redelivered(at=T + 7, steps=("worker#1-2",))]
    done = [succeeded("worker#1-1", 8), succeeded("worker#1-2.2", 9)]
    again = report_of([], removed, *anew, *done, agents=AGENTS[:1], messages=posted("tasks", 1, 2))
    assert {name: each.status for name, each in again.node_outcomes.items()} == {
        "worker#1-2": "failed",
        "worker#1-2.2": "succeeded",
    }


def test_a_report_of_very_many_messages_keeps_none_of_them():
    """A run that is kept alive must not need more with each message that it has handled, not even for a moment."""
    count = 5_000

    def handled(number):
        step = f"worker#{2 * number}-1"
        return MessagesPublished(at=T, messages=posted("tasks", number)), succeeded(step, 9, outputs={"x": 1})

    recorded, state = journal([], *handled(1), agents=AGENTS[:1], keep_alive=True)
    state.seq = 1 + 2 * count
    following = enumerate((event for number in range(1, count + 1) for event in handled(number)), 2)
    events = itertools.chain(recorded[:1], (Recorded(seq, event) for seq, event in following))
    report = Report(state, lambda: events, no_blobs)

    tracemalloc.start()
    outcomes = len(report.node_outcomes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (outcomes, report.outputs, next(events, None)) == (0, {}, None)
    assert peak < 40 * count  # bytes: what is kept of one message takes ten times as much


def test_a_notebook_shows_the_agents_too():
    """Where there are any."""
    report = report_of([], failed("worker#1-1", 5, policy="list"), agents=AGENTS[:1], messages=posted("tasks", 1))
    assert ">agents<" in report._repr_html_()
    assert ">agents<" not in report_of([node("a")])._repr_html_()
