"""Deliveries: what is published becomes a step of each agent that reads the channel, as soon as that has room for it.

A part of the fold (see `core/fold`): pure changes of a state.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dagger.core import events
from dagger.core.events import scope_of
from dagger.core.messages import REQUEST, Agent, Message, Published, agent_of, delivery_of
from dagger.core.state import Bound, DeadLetter, Inbox, Pending, Scope, State, Wait
from dagger.core.steps import ERRORS_KEPT, forget_letter, leave


def bind(state: State, agents: Iterable[Agent]) -> list[str]:
    """Take in agents: what is published from now on goes to them, too; or to them as they are now.

    The deliveries that can begin, as one may have more room now.
    """
    ready: list[str] = []
    for agent in agents:
        unbind(state, agent.name)
        bound = state.agents.get(agent.name)
        state.agents[agent.name] = Bound(agent) if bound is None else Bound(agent, bound.handled, bound.failed)
        for channel in agent.subscriptions:
            state.channels.setdefault(channel, []).append(agent.name)
        for _, inbox in _inboxes(state, agent.name):
            for step in inbox.steps:
                state.pending[step].node = agent.node
            if agent.is_ordered:  # a message waits for all before it now, not for those with its key only
                inbox.waiting.extend(_taken_out(inbox))
        ready += _make_room(state, agent)
    return ready


def make_room(state: State) -> list[str]:
    """The run's config has changed: inboxes have the room that it says; the deliveries that can begin."""
    return [step for bound in state.agents.values() for step in _make_room(state, bound.agent)]


def _make_room(state: State, agent: Agent) -> list[str]:
    ready: list[str] = []
    for name, inbox in _inboxes(state, agent.name):
        inbox.room = room_of(state, agent)
        _let_in_next(state, f"{name}/" if name else "", agent.name, inbox, ready)
    return ready


def unbind(state: State, name: str) -> None:
    """Nothing goes to an agent any more."""
    bound = state.agents.get(name)
    if bound is None or bound.is_removed:
        return
    bound.is_removed = True
    for channel in bound.agent.subscriptions:
        readers = state.channels[channel]
        readers.remove(name)
        if not readers:
            del state.channels[channel]


def room_of(state: State, agent: Agent) -> int:
    """How many messages an agent's inbox lets in; which of them are at work at once, its pool says."""
    return 1 if agent.is_ordered else max(state.config.channel_capacity, agent.concurrency or 1)


def let_in(state: State, name: str) -> int:
    """How many messages an agent's inbox has let in, in the flow where they are most."""
    return max((inbox.let_in for _, inbox in _inboxes(state, name)), default=0)


def has_mail(state: State, name: str) -> bool:
    """Whether anything is at an agent, at work or waiting, in any flow."""
    return any(inbox.let_in or inbox.waiting for _, inbox in _inboxes(state, name))


def _inboxes(state: State, name: str) -> Iterator[tuple[str, Inbox]]:
    """An agent's inbox in every flow that has one, with the flow's name."""
    flows: dict[str, State | Scope] = {"": state, **state.scopes}
    return ((flow_name, flow.inboxes[name]) for flow_name, flow in flows.items() if name in flow.inboxes)


def flow_with_agents(state: State, step: str) -> str:
    """The flow whose agents get what a step publishes: the run, or the innermost that code executes."""
    name = scope_of(step)
    while name and not state.pending[name].node.answers:
        name = scope_of(name)
    return name


def deliver(  # noqa: PLR0917 - a message's own parts
    state: State, messages: Sequence[Published], at: int, seq: int, source: str = "", request: str = ""
) -> list[str]:
    """Put messages into the inboxes of whoever reads their channels; the deliveries that can begin.

    `seq`: of the event that they stand in; `request`: the key of the source's wait for a reply.
    """
    name = flow_with_agents(state, source) if state.scopes and source else ""
    return deliver_in(state, name, messages, at, seq, source, request)


def deliver_in(  # noqa: PLR0917 - a message's own parts
    state: State, name: str, messages: Sequence[Published], at: int, seq: int, source: str = "", request: str = ""
) -> list[str]:
    """The same, in a given flow."""
    flow = state.scopes[name] if name else state
    prefix = f"{name}/" if name else ""
    state.messages += len(messages)
    ready: list[str] = []
    put = 0
    for index, published in enumerate(messages, 1):
        readers = state.channels.get(published.channel)
        if readers is None:
            continue
        message = Message(seq, index, published.channel, bytes(published.payload), source, at, request)
        put += len(readers)
        for agent in readers:
            own = message
            if published.keys and agent in published.keys:
                own = msgspec.structs.replace(message, lane=published.keys[agent])
            _put(state, flow, prefix, agent, own, ready)
    if name:
        state.pending[name].unmet += put
    return ready


