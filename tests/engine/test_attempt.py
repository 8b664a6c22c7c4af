"""One attempt: it binds, runs in loop or thread, ends by itself, by its deadline, or because the run halts."""

import asyncio
import contextvars
import random
import threading

import pytest

from dagger import Context, Dagger, Graph, NonRetryable, Static
from dagger.testing import VirtualClock

IMMEDIATE = {"retry_strategy": "immediate"}


def execute(build, *, clock=None, actions=(), store="memory:", **options):
    """The report of a run of the graph that `build` fills."""
    clock = clock or VirtualClock()

    async def main():
        async with Dagger(store, clock=clock) as app:
            for action in actions:
                app.register_action(action)
            graph = Graph("g", config=IMMEDIATE)
            build(graph)
            app.add_graph(graph)
            report = await app.execute(Static("g"), **options)
            report.load()
            return report

    return clock.run(main())


def run_one(action, *, clock=None, store="memory:", runs_in=None, config=None, **node):
    """The outcome of a graph of one node."""
    from dagger import action as mark

    marked = mark("act", runs_in=runs_in)(action)
    report = execute(
        lambda graph: graph.add(marked, id="n", **{"on_failure": "continue", "try_count": 1, **node}),
        actions=[marked],
        clock=clock,
        store=store,
        config=config,
    )
    return report.node_outcomes["n"]


class Oddity(BaseException):
    """As pytest's own outcomes are: no Exception."""


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raising(error):
    async def at_once():
        raise error

    async def later():
        await asyncio.sleep(1)
        raise error

    def in_thread():
        raise error

    return {"at once": at_once, "later": later, "in a thread": in_thread}


@pytest.mark.parametrize("where", ["at once", "later", "in a thread"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (Oddity("odd"), "Oddity: odd"),
        (asyncio.CancelledError("mine"), "CancelledError: mine"),
        (Mute(), "Mute: its message cannot be told: str() raised RuntimeError"),
        (ValueError("lone \ud800"), "ValueError: lone \\ud800"),
        (ExceptionGroup("two", [ValueError(1), KeyError(2)]), "ExceptionGroup: two (2 sub-exceptions)"),
        (TimeoutError("slow"), "TimeoutError: slow"),
    ],
    ids=range(9),
)
def test_whatever_user_code_raises_fails_its_attempt(error, told, where, tmp_path):
    """No exception of an action escapes into the kernel or spoils the journal on disk."""
    outcome = run_one(raising(error)[where], store=tmp_path / "runs.db")

    assert outcome.status == "failed"
    assert outcome.final_error == f"Failed after 1 attempt. Last error: {told}"


@pytest.mark.parametrize("where", ["at once", "later", "in a thread"])
def test_a_stop_iteration_is_a_failure_like_any_other(where):
    """It ends no coroutine of ours by accident, and is no success."""
    outcome = run_one(raising(StopIteration(5))[where])

    assert outcome.status == "failed"
    assert "StopIteration" in outcome.final_error


def test_a_generator_exit_at_once_is_a_failure():
    """Raised by the action itself it is one more exception."""
    assert run_one(raising(GeneratorExit())["at once"]).final_error.endswith("GeneratorExit")


@pytest.mark.parametrize("where", ["at once", "later", "in a thread"])
def test_non_retryable_ends_the_step_at_once(where):
    """The step fails after the first attempt, whatever tries are left."""
    outcome = run_one(raising(NonRetryable("never"))[where], try_count=5)

    assert (outcome.attempts, outcome.retry_messages) == (1, ["Attempt 1 failed: NonRetryable: never"])


def test_every_failed_attempt_is_told():
    """Each try's message is kept, in order, with its type; the last one is the final error."""

    async def act(ctx: Context):
        raise [KeyError, OSError, ValueError][ctx.attempt - 1](f"try {ctx.attempt}")

    outcome = run_one(act, try_count=3)

    assert outcome.retry_messages == [
        "Attempt 1 failed: KeyError: 'try 1'",
        "Attempt 2 failed: OSError: try 2",
        "Attempt 3 failed: ValueError: try 3",
    ]
    assert outcome.final_error == "Failed after 3 attempts. Last error: ValueError: try 3"


