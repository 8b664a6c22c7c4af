"""What an attempt may see and do, and what it collects."""

import asyncio
import logging

import msgspec
import pytest

from dagger import AttemptOver, Context, Dagger, Graph, OutputInvalid, Static, StepError
from dagger.core.cache import Appended
from dagger.engine.overlay import AttemptCache
from dagger.testing import VirtualClock


def execute(action, *, clock=None, node=None, **options):
    """The report of a run of one node, its tenure's cache, and what the run recorded."""
    clock = clock or VirtualClock()
    app = Dagger("memory:", clock=clock, config={"retry_strategy": "immediate", "on_failure": "continue"})
    app.action("act")(action)
    graph = Graph("g")
    graph.add("act", id="n", **(node or {}))
    app.add_graph(graph)

    async def main():
        async with app:
            report = await app.execute(Static("g"), run_id="r", **options)
            report.load()
            run = await app.get_run("r")
            return report, run.cache

    return clock.run(main())


def test_it_tells_who_and_where():
    """Run, graph, node, attempt, key and inputs."""

    async def act(ctx: Context):
        return [ctx.run_id, ctx.graph, ctx.node.id, ctx.attempt, ctx.idempotency_key, ctx.inputs]

    report, _ = execute(act, node={"inputs": {"x": [1], "y": "z"}})
    assert report.outputs["n"]["output"] == ["r", "g", "n", 1, "r/n", {"x": [1], "y": "z"}]


def test_the_idempotency_key_is_the_same_in_every_attempt():
    """The attempt's number is not."""
    seen = []

    async def act(ctx: Context):
        seen.append((ctx.attempt, ctx.idempotency_key))
        raise ValueError("again")

    execute(act, node={"try_count": 3})
    assert seen == [(1, "r/n"), (2, "r/n"), (3, "r/n")]


def test_a_failed_attempt_leaves_nothing_behind():
    """Writes and results of attempts that raised are in no cache and no journal."""

    async def act(ctx: Context):
        ctx.cache.append("global", "list", ctx.attempt)
        ctx.cache.set("global", f"key{ctx.attempt}", 1)
        ctx.finish(f"attempt {ctx.attempt}")
        if ctx.attempt < 3:
            raise ValueError("again")

    report, cache = execute(act)
    assert report.result == "attempt 3"
    assert cache.node("global") == {"list": [3], "key3": 1}


def test_it_reads_its_own_writes_over_the_runs_state():
    """Set, append, add and delete, in the order made; the run sees them with the success."""

    async def act(ctx: Context):
        cache = ctx.cache
        cache.append("global", "list", 2)
        cache.add("global", "sum", 5)
        cache.delete("global", "gone")
        cache.set("mine", "k", 1)
        cache.delete("mine", "k")
        cache.set("global", "new", {"a": 1})
        seen = [
            cache.get("global", "list"),
            cache.get("global", "sum"),
            cache.get("global", "gone", None),
            cache.keys("global"),
            sorted(cache),
            "mine" in cache,
            len(cache),
        ]
        cache.append("global", "list", 3)
        return [*seen, cache.get("global", "list"), sorted(cache.node("global"))]

    report, cache = execute(act, cache={"global": {"list": [1], "sum": 10, "gone": 1}})
    assert report.outputs["n"]["output"] == [
        [1, 2], 15, None, ["list", "sum", "new"], ["global"], False, 1, [1, 2, 3], ["list", "new", "sum"],
    ]  # fmt: skip
    assert cache.node("global") == {"list": [1, 2, 3], "sum": 15, "new": {"a": 1}}


class Open:
    def require_open(self):
        pass


