"""Values and events <-> JSON bytes, exactly: what cannot be written as it is, is refused with its path.

A value in a journal is JSON text, or a reference to a blob: ``{"$blob": "<hash>", "size": <bytes>}``. A
user's own value that happens to begin so is stored as a blob itself, so the two can never be mixed up.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

BLOB_ABOVE_BYTES = 64 * 1024
"""Values and events longer than this are stored once, by hash, compressed, and loaded when read."""

MAX_DEPTH = 200
"""SQLite reads JSON to a depth of 1,000; a value stands inside an event, and 200 levels are no honest data."""

MAX_INTEGER_BITS = 14_000
"""Some 4,200 digits: Python and msgspec read no more than 4,300 characters as an integer."""

_BLOB_PREFIX = b'{"$blob":'
BRACE = ord("{")
"""How every reference to a blob begins: a text that begins otherwise is the value itself."""
_GUARD = b" "
_SPECIAL = (_BLOB_PREFIX, _GUARD)
_LARGE = 1 << 64
_CONTAINERS = frozenset((dict, list, tuple))
_EXACT = frozenset((str, bool, type(None)))
_PLAIN = frozenset((*_CONTAINERS, *_EXACT, int, float))
"""Types whose values are written as they are."""
_BINARY = (bytes, bytearray, memoryview)
_UNORDERED = (set, frozenset)

_write = msgspec.json.Encoder().encode
_write_sorted = msgspec.json.Encoder(order="sorted").encode
_read = msgspec.json.Decoder().decode


class NotJson(ValueError):
    """The value is not JSON; the message tells the path and the reason."""


class Blob(NamedTuple):
    """A large value's content, to be stored beside the event that refers to it."""

    hash: str
    """BLAKE2b of the content, 128 bits, in hexadecimal."""
    content: bytes


class BlobReference(msgspec.Struct, frozen=True):
    """What stands in an event in place of a large value."""

    hash: str = msgspec.field(name="$blob")
    size: int = 0
    """Bytes of the content, uncompressed."""


_read_reference = msgspec.json.Decoder(BlobReference).decode


def encode(value: object) -> bytes:
    """The value as JSON text. Dataclasses, models, enums and tuples become JSON values; dates, Decimals, UUIDs texts.

    Raises NotJson, naming the path, for NaN, infinities, keys that are no strings, bytes, sets, unknown types,
    and what is too deep or too long to be read back.
    """
    kind = type(value)
    try:
        if (
            kind in _EXACT
            or (kind is int and value.bit_length() <= MAX_INTEGER_BITS)  # type: ignore[attr-defined]
            or (kind is float and math.isfinite(value))  # type: ignore[arg-type]
        ):
            return _write(value)
        if hasattr(kind, "__struct_fields__"):  # msgspec writes one itself: only what is in it is looked at
            fields = msgspec.structs.astuple(value)  # type: ignore[arg-type]
            if _is_flat(fields) or _is_exact(fields):
                return _write(value)
        elif _is_exact(value):
            return _write(value)
        if _hides_its_kind(value):
            raise NotJson(_locate(value))
        plain = msgspec.to_builtins(value, enc_hook=_plain)
        if not _is_exact(plain):
            raise NotJson(_locate(plain))
        return _write(plain)
    except RecursionError:
        message = f"at $: nested deeper than {MAX_DEPTH} levels, or it contains itself"
        raise NotJson(message) from None
    except (TypeError, UnicodeEncodeError, ValueError) as error:
        if isinstance(error, NotJson):
            raise
        raise NotJson(_locate(value) or f"at $: {error}") from None


def decode(data: bytes | msgspec.Raw) -> Any:
    """The value that `data` is the JSON text of; blobs must be resolved before."""
    return _read(data)


def canonical(data: bytes) -> bytes:
    """The same value's JSON text with sorted keys: equal values have equal texts."""
    return _write_sorted(_read(data))


def is_blob(data: bytes) -> bool:
    """Whether `data` refers to a blob and is not the value itself."""
    return data.startswith(_BLOB_PREFIX)


def blob_reference(data: bytes) -> BlobReference:
    """The reference that `data` is; call it only where `is_blob(data)`."""
    return _read_reference(data)


def guarded(data: bytes) -> bytes:
    """A value's JSON text for a place where references stand too, before it is sealed: never taken for one."""
    return _GUARD + data if data.startswith(_BLOB_PREFIX) else data


def seal(data: bytes) -> tuple[bytes, Blob | None]:
    """What to write in an event for a value's JSON text: itself, or a reference and the blob to store."""
    data = data.removeprefix(_GUARD)  # an event's reader drops the space, and the guard with it
    if len(data) <= BLOB_ABOVE_BYTES and not data.startswith(_BLOB_PREFIX):
        return data, None
    blob = Blob(hashlib.blake2b(data, digest_size=16).hexdigest(), data)
    return _write(BlobReference(blob.hash, len(data))), blob


def sealed(data: bytes, blobs: list[Blob]) -> msgspec.Raw:
    """What to write in an event for a value's JSON text; a blob to store beside it goes to `blobs`."""
    if len(data) > BLOB_ABOVE_BYTES or data.startswith(_SPECIAL):
        data, blob = seal(data)
        if blob is not None:
            blobs.append(blob)
    return msgspec.Raw(data)


def resolve(data: bytes, load: Callable[[str], bytes]) -> bytes:
    """The value's own JSON text; `load` gives a blob's content by its hash."""
    return load(blob_reference(data).hash) if data.startswith(_BLOB_PREFIX) else data


