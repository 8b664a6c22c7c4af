"""The parent as a process sees it: questions in turn, and an end when it is gone."""

import socket
import threading

import msgspec
import pytest

from dagger.core.errors import StepError, WaitMismatch
from dagger.core.events import Error
from dagger.engine import frames
from dagger.engine.parent import Parent


@pytest.fixture
def line():
    """The parent as the process knows it, and the parent's own end."""
    ours, theirs = socket.socketpair()
    link, end = frames.Link(ours, frames.FromParent), frames.Link(theirs, frames.FromChild)
    parent = Parent(link)
    listener = threading.Thread(target=parent.listen)
    listener.start()
    yield parent, end
    end.finish()
    listener.join(10)
    link.close()
    end.close()


def test_threads_get_the_answers_to_their_own_questions(line):
    """However many ask at once."""
    parent, end = line
    got = {}
    asked = [
        threading.Thread(target=lambda key=key: got.update({key: parent.ask(frames.Keys(key), list[str])}))
        for key in "abcdefgh"
    ]
    for thread in asked:
        thread.start()
    for _ in asked:
        end.send(frames.Answer(msgspec.Raw(b'["%b"]' % end.receive().section.encode())))
    for thread in asked:
        thread.join()
    assert got == {key: [key] for key in "abcdefgh"}


@pytest.mark.parametrize(
    ("type_", "raised"),
    [("WaitMismatch", WaitMismatch("changed")), ("ValueError", StepError("ValueError: changed"))],
)
def test_an_error_of_the_answer_is_raised_where_it_was_asked(line, type_, raised):
    """Dagger's own as what they are."""
    parent, end = line
    end.send(frames.Answer(error=Error(type_, "changed")))
    with pytest.raises(type(raised)) as caught:
        parent.ask(frames.Recall("k"), object)
    assert str(caught.value) == str(raised)


def test_an_idle_process_is_told_that_nothing_more_comes(line):
    """The parent has let it end, or is gone."""
    parent, end = line
    end.finish()
    assert parent.next() is None
