"""Every fact a run can record; a success carries all that one successful step does.

A step is named by its scope's path, then the node: `resize`, `each_page/7/resize`. Times: milliseconds since 1970.
"""

# ruff: noqa: RUF012 - msgspec gives each struct a default of its own
from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from dagger.core.cache import Write
from dagger.core.event import Emitted, Error, Event, Progressed, Spec, scope_of, step_name
from dagger.core.graph import Definition, Node
from dagger.core.messages import Agent, Published

__all__ = ["Emitted", "Error", "Event", "Progressed", "Spec", "scope_of", "step_name"]


class RunStarted(Event, frozen=True, kw_only=True, tag=True):
    """The run was accepted. What a mode begins with stands here; after this event no mode is left."""

    run_id: str
    spec: Spec
    graph: Definition
    graphs: dict[str, Definition] = {}
    """The graphs that its nodes run as child flows, and theirs, by name."""
    config: dict[str, Any] = {}
    """Every field of the effective RunConfig."""
    inputs: dict[str, msgspec.Raw] = {}
    cache: list[Write] = []
    """The seed."""
    agents: tuple[Agent, ...] = ()
    """Those that its messages go to."""
    messages: tuple[Published, ...] = ()
    """What it begins with."""
    keep_alive: bool = False
    """Where nothing is left to do, it waits for messages from outside."""
    tags: dict[str, str] = {}
    needs: tuple[str, ...] = ()
    """Actions that its supervisor may call: who has none of them has not the run's application."""
    app: str = ""
    """Where the application's code is, `module:name`; empty: not known."""
    fingerprint: str = ""
    """Of spec, graph and inputs: a second start with this run id must have the same."""


class RunRecovered(Event, frozen=True, kw_only=True, tag=True):
    """A process took over a run that another had left behind."""

    was_let_go: bool = False
    """The other did not die: it closed its application, and gave the run up."""


class RunPaused(Event, frozen=True, kw_only=True, tag=True):
    """Nothing runs any more until somebody resumes the run."""

    reason: str


class RunResumed(Event, frozen=True, kw_only=True, tag=True):
    """Somebody continued a paused run: its failed steps get fresh tries."""

    config: dict[str, Any] = {}
    """Settings that changed."""
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A value for `global.input`."""


class RunWaiting(Event, frozen=True, kw_only=True, tag=True):
    """Nothing of the run is ready or running: only waits, delayed attempts, or steps whose code is not here."""

    reason: str
    """What for."""
    wake_at: int | None = None
    """When the first of it is due; None: only somebody else ends it."""
    is_active: bool = False
    """Whether it counts as active time: while an attempt is delayed, but not while only waits are open."""


class RunParked(Event, frozen=True, kw_only=True, tag=True):
    """The run gave up its task and its owner until `wake_at`, an answer or an order."""

    reason: str
    wake_at: int | None = None


class RunWoken(Event, frozen=True, kw_only=True, tag=True):
    """A waiting or parked run goes on."""


class OrderRefused(Event, frozen=True, kw_only=True, tag=True):
    """An order did not fit the run as it was."""

    order: str
    error: Error
    given: msgspec.Raw
    """The order itself, as JSON text or a reference to its blob: whoever sent it may be gone."""


class PauseRequested(Event, frozen=True, kw_only=True, tag=True):
    """Somebody paused the run: nothing new starts, and what runs is cut off without counting as a try."""

    reason: str = ""
    order: str = ""
    """The id of the order that asked for it; empty: asked of the owner directly."""
    review: str = ""
    """The review that nobody answered in time: its answer lets the run go on."""


class NodeAdded(Event, frozen=True, kw_only=True, tag=True):
    """Somebody added a node to the run."""

    node: Node
    order: str = ""


class MessagesPublished(Event, frozen=True, kw_only=True, tag=True):
    """Somebody outside published messages."""

    messages: tuple[Published, ...]
    order: str = ""


class AgentBound(Event, frozen=True, kw_only=True, tag=True):
    """An agent was registered: what is published from now on goes to it, too, or to it as it is now."""

    agent: Agent


class AgentRemoved(Event, frozen=True, kw_only=True, tag=True):
    """An agent was removed: nothing goes to it any more, and what waits at it becomes dead letters."""

    name: str
    policy: str = ""
    """What these mean for the run: as in StepFailed."""


class Redelivered(Event, frozen=True, kw_only=True, tag=True):
    """Somebody had dead letters delivered anew."""

    steps: tuple[str, ...]
    """The deliveries that had failed."""
    order: str = ""


class Instructed(Event, frozen=True, kw_only=True, tag=True):
    """Somebody gave the run's supervisor an instruction: it waits in the cache, in the section `instructions`."""

    key: str
    value: msgspec.Raw
    order: str = ""


