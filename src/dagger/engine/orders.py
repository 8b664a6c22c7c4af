"""What an order from outside does to a run that this process owns; what does not fit is refused, in the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from dagger.core import codec, events, iterate
from dagger.core.errors import DaggerError, InvalidState, MessageInvalid, ReviewAnswered, nearest
from dagger.core.graph import Node
from dagger.core.messages import Published, agent_of
from dagger.core.orders import AddNode, Answer, AnyOrder, Cancel, Instruct, Pause, Publish, Redeliver, encode_order
from dagger.core.reviews import REVIEW, Question, answer_text, review_id
from dagger.core.state import TERMINAL, State
from dagger.engine.attempt import Waits
from dagger.engine.growth import check_node
from dagger.spec.schema import said

_LOG = logging.getLogger("dagger")
GOING_ON = frozenset(("running", "waiting"))
"""Statuses in which steps run, or will."""
_BECOMES = {"pause": "paused", "stop": "stopped", "cancel": "cancelled"}
"""What a run that halts is about to be."""


class Ordered(Protocol):
    """What is asked here of a run: see Tenure."""

    state: State
    now_ms: Callable[[], int]

    @property
    def waits(self) -> Waits: ...
    @property
    def is_settled(self) -> bool: ...
    def look_at(self, node: Node) -> None: ...
    def require_actions(self, node: Node) -> None: ...
    def record(self, event: events.Event, blobs: Sequence[codec.Blob] = ()) -> None: ...
    def note(self, event: events.Event, blobs: Sequence[codec.Blob] = ()) -> None: ...
    def halt(self) -> None: ...
    def rouse(self) -> None: ...
    def drop(self, flows_left: Sequence[str]) -> None: ...
    def mailed(self) -> None: ...
    def message(self, node: Node | None, channel: str, text: bytes, blobs: list[codec.Blob]) -> Published: ...
    def post(self, order: Publish) -> None: ...
    def step_over(self) -> None: ...


def obey(run: Ordered, order: AnyOrder) -> None:
    """Do what somebody outside ordered."""
    if run.is_settled or (isinstance(order, Answer) and is_pausing(run.state)):
        return  # it stays in the inbox, for whoever goes on with the run
    try:
        match order:
            case Pause():
                pause(run, order.reason, order.id)
            case Cancel():
                cancel(run, order.reason, order.id)
            case AddNode():
                add_node(run, order.node, order.id)
            case Answer():
                answer(run, order)
            case Instruct():
                instruct(run, order.value, order.id)
            case Publish() if run.state.status != "paused":
                run.post(order)
            case Publish():
                publish(run, order)
            case Redeliver():
                redeliver(run, order)
    except Exception as error:  # noqa: BLE001 - it is told whoever ordered it
        if not isinstance(error, DaggerError):
            _LOG.exception("run %s: an order was refused", run.state.run_id, extra={"run": run.state.run_id})
        refuse(run, order, error)  # whatever it is: else whoever takes the run up next would meet it again


def is_pausing(state: State) -> bool:
    """Whether the run is about to pause: what is answered then is for whoever resumes it."""
    return state.halt == "pause" and state.status != "paused"


def is_served(state: State) -> bool:
    """Whether it was kept alive, and has its result: with what came from outside all the time it would never end."""
    return state.keep_alive and state.result is not None


def refuse(run: Ordered, order: AnyOrder, error: Exception) -> None:
    """Say in the journal why an order is not obeyed."""
    blobs: list[codec.Blob] = []
    run.record(refusal(order, error, run.now_ms(), blobs), blobs)


def refusal(order: AnyOrder, error: Exception, at: int, blobs: list[codec.Blob]) -> events.OrderRefused:
    """The event that says why an order is not obeyed, and what it was; what is large goes to `blobs`."""
    told = events.Error(type(error).__name__, said(error))  # a payload's type may raise anything
    return events.OrderRefused(at=at, order=order.id, error=told, given=codec.sealed(encode_order(order), blobs))


def pause(run: Ordered, reason: str, order: str = "", review: str = "") -> None:
    """Start nothing new, cut off what runs without counting it as a try, then pause. Raises InvalidState."""
    require_going_on(run, "paused")
    run.record(events.PauseRequested(at=run.now_ms(), reason=reason, order=order, review=review))
    run.halt()
    run.step_over()


def cancel(run: Ordered, reason: str, order: str = "") -> None:
    """Start nothing new, cancel what runs, then end. Raises InvalidState."""
    state = run.state
    if run.is_settled and state.status in TERMINAL:
        raise unfit(state.run_id, state.status, "cancelled")
    if state.halt == "cancel":
        raise _unfit_halting(state, "cancelled")
    run.record(events.CancelRequested(at=run.now_ms(), reason=reason, order=order))
    run.halt()
    run.step_over()


def add_node(run: Ordered, node: Node, order: str = "") -> None:
    """Take in one more node. Costs O(dependencies).

    Raises InvalidState, NodeAlreadyExists, DependencyNotFound or ActionNotRegistered.
    """
    run.require_actions(node)
    event = events.NodeAdded(at=run.now_ms(), node=node, order=order)
    if run.state.status == "paused" and not run.is_settled:  # it was taken over to be told: nothing starts
        check_node(run.state, node)
        run.note(event)
        return
    require_going_on(run, "given another node", keeps_for_later=True)
    check_node(run.state, node)
    run.look_at(node)
    run.rouse()
    run.record(event)
    run.step_over()


def answer(run: Ordered, given: Answer) -> None:
    """Answer an open review. A run that was paused for want of this answer goes on with it.

    Raises ReviewAnswered, AnswerInvalid, or InvalidState for a run that is about to end.
    """
    state = run.state
    if state.halt and state.halt != "pause":
        raise _unfit_halting(state, "answered")
    wait = state.waits.get(given.step, {}).get(given.key)
    if wait is None or not wait.is_open or wait.kind != REVIEW:
        raise ReviewAnswered(
            f"review {review_id(state.run_id, given.step, given.key)} of run {state.run_id!r} "
            "was answered already, or its step waits no longer"
        )
    options = msgspec.json.decode(wait.detail, type=Question).options
    blobs: list[codec.Blob] = []
    value = codec.sealed(bytes(answer_text(codec.decode(bytes(given.value)), options, wait.review)), blobs)
    if state.status != "paused":
        run.waits.answer(given.step, given.key, bytes(value), blobs, who=given.who, order=given.id)
        return
    # it was taken over to be told
    at = run.now_ms()
    run.note(
        events.WaitAnswered(
            at=at, step=given.step, key=given.key, value=value, review=wait.review, who=given.who, order=given.id
        ),
        blobs,
    )
    if state.review == wait.review:
        run.note(events.RunResumed(at=at))


def instruct(run: Ordered, value: msgspec.Raw, order: str = "") -> None:
    """Give the run's supervisor one more instruction. Raises InvalidState where it has none that goes on."""
    state = run.state
    if state.status != "paused":
        require_going_on(run, "given an instruction", keeps_for_later=True)
    if not iterate.has_supervisor(state):
        message = f"run {state.run_id!r} has no supervisor that goes on: nobody would follow an instruction"
        raise InvalidState(message)
    blobs: list[codec.Blob] = []
    key, told = f"instruction_{state.seq + 1}", codec.sealed(bytes(value), blobs)
    event = events.Instructed(at=run.now_ms(), key=key, value=told, order=order)
    if state.status == "paused":
        run.note(event, blobs)
        return
    run.record(event, blobs)
    for step in iterate.idle(state):
        run.waits.answer(step, iterate.INSTRUCTION)


