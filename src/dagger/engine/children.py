"""Child flows that code executes: begun, ended, and dropped with the step whose code waits for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dagger.core import codec, events
from dagger.core.children import CHILD, child_of, owner_of, within
from dagger.core.errors import ScopeFailed, StepError
from dagger.core.graph import Definition, Node
from dagger.core.messages import named
from dagger.core.state import State, Wait
from dagger.core.steps import nodes_of
from dagger.engine.attempt import Attempt
from dagger.engine.binding import Source, loaded
from dagger.engine.flows import Instead, errors_of
from dagger.engine.kernel import Kernel
from dagger.engine.limits import Limits
from dagger.engine.underway import Underway

DEEPEST = 50
"""Child flows in each other: more than this is a flow that executes itself."""


class Flow(Protocol):
    """A child flow that nothing speaks against."""

    spec: events.Spec
    detail: msgspec.Raw
    """What it is, apart from the caller's inputs."""
    inputs: Mapping[str, bytes]
    instructions: tuple[msgspec.Raw, ...]
    messages: tuple[tuple[str, bytes], ...]
    """What is published first: channels, and payloads as JSON text."""
    keep_alive: bool

    @property
    def definition(self) -> Definition: ...
    @property
    def graphs(self) -> Mapping[str, Definition]: ...
    @property
    def name(self) -> str: ...


class Waits(Protocol):
    """What is asked here of a run's waits: see engine/waits."""

    def find(self, attempt: Attempt, kind: str, key: str, detail: bytes = b"") -> Wait | None: ...
    def opened(self, event: events.ChildOpened, blobs: Sequence[codec.Blob] = ()) -> Wait: ...
    def leave(self, step: str) -> list[str]: ...
    def answer(self, step: str, key: str, value: bytes = b"", *, blobs: list[codec.Blob] | None = None) -> None: ...


class Parent(Source, Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    state: State
    limits: Limits
    underway: Underway

    def record(self, event: events.Event) -> None: ...
    def mailed(self) -> None: ...
    @property
    def waits(self) -> Waits: ...


def open_child(run: Parent, attempt: Attempt, key: str, spec: object, inputs: Mapping[str, Any]) -> None:
    """Begin a child flow for the attempt's code, or find the one that an earlier attempt began.

    Raises WaitMismatch, StepError, and what starting a run of it would raise.
    """
    if attempt.step.count("/") >= DEEPEST:
        message = (
            f"{named(attempt.node)}: execute: flows are {DEEPEST} deep in each other here; does one execute itself?"
        )
        raise StepError(message)
    flow: Flow = run.kernel.open_flow(spec, inputs)
    nodes = flow.definition.nodes
    if flow.keep_alive or any(node.iteration is not None and node.iteration.keep_alive for node in nodes):
        message = f"{named(attempt.node)}: execute: a child flow with keep_alive would never end"
        raise StepError(message)
    if run.waits.find(attempt, CHILD, key, bytes(flow.detail)) is not None:
        return
    graphs = {flow.name: flow.definition, **flow.graphs}
    for definition in graphs.values():
        run.underway.look_over(definition.nodes)
    run.underway.expect_scopes()
    blobs: list[codec.Blob] = []
    run.waits.opened(
        events.ChildOpened(
            at=run.kernel.tick(),
            step=attempt.step,
            key=key,
            graph=flow.name,
            detail=flow.detail,
            graphs={name: each for name, each in graphs.items() if name not in run.state.graphs},
            inputs={name: codec.sealed(text, blobs) for name, text in flow.inputs.items()},
            instructions=tuple(codec.sealed(bytes(text), blobs) for text in flow.instructions),
            messages=tuple(run.message(None, channel, text, blobs) for channel, text in flow.messages),
        ),
        blobs,
    )
    run.mailed()
    run.underway.begin_scope(child_of(attempt.step, key))


def end_child(run: Parent, step: str, node: Node, now: int) -> Instead:
    """All of a child flow has ended: the code that waits for it is told, then its step ends."""
    owner = owner_of(step, node.answers)
    scope = run.state.scopes[step]
    error = errors_of(scope)
    wait = run.state.waits.get(owner, {}).get(node.answers)
    if wait is not None and wait.is_open:  # else a process died that had just told it: it may have ended since
        report: dict[str, Any] = {
            "run_id": run.state.run_id,
            "status": "failed" if scope.failures else "succeeded",
            "outputs": dict(_outputs(run, step)),
            "error": error,
        }
        if scope.result is not None:
            report["result"] = msgspec.Raw(codec.resolve(scope.result, run.load))
        blobs: list[codec.Blob] = []
        text = codec.sealed(msgspec.json.encode(report), blobs)
        run.waits.answer(owner, node.answers, bytes(text), blobs=blobs)
    if not scope.failures:
        return Instead(events.StepSucceeded(at=now, step=step, duration_ms=now - scope.began_at))
    told = events.Error(ScopeFailed.__name__, error)
    return Instead(events.StepFailed(at=now, step=step, attempt=1, error=told, policy="continue"))


def drop_child(run: Parent, child: str, running: set[Attempt]) -> None:
    """Give up a child flow that nobody waits for any more, with all that runs in it, in flows of its own too."""
    pending, members = run.state.pending, list(within(run.state, child))
    inside = {step: pending[step] for step in members if step in pending}
    for step in members:  # dead letters too: somebody may have been asked
        run.waits.leave(step)
    for attempt in [attempt for attempt in running if attempt.step in inside]:
        running.discard(attempt)
        del inside[attempt.step]
        attempt.over()
        if attempt.task is not None:
            attempt.task.cancel()
        run.limits.release(attempt)
        run.underway.leave(attempt.step, attempt)
    run.underway.drop(inside)
    run.record(dropped(run.kernel.tick(), child))


def dropped(now: int, child: str) -> events.StepCancelled:
    """What ends a child flow that nobody waits for."""
    return events.StepCancelled(at=now, step=child, attempt=1, reason="the step that waited for it has ended")


def _outputs(run: Parent, step: str) -> Iterator[tuple[str, dict[str, msgspec.Raw]]]:
    state = run.state
    for node in nodes_of(state, state.scopes[step]):
        own = f"{step}/{node.id}"
        if own in state.succeeded:
            section = state.sections.get(own, {})
            yield node.id, {name: msgspec.Raw(loaded(stored, run.load)) for name, stored in section.items()}
