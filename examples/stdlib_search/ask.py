"""Ask Python's standard library a question: `python ask.py "how do I limit how many tasks run at once?"`.

Runs the flow of search.yaml durably, with `--mode agent` a supervisor that goes on from what this flow finds, with
`--mode events` a team of agents; prints the answer, and leaves answer.md below .stdlib_search/, with a picture of the
run beside it where Graphviz or graphviz-pure is there to draw it.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import person
import team
from librarian import files

from dagger import AgentDriven, DaggerError, EventDriven, Report, Run, Static, WorkflowSpec

try:
    from app import MODEL, app
except ModuleNotFoundError as error:  # what DAGGER_MODEL needs
    sys.exit(
        f"no answer: DAGGER_MODEL names a model, but {error}, or here: {sys.executable} -m pip install -e '.[llm]'"
    )

HERE = Path(__file__).parent

WORKDIR = Path(".stdlib_search").absolute()
"""Absolute, since `dagger resume` may be typed in another folder."""
STORE = WORKDIR / "runs.db"
PICTURE = "[![The steps of the run](run.svg)](run.svg)"
QUESTION = "how do I limit how many tasks run at once?"


class Flow(NamedTuple):
    """What a mode runs."""

    spec: WorkflowSpec
    inputs: Mapping[str, Any]
    config: Mapping[str, Any]


def static(question: str, count: int) -> Flow:
    """The flow of search.yaml, as it stands there."""
    return Flow(Static("stdlib_search"), {"question": question, "workdir": str(WORKDIR), "count": count}, {})


def agent_driven(question: str, count: int) -> Flow:
    """A supervisor, which decides itself what to search, and asks a person only if there is one."""
    supervisor = AgentDriven(question, supervisor="model_librarian" if MODEL else "librarian")
    return Flow(supervisor, {"workdir": str(WORKDIR), "count": count}, {"review_frequency": None, **people()})


def event_driven(question: str, count: int) -> Flow:
    """A team of agents, of which one asks a person only if there is one."""
    return Flow(EventDriven("start", team.Question(question, str(WORKDIR), count=count)), {}, people())


def people() -> dict[str, Any]:
    """How long to wait for a person; then it goes on without an answer."""
    return {"human_timeout_action": "autopilot", "human_wait_minutes": person.wait_minutes()}


MODES: Mapping[str, Callable[[str, int], Flow]] = {"static": static, "agent": agent_driven, "events": event_driven}


async def ask(flow: Flow, run_id: str | None) -> int:
    """Run the flow, show its steps, print its answer. The exit code: 0 answered, 1 failed, 3 paused."""
    async with app:
        run = await app.start(flow.spec, inputs=flow.inputs, config=flow.config, run_id=run_id)
        await show_steps(run)
        report = await run.wait()
        if not report.overall_success:
            return complain(report)
        answer = answer_of(report)
        show_answer(answer)
        await leave_picture(run, answer)
    for line in account(report):
        print(line)
    steps = len(report.node_outcomes) + sum(told["handled"] for told in report.agents.values())
    print(f"run      {command('show', report.run_id)}   ({steps} steps, {report.duration:.1f} s)")
    return 0


def answer_of(report: Report) -> Path:
    """Where the answer is: a model gives it as a text, all others write it themselves."""
    written = report.outputs.get("report", report.result)
    if isinstance(written, dict):
        return Path(written["path"])
    path = WORKDIR / "answers" / report.run_id / "answer.md"
    files.write_text(path, str(report.result))
    return path


def account(report: Report) -> list[str]:
    """What a supervisor did, or a team; nothing of a flow that has neither."""
    steps = [ended.node_id for ended in report.node_outcomes if ":" not in ended.node_id]  # not those of child flows
    searches = sum(step.startswith(("follow_name", "ask_library")) for step in steps)
    lines = [f"agent    {report.iterations} turns, {searches} further searches"] if report.iterations else []
    if isinstance(report.result, dict):
        if "rounds" in report.result:
            handled = ", ".join(f"{name} {told['handled']}" for name, told in report.agents.items() if told["handled"])
            lines = [f"team     {report.result['rounds']} rounds, {report.messages} messages: {handled}"]
        lines += [f"followed {', '.join(report.result['followed']) or 'nothing'}"]
        silent = "did not answer in time" if person.wait_minutes() else "nobody is there to ask"
        lines += [f"person   {report.result['chosen'] or silent}"]
        lines += [f"best     {''.join(report.result['answers'][:1]) or 'nothing matches'}"]
    return lines


async def show_steps(run: Run) -> None:
    """Say on standard error what the run does, a line for each step that ends, until it is paused or over."""
    print(f"run {run.id}", file=sys.stderr)
    async for recorded in run.events():
        event = recorded.event
        match recorded.type:
            case "StepSucceeded":
                print(f"  {event.step:<29} {event.duration_ms / 1000:6.2f} s", file=sys.stderr)
            case "AttemptFailed" | "StepFailed":
                print(f"  {event.step:<29} failed: {event.error}", file=sys.stderr)
            case "WaitOpened" if event.review:
                await person.ask(run)
            case "StepSkipped":
                print(f"  {event.step:<29} skipped: {event.reason}", file=sys.stderr)


def complain(report: Report) -> int:
    """One line that says why there is no answer and how to go on."""
    why = (report.error or "no reason given").splitlines()[0]
    further = f"; mend it, then: {command('resume', report.run_id)}" if report.status == "paused" else ""
    print(f"no answer: the run is {report.status}: {why}{further}", file=sys.stderr)
    return 3 if report.status == "paused" else 1


def show_answer(answer: Path) -> None:
    """Print the answer and where it is to be found."""
    print(answer.read_text(encoding="utf-8"))
    print(f"answer   {near(answer)}", flush=True)


async def leave_picture(run: Run, answer: Path) -> None:
    """Draw the run beside the answer, and show it there; without anything to draw with, say so."""
    picture = answer.with_name("run.svg")
    try:
        svg = (await run.tree()).to_svg()
    except DaggerError as error:
        print(f"no picture: {error}")
        return
    files.write_text(picture, svg)
    show_picture(answer)
    print(f"picture  {near(picture)}")


def show_picture(answer: Path) -> None:
    """Let the answer show the picture; that of a run which was taken up again may do so already."""
    text = answer.read_text(encoding="utf-8")
    if PICTURE not in text:
        files.write_text(answer, f"{text}\n{PICTURE}\n")


def command(word: str, *run: str) -> str:
    """The command line that shows the run or goes on with it, as it can be typed in this folder."""
    beside = Path(sys.executable).with_name("dagger")
    on_path = shutil.which("dagger")
    if not beside.exists() or (on_path and Path(on_path).samefile(beside)):
        program = ["dagger"] if on_path else [near(Path(sys.executable)), "-m", "dagger"]
    else:
        program = [near(beside)]
    return shlex.join([*program, word, *run, "--store", near(STORE)])


def near(path: Path) -> str:
    """The path from here where it is below, else in full."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def main() -> int:
    """Read the command line, ask. A DaggerError becomes one line, Ctrl-C leaves a run that can be resumed."""
    parser = argparse.ArgumentParser(description="Answer a question from the source of Python's standard library.")
    parser.add_argument("question", nargs="?", default=QUESTION, help=f"in plain words (default: {QUESTION})")
    parser.add_argument("--mode", choices=MODES, default="static", help="how to go about it (default: static)")
    parser.add_argument("--count", type=int, default=5, help="how many answers (default: 5)")
    parser.add_argument("--run", metavar="ID", help="the run's id; one that exists is taken up again")
    given = parser.parse_args()
    if given.count < 1:
        parser.error("--count must be at least 1")
    if not given.question.strip():
        print("no question: say in plain words what to look for", file=sys.stderr)
        return 2
    WORKDIR.mkdir(exist_ok=True)
    app.use_store(STORE)
    try:
        return asyncio.run(ask(MODES[given.mode](given.question, given.count), given.run))
    except DaggerError as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; `{command('runs')}` shows what there is", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
