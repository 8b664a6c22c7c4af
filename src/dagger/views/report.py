"""Report: what became of a run. Its head is at hand at once, its steps are read from the journal when asked for."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dagger.core import codec, decide
from dagger.core.events import Recorded, RunEnded, StepSucceeded
from dagger.core.messages import HUMAN_REVIEW, MARK
from dagger.core.state import STANDS_STILL, State
from dagger.core.steps import HANDLER
from dagger.views.course import Courses
from dagger.views.outcome import NodeOutcomes
from dagger.views.texts import lasted_text


class Report:
    """What became of a run, as of the moment the report was made: what happens later does not change it."""

    def __init__(
        self,
        state: State,
        read: Callable[[], Iterable[Recorded]],
        load: Callable[[str], bytes],
        status: str | None = None,
    ) -> None:
        """`read` gives the run's journal from its beginning, `load` a blob's content by its hash.

        `status`: what the state alone cannot tell: `interrupted`.
        """
        self._begin(state.run_id, status or state.status, read, load)
        self._tell(state)

    @classmethod
    def later(
        cls,
        run_id: str,
        status: str,
        replay: Callable[[], State],
        read: Callable[[], Iterable[Recorded]],
        load: Callable[[str], bytes],
    ) -> Report:
        """A report whose state is replayed when more is asked of it than the status."""
        report = cls.__new__(cls)
        report._begin(run_id, status, read, load)  # noqa: SLF001 - it is one of us
        report._replay = replay  # noqa: SLF001 - likewise
        return report

    def _begin(
        self, run_id: str, status: str, read: Callable[[], Iterable[Recorded]], load: Callable[[str], bytes]
    ) -> None:
        self.run_id = run_id
        self.status = status
        """`running`, `waiting`, `paused`, `succeeded`, `failed`, `cancelled`, or `interrupted`: its process died."""
        self.overall_success = status == "succeeded"
        """Nothing finally failed, and the run is over."""
        self._replay: Callable[[], State] | None = None
        self._read: Callable[[], Iterable[Recorded]] | None = read
        self._load: Callable[[str], bytes] | None = load
        self._outcomes = NodeOutcomes()
        self._abandoned = 0
        self._written: dict[str, dict[str, bytes]] = {}
        self._outputs: dict[str, dict[str, Any]] = {}

    def _tell(self, state: State) -> None:
        assert self._load is not None
        self.result: Any = None if state.result is None else codec.decode(codec.resolve(state.result, self._load))
        """What was given to `ctx.finish`; None without one."""
        self.error = _error(state)
        """The final errors joined, a line each, after the error that ended the run; None without any."""
        self.tokens = state.tokens
        self.iterations = state.iterations
        """Turns of supervisors that succeeded."""
        self.messages = state.messages
        """Published in the run, from outside too."""
        self.agents: dict[str, dict[str, int]] = _agents(state)
        """Agent name -> how many messages it has `handled`, finally `failed` to handle (redelivered or not), and has
        `waiting`, those at work included."""
        self.duration = _active_ms(state) / 1000
        """Seconds of active time: pauses are left out, and the times when only waits were open."""
        self.lasted = max(0, state.last_at - state.started_at) / 1000
        """Seconds from its start to its last event: nothing is left out."""
        self._seq, self._dead = state.seq, [*state.dead]

    def __getattr__(self, name: str) -> Any:
        replay = self.__dict__.get("_replay") if name in _REPLAYED else None
        if replay is None:
            message = f"a report has no {name!r}"
            raise AttributeError(message)
        self._tell(replay())
        self._replay = None  # only now: where that failed, the next question says so again
        return getattr(self, name)

    @property
    def node_outcomes(self) -> NodeOutcomes:
        """How each step ended, in the order of ending; also by node id: `report.node_outcomes["fetch"]`.

        Steps that never started are not among them, nor is each message that an agent handled, which `agents` counts:
        but dead letters are, and what became of them when they were delivered anew.
        """
        self._fold()
        return self._outcomes

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Node id -> output name -> JSON value, of the run's own nodes that succeeded."""
        self.load()
        return self._outputs

    @property
    def abandoned(self) -> int:
        """Attempts whose code could not be stopped at their timeout: it may still run."""
        self._fold()
        return self._abandoned

    def load(self) -> None:
        """Read what is not read yet. After it the report needs no store; called again, it does nothing."""
        if self._load is None:
            return
        self._fold()
        self._outputs = {
            step: {name: codec.decode(codec.resolve(text, self._load)) for name, text in outputs.items()}
            for step, outputs in self._written.items()
        }
        self._load, self._written = None, {}

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return {
            "run_id": self.run_id,
            "status": self.status,
            "overall_success": self.overall_success,
            "result": self.result,
            "error": self.error,
            "node_outcomes": [outcome.to_dict() for outcome in self.node_outcomes],
            "outputs": self.outputs,
            "agents": self.agents,
            "tokens": self.tokens,
            "messages": self.messages,
            "iterations": self.iterations,
            "duration": self.duration,
            "lasted": self.lasted,
            "abandoned": self.abandoned,
        }

    def _repr_html_(self) -> str:
        caption = f"run {self.run_id} · {self.status} · {self._lasted_text()}"
        from dagger.views.table import agents_table, outcomes_table

        return outcomes_table(caption, self.node_outcomes) + agents_table(self.agents)

    def __repr__(self) -> str:
        error = f": {self.error.splitlines()[0]:.80}" if self.error else ""
        return f"<Report of run {self.run_id!r}: {self.status} after {self._lasted_text()}{error}>"

    def _lasted_text(self) -> str:
        return lasted_text(round(self.lasted * 1000), round(self.duration * 1000))

    def _fold(self) -> None:
        if self._read is None:
            return
        courses = Courses()
        written: dict[str, dict[str, bytes]] = {}
        for recorded in self._read():
            if recorded.seq > self._seq:
                break
            event = recorded.event
            courses.apply(event)
            if type(event) is StepSucceeded:
                _write(event, written)
        for step in self._dead:
            courses.bury(step)
        self._outcomes, self._abandoned = courses.ended(), courses.abandoned
        self._written, self._read = written, None


