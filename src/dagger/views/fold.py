"""Fewer boxes: a large scene with alike ones folded into one, so that it stays readable and quick to draw.

Many items of one map become one in every scene, and so do, where there are many messages, those with which the same
happened. Where that is not enough, the messages of one channel become one, and all that one agent did with them. Then
the frames of child flows are closed, the innermost first. Then boxes are folded that are alike: those that have the
same action, stand at the same distance from the beginning, and lead from and to boxes that are alike. First the large
crowds of them, then small ones too, then chains of one action, then everything of one action at one distance, and at
last in bands of distances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from dagger.views.frames import levels
from dagger.views.scene import STATUS_COLOURS, Arrow, Box, Scene

BOXES = 300
"""More boxes than this are folded: nobody reads them, and Graphviz needs seconds."""
ITEMS = 8
"""More items of one map than this are folded in every scene: after a few they tell nothing new."""
MAIL = 60
"""The same for messages and their deliveries, where alike ones are more than a few."""
ARROWS = 900
"""The same for arrows: Graphviz orders them to cross each other little."""
CROWD = 30
"""Smaller groups of alike boxes are left as they are, if that suffices."""

_ROUNDS = 12
"""Of telling boxes apart by their neighbours; alike up to twelve steps away is alike enough."""
_TOLD = 6
"""Nodes of one status that a folded box names."""
_TELLING = ("failed", "running", "waiting", "interrupted")
"""Of these statuses, whose nodes it names."""
_ATTENTION = ("failed", "running", "waiting", "interrupted", "cancelled", "pending", *STATUS_COLOURS)
"""Of the statuses in a folded box, the first of these gives its colour."""


def folded(scene: Scene, boxes: int = BOXES, arrows: int = ARROWS) -> Scene:
    """The scene, its maps folded, if it has no more than so many boxes and arrows, else the finest folding that has.

    Of the last folding there are so few boxes that it has at most `boxes`, whatever the scene.
    """
    for smaller in _foldings(scene, boxes):
        if _fits(smaller, boxes, arrows):
            return smaller
    return smaller


def _foldings(scene: Scene, boxes: int) -> Iterator[Scene]:
    """The scene in ever fewer boxes."""
    mail = sum(box.is_mail for box in scene.boxes)
    if mail and len(scene.boxes) <= BOXES:  # else it would take long, and help little
        yield _many_folded(_alike_mail_folded(scene) if mail > MAIL else scene)
    depths = _depths(scene)
    for depth in range(max(depths.values(), default=0), -1, -1):
        closed = _closed(scene, depths, depth)
        small = _many_folded(closed, mail=True)
        yield small
    for parts in _partitions(_Web.of(small), boxes):
        yield _quotient(small, parts)


def _fits(scene: Scene, boxes: int, arrows: int) -> bool:
    return len(scene.boxes) <= boxes and len(scene.arrows) <= arrows


def _depths(scene: Scene) -> dict[str, int]:
    """In how many frames each box stands; a frame comes before what is in it."""
    depths: dict[str, int] = {}
    for box in scene.boxes:
        depths[box.key] = depths[box.inside] + 1 if box.inside else 0
    return depths


def _closed(scene: Scene, depths: dict[str, int], depth: int) -> Scene:
    """The scene without what stands in more than so many frames: the innermost frames left say what is in them."""
    shown = {box.key: box.key for box in scene.boxes if depths[box.key] <= depth}
    if len(shown) == len(scene.boxes):
        return scene
    hidden: dict[str, list[Box]] = {}
    for box in scene.boxes:
        if depths[box.key] > depth:
            shown[box.key] = shown[box.inside]
            hidden.setdefault(box.inside, []).append(box)
    boxes = [
        replace(box, notes=(*box.notes, _summary(hidden[box.key])), is_nested=True) if box.key in hidden else box
        for box in scene.boxes
        if depths[box.key] <= depth
    ]
    return Scene(tuple(boxes), _led(scene.arrows, shown), scene.title)


def _summary(boxes: list[Box]) -> str:
    counts = Counter(box.status for box in boxes if box.status)
    told = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    messages = sum(box.is_mail and box.is_round for box in boxes)
    sent = f", {messages:,} messages" if messages else ""
    return f"{len(boxes) - messages:,} steps{sent}" + (f": {told}" if told else "")


def _many_folded(scene: Scene, *, mail: bool = False) -> Scene:
    """The scene with one box for the items of each map that has more than a few, whatever stands in them.

    `mail`: for the messages of each channel and the deliveries of each agent, too.
    """
    crowds: dict[tuple[str, str], list[Box]] = {}
    for box in scene.boxes:
        if box.is_item or (mail and box.is_mail):
            crowds.setdefault((box.inside, box.action), []).append(box)
    ones = {box.key: one for crowd in crowds.values() if len(crowd) > ITEMS for one in (_one(crowd),) for box in crowd}
    if not ones:
        return scene
    shown: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    for box in scene.boxes:
        if box.key in ones:
            one = ones[box.key]
        elif box.inside and shown[box.inside] != box.inside:
            one = boxes[shown[box.inside]]
        else:
            one = box
        shown[box.key] = one.key
        boxes[one.key] = one
    return Scene(tuple(boxes.values()), _led(scene.arrows, shown), scene.title)


def _alike_mail_folded(scene: Scene) -> Scene:
    """The scene with one box for more than a few messages, or deliveries, with which the same happened."""
    alike = list(zip(_alike(_Web.of(scene)), [box.inside for box in scene.boxes], strict=True))
    sizes = Counter(alike)
    return _quotient(
        scene,
        _numbered(
            [
                (number, inside, -1 if box.is_mail and sizes[number, inside] > ITEMS else place)
                for place, (box, (number, inside)) in enumerate(zip(scene.boxes, alike, strict=True))
            ]
        ),
    )


def _led(arrows: Iterable[Arrow], shown: Mapping[str, str]) -> tuple[Arrow, ...]:
    """The arrows between the boxes that stand for those they led between; alike ones become one."""
    led = (Arrow(shown[arrow.source], shown[arrow.target], arrow.label, arrow.is_dashed) for arrow in arrows)
    return tuple(dict.fromkeys(arrow for arrow in led if arrow.source != arrow.target))


class _Web(NamedTuple):
    """The arrows by box number, and each box's distance from the beginning."""

    actions: list[str]
    before: list[list[int]]
    after: list[list[int]]
    levels: list[int]

    @classmethod
    def of(cls, scene: Scene) -> _Web:
        place = {box.key: index for index, box in enumerate(scene.boxes)}
        arrows = {(place[arrow.source], place[arrow.target]) for arrow in scene.arrows}
        return cls.woven([box.action for box in scene.boxes], sorted(arrows))

    @classmethod
    def woven(cls, actions: list[str], arrows: Sequence[tuple[int, int]]) -> _Web:
        before: list[list[int]] = [[] for _ in actions]
        after: list[list[int]] = [[] for _ in actions]
        for source, target in arrows:
            before[target].append(source)
            after[source].append(target)
        return cls(actions, before, after, levels(after, [1] * len(actions)))


