# ruff: noqa: E501 - the page it writes has lines of its own length
"""The table, in the terminal and as a page with a plot."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import parts
from cases import FLOORS
from measure import ROOT, LeftOut, Row, Samples, Target

PAGE = ROOT / "docs" / "benchmarks.md"
SIDE_BY_SIDE = "\n## Side by side\n"
"""Where the part begins that `make bench-peers` writes, and `make bench` leaves as it stands."""
CURVE = "keep_alive_memory.svg"
"""The picture of the memory that a run holds which goes on until it is stopped."""
HEADINGS = ("case", "unit", "Dagger", "floor", "ratio", "target", "met")


def lines(rows: Sequence[Row | LeftOut]) -> list[tuple[str, ...]]:
    """The cells of the table."""
    return [cells(row) for row in rows if isinstance(row, Row)]


def cells(row: Row) -> tuple[str, ...]:
    """One row's cells: medians, with the lowest and the highest."""
    return (
        row.case,
        row.unit,
        spread(row.figure),
        "–" if row.floor is None else f"{row.beside} {spread(row.floor)}",
        "–" if row.ratio is None or row.target.of == "figure" else spread(row.ratio),
        _limit(row.target, row.unit),
        "yes" if row.is_met else "no",
    )


def as_text(rows: Sequence[Row | LeftOut]) -> str:
    """The table for a terminal."""
    table = [HEADINGS, *lines(rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    text += [f"left out: {row.case}: {row.reason}" for row in rows if isinstance(row, LeftOut)]
    return "\n".join([*text, "", _verdict(rows)])


def as_page(rows: Sequence[Row | LeftOut], repeat: int, seconds: float, plot: str) -> str:
    """The page, in Markdown."""
    return "\n".join([
        "# Benchmarks",
        "",
        "Written by `make bench`, its last part by `make bench-peers`; figures are measured, targets are the project's own.",
        "",
        f"{machine()}; {repeat} turns in {seconds / 60:.1f} minutes. {_verdict(rows)}",
        "",
        f"![How much of its target each case uses up]({plot})",
        "",
        markdown(HEADINGS, lines(rows), "llrrrrc"),
        "",
        "Each cell gives the median, then the lowest and the highest of all turns. A ratio is taken within each turn, so a",
        "slow moment of the machine slows both sides; a target with × is for the ratio, any other for the figure itself.",
        "",
        *_pictured(rows),
        "## The floors",
        "",
        *_floors(rows),
        "",
        "## What is measured",
        "",
        "- Actions are `async def increment(value: int) -> int: return value + 1`: one input, one output, not declared, so that",
        "  its name is the default, `output`. A node takes what another gives as `graph.add(increment, value=before)` says it.",
        "- *fan*: one node, many that take what it gives, one that waits for all. *chain*: each takes what the one before gives.",
        "  *layers*: each node waits for three of the layer before, and takes what one of them gives. *map*: one node gives a",
        "  list of numbers, another calls the action for each.",
        "- *stages*: one agent yields all messages, a number and a text each, of one type; the next publishes each anew, the last",
        "  adds up. Payloads are checked against the JSON Schemas of publisher and subscriber. *subscribers* all get every message.",
        "  What the last agents have added up is checked.",
        "- A figure is the time of `await app.execute(…)`, from the call to the report, of an application that has executed one",
        "  node before; everything a run does is in it: checks, definitions, events, limits, state, journal, report.",
        "- A case and its floor take turns in one process, the garbage of what came before collected first, after one round that",
        "  does not count. Each turn on disk has a fresh file, beside the project and not in `/tmp`, which may be memory.",
        "- asyncio is the standard library's, without uvloop.",
        *[f"- {row.case}: {row.note}." for row in rows if isinstance(row, Row) and row.note],
        *_left_out(rows),
        "",
        "## Where a step's time goes",
        "",
        "The parts of one step of a chain in memory, each measured by itself in a loop (`benchmarks/parts.py`). What is missing to",
        "the figure above is the worker's loop, the calls between these parts, the collector, and the start and end of the run.",
        "",
        markdown(("part", "µs"), [(name, f"{figure:.2f}") for name, figure in parts.measure()], "lr"),
        "",
        "## Measuring again",
        "",
        "```console no-run",
        "$ make bench                       # all of it, and this page",
        '$ make bench ARGS="--quick"        # in less than a minute, smaller, without the page',
        '$ make bench ARGS="--only serial"  # one case',
        "$ make bench-peers                 # the last part of this page",
        "```",
        "",
    ])  # fmt: skip


def draw(rows: Sequence[Row | LeftOut], path: Path) -> None:
    """How much of what its target allows each case uses up, as a picture."""
    plt = plotting()
    measured = [row for row in rows if isinstance(row, Row)]
    figure, axes = plt.subplots(figsize=(9, 0.6 + 0.3 * len(measured)))
    for place, row in enumerate(measured):
        shares, colour = row.shares, "#2f7d5b" if row.is_met else "#c0392b"
        axes.barh(place, shares.median, height=0.62, color=colour)
        axes.plot([shares.low, shares.high], [place, place], color="#333333", linewidth=1)
        text = f"{number(shares.median * 100)} %"
        axes.annotate(text, (shares.high, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.axvline(1.0, color="#333333", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(measured)), [_label(row) for row in measured])
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.2, *(row.shares.high for row in measured)) * 1.12)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share * 100:.0f} %")
    axes.set_xlabel("of what the target allows: median, lowest to highest; less is better")
    save(figure, path)


