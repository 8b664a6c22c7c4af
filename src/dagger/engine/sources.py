"""Sources: what a run's attempts look up, and what they may add."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import msgspec

from dagger.core import codec, decide, events, iterate
from dagger.core.errors import ActionNotRegistered, nearest
from dagger.core.graph import Node
from dagger.core.journal import Reusable, Store
from dagger.core.messages import Message, Published
from dagger.core.state import State
from dagger.core.steps import flow_of
from dagger.engine import growth
from dagger.engine.attempt import Attempt
from dagger.engine.kernel import Kernel
from dagger.engine.mail import Mail
from dagger.engine.maps import Maps
from dagger.engine.publishing import Publishing
from dagger.engine.underway import Underway
from dagger.spec.action import Action, require_fit


class Sources:
    """The part of a run that attempts ask: see Tenure, which is one."""

    kernel: Kernel
    state: State
    maps: Maps
    mail: Mail
    publishing: Publishing
    payload: Callable[[Message], bytes]
    message: Callable[[Node | None, str, bytes, list[codec.Blob]], Published]
    underway: Underway
    known_actions: Mapping[str, Action]
    load: Callable[[str], bytes]

    def items(self, scope: str) -> list[msgspec.Raw]:
        """The JSON texts of the items of a map that was begun."""
        return self.maps.items(scope)

    @property
    def agents_as_of(self) -> int:
        """How often agents were bound and removed so far, in this process."""
        return self.publishing.as_of

    @property
    def store(self) -> Store:
        """Where the run's journal is."""
        return self.kernel.store

    def reusable(self, key: str) -> Reusable | None:
        """An earlier success of the same work."""
        return self.kernel.store.reusable(key)

    def action(self, node: Node) -> Action:
        """The registered action of a node. Raises ActionNotRegistered."""
        try:
            return self.known_actions[node.action]
        except KeyError:
            near = nearest(node.action, self.known_actions)
            message = f"node {node.id!r}: action {node.action!r} is not registered{near}"
            raise ActionNotRegistered(message) from None

    def require_actions(self, node: Node) -> None:
        """Raise ActionNotRegistered for a node whose actions are not here, InputInvalid for inputs that do not fit."""
        require_fit(self.action(node), node)
        if node.failure:
            self.action(msgspec.structs.replace(node, action=node.failure))

    def grown(self, attempt: Attempt, event: events.StepSucceeded) -> tuple[Node, ...]:
        """The nodes that a success adds: the step's own, and those that follow a supervisor's turn.

        Raises as `require_node` does.
        """
        state, node, nodes = self.state, attempt.node, event.nodes
        if node.iteration is not None:
            nodes += iterate.next_iteration(state, decide.config_of(state, event.step), node, event)
        if node.iteration is not None or attempt.ctx is None or attempt.ctx.checked_at != state.seq:
            growth.require_grown(self, event.step, nodes)  # else nothing has changed since
        self.underway.look_over(nodes)
        return nodes

    def require_node(self, step: str, node: Node, added: Container[str]) -> None:
        """Raise what speaks against a node that a step adds, after those of the ids `added`. Costs O(dependencies).

        ActionNotRegistered, NodeAlreadyExists, DependencyNotFound, CycleError, InputInvalid, or any other GraphError.
        """
        self.require_actions(node)
        growth.check_node(self.state, node, flow_of(self.state, step), added)
