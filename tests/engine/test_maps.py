"""A node run once for each item of a list: what goes in, what comes out, how many at once, and what is kept."""

import asyncio
import time
from collections import Counter

import pytest

from dagger import Context, Dagger, Graph, Static
from dagger.core.graph import NodeRef
from dagger.core.steps import ITEMS_AT_ONCE
from dagger.testing import VirtualClock

STORES = ["memory", "sqlite"]
FAST = {"retry_strategy": "immediate", "max_attempts": 1, "on_failure": "continue"}


class Mapped:
    """An application with one graph, whose node `listed` gives the run input `listed`."""

    def __init__(self, url="memory:", clock=None, **config):
        self.clock = clock or VirtualClock()
        self.app = Dagger(url, clock=self.clock)
        self.graph = Graph("g", config={**FAST, **config})
        self.began = []
        self.keys = set()
        self.bad = set()
        self.at_once = Counter()

        @self.app.action
        async def give(value: object):
            return value

        @self.app.action
        async def work(x: int, ctx: Context, y: int = 0):
            """Smaller numbers take longer, so that items end in the reverse order."""
            self.began.append(x)
            self.keys.add(ctx.idempotency_key)
            self.at_once["now"] += 1
            self.at_once["most"] = max(self.at_once["most"], self.at_once["now"])
            try:
                await asyncio.sleep(max(100 - x, 0))
            finally:
                self.at_once["now"] -= 1
            if x in self.bad:
                raise ValueError(f"no {x}")
            return x + y

        @self.app.action
        async def split(x: int):
            return {"half": x / 2} if x % 2 else {"half": x / 2, "even": True}

        @self.app.action
        async def show(ctx: Context, **inputs):
            return {"inputs": inputs}

        self.listed = self.graph.add(give, id="listed", value=self.graph.input("listed"))

    def run(self, main):
        self.app.add_graph(self.graph)

        async def whole():
            async with self.app:
                return await main()

        return self.clock.run(whole())

    def execute(self, listed, **options):
        async def main():
            report = await self.app.execute(Static("g"), inputs={"listed": listed}, **options)
            report.load()
            return report

        return self.run(main)

    def resume(self, run_id):
        async def main():
            report = await (await self.app.resume(run_id)).wait()
            report.load()
            return report

        return self.run(main)


@pytest.fixture(params=STORES)
def mapped(request, tmp_path):
    return Mapped("memory:" if request.param == "memory" else tmp_path / "runs.db")


def ref(text):
    return NodeRef(text.partition(".")[0], text)


# -- what comes out ------------------------------------------------------------------------------------------


def test_outputs_are_in_the_order_of_the_items_whatever_the_order_of_ending(mapped):
    """The last item ends first."""
    mapped.graph.add("work", id="each", map=mapped.listed)
    report = mapped.execute([1, 2, 3])
    assert report.outputs["each"] == {"output": [1, 2, 3]}
    ended = [outcome.node_id for outcome in report.node_outcomes]
    assert ended == ["listed", "each/2", "each/1", "each/0", "each"]


def test_each_output_is_a_column_with_null_where_an_item_gave_none(mapped):
    """`each.half` is the list of all halves; so a later node takes them."""
    each = mapped.graph.add("split", id="each", map=mapped.listed)
    mapped.graph.add("show", id="after", halves=each["half"], all=each)
    report = mapped.execute([1, 2])
    assert report.outputs["each"] == {"half": [0.5, 1.0], "even": [None, True]}
    assert report.outputs["after"]["inputs"] == {"halves": [0.5, 1.0], "all": report.outputs["each"]}


def test_an_empty_list_gives_empty_lists(mapped):
    """Of the declared outputs, or one; no item is begun, and the run goes on."""
    mapped.graph.add("work", id="each", map=mapped.listed)
    mapped.graph.add("split", id="both", map=mapped.listed, outputs=["half", "even"])
    mapped.graph.add("give", id="after", value=ref("each"))
    report = mapped.execute([])
    assert report.outputs["each"] == report.outputs["after"] == {"output": []}
    assert report.outputs["both"] == {"half": [], "even": []}


# -- what goes in --------------------------------------------------------------------------------------------


