"""The 22 defects of the library that this one grew out of (SPEC 14): each has tests, some of them here, for agents."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from tests.mailed import events_of, execute, executed, run, sends

from dagger import AgentDriven, Cache, Context, Dagger, EventDriven, MessageInvalid, agent

START = EventDriven("start", 0)
DEFECTS = {
    "1 a delta overwrites the saved cache": (
        "test_what_agents_have_written_stays_whoever_writes_next",
        "test_concurrent_appends_and_additions_are_never_lost",
    ),
    "2 the cache's JSON cannot be read back": (
        "test_the_cache_of_agents_reads_back_as_it_was_written",
        "test_what_to_json_writes_from_json_reads",
    ),
    "3 strings lose their quotes": ("test_payloads_keep_their_types_and_quotes",),
    "4 ids from six digits of a clock": (
        "test_nodes_that_agents_add_at_one_time_have_ids_of_their_own",
        "test_what_was_added_is_added_alike_after_a_crash",
    ),
    "5 of two messages in one millisecond one vanishes": (
        "test_two_messages_of_one_millisecond_at_two_agents_are_four_attempts_each_once",
    ),
    "6 the second agent of a channel replaces the first": (
        "test_two_messages_of_one_millisecond_at_two_agents_are_four_attempts_each_once",
        "test_a_name_is_taken_once",
    ),
    "7 execute never returns": ("test_the_originals_own_example_returns",),
    "8 agents share no cache": ("test_agents_and_nodes_share_one_cache",),
    "9 a full channel blocks for ever": ("test_a_cycle_of_three_agents_with_room_for_one_message_each_finishes",),
    "10 settings that are declared and never used": (
        "test_an_output_schema_is_kept",
        "test_three_tries_with_backoff_then_a_dead_letter_with_its_errors_then_mended_and_redelivered",
        "test_tokens_and_time_are_the_runs",
        "test_a_run_that_paused_for_want_of_an_answer_is_resumed_with_it",
    ),
    "11 one at a time, with 100 ms of sleep": (
        "test_handling_messages_takes_no_time_of_its_own",
        "test_two_hundred_waiting_nodes_wait_at_once",
    ),
    "12 resuming runs everything again": (
        "test_a_resumed_run_handles_nothing_again",
        "test_mended_and_resumed_in_another_process_the_first_steps_do_not_run_again",
    ),
    "13 each message costs more than the one before": ("test_a_message_costs_the_same_however_many_went",),
    "14 max_iterations stops what it should not": (
        "test_messages_are_no_iterations",
        "test_a_supervisor_that_never_finishes_ends_at_the_limit",
        "test_iterations_are_counted_and_nothing_else",
    ),
    "15 the supervisor runs once": (
        "test_a_supervisor_goes_on_while_agents_are_at_work",
        "test_five_iterations_of_two_nodes_each_that_feed_the_next",
    ),
    "16 dependents of a failed node run": (
        "test_a_thousand_messages_of_a_handler_that_raises_do_not_get_out",
        "test_continue_skips_what_depends_on_the_failed_step_and_names_it",
    ),
    "17 a directory's bad files are ignored": (
        "test_a_directory_with_bad_files_raises_one_error_with_all_problems_of_all",
    ),
    "18 DOT is not escaped, and cut in the middle of a character": (
        "test_every_text_is_drawn_as_it_is",
        "test_graphviz_draws_every_text_as_it_is",
        "test_long_texts_of_a_frame_are_cut",
    ),
    "19 the timeout is checked at publishing only": (
        "test_the_runs_time_is_over_while_nobody_publishes",
        "test_a_delivery_times_out_as_a_step_does",
    ),
    "20 the human agent panics at its end": ("test_a_question_that_nobody_answered_goes_with_its_run",),
    "21 unset fields override set ones": (
        "test_a_run_of_agents_merges_only_what_is_set",
        "test_only_fields_that_were_set_override",
    ),
    "22 names are lower-cased at load": ("test_channels_and_agents_are_called_as_they_are_written",),
}
"""The number and name of each -> the tests that fail if it comes back, wherever they are."""


def test_every_defect_has_tests_that_exist():
    """Each of the 22, by its number."""
    texts = "".join(file.read_text() for file in Path(__file__).parent.rglob("test_*.py"))
    known = set(re.findall(r"^def (test_\w+)\(", texts, re.MULTILINE))

    assert [int(name.split()[0]) for name in DEFECTS] == list(range(1, 23))
    assert [(name, each) for name, tests in DEFECTS.items() for each in tests if each not in known] == []


@agent(subscribe="start", publish="next")
async def source(payload: object, ctx: Context):
    """It writes a text, and passes on what it was given."""
    ctx.cache.set("global", "source", 'a "b"')
    ctx.publish("next", payload)


@agent(name="next", subscribe="next")
async def reads(payload: object, ctx: Context):
    """It adds to what the one before has written."""
    ctx.cache.set("global", "got", ctx.cache.get("global", "source", None))
    ctx.cache.append("global", "payloads", payload)


def test_what_agents_have_written_stays_whoever_writes_next(world):
    """Defect 1: also in the next application, which writes more to it."""

    async def begin(app):
        handle = await app.start(EventDriven("start", 1, keep_alive=True), run_id="r")
        await asyncio.sleep(5)
        return handle.status

    async def go_on(app):
        handle = await app.get_run("r")
        await handle.publish("start", 2)
        await asyncio.sleep(1)
        keys = sorted(handle.cache.keys("global")), handle.cache.get("global", "payloads")
        await handle.cancel()
        return keys

    assert run(world, begin, source, reads) == "waiting"
    assert run(world, go_on, source, reads) == (["got", "payloads", "source"], [1, 2])


VALUES = ["1", 1, 1.5, True, None, 'a "b" \\ c', "null", "", {"1": ["x", {}]}, "ü😀\n"]


def test_the_cache_of_agents_reads_back_as_it_was_written(world):
    """Defect 2: `to_json` and `from_json` are of one form."""

    async def main(app):
        await app.execute(EventDriven("start", VALUES), run_id="r")
        cache = (await app.get_run("r")).cache
        return cache.to_json(), Cache.from_json(cache.to_json()).to_json(), cache.get("global", "payloads")

    written, again, payloads = run(world, main, source, reads)
    assert written == again
    assert payloads == [VALUES]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_payloads_keep_their_types_and_quotes(tmp_path, world, value):
    """Defect 3: `"1"` is not `1`, on its way and in the cache."""
    seen = []

    @agent(subscribe="next")
    async def looks(payload: object):
        seen.append(payload)

    assert execute(world, EventDriven("start", value), source, looks).report.status == "succeeded"
    assert [(type(each), each) for each in seen] == [(type(value), value)]


def test_nodes_that_agents_add_at_one_time_have_ids_of_their_own(world):
    """Defect 4: 200 at the same moment, of two agents."""

    async def leaf():
        return 1

    def adds(name):
        @agent(name=name, subscribe="each", concurrency=50)
        async def handler(payload: object, ctx: Context):
            ctx.add_node("leaf")

        return handler

    found = execute(world, START, sends(100, "each"), adds("one"), adds("two"), leaf)
    assert found.report.status == "succeeded"
    assert len([step for step in found.report.outputs if step.startswith("leaf")]) == 200


def test_agents_and_nodes_share_one_cache(world):
    """Defect 8: what an agent has written, the next one reads, and so does a node that it adds."""
    found = []

    async def node(ctx: Context):
        found.append(ctx.cache.get("global", "source"))

    @agent(subscribe="next")
    async def adds(payload: object, ctx: Context):
        found.append(ctx.cache.get("global", "source"))
        ctx.add_node("node")

    assert execute(world, START, source, adds, node).report.status == "succeeded"
    assert found == ['a "b"', 'a "b"']


def test_an_output_schema_is_kept(world):
    """Defect 10: what it does not allow is not published, and every violation is told."""

    @agent(subscribe="start", publish="next", output_schema={"type": "object", "required": ["a", "b"]})
    async def wrong(payload: object):
        return {}

    error = execute(world, START, wrong, reads).report.error
    assert error == (
        f"wrong#1-1: {MessageInvalid.__name__}: agent 'wrong': message for channel 'next': at $: \"a\" is a required "
        "property (schema of agent 'wrong'); at $: \"b\" is a required property (schema of agent 'wrong')"
    )


def test_handling_messages_takes_no_time_of_its_own(world):
    """Defect 11: 500 messages through two agents, and the clock stands still; two agents sleep at the same time."""

    @agent(subscribe="next")
    async def also(payload: int):
        if payload == 1:
            await asyncio.sleep(60)

    @agent(subscribe="next")
    async def too(payload: int):
        if payload == 1:
            await asyncio.sleep(60)

    execute(world, START, sends(500, "next"), reads)
    assert world.clock.passed_seconds == 0
    run(world, lambda app: app.execute(START), sends(5, "next"), also, too)
    assert world.clock.passed_seconds == 60


def test_a_resumed_run_handles_nothing_again(world):
    """Defect 12: paused by somebody, then by a dead letter: what was cut off, waits or failed goes on, and no more."""
    seen = []

    @agent(subscribe="next")
    async def slow(payload: int):
        seen.append(payload)
        if payload == 2 and len(seen) < 8:
            raise ValueError(payload)
        await asyncio.sleep(10)

    async def main(app):
        handle = await app.start(START, run_id="r", config={"on_failure": "pause"})
        await asyncio.sleep(25)
        await handle.pause()
        paused = [*seen]
        report = await (await app.resume("r")).wait()
        dead = [letter.payload for letter in await handle.dead_letters()]
        mended = await (await app.resume("r")).wait()
        return paused, report.status, dead, mended.status

    assert run(world, main, sends(5, "next"), slow) == ([1, 2, 3, 4], "paused", [2], "succeeded")
    assert seen == [1, 2, 3, 4, *(4, 5, 2), 2]


def test_a_message_costs_the_same_however_many_went():
    """Defect 13: five times as many messages are at most six times as many calls, whatever they cost here."""

    def calls(count):
        counted = 0

        def count_call(frame, event, arg):
            nonlocal counted
            counted += event in {"call", "c_call"}

        async def main():
            async with Dagger("memory:", config={"max_messages": None}) as app:
                app.include(sends(count, "next"), reads)
                sys.setprofile(count_call)
                try:
                    report = await app.execute(START)
                finally:
                    sys.setprofile(None)
                assert report.status == "succeeded"

        asyncio.run(main())
        return counted

    calls(10)  # what is made once
    assert calls(1500) < 6 * calls(300)


def test_messages_are_no_iterations(world):
    """Defect 14: a limit of one supervisor's turn, and 200 messages."""
    found = run(world, lambda app: app.execute(START, config={"max_iterations": 1}), sends(200, "next"), reads)

    assert (found.status, found.iterations) == ("succeeded", 0)