@pytest.mark.parametrize(
    "result", [float("nan"), {1: 2}, {"\ud800": 1}, object(), "\ud800", {"a": [float("inf")]}], ids=range(6)
)
@pytest.mark.parametrize("runs_in", ["loop", "thread"])
def test_a_result_that_is_not_json_fails_the_step_without_retries(result, runs_in, tmp_path):
    """What cannot be written exactly is refused at once, on disk as in memory."""
    outcome = run_one(lambda: result, runs_in=runs_in, try_count=5, store=tmp_path / "runs.db")

    assert (outcome.status, outcome.attempts) == ("failed", 1)
    assert "OutputInvalid" in outcome.final_error


# -- timeouts ------------------------------------------------------------------------------------------------


def test_an_attempt_is_cancelled_at_its_timeout():
    """The code sees a cancellation after exactly its timeout, and the message says how long that was."""
    clock, seen = VirtualClock(), []

    async def act():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append(clock.passed_seconds)
            raise

    outcome = run_one(act, clock=clock, timeout=90)

    assert seen == [90]
    assert outcome.final_error.endswith("AttemptTimedOut: node 'n': attempt 1 timed out after 90 s")


def test_a_timed_out_attempt_is_tried_again():
    """Each attempt has the whole timeout."""
    clock, began = VirtualClock(), []

    async def act():
        began.append(clock.passed_seconds)
        await asyncio.sleep(100)

    assert run_one(act, clock=clock, timeout=10, try_count=3).attempts == 3
    assert began == [0, 10, 20]


def test_code_that_swallows_its_cancellation_has_timed_out_all_the_same():
    """What it returns after its timeout counts for nothing."""

    async def act():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return "late"

    assert "AttemptTimedOut" in run_one(act, timeout=10).final_error


def test_code_that_will_not_end_is_given_up():
    """Five seconds after its cancellation the run goes on without it; the message says that it still runs."""
    clock, ended = VirtualClock(), []

    async def act():
        until = clock.passed_seconds + 1000
        while clock.passed_seconds < until:
            try:
                await asyncio.sleep(until - clock.passed_seconds)
            except asyncio.CancelledError:
                continue
        ended.append(clock.passed_seconds)

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(act)
            graph = Graph("g", config={"on_failure": "continue"})
            graph.add(act, id="n", timeout=10, try_count=1)
            app.add_graph(graph)
            report = await app.execute(Static("g"))
            assert clock.passed_seconds == 15
            await asyncio.sleep(2000)
            return report

    report = clock.run(main())
    assert report.node_outcomes["n"].final_error.endswith("its code could not be stopped and still runs")
    assert ended == [1000]


def test_the_retry_of_code_that_would_not_end_waits_for_it():
    """Two attempts of one step never run side by side."""
    clock, spans = VirtualClock(), []

    async def act(ctx: Context):
        began = clock.passed_seconds
        while ctx.attempt == 1 and clock.passed_seconds < 500:
            try:
                await asyncio.sleep(500 - clock.passed_seconds)
            except asyncio.CancelledError:
                continue
        spans.append((began, clock.passed_seconds))
        return "done"

    assert run_one(act, clock=clock, timeout=10, try_count=2).status == "succeeded"
    assert spans == [(0, 500), (500, 500)]


def test_the_retry_of_a_thread_that_outlives_its_timeout_waits_for_it():
    """A thread cannot be cancelled: it is reported, its effects are refused, and the next try comes after it."""
    clock = VirtualClock()
    log, may_end = [], threading.Event()

    def act(ctx: Context):
        log.append(("began", ctx.attempt))
        if ctx.attempt == 1:
            clock.advance(10)  # for the thread's time stands still, so it says itself that it takes long
            may_end.wait(30)
            try:
                ctx.cache.set("global", "late", 1)
            except Exception as error:  # noqa: BLE001 - its name is the point
                log.append(type(error).__name__)
        log.append(("ended", ctx.attempt))
        return ctx.attempt

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(act)
            graph = Graph("g", config=IMMEDIATE)
            graph.add(act, id="n", timeout=5, try_count=2)
            app.add_graph(graph)
            run = await app.start(Static("g"))
            async for recorded in run.events():
                if recorded.type == "AttemptFailed":
                    assert recorded.event.error.message.endswith("its code could not be stopped and still runs")
                    may_end.set()
            report = await run.wait()
            return report.status, report.outputs, run.cache.get("global", "late", None)

    assert clock.run(main()) == ("succeeded", {"n": {"output": 2}}, None)
    assert log == [("began", 1), "AttemptOver", ("ended", 1), ("began", 2), ("ended", 2)]


