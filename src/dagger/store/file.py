"""One SQLite file: found, checked, created and opened; what SQLite says of it, in our words."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import apsw

from dagger.core.errors import StoreCorrupt, StoreError, StoreFull, StoreVersionMismatch

APPLICATION_ID = 0x44414752
"""`DAGR`: tells our files from other programs'."""
VERSION = 3
"""Of the tables, in `PRAGMA user_version`."""
BUSY_SECONDS = 10.0
"""So long another program may keep the file locked before we give up."""
_RETRY_SECONDS = 0.001  # the built-in busy handler backs off to whole seconds under load: measured


@functools.cache
def query(name: str) -> str:
    """The statement of this name in queries.sql."""
    _, _, after = _resource("queries.sql").partition(f"-- name: {name}\n")
    return after.partition("-- name: ")[0].strip()


def connect(path: str, *, monotonic: Callable[[], float], vfs: str | None = None) -> apsw.Connection:
    """A connection that waits for other writers and commits durably; the file's tables are made if absent.

    Raises StoreError, StoreCorrupt or StoreVersionMismatch; the file is left alone then.
    """
    _check_place(Path(path))
    with explained(path):
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        connection = apsw.Connection(path, flags=flags, vfs=vfs)
    try:
        with explained(path):
            connection.set_busy_handler(patience(monotonic))
            _prepare(connection, path, monotonic)
    except BaseException:
        connection.close(force=True)
        raise
    return connection


def patience(monotonic: Callable[[], float]) -> Callable[[int], bool]:
    """A busy handler: it waits for another program's transaction."""
    began = 0.0

    def wait(tries: int) -> bool:
        nonlocal began
        if tries == 0:
            began = monotonic()
        time.sleep(_RETRY_SECONDS)
        return monotonic() - began < BUSY_SECONDS

    return wait


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Errors of SQLite leave as a StoreError that says what to do."""
    try:
        yield
    except apsw.Error as error:
        raise explain(error, path) from error


def explain(error: Exception, path: str) -> StoreError:
    """The StoreError for what SQLite or the system said."""
    match error:
        case StoreError():
            return error
        case apsw.FullError():
            return StoreFull(f"{path}: no space is left ({error}); make room, then resume the runs")
        case apsw.NotADBError():
            return StoreCorrupt(f"{path} is not a SQLite file; name another file")
        case apsw.CorruptError():
            return StoreCorrupt(f"{path} is damaged ({error}); restore a copy, or use sqlite3's .recover")
        case apsw.BusyError() | apsw.LockedError():
            return StoreError(f"{path} is locked by another program for {BUSY_SECONDS:.0f} s; end that one")
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            wanted = f"{Path(path).parent} must be writable too, for {Path(path).name}-wal and -shm"
            return StoreError(f"{path} cannot be opened for writing ({error}); make it writable; {wanted}")
        case apsw.IOError() | OSError():
            return StoreError(f"{path} cannot be written ({error}); check the disk, then resume the runs")
        case _:
            return StoreError(f"{path}: {type(error).__name__}: {error}; a bug in Dagger: please report it")


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a directory; name a file in it, such as {path / 'dagger.db'}")
    missing = None
    directory = path.parent
    while not directory.is_dir():
        if directory.exists():
            raise StoreError(f"{path} cannot be made: {directory} is not a directory; name another place")
        missing, directory = directory, directory.parent
    if missing:
        raise StoreError(f"{path} cannot be made: there is no directory {missing}; make it first")


def _prepare(connection: apsw.Connection, path: str, monotonic: Callable[[], float]) -> None:
    if connection.readonly("main"):
        raise StoreError(f"{path} is read-only; make the file writable, or name another one")
    with one_view(connection):
        version = _version(connection, path)  # looked at before anything is changed
    _use_wal(connection, monotonic)
    connection.execute("PRAGMA synchronous = FULL")
    connection.wal_autocheckpoint(0)  # inside a commit it takes 12 to 50 ms: the writer does it when idle
    if version == VERSION:
        return
    with transaction(connection):
        version = _version(connection, path)  # another process may have been faster
        scripts = [f"migrate_{later}.sql" for later in range(version + 1, VERSION + 1)] if version else ["schema.sql"]
        for script in scripts:
            connection.execute(_resource(script))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}")


def _version(connection: apsw.Connection, path: str) -> int:
    """Of the tables; 0: they are yet to be made. Raises for files that are not ours, or of the future."""
    application = connection.pragma("application_id")
    version = connection.pragma("user_version")
    if application != APPLICATION_ID:
        if application == 0 and version == 0 and not _value(connection, "SELECT count(*) FROM sqlite_schema"):
            return 0
        raise StoreCorrupt(f"{path} is the SQLite file of another program; name another file")
    if version > VERSION:
        raise StoreVersionMismatch(
            f"{path} has store version {version}, and this Dagger knows versions up to {VERSION}: "
            f"upgrade it (pip install -U dagger-flow), or name another file"
        )
    return int(version)


def _use_wal(connection: apsw.Connection, monotonic: Callable[[], float]) -> None:
    """Switching asks for the file alone, and SQLite does not call the busy handler for all of it."""
    began = monotonic()
    while True:
        try:
            mode = connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if monotonic() - began > BUSY_SECONDS:
                raise
            time.sleep(_RETRY_SECONDS)
            continue
        if mode != "wal":
            message = "this file system lacks the shared memory of SQLite's WAL mode; name another place"
            raise StoreError(f"{connection.filename} cannot be used: {message}")
        return


@contextlib.contextmanager
def one_view(connection: apsw.Connection) -> Iterator[None]:
    """All that is read inside is of one moment: what another process commits meanwhile is not seen by halves."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


@contextlib.contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All that is written inside is committed, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(apsw.Error):  # the first error is the one to tell
                connection.execute("ROLLBACK")
        raise


def _value(connection: apsw.Connection, statement: str) -> object:
    return next(iter(connection.execute(statement)))[0]


def _resource(name: str) -> str:
    return resources.files("dagger.store").joinpath(name).read_text("utf-8")
