"""Words of the command line as values: `key=value`, `key=@file.json`, `@file.json`, `-`, JSON or else a string."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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


def answer_of(text: str, options: Sequence[Any] | None, quote: Callable[[str], str] = shlex.quote) -> Any:
    """The answer that `text` writes: one of the options as it stands there, else JSON, or a text that is none.

    Raises UsageError for what begins like JSON and is none: an answer is final. `quote`: how else it must be typed.
    """
    if text in (options or ()):
        value = value_of(text)
        is_option = any(msgspec.json.encode(option) == msgspec.json.encode(value) for option in options or ())
        return value if is_option else text
    return _json_or_text(text, quote=quote)


def picked(text: str, options: Sequence[Any] | None) -> Any:
    """The answer that somebody types who sees the options: its number, where they are numbered, or the answer."""
    number = value_of(text)
    if is_numbered(options) and type(number) is int and 1 <= number <= len(options or ()):
        return (options or ())[number - 1]
    return answer_of(text, options, quote=str)  # no shell comes between


def is_numbered(options: Sequence[Any] | None) -> bool:
    """Whether options can be picked by their number: not where one is a number itself, or looks like one."""
    looked_at = (value_of(option) if isinstance(option, str) else option for option in options or ())
    return not any(type(option) in {int, float} for option in looked_at)


def inputs_of(words: Iterable[str], texts: Collection[str] = ()) -> dict[str, Any]:
    """The inputs of `key=value`, `key=@file.json` and `@file.json`; of two for one key the later stands.

    `texts` are the inputs that take what is typed as it stands. Raises UsageError for what was meant as JSON and is
    none: as a string it would go unnoticed.
    """
    inputs: dict[str, Any] = {}
    for word in words:
        if word.startswith("@"):
            inputs.update(_object_in(Path(word[1:])))
            continue
        key, text = _pair(word, "-i", "key=value or @file.json")
        if text.startswith("@"):
            inputs[key] = _json_in(Path(text[1:]), f"-i {key}={text}")
        else:
            inputs[key] = text if key in texts else _json_or_text(text, "-i ", f"{key}=")
    return inputs


def payloads_of(text: str) -> list[Any]:
    """The payloads that are to be published: `@file.json`, `-` for a JSON value in each line of stdin, or a value.

    Raises UsageError for what was meant as JSON and is none.
    """
    if text == "-":
        lines = enumerate(sys.stdin.buffer.read().split(b"\n"), 1)
        return [_json_of(line, f"line {number} of stdin") for number, line in lines if line.strip()]
    if text.startswith("@"):
        return [_json_in(Path(text[1:]), text)]
    return [_json_or_text(text)]


def instruction_of(text: str) -> Any:
    """The instruction that a JSON text writes. Raises UsageError for what is no JSON."""
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        form = """'{"action": "search", "params": {"q": "bees"}, "priority": 1}'"""
        raise UsageError(f"--instruction {text}: {_no_number_in(text) or error}\n  write {form}") from None


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


def _json_or_text(text: str, option: str = "", key: str = "", quote: Callable[[str], str] = shlex.quote) -> Any:
    """The value of a word of the command line: `text`, after an option and `key=`, if it has them.

    `quote`: what to type for a word, as the shell takes it by default.
    """
    if text.startswith(("[", "{", '"')):
        try:
            return msgspec.json.decode(text.encode())
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            if flaw := _no_number_in(text):
                raise UsageError(f"{option}{key}{text}: {flaw}") from None
            as_text = quote(f"{key}{msgspec.json.encode(text).decode()}") if text.isprintable() else f"{key}…"
            as_json = quote(f'{key}{{"a": [1, 2]}}')
            how = ", quote all of it for the shell" if quote is shlex.quote else ""
            raise UsageError(
                f"{option}{key}{text}: begins like JSON and is none: {error}\n"
                f"  as JSON{how}: {option}{as_json}; as a text: {option}{as_text}"
            ) from None
    return value_of(text)


def _no_number_in(text: str | bytes) -> str:
    """What is wrong with a JSON text in which NaN or an infinity stands, as other programs write them; else nothing."""
    found: list[str] = []
    with contextlib.suppress(ValueError, RecursionError):  # what else is wrong is told by who could not read it
        json.loads(text, parse_constant=found.append)
    if not found:
        return ""
    return f'{found[0]} is not JSON, which has neither NaN nor infinities; give null instead, or a text: "{found[0]}"'


def _json_in(path: Path, where: str) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None
    return _json_of(text, where)


def _json_of(text: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"{where}: {_no_number_in(text) or f'not JSON: {error}'}") from None


def _object_in(path: Path) -> Mapping[str, Any]:
    found = _json_in(path, f"-i @{path}")
    if not isinstance(found, dict):
        raise UsageError(f"-i @{path}: a JSON object of inputs by name is wanted, not a {type(found).__name__}")
    return found
