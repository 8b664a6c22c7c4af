"""Static: add the graph's nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from dagger.core.errors import GraphError
from dagger.core.events import Spec
from dagger.core.graph import Definition

FindGraph: TypeAlias = Callable[[str], Definition]


class WorkflowSpec(Protocol):
    """What can be executed: a mode, with its own words. It says how a run begins, and nothing more."""

    def opening(self, find: FindGraph) -> tuple[Spec, Definition]:
        """What stands in the run's first event. `find` gives a registered graph by name."""


class Static(msgspec.Struct, frozen=True):
    """Execute a registered graph as it is."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            message = f"Static takes the name of a registered graph, not {self.name!r:.80}"
            raise GraphError(message)

    def opening(self, find: FindGraph) -> tuple[Spec, Definition]:
        """See WorkflowSpec. Raises GraphError where there is no such graph."""
        return Spec("static", self.name), find(self.name)
