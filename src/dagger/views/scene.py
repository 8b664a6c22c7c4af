"""Boxes and arrows: the one neutral model between what is shown (a plan, a run) and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field

from dagger.views.texts import cut, visible


@dataclass(frozen=True, slots=True)
class Box:
    """One node of a plan or of a run, or several folded into one."""

    key: str
    """Tells it from the other boxes; arrows name it."""
    title: str
    action: str = ""
    status: str = ""
    """Of NodeOutcome; empty: a plan's node."""
    facts: tuple[str, ...] = ()
    """Short ones: duration, attempts, what a plan sets apart from the defaults."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and reference, or name and value."""
    outputs: tuple[tuple[str, str], ...] = ()
    """Name and value; in a plan the value is empty."""
    error: str = ""
    """May have several lines."""
    count: int = 1
    """How many nodes it stands for."""
    notes: tuple[str, ...] = ()
    """Lines below the action: when it runs, for each of what."""
    inside: str = ""
    """The key of the box that it stands in, which is then drawn as a frame around it; empty: none."""
    is_item: bool = False
    """One of many that differ only in what they work on: above a few they are folded."""
    is_mail: bool = False
    """A message or what an agent does with one: where there are many, those of one channel or agent are folded."""
    is_nested: bool = False
    """More stands in it than is drawn."""
    is_round: bool = False
    """Drawn as an ellipse: no work is done there."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """Something leads from one box to another."""

    source: str
    target: str
    label: str = ""
    """Empty for the obvious: the target is executed after the source."""
    is_dashed: bool = False


@dataclass(frozen=True)
class Scene:
    """Boxes, the arrows between them, and a title: whatever text stands in them, a renderer must bear it."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...] = field(default=())
    title: str = ""


@dataclass(frozen=True, slots=True)
class Colours:
    """How a status looks."""

    text: str
    line: str
    fill: str
    rule: str
    """The fine lines inside the box."""
    is_dashed: bool = False


PLAN = Colours("#334155", "#94a3b8", "#ffffff", "#e2e8f0")
STATUS_COLOURS = {
    "succeeded": Colours("#15803d", "#86c79b", "#f3fbf5", "#cfe8d7"),
    "recovered": Colours("#0f766e", "#74c2b9", "#f0faf8", "#c6e6e2"),
    "failed": Colours("#b91c1c", "#ea9a9a", "#fef4f4", "#f6d3d3"),
    "running": Colours("#1d4ed8", "#8fb0f3", "#f2f6ff", "#d3e0fb"),
    "waiting": Colours("#6d28d9", "#b9a3ee", "#f8f5ff", "#e2d9f9"),
    "pending": Colours("#64748b", "#cbd5e1", "#f8fafc", "#e2e8f0"),
    "unreached": Colours("#64748b", "#cbd5e1", "#ffffff", "#e2e8f0", is_dashed=True),
    "skipped": Colours("#64748b", "#a8b3c2", "#ffffff", "#e2e8f0", is_dashed=True),
    "cancelled": Colours("#b45309", "#ecb765", "#fffaf0", "#f6dfb8"),
    "interrupted": Colours("#c2410c", "#f2ab84", "#fff7f2", "#f8d9c8", is_dashed=True),
}
"""Text dark enough to read on its fill (WCAG AA), and the status is always written out: colour only helps."""


def colours(status: str) -> Colours:
    """The colours of a status; a plan's for any that has none."""
    return STATUS_COLOURS.get(status, PLAN)


def subtitle(box: Box) -> str:
    """The action, where the title does not begin with it as a word."""
    return "" if box.title.removeprefix(box.action)[:1] in {"", "#", " "} else box.action


def heading(box: Box) -> str:
    """The box's status and facts on one line: `failed · 1.2 s · 3 attempts`; of a folded box, counts of each status."""
    return " · ".join(filter(None, ("" if box.count > 1 else box.status, *box.facts)))


def lines(text: str, width: int, most: int) -> list[str]:
    """The text as lines of at most `width` characters, broken at spaces where that goes, at most `most` of them."""
    import textwrap  # only pictures with long texts need it

    wrapped = [part for line in visible(text).strip().split("\n") for part in textwrap.wrap(line, width) or [""]]
    if len(wrapped) > most:
        # longer than the line may be, so that it is cut and ends in an ellipsis
        wrapped[most - 1 :] = [cut(wrapped[most - 1].ljust(width + 1), width)]
    return wrapped if any(wrapped) else []
