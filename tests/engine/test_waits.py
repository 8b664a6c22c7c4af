"""Waits: what steps wait for that may outlive their process: opened, due, answered, and found again."""

import asyncio

import pytest
from tests.engine.test_awaiting import Counted
from tests.worlds import HOUR, World

from dagger import Context, Dagger, Graph, NonRetryable, Static, action, agent

# -- sleep ---------------------------------------------------------------------------------------------------


def test_a_sleep_takes_as_long_as_it_says_and_no_active_time(world):
    """The clock goes on by an hour; the run's own stands still meanwhile."""

    async def nap(ctx: Context):
        await ctx.sleep(HOUR)
        world.tell("woke")
        return 7

    report = world.execute(nap)
    assert (report.status, report.outputs, report.duration) == ("succeeded", {"n0": {"output": 7}}, 0)
    assert world.told == [("woke", HOUR)]
    assert world.types == [
        "RunStarted", "WaitOpened", "StepStarted", "RunWaiting", "RunParked", "RunWoken", "WaitAnswered",
        "StepSucceeded", "RunEnded",
    ]  # fmt: skip


def test_a_failed_attempt_leaves_its_sleep_under_way(world):
    """The next attempt waits for the rest of it, and for none of one that is over."""

    async def nap(ctx: Context):
        await ctx.sleep(2)
        world.tell(f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            raise ValueError("after the first")
        later = asyncio.create_task(ctx.sleep(4, key="second"))
        if ctx.attempt == 2:
            await asyncio.sleep(1)
            raise ValueError("beside the second")
        await later

    report = world.execute(nap)
    assert (report.status, report.error) == ("succeeded", None)
    assert world.told == [("attempt 1", 2), ("attempt 2", 2), ("attempt 3", 3)]
    assert world.clock.passed_seconds == 6


@pytest.mark.parametrize("seconds", [2, 1000], ids=["waiting", "parked"])
def test_a_sleep_goes_on_in_another_process(world, seconds):
    """Only the rest is waited for, and the code begins again when that is over."""

    async def nap(ctx: Context):
        world.tell("begins")
        await ctx.sleep(HOUR)
        world.tell("slept")
        await ctx.sleep(0)
        return 1

    report = world.twice(nap, nap, seconds)
    assert report.status == "succeeded"
    assert world.told == [("begins", 0), ("begins", HOUR), ("slept", HOUR)]


def test_a_run_that_was_woken_and_goes_on_is_not_parked_amid_its_work(world):
    """What it does after the last sleep is told as going on, and outlasts the time after which it would be parked."""

    async def short(ctx: Context):
        await ctx.sleep(20)

    async def long(ctx: Context):
        await ctx.sleep(23)
        await asyncio.sleep(10)

    report = world.execute(short, long)
    assert (report.status, report.duration, world.clock.passed_seconds) == ("succeeded", 10, 33)
    assert world.types[-5:] == ["WaitAnswered", "RunWoken", "StepStarted", "StepSucceeded", "RunEnded"]


def test_a_sleep_of_a_failed_step_ends_quietly_while_its_failure_action_is_at_work(world, caplog):
    """Also in a process that has taken the run over, when the sleep would be due after the step has recovered."""

    async def fails(ctx: Context):
        asyncio.create_task(ctx.sleep(100))  # noqa: RUF006 - it is left behind
        await asyncio.sleep(1)
        raise NonRetryable("no")

    async def mends(ctx: Context):
        await asyncio.sleep(30)
        ctx.recover({"output": 1})

    def application():
        app = Dagger(world.store(), clock=world.clock)
        graph = Graph("g")
        graph.add(fails, failure=mends)
        graph.add(works)
        app.include(action(fails), action(mends), action(works))
        app.add_graph(graph)
        return app

    async def works():
        await asyncio.sleep(500)

    async def begin():
        async with application() as app:
            await app.start(Static("g"), run_id="r")
            await asyncio.sleep(5)

    async def go_on():
        async with application() as app:
            (run,) = await app.recover()
            return (await run.wait()).status

    world.clock.run(begin())
    assert world.clock.run(go_on()) == "succeeded"
    assert "Timers" not in caplog.text


def test_work_that_was_cut_off_beside_a_sleep_begins_again_at_once(world):
    """Code that did more than wait when its process died is not left asleep until the wait is due."""

    async def busy(ctx: Context):
        world.tell("begins")
        sleeping = asyncio.create_task(ctx.sleep(HOUR))
        await asyncio.sleep(100)
        world.tell("worked")
        await sleeping

    world.twice(busy, busy, 50)
    assert world.told == [("begins", 0), ("begins", 50), ("worked", 150), ("begins", HOUR), ("worked", HOUR + 100)]


def test_sleeps_in_a_row_have_keys_of_their_own(world):
    """A loop needs no keys: each is known by its place."""

    async def ticks(ctx: Context):
        for _ in range(3):
            await ctx.sleep(10)
            world.tell("tick")

    world.execute(ticks)
    assert [at for what, at in world.told if what == "tick"][-1] == 30
    assert world.types.count("WaitOpened") == world.types.count("WaitAnswered") == 3


@pytest.mark.parametrize(
    ("seconds", "key", "error"),
    [
        (-1, None, "StepError: node 'n0': sleep takes seconds from 0 to 3,162,240,000, not -1"),
        (float("nan"), None, "StepError: node 'n0': sleep takes seconds from 0 to 3,162,240,000, not nan"),
        (1e20, None, "StepError: node 'n0': sleep takes seconds from 0 to 3,162,240,000, not 1e+20"),
        (True, None, "StepError: node 'n0': sleep takes seconds from 0 to 3,162,240,000, not True"),
        ("5", None, "StepError: node 'n0': sleep takes seconds from 0 to 3,162,240,000, not '5'"),
        (1, "", "StepError: node 'n0': sleep: a key is a text that is not empty, not ''"),
        (1, 5, "StepError: node 'n0': sleep: a key is a text that is not empty, not 5"),
        (1, "\ud800", r"StepError: node 'n0': sleep: a key is a text that is not empty, not '\ud800'"),
    ],
    ids=range(8),
)
def test_a_sleep_that_cannot_be_is_refused(world, seconds, key, error):
    """Seconds that are none, keys that could not be read back."""

    async def nap(ctx: Context):
        await ctx.sleep(seconds, key=key)

    report = world.execute(nap, config={"max_attempts": 1, "on_failure": "stop"})
    assert report.error == f"n0: {error}"


# -- several at once -----------------------------------------------------------------------------------------


def test_two_sleeps_at_once_need_keys(world):
    """By its place alone, none of them would be known again."""

    async def nap(ctx: Context):
        await asyncio.gather(ctx.sleep(1), ctx.sleep(2))

    report = world.execute(nap, config={"max_attempts": 1, "on_failure": "stop"})
    told = "another sleep of this step is open; where several are open each needs a key"
    assert report.error == f"n0: StepError: node 'n0': sleep: {told}"


def test_a_key_comes_once_in_an_attempt(world):
    """Two waits under one key would be one."""

    async def nap(ctx: Context):
        await ctx.sleep(1, key="k")
        await ctx.sleep(1, key="k")

    report = world.execute(nap, config={"max_attempts": 1, "on_failure": "stop"})
    told = "the key 'k' is used twice in one attempt: give each wait a key of its own"
    assert report.error == f"n0: StepError: node 'n0': sleep: {told}"


async def gather(*coroutines):
    await asyncio.gather(*coroutines)


async def group(*coroutines):
    async with asyncio.TaskGroup() as tasks:
        for coroutine in coroutines:
            tasks.create_task(coroutine)


async def tasks_in_turn(*coroutines):
    for task in [asyncio.create_task(coroutine) for coroutine in coroutines]:
        await task


async def nested(first, *others):
    await asyncio.gather(first, asyncio.create_task(group(*others)))


@pytest.mark.parametrize("together", [gather, group, tasks_in_turn, nested])
def test_sleeps_at_once_are_rested_and_parked_together(world, together):
    """The run wakes for the first, rests again until the last, and neither clock has moved."""

    async def nap(ctx: Context):
        world.tell("begins")
        await together(*(ctx.sleep(hours * HOUR, key=str(hours)) for hours in (1, 2, 3)))
        return 1

    report = world.execute(nap, config={"timeout_seconds": 100, "max_attempts": 1})
    assert (report.status, report.duration, round(world.clock.passed_seconds)) == ("succeeded", 0, 3 * HOUR)
    assert world.told == [("begins", hours * HOUR) for hours in range(4)]
    assert world.types.count("RunParked") == 3


@pytest.mark.parametrize("together", [gather, group])
def test_an_attempt_of_which_one_of_two_short_waits_is_answered_rests_on(world, together):
    """Without being parked in between, its clock and its slot are free until the other."""

    async def nap(ctx: Context):
        await together(ctx.sleep(2, key="a"), ctx.sleep(6, key="b"))

    async def beside():
        world.tell("beside")

    report = world.execute(nap, beside, nodes=1, config={"max_parallel": 1, "timeout_seconds": 1})
    assert (report.status, report.duration) == ("succeeded", 0)
    assert world.types.count("RunParked") == 0


@pytest.mark.parametrize("together", [gather, group, tasks_in_turn, nested])
def test_work_beside_an_open_wait_is_not_parked_away(world, together):
    """The attempt rests when the work is done, and not before."""

    async def work():
        world.tell("works")
        await asyncio.sleep(60)
        world.tell("worked")

    async def both(ctx: Context):
        await together(work(), ctx.sleep(HOUR, key="a"), ctx.sleep(2 * HOUR, key="b"))

    report = world.execute(both)
    assert world.told[:2] == [("works", 0), ("worked", 60)]
    assert report.status == "succeeded"
    assert 60 <= report.duration < 190  # 60 s of work before each of three wakings, looked at once a second


@pytest.mark.parametrize("count", [2, 200])
def test_code_is_looked_at_once_however_many_waits_it_opens(world, count):
    """Two hundred sleeps that open and end together are as much to look through as two: once each."""

    async def many(ctx: Context):
        work = Counted()
        asyncio.get_running_loop().call_later(0.5, work.set_result, None)
        sleeps = [ctx.sleep(0.2, key=str(index)) for index in range(count)]
        await asyncio.gather(work, *sleeps)
        return work.looks

    assert world.execute(many).outputs["n0"]["output"] <= 3


# -- waits that are given up ---------------------------------------------------------------------------------


def test_code_that_gives_up_a_sleep_goes_on(world):
    """A timeout of its own ends the waiting; the wait stays in the journal, and answers at once in a later attempt."""

    async def impatient(ctx: Context):
        try:
            async with asyncio.timeout(1):
                await ctx.sleep(100)
        except TimeoutError:
            world.tell("given up")
        await asyncio.sleep(50)
        world.tell("worked")
        await ctx.sleep(200)
        return 1

    report = world.execute(impatient, config={"max_parallel": 1})
    assert (report.status, report.duration) == ("succeeded", 3 * 50)
    assert world.told == [("given up", 1), ("worked", 51), ("worked", 150), ("worked", 251 + 50)]


@pytest.mark.parametrize("seconds", [0.9, 1.9])
def test_a_sleep_that_was_given_up_does_not_keep_the_run_from_resting(world, seconds):
    """When it is due in vain, the run says what it waits for now, and until when."""

    async def impatient(ctx: Context):
        try:
            async with asyncio.timeout(0.1):
                await ctx.sleep(seconds)
        except TimeoutError:
            await ctx.sleep(HOUR)

    async def main():
        async with world.application(impatient) as app:
            run = await app.start(Static("g"), run_id="r")
            await asyncio.sleep(2)
            row = app.store.row("r")
            assert (run.status, run.reason) == ("waiting", "waits for 1 sleep")
            return row.wake_at - world.clock.now_ms()

    assert world.clock.run(main()) == pytest.approx((HOUR - 1.9) * 1000)


@pytest.mark.parametrize("limit", ["timeout", "wait_for"])
def test_a_time_limit_around_a_sleep_is_kept(world, limit):
    """A run is not parked while code has a limit of its own that only it can keep."""

    async def limited(ctx: Context):
        try:
            if limit == "wait_for":
                await asyncio.wait_for(ctx.sleep(HOUR), 100)
            else:
                async with asyncio.timeout(100):
                    await ctx.sleep(HOUR)
        except TimeoutError:
            world.tell("given up")

    assert world.execute(limited).status == "succeeded"
    assert world.told == [("given up", 100)]
    assert "RunParked" not in world.types


def test_a_time_limit_that_has_passed_keeps_nobody_from_parking(world):
    """The next wait is parked as any other."""

    async def limited(ctx: Context):
        async with asyncio.timeout(3):
            await ctx.sleep(1)
        await ctx.sleep(HOUR)

    assert world.execute(limited).status == "succeeded"
    assert world.types.count("RunParked") == 1


def test_code_that_goes_on_after_giving_up_waits_for_a_slot(world):
    """max_parallel 1 is kept: what took the slot meanwhile ends first."""
    at_work = []

    async def impatient(ctx: Context):
        try:
            async with asyncio.timeout(1):
                await ctx.sleep(100)
        except TimeoutError:
            at_work.append("impatient")
            world.tell(tuple(at_work))

    async def works():
        at_work.append("works")
        await asyncio.sleep(10)
        at_work.remove("works")

    world.execute(impatient, works, config={"max_parallel": 1})
    assert world.told == [(("impatient",), 10)]


def test_a_part_that_gives_up_while_its_attempt_waits_for_a_slot_waits_with_it(world):
    """The one sleep is over, the other is given up: neither goes on before the slot is free."""

    async def limited(ctx: Context):
        try:
            async with asyncio.timeout(4):
                await ctx.sleep(100, key="long")
        except TimeoutError:
            world.tell("given up")

    async def impatient(ctx: Context):
        await asyncio.gather(ctx.sleep(2, key="short"), limited(ctx))

    async def works():
        await asyncio.sleep(10)

    world.execute(impatient, works, config={"max_parallel": 1})
    assert world.told == [("given up", 10)]


async def left_behind(world, ctx):
    """A task that an attempt left waiting when it failed."""
    try:
        await ctx.sleep(50, key="k")
    except asyncio.CancelledError:
        world.tell(f"ended of attempt {ctx.attempt}")
        raise
    world.tell(f"slept in attempt {ctx.attempt}")


def test_code_that_a_failed_attempt_left_behind_ends_when_the_next_comes_to_its_wait(world):
    """The wait is answered once, to the attempt that goes on."""
    tasks = []

    async def leaves(ctx: Context):
        tasks.append(asyncio.create_task(left_behind(world, ctx)))
        await asyncio.sleep(1)
        if ctx.attempt == 1:
            raise ValueError("no")
        await tasks[-1]

    assert world.execute(leaves).status == "succeeded"
    assert world.told[0] == ("ended of attempt 1", 1)
    assert world.told[-1] == ("slept in attempt 2", 50)


def test_code_that_was_left_behind_ends_with_its_step(world):
    """Nobody will answer it, though the run goes on."""
    tasks = []

    async def leaves(ctx: Context):
        tasks.append(asyncio.create_task(left_behind(world, ctx)))
        await asyncio.sleep(1)

    async def works():
        await asyncio.sleep(100)

    assert world.execute(leaves, works).status == "succeeded"
    assert world.told == [("ended of attempt 1", 1)]


def test_code_that_was_left_behind_ends_with_its_run(world):
    """A run that is paused between two attempts leaves no task."""
    tasks = []

    async def leaves(ctx: Context):
        tasks.append(asyncio.create_task(left_behind(world, ctx)))
        await asyncio.sleep(1)
        raise ValueError("no")

    async def main(app):
        run = await app.start(Static("g"), run_id="r")
        await asyncio.sleep(5)
        await run.pause()
        await asyncio.wait(tasks, timeout=1)
        return [task.cancelled() for task in tasks]

    assert world.run(main, leaves, config={"retry_strategy": {"linear": {"delay_secs": 60}}}) == [True]


# -- timeouts and slots --------------------------------------------------------------------------------------


def test_ten_sleepers_share_one_slot(world):
    """While one rests another runs: all sleep together, and nothing of it counts as time."""

    async def nap(ctx: Context):
        world.tell("begins")
        await ctx.sleep(HOUR)
        world.tell("slept")

    report = world.execute(nap, nodes=10, config={"max_parallel": 1, "timeout_seconds": 100})
    assert (report.status, report.duration) == ("succeeded", 0)
    assert world.told[:10] == [("begins", 0)] * 10
    assert [at for what, at in world.told if what == "slept"] == [HOUR] * 10


def test_an_actions_own_slots_are_free_while_it_sleeps(world):
    """Its concurrency counts code at work."""

    @action(concurrency=1)
    async def nap(ctx: Context):
        await ctx.sleep(4)
        await asyncio.sleep(1)

    report = world.execute(nap, nodes=5)
    assert (report.status, report.duration) == ("succeeded", 5)  # one after the other, once they have slept
    assert world.clock.passed_seconds == 9


def test_the_timeout_of_an_attempt_counts_only_what_is_not_waited(world):
    """Three seconds of work fit into four, whatever is slept in between; five do not."""

    async def works(ctx: Context, times: int):
        for _ in range(times):
            await asyncio.sleep(1)
            await ctx.sleep(3)

    def outcome(times):
        async def main():
            app = Dagger(world.store(), clock=world.clock)
            graph = Graph("g", config={"max_attempts": 1, "on_failure": "stop"})
            graph.add(app.action(works), id="n", timeout=4, times=times)
            app.add_graph(graph)
            async with app:
                return (await app.execute(Static("g"))).error

        return world.clock.run(main())

    assert outcome(3) is None
    assert outcome(5) == "n: AttemptTimedOut: node 'n': attempt 1 timed out after 4 s"


# -- memo ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [2, 1000], ids=["waiting", "parked"])
def test_a_memo_runs_once(world, seconds):
    """Whatever begins again finds its result; plain functions and coroutines alike, with their arguments."""

    def plain(x, y):
        world.tell("plain")
        return {"sum": x + y}

    async def coroutine(x):
        await asyncio.sleep(1)
        world.tell("coroutine")
        return [x, None]

    async def remembers(ctx: Context):
        one = await ctx.memo("one", plain, 1, 2)
        two = await ctx.memo("two", coroutine, "ü")
        await ctx.sleep(HOUR)
        return [one, two]

    report = world.twice(remembers, remembers, seconds)
    assert report.outputs["n0"]["output"] == [{"sum": 3}, ["ü", None]]
    assert world.told == [("plain", 0), ("coroutine", 1)]


def test_a_memo_gives_what_a_later_attempt_gets(world):
    """A tuple is a list and a number a key from the first time on: nobody sees what replay would not give."""

    async def remembers(ctx: Context):
        return [type(await ctx.memo("k", lambda: (1, 2))).__name__, ctx.attempt]

    assert world.execute(remembers).outputs["n0"]["output"] == ["list", 1]


def test_a_memo_that_fails_is_tried_again(world):
    """Only a success is kept."""
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("no")
        return "yes"

    async def remembers(ctx: Context):
        return await ctx.memo("k", flaky)

    report = world.execute(remembers)
    assert (report.outputs["n0"], len(tries)) == ({"output": "yes"}, 3)
    assert report.node_outcomes["n0"].retry_messages == [
        "Attempt 1 failed: ConnectionError: no",
        "Attempt 2 failed: ConnectionError: no",
    ]


def test_a_memo_in_a_thread_blocks_and_is_kept(world):
    """Plain actions call it without await; a later attempt finds the result."""

    def remembers(ctx: Context):
        value = ctx.memo("k", lambda: world.tell("ran") or 5)
        if ctx.attempt == 1:
            raise ValueError("again")
        return value

    assert world.execute(remembers).outputs["n0"] == {"output": 5}
    assert world.told == [("ran", 0)]


def test_other_waits_are_not_for_threads(world):
    """They would hold the thread: a clear error says what to use."""

    def sleeps(ctx: Context):
        ctx.sleep(1).send(None)

    report = world.execute(sleeps, config={"max_attempts": 1, "on_failure": "stop"})
    told = "sleep is for async functions: what runs in a thread or process can only use memo"
    assert report.error == f"n0: StepError: node 'n0': {told}"


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, object()], ids=["nan", "key", "object"])
def test_a_memo_is_json(world, value):
    """What could not be read back is refused at once, with where it is."""

    async def remembers(ctx: Context):
        await ctx.memo("k", lambda: value)

    report = world.execute(remembers, config={"on_failure": "stop"})
    assert report.error.startswith("n0: OutputInvalid: node 'n0': memo 'k': ")
    assert report.node_outcomes["n0"].attempts == 1


