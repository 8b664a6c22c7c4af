"""YAML text -> a tree of plain data in which everything knows its line; YAML 1.2 core rules, nothing executed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, TypeAlias, final

from dagger.core import codec

MAX_BYTES = 10 * 1024 * 1024
MAX_NODES = 1_000_000
"""Values in a file after alias expansion; a key counts with its value. Aliases may repeat at most MAX_BYTES of text."""
MAX_DEPTH = codec.MAX_DEPTH + 20
"""Levels: a literal may have as many as any value, and it stands inside a node."""
MAX_SHOWN = 60
"""Characters of a text in a message."""


class Flaw(NamedTuple):
    """What is wrong with the text, and where."""

    line: int
    message: str


@final
class Scalar:
    """A text as it was written, not yet a number or anything else."""

    __slots__ = ("line", "tag", "text")

    def __init__(self, text: str, line: int, tag: str) -> None:
        self.text = text
        self.line = line
        """Starts at 1."""
        self.tag = tag
        """`str` where it was quoted, a core tag's name where it was tagged, `!` for a refused tag, else empty."""


@final
class Sequence:
    """A list."""

    __slots__ = ("items", "line")

    def __init__(self, line: int) -> None:
        self.items: list[Tree] = []
        self.line = line


@final
class Mapping:
    """A mapping: text of the key -> the key and its value."""

    __slots__ = ("entries", "line")

    def __init__(self, line: int) -> None:
        self.entries: dict[str, tuple[Scalar, Tree]] = {}
        self.line = line


Tree: TypeAlias = Scalar | Sequence | Mapping


def read(data: str | bytes) -> tuple[Tree | None, list[Flaw]]:
    """The tree of a text's one document (None where there is none), and all that is wrong with the text."""
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > MAX_BYTES:
            return None, [Flaw(1, f"the file is larger than {MAX_BYTES // 1024**2} MiB; split the graph")]
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return None, [Flaw(line, f"not UTF-8: byte {error.object[error.start]:#04x}; save the file as UTF-8")]
    except UnicodeEncodeError as error:
        line = error.object.count("\n", 0, error.start) + 1
        return None, [Flaw(line, "the text has a lone surrogate, which is no character; remove it")]
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except _Unreadable as refused:
        builder.flaws.append(refused.flaw)
        return None, builder.flaws
    if builder.root is None:
        builder.flaws.append(Flaw(1, "the file is empty; a graph needs `name` and `nodes`"))
    return builder.root, builder.flaws


def is_null(tree: Tree) -> bool:
    """Whether it is written as nothing: empty, `~` or `null`."""
    return type(tree) is Scalar and (tree.text in _NULLS if not tree.tag else tree.tag == "null")


def value_of(tree: Tree, flaws: list[Flaw]) -> Any:
    """The JSON value by YAML's core rules; what is none goes into `flaws`."""
    if type(tree) is Scalar:
        value, problem = _scalar_value(tree)
        if problem:
            flaws.append(Flaw(tree.line, problem))
        return value
    if type(tree) is Sequence:
        return [value_of(item, flaws) for item in tree.items]
    for key, _ in tree.entries.values():
        if not isinstance(_scalar_value(key)[0], str):
            flaws.append(Flaw(key.line, f"the key {key.text:.60} is not a text; quote it"))
    return {name: value_of(value, flaws) for name, (_, value) in tree.entries.items()}


def shown(tree: Tree, *, always: bool = False) -> str:
    """How to quote the tree in a message; `always`: a null as the text it was written as."""
    if type(tree) is not Scalar:
        return "a list" if type(tree) is Sequence else "a mapping"
    if is_null(tree) and not always:
        return "nothing"
    return repr(tree.text if len(tree.text) <= MAX_SHOWN else tree.text[: MAX_SHOWN - 1] + "…")


