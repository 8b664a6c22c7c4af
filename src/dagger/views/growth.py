"""Growth: the fold of a journal into an execution tree: its nodes, its messages, and what hangs on what."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from dagger.core import codec, deliveries, events
from dagger.core.children import child_of
from dagger.core.fold import CONDITION
from dagger.core.graph import ITEM, Definition, Node
from dagger.core.messages import AGENT, MARK, Published, message_of
from dagger.core.state import State
from dagger.core.steps import HANDLER, is_item
from dagger.views.course import Course, Courses, next_round
from dagger.views.draw import called, input_text, notes
from dagger.views.fold import ITEMS
from dagger.views.outcome import SUCCESSES, NodeOutcome, moment
from dagger.views.snapshot import (
    ADDED,
    CHILD,
    EXECUTED_AFTER,
    PROCESSED_BY,
    PUBLISHED,
    ExecutionEdge,
    Kind,
    NodeDetail,
    NodeSnapshot,
)
from dagger.views.texts import cut, value_text


class _Planted(msgspec.Struct, frozen=True, gc=False):
    """A node that a run has taken in, or a message, whose node is its channel; the items of a map share one."""

    node: Node
    at: int
    notes: tuple[str, ...] = ()
    inputs: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    """The step that it hangs on, apart from its dependencies."""
    label: str = ""
    """Of the edge from there."""
    kind: Kind = "step"
    inside: str = ""
    """Of a message: the flow that it was published in."""

    @classmethod
    def of(cls, node: Node, at: int, parent: str = "", label: str = "", kind: Kind = "step") -> _Planted:
        inputs = tuple((entry.name, input_text(entry)) for entry in node.inputs)
        return cls(node, at, tuple(notes(node)), inputs, parent, label, kind)


class Growth:
    """The fold: a tree in the making."""

    def __init__(self, *, keeps_mail: bool = True) -> None:
        """Without `keeps_mail` a message is left out that all who read it have handled, with what was done for it.

        However many pass a run, the tree has room.
        """
        self.courses = Courses(keeps_deliveries=keeps_mail, on_forgotten=self._leave_out)
        self.left_out = 0
        """Steps and messages."""
        self._keeps_mail = keeps_mail
        self._unhandled: dict[str, int] = {}
        """By message: at how many agents it is; where messages are left out."""
        self.last_at = 0
        self._name = self._run_id = ""
        self._status = "running"
        self._graphs: dict[str, Definition] = {}
        self._steps: dict[str, _Planted] = {}
        self._maps: set[str] = set()
        """Steps whose child flow is a map."""
        self._outputs: dict[str, tuple[tuple[str, str], ...]] = {}
        self._children: set[str] = set()
        """The child flows that code executes: what is published in one stays there."""
        self._bound = State()
        """Of this only which agents read which channel."""
        self._channels: dict[str, Node] = {}

    @property
    def title(self) -> str:
        return f"{cut(self._name, 60)} · {self._run_id} · {self._status}"

    def apply(self, recorded: events.Recorded) -> None:
        """Take in the next event of the journal."""
        event = recorded.event
        self.last_at = event.at
        self._grow(event)
        if isinstance(event, events.PUBLISHING) and event.messages:
            self._publish(recorded.seq, event, event.messages)
        self._tell(event)
        self.courses.apply(event)

    def _grow(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._name, self._run_id, self._graphs = event.graph.name, event.run_id, event.graphs
                for node in event.graph.nodes:
                    self._add(node.id, _Planted.of(node, event.at))
                deliveries.bind(self._bound, event.agents)
            case events.AgentBound():
                deliveries.bind(self._bound, (event.agent,))
            case events.AgentRemoved():
                deliveries.unbind(self._bound, event.name)
            case events.NodeAdded():
                self._add(event.node.id, _Planted.of(event.node, event.at))
            case events.StepSucceeded():
                self._succeed(event)
            case events.ScopeOpened():
                self._open(event)
            case events.ChildOpened():
                self._open_child(event)
            case events.Redelivered():
                for step in event.steps:
                    self._add(next_round(step), replace(self._steps[step], at=event.at))
            case events.AttemptFailed(failure=failure) if failure:
                failed = self._steps[event.step]
                handler = Node(id=failed.node.id + HANDLER, action=failure)
                planted = _Planted.of(handler, event.at, event.step, EXECUTED_AFTER, failed.kind)
                self._add(event.step + HANDLER, planted)

    def _tell(self, event: events.Event) -> None:
        match event:
            case events.RunPaused(reason=reason):
                self._status = f"paused: {cut(reason, 60)}" if reason else "paused"
            case events.RunWaiting() | events.RunParked():
                self._status = "waiting"
            case events.RunResumed() | events.RunWoken() | events.RunRecovered() | events.CancelRequested():
                self._status = "running"
            case events.RunEnded():
                self._status = event.status

    def _add(self, step: str, planted: _Planted) -> None:
        self._steps[step] = planted
        self.courses.of(step)

    def _succeed(self, event: events.StepSucceeded) -> None:
        scope = events.scope_of(event.step)
        if scope in self._maps:  # what an item adds stands beside its map
            scope = events.scope_of(scope)
        for node in event.nodes:
            self._add(events.step_name(scope, node.id), _Planted.of(node, event.at, event.step, ADDED))
        if event.outputs:
            self._outputs[event.step] = _shown(event.outputs)
        if event.reply is not msgspec.UNSET:
            self._outputs[event.step] = _shown({"reply": event.reply})
        if event.recovers is not msgspec.UNSET:
            self._outputs[event.step.removesuffix(HANDLER)] = _shown(event.recovers)

    def _open(self, event: events.ScopeOpened) -> None:
        """Take in the steps of a child flow."""
        step, owner = event.step, self._steps[event.step]
        if event.graph:
            self._plant(step, event.graph, event.at)
            return
        self._maps.add(step)
        if not event.count:
            self._steps[step] = replace(owner, notes=(*owner.notes, "no items"))
            return
        node = replace(owner.node, dependencies=(), map=None, when=None)
        item = _Planted.of(node, event.at, step, CHILD, "item")
        if event.count > ITEMS:  # a picture folds them, so that nobody sees what they take
            for index in range(event.count):
                self._add(f"{step}/{index}", item)
            return
        for index, text in enumerate(_items(event)):
            self._add(f"{step}/{index}", replace(item, inputs=_taken(node, text)))

    def _plant(self, scope: str, graph: str, at: int) -> None:
        """Take in the nodes of a graph."""
        for node in self._graphs[graph].nodes:
            hangs = () if node.dependencies else (scope, CHILD)
            self._add(f"{scope}/{node.id}", _Planted.of(node, at, *hangs))

    def _open_child(self, event: events.ChildOpened) -> None:
        """Take in a child flow that a step's code began: a step of its own beside it."""
        step = child_of(event.step, event.key)
        self._children.add(step)
        self._graphs = {**event.graphs, **self._graphs}
        # by its own name: a run may know a supervisor's graph by another one
        name = self._graphs[event.graph].name
        own_id = step.rpartition("/")[2]
        node = Node(id=own_id, action=f"channel {name}") if event.messages else Node(id=own_id, graph=name)
        self._add(step, _Planted.of(node, event.at, event.step, CHILD))
        self._plant(step, event.graph, event.at)

    def _publish(self, seq: int, event: events.Event, messages: tuple[Published, ...]) -> None:
        """Take in messages, and their deliveries: each reader of its channel gets one."""
        source = flow = ""
        match event:
            case events.StepSucceeded(step=step) | events.WaitOpened(step=step):
                source, flow = step, self._flow_around(step)
            case events.ChildOpened():
                source = flow = child_of(event.step, event.key)
        for index, published in enumerate(messages, 1):
            channel, at = published.channel, event.at
            message = f"{seq}-{index}"
            readers = self._bound.channels.get(channel, ())
            if not self._keeps_mail:
                if not readers:
                    self.left_out += 1
                    continue
                self._unhandled[message] = len(readers)
            told = () if readers else ("nobody reads it",)
            node = self._channels.setdefault(channel, Node(id=channel, action=channel))
            self._steps[message] = _Planted(node, at, told, (), source, PUBLISHED, "message", flow)
            self._outputs[message] = (("payload", value_text(bytes(published.payload))),)
            for agent in readers:
                step = events.step_name(flow, f"{agent}{MARK}{message}")
                reader = self._bound.agents[agent].agent.node
                self._add(step, _Planted(reader, at, (), (), message, PROCESSED_BY, "delivery"))

    def _leave_out(self, step: str) -> None:
        """Forget a step, and the message whose last delivery it was."""
        del self._steps[step]
        self._outputs.pop(step, None)
        self._maps.discard(step)
        self._children.discard(step)
        self.left_out += 1
        message = message_of(step)
        if step.endswith(f"{MARK}{message}"):  # a redelivery was not counted
            self._unhandled[message] -= 1
            if not self._unhandled[message]:
                del self._unhandled[message]
                self._leave_out(message)

    def _flow_around(self, step: str) -> str:
        """The flow whose agents get what a step publishes: the innermost that code executes, or the run."""
        name = events.scope_of(step)
        while name and name not in self._children:
            name = events.scope_of(name)
        return name

    def snapshots(self) -> Iterator[NodeSnapshot]:
        for step, planted in self._steps.items():
            if planted.kind == "message":
                at = moment(planted.at)
                yield NodeSnapshot(step, NodeOutcome(step, True, PUBLISHED, started_at=at, ended_at=at), "", at)
                continue
            course = self.courses.of(step)
            yield NodeSnapshot(
                node_id=step,
                outcome=course.outcome(),
                cache_ref=step if self._outputs.get(step) and self._is_kept(step, planted) else "",
                timestamp=moment(course.at or planted.at),
            )

    def _is_kept(self, step: str, planted: _Planted) -> bool:
        """Whether the cache has its outputs: a child flow's go with it; failure actions and deliveries have none."""
        if planted.kind == "delivery":
            return False
        scope = events.scope_of(step)
        return not (step.endswith(HANDLER) or (scope and self.courses.of(scope).status in SUCCESSES))

    def edges(self) -> Iterator[tuple[int, int, ExecutionEdge]]:
        index = {step: place for place, step in enumerate(self._steps)}
        for step, planted in self._steps.items():
            for dependency in planted.node.dependencies:
                before = events.step_name(events.scope_of(step), dependency)
                if before in index:
                    yield index[before], index[step], ExecutionEdge(before, EXECUTED_AFTER)
            parent = planted.parent
            if parent and parent in index:
                yield index[parent], index[step], ExecutionEdge(parent, planted.label)

    def details(self) -> Iterator[NodeDetail]:
        for step, planted in self._steps.items():
            is_message = planted.kind == "message"
            yield NodeDetail(
                action=called(planted.node).removeprefix(AGENT),
                notes=planted.notes,
                inputs=planted.inputs,
                outputs=self._outputs.get(step, ()),
                error="" if is_message else _error(self.courses.of(step)),
                kind=planted.kind,
                inside=planted.inside if is_message else events.scope_of(step),
            )


def _items(event: events.ScopeOpened) -> list[bytes]:
    """The JSON texts of a map's items; of a list in a blob, which is not loaded, that it is one."""
    text = b"[]" if event.items is msgspec.UNSET else bytes(event.items)
    if codec.is_blob(text):
        return [b"item"] * event.count
    return [bytes(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]


def _taken(node: Node, item: bytes) -> tuple[tuple[str, str], ...]:
    """The inputs of an item's step: the item as itself, under its own name where no input refers to it."""
    taken = tuple(
        (entry.name, value_text(item) if entry.reference == ITEM else input_text(entry)) for entry in node.inputs
    )
    return taken if any(is_item(entry.reference) for entry in node.inputs) else (*taken, (ITEM, value_text(item)))


def _shown(outputs: dict[str, msgspec.Raw]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value_text(bytes(value))) for name, value in outputs.items())


def _error(course: Course) -> str:
    if course.status in {"skipped", "cancelled"}:
        return "condition not met" if course.reason == CONDITION else course.reason
    return "" if course.status in SUCCESSES else course.last_error