def test_the_item_goes_to_the_one_required_parameter_that_nothing_else_goes_to(mapped):
    """As the node's other inputs do not name it; `ctx.inputs` calls it so too."""

    @mapped.app.action
    async def both(first: int, second: int, ctx: Context):
        return [first, second, ctx.inputs]

    mapped.graph.add(both, id="each", map=mapped.listed, first=7)
    assert mapped.execute([1]).outputs["each"]["output"] == [[7, 1, {"first": 7, "second": 1}]]


def test_the_item_is_called_item_where_no_one_parameter_is_left(mapped):
    """With several left over it is a parameter of that name; what takes anything finds it among the inputs."""

    @mapped.app.action
    async def named(item: int, other: int = 5):
        return item + other

    @mapped.app.action
    async def sees(ctx: Context):
        return {"seen": ctx.inputs}

    mapped.graph.add(named, id="named", map=mapped.listed)
    mapped.graph.add("show", id="gathers", map=mapped.listed, a=1)
    mapped.graph.add(sees, id="sees", map=mapped.listed)
    report = mapped.execute([1])
    assert report.error is None
    assert report.outputs["named"] == {"output": [6]}
    assert report.outputs["gathers"] == {"inputs": [{"a": 1, "item": 1}]}
    assert report.outputs["sees"] == {"seen": [{"item": 1}]}


def test_an_item_that_no_parameter_is_for_is_refused_clearly(mapped):
    """The map says it of its first items."""

    @mapped.app.action
    async def optional(x: int = 0):
        return x

    mapped.graph.add(optional, id="each", map=mapped.listed)
    told = "each/0: InputInvalid: node 'each': action 'optional' has no parameter 'item' (it takes: x)"
    assert told in mapped.execute([1]).error


def test_inputs_refer_to_the_item_to_paths_in_it_and_to_what_is_around_the_map(mapped):
    """To whole nodes, to outputs, to paths, to run inputs, in the run as in a nested graph."""
    inner = Graph("inner")
    outer = inner.add("split", id="outer", x=4)
    inputs = {
        "whole": inner.item,
        "name": inner.item["name"],
        "second": inner.item["list"][1],
        "node": outer,
        "output": outer["half"],
        "given": inner.input("given"),
        "part": inner.input("given")["deep"],
        "literal": [1],
        "odd name": outer["even"],
    }
    inner.add("show", id="each", map=inner.input("items"), inputs=inputs)
    mapped.graph.add(inner, id="flow", items=mapped.listed, given={"deep": 5})
    item = {"name": "n", "list": [1, 2]}
    report = mapped.execute([item])
    assert report.error is None
    assert report.outputs["flow"] == {
        "inputs": [
            {
                "whole": item,
                "name": "n",
                "second": 2,
                "node": {"half": 2.0, "even": True},
                "output": 2.0,
                "given": {"deep": 5},
                "part": 5,
                "literal": [1],
                "odd name": True,
            }
        ]
    }


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("item.nmae", "node 'each': input 'a': 'item.nmae': there is no key 'nmae'; did you mean 'name'?"),
        ("item.name.x", "node 'each': input 'a': 'item.name.x': 'x' cannot be taken from a str"),
        ("item[0]", "node 'each': input 'a': 'item[0]': there is no key 0; it has: name"),
    ],
    ids=range(3),
)
def test_a_path_into_nowhere_of_an_item_says_where_it_ended(reference, told):
    """As any reference does; the step is named with its index."""
    mapped = Mapped()
    mapped.graph.add("show", id="each", map=mapped.listed, a=ref(reference))
    assert f"each/0: InputInvalid: {told}" in mapped.execute([{"name": "n"}]).error


def test_what_an_items_inputs_refer_to_may_have_failed(mapped):
    """As outside of a map: an optional parameter keeps its default, a required one is missed by name."""
    mapped.bad = {99}
    bad = mapped.graph.add("work", id="bad", x=99)
    mapped.graph.add("work", id="kept", map=mapped.listed, x=mapped.graph.item, y=bad, run_when="finished")
    mapped.graph.add("work", id="missed", map=mapped.listed, y=mapped.graph.item, x=bad, run_when="finished")
    report = mapped.execute([1])
    assert report.outputs["kept"] == {"output": [1]}
    told = "missed/0: InputInvalid: node 'missed': input 'x': the node that it refers to did not succeed"
    assert told in report.error