# -------------------------------------------------------------------------------------------------------------- scalars

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_value(text: str) -> Any:
    """What an unquoted text stands for by YAML 1.2's core rules: None, a boolean, a number, else itself."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        # "010" is ten: int() reads only 0o and 0x as what they say
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text) or _NO_NUMBER.fullmatch(text):
        return float(text.replace(".i", "i").replace(".I", "I").replace(".n", "n").replace(".N", "N"))
    return text


def _scalar_value(scalar: Scalar) -> tuple[Any, str]:
    """The JSON value, and what is wrong with it (or nothing)."""
    if scalar.tag in {"str", "!"}:
        return scalar.text, ""
    try:
        value = plain_value(scalar.text)
        if scalar.tag == "float" and type(value) is int:
            value = float(value)
    except (ValueError, OverflowError):
        return None, f"{shown(scalar)} is too large for a number"
    if isinstance(value, float) and not math.isfinite(value):
        no_number = _NO_NUMBER.fullmatch(scalar.text) is not None
        reason = "is not a JSON number; use null or a text for it" if no_number else "is too large for a number"
        return None, f"{shown(scalar)} {reason}"
    if scalar.tag and type(value) is not _TAGGED[scalar.tag]:
        return None, f"{shown(scalar)} does not fit its tag !!{scalar.tag}"
    return value, ""


_TAGGED = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}
_CORE = "tag:yaml.org,2002:"


# --------------------------------------------------------------------------------------------------------- the document


class _Unreadable(Exception):
    """Nothing more can be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(line, message)


def _events(text: str) -> Iterator[Any]:
    """What PyYAML's parser sees, in C if it can. Events and not `compose`: that one recurses, and knows no limits."""
    import yaml  # not at the top: only files need it, and `import dagger` has a budget

    parser = None
    try:
        parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        event = parser.get_event()
        while type(event) is not yaml.StreamEndEvent:
            yield event
            event = parser.get_event()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        last = max(1, len(text.splitlines())) - 1
        line = min(mark.line, last) + 1 if mark else 1
        began = min(error.context_mark.line, last) + 1 if error.context_mark else line
        context = f" ({error.context}{f', line {began}' if began != line else ''})" if error.context else ""
        raise _Unreadable(line, f"not valid YAML: {error.problem}{context}") from None
    except yaml.reader.ReaderError as error:
        found = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else 1
        character = ord(found[0]) if found else error.character
        raise _Unreadable(line, f"not valid YAML: the character U+{character:04X} is not allowed; escape it") from None
    finally:
        if parser is not None:
            parser.dispose()


class _Anchor(NamedTuple):
    tree: Tree
    size: int
    """Values in it, after alias expansion."""
    text: int
    """Characters in it, after alias expansion."""
    height: int


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "height", "key", "size", "text", "tree")

    def __init__(self, tree: Sequence | Mapping, anchor: str | None, size: int, text: int) -> None:
        self.tree = tree
        self.anchor = anchor
        self.size = size
        self.text = text
        self.height = 1
        self.key: Tree | None = None
        """Of a mapping: the key whose value comes next."""


