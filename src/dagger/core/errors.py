"""The error tree, drawn; every message says what, where, with which value, and what to do.

DaggerError
├── GraphError                 a graph that cannot be: `problems` lists every one of them
│   ├── CycleError             nodes that wait for each other; the message spells them out
│   ├── DependencyNotFound     a dependency on a node that is not there
│   ├── ActionNotRegistered    an action that this application does not have
│   ├── NodeAlreadyExists      two nodes of one id
│   └── InvalidReference       an input that refers to what is not there
├── ConfigError                a run setting of the wrong type or out of its range
├── RegistryError              a name registered twice
├── MessageInvalid             a payload that is not JSON, or not what an agent's schema says: never retried
├── ChannelNotDeclared         an agent published to a channel that it does not declare: never retried
├── NoAgentsRegistered         nobody reads the channel that a run begins with, or where a reply is awaited
├── RequestTimedOut            nobody replied to a request in time
├── RunError
│   ├── RunNotFound            no such run in this store
│   ├── RunExists              the run id is taken by a run of another spec, graph or inputs
│   ├── RunLeased              the run is owned by another living process
│   ├── InvalidState           the order does not fit the run's status
│   ├── RunCancelled           the run was cancelled
│   ├── RunTimedOut            the run used up its `timeout_seconds`
│   ├── MessageLimitReached    the run published more than its `max_messages`
│   ├── TokenLimitReached      the run spent its `max_tokens`
│   └── IterationLimitReached  its supervisors had their `max_iterations` turns
├── StepError                  code uses its context as nobody can: never retried
│   ├── InputInvalid           an input is missing or of the wrong type: never retried
│   ├── OutputInvalid          a result that is not JSON, or not what the node declares: never retried
│   ├── AttemptTimedOut        an attempt used up its timeout
│   ├── AttemptOver            a context was used after its attempt had ended
│   ├── WaitMismatch           a wait is another than the journal's: the code has changed; never retried
│   ├── ScopeFailed            steps of a child flow failed
│   └── ProcessDied            the process that ran an action is gone
├── ReviewError
│   ├── ReviewNotFound         there is no such review
│   ├── ReviewAnswered         it was answered before, or nobody waits for it any more
│   └── AnswerInvalid          the answer is none of its options, or no JSON
├── DrawingFailed              no Graphviz to draw an SVG with, or it failed
├── NonRetryable               raised by users' actions: fail the step now
└── StoreError                 the disk or the file
    ├── StoreCorrupt           not a store, or damaged
    ├── StoreFull              no space left
    ├── StoreVersionMismatch   written by a newer Dagger
    ├── LeaseLost              another process took the run over
    └── OrdersUnread           the run cannot end yet: an order came in at the same moment
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar

import msgspec


class DaggerError(Exception):
    """Whatever Dagger itself raises."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a graph."""

    message: str
    """What is wrong, with the offending name or value and the nearest valid one."""
    kind: str = "GraphError"
    """The name of the GraphError class that fits."""
    file: str | None = None
    line: int | None = None
    """Starts at 1."""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{where}: {self.message}" if where else self.message


class GraphError(DaggerError):
    """A graph cannot be used; `problems` lists everything that is wrong with it, in file order."""

    kinds: ClassVar[dict[str, type[GraphError]]] = {}

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (Problem(message, type(self).__name__),)

    def __init_subclass__(cls) -> None:
        GraphError.kinds[cls.__name__] = cls

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> GraphError:
        """The one error that tells all of `problems`: of their common class, else a plain GraphError."""
        kinds = {problem.kind for problem in problems}
        kind = cls.kinds.get(kinds.pop(), GraphError) if len(kinds) == 1 else GraphError
        head = f"{len(problems)} problems:\n" if len(problems) > 1 else ""
        return kind(head + "\n".join(str(problem) for problem in problems), problems)


class CycleError(GraphError):
    """Nodes wait for each other in a circle; the message spells it out."""


class DependencyNotFound(GraphError):
    """A node depends on a node that is not there."""


class ActionNotRegistered(GraphError):
    """A node calls an action that this application does not have."""


class NodeAlreadyExists(GraphError):
    """Two nodes have the same id."""


class InvalidReference(GraphError):
    """An input refers to a node, an output or a run input that is not there."""


class ConfigError(DaggerError):
    """A run setting has the wrong type or is out of its range."""


class RegistryError(DaggerError):
    """A name was registered twice."""


class RunError(DaggerError):
    """A run cannot do what was asked."""


