"""What a run came to, in a few lines: how it ended, what it gave, and the command that goes on."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from dagger.cli.loading import absolute
from dagger.cli.output import count, question, short
from dagger.core.config import RunConfig
from dagger.core.graph import Definition
from dagger.core.messages import agent_of
from dagger.core.reviews import Review
from dagger.views.report import Report
from dagger.views.texts import cut, lasted_text

OUTPUTS_SHOWN = 20
ERRORS_SHOWN = 3
REVIEWS_SHOWN = 5
ERROR_CHARACTERS = 500
RESTING = frozenset(("paused", "waiting"))
_TIMEOUT_MAXIMUM = 86400


def headline(report: Report) -> str:
    """`run 0198 succeeded after 1.3 s: 4 steps`, or how many steps ended in which way; and what agents did."""
    counts = Counter(outcome.status for outcome in report.node_outcomes if not agent_of(outcome.node_id))
    steps = ", ".join(f"{number:,} {status}" for status, number in counts.items())
    if list(counts) == ["succeeded"]:
        steps = count(counts["succeeded"], "step")
    steps = ", ".join(filter(None, (steps, mail(report)))) or "no step ended"
    tokens = f", {report.tokens:,} tokens" if report.tokens else ""
    verb = {"paused": "is paused", "cancelled": "was cancelled", "waiting": "waits"}.get(report.status, report.status)
    took = lasted_text(round(report.lasted * 1000), round(report.duration * 1000))
    return f"run {report.run_id} {verb} after {took}: {steps}{tokens}"


def mail(report: Report) -> str:
    """`20,000 messages (19,999 handled, 1 failed)`: how many were published, and what agents did; empty: none were.

    A message counts there for each agent that reads it.
    """
    if not report.messages:
        return ""
    counts: Counter[str] = Counter()
    for agent in report.agents.values():
        counts.update(agent)
    told = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number)
    return count(report.messages, "message") + (f" ({told})" if told else "")


def outputs(report: Report, graph: Definition, store: str) -> Iterator[str]:
    """What the run gave: its result, else the outputs of the nodes that no other node needs.

    Of a run that is paused or waits only how many there are: whoever resumes it again and again has seen them.
    """
    if report.result is not None:
        yield f"result = {short(report.result)}"
        return
    is_over = report.status not in RESTING
    needed = {dependency for node in graph.nodes for dependency in node.dependencies}
    lines = [
        f"{node}.{name} = {short(value)}"
        for node, values in report.outputs.items()
        if node not in needed
        for name, value in values.items()
    ]
    shown = lines[:OUTPUTS_SHOWN] if is_over else []
    yield from shown
    if left := len(lines) - len(shown):
        more = f"… and {left:,} more" if is_over else f"{count(left, 'output')} so far"
        yield more if store == "memory:" else f"{more}: {command('show', report.run_id, store)} --json"


def trouble(
    report: Report,
    reason: str,
    store: str,
    reviews: Sequence[Review] = (),
    *,
    app: str = "",
    awaits_instruction: bool = False,
    told: Collection[str] = (),
) -> Iterator[str]:
    """Why the run did not succeed, what it asks, and what to type next.

    `app`: where its application is now; `told`: steps whose errors are told already.
    """
    if report.status == "succeeded":
        return
    errors = [line for line in (report.error or "").splitlines() if line.partition(": ")[0] not in told]
    is_resting = report.status in RESTING
    if is_resting and reason and not (report.status == "waiting" and reviews):  # which say as much
        yield f"  {reason}"
    for line in errors[:ERRORS_SHOWN]:
        yield f"  {cut(line, ERROR_CHARACTERS)}"
    if errors[ERRORS_SHOWN:]:
        yield f"  and {count(len(errors) - ERRORS_SHOWN, 'more line')}"
    if store == "memory:":
        yield "  it was kept in memory only: name a file with --store, so that a run can be looked at and resumed"
    elif is_resting and (reviews or awaits_instruction):
        for line in questions(reviews, store):
            yield f"  {line}"
        if awaits_instruction:
            yield f"  go on:   {instruction(report.run_id, store)}"
    elif is_resting:
        yield f"  go on:   {resumption(report.run_id, store, app)}{_raised(reason)}"
    else:
        yield f"  details: {command('show', report.run_id, store)}"


def resumption(run_id: str, store: str, app: str = "") -> str:
    """The command that resumes a run; `app`: where its application is, if the journal does not say it."""
    return command("resume", run_id, store) + (f" --app {shlex.quote(app)}" if app else "")


def instruction(run_id: str, store: str) -> str:
    """The command that gives a supervisor an instruction."""
    return command("instruct", run_id, store, "ACTION", "-i", "KEY=VALUE")


def publication(run_id: str, store: str) -> str:
    """The command that publishes a message to a run."""
    return shlex.join(["dagger", "publish", "--run", run_id, "CHANNEL", "MESSAGE", "--store", absolute(store)])


def questions(reviews: Sequence[Review], store: str) -> Iterator[str]:
    """What is asked, oldest first, and the commands that answer."""
    for review in reviews[:REVIEWS_SHOWN]:
        asked = " ".join(question(review.question, review.options).split())
        yield f"asks:    {cut(asked, ERROR_CHARACTERS)} ({review.step})"
        yield f"answer:  {command('answer', review.id, store, 'VALUE')}"
    if (more := len(reviews) - REVIEWS_SHOWN) > 0:
        yield f"and {count(more, 'more review')}: {command('reviews', reviews[0].run_id, store)}"


def command(word: str, id: str, store: str, *more: str) -> str:
    """A command about a run or a review, to be pasted into any shell in any folder."""
    return shlex.join(["dagger", word, id, *more, "--store", absolute(store)])


def _raised(reason: str) -> str:
    """The option that doubles the limit that the run has used up: without it, it would pause again at once."""
    name, _, rest = reason.partition(" of ")
    value = rest.partition(" ")[0]
    if name not in RunConfig.__dataclass_fields__ or not value.replace(".", "").isdigit():
        return ""
    doubled = 2 * float(value)
    if name == "timeout_seconds" and doubled > _TIMEOUT_MAXIMUM:
        return f" --config {name}=null"
    return f" --config {name}={doubled:g}"
