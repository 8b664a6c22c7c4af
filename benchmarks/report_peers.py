# ruff: noqa: E501 - the page it writes has lines of its own length
"""Dagger beside other libraries: the table in the terminal, and its part of the page with a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import LeftOut, Samples
from report import machine, markdown, number, plotting, save

NODES, FEW = 1_000, 200
"""Nodes of a flow; of one that would take longer than the limit."""
LIMIT = 20.0
"""Seconds."""
CASES = {
    "chain": "each node takes what the one before gives",
    "fan": "one node, many that take what it gives, one that takes what they give",
    "layers": "10 layers; each node waits for three of the layer before",
    "durable chain, sync": "in a SQLite file; a node begins when the one before is on disk",
    "durable chain, async": "in a SQLite file; what has ended reaches the disk a little later",
}


@dataclass(frozen=True)
class Measured:
    """One case of one subject, in microseconds a node."""

    nodes: int
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


def lines(subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
    """The table: a line for each subject, a column for each case."""
    return [(subject.name, *(_cell(subject.cases.get(case)) for case in CASES)) for subject in subjects]


def as_text(subjects: Sequence[Subject], left: Sequence[LeftOut]) -> str:
    """The table for a terminal."""
    table = [("µs a node, × floor", *CASES), *lines(subjects)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([*text, *[f"left out: {one.case}: {one.reason}" for one in left]])


def as_section(subjects: Sequence[Subject], left: Sequence[LeftOut], repeat: int, seconds: float, plot: str) -> str:
    """What follows the heading, in Markdown."""
    return "\n".join([
        "",
        f"{machine()}; {repeat} turns in {seconds / 60:.1f} minutes.",
        "",
        f"![How many times its floor each case takes]({plot})",
        "",
        markdown(("µs a node, × floor", *CASES), lines(subjects), "l" + "r" * len(CASES)),
        "",
        "Each cell gives the median of the microseconds for one node, then how many times its floor that is, with the lowest and",
        "the highest of all turns. A dash: the library has no such thing.",
        "",
        *[f"- *{case}*: {told}." for case, told in CASES.items()],
        "- The floor is measured in the same process right after the case. For what runs in memory: one asyncio task per node, all",
        "  gathered. For what is durable: one commit of a small row per node by the standard library's SQLite, fsync'd.",
        f"- A flow has {NODES:,} nodes, made beforehand; what is measured is its execution until the value of its last node is",
        "  there, after a flow of 50 nodes that does not count. Every action adds 1 to what it takes; what that comes to is checked.",
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


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return "–"
    ratio = measured.ratio
    return f"{number(measured.figure.median)}, {number(ratio.median)} × ({number(ratio.low)}–{number(ratio.high)})"


def _as_line(text: str) -> str:
    return " ".join(text.split())


def _smaller(subjects: Sequence[Subject]) -> list[str]:
    few = [f"{one.name} {case}" for one in subjects for case, measured in one.cases.items() if measured.nodes < NODES]
    return [f"- With {FEW} nodes, since {NODES:,} take more than {LIMIT:.0f} s: {', '.join(few)}."] if few else []
