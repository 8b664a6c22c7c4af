"""What people write under `cache` -> Reuse: for a node and for an action alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dagger.core.errors import nearest
from dagger.core.graph import Reuse

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FORM = "true, or {key: [names of inputs], ttl: 30d}"
_KEYS = ("key", "ttl")


def reuse(value: object, where: str) -> Reuse | None:
    """What `true` or `{key, ttl}` says, both keys optional; None: nothing is said.

    `key`: the inputs whose values make it the same work, one name or several; none: all. `ttl`: see `seconds`.
    Raises ValueError that begins with `where`.
    """
    if value is None or value is True:
        return None if value is None else Reuse()
    if value is False:
        message = f"{where}: false switches nothing off; leave it out where nothing is to be reused"
        raise ValueError(message)
    if not isinstance(value, Mapping):
        message = f"{where}: must be {FORM}, not {value!r:.80}"
        raise ValueError(message)  # noqa: TRY004 - what people write is wrong, not a type
    for name in value:
        if name not in _KEYS:
            near = nearest(str(name), _KEYS) or "; it takes: key, ttl"
            message = f"{where}: unknown key {name!r:.80}{near}"
            raise ValueError(message)
    ttl = value.get("ttl")
    return Reuse(_names(value.get("key"), where), None if ttl is None else seconds(ttl, f"{where}: ttl"))


def _names(key: object, where: str) -> tuple[str, ...]:
    names = () if key is None else (key,) if isinstance(key, str) else key
    if not isinstance(names, (list, tuple)) or not all(name and isinstance(name, str) for name in names):
        message = f"{where}: key must be the name of an input or a list of such names, not {key!r:.80}"
        raise ValueError(message)
    if key is not None and not names:
        message = f"{where}: key names no input; leave it out to compare all of them"
        raise ValueError(message)
    return tuple(dict.fromkeys(names))


def seconds(value: object, where: str) -> float:
    """`30d`, `12h`, `5m`, `10s`, `2w`, or a number of seconds above 0. Raises ValueError that begins with `where`."""
    length = 0.0
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,9})([smhdw])", value.lower())):
        length = float(found[1]) * UNIT_SECONDS[found[2]]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        length = float(value)
    if not 0 < length < float("inf"):
        message = f"{where}: must be a number of seconds above 0, or of s, m, h, d or w: 30d; not {value!r:.80}"
        raise ValueError(message)
    return length
