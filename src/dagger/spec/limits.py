"""How many calls of actions at once, and how many in a time: `concurrency`, `pool` and `rate` of `@action`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from dagger.core.errors import RegistryError
from dagger.spec.reuse import UNIT_SECONDS

_RATE = re.compile(r"([0-9]{1,9}) ?/ ?([0-9]{0,9}) ?(s|sec|second|m|min|minute|h|hour|d|day)s?")


class Rate(NamedTuple):
    """At most so many starts within any window of that length."""

    starts: int
    seconds: float

    @classmethod
    def parse(cls, text: object) -> Rate:
        """`60/min`, `5/s`, `100/30s`. Raises ValueError that shows the form."""
        found = _RATE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
        starts, seconds = (int(found[1]), int(found[2] or 1) * UNIT_SECONDS[found[3][0]]) if found else (0, 0)
        if not (starts and seconds):
            message = f"rate is how many starts in what time, both above zero: 60/min, 5/s or 100/30s; not {text!r:.80}"
            raise ValueError(message)
        return cls(starts, float(seconds))

    def __str__(self) -> str:
        return f"{self.starts}/{self.seconds:g}s"


class Limited(Protocol):
    """What is asked of an action here."""

    name: str
    pool: str
    slots: int | None
    rate: Rate | None


class Limits(NamedTuple):
    """What a pool lets through."""

    slots: int | None
    """Calls at once; None: any number."""
    rate: Rate | None
    """None: as often as there are slots."""


def limits(pool: str, actions: Iterable[Limited]) -> Limits:
    """A pool's limits, as its actions give them. Raises RegistryError where two of them disagree."""
    found: dict[str, tuple[Any, str]] = {}
    for action in actions:
        if action.pool != pool:
            continue
        for option, value in (("concurrency", action.slots), ("rate", action.rate)):
            if value is None:
                continue
            first, giver = found.setdefault(option, (value, action.name))
            if value != first:
                message = (
                    f"action {action.name!r}: pool {pool!r} has {option} {first} from action {giver!r}, not {value}; "
                    "give it once, or name another pool"
                )
                raise RegistryError(message)
    return Limits(found.get("concurrency", (None, ""))[0], found.get("rate", (None, ""))[0])


def require_limits(pool: str, actions: Iterable[Limited]) -> Limits:
    """A pool's limits. Raises RegistryError where no action gives it any."""
    actions = [action for action in actions if action.pool == pool]
    found = limits(pool, actions)
    if found == (None, None):
        names = ", ".join(action.name for action in actions)
        message = f"pool {pool!r} has no size; give concurrency or rate on one of its actions: {names}"
        raise RegistryError(message)
    return found
