"""The words that code writes nodes with."""

import inspect
import typing

from dagger import Context, Graph, Run
from dagger.spec.fields import NodeFields


def test_a_node_has_the_same_fields_wherever_it_is_added():
    """`Graph.add`, `ctx.add_node` and `run.add_node` take those, each by its keyword."""
    assert sorted(NodeFields.__optional_keys__) == [
        "cache", "description", "failure", "instructions", "map", "on_failure", "onfailure", "outputs", "priority",
        "run_when", "timeout", "try_count", "when",
    ]  # fmt: skip
    named = {
        owner: set(inspect.signature(call).parameters)
        for owner, call in [("graph", Graph.add), ("context", Context.add_node), ("run", Run.add_node)]
    }
    assert named["context"] == named["run"] == {"self", "action", "id", "dependencies", "inputs", "fields"}
    assert NodeFields.__optional_keys__ <= named["graph"]


def test_each_field_is_typed_as_the_graphs_own():
    """What the two say of a field may not part."""
    written = typing.get_type_hints(NodeFields)
    added = typing.get_type_hints(Graph.add)
    assert {name: added[name] for name in written} == written
