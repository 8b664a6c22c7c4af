"""Frames: which boxes stand in which, and where arrows to them lead."""

from dagger.views.frames import Frames, levels
from dagger.views.scene import Arrow, Box, Scene

BOXES = (
    Box("a", "a"),
    Box("f", "f"),
    *(Box(key, key, inside="f") for key in ("x", "y", "z", "g")),
    *(Box(key, key, inside="g") for key in ("p", "q")),
)


def frames_of(*arrows):
    return Frames(Scene(BOXES, tuple(Arrow(*pair) for pair in arrows)))


def test_a_box_that_others_stand_in_is_a_frame():
    """They stand in it in their order."""
    frames = frames_of()
    assert [box.key for box in BOXES if frames.is_frame(box)] == ["f", "g"]
    assert [box.key for box in frames.members(BOXES[1])] == ["x", "y", "z", "g"]


def test_an_arrow_to_a_plain_box_leads_there():
    """It is its own first and last."""
    assert (frames_of().first("a"), frames_of().last("x")) == ("a", "x")


def test_an_arrow_to_a_frame_leads_to_the_middle_of_what_begins_in_it():
    """What something else in the frame leads to does not begin there."""
    assert frames_of(("x", "y"), ("z", "y"), ("x", "g")).first("f") == "z"
    assert frames_of(("a", "z"), ("x", "y"), ("y", "g")).first("f") == "z"


def test_an_arrow_from_a_frame_begins_at_what_is_farthest_in_it():
    """However wide the frames in it are: so what follows stands behind all of it."""
    assert frames_of(("x", "y"), ("y", "z")).last("f") == "z"
    assert frames_of(("x", "y"), ("p", "q")).last("f") == "q"
    assert frames_of(("p", "q"), ("g", "x")).last("f") == "x"


def test_frames_in_frames_are_gone_through():
    """A frame in the middle leads on to what is in it."""
    assert frames_of(("g", "x"), ("g", "y"), ("g", "z")).first("f") == "q"
    assert frames_of(("x", "g"), ("y", "g"), ("z", "g"), ("q", "p")).last("f") == "p"


def test_a_circle_has_ends_too():
    """No run has one, but a picture must not hang."""
    frames = frames_of(("x", "y"), ("y", "z"), ("z", "g"), ("g", "x"))
    assert (frames.first("f"), frames.last("f")) == ("x", "z")


def test_levels_are_the_longest_ways():
    """Counted in the widths of what is passed."""
    assert levels([[1, 2], [2], []], [1, 1, 1]) == [0, 1, 2]
    assert levels([[1, 2], [2], []], [1, 5, 1]) == [0, 1, 6]
    assert levels([], []) == []
