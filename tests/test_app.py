"""Dagger: start, attach, resume, recover, open and close, the configuration's layers."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import apsw
import pytest

from dagger import (
    ActionNotRegistered,
    ConfigError,
    Context,
    Dagger,
    Graph,
    GraphError,
    InputInvalid,
    InvalidState,
    MemoryStore,
    RunConfig,
    RunError,
    RunExists,
    RunLeased,
    RunNotFound,
    Static,
    StoreCorrupt,
    StoreError,
)
from dagger.core.graph import RunInput
from dagger.store.memory import Memory
from dagger.store.sqlite import SqliteStore
from dagger.testing import VirtualClock

KINDS = ["memory", "sqlite"]


class World:
    """Stores on one set of data, as several processes would have them."""

    def __init__(self, kind, directory):
        self.kind, self.directory, self.memory = kind, directory, Memory()

    def store(self):
        return MemoryStore(self.memory) if self.kind == "memory" else SqliteStore(self.directory / "runs.db")


@pytest.fixture(params=KINDS)
def world(request, tmp_path):
    return World(request.param, tmp_path)


def application(store="memory:", clock=None, began=None, **options):
    app = Dagger(store, clock=clock or VirtualClock(), **options)
    began = began if began is not None else []

    @app.action
    async def add(a: float, b: float) -> float:
        return a + b

    @app.action
    async def nap(ctx: Context, seconds: float = 60):
        began.append(ctx.node.id)
        await asyncio.sleep(seconds)
        return seconds

    @app.action
    async def boom(ctx: Context):
        began.append(ctx.node.id)
        raise ValueError("no")

    graph = Graph("sum")
    graph.add(add, id="s", a=graph.input("x"), b=graph.input("y"))
    app.add_graph(graph)
    graph = Graph("naps")
    graph.add(nap, id="second", after=[graph.add(nap, id="first")])
    app.add_graph(graph)
    graph = Graph("bad", config={"max_attempts": 1})
    graph.add(boom, id="bad")
    app.add_graph(graph)
    return app


def run(app, main, clock=None):
    async def whole():
        async with app:
            return await main(app)

    return (clock or app._clock).run(whole())


# -- the first example ---------------------------------------------------------------------------------------


def test_add_then_square_and_triple_in_parallel_then_add(world):
    """The original's pipeline gives what arithmetic gives."""
    app = Dagger(world.store(), clock=VirtualClock())

    @app.action
    async def add_numbers(num1: float, num2: float) -> float:
        return num1 + num2

    @app.action
    async def square(input: float) -> float:
        return input**2

    @app.action
    def triple(input: float) -> float:
        return input * 3

    graph = Graph("parallel_demo")
    total = graph.add(add_numbers, id="node1", num1=graph.input("num1"), num2=graph.input("num2"), outputs=["sum"])
    squared = graph.add(square, id="node2", input=total, outputs=["sq"])
    tripled = graph.add(triple, id="node3", input=total["sum"])
    graph.add(add_numbers, id="node4", num1=squared["sq"], num2=tripled)
    app.add_graph(graph)

    async def main(app):
        report = await app.execute(Static("parallel_demo"), inputs={"num1": 10, "num2": 20})
        return report.overall_success, report.outputs

    assert run(app, main) == (
        True,
        {"node1": {"sum": 30.0}, "node2": {"sq": 900.0}, "node3": {"output": 90.0}, "node4": {"output": 990.0}},
    )


def test_a_tuple_of_a_number_and_a_string_with_quotes_makes_two_outputs(world):
    """Two declared outputs are filled by position, and each is exactly what it was."""
    app = Dagger(world.store(), clock=VirtualClock())

    @app.action
    async def split():
        return 7, 'say "hello" \\ \n'

    @app.action
    async def join(number: int, text: str):
        return text * number

    graph = Graph("g")
    both = graph.add(split, id="split", outputs=["number", "text"])
    graph.add(join, id="join", number=both["number"], text=both["text"])
    app.add_graph(graph)

    async def main(app):
        return (await app.execute(Static("g"))).outputs

    outputs = run(app, main)
    assert outputs["split"] == {"number": 7, "text": 'say "hello" \\ \n'}
    assert outputs["join"]["output"] == 'say "hello" \\ \n' * 7