def test_a_supervisor_goes_on_while_agents_are_at_work(world):
    """Defect 15: three turns, each of which publishes to an agent that takes its time."""
    turns = []

    async def supervise(ctx: Context):
        turns.append(ctx.node.iteration.number)
        ctx.publish("next", turns[-1])
        if len(turns) < 3:
            ctx.add_node("leaf")

    async def leaf():
        await asyncio.sleep(1)

    @agent(subscribe="next")
    async def slow(payload: int):
        await asyncio.sleep(30)

    found = run(world, lambda app: executed(app, AgentDriven("t", supervisor="supervise")), supervise, leaf, slow)
    assert (turns, found.report.status, round(world.clock.passed_seconds)) == ([1, 2, 3], "succeeded", 90)


def test_the_runs_time_is_over_while_nobody_publishes(world):
    """Defect 19: an agent that hangs is cut off at the run's timeout."""

    @agent(subscribe="start")
    async def hangs(payload: object):
        await asyncio.Event().wait()

    report = run(world, lambda app: app.execute(START, config={"timeout_seconds": 50}), hangs)
    assert (report.status, report.error) == ("failed", "RunTimedOut: timeout_seconds of 50 used up")
    assert world.clock.passed_seconds == pytest.approx(50, abs=0.5)


def test_a_question_that_nobody_answered_goes_with_its_run(world):
    """Defect 20: cancelled while it waits, and closed while it waits; nothing is left to be answered."""

    @agent(subscribe="start", publish="human_review")
    async def asks(payload: object):
        return {"question": "Well?"}

    async def main(app):
        handle = await app.start(START, run_id="r")
        await asyncio.sleep(1)
        asked = len(await app.reviews())
        report = await handle.cancel("enough")
        return asked, report.status, await app.reviews(), await events_of(handle, "StepFailed")

    assert run(world, main, asks) == (1, "cancelled", [], [])


def test_a_run_of_agents_merges_only_what_is_set(world):
    """Defect 21: what the call leaves out stays as the application has it, and keep_alive brings two settings only."""

    async def main(app):
        await app.start(EventDriven("start", keep_alive=True), run_id="r", config={"channel_capacity": 7})
        config = app.tenure("r").state.config
        return config.channel_capacity, config.on_failure, config.max_attempts, config.max_messages, config.max_tokens

    options = {"config": {"on_failure": "continue", "max_tokens": 9}}
    assert run(world, main, source, **options) == (7, "continue", 1, None, 9)


def test_channels_and_agents_are_called_as_they_are_written(world):
    """Defect 22: `Tasks` is not `tasks`, in the run and in its journal."""
    seen = []

    def named(name, channel):
        @agent(name=name, subscribe=channel)
        async def handler(payload: object):
            seen.append(name)

        return handler

    found = execute(world, EventDriven("Tasks", 1), named("Worker", "Tasks"), named("worker", "tasks"))
    assert seen == ["Worker"]
    assert [each.name for each in found.events[0].agents if each.name != "human_review"] == ["Worker", "worker"]