def _put(  # noqa: PLR0917 - in the hot path
    state: State, flow: State | Scope, prefix: str, agent: str, message: Message, ready: list[str]
) -> None:
    """Put a message into an agent's inbox; without its payload where enough payloads are kept there."""
    inbox = flow.inboxes.get(agent)
    if inbox is None:
        inbox = flow.inboxes[agent] = Inbox(room_of(state, state.agents[agent].agent))
    takes_room = message.lane not in inbox.lanes
    # what waits would be overtaken
    is_next = not inbox.waiting and len(inbox.steps) + takes_room <= inbox.room
    if not (is_next and takes_room) and inbox.undelivered() >= state.config.channel_capacity:
        message = _without_payload(message)
    if is_next:
        _let_in(state, prefix, agent, inbox, message, ready)
    else:
        inbox.waiting.append(message)


def _without_payload(message: Message) -> Message:
    return Message(
        message.seq, message.index, message.channel, b"", message.source, message.at, message.request,
        message.lane, message.round, message.since,
    )  # fmt: skip


def _let_in(  # noqa: PLR0917 - in the hot path
    state: State, prefix: str, agent: str, inbox: Inbox, message: Message, ready: list[str]
) -> None:
    """Make a message a step, unless one with the same key is at work."""
    inbox.let_in += 1
    if message.lane:
        behind = inbox.lanes.get(message.lane)
        if behind is not None:
            behind.append(message)
            return
        inbox.lanes[message.lane] = deque()
    step = prefix + delivery_of(agent, message)
    inbox.steps[step] = None
    state.pending[step] = Pending(state.agents[agent].agent.node, 0, message=message)
    ready.append(step)


def delivered(state: State, step: str, pending: Pending) -> list[str]:
    """A delivery has ended, well or badly: the next ones have room. `pending`: what it was."""
    name, agent, message = scope_of(step), pending.node.id, pending.message
    assert message is not None
    flow = state.scopes[name] if name else state
    prefix = f"{name}/" if name else ""
    inbox = flow.inboxes[agent]
    inbox.let_in -= 1
    del inbox.steps[step]
    ready: list[str] = []
    if message.lane:
        behind = inbox.lanes.pop(message.lane)
        if behind:
            first = behind.popleft()
            inbox.let_in -= 1  # it was let in before
            _let_in(state, prefix, agent, inbox, first, ready)
            inbox.lanes[message.lane] = behind
    if inbox.waiting:
        _let_in_next(state, prefix, agent, inbox, ready)
    return ready


def cancelled(state: State, step: str, pending: Pending) -> None:
    """A delivery ends with its run: nothing takes its place."""
    name = scope_of(step)
    inbox = (state.scopes[name] if name else state).inboxes[pending.node.id]
    inbox.let_in -= 1
    del inbox.steps[step]


def _let_in_next(state: State, prefix: str, agent: str, inbox: Inbox, ready: list[str]) -> None:
    """Let in what there is room for now: behind one with the same key a message takes no room of its own."""
    waiting = inbox.waiting
    while waiting and len(inbox.steps) + (waiting[0].lane not in inbox.lanes) <= inbox.room:
        _let_in(state, prefix, agent, inbox, waiting.popleft(), ready)


def die(state: State, event: events.StepFailed) -> list[str]:
    """A delivery has finally failed: it is a dead letter, and its agent goes on with the next message."""
    step = event.step
    pending = state.pending.pop(step)
    if event.policy != "pause":  # else it is tried anew when the run is resumed, and finds them
        state.waits.pop(step, None)
    _bury(state, step, pending.message, event.policy)
    if event.policy != "list":
        _note(state, step, event.policy, f"{step}: {event.error}")
    ready = delivered(state, step, pending)
    return ready if event.policy == "pause" else ready + leave(state, step, pending.node)


def _bury(state: State, step: str, message: Message | None, policy: str) -> None:
    assert message is not None
    state.agents[agent_of(step)].failed += 1
    state.dead[step] = DeadLetter(_without_payload(message), policy)
    state.dead_of.setdefault(message.id, []).append(step)
    if name := scope_of(step):
        state.scopes[name].dead[step] = None


def _note(state: State, step: str, policy: str, error: str) -> None:
    """What dead letters mean for the flow that they are in: it fails, or waits for somebody to mend the cause."""
    name = scope_of(step)
    flow = state.scopes[name] if name and policy == "continue" else state
    if policy == "pause":
        state.stuck += 1
    else:
        flow.failures += 1
    if len(flow.errors) < ERRORS_KEPT:
        flow.errors.append(error)
    if policy == "stop" and not state.halt:
        state.halt, state.halt_reason = "stop", f"{step!r} failed"


