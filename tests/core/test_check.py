"""Check: everything wrong with a graph in one pass, each with its place, its kind and the nearest name."""

import time

import msgspec
import pytest

from dagger.core.check import MAX_INTEGER, check
from dagger.core.graph import TESTS, Condition, Definition, Input, Map, Node, Output, Reuse, RunInput, depended

FETCH = Node(id="fetch", action="get", outputs=(Output("page"), Output("status")))


def node(node_id="a", action="add", *, refs=(), after=(), **fields):
    inputs = tuple(Input(name, reference) for name, reference in dict(refs).items())
    dependencies = depended(after, inputs, fields.get("when"), fields.get("map"))
    return Node(id=node_id, action=action, inputs=inputs, dependencies=dependencies, **fields)


def findings(*nodes, actions=None, **fields):
    return list(check(Definition(**{"name": "g", **fields}, nodes=nodes), actions))


def only(*nodes, actions=None, **fields):
    (found,) = findings(*nodes, actions=actions, **fields)
    return found[:3]


def test_a_sound_graph_has_no_findings():
    """References, paths, run inputs and dependencies that lead somewhere."""
    use = node("use", refs={"x": "fetch.page.items[0]", "y": "inputs.url", "z": "fetch"}, after=["fetch"])
    assert findings(FETCH, use, node("bare"), node("of_bare", refs={"x": "bare.whatever"})) == []


@pytest.mark.parametrize(
    ("refs", "message"),
    [
        ("fetsh.page", "'fetsh.page': there is no node 'fetsh'; did you mean 'fetch'?"),
        ("imputs.url", "'imputs.url': there is no node 'imputs'; did you mean 'inputs'?"),
        ("fetch.pages", "'fetch.pages': node 'fetch' has no output 'pages'; did you mean 'page'?"),
        ("fetch.zzz", "'fetch.zzz': node 'fetch' has no output 'zzz'; it gives: page, status"),
        ("inputs", "'inputs' needs a name: inputs.name"),
        ("inputs.ulr", "run input 'ulr' is not declared; did you mean 'url'?"),
        ("two words", "'two words' is no reference: ' words' is neither .name nor [index]"),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(refs, message):
    """Its input is the place; the dependency that it implies is not told as well."""
    found = only(FETCH, node(refs={"ok": "fetch.page", "x": refs}), inputs={"url": RunInput()})
    assert found == (("nodes", 1, "inputs", 1), "InvalidReference", f"node 'a': input 'x': {message}")


def test_undeclared_run_inputs_are_allowed_where_none_are_declared():
    """Then the references say which inputs there are; declaring an empty set is something else."""
    assert findings(node(refs={"x": "inputs.anything"})) == []
    assert "is not declared; declared: none" in only(node(refs={"x": "inputs.anything"}), inputs={})[2]


def test_a_missing_dependency_is_found_with_the_nearest_node():
    """The written one, not one that a reference implies."""
    found = only(FETCH, node(after=["fetch", "fetsh"]))
    message = "node 'a': dependency 'fetsh' is not a node; did you mean 'fetch'?"
    assert found == (("nodes", 1, "dependencies", 1), "DependencyNotFound", message)


def test_unknown_actions_are_found_when_the_known_ones_are_told():
    """The action and the failure action; without a registry, nothing is said of them."""
    odd = node(action="ad", failure="sorry")
    action, failure = findings(odd, actions={"add": 1, "get": 2})
    assert action[:3] == (
        ("nodes", 0, "action"),
        "ActionNotRegistered",
        "node 'a': action 'ad' is not registered; did you mean 'add'?",
    )
    assert failure.message == "node 'a': failure action 'sorry' is not registered; registered: add, get"
    assert findings(odd) == []


def test_a_registry_that_only_knows_membership_is_enough():
    """Then there is no nearest name."""

    class Odd:
        def __contains__(self, name):
            return len(name) % 2

    assert only(node(action="ad"), actions=Odd())[2] == "node 'a': action 'ad' is not registered"


def test_a_second_node_of_one_id_is_found_with_the_place_of_the_first():
    """The first one counts for whoever refers to it."""
    (found,) = findings(FETCH, node("fetch"), node("b", refs={"x": "fetch.page"}))
    assert found == (
        ("nodes", 1, "id"),
        "NodeAlreadyExists",
        "node 'fetch': a second node has this id",
        ("nodes", 0, "id"),
    )


def test_a_bad_id_is_found():
    """Reserved ones too."""
    assert only(node("global"))[2] == "node id 'global' is reserved: choose another"


def test_cycles_are_found_and_spelled_out():
    """Each at its first node."""
    nodes = [node("a", after=["c"]), node("b", refs={"x": "a.sum"}), node("c", after=["b"]), node("d", after=["d"])]
    circle, self_made = findings(*nodes)
    assert circle[:3] == (("nodes", 0), "CycleError", "the nodes wait for each other: a -> b -> c -> a")
    assert self_made.message == "the node waits for itself: d -> d"


def test_of_a_long_cycle_the_middle_is_left_out():
    """A message of a thousand names helps nobody."""
    nodes = [node(f"n{n}", after=[f"n{(n - 1) % 1000}"]) for n in range(1000)]
    message = only(*nodes)[2]
    assert message.startswith("the nodes wait for each other: n0 -> n1 -> ")
    assert message.endswith(" -> n48 -> … -> n999 -> n0")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("timeout", 0, "timeout 0 must be a number of seconds above 0"),
        ("timeout", -1.5, "timeout -1.5 must be a number of seconds above 0"),
        ("timeout", float("inf"), "timeout inf must be a number of seconds above 0"),
        ("timeout", float("nan"), "timeout nan must be a number of seconds above 0"),
        ("timeout", True, "timeout True must be a number of seconds above 0"),
        ("timeout", "5", "timeout '5' must be a number of seconds above 0"),
        ("try_count", 0, "try_count 0 must be a whole number of at least 1"),
        ("try_count", 1.0, "try_count 1.0 must be a whole number of at least 1"),
        ("try_count", MAX_INTEGER + 1, f"try_count {MAX_INTEGER + 1} must be a whole number of at least 1"),
        ("priority", 1.5, "priority 1.5 must be a whole number"),
        ("priority", -MAX_INTEGER - 1, f"priority {-MAX_INTEGER - 1} must be a whole number"),
        ("on_failure", "halt", "on_failure 'halt' must be one of continue, pause, stop"),
        ("run_when", "always", "run_when 'always' must be one of succeeded, finished"),
    ],
)
def test_a_field_out_of_its_range_is_found(field, value, problem):
    """With the value and the rule."""
    assert only(node(**{field: value})) == (("nodes", 0, field), "GraphError", f"node 'a': {problem}")


