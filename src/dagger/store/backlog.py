"""What is appended and not yet committed: how much, and the blobs, which are nowhere else meanwhile."""

from __future__ import annotations

from dagger.core.codec import Blob

BEHIND_BYTES = 64 * 1024 * 1024
"""Two seconds' work of a slow disk. One value more is held, however large it is."""
BEHIND_EVENTS = 50_000
"""Some 25 MB, and half a second's work: the writer takes 100,000 events a second."""


class Backlog:
    """Of one store. The counts go up only: a commit says how far it went."""

    __slots__ = ("_blobs", "_bytes", "_committed", "appended")

    def __init__(self) -> None:
        self.appended = 0
        """Events, since the store was opened."""
        self._committed = 0
        self._blobs: dict[str, tuple[int, bytes]] = {}
        """With the last batch that brings each."""
        self._bytes = 0

    @property
    def is_behind(self) -> bool:
        """See Store."""
        return self._bytes > BEHIND_BYTES or self.appended - self._committed > BEHIND_EVENTS

    def keep(self, blob: Blob, batch: int) -> None:
        """Hold a blob until the batch that brings it is committed."""
        if blob.hash not in self._blobs:
            self._bytes += len(blob.content)
        self._blobs[blob.hash] = batch, blob.content

    def blob(self, hash_: str) -> bytes | None:
        """A blob's content; None: it is in the file, or nowhere."""
        found = self._blobs.get(hash_)
        return None if found is None else found[1]

    def committed(self, batch: int, appended: int) -> None:
        """This batch is in the file, with all events up to the count of `appended`, and all before it."""
        self._committed = appended
        if self._blobs:
            self._blobs = {hash_: kept for hash_, kept in self._blobs.items() if kept[0] > batch}
            self._bytes = sum(len(content) for _, content in self._blobs.values())
