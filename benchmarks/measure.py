"""Samples, targets, rows: what a figure is, what it stands beside, and whether it is good enough."""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
US = 1e6


@dataclass(frozen=True)
class Samples:
    """The same thing measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def over(self, floor: Samples) -> Samples:
        """The ratios, turn by turn: a slow minute of the machine has slowed both."""
        return Samples(tuple(mine / its for mine, its in zip(self.values, floor.values, strict=True)))


@dataclass(frozen=True)
class Target:
    """What must be reached."""

    limit: float
    of: str = "ratio"
    """`ratio` to the floor, or the `figure` itself."""
    at_least: bool = False
    """More is better."""

    def share(self, reached: float) -> float:
        """How much of what is allowed is used up: at most 1 is met."""
        return self.limit / reached if self.at_least else reached / self.limit


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    unit: str
    figure: Samples
    target: Target
    floor: Samples | None = None
    beside: str = ""
    """The floor's name in cases.FLOORS."""
    note: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    """Of a row with a picture of its own: messages, megabytes."""

    @property
    def ratio(self) -> Samples | None:
        return None if self.floor is None else self.figure.over(self.floor)

    @property
    def shares(self) -> Samples:
        """How much of what is allowed is used up, in each turn."""
        reached = self.ratio if self.target.of == "ratio" and self.ratio else self.figure
        return Samples(tuple(self.target.share(value) for value in reached.values))

    @property
    def is_met(self) -> bool:
        return self.shares.median <= 1.0


@dataclass(frozen=True)
class LeftOut:
    """A case that cannot be measured yet, and why."""

    case: str
    reason: str


Contender = Callable[[], Awaitable[float]]


async def in_turn(repeat: int, *contenders: Contender) -> list[Samples]:
    """A case, its floor, the case, its floor … `repeat` times, after one round that does not count."""
    kept: list[list[float]] = [[] for _ in contenders]
    for turn in range(repeat + 1):
        for values, contender in zip(kept, contenders, strict=True):
            gc.collect()
            value = await contender()
            if turn:
                values.append(value)
    return [Samples(tuple(values)) for values in kept]


@contextmanager
def fresh_file(place: Path = ROOT / "build") -> Iterator[Path]:
    """A path for a SQLite file, by default on the disk that the project is on: /tmp may be memory."""
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder:
        yield Path(folder) / "bench.db"


def say(text: str) -> None:
    """What is being done, for whoever watches."""
    print(text, file=sys.stderr, flush=True)