def test_values_above_64_kib_go_by_reference_and_come_back_whole(world):
    """Large outputs, paths into them, cache writes, inputs, seeds and results are read as if they were small."""
    app = Dagger(world.store(), clock=VirtualClock())
    big = {"items": [{"text": "ü" * 50_000}, {"text": "x" * 90_000}], "n": 1}

    @app.action
    async def make(given: dict):
        return big

    @app.action
    def use(text: str, whole: dict, ctx: Context):
        ctx.cache.append("global", "texts", text)
        ctx.cache.append("global", "texts", text)
        ctx.cache.set("global", "copy", whole)
        assert ctx.cache.get("global", "texts")[-2:] == [text, text]
        assert ctx.cache.get("global", "seed") == "s" * 100_000
        ctx.finish(whole)
        return len(text)

    graph = Graph("g")
    made = graph.add(make, id="make", given=graph.input("given"), outputs=["page"])
    graph.add(use, id="use", text=made["page"]["items"][1]["text"], whole=made)
    graph.add(use, id="again", text=graph.input("given")["text"], whole=made, after=["use"])
    app.add_graph(graph)

    async def main(app):
        report = await app.execute(
            Static("g"),
            inputs={"given": {"text": "t" * 80_000}},
            cache={"global": {"seed": "s" * 100_000, "texts": []}},
            run_id="r",
            config={"max_attempts": 1},
        )
        cache = (await app.get_run("r")).cache
        return report, cache.get("global", "texts"), cache.get("global", "copy")

    report, texts, copy = run(app, main)
    assert (report.status, report.error) == ("succeeded", None)
    assert report.outputs["use"] == {"output": 90_000}
    assert report.outputs["again"] == {"output": 80_000}
    assert report.result == copy == big
    assert texts == ["x" * 90_000] * 2 + ["t" * 80_000] * 2


# -- typed binding -------------------------------------------------------------------------------------------


def test_a_wrong_input_fails_the_step_without_retries_and_says_what_was_expected():
    """Node, input, expected and actual type stand in the error."""
    app = application()
    graph = Graph("g", config={"on_failure": "continue"})
    graph.add("add", id="text", a="1", b=2)
    graph.add("add", id="flag", a=True, b=2)
    graph.add("add", id="less", a=1)
    graph.add("add", id="more", a=1, b=2, c=3)
    app.add_graph(graph)

    async def main(app):
        return (await app.execute(Static("g"))).node_outcomes

    outcomes = run(app, main)
    assert {outcome.attempts for outcome in outcomes} == {1}
    told = {outcome.node_id: outcome.final_error.partition("InputInvalid: ")[2] for outcome in outcomes}
    assert told["text"] == "node 'text': input 'a': expected float, got str"
    assert told["flag"] == "node 'flag': input 'a': expected float, got bool"
    assert told["less"] == "node 'less': input 'b' missing; action 'add' requires it"
    assert told["more"] == "node 'more': action 'add' has no parameter 'c' (it takes: a, b)"


# -- starting ------------------------------------------------------------------------------------------------


def test_missing_run_inputs_are_refused_before_the_run_starts(world):
    """The error names what is missing, and there is no run."""

    async def main(app):
        with pytest.raises(InputInvalid, match="graph 'sum': run input 'y' is missing"):
            await app.execute(Static("sum"), inputs={"x": 1})
        return await app.runs()

    assert run(application(world.store()), main) == []


@pytest.mark.parametrize(
    ("spec", "options", "error", "told"),
    [
        (Static("summ"), {}, GraphError, "there is no graph 'summ'; did you mean 'sum'"),
        ("sum", {}, GraphError, "'sum' is nothing to execute: write Static\\(name\\)"),
        (Static("naps"), {"config": {"max_parallel": 0}}, ConfigError, "max_parallel: 0"),
        (Static("naps"), {"config": {"max_paralel": 1}}, ConfigError, "unknown setting 'max_paralel'"),
        (Static("naps"), {"tags": {"a": 1}}, RunError, "tags are texts by name"),
        (Static("naps"), {"tags": {"\ud800": "x"}}, RunError, "tags are texts by name"),
        (Static("naps"), {"run_id": ""}, RunError, "a run id is a text, not ''"),
        (Static("naps"), {"run_id": 5}, RunError, "a run id is a text, not 5"),
        (Static("naps"), {"inputs": [1]}, InputInvalid, "inputs are a dict of names"),
        (Static("naps"), {"inputs": {"\ud800": 1}}, InputInvalid, "a name is a string"),
        (Static("naps"), {"inputs": {"x": float("nan")}}, InputInvalid, "run input 'x': at \\$"),
        (Static("naps"), {"cache": {"a": 1}}, InputInvalid, "section 'a' of the cache must be a dict"),
        (Static("naps"), {"cache": {"\ud800": {"k": 1}}}, InputInvalid, "a cache section is a string"),
    ],
    ids=range(13),
)
def test_what_prevents_the_start_is_raised(spec, options, error, told, world):
    """A DaggerError that says what is wrong, and nothing is in the store."""

    async def main(app):
        with pytest.raises(error, match=told):
            await app.execute(spec, **options)
        return await app.runs()

    assert run(application(world.store()), main) == []