def test_a_step_that_waits_for_a_thread_has_not_begun():
    """Threads are slots: without one a step neither starts nor times out, and all of them run in the end."""
    clock = VirtualClock()
    began, gate = [], threading.Event()

    def act(ctx: Context):
        began.append(ctx.node.id)
        gate.wait(30)

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(act)
            graph = Graph("g")
            for number in range(80):
                graph.add(act, id=f"n{number}", timeout=5, try_count=1)
            app.add_graph(graph)
            run = await app.start(Static("g"))
            while len(began) < 64:
                await asyncio.sleep(0)
            started = [each.event.step async for each in run.events(live=False) if each.type == "StepStarted"]
            gate.set()
            return len(started), (await run.wait()).status

    assert clock.run(main()) == (64, "succeeded")
    assert len(began) == 80


def test_what_is_cut_while_it_waits_for_a_thread_never_runs():
    """Under `stop` the steps without a slot are dropped: none of them begins, none is told as cancelled."""
    clock = VirtualClock()
    began, gate = [], threading.Event()

    def act(ctx: Context):
        began.append(ctx.node.id)
        gate.wait(30)

    async def fail():
        while len(began) < 64:
            await asyncio.sleep(0)
        raise NonRetryable("stop")

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(act)
            app.register_action(fail)
            graph = Graph("g", config={"on_failure": "stop"})
            graph.add(fail)
            for number in range(80):
                graph.add(act, id=f"n{number}")
            app.add_graph(graph)
            report = await app.execute(Static("g"))
            gate.set()
            return [outcome.status for outcome in report.node_outcomes]

    assert sorted(clock.run(main())) == ["cancelled"] * 64 + ["failed"]
    assert len(began) == 64


def test_ten_thousand_random_timeouts_hit_nobody_else(tmp_path):
    """A timed-out step's cancellation never reaches another: steps that should succeed all do."""
    draw = random.Random(11)
    plan = {f"n{i}": (draw.choice([0, 0.5, 1, 2, 3]), draw.choice([0.25, 1, 1.5, 2.5, 10])) for i in range(10_000)}
    stray = []

    async def act(seconds: float, ctx: Context):
        limit = ctx.node.timeout
        try:
            if seconds:
                await asyncio.sleep(seconds)
            for _ in range(3):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            if seconds < limit:
                stray.append(ctx.node.id)
            raise
        return seconds

    def build(graph):
        for node_id, (seconds, timeout) in plan.items():
            graph.add(act, id=node_id, seconds=seconds, timeout=timeout, try_count=1)

    report = execute(build, actions=[act], config={"on_failure": "continue", "max_parallel": 200})

    assert stray == []
    late = {outcome.node_id for outcome in report.node_outcomes if not outcome.success}
    surely = {node_id for node_id, (seconds, timeout) in plan.items() if seconds > timeout}
    assert late == surely | {n for n in late if plan[n][0] == plan[n][1]}
    assert surely


# -- cancellations that user code asks for -------------------------------------------------------------------


def test_user_code_may_use_timeouts_of_its_own():
    """asyncio.timeout, wait_for and TaskGroup work inside an action, and leave nothing behind for the next."""

    async def act():
        caught = []
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(100)
        except TimeoutError:
            caught.append("timeout")
        try:
            await asyncio.wait_for(asyncio.sleep(100), 5)
        except TimeoutError:
            caught.append("wait_for")

        async def fail():
            raise ValueError("child")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(100)
        except* ValueError:
            caught.append("group")
        return caught

    def build(graph):
        last = graph.add(act, id="n0")
        for number in range(1, 20):
            last = graph.add(act, id=f"n{number}", after=[last])

    report = execute(build, actions=[act])
    assert list(report.outputs.values()) == [{"output": ["timeout", "wait_for", "group"]}] * 20


@pytest.mark.parametrize("then", ["await", "return"])
def test_a_task_that_cancels_itself_harms_only_its_own_step(then):
    """current_task().cancel() in one action is that step's failure at most, never the next one's."""
    hit = []

    async def suicidal():
        asyncio.current_task().cancel()
        if then == "await":
            await asyncio.sleep(1)
        return "over"

    async def innocent(ctx: Context):
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            hit.append(ctx.node.id)
            raise

    def build(graph):
        for number in range(20):
            graph.add(suicidal, id=f"bad{number}", try_count=1, on_failure="continue")
            graph.add(innocent, id=f"good{number}", try_count=1)

    report = execute(build, actions=[suicidal, innocent])

    assert hit == []
    assert {report.node_outcomes[f"good{n}"].status for n in range(20)} == {"succeeded"}
    assert {report.node_outcomes[f"bad{n}"].status for n in range(20)} == {"failed" if then == "await" else "succeeded"}


