"""Execution tree: what a run did, who led to it, and how far it is; of any run, finished or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dagger.core import events
from dagger.core.graph import Node
from dagger.views.course import Course, Courses
from dagger.views.draw import Picture, input_text
from dagger.views.outcome import NodeOutcome, iso, moment
from dagger.views.scene import Arrow, Box
from dagger.views.texts import cut, duration_text, value_text

EXECUTED_AFTER = "executed_after"
"""A dependency -> what waited for it."""
ADDED = "added"
"""The step that added a node -> that node."""


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """One node of a run, as of the end of the journal."""

    node_id: str
    outcome: NodeOutcome
    """Of a node that has not ended, `outcome.status` says how far it is: `pending`, `running`, `waiting`,
    `interrupted` (its process died), or `unreached` where the run ended before its turn."""
    cache_ref: str
    """The section of the run's cache that holds its outputs; empty where it has none."""
    timestamp: datetime
    """UTC: when its status last changed."""

    def to_dict(self) -> dict[str, Any]:
        """The snapshot as JSON values."""
        return {
            "node_id": self.node_id,
            "outcome": self.outcome.to_dict(),
            "cache_ref": self.cache_ref,
            "timestamp": iso(self.timestamp),
        }


@dataclass(frozen=True, slots=True)
class ExecutionEdge:
    """Why one node stands after another."""

    parent: str
    """The id of the node that the edge comes from."""
    label: str
    """`executed_after`: a dependency. `added`: the step that added this node."""

    def to_dict(self) -> dict[str, Any]:
        """The edge as JSON values."""
        return {"parent": self.parent, "label": self.label}


class NodeDetail(NamedTuple):
    """What a picture shows of a node beside its outcome; values are cut, blobs are not loaded."""

    action: str
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and reference, or name and literal."""
    outputs: tuple[tuple[str, str], ...] = ()
    error: str = ""
    """The last attempt's, or why it was skipped or cancelled."""