def _partitions(web: _Web, boxes: int) -> Iterator[list[int]]:
    """Which boxes become one: a number for each box, finest first."""
    alike = _alike(web)
    yield _only_crowds(alike)
    yield alike
    yield _chained(web, alike)
    flat = _numbered(list(zip(web.levels, web.actions, strict=True)))
    yield _chained(web, flat)
    by_action = _banded(web, boxes // len(set(web.actions)))
    yield _numbered(list(zip(by_action, web.actions, strict=True)))
    yield _banded(web, boxes // 10)  # each may lead to each further one: a tenth keeps the arrows few


def _banded(web: _Web, bands: int) -> list[int]:
    """At most so many bands, but at least one, of as many distances each."""
    deepest = max(web.levels) + 1
    return _numbered([level * min(max(1, bands), deepest) // deepest for level in web.levels])


def _alike(web: _Web) -> list[int]:
    """Boxes of the same number have the same action and level, and neighbours of the same numbers."""
    numbers = _numbered(list(zip(web.levels, web.actions, strict=True)))
    for _ in range(_ROUNDS):
        finer = _numbered(
            [
                (number, frozenset(numbers[i] for i in before), frozenset(numbers[i] for i in after))
                for number, before, after in zip(numbers, web.before, web.after, strict=True)
            ]
        )
        if max(finer) == max(numbers):
            break
        numbers = finer
    return numbers


def _only_crowds(numbers: list[int]) -> list[int]:
    """The same parts, but boxes of small ones each on their own."""
    sizes = Counter(numbers)
    return _numbered([(number, -1 if sizes[number] > CROWD else i) for i, number in enumerate(numbers)])


def _chained(web: _Web, numbers: list[int]) -> list[int]:
    """The parts, where each one and the only one after it become one if they have the same action."""
    actions = [""] * (max(numbers) + 1)
    arrows: set[tuple[int, int]] = set()
    for index, number in enumerate(numbers):
        actions[number] = web.actions[index]
        arrows.update((number, numbers[target]) for target in web.after[index] if numbers[target] != number)
    parts = _Web.woven(actions, sorted(arrows))
    first = list(range(len(actions)))
    for part in sorted(first, key=parts.levels.__getitem__):
        if len(parts.before[part]) == 1:
            source = parts.before[part][0]
            if len(parts.after[source]) == 1 and actions[source] == actions[part]:
                first[part] = first[source]
    return _numbered([first[number] for number in numbers])


def _numbered(labels: Sequence[object]) -> list[int]:
    """A number for each different label, from 0, in the order of being met."""
    known: dict[object, int] = {}
    return [known.setdefault(label, len(known)) for label in labels]


def _quotient(scene: Scene, parts: list[int]) -> Scene:
    """One box for each part, one arrow for all that lead alike from one part to another."""
    members: dict[int, list[Box]] = {}
    for box, part in zip(scene.boxes, parts, strict=True):
        members.setdefault(part, []).append(box)
    boxes = {part: _one(group) for part, group in members.items()}
    shown = {box.key: boxes[part].key for box, part in zip(scene.boxes, parts, strict=True)}
    return Scene(tuple(boxes.values()), _led(scene.arrows, shown), scene.title)


def _one(group: list[Box]) -> Box:
    """The box that stands for all of the group."""
    if len(group) == 1:
        return group[0]
    counts = Counter(box.status for box in group if box.status)
    actions = list(dict.fromkeys(box.action for box in group if box.action))
    named = ", ".join(actions[:3]) + (", …" if len(actions) > 3 else "")  # noqa: PLR2004 - as many as fit
    return Box(
        key=f"{group[0].key} and {len(group) - 1} more",
        title=f"{len(group):,} × {named or 'nodes'}",
        action=f"{group[0].title} … {group[-1].title}",
        status=next((status for status in _ATTENTION if counts[status]), ""),
        facts=tuple(f"{count:,} {status}" for status, count in counts.most_common()),
        error="\n".join(_named(group, status) for status in _TELLING if counts[status]),
        count=len(group),
        inside=group[0].inside,
        is_round=all(box.is_round for box in group),
    )


def _named(group: list[Box], status: str) -> str:
    """The first few boxes of a status by name."""
    titles = [box.title for box in group if box.status == status]
    more = f" and {len(titles) - _TOLD:,} more" if len(titles) > _TOLD else ""
    return f"{status}: {', '.join(titles[:_TOLD])}{more}"
