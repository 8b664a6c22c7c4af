# ruff: noqa: E501 - the page it writes has lines of its own length
"""Dagger beside other libraries: the table in the terminal, and its part of the page with a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import LeftOut, Samples
from report import machine, markdown, number, plotting, save, spread

LIMIT = 20.0
"""Seconds that one turn of a case may take; a subject that would take longer gets fewer."""


@dataclass(frozen=True)
class Case:
    """What is asked of the subjects."""

    told: str
    many: int = 1_000
    """Nodes, messages or deliveries."""
    few: int = 200
    """Where so many would take longer than the limit."""


@dataclass(frozen=True)
class Table:
    """Cases that are counted alike."""

    unit: str
    floor: str
    cases: dict[str, Case]


TABLES = (
    Table(
        "µs a node",
        "the floor itself",
        {
            "chain": Case("each node takes what the one before gives"),
            "fan": Case("one node, many that take what it gives, one that takes what they give"),
            "layers": Case("10 layers; each node waits for three of the layer before"),
            "durable chain, sync": Case("in a SQLite file; a node begins when the one before is on disk"),
            "durable chain, async": Case("in a SQLite file; what has ended reaches the disk a little later"),
        },
    ),
    Table(
        "µs a message or delivery",
        "bare `asyncio.Queue`s",
        {
            "pipeline": Case(
                "10,000 messages through two stages: a producer, one that publishes anew, one that adds up",
                10_000,
                1_000,
            ),
            "fan-out": Case("1,000 messages to 100 subscribers, each of which adds up; per delivery", 100_000, 10_000),
        },
    ),
)
CASES = {name: case for table in TABLES for name, case in table.cases.items()}


@dataclass(frozen=True)
class Measured:
    """One case of one subject, in microseconds for one node, message or delivery."""

    count: int
    figure: Samples
    floor: Samples

    @property
    def ratio(self) -> Samples:
        return self.figure.over(self.floor)


@dataclass(frozen=True)
class Subject:
    """What was measured of one library."""

    name: str
    """With its version."""
    settings: str
    cases: dict[str, Measured]


def lines(table: Table, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
    """A line for each subject that has any of the cases, a column for each case; at last the floors of all."""
    there = [subject for subject in subjects if subject.cases.keys() & table.cases.keys()]
    found = [(subject.name, *(_cell(subject.cases.get(case)) for case in table.cases)) for subject in there]
    return [*found, (table.floor, *(_floor(case, there) for case in table.cases))]


def as_text(subjects: Sequence[Subject], left: Sequence[LeftOut]) -> str:
    """The tables for a terminal."""
    text = []
    for table in TABLES:
        cells = [headings(table), *lines(table, subjects)]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        padded = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]
        text += [*padded, ""]
    return "\n".join([*text, *[f"left out: {one.case}: {one.reason}" for one in left]])


def as_section(subjects: Sequence[Subject], left: Sequence[LeftOut], repeat: int, seconds: float, plot: str) -> str:
    """What follows the heading, in Markdown."""
    return "\n".join([
        "",
        f"{machine()}; {repeat} turns in {seconds / 60:.1f} minutes.",
        "",
        f"![How many times its floor each case takes]({plot})",
        "",
        *[line for table in TABLES for line in (_markdown(table, subjects), "")],
        "Each cell gives the median of the microseconds for one node, message or delivery, then how many times its floor that is,",
        "with the lowest and the highest of all turns. A dash: the library has no such thing.",
        "",
        *[f"- *{name}*: {case.told}." for name, case in CASES.items()],
        "- The floor is measured in the same process right after the case. For what runs in memory: one asyncio task per node, all",
        "  gathered. For what is durable: one commit of a small row per node by the standard library's SQLite, fsync'd. For messages:",
        "  a queue and a task for each stage or subscriber, which hand on dictionaries and check nothing.",
        "- A flow of nodes has 1,000, made beforehand; what is measured is its execution until the value of its last node is",
        "  there, after a flow of 100 nodes that does not count. Every action adds 1 to what it takes; what that comes to is checked.",
        "- A message is a number and a text. What is measured is the time from before the producer makes the first until the last has",
        "  been handled, after 100 that do not count; what the last agents have added up is checked. Messages are in memory, and",
        "  validated as the library does it by default; with Dagger each has its events in the run's journal, kept in memory too.",
        "- The libraries take turns, each time in a new process of an environment of their own; each turn on disk has a fresh",
        "  file, set to write-ahead logging beforehand: that is faster, and Burr and DBOS do not ask for it by themselves.",
        "",
        *[f"- **{subject.name}**: {_as_line(subject.settings)}" for subject in subjects],
        *[f"- Left out: {one.case}: {one.reason}." for one in left],
        *_smaller(subjects),
        "",
    ])  # fmt: skip


def draw(subjects: Sequence[Subject], path: Path) -> None:
    """How many times its floor each case of each subject takes, as a picture with a logarithmic scale."""
    figure, axes = plotting().subplots()
    labels: dict[int, str] = {}
    place = 0
    for case in CASES:
        labels[place] = case
        for subject in subjects:
            if case in subject.cases:
                place += 1
                ratio = subject.cases[case].ratio
                labels[place] = subject.name
                axes.barh(
                    place,
                    ratio.median,
                    height=0.62,
                    color="#2f7d5b" if subject.name.startswith("Dagger") else "#8a8f98",
                )
                axes.plot([ratio.low, ratio.high], [place, place], color="#333333", linewidth=1)
                text = f"{number(ratio.median)} ×"
                axes.annotate(text, (ratio.high, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        place += 2
    figure.set_size_inches(9, 0.6 + 0.22 * place)
    axes.axvline(1.0, color="#333333", linewidth=1, linestyle="--")
    axes.set_yticks(list(labels), list(labels.values()))
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in CASES else "normal")
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{number(ratio)} ×")
    axes.set_xlabel(
        "of the floor: median, lowest to highest; less is better; each line of the scale is ten times the one before"
    )
    save(figure, path)


def headings(table: Table) -> tuple[str, ...]:
    """Of its columns."""
    return (f"{table.unit}, × floor", *table.cases)


def _markdown(table: Table, subjects: Sequence[Subject]) -> str:
    return markdown(headings(table), lines(table, subjects), "l" + "r" * len(table.cases))


def _floor(case: str, subjects: Sequence[Subject]) -> str:
    floors = [value for subject in subjects if case in subject.cases for value in subject.cases[case].floor.values]
    return spread(Samples(tuple(floors))) if floors else "–"


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return "–"
    ratio = measured.ratio
    return f"{number(measured.figure.median)}, {number(ratio.median)} × ({number(ratio.low)}–{number(ratio.high)})"


def _as_line(text: str) -> str:
    return " ".join(text.split())


def _smaller(subjects: Sequence[Subject]) -> list[str]:
    few = [
        f"{one.name} {case}, {measured.count:,}"
        for one in subjects
        for case, measured in one.cases.items()
        if measured.count < CASES[case].many
    ]
    return [f"- With fewer, since all would take more than {LIMIT:.0f} s: {'; '.join(few)}."] if few else []