def test_an_action_that_is_not_here_prevents_the_start():
    """A node's action may be removed or the graph be changed after it was registered: start looks again."""
    app = application()

    async def main(app):
        app.graph("naps").add("napp", id="third")
        with pytest.raises(
            ActionNotRegistered, match=r"node 'third': action 'napp' is not registered; did you mean 'nap'"
        ):
            await app.start(Static("naps"))

    run(app, main)


def test_accepted_means_in_the_journal(world):
    """When start returns, another process sees the run."""

    async def main(app):
        started = await app.start(Static("naps"), tags={"who": "me"})
        other = application(world.store(), app._clock)
        async with other:
            seen = await other.get_run(started.id)
            assert (seen.status, seen.tags, seen.graph) == ("running", {"who": "me"}, "naps")
        return (await started.wait()).status

    assert run(application(world.store()), main) == "succeeded"


def test_config_comes_from_library_app_graph_and_call_in_this_order(world):
    """Only what is set overrides; the effective config is in the journal."""
    app = application(world.store(), config=RunConfig(max_attempts=7, max_parallel=2, max_tokens=10))
    graph = Graph("g", config={"max_parallel": 5, "max_tokens": 20})
    graph.add("nap", id="n")
    app.add_graph(graph)

    async def main(app):
        started = await app.start(Static("g"), config={"max_tokens": None})
        (first,) = [r.event async for r in started.events(live=False) if r.seq == 1]
        return first.config

    config = run(app, main)
    assert [config[key] for key in ("max_attempts", "max_parallel", "max_tokens", "on_failure")] == [
        7,
        5,
        None,
        "pause",
    ]


def test_a_seed_fills_the_cache_and_is_copied(world):
    """The run has its own cache; what it writes does not reach the seed."""
    from dagger import Cache

    app = application(world.store())

    @app.action
    async def write(ctx: Context):
        seen = ctx.cache.get("global", "seed")
        ctx.cache.append("global", "seed", 3)
        return seen

    graph = Graph("g")
    graph.add(write, id="n", outputs=["seen"])
    app.add_graph(graph)
    seed = Cache.of({"global": {"seed": [1, 2]}})

    async def main(app):
        report = await app.execute(Static("g"), cache=seed, run_id="r")
        return report.outputs["n"]["seen"], (await app.get_run("r")).cache.get("global", "seed")

    assert run(app, main) == ([1, 2], [1, 2, 3])
    assert seed.get("global", "seed") == [1, 2]


def test_effects_merge_whoever_comes_first(world):
    """Concurrent appends and additions lose nothing; a failed attempt leaves nothing behind."""
    app = application(world.store())

    @app.action
    async def write(ctx: Context, n: int):
        ctx.cache.append("global", "list", n)
        ctx.cache.add("global", "sum", n)
        await asyncio.sleep(1 + n % 3)
        if ctx.attempt == 1:
            raise ValueError("again")

    @app.action
    def write_too(ctx: Context, n: int):
        ctx.cache.append("global", "list", n)
        ctx.cache.add("global", "sum", n)

    graph = Graph("g", config={"retry_strategy": "immediate"})
    for n in range(60):
        graph.add(write if n % 2 else write_too, id=f"n{n}", n=n)
    app.add_graph(graph)

    async def main(app):
        await app.execute(Static("g"), run_id="r")
        cache = (await app.get_run("r")).cache
        return sorted(cache.get("global", "list")), cache.get("global", "sum")

    assert run(app, main) == (list(range(60)), sum(range(60)))


# -- a known run id ------------------------------------------------------------------------------------------


