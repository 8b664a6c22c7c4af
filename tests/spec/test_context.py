"""The promise of the context: what an action may rely on. engine/test_context.py is about its being kept."""

import inspect

import pytest

from dagger import Context, Outcome
from dagger.engine.context import AttemptContext


@pytest.mark.parametrize(("status", "success"), [("succeeded", True), ("failed", False), ("skipped", False)])
def test_an_outcome_says_whether_it_succeeded(status, success):
    """Only `succeeded` is a success."""
    assert Outcome("n", status).success is success
    assert (Outcome("n", status).final_error, Outcome("n", status).reason) == (None, None)


def test_a_context_cannot_be_made_of_the_promise_alone():
    """It is abstract: the engine gives one."""
    with pytest.raises(TypeError, match="abstract"):
        Context()


def test_what_is_promised_is_kept():
    """Every public name of the promise is there in the engine's, with the same signature."""
    for name, promised in inspect.getmembers(Context, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(AttemptContext, name)) == inspect.signature(promised)
    for name in ("deadline", "outcomes"):
        assert isinstance(inspect.getattr_static(AttemptContext, name), property)
    assert not AttemptContext.__abstractmethods__
