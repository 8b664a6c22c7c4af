"""`dagger reviews`, `answer` and `instruct`: what runs ask people, and what people tell runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

import typer

from dagger.app import Dagger
from dagger.cli import options, output
from dagger.cli.executing import Manner, Told, execute
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.loading import NAMED, find_run, load_app, open_store, require_store
from dagger.cli.progress import Progress
from dagger.cli.standing import described, start_of
from dagger.cli.summary import command, resumption
from dagger.cli.values import answer_of, inputs_of
from dagger.core.errors import DaggerError, ReviewNotFound, nearest
from dagger.core.events import Instructed, WaitAnswered, WaitOpened
from dagger.core.reviews import Review
from dagger.modes.supervisor import HUMAN_REVIEW, SUPERVISOR
from dagger.run import Run

RUNS_SEARCHED = 1_000
"""So many of the newest runs are searched for a review that is open no more, to say what became of it."""

Give: TypeAlias = Callable[[], Awaitable[bool]]
"""Gives a run what it is to be told, and says whether that is in its journal: else it is in the inbox."""
Check: TypeAlias = Callable[[Run, Dagger, Dagger | None], str]
"""Raises UsageError for what the run's application would refuse later, or says that nobody could check it. The
second has the run's store, the third is the application, if it could be loaded."""


def reviews(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Only those of this run.")] = None,
    *,
    store: options.Store = None,
    json: options.Json = False,
) -> int:
    """List what runs ask people and nobody has answered yet, the oldest first."""
    app = open_store(store)

    async def look() -> list[Review]:
        async with app:
            return await app.reviews(limit=None) if run is None else await (await find_run(app, run)).reviews()

    found = asyncio.run(look())
    url = app.store.url
    if json:
        output.write_json([described(review, url) for review in found])
    elif found:
        output.write_table(list(_COLUMNS), [_row(review) for review in found], elastic=["question", "options", "step"])
        output.say(f"to answer: {command('answer', 'REVIEW', url, 'VALUE')}")
    else:
        output.say("no reviews: nobody is asked anything")
    return SUCCESS


def answer(
    review: Annotated[
        str, typer.Argument(metavar="REVIEW", help="A review's id, or as much of its beginning as is unique.")
    ],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="One of the options; JSON, or else a text.")],
    *,
    who: Annotated[
        str | None, typer.Option("--who", metavar="NAME", help="Who answers: default: the user.", show_default=False)
    ] = None,
    app: options.App = None,
    store: options.Store = None,
    json: options.Json = False,
    dot: options.Dot = None,
    log: options.Log = None,
    quiet: options.Quiet = False,
) -> int:
    """Answer what a run asks.

    The process that executes the run is told. Where there is none, the run goes on here, as by `dagger resume`.
    """

    async def find(application: Dagger) -> tuple[Run, Give]:
        asked = await _find_review(application, review)
        run = await application.get_run(asked.run_id)

        async def give() -> bool:
            after = application.store.last_seq(run.id)
            await run.answer(asked.id, answer_of(value, asked.options), who)
            events = (each.event for each in application.store.read(run.id, after))
            return any(isinstance(event, WaitAnswered) and event.review == asked.id for event in events)

        return run, give

    return _tell(find, "the answer", app, store, Manner(json, dot, log, quiet))


