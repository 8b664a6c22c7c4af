"""`dagger runs`, `show`, `events`: what the journals of a store say."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
import typer

from dagger.app import Dagger
from dagger.cli import options, output, summary
from dagger.cli.exits import SUCCESS
from dagger.cli.loading import find_run, open_store
from dagger.cli.standing import standing_of
from dagger.cli.values import tags_of
from dagger.core.events import OrderRefused
from dagger.core.steps import HANDLER
from dagger.run import Run
from dagger.views.report import Report
from dagger.views.snapshot import PUBLISHED
from dagger.views.texts import cut, duration_text, lasted_text
from dagger.views.tree import ExecutionTree, NodeDetail, NodeSnapshot

T = TypeVar("T")
Status = Literal["running", "waiting", "paused", "succeeded", "failed", "cancelled", "interrupted"]

STEPS_SHOWN = 50
AGENTS_SHOWN = 20
REASON_LINES = 3
SAID_CHARACTERS = 80
_CALM = frozenset(("succeeded", "recovered", "pending", "unreached", PUBLISHED))
"""Statuses of steps that are left out first where there are too many to show."""


def runs(
    *,
    status: Annotated[Status | None, typer.Option("--status", help="Only runs in this status.")] = None,
    graph: Annotated[str | None, typer.Option("--graph", metavar="NAME", help="Only runs of this graph.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Only runs with this tag; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest.")] = 20,
    store: options.Store = None,
    json: options.Json = False,
) -> int:
    """List runs, the newest first.

    `interrupted`: the process of the run died; `dagger resume` continues it.
    """
    tags = tags_of(tag or ())

    async def look(app: Dagger) -> list[dict[str, Any]]:
        found = await app.runs(status=status, graph=graph, tags=tags, limit=limit + 1)
        return [_described(run) for run in found]

    rows = _reading(store, look)
    if json:
        output.write_json(rows[:limit])
        return SUCCESS
    if not rows:
        output.say("no runs" + (" that fit" if status or graph or tags else ""))
        return SUCCESS
    shown = rows[:limit]
    columns = {heading: list(map(cell, shown)) for heading, cell in _COLUMNS.items()}
    told = [heading for heading, cells in columns.items() if heading not in _OPTIONAL or any(cells)]
    output.write_table(
        told,
        list(zip(*(columns[heading] for heading in told), strict=True)),
        elastic=["tags", "why", "graph"],
    )
    if len(rows) > limit:
        output.say(f"… and older ones: --limit {10 * limit} shows more")
    return SUCCESS


def show(
    run: options.RunId,
    *,
    all_steps: Annotated[
        bool, typer.Option("--all", help="Every step and every message, however many there are.")
    ] = False,
    store: options.Store = None,
    json: options.Json = False,
) -> int:
    """Show how a run went, step by step."""

    async def look(app: Dagger) -> None:
        found = await find_run(app, run)
        report, url = await found.report(), app.store.url
        standing = await standing_of(found, app.store, report)
        if json:
            # a journal cannot tell that its process died: that is seen from outside
            output.write_json({**report.to_dict(), "status": found.status, **standing.to_dict(url)})
            return
        keeps_mail = all_steps or report.messages <= STEPS_SHOWN
        is_live = found.status in {"running", "waiting"}
        tree = ExecutionTree.of(app.store.read(found.id), is_live=is_live, keeps_mail=keeps_mail)
        for line in (*_head(_described(found), report, tree), *summary.questions(standing.reviews, url)):
            output.write(line)
        if standing.awaits_instruction:
            output.write(f"go on:   {summary.instruction(found.id, url)}")
        for line in (*standing.skipped(), *standing.undelivered(url)):
            output.write(line)
        if refused := [each.event for each in app.store.read(found.id) if isinstance(each.event, OrderRefused)]:
            last = cut(" ".join(str(refused[-1].error).split()), output.VALUE_CHARACTERS)
            output.write(f"refused  {output.count(len(refused), 'order')}, the last one: {last}")
            output.write(f"         with what was sent: {summary.command('events', found.id, url)} | grep OrderRefused")
        _write_agents(report, all_agents=all_steps)
        _write_steps(tree, all_steps=all_steps)

    _reading(store, look)
    return SUCCESS


def events(
    run: options.RunId,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then those to come, until the run is paused or over.")
    ] = False,
    from_seq: Annotated[int, typer.Option("--from", metavar="SEQ", min=0, help="Begin with this event.")] = 0,
    store: options.Store = None,
) -> int:
    """Print a run's journal: a JSON object in each line, `seq` first."""

    async def look(app: Dagger) -> None:
        found = await find_run(app, run)
        async for recorded in found.events(from_seq, live=follow):
            text = b'{"seq":%d,' % recorded.seq + msgspec.json.encode(recorded.event)[1:]
            output.write_json(msgspec.Raw(text), indent=0)
            if follow:  # whoever follows is told at once, through a pipe too
                sys.stdout.flush()

    _reading(store, look)
    return SUCCESS


def _reading(store: str | None, look: Callable[[Dagger], Awaitable[T]]) -> T:
    app = open_store(store)

    async def main() -> T:
        async with app:
            return await look(app)

    return asyncio.run(main())


def _described(run: Run) -> dict[str, Any]:
    status = run.status
    until = time.time() if status in {"running", "waiting"} else run.updated_at.timestamp()
    return {
        "run_id": run.id,
        "graph": run.graph,
        "status": status,
        "reason": run.reason,
        "wake_at": run.wake_at,
        "tags": run.tags,
        "app": run.app,
        "started_at": run.started_at,
        "updated_at": run.updated_at,
        "lasted_ms": max(0, round((until - run.started_at.timestamp()) * 1000)),
    }


