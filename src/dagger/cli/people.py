"""`dagger reviews`, `answer` and `instruct`: what runs ask people, and what people tell runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from dagger.app import Dagger
from dagger.cli import options, output
from dagger.cli.executing import Told
from dagger.cli.exits import SUCCESS, UsageError
from dagger.cli.loading import NAMED, find_run, open_store
from dagger.cli.standing import described, start_of
from dagger.cli.summary import command
from dagger.cli.telling import Give, tell
from dagger.cli.values import answer_of, inputs_of
from dagger.core.errors import ReviewNotFound, nearest
from dagger.core.events import Instructed, WaitAnswered, WaitOpened
from dagger.core.orders import Answer
from dagger.core.reviews import Review, answer_text
from dagger.ids import fresh_id, user_name
from dagger.modes.supervisor import HUMAN_REVIEW, SUPERVISOR
from dagger.run import Run

RUNS_SEARCHED = 1_000
"""So many of the newest runs are searched for a review that is open no more, to say what became of it."""


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
    manner: options.Manner,
) -> int:
    """Answer what a run asks.

    The process that executes the run is told. Where there is none, the run goes on here, as by `dagger resume`; for one
    that is kept alive, the answer waits in its inbox.
    """

    async def find(application: Dagger) -> tuple[Run, Give]:
        asked = await _find_review(application, review)
        run = await application.get_run(asked.run_id)

        async def give() -> Told | None:
            after = application.store.last_seq(run.id)
            await run.answer(asked.id, answer_of(value, asked.options), who)
            events = (each.event for each in application.store.read(run.id, after))
            is_there = any(isinstance(event, WaitAnswered) and event.review == asked.id for event in events)
            return Told("the answer is given", {}) if is_there else None

        return run, give

    async def leave(found: Run, reader: Dagger, _: Dagger | None) -> Told | None:
        asked = await _find_review(reader, review)
        text = answer_text(answer_of(value, asked.options), asked.options, asked.id)
        given_by = user_name() if who is None else who
        order = Answer(id=fresh_id(), step=asked.step, key=asked.key, value=text, who=given_by)
        await reader.store.send(found.id, order)
        return None

    return tell(find, "the answer", app, store, manner, leave=leave)


def instruct(
    run: options.RunId,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="The action that is to be called.")],
    *,
    inputs: options.Inputs = None,
    priority: Annotated[int, typer.Option("--priority", metavar="N", help="Higher ones are worked first.")] = 0,
    app: options.App = None,
    store: options.Store = None,
    manner: options.Manner,
) -> int:
    """Give a run's supervisor an instruction: an action, and with -i its inputs.

    The process that executes the run is told. Where there is none, the run goes on here, as by `dagger resume`.
    """
    params = inputs_of(inputs or ())

    async def find(application: Dagger) -> tuple[Run, Give]:
        found = await find_run(application, run)

        async def give() -> Told | None:
            after = application.store.last_seq(found.id)
            await found.instruct(action, params, priority)
            is_there = any(isinstance(each.event, Instructed) for each in application.store.read(found.id, after))
            return Told("the instruction is given", {}) if is_there else None

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

    return tell(find, "the instruction", app, store, manner, check=check)


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
