"""AgentDriven: add one supervisor, whose turns add the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dagger.core import codec, iterate
from dagger.core.errors import GraphError
from dagger.core.events import Spec
from dagger.core.graph import Definition, Input
from dagger.modes.supervisor import SUPERVISOR
from dagger.spec.fields import Called
from dagger.spec.nodes import action_name
from dagger.spec.workflow import Beginning, FindGraph

TASK = "task"
"""The run input that says what is to be done."""


class AgentDriven(msgspec.Struct, frozen=True):
    """Execute a task by turns of a supervisor: each may add nodes, and the next one sees what became of them.

    `supervisor`: an action that receives its `Context`; it adds nodes or finishes, and with it the run's inputs, the
    task as `task`. `instructions`: what it finds waiting, `{action, params, priority}` or that as JSON text. With
    `keep_alive` it waits for instructions where else the run would end, and has no time limit but one that is set.
    """

    task: str
    supervisor: Called = SUPERVISOR
    instructions: Sequence[Mapping[str, Any] | str] = ()
    keep_alive: bool = False

    def __post_init__(self) -> None:
        if not codec.is_text(self.task):
            message = f"AgentDriven takes a task as text, not {self.task!r:.80}"
            raise GraphError(message)
        if isinstance(self.instructions, str | Mapping) or not isinstance(self.instructions, Sequence):
            message = (
                f"AgentDriven: instructions are a list of {{action, params, priority}}, not {self.instructions!r:.80}"
            )
            raise GraphError(message)

    def opening(self, find: FindGraph, inputs: Mapping[str, Any]) -> Beginning:
        """See WorkflowSpec. Raises GraphError for a supervisor that is no action."""
        name = action_name(self.supervisor)
        entries = [Input(each, f"inputs.{each}") for each in dict.fromkeys([TASK, *inputs])]
        return Beginning(
            Spec("agent", name),
            Definition(name=name, nodes=(iterate.first(name, entries, keep_alive=self.keep_alive),)),
            inputs={TASK: self.task},
            instructions=tuple(self.instructions),
            config={"timeout_seconds": None} if self.keep_alive else {},
            calls_any=True,
        )
