"""GraphBuilder: what is added fits what is there."""

import msgspec
import pytest

from dagger.core.builder import GraphBuilder
from dagger.core.errors import DependencyNotFound, GraphError, InvalidReference, NodeAlreadyExists
from dagger.core.graph import Definition, Input, Map, Node, Output, RunInput

FETCH = Node(id="fetch", action="get", outputs=(Output("page"),))


@pytest.fixture
def builder():
    made = GraphBuilder(Definition(name="g", tags=("x",), inputs={"url": RunInput()}))
    made.insert(FETCH)
    return made


def test_nodes_are_kept_in_the_order_of_being_added_with_their_hash(builder):
    """The definition is the head that was given, and the nodes."""
    use = Node(id="a", action="use", inputs=(Input("x", "fetch.page"), Input("u", "inputs.url")))
    builder.insert(use)
    expected = Definition(name="g", tags=("x",), inputs={"url": RunInput()}, nodes=(FETCH.hashed(), use.hashed()))
    assert builder.definition == expected
    assert list(builder.nodes) == ["fetch", "a"]


def test_a_definition_can_be_built_on(builder):
    """Its nodes are there from the start."""
    assert GraphBuilder(builder.definition).definition == builder.definition


@pytest.mark.parametrize(
    ("node", "kind", "message"),
    [
        (FETCH, NodeAlreadyExists, "node 'fetch' is already in graph 'g'"),
        (Node(id="a b", action="x"), GraphError, "node id 'a b' must be letters"),
        (
            Node(id="a", action="x", dependencies=("fetsh",)),
            DependencyNotFound,
            "node 'a': dependency 'fetsh' is not a node; did you mean 'fetch'?",
        ),
        (
            Node(id="a", action="x", inputs=(Input("p", "fetch.pag"),)),
            InvalidReference,
            "node 'a': input 'p': 'fetch.pag': node 'fetch' has no output 'pag'; did you mean 'page'?",
        ),
        (Node(id="a", action="x", inputs=(Input("p", "inputs.ulr"),)), InvalidReference, "'ulr' is not declared"),
        (Node(id="a", action="x", inputs=(Input("p", "a.page"),)), InvalidReference, "there is no node 'a'"),
        (Node(id="a", action="x", timeout=0), GraphError, "node 'a': timeout 0 must be a number of seconds above 0"),
    ],
    ids=["twice", "id", "dependency", "output", "input", "itself", "field"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(builder, node, kind, message):
    """Only what is there can be referred to, so no cycle can arise."""
    before = builder.definition
    with pytest.raises(GraphError) as refused:
        builder.insert(node)
    assert type(refused.value) is kind
    assert message in str(refused.value)
    assert builder.definition == before


def test_a_node_called_item_and_one_with_a_map_do_not_go_together(builder):
    """Whichever comes first."""
    item, each = Node(id="item", action="x"), Node(id="each", action="x", map=Map("inputs.url"))
    other = GraphBuilder(builder.definition)
    with pytest.raises(GraphError, match="node 'item': map: its inputs call an item"):
        builder.insert(msgspec.structs.replace(each, id="item"))
    builder.insert(item)
    with pytest.raises(GraphError, match="node 'each': map: its inputs call an item of the list 'item'"):
        builder.insert(each)
    other.insert(each)
    with pytest.raises(GraphError, match="node 'item': a node with `map` calls the items of its list so; choose"):
        other.insert(item)


def test_fresh_ids_are_the_action_s_name_and_a_number(builder):
    """The same graph built twice has the same ids."""
    assert builder.fresh_id("square") == "square"
    assert builder.fresh_id("fetch") == "fetch_2"
    builder.insert(msgspec.structs.replace(FETCH, id="fetch_2"))
    assert builder.fresh_id("fetch") == "fetch_3"


@pytest.mark.parametrize(
    ("action", "node_id"),
    [("my.module:run", "my_module_run"), ("2nd", "node_2nd"), ("inputs", "node_inputs"), ("<lambda>", "_lambda_")],
)
def test_fresh_ids_are_valid_ids(builder, action, node_id):
    """Whatever the action is called."""
    assert builder.fresh_id(action) == node_id
