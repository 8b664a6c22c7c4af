"""Registry: the actions and graphs that an application knows."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from dagger.core.errors import ActionNotRegistered, GraphError, RegistryError, nearest
from dagger.core.graph import Definition, Node
from dagger.graph import Graph
from dagger.spec import graph_file
from dagger.spec.action import Action, NodeAction, RunsIn, action_of, refuse_options
from dagger.spec.action import action as mark_action

Function = TypeVar("Function", bound=Callable[..., Any])


class Registry:
    """Actions and graphs by name."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._graphs: dict[str, Graph] = {}

    @overload
    def action(self, function: Function, /) -> Function: ...
    @overload
    def action(
        self, function: str | None = None, /, *, name: str | None = None, runs_in: RunsIn | None = None
    ) -> Callable[[Function], Function]: ...
    def action(
        self,
        function: Function | str | None = None,
        /,
        *,
        name: str | None = None,
        runs_in: RunsIn | None = None,
        **later: object,
    ) -> Function | Callable[[Function], Function]:
        """Register a function as an action; it stays callable as plain Python. See `dagger.action`."""
        refuse_options(later)

        def register(decorated: Function) -> Function:
            self.register_action(mark_action(chosen, runs_in=runs_in)(decorated))
            return decorated

        chosen: str | None = function if isinstance(function, str) else name
        return register(function) if function is not None and not isinstance(function, str) else register

    def register_action(self, thing: Callable[..., Any] | NodeAction | type[NodeAction]) -> None:
        """Register a function, or a NodeAction. Raises RegistryError if its name is taken."""
        found = action_of(thing)
        if found is None:
            if not callable(thing):
                message = f"{thing!r} is no action: give a function or a NodeAction"
                raise RegistryError(message)
            found = Action(thing)
        known = self._actions.get(found.name)
        if known is not None and known is not found:
            message = f"an action {found.name!r} is registered already; give this one another name"
            raise RegistryError(message)
        self._actions[found.name] = found

    def include(self, *things: object) -> None:
        """Register every action that is found in the modules, or is one of the objects."""
        for thing in things:
            if not isinstance(thing, types.ModuleType):
                self.register_action(thing)  # type: ignore[arg-type]
                continue
            for value in list(vars(thing).values()):
                if inspect.isclass(value) and value.__module__ != thing.__name__:
                    continue
                found = action_of(value)
                if found is not None:
                    self.register_action(found)  # type: ignore[arg-type]

    @property
    def actions(self) -> Mapping[str, Action]:
        """The registered actions by name."""
        return types.MappingProxyType(self._actions)

    def load_yaml_file(self, path: str | Path) -> Graph:
        """Load and register the graph of a file. Raises GraphError that names every problem of it."""
        return self._registered(graph_file.read_file(path, self._actions))

    def load_yaml_dir(self, path: str | Path) -> list[Graph]:
        """Load and register the graphs of all `.yaml` and `.yml` files of a directory.

        Raises one GraphError that names every problem of every bad file; then nothing is loaded.
        """
        return [self._registered(found) for found in graph_file.read_dir(path, self._actions)]

    def add_graph(self, graph: Graph) -> Graph:
        """Register a graph; one of the same name is replaced: runs keep the one they were started with."""
        definition = graph.definition
        graph_file.check_definition(definition, self._actions)
        self._graphs[definition.name] = graph
        return graph

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
        """Raise ActionNotRegistered for the first of the nodes whose action is not here."""
        for node in nodes:
            if node.action not in self._actions:
                known = ", ".join(self._actions) or "none"
                near = nearest(node.action, self._actions) or f"; registered: {known}"
                message = f"node {node.id!r}: action {node.action!r} is not registered{near}"
                raise ActionNotRegistered(message)
