"""Python types <-> JSON: decoders that convert strictly, and JSON Schemas of signatures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dagger.core.errors import RegistryError

Decode = Callable[[bytes], Any]
"""JSON text -> a value of the type. Raises msgspec.ValidationError."""
_ANYTHING: tuple[Any, ...] = (Any, object)


def decoder(annotation: Any) -> Decode:
    """What turns JSON text into a value of the annotated type, strictly, but an integer may become a float.

    Raises TypeError for a type that JSON cannot be turned into.
    """
    if annotation in _ANYTHING:
        return msgspec.json.Decoder().decode
    decode = msgspec.json.Decoder(annotation, dec_hook=_from_model).decode
    msgspec.json.schema(annotation, schema_hook=_model_schema)  # refuses what msgspec only refuses when it decodes
    return decode


def json_schema(annotation: Any) -> dict[str, Any]:
    """The type's JSON Schema (2020-12)."""
    return {} if annotation in _ANYTHING else msgspec.json.schema(annotation, schema_hook=_model_schema)


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


def in_words(error: Exception) -> str:
    """msgspec's complaint as `expected int, got str (at $.items[0])`."""
    text = str(error).replace("`", "")
    text = re.sub(r" - at \$$", "", text)
    text = re.sub(r" - at (.+)$", r" (at \1)", text)
    return text[:1].lower() + text[1:]


def _from_model(kind: type, value: object) -> object:
    """For msgspec: a pydantic model, where the signature asks for one."""
    validate = getattr(kind, "model_validate_json", None)
    if validate is None:
        message = f"{kind.__qualname__} cannot be made from JSON"
        raise NotImplementedError(message)
    return validate(msgspec.json.encode(value), strict=True)


def _model_schema(kind: type) -> dict[str, Any]:
    schema = getattr(kind, "model_json_schema", None)
    if schema is None:
        message = f"{kind.__qualname__} cannot be made from JSON"
        raise NotImplementedError(message)
    described: dict[str, Any] = schema()
    return described
