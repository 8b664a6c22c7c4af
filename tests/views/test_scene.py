"""Boxes and arrows: how statuses look and read."""

import pytest

from dagger.views.scene import PLAN, STATUS_COLOURS, Box, colours, heading, lines, subtitle


def test_a_heading_is_the_status_and_the_facts():
    """On one line; a plan's box has only facts, a folded one counts statuses itself."""
    assert heading(Box("a", "a", status="failed", facts=("1.2 s", "3 attempts"))) == "failed · 1.2 s · 3 attempts"
    assert heading(Box("a", "a", facts=("2 tries",))) == "2 tries"
    assert heading(Box("a", "a", status="failed", facts=("248 succeeded", "2 failed"), count=250)) == (
        "248 succeeded · 2 failed"
    )


def test_a_subtitle_is_the_action_where_the_title_does_not_say_it():
    """As a word of its own: a node's id may begin with its action's name."""
    assert subtitle(Box("a", "resize_2", "resize")) == "resize"
    assert subtitle(Box("a", "fetch", "fetch")) == ""
    assert subtitle(Box("a", "reader#12-1", "reader")) == ""
    assert subtitle(Box("a", "tasks 12-1", "tasks")) == ""
    assert subtitle(Box("a", "250 × fetch", "fetch_0 … fetch_249")) == "fetch_0 … fetch_249"


def test_an_unknown_status_looks_like_a_plan():
    """A later version's status is still drawn."""
    assert colours("reused") is colours("") is PLAN


@pytest.mark.parametrize("status", ["plan", *STATUS_COLOURS])
def test_text_can_be_read_on_its_fill(status):
    """Contrast of at least 4.5 to 1, as WCAG's level AA asks."""
    look = STATUS_COLOURS.get(status, PLAN)
    assert (luminance(look.fill) + 0.05) / (luminance(look.text) + 0.05) >= 4.5


def test_long_texts_become_few_lines():
    """Broken at spaces and at newlines, the rest left out visibly."""
    assert lines("one two three", 8, 5) == ["one two", "three"]
    assert lines("one\n\ntwo\n\n", 8, 5) == ["one", "", "two"]
    assert lines("abcdefghij" * 3, 10, 2) == ["abcdefghij", "abcdefghi…"]
    assert lines("a bb ccc dddd", 4, 2) == ["a bb", "ccc…"]
    assert lines("\n\none", 8, 5) == ["one"]
    assert lines("", 8, 5) == lines(" \n ", 8, 5) == []


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
