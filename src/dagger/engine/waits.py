"""Waits: what steps wait for that may outlive their process: opened, due, answered, and found again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

import msgspec

from dagger.core import codec, events
from dagger.core.children import CHILD, child_of
from dagger.core.decide import config_of, few
from dagger.core.errors import NoAgentsRegistered, WaitMismatch
from dagger.core.graph import Node
from dagger.core.messages import REQUEST, Message, Published, named
from dagger.core.reviews import REVIEW, Question, review_id
from dagger.core.state import Wait
from dagger.engine.attempt import Attempt
from dagger.engine.awaiting import has_time_limit, is_at_rest
from dagger.engine.kernel import Kernel
from dagger.engine.orders import Ordered, pause
from dagger.engine.timers import Heap, Timer
from dagger.engine.underway import Underway

MEMO = "memo"
"""The kind of wait in which code runs: its step is at work, and nobody else ends it."""
_AT_WORK = (MEMO, CHILD)
"""The kinds that the run itself works at: it waits for none of them."""
QUESTION_LENGTH = 100
"""Characters of a question that the reason of a waiting run quotes."""
LOOK_AGAIN_SECONDS = 1.0
"""How often code is looked at that has an open wait beside other things to do."""


class Waiting(Ordered, Protocol):
    """What waits need of their run: see Tenure."""

    kernel: Kernel
    underway: Underway

    def record(self, event: events.Event, blobs: Sequence[codec.Blob] = ()) -> None: ...
    def message(self, node: Node | None, channel: str, text: bytes, blobs: list[codec.Blob]) -> Published: ...
    def mailed(self) -> None: ...
    def rest(self, attempt: Attempt) -> None: ...


class Waits:
    """The open waits of one run in this process."""

    def __init__(self, run: Waiting) -> None:
        self._run = run
        self._timers: dict[tuple[str, str], Timer] = {}
        self._due = Heap[int]()
        """When they answer themselves, in milliseconds since 1970."""
        self._open: defaultdict[str, dict[tuple[str, str], Wait]] = defaultdict(dict)
        """By kind: those that somebody else, or time, has to end before a step goes on."""
        self._awaited: dict[tuple[str, str], tuple[Attempt, asyncio.Future[None]]] = {}
        """Waits that an attempt's code awaits now."""
        self._soon: set[Attempt] = set()
        """Attempts that are looked at in the loop's next turn."""
        self._later: set[Attempt] = set()
        """Attempts that are looked at again after a while."""

    def begin(self) -> None:
        """Watch the waits that the journal has open."""
        state = self._run.state
        for step, waits in state.waits.items():
            pending = state.pending.get(step)  # None: a delivery that waits in its inbox again
            has_failed = step in state.dead or (pending is not None and (pending.is_stuck or pending.error is not None))
            if has_failed:
                continue  # nothing goes on with an answer, or its failure action has its turn
            for key, wait in waits.items():
                if wait.is_open:
                    self._watch(step, key, wait)

    def find(self, attempt: Attempt, kind: str, key: str, detail: bytes = b"") -> Wait | None:
        """The wait of this key that the step has in its journal. Raises WaitMismatch if it is another."""
        wait = self._run.state.waits.get(attempt.step, {}).get(key)
        if wait is not None and (wait.kind != kind or wait.detail != detail):
            was, now = (
                f"{a_kind} {text.decode()}".strip() for a_kind, text in ((wait.kind, wait.detail), (kind, detail))
            )
            message = (
                f"{named(attempt.node)}: wait {key!r} is in the journal as {was}, and the code now asks for {now}: "
                f"it was changed while the run was under way; give the new wait a key of its own"
            )
            raise WaitMismatch(message)
        return wait

    def open(self, attempt: Attempt, kind: str, key: str, detail: bytes = b"", wake_at: int | None = None) -> Wait:
        """The wait of this key: as the journal has it, or opened now. Raises WaitMismatch."""
        wait = self.find(attempt, kind, key, detail)
        if wait is None:
            told = msgspec.Raw(detail) if detail else msgspec.UNSET
            at = self._run.kernel.tick()
            review = review_id(self._run.state.run_id, attempt.step, key) if kind == REVIEW else ""
            wait = self.opened(
                events.WaitOpened(
                    at=at, step=attempt.step, key=key, kind=kind, detail=told, wake_at=wake_at, review=review
                )
            )
        return wait

    def opened(self, event: events.WaitOpened | events.ChildOpened, blobs: Sequence[codec.Blob] = ()) -> Wait:
        """Journal that a step waits for something."""
        self._run.record(event, blobs)
        wait = self._run.state.waits[event.step][event.key]
        self._watch(event.step, event.key, wait)
        if wait.review:
            self._run.kernel.log_review(self._run.state.run_id, event.step, wait)
        return wait

    def request(self, attempt: Attempt, key: str, channel: str, text: bytes, seconds: float | None) -> None:
        """Open a wait for a reply, and publish what asks for it; or find the one that an earlier attempt opened.

        Raises WaitMismatch, NoAgentsRegistered where nobody reads the channel, and what publishing raises.
        """
        detail = codec.encode(channel)
        if self.find(attempt, REQUEST, key, detail) is not None:
            return
        run, blobs = self._run, list[codec.Blob]()
        published = run.message(attempt.node, channel, text, blobs)
        if channel not in run.state.channels:
            message = f"{named(attempt.node)}: request: nobody reads channel {channel!r}, so nobody would reply"
            raise NoAgentsRegistered(message)
        at = run.kernel.tick()
        wake_at = None if seconds is None else at + round(seconds * 1000)
        self.opened(
            events.WaitOpened(
                at=at,
                step=attempt.step,
                key=key,
                kind=REQUEST,
                detail=msgspec.Raw(detail),
                wake_at=wake_at,
                messages=(published,),
            ),
            blobs,
        )
        run.mailed()

    async def answer_of(self, attempt: Attempt, key: str) -> Wait:
        """The wait, once it is answered: until then the attempt may rest."""
        wait = self._run.state.waits[attempt.step][key]
        if not wait.is_open:
            return wait
        loop = self._run.kernel.loop
        self._dismiss(attempt.step, key)  # code that an earlier attempt has left behind
        future: asyncio.Future[None] = loop.create_future()
        self._awaited[attempt.step, key] = awaited = attempt, future
        attempt.awaits[future] = asyncio.current_task()
        try:
            self._look_soon(attempt)  # by then its code has come to a stand
            await future
        except asyncio.CancelledError:
            await self._give_up(attempt)
            raise
        finally:
            if self._awaited.get((attempt.step, key)) is awaited:
                del self._awaited[attempt.step, key]
            del attempt.awaits[future]
            self._look_soon(attempt)  # it may await others
        return wait

    def answer(
        self,
        step: str,
        key: str,
        value: bytes = b"",
        blobs: list[codec.Blob] | None = None,
        *,
        who: str = "",
        order: str = "",
    ) -> None:
        """Journal the answer of an open wait; whoever waits for it goes on, under `sync` when that is on disk (I3)."""
        told = msgspec.Raw(value) if value else msgspec.UNSET
        at, wait = self._run.kernel.tick(), self._run.state.waits[step][key]
        self._forget(step, key, wait)
        answered = events.WaitAnswered(at=at, step=step, key=key, value=told, review=wait.review, who=who, order=order)
        self._run.record(answered, blobs or [])
        self._tell_when_durable(step, key, wait)

    def replied(self, message: Message) -> None:
        """A reply to a request has just been journalled: if it is the first, whoever waits for it goes on."""
        step, key = message.source, message.request
        wait = self._open[REQUEST].get((step, key))
        if wait is not None and not wait.is_open:
            self._forget(step, key, wait)
            self._tell_when_durable(step, key, wait)

    def _tell_when_durable(self, step: str, key: str, wait: Wait) -> None:
        kernel, underway = self._run.kernel, self._run.underway
        if wait.kind == MEMO or kernel.store.is_immediate or self._run.state.config.durability != "sync":
            self._tell(step, key)
            return
        underway.open += 1  # until then something of the run is under way

        def durable(future: asyncio.Future[None]) -> None:
            underway.open -= 1
            if future.exception() is None and not self._run.is_settled:
                self._tell(step, key)
                self._run.step_over()

        kernel.durable().add_done_callback(durable)

    def _tell(self, step: str, key: str) -> None:
        """Let whoever waits for an answered wait go on."""
        awaited = self._awaited.get((step, key))
        if awaited is None:
            self._run.underway.answered(step)
        else:
            self._run.underway.go_on(*awaited)

    def next_due(self) -> int | None:
        """When the next of the open waits answers itself, in milliseconds since 1970; None: none of them does."""
        first = self._due.first()
        return None if first is None else first[0]

    @property
    def has_open(self) -> bool:
        """Whether somebody else, or time, has to end any of them; a request may be for a step that is stuck to end."""
        is_stuck = self._run.state.stuck and self.next_due() is None
        return any(waits for kind, waits in self._open.items() if not (is_stuck and kind == REQUEST))

    def named(self) -> str:
        """What is waited for, in words."""
        kinds = [f"{len(waits)} {kind}{'' if len(waits) == 1 else 's'}" for kind, waits in self._open.items() if waits]
        told, reviews = ", ".join(kinds) + self._dead(), self._open[REVIEW]
        if not reviews:
            return told
        first, more = next(iter(reviews.values())), f" and {len(reviews) - 1} more" if len(reviews) > 1 else ""
        how = self._run.kernel.answering(first.review)
        return f"{told} (review {first.review}: {_question(first)!r:.{QUESTION_LENGTH}}{more}{how})"

    def _dead(self) -> str:
        """The dead letters that would reply if they were redelivered."""
        dead = self._run.state.dead_of
        if not dead:
            return ""
        found = [step for wait in self._open[REQUEST].values() for step in dead.get(f"{wait.seq}-1", ())]
        return f" (dead letter{'' if len(found) == 1 else 's'} {few(found)})" if found else ""

    def leave(self, step: str, *, is_stuck: bool = False) -> list[str]:
        """Forget the waits of a step that is about to end: its reviews are withdrawn. Gives its open child flows.

        One that is stuck keeps them, for when it is tried again.
        """
        flows = []
        for key, wait in list(self._run.state.waits.get(step, {}).items()):
            if not wait.is_open:
                continue
            self._dismiss(step, key)
            self._forget(step, key, wait)
            if wait.review and not is_stuck:
                self.withdraw(step, key)
            if wait.kind == CHILD and not is_stuck:
                flows.append(child_of(step, key))
        return flows

    def withdraw(self, step: str, key: str) -> None:
        """Journal that a review needs no answer any more; should its step come to it again, it is asked anew."""
        wait = self._run.state.waits[step][key]
        self._forget(step, key, wait)
        at, error = self._run.kernel.tick(), events.Error("StepError", "its step waits no longer")
        self._run.record(events.WaitAnswered(at=at, step=step, key=key, error=error, review=wait.review), [])

    def close(self) -> None:
        """Forget all of them, and end the code that awaits them."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._open.clear()
        for step, key in list(self._awaited):
            self._dismiss(step, key)

    def can_be_closed(self) -> bool:
        """Whether all code that awaits a wait does nothing else, and has set itself no time limit that it must keep."""
        attempts = {attempt for attempt, _ in self._awaited.values()}
        tasks = {task for attempt in attempts for task in (attempt.task, *attempt.awaits.values())}
        return all(is_at_rest(attempt.awaits, attempt.yielded) for attempt in attempts) and not has_time_limit(
            self._run.kernel.loop, tasks
        )

    async def _give_up(self, attempt: Attempt) -> None:
        """Code awaits a wait no longer, and has other things to do: it goes on when its attempt has slots again."""
        underway = self._run.underway
        if underway.stands_still(attempt) and not (attempt.is_over or attempt.cut_reason):
            slots: asyncio.Future[None] = self._run.kernel.loop.create_future()
            underway.go_on(attempt, slots)
            await slots

    def _dismiss(self, step: str, key: str) -> None:
        """End code that awaits a wait, where there is any: it will not be answered here."""
        if (awaited := self._awaited.pop((step, key), None)) is not None:
            awaited[1].cancel()

    def _watch(self, step: str, key: str, wait: Wait) -> None:
        if wait.kind not in _AT_WORK:
            self._open[wait.kind][step, key] = wait
        if wait.wake_at is not None:
            kernel = self._run.kernel
            seconds = (wait.wake_at - kernel.clock.now_ms()) / 1000
            timer = kernel.timers.after(seconds, lambda: self._due_now(step, key, wait))
            self._timers[step, key] = timer
            self._due.push(wait.wake_at, timer)

    def _due_now(self, step: str, key: str, wait: Wait) -> None:
        """Its time has come: it answers itself, or, a review, pauses the run where the config says so."""
        state = self._run.state
        self._timers.pop((step, key), None)
        if not wait.review or config_of(state, step).human_timeout_action == "autopilot":
            self.answer(step, key)
        elif wait.wake_at is not None and wait.wake_at > state.resumed_at:
            pause(self._run, f"review {wait.review} of {step!r} was not answered in time", review=wait.review)
        else:
            self._run.step_over()  # the run was resumed without an answer: it waits on, for as long as it takes

    def _forget(self, step: str, key: str, wait: Wait) -> None:
        self._open[wait.kind].pop((step, key), None)
        if (timer := self._timers.pop((step, key), None)) is not None:
            timer.cancel()

    def _look_soon(self, attempt: Attempt) -> None:
        """Look at an attempt once, however many of its waits open and end in this turn of the loop."""
        if attempt not in self._soon:
            self._soon.add(attempt)
            self._run.kernel.loop.call_soon(self._look_at, attempt)

    def _look_at(self, attempt: Attempt) -> None:
        """Let an attempt rest whose code waits for nothing but open waits; else look again later."""
        self._soon.discard(attempt)
        if attempt.is_over or self._run.underway.stands_still(attempt) or not attempt.awaits:
            return
        if is_at_rest(attempt.awaits, attempt.yielded):
            self._run.rest(attempt)
        elif attempt not in self._later:
            self._later.add(attempt)
            self._run.kernel.timers.after(LOOK_AGAIN_SECONDS, lambda: self._look_again_at(attempt))

    def _look_again_at(self, attempt: Attempt) -> None:
        self._later.discard(attempt)
        self._look_at(attempt)


def _question(wait: Wait) -> str:
    return msgspec.json.decode(wait.detail, type=Question).question
