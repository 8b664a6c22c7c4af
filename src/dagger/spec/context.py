"""Context: what an action may see and do. This is the promise; engine/context.py keeps it."""

from __future__ import annotations

import abc
import datetime
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from dagger.core.cache import Cache
from dagger.core.graph import Node


class Outcome(msgspec.Struct, frozen=True):
    """How a node ended that this one depends on."""

    node_id: str
    status: str
    """`succeeded`, `failed` or `skipped`."""
    final_error: str | None = None
    """The last attempt's error, with its type, of a failed node."""
    reason: str | None = None
    """Why the node was skipped."""

    @property
    def success(self) -> bool:
        """Whether it succeeded."""
        return self.status == "succeeded"


class Context(abc.ABC):
    """One attempt's view of its run. An action receives it through a parameter annotated `Context`.

    What is collected (`cache` writes, `finish`, `recover`) takes effect together with the attempt's success, in one
    journal entry, or not at all: a failed attempt leaves nothing behind.
    """

    run_id: str
    graph: str
    """The graph's name."""
    node: Node
    message: None
    """The message that an agent handles; None in an action."""
    attempt: int
    """Starts at 1."""
    idempotency_key: str
    """The same in every attempt of this step, after a crash too: give it to whatever must act only once."""
    cache: Cache
    """Reads see the run's state and this attempt's own writes; writes are collected."""
    inputs: Mapping[str, Any]
    """The node's inputs by name."""
    log: logging.LoggerAdapter[logging.Logger]
    """Adds run, node and attempt to each line."""

    @property
    @abc.abstractmethod
    def deadline(self) -> datetime.datetime:
        """When the attempt times out, in UTC."""

    @property
    @abc.abstractmethod
    def outcomes(self) -> Mapping[str, Outcome]:
        """What became of the node's dependencies, by node id. Failed ones only with `run_when: finished`."""

    @abc.abstractmethod
    def finish(self, result: object) -> None:
        """Give the run its result. The first in the journal stands. Raises OutputInvalid for what is not JSON."""

    @abc.abstractmethod
    def recover(self, outputs: Mapping[str, object]) -> None:
        """In a failure action: give the failed node these outputs, so that the run goes on as if it had succeeded.

        Collected. Raises StepError in any other action, OutputInvalid for what is not JSON.
        """

    @abc.abstractmethod
    def sleep(self, seconds: float, *, key: str | None = None) -> Coroutine[Any, Any, None]:
        """Wait, durably: a run that only waits needs no process, and after a restart only the rest is waited for.

        `key`: what the journal knows the wait by; by default its place among the step's sleeps without one. Raises
        WaitMismatch where the journal has another wait there, StepError in a thread or process, or for a key that
        comes twice in one attempt, or lacks where another sleep is open.
        """

    @abc.abstractmethod
    def memo(self, key: str, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function(*args)` until it has succeeded once, and give its journalled result ever after.

        In an async action it is awaited, and `function` may be async; in a thread or process it blocks. The result
        is a JSON value. Raises StepError for a key that comes twice in one attempt, OutputInvalid for what is not JSON.
        """

    @abc.abstractmethod
    def progress(self, fraction: float, note: str = "") -> None:
        """Tell whoever listens how far the attempt is, from 0 to 1. Not journalled."""

    @abc.abstractmethod
    def emit(self, value: object) -> None:
        """Show whoever listens a JSON value. Not journalled."""

    @abc.abstractmethod
    def spend_tokens(self, count: int) -> None:
        """Count tokens against the run's `max_tokens`, at once: also when the attempt then fails."""