def test_it_sees_what_others_wrote_meanwhile():
    """Own appends stay on top of a list that grows below them."""
    sections = {"s": {"list": Appended(b"[]", [b"1"])}}
    cache = AttemptCache(sections, {}.__getitem__, Open())
    cache.append("s", "list", "mine")
    assert cache.get("s", "list") == [1, "mine"]
    sections["s"]["list"].items.append(b"2")
    assert cache.get("s", "list") == [1, 2, "mine"]
    cache.append("s", "list", "mine too")
    assert cache.get("s", "list") == [1, 2, "mine", "mine too"]
    sections["s"]["list"] = b"[9]"
    assert cache.get("s", "list") == [9, "mine", "mine too"]
    assert sections["s"]["list"] == b"[9]"
    assert cache.get("s", "other", None) is None


def test_ten_thousand_writes_cost_ten_thousand_steps():
    """Each write looks at what is new since the last look, not at all writes before it."""
    applied = []
    cache = AttemptCache({}, {}.__getitem__, Open())

    class Counted(list):
        def __getitem__(self, index):
            found = super().__getitem__(index)
            applied.extend(found if isinstance(index, slice) else [found])
            return found

    cache._own["s"] = {"k": Counted()}
    for number in range(2_000):
        cache.append("s", "k", number)
    assert len(cache.get("s", "k")) == 2_000
    assert len(applied) == 2_000


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda ctx: ctx.finish(float("nan")), "node 'n': result: at $: nan"),
        (lambda ctx: ctx.cache.set("s", "k", object()), "cache s.k: at $: an object is not a JSON value"),
        (lambda ctx: ctx.cache.set("\ud800", "k", 1), "a cache section is a string, not"),
        (lambda ctx: ctx.cache.append("n", "k", {1: 2}), "cache n.k: at $: the key 1"),
    ],
    ids=range(4),
)
def test_what_is_not_json_is_refused_where_it_is_handed_over(call, told):
    """OutputInvalid, never retried; user code may catch it."""

    async def act(ctx: Context):
        with pytest.raises(OutputInvalid) as caught:
            call(ctx)
        assert str(caught.value).startswith(told)
        call(ctx)

    report, cache = execute(act)
    assert (report.node_outcomes["n"].attempts, list(cache)) == (1, [])
    assert report.node_outcomes["n"].final_error.startswith("Failed after 1 attempt. Last error: OutputInvalid")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda ctx: ctx.spend_tokens(-1), "node 'n': tokens are a whole number of at least 0, not -1"),
        (lambda ctx: ctx.spend_tokens(True), "node 'n': tokens are a whole number of at least 0, not True"),
        (lambda ctx: ctx.spend_tokens(1.5), "node 'n': tokens are a whole number of at least 0, not 1.5"),
        (lambda ctx: ctx.progress(1.5), "node 'n': progress is a fraction from 0 to 1, not 1.5"),
        (lambda ctx: ctx.sleep(-1), "node 'n': sleep takes seconds from 0 to 3,162,240,000, not -1"),
    ],
    ids=range(5),
)
def test_an_argument_that_cannot_be_is_refused_where_the_call_is_made(call, told):
    """A plain StepError, as nothing is wrong with inputs or outputs; user code may catch it."""

    async def act(ctx: Context):
        with pytest.raises(StepError) as caught:
            call(ctx)
        return [type(caught.value).__name__, str(caught.value)]

    assert execute(act)[0].outputs["n"]["output"] == ["StepError", told]


def test_the_first_result_stands():
    """Of one attempt and of several steps."""

    async def act(ctx: Context):
        ctx.finish({"n": 1})
        ctx.finish("second")

    assert execute(act)[0].result == {"n": 1}


def test_none_is_a_result():
    """finish(None) is JSON null, and stands."""

    async def act(ctx: Context):
        ctx.finish(None)
        ctx.finish("second")

    assert execute(act)[0].result is None


