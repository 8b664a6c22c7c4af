"""Words of the command line as values: `key=value`, `@file.json`, JSON or else a string."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dagger.cli.exits import UsageError
from dagger.core.config import RunConfig
from dagger.core.errors import ConfigError


def value_of(text: str) -> Any:
    """The JSON value that `text` writes, or else `text` itself."""
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def inputs_of(words: Iterable[str]) -> dict[str, Any]:
    """The inputs of `key=value` and `@file.json`; of two for one key the later stands."""
    inputs: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            inputs.update(_object_in(Path(word[1:])))
        else:
            key, text = _pair(word, "-i", "key=value or @file.json")
            inputs[key] = value_of(text)
    return inputs


def config_of(words: Iterable[str]) -> dict[str, Any]:
    """The settings of `key=value`, checked."""
    config = {}
    for word in words:
        key, text = _pair(word, "--config", "key=value, as in max_parallel=4")
        config[key] = value_of(text)
    try:
        RunConfig.of(config)
    except ConfigError as error:
        raise UsageError(f"--config: {error}") from None
    return config


def tags_of(words: Iterable[str]) -> dict[str, str]:
    """The tags of `key=value`: always texts."""
    return dict(_pair(word, "--tag", "key=value") for word in words)


def _pair(word: str, option: str, form: str) -> tuple[str, str]:
    key, sign, text = word.partition("=")
    if not sign or not key:
        raise UsageError(f"{option} {word!r}: write {form}")
    return key, text


def _object_in(path: Path) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise UsageError(f"-i @{path}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"-i @{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"-i @{path}: a JSON object of inputs by name is wanted, not a {type(found).__name__}")
    return found
