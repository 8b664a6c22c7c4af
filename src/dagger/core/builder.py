"""GraphBuilder: a graph in the making; adding costs O(dependencies), and no cycle gets in."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from dagger.core.check import Targets, node_findings
from dagger.core.errors import GraphError, Hints, NodeAlreadyExists, Problem
from dagger.core.graph import ID_PATTERN, ITEM, RESERVED_IDS, Definition, Node, id_problem


class GraphBuilder:
    """A named set of nodes, in the making: what is added must fit what is there, so no cycle can arise."""

    def __init__(self, definition: Definition) -> None:
        self._head = msgspec.structs.replace(definition, nodes=())
        self._nodes: dict[str, Node] = {node.id: node for node in definition.nodes}
        self._definition: Definition | None = definition
        """The graph as data, until another node is added."""
        self._numbers: dict[str, int] = {}
        """The last number given to an id, by what stands before it."""

    @property
    def definition(self) -> Definition:
        """The graph as data."""
        if self._definition is None:
            self._definition = msgspec.structs.replace(self._head, nodes=tuple(self._nodes.values()))
        return self._definition

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by id, in the order of being added."""
        return self._nodes

    def insert(self, node: Node) -> None:
        """Add a node whose dependencies and references are already here. Costs O(dependencies).

        Raises NodeAlreadyExists, DependencyNotFound, InvalidReference, or GraphError for a bad id or field.
        """
        if problem := id_problem(node.id):
            raise GraphError(problem)
        if node.id in self._nodes:
            message = f"node {node.id!r} is already in graph {self._head.name!r}"
            raise NodeAlreadyExists(message)
        targets = Targets(self._nodes, self._head.inputs, Hints())
        problems = [Problem(found.message, found.kind) for found in node_findings(node, len(self._nodes), targets)]
        if node.id == ITEM and any(other.map is not None for other in self._nodes.values()):
            message = f"node {ITEM!r}: a node with `map` calls the items of its list so; choose another id"
            problems.append(Problem(message))
        if problems:
            raise GraphError.of(problems)
        self._nodes[node.id] = node.hashed()
        self._definition = None

    def fresh_id(self, name: str) -> str:
        """The action's or graph's name, numbered from the second node on: `square`, `square_2`."""
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        stem = stem if ID_PATTERN.match(stem) and stem not in RESERVED_IDS else f"node_{stem}"
        number = self._numbers.get(stem, 0) + 1
        while (fresh := stem if number == 1 else f"{stem}_{number}") in self._nodes:
            number += 1
        self._numbers[stem] = number
        return fresh
