"""Graph: a named set of nodes as people hold it, in code; its faces are YAML and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, get_args

import msgspec

from dagger.core.builder import GraphBuilder
from dagger.core.check import MAP_OVER_A_LIST
from dagger.core.config import OnFailure, RunConfig
from dagger.core.errors import GraphError, nearest
from dagger.core.graph import (
    DEFAULT_TIMEOUT_SECONDS,
    INPUT_TYPES,
    ITEM,
    Condition,
    Definition,
    Input,
    Map,
    Node,
    NodeRef,
    Output,
    Reuse,
    RunInput,
    RunWhen,
    depended,
    literal,
)
from dagger.spec import graph_file
from dagger.spec.action import NodeAction, action_of
from dagger.spec.reuse import reuse
from dagger.spec.schema import in_words
from dagger.views import draw

_NO_INPUTS = {
    "dependencies": "is no input: nodes to wait for are given as after=…",
    "reference": "is no input: a reference is given as the input itself, x=ref",
}
"""Keywords of `Graph.add` that would be taken for fields of the node."""

_Called: TypeAlias = str | Callable[..., Any] | NodeAction | type[NodeAction]


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
            tags=_texts(f"graph {name!r}: tags", tags),
            instructions=_texts(f"graph {name!r}: instructions", instructions),
            config=RunConfig.of(config).to_dict(),
            inputs=declared,
        )
        _require_types(head, f"graph {name!r}")
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
        action: _Called | Graph | None = None,
        *,
        graph: Graph | str | None = None,
        id: str | None = None,
        after: NodeRef | str | Iterable[NodeRef | str] = (),
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
        where = f"node {node_id!r}"
        given = _inputs(where, inputs or {}, more_inputs)
        condition, mapped = _condition(where, when), _map(where, map)
        node = Node(
            id=node_id,
            **called,
            when=condition,
            map=mapped,
            cache=_reuse(where, cache),
            dependencies=depended(_waited_for(where, after), given, condition, mapped),
            inputs=given,
            outputs=tuple(Output(output) for output in _texts(f"{where}: outputs", outputs)),
            failure=_action_name(failure) if failure else "",
            on_failure=_policy(where, on_failure),
            description=description,
            timeout=_above_zero(where, timeout),
            try_count=_tries(where, try_count, onfailure),
            run_when=run_when,
            priority=priority,
            instructions=_texts(f"{where}: instructions", instructions),
        )
        return self._enter(node, nested)

    def _enter(self, node: Node, nested: Mapping[str, Graph]) -> NodeRef:
        where = f"node {node.id!r}"
        _require_types(node, where)
        for name, graph in nested.items():
            if self.nested.get(name, graph) is not graph:
                message = f"{where}: there is another graph {name!r} in this one; give one of them another name"
                raise GraphError(message)
        self.insert(node)
        self.nested.update(nested)
        return NodeRef(node.id, node.id, tuple(output.name for output in node.outputs))

    def to_yaml(self) -> str:
        """The graph as a file that `load_yaml_file` reads back."""
        return graph_file.to_yaml(self.definition)

    def to_dot(self) -> str:
        """The plan for Graphviz."""
        return draw.plan_picture(self.definition).to_dot()

    def to_mermaid(self) -> str:
        """The plan for Mermaid."""
        return draw.plan_picture(self.definition).to_mermaid()

    def to_svg(self) -> str:
        """The plan as a picture. Raises DaggerError where no Graphviz is at hand."""
        return draw.plan_picture(self.definition).to_svg()

    def _repr_html_(self) -> str:
        return draw.plan_picture(self.definition)._repr_html_()

    def __repr__(self) -> str:
        return f"<Graph {self.name!r} of {len(self.nodes)} nodes>"


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


def _require_types(made: Node | Definition, where: str) -> None:
    """Raise GraphError for a field of the wrong type: a journal with it in could not be read back."""
    try:
        msgspec.json.decode(msgspec.json.encode(made), type=type(made))
    except (TypeError, ValueError) as error:  # msgspec's and Unicode's errors are ValueErrors
        message = f"{where}: {in_words(error)}"
        raise GraphError(message) from None


def _called(action: object, graph: object) -> tuple[dict[str, str], dict[str, Graph]]:
    """The field that says what the node calls or runs, and the graph that was given for it, if one was."""
    if isinstance(action, Graph) and graph is None:
        action, graph = None, action
    if action is None and graph is None:
        raise GraphError("a node calls an action or runs a graph: add(action, …) or add(graph=…)")
    if action is not None and graph is not None:
        message = f"a node calls an action or runs a graph, not both{_HINT.format('graph')}"
        raise GraphError(message)
    if isinstance(graph, Graph):
        return {"graph": graph.name}, {graph.name: graph}
    if isinstance(graph, str):
        return {"graph": graph}, {}
    if graph is not None:
        message = f"{graph!r:.80} is no graph: give its name, or the Graph"
        raise GraphError(message)
    return {"action": _action_name(action)}, {}


def _action_name(action: object) -> str:
    if isinstance(action, str):
        return action
    known = action_of(action)
    name = known.name if known else getattr(action, "__name__", None)
    if not isinstance(name, str):
        message = f"{action!r} is no action: give its name, the function, or the NodeAction"
        raise GraphError(message)
    return name


def _inputs(where: str, inputs: Mapping[str, Any], more: Mapping[str, Any]) -> tuple[Input, ...]:
    if not isinstance(inputs, Mapping):
        message = f"{where}: inputs are a dict of names, not {inputs!r:.80}"
        raise GraphError(message)
    for name in more:
        if name in _NO_INPUTS:
            message = f"{where}: {name}= {_NO_INPUTS[name]}{_HINT.format(name)}"
            raise GraphError(message)
    return tuple(_input(where, name, value) for name, value in {**inputs, **more}.items())


def _input(where: str, name: str, value: object) -> Input:
    if isinstance(value, NodeRef):
        return Input(name, value.reference)
    return Input(name, value=literal(value, f"{where}: input {name!r}"))


_HINT = "; an input of that name goes into inputs={{'{}': …}}"


def _condition(where: str, given: object) -> Condition | None:
    if isinstance(given, Mapping):
        tests = {str(name): value for name, value in given.items() if name != "reference"}
        texts = {name: literal(value, f"{where}: when: {name}") for name, value in tests.items()}
        return Condition(_reference(where, "when", given.get("reference", "")), texts)
    return None if given is None else Condition(_reference(where, "when", given))


def _map(where: str, given: object) -> Map | None:
    if isinstance(given, Mapping):
        for name in given:
            if name not in _MAP:
                near = nearest(str(name), _MAP) or f"; it takes: {', '.join(_MAP)}"
                message = f"{where}: map: unknown key {name!r:.80}{near}"
                raise GraphError(message)
        return Map(_reference(where, "map", given.get("reference", "")), given.get("max_parallel"))
    return None if given is None else Map(_reference(where, "map", given))


_MAP = ("reference", "max_parallel")


def _reference(where: str, field: str, given: object) -> str:
    """As it is written in a file."""
    if isinstance(given, NodeRef | str):
        return given.reference if isinstance(given, NodeRef) else given
    is_list = field == "map" and isinstance(given, list | tuple)
    problem = MAP_OVER_A_LIST if is_list else f"takes a reference, not {given!r:.80}"
    message = f"{where}: {field} {problem}{_HINT.format(field)}"
    raise GraphError(message)


def _reuse(where: str, given: object) -> Reuse | None:
    try:
        return reuse(None if given is False else given, f"{where}: cache")
    except ValueError as error:
        raise GraphError(str(error) + _HINT.format("cache")) from None


def _waited_for(where: str, after: object) -> Iterator[str]:
    """The ids of one node or several."""
    for one in (after,) if isinstance(after, NodeRef | str) or not isinstance(after, Iterable) else after:
        if not isinstance(one, NodeRef | str):
            message = f"{where}: after takes references and node ids, not {one!r:.80}"
            raise GraphError(message)
        yield one.node if isinstance(one, NodeRef) else one


def _texts(where: str, given: Iterable[str]) -> tuple[str, ...]:
    """One text or several; what is no text among them is found by `_require_types`."""
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable):
        message = f"{where} takes texts, not {given!r:.80}"
        raise GraphError(message)
    return tuple(given)


def _policy(where: str, on_failure: str | None) -> str:
    if on_failure not in (None, *get_args(OnFailure)):
        message = f"{where}: on_failure {on_failure!r} must be one of {', '.join(get_args(OnFailure))}"
        raise GraphError(message)
    return on_failure or ""


def _above_zero(where: str, seconds: float | None) -> float:
    if seconds is None:
        return DEFAULT_TIMEOUT_SECONDS
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        message = f"{where}: timeout {seconds!r} must be a number of seconds above 0"
        raise GraphError(message)
    return float(seconds)


def _tries(where: str, tries: int | None, onfailure: bool | None) -> int | None:  # noqa: FBT001 - as in a file
    if tries is not None and (isinstance(tries, bool) or not isinstance(tries, int) or tries < 1):
        message = f"{where}: try_count {tries!r} must be a whole number of at least 1"
        raise GraphError(message)
    if not isinstance(onfailure, bool | None):
        message = f"{where}: onfailure {onfailure!r} must be True or False"
        raise GraphError(message)
    if onfailure is not False:
        return tries
    if tries not in (None, 1):
        message = f"{where}: onfailure=False is try_count=1, not {tries}"
        raise GraphError(message)
    return 1
