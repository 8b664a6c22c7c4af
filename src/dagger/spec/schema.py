"""Python types <-> JSON: decoders that convert strictly, and JSON Schemas of signatures."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import msgspec

from dagger.core import codec
from dagger.core.errors import RegistryError

Decode = Callable[[bytes], Any]
"""JSON text -> a value of the type. Raises msgspec.ValidationError."""
ANYTHING: tuple[Any, ...] = (Any, object)
"""Types that every JSON value is of."""
_REF = "#/$defs/"
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|\.[^.\[]+")
"""Of a path in msgspec's complaints."""
_BARE = re.compile(r"[^.\[\]\s'\"]+")


def decoder(annotation: Any) -> Decode:
    """What turns JSON text into a value of the annotated type, strictly, but an integer may become a float.

    Raises TypeError for a type that JSON cannot be turned into.
    """
    if annotation in ANYTHING:
        return msgspec.json.Decoder().decode
    decode = msgspec.json.Decoder(annotation, dec_hook=_from_model).decode
    msgspec.json.schema(annotation, schema_hook=_model_schema)  # refuses what msgspec only refuses when it decodes
    return decode


def json_schemas(annotations: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The types' JSON Schemas (2020-12), and what they share: the `$defs` of the schema that they will stand in."""
    told = [annotation for annotation in annotations if annotation not in ANYTHING]
    found, shared = msgspec.json.schema_components(told, schema_hook=_model_schema, ref_template=_REF + "{name}")
    for each in (*found, *list(shared.values())):
        _hoist(each, shared)
    made = iter(found)
    return [{} if annotation in ANYTHING else next(made) for annotation in annotations], shared


def has_just_its_fields(annotation: Any) -> bool:
    """Whether all values of a type have the fields that its schema names, and no others.

    A model may compute more, and what is of a subclass may have more.
    """
    is_record = isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, msgspec.Struct))
    return is_record and not annotation.__subclasses__()


def is_told_by_decoding(annotation: Any) -> bool:
    """Whether all that decodes as a type is valid for its schema, as what is made of plain values is.

    Elsewhere the two may differ: a Decimal may be a number, where its schema wants a text, and a model may take more.
    """
    import msgspec.inspect as kinds  # `import dagger` has a budget

    plain = (
        kinds.AnyType(), kinds.NoneType(), kinds.BoolType(), kinds.IntType(), kinds.FloatType(), kinds.StrType(),
    )  # fmt: skip
    seen: set[type] = set()

    def is_plain(kind: kinds.Type) -> bool:
        match kind:
            case kinds.ListType(item_type=item, min_length=None, max_length=None):
                return is_plain(item)
            case kinds.DictType(key_type=key, value_type=value, min_length=None, max_length=None):
                return key == kinds.StrType() and is_plain(value)
            case kinds.UnionType(types=types):
                return all(map(is_plain, types))
            case kinds.StructType(tag=None, array_like=False) | kinds.DataclassType() | kinds.TypedDictType():
                is_new = kind.cls not in seen  # else it contains itself
                seen.add(kind.cls)
                return not is_new or all(is_plain(field.type) for field in kind.fields)
        return kind in plain

    return is_plain(kinds.type_info(annotation))


def _hoist(part: Any, shared: dict[str, Any]) -> None:
    """Move the definitions that stand inside a schema, as models bring them along, to the shared ones."""
    for inner in [*part.values()] if isinstance(part, dict) else part if isinstance(part, list) else ():
        _hoist(inner, shared)
    own = part.pop("$defs", None) if isinstance(part, dict) else None
    if not isinstance(own, dict):
        return
    suffix, moved = "", own
    for number in itertools.count(2):
        if all(shared.get(name, entry) == entry for name, entry in moved.items()):
            break
        # two types of one name: the definitions of one model refer to one another, so all of them are renamed
        suffix = f"_{number}"
        moved = {name + suffix: _renamed(entry, own, suffix) for name, entry in own.items()}
    shared.update(moved)
    part.update(_renamed(part, own, suffix))


def _renamed(part: Any, names: Collection[str], suffix: str) -> Any:
    """The schema with references to some definitions changed."""
    if isinstance(part, dict):
        return {key: _renamed(inner, names, suffix) for key, inner in part.items()}
    if isinstance(part, list):
        return [_renamed(inner, names, suffix) for inner in part]
    is_one = isinstance(part, str) and part.startswith(_REF) and part.removeprefix(_REF) in names
    return part + suffix if is_one else part


