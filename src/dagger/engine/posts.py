"""Posts: what somebody outside publishes, and agents that come and go, in a run that this process owns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from dagger.core import decide, events
from dagger.core.deliveries import has_mail
from dagger.core.errors import InvalidState, NoAgentsRegistered
from dagger.core.events import scope_of
from dagger.core.graph import Node
from dagger.core.messages import AGENT, Agent, agent_of
from dagger.core.orders import Publish
from dagger.core.state import State
from dagger.engine.kernel import Kernel
from dagger.engine.looking import is_stuck
from dagger.engine.orders import Ordered, is_served, publish, refuse
from dagger.engine.publishing import Publishing
from dagger.engine.underway import Underway
from dagger.engine.waits import Waits
from dagger.spec.limits import Limited, require_limits

ENDING = frozenset(("stop", "cancel"))
"""Ways to halt after which nobody goes on with a run."""


class Addressed(Ordered, Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    publishing: Publishing
    underway: Underway
    waits: Waits
    posts: Posts

    @property
    def is_halting(self) -> bool: ...
    def recognise(self) -> None: ...
    def drop(self, flows_left: Sequence[str]) -> None: ...


class Posts:
    """Messages from outside that wait until the agents that read their channel have room for them."""

    def __init__(self, run: Addressed) -> None:
        self._run = run
        self.waiting: dict[str, OrderedDict[str, tuple[Publish, asyncio.Future[int] | None]]] = {}
        """By channel: orders by their ids, oldest first, each with what is given the seq of the event."""

    def add(self, order: Publish, done: asyncio.Future[int] | None = None) -> None:
        """Publish as soon as there is room; `done` is given the seq of the event, or what it was refused for.

        It is given 0 where the run goes on no more here, but may elsewhere. Without `done` the order is another
        process's, and stays in the inbox until then.
        """
        self.waiting.setdefault(order.channel, OrderedDict())[order.id] = order, done
        if done is not None:
            done.add_done_callback(lambda _: self._withdraw(order))
        self.serve((order.channel,))
        if self._run.is_halting or is_served(self._run.state):
            self.close()  # there will be no room any more

    def left(self, node: Node) -> None:
        """A step of this node has ended: where it was a delivery, its agent has room (I5)."""
        if node.action.startswith(AGENT):
            self.serve(self._run.state.agents[node.id].agent.subscriptions)

    def serve(self, channels: Iterable[str]) -> None:
        """Publish what there is room for, in each of the channels in the order in which it came."""
        for channel in channels:
            while channel in self.waiting and not is_full(self._run.state, channel):  # publishing may close it
                self._publish(*self._take(channel))

    def _take(self, channel: str) -> tuple[Publish, asyncio.Future[int] | None]:
        """Take out what has waited longest: whoever takes it is the only one who answers it."""
        orders = self.waiting[channel]
        _, oldest = orders.popitem(last=False)
        if not orders:
            del self.waiting[channel]
        return oldest

    def _withdraw(self, order: Publish) -> None:
        """Nobody wants it published any more, if it was not."""
        orders = self.waiting.get(order.channel)
        if orders is not None and orders.pop(order.id, None) is not None and not orders:
            del self.waiting[order.channel]

    def _publish(self, order: Publish, done: asyncio.Future[int] | None) -> None:
        if done is not None and done.cancelled():
            return
        try:
            seq = publish(self._run, order)
        except Exception as error:  # noqa: BLE001 - it is told whoever publishes, and is nobody else's
            self._refuse(order, done, error)
        else:
            if done is not None:
                done.set_result(seq)

    def _refuse(self, order: Publish, done: asyncio.Future[int] | None, error: Exception) -> None:
        if done is None:
            refuse(self._run, order, error)
        elif not done.done():
            done.set_exception(error)

    def close(self) -> None:
        """The run goes on no more here: what waits is not published."""
        state = self._run.state
        is_over = state.halt in ENDING or is_served(state)
        while self.waiting:
            order, done = self._take(next(iter(self.waiting)))
            if is_over:
                error = InvalidState(f"run {state.run_id!r} goes on no more: nothing was published")
                self._refuse(order, done, error)
            elif done is not None and not done.done():
                done.set_result(0)
            # else it stays in the inbox, for whoever goes on


def is_full(state: State, channel: str) -> bool:
    """Whether at an agent that reads the channel as many messages wait as are kept in memory."""
    inboxes = (state.inboxes.get(name) for name in state.channels.get(channel, ()))
    return any(inbox.undelivered() >= state.config.channel_capacity for inbox in inboxes if inbox is not None)


def is_removed(state: State, node: Node) -> bool:
    """Whether the node is an agent's that was removed: what fails there is not tried again."""
    return node.action.startswith(AGENT) and state.agents[node.id].is_removed


def has_agent(state: State, name: str) -> bool:
    """Whether the run has the agent, or had it and has something for it: its dead letters may be tried anew."""
    bound = state.agents.get(name)
    return bound is not None and (not bound.is_removed or has_mail(state, name))


def differs(state: State, agent: Agent) -> bool:
    """Whether the run has not this agent, or another one of its name."""
    bound = state.agents.get(agent.name)
    return bound is None or bound.is_removed or bound.agent != agent


def require_pools(agents: Iterable[Limited], code: Iterable[Limited]) -> None:
    """Raise RegistryError for an agent's pool that none of the code gives a size.

    Whatever a run calls, it has every agent.
    """
    for pool in sorted({each.pool for each in agents} - {""}):
        require_limits(pool, code)


def bind(run: Addressed, agent: Agent) -> None:
    """An agent was registered: what is published from now on goes to it, too."""
    if run.is_halting:
        return
    if differs(run.state, agent):
        run.underway.expect_agent(agent)
        run.rouse()
        run.record(events.AgentBound(at=run.now_ms(), agent=agent))
    run.publishing.forget()  # the same agent's code may not have been here: now it is asked, too
    run.recognise()
    run.step_over()


def remove(run: Addressed, name: str, running: Collection[str]) -> None:
    """An agent was removed: all that waits at it becomes dead letters; deliveries that are `running` go on."""
    state = run.state
    if run.is_halting or not has_agent(state, name):
        return
    now, node = run.kernel.tick(), state.agents[name].agent.node
    policy = decide.letter_policy(state, node)
    run.rouse()
    flows_left: list[str] = []
    for step in [*state.waits]:
        if agent_of(step) == name and step not in state.pending and step not in state.dead:
            # it was a dead letter, and waits in the inbox again
            own = (node.on_failure or "continue") if scope_of(step) else policy
            flows_left += run.waits.leave(step, is_stuck=own == "pause")
    run.record(events.AgentRemoved(at=now, name=name, policy=policy))
    run.drop(flows_left)
    run.publishing.forget()
    flows = [state.inboxes, *(scope.inboxes for scope in state.scopes.values())]
    steps = [step for inboxes in flows if name in inboxes for step in inboxes[name].steps if step not in running]
    run.underway.drop({step: state.pending[step] for step in steps})
    error = events.Error(NoAgentsRegistered.__name__, f"agent {name!r} was removed")
    for step in steps:
        if step in state.pending:  # else it was in a flow that another of them executed
            event = decide.failed_for_good(state, step, error, now)
            flows_left = run.waits.leave(step, is_stuck=is_stuck(event))
            run.record(event)
            run.drop(flows_left)
    if state.halt:
        run.halt()

    def go_on() -> None:
        run.posts.serve(list(run.posts.waiting))  # it was full, and is not waited for any more
        run.step_over()

    run.kernel.loop.call_soon(go_on)  # an agent that is exchanged is registered again by then
