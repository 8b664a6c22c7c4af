"""Contracts: JSON Schemas that payloads keep, compiled once; and where two of them can never both be kept."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import msgspec

from dagger.core.errors import RegistryError
from dagger.core.messages import Agent

MESSAGE_CHARACTERS = 300
"""The validator quotes the value that it complains about, and a payload may be 50 MB."""
KEPT = 1024
"""So many schemas are kept compiled, and so many pairs of them compared: those used last."""
BRANCHES = 64
"""Of `anyOf` and `oneOf` within each other; what branches more is not compared."""
VALUES_TOLD = 4
VALUE_CHARACTERS = 40

_BARE = re.compile(r"[^.\[\]\s'\"]+")


class Contract:
    """A JSON Schema, ready to be checked against."""

    __slots__ = ("_validator", "is_valid")

    is_valid: Callable[[object], bool]
    """Whether a JSON value keeps it: the compiled validator's own method, since every message is asked about."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator
        self.is_valid = validator.is_valid

    def violations(self, value: object) -> list[str]:
        """Every violation of a JSON value: `at $.items[0].name: 3 is not of type "string"`."""
        errors = self._validator.iter_errors(value)
        return [f"at {place(error.instance_path)}: {_shortened(error.message)}" for error in errors]

    @staticmethod
    def of(schema: dict[str, Any], where: str) -> Contract:
        """The contract of a schema; equal schemas share one.

        Raises RegistryError, beginning with `where`, for what is no JSON Schema. What a schema refers to must be in it.
        """
        try:
            return _compiled(_text(schema))
        except (TypeError, ValueError, RecursionError) as error:
            path = getattr(error, "instance_path", ())
            at = f"at {place(path)}: " if path else ""
            message = f"{where} is no JSON Schema: {at}{_shortened(getattr(error, 'message', None) or str(error))}"
            raise RegistryError(message) from None


@functools.lru_cache(KEPT)
def _compiled(schema: bytes) -> Contract:
    # not at the top: only agents and explicit schemas need it, and `import dagger` has a budget
    import jsonschema_rs

    # offline: registering an agent reads no file and asks no server
    return Contract(jsonschema_rs.validator_for(msgspec.json.decode(schema), offline=True))


def _text(schema: dict[str, Any]) -> bytes:
    """The same text for equal schemas."""
    return msgspec.json.encode(schema, order="deterministic")


def place(path: Iterable[str | int]) -> str:
    """Where in a value: `$.items[0].name`."""
    return "$" + "".join(map(_part, path))


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _BARE.fullmatch(part) else f"[{msgspec.json.encode(part).decode()}]"


def _shortened(text: str) -> str:
    """Without its middle, if it is long: it begins with the value, and the complaint comes last."""
    half = MESSAGE_CHARACTERS // 2
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:half]} … {text[-half:]}"


def disagreement(publisher: Agent, subscriber: Agent) -> str:
    """Why no payload can be valid for both: `at $.task: 'worker' takes string, 'planner' publishes integer`.

    Empty where that cannot be told. It never says so of schemas that some payload is valid for.
    """
    published, taken = publisher.output_schema, subscriber.input_schema
    if published is None or taken is None:
        return ""
    found = _compared(_text(_closed(published) if publisher.publishes_exactly else published), _text(taken))
    if found is None:
        return ""
    return f"at {place(found.path)}: {subscriber.name!r} {found.takes}, {publisher.name!r} {found.publishes}"


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A type's schema, which takes no fields that it does not name."""
    name, shared = schema.get("$ref", "").removeprefix("#/$defs/"), schema.get("$defs", {})
    if name in shared:
        return {**schema, "$defs": {**shared, name: _closed(shared[name])}}
    return {"additionalProperties": False, **schema}


@functools.lru_cache(KEPT)
def _compared(output_schema: bytes, input_schema: bytes) -> _Finding | None:
    published, taken = msgspec.json.decode(output_schema), msgspec.json.decode(input_schema)
    publishing, taking = _Side(published), _Side(taken)
    if not (publishing.is_known and taking.is_known):
        return None
    return _Comparison(publishing, taking).of([published], [taken])


class _Finding(NamedTuple):
    """A contradiction of two schemas, and what either says there."""

    path: tuple[str | int, ...]
    takes: str
    publishes: str

    def below(self, part: str | int) -> _Finding:
        return self._replace(path=(part, *self.path))


_Schema: TypeAlias = "dict[str, Any] | bool"
_Branch: TypeAlias = list[dict[str, Any]]
"""Schemas without references and combinations; a value that is valid for the branch is valid for all of them."""

_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
"""Kinds of JSON values that exclude each other: here a `number` is none that is an integer."""


class _Range(NamedTuple):
    """How a schema limits values of one kind."""

    least: str
    more_than: str
    most: str
    less_than: str
    unit: str = ""


