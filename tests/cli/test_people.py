"""dagger.cli.people: `dagger reviews`, `answer` and `instruct`, from another terminal."""

import pytest
from tests.cli.shell import events_of, finish, left_waiting, wait_for

from dagger.modes.agent import AgentDriven


@pytest.fixture
def owner(begin, shell):
    """A process whose run `mine` waits for an answer."""
    process = begin("run", "asking", "--app", "asks.py", "--run-id", "mine")
    wait_for(lambda: "Which one?" in shell("reviews").out, process)
    return process


@pytest.fixture
def review(home):
    """The id of the review that the run `mine` waits for; its process is gone."""
    return left_waiting("mine")


def test_reviews_are_listed_oldest_first(shell, review):
    """Of all runs; with the command that answers."""
    left_waiting("other", human_wait_minutes=5)

    typed = shell("reviews")
    heading, *rows = typed.out.splitlines()
    assert heading.split() == ["review", "run", "step", "question", "options", "since", "until"]
    assert [row.split()[1] for row in rows] == ["mine", "other"]
    assert rows[0].startswith(f"{review}  mine   choose  Which one?  [red, green]  ")
    assert typed.err.startswith("to answer: dagger answer REVIEW VALUE --store /")


def test_reviews_of_one_run_are_listed(shell, review):
    """As much of its id as is unique will do."""
    left_waiting("other")

    assert [row["run_id"] for row in shell("reviews", "oth", "--json").json] == ["other"]


def test_reviews_are_given_to_programs(shell, home, review):
    """With the command, to be pasted."""
    (found,) = shell("reviews", "--json").json

    assert found.pop("opened_at").endswith("Z")
    assert found == {
        "id": review,
        "run_id": "mine",
        "step": "choose",
        "question": "Which one?",
        "options": ["red", "green"],
        "due_at": None,
        "command": f"dagger answer {review} VALUE --store {home / 'dagger.db'}",
    }


def test_no_reviews_are_said_to_be_none(shell):
    """That is no error."""
    shell("run", "ready", "--app", "flows.py")

    assert shell("reviews") == (0, "", "no reviews: nobody is asked anything\n")
    assert shell("reviews", "--json").json == []


def test_the_process_that_executes_the_run_is_events_of(shell, owner):
    """It goes on there; who answered, and when, is in the journal."""
    (found,) = shell("reviews", "--json").json
    answered = shell("answer", found["id"], "green", "--who", "ann")

    assert answered.code == 0
    assert finish(owner).out == 'choose.output = "green"\n'
    (event,) = [event for event in events_of(shell, "mine") if event["type"] == "WaitAnswered"]
    assert (event["who"], event["value"]) == ("ann", "green")
    assert event["at"] > 0


def test_a_run_that_nobody_executes_goes_on_here(shell, review):
    """Its process was killed, say; output and exit code are those of `dagger resume`."""
    typed = shell("answer", review[:5], "red", "--who", "ann")

    assert (typed.code, typed.out) == (0, 'choose.output = "red"\n')
    assert typed.err.splitlines()[0] == f'answered   choose: "red" by ann ({review})'


def test_a_run_whose_process_was_killed_goes_on_here(shell, owner):
    """kill -9 while it waited."""
    owner.kill()
    finish(owner)
    (found,) = shell("reviews", "mine", "--json").json

    assert shell("answer", found["id"], "green").out == 'choose.output = "green"\n'


def test_without_its_application_the_answer_waits_for_who_resumes(shell, home, review):
    """It is in the inbox, and the command that goes on is named."""
    (home / "asks.py").rename(home / "gone.py")

    typed = shell("answer", review, "red")
    assert typed.code == 0
    assert "the answer is recorded; nobody executes run mine now\n  its application cannot be loaded: " in typed.out
    assert typed.out.splitlines()[-1] == f"  go on: dagger resume mine --store {home / 'dagger.db'} --app MODULE:NAME"
    assert shell("resume", "mine", "--app", "gone.py").out == 'choose.output = "red"\n'


def test_an_application_without_the_actions_leaves_the_answer_to_others(shell, review):
    """--app names it."""
    typed = shell("answer", review, "red", "--app", "flows.py", "--store", "dagger.db")

    assert typed.code == 0
    assert typed.out.startswith("the answer is recorded; nobody executes run mine now\n")


def test_an_answer_under_json_is_followed_by_the_report(shell, review):
    """And nothing else is on stdout."""
    assert shell("answer", review, "red", "--json").json["status"] == "succeeded"