def publish(run: Ordered, order: Publish) -> int:
    """Publish messages, room or not; the seq of the event.

    Raises MessageInvalid, or InvalidState for a run that is about to end.
    """
    if is_served(run.state):
        message = f"run {run.state.run_id!r} has its result, and ends when all is quiet: it cannot be published to"
        raise InvalidState(message)
    blobs: list[codec.Blob] = []
    messages = tuple(_published(run, order, blobs))
    event = events.MessagesPublished(at=run.now_ms(), messages=messages, order=order.id)
    seq = _take_in(run, event, "published to", blobs)
    run.mailed()
    return seq


def _published(run: Ordered, order: Publish, blobs: list[codec.Blob]) -> Iterator[Published]:
    count = len(order.payloads)
    for number, payload in enumerate(order.payloads, 1):
        try:
            yield run.message(None, order.channel, bytes(payload), blobs)
        except MessageInvalid as error:
            if count == 1:
                raise
            which = f"the {number:,}. of {count:,} messages that are taken in together: none of these is published"
            message = f"{error} ({which})"
            raise MessageInvalid(message) from None


def redeliver(run: Ordered, order: Redeliver) -> None:
    """Have a message's dead letters delivered anew. Raises InvalidState where there are none that can be."""
    state = run.state
    steps = dead_letters(state, order.message, order.agent)
    for step in steps:
        if state.agents[agent_of(step)].is_removed:
            message = f"agent {agent_of(step)!r} was removed: register it again before {step!r} is redelivered"
            raise InvalidState(message)
    flows_left = [child for step in steps for child in run.waits.leave(step)]  # the new delivery has waits of its own
    _take_in(run, events.Redelivered(at=run.now_ms(), steps=steps, order=order.id), "given a message again")
    run.drop(flows_left)


