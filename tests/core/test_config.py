"""RunConfig: default, range and merge of every field; the retry strategies' delays."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core.config import Exponential, Immediate, Linear, RunConfig
from dagger.core.errors import ConfigError

DEFAULTS = {
    "max_attempts": 3,
    "on_failure": "pause",
    "timeout_seconds": 3600,
    "human_wait_minutes": None,
    "human_timeout_action": "pause",
    "max_tokens": None,
    "max_iterations": 50,
    "review_frequency": 5,
    "retry_strategy": Exponential(2.0, 60.0, 2.0, 0.0),
    "max_messages": 1000,
    "channel_capacity": 1000,
    "max_parallel": None,
    "durability": "sync",
    "keep_events": "all",
}
GOOD = {
    "max_attempts": [1, 255],
    "on_failure": ["continue", "pause", "stop", "Stop", "PAUSE"],
    "timeout_seconds": [1, 0.5 + 1, 86400, None],
    "human_wait_minutes": [0, 1440, 2.5, None],
    "human_timeout_action": ["autopilot", "Pause"],
    "max_tokens": [1, 10**12, None],
    "max_iterations": [1, 1000, None],
    "review_frequency": [1, None],
    "retry_strategy": ["immediate", "Exponential", {"linear": {"delay_secs": 0}}, {"Exponential": None}, Linear(1.0)],
    "max_messages": [1, None],
    "channel_capacity": [1],
    "max_parallel": [1, None],
    "durability": ["sync", "async"],
    "keep_events": ["all", "30d", "12h", "90m", "45s", "2w", "All", "30D"],
}
BAD = {
    "max_attempts": [0, -1, 1.0, "3", True, None],
    "on_failure": ["halt", "", 1, None, ["stop"]],
    "timeout_seconds": [0, 0.5, 86401, "60", True, float("nan"), float("inf")],
    "human_wait_minutes": [-1, 1441, "10"],
    "human_timeout_action": ["wait", None],
    "max_tokens": [0, 1.5, "10"],
    "max_iterations": [0, 1001],
    "review_frequency": [0, 2.5],
    "retry_strategy": [
        None, "exponentail", 3, {}, {"linear": {}, "immediate": {}}, {"linear": {"delay_secs": -1}},
        {"linear": {"delay": 1}}, {"linear": {"delay_secs": "1"}}, {"linear": 0}, {"linear": []},
        {"exponential": {"multiplier": 0.5}}, {"exponential": {"jitter": 1.5}},
        {"exponential": {"max_delay_secs": float("inf")}}, Exponential(initial_delay_secs=-1.0),
    ],
    "max_messages": [0],
    "channel_capacity": [0, None],
    "max_parallel": [0, 1.5],
    "durability": ["none", None],
    "keep_events": ["", "30", "d", "0d", "-1d", "1.5d", "30 days", "1d\n", "none", 30, None, True],
}  # fmt: skip


def pairs(table):
    return [pytest.param(name, value, id=f"{name}={value!r}") for name, values in table.items() for value in values]


def test_without_settings_every_field_has_its_default():
    """SPEC 6, row by row."""
    config = RunConfig()
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert [field.name for field in dataclasses.fields(RunConfig)] == list(DEFAULTS)
    assert config.chosen == frozenset()


@pytest.mark.parametrize(("name", "value"), pairs(GOOD))
def test_values_in_range_are_taken(name, value):
    """As keyword and in a dict."""
    assert RunConfig(**{name: value}) == RunConfig.of({name: value})
    assert RunConfig(**{name: value}).chosen == {name}


@pytest.mark.parametrize(("name", "value"), pairs(BAD))
def test_values_out_of_range_or_of_another_type_are_refused(name, value):
    """The message names the field and quotes the value."""
    with pytest.raises(ConfigError) as refused:
        RunConfig(**{name: value})
    assert str(refused.value).startswith(f"{name}: {value!r:.80}: ")


def test_choices_are_read_in_any_case_and_kept_small():
    """The original's files write Pause and Stop."""
    assert RunConfig(on_failure="Stop").on_failure == "stop"


