"""dagger.cli.messages: `dagger publish`, `dead-letters` and `redeliver`, from another terminal."""

import io
import json
import signal

import pytest
from tests.cli.shell import events_of, finish, wait_for

TASK = '{"word": "ab", "times": 2}'
BAD = '{"word": "bad", "times": 1}'
RUN = ("publish", "--run")
PUBLISH = ("publish", "tasks", "--app", "crew.py", "--run-id", "mine")


def kept(shell, run="mine"):
    """What the keeper has kept, in the order of the journal."""
    return [write[3] for event in events_of(shell, run) for write in event.get("cache", [])]


@pytest.fixture
def owner(begin, shell):
    """A process whose run `mine` waits for messages."""
    process = begin(*PUBLISH, "--keep-alive")
    wait_for(lambda: "waits for messages" in shell("runs").out, process)
    return process


@pytest.fixture
def letter(shell):
    """The id of the dead letter of the run `mine`, which is paused."""
    assert shell(*PUBLISH, BAD).code == 3
    (found,) = shell("dead-letters", "mine", "--json").json
    return found["message"]["id"]


@pytest.fixture
def stdin(monkeypatch):
    """`stdin(text)`: what is typed there."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_message_begins_a_run(shell):
    """It goes on until all is quiet, and is shown as any run."""
    typed = shell(*PUBLISH, TASK, "--tag", "team=docs")

    assert (typed.code, typed.out) == (0, "")
    assert "done       worker#1-1 in " in typed.err
    assert "run mine succeeded after " in typed.err
    assert kept(shell) == ["ABAB"]
    (row,) = shell("runs", "--json").json
    assert (row["graph"], row["status"], row["tags"]) == ("tasks", "succeeded", {"team": "docs"})


@pytest.mark.parametrize("word", ["@task.json", "-"])
def test_a_message_comes_from_a_file_or_from_stdin(shell, home, stdin, word):
    """One JSON value."""
    (home / "task.json").write_text(TASK)
    stdin(f"\n{TASK}\n")

    assert shell(*PUBLISH, word).code == 0
    assert kept(shell) == ["ABAB"]


def test_what_is_no_json_is_a_string(shell):
    """As everywhere on the command line."""
    assert shell("publish", "results", "plain words", "--app", "crew.py", "--run-id", "mine").code == 0
    assert kept(shell) == ["plain words"]


def test_the_report_and_the_picture_are_those_of_any_run(shell, home):
    """Under --json nothing else is on stdout."""
    told = shell(*PUBLISH, TASK, "--json", "--dot", "run.dot").json

    assert (told["status"], told["dead_letters"]) == ("succeeded", [])
    assert (home / "run.dot").read_text().startswith("digraph")


def test_what_an_agent_asks_is_asked_on_the_terminal(terminal, shell):
    """And the run goes on with the answer."""
    running = terminal("publish", "doubts", "Really?", "--app", "crew.py", "--run-id", "mine")
    running.read("asker#1-1 asks: Really?")
    running.read("> ")
    running.type("yes\n")

    assert running.finish().code == 0
    assert kept(shell) == ["yes"]


def test_a_keep_alive_run_stays_until_ctrl_c(terminal, shell):
    """It is said how to publish to it; its end is as orderly as any run's."""
    running = terminal(*PUBLISH, "--keep-alive")
    running.read("waits for messages; from another terminal:")
    running.read("dagger publish --run mine CHANNEL MESSAGE --store ")
    running.process.send_signal(signal.SIGINT)

    done = running.finish()
    assert done.code == 130
    assert "RunCancelled: Ctrl-C" in done.err
    assert shell("runs", "--json").json[0]["status"] == "cancelled"


def test_a_run_of_another_process_is_published_to(shell, owner):
    """The message is in the journal when the command ends, and the owner handles it; the command has its id."""
    typed = shell(*RUN, "mine", "tasks", TASK)
    published = next(event for event in events_of(shell, "mine") if event["type"] == "MessagesPublished")

    message_id = f"{published['seq']}-1"
    assert typed.code == 0
    assert typed.out == f"message {message_id} is published; run mine goes on in another process\n"
    wait_for(lambda: kept(shell) == ["ABAB"], owner)
    told = shell(*RUN, "mine", "tasks", TASK, "--json").json
    assert (told["run_id"], told["is_executed"], told["go_on"], len(told["messages"])) == ("mine", True, None, 1)
    wait_for(lambda: kept(shell) == ["ABAB", "ABAB"], owner)


def test_many_messages_are_published_in_their_order(shell, stdin, owner):
    """One in each line of stdin; empty lines are none."""
    stdin('"a"\n\n"b"\n"c"')
    typed = shell(*RUN, "mine", "results", "-")

    seq = next(event["seq"] for event in events_of(shell, "mine") if event["type"] == "MessagesPublished")
    assert typed.out == f"3 messages are published, {seq}-1 to {seq}-3; run mine goes on in another process\n"
    wait_for(lambda: kept(shell) == ["a", "b", "c"], owner)