def instruct(
    run: options.RunId,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="The action that is to be called.")],
    *,
    inputs: options.Inputs = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher ones are worked first.")] = 0,
    app: options.App = None,
    store: options.Store = None,
    json: options.Json = False,
    dot: options.Dot = None,
    log: options.Log = None,
    quiet: options.Quiet = False,
) -> int:
    """Give a run's supervisor an instruction: an action, and with -i its inputs.

    The process that executes the run is told. Where there is none, the run goes on here, as by `dagger resume`.
    """
    params = inputs_of(inputs or ())

    async def find(application: Dagger) -> tuple[Run, Give]:
        found = await find_run(application, run)

        async def give() -> bool:
            after = application.store.last_seq(found.id)
            await found.instruct(action, params, priority)
            return any(isinstance(each.event, Instructed) for each in application.store.read(found.id, after))

        return found, give

    def check(found: Run, reader: Dagger, known: Dagger | None) -> str:
        spec = start_of(found, reader.store).spec
        if (spec.mode, spec.name) != ("agent", SUPERVISOR):
            return ""  # another supervisor takes what it likes, or there is none
        if known is None:
            return f"\n  nobody could check that there is an action {action!r}"
        names = [*known.actions, HUMAN_REVIEW]
        if action not in names:
            raise UsageError(f"{known.address} has no action {action!r}{nearest(action, names)}")
        return ""

    return _tell(find, "the instruction", app, store, Manner(json, dot, log, quiet), check=check)


def _tell(
    find: Callable[[Dagger], Awaitable[tuple[Run, Give]]],
    what: str,
    app: str | None,
    store: str | None,
    manner: Manner,
    *,
    check: Check | None = None,
) -> int:
    """Tell a run something, if it can be of use, and follow it if it goes on here."""
    known: Dagger | None = None
    why = ""

    def load() -> Dagger:
        nonlocal known, why
        if app is not None:
            known = load_app(app, store)
            require_store(known.store.url)
            return known
        is_elsewhere, place = asyncio.run(look())
        reader = open_store(store)
        if is_elsewhere and check is None:
            return reader
        try:
            known = load_app(place, reader.store.url) if place else None
        except DaggerError as error:
            why = f"\n  its application cannot be loaded: {error}"
        return reader if known is None or is_elsewhere else known

    async def look() -> tuple[bool, str]:
        reader = open_store(store)
        async with reader:
            found, _ = await find(reader)
            return reader.store.ownership(found.id) == "elsewhere", found.app

    async def begin(application: Dagger) -> tuple[Run, Progress] | Told:
        found, give = await find(application)
        unchecked = f"{why}{check(found, application, known)}" if check is not None else why
        progress = Progress.of(application.store.read(found.id))
        values = {"run_id": found.id, "is_executed": True, "go_on": None}
        if not await give():
            go_on = resumption(found.id, application.store.url, "MODULE:NAME")
            text = f"{what} is recorded; nobody executes run {found.id} now{unchecked}\n  go on: {go_on}"
            return Told(text, {**values, "status": found.status, "is_executed": False, "go_on": go_on})
        if application.store.ownership(found.id) == "elsewhere":
            text = f"{what} is given; run {found.id} goes on in another process{unchecked}"
            return Told(text, {**values, "status": found.status})
        return found, progress

    return execute(load, begin, manner)


async def _find_review(app: Dagger, text: str) -> Review:
    """The open review of this id, or the only one whose id begins so. Raises as Run.answer does."""
    open_ones = await app.reviews(limit=None)
    fitting = [each for each in open_ones if text and each.id.startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        named = ", ".join(each.id for each in fitting[:NAMED])
        raise UsageError(f"{text!r} fits {len(fitting)} reviews: {named}; give more of the id")
    for run in await app.runs(limit=RUNS_SEARCHED):
        for recorded in app.store.read(run.id):
            if isinstance(recorded.event, WaitOpened) and recorded.event.review == text != "":
                await run.answer(text, None)  # which refuses, and says why
    url = app.store.url
    near = nearest(text, [each.id for each in open_ones]) or f"; `dagger reviews --store {url}` lists the open ones"
    raise ReviewNotFound(f"there is no review {text!r} in {url}{near}")


_COLUMNS: dict[str, Callable[[Review], str]] = {
    "review": lambda review: review.id,
    "run": lambda review: review.run_id,
    "step": lambda review: review.step,
    "question": lambda review: review.question,
    "options": lambda review: output.question("", review.options).strip(),
    "since": lambda review: output.local_time(review.opened_at),
    "until": lambda review: "" if review.due_at is None else output.local_time(review.due_at),
}


def _row(review: Review) -> list[str]:
    return [cell(review) for cell in _COLUMNS.values()]
