"""A scene for Mermaid, as pages in Markdown draw it: a valid `flowchart LR`, every text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from dagger.views.frames import Frames
from dagger.views.scene import PLAN, STATUS_COLOURS, Box, Colours, Scene, heading, lines, subtitle
from dagger.views.texts import cut, visible

_SPECIAL = re.compile(r"[\"#$%&;<=>@\[\\\]^`{|}~*]|\b_|_\b|^[-+]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.ASCII)
"""What is Mermaid's, HTML's or Markdown's own, since a label is read as all three: `1. x` would become a list."""
_MEANT = re.compile(r"\\(?=n)|\$(?=\$)|\bfa[a-z]?:(?=fa-)")
"""What Mermaid takes for a line break, a formula or an icon even when written in codes: a space of no width follows."""
BOXES, ARROWS = 120, 450
"""A larger scene is folded first: by default Mermaid refuses more than 500 arrows and 50,000 characters."""
_LIKE = str.maketrans("<>&", "\uff1c\uff1e\uff06")


def to_mermaid(scene: Scene) -> str:
    """The scene as Mermaid text."""
    ids = {box.key: f"n{index}" for index, box in enumerate(scene.boxes)}
    frames = Frames(scene)
    drawn = [_frame(box, ids, frames) for box in scene.boxes if not box.inside]
    return "\n".join([*_head(scene), *chain.from_iterable(drawn), *_edges(scene, ids), *_classes(scene), ""])


def _head(scene: Scene) -> Iterator[str]:
    if scene.title:
        yield from ("---", f"title: {_yaml(cut(scene.title, 120))}", "---")
    yield "flowchart LR"


def _frame(box: Box, ids: dict[str, str], frames: Frames, indent: str = "  ") -> Iterator[str]:
    """A box, as a node, or as a subgraph of the boxes that stand in it."""
    name, label, look = ids[box.key], f'"{_label(box)}"', _class(box.status)
    if not frames.is_frame(box):
        shape = f"[[{label}]]" if box.is_nested else f"([{label}])" if box.is_round else f"({label})"
        yield f"{indent}{name}{shape}:::{look}"
        return
    yield f"{indent}subgraph {name}[{label}]"
    for member in frames.members(box):
        yield from _frame(member, ids, frames, f"{indent}  ")
    yield f"{indent}end"
    yield f"{indent}class {name} {look}"


def _edges(scene: Scene, ids: dict[str, str]) -> Iterator[str]:
    for arrow in scene.arrows:
        line = "-.->" if arrow.is_dashed else "-->"
        label = f'|"{_text(cut(arrow.label, 40))}"|' if arrow.label else ""
        yield f"  {ids[arrow.source]} {line}{label} {ids[arrow.target]}"


def _classes(scene: Scene) -> Iterator[str]:
    for status in dict.fromkeys(_class(box.status) for box in scene.boxes):
        look = STATUS_COLOURS.get(status, PLAN)
        yield f"  classDef {status} {_style(look)}"


def _class(status: str) -> str:
    return status if status in STATUS_COLOURS else "plan"


def _style(look: Colours) -> str:
    dashes = ",stroke-dasharray:4 3" if look.is_dashed else ""
    return f"fill:{look.fill},stroke:{look.line},color:{look.text}{dashes}"


def _label(box: Box) -> str:
    parts = [f"<b>{_text(cut(box.title, 48))}</b>"]
    if action := subtitle(box):
        parts.append(_text(cut(action, 48)))
    parts += [_text(cut(note, 60)) for note in box.notes]
    if facts := heading(box):
        parts.append(_text(facts))
    parts += [_text(line) for line in lines(box.error, 46, 3)]
    return "<br/>".join(parts)


def _text(text: str) -> str:
    """One line for a quoted label: whatever has a meaning becomes a character code."""
    shown = visible(text).replace("\n", " ").strip() or " "
    return _SPECIAL.sub(_codes, _MEANT.sub("\\g<0>\u200b", shown))


def _codes(match: re.Match[str]) -> str:
    return "".join(f"#{ord(c)};" for c in match[0])


def _yaml(text: str) -> str:
    """A YAML string in double quotes. Mermaid takes a title for HTML and knows no escape there: like signs stand in."""
    shown = visible(text).replace("\n", " ").translate(_LIKE)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
