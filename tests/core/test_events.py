"""Every fact a run can record: frozen, and exactly the same after a trip through JSON."""

import inspect

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core import events
from dagger.core.cache import Write
from dagger.core.events import decode_event, encode_event
from dagger.core.graph import Condition, Definition, Input, Iteration, Map, Node, Output, Reuse
from dagger.core.messages import Agent, Published

RAW = msgspec.Raw(b'{"a":[1,2.5,"\\u00fc"]}')
NODE = Node(
    id="n",
    action="a",
    when=Condition("m.y", {"gt": msgspec.Raw(b"3")}),
    map=Map("m.y", 4),
    cache=Reuse(("x",), 60.0),
    dependencies=("m",),
    inputs=(Input("x", "m.y"), Input("z", value=RAW)),
    outputs=(Output("o"),),
    answers="child:1",
    iteration=Iteration(3, keep_alive=True, is_idle=True),
)
ERROR = events.Error("ValueError", "no", "Traceback …")
AGENT = Agent(
    name="worker",
    description="It works.",
    subscriptions=("tasks", "more"),
    publications=("results",),
    requests=True,
    node=NODE,
    concurrency=None,
    key="customer.id",
    input_schema={"type": "object"},
    output_schema={"enum": [1, None]},
)
MESSAGES = (Published("tasks", RAW), Published("tasks", RAW, {"worker": '"ü"'}))
EVENTS = [
    events.RunStarted(
        at=1,
        run_id="r",
        spec=events.Spec("static", "g"),
        graph=Definition(name="g", nodes=(NODE,), config={"max_parallel": 2}),
        config={"max_attempts": 3},
        inputs={"x": RAW},
        cache=[Write("set", "global", "k", RAW)],
        tags={"a": "b"},
        graphs={"h": Definition(name="h", nodes=(Node(id="n", graph="g"),))},
        agents=(AGENT,),
        messages=MESSAGES,
        keep_alive=True,
        app="m:app",
        fingerprint="f",
    ),
    events.RunRecovered(at=2),
    events.RunPaused(at=3, reason="why"),
    events.RunResumed(at=4, config={"max_tokens": None}, input=RAW),
    events.RunWaiting(at=4, reason="sleep", wake_at=9, is_active=True),
    events.RunParked(at=4, reason="sleep", wake_at=9),
    events.RunWoken(at=4),
    events.OrderRefused(at=4, order="o", error=ERROR, given=msgspec.Raw(b"{}")),
    events.PauseRequested(at=4, reason="enough", order="o"),
    events.NodeAdded(at=4, node=NODE, order="o"),
    events.LimitReached(at=5, limit="max_tokens", value=5.5, policy="pause", review="r", detail="messages go round"),
    events.CancelRequested(at=6, reason="enough", order="o"),
    events.RunEnded(at=7, status="failed", error="a: b"),
    events.StepStarted(at=8, step="s", attempt=2),
    events.StepSucceeded(
        at=9, step="s", attempt=2, duration_ms=3, outputs={"o": RAW}, cache=(Write("delete", "a", "b"),), nodes=(NODE,),
        result=RAW, recovers={"o": RAW}, key="k", reused="r", messages=MESSAGES, reply=RAW,
    ),
    events.ScopeOpened(at=9, step="s", graph="g", inputs={"x": RAW}, items=RAW, count=3),
    events.TokensSpent(at=10, step="s", count=4),
    events.AttemptFailed(at=10, step="s", attempt=1, error=ERROR, duration_ms=1, retry_at=99, failure="mend"),
    events.StepFailed(at=11, step="s", attempt=3, error=ERROR, duration_ms=1, policy="stop"),
    events.StepSkipped(at=12, step="s", reason="'a' failed"),
    events.StepCancelled(at=13, step="s", attempt=1, reason="x", duration_ms=1),
    events.WaitOpened(at=14, step="s", key="sleep:1", kind="sleep", detail=RAW, wake_at=5, messages=MESSAGES),
    events.WaitAnswered(at=15, step="s", key="sleep:1", value=RAW, error=ERROR, review="r", who="me", order="o"),
    events.Instructed(at=16, key="k", value=RAW, order="o"),
    events.ChildOpened(
        at=17, step="s", key="child:1", graph="g", graphs={"g": Definition(name="g")}, inputs={"x": RAW},
        instructions=(RAW,), messages=MESSAGES,
    ),
    events.MessagesPublished(at=18, messages=MESSAGES, order="o"),
    events.AgentBound(at=19, agent=AGENT),
    events.AgentRemoved(at=20, name="worker", policy="continue"),
    events.Redelivered(at=21, steps=("worker#12-1", "flow:child:1/worker#12-2.3"), order="o"),
]  # fmt: skip


def test_every_kind_of_event_is_in_these_tests():
    """AnyEvent lists all event classes there are."""
    kinds = {
        kind
        for _, kind in inspect.getmembers(events, inspect.isclass)
        if issubclass(kind, events.Event) and kind is not events.Event
    }
    told = {events.Progressed, events.Emitted}  # to whoever listens, and not journalled
    assert kinds - told == {type(event) for event in EVENTS} == set(events.AnyEvent.__args__)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_reads_back_as_itself(event):
    """Equal in every field, and written with the name of its class as its type."""
    text = encode_event(event)
    assert decode_event(text) == event
    assert decode_event(text.decode()) == event
    assert msgspec.json.decode(text)["type"] == event.type == type(event).__name__


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_event_never_changes(event):
    """A fact is frozen."""
    with pytest.raises(AttributeError):
        event.at = 5


def test_what_is_not_set_is_not_written():
    """Defaults take no room in the journal."""
    assert encode_event(events.StepSucceeded(at=1, step="s")) == b'{"type":"StepSucceeded","at":1,"step":"s"}'


@pytest.mark.parametrize(
    "text", [b'{"type":"StepFlew","at":1}', b'{"at":1}', b"[]", b"{", b'{"type":"StepStarted","at":1}']
)
def test_what_no_version_here_knows_is_refused(text):
    """An unknown type, a missing field or no JSON is an error, never a guess."""
    with pytest.raises(msgspec.DecodeError):
        decode_event(text)


def test_fields_of_a_newer_version_are_passed_over():
    """An event with more fields than are known here is read."""
    event = decode_event(b'{"type":"RunRecovered","at":1,"host":"x"}')
    assert event == events.RunRecovered(at=1)


@given(st.text(), st.text(), st.integers(0, 2**53))
def test_any_text_survives(reason, step, at):
    """Whatever Unicode a reason or name holds."""
    event = events.StepSkipped(at=at, step=step, reason=reason)
    assert decode_event(encode_event(event)) == event


def test_a_recorded_event_tells_its_type():
    """Listeners need not look at the class."""
    assert events.Recorded(1, events.RunRecovered(at=1)).type == "RunRecovered"
