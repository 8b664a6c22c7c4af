"""dagger.store.lease: what is gathered under a lease, and taken in parts."""

import pytest
from tests.store.contract import EVERY_KIND, PAUSE, came_from, started, succeeded

from dagger.core import events
from dagger.core.journal import PROJECTED, projected
from dagger.store.lease import NOTED, FileLease

PARKED = events.RunParked(at=1, reason="sleep", wake_at=9)


def lease():
    return FileLease("run-1", 1, 1, projected(None, started()), 0)


def appended(*those):
    one = lease()
    for event in those:
        one.events.append(event)
        if type(event) in NOTED:
            one.note(event)
    return one


def test_only_events_that_are_noted_change_anything():
    """NOTED, PROJECTED and `note` agree about every kind of event."""
    for event in [started(), events.RunPaused(at=1, reason=""), PARKED, *EVERY_KIND]:
        one = lease()
        before = one.row
        one.note(event)
        assert (one.row is not before) is one.has_new_row is (type(event) in PROJECTED)
        assert (one.has_new_row or bool(one.read) or one.is_over) is (type(event) in NOTED)


def test_a_lease_lets_go_of_what_is_taken():
    """Values may be large: nothing is held twice."""
    one = appended(came_from(PAUSE), succeeded(1), events.RunWaiting(at=2, reason="r", wake_at=3))
    one.keys.append(("k", 2, 5))
    part = one.take()
    assert (part.lease, len(part.events), part.row.wake_at, part.read, part.keys) == (one, 3, 3, ["p"], [("k", 2, 5)])
    assert one.take() == (one, [], [], None, [], [])


@pytest.mark.parametrize(
    ("event", "is_last"),
    [
        (PARKED, True),
        (events.RunPaused(at=1, reason=""), True),
        (events.RunEnded(at=1, status="failed"), True),
        (events.RunWaiting(at=1, reason="sleep", wake_at=9), False),
        (succeeded(1), False),
    ],
    ids=lambda value: value.type if isinstance(value, events.Event) else "",
)
def test_pausing_parking_and_ending_are_the_last_of_a_lease(event, is_last):
    """Both the lease and its part say so."""
    one = appended(event)
    assert one.is_over is one.take().is_last is is_last
    assert not one.take().is_last
