"""dagger.store.owner: who lives, judged by a lock and by the observer's own clock."""

import os

import pytest

from dagger.core.errors import StoreError
from dagger.core.journal import HUNG_AFTER_SECONDS
from dagger.store.owner import Observer, OwnerLock, is_locked, lock_path


def test_a_lock_holds_until_it_is_released(tmp_path):
    """Then its file is gone; releasing twice does nothing."""
    path = str(tmp_path / "dagger.db")
    lock = OwnerLock(path, 7)
    assert lock_path(path, 7) == f"{path}-owner-7"
    assert is_locked(f"{path}-owner-7")
    lock.release()
    lock.release()
    assert not is_locked(f"{path}-owner-7")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_nobody_holds_is_no_lock(tmp_path):
    """A killed process leaves its file behind, but not its lock."""
    left = tmp_path / "dagger.db-owner-7"
    left.touch()
    assert not is_locked(str(left))
    assert left.exists()


def test_observers_do_not_take_each_other_for_the_owner(tmp_path):
    """Two of them may look at the same moment."""
    left = tmp_path / "dagger.db-owner-7"
    left.touch()
    fcntl = pytest.importorskip("fcntl")
    file = os.open(left, os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_SH)  # another observer, in the middle of its look
    assert not is_locked(str(left))
    os.close(file)


def test_a_lock_that_cannot_be_made_is_a_store_error(tmp_path):
    """The message names the file."""
    with pytest.raises(StoreError, match=r"dagger\.db-owner-7 cannot be made and locked"):
        OwnerLock(str(tmp_path / "absent" / "dagger.db"), 7)


def test_a_lock_is_not_inherited_by_programs_that_the_process_starts(tmp_path):
    """A child that outlives its killed parent must not keep the parent's runs."""
    lock = OwnerLock(str(tmp_path / "dagger.db"), 7)
    assert not os.get_inheritable(lock._file)
    lock.release()


def test_an_owner_hangs_when_its_heartbeat_has_stood_still_for_10_s(tmp_path):
    """The time is counted from when the observer first saw this heartbeat, by its own clock."""
    path, now = str(tmp_path / "dagger.db"), [1_000.0]
    lock = OwnerLock(path, 7)
    observer = Observer(path, lambda: now[0])
    assert observer.is_alive(7, 1)
    now[0] += HUNG_AFTER_SECONDS - 0.1
    assert observer.is_alive(7, 1)
    assert observer.is_alive(7, 2)
    now[0] += HUNG_AFTER_SECONDS - 0.1
    assert observer.is_alive(7, 2)
    now[0] += 0.2
    assert not observer.is_alive(7, 2)
    assert observer.is_alive(7, 3)
    lock.release()
    assert not observer.is_alive(7, 4)
