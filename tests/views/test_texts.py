"""Values, sizes and times as short text that is safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagger.core import codec
from dagger.views.texts import cut, duration_text, lasted_text, size_text, value_text, visible

FAMILY = "👩‍👩‍👧‍👦"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – text, שלום, 日本語", "plain – text, שלום, 日本語"),
        ("a\nb\r\nc\u2028d", "a\nb\nc\nd"),
        ("a\tb", "a b"),
        ("\x00\x1b[31m\x7f", "␀␛[31m␡"),
        ("\x9b \u202e \ud800 \ufffe", "� � � �"),
        (FAMILY, FAMILY),
    ],
)
def test_control_characters_become_symbols_and_all_else_stays(text, shown):
    """Nothing invisible is left that could end a line, turn its direction, or break an XML file."""
    assert visible(text) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_visible_text_can_stand_in_any_file(text):
    """It is valid Unicode without control characters but newlines, and showing it again changes nothing."""
    shown = visible(text)
    shown.encode()
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert visible(shown) == shown


@given(st.text(), st.integers(min_value=1, max_value=20))
def test_a_cut_text_is_no_longer_than_allowed(text, limit):
    """The ellipsis counts; what fits is left alone."""
    shown = cut(text, limit)
    assert len(shown) <= limit
    assert shown == text if len(text) <= limit else shown.endswith("…")


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 4, "abc…"),
        ("ab" + FAMILY + "c", 6, "ab…"),
        ("ae\u0301x", 3, "a…"),
        ("👍🏽👍🏽", 2, "…"),
        ("ab   cd", 5, "ab…"),
    ],
)
def test_a_cut_never_goes_through_a_character(text, limit, shown):
    """Emoji of several code points and letters with accents are kept whole or left out."""
    assert cut(text, limit) == shown


def test_a_value_is_shown_as_its_json_cut_at_characters():
    """Strings keep their quotes; multi-byte characters are not cut in the middle."""
    assert value_text(b'"1"') == '"1"'
    assert value_text(codec.encode("ü" * 100), limit=5) == '"üüü…'
    assert value_text(codec.encode("👍" * 100), limit=5) == '"👍👍👍…'
    assert value_text(codec.encode("👍👍👍"), limit=5) == '"👍👍👍"'


def test_a_blob_is_shown_as_its_size():
    """Nothing large is loaded for a picture."""
    text, blob = codec.seal(codec.encode("x" * 123_456))
    assert blob is not None
    assert value_text(text) == "123.5 kB"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (999_950, "1.0 MB"), (5e15, "5000.0 TB")],
)
def test_sizes_have_decimal_units(size, text):
    """Three digits or so, and a unit."""
    assert size_text(int(size)) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1234, "1.2 s"),
        (59_949, "59.9 s"),
        (59_990, "1 min 0 s"),
        (185_000, "3 min 5 s"),
        (7_440_000, "2 h 4 min"),
    ],
)
def test_durations_are_as_exact_as_people_need_them(milliseconds, text):
    """Milliseconds, seconds, minutes or hours."""
    assert duration_text(milliseconds) == text


@pytest.mark.parametrize(
    ("lasted", "active", "text"),
    [
        (35, 16, "35 ms"),
        (1500, 600, "1.5 s"),
        (60_000, 58_000, "1 min 0 s"),
        (60_000, 50_000, "1 min 0 s (50.0 s of it active)"),
        (1500, 16, "1.5 s (16 ms of it active)"),
    ],
)
def test_a_run_that_was_idle_for_long_says_how_long_it_was_active(lasted, active, text):
    """More than a second, and a tenth of its time."""
    assert lasted_text(lasted, active) == text