def test_a_known_run_id_attaches_to_the_same_and_refuses_another(world):
    """Same spec, graph and inputs: the same run, executed once. Others: RunExists."""
    began = []
    app = application(world.store(), began=began)

    async def main(app):
        first = await app.start(Static("naps"), run_id="r", inputs={"x": 1})
        again = await app.start(Static("naps"), run_id="r", inputs={"x": 1})
        report = await again.wait()
        assert (await first.wait()).status == report.status == "succeeded"
        over = await app.execute(Static("naps"), run_id="r", inputs={"x": 1})
        assert over.status == "succeeded"
        for options in ({"inputs": {"x": 2}}, {}):
            with pytest.raises(RunExists, match="run 'r' exists already, with another spec, graph or inputs"):
                await app.start(Static("naps"), run_id="r", **options)

    run(app, main)
    assert began == ["first", "second"]


def test_two_starts_at_once_with_one_run_id_are_one_run(world):
    """Whoever comes second attaches, even before the first is on disk."""
    began = []
    app = application(world.store(), began=began)

    async def main(app):
        reports = await asyncio.gather(*(app.execute(Static("naps"), run_id="r") for _ in range(5)))
        with pytest.raises(RunExists):
            await asyncio.gather(app.start(Static("naps"), run_id="q"), app.start(Static("bad"), run_id="q"))
        return {report.status for report in reports}, len([r for r in await app.runs() if r.id == "r"])

    assert run(app, main) == ({"succeeded"}, 1)
    assert began.count("first") <= 2  # of run r once, of run q perhaps


def test_two_processes_that_start_one_run_id_are_one_run(tmp_path):
    """The file decides who was first; the other attaches to that run instead of failing."""
    world, began = World("sqlite", tmp_path), []
    clock = VirtualClock()

    async def main():
        async with application(world.store(), clock, began) as one, application(world.store(), clock, began) as two:
            await one.runs()
            await two.runs()
            runs = await asyncio.gather(one.start(Static("naps"), run_id="r"), two.start(Static("naps"), run_id="r"))
            return [(await run.wait()).status for run in runs]

    assert clock.run(main()) == ["succeeded", "succeeded"]
    assert began == ["first", "second"]


def test_starting_an_interrupted_run_again_continues_it(world):
    """What had succeeded is not done again."""
    clock, began = VirtualClock(), []

    async def first():
        app = application(world.store(), clock, began)
        async with app:
            await app.start(Static("naps"), run_id="r")
            await asyncio.sleep(90)

    async def second():
        async with application(world.store(), clock, began) as app:
            assert (await app.get_run("r")).status == "interrupted"
            return (await app.execute(Static("naps"), run_id="r")).status

    clock.run(first())
    assert clock.run(second()) == "succeeded"
    assert began == ["first", "second", "second"]


# -- resume and recover --------------------------------------------------------------------------------------


def test_resume_has_an_error_for_each_reason_to_refuse(world):
    """Unknown, over, going on here, going on elsewhere, code missing: each its own error."""

    async def main(app):
        with pytest.raises(RunNotFound, match="there is no run 'x' in"):
            await app.resume("x")
        with pytest.raises(RunNotFound, match="there is no run 'x' in"):
            await app.get_run("x")
        await app.execute(Static("sum"), inputs={"x": 1, "y": 2}, run_id="over")
        with pytest.raises(InvalidState, match=r"run 'over' is over \(succeeded\)"):
            await app.resume("over")
        going = await app.start(Static("naps"), run_id="going")
        with pytest.raises(InvalidState, match="run 'going' goes on in this application"):
            await app.resume("going")
        await app.execute(Static("bad"), run_id="paused")
        async with application(world.store(), app._clock) as other:
            assert (await other.get_run("going")).status == "running"
            with pytest.raises(RunLeased, match="run 'going' is owned by"):
                await other.resume("going")
            other._actions.clear()
            with pytest.raises(ActionNotRegistered, match="node 'bad': action 'boom' is not registered"):
                await other.resume("paused")
            with pytest.raises(ConfigError):
                await other.resume("paused", config={"max_parallel": "many"})
            with pytest.raises(InputInvalid, match="run 'paused': input at"):
                await other.resume("paused", input=float("nan"))
        return (await going.wait()).status

    assert run(application(world.store()), main) == "succeeded"