_REPLAYED = frozenset(
    ("result", "error", "tokens", "iterations", "messages", "agents", "duration", "lasted", "_seq", "_dead")
)
"""What a report knows from its state."""


def _write(event: StepSucceeded, written: dict[str, dict[str, bytes]]) -> None:
    """Note the outputs of one of the run's own nodes; a failure action has none of its own, but may give the node's."""
    node_id, _, more = event.step.partition(":")
    if "/" in node_id or MARK in node_id:
        return  # in a child flow; or a delivery, or what its code executed
    if not more:
        written[node_id] = {name: bytes(value) for name, value in event.outputs.items()}
    elif event.step == node_id + HANDLER and event.recovers is not msgspec.UNSET:
        written[node_id] = {name: bytes(value) for name, value in event.recovers.items()}


def _agents(state: State) -> dict[str, dict[str, int]]:
    """What each agent has done and has to do; the built-in one is told of where it has anything to do with the run."""
    waiting: Counter[str] = Counter()
    for inboxes in (state.inboxes, *(scope.inboxes for scope in state.scopes.values())):
        waiting.update({name: inbox.undelivered() for name, inbox in inboxes.items()})
    told = {
        name: {"handled": bound.handled, "failed": bound.failed, "waiting": waiting[name]}
        for name, bound in state.agents.items()
    }
    return {name: counts for name, counts in told.items() if name != HUMAN_REVIEW or any(counts.values())}


def _error(state: State) -> str | None:
    """What the run would end with if it ended now: so a paused run's error reads as an ended one's does."""
    ending = copy.copy(state)
    ending.halt = "cancel" if state.halt == "cancel" else "stop"
    settled = decide.settle(ending, state.last_at)
    return (settled.error or None) if isinstance(settled, RunEnded) else None


def _active_ms(state: State) -> int:
    """Milliseconds up to the last event; where the clock stands still, they are summed up already."""
    return state.active_ms + (0 if state.active_since == STANDS_STILL else state.last_at - state.active_since)
