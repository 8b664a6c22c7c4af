"""Measure Dagger beside other libraries: `make bench-peers`, or `python benchmarks/run_peers.py`.

Prints a table. All subjects at full size also write their part of docs/benchmarks.md, and its plot.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import report_peers
from measure import ROOT, US, LeftOut, Samples, say
from report import PAGE, SIDE_BY_SIDE
from report_peers import CASES, LIMIT, Measured, Subject

SUBJECTS = ("dagger", "langgraph", "pydantic_graph", "burr", "taskiq", "dbos", "autogen", "faststream")


class CannotRunError(Exception):
    """A subject that cannot be measured here; the text says why."""


@dataclass
class Contender:
    """A subject in its environment."""

    module: str
    python: Path
    counts: dict[str, int]
    """Nodes, messages or deliveries, by case."""
    turns: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """One turn: see peer.py."""
        command = [str(self.python), str(ROOT / "benchmarks" / "peer.py"), self.module, json.dumps(self.counts)]
        told: dict[str, Any] = json.loads(output(command))
        return told

    @property
    def subject(self) -> Subject:
        return Subject(
            self.turns[0]["name"], self.turns[0]["settings"], {case: self._measured(case) for case in self.counts}
        )

    def _measured(self, case: str) -> Measured:
        figures, floors = zip(*(turn["cases"][case] for turn in self.turns), strict=True)
        return Measured(self.counts[case], Samples(figures), Samples(floors))


def main() -> None:
    chosen = arguments()
    began = time.perf_counter()
    contenders, left = [], []
    for module in chosen.only or SUBJECTS:
        try:
            contenders.append(introduced(module, is_quick=chosen.quick))
        except CannotRunError as error:
            if module == "dagger":
                raise
            left.append(LeftOut(module, str(error)))
    for turn in range(chosen.repeat):
        for contender in contenders:
            contender.turns.append(contender.run())
        say(f"turn {turn + 1} of {chosen.repeat}: {time.perf_counter() - began:.0f} s")
    subjects = [contender.subject for contender in contenders]
    print(report_peers.as_text(subjects, left))
    page = chosen.output or (None if chosen.only else PAGE)
    if page is not None and not chosen.quick:
        write(page, subjects, left, chosen.repeat, time.perf_counter() - began)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small flows, no page")
    parser.add_argument("--only", action="append", choices=SUBJECTS, metavar="NAME", help=", ".join(SUBJECTS))
    parser.add_argument("--repeat", type=int, metavar="N", default=7, help="turns; default 7")
    parser.add_argument("--output", type=Path, metavar="PAGE", help="default docs/benchmarks.md, of all subjects only")
    return parser.parse_args()


def introduced(module: str, *, is_quick: bool) -> Contender:
    """A contender that has had one turn that does not count: it says which cases there are, and how long they take."""
    python = Path(sys.executable)
    if module != "dagger":
        output([str(ROOT / "scripts" / "setup"), f"peers/{module}"])
        python = ROOT / "build" / "peers" / module / "bin" / "python"  # where scripts/setup has made it
    contender = Contender(module, python, {name: case.few for name, case in CASES.items()})
    told = contender.run()
    say(f"{told['name']} is there")
    contender.counts = {
        case: CASES[case].few if is_quick or figure * CASES[case].many / US > LIMIT else CASES[case].many
        for case, (figure, _) in told["cases"].items()
    }
    return contender


def output(command: list[str]) -> str:
    """What a command prints."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRunError(done.stderr.strip().rpartition("\n")[2])
    return done.stdout


def write(page: Path, subjects: list[Subject], left: list[LeftOut], repeat: int, seconds: float) -> None:
    """The part of the page that is about others, and its plot; `make bench` writes the rest, and leaves this."""
    page.parent.mkdir(parents=True, exist_ok=True)
    plot = page.with_name(f"{page.stem}-peers.svg")
    report_peers.draw(subjects, plot)
    own, _, _ = (page.read_text("utf-8") if page.exists() else "").partition(SIDE_BY_SIDE)
    section = report_peers.as_section(subjects, left, repeat, seconds, plot.name)
    page.write_text(own + SIDE_BY_SIDE + section, "utf-8")
    say(f"written: {page}, {plot}")


if __name__ == "__main__":
    main()
