"""Outcomes as HTML, for notebooks."""

from datetime import timedelta
from xml.etree import ElementTree

from tests.views.journals import NASTY, T

from dagger.views.outcome import NodeOutcome, moment
from dagger.views.table import ROWS, agents_table, outcomes_table

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


def test_each_agent_has_a_row_and_nothing_stands_for_nothing():
    """Without agents there is no table."""
    agents = {"<b>": {"handled": 12_000, "failed": 0, "waiting": 3}}
    assert rows(agents_table(agents)) == [["agent", "handled", "failed", "waiting"], ["<b>", "12,000", "", "3"]]
    assert agents_table({}) == ""


def test_of_very_many_agents_those_with_trouble_come_first():
    """Then those that have something to do."""
    agents = {f"a{number}": {"handled": 1, "failed": 0, "waiting": 0} for number in range(ROWS)}
    agents |= {"late": {"handled": 0, "failed": 0, "waiting": 1}, "bad": {"handled": 0, "failed": 1, "waiting": 0}}

    table = rows(agents_table(agents))

    assert [row[0] for row in table[1:4]] == ["bad", "late", "a0"]
    assert table[-1] == ["… and 2 more"]
