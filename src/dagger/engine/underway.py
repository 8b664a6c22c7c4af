"""Underway: the steps of a run that are on their way, the slots that they take, and which of them are idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dagger.core.deliveries import let_in, room_of
from dagger.core.events import scope_of
from dagger.core.graph import Node
from dagger.core.messages import AGENT, Agent
from dagger.core.state import Pending, State
from dagger.engine import flows
from dagger.engine.attempt import Attempt
from dagger.engine.delays import Delays
from dagger.engine.kernel import Kernel
from dagger.engine.maps import Maps
from dagger.engine.pools import Pool, freed_at_rest, kept_at_rest
from dagger.spec.action import Action


class Travelled(Protocol):
    """What is asked here of a run: see Tenure."""

    kernel: Kernel
    state: State
    maps: Maps
    now_ms: Callable[[], int]

    @property
    def is_halting(self) -> bool: ...
    def start(self, step: str, task: asyncio.Task[None]) -> Attempt | None: ...
    def look(self, step: str, task: asyncio.Task[None]) -> None: ...
    def rouse(self) -> None: ...
    def watch(self, attempt: Attempt) -> None: ...
    def step_over(self) -> None: ...


class Underway:
    """Counts the steps of one run from the moment they are ready until they have ended or wait for their turn again."""

    def __init__(self, run: Travelled, actions: Mapping[str, Action]) -> None:
        self._run = run
        self._actions = actions
        self.open = 0
        """Steps on their way: gated, queued, idle or running."""
        self.idle = 0
        """Of them, those that nothing is done for: delayed, resting, asleep or held."""
        self._start = run.start
        self.is_pooled = False
        """Whether any step takes slots."""
        self.has_special = False
        """Whether any node may do something instead of beginning its action."""
        self._has_priorities = False
        self._is_plain = True
        """Whether steps can be queued as they come: no slots, no priorities, no delays, all actions registered."""
        self._plain: set[str] = set()
        """Actions that are known to ask for nothing."""
        self._slots: dict[str, tuple[Pool, ...]] = {}
        """By step: where it waits for slots, or has taken them. It gives back just these, whatever comes or goes."""
        self._run_pools: tuple[Pool, ...] = ()
        self._agent_slots: dict[str, int] = {}
        """By the name of its action: how many of an agent's deliveries are at work at once in each flow."""
        self._agent_pools: dict[tuple[str, str, int], Pool] = {}
        """By flow, agent and number: the slots. A flow has its own: whoever executes it may hold one, too."""
        self._delays = Delays(run.kernel.timers)
        """Steps that wait for their next attempt."""
        self._returning: dict[Attempt, list[asyncio.Future[None]]] = {}
        """Attempts that hold no slots: they have rested, and wait for them to go on with these answers."""
        self._asleep: set[str] = set()
        """Steps with an open wait whose code need not run before it is answered."""
        self._held: dict[str, str] = {}
        """Steps whose action is not registered here, with its name."""
        self.dropped: set[str] = set()
        """Steps that were given up; those among them that are queued are still on their way."""

    def begin(self, asleep: set[str]) -> None:
        """Note what the run's nodes ask for, and which of its steps are asleep."""
        self._asleep = asleep
        state = self._run.state
        slots = state.config.max_parallel
        self._run_pools = (Pool(slots),) if slots else ()
        for bound in state.agents.values():
            self.expect_agent(bound.agent)
        self.look_over([pending.node for pending in state.pending.values()])
        for definition in state.graphs.values():
            self.look_over(definition.nodes)
        for name in state.scopes:
            self.begin_scope(name)
        self._is_plain = self._is_plain and not any(pending.retry_at for pending in state.pending.values())
        self.open = self.idle = len(self._asleep)

    def look_over(self, nodes: Sequence[Node]) -> None:
        """Note what new nodes ask of the loop besides beginning their actions."""
        if self._is_plain and all(node.action in self._plain and _is_plain(node) for node in nodes):
            return
        if any(node.priority for node in nodes):
            self._has_priorities = True
        if any(map(flows.is_special, nodes)):
            self.has_special = True
        for name in {name for node in nodes for name in (node.action, node.failure)}:
            action = self._actions.get(name)
            self.is_pooled = bool(self.is_pooled or self._run_pools or self._run.kernel.pools[name])
            if self.is_pooled or self._has_priorities or (action is None and name):
                self._is_plain = False
            self.has_special = bool(self.has_special or (action is not None and action.cache))
        if self.has_special:
            self._is_plain = False
        if self._is_plain:
            self._plain.update(node.action for node in nodes)

    def expect_agent(self, agent: Agent) -> None:
        """Note what an agent's deliveries will ask for; it may have taken another's place, which asked for less."""
        state, action = self._run.state, agent.node.action
        self._plain.discard(action)
        self._agent_slots.pop(action, None)
        self.look_over([agent.node])
        room = max(room_of(state, agent), let_in(state, agent.name))  # it may have had more room before it was changed
        if agent.concurrency is not None and agent.concurrency < room:
            self._agent_slots[action] = agent.concurrency
            self.is_pooled, self._is_plain = True, False

    def begin_scope(self, name: str) -> None:
        """Note what a child flow that is about to begin asks for."""
        self._run.maps.begin(name)
        if self._run.maps.is_limited:
            self.is_pooled, self._is_plain = True, False

    def expect_scopes(self) -> None:
        """Steps of child flows will be looked at when they are ready again."""
        self.has_special, self._is_plain = True, False

    def queue(self, steps: list[str]) -> None:
        """Queue open steps for their next attempt; where the run halts, they are on their way no more."""
        run, kernel = self._run, self._run.kernel
        is_halting = run.is_halting
        if self._is_plain and not (is_halting or self.idle or kernel.abandoned):
            kernel.ready.extend(self._start, steps)
            if not kernel.is_coming:
                kernel.wake()
            return
        pending = run.state.pending
        if self._has_priorities and len(steps) > 1:
            steps = sorted(steps, key=lambda step: -pending[step].node.priority if step in pending else 0)
        if steps and self.idle and not is_halting:
            run.rouse()
        for step in steps:
            waiting = pending.get(step)
            if waiting is None or is_halting:
                self.dropped.discard(step)
                self.open -= 1
            elif waiting.retry_at or (kernel.abandoned and (run.state.run_id, step) in kernel.abandoned):
                self.delay(step, waiting.retry_at)
            elif not (waiting.node.graph or waiting.node.action in self._actions):
                self._held[step] = waiting.node.action
                self.idle += 1
            else:
                self._enter(step, waiting.node)
        kernel.wake()
        if self.open == self.idle:
            run.step_over()  # none of them is to start now, and nothing else is on its way

    def _enter(self, step: str, node: Node) -> None:
        """Queue a step: to be looked at first, if it may need no slots."""
        if self.has_special and self._is_special(node):
            self._run.kernel.ready.add((self._run.look, step), node.priority)
        else:
            self._wait_for_slots(step, node)

    def _is_special(self, node: Node) -> bool:
        action = self._actions.get(node.action)
        return flows.is_special(node) or (action is not None and action.cache is not None)

    def wait_for_slots(self, step: str) -> None:
        """An open step that was looked at is to be attempted."""
        self._wait_for_slots(step, self._run.state.pending[step].node)
        self._run.kernel.wake()

    def _wait_for_slots(self, step: str, node: Node) -> None:
        pools = self._pools_of(step, node)
        if pools:
            self._slots[step] = pools
        self._run.kernel.ready.add((self._start, step), node.priority, pools)

    def wait_for_disk(self, step: str, node: Node) -> None:
        """A step keeps its slots until all is durable that was appended: with a rate, taking them anew is a start."""

        def durable(future: asyncio.Future[None]) -> None:
            if future.exception() is None:
                self._run.kernel.ready.add((self._start, step), node.priority)
                self._run.kernel.wake()

        # not at the kernel's gate: that is for what has just been appended, and the open batch may stay empty
        self._run.kernel.durable().add_done_callback(durable)

    def delay(self, step: str, retry_at: int) -> None:
        """An open step waits for its next attempt, at that time at the earliest."""
        run, kernel = self._run, self._run.kernel

        def due() -> None:
            if not self._delays.end(step):
                return  # forgotten meanwhile
            stuck = kernel.abandoned.get((run.state.run_id, step))
            if stuck is not None:
                # at most until the run's own timeout, which forgets it like any other delay
                stuck.on_released = due
                self._delays.hold(step, due)
                run.step_over()  # how long it will take nobody knows: that is worth telling
                return
            self.idle -= 1
            run.rouse()
            node = run.state.pending[step].node
            self._enter(step, node)
            kernel.wake()

        self._delays.add(step, retry_at, run.now_ms(), due)
        self.idle += 1

    def rest(self, attempt: Attempt) -> None:
        """The attempt's code waits for nothing but open waits: it gives back its slots, and its clock stands still."""
        attempt.rest(self._run.kernel.tick())
        self._release(freed_at_rest(self._slots.get(attempt.step, ())))
        self.idle += 1

    def stands_still(self, attempt: Attempt) -> bool:
        """Whether the attempt rests, or waits for its slots to go on."""
        return attempt.is_resting or attempt in self._returning

    def go_on(self, attempt: Attempt, answered: asyncio.Future[None]) -> None:
        """A wait that the attempt's code awaits is answered: it goes on as soon as it has its slots again."""
        if attempt in self._returning:
            self._returning[attempt].append(answered)
        elif not attempt.is_resting:
            _deliver(answered)
        else:
            attempt.is_resting = False
            self._returning[attempt] = [answered]
            self.idle -= 1
            self._run.rouse()
            pools = freed_at_rest(self._slots.get(attempt.step, ()))
            due = (lambda *_: self._return(attempt, pools)), attempt.step
            self._run.kernel.ready.add(due, attempt.node.priority, pools)
            self._run.kernel.wake()

    def _return(self, attempt: Attempt, pools: tuple[Pool, ...]) -> None:
        answered = self._returning.pop(attempt, None)
        if answered is None:  # it was cut off meanwhile
            self._run.kernel.ready.release(pools)
            return
        attempt.rested_ms += self._run.kernel.tick()
        self._run.watch(attempt)
        for future in answered:
            _deliver(future)

    def answered(self, step: str) -> None:
        """A wait is answered that no code awaits: the step's code can run."""
        if step in self._asleep:
            self._asleep.remove(step)
            self.idle -= 1
            self._run.rouse()
            self.queue([step])
        else:
            self._run.step_over()  # it was given up: what else is waited for may now be worth telling

    def fall_asleep(self, step: str) -> None:
        """An open step that was looked at has a wait that is to be answered before its code need run."""
        self._asleep.add(step)
        self.idle += 1

    def drop(self, steps: Mapping[str, Pending]) -> None:
        """Steps are given up: those that are idle here at once, those that are queued when their turn comes."""
        for step, pending in steps.items():
            self._run.maps.end(step)
            is_asleep, is_held = step in self._asleep, self._held.pop(step, None) is not None
            self._asleep.discard(step)
            if is_asleep or is_held or self._delays.end(step):
                self.idle -= 1
                self.open -= 1
            elif not (pending.unmet or pending.is_stuck):
                self.dropped.add(step)

    def recognise(self) -> None:
        """Actions were registered: steps that waited for them can start."""
        known = [step for step, name in self._held.items() if name in self._actions]
        for step in known:
            del self._held[step]
        self.idle -= len(known)
        self.look_over([self._run.state.pending[step].node for step in known])
        if known:
            self._run.rouse()
            self.queue(known)

    def leave(self, step: str, attempt: Attempt | None = None) -> None:
        """A step is on its way no more: its slots are free."""
        self._let_go(step, attempt)
        self.dropped.discard(step)
        self.open -= 1

    def _let_go(self, step: str, attempt: Attempt | None) -> None:
        pools = self._slots.pop(step, ())
        if attempt is not None and attempt.is_resting:
            attempt.is_resting = False
            self.idle -= 1
            pools = kept_at_rest(pools)
        elif attempt is not None and self._returning.pop(attempt, None) is not None:
            pools = kept_at_rest(pools)
        self._release(pools)

    def _release(self, pools: tuple[Pool, ...]) -> None:
        if pools:
            self._run.kernel.ready.release(pools)
            self._run.kernel.wake()

    def clear(self) -> None:
        """The run halts: forget all that does not run."""
        left = self._delays.clear() + len(self._asleep) + len(self._held)
        self._asleep.clear()
        self._held.clear()
        self.idle -= left
        withdrawn = self._run.kernel.ready.withdraw(self._start)
        for step in withdrawn:
            del self._slots[step]
        self.open -= left + len(withdrawn)

    def close(self, running: set[Attempt]) -> None:
        """The run is let go of: forget everything, and give back the slots of what runs."""
        self.clear()
        for attempt in running:
            self._let_go(attempt.step, attempt)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of the run is ready or running."""
        return self.open == self.idle

    @property
    def has_delayed(self) -> bool:
        """Whether any step waits for its next attempt: until it is due, or until its last one's code has ended."""
        return len(self._delays) > 0

    def next_attempt(self) -> int | None:
        """When the first delayed attempt is due, in milliseconds since 1970; None: of none it is known."""
        return self._delays.next_due()

    def held(self) -> str:
        """Which steps cannot start here, and why; empty: none."""
        named = [f"{step!r}: {_called(name)} is not registered here" for step, name in self._held.items()]
        return "; ".join(named[:3])

    def _pools_of(self, step: str, node: Node) -> tuple[Pool, ...]:
        """What the step takes a slot of; a child flow's own step takes none, its steps do."""
        if not self.is_pooled or node.graph or node.map:
            return ()
        pools = (*self._run_pools, *self._run.kernel.pools[node.action], *self._run.maps.pools_of(step))
        slots = self._agent_slots.get(node.action)
        if slots is None:
            return pools
        key = scope_of(step), node.action, slots
        pool = self._agent_pools.get(key)
        if pool is None:
            if len(self._agent_pools) > 2 * len(self._agent_slots) * (len(self._run.state.scopes) + 1):
                self._forget_pools()
            pool = self._agent_pools[key] = Pool(slots, is_kept=True)
        return (*pools, pool)

    def _forget_pools(self) -> None:
        """Flows come and go, and agents change: steps that are left from before know their pools themselves."""
        scopes, slots = self._run.state.scopes, self._agent_slots
        self._agent_pools = {
            key: pool
            for key, pool in self._agent_pools.items()
            if (not key[0] or key[0] in scopes) and slots.get(key[1]) == key[2]
        }


def _is_plain(node: Node) -> bool:
    return not (node.priority or flows.is_special(node))


def _called(name: str) -> str:
    return f"agent {name.removeprefix(AGENT)!r}" if name.startswith(AGENT) else f"action {name!r}"


def _deliver(answered: asyncio.Future[Any]) -> None:
    if not answered.done():  # the code that awaited it may have been cancelled
        answered.set_result(None)
