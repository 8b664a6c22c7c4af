"""Tool schemas: actions described as the tools that a language model can be offered."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

from dagger.core.errors import ConfigError, nearest
from dagger.spec.action import Action

ToolFormat: TypeAlias = Literal["dagger", "openai", "anthropic", "mcp"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What all of them take as a name. MCP has dots too, but the models behind its clients do not."""
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")
_STEM_CHARACTERS = 55
_DEFS = "#/$defs/"


def tool_schemas(actions: Iterable[Action], format: ToolFormat) -> list[dict[str, Any]]:
    """The actions' schemas as `dagger`, `openai` (Chat Completions), `anthropic` or `mcp` has them.

    Raises ConfigError for another format.
    """
    write = _FORMATS.get(format)
    if write is None:
        hint = nearest(format, _FORMATS) or f"; there are: {', '.join(_FORMATS)}"
        message = f"there is no tool format {format!r}{hint}"
        raise ConfigError(message)
    return [write(action) for action in actions]


def tool_name(action: str) -> str:
    """The action's name as others take it: letters, digits, `_` and `-`, at most 64.

    Of a name that does not fit, `images.resize`, a hash stands for what is lost: `images_resize_e37f3e37`. So names
    stay distinct, and `{tool_name(name): name for name in app.actions}` leads back.
    """
    if _NAME.fullmatch(action):
        return action
    digest = hashlib.sha256(action.encode()).hexdigest()[:8]
    return f"{_STRANGE.sub('_', action)[:_STEM_CHARACTERS]}_{digest}"


def _openai(action: Action) -> dict[str, Any]:
    # without `strict`: it would forbid defaults, and parameters that may be left out
    return {"type": "function", "function": {**_described(action), "parameters": _parameters(action)}}


def _anthropic(action: Action) -> dict[str, Any]:
    return {**_described(action), "input_schema": _parameters(action)}


def _mcp(action: Action) -> dict[str, Any]:
    tool = {**_described(action), "inputSchema": _parameters(action)}
    returns = _unfolded(action.schema().get("returns", {}))
    # what MCP calls structured content is an object; anything else goes back as text
    return {**tool, "outputSchema": returns} if returns.get("type") == "object" else tool


def _described(action: Action) -> dict[str, Any]:
    return {"name": tool_name(action.name), "description": action.description}


def _parameters(action: Action) -> dict[str, Any]:
    """The parameters as the object that they always are, said in full: others insist on it."""
    said: dict[str, Any] = action.schema().get("parameters", {})
    return {"type": "object", "properties": {}} | said | {"type": "object"}


def _unfolded(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a mere reference to one of its own definitions stands for."""
    name = str(schema.get("$ref", "")).removeprefix(_DEFS)
    shared: dict[str, dict[str, Any]] = schema.get("$defs", {})
    return {**shared[name], "$defs": shared} if name in shared else schema


_FORMATS: dict[str, Callable[[Action], dict[str, Any]]] = {
    "dagger": Action.schema,
    "openai": _openai,
    "anthropic": _anthropic,
    "mcp": _mcp,
}
