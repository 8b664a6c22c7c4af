"""Picture: a plan or a run as DOT, Mermaid and SVG text; renderers are the only place that escapes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from dagger.core.errors import DrawingFailed
from dagger.core.events import step_name
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


def plan_picture(definition: Definition, graphs: Mapping[str, Definition] | None = None) -> Picture:
    """What a graph will do: its nodes with what they take, and what follows what.

    `graphs`: those that its nodes run as child flows, by name, to be drawn too, as far as they are known.
    """
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    _plan(definition.nodes, "", graphs or {}, boxes, arrows)
    return Picture(tuple(boxes), tuple(arrows), definition.name)


def _plan(
    nodes: Iterable[Node], scope: str, graphs: Mapping[str, Definition], boxes: list[Box], arrows: list[Arrow]
) -> None:
    """Draw the nodes of one scope, then those of the graphs that they run."""
    for node in nodes:
        key = step_name(scope, node.id)
        nested = graphs.get(node.graph)
        boxes.append(_plan_box(node, key, scope, is_nested=bool(node.graph) and nested is None))
        is_dashed = node.run_when == "finished"
        arrows += [Arrow(step_name(scope, before), key, is_dashed=is_dashed) for before in node.dependencies]
        if nested is not None:
            # without itself: a graph that contains itself is refused elsewhere, and must not hang its picture
            inner = {name: graph for name, graph in graphs.items() if name != node.graph}
            _plan(nested.nodes, key, inner, boxes, arrows)


def input_text(entry: Input) -> str:
    """Where an input's value comes from, or the value itself."""
    if entry.reference or entry.value is msgspec.UNSET:
        return entry.reference
    return value_text(bytes(entry.value))


def called(node: Node) -> str:
    """What a node calls: its action, or its graph."""
    return node.action or f"graph {node.graph}"


def notes(node: Node) -> Iterator[str]:
    """When a node runs, and for each of what."""
    if node.when is not None:
        tests = [f"{_SIGNS.get(name, name)} {value_text(bytes(value), 20)}" for name, value in node.when.tests.items()]
        yield " ".join(filter(None, ("when", node.when.reference, " and ".join(tests))))
    if node.map is not None:
        at_once = "" if node.map.max_parallel is None else f", {node.map.max_parallel} at once"
        yield f"for each of {node.map.reference}{at_once}"


_SIGNS = {"equals": "=", "not_equals": "≠", "not_in": "not in", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}
"""How the tests of a condition are written in a picture."""


def _plan_box(node: Node, key: str, scope: str, *, is_nested: bool) -> Box:
    return Box(
        key=key,
        title=node.id,
        action=called(node),
        notes=tuple(notes(node)),
        facts=tuple(_particulars(node)),
        inputs=tuple((entry.name, input_text(entry)) for entry in node.inputs),
        outputs=tuple((output.name, "") for output in node.outputs),
        inside=scope,
        is_nested=is_nested,
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
