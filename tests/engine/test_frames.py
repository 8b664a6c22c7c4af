"""Frames: what goes in at one end of the line comes out at the other."""

import socket
import threading

import msgspec
import pytest

from dagger.core.events import Emitted, StepSucceeded
from dagger.engine import frames


@pytest.fixture
def line():
    """Both ends: the child's, and the parent's."""
    child, parent = socket.socketpair()
    ends = frames.Link(child, frames.FromParent), frames.Link(parent, frames.FromChild)
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    "frame",
    [
        frames.Recall("k"),
        frames.Sections(),
        frames.Tell(Emitted(at=1, step="n", value=msgspec.Raw(b'{"a": 1}'))),
        frames.AttemptResult(StepSucceeded(at=0, step="n"), [("hash", msgspec.Raw(b'"content"'))]),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_frame_arrives_as_it_was_sent(line, frame):
    """Values in it are text all the way."""
    child, parent = line
    child.send(frame)
    assert parent.receive() == frame


def test_a_frame_may_be_larger_than_what_the_line_holds(line):
    """Twenty megabytes, taken in by a thread."""
    child, parent = line
    answer = frames.Answer(msgspec.Raw(b'"%b"' % (b"x" * 20_000_000)))
    sender = threading.Thread(target=parent.send, args=(answer,))
    sender.start()
    assert child.receive() == answer
    sender.join()


def test_the_end_of_the_line_is_told(line):
    """Before a frame, or in the middle of one."""
    child, parent = line
    parent.finish()
    with pytest.raises(EOFError):
        child.receive()


def test_a_torn_frame_is_the_end_of_the_line():
    """Its sender died while it sent it."""
    child, parent = socket.socketpair()
    link = frames.Link(child, frames.FromParent)
    parent.sendall((100).to_bytes(8, "big") + b'{"type":')
    parent.close()
    with pytest.raises(EOFError):
        link.receive()
    link.close()