_NUMBERS = _Range("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_RANGES = {
    "integer": _NUMBERS,
    "number": _NUMBERS,
    "string": _Range("minLength", "", "maxLength", "", " characters"),
    "array": _Range("minItems", "", "maxItems", "", " items"),
    "object": _Range("minProperties", "", "maxProperties", "", " properties"),
}


class _Side:
    """One of the two schemas, whose parts may refer to its definitions."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._branches: dict[int, list[_Branch]] = {}

    @property
    def is_known(self) -> bool:
        """Whether its draft has the keywords that are compared, with the meaning that they have here."""
        draft = self._root.get("$schema", "2020-12")
        return any(known in draft for known in ("2020-12", "2019-09", "draft-07", "draft-06"))

    def branches(self, schemas: Sequence[_Schema]) -> list[_Branch]:
        """A value that is valid for all of the schemas is valid for one of these branches at least."""
        found: list[_Branch] = [[]]
        for schema in schemas:
            found = [[*before, *branch] for before, branch in product(found, self._branches_of(schema))]
            if len(found) > BRANCHES:
                return [[]]
        return found

    def _branches_of(self, schema: _Schema) -> list[_Branch]:
        if isinstance(schema, bool):
            return [[]] if schema else [[{"type": []}]]
        if id(schema) not in self._branches:
            self._branches[id(schema)] = [[]]  # for a schema that refers to itself: that tells nothing
            self._branches[id(schema)] = self._spread(schema)
        return self._branches[id(schema)]

    def _spread(self, schema: dict[str, Any]) -> list[_Branch]:
        if "$id" in schema and schema is not self._root:
            return [[]]  # references in it are not into the root
        if "$ref" in schema:
            # older drafts ignore what stands beside a reference
            return self._branches_of(self._definition(schema["$ref"]))
        found = [[schema, *branch] for branch in self.branches(schema.get("allOf", ()))]
        for combination in ("anyOf", "oneOf"):
            if combination in schema:
                options = [branch for each in schema[combination] for branch in self._branches_of(each)]
                found = [[*before, *branch] for before, branch in product(found, options)]
            if len(found) > BRANCHES:
                return [[]]
        return found

    def _definition(self, reference: str) -> _Schema:
        kind, _, name = reference.removeprefix("#/").partition("/")
        found: _Schema = self._root.get(kind, {}).get(name, True) if kind in {"$defs", "definitions"} else True
        return found


class _Comparison:
    """Looks for a contradiction in all branches of two sides: of each only what is certain."""

    def __init__(self, publishing: _Side, taking: _Side) -> None:
        self._publishing = publishing
        self._taking = taking
        self._found: dict[tuple[tuple[int, ...], ...], _Finding | None] = {}

    def of(self, published: Sequence[_Schema], taken: Sequence[_Schema]) -> _Finding | None:
        """Why no value is valid for all of these schemas; None: one may be."""
        key = tuple(map(id, published)), tuple(map(id, taken))
        if key not in self._found:
            self._found[key] = None  # for schemas that contain themselves
            self._found[key] = self._between(self._publishing.branches(published), self._taking.branches(taken))
        return self._found[key]

    def _between(self, published: list[_Branch], taken: list[_Branch]) -> _Finding | None:
        outgoing, incoming = (frozenset().union(*map(_kinds, branches)) for branches in (published, taken))
        if not outgoing & incoming:
            return _Finding((), f"takes {_named(incoming)}", f"publishes {_named(outgoing)}")
        return _deepest(self._of_branches(out, into) for out, into in product(published, taken))

    def _of_branches(self, out: _Branch, into: _Branch) -> _Finding | None:
        outgoing, incoming = _kinds(out), _kinds(into)
        if not outgoing & incoming:
            return _Finding((), f"takes {_named(incoming)}", f"publishes {_named(outgoing)}")
        return _deepest(self._of_kind(kind, out, into) for kind in _KINDS if kind in outgoing & incoming)

    def _of_kind(self, kind: str, out: _Branch, into: _Branch) -> _Finding | None:
        """Why no value of this kind is valid for both branches."""
        values = next((_values(part) for part in (*out, *into) if _values(part) is not None), None)
        if values is not None:
            is_empty = not any(_kind(value) == kind and _admit([*out, *into], value) for value in values)
        else:
            is_empty = kind in _RANGES and _is_empty(_limits(_RANGES[kind], [*out, *into]))
        if is_empty:
            return _Finding((), f"takes {_described(kind, into)}", f"publishes {_described(kind, out)}")
        if kind == "object":
            return self._of_properties(out, into)
        if kind == "array" and any(part.get("minItems", 0) for part in (*out, *into)):
            found = self.of(_of_items(out), _of_items(into))
            return None if found is None else found.below(0)
        return None

    def _of_properties(self, out: _Branch, into: _Branch) -> _Finding | None:
        for name in dict.fromkeys(name for part in (*out, *into) for name in part.get("required", ())):
            published, taken = _of_property(name, out), _of_property(name, into)
            if False in published and _requires(into, name):
                return _Finding((name,), "requires it", "never publishes it")
            if False in taken and _requires(out, name):
                return _Finding((name,), "allows no such property", "always publishes it")
            if found := self.of(published, taken):
                return found.below(name)
        return None


def _deepest(findings: Iterator[_Finding | None]) -> _Finding | None:
    """The most telling of the findings, where there is one everywhere; else None."""
    found: list[_Finding] = []
    for each in findings:
        if each is None:
            return None
        found.append(each)
    return max(found, key=lambda finding: len(finding.path), default=None)


def _kinds(branch: _Branch) -> frozenset[str]:
    """The kinds of values that may be valid for the branch."""
    found = frozenset(_KINDS)
    for part in branch:
        types = part.get("type", _KINDS)
        types = {types} if isinstance(types, str) else {*types}
        found &= types | {"integer"} if "number" in types else types
        values = _values(part)
        if values is not None:
            found &= {_kind(value) for value in values}
    return found


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _values(part: dict[str, Any]) -> list[Any] | None:
    """The only values that the schema takes; None: it names none."""
    if "const" in part:
        return [part["const"]]
    named: list[Any] | None = part.get("enum")
    return named


def _admit(parts: _Branch, value: Any) -> bool:
    """Whether a value may be valid for all parts: what lists and dicts hold is not looked at."""
    kind = _kind(value)
    for part in parts:
        values = _values(part)
        if kind not in _kinds([part]) or (values is not None and value not in values):
            return False
    if kind not in _RANGES:
        return True
    size = value if _RANGES[kind] is _NUMBERS else len(value)
    (least, is_more), (most, is_less) = _limits(_RANGES[kind], parts)
    return not (size < least or size > most or (is_more and size == least) or (is_less and size == most))


_Limit: TypeAlias = tuple[float, bool]
"""A number, and whether it is itself outside."""


def _limits(keys: _Range, parts: _Branch) -> tuple[_Limit, _Limit]:
    """The highest lower limit and the lowest upper one."""
    low = [(part[key], key == keys.more_than) for part in parts for key in keys[:2] if key in part]
    high = [(part[key], key == keys.less_than) for part in parts for key in keys[2:4] if key in part]
    most = min(high, key=lambda limit: (limit[0], not limit[1]), default=(float("inf"), False))
    return max(low, default=(float("-inf"), False)), most


def _is_empty(limits: tuple[_Limit, _Limit]) -> bool:
    (least, is_more), (most, is_less) = limits
    return least > most or (least == most and (is_more or is_less))


def _of_items(branch: _Branch) -> list[_Schema]:
    """What the first item must be valid for."""
    # beside `prefixItems`, or as a list in older drafts, `items` says something else
    said = [part.get("items", True) for part in branch if "prefixItems" not in part]
    return [items for items in said if not isinstance(items, list)]


def _of_property(name: str, branch: _Branch) -> list[_Schema]:
    """What the property must be valid for."""
    found: list[_Schema] = []
    for part in branch:
        if name in part.get("properties", ()):
            found.append(part["properties"][name])
        elif "patternProperties" not in part:  # which may be about this one, in a dialect that is not Python's
            found.append(part.get("additionalProperties", True))
    return found


def _requires(branch: _Branch, name: str) -> bool:
    return any(name in part.get("required", ()) for part in branch)


def _named(kinds: frozenset[str]) -> str:
    told = [kind for kind in _KINDS if kind in kinds and not (kind == "integer" and "number" in kinds)]
    return "anything" if len(kinds) == len(_KINDS) else " or ".join(told) or "nothing"


def _described(kind: str, branch: _Branch) -> str:
    """What the branch takes of this kind: `string of at most 3 characters`, `"a" or "b"`."""
    values = next((_values(part) for part in branch if _values(part) is not None), None)
    if values is not None:
        told = [msgspec.json.encode(value).decode() for value in values[:VALUES_TOLD]]
        told = [text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 1]}…" for text in told]
        return " or ".join(told) + (f" or {len(values) - VALUES_TOLD} more" if len(values) > VALUES_TOLD else "")
    keys = _RANGES.get(kind)
    if keys is None:
        return kind
    (least, is_more), (most, is_less) = _limits(keys, branch)
    told = [f"{'more than' if is_more else 'at least'} {least}"] if least > float("-inf") else []
    told += [f"{'less than' if is_less else 'at most'} {most}"] if most < float("inf") else []
    return f"{kind} of {' and '.join(told)}{keys.unit}" if told else kind