class RunNotFound(RunError):
    """The store has no run of this id."""


class RunExists(RunError):
    """The run id is taken by a run with another spec, graph or inputs."""


class RunLeased(RunError):
    """Another living process owns the run."""


class InvalidState(RunError):
    """The order does not fit the run's status: it is over, or not paused, or already running."""


class RunCancelled(RunError):
    """The run was cancelled."""


class RunTimedOut(RunError):
    """The run used up its `timeout_seconds` of active time."""


class MessageLimitReached(RunError):
    """More messages were published than `max_messages`."""


class TokenLimitReached(RunError):
    """The run spent its `max_tokens`."""


class IterationLimitReached(RunError):
    """The run's supervisors had their `max_iterations` turns."""


class StepError(DaggerError):
    """A step cannot do what was asked."""


class InputInvalid(StepError):
    """An input is missing or has the wrong type. Never retried: it would be the same again."""


class OutputInvalid(StepError):
    """A result is not JSON, or not what the node declares. Never retried."""


class AttemptTimedOut(StepError):
    """The attempt used up its timeout, or the run's remaining time."""


class AttemptOver(StepError):
    """A context was used after its attempt had ended: what it collected would be lost."""


class WaitMismatch(StepError):
    """A wait under this key is in the journal with another kind or question. Never retried: the code has changed."""


class ScopeFailed(StepError):
    """Steps of a child flow finally failed, so the node that began it fails."""


class ProcessDied(StepError):
    """The process that ran an action exited, crashed or was killed: that attempt failed."""


class MessageInvalid(DaggerError):
    """A payload is not what its publisher or a reader of its channel says it is: it is not published."""


class ChannelNotDeclared(DaggerError):
    """An agent publishes to a channel that it does not declare."""


class NoAgentsRegistered(DaggerError):
    """Nobody reads the channel that a run begins with, or that a reply is awaited from."""


class RequestTimedOut(DaggerError):
    """Nobody replied to a request in time."""


class ReviewError(DaggerError):
    """A review cannot be answered so."""


class ReviewNotFound(ReviewError):
    """There is no review of this id."""


class ReviewAnswered(ReviewError):
    """The review was answered before, or nobody waits for its answer any more."""


class AnswerInvalid(ReviewError):
    """The answer is none of the review's options, or no JSON value."""


class NonRetryable(DaggerError):
    """Raise it in an action to fail the step at once, however many tries are left."""


class DrawingFailed(DaggerError):
    """No Graphviz is at hand, or it did not draw; DOT and Mermaid text need none."""


class StoreError(DaggerError):
    """The store cannot do what was asked: the disk, the file, its permissions."""


class StoreCorrupt(StoreError):
    """The file is not a Dagger store, or it is damaged."""


class StoreFull(StoreError):
    """No space is left for the store."""


class StoreVersionMismatch(StoreError):
    """The store was written by a newer version of Dagger."""


class LeaseLost(StoreError):
    """Another process took the run over: this one can write nothing more to it."""


class OrdersUnread(StoreError):
    """The run cannot end yet: an order came in at the same moment, and nothing of it may be lost."""


MAX_HINTED_LENGTH = 100
"""Characters: nobody mistypes a longer name, and comparing two texts costs the product of their lengths."""
MAX_LISTED = 30
"""Names that a message lists: all keys of a node, not all of a large application's actions."""


class IllegalEvent(AssertionError):
    """An event that cannot follow the ones before it. A bug in Dagger or a damaged journal: please report it."""


def nearest(name: str, valid: Iterable[str], *, label: str = "did you mean") -> str:
    """`; did you mean 'fetch'?` for the valid name most like `name`, or nothing where none is like it."""
    if len(name) > MAX_HINTED_LENGTH:
        return ""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.6)
    return f"; {label} {close[0]!r}?" if close else ""


class Hints:
    """`nearest` for a whole file: once `comparisons` names were compared, further problems go without.

    A comparison costs some 10 microseconds: ten thousand misspelt names must not cost minutes.
    """

    def __init__(self, comparisons: int = 50_000) -> None:
        self._left = comparisons

    def nearest(self, name: str, valid: Collection[str], *, otherwise: str = "") -> str:
        """As `nearest`; where there is none, `; {otherwise}: ` and the valid names, if they are few."""
        if self._left <= 0:
            return ""
        self._left -= len(valid)
        near = nearest(name, valid)
        if not near and otherwise and len(valid) <= MAX_LISTED:
            near = f"; {otherwise}: {', '.join(valid) or 'none':.500}"
        return near
