"""Tools: the actions that a model is offered, and the nodes that its calls become."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

from dagger.core.errors import ActionNotRegistered, DaggerError, RegistryError, nearest
from dagger.core.iterate import HUMAN_INTERRUPT
from dagger.modes.supervisor import BUILT_IN
from dagger.spec.context import Context
from dagger.spec.fields import Called
from dagger.spec.nodes import action_name
from dagger.spec.tools import tool_name


class Call(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one tool call of a model."""

    id: str
    """The model's own for it."""
    tool: str
    """As the model called it."""
    node: str = ""
    """The id of the node that it is."""
    error: str = ""
    """Why it is none."""


class Tools:
    """The actions that a model is offered, by the names that it knows them by."""

    def __init__(self, ctx: Context, wanted: Iterable[str] | None, *, ask_person: bool) -> None:
        """`wanted`: None for all but supervisors and the built-in ones. Raises ActionNotRegistered."""
        schemas = ctx.action_schemas
        if wanted is None:
            kept = set(map(action_name, BUILT_IN))
            names = [name for name, schema in schemas.items() if name not in kept and not schema.get("supervisor")]
        else:
            names = [_registered(name, schemas, ctx.node.action) for name in wanted]
        self._ctx = ctx
        self._schemas = {tool_name(name): schemas[name] for name in [*names, *[HUMAN_INTERRUPT] * ask_person]}

    def definitions(self) -> list[ToolDefinition]:
        """The tools as pydantic-ai has them."""
        return [_definition(name, schema) for name, schema in self._schemas.items()]

    def call(self, call: ToolCallPart) -> Call:
        """Add the node that a tool call asks for, or say why there can be none."""
        known = self._schemas.get(call.tool_name)
        if known is None:
            near = nearest(call.tool_name, self._schemas) or f"; there are: {', '.join(self._schemas) or 'none'}"
            return Call(call.tool_call_id, call.tool_name, error=f"there is no tool {call.tool_name!r}{near}")
        try:
            node = self._ctx.add_node(known["name"], inputs=_arguments(call))
        except msgspec.DecodeError as error:
            return Call(call.tool_call_id, call.tool_name, error=f"the arguments are no JSON object: {error}")
        except DaggerError as error:
            return Call(call.tool_call_id, call.tool_name, error=str(error))
        return Call(call.tool_call_id, call.tool_name, node)


def names_of(tools: Collection[Called] | None) -> list[str] | None:
    """The names of the actions that are wanted as tools. Raises RegistryError or GraphError for what are none."""
    if tools is None:
        return None
    if isinstance(tools, str) or not isinstance(tools, Collection):
        message = f"tools are a list of actions, not {tools!r:.80}"
        raise RegistryError(message)
    return [action_name(each) for each in tools]


def _registered(name: str, schemas: Mapping[str, Any], supervisor: str) -> str:
    if name not in schemas:
        near = nearest(name, schemas) or f"; registered: {', '.join(schemas)}"
        message = f"supervisor {supervisor!r}: its tool {name!r} is no registered action{near}"
        raise ActionNotRegistered(message)
    return name


def _definition(name: str, schema: Mapping[str, Any]) -> ToolDefinition:
    parameters = {"type": "object", "properties": {}} | schema.get("parameters", {}) | {"type": "object"}
    return ToolDefinition(name=name, parameters_json_schema=parameters, description=schema.get("description") or None)


def _arguments(call: ToolCallPart) -> dict[str, Any]:
    """The arguments of a call: models send an object, its text, or nothing at all."""
    given = call.args or {}
    if isinstance(given, str):
        return msgspec.json.decode(given if given.strip() else "{}", type=dict[str, Any])
    return given
