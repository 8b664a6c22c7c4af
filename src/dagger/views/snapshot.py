"""Snapshots: the nodes and edges of an execution tree, and what a picture shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from dagger.views.outcome import NodeOutcome, iso

EXECUTED_AFTER = "executed_after"
"""A dependency -> what waited for it."""
ADDED = "added"
"""The step that added a node -> that node."""
CHILD = "child"
"""The step that began a child flow -> the steps that the flow begins with."""
PUBLISHED = "published"
"""The step that published a message -> that message. Also how a message stands there: it has happened."""
PROCESSED_BY = "processed_by"
"""A message -> its delivery to an agent, and each redelivery."""

Kind: TypeAlias = Literal["step", "item", "message", "delivery"]
"""What a node of the tree is: a step; one in a map; a message; or what an agent does with one."""


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """One node of a run, or one message, as of the end of the journal."""

    node_id: str
    """Of a message its id, `12-1`; of its delivery that and the agent's name: `reader#12-1`."""
    outcome: NodeOutcome
    """Of a node that has not ended, `outcome.status` says how far it is: `pending`, `running`, `waiting`,
    `interrupted` (its process died), or `unreached` where the run ended before its turn. A message is `published`."""
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
    node. `child`: the step that began the child flow which this one begins with. `published`: the step that published
    this message; one from outside has none. `processed_by`: the message that this delivery handles."""

    def to_dict(self) -> dict[str, Any]:
        """The edge as JSON values."""
        return {"parent": self.parent, "label": self.label}


class NodeDetail(NamedTuple):
    """What a picture shows of a node beside its outcome; values are cut, blobs are not loaded."""

    action: str
    """Or the graph: `graph clean`; of a delivery the agent, of a message the channel."""
    notes: tuple[str, ...] = ()
    """When it runs, for each of what: `when plan.found`."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and reference, or name and literal."""
    outputs: tuple[tuple[str, str], ...] = ()
    """Name and value; of a message its `payload`, of a delivery its `reply`."""
    error: str = ""
    """The last attempt's, or why it was skipped or cancelled."""
    kind: Kind = "step"
    inside: str = ""
    """The step of the child flow that it stands in; empty: the run's own."""
