"""Rates as they are written; what the actions of a pool say of its size."""

import pytest

from dagger import Dagger
from dagger.core.errors import RegistryError
from dagger.spec.limits import Limits, Rate, limits, require_limits


@pytest.mark.parametrize(
    ("text", "starts", "seconds"),
    [
        ("60/min", 60, 60), ("5/s", 5, 1), ("1/sec", 1, 1), ("2/second", 2, 1), ("3/m", 3, 60), ("3/minutes", 3, 60),
        ("7/h", 7, 3600), ("7/hour", 7, 3600), ("9/d", 9, 86400), ("9/day", 9, 86400),
        ("100/30s", 100, 30), ("10 / 2 min", 10, 120), (" 60/MIN ", 60, 60),
    ],
)  # fmt: skip
def test_a_rate_is_a_number_of_starts_in_a_time(text, starts, seconds):
    """Of one unit, or of several."""
    assert Rate.parse(text) == (starts, seconds)


@pytest.mark.parametrize(
    "text", ["0/min", "-1/min", "1.5/s", "6", "60/", "/min", "60/0s", "60/year", "min/60", "", 60, None, ("60", "min")]
)
def test_what_is_no_rate_is_told_with_the_form(text):
    """A rate of zero would never start anything."""
    with pytest.raises(ValueError, match="rate") as refused:
        Rate.parse(text)
    assert str(refused.value) == (
        f"rate is how many starts in what time, both above zero: 60/min, 5/s or 100/30s; not {text!r}"
    )


def test_a_rate_is_told_in_seconds():
    """In a form that it could be written in."""
    assert str(Rate(60, 60.0)) == "60/60s"
    assert Rate.parse(str(Rate(60, 60.0))) == (60, 60.0)


def app_with(**actions):
    app = Dagger("memory:")
    for name, options in actions.items():

        @app.action(name=name, **options)
        async def act():
            return 1

    return app


def test_a_pools_limits_are_gathered_from_its_actions():
    """Each is given once, or again the same; without `pool` the pool is the action's own, of its name."""
    app = app_with(
        a={"pool": "web"}, b={"pool": "web", "concurrency": 3}, c={"pool": "web", "concurrency": 3, "rate": "60/min"},
        web={"rate": "60/m"}, other={"concurrency": 1},
    )  # fmt: skip
    assert limits("web", app.actions.values()) == Limits(3, Rate(60, 60.0))
    assert limits("other", app.actions.values()) == Limits(1, None)
    assert limits("none", app.actions.values()) == Limits(None, None)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"pool": "p", "concurrency": 2}, {"pool": "p", "concurrency": 3}, "concurrency 2 from action 'a', not 3"),
        ({"pool": "p", "rate": "60/min"}, {"pool": "p", "rate": "1/s"}, "rate 60/60s from action 'a', not 1/1s"),
        ({"concurrency": 2}, {"pool": "a", "concurrency": 3}, "concurrency 2 from action 'a', not 3"),
    ],
    ids=["concurrency", "rate", "own"],
)
def test_two_actions_that_disagree_are_both_named(first, second, told):
    """At registration; the second is not registered."""
    app = app_with(a=first)

    @app.action
    async def between():
        return 1

    with pytest.raises(RegistryError) as refused:
        app.action(name="b", **second)(lambda: 1)
    assert str(refused.value) == f"action 'b': pool {second['pool']!r} has {told}; give it once, or name another pool"
    assert list(app.actions)[-2:] == ["a", "between"]


def test_a_pool_that_no_action_sized_is_told_with_its_actions():
    """Its first use asks: any of them may give the size until then."""
    app = app_with(a={"pool": "web"}, b={"pool": "web"}, c={"concurrency": 1})
    with pytest.raises(RegistryError) as refused:
        require_limits("web", app.actions.values())
    assert str(refused.value) == "pool 'web' has no size; give concurrency or rate on one of its actions: a, b"
    app.action(name="d", pool="web", rate="1/s")(lambda: 1)
    assert require_limits("web", app.actions.values()) == Limits(None, Rate(1, 1.0))