def _plain(value: object) -> object:
    """For msgspec: what an object of a type unknown to it stands for."""
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        dumped = dump(mode="python")
        if _hides_its_kind(dumped):
            raise TypeError  # `_locate` says what it is, and where
        return dumped
    for base in (bool, str, int, float):
        if isinstance(value, base):
            return base(value)
    name = type(value).__qualname__
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    message = getattr(type(value), "__not_json__", f"{article} {name} is not a JSON value")
    raise TypeError(message)


def _is_flat(values: tuple[Any, ...]) -> bool:
    """Whether nothing in it need be looked into, and `_is_exact` would say yes: sooner told, where values are few."""
    for value in values:
        kind = type(value)
        if not (
            kind in _EXACT or (kind is int and -_LARGE < value < _LARGE) or (kind is float and math.isfinite(value))
        ):
            return False
    return True


def _is_exact(value: object) -> bool:
    """Whether msgspec writes just this: not NaN as null, nor the key 1 as "1", nor an object as its fields."""
    open_values: list[tuple[Any, int]] = [([value], 0)]
    while open_values:
        container, depth = open_values.pop()
        if depth > MAX_DEPTH:
            return False
        values = container
        if type(container) is dict:
            values = container.values()
            if set(map(type, container)) - {str}:
                return False
        # sets of types are made at C speed: a list of a million numbers costs no loop of ours
        kinds = set(map(type, values))
        if not kinds <= _PLAIN:
            return False
        if float in kinds and not all(map(math.isfinite, (v for v in values if type(v) is float))):
            return False
        if int in kinds and any(map(_is_long, (v for v in values if type(v) is int))):
            return False
        if not kinds.isdisjoint(_CONTAINERS):
            open_values.extend((v, depth + 1) for v in values if type(v) in _CONTAINERS)
    return True


def _hides_its_kind(value: object) -> bool:
    """Whether it has bytes or sets in it, which msgspec would quietly write as texts and lists."""
    open_values: list[tuple[Any, int]] = [([value], 0)]
    while open_values:
        container, depth = open_values.pop()
        if depth > MAX_DEPTH:
            return False  # refused for that anyway
        values = container.values() if isinstance(container, dict) else container
        if set(map(type, values)) <= _EXACT | {int, float}:
            continue
        for inner in values:
            if isinstance(inner, (*_BINARY, *_UNORDERED)):
                return True
            if isinstance(inner, (dict, list, tuple)):
                open_values.append((inner, depth + 1))
            elif type(inner) not in _PLAIN and (fields := _fields(inner)):
                open_values.append((fields, depth + 1))
    return False


def _fields(value: object) -> dict[str, Any] | None:
    """The fields of a Struct, a dataclass or an attrs class, by name; None of anything else."""
    kind = type(value)
    names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
    if names is None:
        names = [field.name for field in getattr(kind, "__attrs_attrs__", ())]
    return {name: getattr(value, name) for name in names if hasattr(value, name)} or None


def _is_long(number: int) -> bool:
    return number.bit_length() > MAX_INTEGER_BITS


def _locate(value: object, path: str = "$", depth: int = 0) -> str:
    """`at $.items[3]: NaN …` for the first thing in `value` that is not JSON; empty where all of it is."""
    if isinstance(value, (int, float, str, *_BINARY, *_UNORDERED)) and not isinstance(value, enum.Enum):
        wrong = _wrong_with(value)
        return f"at {path}: {wrong}" if wrong else ""
    shallow: object = value if isinstance(value, (dict, list, tuple)) else _fields(value)
    if shallow is None:
        try:
            dump = getattr(value, "model_dump", None)
            shallow = dump(mode="python") if dump is not None else msgspec.to_builtins(value, enc_hook=_plain)
        except (TypeError, ValueError) as error:
            return f"at {path}: {error}"
    if isinstance(shallow, (dict, list, tuple)) and depth >= MAX_DEPTH:
        return f"at $: nested deeper than {MAX_DEPTH} levels"
    if isinstance(shallow, dict):
        for key, inner in shallow.items():
            if not is_text(key):
                wrong = "has lone surrogates" if isinstance(key, str) else f"is a {type(key).__name__}, not a string"
                return f"at {path}: the key {key!r} {wrong}"
            if found := _locate(inner, f"{path}.{key}", depth + 1):
                return found
    elif isinstance(shallow, (list, tuple)):
        for index, inner in enumerate(shallow):
            if found := _locate(inner, f"{path}[{index}]", depth + 1):
                return found
    return ""


def _wrong_with(value: Any) -> str:
    if isinstance(value, _UNORDERED):
        return f"a {type(value).__name__} has no order and is not a JSON value; use sorted(…) or a list for it"
    if isinstance(value, _BINARY):
        return f"a {type(value).__name__} is not a JSON value; use a text for it, e.g. base64"
    if isinstance(value, str):
        return "" if is_text(value) else "the text has lone surrogates and is not Unicode"
    if isinstance(value, int):
        bits = value.bit_length()
        return (
            f"an integer of {bits} bits is too long for a JSON number; use a string for it" if _is_long(value) else ""
        )
    return "" if math.isfinite(value) else f"{value} is not a JSON number; use None or a string for it"


def is_text(value: object) -> bool:
    """Whether it is a string that JSON can hold: lone surrogates are no Unicode."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    """The text with what is not Unicode written as escapes: for what must not be refused, such as errors."""
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()