def test_a_node_has_an_action_or_a_graph():
    """One of the two, and not both."""
    assert findings(node(action="", graph="sub")) == []
    assert only(node(action=""))[2] == "node 'a': it has neither an action nor a graph; give one"
    both = only(node(graph="sub"))
    assert both == (("nodes", 0, "graph"), "GraphError", "node 'a': it has both an action and a graph; give one")


def flowing(**fields):
    """A node with these fields behind FETCH, whose `when` and `map` are references."""
    made = {name: kind(fields.pop(name)) for name, kind in (("when", Condition), ("map", Map)) if name in fields}
    return node(after=["fetch"], **made, **fields)


@pytest.mark.parametrize(
    ("field", "reference", "problem"),
    [
        ("when", "fetsh.page", "'fetsh.page': there is no node 'fetsh'; did you mean 'fetch'?"),
        ("when", "fetch.pages", "'fetch.pages': node 'fetch' has no output 'pages'; did you mean 'page'?"),
        ("when", "inputs.ulr", "run input 'ulr' is not declared; did you mean 'url'?"),
        ("when", "", "it needs a reference"),
        ("when", "item.ok", "'item.ok': only the inputs of a node with `map` have an item"),
        ("map", "fetsh", "'fetsh': there is no node 'fetsh'; did you mean 'fetch'?"),
        ("map", "3", "'3' is no reference; write node_id.output_name or inputs.name, then a path if need be"),
    ],
)
def test_when_and_map_refer_to_what_is_there(field, reference, problem):
    """As inputs do."""
    found = only(FETCH, flowing(**{field: reference}), inputs={"url": RunInput()})
    assert found == (("nodes", 1, field, "reference"), "InvalidReference", f"node 'a': {field}: {problem}")


