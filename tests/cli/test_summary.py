"""dagger.cli.summary: what a run came to, in a few lines."""

import shlex

import pytest
from tests.views.journals import T, agent, failed, journal, node, posted, succeeded

from dagger.cli import summary
from dagger.core.events import LimitReached, RunEnded, RunPaused, RunWaiting, RunWoken, TokensSpent
from dagger.core.reviews import Review
from dagger.views.report import Report

STORE = "/runs/it's mine.db"


def report_of(nodes, *events):
    recorded, state = journal(nodes, *events)
    return Report(state, lambda: recorded, lambda _: b""), recorded[0].event.graph


def paused(reason, ms=9):
    return RunPaused(at=T + ms, reason=reason)


def test_a_success_is_told_in_one_line():
    """How long it took, and how many steps it had."""
    report, _ = report_of([node("a")], succeeded("a", 5), RunEnded(at=T + 1300, status="succeeded"))

    assert summary.headline(report) == "run run-1 succeeded after 1.3 s: 1 step"
    assert list(summary.trouble(report, "", STORE)) == []


def test_the_time_is_that_of_a_clock_on_the_wall():
    """With the active time where the run waited for long."""
    waits = RunWaiting(at=T + 20, reason="waits for 1 sleep", wake_at=T + 60_000)
    woken = [waits, RunWoken(at=T + 60_000), succeeded("a", 60_005), RunEnded(at=T + 60_010, status="succeeded")]
    report, _ = report_of([node("a")], *woken)

    assert summary.headline(report) == "run run-1 succeeded after 1 min 0 s (30 ms of it active): 1 step"


def test_other_endings_are_counted():
    """And what the run spent is told."""
    report, _ = report_of(
        [node("a"), node("b")],
        TokensSpent(at=T + 4, step="a", count=1200),
        succeeded("a", 5),
        failed("b", 8, policy="pause"),
        paused("'b' failed"),
    )

    assert summary.headline(report) == "run run-1 is paused after 9 ms: 1 succeeded, 1 failed, 1,200 tokens"


def test_what_agents_did_is_told():
    """Each message once for each agent; those that failed are no steps beside it."""
    agents = (agent("worker", "tasks"), agent("audit", "tasks"))
    handled = [succeeded("audit#1-1", 5), failed("worker#1-1", 6, policy="continue")]
    recorded, state = journal([], *handled, agents=agents, messages=posted("tasks", 1, 2))
    report = Report(state, lambda: recorded, lambda _: b"")

    assert summary.headline(report) == "run run-1 running after 6 ms: 2 messages (1 handled, 1 failed, 2 waiting)"


def test_a_message_that_nobody_reads_is_counted():
    """Beside the steps."""
    recorded, state = journal([node("a")], succeeded("a", 5, messages=posted("log", 1)))
    report = Report(state, lambda: recorded, lambda _: b"")

    assert summary.headline(report) == "run run-1 running after 5 ms: 1 step, 1 message"


def test_the_outputs_of_the_last_nodes_are_told():
    """Those that no other node needs."""
    nodes = [node("a", outputs=["x"]), node("b", inputs={"x": "a.x"}, outputs=["y", "z"])]
    report, graph = report_of(
        nodes,
        succeeded("a", 5, outputs={"x": 1}),
        succeeded("b", 6, outputs={"y": "two", "z": [3]}),
        RunEnded(at=T + 9, status="succeeded"),
    )

    assert list(summary.outputs(report, graph, STORE)) == ['b.y = "two"', "b.z = [3]"]


def test_of_many_outputs_the_first_are_told():
    """With the command that tells all."""
    nodes = [node(f"n{number}", outputs=["x"]) for number in range(30)]
    ended = [succeeded(f"n{number}", 5, outputs={"x": number}) for number in range(30)]
    report, graph = report_of(nodes, *ended, RunEnded(at=T + 9, status="succeeded"))

    lines = list(summary.outputs(report, graph, STORE))

    assert len(lines) == 21
    assert lines[-1] == f"… and 10 more: dagger show run-1 --store {shlex.quote(STORE)} --json"
    assert list(summary.outputs(report, graph, "memory:"))[-1] == "… and 10 more"


def test_of_an_unfinished_run_outputs_are_counted():
    """Whoever resumes it again and again has seen them."""
    ended = [succeeded(f"n{number}", 5, outputs={"x": number}) for number in range(2)]
    report, graph = report_of([node("n0", outputs=["x"]), node("n1", outputs=["x"])], *ended, paused("tea"))
    none, _ = report_of([node("a")], paused("tea"))

    assert list(summary.outputs(report, graph, "/x.db")) == ["2 outputs so far: dagger show run-1 --store /x.db --json"]
    assert list(summary.outputs(none, graph, "/x.db")) == []


