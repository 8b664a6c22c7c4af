"""Reading: what each kind of field of a graph file may hold, and what was found wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET

from dagger.core import codec
from dagger.core.check import Place
from dagger.core.errors import Hints
from dagger.core.graph import MAX_ID_LENGTH
from dagger.spec.yaml_reader import Flaw, Mapping, Scalar, Sequence, Tree, is_null, shown, value_of


class Reading:
    """One reading of one file: gathers what is wrong."""

    def __init__(self, flaws: list[Flaw], hints: Hints) -> None:
        self.silent: set[Place] = set()
        """What was found wrong already: no need to tell what follows from it."""
        self._flaws = flaws
        self._hints = hints

    def flaw(self, where: Tree, label: str, message: str) -> None:
        """Note what is wrong with `where`; `label` says whose it is, e.g. `node 'sum'`."""
        self._flaws.append(Flaw(where.line, f"{label}: {message}" if label else message))

    def unknown_key(self, key: Scalar, label: str, valid: Collection[str]) -> None:
        """Note a key that is none of the valid ones."""
        near = self._hints.nearest(key.text, valid, otherwise="keys")
        self.flaw(key, label, f"unknown key {shown(key, always=True)}{near}")

    def value(self, tree: Tree, label: str, field: str) -> Any:
        """The tree's JSON value; UNSET, and noted, where it is none."""
        flaws: list[Flaw] = []
        value = value_of(tree, flaws)
        for flaw in flaws:
            self._flaws.append(Flaw(flaw.line, f"{label}: {field}: {flaw.message}" if label else flaw.message))
        return UNSET if flaws else value


Read: TypeAlias = Callable[[Tree, str, str, Reading], Any]
"""(value, whose it is, key, reading) -> what the definition holds; UNSET, and noted, where it will not do."""


def fields_of(
    tree: Mapping, reads: dict[str, Read], label: str, reading: Reading, place: Place | None = None
) -> dict[str, Any]:
    """What stands under each known key; nulls count as not written. `place` is in the definition, if it has one."""
    found = {}
    for name, (key, value) in tree.entries.items():
        read = reads.get(name)
        if read is None:
            reading.unknown_key(key, label, reads)
        elif not is_null(value) or read is literal_of:
            refused = type(value) is Scalar and value.tag == "!"
            result = UNSET if refused else read(value, label, name, reading)
            if result is not UNSET:
                found[name] = result
            elif place is not None:
                reading.silent.add((*place, name))
    return found


def text_of(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """A text, or any other scalar as it is written."""
    if type(tree) is Scalar and not is_null(tree):
        return tree.text
    hint = "; a text that says null needs quotes" if is_null(tree) else ""
    reading.flaw(tree, label, f"{field} must be a text, not {shown(tree)}{hint}")
    return UNSET


def texts_of(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """A list of texts."""
    if type(tree) is not Sequence:
        hint = f"; write [{tree.text}]" if type(tree) is Scalar and len(tree.text) <= MAX_ID_LENGTH else ""
        reading.flaw(tree, label, f"{field} must be a list of texts, not {shown(tree)}{hint}")
        return UNSET
    texts = [text_of(item, label, f"an entry of {field}", reading) for item in tree.items]
    return tuple(text for text in texts if text is not UNSET)


def choice_of(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """A word of a few, in any case; which, is checked with the rest."""
    text = text_of(tree, label, field, reading)
    return text.lower() if isinstance(text, str) else text


def _of_type(*kinds: type, wanted: str) -> Read:
    """What reads a value of one of some types of JSON."""

    def read(tree: Tree, label: str, field: str, reading: Reading) -> Any:
        value = reading.value(tree, label, field)
        if value is UNSET or type(value) in kinds:
            return value
        reading.flaw(tree, label, f"{field} must be {wanted}, not {shown(tree)}")
        return UNSET

    return read


whole_of = _of_type(int, wanted="a whole number")
flag_of = _of_type(bool, wanted="true or false")
_number = _of_type(int, float, wanted="a number of seconds above 0")


def seconds_of(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """A length of time, as a float, so that its JSON is one and the same."""
    value = _number(tree, label, field, reading)
    try:
        # what is out of range is quoted as it was written
        return float(value) if value is not UNSET and value > 0 else value
    except OverflowError:
        reading.flaw(tree, label, f"{field} {shown(tree)} must be a number of seconds above 0")
        return UNSET


def literal_of(tree: Tree, label: str, field: str, reading: Reading) -> Any:
    """Any JSON value, null too, as its text."""
    value = reading.value(tree, label, field)
    try:
        return UNSET if value is UNSET else msgspec.Raw(codec.encode(value))
    except codec.NotJson as error:
        reading.flaw(tree, label, f"{field}: {error}")
        return UNSET
