"""A run while this process owns it: failures, limits, cancelling, and what each leaves in the journal."""

import asyncio
import logging
import threading

import pytest

from dagger import Context, Dagger, Graph, InvalidState, Static
from dagger.testing import VirtualClock


class Story:
    """An application on a virtual clock, with the usual actions and one graph."""

    def __init__(self, store="memory:", **graph_options):
        self.clock = VirtualClock()
        self.app = Dagger(store, clock=self.clock)
        self.graph = Graph("g", **graph_options)
        self.began = []
        self.is_mended = False

        @self.app.action
        async def nap(ctx: Context, seconds: float = 60):
            self.began.append(ctx.node.id)
            await asyncio.sleep(seconds)
            return seconds

        @self.app.action
        async def work(ctx: Context):
            self.began.append(ctx.node.id)
            return 1

        @self.app.action
        async def boom(ctx: Context):
            self.began.append(ctx.node.id)
            if not self.is_mended:
                raise ValueError("no")
            return "mended"

        @self.app.action
        async def spend(ctx: Context, tokens: int, fails: bool = False):
            ctx.spend_tokens(tokens)
            if fails:
                raise ValueError("spent for nothing")

    def run(self, main):
        self.app.add_graph(self.graph)

        async def whole():
            async with self.app:
                return await main()

        return self.clock.run(whole())

    def execute(self, **options):
        async def main():
            report = await self.app.execute(Static("g"), **options)
            report.load()
            self.types = [r.type async for r in (await self.app.get_run(report.run_id)).events(live=False)]
            return report

        return self.run(main)


FAST = {"retry_strategy": "immediate", "max_attempts": 2}


def statuses(report):
    return {outcome.node_id: outcome.status for outcome in report.node_outcomes}


# -- on_failure ----------------------------------------------------------------------------------------------


def test_continue_skips_what_depends_on_the_failed_step_and_names_it():
    """The rest runs, the dependents say whose failure they were skipped for, and the run has failed."""
    story = Story(config={**FAST, "on_failure": "continue"})
    bad = story.graph.add("boom", id="bad")
    lost = story.graph.add("work", id="lost", after=[bad])
    story.graph.add("work", id="lost_too", after=[lost])
    story.graph.add("work", id="good")

    report = story.execute()
    assert report.status == "failed"
    assert statuses(report) == {"bad": "failed", "lost": "skipped", "lost_too": "skipped", "good": "succeeded"}
    assert report.node_outcomes["lost"].reason == report.node_outcomes["lost_too"].reason == "'bad' failed"
    assert report.error == "bad: ValueError: no"
    assert story.began == ["bad", "good", "bad"]


def test_stop_cancels_what_runs():
    """The first final failure ends the run: running steps are cancelled, waiting ones never start."""
    story = Story(config={**FAST, "on_failure": "stop"})
    story.graph.add("nap", id="running", seconds=1000)
    story.graph.add("work", id="after", after=["running"])
    story.graph.add("boom", id="bad")

    report = story.execute()
    assert (report.status, report.duration) == ("failed", 0)
    assert statuses(report) == {"bad": "failed", "running": "cancelled"}
    assert report.node_outcomes["running"].reason == "'bad' failed"


def test_pause_runs_the_rest_and_pauses_where_the_run_would_end():
    """Dependents stay pending; resumed after the cause is mended, only what failed and what waited runs."""
    story = Story(config={**FAST, "on_failure": "pause"})
    bad = story.graph.add("boom", id="bad", after=[story.graph.add("work", id="first")])
    story.graph.add("work", id="pending", after=[bad])
    story.graph.add("nap", id="beside", seconds=500)

    async def main():
        paused = await story.app.execute(Static("g"), run_id="r")
        assert (paused.status, paused.duration) == ("paused", 500)
        assert statuses(paused) == {"first": "succeeded", "bad": "failed", "beside": "succeeded"}
        run = await story.app.get_run("r")
        assert run.reason == "'bad' failed; mend the cause and resume the run"
        story.is_mended, story.began = True, []
        done = await (await run.resume()).wait()
        return done.status, done.error, statuses(done), done.outputs["bad"]

    status, error, ended, output = story.run(main)
    assert (status, error, output) == ("succeeded", None, {"output": "mended"})
    assert story.began == ["bad", "pending"]
    assert set(ended.values()) == {"succeeded"}


def test_a_node_may_have_its_own_policy():
    """on_failure of a node wins over the run's."""
    story = Story(config={**FAST, "on_failure": "stop"})
    story.graph.add("boom", id="bad", on_failure="continue")
    story.graph.add("nap", id="beside", seconds=5)

    report = story.execute()
    assert statuses(report) == {"bad": "failed", "beside": "succeeded"}


