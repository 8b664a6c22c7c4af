"""Outcomes as HTML, for notebooks."""

from datetime import timedelta
from xml.etree import ElementTree

from tests.views.journals import NASTY, T

from dagger.views.outcome import NodeOutcome, moment
from dagger.views.table import ROWS, outcomes_table

DONE = NodeOutcome("add", True, "succeeded", [], None, "", moment(T), moment(T) + timedelta(seconds=1.25), 2)
SKIPPED = NodeOutcome("square", False, "skipped", reason="'add' failed")


def rows(text):
    """What a reader sees: the cells of each row."""
    return [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(text).iter("tr")]


def test_each_outcome_has_a_row():
    """Step, status, tries, time and why."""
    assert rows(outcomes_table("a run", [DONE, SKIPPED])) == [
        ["step", "status", "tries", "took", "why"],
        ["add", "succeeded", "2", "1.2 s", ""],
        ["square", "skipped", "", "", "'add' failed"],
    ]


def test_a_status_has_its_colour():
    """As in pictures."""
    assert '<td style="text-align:left;color:#15803d">succeeded</td>' in outcomes_table("a run", [DONE])


def test_a_reused_outcome_is_shown_as_such():
    """It took no attempt and no time."""
    reused = NodeOutcome("add", True, "succeeded", reused="run-0")
    assert rows(outcomes_table("a run", [reused]))[1] == ["add", "reused", "", "", ""]


def test_any_text_is_text():
    """No tag, no control character and no length breaks the page."""
    table = outcomes_table(NASTY, [NodeOutcome("x", False, "failed", final_error=NASTY + "x" * 10_000)])

    assert "<b>" not in table
    assert len(table) < 2000
    assert rows(table)[1][4].endswith("x…")


def test_of_very_many_the_telling_ones_are_shown():
    """What went wrong comes first, the rest is counted."""
    outcomes = [DONE] * ROWS + [SKIPPED]

    table = rows(outcomes_table("a run", outcomes))

    assert [row[0] for row in table[:3]] == ["step", "square", "add"]
    assert len(table) == 1 + ROWS + 1
    assert table[-1] == ["… and 1 more"]
