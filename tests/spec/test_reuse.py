"""What `cache` may say, of a node or an action."""

import pytest

from dagger.core.graph import Reuse
from dagger.spec.reuse import reuse, seconds


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (None, None),
        (True, Reuse()),
        ({}, Reuse()),
        ({"key": None, "ttl": None}, Reuse()),
        ({"key": "url"}, Reuse(("url",))),
        ({"key": ["url", "depth", "url"], "ttl": "30d"}, Reuse(("url", "depth"), 30 * 86400.0)),
        ({"key": ("url",), "ttl": 90}, Reuse(("url",), 90.0)),
    ],
    ids=range(7),
)
def test_what_is_written_becomes_a_reuse(value, made):
    """All inputs and any age, unless it says otherwise."""
    assert reuse(value, "cache") == made


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (False, "false switches nothing off; leave it out where nothing is to be reused"),
        ("30d", "must be true, or {key: [names of inputs], ttl: 30d}, not '30d'"),
        (1, "must be true, or {key: [names of inputs], ttl: 30d}, not 1"),
        (["url"], "must be true, or {key: [names of inputs], ttl: 30d}, not ['url']"),
        ({"keys": "url"}, "unknown key 'keys'; did you mean 'key'?"),
        ({"size": 1}, "unknown key 'size'; it takes: key, ttl"),
        ({"key": []}, "key names no input; leave it out to compare all of them"),
        ({"key": 5}, "key must be the name of an input or a list of such names, not 5"),
        ({"key": [1]}, "key must be the name of an input or a list of such names, not [1]"),
        ({"key": ""}, "key must be the name of an input or a list of such names, not ''"),
        ({"ttl": 0}, "ttl: must be a number of seconds above 0, or of s, m, h, d or w: 30d; not 0"),
    ],
    ids=range(11),
)
def test_what_cannot_be_one_is_told_with_the_form(value, told):
    """After the caller's own words for where it stands."""
    with pytest.raises(ValueError, match=r"^action 'a': cache: ") as refused:
        reuse(value, "action 'a': cache")
    assert str(refused.value) == f"action 'a': cache: {told}"


@pytest.mark.parametrize(
    ("written", "length"),
    [("10s", 10), ("5m", 300), ("12h", 43200), ("30d", 2592000), ("2W", 1209600), (1, 1), (0.5, 0.5)],
    ids=str,
)
def test_a_length_of_time_is_a_number_with_a_unit_or_of_seconds(written, length):
    """As in `keep_events`, small or capital."""
    assert seconds(written, "ttl") == length


@pytest.mark.parametrize(
    "written", ["", "30", "0d", "-1d", "1.5h", "1 d", "1y", "d", 0, -1, True, float("nan"), float("inf"), None, []]
)
def test_what_is_no_length_of_time_is_told(written):
    """Nothing lasts no time, or for ever."""
    with pytest.raises(ValueError, match=r"^ttl: must be a number of seconds above 0, or of s, m, h, d or w: 30d; not"):
        seconds(written, "ttl")
