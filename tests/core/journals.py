"""Events of small runs, for tests of what follows from them."""

import msgspec

from dagger.core import events
from dagger.core.fold import apply
from dagger.core.graph import Definition, Input, Node
from dagger.core.messages import AGENT, PAYLOAD, Agent, Published
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


def agent(name, *channels, on_failure="", **fields):
    own = Node(id=name, action=AGENT + name, inputs=(Input("payload", PAYLOAD),), on_failure=on_failure)
    return Agent(name=name, subscriptions=channels, node=own, **fields)


def messages(channel, *payloads, keys=()):
    """Messages as an event has them; `keys`: the readers that handle equal payloads in order."""
    texts = [msgspec.json.encode(payload) for payload in payloads]
    return tuple(Published(channel, msgspec.Raw(text), dict.fromkeys(keys, text.decode())) for text in texts)


def published(channel, *payloads, keys=(), at=2_000):
    """Somebody outside publishes; after the first event of a run, the first message is 2-1."""
    return events.MessagesPublished(at=at, messages=messages(channel, *payloads, keys=keys))
