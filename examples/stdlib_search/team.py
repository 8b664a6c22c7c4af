"""The same question, answered event-driven: a team of seven agents, each of which knows nothing but its channels.

  dagger publish start '{"type": "Question", "question": "how do I …?"}' --app examples/stdlib_search/app.py:app

  start
    ▼
  supervisor                              ┌──── gap_questions ────┐
    │                                     ▼                       │
    └──────── initial_query ──────────► planner                   │
                                          │ search_queries        │
                                          ▼                       │
                                        searcher (four at once)   │
                                          │ search_results        │
                                          ▼                       │
                                        reader                    │
                                          │ page_content,         │
                                          ▼ knowledge             │
                                        reasoner                  │
                                          │ intermediate_answers  │
                                          ▼                       │
  supervisor ◄── evaluation_results, ─── evaluator ───────────────┘
    │            task_completed           │     ▲
    │                            human_review  human_review.answered
    └── report_request ──► reporter ── final_answer ──► supervisor

Gap questions go round again until nothing new comes. The same question leads to the same messages, whichever search is
done first. What all of the team must know is noted in the cache, and what each does, it says in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from agent import NOTES, which
from librarian import follow, illustrate, question, rank, report, search
from librarian.follow import Lead
from librarian.rank import Ranking
from librarian.search import Hits

from dagger import Context, Message, NonRetryable, Static, agent


class Payload(msgspec.Struct, frozen=True, tag=True):
    """What a message says, with its kind under `type`: so an agent that hears several knows which it is."""


class Question(Payload):
    """What to find, in plain words, and where."""

    question: str
    workdir: str = ".stdlib_search"
    library: str = ""
    count: int = 5


class Gap(Payload):
    """What nobody has looked up yet: fields of the index, or names that answers speak of."""

    round: int
    about: list[str | Lead]


class Search(Payload):
    """One search of a round, of so many."""

    round: int
    number: int
    of: int
    about: str | Lead


class Found(Payload):
    """What a search found."""

    wanted: Search
    hits: list[Hits]


class Page(Payload):
    """One of the best answers, as it was read."""

    round: int
    content: follow.Page


class Knowledge(Payload):
    """What all searches so far say together."""

    round: int
    ranking: Ranking


class Candidates(Payload):
    """The answers so far, and what could be looked up to have better ones."""

    round: int
    ranking: Ranking
    leads: list[Lead]


class Evaluation(Payload):
    """How the answers of a round are judged."""

    round: int
    best: list[str]
    gaps: int


class Completed(Payload):
    """The answers, and which of them a person chose; None: the person did not answer."""

    ranking: Ranking
    chosen: str | None = "nobody was asked"


class Answer(Payload):
    """Where the answers are, and what led to them."""

    rounds: int
    answers: list[str]
    path: str
    followed: list[str]
    chosen: str | None


@agent(
    subscribe=["start", "evaluation_results", "task_completed", "final_answer"],
    publish=["initial_query", "report_request"],
)
async def supervisor(heard: Question | Evaluation | Completed | Answer, ctx: Context) -> None:
    """See to it that the library is read, put the question to the team, and ask for the report when it has done."""
    ctx.log.info("hears: %s", type(heard).__name__)
    match heard:
        case Question():
            where = {"workdir": heard.workdir, "library": heard.library}
            flow = await ctx.execute(Static("stdlib_index"), inputs=where, key="library")
            if not flow.overall_success:
                raise NonRetryable(flow.error)
            ctx.cache.set(NOTES, "library", flow.outputs["build"]["library"])
            ctx.cache.set(NOTES, "asked", heard)
            ctx.publish("initial_query", heard)
        case Evaluation():
            ctx.cache.append(NOTES, "evaluations", heard)
        case Completed():
            ctx.publish("report_request", heard)
        case Answer():
            ctx.finish(heard)


@agent(subscribe=["initial_query", "gap_questions"], publish="search_queries")
def planner(asked: Question | Gap, ctx: Context) -> Iterator[Search]:
    """Take the question apart, and have each field searched for it; later each name that answers speak of."""
    if isinstance(asked, Question):
        ctx.cache.set(NOTES, "query", question.understand(asked.question, question.Thesaurus.load()))
        asked = Gap(1, [*search.FIELDS])
    ctx.log.info("round %d: %d searches", asked.round, len(asked.about))
    for number, what in enumerate(asked.about, 1):
        yield Search(asked.round, number, len(asked.about), what)


@agent(subscribe="search_queries", publish="search_results", concurrency=4)
def searcher(wanted: Search, ctx: Context) -> Found:
    """Search a field of the index, or all that the index has of a name."""
    ctx.log.info("search %d of %d", wanted.number, wanted.of)
    index, query = _index(ctx), ctx.cache.get(NOTES, "query")
    if isinstance(wanted.about, str):
        return Found(wanted, [search.search(index, query, wanted.about)])
    return Found(wanted, follow.follow(index, query, wanted.about))


@agent(subscribe="search_results", publish=["page_content", "knowledge"])
def reader(found: Found, ctx: Context) -> None:
    """When a round's searches are all back, put them together, and read the best answers."""
    now = found.wanted.round
    ctx.log.info("round %d: search %d of %d is back", now, found.wanted.number, found.wanted.of)
    ctx.cache.set("searches", f"{now:03}-{found.wanted.number:03}", found.hits)
    keys = sorted(ctx.cache.keys("searches"))  # as they were planned, not as they came
    if sum(key.startswith(f"{now:03}-") for key in keys) < found.wanted.of:
        return
    index, query, count = _index(ctx), ctx.cache.get(NOTES, "query"), ctx.cache.get(NOTES, "asked")["count"]
    searches = [hits for key in keys for hits in ctx.cache.get("searches", key)]
    ranking = rank.rank(index, query, searches, max(count, follow.READ))
    for page in follow.read(index, query, searches, ranking):
        ctx.publish("page_content", Page(now, page))
    ctx.publish("knowledge", Knowledge(now, ranking))