def _head(row: dict[str, Any], report: Report, tree: ExecutionTree) -> Iterator[str]:
    yield f"run      {row['run_id']}"
    yield f"graph    {row['graph']}"
    yield f"status   {row['status']}"
    lasted = lasted_text(row["lasted_ms"], round(report.duration * 1000))
    yield f"started  {output.local_time(row['started_at'])}, lasted {lasted}"
    if row["tags"]:
        yield f"tags     {_tags(row)}"
    if report.tokens:
        yield f"tokens   {report.tokens:,}"
    for number, line in enumerate(row["reason"].splitlines()[:REASON_LINES]):
        yield f"{'why' if not number else '':<8} {cut(line, output.VALUE_CHARACTERS)}"
    if row["wake_at"] is not None:
        yield f"goes on  {output.local_time(row['wake_at'])}"
    own = (node for node, detail in _told(tree) if detail.kind not in _MAIL)
    counts = Counter(node.outcome.status for node in own)
    if counts or not report.messages:
        yield "steps    " + ", ".join(f"{count:,} {status}" for status, count in counts.items())
    if report.messages:
        yield f"messages {summary.mail(report).partition(' ')[0]}"
    if report.result is not None:
        yield f"result   {output.short(report.result)}"


def _tags(row: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in row["tags"].items())


def _why_it_rests(row: dict[str, Any]) -> str:
    if row["status"] not in {"waiting", "paused"}:
        return ""
    until = "" if row["wake_at"] is None else f"; goes on at {output.local_time(row['wake_at'])}"
    return f"{cut(' '.join(row['reason'].split()), SAID_CHARACTERS)}{until}"


_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "run": lambda row: str(row["run_id"]),
    "graph": lambda row: str(row["graph"]),
    "status": lambda row: str(row["status"]),
    "started": lambda row: output.local_time(row["started_at"]),
    "lasted": lambda row: duration_text(row["lasted_ms"]),
    "why": _why_it_rests,
    "tags": _tags,
}
_OPTIONAL = frozenset(("why", "tags"))
"""Columns that are left out where no run has anything in them."""


_MAIL = frozenset(("message", "delivery"))
"""Kinds of nodes that are left out before others: the agents tell what became of them."""
_Told: TypeAlias = tuple[NodeSnapshot, NodeDetail]


def _told(tree: ExecutionTree) -> Iterator[_Told]:
    return zip(tree.nodes, tree.details, strict=True)


def _in_tree_order(tree: ExecutionTree) -> list[_Told]:
    """The steps, those of a child flow right after the step that began it, and a failure action after what failed."""
    below: dict[str, list[_Told]] = {}
    for node, detail in _told(tree):
        step = node.node_id
        parent = step.removesuffix(HANDLER) if step.endswith(HANDLER) else detail.inside
        below.setdefault(parent, []).append((node, detail))
    ordered, rest = [], below.pop("", [])[::-1]
    while rest:
        ordered.append(rest.pop())
        rest += below.pop(ordered[-1][0].node_id, [])[::-1]
    return ordered


def _write_agents(report: Report, *, all_agents: bool) -> None:
    """A row for each agent, of very many those first that failed to handle messages, or have them waiting."""
    rows = [
        [name, *(f"{number:,}" if number else "" for number in (each["handled"], each["failed"], each["waiting"]))]
        for name, each in report.agents.items()
        if any(each.values())
    ]
    shown = rows
    if not all_agents and len(rows) > AGENTS_SHOWN:
        shown = sorted(rows, key=lambda row: (not row[2], not row[3]))[:AGENTS_SHOWN]
    if shown:
        output.write("")
        output.write_table(["agent", "handled", "failed", "waiting"], shown, elastic=["agent"])
    if len(shown) < len(rows):
        output.say(f"… and {len(rows) - len(shown):,} more agents: --all shows them")


def _write_steps(tree: ExecutionTree, *, all_steps: bool) -> None:
    steps = shown = _in_tree_order(tree)
    if not all_steps and len(steps) > STEPS_SHOWN:
        shown = [(node, detail) for node, detail in steps if detail.kind not in _MAIL or _is_telling(node)]
        if len(shown) > STEPS_SHOWN:
            shown = ([step for step in shown if _is_telling(step[0])] or shown)[:STEPS_SHOWN]
    rows = []
    for node, detail in shown:
        outcome = node.outcome
        took = duration_text(round(outcome.duration * 1000)) if outcome.ended_at and outcome.attempts else ""
        values = [f"{name} = {value}" for name, value in detail.outputs]
        if detail.kind == "message":
            values = [*(f"{detail.action}: {payload}" for _, payload in detail.outputs), *detail.notes]
        said = " ".join((detail.error or ", ".join(values)).split())
        rows.append([node.node_id, outcome.status, str(outcome.attempts or ""), took, cut(said, SAID_CHARACTERS)])
    if rows:
        output.write("")
        output.write_table(
            ["step", "status", "tries", "took", "outputs or error"], rows, elastic=["outputs or error", "step"]
        )
    if more := len(steps) - len(shown) + tree.left_out:
        has_mail = tree.left_out or any(detail.kind in _MAIL for _, detail in steps)
        output.say(f"… and {more:,} more {'steps and messages' if has_mail else 'steps'}: --all shows them")


def _is_telling(node: NodeSnapshot) -> bool:
    return node.outcome.status not in _CALM
