"""Graph: a named set of nodes as people hold it, in code; its faces are YAML and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from dagger.core.builder import GraphBuilder
from dagger.core.config import OnFailure, RunConfig
from dagger.core.errors import GraphError
from dagger.core.graph import INPUT_TYPES, ITEM, Definition, NodeRef, RunInput, RunWhen, literal
from dagger.spec.fields import After, Called
from dagger.spec.nodes import HINT, action_name, new_node, require_types, texts

if TYPE_CHECKING:  # drawing and files are imported where they are used: `import dagger` has a budget
    from dagger.views.draw import Picture

_NO_INPUTS = {
    "dependencies": "is no input: nodes to wait for are given as after=…",
    "reference": "is no input: a reference is given as the input itself, x=ref",
}
"""Keywords of `Graph.add` that would be taken for fields of the node."""


class Graph(GraphBuilder):
    """A graph to build node by node: `add` returns a reference to what the node gives.

    `config`: a RunConfig or a dict of the settings that this graph sets. `inputs`: declared run inputs, name ->
    JSON Schema type name, or a RunInput; without it the nodes' references say which inputs there are.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        author: str = "",
        version: str = "",
        signature: str = "",
        tags: Iterable[str] = (),
        instructions: Iterable[str] = (),
        config: RunConfig | Mapping[str, Any] | None = None,
        inputs: Mapping[str, str | RunInput] | None = None,
    ) -> None:
        declared = None
        if inputs is not None:
            declared = {key: _declared(f"graph {name!r}: input {key!r}", value) for key, value in inputs.items()}
        head = Definition(
            name=name,
            description=description,
            author=author,
            version=version,
            signature=signature,
            tags=texts(f"graph {name!r}: tags", tags),
            instructions=texts(f"graph {name!r}: instructions", instructions),
            config=RunConfig.of(config).to_dict(),
            inputs=declared,
        )
        require_types(head, f"graph {name!r}")
        super().__init__(head)
        self.nested = {}

    @classmethod
    def of(cls, definition: Definition) -> Graph:
        """The graph of a definition."""
        graph = cls.__new__(cls)
        GraphBuilder.__init__(graph, definition)
        graph.nested = {}
        return graph

    name = property(lambda self: self._head.name, doc="The name that runs are started by.")
    description = property(lambda self: self._head.description, doc="What it is for.")
    author = property(lambda self: self._head.author, doc="Who wrote it.")
    version = property(lambda self: self._head.version, doc="As written.")
    signature = property(lambda self: self._head.signature, doc="As written.")
    tags = property(lambda self: self._head.tags, doc="Words to find it by.")
    config = property(lambda self: RunConfig.of(self._head.config), doc="The settings that it sets.")

    item = NodeRef(ITEM, ITEM)
    """A reference to the item, for inputs of a node with `map`."""
    nested: dict[str, Graph]
    """The graphs that were given to `add`, by name."""

    def input(self, name: str) -> NodeRef:
        """A reference to an input of the run."""
        return NodeRef("inputs", f"inputs.{name}")

    def add(
        self,
        action: Called | Graph | None = None,
        *,
        graph: Graph | str | None = None,
        id: str | None = None,
        after: After = (),
        when: NodeRef | str | Mapping[str, Any] | None = None,
        map: NodeRef | str | Mapping[str, Any] | None = None,
        cache: bool | Mapping[str, Any] | None = None,
        outputs: Iterable[str] = (),
        timeout: float | None = None,
        try_count: int | None = None,
        onfailure: bool | None = None,
        on_failure: OnFailure | None = None,
        failure: str | Callable[..., Any] | None = None,
        run_when: RunWhen = "succeeded",
        priority: int = 0,
        description: str = "",
        instructions: Iterable[str] = (),
        inputs: Mapping[str, Any] | None = None,
        **more_inputs: Any,
    ) -> NodeRef:
        """Add a node that calls `action`, or runs a graph as a child flow, and return a reference to what it gives.

        Inputs are references or literals; those whose name is one of this method's own go into `inputs`.
        `after`: what to wait for besides what is referred to. `timeout` in seconds. `onfailure` False: one try.
        `when`: a reference to what must be true, or `{"reference": ref, "gt": 3}`; else the node is skipped.
        `map`: a reference to a list, or `{"reference": ref, "max_parallel": 4}`: the node runs once for each item;
        inputs refer to it as `graph.item`. `cache`: True, or `{"key": ["url"], "ttl": "30d"}`: take an earlier
        run's outputs where the work is the same. Raises GraphError.
        """
        called, nested = _called(action, graph)
        node_id = id if id is not None else self.fresh_id(*called.values())
        node = new_node(
            node_id,
            called,
            after,
            _inputs(f"node {node_id!r}", inputs, more_inputs),
            when=when,
            map=map,
            cache=cache,
            outputs=outputs,
            timeout=timeout,
            try_count=try_count,
            onfailure=onfailure,
            on_failure=on_failure,
            failure=failure,
            run_when=run_when,
            priority=priority,
            description=description,
            instructions=instructions,
        )
        self._require_one_of_each(node_id, nested)
        self.insert(node)
        self.nested.update(nested)
        return NodeRef(node.id, node.id, tuple(output.name for output in node.outputs))

    def _require_one_of_each(self, node_id: str, nested: Mapping[str, Graph]) -> None:
        for name, other in nested.items():
            if self.nested.get(name, other) is not other:
                message = f"node {node_id!r}: another graph {name!r} is in this one; give one of them another name"
                raise GraphError(message)

    def to_yaml(self) -> str:
        """The graph as a file that `load_yaml_file` reads back."""
        from dagger.spec import graph_file

        return graph_file.to_yaml(self.definition)

    def to_dot(self) -> str:
        """The plan for Graphviz."""
        return self._picture().to_dot()

    def to_mermaid(self) -> str:
        """The plan for Mermaid."""
        return self._picture().to_mermaid()

    def to_svg(self) -> str:
        """The plan as a picture. Raises DaggerError where no Graphviz is at hand."""
        return self._picture().to_svg()

    def _picture(self) -> Picture:
        from dagger.views.draw import plan_picture

        graphs: dict[str, Definition] = {}
        rest = [*self.nested.values()]
        while rest:
            nested = rest.pop()
            graphs[nested.name] = nested.definition
            rest += [other for name, other in nested.nested.items() if name not in graphs]
        return plan_picture(self.definition, graphs)

    def _repr_html_(self) -> str:
        return self._picture()._repr_html_()

    def __repr__(self) -> str:
        return f"<Graph {self.name!r} of {len(self.nodes)} nodes>"


