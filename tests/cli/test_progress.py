"""dagger.cli.progress: how far a run is, told event by event."""

import msgspec
import pytest
from msgspec import Raw
from tests.views.journals import agent, posted

from dagger.cli.progress import PACE_TICKS, Pace, Progress
from dagger.core import events
from dagger.core.graph import Definition, Node

ERROR = events.Error("ValueError", "no")
TWO = (Node(id="a", action="x"), Node(id="b", action="x"))
BEGUN = events.RunStarted(
    at=0,
    run_id="r",
    spec=events.Spec("static", "g"),
    graph=Definition(name="g", nodes=TWO),
    graphs={"inner": Definition(name="inner", nodes=(*TWO, Node(id="c", action="x")))},
)


def after(*journal):
    progress = Progress()
    for seq, event in enumerate((BEGUN, *journal), 1):
        progress.apply(events.Recorded(seq, event))
    return progress


def told(progress):
    return {
        name: value if isinstance(value, int | str) else list(value)
        for name, value in vars(progress).items()
        if value and name not in ("graph", "graphs", "stuck", "seq", "total", "bound")
    }


started = events.StepStarted(at=0, step="a", attempt=1)
retried = events.AttemptFailed(at=0, step="a", attempt=1, error=ERROR, retry_at=9)
stuck = events.StepFailed(at=0, step="a", attempt=1, error=ERROR, policy="pause")
failed = events.StepFailed(at=0, step="a", attempt=1, error=ERROR, policy="continue")
spent = events.TokensSpent(at=0, step="a", count=5)
done = events.StepSucceeded(at=0, step="a")
asks = events.WaitOpened(at=0, step="a", key="review:1", kind="review")
naps = events.WaitOpened(at=0, step="a", key="sleep:1", kind="sleep")
rested = events.WaitAnswered(at=0, step="a", key="sleep:1")
limited = events.LimitReached(at=0, limit="max_iterations", value=2, policy="pause", review="r1")
half = events.Progressed(at=0, step="a", fraction=0.5)
handled = events.AttemptFailed(at=0, step="a", attempt=1, error=ERROR, failure="mend")
recovered = events.StepSucceeded(at=0, step="a:failure", recovers={})
answered = events.WaitAnswered(at=0, step="a", key="review:1")


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        ([], {}),
        ([started], {"running": ["a"]}),
        ([started, done], {"succeeded": 1}),
        ([done], {"succeeded": 1}),
        ([started, spent, spent, done], {"succeeded": 1, "tokens": 10}),
        ([started, retried], {"retrying": ["a"]}),
        ([started, retried, started], {"running": ["a"]}),
        ([started, retried, done], {"succeeded": 1}),
        ([started, failed], {"failed": 1}),
        ([stuck, events.RunPaused(at=0, reason="")], {"failed": 1}),
        ([stuck, events.RunPaused(at=0, reason=""), events.RunResumed(at=0)], {}),
        ([failed, events.RunResumed(at=0)], {"failed": 1}),
        ([failed, events.StepSkipped(at=0, step="b", reason="")], {"failed": 1, "skipped": 1}),
        (
            [started, events.StepCancelled(at=0, step="a", attempt=1, reason="")],
            {"cancelled": 1},
        ),
        ([started, asks], {"waiting": ["a"]}),
        ([asks, started], {"waiting": ["a"]}),
        ([started, asks, answered], {"running": ["a"]}),
        ([started, asks, naps, answered], {"waiting": ["a"]}),
        ([started, asks, naps, answered, rested], {"running": ["a"]}),
        ([started, limited], {"running": ["a"], "paused_for": "r1"}),
        ([limited, events.RunPaused(at=0, reason=""), events.RunResumed(at=0)], {}),
        ([started, events.WaitOpened(at=0, step="a", key="m", kind="memo")], {"running": ["a"]}),
        ([started, events.WaitOpened(at=0, step="a", key="m", kind="memo"), answered], {"running": ["a"]}),
        ([started, events.RunRecovered(at=0)], {}),
        ([started, events.RunPaused(at=0, reason="")], {}),
        ([half], {"progressed": ["a"]}),
        ([started, half, done], {"succeeded": 1}),
        ([started, half, retried], {"retrying": ["a"]}),
        ([started, half, events.RunPaused(at=0, reason="")], {}),
        ([handled], {}),
        ([handled, recovered], {"succeeded": 2}),
        ([handled, failed], {"failed": 1}),
    ],
)
def test_progress_is_what_the_journal_tells(journal, expected):
    """Each event moves its step, and counts it once."""
    assert told(after(*journal)) == expected


