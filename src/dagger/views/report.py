"""Report: what became of a run. Its head is at hand at once, its steps are read from the journal when asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from dagger.core import codec, decide
from dagger.core.events import Recorded, RunEnded, StepSucceeded
from dagger.core.state import State
from dagger.views.course import Courses
from dagger.views.outcome import NodeOutcomes
from dagger.views.table import outcomes_table
from dagger.views.texts import duration_text


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
        self.run_id = state.run_id
        self.status = status or state.status
        """`running`, `paused`, `succeeded`, `failed`, `cancelled`, or `interrupted`: its process died."""
        self.overall_success = state.status == "succeeded"
        """Nothing finally failed, and the run is over."""
        self.result: Any = None if state.result is None else codec.decode(codec.resolve(state.result, load))
        """What was given to `ctx.finish`; None without one."""
        self.error = _error(state)
        """The final errors joined, a line each, after the error that ended the run; None without any."""
        self.tokens = state.tokens
        self.messages = 0
        """Published in the run."""
        self.iterations = 0
        """Of the supervisor."""
        self.duration = _active_ms(state) / 1000
        """Seconds of active time: pauses are left out."""
        self._seq = state.seq
        self._read: Callable[[], Iterable[Recorded]] | None = read
        self._load: Callable[[str], bytes] | None = load
        self._outcomes = NodeOutcomes()
        self._written: dict[str, dict[str, bytes]] = {}
        self._outputs: dict[str, dict[str, Any]] = {}

    @property
    def node_outcomes(self) -> NodeOutcomes:
        """How each step ended, in the order of ending; also by node id: `report.node_outcomes["fetch"]`.

        Steps that never started are not among them.
        """
        self._fold()
        return self._outcomes

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Node id -> output name -> JSON value, of the run's own nodes that succeeded."""
        self.load()
        return self._outputs

    @property
    def agents(self) -> dict[str, dict[str, int]]:
        """Agent name -> how many messages it handled, failed to handle, has waiting."""
        return {}

    def load(self) -> None:
        """Read what is not read yet. After it the report needs no store; called again, it does nothing."""
        self._fold()
        if self._load is None:
            return
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
        }

    def _repr_html_(self) -> str:
        caption = f"run {self.run_id} · {self.status} · {duration_text(round(self.duration * 1000))}"
        return outcomes_table(caption, self.node_outcomes)

    def __repr__(self) -> str:
        error = f": {self.error.splitlines()[0]:.80}" if self.error else ""
        return f"<Report of run {self.run_id!r}: {self.status} after {self.duration:.3g} s{error}>"

    def _fold(self) -> None:
        if self._read is None:
            return
        courses, written = Courses(), {}
        for recorded in self._read():
            if recorded.seq > self._seq:
                break
            event = recorded.event
            courses.apply(event)
            if type(event) is StepSucceeded and "/" not in event.step:
                written[event.step] = {name: bytes(value) for name, value in event.outputs.items()}
        self._outcomes, self._written, self._read = courses.ended(), written, None


def _error(state: State) -> str | None:
    """What the run would end with if it ended now: so a paused run's error reads as an ended one's does."""
    ending = copy.copy(state)
    ending.halt = "cancel" if state.halt == "cancel" else "stop"
    settled = decide.settle(ending, state.last_at)
    return (settled.error or None) if isinstance(settled, RunEnded) else None


def _active_ms(state: State) -> int:
    """Milliseconds up to the last event; an ended or paused run's are summed up already."""
    return state.active_ms + (state.last_at - state.active_since if state.status == "running" else 0)
