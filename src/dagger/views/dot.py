"""A scene for Graphviz: left to right, a rounded table per box, a frame around what stands in one; all text escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from dagger.views.frames import Frames
from dagger.views.scene import Box, Colours, Scene, colours, heading, lines, subtitle
from dagger.views.texts import cut, visible

FONT = "Helvetica"
"""One plain name: graphviz-pure knows the widths of its letters, and of a list of fonts it knows none."""
_TITLE, _TEXT, _SMALL = 12, 10, 9  # points
_DARK, _MUTED = "#0f172a", "#64748b"
_ARROW = "#94a3b8"
_FRAME = "#fcfdfe"
_TOOLTIP = 1000
"""Characters of each text in a tooltip, which shows what is cut in the box."""
_ROWS = 8
"""More inputs or outputs than this are counted, not listed."""
_STRAIGHT_ABOVE = 400
"""Arrows; Graphviz routes curves around boxes in more than linear time."""

_GAP = "   "
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./-]+")


def to_dot(scene: Scene) -> str:
    """The scene in the DOT language."""
    ids = {box.key: _node_id(box.key, index) for index, box in enumerate(scene.boxes)}
    frames = Frames(scene)
    drawn = [_frame(box, ids, frames) for box in _upwards(scene) if not box.inside]
    return "\n".join([*_head(scene), *chain.from_iterable(drawn), *_edges(scene, ids, frames), "}", ""])


def _head(scene: Scene) -> Iterator[str]:
    name = re.sub(r"[^\w .:·-]+", " ", scene.title).strip() or "dagger"
    yield f'digraph "{name}" {{'
    splines = "line" if len(scene.arrows) > _STRAIGHT_ABOVE else "spline"
    yield f'  graph [rankdir=LR, nodesep=0.25, ranksep=0.6, pad=0.3, bgcolor="#ffffff", splines={splines},'
    yield f'         fontname="{FONT}", fontsize={_TITLE + 2}, fontcolor="{_DARK}", labelloc=t, labeljust=l,'
    yield "         compound=true"
    if scene.title:
        title = _font(cut(scene.title, 120), _TITLE + 2, _DARK)
        below = '<TR><TD HEIGHT="12"></TD></TR>'
        yield f'         label=<<TABLE BORDER="0" CELLPADDING="0"><TR><TD>{title}</TD></TR>{below}</TABLE>>'
    yield "  ];"
    yield f'  node [shape=plain, fontname="{FONT}", fontsize={_TEXT}];'
    yield f'  edge [color="{_ARROW}", fontname="{FONT}", fontsize={_SMALL}, fontcolor="{_MUTED}", arrowsize=0.6];'


def _frame(box: Box, ids: dict[str, str], frames: Frames, indent: str = "  ") -> Iterator[str]:
    """A box, as a node, or as a frame around the boxes that stand in it."""
    tooltip = _quoted(_tooltip(box))
    look = colours(box.status)
    if not frames.is_frame(box):
        drawn = _ellipse(box, look) if box.is_round else f"label={_html(_table(box))}"
        yield f"{indent}{ids[box.key]} [{drawn}, tooltip={tooltip}];"
        return
    style = "rounded,dashed" if look.is_dashed else "rounded"
    yield f"{indent}subgraph {_cluster(box.key, ids)} {{"
    yield f'{indent}  graph [label={_html(_caption(box, look))}, tooltip={tooltip}, style="{style}",'
    yield f'{indent}         color="{look.line}", bgcolor="{_FRAME}", margin=14];'
    for member in reversed(frames.members(box)):
        yield from _frame(member, ids, frames, f"{indent}  ")
    yield f"{indent}}}"


def _cluster(key: str, ids: dict[str, str]) -> str:
    """What Graphviz takes for the name of a frame."""
    return f'"cluster_{ids[key][1:]}'


def _upwards(scene: Scene) -> list[Box]:
    """The boxes in their order, but of parts without a connection the last one first: Graphviz stacks these upwards."""
    neighbours: dict[str, list[str]] = {box.key: [] for box in scene.boxes}
    linked = [(arrow.source, arrow.target) for arrow in scene.arrows]
    for one, other in chain(linked, ((box.inside, box.key) for box in scene.boxes if box.inside)):
        neighbours[one].append(other)
        neighbours[other].append(one)
    part: dict[str, int] = {}
    for number, box in enumerate(scene.boxes):
        reached = [] if box.key in part else [box.key]
        while reached:
            key = reached.pop()
            if key not in part:
                part[key] = number
                reached += neighbours[key]
    return sorted(scene.boxes, key=lambda box: -part[box.key])


def _edges(scene: Scene, ids: dict[str, str], frames: Frames) -> Iterator[str]:
    for arrow in scene.arrows:
        source, target = frames.last(arrow.source), frames.first(arrow.target)
        looks = []
        # Graphviz leads an arrow from node to node; it ends at the frame that it is told
        if source != arrow.source:
            looks.append(f"ltail={_cluster(arrow.source, ids)}")
        if target != arrow.target:
            looks.append(f"lhead={_cluster(arrow.target, ids)}")
        if arrow.label:
            looks.append(f"label={_html(_font(cut(arrow.label, 40), _SMALL, _MUTED))}")
        if arrow.is_dashed:
            looks.append("style=dashed")
        attributes = f" [{', '.join(looks)}]" if looks else ""
        yield f"  {ids[source]} -> {ids[target]}{attributes};"


def _table(box: Box) -> str:
    """The box as an HTML-like table: sections under each other, fine lines between them."""
    look = colours(box.status)
    sections = list(_sections(box, look))
    style = "ROUNDED,DASHED" if look.is_dashed else "ROUNDED"
    first = '<TR><TD CELLPADDING="7">'
    further = f'<TR><TD CELLPADDING="6" BORDER="1" SIDES="T" COLOR="{look.rule}">'
    body = "".join(f"{further if index else first}{section}</TD></TR>" for index, section in enumerate(sections))
    table = (
        f'<TABLE STYLE="{style}" BORDER="1" COLOR="{look.line}" BGCOLOR="{look.fill}" '
        f'CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{body}</TABLE>'
    )
    if not box.is_nested:
        return table
    return (
        f'<TABLE STYLE="{style}" BORDER="1" COLOR="{look.line}" BGCOLOR="{look.fill}" '
        f'CELLBORDER="0" CELLSPACING="0" CELLPADDING="3"><TR><TD>{table}</TD></TR></TABLE>'
    )


def _ellipse(box: Box, look: Colours) -> str:
    """The box as a node with a border of its own around its title."""
    style = "filled,dashed" if look.is_dashed else "filled"
    label = _html(_rows([*_title(box, look), *_error(box, look, 46, 3)], "CENTER"))
    return f'shape=ellipse, style="{style}", color="{look.line}", fillcolor="{look.fill}", margin=0, label={label}'


def _caption(box: Box, look: Colours) -> str:
    """What stands above what is in a frame."""
    caption = _rows([*_title(box, look), *_error(box, look, 60, 3)])
    rows = f'<TR><TD HEIGHT="4"></TD></TR><TR><TD>{caption}</TD></TR>'
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{rows}</TABLE>'


def _title(box: Box, look: Colours) -> Iterator[list[str]]:
    facts = heading(box)
    yield [f"<B>{_font(cut(box.title, 48), _TITLE, _DARK)}</B>"]
    if action := subtitle(box):
        yield [_font(cut(action, 48), _TEXT, _MUTED)]
    for note in box.notes:
        yield [_font(cut(note, 60), _TEXT, _MUTED)]
    if facts:
        yield [f"<B>{_font(facts, _SMALL, look.text)}</B>"]


def _sections(box: Box, look: Colours) -> Iterator[str]:
    yield _rows(_title(box, look))
    for caption, pairs in (("inputs", box.inputs), ("outputs", box.outputs)):
        if pairs:
            yield _rows([[_font(caption, _SMALL, _MUTED)], *_pairs(pairs)])
    if error := _error(box, look, 46, 5):
        yield _rows(error)


def _error(box: Box, look: Colours, width: int, most: int) -> list[list[str]]:
    return [[_font(line, _SMALL, look.text)] for line in lines(box.error, width, most)]


def _pairs(pairs: tuple[tuple[str, str], ...]) -> Iterator[list[str]]:
    for name, value in pairs[:_ROWS]:
        yield [_font(cut(name, 32), _TEXT, _MUTED), *([_font(value, _TEXT, _DARK, _GAP)] if value else [])]
    if len(pairs) > _ROWS:
        yield [_font(f"and {len(pairs) - _ROWS} more", _TEXT, _MUTED)]


def _rows(rows: Iterable[list[str]], align: str = "LEFT") -> str:
    """A table without lines: a row of one cell stands left, of two cells the second one stands right."""
    body = []
    for first, *more in rows:
        span = "" if more else ' COLSPAN="2"'
        body.append(
            f'<TD ALIGN="{align}"{span}>{first}</TD>' + "".join(f'<TD ALIGN="RIGHT">{cell}</TD>' for cell in more)
        )
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
    return f"{table}<TR>{'</TR><TR>'.join(body)}</TR></TABLE>"


def _font(text: str, points: int, colour: str, before: str = "") -> str:
    """The text on one line, escaped; Graphviz refuses an element without content, so there always is some."""
    shown = html.escape(visible(text).replace("\n", "␊")).strip(" ") or "&#160;"
    shown = shown.replace("\\", "\\\\")  # in tables too, Graphviz would put the node's name for a backslash and N
    return f'<FONT POINT-SIZE="{points}" COLOR="{colour}">{before}{shown}</FONT>'


def _html(label: str) -> str:
    return f"<{label}>"


def _tooltip(box: Box) -> str:
    told = (box.title, box.action, *box.notes, heading(box), box.error)
    return "\n".join(cut(text, _TOOLTIP) for text in told if text)


def _quoted(text: str) -> str:
    """A DOT string: backslash is Graphviz's escape character there, a newline may stand as it is."""
    return '"' + visible(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _node_id(key: str, index: int) -> str:
    """The key, where it is plain, so that the text can be read; else a number that no key can be."""
    return f'"{key}"' if _PLAIN_KEY.fullmatch(key) else f'"box {index}"'