def test_when_and_map_may_refer_to_nodes_and_run_inputs():
    """Nothing is wrong with these."""
    assert findings(FETCH, flowing(when="fetch.status", map="inputs.urls")) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("gtt", b"3", "there is no test 'gtt'; did you mean 'gt'?"),
        ("zz", b"3", "there is no test 'zz'; tests: equals, not_equals, in, not_in, gt, gte, lt, lte"),
        ("in", b'"abc"', 'in must be a list, not "abc"'),
        ("not_in", b"{}", "not_in must be a list, not {}"),
        ("gt", b"null", "gt must be a number or a text, not null"),
        ("lte", b"true", "lte must be a number or a text, not true"),
    ],
)
def test_a_condition_s_tests_are_known_and_compare_with_what_fits(name, text, problem):
    """Of several, each is told at its own place."""
    condition = Condition("fetch.status", {"equals": msgspec.Raw(b"[{}]"), name: msgspec.Raw(text)})
    found = only(FETCH, node(after=["fetch"], when=condition))
    assert found == (("nodes", 1, "when", name), "GraphError", f"node 'a': when: {problem}")


def test_every_test_takes_what_can_be_compared():
    """Equality anything, membership lists, order numbers and texts."""
    texts = dict(zip(TESTS, [b"null", b"{}", b"[]", b"[1]", b"1", b"1.5", b'"a"', b"-1"], strict=True))
    condition = Condition("fetch.status", {name: msgspec.Raw(text) for name, text in texts.items()})
    assert findings(FETCH, node(after=["fetch"], when=condition)) == []


def test_only_inputs_of_a_node_with_a_map_refer_to_an_item():
    """Whole, by a path or by an index; elsewhere it is a node like any other."""
    refs = {"x": "item", "y": "item.title[0]", "z": "item[0]"}
    assert findings(FETCH, node(refs=refs, after=["fetch"], map=Map("fetch.page"))) == []
    message = "node 'a': input 'x': 'item': only the inputs of a node with `map` have an item"
    assert findings(FETCH, node(refs=refs))[0].message == message
    item = node("item", outputs=(Output("title"),))
    assert findings(item, node(refs={"x": "item.title"})) == []
    assert "'item[0]' is no reference: an output's name comes before [0]" in only(item, node(refs={"z": "item[0]"}))[2]


@pytest.mark.parametrize("item", ["item", "each"])
def test_no_node_is_called_item_where_a_map_is(item):
    """Nobody could say which is meant; not even the node with the map."""
    found = findings(node(item, map=Map("inputs.l")), *([node("item")] if item == "each" else []))
    message = f"node {item!r}: map: its inputs call an item of the list 'item'; give the node 'item' another id"
    assert [each[:3] for each in found] == [(("nodes", 0, "map"), "GraphError", message)]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, MAX_INTEGER + 1])
def test_a_map_s_limit_is_a_count(limit):
    """At least one item at a time."""
    found = only(node(map=Map("inputs.l", limit)))
    problem = f"node 'a': map: max_parallel {limit!r} must be a whole number of at least 1"
    assert found == (("nodes", 0, "map", "max_parallel"), "GraphError", problem)


def test_what_a_node_is_known_by_are_its_inputs():
    """With a map, the item too."""
    refs = {"url": "inputs.url"}
    assert findings(node(refs=refs, cache=Reuse(("url",), 5.0))) == []
    assert findings(node(refs=refs, cache=Reuse(("item",)), map=Map("inputs.l"))) == []
    found = only(node(refs=refs, cache=Reuse(("url", "ulr"))))
    message = "node 'a': cache: key 'ulr' is no input of the node; did you mean 'url'?"
    assert found == (("nodes", 0, "cache", "key"), "GraphError", message)


def test_a_graph_is_not_reused_as_a_whole():
    """Its nodes are."""
    found = only(node(action="", graph="sub", cache=Reuse()))
    message = "node 'a': cache: a graph is not reused as a whole; put it on the nodes of graph 'sub'"
    assert found == (("nodes", 0, "cache"), "GraphError", message)


