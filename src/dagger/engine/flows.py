"""What a step does instead of an attempt: be skipped, reuse, begin or end a child flow, or fail for good."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from dagger.core import codec, decide, events
from dagger.core.errors import InputInvalid, OutputInvalid, ScopeFailed, nearest
from dagger.core.fold import CONDITION
from dagger.core.graph import Node
from dagger.core.journal import Reusable
from dagger.core.state import Pending, Scope
from dagger.core.steps import is_item
from dagger.engine.binding import Source, loaded, text_of, texts, whole
from dagger.spec.inputs import run_inputs
from dagger.spec.outputs import DEFAULT_OUTPUT, outputs

ERRORS_TOLD = 3
"""Errors of a child flow that its step's own error quotes."""


class Instead(NamedTuple):
    """An event that follows without an attempt, with the blobs that it refers to."""

    event: events.StepSkipped | events.StepSucceeded | events.StepFailed | events.ScopeOpened | events.LimitReached
    blobs: Sequence[codec.Blob] = ()


class Run(Source, Protocol):
    """What is asked here of a run."""

    keys: dict[str, str]
    """Of the steps at work that may be reused: what their work is known by, as it was when they began."""

    def reusable(self, key: str) -> Reusable | None: ...


def is_special(node: Node) -> bool:
    """Whether a step of this node may do anything but begin its action."""
    return bool(node.when or node.map or node.graph or node.cache or node.failure or node.iteration or node.precedes)


def instead(run: Run, step: str, pending: Pending, now: int) -> Instead | None:
    """What a ready step does instead of an attempt; None: it is to be attempted.

    Raises InputInvalid, OutputInvalid or ScopeFailed where the step fails at once.
    """
    state, node = run.state, pending.node
    if (failed := decide.handled(state, step, now)) is not None:
        return Instead(failed)
    if step in state.scopes:
        return _end(run, step, node, now)
    if node.when is not None and not _is_met(run, step, node):
        return Instead(events.StepSkipped(at=now, step=step, reason=CONDITION))
    if node.map is not None:
        return _begin_map(run, step, node, now)
    if node.graph:
        return _begin_graph(run, step, node, now)
    return _reuse(run, step, node, now)


def _is_met(run: Run, step: str, node: Node) -> bool:
    condition = node.when
    assert condition is not None
    value = codec.decode(text_of(run, step, node, "when", condition.reference))
    if not condition.tests:
        return bool(value)
    return all(_passes(node, name, value, codec.decode(wanted)) for name, wanted in condition.tests.items())


