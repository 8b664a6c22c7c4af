"""What every event is, what is only told, and the names of steps."""

import msgspec
import pytest

from dagger.core import event as events
from dagger.core.events import AnyEvent, decode_event


@pytest.mark.parametrize(
    ("error", "text"), [(events.Error("E", "m"), "E: m"), (events.Error("E", ""), "E")], ids=["with", "without"]
)
def test_an_error_reads_as_type_and_message(error, text):
    """Without a message only the type is left."""
    assert str(error) == text


@pytest.mark.parametrize(("scope", "node", "step"), [("", "n", "n"), ("each/7", "n", "each/7/n")], ids=["run", "child"])
def test_a_step_is_named_by_its_scope_and_node(scope, node, step):
    """Both ways."""
    assert events.step_name(scope, node) == step
    assert events.scope_of(step) == scope


@pytest.mark.parametrize(
    "told",
    [
        events.Progressed(at=1, step="s", fraction=0.5, note="half"),
        events.Emitted(at=1, step="s", value=msgspec.Raw(b"1")),
    ],
    ids=lambda told: told.type,
)
def test_what_is_only_told_is_an_event_that_no_journal_takes(told):
    """It has a type and a time as all have, and does not change; a journal with it in could not be read."""
    assert (told.type, told.at) == (type(told).__name__, 1)
    with pytest.raises(AttributeError):
        told.step = "x"
    assert type(told) not in AnyEvent.__args__
    with pytest.raises(msgspec.ValidationError, match=f"Invalid value '{told.type}'"):
        decode_event(msgspec.json.encode(told))


def test_an_events_type_stands_first_and_its_time_next():
    """As a person reads a journal."""
    text = msgspec.json.encode(events.Progressed(at=1, step="s", fraction=0.5))
    assert text == b'{"type":"Progressed","at":1,"step":"s","fraction":0.5}'


def test_what_a_run_executes_is_told_by_mode_and_name():
    """Nothing else of it is left after the first event."""
    assert msgspec.json.encode(events.Spec("events", "tasks")) == b'{"mode":"events","name":"tasks"}'
