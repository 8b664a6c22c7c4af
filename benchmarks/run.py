"""Measure Dagger, each figure beside its floor: `make bench`, or `python benchmarks/run.py`.

Prints a table. All cases at full size also write docs/benchmarks.md and its plot.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from pathlib import Path

import cases
import messages
import report
from cases import Sizes
from measure import LeftOut, Row, say
from report import CURVE, PAGE, SIDE_BY_SIDE

CASES = cases.CASES | messages.CASES
QUICK = Sizes(repeat=3, large=20_000, serial=300, runs=300, paced=100, deliveries=20_000, passing=50_000)


def main() -> None:
    chosen = arguments()
    sizes = QUICK if chosen.quick else Sizes()
    if chosen.repeat is not None:
        sizes = Sizes(**{**vars(sizes), "repeat": chosen.repeat})
    names = chosen.only or list(CASES)
    logging.getLogger("dagger").setLevel(logging.ERROR)
    began = time.perf_counter()
    rows = [row for name in names for row in measure(name, sizes)]
    print(report.as_text(rows))
    page = chosen.output or (None if chosen.quick or chosen.only else PAGE)
    if page is not None:
        write(page, rows, sizes.repeat, time.perf_counter() - began)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller, three turns, no page unless --output is given")
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repeat", type=int, metavar="N", help="turns of each case; default 7, with --quick 3")
    parser.add_argument("--output", type=Path, metavar="PAGE", help="default docs/benchmarks.md, of all cases only")
    return parser.parse_args()


def measure(name: str, sizes: Sizes) -> list[Row | LeftOut]:
    """The rows of one case, on an event loop of its own."""

    async def rows() -> list[Row | LeftOut]:
        return [row async for row in CASES[name](sizes)]

    began = time.perf_counter()
    found = asyncio.run(rows())
    say(f"{name}: {time.perf_counter() - began:.1f} s")
    return found


def write(page: Path, rows: list[Row | LeftOut], repeat: int, seconds: float) -> None:
    """The page, and the plots beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    plot, curve = page.with_suffix(".svg"), page.with_name(CURVE)
    report.draw(rows, plot)
    report.draw_curve(rows, curve)
    _, heading, others = (page.read_text("utf-8") if page.exists() else "").partition(SIDE_BY_SIDE)
    page.write_text(report.as_page(rows, repeat, seconds, plot.name) + heading + others, "utf-8")
    say(f"written: {page}, {plot}, {curve}")


if __name__ == "__main__":
    main()
