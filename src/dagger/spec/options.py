"""What `@action` takes, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from dagger.core.errors import RegistryError, nearest

RunsIn: TypeAlias = Literal["loop", "thread", "process"]


class Options(TypedDict, total=False):
    """The keywords of `@action`; None is the same as not given."""

    name: str | None
    """What nodes call it by; default: the function's name."""
    runs_in: RunsIn | None
    """`loop` (default of an async function), `thread` (of a plain one), `process` (what can be imported by name)."""
    concurrency: int | None
    """Calls at once in this application, at least 1; with `pool`, of all of the pool's actions together."""
    pool: str | None
    """Actions that name the same pool share its slots and rate; default: a pool of its own."""
    rate: str | None
    """`60/min`: at most so many starts within any window of that length; with `pool`, of all its actions together."""
    cache: bool | Mapping[str, Any] | None
    """True, or `{"key": …, "ttl": …}`: an earlier run's outputs where the work is the same; see `reuse`."""
    version: str | int | None
    """Another version is other work: nothing is reused from one to the next."""


_OPTIONS = tuple(Options.__annotations__)
_LATER_OPTIONS = frozenset(("effect", "probe", "compensate"))


def refuse_options(given: Mapping[str, object]) -> None:
    """Raise RegistryError for keywords of `@action` that it does not take, or not yet."""
    for name in given:
        if name in _OPTIONS:
            continue
        takes = ", ".join(_OPTIONS)
        message = f"@action has no option {name!r}{nearest(name, _OPTIONS) or f'; it takes: {takes}'}"
        if name in _LATER_OPTIONS:
            message = f"@action({name}=…) is not there yet; it takes: {takes}"
        raise RegistryError(message)
