"""dagger.cli.executing: how a run that waits for people is left; see also test_running."""

from tests.cli.shell import typed


def test_a_run_that_only_people_let_go_on_is_left_with_3(shell, home):
    """Where there is no terminal to ask on: the question, its id and the command are printed, and the run waits."""
    left = typed("run", "asking", "--app", "asks.py", "--run-id", "mine", cwd=home)

    (review,) = shell("reviews", "--json").json
    assert (left.code, left.out) == (3, "")
    assert left.err.splitlines()[0] == f"asks       choose: Which one? [red, green] ({review['id']})"
    assert left.err.splitlines()[-2:] == [
        "  asks:    Which one? [red, green] (choose)",
        f"  answer:  {review['command']}",
    ]
    assert shell("runs", "--json").json[0]["status"] == "waiting"
    assert shell("answer", review["id"], "red").out == 'choose.output = "red"\n'
