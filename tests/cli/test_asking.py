"""dagger.cli.asking: the prompt, at a real terminal."""

import signal

import pytest
from msgspec.structs import replace
from tests.cli.shell import wait_for

from dagger.cli.asking import asked
from dagger.core.reviews import Review

ASK = ("run", "asking", "--app", "asks.py", "--run-id", "mine")
PROMPT = "\n> "


def shown(terminal):
    """Lines, without what only moves the cursor."""
    return terminal.read(PROMPT).replace("\r", "").splitlines()


def test_a_question_is_asked_where_the_run_was_started(terminal):
    """With its options, numbered; the number or the text will do."""
    running = terminal(*ASK, "--quiet")

    assert shown(running)[-4:] == ["choose asks: Which one?", "  1  red", "  2  green", "> "]
    running.type("2\n")

    done = running.finish()
    assert (done.code, done.out) == (0, 'choose.output = "green"\n')


def test_where_a_number_would_be_ambiguous_none_is_offered():
    """That is said; what is no text is shown as JSON."""
    review = Review(
        id="r", run_id="mine", step="a", key="k", question="How many?", options=[2, 1, None, True], opened_ms=0
    )
    say_so = "type the answer itself: a number is no place in this list"

    assert asked(review) == ["a asks: How many?", "  2", "  1", "  null", "  true", say_so]
    numbered = replace(review, options=[False, None, "a"])
    assert asked(numbered) == ["a asks: How many?", "  1  false", "  2  null", "  3  a"]


def test_an_answer_that_will_not_do_is_told_and_asked_again(terminal):
    """An empty line is nobody's answer."""
    running = terminal(*ASK, "--quiet")
    running.read(PROMPT)
    running.type("\n")
    running.read(PROMPT)
    running.type("blue\n")

    assert '"blue" is none of the options; choose one of "red", "green"' in running.read(PROMPT)
    running.type("red\n")
    assert running.finish().out == 'choose.output = "red"\n'


def test_the_picture_makes_room_for_the_prompt_and_comes_back(terminal):
    """Who answered stays as a line."""
    running = terminal(*ASK)
    running.read("choose asks: Which one?")
    running.read(PROMPT)
    running.type("red\n")

    done = running.finish()
    assert 'answered   choose: "red" by ' in done.err
    assert "run mine succeeded after" in done.err


def test_ctrl_d_leaves_the_question_open(terminal, shell):
    """The command that answers it is printed, and the run waits for it without a process."""
    running = terminal(*ASK, "--quiet")
    running.read(PROMPT)
    running.type("\x04")

    done = running.finish()
    assert done.code == 3
    assert "asks:    Which one? [red, green] (choose)" in done.err
    assert shell("runs", "--json").json[0]["status"] == "waiting"


def test_ctrl_c_at_the_prompt_cancels_the_run(terminal, shell):
    """As it does at any other time."""
    running = terminal(*ASK, "--quiet")
    running.read(PROMPT)
    running.process.send_signal(signal.SIGINT)

    assert running.finish().code == 130
    assert shell("runs", "--json").json[0]["status"] == "cancelled"


def test_who_is_faster_elsewhere_answers(terminal, shell):
    """The prompt is closed, and the run goes on."""
    running = terminal(*ASK)
    running.read(PROMPT)
    (review,) = shell("reviews", "--json").json
    shell("answer", review["id"], "green", "--who", "ann")

    done = running.finish()
    assert (done.code, done.out) == (0, 'choose.output = "green"\n')
    assert 'answered   choose: "green" by ann' in done.err


@pytest.mark.parametrize(("typed", "code"), [("1\n", 0), ("stop\n", 1), ("\x04", 3)])
def test_a_limit_that_pauses_the_run_is_asked_about_right_there(terminal, typed, code):
    """To continue goes on here, to stop ends the run, to say nothing leaves it paused."""
    running = terminal("agent", "tea", "--supervisor", "plan", "--app", "asks.py", "--config", "max_iterations=2")
    assert "supervisor_3 asks: max_iterations of 2 used up." in running.read(PROMPT)
    running.type(typed)

    assert running.finish().code == code


def test_a_pause_closes_the_prompt(terminal, shell):
    """Whoever paused it wants it to stand still."""
    running = terminal(*ASK, "--quiet")
    running.read(PROMPT)
    shell("pause", "mine", "--reason", "tea time")

    done = running.finish()
    assert done.code == 3
    assert "tea time" in done.err


def test_a_resumed_run_asks_too(terminal, shell, begin):
    """What was asked before stands where it was."""
    owner = begin(*ASK)
    wait_for(lambda: "Which one?" in shell("reviews").out, owner)
    owner.kill()
    owner.wait()

    running = terminal("resume", "mine", "--quiet")
    running.read(PROMPT)
    running.type("1\n")
    assert running.finish().out == 'choose.output = "red"\n'


def test_ctrl_d_leaves_an_agent_waiting(terminal, shell):
    """It is over only when somebody cancels it."""
    bees = '{"action": "search", "params": {"q": "bees"}}'
    words = ("agent", "tea", "--app", "asks.py", "--run-id", "mine", "--keep-alive", "--instruction", bees)
    running = terminal(*words, "--config", "review_frequency=1")
    running.read(PROMPT)
    running.type("\x04")

    assert running.finish().code == 3
    assert shell("runs", "--json").json[0]["status"] == "waiting"
