"""What every event is, those that are only told, and the names of the steps that events speak of."""

from __future__ import annotations

import msgspec


def step_name(scope: str, node_id: str) -> str:
    """The step of a node in a scope; the run's own scope is the empty one."""
    return f"{scope}/{node_id}" if scope else node_id


def scope_of(step: str) -> str:
    """The scope that a step is in."""
    return step.rpartition("/")[0]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type", tag=True, gc=False):
    """One immutable fact about a run. In the journal it is a JSON object whose `type` is the class's name."""

    # plain data that no cycle leads through: the garbage collector need not look at it

    at: int
    """When it happened."""

    @property
    def type(self) -> str:
        """The class's name, as in the JSON."""
        return type(self).__name__


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an attempt or a run failed."""

    type: str
    """The exception's class name."""
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class Spec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run executes: the mode's name and its own words."""

    mode: str
    """`static`, `agent` or `events`."""
    name: str
    """The graph's, the supervisor's, or the channel's."""


class Progressed(Event, frozen=True, kw_only=True, tag=True):
    """A step's code told how far it is. It goes to whoever listens now, never into the journal."""

    step: str
    fraction: float
    """From 0 to 1."""
    note: str = ""


class Emitted(Event, frozen=True, kw_only=True, tag=True):
    """A step's code showed a value. It goes to whoever listens now, never into the journal."""

    step: str
    value: msgspec.Raw
    """JSON text."""
