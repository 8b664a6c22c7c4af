"""Journals written by hand, for the tests of what people see: every one is one that the state accepts."""

from xml.etree import ElementTree

import msgspec

from dagger.core.events import (
    AttemptFailed,
    ChildOpened,
    Error,
    Recorded,
    RunEnded,
    RunStarted,
    ScopeOpened,
    Spec,
    StepCancelled,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from dagger.core.fold import apply
from dagger.core.graph import Definition, Input, Node, Output, depended
from dagger.core.messages import AGENT, PAYLOAD, Agent, Published
from dagger.core.state import State
from dagger.views.tree import ExecutionTree

T = 1_780_000_000_000
"""When every run here starts, in milliseconds since 1970: 2026-05-28T20:26:40Z."""

NASTY = (
    '<b>&amp;"quotes\' \\N \\" \x00\x07\x1b[31m \ufffe 👩‍👩‍👧‍👦🇨🇭 e\u0301 שלום مرحبا \u202eflow 日本語 '
    "]]> --> <!-- %d {x} |y| `z` **b** #35; \r\n\t\u2028end"
)


def json(value):
    return msgspec.Raw(msgspec.json.encode(value))


def node(id, action="work", after=(), outputs=(), inputs=None, **fields):
    entries = tuple(
        Input(name, reference=given) if isinstance(given, str) else Input(name, value=json(given))
        for name, given in (inputs or {}).items()
    )
    declared = tuple(Output(name) for name in outputs)
    after = depended(after, entries, fields.get("when"), fields.get("map"))
    return Node(id=id, action=action, dependencies=after, inputs=entries, outputs=declared, **fields)


def journal(nodes, *events, name="demo", run_id="run-1", **started):
    """The run of these nodes: its first event and those given; and the state they lead to."""
    graph = Definition(name=name, nodes=tuple(nodes))
    first = RunStarted(at=T, run_id=run_id, spec=Spec("static", name), graph=graph, **started)
    state, recorded = State(), []
    for seq, event in enumerate((first, *events), 1):
        apply(state, event)
        recorded.append(Recorded(seq, event))
    return recorded, state


def tree_of(nodes, *events, is_live=True, **started_with):
    return ExecutionTree.of(journal(nodes, *events, **started_with)[0], is_live=is_live)


def statuses(tree):
    return {snapshot.node_id: snapshot.outcome.status for snapshot in tree.nodes}


def edges(tree):
    return [(edge.parent, tree.nodes[after].node_id, edge.label) for _, after, edge in tree.edges]


def agent(name, *channels, **fields):
    """An agent that reads these channels."""
    own = Node(id=name, action=AGENT + name, inputs=(Input("payload", PAYLOAD),))
    return Agent(name=name, subscriptions=channels, node=own, **fields)


def posted(channel, *payloads):
    """Messages, as the event of their publisher has them."""
    return tuple(Published(channel, json(payload)) for payload in payloads)


def started(step, ms, attempt=1):
    return StepStarted(at=T + ms, step=step, attempt=attempt)


def succeeded(step, ms, attempt=1, duration_ms=0, outputs=None, **fields):
    values = {name: given if isinstance(given, msgspec.Raw) else json(given) for name, given in (outputs or {}).items()}
    return StepSucceeded(at=T + ms, step=step, attempt=attempt, duration_ms=duration_ms, outputs=values, **fields)


def opened(step, ms, graph="", items=None):
    """A step began a child flow: a graph, or a map over these items."""
    if graph:
        return ScopeOpened(at=T + ms, step=step, graph=graph)
    return ScopeOpened(at=T + ms, step=step, items=json(items), count=len(items))


def executed(step, ms, definition, key="flow", **fields):
    """A step's code began a child flow."""
    name = definition.name
    graphs = {name: definition}
    return ChildOpened(at=T + ms, step=step, key=key, graph=name, detail=json(name), graphs=graphs, **fields)


def dropped(step, ms, reason="the step that waited for it has ended"):
    """Nobody waits for the child flow any more; or an attempt was cut off."""
    return StepCancelled(at=T + ms, step=step, attempt=1, reason=reason)


def attempt_failed(step, ms, attempt=1, message="boom", duration_ms=0, **fields):
    error = Error("ValueError", message)
    due = 0 if "failure" in fields else T + ms + 1000
    return AttemptFailed(
        at=T + ms, step=step, attempt=attempt, error=error, retry_at=due, duration_ms=duration_ms, **fields
    )


def failed(step, ms, attempt=1, message="boom", policy="continue", duration_ms=0, **fields):
    error = Error("ValueError", message)
    return StepFailed(
        at=T + ms, step=step, attempt=attempt, error=error, policy=policy, duration_ms=duration_ms, **fields
    )


def skipped(step, ms, reason):
    return StepSkipped(at=T + ms, step=step, reason=reason)


def ended(ms, status="succeeded", error=""):
    return RunEnded(at=T + ms, status=status, error=error)


def svg_texts(svg):
    """What a reader sees in an SVG: the content of its text elements."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