class LimitReached(Event, frozen=True, kw_only=True, tag=True):
    """The run used up one of its limits: a failure of the run."""

    limit: str
    """The config's field."""
    value: float
    """The limit, not what was used."""
    policy: str
    """What follows: `pause`, or `stop`."""
    review: str = ""
    """The review that asks whether to go on: its answer lets the run go on."""
    detail: str = ""
    """What used it up."""


class CancelRequested(Event, frozen=True, kw_only=True, tag=True):
    """Somebody cancelled the run: nothing new starts, and what runs is cancelled."""

    reason: str = ""
    order: str = ""


class RunEnded(Event, frozen=True, kw_only=True, tag=True):
    """The last event of a run."""

    status: str
    """`succeeded`, `failed` or `cancelled`."""
    error: str = ""
    """The final errors, joined."""


class StepStarted(Event, frozen=True, kw_only=True, tag=True):
    """An attempt's code did not return at once. Attempts that do write only their end."""

    step: str
    attempt: int


class StepSucceeded(Event, frozen=True, kw_only=True, tag=True):
    """An attempt succeeded, with all of its effects: the step has happened, wholly."""

    step: str
    attempt: int = 1
    """Starts at 1."""
    duration_ms: int = 0
    outputs: dict[str, msgspec.Raw] = {}
    cache: tuple[Write, ...] = ()
    nodes: tuple[Node, ...] = ()
    """Nodes that the step added, in its flow."""
    messages: tuple[Published, ...] = ()
    """What it published, in this order."""
    reply: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """Of a delivery: what it answers whoever requested it."""
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What the step gave to `ctx.finish`."""
    recovers: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    """Of a failure action: the outputs that the step which it handles has instead of its failure."""
    key: str = ""
    """What the work is known by: a later run with the same key may reuse the outputs."""
    reused: str = ""
    """The run whose outputs these are; empty: the step did its own work."""


class ScopeOpened(Event, frozen=True, kw_only=True, tag=True):
    """A step began a child flow: a graph's nodes, or itself once for each item of a list. It ends with them."""

    step: str
    """Also the name of the scope: `each_page`."""
    graph: str = ""
    """The graph's name; empty: a map over `items`."""
    inputs: dict[str, msgspec.Raw] = {}
    """What `inputs.name` leads to in the scope."""
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """The list of a map."""
    count: int = 0
    """Its length."""


class ChildOpened(Event, frozen=True, kw_only=True, tag=True):
    """A step's code began a child flow and waits for it: the wait, and the step `step:key` whose scope it is."""

    step: str
    key: str
    graph: str
    detail: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What is executed, without its inputs: compared on replay."""
    graphs: dict[str, Definition] = {}
    """Definitions that the run has not had so far, by name."""
    inputs: dict[str, msgspec.Raw] = {}
    instructions: tuple[msgspec.Raw, ...] = ()
    """What waits for its supervisor, first things first."""
    messages: tuple[Published, ...] = ()
    """What it begins with."""


class TokensSpent(Event, frozen=True, kw_only=True, tag=True):
    """A step's code spent tokens, whatever becomes of its attempt."""

    step: str
    count: int


