"""State: what is still to be done in a run, with one index entry for each finished step (I6).

It is plain data: `core/fold` is what changes it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from dagger.core import cache, events
from dagger.core.config import RunConfig
from dagger.core.graph import Definition, Node
from dagger.core.messages import Agent, Message

STANDS_STILL = -1
"""Instead of when a run's clock began to run."""

TERMINAL = frozenset(("succeeded", "failed", "cancelled"))
"""Statuses that never change again (I9)."""


class Pending(msgspec.Struct, gc=False):
    """A step that has not ended yet."""

    node: Node
    unmet: int
    """What has to end first: dependencies; of a child flow that was begun its steps; the failure action."""
    failures: int = 0
    """Failed attempts since the step last got fresh tries."""
    retry_at: int = 0
    """When the next attempt is due, in milliseconds since 1970; 0: at once."""
    is_begun: bool = False
    """Code of the attempt after those that failed has begun, and did not return at once."""
    is_stuck: bool = False
    """It finally failed under `pause`: it waits for the run to be resumed."""
    error: events.Error | None = None
    """Of the last attempt, while the failure action has its turn."""
    message: Message | None = None
    """Of a delivery: what the agent is to handle."""


class Ended(msgspec.Struct, frozen=True):
    """How a step ended that did not succeed."""

    status: str
    """`failed`, `skipped` or `cancelled`."""
    reason: str
    """The final error, or why it was skipped or cancelled."""


class Wait(msgspec.Struct):
    """Something a step waits for, open or answered (I8)."""

    kind: str
    detail: bytes = b""
    wake_at: int | None = None
    is_open: bool = True
    value: bytes = b""
    review: str = ""
    """Of a review: its id."""
    seq: int = 0
    """Of a request: the event's that opened it, and so its message's."""
    has_failed: bool = False
    """Of a child flow: its answer is that it failed."""


class Bound(msgspec.Struct):
    """An agent of a run, and what became of its deliveries."""

    agent: Agent
    handled: int = 0
    failed: int = 0
    """Those that finally failed, redelivered or not."""
    is_removed: bool = False


class Inbox(msgspec.Struct):
    """What waits at an agent of one flow."""

    room: int
    """Deliveries that are steps at once: one where they are handled strictly in order."""
    let_in: int = 0
    """Messages that do not wait for room: they are steps, or behind one with the same key."""
    steps: dict[str, None] = {}
    """Of those let in: the deliveries that are steps now, oldest first."""
    lanes: dict[str, deque[Message]] = {}
    """Of those let in, by key: the ones behind the delivery with the same key that is a step now."""
    waiting: deque[Message] = msgspec.field(default_factory=deque)
    """Those that are not let in yet."""

    def undelivered(self) -> int:
        """How many messages wait here, those at work included."""
        return self.let_in + len(self.waiting)


class DeadLetter(msgspec.Struct, frozen=True):
    """A delivery that finally failed."""

    message: Message
    policy: str
    """What that means for the run: `stop`, `continue`, `pause`, or `list`: nothing."""


class Scope(msgspec.Struct):
    """A child flow that was begun. Its name is the step's that began it."""

    graph: str = ""
    """The graph's name; empty: a map."""
    item: Node | None = None
    """Of a map: what runs for each item."""
    items: bytes = b""
    """Of a map: the list, as JSON text or a reference to its blob."""
    count: int = 0
    """Of a map: the length of the list."""
    began_at: int = 0
    begun: int = 0
    """Of a map: so far the list was gone over for items to make steps of."""
    room: int = 0
    """Of a map: how many of its items are at work at once."""
    at_work: int = 0
    """Of a map: items that are steps, and not stuck."""
    is_lent: bool = False
    """Of an item: a step in it is stuck, so another item has its place."""
    failures: int = 0
    """Steps in it that finally failed and stay so."""
    errors: list[str] = []
    """The first final errors."""
    result: bytes | None = None
    """The first that was given to `ctx.finish` in it."""
    added: dict[str, Node] = {}
    """Of a graph: the nodes that steps in it added."""
    inboxes: dict[str, Inbox] = {}
    """Of a flow that code executes: by its agents' names."""
    dead: dict[str, None] = {}
    """Likewise: its dead letters, by delivery, which are forgotten with it."""


