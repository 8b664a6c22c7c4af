"""Static: add the graph's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dagger.core.errors import GraphError
from dagger.core.events import Spec
from dagger.spec.workflow import Beginning, FindGraph


class Static(msgspec.Struct, frozen=True):
    """Execute a registered graph as it is."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            message = f"Static takes the name of a registered graph, not {self.name!r:.80}"
            raise GraphError(message)

    def opening(self, find: FindGraph, inputs: Mapping[str, Any]) -> Beginning:
        """See WorkflowSpec. Raises GraphError where there is no such graph."""
        return Beginning(Spec("static", self.name), find(self.name))
