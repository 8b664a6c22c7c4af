"""dagger.store.file: what is opened, what is refused, and what the refusals say."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import pytest

from dagger.core.errors import StoreCorrupt, StoreError, StoreFull, StoreVersionMismatch
from dagger.store import file


def connect(path):
    return file.connect(str(path), monotonic=time.monotonic)


def refusal(path, kind=StoreError):
    with pytest.raises(kind) as caught:
        connect(path)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_new_file_is_marked_as_ours(tmp_path):
    """The application id tells it from other programs' files, the version from older and newer ones."""
    with contextlib.closing(connect(tmp_path / "new.db")) as connection:
        assert connection.pragma("application_id") == file.APPLICATION_ID
        assert connection.pragma("user_version") == file.VERSION


def test_a_process_that_is_faster_in_making_the_tables_is_no_problem(tmp_path, monkeypatch):
    """Between our look at the file and our turn to write, it may have become a store."""
    path, use_wal = tmp_path / "new.db", file._use_wal

    def be_slower(connection, monotonic):
        monkeypatch.setattr(file, "_use_wal", use_wal)
        connect(path).close()
        use_wal(connection, monotonic)

    monkeypatch.setattr(file, "_use_wal", be_slower)
    connect(path).close()
    assert file._use_wal is use_wal


def test_every_commit_is_synced(tmp_path):
    """WAL with full syncs, whoever made the file."""
    for _ in range(2):
        with contextlib.closing(connect(tmp_path / "new.db")) as connection:
            assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)


@pytest.mark.parametrize("content", [b"", "a SQLite file without tables"])
def test_an_empty_file_becomes_a_store(tmp_path, content):
    """Such as the one that `tempfile` makes."""
    path = tmp_path / "empty.db"
    if content:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM")
    else:
        path.write_bytes(content)
    connect(path).close()
    connect(path).close()


def test_a_directory_is_no_store(tmp_path):
    """The message names a file in it."""
    assert refusal(tmp_path) == f"{tmp_path} is a directory; name a file in it, such as {tmp_path}/dagger.db"


def test_the_directory_that_is_missing_is_named(tmp_path):
    """Not the last one of the path: the first that is not there."""
    path = tmp_path / "a" / "b" / "dagger.db"
    missing = tmp_path / "a"
    assert refusal(path) == f"{path} cannot be made: there is no directory {missing}; make it first"
    assert not missing.exists()


def test_a_file_is_no_directory(tmp_path):
    """A path through a file is another mistake than a missing directory."""
    (tmp_path / "a").write_text("x")
    path = tmp_path / "a" / "dagger.db"
    assert refusal(path) == f"{path} cannot be made: {tmp_path / 'a'} is not a directory; name another place"


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_file_that_is_no_database_is_left_alone(tmp_path, size):
    """Somebody's text is not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"my notes. " * (size // 10))
    assert refusal(path, StoreCorrupt) == f"{path} is not a SQLite file; name another file"
    assert path.read_bytes() == b"my notes. " * (size // 10)


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 1", "user_version = 0"])
def test_another_programs_database_is_left_alone(tmp_path, pragma):
    """Neither our tables nor our journal mode get into it."""
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert refusal(path, StoreCorrupt) == f"{path} is the SQLite file of another program; name another file"
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    """The message says both versions, and what to do."""
    path = tmp_path / "dagger.db"
    with contextlib.closing(connect(path)) as connection:
        connection.pragma("user_version", file.VERSION + 1)
    assert refusal(path, StoreVersionMismatch) == (
        f"{path} has store version 4, and this Dagger knows versions up to 3: upgrade it (pip install -U dagger-flow), "
        f"or name another file"
    )


@pytest.mark.parametrize("version", range(1, file.VERSION))
def test_a_store_of_an_older_version_is_migrated(tmp_path, version):
    """To the same tables and indexes as a new one has; what is in it stays."""
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parent / f"schema_{version}.sql").read_text())
        connection.execute("INSERT INTO events VALUES (1, 1, '{}')")
        connection.execute(f"PRAGMA application_id = {file.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    with contextlib.closing(connect(path)) as old, contextlib.closing(connect(tmp_path / "new.db")) as new:
        assert old.pragma("user_version") == file.VERSION
        assert old.execute("SELECT event FROM events").fetchall() == [("{}",)]
        columns = "SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c"
        for question in (columns, "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"):
            assert set(old.execute(question)) == set(new.execute(question))


def test_a_damaged_store_is_corrupt(tmp_path):
    """Pages of rubbish behind a good header."""
    path = tmp_path / "dagger.db"
    connect(path).close()
    with path.open("r+b") as content:
        content.seek(100)
        content.write(b"\xff" * 4_000)
    assert refusal(path, StoreCorrupt).startswith(f"{path} is damaged (")


@pytest.fixture
def common_path():
    """A path that every user may reach, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory / "dagger.db"
    directory.chmod(0o755)
    shutil.rmtree(directory)