def test_the_code_runs_in_one_task_from_its_first_line():
    """asyncio.current_task() is the same before and after the code first suspends."""

    async def act():
        before = asyncio.current_task()
        await asyncio.sleep(1)
        return before is not None and before is asyncio.current_task()

    assert execute(lambda graph: graph.add(act, id="n"), actions=[act]).outputs == {"n": {"output": True}}


# -- context variables ---------------------------------------------------------------------------------------

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


@pytest.mark.parametrize("kind", ["at once", "after a sleep", "thread", "plain in the loop"])
def test_a_context_variable_set_in_one_action_is_not_seen_in_the_next(kind):
    """Each attempt has a copy of the context that the run was started in."""
    from dagger import action

    async def at_once():
        seen = VARIABLE.get()
        VARIABLE.set("leaked")
        return seen

    async def after_a_sleep():
        await asyncio.sleep(1)
        seen = VARIABLE.get()
        VARIABLE.set("leaked")
        await asyncio.sleep(1)
        assert VARIABLE.get() == "leaked"
        return seen

    def plain():
        seen = VARIABLE.get()
        VARIABLE.set("leaked")
        return seen

    act = {
        "at once": action("act")(at_once),
        "after a sleep": action("act")(after_a_sleep),
        "thread": action("act")(plain),
        "plain in the loop": action("act", runs_in="loop")(plain),
    }[kind]

    def build(graph):
        last = graph.add(act, id="n0")
        for number in range(1, 10):
            last = graph.add(act, id=f"n{number}", after=[last])

    token = VARIABLE.set("of the caller")
    try:
        report = execute(build, actions=[act])
    finally:
        VARIABLE.reset(token)
    assert {outputs["output"] for outputs in report.outputs.values()} == {"of the caller"}


# -- what else an action may be ------------------------------------------------------------------------------


def test_a_plain_function_in_the_loop_may_return_an_awaitable():
    """What it returns is awaited: a lambda around a coroutine function, a task, a future."""
    from dagger import action

    async def later():
        await asyncio.sleep(1)
        return 5

    class Awaitable:
        def __await__(self):
            return later().__await__()

    for made in (later, Awaitable, lambda: asyncio.ensure_future(later())):
        act = action("act", runs_in="loop")(lambda made=made: made())
        report = execute(lambda graph, act=act: graph.add(act, id="n"), actions=[act])
        assert report.outputs == {"n": {"output": 5}}


def test_deadline_is_the_attempts_or_the_runs_whichever_comes_first():
    """ctx.deadline tells in UTC when the code will be cut off."""
    clock = VirtualClock()

    async def act(ctx: Context):
        return ctx.deadline.isoformat()

    def build(graph):
        graph.add(act, id="own", timeout=60)
        graph.add(act, id="runs", timeout=4000)

    report = execute(build, actions=[act], clock=clock, config={"timeout_seconds": 1800})
    assert report.outputs["own"]["output"] == "2026-01-01T00:01:00+00:00"
    assert report.outputs["runs"]["output"] == "2026-01-01T00:30:00+00:00"


def test_success_is_recorded_with_its_time_and_attempt():
    """The journal's success says which attempt it was and how long it took."""
    clock = VirtualClock()

    async def act(ctx: Context):
        await asyncio.sleep(7)
        if ctx.attempt == 1:
            raise ValueError("again")
        return 1

    async def main():
        async with Dagger("memory:", clock=clock) as app:
            app.register_action(act)
            graph = Graph("g", config={"retry_strategy": {"linear": {"delay_secs": 3}}})
            graph.add(act, id="n")
            app.add_graph(graph)
            run = await app.start(Static("g"))
            report = await run.wait()
            return report, [recorded.event async for recorded in run.events(live=False)]

    report, journal = clock.run(main())
    assert [(type(event).__name__, getattr(event, "attempt", 0)) for event in journal] == [
        ("RunStarted", 0),
        ("StepStarted", 1),
        ("AttemptFailed", 1),
        ("RunWaiting", 0),
        ("RunWoken", 0),
        ("StepStarted", 2),
        ("StepSucceeded", 2),
        ("RunEnded", 0),
    ]
    assert [journal[2].duration_ms, journal[6].duration_ms] == [7000, 7000]
    assert report.duration == 17
