"""RunConfig and the retry strategies: default, unit and range of every field; the one merge."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from dagger.core.errors import ConfigError, nearest

OnFailure: TypeAlias = Literal["continue", "pause", "stop"]


class Exponential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait longer after each failed attempt: initial × multiplier^(n-1), at most the maximum."""

    initial_delay_secs: float = 2.0
    """Seconds after the first failed attempt; at least 0."""
    max_delay_secs: float = 60.0
    """Seconds; no delay is longer."""
    multiplier: float = 2.0
    """At least 1."""
    jitter: float = 0.0
    """0 to 1: the part of each delay that is drawn at random, so that failures do not return all at once."""

    def delay_seconds(self, failures: int, chance: float = 0.0) -> float:
        """Seconds to wait after the `failures`-th failed attempt (from 1); `chance` is drawn from 0 to 1."""
        try:
            delay = min(self.initial_delay_secs * self.multiplier ** (failures - 1), self.max_delay_secs)
        except OverflowError:
            delay = self.max_delay_secs
        return delay * (1.0 - self.jitter * chance)


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wait the same time after each failed attempt."""

    delay_secs: float = 2.0
    """Seconds; at least 0."""

    def delay_seconds(self, failures: int, chance: float = 0.0) -> float:
        """Seconds to wait after the `failures`-th failed attempt (from 1)."""
        return self.delay_secs


class Immediate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Try again at once."""

    def delay_seconds(self, failures: int, chance: float = 0.0) -> float:
        """Seconds to wait after the `failures`-th failed attempt: none."""
        return 0.0


RetryStrategy: TypeAlias = Exponential | Linear | Immediate
STRATEGIES: dict[str, type[RetryStrategy]] = {
    "exponential": Exponential,
    "linear": Linear,
    "immediate": Immediate,
}


