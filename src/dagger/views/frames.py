"""Frames: which boxes stand in which, and where an arrow from or to a frame begins and ends."""

from __future__ import annotations

from dagger.views.scene import Box, Scene


class Frames:
    """The boxes of a scene that others stand in."""

    def __init__(self, scene: Scene) -> None:
        self._members: dict[str, list[Box]] = {}
        for box in scene.boxes:
            if box.inside:
                self._members.setdefault(box.inside, []).append(box)
        inside = {box.key: box.inside for box in scene.boxes}
        within = [arrow for arrow in scene.arrows if inside[arrow.source] == inside[arrow.target]]
        self._entered = {arrow.target for arrow in within}
        self._left = {arrow.source for arrow in within}

    def is_frame(self, box: Box) -> bool:
        """Whether anything stands in the box."""
        return box.key in self._members

    def members(self, box: Box) -> list[Box]:
        """What stands in the box, in order."""
        return self._members[box.key]

    def first(self, key: str) -> str:
        """The box that an arrow to this one leads to: of a frame, the one in the middle of those that begin in it."""
        return self._end(key, self._entered)

    def last(self, key: str) -> str:
        """The box that an arrow from this one begins at: of a frame, the one in the middle of those that end in it."""
        return self._end(key, self._left)

    def _end(self, key: str, passed: set[str]) -> str:
        while key in self._members:
            ends = [box.key for box in self._members[key] if box.key not in passed] or [self._members[key][0].key]
            key = ends[len(ends) // 2]
        return key