class ExecutionTree:
    """The nodes of a run and the edges between them, by their place in `nodes`."""

    def __init__(
        self,
        nodes: list[NodeSnapshot],
        edges: list[tuple[int, int, ExecutionEdge]],
        details: list[NodeDetail],
        title: str = "",
    ) -> None:
        self.nodes = nodes
        """All nodes of the plan in its order, then those added while it ran."""
        self.edges = edges
        """(index of the one before, index of the one after, edge)."""
        self.details = details
        """Of the node at the same place."""
        self.title = title

    @classmethod
    def of(cls, journal: Iterable[events.Recorded], *, is_live: bool = True) -> ExecutionTree:
        """The tree of a run's journal. `is_live`: whether a process executes it now; else what ran is interrupted."""
        growth = _Growth()
        for recorded in journal:
            growth.apply(recorded.event)
        if not is_live:
            growth.courses.interrupt(growth.last_at)
        return cls(list(growth.snapshots()), list(growth.edges()), list(growth.details()), growth.title)

    def to_json(self, indent: int | None = None) -> str:
        """`{"nodes": [[index, snapshot]…], "edges": [[from, to, edge]…]}`."""
        whole = {
            "nodes": [[index, node.to_dict()] for index, node in enumerate(self.nodes)],
            "edges": [[before, after, edge.to_dict()] for before, after, edge in self.edges],
        }
        text = msgspec.json.encode(whole)
        return (msgspec.json.format(text, indent=indent) if indent is not None else text).decode()

    def shape(self) -> dict[str, Any]:
        """The tree without its times, order and errors: two runs that did the same have equal shapes."""
        edges = ((self.nodes[before].node_id, self.nodes[after].node_id, edge) for before, after, edge in self.edges)
        return {
            "nodes": {node.node_id: (node.outcome.status, node.outcome.attempts) for node in self.nodes},
            "edges": sorted((before, after, edge.label) for before, after, edge in edges),
        }

    def picture(self) -> Picture:
        """The tree as boxes and arrows."""
        boxes = tuple(_box(node, detail) for node, detail in zip(self.nodes, self.details, strict=True))
        arrows = tuple(
            Arrow(self.nodes[before].node_id, self.nodes[after].node_id, *_looks(edge))
            for before, after, edge in self._drawn()
        )
        return Picture(boxes, arrows, self.title)

    def _drawn(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        """The edges; but who added a node goes without saying where the node waits for that one, or for its sibling."""
        adder = {after: before for before, after, edge in self.edges if edge.label == ADDED}
        clear = {
            after
            for before, after, edge in self.edges
            if edge.label == EXECUTED_AFTER and after in adder and adder[after] in {before, adder.get(before)}
        }
        for edge in self.edges:
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


class _Growth:
    """The fold: a tree in the making."""

    def __init__(self) -> None:
        self.courses = Courses()
        self.last_at = 0
        self._name = self._run_id = ""
        self._status = "running"
        self._steps: dict[str, tuple[Node, str, int]] = {}
        """Of each step: its node, who added it, and when."""
        self._outputs: dict[str, tuple[tuple[str, str], ...]] = {}

    @property
    def title(self) -> str:
        return f"{cut(self._name, 60)} · {self._run_id} · {self._status}"

    def apply(self, event: events.Event) -> None:
        self.last_at = event.at
        match event:
            case events.RunStarted():
                self._name, self._run_id = event.graph.name, event.run_id
                self._add(event.graph.nodes, "", "", event.at)
            case events.StepSucceeded():
                self._add(event.nodes, events.scope_of(event.step), event.step, event.at)
                self._outputs[event.step] = tuple(
                    (name, value_text(bytes(value))) for name, value in event.outputs.items()
                )
            case events.RunPaused():
                self._status = "paused"
            case events.RunResumed() | events.CancelRequested():
                self._status = "running"
            case events.RunEnded():
                self._status = event.status
        self.courses.apply(event)

    def _add(self, nodes: Iterable[Node], scope: str, parent: str, at: int) -> None:
        for node in nodes:
            step = events.step_name(scope, node.id)
            self._steps[step] = (node, parent, at)
            self.courses.of(step)

    def snapshots(self) -> Iterator[NodeSnapshot]:
        for step, (_, _, added_at) in self._steps.items():
            course = self.courses.of(step)
            yield NodeSnapshot(
                node_id=step,
                outcome=course.outcome(),
                cache_ref=step if self._outputs.get(step) else "",
                timestamp=moment(course.at or added_at),
            )

    def edges(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        index = {step: place for place, step in enumerate(self._steps)}
        for step, (node, parent, _) in self._steps.items():
            for dependency in node.dependencies:
                before = events.step_name(events.scope_of(step), dependency)
                if before in index:
                    yield index[before], index[step], ExecutionEdge(before, EXECUTED_AFTER)
            if parent:
                yield index[parent], index[step], ExecutionEdge(parent, ADDED)

    def details(self) -> Iterator[NodeDetail]:
        for step, (node, _, _) in self._steps.items():
            yield NodeDetail(
                action=node.action,
                inputs=tuple((entry.name, input_text(entry)) for entry in node.inputs),
                outputs=self._outputs.get(step, ()),
                error=_error(self.courses.of(step)),
            )


def _error(course: Course) -> str:
    if course.status in {"skipped", "cancelled"}:
        return course.reason
    return "" if course.status in {"succeeded", "recovered"} else course.last_error


def _box(node: NodeSnapshot, detail: NodeDetail) -> Box:
    outcome = node.outcome
    facts = []
    if outcome.ended_at is not None and outcome.attempts:
        facts.append(duration_text(round(outcome.duration * 1000)))
    if outcome.attempts > 1:
        facts.append(f"{outcome.attempts} attempts")
    return Box(
        key=node.node_id,
        title=node.node_id,
        action=detail.action,
        status=outcome.status,
        facts=tuple(facts),
        inputs=detail.inputs,
        outputs=detail.outputs,
        error=detail.error,
    )


def _looks(edge: ExecutionEdge) -> tuple[str, bool]:
    """An arrow's label, and whether it is dashed; that one thing was executed after another goes without saying."""
    return ("", False) if edge.label == EXECUTED_AFTER else (edge.label, True)
