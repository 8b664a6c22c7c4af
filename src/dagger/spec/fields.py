"""The words that code writes nodes with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias, TypedDict

from dagger.core.config import OnFailure
from dagger.core.graph import NodeRef, RunWhen


class ActionObject(Protocol):
    """An action as an object: see dagger.NodeAction."""

    name: str

    async def execute(self, ctx: Any) -> Any: ...


Called: TypeAlias = str | Callable[..., Any] | ActionObject
"""What a node calls: an action by its name, or itself."""
After: TypeAlias = NodeRef | str | Iterable[NodeRef | str]
"""What a node waits for besides what its inputs refer to."""


class NodeFields(TypedDict, total=False):
    """The fields of a node that are no inputs, as `Graph.add` takes them."""

    when: NodeRef | str | Mapping[str, Any] | None
    map: NodeRef | str | Mapping[str, Any] | None
    cache: bool | Mapping[str, Any] | None
    outputs: Iterable[str]
    timeout: float | None
    try_count: int | None
    onfailure: bool | None
    on_failure: OnFailure | None
    failure: str | Callable[..., Any] | None
    run_when: RunWhen
    priority: int
    description: str
    instructions: Iterable[str]
