"""WorkflowSpec: what can be executed. A mode says how a flow begins, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from dagger.core.events import Spec
from dagger.core.graph import Definition

FindGraph: TypeAlias = Callable[[str], Definition]
"""A registered graph by name. Raises GraphError where there is none."""


class Beginning(NamedTuple):
    """How a flow begins."""

    spec: Spec
    graph: Definition
    inputs: Mapping[str, Any] = {}
    """Those that the mode gives, beside the caller's."""
    instructions: Sequence[Any] = ()
    """What waits for its supervisor, first things first."""
    config: Mapping[str, Any] = {}
    """Settings in place of the library's defaults."""
    messages: Sequence[tuple[str, Any]] = ()
    """What is published first: channels and payloads."""
    reads: str = ""
    """A channel that somebody has to read; empty: none."""
    keep_alive: bool = False
    """Whether it waits for messages from outside where nothing is left to do."""
    calls_any: bool = False
    """Whether it may call any of the application's actions."""


class WorkflowSpec(Protocol):
    """What can be executed: a mode, with its own words."""

    def opening(self, find: FindGraph, inputs: Mapping[str, Any]) -> Beginning:
        """How it begins with these inputs. Raises GraphError."""
