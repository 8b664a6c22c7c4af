"""dagger.store.lease: what is gathered under a lease, and taken in parts."""

import pytest
from tests.store.contract import EVERY_KIND, PAUSE, answered, asked, came_from, started, succeeded

from dagger.core import events
from dagger.core.codec import Blob
from dagger.core.journal import PROJECTED, REVIEWED, projected
from dagger.store.lease import EVENTS_NOW, NOTED, FileLease, Part

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
    """NOTED, PROJECTED, REVIEWED and `note` agree about every kind of event."""
    for event in [started(), events.RunPaused(at=1, reason=""), PARKED, *EVERY_KIND]:
        one = lease()
        before = one.row
        one.note(event)
        assert (one.row is not before) is one.has_new_row is (type(event) in PROJECTED)
        assert bool(one.reviews) is (type(event) in REVIEWED - PROJECTED)
        assert (one.has_new_row or bool(one.read) or bool(one.reviews) or one.is_over) is (type(event) in NOTED)


def test_a_lease_lets_go_of_what_is_taken():
    """Values may be large: nothing is held twice."""
    one = appended(came_from(PAUSE), asked("1"), events.RunWaiting(at=2, reason="r", wake_at=3))
    one.keys.append(("k", 2, 5))
    part = one.take()
    assert (part.lease, len(part.events), part.row.wake_at, part.read, part.keys) == (one, 3, 3, ["p"], [("k", 2, 5)])
    assert list(part.reviews) == ["id of 1"]
    assert one.take() == (one, [], [], None, [], [], {})


def test_a_review_that_closes_is_noted_even_if_nobody_here_saw_it_open():
    """It may stand in the file; one that opened in the same part never will."""
    one = appended(asked("1"), asked("2"), answered("2"), answered("3"))
    reviews = one.take().reviews
    assert {id_: review and review.question for id_, review in reviews.items()} == {
        "id of 1": "Go on?",
        "id of 2": None,
        "id of 3": None,
    }


def test_waits_for_no_person_are_not_noted_as_reviews():
    """Sleeps and memos cost the file nothing."""
    wait = {"at": 1, "step": "s", "key": "sleep:1"}
    assert appended(events.WaitOpened(kind="sleep", **wait), events.WaitAnswered(**wait)).take().reviews == {}


@pytest.mark.parametrize(
    ("key", "count", "blobs", "is_small"),
    [(1, EVENTS_NOW, [], True), (1, EVENTS_NOW + 1, [], False), (0, 1, [], False), (1, 1, [Blob("h", b"")], False)],
)
def test_a_few_events_of_a_run_that_is_there_are_small(key, count, blobs, is_small):
    """The loop may commit them itself."""
    one = FileLease("run-1", key, 1, projected(None, started()), 0)
    assert Part(one, [succeeded(number) for number in range(count)], blobs, None).is_small is is_small


@pytest.mark.parametrize("event", [PARKED, events.RunPaused(at=1, reason=""), succeeded(1)], ids=lambda it: it.type)
def test_only_a_run_that_ended_is_at_its_end(event):
    """The others may go on."""
    assert not appended(event).take().is_end
    assert appended(event, events.RunEnded(at=1, status="failed")).take().is_end


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
