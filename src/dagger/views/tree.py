"""Execution tree: what a run did, who led to it, and how far it is; of any run, finished or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dagger.core import events
from dagger.core.messages import MARK
from dagger.core.steps import HANDLER
from dagger.views.draw import Picture
from dagger.views.growth import Growth
from dagger.views.scene import Arrow, Box
from dagger.views.snapshot import (
    ADDED,
    EXECUTED_AFTER,
    PROCESSED_BY,
    PUBLISHED,
    ExecutionEdge,
    NodeDetail,
    NodeSnapshot,
)
from dagger.views.texts import duration_text

__all__ = ["ExecutionEdge", "ExecutionTree", "NodeDetail", "NodeSnapshot"]


class ExecutionTree:
    """The nodes of a run and the edges between them, by their place in `nodes`."""

    def __init__(
        self,
        nodes: list[NodeSnapshot],
        edges: list[tuple[int, int, ExecutionEdge]],
        details: list[NodeDetail],
        title: str = "",
        left_out: int = 0,
    ) -> None:
        self.nodes = nodes
        """All nodes of the plan in its order, then those that came while it ran: added ones, child flows' steps, and
        messages, each with its deliveries behind it."""
        self.edges = edges
        """(index of the one before, index of the one after, edge)."""
        self.details = details
        """Of the node at the same place."""
        self.title = title
        self.left_out = left_out
        """Messages that were handled, and what was done for them: see `of`."""

    @classmethod
    def of(cls, journal: Iterable[events.Recorded], *, is_live: bool = True, keeps_mail: bool = True) -> ExecutionTree:
        """The tree of a run's journal. `is_live`: whether a process executes it now; else what ran is interrupted.

        Without `keeps_mail` it leaves out each message that all who read it have handled, with what was done for it: of
        a service of a month what is left fits into memory.
        """
        growth = Growth(keeps_mail=keeps_mail)
        for recorded in journal:
            growth.apply(recorded)
        if not is_live:
            growth.courses.interrupt(growth.last_at)
        nodes, edges, details = list(growth.snapshots()), list(growth.edges()), list(growth.details())
        return cls(nodes, edges, details, growth.title, growth.left_out)

    def to_json(self, indent: int | None = None) -> str:
        """`{"nodes": [[index, snapshot]…], "edges": [[from, to, edge]…]}`."""
        whole = {
            "nodes": [[index, node.to_dict()] for index, node in enumerate(self.nodes)],
            "edges": [[before, after, edge.to_dict()] for before, after, edge in self.edges],
        }
        text = msgspec.json.encode(whole)
        return (msgspec.json.format(text, indent=indent) if indent is not None else text).decode()

    def shape(self) -> dict[str, Any]:
        """The tree without its times, order and errors: two runs that did the same have equal shapes.

        Messages count by their channels, and what was done with them by the agents: their ids say when they came.
        """
        names = [
            detail.action if detail.kind == "message" else _MESSAGE.sub(MARK, node.node_id)
            for node, detail in zip(self.nodes, self.details, strict=True)
        ]
        told = [(node.outcome.status, node.outcome.attempts) for node in self.nodes]
        own = [detail.kind != "message" and MARK not in name for name, detail in zip(names, self.details, strict=True)]
        return {
            "nodes": {name: each for name, each, is_own in zip(names, told, own, strict=True) if is_own},
            "mail": sorted((name, *each) for name, each, is_own in zip(names, told, own, strict=True) if not is_own),
            "edges": sorted((names[before], names[after], edge.label) for before, after, edge in self.edges),
        }

    def picture(self) -> Picture:
        """The tree as boxes and arrows."""
        boxes = tuple(_box(node, detail) for node, detail in zip(self.nodes, self.details, strict=True))
        arrows = tuple(
            Arrow(self.nodes[before].node_id, self.nodes[after].node_id, *_looks(edge, self.nodes[after]))
            for before, after, edge in self._drawn()
        )
        return Picture(boxes, arrows, self.title)

    def _drawn(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        """The edges; but who added a node goes without saying where the node waits for that one, or for its sibling."""
        # what a child flow begins with is drawn inside the step that began it
        edges = [edge for edge in self.edges if self.details[edge[1]].inside != self.nodes[edge[0]].node_id]
        adder = {after: before for before, after, edge in edges if edge.label == ADDED}
        clear = {
            after
            for before, after, edge in edges
            if edge.label == EXECUTED_AFTER and after in adder and adder[after] in {before, adder.get(before)}
        }
        for edge in edges:
            if edge[2].label != ADDED or edge[1] not in clear:
                yield edge

    def to_dot(self) -> str:
        """The tree for Graphviz."""
        return self.picture().to_dot()

    def to_mermaid(self) -> str:
        """The tree for Mermaid."""
        return self.picture().to_mermaid()

    def to_svg(self) -> str:
        """The tree as an `<svg>` element. Raises DrawingFailed where no Graphviz is at hand."""
        return self.picture().to_svg()

    def _repr_html_(self) -> str:
        return self.picture()._repr_html_()

    def __repr__(self) -> str:
        return f"<ExecutionTree {self.title}: {len(self.nodes)} nodes, {len(self.edges)} edges>"


_MESSAGE = re.compile(rf"{MARK}\d+-\d+")
"""A message's id in the name of a delivery, and of what that led to."""
_OBVIOUS = frozenset((EXECUTED_AFTER, PUBLISHED, PROCESSED_BY))
"""Labels that an arrow need not have: what it leads from and to says as much."""


def _box(node: NodeSnapshot, detail: NodeDetail) -> Box:
    return _message_box(node, detail) if detail.kind == "message" else _step_box(node, detail)


def _message_box(node: NodeSnapshot, detail: NodeDetail) -> Box:
    return Box(
        key=node.node_id,
        title=f"{detail.action} {node.node_id}",
        action=detail.action,
        notes=(*(value for _, value in detail.outputs), *detail.notes),
        inside=detail.inside,
        is_mail=True,
        is_round=True,
    )


def _step_box(node: NodeSnapshot, detail: NodeDetail) -> Box:
    outcome = node.outcome
    scope, _, own_name = node.node_id.rpartition("/")
    facts = []
    if outcome.ended_at is not None and outcome.attempts:
        facts.append(duration_text(round(outcome.duration * 1000)))
    if outcome.attempts > 1:
        facts.append(f"{outcome.attempts} attempts")
    if outcome.reused:
        facts.append("reused")
    return Box(
        key=node.node_id,
        # inside its frame an item is `each/7` and any other step `fetch`
        title=f"{scope.rpartition('/')[2]}/{own_name}" if detail.kind == "item" else own_name,
        action=detail.action,
        notes=detail.notes,
        status=outcome.status,
        facts=tuple(facts),
        inputs=detail.inputs,
        outputs=detail.outputs,
        error=detail.error,
        inside=scope,
        is_item=detail.kind == "item",
        is_mail=detail.kind == "delivery",
    )


def _looks(edge: ExecutionEdge, target: NodeSnapshot) -> tuple[str, bool]:
    """An arrow's label, and whether it is dashed; that one thing was executed after another goes without saying."""
    if target.node_id.endswith(HANDLER):
        return "failure", True
    return ("", False) if edge.label in _OBVIOUS else (edge.label, True)