class State(msgspec.Struct):
    """A run as its journal tells it."""

    run_id: str = ""
    spec: events.Spec = events.Spec("", "")
    status: str = "running"
    """`running`, `waiting`, `paused`, or one of TERMINAL."""
    is_parked: bool = False
    """It waits, and gave up its owner."""
    config: RunConfig = RunConfig()
    seq: int = 0
    """Of the last event applied."""
    pending: dict[str, Pending] = {}
    dependents: dict[str, list[str]] = {}
    """Of each step that has not ended: the steps that wait for it."""
    succeeded: dict[str, int] = {}
    """Each step that succeeded: the place of its event in the journal."""
    unsuccessful: dict[str, Ended] = {}
    """Each step that ended otherwise."""
    doomed: dict[str, str] = {}
    """Steps that will not run, with the reason: each becomes a StepSkipped."""
    sections: cache.Sections = {}
    """The cache."""
    waits: dict[str, dict[str, Wait]] = {}
    """Of each step that has not ended: its waits by key."""
    graphs: dict[str, Definition] = {}
    """What child flows may run."""
    agents: dict[str, Bound] = {}
    """By name: those that messages go to, and those that were removed."""
    channels: dict[str, list[str]] = {}
    """Channel -> the names of the agents that read it."""
    inboxes: dict[str, Inbox] = {}
    """Of the run's own flow: by its agents' names."""
    dead: dict[str, DeadLetter] = {}
    """Dead letters by delivery."""
    dead_of: dict[str, list[str]] = {}
    """By message: the deliveries of it that are dead letters."""
    messages: int = 0
    """Published so far."""
    keep_alive: bool = False
    """Where nothing is left to do, the run waits for messages from outside."""
    needs: tuple[str, ...] = ()
    """Actions of which whoever goes on with the run must have one."""
    scopes: dict[str, Scope] = {}
    """Child flows that were begun and have not succeeded."""
    handled: int = 0
    """How many failure actions have their turn."""
    recoveries: int = 0
    """How often its process died with steps at work since one last succeeded."""
    stuck: int = 0
    """How many pending steps are stuck."""
    failures: int = 0
    """How many steps finally failed and stay so."""
    errors: list[str] = []
    """The first final errors."""
    halt: str = ""
    """Nothing new starts: `pause`, `stop` or `cancel`."""
    halt_reason: str = ""
    limit: str = ""
    """The limit that made it halt; empty: something else did."""
    result: bytes | None = None
    """The first that was given to `ctx.finish`."""
    tokens: int = 0
    iterations: int = 0
    """Of supervisors, so far."""
    turns: dict[str, str] = {}
    """By flow, the run's being the empty one: the turn of its supervisor that was added last."""
    granted: int = 0
    """Iterations that people allowed beyond `max_iterations`."""
    review: str = ""
    """The review whose answer lets the paused run go on; empty: only resuming does."""
    resumed_at: int = 0
    """When somebody last resumed it."""
    started_at: int = 0
    last_at: int = 0
    """When the last event happened."""
    active_ms: int = 0
    """Active time before `active_since`."""
    active_since: int = STANDS_STILL
    """Since when the run's clock runs."""

    def ready(self) -> list[str]:
        """Every step that could start: looks at all pending ones, so it is for the beginning of a tenure."""
        return [
            step
            for step, pending in self.pending.items()
            if not (pending.unmet or pending.is_stuck or step in self.doomed)
        ]

    def is_waiting(self, step: str) -> bool:
        """Whether the step has an open wait that somebody else ends: its code need not run before."""
        waits = self.waits.get(step)
        if waits is None or (pending := self.pending.get(step)) is None or pending.is_stuck or pending.error:
            return False
        return any(wait.is_open and wait.kind != "memo" for wait in waits.values())

    def remaining_ms(self, now: int) -> int | None:
        """Milliseconds of active time that the run has left; None: no limit."""
        limit = self.config.timeout_seconds
        if limit is None:
            return None
        passed = 0 if self.active_since == STANDS_STILL else now - self.active_since
        return int(limit * 1000) - self.active_ms - passed
