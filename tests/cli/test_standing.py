"""dagger.cli.standing: what is told of a run beside its report."""

import asyncio
import datetime

from tests.cli.shell import left_waiting

from dagger.cli.loading import open_store
from dagger.cli.standing import Standing, standing_of
from dagger.letters import DeadLetter
from dagger.modes.agent import AgentDriven
from dagger.spec.message import Message

EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def standing(run_id):
    app = open_store("dagger.db")

    async def main():
        async with app:
            run = await app.get_run(run_id)
            return await standing_of(run, app.store, await run.report())

    return asyncio.run(main())


def test_a_run_that_waits_for_people_says_for_what(home):
    """And why; nothing could not be worked."""
    review = left_waiting("mine")

    found = standing("mine")
    assert [each.id for each in found.reviews] == [review]
    assert "waits for 1 review" in found.reason
    assert (found.invalid, found.awaits_instruction) == ([], False)
    assert [each["id"] for each in found.to_dict("dagger.db")["reviews"]] == [review]


def test_of_the_cache_only_instructions_count(home):
    """Whatever else the application keeps under such a key."""
    given = [{"action": "serch"}, {"action": "search", "params": {"q": "a"}}]
    left_waiting("three", AgentDriven("tea", keep_alive=True, instructions=given), review_frequency=1)

    (invalid,) = standing("three").invalid
    assert invalid["instruction"] == {"action": "serch"}


def test_each_instruction_that_could_not_be_worked_is_a_line():
    """With its error."""
    found = Standing("mine", "", [], [{"instruction": "{", "error": "E: no"}], awaits_instruction=False)

    assert list(found.skipped()) == ['skipped:  the instruction "{": E: no']


def test_dead_letters_stand_beside_the_report(shell):
    """Those that were not redelivered; given to programs, too."""
    shell("publish", "tasks", '{"word": "bad", "times": 1}', "--app", "crew.py", "--run-id", "mine")

    found = standing("mine")
    (letter,) = found.dead
    assert (letter.agent, letter.errors) == ("worker", ["ValueError: no such\nword"] * 2)
    assert [each["step"] for each in found.to_dict("dagger.db")["dead_letters"]] == [letter.step]
    shell("redeliver", "mine", letter.message_id)
    assert standing("mine").dead == []


def test_the_first_dead_letters_are_named_and_the_others_counted(home):
    """The command that redelivers is left out where nothing can be: the run is over, or was kept in memory only."""
    message = Message(id="4-1", channel="tasks", payload={}, timestamp=EPOCH, run_id="mine")
    letter = DeadLetter(message, "worker", ["ValueError: one", "ValueError: no such\nword"], EPOCH, "worker#4-1")
    found = Standing("mine", "", [], [], awaits_instruction=False, dead=[letter] * 7)

    name = "dead:    message 4-1 at worker after 2 attempts: ValueError: no such word"
    again = f"again:   dagger redeliver mine 4-1 --agent worker --store {home / 'dagger.db'}"
    more = f"and 2 more dead letters: dagger dead-letters mine --store {home / 'dagger.db'}"
    assert list(found.undelivered("dagger.db")) == [name, again] * 5 + [more]
    assert list(found._replace(is_over=True).undelivered("dagger.db")) == [name] * 5 + [more]
    assert list(found._replace(dead=[letter]).undelivered("memory:")) == [name]
