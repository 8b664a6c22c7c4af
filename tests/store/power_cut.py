"""A file layer for SQLite that knows what a power cut would leave: what was synced, and any part of the rest."""

import random
from pathlib import Path
from typing import NamedTuple

import apsw

NAME = "power-cut"


class Moment(NamedTuple):
    """The disk at the begin of a sync."""

    synced: dict[str, bytes]
    """Path -> content that is safe."""
    unsynced: dict[str, list[tuple[int, bytes | None]]]
    """Path -> writes since then: where, and what; None: cut off there."""
    acknowledged: int
    """What the caller had been promised by then."""

    def after_power_cut(self, seed):
        """Path -> content: a disk writes what is not synced in any order, so any part of it may be there."""
        chance = random.Random(seed)
        files = {path: bytearray(content) for path, content in self.synced.items()}
        for path, writes in self.unsynced.items():
            share = chance.choice([0.0, 0.5, 0.9, 1.0])
            for at, data in writes:
                if chance.random() < share:
                    write(files.setdefault(path, bytearray()), at, data)
        return files


def write(content, at, data):
    if data is None:
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


class Disk(apsw.VFS):
    """Use it as a context manager: SQLite knows it as `power-cut` meanwhile."""

    def __init__(self):
        super().__init__(NAME, "")
        self.acknowledged = lambda: 0
        self.moments = []
        self.error = None
        """If set, every sync fails with it."""
        self.full = {}
        self.synced = {}
        self.unsynced = {}

    def xOpen(self, name, flags):  # noqa: N802 - SQLite's name
        path = name if isinstance(name, str) else name.filename()
        file = File(self, path, name, flags)
        if path not in self.full:
            content = Path(path).read_bytes()
            self.full[path], self.synced[path], self.unsynced[path] = bytearray(content), content, []
        return file

    def xDelete(self, path, sync_directory):  # noqa: N802
        super().xDelete(path, sync_directory)
        for files in (self.full, self.synced, self.unsynced):
            files.pop(path, None)

    def wrote(self, path, at, data):
        write(self.full[path], at, data)
        self.unsynced[path].append((at, data))

    def syncs(self, path):
        self.moments.append(
            Moment(
                dict(self.synced),
                {name: list(writes) for name, writes in self.unsynced.items()},
                self.acknowledged(),
            )
        )
        if self.error is not None:
            raise self.error
        self.synced[path], self.unsynced[path] = bytes(self.full[path]), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.unregister()


class File(apsw.VFSFile):
    def __init__(self, disk, path, name, flags):
        super().__init__("", name, flags)
        self._disk = disk
        self._path = path

    def xWrite(self, data, offset):  # noqa: N802
        super().xWrite(data, offset)
        self._disk.wrote(self._path, offset, bytes(data))

    def xTruncate(self, size):  # noqa: N802
        super().xTruncate(size)
        self._disk.wrote(self._path, size, None)

    def xSync(self, flags):  # noqa: N802
        self._disk.syncs(self._path)
        super().xSync(flags)