def test_a_mended_steps_error_is_not_told_in_the_end():
    """What failed under pause and succeeded later is no part of the run's error; what failed for good is."""
    story = Story(config=FAST)
    story.graph.add("boom", id="stuck", on_failure="pause")

    @story.app.action
    async def hopeless():
        raise KeyError("never")

    story.graph.add(hopeless, id="gone", on_failure="continue")

    async def main():
        paused = await story.app.execute(Static("g"), run_id="r")
        assert sorted(paused.error.splitlines()) == ["gone: KeyError: 'never'", "stuck: ValueError: no"]
        story.is_mended = True
        return await (await story.app.resume("r")).wait()

    assert story.run(main).error == "gone: KeyError: 'never'"


def test_fresh_tries_after_a_resume():
    """A resumed failure gets its whole try_count again, and its messages go on counting."""
    story = Story(config=FAST)
    story.graph.add("boom", id="bad")

    async def main():
        await story.app.execute(Static("g"), run_id="r")
        return await (await story.app.resume("r")).wait()

    report = story.run(main)
    assert story.began == ["bad"] * 4
    assert report.node_outcomes["bad"].retry_messages[3] == "Attempt 4 failed: ValueError: no"


# -- retries -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "times"),
    [
        ("immediate", [0, 0, 0, 0]),
        ({"linear": {"delay_secs": 5}}, [0, 5, 10, 15]),
        ({"exponential": {"initial_delay_secs": 1, "multiplier": 3, "max_delay_secs": 5}}, [0, 1, 4, 9]),
    ],
    ids=["immediate", "linear", "exponential"],
)
def test_retries_keep_the_strategys_delays(strategy, times):
    """Each attempt starts exactly its delay after the one before has failed."""
    story, began = Story(config={"retry_strategy": strategy, "max_attempts": 4}), []

    @story.app.action
    async def fails():
        began.append(story.clock.passed_seconds)
        raise ValueError("no")

    story.graph.add(fails, id="n")
    story.execute()
    assert began == times


def test_a_delay_frees_the_slot():
    """While one step waits for its next try, another runs in its place."""
    story = Story(config={"retry_strategy": {"linear": {"delay_secs": 100}}, "max_attempts": 2, "max_parallel": 1})
    story.graph.add("boom", id="bad", on_failure="continue")
    story.graph.add("nap", id="beside", seconds=10)

    report = story.execute()
    assert report.duration == 100
    assert story.began == ["bad", "beside", "bad"]


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "status", "step"),
    [("pause", "paused", None), ("continue", "failed", "cancelled"), ("stop", "failed", "cancelled")],
    ids=["pause", "continue", "stop"],
)
def test_timeout_seconds_pauses_or_ends_the_run(policy, status, step):
    """A run that used up its time is halted then and there, and its error names limit and value."""
    story = Story(config={"timeout_seconds": 100, "on_failure": policy})
    story.graph.add("nap", id="quick", seconds=30)
    story.graph.add("nap", id="slow", seconds=3000, timeout=3600)

    report = story.execute()
    assert (report.status, report.duration) == (status, 100)
    assert report.error == "RunTimedOut: timeout_seconds of 100 used up"
    assert statuses(report).get("slow") == step


def test_a_run_paused_by_its_timeout_goes_on_with_a_higher_one():
    """The limit is raised at resume and stands in the journal; only active time counts."""
    story = Story(config={"timeout_seconds": 100})
    story.graph.add("nap", id="quick", seconds=30)
    story.graph.add("nap", id="slow", seconds=150)

    async def main():
        first = await story.app.execute(Static("g"), run_id="r")
        story.clock.advance(86_400)
        again = await (await story.app.resume("r")).wait()
        last = await (await story.app.resume("r", config={"timeout_seconds": 1000})).wait()
        return [(report.status, report.duration) for report in (first, again, last)]

    assert story.run(main) == [("paused", 100), ("paused", 100), ("succeeded", 250)]
    assert story.began[:2] == ["quick", "slow"]


@pytest.mark.parametrize("started_at", [0.0, 0.0004, 0.0005, 0.0015, 0.0025, 1.9995])
def test_the_runs_timeout_is_kept_whatever_the_milliseconds_say(started_at):
    """Clock and timer may round apart: the deadline is looked at until it has passed."""
    story = Story(config={"timeout_seconds": 1.0007, "on_failure": "stop"})
    story.clock.advance(started_at)
    story.graph.add("nap", id="slow", seconds=3000)

    assert story.execute().error == "RunTimedOut: timeout_seconds of 1.0007 used up"


def test_max_tokens_ends_the_run():
    """Tokens of failed attempts count as well."""
    story = Story(config={**FAST, "max_tokens": 100, "on_failure": "stop"})
    story.graph.add("spend", id="bad", tokens=60, fails=True, try_count=2)
    story.graph.add("nap", id="never", after=["bad"])

    report = story.execute()
    assert (report.status, report.tokens) == ("failed", 120)
    assert report.error.startswith("bad: ValueError") or report.error.startswith("TokenLimitReached: max_tokens of 100")


