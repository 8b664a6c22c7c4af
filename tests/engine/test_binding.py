"""What a node's references lead to, and what its action is called with."""

import pytest

from dagger import Context, Dagger, EventDriven, Graph, MemoryStore, NodeAction, NonRetryable, Static, action
from dagger.store.memory import Memory
from dagger.testing import VirtualClock


def execute(fill, *actions, **options):
    clock = VirtualClock()
    app = Dagger("memory:", clock=clock, config={"on_failure": "continue"})
    for each in actions:
        app.register_action(each)
    graph = Graph("g")
    fill(graph)
    app.add_graph(graph)

    async def main():
        async with app:
            report = await app.execute(Static("g"), **options)
            report.load()
            return report

    return clock.run(main())


async def page():
    return {"items": [{"title": "t", "n": [1, 2]}], "a key": {"x.y": 5}, "text": "abc", "none": None}


async def give(value):
    return value


async def nothing():
    return None


async def one():
    return 7


async def many(ctx: Context, value: object = "default"):
    return {"value": value}


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("page.text", "abc"),
        ("page.none", None),
        ("page.items", [{"title": "t", "n": [1, 2]}]),
        ("page.items[0].title", "t"),
        ("page.items[0].n[-1]", 2),
        ('page["a key"]["x.y"]', 5),
        ("one", 7),
        ("one.output", 7),
        ("nothing", None),
        ("inputs.given.deep[1]", "in"),
    ],
    ids=range(10),
)
def test_a_reference_leads_to_its_value(reference, value):
    """Outputs by name, paths into them, the only output, none at all, run inputs."""

    def fill(graph):
        from dagger.core.graph import NodeRef

        for each in (page, one, nothing):
            graph.add(each, id=each.__name__)
        node = reference.partition(".")[0].partition("[")[0]
        graph.add(give, id="give", value=NodeRef(node, reference), outputs=["value"])

    report = execute(fill, page, one, nothing, give, inputs={"given": {"deep": [0, "in"]}})
    assert (report.error, report.outputs.get("give")) == (None, {"value": value})


def test_a_whole_node_of_several_outputs_is_the_dict_of_them():
    """The bare reference to a node that gives more than one."""

    def fill(graph):
        graph.add(give, id="give", value=graph.add(page, id="page"), outputs=["value"])

    given = execute(fill, page, give).outputs["give"]["value"]
    assert sorted(given) == ["a key", "items", "none", "text"]


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("page.txt", "node 'page' gave no output 'txt'; did you mean 'text'?"),
        ("page.zzz", "node 'page' gave no output 'zzz'; there is: items, a key, text, none"),
        ("nothing.x", "node 'nothing' gave no output 'x'; there is: nothing"),
        ("page.items[3]", "there is no item 3 in a list of 1"),
        ("page.items[0].titel", "there is no key 'titel'; did you mean 'title'?"),
        ("page.items[0].zzz", "there is no key 'zzz'; it has: title, n"),
        ("page.items.title", "there is no item 'title' in a list of 1"),
        ("page.text[0]", "0 cannot be taken from a str"),
        ("page.text.upper", "'upper' cannot be taken from a str"),
        ("page.none.x", "'x' cannot be taken from a NoneType"),
    ],
    ids=range(10),
)
def test_a_reference_into_nowhere_says_where_it_ended(reference, told):
    """Node, input, reference, and what there is; it is not retried."""

    def fill(graph):
        from dagger.core.graph import NodeRef

        graph.add(page, id="page")
        graph.add(nothing, id="nothing")
        graph.add(give, id="give", value=NodeRef(reference.partition(".")[0], reference))

    outcome = execute(fill, page, nothing, give).node_outcomes["give"]
    assert outcome.attempts == 1
    assert outcome.final_error.endswith(f"InputInvalid: node 'give': input 'value': {reference!r}: {told}")


async def boom():
    raise ValueError("no")


def test_what_did_not_succeed_gives_nothing():
    """A parameter with a default keeps it; one without is an error that says what became of the node."""

    def fill(graph):
        bad = graph.add(boom, id="bad", try_count=1)
        graph.add(many, id="kept", value=bad["x"], run_when="finished")
        graph.add(give, id="required", value=bad["x"]["y"], run_when="finished")

    report = execute(fill, boom, many, give)
    assert report.outputs["kept"] == {"value": "default"}
    told = report.node_outcomes["required"].final_error
    assert told.endswith("InputInvalid: node 'required': input 'value': 'bad.x.y': node 'bad' failed")