def test_a_line_that_is_no_json_keeps_all_from_being_published(shell, stdin, owner):
    """It is named by its number."""
    stdin('"a"\n{"b\n')
    typed = shell(*RUN, "mine", "results", "-")

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith("error: line 2 of stdin: not JSON: ")
    assert "MessagesPublished" not in shell("events", "mine").out


def test_what_was_published_before_a_message_was_refused_is_told(shell, stdin, owner):
    """They are taken in by the hundred: whoever sends the rest again must know which."""
    stdin("\n".join([*['"a"'] * 200, "1"]))
    typed = shell(*RUN, "mine", "results", "-")

    refusal, more = typed.err.splitlines()
    assert typed.code == 2
    assert refusal.startswith("error: publish: message for channel 'results': at $: 1 is not of type")
    assert more.startswith("  before it, 200 messages are published, ")


def test_a_run_whose_process_was_killed_goes_on_where_it_is_resumed(begin, shell, owner):
    """kill -9: what was published before is handled, what was handled is not handled again."""
    shell(*RUN, "mine", "results", "before")
    wait_for(lambda: kept(shell) == ["before"], owner)
    owner.kill()
    finish(owner)
    assert shell("runs", "--json").json[0]["status"] == "interrupted"

    again = begin("resume", "mine")
    wait_for(lambda: shell("runs", "--json").json[0]["status"] in {"running", "waiting"}, again)
    shell(*RUN, "mine", "results", "after")
    wait_for(lambda: kept(shell) == ["before", "after"], again)
    again.send_signal(signal.SIGINT)
    assert finish(again).code == 130


@pytest.mark.parametrize("place", [[], ["--app", "crew.py", "--json"]])
def test_what_is_kept_alive_is_only_told_where_nobody_executes_it(begin, shell, home, owner, place):
    """Whoever took it up would have to serve it; what waits in the inbox is handled by whoever does."""
    shell(*RUN, "mine", "tasks", BAD)
    wait_for(lambda: shell("dead-letters", "mine", "--json").json, owner)
    owner.kill()
    finish(owner)
    (letter,) = shell("dead-letters", "mine", "--json").json

    before = shell("events", "mine").out
    told = shell(*RUN, "mine", "tasks", TASK, *place)
    again = shell("redeliver", "mine", letter["message"]["id"], *place)
    assert (told.code, again.code) == (0, 0)
    go_on = f"dagger resume mine --store {home / 'dagger.db'}"
    if place:
        assert told.json["go_on"] == go_on
    else:
        first, waits, last = told.out.splitlines()
        assert first == "1 message is recorded; nobody executes run mine now"
        assert "waits in the inbox" in waits
        assert "recover=True" in waits
        assert last == f"  go on: {go_on}"
        assert again.out.startswith("the redelivery is recorded; nobody executes run mine now\n")
    assert shell("events", "mine").out == before

    (home / "mended").touch()
    taken = begin("resume", "mine")
    wait_for(lambda: sorted(kept(shell)) == ["ABAB", "BAD"], taken)


@pytest.mark.parametrize(
    "words", [[*RUN, "mine", "taks", TASK], [*RUN, "mine", "results", "5"], ["redeliver", "mine", "9-9"]]
)
def test_what_cannot_be_is_not_left_in_the_inbox(shell, owner, words):
    """Nobody would be there to say so later."""
    owner.kill()
    finish(owner)

    typed = shell(*words)
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith("error: ")


def test_what_whoever_takes_a_run_up_refuses_is_told(begin, shell, home, owner):
    """By the command, and by `dagger show`; what was sent is in the journal, as the sender is gone."""
    owner.kill()
    finish(owner)
    assert shell(*RUN, "mine", "doubts", "five").code == 0
    team = (home / "crew.py").read_text("utf-8")
    (home / "crew.py").write_text(team.replace("(question: str", "(question: int"), "utf-8")

    taken = begin("resume", "mine")
    wait_for(lambda: "OrderRefused" in shell("events", "mine").out, taken)
    taken.send_signal(signal.SIGINT)
    assert "refused    an order: MessageInvalid: " in finish(taken).err
    assert "refused  1 order, the last one: MessageInvalid: " in shell("show", "mine").out
    (refused,) = [event for event in events_of(shell, "mine") if event["type"] == "OrderRefused"]
    assert refused["given"]["payloads"] == ["five"]


