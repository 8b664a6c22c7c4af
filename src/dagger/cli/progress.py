"""How far a run is: the fold of its journal that the live display shows. Counts, never scans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeAlias

import msgspec

from dagger.core import deliveries, events
from dagger.core.graph import Definition
from dagger.core.messages import MARK, Agent, Published, agent_of, message_of
from dagger.core.state import State

PACE_TICKS = 5
"""So many ticks of the display are a second."""


class Handled(msgspec.Struct):
    """What an agent has done, and has to do."""

    handled: int = 0
    failed: int = 0
    waiting: int = 0
    """Those at work included."""
    is_removed: bool = False


class Progress:
    """What a journal tells so far."""

    def __init__(self) -> None:
        self.seq = 0
        """Of the last event taken in."""
        self.graph = ""
        self.keeps_alive = False
        """Whether it waits for messages where else it would end."""
        self.total = 0
        """Steps known so far: those that were added included, those of child flows that have begun, and messages, once
        for each agent that reads them."""
        self.succeeded = 0
        self.skipped = 0
        self.cancelled = 0
        self.failed = 0
        self.tokens = 0
        self.running: dict[str, None] = {}
        """Steps whose code runs and has not returned at once."""
        self.retrying: dict[str, None] = {}
        """Steps between two attempts."""
        self.waiting: dict[str, dict[str, str]] = {}
        """Steps that wait for a person, a time or a reply, with the kind of each such wait by its key."""
        self.progressed: dict[str, events.Progressed] = {}
        """Steps that have told how far they are, with the last they told."""
        self.rest: events.RunWaiting | events.RunParked | None = None
        """Why nothing is ready or running, and until when; None while something is."""
        self.paused_for = ""
        """The review whose answer lets the run go on beyond a limit that it has used up."""
        self.stuck = 0
        """Of the failed steps, those that a resume gives fresh tries."""
        self.requests: dict[int, tuple[str, str]] = {}
        """The step and the key of each wait for a reply, by the seq of its event."""
        self.asking: dict[str, list[int]] = {}
        """The seqs by step."""
        self.stuck_letters: dict[str, None] = {}
        """Those of them that are deliveries."""
        self.messages = 0
        """Published so far."""
        self.agents: dict[str, Handled] = {}
        """By name, in the order in which they were bound."""
        self.bound = State()
        """Of this only which agents read which channel."""
        self.graphs: Mapping[str, Definition] = {}
        """Those that steps run as child flows."""

    @classmethod
    def of(cls, journal: Iterable[events.Recorded]) -> Self:
        """What a journal tells that is there already."""
        progress = cls()
        for recorded in journal:
            progress.apply(recorded)
        return progress

    @property
    def ended(self) -> int:
        """Steps that have ended, however."""
        return self.succeeded + self.skipped + self.cancelled + self.failed

    @property
    def waits_for(self) -> set[str]:
        """The kinds of waits that are open: looks at all of them."""
        return {kind for waits in self.waiting.values() for kind in waits.values()}

    def apply(self, recorded: events.Recorded) -> None:
        """Take in the next event of the journal, or one that is told live and has no place there."""
        self.seq = recorded.seq or self.seq
        event = recorded.event
        apply = _APPLY.get(type(event))
        if apply is not None:
            apply(self, event)
        if isinstance(event, events.PUBLISHING):
            self.publish(event.messages)

    def publish(self, messages: Iterable[Published]) -> None:
        """Messages wait at whoever reads their channels."""
        for message in messages:
            readers = self.bound.channels.get(message.channel, ())
            self.messages += 1
            self.total += len(readers)
            for agent in readers:
                self.agents[agent].waiting += 1

    def is_at_work(self, step: str) -> bool:
        """Whether its code runs, waits, or is tried again."""
        return step in self.running or step in self.retrying or step in self.waiting

    def leave(self, step: str) -> None:
        """The step is neither running nor between attempts nor waiting."""
        self.running.pop(step, None)
        self.retrying.pop(step, None)
        self.waiting.pop(step, None)
        self.progressed.pop(step, None)

    def end(self, step: str) -> None:
        """The step has ended."""
        self.leave(step)
        for seq in self.asking.pop(step, ()):
            del self.requests[seq]

    def answer(self, step: str, key: str) -> None:
        """What the step waits for has come."""
        waits = self.waiting.get(step, {})
        if waits.pop(key, None) is not None and not waits:
            del self.waiting[step]
            self.running[step] = None


class Pace:
    """Which steps to tell of, asked at every tick: each when it first says how far it is, then once a second."""

    def __init__(self) -> None:
        self._ticks = 0
        self._told: dict[str, events.Progressed] = {}

    def moved(self, progress: Progress) -> list[events.Progressed]:
        """The last word of the steps whose turn it is, if they have said anything since."""
        self._ticks += 1
        is_due = self._ticks % PACE_TICKS == 0
        told = {step: self._told.get(step) for step in progress.progressed}
        moved = [
            event
            for step, event in progress.progressed.items()
            if told[step] is None or (is_due and event is not told[step])
        ]
        self._told = {step: event for step, event in told.items() if event} | {event.step: event for event in moved}
        return moved


def _run_started(progress: Progress, event: events.RunStarted) -> None:
    progress.graph, progress.graphs, progress.keeps_alive = event.graph.name, event.graphs, event.keep_alive
    progress.total = len(event.graph.nodes)
    for agent in event.agents:
        _bind(progress, agent)


def _bind(progress: Progress, agent: Agent) -> None:
    deliveries.bind(progress.bound, (agent,))
    progress.agents.setdefault(agent.name, Handled()).is_removed = False


def _scope_opened(progress: Progress, event: events.ScopeOpened) -> None:
    progress.total += len(progress.graphs[event.graph].nodes) if event.graph else event.count


def _child_opened(progress: Progress, event: events.ChildOpened) -> None:
    progress.graphs = {**progress.graphs, **event.graphs}
    progress.total += 1 + len(progress.graphs[event.graph].nodes)  # the child flow itself ends as a step, too


def _node_added(progress: Progress, _: events.NodeAdded) -> None:
    progress.total += 1


def _progressed(progress: Progress, event: events.Progressed) -> None:
    progress.progressed[event.step] = event


def _step_started(progress: Progress, event: events.StepStarted) -> None:
    progress.retrying.pop(event.step, None)
    if event.step not in progress.waiting:  # a wait may open before the code first suspends
        progress.running[event.step] = None


def _step_succeeded(progress: Progress, event: events.StepSucceeded) -> None:
    if MARK in event.step and (agent := agent_of(event.step)):
        progress.agents[agent].handled += 1
        progress.agents[agent].waiting -= 1
        asked = progress.requests.get(int(message_of(event.step).partition("-")[0]))
        if asked is not None and event.reply is not msgspec.UNSET:
            progress.answer(*asked)
    progress.end(event.step)
    progress.succeeded += 1 if event.recovers is msgspec.UNSET else 2  # the step whose failure it handled, too
    progress.total += len(event.nodes)


def _tokens_spent(progress: Progress, event: events.TokensSpent) -> None:
    progress.tokens += event.count


def _attempt_failed(progress: Progress, event: events.AttemptFailed) -> None:
    progress.leave(event.step)
    if event.failure:
        progress.total += 1  # the failure action's
    else:
        progress.retrying[event.step] = None


def _step_failed(progress: Progress, event: events.StepFailed) -> None:
    step = event.step
    was_at_work = progress.is_at_work(step)
    progress.end(step)
    if agent := agent_of(step):
        counts = progress.agents[agent]
        if counts.is_removed and not was_at_work:
            return  # it was counted when the agent was removed
        counts.failed += 1
        counts.waiting -= 1
    progress.failed += 1
    if event.policy == "pause":
        progress.stuck += 1
        if agent:
            progress.stuck_letters[step] = None


def _agent_removed(progress: Progress, event: events.AgentRemoved) -> None:
    """What waits at it and is not at work becomes dead letters."""
    deliveries.unbind(progress.bound, event.name)
    counts = progress.agents[event.name]
    at_work = {*progress.running, *progress.retrying, *progress.waiting}
    dead = counts.waiting - sum(agent_of(step) == event.name for step in at_work)
    counts.is_removed = True
    counts.waiting -= dead
    counts.failed += dead
    progress.failed += dead


def _redelivered(progress: Progress, event: events.Redelivered) -> None:
    for step in event.steps:
        progress.agents[agent_of(step)].waiting += 1
        progress.failed -= 1
        if step in progress.stuck_letters:
            del progress.stuck_letters[step]
            progress.stuck -= 1


def _step_skipped(progress: Progress, event: events.StepSkipped) -> None:
    progress.leave(event.step)
    progress.skipped += 1


def _step_cancelled(progress: Progress, event: events.StepCancelled) -> None:
    progress.end(event.step)
    progress.cancelled += 1


def _wait_opened(progress: Progress, event: events.WaitOpened) -> None:
    if event.kind != "memo":  # running code, not somebody else's turn
        progress.running.pop(event.step, None)
        progress.waiting.setdefault(event.step, {})[event.key] = event.kind
    if event.messages:
        progress.requests[progress.seq] = event.step, event.key
        progress.asking.setdefault(event.step, []).append(progress.seq)


def _wait_answered(progress: Progress, event: events.WaitAnswered) -> None:
    progress.answer(event.step, event.key)


def _run_stopped(progress: Progress, _: events.Event) -> None:
    """Nothing runs any more; or its process has died, and whatever ran begins anew."""
    progress.running.clear()
    progress.progressed.clear()
    progress.rest = None


def _run_rests(progress: Progress, event: events.RunWaiting | events.RunParked) -> None:
    progress.rest = event


def _run_woken(progress: Progress, _: events.Event) -> None:
    progress.rest = None


def _limit_reached(progress: Progress, event: events.LimitReached) -> None:
    progress.paused_for = event.review


def _run_resumed(progress: Progress, _: events.RunResumed) -> None:
    progress.rest = None
    progress.paused_for = ""
    progress.failed -= progress.stuck
    progress.stuck = 0
    for step in progress.stuck_letters:
        progress.agents[agent_of(step)].waiting += 1
    progress.stuck_letters.clear()


_Apply: TypeAlias = Callable[[Progress, Any], None]
_APPLY: dict[type[events.Event], _Apply] = {
    events.RunStarted: _run_started,
    events.ScopeOpened: _scope_opened,
    events.ChildOpened: _child_opened,
    events.NodeAdded: _node_added,
    events.AgentBound: lambda progress, event: _bind(progress, event.agent),
    events.AgentRemoved: _agent_removed,
    events.Redelivered: _redelivered,
    events.Progressed: _progressed,
    events.StepStarted: _step_started,
    events.StepSucceeded: _step_succeeded,
    events.TokensSpent: _tokens_spent,
    events.AttemptFailed: _attempt_failed,
    events.StepFailed: _step_failed,
    events.StepSkipped: _step_skipped,
    events.StepCancelled: _step_cancelled,
    events.WaitOpened: _wait_opened,
    events.WaitAnswered: _wait_answered,
    events.RunRecovered: _run_stopped,
    events.RunPaused: _run_stopped,
    events.RunWaiting: _run_rests,
    events.RunParked: _run_rests,
    events.RunWoken: _run_woken,
    events.CancelRequested: _run_woken,
    events.LimitReached: _limit_reached,
    events.RunResumed: _run_resumed,
}