@agent(subscribe=["page_content", "knowledge"], publish="intermediate_answers")
async def reasoner(given: Page | Knowledge, ctx: Context) -> Candidates | None:
    """Note what each page speaks of; then say what the answers are, and which names on the pages may be better ones."""
    ctx.log.info("round %d: %s", given.round, type(given).__name__)
    if isinstance(given, Page):  # it was published before the knowledge, so it comes before
        ctx.cache.append("pages", str(given.round), given.content)
        return None
    known = ctx.cache.get(NOTES, "known", ctx.cache.get(NOTES, "query")["names"])
    leads = follow.leads_of(ctx.cache.get("pages", str(given.round), []), known)
    ctx.cache.set(NOTES, "known", [*known, *(lead["name"] for lead in leads)])
    return Candidates(given.round, given.ranking, leads)


@agent(
    subscribe=["intermediate_answers", "human_review.answered"],
    publish=["evaluation_results", "gap_questions", "human_review", "task_completed"],
)
async def evaluator(message: Message, ctx: Context) -> None:
    """Judge the answers: ask for more while there are gaps, ask a person where answers compete, and else be content."""
    ctx.log.info("hears of %s", message.channel)
    if message.channel == "human_review.answered":
        ctx.publish("task_completed", Completed(ctx.cache.get(NOTES, "ranking"), message.payload["answer"]))
        return
    found = msgspec.convert(message.payload, Candidates)
    rivals = [answer["name"] for answer in follow.competing(found.ranking)]
    best = rivals or [answer["name"] for answer in found.ranking["answers"][:1]]
    ctx.publish("evaluation_results", Evaluation(found.round, best, len(found.leads)))
    if found.leads:
        ctx.publish("gap_questions", Gap(found.round + 1, found.leads))
    elif rivals:
        ctx.cache.set(NOTES, "ranking", found.ranking)
        ctx.publish("human_review", which(ctx.cache.get(NOTES, "asked")["question"], rivals))
    else:
        ctx.publish("task_completed", Completed(found.ranking))


@agent(subscribe="report_request", publish="final_answer")
def reporter(completed: Completed, ctx: Context) -> Answer:
    """Show where the best answers are, what they say and how they are used, the one that was chosen first."""
    ctx.log.info("writes of %d answers", len(completed.ranking["answers"]))
    asked, library, query = (ctx.cache.get(NOTES, key) for key in ("asked", "library", "query"))
    rounds, known = (ctx.cache.get(NOTES, key) for key in ("evaluations", "known"))
    best = follow.chosen_first(completed.ranking["answers"], completed.chosen)[: asked["count"]]
    answers = illustrate.illustrate(Path(library["index"]), Path(library["folder"]), query, best)
    path = report.write(query, answers, library, completed.ranking, ctx.run_id)
    followed = known[len(query["names"]) :]
    return Answer(len(rounds), report.places(answers), str(path), followed, completed.chosen)


def _index(ctx: Context) -> Path:
    return Path(ctx.cache.get(NOTES, "library")["index"])