@pytest.mark.parametrize("key", ["", 5, None, "\ud800"], ids=range(4))
def test_a_memo_has_a_key(world, key):
    """Without one it would not be found again."""

    async def remembers(ctx: Context):
        await ctx.memo(key, int)

    report = world.execute(remembers, config={"max_attempts": 1, "on_failure": "stop"})
    assert report.error.startswith("n0: StepError: node 'n0': memo: a key is a text that is not empty, not ")


def test_a_large_memo_is_a_blob(world):
    """It stands by reference in the journal, and comes back whole."""

    async def remembers(ctx: Context):
        text = await ctx.memo("k", lambda: "x" * 200_000)
        await ctx.sleep(10)
        return len(text)

    assert world.execute(remembers).outputs["n0"] == {"output": 200_000}

    async def main():
        async with world.application(remembers) as app:
            run = await app.get_run("r")
            events = [recorded.event async for recorded in run.events(live=False)]
            return max(len(bytes(event.value)) for event in events if event.type == "WaitAnswered" and event.value)

    assert world.clock.run(main()) < 200


def test_under_sync_a_memo_is_on_disk_before_the_code_goes_on(tmp_path):
    """What a person paid for is not asked for again, whatever happens next; another store object reads it."""
    world = World("sqlite", tmp_path)

    async def remembers(ctx: Context):
        await ctx.memo("k", lambda: 5)
        async with world.application(remembers) as other:
            seen = [recorded.event async for recorded in (await other.get_run("r")).events(live=False)]
        return [event.key for event in seen if event.type == "WaitAnswered"]

    assert world.execute(remembers).outputs["n0"] == {"output": ["k"]}