def test_an_answer_that_will_not_do_is_refused(shell, review):
    """The options are named, and the review stays open."""
    typed = shell("answer", review, "blue")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err == f'error: review {review}: "blue" is none of the options; choose one of "red", "green"\n'
    assert len(shell("reviews", "--json").json) == 1


def test_a_review_is_answered_once(shell, review):
    """Who was faster is named."""
    shell("answer", review, "red", "--who", "ann")

    typed = shell("answer", review, "green")
    assert (typed.code, typed.out) == (2, "")
    assert f"error: review {review} of run 'mine' was answered by ann at " in typed.err


def test_a_run_that_is_over_asks_nothing(shell, review):
    """It was cancelled while it waited."""
    shell("cancel", "mine")

    typed = shell("answer", review, "red")
    assert typed.code == 2
    assert shell("reviews", "--json").json == []


def test_an_answer_that_begins_like_json_and_is_none_is_refused(shell, review):
    """An answer is final: nobody gives a slip of the shell's quotes."""
    typed = shell("answer", review, '{"colour": ')
    assert (typed.code, typed.out) == (2, "")
    assert 'error: {"colour": : begins like JSON and is none' in typed.err
    assert [each["id"] for each in shell("reviews", "--json").json] == [review]


def test_an_unknown_review_is_refused(shell, review):
    """The nearest is named, or the command that lists them; an id that fits several is refused, too."""
    other = left_waiting("other")

    assert shell("answer", "nope", "red").err == (
        "error: there is no review 'nope' in dagger.db; `dagger reviews --store dagger.db` lists the open ones\n"
    )
    slip = review[:-1] + ("0" if review[-1] != "0" else "1")
    assert f"did you mean '{review}'?" in shell("answer", slip, "red").err
    assert shell("answer", "", "red").code == 2
    assert other != review


@pytest.fixture
def agent(home):
    """The run `three` of an agent that asks after each iteration; its process is gone."""
    bees = {"action": "search", "params": {"q": "bees"}}
    left_waiting("three", AgentDriven("tea", keep_alive=True, instructions=[bees]), review_frequency=1)


def test_an_instruction_is_in_the_journal_and_the_run_goes_on_here(terminal, shell, agent):
    """Until it waits for people again; the terminal is asked."""
    running = terminal("instruct", "three", "search", "-i", "q=wasps", "--priority", "3")
    running.read("supervisor_1_review asks: ")
    running.type("go\n")
    running.read("supervisor_2_review asks: ")
    running.type("stop\n")

    done = running.finish()
    assert done.code == 0
    assert 'search_2_1.output = "WASPS"' in done.out.splitlines()
    (event,) = [event for event in events_of(shell, "three") if event["type"] == "Instructed"]
    del event["value"]["timestamp"]
    assert event["value"] == {"action": "search", "params": {"q": "wasps"}, "priority": 3}


def test_without_its_application_an_instruction_waits_for_who_resumes(shell, home, agent):
    """The same as an answer; and nobody could see whether there is such an action."""
    (home / "asks.py").rename(home / "gone.py")

    out = shell("instruct", "three", "reed", "-i", "q=wasps").out
    assert out.startswith("the instruction is recorded; nobody executes run three now\n  its application cannot be ")
    assert "  nobody could check that there is an action 'reed'\n  go on: dagger resume three --store " in out
    assert out.endswith(" --app MODULE:NAME\n")


def test_who_executes_the_run_is_instructed(shell, terminal):
    """The command returns, and the other process goes on."""
    # at a terminal, as elsewhere it would leave
    owner = terminal("agent", "tea", "--app", "asks.py", "--run-id", "mine", "--keep-alive")
    owner.read("waits for an instruction; from another terminal:")

    typed = shell("instruct", "mine", "search", "-i", "q=bees")
    assert (typed.code, typed.out) == (0, "the instruction is given; run mine goes on in another process\n")
    wait_for(lambda: "BEES" in shell("show", "mine").out, owner.process)
    told = shell("instruct", "mine", "search", "-i", "q=bees", "--json").json
    assert (told["run_id"], told["is_executed"], told["go_on"]) == ("mine", True, None)


