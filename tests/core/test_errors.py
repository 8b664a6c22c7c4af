"""Errors: one tree, messages that say where, and the nearest valid name."""

import inspect
import re
import time

import pytest

from dagger.core import errors
from dagger.core.errors import GraphError, Hints, Problem, nearest

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.DaggerError)]


def test_the_tree_at_the_top_of_the_file_is_the_tree():
    """Every class stands in the drawing once, under its own base."""
    drawn = {}
    parents = ["DaggerError"]
    for line in errors.__doc__.splitlines():
        match = re.match(r"((?:│   |    )*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4 + 1
            parents[depth:] = [match[2]]
            drawn[match[2]] = parents[depth - 1]
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in CLASSES if kind is not errors.DaggerError}


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("no"), "no"),
        (Problem("no", file="a.yaml"), "a.yaml: no"),
        (Problem("no", file="a.yaml", line=3), "a.yaml:3: no"),
    ],
    ids=["nowhere", "file", "line"],
)
def test_a_problem_says_where_it_is_as_far_as_known(problem, text):
    """In the form that editors and terminals turn into a link."""
    assert str(problem) == text


def test_one_problem_is_the_whole_message():
    """No counting where there is nothing to count."""
    error = GraphError.of([Problem("no", "CycleError", "a.yaml", 3)])
    assert str(error) == "a.yaml:3: no"


def test_several_problems_are_counted_and_listed():
    """One line each, in the order given; they are in an attribute as well."""
    problems = [Problem("one", line=1), Problem("two", line=2)]
    error = GraphError.of(problems)
    assert str(error) == "2 problems:\n1: one\n2: two"
    assert error.problems == tuple(problems)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["CycleError"], errors.CycleError),
        (["InvalidReference", "InvalidReference"], errors.InvalidReference),
        (["InvalidReference", "CycleError"], GraphError),
        (["GraphError"], GraphError),
        (["NoSuchClass"], GraphError),
    ],
    ids=["one", "same", "mixed", "plain", "unknown"],
)
def test_the_error_is_of_the_class_that_its_problems_have_in_common(kinds, expected):
    """So `except CycleError` catches a file whose one fault is a cycle."""
    assert type(GraphError.of([Problem("no", kind) for kind in kinds])) is expected


def test_an_error_raised_by_its_message_alone_has_one_problem():
    """Whoever shows problems need not ask how the error was made."""
    assert errors.CycleError("round").problems == (Problem("round", "CycleError"),)


def test_the_nearest_name_is_a_question():
    """It is appended to the message."""
    assert nearest("fetsh", ["parse", "fetch"]) == "; did you mean 'fetch'?"
    assert nearest("fetsh", ["fetch"], label="nearest is") == "; nearest is 'fetch'?"


def test_names_like_none_get_no_question():
    """Better nothing than nonsense; very long names are nobody's slip."""
    assert nearest("zebra", ["fetch"]) == ""
    assert nearest("x" * 101, ["x" * 100]) == ""


def test_hints_list_the_valid_names_where_none_is_near_and_they_are_few():
    """The reader sees what there is to choose from."""
    assert Hints().nearest("zebra", ["id", "action"], otherwise="keys") == "; keys: id, action"
    assert Hints().nearest("zebra", [], otherwise="keys") == "; keys: none"
    assert Hints().nearest("zebra", [f"name{n}" for n in range(31)], otherwise="keys") == ""
    assert Hints().nearest("zebra", ["id"]) == ""


def test_hints_fall_silent_when_their_budget_is_spent():
    """The first problems get them; that is where one begins to mend."""
    hints = Hints(comparisons=3)
    valid = ["fetch", "parse"]
    answers = [hints.nearest("fetsh", valid, otherwise="names") for _ in range(3)]
    assert answers == ["; did you mean 'fetch'?", "; did you mean 'fetch'?", ""]


def test_ten_thousand_typos_among_ten_thousand_names_are_answered_quickly():
    """Each search costs the number of names, so their number is bounded."""
    names = [f"node_{n}" for n in range(10_000)]
    hints = Hints()
    begin = time.perf_counter()
    answers = [hints.nearest(f"nod_{n}", names) for n in range(10_000)]
    assert time.perf_counter() - begin < 10
    assert answers[0] == "; did you mean 'node_0'?"
