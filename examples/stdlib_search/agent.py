"""The same question, answered agent-driven: a supervisor reads what was found, and decides what to do next.

  dagger agent "how do I …?" --supervisor librarian --app examples/stdlib_search/app.py:app

`librarian` decides by a rule, `model_librarian` by a language model. The library is searched by the flow of
search.yaml, which both begin with, as a child flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from librarian import follow, rank, report
from librarian.follow import Lead
from librarian.question import Query
from librarian.rank import Ranking
from librarian.search import Hits

from dagger import Context, NodeAction, NonRetryable, Static, action, ref

NOTES = "notes"
"""The section of the run's cache in which the librarian keeps what it knows from turn to turn."""

UNDECIDED = "decide yourself"
"""What a person may answer besides the names."""

ADVICE = """You answer questions about Python's standard library from its sources, which `ask_library` searches.
Ask in plain words, one question at first. Then ask for the names that promise more, or in other words where nothing
fits, until nothing new comes. Where two names are as good and it depends on what is wanted, ask the person, with the
names as options; choose yourself if there is no answer. Your last word is the answer, in Markdown: the best name with
its place as file:line, one sentence why, and what else comes near."""


class Found(TypedDict):
    """One answer of the library, as a model reads it."""

    name: str
    place: str
    signature: str
    says: list[str]


@action
async def librarian(
    ctx: Context, task: str, workdir: str = ".stdlib_search", library: str = "", count: int = 5
) -> None:
    """Answer the question `task`: follow the names that the best answers speak of, until nothing new comes.

    The first turn runs the static flow. Each further one reads what the searches found, and asks for one more search
    for each name that it discovers. Then a person is asked where answers compete, and the report is written.
    """
    if "report" in ctx.outcomes:
        ctx.finish(_result(ctx))
        return
    if not ctx.cache.keys(NOTES):
        await _begin(ctx, {"question": task, "workdir": workdir, "library": library, "count": count})
    for node_id, outcome in ctx.outcomes.items():
        if outcome.success:  # a search that failed is one search less
            for hits in ctx.cache.node(node_id).get("hits", []):
                ctx.cache.append(NOTES, "searches", hits)
    index = Path(ctx.cache.get(NOTES, "library")["index"])
    query, searches = (ctx.cache.get(NOTES, key) for key in ("query", "searches"))
    ranking = rank.rank(index, query, searches, max(count, follow.READ))
    leads = follow.leads(index, query, searches, ranking, ctx.cache.get(NOTES, "known"))
    rivals = [answer["name"] for answer in follow.competing(ranking)]
    if leads:
        _look_further(ctx, str(index), query, leads)
    elif rivals and "choice" not in ctx.outcomes:
        ctx.add_node("human_interrupt", id="choice", inputs=which(task, rivals))
    else:
        _write(ctx, ranking, count)


def which(question: str, rivals: list[str]) -> dict[str, Any]:
    """What a person is asked where answers compete."""
    text = f"Several names come near an answer to {question.strip()!r}. Which one is meant?"
    return {"question": text, "options": [*rivals, UNDECIDED]}


async def _begin(ctx: Context, inputs: dict[str, Any]) -> None:
    """Run the static flow, and keep what it found."""
    flow = await ctx.execute(Static("stdlib_search"), inputs=inputs, key="flow")
    if not flow.overall_success:
        raise NonRetryable(flow.error)
    outputs = flow.outputs
    ctx.cache.set(NOTES, "query", outputs["understand"]["query"])
    ctx.cache.set(NOTES, "library", outputs["index"]["library"])
    ctx.cache.set(NOTES, "searches", outputs["search"]["hits"])
    ctx.cache.set(NOTES, "known", outputs["understand"]["query"]["names"])


def _look_further(ctx: Context, index: str, query: Query, leads: Sequence[Lead]) -> None:
    """Ask for a search for each name, all at the same time."""
    for lead in leads:
        ctx.cache.append(NOTES, "known", lead["name"])
        inputs = {"index": index, "query": query, "lead": lead}
        ctx.add_node(follow_name, inputs=inputs, outputs=["hits"], description=f"What about {lead['name']}?")


def _write(ctx: Context, ranking: Ranking, count: int) -> None:
    """Write the report, with the answer that was chosen first."""
    chosen = ctx.cache.node("choice").get("answer")
    answers = follow.chosen_first(ranking["answers"], chosen)[:count]
    library, query = (ctx.cache.get(NOTES, key) for key in ("library", "query"))
    shown = {"library": library, "query": query, "ranking": {**ranking, "answers": answers}}
    ctx.add_node("illustrate", id="illustrate", inputs=shown, outputs=["answers"])
    told = {**shown, "answers": ref("illustrate.answers")}
    ctx.add_node("write_report", id="report", inputs=told, outputs=["path", "best"])


def _result(ctx: Context) -> dict[str, Any]:
    """What the run gives: the answer and its place, and what led to it."""
    failed = ctx.outcomes["report"].final_error or ctx.outcomes["report"].reason
    if failed:
        raise NonRetryable(failed)
    choice = ctx.cache.node("choice")
    return {
        "answers": report.places(ctx.cache.node("illustrate")["answers"]),
        "path": ctx.cache.node("report")["path"],
        "followed": ctx.cache.get(NOTES, "known")[len(ctx.cache.get(NOTES, "query")["names"]) :],
        "chosen": choice.get("answer") if choice else "nobody was asked",
    }


@action
def follow_name(index: str, query: Query, lead: Lead) -> list[Hits]:
    """Search for one name that answers speak of: what every field says of it."""
    return follow.follow(Path(index), query, lead)


@action
async def ask_library(ctx: Context, question: str) -> list[Found]:
    """Search Python's standard library for names that answer a question, in plain words or with names in it."""
    given = {name: ctx.cache.get("inputs", name) for name in ctx.cache.keys("inputs") if name != "task"}
    flow = await ctx.execute(Static("stdlib_search"), inputs={**given, "question": question}, key="flow")
    if not flow.overall_success:
        raise NonRetryable(flow.error)
    return [
        {"name": each["name"], "place": report.place(each), "signature": each["signature"], "says": each["says"]}
        for each in flow.outputs["illustrate"]["answers"]
    ]


def model_librarian(model: str) -> NodeAction:
    """A supervisor that lets a language model decide. Raises ModuleNotFoundError without `dagger-flow[llm]`."""
    from dagger.llm import ModelSupervisor  # only who names a model needs what it needs

    return ModelSupervisor(model, name="model_librarian", instructions=ADVICE, tools=[ask_library], ask_person=True)
