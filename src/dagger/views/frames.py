"""Frames: which boxes stand in which, how far from the beginning, and where an arrow to a frame leads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from dagger.views.scene import Box, Scene


class Frames:
    """The boxes of a scene that others stand in."""

    def __init__(self, scene: Scene) -> None:
        self._members: dict[str, list[Box]] = {}
        for box in scene.boxes:
            if box.inside:
                self._members.setdefault(box.inside, []).append(box)
        inside = {box.key: box.inside for box in scene.boxes}
        self._after: dict[str, list[str]] = {}
        """The arrows inside frames."""
        for arrow in scene.arrows:
            if inside[arrow.source] and inside[arrow.source] == inside[arrow.target]:
                self._after.setdefault(arrow.source, []).append(arrow.target)
        self._reached: dict[str, list[int]] = {}

    def is_frame(self, box: Box) -> bool:
        """Whether anything stands in the box."""
        return box.key in self._members

    def members(self, box: Box) -> list[Box]:
        """What stands in the box, in order."""
        return self._members[box.key]

    def first(self, key: str) -> str:
        """The box that an arrow to this one leads to: of a frame, the middle one of those that begin in it."""
        while key in self._members:
            members = self._members[key]
            entered = {target for box in members for target in self._after.get(box.key, ())}
            key = _middle([box.key for box in members if box.key not in entered] or [members[0].key])
        return key

    def last(self, key: str) -> str:
        """The box that an arrow from this one begins at: of a frame, the middle one of those farthest in it."""
        while key in self._members:
            reached = self._reach(key)
            farthest = max(reached)
            key = _middle([box.key for box, far in zip(self._members[key], reached, strict=True) if far == farthest])
        return key

    def _reach(self, key: str) -> list[int]:
        """How far from the frame's beginning each member ends."""
        if key not in self._reached:
            members = self._members[key]
            place = {box.key: index for index, box in enumerate(members)}
            after = [[place[target] for target in self._after.get(box.key, ())] for box in members]
            widths = [max(self._reach(box.key)) if self.is_frame(box) else 1 for box in members]
            begin = levels(after, widths)
            self._reached[key] = [start + width for start, width in zip(begin, widths, strict=True)]
        return self._reached[key]


def levels(after: Sequence[Sequence[int]], widths: Sequence[int]) -> list[int]:
    """The length of the longest way to each box; of boxes in a circle, which no run has, some length."""
    reached = [0] * len(after)
    unmet = [0] * len(after)
    for targets in after:
        for target in targets:
            unmet[target] += 1
    ready = deque(index for index, count in enumerate(unmet) if not count)
    while ready:
        index = ready.popleft()
        for target in after[index]:
            reached[target] = max(reached[target], reached[index] + widths[index])
            unmet[target] -= 1
            if not unmet[target]:
                ready.append(target)
    return reached


def _middle(keys: list[str]) -> str:
    return keys[len(keys) // 2]