@pytest.mark.parametrize("value", ["text", 5, None, {"a": [1], "b": [2]}], ids=repr)
def test_only_a_list_can_be_mapped_over(value):
    """Anything else fails the node at once, and shows what it was."""
    mapped = Mapped()
    mapped.graph.add("work", id="each", map=mapped.listed, try_count=3)
    outcome = mapped.execute(value).node_outcomes["each"]
    assert outcome.final_error == (
        f"Failed after 1 attempt. Last error: InputInvalid: node 'each': map: 'listed' must be a list, not {value!r}"
    )


def test_a_list_with_nan_is_refused_where_it_is_made(mapped):
    """So no map ever sees one: the path tells which item."""

    @mapped.app.action
    async def nans():
        return [1.0, float("nan")]

    mapped.graph.add("work", id="each", map=mapped.graph.add(nans, id="nans"))
    report = mapped.execute([])
    assert report.error.startswith("nans: OutputInvalid: node 'nans': output 'output': at $[1]: nan")
    assert report.node_outcomes["each"].reason == "'nans' failed"


def test_a_map_over_what_is_missing_fails(mapped):
    """Naming the field and the node that gave nothing."""
    mapped.bad = {99}
    bad = mapped.graph.add("work", id="bad", x=99)
    mapped.graph.add("work", id="each", map=bad["rows"], run_when="finished")
    assert "InputInvalid: node 'each': map: 'bad.rows': node 'bad' failed" in mapped.execute([]).error


def test_each_item_has_an_idempotency_key_of_its_own(mapped):
    """The same in every run of the step."""
    mapped.graph.add("work", id="each", map=mapped.listed, try_count=2)
    mapped.bad = {2}
    mapped.execute([1, 2], run_id="r")
    assert mapped.keys == {"r/each/0", "r/each/1"}
    assert sorted(mapped.began) == [1, 2, 2]


# -- graphs as items -----------------------------------------------------------------------------------------


def pair():
    graph = Graph("pair")
    graph.add("work", id="second", x=graph.add("work", id="first", x=graph.input("x"), y=graph.input("y")))
    return graph


def test_a_graph_runs_for_each_item(mapped):
    """The item goes to the one input that nothing else goes to; its outputs are columns too."""
    mapped.graph.add(pair(), id="each", map=mapped.listed, y=1)
    report = mapped.execute([1, 2])
    assert report.outputs["each"] == {"output": [2, 3]}
    assert "each/1/second" in report.node_outcomes


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("is_graph", [False, True], ids=["action", "graph"])
def test_max_parallel_limits_the_items_at_work(mapped, is_graph, limit):
    """Also of graphs, where an item is at work until all of its steps have ended."""
    limited = {"reference": mapped.listed, "max_parallel": limit}
    mapped.graph.add(*([pair()] if is_graph else ["work"]), id="each", map=limited, y=0)
    report = mapped.execute(list(range(8)))
    assert (report.status, mapped.at_once["most"]) == ("succeeded", limit)
    if is_graph and limit == 1:
        assert mapped.began == [number for number in range(8) for _ in range(2)]


def test_items_that_wait_for_their_next_attempt_free_their_places(mapped):
    """A retry delay holds up nobody."""
    mapped.bad = {99}
    limited = {"reference": mapped.listed, "max_parallel": 1}
    mapped.graph.add("work", id="each", map=limited, try_count=2)
    report = mapped.execute([99, 90], config={"retry_strategy": {"linear": {"delay_secs": 5}}})
    assert mapped.began == [99, 90, 99]
    assert "each/0: ValueError: no 99" in report.error


# -- failures ------------------------------------------------------------------------------------------------


def test_under_continue_all_items_are_done_and_then_the_map_fails(mapped):
    """With the number and the first of the errors."""
    mapped.bad = {91, 93}
    mapped.graph.add("work", id="each", map=mapped.listed)
    report = mapped.execute([90, 91, 92, 93])
    told = "ScopeFailed: node 'each': 2 of its steps failed: each/3: ValueError: no 93; each/1: ValueError: no 91"
    assert (report.status, report.error) == ("failed", f"each: {told}")
    assert len(mapped.began) == 4


