"""ModelSupervisor: a supervisor whose turns a language model decides; the actions are its tools."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from dagger.core.errors import NonRetryable, ScopeFailed
from dagger.llm import conversation
from dagger.llm.asking import Asking
from dagger.llm.tools import Call, Tools, names_of
from dagger.modes.agent import TASK, AgentDriven
from dagger.spec.action import NodeAction
from dagger.spec.context import Context
from dagger.spec.fields import Called

MAX_REFUSALS = 2
"""How often in one try of a turn a model is told that nothing can be done of what it said."""


class ModelSupervisor(NodeAction):
    """A supervisor for `AgentDriven` that asks a model in each turn; the model's tool calls become nodes.

    The model's text without tool calls is the run's result (with `keep_alive` it waits for an instruction). What was
    said is in the journal, and nothing that was answered is asked again. As the action of any other node, also as the
    tool of another supervisor, it works on its input `task` in a child flow and gives that flow's result.
    """

    def __init__(
        self,
        model: Model | str,
        *,
        name: str,
        instructions: str = "",
        tools: Collection[Called] | None = None,
        ask_person: bool = False,
        description: str = "Work on a task with a language model.",
        settings: ModelSettings | None = None,
        reserve_tokens: int | None = None,
        stream: bool = False,
    ) -> None:
        """Register it with `app.register_action`. Raises RegistryError for what no supervisor can be made of.

        `model`: what pydantic-ai takes. `tools`: actions; None: all that are registered but supervisors and the
        built-in ones. `ask_person`: offer `human_interrupt`, too. `description`: what other models are told of it.
        `settings`: pydantic-ai's. `reserve_tokens`: what one request may cost, by default the setting `max_tokens`:
        where the run has not so many left, it is not made. `stream`: show the text by `ctx.emit({"text": …})` as it
        comes.
        """
        self.name = name
        self.instructions = instructions
        self.tools = names_of(tools)
        self.ask_person = ask_person
        self.description = description
        self._asking = Asking(model, settings, reserve_tokens=reserve_tokens, stream=stream)

    def schema(self) -> dict[str, Any]:
        """See NodeAction."""
        parameters = {"type": "object", "properties": {TASK: {"type": "string"}}, "required": [TASK]}
        about = {"name": self.name, "description": self.description, "supervisor": True}
        return {**about, "parameters": parameters, "returns": {}}

    async def execute(self, ctx: Context) -> Any:
        """See NodeAction."""
        if ctx.node.iteration is None:
            return await self._in_child_flow(ctx)
        said: list[ModelMessage] = [await conversation.opening(ctx, self.instructions)]
        response, calls = await self._decided(ctx, said)
        kept = {conversation.CALLS: calls, conversation.MESSAGES: conversation.written(said)}
        if calls:
            return kept
        if ctx.node.iteration.keep_alive:
            return {"text": response.text, **kept}
        ctx.finish(response.text)
        return kept

    async def _decided(self, ctx: Context, said: list[ModelMessage]) -> tuple[ModelResponse, list[Call]]:
        """The model's answer with which the turn can end, and what became of its tool calls; adds to `said`.

        What was refused in an earlier try of the turn is told again, but does not count: the model has its chance.
        """
        before = conversation.said_before(ctx)
        tools = Tools(ctx, self.tools, ask_person=self.ask_person)
        parameters = ModelRequestParameters(function_tools=tools.definitions())
        ordinal = asked = 0
        while asked <= MAX_REFUSALS:
            ordinal += 1
            response, is_new = await self._asking.answer(ctx, [*before, *said], parameters, ordinal)
            asked += is_new
            said.append(response)
            calls = [tools.call(call) for call in response.tool_calls]
            if any(call.node for call in calls) or ((response.text or "").strip() and not calls):
                return response, calls  # what cannot be of several calls is told with what becomes of the others
            said.append(conversation.refusal(calls))
        errors = "; ".join(call.error for call in calls) or "its answer is empty"
        message = f"supervisor {self.name!r}: nothing can be done of what the model said {ordinal} times: {errors}"
        raise NonRetryable(message)

    async def _in_child_flow(self, ctx: Context) -> Any:
        others = {name: value for name, value in ctx.inputs.items() if name != TASK}
        report = await ctx.execute(AgentDriven(ctx.inputs[TASK], supervisor=self.name), inputs=others)
        if not report.overall_success:
            raise ScopeFailed(report.error)
        return report.result