def test_resume_gives_an_input_and_changes_the_config(world):
    """`input` becomes global.input; `config` is merged over the run's, and stands in the journal."""
    app = application(world.store())
    graph = Graph("ask")

    @app.action
    async def ask(ctx: Context):
        return ctx.cache.get("global", "input")

    graph.add(ask, id="ask", try_count=1)
    app.add_graph(graph)

    async def main(app):
        paused = await app.execute(Static("ask"), run_id="r")
        assert paused.status == "paused"
        resumed = await app.resume("r", input={"ok": True}, config={"max_parallel": 2})
        report = await resumed.wait()
        events = [r.event async for r in resumed.events(live=False) if r.type == "RunResumed"]
        return report.outputs["ask"], events[0].config

    assert run(app, main) == ({"ok": True}, {"max_parallel": 2})


def test_two_resumes_at_once_are_one(world):
    """The second is refused, and does not fence off the first."""

    async def main(app):
        await app.execute(Static("bad"), run_id="r")
        results = await asyncio.gather(*(app.resume("r") for _ in range(4)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, InvalidState)]
        (taken,) = [result for result in results if not isinstance(result, Exception)]
        assert len(refused) == 3
        await taken.wait()
        return [recorded.type async for recorded in taken.events(live=False)][-3:]

    assert run(application(world.store()), main) == ["RunResumed", "StepFailed", "RunPaused"]


def test_a_run_can_be_resumed_the_moment_its_pause_is_seen(world):
    """Whoever sees `paused` in the journal can resume: the bookkeeping of the pause is not in the way."""

    async def main(app):
        started = await app.start(Static("bad"), run_id="r")
        while started.status != "paused":
            await asyncio.sleep(0)
        return (await (await app.resume("r")).wait()).status

    assert run(application(world.store()), main) == "paused"


def test_recover_continues_all_that_a_dead_process_left(world):
    """Runs that can go on do; those whose code is missing are left, with a warning."""
    clock, began = VirtualClock(), []

    async def first():
        async with application(world.store(), clock, began) as app:

            @app.action
            async def alien():
                await asyncio.sleep(1000)

            graph = Graph("alien")
            graph.add(alien, id="n")
            app.add_graph(graph)
            for number in range(3):
                await app.start(Static("naps"), run_id=f"r{number}")
            await app.start(Static("alien"), run_id="alien")
            await app.execute(Static("bad"), run_id="paused")
            await asyncio.sleep(70)

    async def second():
        async with application(world.store(), clock, began) as app:
            interrupted = {each.id for each in await app.runs(status="interrupted")}
            assert interrupted == {"r0", "r1", "r2", "alien"}
            recovered = await app.recover()
            statuses = [(await each.wait()).status for each in recovered]
            assert await app.recover() == []
            return sorted(each.id for each in recovered), statuses

    clock.run(first())
    began.clear()
    assert clock.run(second()) == (["r0", "r1", "r2"], ["succeeded"] * 3)
    assert began == ["second"] * 3


def test_recover_true_keeps_taking_over(world):
    """An application with recover=True finishes what another left, without being asked."""
    clock = VirtualClock()

    async def main():
        async with application(world.store(), clock, recover=True) as keeper:
            await keeper.runs()
            dying = application(world.store(), clock)
            await dying.start(Static("naps"), run_id="r")
            await asyncio.sleep(5)
            assert (await keeper.get_run("r")).status == "running"
            await dying.close()
            await asyncio.sleep(300)
            return (await keeper.get_run("r")).status

    assert clock.run(main()) == "succeeded"


def test_recover_true_goes_on_after_an_error(world, caplog):
    """Whatever goes wrong in one look is logged; the next look comes."""
    clock = VirtualClock()

    async def main():
        async with application(world.store(), clock, recover=True) as keeper:
            looks = []

            async def fail():
                looks.append(1)
                raise RuntimeError("a bug")

            keeper.recover = fail
            await keeper.runs()
            await asyncio.sleep(3.5)
            return len(looks)

    assert clock.run(main()) == 4
    assert "looking for runs to recover failed" in caplog.text


# -- cancelling the caller -----------------------------------------------------------------------------------


