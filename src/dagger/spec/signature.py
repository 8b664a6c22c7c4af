"""What a function tells about itself: its parameters, their types, whether it is async."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from dagger.core.errors import RegistryError
from dagger.spec.context import Context


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; `functools.wraps` and partials do not hide it."""
    bare = _unwrapped(function)
    call = getattr(bare, "__call__", None)  # noqa: B004 - the bound method itself is asked, not callability
    return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(call)


def signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    """Its parameters. Raises RegistryError that names the action, where it does not tell them."""
    try:
        return inspect.signature(function)
    except ValueError:
        message = f"action {name!r}: {function!r} does not tell its parameters; wrap it in a function"
        raise RegistryError(message) from None


def type_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Its annotations as types, `return` among them. Raises RegistryError that names the action and the annotation."""
    bare = _unwrapped(function)
    if not isinstance(bare, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)):
        bare = type(bare).__call__
    try:
        return typing.get_type_hints(bare, include_extras=True)
    except NameError:
        return _local_type_hints(bare, name)
    except TypeError:
        return {}


def is_context(annotation: Any) -> bool:
    """Whether a parameter annotated so receives the context; optional or not."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(is_context(part) for part in typing.get_args(annotation))
    return inspect.isclass(annotation) and issubclass(annotation, Context)


def _unwrapped(function: Callable[..., Any]) -> Any:
    bare: Any = inspect.unwrap(function)
    while isinstance(bare, functools.partial):
        bare = bare.func
    return bare


def _local_type_hints(bare: Any, name: str) -> dict[str, Any]:
    """The hints of a function whose annotations name types that are local to where it is decorated."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("dagger."):
        frame = frame.f_back
    try:
        return typing.get_type_hints(bare, localns=dict(frame.f_locals) if frame else None, include_extras=True)
    except NameError as error:
        message = f"action {name!r}: an annotation names what is not there at run time: {error}"
        raise RegistryError(message) from None