@contextlib.contextmanager
def nobody():
    """For root no file is read-only, so be somebody else."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_read_only_file_is_refused(common_path):
    """At once, not at the first commit."""
    connect(common_path).close()
    common_path.chmod(0o444)
    with nobody():
        message = refusal(common_path)
    assert re.match(f"{common_path} (is read-only|cannot be opened for writing)", message)


def test_a_read_only_directory_is_refused(common_path):
    """A new file cannot be made, and an old one has no place for its log."""
    common_path.parent.chmod(0o555)
    with nobody():
        message = refusal(common_path)
    assert message.startswith(f"{common_path} cannot be opened for writing (")
    common_path.parent.chmod(0o755)
    connect(common_path).close()
    common_path.chmod(0o666)
    common_path.parent.chmod(0o555)
    with nobody():
        message = refusal(common_path)
    assert f"{common_path.parent} must be writable too, for dagger.db-wal and -shm" in message


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    """All or nothing, and the first error is the one that is told."""
    with contextlib.closing(connect(tmp_path / "dagger.db")) as connection:

        def fail():
            with file.transaction(connection):
                connection.execute("INSERT INTO owners (pid, host, started_at) VALUES (1, 'h', 1)")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert connection.execute("SELECT count(*) FROM owners").fetchone() == (0,)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (apsw.FullError("full"), StoreFull, "/x/y.db: no space is left (full); make room, then resume the runs"),
        (apsw.IOError("i/o"), StoreError, "/x/y.db cannot be written (i/o); check the disk, then resume the runs"),
        (OSError("i/o"), StoreError, "/x/y.db cannot be written (i/o); check the disk, then resume the runs"),
        (apsw.CorruptError("bad"), StoreCorrupt, "/x/y.db is damaged (bad); restore a copy, or use sqlite3's .recover"),
        (KeyError("k"), StoreError, "/x/y.db: KeyError: 'k'; a bug in Dagger: please report it"),
        (StoreFull("told"), StoreFull, "told"),
    ],
)
def test_every_error_says_what_where_and_what_to_do(error, kind, text):
    """No error of SQLite reaches the caller as it is."""
    explained = file.explain(error, "/x/y.db")
    assert (type(explained), str(explained)) == (kind, text)


def test_every_query_has_a_name():
    """The statements that are longer than a line stand in queries.sql."""
    assert file.query("append").startswith("INSERT INTO events")
    assert file.query("page").endswith("LIMIT ?3;")
    assert "-- name" not in file.query("rows")


def test_a_file_that_is_being_made_is_seen_whole_or_not_at_all(tmp_path, monkeypatch):
    """Another process that makes the tables between two looks of ours is not taken for another program."""
    path = tmp_path / "runs.db"
    code = f"import time; from dagger.store import file; file.connect({str(path)!r}, monotonic=time.monotonic)"
    others = []

    class Interrupted(apsw.Connection):
        def pragma(self, name, *values, **options):
            found = super().pragma(name, *values, **options)
            if name == "application_id" and not others:
                others.append(subprocess.Popen([sys.executable, "-c", code]))
                with contextlib.suppress(subprocess.TimeoutExpired):  # it may have to wait for us
                    others[0].wait(timeout=2)
            return found

    monkeypatch.setattr(apsw, "Connection", Interrupted)
    connect(path).close()
    assert others[0].wait(timeout=30) == 0
