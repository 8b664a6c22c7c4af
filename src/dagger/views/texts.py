"""Values, sizes and times as short text that is safe to show: cut at characters, nothing invisible."""

from __future__ import annotations

import re
import unicodedata

from dagger.core import codec

VALUE_CHARACTERS = 42
"""A value longer than this is cut in a picture."""

_UNSAFE = re.compile("[\x80-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""C1 controls, what turns the direction of all following text, and what is no character at all."""
_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_PICTURES = {code: chr(0x2400 + code) for code in range(32) if code != ord("\n")} | {0x7F: "␡", ord("\t"): " "}
_KILO, _MINUTE = 1000, 60
_IDLE_MILLISECONDS = 1000
"""Less than this does not tell a run that waited from one that started slowly."""
_JOINER = "\u200d"
_EXTENDING = frozenset((_JOINER, "\ufe0e", "\ufe0f", *map(chr, range(0x1F3FB, 0x1F400))))


def visible(text: str) -> str:
    """The text with its control characters shown as symbols: what is left is printable text and newlines."""
    if text.isprintable():
        return text
    return _UNSAFE.sub("\ufffd", _NEWLINES.sub("\n", text)).translate(_PICTURES)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis where something is missing.

    An emoji or letter made of several code points is kept whole or left out.
    """
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and (_extends(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return text[:end].rstrip() + "…"


def value_text(data: bytes, limit: int = VALUE_CHARACTERS) -> str:
    """A value's JSON text, cut; of a blob only the size, so that nothing large is loaded for a picture."""
    if codec.is_blob(data):
        return size_text(codec.blob_reference(data).size)
    # a character has at most four bytes, and one more tells that something was cut
    return cut(data[: 4 * limit + 4].decode(errors="ignore"), limit)


def size_text(size: int) -> str:
    """Bytes in decimal units: `12.3 MB`."""
    if size < _KILO:
        return f"{size} B"
    amount = size / _KILO
    for unit in ("kB", "MB", "GB"):
        if round(amount, 1) < _KILO:
            return f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} TB"


def duration_text(milliseconds: int) -> str:
    """`850 ms`, `1.2 s`, `3 min 5 s`, `2 h 4 min`."""
    if milliseconds < _KILO:
        return f"{milliseconds} ms"
    seconds = milliseconds / _KILO
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def lasted_text(lasted_ms: int, active_ms: int) -> str:
    """How long a run lasted; where it was idle for long, being paused or waiting, how long it was active, too."""
    lasted = duration_text(lasted_ms)
    is_idle = lasted_ms - active_ms > max(_IDLE_MILLISECONDS, lasted_ms // 10)
    return f"{lasted} ({duration_text(active_ms)} of it active)" if is_idle else lasted


def _extends(character: str) -> bool:
    """Whether the character belongs to the one before it."""
    return character in _EXTENDING or unicodedata.combining(character) != 0
