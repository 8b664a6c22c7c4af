"""dagger.store.backlog: how much is appended and not committed, and the blobs meanwhile."""

import pytest

from dagger.core.codec import Blob
from dagger.store.backlog import BEHIND_BYTES, BEHIND_EVENTS, Backlog


def test_a_blob_is_kept_until_the_last_batch_that_brings_it():
    """Two batches may bring the same content."""
    backlog = Backlog()
    backlog.keep(Blob("a", b"content"), 1)
    backlog.keep(Blob("a", b"content"), 2)
    backlog.committed(1, 0)
    assert backlog.blob("a") == b"content"
    backlog.committed(2, 0)
    assert backlog.blob("a") is None


@pytest.mark.parametrize(("more", "is_behind"), [(0, False), (1, True)])
def test_too_many_bytes_are_behind(more, is_behind):
    """Each content counts once, until it is committed."""
    backlog = Backlog()
    backlog.keep(Blob("a", bytes(BEHIND_BYTES // 2)), 1)
    backlog.keep(Blob("b", bytes(BEHIND_BYTES // 2 + more)), 2)
    backlog.keep(Blob("b", bytes(BEHIND_BYTES // 2 + more)), 2)
    assert backlog.is_behind is is_behind
    backlog.committed(1, 0)
    assert not backlog.is_behind


def test_too_many_events_are_behind():
    """Of those that are not committed."""
    backlog = Backlog()
    backlog.appended = BEHIND_EVENTS
    assert not backlog.is_behind
    backlog.appended += 1
    assert backlog.is_behind
    backlog.committed(1, 1)
    assert not backlog.is_behind
