"""The cache: section -> key -> JSON value; exact round trip, nobody shares a mutable object through it.

Values are kept as JSON text and decoded anew for each reader. A list that grows by `append` is kept in
chunks, so that appending costs the same at any length.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

import msgspec

from dagger.core import codec
from dagger.core.errors import InputInvalid, OutputInvalid, nearest

_MISSING: Any = object()


class Appended(msgspec.Struct):
    """A list under construction: what it was when the first item was appended, and the items since."""

    head: bytes
    """The JSON text of the list before, or a reference to its blob."""
    items: list[bytes]
    """The JSON texts of the items since, or references to their blobs."""

    def text(self, load: Callable[[str], bytes]) -> bytes:
        """The list's JSON text. A head that is no list (a `set` came between) has lost: the later write wins."""
        head = codec.resolve(self.head, load).strip()
        inner = head[1:-1] if head.startswith(b"[") else b""
        return b"[" + b",".join([*filter(None, [inner]), *(codec.resolve(item, load) for item in self.items)]) + b"]"


Stored: TypeAlias = bytes | Appended
Sections: TypeAlias = dict[str, dict[str, Stored]]


class Write(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One collected change of the cache, in the order it was made."""

    op: str
    """`set`, `append`, `add` or `delete`."""
    section: str
    key: str
    value: msgspec.Raw = msgspec.Raw(b"null")
    """JSON text, or a reference to a blob."""


def unresolved(_: str) -> NoReturn:
    """The blob loader of a cache that has no store behind it."""
    message = "this cache refers to a stored blob, and no store is at hand to load it"
    raise LookupError(message)


class CacheView:
    """Reading a cache. Values come back as fresh JSON values, never as shared objects."""

    def __init__(self, sections: Sections | None = None, load: Callable[[str], bytes] = unresolved) -> None:
        self._sections: Sections = {} if sections is None else sections
        self._load = load

    def get(self, section: str, key: str, default: Any = _MISSING) -> Any:
        """The value; `default` where there is none. Raises KeyError, naming the nearest key, without one."""
        stored = self._stored(section, key)
        if stored is None:
            if default is not _MISSING:
                return default
            raise KeyError(self._missing(section, key))
        return codec.decode(self._text(stored))

    def node(self, node_id: str) -> dict[str, Any]:
        """All outputs of a node by name; empty where it has none (yet)."""
        return {key: self.get(node_id, key) for key in self.keys(node_id)}

    def keys(self, section: str) -> list[str]:
        """The keys of a section, in the order of being first written."""
        return list(self._sections.get(section, ()))

    def to_json(self, indent: int | None = None) -> str:
        """The whole cache as a JSON object of objects: `Cache.from_json` reads exactly this."""
        whole = {
            section: {
                key: msgspec.Raw(self._text(stored))
                for key in self.keys(section)
                if (stored := self._stored(section, key)) is not None
            }
            for section in self
        }
        text = msgspec.json.encode(whole)
        return (msgspec.json.format(text, indent=indent) if indent is not None else text).decode()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._sections))

    def __contains__(self, section: object) -> bool:
        return any(section == name for name in self)

    def __eq__(self, other: object) -> bool:
        # by text: to Python, true is 1, and 1 is 1.0
        return isinstance(other, CacheView) and codec.canonical(self.to_json().encode()) == codec.canonical(
            other.to_json().encode()
        )

    __hash__ = None  # type: ignore[assignment]  # equal by content, so it has no hash

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} sections>"

    def _stored(self, section: str, key: str) -> Stored | None:
        return self._sections.get(section, {}).get(key)

    def _text(self, stored: Stored) -> bytes:
        return _text(stored, self._load)

    def _missing(self, section: str, key: str) -> str:
        keys = self.keys(section)
        if not keys:
            return f"section {section!r} of the cache is empty{nearest(section, self)}"
        near = nearest(key, keys) or f"; it has: {', '.join(keys[:8])}"
        return f"section {section!r} of the cache has no key {key!r}{near}"


class Cache(CacheView):
    """A cache to fill and to seed a run with: `app.execute(spec, cache=cache)`."""

    def set(self, section: str, key: str, value: object) -> None:
        """Store a JSON value. Raises InputInvalid, naming the path, for what is not JSON."""
        self._apply("set", section, key, value)

    def append(self, section: str, key: str, value: object) -> None:
        """Append to the list under the key; the first append makes the list."""
        self._apply("append", section, key, value)

    def add(self, section: str, key: str, number: float) -> None:
        """Add to the number under the key; the first addition begins at 0."""
        self._apply("add", section, key, number)

    def delete(self, section: str, key: str) -> None:
        """Remove the key; nothing happens where there is none."""
        self._apply("delete", section, key, None)

    def _apply(self, op: str, section: str, key: str, value: object) -> None:
        write = collect(op, section, key, value, self._stored(section, key), self._load, InputInvalid)
        apply(self._sections, write)

    @classmethod
    def from_json(cls, text: str | bytes) -> Cache:
        """The cache that `to_json` wrote. Raises InputInvalid where it is no object of objects."""
        try:
            whole = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
        except (ValueError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
            message = f"the text is no cache, an object of sections of keys: {error}"
            raise InputInvalid(message) from None
        return cls.of(whole)

    @classmethod
    def of(cls, seed: CacheView | Mapping[str, Mapping[str, object]] | None) -> Cache:
        """A cache of its own with the content of `seed`. Raises InputInvalid for what is not JSON."""
        cache = cls()
        if isinstance(seed, CacheView):
            return cls.from_json(seed.to_json())
        if seed is not None and not isinstance(seed, Mapping):
            message = f"a cache is a Cache or a dict of sections, not {seed!r}"
            raise InputInvalid(message)
        for section, keys in (seed or {}).items():
            if not isinstance(keys, Mapping):
                message = f"section {section!r} of the cache must be a dict of keys, not {keys!r}"
                raise InputInvalid(message)
            for key, value in keys.items():
                cache.set(section, key, value)
        return cache

    def writes(self) -> list[Write]:
        """The writes that make this cache out of an empty one."""
        return [
            Write("set", section, key, msgspec.Raw(self._text(stored)))
            for section, keys in self._sections.items()
            for key, stored in keys.items()
        ]


def collect(  # noqa: PLR0917 - a write's own four parts come first
    op: str,
    section: str,
    key: str,
    value: object,
    present: Stored | None,
    load: Callable[[str], bytes] = unresolved,
    error: type[Exception] = OutputInvalid,
) -> Write:
    """The write that an `op` on a key holding `present` makes. Raises `error` for what cannot be."""
    for name, part in (("section", section), ("key", key)):
        if not codec.is_text(part):
            message = f"a cache {name} is a string, not {part!r}"
            raise error(message)
    where = f"cache {section}.{key}"
    if op == "append" and isinstance(present, bytes):
        text = codec.resolve(present, load)
        if not text.startswith(b"["):
            message = f"{where}: append needs a list, but it holds {text[:40].decode(errors='replace')}"
            raise error(message)
    if op == "add":
        held = 0 if present is None else codec.decode(_text(present, load))
        for number in (value, held):
            if not _is_number(number):
                message = f"{where}: add needs numbers, not {number!r}"
                raise error(message)
    try:
        text = codec.encode(value)
    except codec.NotJson as problem:
        message = f"{where}: {problem}"
        raise error(message) from None
    return Write(op, section, key, msgspec.Raw(codec.guarded(text)))


def apply(sections: Sections, write: Write) -> None:
    """Apply one write to the sections: pure, and total. Where two attempts disagree, the later write wins."""
    keys = sections.get(write.section)
    if keys is None:
        if write.op == "delete":
            return
        keys = sections[write.section] = {}
    _APPLY[write.op](keys, write.key, bytes(write.value))
    if not keys:
        del sections[write.section]


def _set(keys: dict[str, Stored], key: str, text: bytes) -> None:
    keys[key] = text


def _append(keys: dict[str, Stored], key: str, text: bytes) -> None:
    present = keys.get(key)
    if isinstance(present, Appended):
        present.items.append(text)
    else:
        keys[key] = Appended(b"[]" if present is None else present, [text])


def _add(keys: dict[str, Stored], key: str, text: bytes) -> None:
    held, number = _number(keys.get(key)), _number(text)
    try:
        keys[key] = codec.encode(held + number)
    except (OverflowError, codec.NotJson):
        # two honest numbers may add up to more than JSON holds: the largest float stands for it
        largest = sys.float_info.max
        keys[key] = codec.encode(largest if max(held, number, key=abs) > 0 else -largest)


def _number(stored: Stored | None) -> float:
    """The number that is stored; 0 for anything else: the later write wins."""
    value = codec.decode(stored) if isinstance(stored, bytes) else 0
    return value if _is_number(value) else 0


def _delete(keys: dict[str, Stored], key: str, _: bytes) -> None:
    keys.pop(key, None)


_APPLY = {"set": _set, "append": _append, "add": _add, "delete": _delete}


def _text(stored: Stored, load: Callable[[str], bytes]) -> bytes:
    return stored.text(load) if isinstance(stored, Appended) else codec.resolve(stored, load)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
