"""Cycles are found in any graph, one for each knot, spelled out in running order."""

import graphlib

from hypothesis import given, settings
from hypothesis import strategies as st

from dagger.core.cycles import cycles

ids = st.sampled_from("abcdefgh")
graphs = st.dictionaries(ids, st.lists(ids, max_size=4))


def found(waits):
    return list(cycles(waits))


def test_a_circle_begins_with_its_first_node_and_runs_forward():
    """b waits for a, c for b, a for c: so a would run before b, and b before c."""
    assert found({"a": ["c"], "b": ["a"], "c": ["b"]}) == [["a", "b", "c"]]


def test_a_node_that_waits_for_itself_is_a_circle_of_one():
    """The smallest cycle there is."""
    assert found({"a": ["a"], "b": ["a"]}) == [["a"]]


def test_every_knot_is_told_in_the_order_of_its_first_node():
    """Mending one cycle does not bring the next to light."""
    waits = {"x": ["c"], "c": ["d"], "d": ["c"], "a": ["b", "x"], "b": ["a"]}
    assert found(waits) == [["c", "d"], ["a", "b"]]


def test_nodes_before_and_behind_a_cycle_are_no_part_of_it():
    """Only who waits for himself, over whatever detour, is named."""
    waits = {"start": [], "a": ["start", "b"], "b": ["a"], "end": ["b"]}
    assert found(waits) == [["a", "b"]]


def test_of_several_circles_through_the_first_node_the_shortest_is_told():
    """A knot of many nodes is shown by its simplest circle."""
    waits = {"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": ["a"]}
    assert found(waits) == [["a", "d"]]


def test_what_is_not_a_node_is_never_waited_for():
    """A missing dependency is another problem's business."""
    assert found({"a": ["nowhere"], "b": ["a", "nowhere"]}) == []


def test_a_chain_of_a_hundred_thousand_nodes_needs_no_recursion():
    """Whichever end comes first."""
    chain = {n: [n - 1] for n in range(1, 100_000)}
    assert found(chain) == []
    assert found(dict(reversed(chain.items()))) == []


def test_a_circle_of_a_hundred_thousand_nodes_is_found():
    """Long circles are circles too."""
    size = 100_000
    (circle,) = found({n: [(n - 1) % size] for n in range(size)})
    assert circle == list(range(size))


@settings(deadline=None)
@given(graphs)
def test_cycles_are_found_exactly_where_no_order_of_running_exists(waits):
    """graphlib is the judge."""
    among = {node: [other for other in others if other in waits] for node, others in waits.items()}
    try:
        graphlib.TopologicalSorter(among).prepare()
        has_cycle = False
    except graphlib.CycleError:
        has_cycle = True
    assert bool(found(waits)) == has_cycle


@settings(deadline=None)
@given(graphs)
def test_each_node_of_a_circle_waits_for_the_one_before_it(waits):
    """What is told can be checked by reading the file."""
    for circle in found(waits):
        assert all(before in waits[node] for before, node in zip([circle[-1], *circle], circle, strict=False))
