"""Picture: a plan or a run as DOT, Mermaid and SVG text; renderers are the only place that escapes."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from dagger.core.errors import DrawingFailed
from dagger.core.graph import DEFAULT_TIMEOUT_SECONDS, Definition, Input, Node
from dagger.views import dot, mermaid
from dagger.views.fold import folded
from dagger.views.scene import Arrow, Box, Scene
from dagger.views.texts import value_text


@dataclass(frozen=True)
class Picture(Scene):
    """Boxes and arrows, to be drawn. Above some 300 boxes alike ones are folded into one, which says how many."""

    def to_dot(self) -> str:
        """The picture for Graphviz."""
        return dot.to_dot(folded(self))

    def to_mermaid(self) -> str:
        """The picture for Mermaid."""
        return mermaid.to_mermaid(folded(self, mermaid.BOXES, mermaid.ARROWS))

    def to_svg(self) -> str:
        """The picture as an `<svg>` element. Raises DrawingFailed where no Graphviz is at hand."""
        from dagger.views import svg  # subprocess costs 10 ms of import, and few processes draw

        return svg.to_svg(self.to_dot())

    def _repr_html_(self) -> str:
        try:
            # wide pictures scroll: scaled down to the page nobody could read them
            return f'<div style="overflow:auto;max-height:80vh">{self.to_svg()}</div>'
        except DrawingFailed as error:
            return f"<pre>{html.escape(str(error))}</pre>"


def plan_picture(definition: Definition) -> Picture:
    """What a graph will do: its nodes with what they take, and what follows what."""
    boxes = tuple(_plan_box(node) for node in definition.nodes)
    arrows = tuple(
        Arrow(dependency, node.id, is_dashed=node.run_when == "finished")
        for node in definition.nodes
        for dependency in node.dependencies
    )
    return Picture(boxes, arrows, definition.name)


def input_text(entry: Input) -> str:
    """Where an input's value comes from, or the value itself."""
    if entry.reference or entry.value is msgspec.UNSET:
        return entry.reference
    return value_text(bytes(entry.value))


def _plan_box(node: Node) -> Box:
    return Box(
        key=node.id,
        title=node.id,
        action=node.action,
        facts=tuple(_particulars(node)),
        inputs=tuple((entry.name, input_text(entry)) for entry in node.inputs),
        outputs=tuple((output.name, "") for output in node.outputs),
    )


def _particulars(node: Node) -> Iterator[str]:
    """What a node sets apart from the defaults."""
    if node.run_when == "finished":
        yield "run when finished"
    if node.try_count is not None:
        yield f"{node.try_count} {'try' if node.try_count == 1 else 'tries'}"
    if node.timeout != DEFAULT_TIMEOUT_SECONDS:
        yield f"{node.timeout:g} s each"
    if node.on_failure:
        yield f"on failure {node.on_failure}"
    if node.failure:
        yield f"else {node.failure}"