def test_max_tokens_pauses_and_can_be_raised():
    """Under pause what is spent stays counted, and a higher limit lets the run go on."""
    story = Story(config={"max_tokens": 100})
    last = story.graph.add("spend", id="n0", tokens=60)
    for number in range(1, 4):
        last = story.graph.add("spend", id=f"n{number}", tokens=60, after=[last])

    async def main():
        first = await story.app.execute(Static("g"), run_id="r")
        last = await (await story.app.resume("r", config={"max_tokens": None})).wait()
        return first, last

    first, last = story.run(main)
    assert (first.status, first.tokens) == ("paused", 120)
    assert first.error == "TokenLimitReached: max_tokens of 100 used up"
    assert (last.status, last.tokens) == ("succeeded", 240)


# -- cancelling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["memory:", "runs.db"])
def test_cancel_ends_the_run_and_what_runs_in_it(store, tmp_path):
    """Running steps are cancelled, delayed and waiting ones forgotten, and the journal says why."""
    story = Story(tmp_path / store if store != "memory:" else store, config={"max_parallel": 2})
    story.graph.add("boom", id="delayed")
    for number in range(4):
        story.graph.add("nap", id=f"n{number}", seconds=1000)

    async def main():
        run = await story.app.start(Static("g"))
        await asyncio.sleep(1.5)
        report = await run.cancel("enough")
        assert run.status == "cancelled"
        with pytest.raises(InvalidState, match=r"was cancelled already"):
            await run.cancel()
        return report

    report = story.run(main)
    assert (report.status, report.error) == ("cancelled", "RunCancelled: enough")
    assert statuses(report) == {"delayed": "cancelled", "n0": "cancelled", "n1": "cancelled"}
    assert {outcome.reason for outcome in report.node_outcomes} == {"enough"}


@pytest.mark.parametrize("store", ["memory:", "runs.db"])
def test_cancelling_a_paused_run_runs_nothing(store, tmp_path):
    """Its failed steps get no fresh try, its actions need not be registered, and the pause is not counted as time."""
    story = Story(tmp_path / store if store != "memory:" else store, config=FAST)
    story.graph.add("boom", id="bad", after=[story.graph.add("nap", id="nap", seconds=7)])

    async def main():
        await story.app.execute(Static("g"), run_id="r")
        story.began.clear()
        story.clock.advance(1000)
        story.app._actions.clear()
        return await (await story.app.get_run("r")).cancel("enough")

    report = story.run(main)
    assert (report.status, story.began) == ("cancelled", [])
    assert report.duration == 7


def test_a_cancelled_run_stays_cancelled_if_its_process_dies_first():
    """CancelRequested in the journal: whoever takes the run over ends it, without a wait for delayed steps."""
    from dagger.core import events
    from dagger.core.fold import fold

    story = Story(config={"retry_strategy": {"linear": {"delay_secs": 5000}}})
    story.graph.add("boom", id="bad")
    story.graph.add("nap", id="slow")

    async def main():
        run = await story.app.start(Static("g"), run_id="r")
        await asyncio.sleep(1)
        tenure = story.app.tenure("r")
        tenure.record(events.CancelRequested(at=story.clock.now_ms(), reason="enough"))
        await story.app.close()  # as if the process had died
        began = story.clock.passed_seconds
        report = await (await story.app.resume("r", config={"max_parallel": 3})).wait()
        assert story.clock.passed_seconds == began
        assert fold([r.event async for r in run.events(live=False)]).status == "cancelled"
        return report

    assert story.run(main).status == "cancelled"


def test_a_thread_under_way_does_not_hold_up_a_cancel(caplog):
    """A thread cannot be stopped: the run ends, the log says that its code runs on."""
    import threading

    story, gate, began = Story(), threading.Event(), threading.Event()

    @story.app.action
    def block():
        began.set()
        gate.wait(30)

    story.graph.add(block, id="n")

    async def main():
        run = await story.app.start(Static("g"))
        await asyncio.to_thread(began.wait)
        try:
            return await run.cancel()
        finally:
            gate.set()

    with caplog.at_level(logging.WARNING, "dagger"):
        assert statuses(story.run(main)) == {"n": "cancelled"}
    assert "step n: attempt 1 cannot be stopped and runs on; its context is closed" in caplog.text


# -- run_when, priority, order -------------------------------------------------------------------------------