# -- code that was changed -----------------------------------------------------------------------------------


def test_a_wait_of_another_kind_under_its_key_is_a_mismatch(world):
    """The step fails at once, and names what is in the journal and what the code asks for now."""

    async def before(ctx: Context):
        await ctx.sleep(HOUR, key="k")

    async def after(ctx: Context):
        await ctx.memo("k", int)

    before.__name__ = after.__name__ = "same"
    report = world.twice(before, after, 2, config={"on_failure": "stop"})
    assert report.error == (
        "n0: WaitMismatch: node 'n0': wait 'k' is in the journal as sleep, and the code now asks for memo: "
        "it was changed while the run was under way; give the new wait a key of its own"
    )
    assert report.node_outcomes["n0"].attempts == 1


def test_a_stuck_step_is_waited_for_by_nobody(world):
    """Its review stays, for when it is tried anew; in a child flow, too, the run pauses at once."""

    async def asks(ctx: Context):
        question = asyncio.create_task(ctx.review("Go on?"))
        await asyncio.sleep(1)
        if not world.told:
            raise NonRetryable("beside it")
        return await question

    async def executes(ctx: Context):
        return (await ctx.execute(Static("child"))).outputs["asks"]["output"]

    async def main(app):
        child, graph = Graph("child", config={"on_failure": "pause"}), Graph("h")
        child.add(asks, id="asks")
        graph.add(executes, id="executes")
        app.add_graph(child)
        app.add_graph(graph)
        run = await app.start(Static("h"), run_id="r")
        assert (await run.wait()).status == "paused"
        assert world.clock.passed_seconds < 60
        world.tell("mended")
        await run.resume()
        (review,) = await run.reviews()
        await run.answer(review.id, "yes")
        return await run.wait()

    assert world.run(main, asks, executes).outputs == {"executes": {"output": "yes"}}