def test_names_of_inputs_and_outputs_are_there_once():
    """Of two, nobody could say which is meant."""
    inputs = (Input("x", "fetch.page"), Input("x", "fetch.status"), Input("", "fetch.page"))
    odd = node(outputs=(Output("y"), Output(""), Output("y")))
    found = findings(FETCH, msgspec.structs.replace(odd, inputs=inputs, dependencies=("fetch",)))
    assert [(each.place, each.message, each.first) for each in found] == [
        (("nodes", 1, "inputs", 1), "node 'a': there are two inputs 'x'", ("nodes", 1, "inputs", 0)),
        (("nodes", 1, "inputs", 2), "node 'a': an input needs a name", ()),
        (("nodes", 1, "outputs", 1), "node 'a': an output needs a name", ()),
        (("nodes", 1, "outputs", 2), "node 'a': there are two outputs 'y'", ("nodes", 1, "outputs", 0)),
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Input("x"), "it has neither a reference nor a value"),
        (Input("x", "fetch.page", msgspec.Raw(b"1")), "it has both a reference and a value; give one"),
    ],
    ids=["neither", "both"],
)
def test_an_input_has_either_a_reference_or_a_value(entry, problem):
    """Exactly one of them."""
    odd = Node(id="a", action="add", inputs=(entry,), dependencies=("fetch",))
    assert only(FETCH, odd)[2] == f"node 'a': input 'x': {problem}"


def test_a_graph_has_a_name_and_nodes():
    """The least there can be."""
    assert [found[:3] for found in findings(name="")] == [
        (("name",), "GraphError", "a graph needs a name"),
        (("nodes",), "GraphError", "graph '' has no nodes"),
    ]


def test_settings_are_checked_each_for_itself():
    """So that each has its own place."""
    found = findings(FETCH, config={"max_attempts": 0, "max_atempts": 1, "durability": "sync"})
    assert [each[:3] for each in found] == [
        (
            ("config", "max_attempts"),
            "GraphError",
            "config: max_attempts: 0: must be a whole number of at least 1",
        ),
        (
            ("config", "max_atempts"),
            "GraphError",
            "config: unknown setting 'max_atempts'; did you mean 'max_attempts'?",
        ),
    ]


@pytest.mark.parametrize(
    ("declared", "place", "problem"),
    [
        (RunInput("str"), ("inputs", "x", "type"), "run input 'x': 'str' is no type; did you mean 'string'?"),
        (
            RunInput(("integer", "nul")),
            ("inputs", "x", "type"),
            "run input 'x': 'nul' is no type; did you mean 'null'?",
        ),
        (
            RunInput("integer", msgspec.Raw(b'"5"')),
            ("inputs", "x", "default"),
            "run input 'x': the default \"5\" is not of type integer",
        ),
        (
            RunInput(("integer", "string"), msgspec.Raw(b"null")),
            ("inputs", "x", "default"),
            "run input 'x': the default null is not of type integer or string",
        ),
    ],
    ids=["type", "types", "default", "none"],
)
def test_run_inputs_have_known_types_and_fitting_defaults(declared, place, problem):
    """Before any run is started."""
    assert only(FETCH, inputs={"x": declared}) == (place, "GraphError", problem)


def test_run_inputs_without_a_type_take_any_default():
    """And a name is needed."""
    assert findings(FETCH, inputs={"x": RunInput(default=msgspec.Raw(b"[1]"))}) == []
    assert only(FETCH, inputs={"": RunInput()})[2] == "a run input needs a name"


def test_twice_the_nodes_cost_twice_the_time_whatever_is_wrong_with_them():
    """Ten thousand misspelt references among ten thousand nodes are no reason to wait."""
    nodes = [node(f"node_{n}", refs={"x": f"nod_{n}.y"}, after=[f"no_{n}"]) for n in range(10_000)]
    begin = time.perf_counter()
    assert len(findings(*nodes, actions=())) == 30_000
    assert time.perf_counter() - begin < 20


@pytest.mark.parametrize("field", [{"timeout": 5.0}, {"try_count": 2}])
def test_a_graph_node_has_no_attempts(field):
    """What is given to attempts would never be looked at."""
    node = Node(id="n", graph="other", **field)
    (found,) = check(Definition(name="g", nodes=(node,)))
    assert (
        found.message
        == f"node 'n': {next(iter(field))} is that of attempts, and a graph has none; give it to its nodes"
    )
