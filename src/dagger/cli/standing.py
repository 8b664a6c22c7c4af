"""Where a run stands, beside its report: what it waits for, and which instructions could not be worked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dagger.cli.output import short
from dagger.cli.progress import Progress
from dagger.cli.summary import command
from dagger.core.events import RunStarted
from dagger.core.iterate import INSTRUCTION
from dagger.core.journal import Store
from dagger.core.reviews import Review
from dagger.run import Run

_INVALID = "invalid_"
"""What the keys of `global` begin with under which a supervisor keeps the instructions that it cannot work."""


class Standing(NamedTuple):
    """What is told of a run that is in nobody's report."""

    reason: str
    reviews: Sequence[Review]
    invalid: Sequence[Mapping[str, Any]]
    """The instructions that could not be worked: `instruction` and `error` of each."""
    awaits_instruction: bool

    def to_dict(self, store: str) -> dict[str, Any]:
        """As JSON values, to stand with those of the report."""
        return {
            "reason": self.reason,
            "reviews": [described(review, store) for review in self.reviews],
            "invalid_instructions": list(self.invalid),
        }

    def skipped(self) -> Iterator[str]:
        """A line for each instruction that could not be worked."""
        for each in self.invalid:
            yield f"skipped:  the instruction {short(each['instruction'])}: {each['error']}"


async def standing_of(run: Run, store: Store) -> Standing:
    """Where the run stands now. Only an agent's journal is read for it, and that of a run that waits."""
    began = start_of(run, store)
    awaits = run.status == "waiting" and INSTRUCTION in Progress.of(store.read(run.id)).waits_for
    invalid = _invalid(run) if began.spec.mode == "agent" else []
    return Standing(run.reason, await run.reviews(), invalid, awaits)


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


def _invalid(run: Run) -> list[Mapping[str, Any]]:
    cache = run.cache
    kept = [cache.get("global", key) for key in cache.keys("global") if key.startswith(_INVALID)]
    return [each for each in kept if isinstance(each, dict) and each.keys() == {"instruction", "error"}]
