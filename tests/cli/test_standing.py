"""dagger.cli.standing: what is told of a run beside its report."""

import asyncio

from tests.cli.shell import left_waiting

from dagger.cli.loading import open_store
from dagger.cli.standing import Standing, standing_of
from dagger.modes.agent import AgentDriven


def standing(run_id):
    app = open_store("dagger.db")

    async def main():
        async with app:
            return await standing_of(await app.get_run(run_id), app.store)

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
    found = Standing("", [], [{"instruction": "{", "error": "E: no"}], awaits_instruction=False)

    assert list(found.skipped()) == ['skipped:  the instruction "{": E: no']
