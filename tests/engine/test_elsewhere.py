"""Code that runs elsewhere: what a process is sent, and what its questions come to."""

import asyncio
import contextvars
import sys

import msgspec
import pytest

from dagger import action
from dagger.core.cache import Appended
from dagger.core.errors import WaitMismatch
from dagger.core.events import Error, Progressed, Spec, StepSucceeded
from dagger.core.graph import Input, Node
from dagger.core.state import Ended, Scope, State
from dagger.engine import frames
from dagger.engine.elsewhere import attempt_input, in_process, in_thread
from dagger.engine.result import FailedThere
from dagger.spec.action import Action, action_of


@action(runs_in="process")
def act(x: int, y: int = 0) -> int:
    return x + y


class Run:
    """A run whose first step gave a value, and whose second failed."""

    agents_as_of = 0

    def __init__(self):
        self.state = State(
            run_id="r",
            spec=Spec("static", "g"),
            succeeded={"sub/a": 1},
            unsuccessful={"sub/b": Ended("failed", "no"), "sub/z": Ended("failed", "no")},
            scopes={"sub": Scope(graph="inner", items=b"[1,2,3]")},
            sections={"sub/a": {"v": b"41"}, "global": {"list": Appended(b"[1]", [b"2"]), "k": b'"v"'}},
        )
        self.load = {"hash": b"[true]"}.__getitem__


class Attempt:
    """An attempt of the step `sub/n`, which keeps what it is told."""

    step, number, ctx, context = "sub/n", 2, None, contextvars.copy_context()
    is_over = False
    node = Node(id="n", dependencies=("a", "b"), inputs=(Input("x", "a.v"), Input("y", "b.v")))

    def __init__(self):
        self.told = []

    def deadline_ms(self):
        return 1000

    def now_ms(self):
        return 7

    def spend(self, count):
        self.told.append(count)

    def tell(self, event):
        self.told.append(event)

    async def began(self):
        return 2000

    async def recall(self, key):
        if key == "other":
            raise WaitMismatch("it was a sleep")
        return b"null" if key == "known" else None

    async def memorise(self, key, text):
        self.told.append((key, text))

    def ask(self, question):
        return asyncio.run(question)


class Process:
    """One that says these things, and then ends so."""

    def __init__(self, said=(), result=None):
        self.said, self.result, self.heard = said, result or frames.AttemptResult(StepSucceeded(at=0, step="n")), []

    def attempt(self, given, reply):
        self.heard = [reply(frame) for frame in self.said]
        return self.result


def heard(*said, attempt=None):
    run, process = Run(), Process(said)
    in_process(run, attempt or Attempt(), None, process)()
    return process.heard


def test_what_an_attempt_needs_goes_with_it():
    """Values beside the references, the outcomes of its dependencies, its scopes without their lists."""
    given = attempt_input(Run(), Attempt(), action_of(act))

    assert given.address == f"{__name__}:act"
    assert given.node.inputs == (Input("x", "a.v", msgspec.Raw(b"41")), Input("y", "b.v"))
    assert given.unsuccessful == {"sub/b": Ended("failed", "no")}
    assert given.scopes == {"sub": Scope()}
    assert (given.run_id, given.graph, given.step, given.number, given.deadline_ms) == ("r", "g", "sub/n", 2, 1000)
    assert (given.sys_path, given.main) == ([str(folder) for folder in sys.path], {})
    assert msgspec.json.decode(msgspec.json.encode(given), type=frames.AttemptInput) == given


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (frames.Began(), b"2000"),
        (frames.Recall("known"), b'{"text":null}'),
        (frames.Recall("new"), b"null"),
        (frames.HasSection("global"), b"true"),
        (frames.HasSection("nowhere"), b"false"),
        (frames.Sections(), b'["sub/a","global"]'),
        (frames.Keys("global"), b'["list","k"]'),
        (frames.Keys("nowhere"), b"[]"),
        (frames.Read("global", "k"), b'{"text":"v"}'),
        (frames.Read("global", "none"), b"null"),
        (frames.Read("nowhere", "k"), b"null"),
        (frames.Read("global", "list"), b'{"text":{"$blob":"global\\nlist","size":1},"is_appended":true}'),
        (frames.Load("global\nlist"), b"[1,2]"),
        (frames.Load("hash"), b"[true]"),
    ],
    ids=repr,
)
def test_a_question_is_answered(question, answer):
    """From the run as it is now."""
    (got,) = heard(question)
    assert got == frames.Answer(msgspec.Raw(answer))


def test_what_goes_wrong_is_the_answer():
    """The process raises it where it was asked."""
    (mismatch,) = heard(frames.Recall("other"))
    assert str(mismatch.error) == "WaitMismatch: it was a sleep"


def test_what_is_told_needs_no_answer():
    """It is passed on, with the time of this process's clock."""
    attempt = Attempt()
    progressed = Progressed(at=0, step="n", fraction=0.5)
    assert heard(frames.Spend(3), frames.Tell(progressed), attempt=attempt) == [None, None]
    assert attempt.told == [3, Progressed(at=7, step="n", fraction=0.5)]


def test_a_memo_is_kept():
    """As the text that came."""
    attempt = Attempt()
    heard(frames.Memorise("k", msgspec.Raw(b"[1]")), attempt=attempt)
    assert attempt.told == [("k", b"[1]")]


def test_a_result_is_a_success_or_raised():
    """With its blobs, or with the texts of its error."""
    made = frames.AttemptResult(StepSucceeded(at=0, step="n"), [("hash", msgspec.Raw(b"[1]"))])
    assert in_process(Run(), Attempt(), None, Process(result=made))() == (made.success, [("hash", b"[1]")], 0)

    failed = frames.AttemptResult(error=Error("Odd", "there"), is_retryable=False)
    with pytest.raises(FailedThere) as caught:
        in_process(Run(), Attempt(), None, Process(result=failed))()
    assert (caught.value.error, caught.value.is_retryable) == (failed.error, False)


def test_what_a_thread_made_that_was_given_up_is_not_looked_at():
    """Whatever it is: nobody waits for it any more."""
    attempt = Attempt()
    attempt.is_over = True
    with pytest.raises(asyncio.CancelledError):
        in_thread(Run(), attempt, Action(lambda x: {x, object()}))()


def test_a_thread_gets_what_is_bound():
    """And its result becomes text in the thread."""
    work = in_thread(Run(), Attempt(), Action(lambda x: x + 1))
    assert work().event.outputs == {"output": msgspec.Raw(b"42")}
