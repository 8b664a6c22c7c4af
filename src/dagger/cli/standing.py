"""Where a run stands, beside its report: what it waits for, which instructions and messages could not be worked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from dagger.cli.output import count, short
from dagger.cli.progress import Progress
from dagger.cli.summary import command
from dagger.core.events import RunStarted
from dagger.core.iterate import INSTRUCTION
from dagger.core.journal import Store
from dagger.core.reviews import Review
from dagger.core.state import TERMINAL
from dagger.letters import DeadLetter
from dagger.run import Run
from dagger.views.report import Report
from dagger.views.texts import cut

LETTERS_SHOWN = 5
LINE_CHARACTERS = 500
_INVALID = "invalid_"
"""What the keys of `global` begin with under which a supervisor keeps the instructions that it cannot work."""


class Standing(NamedTuple):
    """What is told of a run that is in nobody's report."""

    run_id: str
    reason: str
    reviews: Sequence[Review]
    invalid: Sequence[Mapping[str, Any]]
    """The instructions that could not be worked: `instruction` and `error` of each."""
    awaits_instruction: bool
    dead: Sequence[DeadLetter] = ()
    is_over: bool = False

    def to_dict(self, store: str) -> dict[str, Any]:
        """As JSON values, to stand with those of the report."""
        return {
            "reason": self.reason,
            "reviews": [described(review, store) for review in self.reviews],
            "invalid_instructions": list(self.invalid),
            "dead_letters": [lettered(letter, self.run_id, store, is_over=self.is_over) for letter in self.dead],
        }

    def skipped(self) -> Iterator[str]:
        """A line for each instruction that could not be worked."""
        for each in self.invalid:
            yield f"skipped:  the instruction {short(each['instruction'])}: {each['error']}"

    def undelivered(self, store: str) -> Iterator[str]:
        """A line for each of the first dead letters, and the command that redelivers it, if it still can be."""
        for letter in self.dead[:LETTERS_SHOWN]:
            attempts = count(len(letter.errors), "attempt")
            said = " ".join(letter.errors[-1].split())
            line = f"dead:    message {letter.message_id} at {letter.agent} after {attempts}: {said}"
            yield cut(line, LINE_CHARACTERS)
            if not self.is_over and store != "memory:":
                yield f"again:   {redelivery(letter, self.run_id, store)}"
        if (more := len(self.dead) - LETTERS_SHOWN) > 0:
            yield f"and {count(more, 'more dead letter')}: {command('dead-letters', self.run_id, store)}"


async def standing_of(run: Run, store: Store, report: Report) -> Standing:
    """Where the run stands now, beside its report.

    The journal is read only for an agent's run, one that waits, and one in which agents failed to handle messages.
    """
    began = start_of(run, store)
    awaits = run.status == "waiting" and INSTRUCTION in Progress.of(store.read(run.id)).waits_for
    invalid = _invalid(run) if began.spec.mode == "agent" else []
    dead = await run.dead_letters() if any(counts["failed"] for counts in report.agents.values()) else []
    return Standing(run.id, run.reason, await run.reviews(), invalid, awaits, dead, run.status in TERMINAL)


def start_of(run: Run, store: Store) -> RunStarted:
    """The event that the run's journal begins with."""
    (first,) = store.read(run.id, 0, 1)
    assert isinstance(first.event, RunStarted), "every journal begins so"
    return first.event


def described(review: Review, store: str) -> dict[str, Any]:
    """A review as JSON values, with the command that answers it."""
    words = ("id", "run_id", "step", "question", "options", "opened_at", "due_at")
    return {
        **{word: getattr(review, word) for word in words},
        "command": command("answer", review.id, store, "VALUE"),
    }


def lettered(letter: DeadLetter, run_id: str, store: str, *, is_over: bool) -> dict[str, Any]:
    """A dead letter as JSON values, with the command that redelivers it; None where the run is over."""
    again = None if is_over else redelivery(letter, run_id, store)
    return {"run_id": run_id, **msgspec.structs.asdict(letter), "command": again}


def redelivery(letter: DeadLetter, run_id: str, store: str) -> str:
    """The command that has a dead letter delivered anew."""
    return command("redeliver", run_id, store, letter.message_id, "--agent", letter.agent)


def _invalid(run: Run) -> list[Mapping[str, Any]]:
    cache = run.cache
    kept = [cache.get("global", key) for key in cache.keys("global") if key.startswith(_INVALID)]
    return [each for each in kept if isinstance(each, dict) and each.keys() == {"instruction", "error"}]