def test_a_waiting_run_names_one_review_and_counts_the_others(world):
    """The first, by its id and the beginning of its question."""

    async def asks(ctx: Context):
        await asyncio.gather(*[ctx.review(f"{key} " + "?" * 5000, key=key) for key in "abc"])

    async def main(app):
        graph = Graph("h")
        graph.add(asks)
        app.add_graph(graph)
        run = await app.start(Static("h"), run_id="r")
        await asyncio.sleep(1)
        (first, *_) = await run.reviews()
        assert run.reason.startswith(f"waits for 3 reviews (review {first.id}: 'a ???")
        asked = run.reason.partition("; dagger answer")[0].removesuffix(")")
        assert asked.endswith("? and 2 more")
        assert len(asked) < 200
        await run.cancel()

    world.run(main, asks)


def test_waits_that_were_answered_before_their_time_take_no_room(world):
    """Though another is due before all of them, and the run is never quiet."""

    async def sleeps(ctx: Context):
        await ctx.sleep(60)

    async def asks(ctx: Context):
        for number in range(300):
            await ctx.request("numbers", number, timeout=HOUR, key=str(number))
        await asyncio.sleep(10)

    async def replies(number: int, ctx: Context):
        ctx.reply(number)

    async def main(app):
        app.register_agent(agent(subscribe="numbers")(replies))
        run = await app.start(Static("g"))
        await asyncio.sleep(5)
        assert len(app.tenure(run.id).waits._due) < 200
        return app.tenure(run.id).state.messages, (await run.wait()).status

    assert world.run(main, sleeps, asks) == (300, "succeeded")