class AttemptFailed(Event, frozen=True, kw_only=True, tag=True):
    """An attempt failed, and another one follows, or the node's failure action."""

    step: str
    attempt: int
    error: Error
    duration_ms: int = 0
    retry_at: int = 0
    """When the next attempt is due."""
    failure: str = ""
    """The failure action that now has its turn; empty: another attempt follows."""
    is_abandoned: bool = False
    """Its code could not be stopped: it still runs, and nobody waits for its result."""


class StepFailed(Event, frozen=True, kw_only=True, tag=True):
    """The last attempt failed: the step has finally failed."""

    step: str
    attempt: int
    error: Error
    duration_ms: int = 0
    policy: str
    """What becomes of the run: `stop`, `continue` or `pause`; of a dead letter that nothing follows from, `list`."""
    is_abandoned: bool = False
    """As in AttemptFailed; after a failure action False, the attempt's own event having told it."""


class StepSkipped(Event, frozen=True, kw_only=True, tag=True):
    """The step will not run."""

    step: str
    reason: str


class StepCancelled(Event, frozen=True, kw_only=True, tag=True):
    """A running attempt was cut off because the run ends; or a child flow, as nobody waits for it any more."""

    step: str
    attempt: int
    reason: str
    duration_ms: int = 0
    is_abandoned: bool = False
    """As in AttemptFailed."""


class WaitOpened(Event, frozen=True, kw_only=True, tag=True):
    """A step began to wait for something that may outlive its process."""

    step: str
    key: str
    """By default the kind and its ordinal in the step: `sleep:1`."""
    kind: str
    """`memo`, `sleep`, `review`, `instruction`, `request` or `child`."""
    detail: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """What is waited for: compared on replay."""
    wake_at: int | None = None
    """When it answers itself; None: never."""
    review: str = ""
    """Of a review: its id."""
    messages: tuple[Published, ...] = ()
    """Of a request: what was published with it."""


class WaitAnswered(Event, frozen=True, kw_only=True, tag=True):
    """A wait ended; the step finds the answer under the wait's key in every later attempt."""

    step: str
    key: str
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Error | None = None
    review: str = ""
    """Of a review: its id."""
    who: str = ""
    """Of a review: who answered it; empty: nobody."""
    order: str = ""


AnyEvent: TypeAlias = (
    RunStarted
    | RunRecovered
    | RunPaused
    | RunResumed
    | RunWaiting
    | RunParked
    | RunWoken
    | OrderRefused
    | PauseRequested
    | NodeAdded
    | MessagesPublished
    | AgentBound
    | AgentRemoved
    | Redelivered
    | Instructed
    | LimitReached
    | CancelRequested
    | RunEnded
    | StepStarted
    | StepSucceeded
    | ScopeOpened
    | ChildOpened
    | TokensSpent
    | AttemptFailed
    | StepFailed
    | StepSkipped
    | StepCancelled
    | WaitOpened
    | WaitAnswered
)
"""Every event there is."""


PUBLISHING = (RunStarted, MessagesPublished, ChildOpened, StepSucceeded, WaitOpened)
"""The events that messages stand in."""


class Recorded(msgspec.Struct, frozen=True):
    """An event in its place in the journal."""

    seq: int
    """Starts at 1 and has no gaps; 0: told to listeners, and not in the journal."""
    event: AnyEvent | Progressed | Emitted

    @property
    def type(self) -> str:
        """The event's type."""
        return self.event.type


_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
encoder = msgspec.json.Encoder()


def encode_event(event: Event) -> bytes:
    """The event as JSON text."""
    return encoder.encode(event)


def decode_event(text: bytes | str) -> AnyEvent:
    """The event that `text` writes. Raises msgspec.ValidationError for what no version here knows."""
    return _decoder.decode(text)
