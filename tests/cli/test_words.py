"""dagger.cli.words: each event in one line."""

import pytest
from msgspec import Raw
from tests.views.journals import agent, posted

from dagger.cli.words import NOTE_CHARACTERS, line_of, messages_text
from dagger.core import events
from dagger.core.graph import Definition, Node

ERROR = events.Error("ValueError", "no\n  good")
DONE = events.StepSucceeded(at=0, step="a", duration_ms=1200)
SENT = (*posted("results", "secret", 2), *posted("log", 3))


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (DONE, "done       a in 1.2 s"),
        (
            events.AttemptFailed(at=0, step="a", attempt=2, error=ERROR, retry_at=2000),
            "retry      a: attempt 2 failed: ValueError: no good; again in 2.0 s",
        ),
        (
            events.StepFailed(at=0, step="a", attempt=3, error=ERROR, policy="pause"),
            "failed     a: attempt 3: ValueError: no good",
        ),
        (events.StepSkipped(at=0, step="b", reason="'a' failed"), "skipped    b: 'a' failed"),
        (events.StepCancelled(at=0, step="b", attempt=1, reason="Ctrl-C"), "cancelled  b: Ctrl-C"),
        (
            events.LimitReached(at=0, limit="max_tokens", value=10, policy="pause"),
            "limit      max_tokens of 10 used up",
        ),
        (
            events.LimitReached(at=0, limit="max_messages", value=1000, policy="stop", detail="tasks -> log -> tasks"),
            "limit      max_messages of 1000 used up: tasks -> log -> tasks",
        ),
        (
            events.AttemptFailed(at=0, step="a", attempt=2, error=ERROR, failure="mend"),
            "failed     a: attempt 2: ValueError: no good; mend handles it",
        ),
        (
            events.StepSucceeded(at=0, step="a:failure", duration_ms=3, recovers={}),
            "recovered  a by its failure action in 3 ms",
        ),
        (
            events.StepSucceeded(at=0, step="work:k/a:failure", duration_ms=3, recovers={}),
            "recovered  work:k/a by its failure action in 3 ms",
        ),
        (
            events.StepSucceeded(at=0, step="worker#2-1", duration_ms=3, messages=SENT, reply=Raw(b'"secret"')),
            "done       worker#2-1 in 3 ms, replied, published 3 messages to results, log",
        ),
        (events.MessagesPublished(at=0, messages=SENT[:1]), "published  1 message to results"),
        (
            events.WaitOpened(at=0, step="a", key="request:1", kind="request", messages=SENT[:1]),
            "requests   a: 1 message to results",
        ),
        (events.AgentBound(at=0, agent=agent("late", "tasks", "log")), "agent      late reads tasks, log"),
        (
            events.AgentRemoved(at=0, name="late"),
            "agent      late was removed; what waited at it became dead letters",
        ),
        (events.Redelivered(at=0, steps=("w#2-1", "w#2-2")), "again      w#2-1, w#2-2: delivered anew"),
        (
            events.Redelivered(at=0, steps=tuple(f"w#2-{number}" for number in range(1, 11))),
            "again      w#2-1, w#2-2, w#2-3, w#2-4, w#2-5, w#2-6, w#2-7, w#2-8 and 2 more: delivered anew",
        ),
        (events.StepSucceeded(at=0, step="a", reused="r1"), "reused     a from run r1"),
        (events.Emitted(at=0, step="a", value=Raw(b'{"x": 1}')), 'emitted    a: {"x": 1}'),
        (events.NodeAdded(at=0, node=Node(id="n", action="x")), "added      n"),
        (events.ChildOpened(at=0, step="a", key="child:1", graph="inner"), "began      a: child flow inner"),
        (
            events.ChildOpened(
                at=0, step="a", key="k", graph="sup@1f", graphs={"sup@1f": Definition(name="sup", nodes=())}
            ),
            "began      a: child flow sup",
        ),
        (
            events.ChildOpened(at=0, step="a", key="k", graph="tasks@1f", messages=posted("tasks", 1)),
            "began      a: channel tasks",
        ),
        (
            events.MessagesPublished(at=0, messages=posted("odd\nname\x1b\u2028", 1)),
            "published  1 message to odd name␛ ",
        ),
        (
            events.Instructed(at=0, key="k", value=Raw(b'{"action":"search"}')),
            'instructed {"action":"search"}',
        ),
        (
            events.WaitOpened(
                at=0,
                step="a",
                key="review:1",
                kind="review",
                review="r1",
                detail=Raw(b'{"question":"Which\\none?","options":["red",5]}'),
            ),
            "asks       a: Which one? [red, 5] (r1)",
        ),
        (events.WaitOpened(at=0, step="a", key="sleep:1", kind="sleep"), None),
        (
            events.WaitAnswered(at=0, step="a", key="review:1", value=Raw(b'"red"'), review="r1", who="ann"),
            'answered   a: "red" by ann (r1)',
        ),
        (
            events.WaitAnswered(at=0, step="a", key="review:1", review="r1"),
            "unanswered a: the question is open no more (r1)",
        ),
        (
            events.WaitAnswered(at=0, step="a", key="review:1", error=ERROR, review="r1"),
            "withdrawn  a: the question is open no more (r1)",
        ),
        (events.WaitAnswered(at=0, step="a", key="sleep:1"), None),
        (
            events.OrderRefused(at=0, order="o", error=ERROR, given=Raw(b"{}")),
            "refused    an order: ValueError: no good",
        ),
        (events.RunWaiting(at=0, reason="waits for a person"), "waits      for a person"),
        (events.RunWaiting(at=0, reason="to try again", wake_at=5, is_active=True), None),
        (events.RunParked(at=0, reason="for a person"), None),
        (events.StepStarted(at=0, step="a", attempt=1), None),
    ],
)
def test_events_are_told_in_one_line_each(event, line):
    """Those that people want to hear of."""
    assert line_of(event) == line


def test_very_many_channels_are_told_in_part():
    """A line stays a line."""
    sent = [message for number in range(20) for message in posted(f"channel{number}", 1)]
    assert messages_text(sent).endswith("channel6, channel7, …")
    assert len(messages_text(posted("x" * 1000, 1))) == NOTE_CHARACTERS