def refusal(parameters: dict[str, Any], where: str) -> Callable[[Mapping[str, Any]], str] | None:
    """What tells all that is wrong with a set of inputs, by an explicit JSON Schema; None: anything goes.

    Raises RegistryError, beginning with `where`, for what is no JSON Schema.
    """
    if not parameters.keys() - {"type", "description"}:
        return None
    # not at the top: only explicit schemas need it, and `import dagger` has a budget
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(parameters)
    except ValueError as error:
        message = f"{where}: `parameters` is no JSON Schema: {error}"
        raise RegistryError(message) from None

    def refuse(inputs: Mapping[str, Any]) -> str:
        errors = (
            f"at ${''.join(f'.{key}' for key in e.instance_path)}: {e.message}" for e in validator.iter_errors(inputs)
        )
        return "; ".join(errors)

    return refuse


def said(error: BaseException) -> str:
    """An exception's message, whatever it is."""
    try:
        return codec.readable(str(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ raises anything
        return f"its message cannot be told: str() raised {type(broken).__name__}"


def in_words(error: BaseException) -> str:
    """msgspec's complaint, or a model's, on one line: `expected int, got str (at $.items[0])`."""
    text = said(error)
    text, _, where = text.replace("`", "").rpartition(" - at ") if " - at `" in text else (text, "", "")
    pydantic = sys.modules.get("pydantic_core")  # where nobody has imported it, no model of it has complained
    if pydantic is not None and isinstance(error.__cause__, pydantic.ValidationError):
        of_model = error.__cause__.errors(include_url=False)
        text = codec.readable("; ".join(_of_field(each["loc"], each["msg"]) for each in of_model))
    else:
        text = text.replace("`", "")
        text = text[:1].lower() + text[1:]
    return text if where in {"", "$"} else f"{text} (at {where})"


def _of_field(place: Iterable[str | int], message: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    return f"{path}: {message}" if path else message


def complaint(error: BaseException, text: bytes, decode: Decode) -> str:
    """What `decode` raised for a text, `in_words`; msgspec's `[...]`, some value of a dict, is told by its key."""
    if not isinstance(error, msgspec.DecodeError | ValueError):
        return f"{type(error).__name__}: {said(error)}"
    words = in_words(error)
    before, is_at, where = words.removesuffix(")").rpartition(" (at $")
    if not is_at or "[...]" not in where:
        return words
    try:
        return f"{before} (at {_with_keys(where, text, lambda whole: _complains(decode, whole, words))})"
    except (LookupError, TypeError, ValueError):
        return words  # a path that cannot be followed, such as one through a field called "a.b"


def _with_keys(where: str, text: bytes, complains: Callable[[object], bool]) -> str:
    whole = inner = msgspec.json.decode(text)
    path = "$"
    for step in _STEP.findall(where):
        if step == "[...]":
            key = _culprit(inner, lambda: complains(whole))
            inner = inner[key]
            path += f".{key}" if _BARE.fullmatch(key) else f'["{key}"]'
        else:
            inner = inner[int(step[1:-1])] if step[0] == "[" else inner[step[1:]]
            path += step
    return path


def _culprit(inner: dict[str, Any], complains: Callable[[], bool]) -> str:
    """The first key whose value is complained about; halving the dict costs few tries. The others are removed."""
    entries = list(inner.items())
    while len(entries) > 1:
        half = len(entries) // 2
        inner.clear()
        inner.update(entries[:half])
        entries = entries[:half] if complains() else entries[half:]
    inner.clear()
    inner.update(entries)
    return entries[0][0]


def _complains(decode: Decode, whole: object, words: str) -> bool:
    try:
        decode(msgspec.json.encode(whole))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a type's own code may raise anything for a part
        return in_words(error) == words
    return False


def _from_model(kind: type, value: object) -> object:
    """For msgspec: a pydantic model, where the signature asks for one."""
    validate = getattr(kind, "model_validate_json", None)
    if validate is None:
        message = f"{kind.__qualname__} cannot be made from JSON"
        raise NotImplementedError(message)  # how msgspec wants to be told: Action makes a RegistryError of it
    return validate(msgspec.json.encode(value), strict=True)


def _model_schema(kind: type) -> dict[str, Any]:
    schema = getattr(kind, "model_json_schema", None)
    if schema is None:
        message = f"{kind.__qualname__} cannot be made from JSON"
        raise NotImplementedError(message)  # how msgspec wants to be told: Action makes a RegistryError of it
    described: dict[str, Any] = schema()
    return described
