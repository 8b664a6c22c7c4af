"""Events of small runs, for tests of what follows from them."""

from dagger.core import events
from dagger.core.fold import apply
from dagger.core.graph import Definition, Node
from dagger.core.state import State

ERROR = events.Error("ValueError", "no")


def node(node_id, *dependencies, **fields):
    return Node(id=node_id, action="a", dependencies=dependencies, **fields)


def started(*nodes, **fields):
    return events.RunStarted(
        at=1_000, run_id="r", spec=events.Spec("static", "g"), graph=Definition(name="g", nodes=nodes), **fields
    )


def begun(*nodes, **fields):
    state = State()
    return state, apply(state, started(*nodes, **fields))


def succeeded(step, at=2_000, **fields):
    return events.StepSucceeded(at=at, step=step, **fields)


def failed(step, policy, at=2_000, attempt=1):
    return events.StepFailed(at=at, step=step, attempt=attempt, error=ERROR, policy=policy)