def test_inputs_beyond_the_parameters_go_to_double_star():
    """With a context beside it too; without one or the other they are refused, with the nearest parameter."""

    async def gathers(ctx: Context, a: int, **rest):
        return [a, rest]

    async def plain(**rest):
        return rest

    async def reads(ctx: Context):
        return ctx.inputs

    async def exact(value: int):
        return value

    def fill(graph):
        for each in (gathers, plain, reads):
            graph.add(each, id=each.__name__, inputs={"a": 1, "b": 2}, outputs=["seen"])
        graph.add(exact, id="exact", valeu=1)

    report = execute(fill, gathers, plain, reads, exact)
    assert report.outputs == {
        "gathers": {"seen": [1, {"b": 2}]},
        "plain": {"seen": {"a": 1, "b": 2}},
        "reads": {"seen": {"a": 1, "b": 2}},
    }
    assert "action 'exact' has no parameter 'valeu'; did you mean 'value'?" in report.node_outcomes["exact"].final_error


def test_a_required_parameter_is_missed_however_many_optional_ones_are_given():
    """It is the step's InputInvalid, not the TypeError of a call that cannot be."""

    async def add(a, b, c=1):
        return a + b + c

    outcome = execute(lambda graph: graph.add(add, id="add", a=1, c=2), add).node_outcomes["add"]
    assert outcome.attempts == 1
    assert outcome.final_error.endswith("InputInvalid: node 'add': input 'b' missing; action 'add' requires it")


class Strict(NodeAction):
    def schema(self):
        return {"name": "Strict", "parameters": {"properties": {"x": {"type": "integer"}}, "required": ["x"]}}

    async def execute(self, ctx: Context):
        return ctx.inputs


@pytest.mark.parametrize(
    ("inputs", "outputs", "error"),
    [
        ({"x": 1, "y": 2}, {"x": 1, "y": 2}, None),
        ({"x": "one"}, None, """InputInvalid: node 's': at $.x: "one" is not of type "integer\""""),
    ],
    ids=["fits", "wrong"],
)
def test_an_explicit_schema_is_asked_before_the_call(inputs, outputs, error):
    """Of all inputs together; they are found in the context."""
    report = execute(lambda graph: graph.add(Strict, id="s", **inputs), Strict())
    assert report.outputs.get("s") == outputs
    assert error is None or report.node_outcomes["s"].final_error.endswith(error)


def test_the_cache_may_say_otherwise():
    """A node's outputs are a section of the cache: what was set there later is what a reference finds."""

    async def change(ctx: Context):
        ctx.cache.set("one", "output", [8, 9])
        ctx.cache.append("one", "more", 5)

    def fill(graph):
        graph.add(one, id="one")
        graph.add(change, id="change", after=["one"])
        graph.add(give, id="first", value=graph.nodes and _ref("one.output[1]"), after=["change"], outputs=["value"])
        graph.add(give, id="more", value=_ref("one.more"), after=["change"], outputs=["value"])

    report = execute(fill, one, change, give)
    assert report.outputs["first"] == {"value": 9}
    assert report.outputs["more"] == {"value": [5]}


def _ref(text):
    from dagger.core.graph import NodeRef

    return NodeRef(text.partition(".")[0], text)


def test_a_field_of_the_node_is_named_as_the_field_it_is():
    """An input may have the same name, and is called an input."""

    def fill(graph):
        graph.add(page, id="page")
        graph.add(many, id="asks", when="page.txt", inputs={"when": 1})
        graph.add(give, id="takes", value=_ref("page.txt"))
        graph.add(give, id="each", map="page.txt")

    report = execute(fill, page, give, many)
    told = "'page.txt': node 'page' gave no output 'txt'; did you mean 'text'?"
    for node, field in (("asks", "when"), ("takes", "input 'value'"), ("each", "map")):
        assert report.node_outcomes[node].final_error.endswith(f"InputInvalid: node {node!r}: {field}: {told}")


@pytest.mark.parametrize("runs_in", ["loop", "thread"])
def test_what_a_step_takes_of_a_map_is_the_same_wherever_it_runs(runs_in):
    """The item that no input refers to, and what `ctx.inputs` tells of it."""

    @action(runs_in=runs_in)
    def take(first: int, second: int, ctx: Context):
        return [first, second, ctx.inputs]

    report = execute(lambda graph: graph.add(take, id="each", map=graph.input("xs"), first=1), take, inputs={"xs": [2]})
    assert report.outputs["each"] == {"output": [[1, 2, {"first": 1, "second": 2}]]}


def test_what_an_agent_cannot_take_is_the_agents_error():
    """It is called an agent, as everywhere. Its code was changed after the message had been published."""
    clock, memory = VirtualClock(), Memory()

    def application(takes):
        app = Dagger(MemoryStore(memory), clock=clock, config={"max_attempts": 1})

        @app.agent("desk")
        async def clerk(number: takes):
            raise NonRetryable("not today")

        return app

    async def main():
        async with application(str) as app:
            await app.execute(EventDriven("desk", "seven"), run_id="r")
        async with application(int) as app:
            return await (await app.resume("r")).wait()

    assert "InputInvalid: agent 'clerk': input 'number': expected int, got str" in clock.run(main()).error