def test_steps_that_steps_add_are_counted():
    """The total grows while the run goes on."""
    progress = after(events.StepSucceeded(at=0, step="a", nodes=(Node(id="c", action="x"),)))

    assert (progress.ended, progress.total, progress.seq, progress.graph) == (1, 3, 2, "g")


@pytest.mark.parametrize(
    ("event", "total"),
    [
        (events.ScopeOpened(at=0, step="a", items=Raw(b"[1,2,3,4]"), count=4), 6),
        (events.ScopeOpened(at=0, step="a", graph="inner"), 5),
        (events.ScopeOpened(at=0, step="a/0", graph="inner"), 5),
        (events.ChildOpened(at=0, step="a", key="child:1", graph="inner"), 6),
        (events.ChildOpened(at=0, step="a", key="child:1", graph="own", graphs={"own": BEGUN.graph}), 5),
        (events.NodeAdded(at=0, node=Node(id="c", action="x")), 3),
        (handled, 3),
    ],
)
def test_steps_that_come_up_are_counted(event, total):
    """Of child flows, of orders, of failures that have an action."""
    assert after(event).total == total


def test_the_kinds_of_open_waits_are_known():
    """Each as long as it is open."""
    assert after(asks, naps).waits_for == {"review", "sleep"}
    assert after(asks, naps, rested).waits_for == {"review"}
    assert after(asks, answered).waits_for == set()


def test_progress_is_taken_from_a_journal_that_is_there():
    """As if its events had come one by one."""
    progress = Progress.of([events.Recorded(1, BEGUN), events.Recorded(2, done)])

    assert (progress.seq, progress.succeeded) == (2, 1)


WAITS = events.RunWaiting(at=0, reason="1 step sleeps", wake_at=9)


@pytest.mark.parametrize(
    ("journal", "rest"),
    [
        ([WAITS], WAITS),
        ([WAITS, events.RunWoken(at=0)], None),
        ([WAITS, events.RunRecovered(at=0)], None),
        ([WAITS, events.RunPaused(at=0, reason="")], None),
        ([WAITS, events.CancelRequested(at=0)], None),
    ],
)
def test_a_run_rests_until_something_happens(journal, rest):
    """Why, and until when, is what its last event says."""
    assert after(*journal).rest == rest


def test_what_is_told_live_has_no_place_in_the_journal():
    """Reading goes on where it was."""
    progress = after(started)
    progress.apply(events.Recorded(0, half))

    assert progress.seq == 2


def test_the_pace_is_kept_step_by_step():
    """Who is new is told of at once, who has moved at the next second, who has not never."""
    progress, pace = after(half), Pace()
    other, more = (events.Progressed(at=0, step=step, fraction=0.7) for step in ("b", "a"))

    assert pace.moved(progress) == [half]
    progress.apply(events.Recorded(0, other))
    progress.apply(events.Recorded(0, more))
    assert pace.moved(progress) == [other]
    assert [pace.moved(progress) for _ in range(2 * PACE_TICKS)].count([]) == 2 * PACE_TICKS - 1
    assert pace.moved(after()) == []
    assert pace.moved(progress) == [more, other]