def test_without_its_application_the_message_waits_for_who_resumes(begin, shell, home, owner):
    """It is in the inbox, and the command that goes on is named."""
    owner.kill()
    finish(owner)
    (home / "crew.py").rename(home / "gone.py")

    typed = shell(*RUN, "mine", "results", "later")
    assert typed.code == 0
    assert typed.out.startswith("1 message is recorded; nobody executes run mine now\n  its application cannot be ")
    assert typed.out.splitlines()[-1] == f"  go on: dagger resume mine --store {home / 'dagger.db'} --app MODULE:NAME"
    again = begin("resume", "mine", "--app", "gone.py")
    wait_for(lambda: kept(shell) == ["later"], again)


def test_a_message_that_nobody_could_handle_is_told_with_the_command_that_redelivers_it(shell, home):
    """At the end of the run, and by `dagger show`."""
    typed = shell(*PUBLISH, BAD)

    lines = [
        "dead:    message 1-1 at worker after 2 attempts: ValueError: no such word",
        f"again:   dagger redeliver mine 1-1 --agent worker --store {home / 'dagger.db'}",
    ]
    assert typed.code == 3
    assert [f"  {line}" for line in lines] == [line for line in typed.err.splitlines() if line[2:] in lines]
    assert typed.err.splitlines()[-1] == f"  go on:   dagger resume mine --store {home / 'dagger.db'}"
    said = [line.split()[0] for line in typed.err.splitlines() if "no such" in line]
    assert said == ["retry", "failed", "dead:"], "once where it happened, once at the end"
    assert [line for line in shell("show", "mine").out.splitlines() if line in lines] == lines


def test_in_a_run_that_is_over_nothing_is_redelivered(shell):
    """So no command is offered that would not work."""
    typed = shell(*PUBLISH, BAD, "--config", "on_failure=stop")

    assert typed.code == 1
    assert "dead:    message 1-1 at worker after 2 attempts: " in typed.err
    assert "redeliver" not in typed.err
    listed = shell("dead-letters", "mine")
    assert listed.err == "run mine is over: `dagger publish CHANNEL MESSAGE` begins a run with one of them\n"
    (found,) = shell("dead-letters", "mine", "--json").json
    assert found["command"] is None
    assert shell("show", "mine", "--json").json["dead_letters"] == [found]
    again = shell("redeliver", "mine", "1-1")
    assert (again.code, again.err) == (2, "error: run 'mine' is over (failed): it cannot be given a message again\n")


def test_dead_letters_are_listed(shell, home, letter):
    """With the last error, and the command."""
    typed = shell("dead-letters", "mine")

    heading, row = typed.out.splitlines()
    assert heading.split("  ")[0] == "message"
    assert row.split()[:4] == [letter, "tasks", "worker", "2"]
    assert "ValueError: no such word" in row
    assert typed.err == f"to redeliver: dagger redeliver mine MESSAGE --store {home / 'dagger.db'}\n"


def test_dead_letters_are_given_to_programs(shell, home, letter):
    """With the payload and all errors; in the report too."""
    (found,) = shell("dead-letters", "mine", "--json").json

    assert shell("show", "mine", "--json").json["dead_letters"] == [found]
    assert found["message"]["payload"] == json.loads(BAD)
    assert found["errors"] == ["ValueError: no such\nword"] * 2
    assert (found["run_id"], found["agent"], found["step"]) == ("mine", "worker", f"worker#{letter}")
    assert found["command"] == f"dagger redeliver mine {letter} --agent worker --store {home / 'dagger.db'}"


def test_no_dead_letters_are_said_to_be_none(shell):
    """That is no error."""
    shell(*PUBLISH, TASK)

    assert shell("dead-letters", "mine", "--json").json == []
    typed = shell("dead-letters", "mine")
    assert (typed.code, typed.out) == (0, "")
    assert typed.err == "no dead letters: none in run mine that was not redelivered\n"


def test_a_dead_letter_of_a_paused_run_is_delivered_anew_when_it_is_resumed(shell, home, letter):
    """Until then it is listed no more."""
    typed = shell("redeliver", "mine", letter, "--agent", "worker")

    assert typed.code == 0
    assert typed.out.splitlines() == [
        f"message {letter} waits to be delivered anew; run mine is paused",
        f"  go on: dagger resume mine --store {home / 'dagger.db'}",
    ]
    assert shell("dead-letters", "mine", "--json").json == []
    (home / "mended").touch()
    assert shell("resume", "mine").code == 0
    assert kept(shell) == ["BAD"]