def test_the_message_says_the_range():
    """So that one knows what to write instead."""
    with pytest.raises(ConfigError, match="max_iterations: 2000: must be a whole number from 1 to 1000, or none"):
        RunConfig(max_iterations=2000)


def test_all_bad_fields_are_told_at_once():
    """Nobody mends a config one error at a time."""
    with pytest.raises(ConfigError) as refused:
        RunConfig(max_attempts=0, durability="maybe")
    assert str(refused.value) == (
        "max_attempts: 0: must be a whole number of at least 1; durability: 'maybe': must be one of sync, async"
    )


def test_unknown_settings_are_refused_with_the_nearest_name():
    """A misspelt limit is no limit."""
    with pytest.raises(ConfigError, match=r"unknown setting 'max_atempts'; did you mean 'max_attempts'\?"):
        RunConfig.of({"max_atempts": 3})


@pytest.mark.parametrize("config", [3, "pause", ["max_attempts"]], ids=["number", "text", "list"])
def test_what_is_no_config_is_refused(config):
    """A RunConfig, a dict of its fields, or nothing."""
    with pytest.raises(ConfigError, match="a config is a RunConfig or a dict of its fields"):
        RunConfig.of(config)


def test_none_and_a_config_are_taken_as_they_are():
    """Wherever a config is taken."""
    config = RunConfig(max_attempts=2)
    assert RunConfig.of(config) is config
    assert RunConfig.of(None) == RunConfig()


def test_only_fields_that_were_set_override():
    """Also those set to their default; defect 21 of the original stays out."""
    below = RunConfig(max_attempts=9, on_failure="stop", max_tokens=5)
    merged = below.merged({"max_attempts": 3, "max_tokens": None})
    assert merged.to_dict() == {"max_attempts": 3, "on_failure": "stop", "max_tokens": None}


def test_merging_nothing_changes_nothing():
    """An empty layer."""
    config = RunConfig(max_attempts=9)
    assert config.merged(None).to_dict() == config.to_dict()


def test_all_fields_can_be_had_as_json_values():
    """For showing what a run really uses."""
    full = RunConfig(retry_strategy="immediate").to_dict(all_fields=True)
    assert full == {**DEFAULTS, "retry_strategy": "immediate"}


@given(st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in GOOD.items()}))
def test_a_config_reads_back_from_its_dict(settings):
    """`to_dict` then `of` is the identity, and `to_dict` is stable."""
    config = RunConfig(**settings)
    again = RunConfig.of(config.to_dict())
    assert again == config
    assert again.to_dict() == config.to_dict()
    assert again.chosen == config.chosen


layers = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in GOOD.items()})


@given(layers, layers, layers)
def test_merging_is_associative(one, two, three):
    """The order of the layers matters, the order of merging them does not."""
    a, b, c = RunConfig(**one), RunConfig(**two), RunConfig(**three)
    assert a.merged(b).merged(c).to_dict() == a.merged(b.merged(c)).to_dict()


def test_exponential_delays_grow_up_to_the_maximum():
    """2, 4, 8 … 60 seconds by default."""
    delays = [Exponential().delay_seconds(failures) for failures in (1, 2, 3, 5, 6, 10_000)]
    assert delays == [2.0, 4.0, 8.0, 32.0, 60.0, 60.0]


def test_jitter_takes_away_a_part_that_is_drawn_outside():
    """The strategy itself rolls no dice."""
    strategy = Exponential(jitter=0.5)
    assert [strategy.delay_seconds(1, chance) for chance in (0.0, 0.5, 1.0)] == [2.0, 1.5, 1.0]


def test_linear_delays_are_all_the_same_and_immediate_is_none():
    """The two others."""
    assert [Linear(3.0).delay_seconds(failures) for failures in (1, 9)] == [3.0, 3.0]
    assert Immediate().delay_seconds(1) == 0.0


def test_how_long_events_are_kept_is_a_text():
    """Written small; the message shows one."""
    assert RunConfig(keep_events="30D").keep_events == "30d"
    with pytest.raises(ConfigError, match="keep_events: 30: must be all, or a whole number of s, m, h, d or w: 30d"):
        RunConfig(keep_events=30)