class _Rule(msgspec.Struct, frozen=True):
    """What a field may be."""

    default: Any
    types: tuple[type, ...]
    low: float | None = None
    high: float | None = None
    optional: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    """Of a whole text; it is kept written small."""
    words: str = ""
    """The pattern in words."""

    def problem(self, value: object) -> str:
        """Why `value` will not do, or nothing."""
        if value is None:
            return "" if self.optional else f"must be {self.wanted()}"
        if type(value) not in self.types or (self.choices and value not in self.choices):
            return f"must be {self.wanted()}"
        if self.pattern and not re.fullmatch(self.pattern, str(value)):
            return f"must be {self.wanted()}"
        if self.low is not None and not (self.low <= value <= (self.high or float("inf"))):  # type: ignore[operator]
            return f"must be {self.wanted()}"
        return ""

    def wanted(self) -> str:
        """The rule in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.words:
            return self.words
        kind = "a number" if float in self.types else "a whole number"
        limits = f" from {self.low:g} to {self.high:g}" if self.high is not None else f" of at least {self.low:g}"
        return kind + limits + (", or none" if self.optional else "")


def _setting(default: object, *types: type, **rule: Any) -> Any:
    """A dataclass field that remembers whether it was set: its default stands for "not set"."""
    rule_ = _Rule(default, types, **rule)
    return dataclasses.field(default=rule_, metadata={"rule": rule_})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a run behaves. Fields that are not set keep the value of the layer below.

    The layers: library default < application < the graph's `config:` < the call. Raises ConfigError.
    """

    max_attempts: int = _setting(3, int, low=1)
    """Attempts of a step whose node does not say `try_count`."""
    on_failure: OnFailure = _setting("pause", str, choices=("continue", "pause", "stop"))  # noqa: RUF009 - it makes a field
    """What becomes of the run when a step has finally failed."""
    timeout_seconds: float | None = _setting(3600, int, float, low=1, high=86400, optional=True)
    """Seconds of active time for the whole run; None: no limit."""
    human_wait_minutes: float | None = _setting(None, int, float, low=0, high=1440, optional=True)
    """Minutes that a review waits; None: for ever."""
    human_timeout_action: Literal["autopilot", "pause"] = _setting("pause", str, choices=("autopilot", "pause"))
    """What happens when nobody answered a review in time."""
    max_tokens: int | None = _setting(None, int, low=1, optional=True)
    """Tokens that the run may spend; None: no limit."""
    max_iterations: int | None = _setting(50, int, low=1, high=1000, optional=True)
    """Supervisor iterations, never plain nodes; None: no limit."""
    review_frequency: int | None = _setting(5, int, low=1, optional=True)
    """Every how many supervisor iterations a person is asked; None: never."""
    retry_strategy: RetryStrategy = dataclasses.field(default=_Rule(Exponential(), ()), metadata={})  # type: ignore[assignment]
    """How long to wait between two attempts of a step."""
    max_messages: int | None = _setting(1000, int, low=1, optional=True)
    """Messages published in one run; None: no limit."""
    channel_capacity: int = _setting(1000, int, low=1)
    """Undelivered payloads per agent that are kept in memory."""
    max_parallel: int | None = _setting(None, int, low=1, optional=True)
    """Steps running at once in one run; None: no limit."""
    durability: Literal["sync", "async"] = _setting("sync", str, choices=("sync", "async"))
    """`sync`: a step starts only when what made it ready is on disk. `async`: written in the background."""
    keep_events: str = _setting(
        "all",
        str,
        pattern="[aA][lL][lL]|[1-9][0-9]*[smhdwSMHDW]",
        words="all, or a whole number of s, m, h, d or w: 30d",
    )
    """How long events below a checkpoint are kept: `all`, or e.g. `30d`. Checked and kept; it takes effect later."""

    def __post_init__(self) -> None:
        chosen = set()
        problems = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, _Rule):
                object.__setattr__(self, field.name, value.default)
                continue
            chosen.add(field.name)
            rule = field.metadata.get("rule")
            if rule is None:
                value, problem = _strategy(value)
            else:
                # the original's files write Pause and Stop
                value = value.lower() if (rule.choices or rule.pattern) and isinstance(value, str) else value
                problem = rule.problem(value)
            object.__setattr__(self, field.name, value)
            if problem:
                problems.append(f"{field.name}: {value!r:.80}: {problem}")
        if problems:
            raise ConfigError("; ".join(problems))
        object.__setattr__(self, "_chosen", frozenset(chosen))

    @property
    def chosen(self) -> frozenset[str]:
        """The names of the fields that were set."""
        names: frozenset[str] = self.__dict__["_chosen"]
        return names

    @classmethod
    def of(cls, config: RunConfig | Mapping[str, Any] | None) -> RunConfig:
        """`config` itself, or one made of a dict of the same keys. Raises ConfigError."""
        if config is None:
            return cls()
        if isinstance(config, RunConfig):
            return config
        if not isinstance(config, Mapping):
            message = f"a config is a RunConfig or a dict of its fields, not {config!r}"
            raise ConfigError(message)
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in config if name not in known]
        if unknown:
            message = "; ".join(f"unknown setting {name!r}{nearest(str(name), known)}" for name in unknown)
            raise ConfigError(message)
        return cls(**config)

    def merged(self, over: RunConfig | Mapping[str, Any] | None) -> RunConfig:
        """This config with every field that is set in `over` replaced. Raises ConfigError."""
        return RunConfig(**{**self.settings(), **RunConfig.of(over).settings()})

    def settings(self) -> dict[str, Any]:
        """The fields that were set, by name, as they were set."""
        return {name: getattr(self, name) for name in sorted(self.chosen)}

    def to_dict(self, *, all_fields: bool = False) -> dict[str, Any]:
        """The fields that were set (or all), by name, as JSON values: `RunConfig.of` reads it back."""
        names = [field.name for field in dataclasses.fields(self) if all_fields or field.name in self.chosen]
        values = {name: getattr(self, name) for name in names}
        if "retry_strategy" in values:
            values["retry_strategy"] = _strategy_to_json(self.retry_strategy)
        return values


def _strategy(value: object) -> tuple[Any, str]:
    """The strategy that `value` writes, and what is wrong with it (or nothing)."""
    if isinstance(value, (Exponential, Linear, Immediate)):
        return value, _strategy_problem(value)
    name: object = value
    fields: Any = {}
    if isinstance(value, Mapping) and len(value) == 1:
        name, fields = next(iter(value.items()))
    kind = STRATEGIES.get(name.lower()) if isinstance(name, str) else None
    if kind is None:
        return value, "must be immediate, {linear: {delay_secs}} or {exponential: {initial_delay_secs, …}}"
    try:
        strategy = msgspec.convert({} if fields is None else fields, kind)
    except msgspec.ValidationError as error:
        return value, str(error)
    problem = _strategy_problem(strategy)
    return (value, problem) if problem else (strategy, "")


def _strategy_problem(strategy: RetryStrategy) -> str:
    fields = msgspec.structs.asdict(strategy)
    lows = {"multiplier": 1.0}
    for name, value in fields.items():
        if not lows.get(name, 0.0) <= value < float("inf"):
            return f"{name} must be a number of at least {lows.get(name, 0.0):g}"
    if fields.get("jitter", 0.0) > 1:
        return "jitter must be from 0 to 1"
    return ""


def _strategy_to_json(strategy: RetryStrategy) -> Any:
    name = type(strategy).__name__.lower()
    fields = msgspec.structs.asdict(strategy)
    return {name: fields} if fields else name