def test_a_dead_letter_of_a_run_of_another_process_is_delivered_anew_at_once(shell, home, owner):
    """There the run goes on all the while."""
    shell(*RUN, "mine", "tasks", BAD)
    wait_for(lambda: shell("dead-letters", "mine", "--json").json, owner)
    (found,) = shell("dead-letters", "mine", "--json").json
    (home / "mended").touch()

    typed = shell("redeliver", "mine", found["message"]["id"], "--json")
    assert typed.json == {"run_id": "mine", "status": typed.json["status"], "is_executed": True, "go_on": None}
    wait_for(lambda: kept(shell) == ["BAD"], owner)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["publish", "tasks", TASK], "--app is missing: whose agents? --app module:name or --app path/file.py\n  or "),
        (["publish", "tasks", "--app", "crew.py"], "no message for channel 'tasks': a run begins with one; with "),
        ([*PUBLISH, "{bad"], "{bad: begins like JSON and is none: "),
        ([*PUBLISH, "@nowhere.json"], "@nowhere.json: No such file or directory\n"),
        ([*PUBLISH, '{"word": 1}'], """at $: "times" is a required property (schema of agent 'worker')"""),
        ([*PUBLISH, '{"word": 1}'], """at $.word: 1 is not of type "string" (schema of agent 'worker')"""),
        (["publish", "taks", "1", "--app", "crew.py"], "no agent subscribes to channel 'taks'; did you mean 'tasks'?"),
        (["publish", "tasks", "1", "--app", "flows.py"], "no agent subscribes to channel 'tasks'; there are "),
        ([*RUN, "three", "tasks", TASK], "there is no run 'three' in dagger.db; "),
        ([*RUN, "mine", "taks", TASK], "no agent of run mine subscribes to channel 'taks'; did you mean 'tasks'?\n"),
        ([*RUN, "mine", "tasks", "1"], "publish: message for channel 'tasks': at $: 1 is not of type "),
        ([*RUN, "mine", "tasks"], "no message for channel 'tasks': give it as JSON, as @file.json, or - "),
        (
            [*RUN, "mine", "tasks", TASK, "--tag", "a=b", "--keep-alive"],
            "--tag, --keep-alive: only what begins can have this, and --run mine is there already\n",
        ),
        (["dead-letters", "three"], "there is no run 'three' in dagger.db; "),
        (["redeliver", "three", "1-1"], "there is no run 'three' in dagger.db; "),
        (["redeliver", "mine", "1-2"], "message '1-2' is no dead letter: nothing is redelivered; did you mean '1-1'?"),
        (
            ["redeliver", "mine", "1-1", "--agent", "wrker"],
            "message '1-1' is no dead letter at agent 'wrker': nothing is redelivered; did you mean 'worker'?\n",
        ),
    ],
)
def test_what_cannot_be_is_refused(shell, letter, words, said):
    """Exit code 2, and in at most three lines why, where, and what is nearest."""
    before = shell("events", "mine").out
    typed = shell(*words)

    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith("error: ")
    assert said in typed.err
    assert len(typed.err.splitlines()) <= 3
    events = [json.loads(line)["type"] for line in shell("events", "mine").out[len(before) :].splitlines()]
    assert set(events) <= {"OrderRefused"}


def test_a_run_begins_with_one_message(shell, stdin):
    """More could come too late: it may be over by then."""
    stdin(f"{TASK}\n{TASK}\n")

    typed = shell(*PUBLISH, "-")
    assert typed.code == 2
    assert typed.err == "error: a run begins with one message, not 2: publish the others to it with --run\n"


@pytest.mark.parametrize("words", [[*RUN, "r", "c", "1"], ["dead-letters", "r"], ["redeliver", "r", "1-1"]])
def test_no_store_is_made(shell, home, words):
    """Reading and telling need one that is there."""
    typed = shell(*words)

    assert typed.code == 2
    assert "there is no store dagger.db" in typed.err
    assert not (home / "dagger.db").exists()


def test_an_answer_to_what_is_kept_alive_waits_where_nobody_executes_it(begin, shell, home, owner):
    """As a message does; who resumes the run goes on with it, and it is asked no more."""
    shell(*RUN, "mine", "doubts", "Really?")
    wait_for(lambda: shell("reviews", "--json").json, owner)
    (review,) = shell("reviews", "--json").json
    owner.kill()
    finish(owner)

    refused = shell("answer", review["id"], "perhaps")
    assert (refused.code, refused.out) == (2, "")
    assert "'yes', 'no'" in refused.err or '"yes"' in refused.err
    told = shell("answer", review["id"], "yes", "--who", "ada")
    assert told.code == 0
    assert told.out.startswith("the answer is recorded; nobody executes run mine now\n  it waits in the inbox for ")
    assert shell("reviews", "--json").json == []

    taken = begin("resume", "mine")
    wait_for(lambda: "WaitAnswered" in shell("events", "mine").out, taken)
    (answered,) = [each for each in events_of(shell, "mine") if each["type"] == "WaitAnswered"]
    assert (answered["value"], answered["who"]) == ("yes", "ada")