def test_tokens_count_when_the_attempt_fails_too():
    """The sum of all attempts is in the report."""

    async def act(ctx: Context):
        ctx.spend_tokens(10)
        ctx.spend_tokens(0)
        if ctx.attempt < 3:
            raise ValueError("again")

    assert execute(act)[0].tokens == 30


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: ctx.cache.set("s", "k", 1),
        lambda ctx: ctx.finish(1),
        lambda ctx: ctx.spend_tokens(1),
    ],
    ids=["cache", "finish", "tokens"],
)
def test_after_the_attempt_every_call_is_refused(call):
    """What would be lost is an error: AttemptOver."""
    kept = []

    async def act(ctx: Context):
        kept.append(ctx)

    execute(act)
    with pytest.raises(AttemptOver, match="node 'n', attempt 1: the attempt is over"):
        call(kept[0])


def test_the_log_says_run_node_and_attempt(caplog):
    """Each line carries them, beside what the call adds itself."""

    async def act(ctx: Context):
        ctx.log.info("half %s", "done", extra={"mine": 1})

    with caplog.at_level(logging.INFO, "dagger"):
        execute(act)
    (line,) = [record for record in caplog.records if record.getMessage() == "half done"]
    assert (line.run, line.node, line.attempt, line.mine) == ("r", "n", 1, 1)


def test_outcomes_are_of_the_dependencies():
    """A node that runs has succeeded dependencies, unless it runs whatever became of them."""

    async def act(ctx: Context):
        return sorted(ctx.outcomes)

    assert execute(act)[0].outputs["n"]["output"] == []


def test_inputs_are_fresh_at_each_call():
    """Nobody shares a mutable object through them."""

    async def act(ctx: Context):
        ctx.inputs["x"].append(2)
        return ctx.inputs["x"]

    assert execute(act, node={"x": [1]})[0].outputs["n"]["output"] == [1]


def test_large_effects_are_stored_beside_the_event():
    """The event holds references; the values read back whole."""
    clock = VirtualClock()
    app = Dagger("memory:", clock=clock)

    @app.action
    async def act(ctx: Context):
        ctx.cache.set("global", "big", "x" * 100_000)
        ctx.finish("y" * 100_000)

    graph = Graph("g")
    graph.add(act, id="n")
    app.add_graph(graph)

    async def main():
        async with app:
            run = await app.start(Static("g"))
            report = await run.wait()
            (event,) = [r.event async for r in run.events(live=False) if r.type == "StepSucceeded"]
            return event, report.result, run.cache.get("global", "big")

    event, result, big = clock.run(main())
    assert len(msgspec.json.encode(event)) < 1_000
    assert (result, big) == ("y" * 100_000, "x" * 100_000)


def test_threads_read_and_write_the_cache_while_others_do():
    """64 threads and the loop at one list: nothing lost, nothing half seen."""
    app = Dagger("memory:")

    @app.action
    def in_thread(ctx: Context, n: int):
        for _ in range(20):
            list(ctx.cache)
            ctx.cache.keys("global")
            seen = ctx.cache.get("global", "list", [])
            assert len(seen) == len(set(seen))
        ctx.cache.append("global", "list", n)

    @app.action
    async def in_loop(ctx: Context, n: int):
        await asyncio.sleep(0)
        ctx.cache.append("global", "list", n)
        ctx.cache.set(f"section{n}", "k", n)

    graph = Graph("g", config={"max_attempts": 1})
    for n in range(200):
        graph.add(in_thread if n % 2 else in_loop, id=f"n{n}", n=n)
    app.add_graph(graph)

    async def main():
        async with app:
            report = await app.execute(Static("g"), run_id="r")
            return report.error, sorted((await app.get_run("r")).cache.get("global", "list"))

    assert asyncio.run(main()) == (None, list(range(200)))


def test_it_knows_what_nodes_can_call():
    """The schemas of all registered actions by name, the built-in ones included."""

    async def act(ctx: Context):
        return [sorted(ctx.action_schemas), ctx.action_schemas["act"]["parameters"]]

    report, _ = execute(act)
    names, parameters = report.outputs["n"]["output"]
    assert names == ["act", "human_interrupt", "supervisor_step"]
    assert parameters == {"type": "object", "properties": {}, "required": []}
