"""Registry: the actions, agents and graphs that an application knows."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, Unpack, overload

import msgspec

from dagger.core.errors import ActionNotRegistered, GraphError, RegistryError, nearest
from dagger.core.graph import Definition, Node
from dagger.core.messages import AGENT, Agent
from dagger.graph import Graph
from dagger.spec.action import Action, NodeAction, action_of
from dagger.spec.action import action as mark_action
from dagger.spec.agent import AgentAction, AgentOptions, agent_of
from dagger.spec.agent import agent as mark_agent
from dagger.spec.contracts import disagreement
from dagger.spec.inputs import wanted_inputs
from dagger.spec.limits import limits, require_limits
from dagger.spec.nesting import nested, require_nesting
from dagger.spec.options import Options
from dagger.spec.tools import ToolFormat, tool_schemas

Function = TypeVar("Function", bound=Callable[..., Any])


class Registry:
    """Actions, agents and graphs by name."""

    def __init__(self, built_in: Iterable[Callable[..., Any]] = (), built_in_agents: Iterable[Any] = ()) -> None:
        """What is built in is always there: its actions are no tools."""
        self._actions: dict[str, Action] = {}
        self._agents: dict[str, AgentAction] = {}
        self._code: dict[str, Action] = {}
        self._writers: dict[str, dict[str, Agent]] = {}
        """By channel and name: the agents that publish there."""
        self._readers: dict[str, dict[str, Agent]] = {}
        self._graphs: dict[str, Graph] = {}
        self._beside: dict[str, Graph] = {}
        """Those that were found beside a file that runs them: each time anew, the files may have changed."""
        self._plans: dict[str, Plan] = {}
        self._built_in: frozenset[str] = frozenset()
        for each in built_in:
            Registry.register_action(self, each)
        for each in built_in_agents:
            Registry.register_agent(self, each)
        self._built_in = frozenset(self._code)

    @overload
    def action(self, function: Function, /) -> Function: ...
    @overload
    def action(self, function: str | None = None, /, **options: Unpack[Options]) -> Callable[[Function], Function]: ...
    def action(
        self, function: Function | str | None = None, /, **options: Unpack[Options]
    ) -> Function | Callable[[Function], Function]:
        """Register a function as an action; it stays callable as plain Python. See `dagger.action`."""
        if function is not None and not isinstance(function, str):
            self.register_action(mark_action(**options)(function))
            return function
        mark = mark_action(function, **options)

        def register(decorated: Function) -> Function:
            self.register_action(mark(decorated))
            return decorated

        return register

    def register_action(self, thing: Callable[..., Any] | NodeAction | type[NodeAction]) -> None:
        """Register a function, or a NodeAction.

        Raises RegistryError if its name is taken, or if it gives its pool another size than an action did before.
        """
        found = action_of(thing)
        if found is None:
            if not callable(thing):
                message = f"{thing!r} is no action: give a function or a NodeAction"
                raise RegistryError(message)
            found = Action(thing)
        known = self._actions.get(found.name)
        if known is not None and known is not found:
            there = "built in" if found.name in self._built_in else "registered already"
            message = f"an action {found.name!r} is {there}; give this one another name"
            raise RegistryError(message)
        if found.pool:
            limits(found.pool, [*self._code.values(), found])
        self._actions[found.name] = self._code[found.name] = found
        self._plans.clear()  # it may have changed the size of a pool

    def agent(self, subscribe: str = "", /, **options: Unpack[AgentOptions]) -> Callable[[Function], Function]:
        """Register a function as an agent; it stays callable as plain Python. See `dagger.agent`."""
        mark = mark_agent(subscribe, **options)

        def register(decorated: Function) -> Function:
            self.register_agent(mark(decorated))
            return decorated

        return register

    def register_agent(self, thing: Any) -> AgentAction:
        """Register an agent: a function marked with `@agent`, a PubSubAgent or its class.

        Raises RegistryError if its name is taken, or if what it publishes and what a registered agent takes on the same
        channel can never agree, or the other way round.
        """
        found = agent_of(thing)
        if found is None:
            message = f"{thing!r:.80} is no agent: mark a function with @agent, or give a PubSubAgent"
            raise RegistryError(message)
        name = found.agent.name
        known = self._agents.get(name)
        if known is not None and known is not found:
            there = "built in" if found.name in self._built_in else "registered already"
            message = f"an agent {name!r} is {there}; give this one another name"
            raise RegistryError(message)
        self._require_agreement(found.agent)
        if found.pool:
            limits(found.pool, [*self._code.values(), found])
            self._plans.clear()  # it may size the pool
        self._agents[name] = self._code[found.name] = found
        for channel in found.agent.publications:
            self._writers.setdefault(channel, {})[name] = found.agent
        for channel in found.agent.subscriptions:
            self._readers.setdefault(channel, {})[name] = found.agent
        return found

    def _require_agreement(self, agent: Agent) -> None:
        for channel in agent.publications:
            readers = [*self._readers.get(channel, {}).values(), *([agent] if channel in agent.subscriptions else [])]
            for reader in readers:
                _refuse_disagreement(channel, agent, reader)
        for channel in agent.subscriptions:
            for writer in self._writers.get(channel, {}).values():
                _refuse_disagreement(channel, writer, agent)

    def remove_agent(self, name: str) -> None:
        """Forget an agent. Raises RegistryError for one that is built in, that is not here, or that sizes a pool."""
        if name not in self.own_agents:
            if name in self._agents:
                message = f"the agent {name!r} is built in: it cannot be removed"
                raise RegistryError(message)
            known = ", ".join(self.own_agents) or "none"
            near = nearest(str(name), self.own_agents) or f"; registered: {known}"
            message = f"there is no agent {name!r} to remove{near}"
            raise RegistryError(message)
        gone = self._agents[name]
        if gone.pool and any(action.pool == gone.pool for action in self._code.values() if action is not gone):
            require_limits(gone.pool, (action for action in self._code.values() if action is not gone))
        del self._agents[name], self._code[AGENT + name]
        self._plans.clear()
        for sides in (*self._readers.values(), *self._writers.values()):
            sides.pop(name, None)

    def include(self, *things: object) -> None:
        """Register every action and agent that is found in the modules, or is one of the objects."""
        for thing in things:
            if not isinstance(thing, types.ModuleType):
                if agent_of(thing) is not None:
                    self.register_agent(thing)
                else:
                    self.register_action(thing)  # type: ignore[arg-type]
                continue
            for value in list(vars(thing).values()):
                if inspect.isclass(value) and value.__module__ != thing.__name__:
                    continue
                found = action_of(value)
                if found is not None:
                    self.register_action(found)  # type: ignore[arg-type]
                if (handler := agent_of(value)) is not None:
                    self.register_agent(handler)

    @property
    def actions(self) -> Mapping[str, Action]:
        """The registered actions by name, the built-in ones first."""
        return types.MappingProxyType(self._actions)

    @property
    def agents(self) -> Mapping[str, AgentAction]:
        """The registered agents by name, the built-in ones first."""
        return types.MappingProxyType(self._agents)

    @property
    def own_agents(self) -> list[str]:
        """The names of the registered agents that are not built in."""
        return [name for name in self._agents if AGENT + name not in self._built_in]

    @property
    def code(self) -> Mapping[str, Action]:
        """All that steps call: the actions, and the agents under names of their own."""
        return types.MappingProxyType(self._code)

    @property
    def own_actions(self) -> list[str]:
        """The names of the registered actions that are not built in."""
        return [name for name in self._actions if name not in self._built_in]

    def tool_schemas(self, format: ToolFormat = "dagger") -> list[dict[str, Any]]:
        """All registered actions as tools, ready for a model: `dagger`, `openai`, `anthropic` or `mcp`.

        Where an action's name is none that these take, see `dagger.spec.tools.tool_name`. Raises ConfigError.
        """
        return tool_schemas([self._actions[name] for name in self.own_actions], format)

    def load_yaml_file(self, path: str | Path) -> Graph:
        """Load and register the graph of a file. Raises GraphError that names every problem of it."""
        from dagger.spec import graph_file

        return self._registered(graph_file.read_file(path, self._actions))

    def graph_to_run(self, target: str | Path) -> Graph:
        """The graph of a file, loaded and registered, or else the registered one of this name.

        Graphs that a file's nodes run, and that are not registered, are looked for in the files beside it. Raises
        GraphError that names every problem of these files, and none of others.
        """
        from dagger.spec import beside, graph_file

        path = Path(target)
        if isinstance(target, str) and not path.is_file():
            if target in self._graphs:
                return self._graphs[target]
            if not path.exists():
                known = f"; registered: {', '.join(self._graphs) or 'none'}"
                near = nearest(target, self._graphs, label="did you mean the graph") or known
                message = f"there is no file {target!r}, and no registered graph of this name{near}"
                raise GraphError(message)
        known_graphs = {name for name, graph in self._graphs.items() if self._beside.get(name) is not graph}
        found = graph_file.read_file(path, self._actions)
        others = beside.graphs_beside(path, found, self._actions, known_graphs)
        self._beside |= {each.name: self._registered(each) for each in others}
        return self._registered(found)

    def load_yaml_dir(self, path: str | Path) -> list[Graph]:
        """Load and register the graphs of all `.yaml` and `.yml` files of a directory.

        The graphs that their nodes run are among these, or registered already. Raises one GraphError that names
        every problem of every bad file; then nothing is loaded.
        """
        from dagger.spec import graph_file

        known = _Definitions(self._graphs)
        return [self._registered(found) for found in graph_file.read_dir(path, self._actions, known)]

    def add_graph(self, graph: Graph) -> Graph:
        """Register a graph; one of the same name is replaced: runs keep the one they were started with.

        The graphs that were given to its `add` are registered with it. Raises RegistryError if one of them has the
        name of another.
        """
        from dagger.spec import graph_file

        family = self._family(graph)
        definitions = {name: each.definition for name, each in family.items()}
        for definition in definitions.values():
            graph_file.check_definition(definition, self._actions)
        require_nesting(definitions, {}, is_complete=False)
        for name, each in family.items():
            self._graphs.setdefault(name, each)
        self._graphs[graph.name] = graph
        return graph

    def _family(self, graph: Graph) -> dict[str, Graph]:
        """A graph, those that were given to its `add`, and so on, by name. Raises RegistryError."""
        family: dict[str, Graph] = {}
        rest = [graph]
        while rest:
            each = rest.pop()
            other = family.get(each.name) or (None if each is graph else self._graphs.get(each.name))
            if other is not None and other is not each and other.definition != each.definition:
                message = f"there is another graph {each.name!r}: give this one another name, or register it first"
                raise RegistryError(message)
            if each.name not in family:
                family[each.name] = each
                rest += each.nested.values()
        return family

    def _registered(self, definition: Definition) -> Graph:
        """Register a graph that was checked when it was read."""
        graph = self._graphs[definition.name] = Graph.of(definition)
        return graph

    def graph(self, name: str) -> Graph:
        """A registered graph. Raises GraphError, naming the nearest, where there is none."""
        try:
            return self._graphs[name]
        except KeyError:
            known = ", ".join(self._graphs) or "none"
            message = f"there is no graph {name!r}{nearest(name, self._graphs) or f'; loaded: {known}'}"
            raise GraphError(message) from None

    def graphs(self, *, tag_contains: str | None = None, tags: Iterable[str] = ()) -> list[Graph]:
        """The registered graphs: those with a tag that contains a text, and with all of several tags."""
        wanted = set(tags)
        return [
            graph
            for graph in self._graphs.values()
            if wanted <= set(graph.tags) and (tag_contains is None or any(tag_contains in tag for tag in graph.tags))
        ]

    def require_actions(self, nodes: Iterable[Node]) -> None:
        """Raise ActionNotRegistered for the first of the nodes whose action, or failure action, is not here.

        Raises RegistryError for an action that cannot be run as it says: in a pool without a size, in a process.
        """
        nodes = tuple(nodes)
        used = ({node.action for node in nodes} | {node.failure for node in nodes}) - {""}
        if not used <= self._actions.keys():
            self._refuse_unregistered(nodes)
        for node in nodes:
            if node.iteration is not None and self._actions[node.action].context_name is None:
                message = (
                    f"supervisor {node.action!r} does not receive its context, by which it would add nodes or finish: "
                    "annotate a parameter with Context"
                )
                raise GraphError(message)
        for name in sorted(used):
            found = self._actions[name]
            found.require_importable()
            if found.pool:
                require_limits(found.pool, self._code.values())

    def _refuse_unregistered(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            for word, action in (("action", node.action), ("failure action", node.failure)):
                if action and action not in self._actions:
                    known = ", ".join(self.own_actions) or "none"
                    near = nearest(action, self._actions) or f"; registered: {known}"
                    message = f"node {node.id!r}: {word} {action!r} is not registered{near}"
                    raise ActionNotRegistered(message)

    def plan(self, graph: Definition) -> Plan:
        """What a start needs to know of a graph, looked up once for as long as nothing in it changes.

        Raises GraphError for a nested graph that is not here, that contains itself, or that is given other inputs
        than it takes; ActionNotRegistered and RegistryError as `require_actions`.
        """
        known = self._plans.get(graph.name)
        if known is not None and known.graph is graph and known.is_of(self._graphs):
            return known
        definitions = _Definitions(self._graphs)
        graphs = nested([graph], definitions)
        require_nesting({graph.name: graph, **graphs}, definitions, is_complete=True)
        for each in (graph, *graphs.values()):
            self.require_actions(each.nodes)
        made = self._plans[graph.name] = Plan(graph, graphs, wanted_inputs(graph), _digest([graph, *graphs.values()]))
        return made


def _refuse_disagreement(channel: str, writer: Agent, reader: Agent) -> None:
    why = disagreement(writer, reader)
    if why:
        message = f"agents {writer.name!r} and {reader.name!r} can never agree on channel {channel!r}: {why}"
        raise RegistryError(message)


class Plan(NamedTuple):
    """A graph, ready to be started."""

    graph: Definition
    graphs: dict[str, Definition]
    """Those that its nodes run as child flows, and theirs, by name."""
    wanted: dict[str, bytes | None]
    """Its inputs: see `wanted_inputs`."""
    digest: str
    """Of all of these graphs: equal digest, equal work."""

    def is_of(self, graphs: Mapping[str, Graph]) -> bool:
        """Whether the nested graphs are still the same."""
        return all(name in graphs and graphs[name].definition is each for name, each in self.graphs.items())


def _digest(graphs: Iterable[Definition]) -> str:
    parts: list[Any] = []
    for graph in graphs:
        # a node's own hash stands for it: encoding 100,000 nodes anew would take longer than starting them
        parts += msgspec.structs.replace(graph, nodes=()), "".join([node.hash for node in graph.nodes])
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


class _Definitions(Mapping[str, Definition]):
    """What registered graphs are at the moment: made when one is asked for."""

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self._graphs = graphs

    def __getitem__(self, name: str) -> Definition:
        return self._graphs[name].definition

    def __iter__(self) -> Iterator[str]:
        return iter(self._graphs)

    def __len__(self) -> int:
        return len(self._graphs)