@pytest.mark.parametrize("is_graph", [False, True], ids=["action", "graph"])
def test_stuck_items_hold_up_no_others_and_have_fresh_tries_after_a_resume(mapped, is_graph):
    """Under pause; what succeeded is not run again. Graphs that are taken up all have their places back at once."""
    mapped.bad = {91, 93, 95}
    limited = {"reference": mapped.listed, "max_parallel": 1}
    policy = {"on_failure": "pause"}
    mapped.graph.add(*([pair()] if is_graph else ["work"]), id="each", map=limited, y=0, **policy)
    report = mapped.execute(list(range(90, 97)))
    assert report.status == "paused"
    assert set(mapped.began) == set(range(90, 97))
    mapped.began.clear()
    mapped.bad = set()
    report = mapped.resume(report.run_id)
    assert (report.status, report.outputs["each"]) == ("succeeded", {"output": list(range(90, 97))})
    assert sorted(set(mapped.began)) == [91, 93, 95]
    assert mapped.at_once["most"] == (3 if is_graph else 1)


@pytest.mark.parametrize("order", ["pause", "crash"])
def test_a_run_that_is_taken_up_in_the_middle_of_a_map_repeats_no_success(mapped, order):
    """Items that ended before stay ended, those that were cut off begin anew."""
    mapped.graph.add("work", id="each", map=mapped.listed, y=1)

    async def interrupted():
        run = await mapped.app.start(Static("g"), inputs={"listed": [98, 99, 50]}, run_id="r")
        await asyncio.sleep(10)
        if order == "pause":
            await run.pause()

    mapped.run(interrupted)
    assert sorted(mapped.began) == [50, 98, 99]
    report = mapped.resume("r")
    assert report.outputs["each"] == {"output": [99, 100, 51]}
    assert sorted(mapped.began) == [50, 50, 98, 99]


def test_a_run_that_is_cancelled_in_the_middle_of_a_map_ends(mapped):
    """Its items are cancelled with it."""
    mapped.graph.add("work", id="each", map={"reference": mapped.listed, "max_parallel": 2})

    async def main():
        run = await mapped.app.start(Static("g"), inputs={"listed": [1, 2, 3]})
        await asyncio.sleep(10)
        report = await run.cancel("enough")
        report.load()
        return report

    report = mapped.run(main)
    assert (report.status, report.error) == ("cancelled", "RunCancelled: enough")
    assert {report.node_outcomes[f"each/{index}"].status for index in range(2)} == {"cancelled"}


# -- many items ----------------------------------------------------------------------------------------------

MANY = 25_000


@pytest.mark.parametrize("store", STORES)
def test_many_items_go_through_a_map_a_part_at_a_time(store, tmp_path):
    """So many at most are steps at once, and nothing of them is left in the state when it has succeeded."""
    app = Dagger("memory:" if store == "memory" else tmp_path / "runs.db")
    sizes = []

    @app.action
    async def numbers(count: int):
        return list(range(count))

    @app.action
    async def twice(x: int):
        if x % 1_000 == 0:
            state = app.tenure("r").state
            sizes.append(len(state.pending))
        return 2 * x

    @app.action
    async def total(each: list):
        state = app.tenure("r").state
        return [sum(each), len(state.succeeded), sorted(state.sections), len(state.scopes)]

    graph = Graph("g", config={"durability": "async"})
    each = graph.add(twice, id="each", map=graph.add(numbers, id="listed", count=MANY))
    graph.add(total, id="total", each=each)
    app.add_graph(graph)

    async def main():
        async with app:
            report = await app.execute(Static("g"), run_id="r")
            return report.outputs["total"]["output"]

    began = time.process_time()
    assert asyncio.run(main()) == [MANY * (MANY - 1), 2, ["each", "listed"], 0]
    assert time.process_time() - began < 3  # seconds of work; it takes half a second
    assert ITEMS_AT_ONCE - 1_000 < max(sizes) <= ITEMS_AT_ONCE + 2  # the map's own step, and what follows it
