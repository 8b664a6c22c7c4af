"""NodeOutcome: how a step ended, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, overload

from dagger.core.errors import nearest

SUCCESSES = frozenset(("succeeded", "recovered"))
"""Statuses with which the run goes on as if nothing had been."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """How a step ended."""

    node_id: str
    """The node's id; in a child flow with its scope before it: `each_page/7/resize`."""
    success: bool
    """True for `succeeded` and `recovered`."""
    status: str
    """`succeeded`, `failed`, `skipped`, `recovered` or `cancelled`. In a tree also what has not ended: `pending`,
    `running`, `waiting`, `interrupted`, and `unreached` where the run ended before the step's turn; and `published`
    of a message."""
    retry_messages: list[str] = field(default_factory=list)
    """One for each failed attempt, the last one included: `Attempt 1 failed: ValueError: boom`."""
    final_error: str | None = None
    """`Failed after 3 attempts. Last error: ValueError: boom`; None unless it finally failed."""
    reason: str = ""
    """Why it was skipped or cancelled."""
    started_at: datetime | None = None
    """UTC. A skipped step starts when it ends; None: in a tree, not started yet."""
    ended_at: datetime | None = None
    """UTC; None: in a tree, not ended yet."""
    attempts: int = 0
    """Over the whole run, those before a resume too; an attempt that died with its process does not count."""
    reused: str | None = None
    """The id of the run whose outputs it took instead of doing its work again."""

    @property
    def duration(self) -> float:
        """Seconds from the start to the end, delays between attempts included; 0.0 where it has none."""
        if self.started_at is None or self.ended_at is None:
            return 0.0
        return (self.ended_at - self.started_at).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON values: times are ISO 8601 texts."""
        return {
            "node_id": self.node_id,
            "success": self.success,
            "status": self.status,
            "retry_messages": list(self.retry_messages),
            "final_error": self.final_error,
            "reason": self.reason,
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
            "attempts": self.attempts,
            "reused": self.reused,
        }


class NodeOutcomes(Sequence[NodeOutcome]):
    """Outcomes in the order of ending, by position; also by node id, as a dict would have them."""

    def __init__(self, outcomes: Iterable[NodeOutcome] = ()) -> None:
        self._ordered = tuple(outcomes)
        self._by_id = {outcome.node_id: outcome for outcome in self._ordered}

    @overload
    def __getitem__(self, key: int | str) -> NodeOutcome: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[NodeOutcome, ...]: ...
    def __getitem__(self, key: int | str | slice) -> NodeOutcome | tuple[NodeOutcome, ...]:
        if not isinstance(key, str):
            return self._ordered[key]
        if key not in self._by_id:
            message = f"no outcome of a node {key!r}: it has not ended, or there is none{nearest(key, self._by_id)}"
            raise KeyError(message)
        return self._by_id[key]

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[NodeOutcome]:
        return iter(self._ordered)

    def __contains__(self, key: object) -> bool:
        return key in self._by_id if isinstance(key, str) else key in self._ordered

    def get(self, node_id: str, default: NodeOutcome | None = None) -> NodeOutcome | None:
        """The outcome of a node; `default` where it has not ended."""
        return self._by_id.get(node_id, default)

    def keys(self) -> list[str]:
        """The ids of the nodes that ended, in that order."""
        return list(self._by_id)

    def values(self) -> list[NodeOutcome]:
        """The outcomes, in the order of ending."""
        return list(self._by_id.values())

    def items(self) -> list[tuple[str, NodeOutcome]]:
        """Node ids with their outcomes, in the order of ending."""
        return list(self._by_id.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeOutcomes) and self._ordered == other._ordered

    __hash__ = None  # type: ignore[assignment]  # equal by content, so it has no hash

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for outcome in self:
            counts[outcome.status] = counts.get(outcome.status, 0) + 1
        return f"<{', '.join(f'{count} {status}' for status, count in counts.items()) or 'no'} nodes>"


def moment(at: int) -> datetime:
    """The UTC time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=at)


def iso(at: datetime | None) -> str | None:
    """ISO 8601 with milliseconds: `2026-07-01T09:30:00.250Z`."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