BOUND = msgspec.structs.replace(
    BEGUN,
    agents=(agent("worker", "tasks"), agent("audit", "tasks"), agent("replier", "questions")),
    messages=posted("tasks", 1, 2),
)


def with_agents(*journal):
    return Progress.of(events.Recorded(seq, event) for seq, event in enumerate((BOUND, *journal), 1))


def counts(progress):
    return {name: (each.handled, each.failed, each.waiting) for name, each in progress.agents.items()}


letter = events.StepFailed(at=0, step="worker#1-1", attempt=1, error=ERROR, policy="list")
stuck_letter = msgspec.structs.replace(letter, policy="pause")
paused = events.RunPaused(at=0, reason="")
removed = events.AgentRemoved(at=0, name="worker", policy="list")
anew = events.Redelivered(at=0, steps=("worker#1-1",))
handled_one = events.StepSucceeded(at=0, step="worker#1-1")


@pytest.mark.parametrize(
    ("journal", "worker", "failed", "ended"),
    [
        ([], (0, 0, 2), 0, 0),
        ([events.StepStarted(at=0, step="worker#1-1", attempt=1)], (0, 0, 2), 0, 0),
        ([handled_one], (1, 0, 1), 0, 1),
        ([letter], (0, 1, 1), 1, 1),
        ([letter, anew], (0, 1, 2), 0, 0),
        ([letter, anew, events.StepSucceeded(at=0, step="worker#1-1.2")], (1, 1, 1), 0, 1),
        ([stuck_letter, paused], (0, 1, 1), 1, 1),
        ([stuck_letter, paused, events.RunResumed(at=0)], (0, 1, 2), 0, 0),
        ([stuck_letter, paused, anew, events.RunResumed(at=0)], (0, 1, 2), 0, 0),
        ([removed], (0, 2, 0), 2, 2),
        ([removed, letter], (0, 2, 0), 2, 2),
        ([events.StepStarted(at=0, step="worker#1-1", attempt=1), removed], (0, 1, 1), 1, 1),
        ([events.StepStarted(at=0, step="worker#1-1", attempt=1), removed, handled_one], (1, 1, 0), 1, 2),
        ([events.StepStarted(at=0, step="worker#1-1", attempt=1), removed, letter], (0, 2, 0), 2, 2),
        ([removed, events.MessagesPublished(at=0, messages=posted("tasks", 3))], (0, 2, 0), 2, 2),
        ([events.AgentBound(at=0, agent=BOUND.agents[0]), handled_one], (1, 0, 1), 0, 1),
    ],
)
def test_what_each_agent_has_done_and_has_to_do_is_counted(journal, worker, failed, ended):
    """A dead letter is a failed step, until it is delivered anew."""
    progress = with_agents(*journal)
    assert (counts(progress)["worker"], progress.failed, progress.ended) == (worker, failed, ended)


def test_a_message_is_a_step_of_each_agent_that_reads_it():
    """Whoever published it; one that nobody reads is no step."""
    published = events.StepSucceeded(at=0, step="a", messages=(*posted("tasks", 3), *posted("log", 4)))
    progress = with_agents(published)

    assert (progress.total, progress.messages) == (2 + 4 + 2, 4)
    assert counts(progress) == {"worker": (0, 0, 3), "audit": (0, 0, 3), "replier": (0, 0, 0)}


def test_a_reply_ends_the_wait_for_it():
    """The requester runs again; nothing of the request is kept when that has ended."""
    request = events.WaitOpened(at=0, step="a", key="request:1", kind="request", messages=posted("questions", 1))
    reply = events.StepSucceeded(at=0, step="replier#2-1", reply=Raw(b"1"))

    assert with_agents(request).waits_for == {"request"}
    assert [*with_agents(request, reply).running] == ["a"]
    done = with_agents(request, reply, done_a := events.StepSucceeded(at=0, step="a"))
    assert (done.waiting, done.running, done.requests, done.asking) == ({}, {}, {}, {})
    assert with_agents(request, done_a, reply).running == {}
