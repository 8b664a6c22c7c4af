"""`dagger reviews`, `answer` and `instruct`: what runs ask people, and what people tell runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias

import typer

from dagger.app import Dagger
from dagger.cli import options, output
from dagger.cli.executing import Manner, execute
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.loading import NAMED, find_run, load_app, open_store, require_store
from dagger.cli.progress import Progress
from dagger.cli.summary import command
from dagger.cli.values import answer_of, inputs_of
from dagger.core.errors import DaggerError, ReviewNotFound, nearest
from dagger.core.events import Instructed, WaitOpened
from dagger.core.reviews import Review
from dagger.run import Run

RUNS_SEARCHED = 1_000
"""So many of the newest runs are searched for a review that is open no more, to say what became of it."""

Give: TypeAlias = Callable[[], Awaitable[bool]]
"""Gives a run what it is to be told, and says whether that is in its journal: else it is in the inbox."""


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
        output.write_json([_described(review, url) for review in found])
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
            await run.answer(asked.id, answer_of(value, asked.options), who)
            return all(each.id != asked.id for each in await run.reviews())

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

    return _tell(find, "the instruction", app, store, Manner(json, dot, log, quiet))


def _tell(
    find: Callable[[Dagger], Awaitable[tuple[Run, Give]]], what: str, app: str | None, store: str | None, manner: Manner
) -> int:
    """Tell a run something, and follow it if it goes on here."""
    why = ""

    def load() -> Dagger:
        nonlocal why
        if app is not None:
            application = load_app(app, store)
            require_store(application.store.url)
            return application
        is_elsewhere, place = asyncio.run(look())
        if is_elsewhere or not place:
            return open_store(store)
        try:
            return load_app(place, open_store(store).store.url)
        except DaggerError as error:
            why = f"\n  its application cannot be loaded: {error}"
            return open_store(store)

    async def look() -> tuple[bool, str]:
        reader = open_store(store)
        async with reader:
            found, _ = await find(reader)
            return reader.store.ownership(found.id) == "elsewhere", found.app

    async def begin(application: Dagger) -> tuple[Run, Progress] | None:
        found, give = await find(application)
        progress = Progress.of(application.store.read(found.id))
        if not await give():
            go_on = command("resume", found.id, application.store.url)
            output.write(f"{what} is recorded; nobody executes run {found.id} now{why}\n  go on: {go_on}")
        elif application.store.ownership(found.id) == "elsewhere":
            output.write(f"{what} is given; run {found.id} goes on in another process")
        else:
            return found, progress
        return None

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


def _described(review: Review, url: str) -> dict[str, Any]:
    words = ("id", "run_id", "step", "question", "options", "opened_at", "due_at")
    return {
        **{word: getattr(review, word) for word in words},
        "command": command("answer", review.id, url, "VALUE"),
    }


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