def redeliver(state: State, steps: Iterable[str], *, anew: bool) -> list[str]:
    """Put dead letters at the end of their inboxes. `anew`: as deliveries of their own; else as they were."""
    ready: list[str] = []
    for step in steps:
        letter = forget_letter(state, step)
        name, agent = scope_of(step), agent_of(step)
        flow = state.scopes[name] if name else state
        if letter.policy == "pause":
            state.stuck -= 1
        elif name:
            state.pending[name].unmet += 1
        if letter.policy == "continue":
            flow.failures -= 1
        for where in (flow, state):
            where.errors = [error for error in where.errors if not error.startswith(f"{step}: ")]
        message = msgspec.structs.replace(letter.message, since=state.seq + 1)
        if anew:
            state.waits.pop(step, None)
            message = msgspec.structs.replace(message, round=message.round + 1)
        _put(state, flow, f"{name}/" if name else "", agent, message, ready)
    return ready


def stuck_letters(state: State) -> list[str]:
    """The dead letters that the run pauses for."""
    return [step for step, letter in state.dead.items() if letter.policy == "pause"]


def remove_agent(state: State, event: events.AgentRemoved) -> list[str]:
    """Nothing goes to an agent any more; what waits at it, and is no step yet, becomes dead letters."""
    unbind(state, event.name)
    ready: list[str] = []
    node = state.agents[event.name].agent.node
    flows: dict[str, State | Scope] = {"": state, **state.scopes}
    for name, flow in flows.items():
        inbox = flow.inboxes.get(event.name)
        policy = (node.on_failure or "continue") if name else event.policy  # the code that executes a flow is told
        for message in () if inbox is None else _taken_out(inbox):
            step = (f"{name}/" if name else "") + delivery_of(event.name, message)
            _bury(state, step, message, policy)
            if policy != "list":
                _note(state, step, policy, f"{step}: agent {event.name!r} was removed")
            if policy != "pause":
                state.waits.pop(step, None)
                ready += leave(state, step, node)
    return ready


def _taken_out(inbox: Inbox) -> list[Message]:
    """Take all out of an inbox but the deliveries that are steps; those of a key stay in their order."""
    taken = [*heapq.merge(*inbox.lanes.values(), key=_since)]
    inbox.let_in -= len(taken)
    for behind in inbox.lanes.values():
        behind.clear()
    taken += inbox.waiting
    inbox.waiting.clear()
    return taken


def _since(message: Message) -> tuple[int, int, int]:
    """By what messages at one agent are in order."""
    return message.since or message.seq, message.seq, message.index


def reply(state: State, message: Message, value: bytes) -> None:
    """Answer the wait of whoever requested a message; the first reply is the answer."""
    wait = state.waits.get(message.source, {}).get(message.request) if message.request else None
    if wait is not None and wait.is_open and wait.seq == message.seq:  # else it is a later attempt's, which asked anew
        wait.is_open, wait.value = False, value


def is_unheard(state: State, event: events.WaitAnswered, wait: Wait) -> bool:
    """Whether nobody replied to a request in time, and no attempt has begun that could be told."""
    pending = state.pending.get(event.step)
    has_timed_out = wait.kind == REQUEST and event.value is msgspec.UNSET
    return has_timed_out and not (pending is not None and pending.is_begun)


def forget_timeouts(state: State, step: str, at: int = 0) -> None:
    """A step is tried anew: its requests that nobody replied to in time are made again.

    `at`: those, too, whose time was over by then, while nobody watched it.
    """
    for key, wait in [*state.waits.get(step, {}).items()]:
        is_over = not wait.is_open or (wait.wake_at is not None and wait.wake_at <= at)
        if wait.kind == REQUEST and is_over and not wait.value:
            del state.waits[step][key]


def deliveries_in(state: State, name: str) -> Iterator[str]:
    """The deliveries of a child flow that are steps, or were and will be again."""
    for agent, inbox in state.scopes[name].inboxes.items():
        yield from inbox.steps
        for messages in (inbox.waiting, *inbox.lanes.values()):
            yield from (f"{name}/{delivery_of(agent, message)}" for message in messages)
    yield from state.scopes[name].dead


def release_letters(state: State, steps: Iterable[str]) -> None:
    """Child flows were given up with these steps: what is dead of them is forgotten, and the run pauses not for it."""
    for step in steps:
        if step in state.dead and forget_letter(state, step).policy == "pause":
            state.stuck -= 1
            state.errors = [error for error in state.errors if not error.startswith(f"{step}: ")]