def _is_equal(one: Any, other: Any) -> bool:
    """As JSON has it: true is no 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": _is_equal,
    "not_equals": lambda value, wanted: not _is_equal(value, wanted),
    "in": lambda value, wanted: any(_is_equal(value, one) for one in wanted),
    "not_in": lambda value, wanted: not any(_is_equal(value, one) for one in wanted),
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def _passes(node: Node, name: str, value: Any, wanted: Any) -> bool:
    try:
        return _TESTS[name](value, wanted)
    except TypeError:
        message = f"node {node.id!r}: when: {codec.readable(repr(value)):.60} cannot be compared: {name} {wanted!r:.60}"
        raise InputInvalid(message) from None


def _begin_map(run: Run, step: str, node: Node, now: int) -> Instead:
    mapped = node.map
    assert mapped is not None
    items = text_of(run, step, node, "map", mapped.reference)
    if not items.startswith(b"["):
        message = f"node {node.id!r}: map: {mapped.reference!r} must be a list, not {codec.decode(items)!r:.60}"
        raise InputInvalid(message)
    blobs: list[codec.Blob] = []
    outer = msgspec.structs.replace(
        node, inputs=tuple(entry for entry in node.inputs if entry.reference and not is_item(entry.reference))
    )
    return Instead(
        events.ScopeOpened(
            at=now,
            step=step,
            inputs={name: codec.sealed(bytes(text), blobs) for name, text in texts(run, step, outer).items()},
            items=codec.sealed(items, blobs),
            count=len(msgspec.json.decode(items, type=list[msgspec.Raw])),
        ),
        blobs,
    )


def _begin_graph(run: Run, step: str, node: Node, now: int) -> Instead:
    definition = run.state.graphs[node.graph]
    bound = texts(run, step, node)
    try:
        made = run_inputs(definition, {name: codec.decode(text) for name, text in bound.items()})
    except InputInvalid as error:
        message = f"node {node.id!r}: {error}"
        raise InputInvalid(message) from None
    blobs: list[codec.Blob] = []
    return Instead(
        events.ScopeOpened(
            at=now,
            step=step,
            graph=node.graph,
            inputs={name: codec.sealed(text, blobs) for name, text in made.items()},
        ),
        blobs,
    )


def _end(run: Run, step: str, node: Node, now: int) -> Instead:
    """A child flow has ended: with what it gives, its step succeeds."""
    state = run.state
    scope = state.scopes[step]
    if scope.failures:
        message = f"node {node.id!r}: {scope.failures} of its steps failed: {errors_of(scope)}"
        raise ScopeFailed(message)
    blobs: list[codec.Blob] = []
    if scope.result is not None:
        made = outputs(node, codec.decode(codec.resolve(scope.result, run.load)), blobs)
    else:
        texts_ = _columns(run, step, node, scope) if scope.item is not None else _lasts(run, step, node)
        made = {name: codec.sealed(text, blobs) for name, text in texts_}
    return Instead(
        events.StepSucceeded(at=now, step=step, duration_ms=now - scope.began_at, outputs=made),
        blobs,
    )


def errors_of(scope: Scope) -> str:
    """The first final errors in a child flow."""
    told = "; ".join(scope.errors[:ERRORS_TOLD])
    return told + (f"; and {scope.failures - ERRORS_TOLD} more" if scope.failures > ERRORS_TOLD else "")


def _columns(run: Run, step: str, node: Node, scope: Scope) -> Iterator[tuple[str, bytes]]:
    """Each output of a map as the list of what its items gave, in their order."""
    sections = run.state.sections
    rows = [sections.get(f"{step}/{index}", {}) for index in range(scope.count)]
    names = [output.name for output in node.outputs] or dict.fromkeys(name for row in rows for name in row)
    for name in names or (DEFAULT_OUTPUT,):
        values = [loaded(row[name], run.load) if name in row else b"null" for row in rows]
        yield name, b"[%b]" % b",".join(values)


def _lasts(run: Run, step: str, node: Node) -> Iterator[tuple[str, bytes]]:
    """What the nodes of a graph give that nothing in it depends on: one's outputs, or several's values by node."""
    state = run.state
    nodes = state.graphs[node.graph].nodes
    awaited = {dependency for other in nodes for dependency in other.dependencies}
    lasts = [other.id for other in nodes if other.id not in awaited]
    sections = {name: state.sections.get(f"{step}/{name}", {}) for name in lasts}
    if len(lasts) == 1:
        given = {name: loaded(stored, run.load) for name, stored in sections[lasts[0]].items()}
    else:
        given = {
            name: whole(section, run.load) for name, section in sections.items() if f"{step}/{name}" in state.succeeded
        }
    missing = [output.name for output in node.outputs if output.name not in given]
    if missing:
        near = nearest(missing[0], given) or f"; it gives: {', '.join(given) or 'nothing'}"
        message = (
            f"node {node.id!r}: declared output {missing[0]!r} is missing in what graph {node.graph!r} gives{near}"
        )
        raise OutputInvalid(message)
    names = [output.name for output in node.outputs] or given
    return ((name, given[name]) for name in names)


def key_of(run: Run, success: events.StepSucceeded) -> str:
    """Under what key a success may be reused: its outputs are all that it changes. Empty: it may not be."""
    key = run.keys.pop(success.step, "")
    return "" if success.cache or success.nodes or success.result is not msgspec.UNSET else key


def reuse_key(run: Run, step: str, node: Node) -> str:
    """What the work of a step is known by; empty: it is not to be reused. Raises InputInvalid."""
    if node.graph or node.handles or node.iteration is not None:
        return ""
    action = run.action(node)
    reuse = node.cache or action.cache
    if reuse is None:
        return ""
    bound = texts(run, step, node)
    chosen = reuse.key or sorted(bound)
    parts = [node.hash or node.hashed().hash, action.name, action.version]
    parts += [f"{name}={codec.canonical(bytes(bound[name])).decode()}" for name in chosen if name in bound]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _reuse(run: Run, step: str, node: Node, now: int) -> Instead | None:
    """An earlier run's outputs, where the work is the same and not too old."""
    key = reuse_key(run, step, node)
    if not key:
        return None
    run.keys[step] = key
    if (found := run.reusable(key)) is None:
        return None
    reuse = node.cache or run.action(node).cache
    assert reuse is not None
    earlier = found.event
    if reuse.ttl_seconds is not None and now - earlier.at > reuse.ttl_seconds * 1000:
        return None
    del run.keys[step]
    return Instead(events.StepSucceeded(at=now, step=step, outputs=earlier.outputs, reused=found.run_id))