def test_run_when_finished_runs_whatever_became_of_its_dependencies():
    """It sees their outcomes: the failed, the skipped and the succeeded."""
    story = Story(config={**FAST, "on_failure": "continue"})
    bad = story.graph.add("boom", id="bad")
    lost = story.graph.add("work", id="lost", after=[bad])
    good = story.graph.add("work", id="good")

    @story.app.action
    async def tidy(ctx: Context):
        return {name: [outcome.status, outcome.final_error, outcome.reason] for name, outcome in ctx.outcomes.items()}

    story.graph.add(tidy, id="tidy", after=[bad, lost, good], run_when="finished", outputs=["seen"])
    assert story.execute().outputs["tidy"]["seen"] == {
        "bad": ["failed", "ValueError: no", None],
        "lost": ["skipped", None, "'bad' failed"],
        "good": ["succeeded", None, None],
    }


def test_higher_priority_first_then_the_order_of_declaration():
    """Among what is ready at once the highest priority starts first, ties in the order written."""
    story = Story(config={"max_parallel": 1})
    for number, priority in enumerate([0, 5, -1, 5, 0, 9]):
        story.graph.add("work", id=f"n{number}", priority=priority)

    story.execute()
    assert story.began == ["n5", "n1", "n3", "n0", "n4", "n2"]


def test_the_next_attempt_waits_for_abandoned_code_in_a_resumed_run_too():
    """Two bodies of one step never run at once, though a pause and a resume lie between them."""
    clock = VirtualClock()
    running, most = [], []
    gate = threading.Event()

    def stubborn():
        running.append(1)
        most.append(len(running))
        if len(most) == 1:
            clock.advance(5)
            gate.wait(30)
        running.pop()

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(stubborn)
            graph = Graph("g", config={"timeout_seconds": 2})
            graph.add(stubborn)
            app.add_graph(graph)
            run = await app.start(Static("g"))
            while not most:
                await asyncio.sleep(0)
            first = await run.wait()
            resumed = await app.resume(run.id, config={"timeout_seconds": 1000})
            for _ in range(50):
                await asyncio.sleep(0)
            began = len(most)
            gate.set()
            return first.status, began, (await resumed.wait()).status

    assert clock.run(main()) == ("paused", 1, "succeeded")
    assert most == [1, 1]


@pytest.mark.parametrize("waits_for", ["nothing", "review"])
def test_a_run_is_not_over_while_a_step_waits_for_its_abandoned_code(waits_for):
    """Whatever else has ended; nor does the run's clock stand still, or the run give up its tasks."""
    gate, tries = threading.Event(), []

    def stubborn():
        tries.append(1)
        if len(tries) == 1:
            gate.wait(30)

    async def other(ctx: Context):
        await asyncio.sleep(0.3)
        if waits_for == "review":
            await ctx.review("?")

    async def main():
        async with Dagger("memory:", config={"retry_strategy": "immediate"}) as app:
            app.register_action(stubborn)
            app.register_action(other)
            graph = Graph("g")
            graph.add(stubborn, timeout=0.1)
            graph.add(other)
            app.add_graph(graph)
            run = await app.start(Static("g"))
            while run.status == "running":
                await asyncio.sleep(0.01)
            reason = run.reason
            (waiting, *_) = [each.event async for each in run.events(live=False) if each.type == "RunWaiting"]
            gate.set()
            for review in await run.reviews():
                await run.answer(review.id, "so")
            return reason, waiting.is_active, (await run.wait()).status

    reason, is_active, status = asyncio.run(main())
    assert reason.startswith("waits for 1 review" if waits_for == "review" else "waits for another attempt")
    assert reason.endswith("another attempt as soon as code that cannot be stopped has ended")
    assert (is_active, status, len(tries)) == (True, "succeeded", 2)


def test_many_dependents_of_a_failure_are_skipped_in_their_order():
    """A thousand of them, a slice at a time, in the order of their declaration."""
    story = Story(config={"on_failure": "continue"})
    first = story.graph.add("spend", id="bad", tokens=0, fails=True, try_count=1)
    names = [f"n{number}" for number in range(1000)]
    for name in names:
        story.graph.add("nap", id=name, seconds=0, after=[first])

    async def main():
        return await story.app.execute(Static("g"))

    report = story.run(main)
    assert [outcome.node_id for outcome in report.node_outcomes] == ["bad", *names]
    assert {outcome.status for outcome in report.node_outcomes[1:]} == {"skipped"}


def test_tokens_stop_a_run_at_once():
    """The attempt that spends the last token is cut off at its next await, and what it spent is told."""
    story = Story(config={"max_tokens": 100, "on_failure": "pause"})

    @story.app.action
    async def greedy(ctx: Context):
        for _ in range(20):
            ctx.spend_tokens(60)
            await asyncio.sleep(1)

    story.graph.add(greedy, id="n")

    async def main():
        return await story.app.execute(Static("g"))

    report = story.run(main)
    assert (report.status, report.tokens) == ("paused", 120)
