"""Reviews: what a question may be, what answers it, and which are open."""

import msgspec
import pytest
from tests.core.journals import begun, node

from dagger.core import events
from dagger.core.errors import AnswerInvalid, ReviewError
from dagger.core.fold import apply
from dagger.core.reviews import Review, answer_text, only_review, open_reviews, problem, review_id


def asking(*steps, options="null"):
    state, _ = begun(*map(node, steps))
    for step in steps:
        detail = msgspec.Raw(f'{{"question":"Go on?","options":{options}}}'.encode())
        review = review_id("r", step, "review:1")
        apply(
            state,
            events.WaitOpened(at=2_000, step=step, key="review:1", kind="review", detail=detail, review=review),
        )
    return state


def test_an_id_is_short_and_always_the_same():
    """Twelve letters and digits of run, step and key: a replay finds the same."""
    assert review_id("r", "a", "k") == review_id("r", "a", "k")
    assert len({review_id(*names) for names in (("r", "a", "k"), ("r", "a/k", ""), ("r", "b", "k"))}) == 3
    assert review_id("r", "a", "k").isalnum()
    assert len(review_id("r", "a", "k")) == 12


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        ("a", None, b'"a"'),
        (None, None, b"null"),
        ("a", ["a", "b"], b'"a"'),
        ({"y": 1, "x": 2}, [{"x": 2, "y": 1}], b'{"y":1,"x":2}'),
    ],
)
def test_an_answer_is_json_and_one_of_the_options(value, options, text):
    """Equal JSON is equal, however it is written."""
    assert bytes(answer_text(value, options, "id")) == text


@pytest.mark.parametrize(
    ("value", "options", "told"),
    [
        ("c", ["a", "b"], 'review id: "c" is none of the options; choose one of "a", "b"'),
        ("1", [1], 'review id: "1" is none of the options; choose one of 1'),
        (True, [1], "review id: true is none of the options; choose one of 1"),
        (float("nan"), None, "review id: the answer "),
        (object(), None, "review id: the answer "),
    ],
    ids=range(5),
)
def test_what_is_no_answer_is_refused(value, options, told):
    """It says what was given, and what may be."""
    with pytest.raises(AnswerInvalid) as refused:
        answer_text(value, options, "id")
    assert str(refused.value).startswith(told)


def test_the_one_open_review_is_found_and_several_are_named():
    """None is none; an answer that does not fit is refused before anything is done with it."""
    assert only_review(asking(), b"1") is None
    state = asking("a", options='["x"]')
    step, key, wait = only_review(state, b'"x"')
    assert (step, key, wait.review) == ("a", "review:1", review_id("r", "a", "review:1"))
    with pytest.raises(AnswerInvalid):
        only_review(state, b'"y"')
    with pytest.raises(ReviewError, match="run 'r': 2 reviews are open; answer them by their ids: "):
        only_review(asking("a", "b"), b"1")
    apply(state, events.WaitAnswered(at=3_000, step="a", key="review:1", review=wait.review))
    assert open_reviews(state) == []


def test_a_review_tells_its_times():
    """In UTC; without a deadline there is none."""
    review = Review(id="i", run_id="r", step="a", key="k", question="?", opened_ms=1_000, due_ms=61_000)
    assert (review.opened_at.timestamp(), review.due_at.timestamp()) == (1, 61)
    assert Review(id="i", run_id="r", step="a", key="k", question="?", opened_ms=1).due_at is None


def test_a_question_says_what_is_wrong_with_it():
    """Nothing, where nothing is."""
    assert problem("?", None, None) == problem("?", ["a"], 1440) == ""
    assert problem("", None, None).startswith("a question is a text")
    assert problem("?", {"a"}, None).startswith("options are a list")
    assert problem("?", None, float("nan")).startswith("wait_minutes is a number from 0 to 1440")