def test_an_application_that_the_journal_does_not_name_is_named():
    """Without it the command would not find it."""
    report, _ = report_of([node("a")], paused(""))

    told = list(summary.trouble(report, "", "/x.db", app="my apps/x.py:app"))
    assert told == ["  go on:   dagger resume run-1 --store /x.db --app 'my apps/x.py:app'"]


def test_what_goes_on_can_be_pasted_into_a_shell():
    """Reason, error, and a command whose words are quoted."""
    report, _ = report_of([node("a")], failed("a", 8, policy="pause"), paused("'a' failed; mend it"))

    lines = list(summary.trouble(report, "'a' failed; mend it", STORE))

    assert lines[0] == "  'a' failed; mend it"
    assert lines[1].startswith("  a: ")
    assert shlex.split(lines[2].removeprefix("  go on:   ")) == ["dagger", "resume", "run-1", "--store", STORE]


def test_who_paused_a_run_need_not_say_why():
    """No line is left empty."""
    report, _ = report_of([node("a")], paused(""))

    assert list(summary.trouble(report, "", "/x.db")) == ["  go on:   dagger resume run-1 --store /x.db"]


def test_a_run_that_waits_is_told_like_a_paused_one():
    """What for, and how to go on here."""
    report, _ = report_of([node("a")], RunWaiting(at=T + 8, reason="waits for 1 sleep"))

    assert list(summary.trouble(report, "waits for 1 sleep", "/x.db")) == [
        "  waits for 1 sleep",
        "  go on:   dagger resume run-1 --store /x.db",
    ]


def test_a_run_that_is_over_offers_its_details():
    """It cannot be resumed."""
    report, _ = report_of(
        [node("a")], failed("a", 8, policy="continue"), RunEnded(at=T + 9, status="failed", error="a: E: no")
    )

    assert list(summary.trouble(report, "", "/x.db"))[-1] == "  details: dagger show run-1 --store /x.db"


@pytest.mark.parametrize(
    ("limit", "value", "option"),
    [
        ("max_tokens", 10, " --config max_tokens=20"),
        ("timeout_seconds", 2.5, " --config timeout_seconds=5"),
        ("timeout_seconds", 50000, " --config timeout_seconds=null"),
    ],
)
def test_a_used_up_limit_is_raised_in_the_command(limit, value, option):
    """Else the run would pause again at once."""
    reason = f"{limit} of {value:g} used up"
    report, _ = report_of([node("a")], LimitReached(at=T + 8, limit=limit, value=value, policy="pause"), paused(reason))

    assert list(summary.trouble(report, reason, "/x.db"))[-1].endswith(f"--store /x.db{option}")


def test_of_many_errors_the_first_are_told():
    """Three lines, and how many more there are."""
    nodes = [node(f"n{number}") for number in range(6)]
    report, _ = report_of(
        nodes,
        *(failed(f"n{number}", 8, policy="continue") for number in range(6)),
        RunEnded(at=T + 9, status="failed"),
    )

    lines = list(summary.trouble(report, "", "/x.db"))

    assert len(lines) == 5
    assert lines[3] == "  and 3 more lines"


def review(number, options=None):
    return Review(
        id=f"r{number}", run_id="run-1", step="a", key="k", question="Which\none?", options=options, opened_ms=T
    )


def test_a_waiting_run_tells_what_it_asks():
    """With the command that answers; the run's reason would say the same."""
    report, _ = report_of([node("a")], RunWaiting(at=T + 20, reason="waits for 1 review"))

    assert list(summary.trouble(report, "waits for 1 review", STORE, [review(1, ["red", 5])])) == [
        "  asks:    Which one? [red, 5] (a)",
        f"  answer:  dagger answer r1 VALUE --store {shlex.quote(STORE)}",
    ]


def test_a_paused_run_tells_why_and_what_it_asks():
    """A limit, say."""
    report, _ = report_of([node("a")], paused("max_iterations of 2 used up"))

    told = list(summary.trouble(report, "max_iterations of 2 used up", STORE, [review(1)]))
    assert [line.split()[0] for line in told] == ["max_iterations", "asks:", "answer:"]


def test_of_very_many_questions_the_first_are_told():
    """And the command that lists them all."""
    told = list(summary.questions([review(number) for number in range(7)], STORE))

    assert len(told) == 2 * summary.REVIEWS_SHOWN + 1
    assert told[-1] == f"and 2 more reviews: dagger reviews run-1 --store {shlex.quote(STORE)}"