def draw_curve(rows: Sequence[Row | LeftOut], path: Path) -> None:
    """What a run holds that goes on until it is stopped, while messages pass, as a picture; none if that was not measured."""
    for row in _with_curve(rows):
        figure, axes = plotting().subplots(figsize=(9, 3.2))
        messages, megabytes = zip(*row.curve, strict=True)
        axes.plot(messages, megabytes, color="#2f7d5b", linewidth=1.5)
        axes.axhline(row.target.limit, color="#333333", linewidth=1, linestyle="--")
        axes.annotate("the target", (0, row.target.limit), (4, 4), textcoords="offset points", fontsize=8)
        axes.set_xlim(0, messages[-1])
        axes.set_ylim(min(0.0, *megabytes), max(row.target.limit * 1.2, *megabytes))
        axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
        axes.set_xlabel("messages handled")
        axes.set_ylabel("MB more than before the first")
        save(figure, path)


def plotting() -> Any:
    """matplotlib's pyplot, set so that the same figures give the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "dagger", "font.family": "sans-serif", "font.size": 9})
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Write a picture."""
    (axes,) = figure.axes
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    plotting().close(figure)


def _label(row: Row) -> str:
    return f"{row.case} ({_limit(row.target, row.unit)})"


def _floors(rows: Sequence[Row | LeftOut]) -> list[str]:
    named = {row.beside for row in rows if isinstance(row, Row)}
    return [f"- *{name}*: {told}." for name, told in FLOORS.items() if name in named]


def _with_curve(rows: Sequence[Row | LeftOut]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row) and row.curve]


def _pictured(rows: Sequence[Row | LeftOut]) -> list[str]:
    picture = f"![Memory of a keep_alive run while messages pass through it]({CURVE})"
    return [line for _ in _with_curve(rows) for line in (picture, "")]


def _left_out(rows: Sequence[Row | LeftOut]) -> list[str]:
    left = [row for row in rows if isinstance(row, LeftOut)]
    return ["", "Left out: " + "; ".join(f"{row.case} ({row.reason})" for row in left) + "."] if left else []


def markdown(headings: Sequence[str], table: Sequence[Sequence[str]], aligned: str) -> str:
    """A table; `aligned` has a letter for each column: left, right, centred."""
    rule = [{"l": "---", "r": "--:", "c": ":-:"}[letter] for letter in aligned]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, rule, *table))


def machine() -> str:
    """When and where this is measured."""
    now = datetime.datetime.now(datetime.UTC)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()}, {platform.machine()}, {os.cpu_count()} CPUs"
    return f"{now:%Y-%m-%d}, Dagger {_version()}, {python}, {system}"


def _version() -> str:
    try:
        return metadata.version("dagger-flow")
    except metadata.PackageNotFoundError:
        return "from the source tree"


def _verdict(rows: Sequence[Row | LeftOut]) -> str:
    measured = [row for row in rows if isinstance(row, Row)]
    return f"{sum(row.is_met for row in measured)} of {len(measured)} targets are met."


def _limit(target: Target, unit: str) -> str:
    sign = "≥" if target.at_least else "≤"
    return f"{sign} {number(target.limit)} {'×' if target.of == 'ratio' else unit.split(maxsplit=1)[0]}"


def spread(samples: Samples) -> str:
    """The median, with the lowest and the highest where there are several."""
    if len(samples.values) == 1:
        return number(samples.median)
    return f"{number(samples.median)} ({number(samples.low)}–{number(samples.high)})"


def number(value: float) -> str:
    """The value, with three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"
