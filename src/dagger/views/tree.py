"""Execution tree: what a run did, who led to it, and how far it is; of any run, finished or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from dagger.core import codec, events
from dagger.core.children import child_of
from dagger.core.fold import CONDITION
from dagger.core.graph import ITEM, Definition, Node
from dagger.core.steps import HANDLER, is_item
from dagger.views.course import Course, Courses
from dagger.views.draw import Picture, called, input_text, notes
from dagger.views.fold import ITEMS
from dagger.views.outcome import SUCCESSES, NodeOutcome, iso, moment
from dagger.views.scene import Arrow, Box
from dagger.views.texts import cut, duration_text, value_text

EXECUTED_AFTER = "executed_after"
"""A dependency -> what waited for it."""
ADDED = "added"
"""The step that added a node -> that node."""
CHILD = "child"
"""The step that began a child flow -> the steps that the flow begins with."""


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
    """`executed_after`: a dependency, or the step whose failure this one handles. `added`: the step that added this
    node. `child`: the step that began the child flow which this one begins with."""

    def to_dict(self) -> dict[str, Any]:
        """The edge as JSON values."""
        return {"parent": self.parent, "label": self.label}


class NodeDetail(NamedTuple):
    """What a picture shows of a node beside its outcome; values are cut, blobs are not loaded."""

    action: str
    """Or the graph: `graph clean`."""
    notes: tuple[str, ...] = ()
    """When it runs, for each of what: `when plan.found`."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and reference, or name and literal."""
    outputs: tuple[tuple[str, str], ...] = ()
    error: str = ""
    """The last attempt's, or why it was skipped or cancelled."""
    is_item: bool = False
    """It stands in a map."""


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
        """All nodes of the plan in its order, then those that came while it ran: added ones, and child flows' steps."""
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
            Arrow(self.nodes[before].node_id, self.nodes[after].node_id, *_looks(edge, self.nodes[after]))
            for before, after, edge in self._drawn()
        )
        return Picture(boxes, arrows, self.title)

    def _drawn(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        """The edges; but who added a node goes without saying where the node waits for that one, or for its sibling."""
        # a child flow is drawn inside the step that began it, but for one that code began, which is beside it
        edges = [edge for edge in self.edges if edge[2].label != CHILD or not self._is_inside(edge[1], edge[0])]
        adder = {after: before for before, after, edge in edges if edge.label == ADDED}
        clear = {
            after
            for before, after, edge in edges
            if edge.label == EXECUTED_AFTER and after in adder and adder[after] in {before, adder.get(before)}
        }
        for edge in edges:
            if edge[2].label != ADDED or edge[1] not in clear:
                yield edge

    def _is_inside(self, index: int, owner: int) -> bool:
        return events.scope_of(self.nodes[index].node_id) == self.nodes[owner].node_id

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


class _Planted(NamedTuple):
    """A node that a run has taken in; the items of a map share one."""

    node: Node
    at: int
    notes: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    """The step that it hangs on, apart from its dependencies."""
    label: str = ""
    """Of the edge from there."""
    is_item: bool = False

    @classmethod
    def of(cls, node: Node, at: int, parent: str = "", label: str = "", *, is_item: bool = False) -> _Planted:
        inputs = tuple((entry.name, input_text(entry)) for entry in node.inputs)
        return cls(node, at, tuple(notes(node)), inputs, parent, label, is_item)


class _Growth:
    """The fold: a tree in the making."""

    def __init__(self) -> None:
        self.courses = Courses()
        self.last_at = 0
        self._name = self._run_id = ""
        self._status = "running"
        self._graphs: dict[str, Definition] = {}
        self._steps: dict[str, _Planted] = {}
        self._maps: set[str] = set()
        """Steps whose child flow is a map."""
        self._outputs: dict[str, tuple[tuple[str, str], ...]] = {}

    @property
    def title(self) -> str:
        return f"{cut(self._name, 60)} · {self._run_id} · {self._status}"

    def apply(self, event: events.Event) -> None:
        self.last_at = event.at
        match event:
            case events.RunStarted():
                self._name, self._run_id, self._graphs = event.graph.name, event.run_id, event.graphs
                for node in event.graph.nodes:
                    self._add(node.id, _Planted.of(node, event.at))
            case events.NodeAdded():
                self._add(event.node.id, _Planted.of(event.node, event.at))
            case events.StepSucceeded():
                self._succeed(event)
            case events.ScopeOpened():
                self._open(event)
            case events.ChildOpened():
                self._open_child(event)
            case events.AttemptFailed(failure=failure) if failure:
                failed = self._steps[event.step]
                handler = Node(id=failed.node.id + HANDLER, action=failure)
                planted = _Planted.of(handler, event.at, event.step, EXECUTED_AFTER, is_item=failed.is_item)
                self._add(event.step + HANDLER, planted)
            case events.RunPaused(reason=reason):
                self._status = f"paused: {cut(reason, 60)}" if reason else "paused"
            case events.RunWaiting() | events.RunParked():
                self._status = "waiting"
            case events.RunResumed() | events.RunWoken() | events.RunRecovered() | events.CancelRequested():
                self._status = "running"
            case events.RunEnded():
                self._status = event.status
        self.courses.apply(event)

    def _add(self, step: str, planted: _Planted) -> None:
        self._steps[step] = planted
        self.courses.of(step)

    def _succeed(self, event: events.StepSucceeded) -> None:
        scope = events.scope_of(event.step)
        if scope in self._maps:  # what an item adds stands beside its map
            scope = events.scope_of(scope)
        for node in event.nodes:
            self._add(events.step_name(scope, node.id), _Planted.of(node, event.at, event.step, ADDED))
        self._outputs[event.step] = _shown(event.outputs)
        if event.recovers is not msgspec.UNSET:
            self._outputs[event.step.removesuffix(HANDLER)] = _shown(event.recovers)

    def _open(self, event: events.ScopeOpened) -> None:
        """Take in the steps of a child flow."""
        step, owner = event.step, self._steps[event.step]
        if event.graph:
            self._plant(step, event.graph, event.at)
            return
        self._maps.add(step)
        if not event.count:
            self._steps[step] = owner._replace(notes=(*owner.notes, "no items"))
            return
        node = msgspec.structs.replace(owner.node, dependencies=(), map=None, when=None)
        item = _Planted.of(node, event.at, step, CHILD, is_item=True)
        if event.count > ITEMS:  # a picture folds them, so that nobody sees what they take
            for index in range(event.count):
                self._add(f"{step}/{index}", item)
            return
        for index, text in enumerate(_items(event)):
            self._add(f"{step}/{index}", item._replace(inputs=_taken(node, text)))

    def _plant(self, scope: str, graph: str, at: int) -> None:
        """Take in the nodes of a graph."""
        for node in self._graphs[graph].nodes:
            hangs = () if node.dependencies else (scope, CHILD)
            self._add(f"{scope}/{node.id}", _Planted.of(node, at, *hangs))

    def _open_child(self, event: events.ChildOpened) -> None:
        """Take in a child flow that a step's code began: a step of its own beside it."""
        step = child_of(event.step, event.key)
        self._graphs = {**event.graphs, **self._graphs}
        # by its own name: a run may know a supervisor's graph by another one
        node = Node(id=step.rpartition("/")[2], graph=self._graphs[event.graph].name)
        self._add(step, _Planted.of(node, event.at, event.step, CHILD))
        self._plant(step, event.graph, event.at)

    def snapshots(self) -> Iterator[NodeSnapshot]:
        for step, planted in self._steps.items():
            course = self.courses.of(step)
            yield NodeSnapshot(
                node_id=step,
                outcome=course.outcome(),
                cache_ref=step if self._outputs.get(step) and self._is_kept(step) else "",
                timestamp=moment(course.at or planted.at),
            )

    def _is_kept(self, step: str) -> bool:
        """Whether the cache has its outputs: a child flow's go with it, and a failure action has none of its own."""
        scope = events.scope_of(step)
        return not (step.endswith(HANDLER) or (scope and self.courses.of(scope).status in SUCCESSES))

    def edges(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        index = {step: place for place, step in enumerate(self._steps)}
        for step, planted in self._steps.items():
            for dependency in planted.node.dependencies:
                before = events.step_name(events.scope_of(step), dependency)
                if before in index:
                    yield index[before], index[step], ExecutionEdge(before, EXECUTED_AFTER)
            if parent := planted.parent:
                yield index[parent], index[step], ExecutionEdge(parent, planted.label)

    def details(self) -> Iterator[NodeDetail]:
        for step, planted in self._steps.items():
            yield NodeDetail(
                action=called(planted.node),
                notes=planted.notes,
                inputs=planted.inputs,
                outputs=self._outputs.get(step, ()),
                error=_error(self.courses.of(step)),
                is_item=planted.is_item,
            )


def _items(event: events.ScopeOpened) -> list[bytes]:
    """The JSON texts of a map's items; of a list in a blob, which is not loaded, that it is one."""
    text = b"[]" if event.items is msgspec.UNSET else bytes(event.items)
    if codec.is_blob(text):
        return [b"item"] * event.count
    return [bytes(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]


def _taken(node: Node, item: bytes) -> tuple[tuple[str, str], ...]:
    """The inputs of an item's step: the item as itself, under its own name where no input refers to it."""
    taken = tuple(
        (entry.name, value_text(item) if entry.reference == ITEM else input_text(entry)) for entry in node.inputs
    )
    return taken if any(is_item(entry.reference) for entry in node.inputs) else (*taken, (ITEM, value_text(item)))


def _shown(outputs: dict[str, msgspec.Raw]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value_text(bytes(value))) for name, value in outputs.items())


def _error(course: Course) -> str:
    if course.status in {"skipped", "cancelled"}:
        return "condition not met" if course.reason == CONDITION else course.reason
    return "" if course.status in SUCCESSES else course.last_error


def _box(node: NodeSnapshot, detail: NodeDetail) -> Box:
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
        title=f"{scope.rpartition('/')[2]}/{own_name}" if detail.is_item else own_name,
        action=detail.action,
        notes=detail.notes,
        status=outcome.status,
        facts=tuple(facts),
        inputs=detail.inputs,
        outputs=detail.outputs,
        error=detail.error,
        inside=scope,
        is_item=detail.is_item,
    )


def _looks(edge: ExecutionEdge, target: NodeSnapshot) -> tuple[str, bool]:
    """An arrow's label, and whether it is dashed; that one thing was executed after another goes without saying."""
    if target.node_id.endswith(HANDLER):
        return "failure", True
    return ("", False) if edge.label == EXECUTED_AFTER else (edge.label, True)
