"""What becomes of an attempt's code: a success with its effects, or an error as text."""

import msgspec
import pytest

from dagger.core.errors import (
    ActionNotRegistered,
    AttemptTimedOut,
    ChannelNotDeclared,
    InputInvalid,
    MessageInvalid,
    NoAgentsRegistered,
    NonRetryable,
    OutputInvalid,
    ProcessDied,
    RegistryError,
    ScopeFailed,
    StepError,
    WaitMismatch,
)
from dagger.core.events import Error
from dagger.core.graph import Node
from dagger.core.messages import Published
from dagger.engine.result import FailedThere, is_retryable, success, told
from dagger.spec.action import Action
from dagger.spec.agent import AgentAction


class Tried:
    step, node, number = "s/n", Node(id="n"), 2


class Run:
    agents_as_of = 0

    def message(self, node, channel, text, blobs):
        return Published(channel, msgspec.Raw(text))


def test_a_success_has_its_effects_and_large_values_beside_it():
    """But no times: they are the loop's to tell."""
    made = success(Run(), Tried(), Action(lambda: None), None, "x" * 100_000)

    assert (made.event.step, made.event.attempt, made.event.at) == ("s/n", 2, 0)
    assert [len(blob.content) for blob in made.blobs] == [100_002]


def test_what_an_agent_returns_is_published():
    """It is no output: nothing can refer to a delivery."""
    action = AgentAction(lambda: [1, "a"], name="worker", subscribe="tasks", publish="results")

    made = success(Run(), Tried(), action, None, [1, "a"])

    assert made.event.messages == (Published("results", msgspec.Raw(b'[1,"a"]')),)
    assert made.event.outputs == {}


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("k"), "KeyError: 'k'"),
        (Mute(), "Mute: its message cannot be told: str() raised RuntimeError"),
        (ValueError("lone \ud800"), "ValueError: lone \\ud800"),
        (FailedThere(Error("Odd", "only there"), is_retryable=True), "Odd: only there"),
    ],
    ids=range(4),
)
def test_any_exception_can_be_told(error, text):
    """Its class, and what it says."""
    assert str(told(error)) == text


@pytest.mark.parametrize(
    ("error", "may"),
    [
        *((kind("no"), False) for kind in (NonRetryable, InputInvalid, OutputInvalid, WaitMismatch, ScopeFailed)),
        (StepError("it uses its context as nobody can"), False),
        (ActionNotRegistered("no"), False),
        *((kind("no"), True) for kind in (ValueError, AttemptTimedOut, ProcessDied, SystemExit)),
        *((kind("no"), False) for kind in (RegistryError, MessageInvalid, ChannelNotDeclared, NoAgentsRegistered)),
        (FailedThere(Error("Odd", ""), is_retryable=False), False),
        (FailedThere(Error("Odd", ""), is_retryable=True), True),
    ],
    ids=range(17),
)
def test_what_would_be_the_same_again_is_not_retryable(error, may):
    """All else may go better."""
    assert is_retryable(error) is may