class _Builder:
    """Takes events, builds the tree; counts what aliases would expand to, and never expands them."""

    def __init__(self) -> None:
        self.root: Tree | None = None
        self.flaws: list[Flaw] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchor | None] = {}  # None: its end has not come yet
        self._documents = 0
        self._size = 0
        self._text = 0
        self._repeated = 0

    def take(self, event: Any) -> None:
        handle = self._handlers.get(type(event).__name__)
        if handle is not None:
            handle(self, event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            line = event.start_mark.line + 1
            raise _Unreadable(line, "a second document begins here; a file holds one graph")

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        text = event.value
        tag = self._tag(event.tag, line, tuple(_TAGGED)) if event.tag else "" if event.implicit[0] else "str"
        if event.style == '"' and not text.isascii():
            _refuse_surrogates(text, line)  # only the parser in Python lets an escape make one
        scalar = Scalar(text, line, tag)
        self._text += len(text)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(scalar, 1, len(text), 0)
        self._add(scalar, 1, 0)

    def _start(self, event: Any) -> None:
        line = event.start_mark.line + 1
        is_list = type(event).__name__ == "SequenceStartEvent"
        if event.tag:
            self._tag(event.tag, line, ("seq",) if is_list else ("map",))
        if len(self._open) >= MAX_DEPTH:
            raise _Unreadable(line, f"nested deeper than {MAX_DEPTH} levels")
        if event.anchor:
            self._anchors[event.anchor] = None
        tree = Sequence(line) if is_list else Mapping(line)
        self._open.append(_Open(tree, event.anchor, self._size, self._text))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        if done.anchor:
            size, text = self._size - done.size + 1, self._text - done.text
            self._anchors[done.anchor] = _Anchor(done.tree, size, text, done.height)
        self._add(done.tree, 1, done.height)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if event.anchor not in self._anchors:
            self.flaws.append(Flaw(line, f"alias *{event.anchor}: there is no anchor &{event.anchor} before it"))
            self._add(Scalar("", line, "!"), 1, 0)
            return
        anchor = self._anchors[event.anchor]
        if anchor is None:
            raise _Unreadable(line, f"alias *{event.anchor} stands inside its own anchor: it would never end")
        if len(self._open) + anchor.height > MAX_DEPTH:
            raise _Unreadable(line, f"alias *{event.anchor}: nested deeper than {MAX_DEPTH} levels")
        self._repeated += anchor.text
        if self._repeated > MAX_BYTES:
            message = f"alias *{event.anchor}: the aliases repeat more than {MAX_BYTES // 1024**2} MiB of text"
            raise _Unreadable(line, message)
        self._text += anchor.text
        self._add(anchor.tree, anchor.size, anchor.height, line)

    def _add(self, tree: Tree, size: int, height: int, line: int = 0) -> None:
        """Put a complete tree where it belongs; `line` is an alias's."""
        if not self._open:
            self.root = tree
            return
        top = self._open[-1]
        top.height = max(top.height, height + 1)
        if type(top.tree) is Mapping and top.key is None:
            top.key = tree
            return
        self._size += size
        if self._size > MAX_NODES:
            raise _Unreadable(line or tree.line, f"more than {MAX_NODES:,} values, aliases expanded; split the graph")
        if type(top.tree) is Sequence:
            top.tree.items.append(tree)
            return
        key, top.key = top.key, None
        self._enter(top.tree, key, tree)

    def _enter(self, mapping: Any, key: Tree | None, value: Tree) -> None:
        assert key is not None
        if type(key) is not Scalar:
            self.flaws.append(Flaw(key.line, f"a key must be a text, not {shown(key)}"))
        elif key.text in mapping.entries:
            first = mapping.entries[key.text][0].line
            self.flaws.append(Flaw(key.line, f"duplicate key {shown(key)}: line {first} has it already"))
        elif key.text == "<<" and not key.tag:
            self.flaws.append(Flaw(key.line, "merge keys (<<) are not in YAML 1.2; write the keys out"))
        else:
            mapping.entries[key.text] = (key, value)

    def _tag(self, tag: str, line: int, fitting: tuple[str, ...]) -> str:
        """The core tag's name; `str` for the tag `!`, which means the same."""
        if tag == "!":
            return "str"
        name = tag.removeprefix(_CORE)
        if tag.startswith(_CORE) and name in fitting:
            return name
        written = f"!!{name}" if tag.startswith(_CORE) else tag
        reason = (
            "does not fit here" if name in {*_TAGGED, "seq", "map"} else "is not allowed: a graph file is plain data"
        )
        self.flaws.append(Flaw(line, f"the tag {written:.80} {reason}; remove it"))
        return "!"

    _handlers: ClassVar[dict[str, Callable[[_Builder, Any], None]]] = {
        "ScalarEvent": _scalar,
        "SequenceStartEvent": _start,
        "MappingStartEvent": _start,
        "SequenceEndEvent": _end,
        "MappingEndEvent": _end,
        "AliasEvent": _alias,
        "DocumentStartEvent": _document,
    }


def _refuse_surrogates(text: str, line: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Unreadable(
            line, "not valid YAML: an escape of half a surrogate pair; write the whole character"
        ) from None
