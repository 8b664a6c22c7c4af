"""Ask Python's standard library a question: `python ask.py "how do I limit how many tasks run at once?"`.

Runs the flow of search.yaml durably, prints the answer, and leaves answer.md and run.svg below .stdlib_search/.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from app import app

from dagger import DaggerError, Report, Run, Static

HERE = Path(__file__).parent

WORKDIR = Path(".stdlib_search")
STORE = WORKDIR / "runs.db"
QUESTION = "how do I limit how many tasks run at once?"


async def ask(question: str, count: int, run_id: str | None) -> int:
    """Run the flow, show its steps, print its answer. The exit code: 0 answered, 1 failed, 3 paused."""
    async with app:
        app.load_yaml_file(HERE / "search.yaml")
        inputs = {"question": question, "workdir": str(WORKDIR), "count": count}
        run = await app.start(Static("stdlib_search"), inputs=inputs, run_id=run_id)
        await show_steps(run)
        report = await run.wait()
        if not report.overall_success:
            return complain(report)
        answer = Path(report.outputs["report"]["path"])
        picture = answer.with_name("run.svg")
        svg = (await run.tree()).to_svg()
    show_answer(report, answer, picture, svg)
    return 0


async def show_steps(run: Run) -> None:
    """Say on standard error what the run does, a line for each step that ends, until it is paused or over."""
    print(f"run {run.id}", file=sys.stderr)
    async for recorded in run.events():
        event = recorded.event
        match recorded.type:
            case "StepSucceeded":
                print(f"  {event.step:<18} {event.duration_ms / 1000:6.2f} s", file=sys.stderr)
            case "AttemptFailed" | "StepFailed":
                print(f"  {event.step:<18} failed: {event.error}", file=sys.stderr)


def complain(report: Report) -> int:
    """One line that says why there is no answer and how to go on."""
    why = (report.error or "no reason given").splitlines()[0]
    further = f"; mend it, then: {command('resume', report)}" if report.status == "paused" else ""
    print(f"no answer: the run is {report.status}: {why}{further}", file=sys.stderr)
    return 3 if report.status == "paused" else 1


def show_answer(report: Report, answer: Path, picture: Path, svg: str) -> None:
    """Draw the picture beside the answer, print the answer and where all of it is to be found."""
    picture.write_text(svg, encoding="utf-8")
    print(answer.read_text(encoding="utf-8"))
    print(f"answer   {answer}")
    print(f"picture  {picture}")
    print(f"run      {command('show', report)}   ({len(report.node_outcomes)} steps, {report.duration:.1f} s)")


def command(word: str, report: Report) -> str:
    """The command line that shows the run or goes on with it."""
    return f"dagger {word} {report.run_id} --store {STORE}"


def main() -> int:
    """Read the command line, ask. A DaggerError becomes one line, Ctrl-C leaves a run that can be resumed."""
    parser = argparse.ArgumentParser(description="Answer a question from the source of Python's standard library.")
    parser.add_argument("question", nargs="?", default=QUESTION, help=f"in plain words (default: {QUESTION})")
    parser.add_argument("--count", type=int, default=5, help="how many answers (default: 5)")
    parser.add_argument("--run", metavar="ID", help="the run's id; one that exists is taken up again")
    given = parser.parse_args()
    if given.count < 1:
        parser.error("--count must be at least 1")
    WORKDIR.mkdir(exist_ok=True)
    app.use_store(STORE)
    try:
        return asyncio.run(ask(given.question, given.count, given.run))
    except DaggerError as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; see `dagger runs --store {STORE}`, and `dagger resume` to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