def test_cancelling_execute_cancels_the_run(world):
    """The journal says so before the cancelled call returns, and the report can still be had."""

    async def main(app):
        task = asyncio.create_task(app.execute(Static("naps"), run_id="r"))
        await asyncio.sleep(70)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        report = await (await app.get_run("r")).report()
        return report.status, report.error, {o.node_id: o.status for o in report.node_outcomes}

    status, error, outcomes = run(application(world.store()), main)
    assert (status, error) == ("cancelled", "RunCancelled: the call that awaited the run was cancelled")
    assert outcomes == {"first": "succeeded", "second": "cancelled"}


def test_cancelling_execute_while_it_starts_cancels_the_run(world):
    """No run goes on that nobody has a handle of."""

    async def main(app):
        await app.runs()
        for turns in range(6):
            task = asyncio.create_task(app.execute(Static("naps"), run_id=f"r{turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.sleep(5)
        return {each.status for each in await app.runs()}

    assert run(application(world.store()), main) <= {"cancelled"}


def test_a_script_runs_a_graph_by_its_name_or_its_file(tmp_path):
    """A text that is both is the file's path; the file's nested graphs may stand beside it."""
    (tmp_path / "main.yaml").write_text("name: main\nnodes: [{id: sub, graph: inner}]\n")
    (tmp_path / "inner.yaml").write_text("name: inner\nnodes: [{id: n, action: one}]\n")
    app = Dagger("memory:")

    @app.action
    async def one():
        return 1

    graph = Graph("named")
    graph.add(one)
    app.add_graph(graph)

    assert app.run("named").outputs == {"one": {"output": 1}}
    assert app.run(str(tmp_path / "main.yaml")).outputs == {"sub": {"output": 1}}
    assert app.run(tmp_path / "main.yaml").overall_success
    with pytest.raises(GraphError, match="there is no file 'nmaed', and no registered graph of this name"):
        app.run("nmaed")


def test_ctrl_c_cancels_the_run_and_the_journal_says_so(tmp_path):
    """A script interrupted from the keyboard ends with KeyboardInterrupt, its run cancelled on disk."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, signal, sys
            from dagger import Dagger, Graph

            app = Dagger(sys.argv[1])
            signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be inherited as ignored

            @app.action
            async def wait():
                print("under way", flush=True)
                await asyncio.sleep(3600)

            graph = Graph("g")
            graph.add(wait, id="n")
            app.run(graph, run_id="r")
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "runs.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")

    async def main():
        async with Dagger(tmp_path / "runs.db") as app:
            report = await (await app.get_run("r")).report()
            return report.status, report.node_outcomes["n"].status

    assert asyncio.run(main()) == ("cancelled", "cancelled")


# -- opening and closing -------------------------------------------------------------------------------------


def test_run_blocks_and_can_be_called_again(tmp_path):
    """One object serves one script run after another: each opens and closes the store."""
    app = Dagger(tmp_path / "runs.db")

    @app.action
    async def act(x: int):
        return x + 1

    graph = Graph("g")
    graph.add(act, id="n", x=graph.input("x"))
    reports = [app.run(graph, inputs={"x": x}) for x in range(3)]
    assert [report.outputs["n"]["output"] for report in reports] == [1, 2, 3]
    assert app.run(Static("g"), inputs={"x": 9}, run_id="r", tags={"a": "b"}).run_id == "r"


def test_run_takes_a_path(tmp_path):
    """A YAML file is loaded and executed."""
    (tmp_path / "flow.yaml").write_text("name: flow\nnodes:\n  - {id: n, action: act, inputs: {x: inputs.x}}\n")
    app = Dagger("memory:")

    @app.action
    async def act(x: int):
        return x + 1

    report = app.run(tmp_path / "flow.yaml", inputs={"x": 1})
    assert (report.status, report.outputs) == ("succeeded", {"n": {"output": 2}})


def test_a_loop_that_ends_leaves_its_runs_interrupted(world):
    """Start without waiting: the run is not lost, and the same object recovers it in the next loop."""
    clock, began = VirtualClock(), []
    app = application(world.store(), clock, began)

    async def first():
        await app.start(Static("naps"), run_id="r")
        await asyncio.sleep(70)

    async def second():
        found = await app.get_run("r")
        assert found.status == "interrupted"
        assert (await found.wait()).status == "interrupted"
        (recovered,) = await app.recover()
        report = await recovered.wait()
        await app.close()
        return report.status

    clock.run(first())
    assert clock.run(second()) == "succeeded"
    assert began == ["first", "second", "second"]


def test_an_application_can_be_closed_from_another_loop(world):
    """Closing after the loop that used it has ended works, with a run left and somebody waiting for it."""
    clock = VirtualClock()
    app = application(world.store(), clock)

    async def first():
        started = await app.start(Static("naps"), run_id="r")
        waiting = asyncio.create_task(started.wait())
        await asyncio.sleep(10)
        assert not waiting.done()

    clock.run(first())
    clock.run(app.close())

    async def again():
        async with application(world.store(), clock) as other:
            return (await other.get_run("r")).status

    assert clock.run(again()) == "interrupted"


def test_two_first_calls_in_a_new_loop_open_one_kernel(world):
    """Concurrent first uses share what is opened, after a loop that ended without closing as well."""
    clock = VirtualClock()
    app = application(world.store(), clock)

    async def both():
        reports = await asyncio.gather(*(app.execute(Static("naps")) for _ in range(5)))
        return {report.status for report in reports}

    assert clock.run(both()) == {"succeeded"}
    assert clock.run(both()) == {"succeeded"}
    clock.run(app.close())
    assert clock.run(both()) == {"succeeded"}
    clock.run(app.close())


def test_closed_with_runs_in_flight_then_recovered(world):
    """close() lets go of running, delayed and threaded steps at once; another application continues."""
    clock, began = VirtualClock(), []

    async def first():
        async with application(world.store(), clock, began) as app:
            await app.start(Static("naps"), run_id="naps")
            await app.start(Static("bad"), run_id="delayed", config={"max_attempts": 2})
            await asyncio.sleep(1)
        return clock.passed_seconds

    async def second():
        async with application(world.store(), clock, began) as app:
            runs = await app.recover()
            return sorted([(run.id, (await run.wait()).status) for run in runs])

    assert clock.run(first()) == 1
    assert clock.run(second()) == [("delayed", "paused"), ("naps", "succeeded")]


def test_a_report_is_readable_after_closing(world):
    """Outcomes and outputs are read from the closed store when they are asked for."""

    async def main(app):
        return await app.execute(Static("sum"), inputs={"x": 1, "y": 2})

    report = run(application(world.store()), main)
    assert report.outputs == {"s": {"output": 3.0}}
    assert report.node_outcomes["s"].success
    json.dumps(report.to_dict())


def test_a_store_that_cannot_open_is_told_and_can_be_tried_again(tmp_path):
    """The error names the file; after it is made possible the same object works."""
    app = application(SqliteStore(tmp_path / "sub" / "runs.db"))

    async def main():
        with pytest.raises(StoreError, match="there is no directory"):
            await app.runs()
        (tmp_path / "sub").mkdir()
        assert (await app.execute(Static("naps"))).status == "succeeded"
        await app.close()

    app._clock.run(main())


def test_a_url_of_no_known_store_is_refused():
    """A scheme that this version lacks is no file's name."""
    with pytest.raises(StoreError, match=r"'nats://x' is no store that this version knows"):
        Dagger("nats://x")


def test_runs_lists_the_newest_first_by_status_graph_and_tags(world):
    """All conditions must fit; limit cuts, None does not."""

    async def main(app):
        for number in range(4):
            options = {"run_id": f"s{number}", "tags": {"n": str(number % 2), "who": "me"}}
            await app.execute(Static("sum"), inputs={"x": 1, "y": 2}, **options)
        await app.execute(Static("bad"), run_id="b")
        await app.start(Static("naps"), run_id="n")

        async def ids(**conditions):
            return [each.id for each in await app.runs(**conditions)]

        assert await ids() == ["n", "b", "s3", "s2", "s1", "s0"]
        assert await ids(limit=2) == ["n", "b"]
        assert await ids(limit=None, graph="sum", tags={"n": "1"}) == ["s3", "s1"]
        assert await ids(status="paused") == ["b"]
        assert await ids(status="running") == ["n"]
        assert await ids(status="interrupted") == []
        assert await ids(tags={"who": "you"}) == []

    run(application(world.store()), main)


ADDRESSED = Dagger("memory:")


@pytest.mark.parametrize("is_global", [True, False])
def test_the_journal_says_where_the_applications_code_is(is_global):
    """A module's global is found by its file and name; a local one has no address."""
    app = ADDRESSED if is_global else Dagger("memory:")
    app.action("act")(lambda: 1)
    graph = Graph("g")
    graph.add("act", id="n")
    app.add_graph(graph)

    async def main():
        async with app:
            started = await app.start(Static("g"))
            await started.wait()
            return started.app

    address = asyncio.run(main())
    assert address.endswith(("test_app.py:ADDRESSED", "test_app:ADDRESSED")) if is_global else not address


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
def test_mended_and_resumed_in_another_process_the_first_steps_do_not_run_again(tmp_path):
    """A chain whose third node fails pauses; a second process with the mended code finishes it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, os, sys
            from dagger import Dagger, Graph, Static, Context

            async def main():
                async with Dagger("runs.db") as app:
                    @app.action
                    async def step(ctx: Context, x: int):
                        with open("ledger", "a") as ledger:
                            ledger.write(f"{ctx.node.id} {os.getpid()}\\n")
                        if ctx.node.id == "n2" and sys.argv[1] == "broken":
                            raise ValueError("broken")
                        return x + 1

                    graph, last = Graph("chain", config={"max_attempts": 1}), 0
                    for number in range(5):
                        last = graph.add(step, id=f"n{number}", x=last)
                    app.add_graph(graph)
                    if sys.argv[1] == "broken":
                        report = await app.execute(Static("chain"), run_id="r")
                    else:
                        report = await (await app.resume("r")).wait()
                    print(report.status, report.outputs.get("n4"))

            asyncio.run(main())
            """
        )
    )

    def process(how):
        done = subprocess.run(
            [sys.executable, script, how], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    assert process("broken") == "paused None"
    assert process("mended") == "succeeded {'output': 5}"
    lines = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    assert [node for node, _ in lines] == ["n0", "n1", "n2", "n2", "n3", "n4"]
    assert len({pid for _, pid in lines}) == 2


def test_declared_inputs_have_defaults_and_types(world):
    """A default fills what is not given; a wrong type or an unknown name is refused at once."""
    app = application(world.store())
    graph = Graph("g", inputs={"x": "number", "y": RunInput("integer", default=5)})
    graph.add("add", id="n", a=graph.input("x"), b=graph.input("y"))
    app.add_graph(graph)

    async def main(app):
        with pytest.raises(InputInvalid, match=r"run input 'x' is missing; run input 'z'|there is no run input 'z'"):
            await app.execute(Static("g"), inputs={"z": 1})
        with pytest.raises(InputInvalid, match="run input 'x' must be number, not 'a'"):
            await app.execute(Static("g"), inputs={"x": "a"})
        return (await app.execute(Static("g"), inputs={"x": 1})).outputs

    assert run(app, main) == {"n": {"output": 6.0}}


def test_closing_reads_nothing_for_the_sake_of_reports(tmp_path):
    """A service of a month may have one at hand; what the store's file had then is told, or that it is gone."""
    path = tmp_path / "s.db"
    app = Dagger(path)

    @app.action
    async def big(ctx: Context):
        ctx.finish("x" * 100_000)

    graph = Graph("big")
    graph.add(big)
    app.add_graph(graph)

    async def main():
        await app.execute(Static("big"), run_id="over")
        reports = [await (await app.get_run("over")).report() for _ in range(3)]
        with contextlib.closing(apsw.Connection(str(path))) as connection:
            connection.execute("CREATE TABLE kept AS SELECT * FROM blobs")
            connection.execute("DELETE FROM blobs")
        await app.close()
        return reports

    whole, without, gone = asyncio.run(main())
    with pytest.raises(StoreCorrupt):
        _ = without.result
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        connection.execute("INSERT INTO blobs SELECT * FROM kept")
    assert (whole.result, whole.node_outcomes["big"].success) == ("x" * 100_000, True)
    path.unlink()
    assert gone.status == "succeeded"
    with pytest.raises(StoreError, match=r"s\.db is gone: what was not read from it before"):
        _ = gone.result
    assert list(tmp_path.iterdir()) == []


def test_large_outputs_are_read_from_the_closed_store(tmp_path):
    """When they are asked for."""
    app = Dagger(tmp_path / "s.db")

    @app.action
    async def big() -> str:
        return "x" * 5_000_000

    graph = Graph("big")
    graph.add(big)
    app.add_graph(graph)
    report = app.run(Static("big"))
    assert len(report.outputs["big"]["output"]) == 5_000_000
