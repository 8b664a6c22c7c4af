"""Which store a URL names."""

import sys
from pathlib import Path

import pytest

from dagger import MemoryStore, StoreError
from dagger.store.sqlite import SqliteStore
from dagger.store.url import store_of


@pytest.mark.parametrize("as_given", [str, Path])
def test_a_path_is_a_file_that_is_made_when_it_is_opened(tmp_path, as_given):
    """As a text or a Path; nothing is there before."""
    path = tmp_path / "runs.db"
    store = store_of(as_given(path))
    assert isinstance(store, SqliteStore)
    assert store.url == str(path)
    assert not path.exists()


def test_memory_is_a_new_store_each_time():
    """Two applications in memory share nothing."""
    one, other = store_of("memory:"), store_of("memory:")
    assert isinstance(one, MemoryStore)
    assert one is not other


def test_a_store_is_itself():
    """So that applications can share one."""
    store = MemoryStore()
    assert store_of(store) is store


@pytest.mark.parametrize("url", ["nats://x", "sqlite:///runs.db", "://"])
def test_a_url_of_another_kind_is_refused(url):
    """No file of that name is made."""
    with pytest.raises(StoreError) as refused:
        store_of(url)
    assert str(refused.value) == (f"{url!r} is no store that this version knows; give a file's path or 'memory:'")


def test_memory_needs_no_sqlite():
    """It is loaded where a file is named: `import dagger` has a budget."""
    code = "import sys; from dagger.store.url import store_of; store_of('memory:'); print('sqlite3' in sys.modules)"
    import subprocess

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