def test_an_instruction_that_calls_no_action_is_refused(shell, terminal, home):
    """With the nearest name; the process that executes the run is not told, one without any is not taken over."""
    # at a terminal, as elsewhere it would leave
    owner = terminal("agent", "tea", "--app", "asks.py", "--run-id", "mine", "--keep-alive")
    owner.read("waits for an instruction; from another terminal:")

    typed = shell("instruct", "mine", "serch")
    owner.process.kill()
    owner.finish()
    assert typed == shell("instruct", "mine", "serch") == shell("instruct", "mine", "serch", "--json")
    assert (typed.code, typed.out) == (2, "")
    assert typed.err == f"error: {home / 'asks.py'}:app has no action 'serch'; did you mean 'search'?\n"
    assert [event for event in events_of(shell, "mine") if event["type"] == "Instructed"] == []


def test_a_supervisor_of_ones_own_takes_any_instruction(shell):
    """What its words mean is for it to say."""
    left_waiting("own", AgentDriven("tea", supervisor="plan", keep_alive=True), review_frequency=1)

    typed = shell("instruct", "own", "be quick")
    assert "no action" not in typed.err
    assert any(event["type"] == "Instructed" for event in events_of(shell, "own"))


def test_an_instruction_that_could_not_be_worked_is_told(shell):
    """By the command that saw it, although the run succeeded, and by `dagger show`."""
    words = ["--instruction", '{"action": "serch"}', "--instruction", '{"action": "search", "params": {"q": "a"}}']
    typed = shell("agent", "tea", "--app", "asks.py", "--run-id", "mine", *words)

    said = """skipped:  the instruction {"action":"serch"}: """
    assert typed.code == 0
    assert said in typed.err
    assert said in shell("show", "mine").out
    (kept,) = shell("show", "mine", "--json").json["invalid_instructions"]
    assert kept["instruction"] == {"action": "serch"}
    assert "did you mean 'search'?" in kept["error"]
    assert shell("agent", "tea", "--app", "asks.py", *words, "--json").json["invalid_instructions"] == [kept]


def test_a_run_that_waits_for_an_instruction_names_the_command(shell, home):
    """To resume it would not help."""
    typed = shell("agent", "tea", "--app", "asks.py", "--run-id", "mine", "--keep-alive")

    go_on = f"go on:   dagger instruct mine ACTION -i KEY=VALUE --store {home / 'dagger.db'}"
    assert typed.code == 3
    assert typed.err.splitlines()[-1] == f"  {go_on}"
    assert go_on in shell("show", "mine").out.splitlines()


def test_a_recorded_answer_is_given_to_programs(shell, home, review):
    """One object, and nothing else."""
    (home / "asks.py").rename(home / "gone.py")

    typed = shell("answer", review, "red", "--json")
    assert typed.json == {
        "run_id": "mine",
        "is_executed": False,
        "go_on": f"dagger resume mine --store {home / 'dagger.db'} --app MODULE:NAME",
        "status": "waiting",
    }


def test_what_a_waiting_run_asks_is_given_to_programs(shell):
    """With the reason, by the command that leaves it and by `dagger show`."""
    left = shell("run", "asking", "--app", "asks.py", "--run-id", "mine", "--json")
    shown = shell("show", "mine", "--json").json
    (review,) = shell("reviews", "--json").json

    assert left.code == 3
    assert left.json["reviews"] == shown["reviews"] == [review]
    assert left.json["reason"] == shown["reason"] != ""


def test_who_has_no_supervisor_takes_no_instruction(shell, review):
    """Nobody would follow it."""
    typed = shell("instruct", "mine", "search")

    assert typed.code == 2
    assert "has no supervisor that goes on" in typed.err


@pytest.mark.parametrize("words", [["reviews"], ["answer", "r", "1"], ["instruct", "r", "search"]])
def test_no_store_is_made(shell, home, words):
    """Reading and telling need one that is there; with --app too."""
    for more in ([], ["--app", "asks.py"]):
        typed = shell(*words, *(more if words != ["reviews"] else []))
        assert typed.code == 2
        assert "there is no store dagger.db" in typed.err
    assert not (home / "dagger.db").exists()


@pytest.mark.parametrize(("action", "code", "status"), [("autopilot", 0, "succeeded"), ("pause", 3, "paused")])
def test_a_review_that_has_a_due_time_is_waited_for(shell, action, code, status):
    """At that time the run goes on or pauses, and somebody has to see to it."""
    due = ["--config", "human_wait_minutes=0.005", "--config", f"human_timeout_action={action}"]

    assert shell("run", "asking", "--app", "asks.py", "--run-id", "mine", *due).code == code
    assert shell("show", "mine", "--json").json["status"] == status