def _inputs(where: str, inputs: Mapping[str, Any] | None, more: Mapping[str, Any]) -> Mapping[str, Any]:
    """All inputs, however they were given."""
    for name in more:
        if name in _NO_INPUTS:
            message = f"{where}: {name}= {_NO_INPUTS[name]}{HINT.format(name)}"
            raise GraphError(message)
    if not isinstance(inputs, Mapping | None):
        message = f"{where}: inputs are a dict of names, not {inputs!r:.80}"
        raise GraphError(message)
    return {**(inputs or {}), **more}


def _declared(where: str, given: str | RunInput) -> RunInput:
    declared = given if isinstance(given, RunInput) else RunInput(given)
    kinds = (declared.type,) if isinstance(declared.type, str) else declared.type or ()
    for kind in kinds:
        if kind not in INPUT_TYPES:
            message = f"{where}: there is no type {kind!r}; the types are: {', '.join(INPUT_TYPES)}"
            raise GraphError(message)
    if declared.default is msgspec.UNSET or isinstance(declared.default, msgspec.Raw):
        return declared
    return msgspec.structs.replace(declared, default=literal(declared.default, where))


def _called(action: object, graph: object) -> tuple[dict[str, str], dict[str, Graph]]:
    """The field that says what the node calls or runs, and the graph that was given for it, if one was."""
    if isinstance(action, Graph) and graph is None:
        action, graph = None, action
    if action is None and graph is None:
        raise GraphError("a node calls an action or runs a graph: add(action, …) or add(graph=…)")
    if action is not None and graph is not None:
        message = f"a node calls an action or runs a graph, not both{HINT.format('graph')}"
        raise GraphError(message)
    if isinstance(graph, Graph):
        return {"graph": graph.name}, {graph.name: graph}
    if isinstance(graph, str):
        return {"graph": graph}, {}
    if graph is not None:
        message = f"{graph!r:.80} is no graph: give its name, or the Graph"
        raise GraphError(message)
    return {"action": action_name(action)}, {}
