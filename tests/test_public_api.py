"""The contents page `dagger/__init__.py` is complete: pinned, importable, documented, under headings.

After a wanted change of the public names: python tests/test_public_api.py --write
"""

import inspect
import sys
import tokenize
from pathlib import Path

import pytest

import dagger

PINNED = Path(__file__).with_name("public_api.txt")
REWRITE = "python tests/test_public_api.py --write"
# A dataclass without a docstring gets its signature, some classes inherit one of these.
MADE_BY_A_MACHINE = ("An enumeration.", "Create and return a new object.", "Initialize self.")


def test_the_public_names_are_pinned():
    """A name comes or goes only on purpose."""
    pinned = PINNED.read_text("utf-8").split() if PINNED.exists() else []
    assert sorted(dagger.__all__) == pinned, f"if that is wanted: {REWRITE}"


def test_no_public_name_occurs_twice():
    """Each name stands under one heading."""
    assert len(dagger.__all__) == len(set(dagger.__all__))


def test_every_public_name_stands_under_a_heading():
    """`__all__` is a contents page: a comment opens each group of names."""
    with Path(dagger.__file__).open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    start = next(at for at, token in enumerate(tokens) if token.string == "__all__")
    inside = [token for token in tokens[start:] if token.type in {tokenize.COMMENT, tokenize.STRING}]
    assert inside[0].type == tokenize.COMMENT, f"a heading belongs above {inside[0].string}"


@pytest.mark.parametrize("name", sorted(dagger.__all__))
def test_a_public_name_is_importable_and_documented(name):
    """What is exported exists and says what it promises."""
    thing = getattr(dagger, name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        assert is_documented(thing), f"{name} has no docstring"


@pytest.mark.parametrize("name", sorted(dagger.__all__))
def test_the_public_methods_of_a_public_class_are_documented(name):
    """A method or property without an underscore says what it promises, itself or through its protocol."""
    thing = getattr(dagger, name)
    silent = [own for own in methods_of(thing) if not inspect.getdoc(getattr(thing, own))]
    assert not silent, f"{name}: no docstring: {', '.join(silent)}"


def is_documented(thing):
    text = (thing.__doc__ or "").strip()
    by_a_machine = text.startswith((f"{thing.__name__}(", *MADE_BY_A_MACHINE))
    return bool(text) and not by_a_machine


def methods_of(thing):
    kinds = (property, classmethod, staticmethod)
    return [
        own
        for own, value in (vars(thing).items() if inspect.isclass(thing) else ())
        if not own.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text("".join(f"{name}\n" for name in sorted(dagger.__all__)), "utf-8")