def dead_letters(state: State, message_id: str, agent: str) -> tuple[str, ...]:
    """The deliveries of a message that finally failed, at one agent or (empty) at all. Raises InvalidState: none."""
    failed = state.dead_of.get(message_id, [])
    steps = tuple(step for step in failed if agent in ("", agent_of(step)))
    if not steps:
        at = f" at agent {agent!r}" if agent else ""
        near = nearest(str(agent), map(agent_of, failed)) if failed else nearest(str(message_id), state.dead_of)
        message = f"run {state.run_id!r}: message {message_id!r} is no dead letter{at}: nothing is redelivered{near}"
        raise InvalidState(message)
    return steps


def _take_in(run: Ordered, event: events.Event, what: str, blobs: Sequence[codec.Blob] = ()) -> int:
    """Record what somebody outside adds to a run, paused or going on; the seq of the event."""
    state = run.state
    if state.status == "paused" and not run.is_settled:  # it was taken over to be told: nothing starts
        run.note(event, blobs)
        return state.seq
    require_going_on(run, what, keeps_for_later=True)
    run.rouse()
    seq = state.seq + 1
    run.record(event, blobs)
    run.step_over()
    return seq


def require_going_on(run: Ordered, what: str, *, keeps_for_later: bool = False) -> None:
    """`keeps_for_later`: a run that is about to pause does, too."""
    state = run.state
    if run.is_settled or state.status not in GOING_ON:
        raise unfit(state.run_id, state.status, what)
    if state.halt and not (keeps_for_later and state.halt == "pause"):
        raise _unfit_halting(state, what)


def unfit(run_id: str, status: str, what: str) -> InvalidState:
    """The error for a run that cannot be `paused`, `cancelled`, `resumed` …, because of its status."""
    is_over = status in TERMINAL
    if status == what:
        return InvalidState(f"run {run_id!r} {'was' if is_over else 'is'} {what} already")
    return InvalidState(f"run {run_id!r} is {f'over ({status})' if is_over else status}: it cannot be {what}")


def _unfit_halting(state: State, what: str) -> InvalidState:
    becomes = _BECOMES[state.halt]
    why = " already" if becomes == what else f": it cannot be {what}"
    return InvalidState(f"run {state.run_id!r} is being {becomes}{why}")
