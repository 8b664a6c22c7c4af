"""Context: what an action may see and do. This is the promise; engine/context.py keeps it."""

from __future__ import annotations

import abc
import datetime
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Unpack

import msgspec

from dagger.core.cache import Cache
from dagger.core.graph import Node
from dagger.spec.fields import After, Called, NodeFields
from dagger.spec.message import Message
from dagger.spec.workflow import WorkflowSpec


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


class FlowReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a child flow that code executed."""

    run_id: str
    """The run's: a child flow is a part of it."""
    status: str
    """`succeeded` or `failed`."""
    result: Any = None
    """What was given to `ctx.finish` in it."""
    outputs: dict[str, dict[str, Any]] = {}
    """Of each of its nodes that succeeded, by node id: its outputs by name."""
    error: str = ""
    """The final errors, joined."""

    @property
    def overall_success(self) -> bool:
        """Whether nothing in it finally failed."""
        return self.status == "succeeded"


class Context(abc.ABC):
    """One attempt's view of its run. An action receives it through a parameter annotated `Context`.

    What is collected (`cache` writes, `add_node`, `finish`, `recover`) takes effect together with the attempt's
    success, in one journal entry, or not at all: a failed attempt leaves nothing behind.
    """

    run_id: str
    graph: str
    """The graph's name."""
    node: Node
    message: Message | None
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
    def action_schemas(self) -> Mapping[str, dict[str, Any]]:
        """The schemas of the application's actions by name: what a node can call. Raises StepError in a process."""

    @property
    @abc.abstractmethod
    def outcomes(self) -> Mapping[str, Outcome]:
        """What became of the node's dependencies, by node id. Failed ones only with `run_when: finished`.

        In a supervisor: of the nodes that its last turn added.
        """

    @abc.abstractmethod
    def publish(self, channel: str, payload: object) -> None:
        """Publish a JSON value to a channel: to the agents that read it then. Collected.

        Raises ChannelNotDeclared in an agent that does not declare the channel, and MessageInvalid, with every
        violation, for what its own schema or a reader's does not take.
        """

    @abc.abstractmethod
    def reply(self, payload: object) -> None:
        """Answer whoever requested the message that is handled; if nobody did, it goes nowhere. Collected.

        The first reply to a request is its answer. Raises StepError in an action, OutputInvalid for what is not JSON.
        """

    @abc.abstractmethod
    def request(
        self, channel: str, payload: object, timeout: float | None = 60, *, key: str | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Publish a message, and wait for a reply; the first one. The message leaves when the wait is opened.

        `timeout`: seconds, None for ever, also where whoever should reply has failed; then RequestTimedOut is raised,
        and a later attempt asks anew. `key` and errors as for `sleep`, those of `publish`, and NoAgentsRegistered where
        nobody reads the channel.
        """

    @abc.abstractmethod
    def finish(self, result: object) -> None:
        """Give the run its result. The first in the journal stands. Raises OutputInvalid for what is not JSON."""

    @abc.abstractmethod
    def add_node(
        self,
        action: Called,
        *,
        id: str | None = None,
        dependencies: After = (),
        inputs: Mapping[str, Any] | None = None,
        **fields: Unpack[NodeFields],
    ) -> str:
        """Add a node to the flow that this step is in; its id, by default one made of the step's.

        Inputs are references (`ref("fetch.page")`) or literals; the other fields are those of `Graph.add`. It may
        depend on any node of the flow, ended or not, and on those added before it. What a supervisor adds has
        `on_failure: continue` unless it says otherwise: the next iteration sees what became of it. Collected.
        Raises ActionNotRegistered, NodeAlreadyExists, DependencyNotFound, CycleError for a node that waits for
        itself, InputInvalid for literals that the action does not take, or GraphError for any other field.
        """

    @abc.abstractmethod
    def review(
        self,
        question: str,
        *,
        options: Sequence[Any] | None = None,
        wait_minutes: float | msgspec.UnsetType | None = msgspec.UNSET,
        key: str | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Ask a person, and wait for the answer, however long; what was answered.

        `options`: the only answers there are; without them any JSON value will do. `wait_minutes`: 0 to 1440, None
        for ever, by default the config's `human_wait_minutes`; then `human_timeout_action` has it: `autopilot`
        goes on without an answer, which is None here, `pause` pauses the run until it is answered or resumed.
        `key` and errors as for `sleep`.
        """

    @abc.abstractmethod
    def execute(
        self, spec: WorkflowSpec, *, inputs: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Coroutine[Any, Any, FlowReport]:
        """Execute a flow of any mode inside this run, under its limits, and wait for it; what became of it.

        Its nodes, their outputs and its inputs are its own; the cache's other sections are shared. It ends with this
        step at the latest. `key` and errors as for `sleep`, and what `app.start` raises for the spec and its inputs.
        """

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

    @abc.abstractmethod
    async def reserve_tokens(self, count: int) -> None:
        """Hold tokens before a call that may cost so many, until they are spent or the attempt is over.

        An attempt that holds some already holds these instead.

        Where the run has not so many left, its limit is reached now: the call that could pass it is not made.
        """
