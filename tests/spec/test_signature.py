"""What is read of a function, however it is wrapped."""

import functools
from typing import Optional

import pytest

from dagger import Context
from dagger.core.errors import RegistryError
from dagger.spec.signature import is_async, is_context, signature, type_hints


async def find(query: str, ctx: Context | None = None) -> list[str]:
    return []


@functools.wraps(find)
def wrapper(*args, **kwargs):
    return find(*args, **kwargs)


class Called:
    async def __call__(self, x: int):
        return x


class PlainlyCalled:
    def __call__(self):
        return 1


@pytest.mark.parametrize(
    "function",
    [find, wrapper, functools.partial(find, "x"), Called(), Called().__call__],
    ids=["function", "decorated", "partial", "callable", "method"],
)
def test_wrapping_does_not_hide_that_it_is_async(function):
    """Decorators, partials, callable objects, methods."""
    assert is_async(function)
    assert type_hints(function, "a") in (
        {"query": str, "ctx": Context | None, "return": list[str]},
        {"x": int},
    )


@pytest.mark.parametrize("function", [len, PlainlyCalled(), lambda: find("x")])
def test_what_gives_no_coroutine_by_itself_is_not(function):
    """Only calling a lambda tells what it gives."""
    assert not is_async(function)
    assert not type_hints(function, "a")


def test_its_parameters_are_those_of_what_it_wraps():
    """Less what a partial has given already."""
    assert list(signature(wrapper, "a").parameters) == ["query", "ctx"]
    assert list(signature(functools.partial(find, "x"), "a").parameters) == ["ctx"]
    with pytest.raises(RegistryError, match="action 'a': <class 'dict'> does not tell its parameters; wrap it"):
        signature(dict, "a")


def test_annotations_may_be_names_that_are_local_to_the_caller():
    """Names that are nowhere are told."""

    class Local:
        pass

    def takes(x: "Local"):
        return x

    assert type_hints(takes, "a") == {"x": Local}
    takes.__annotations__["x"] = "NoSuchType"
    with pytest.raises(RegistryError, match=r"action 'a': an annotation names what is not there at run time: .*NoSuch"):
        type_hints(takes, "a")


@pytest.mark.parametrize(
    ("annotation", "told"),
    [(Context, True), (Context | None, True), (Optional[Context], True), (int, False), ("Context", False)],  # noqa: UP045
    ids=range(5),
)
def test_the_context_is_known_by_its_annotation(annotation, told):
    """Optional or not."""
    assert is_context(annotation) is told
