"""DOT text: whatever stands in a box, Graphviz draws exactly that."""

import re
import subprocess

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.views.journals import NASTY, svg_texts

from dagger.views.dot import to_dot
from dagger.views.scene import Arrow, Box, Scene
from dagger.views.svg import to_svg
from dagger.views.texts import cut, visible

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=60) | st.sampled_from(
    [NASTY, "\\N", "\\", "&#92;N", " "]
)


def texts_of(*boxes, arrows=(), title=""):
    return svg_texts(to_svg(to_dot(Scene(boxes, arrows, title))))


def shown(text, limit):
    """The text as it must be read in the picture; spaces at its ends carry no meaning."""
    return visible(cut(text, limit)).replace("\n", "␊").replace("\xa0", " ").strip(" ")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT)
@example(text=NASTY)
@example(text="\\G\\N\\E\\T\\H\\L\\n\\l\\r\\\\N")
@example(text="</FONT></TD>]>; x [label=<")
@example(text="\ud83d\ufffe\u0000\u0085")
def test_graphviz_draws_every_text_as_it_is(graphviz, text):
    """Nothing breaks out of its place, is cut in a character, or is taken for a command."""
    box = Box(text, text, text, text, (text,), ((text, text),), ((text, text),), text)
    drawn = [
        line.replace("\xa0", " ").strip(" ") for line in texts_of(box, arrows=(Arrow(text, text, text),), title=text)
    ]
    assert shown(text, 48) in drawn
    assert shown(text, 32) in drawn
    assert shown(text, 120) in drawn


def test_a_box_tells_action_inputs_outputs_status_duration_and_error(graphviz):
    """In this order, from top to bottom."""
    box = Box(
        "resize",
        "resize",
        "resize_image",
        "failed",
        ("1.2 s",),
        (("image", "fetch.image"),),
        (("thumb", "12.3 MB"),),
        "OSError: disk full",
    )
    assert [text.strip() for text in texts_of(box, title="demo · failed")] == [
        "demo · failed",
        "resize",
        "resize_image",
        "failed · 1.2 s",
        "inputs",
        "image",
        "fetch.image",
        "outputs",
        "thumb",
        "12.3 MB",
        "OSError: disk full",
    ]


def test_an_action_named_like_its_node_is_told_once(graphviz):
    """A plain graph in code has such ids."""
    assert texts_of(Box("add", "add", "add")) == ["add"]


def test_many_inputs_are_counted_and_not_listed(graphviz):
    """Eight of them say enough."""
    texts = texts_of(Box("a", "a", inputs=tuple((f"i{n}", str(n)) for n in range(11))))
    assert texts[-1] == "and 3 more"
    assert "i7" in texts
    assert "i8" not in texts


def test_plain_keys_are_written_as_they_are():
    """So that a person can read the text; every other key becomes a number."""
    scene = Scene((Box("a", "a"), Box('b"\\', "b"), Box("each/7/x-y", "c")), (Arrow("a", 'b"\\'),))
    dot = to_dot(scene)
    assert '"a" -> "box 1";' in dot
    assert '"each/7/x-y" [label=' in dot
    assert "b\"\\'" not in dot


def test_dashes_and_labels_stand_only_on_the_arrows_that_have_them():
    """The obvious has no label."""
    dot = to_dot(Scene((Box("a", "a"), Box("b", "b")), (Arrow("a", "b"), Arrow("a", "b", "added", is_dashed=True))))
    assert '"a" -> "b";' in dot
    assert re.search(r'"a" -> "b" \[label=<.*added.*>, style=dashed\];', dot)


def test_parts_without_a_connection_stand_in_their_order(graphviz):
    """Graphviz stacks them upwards, people read downwards; within a part the order is right anyway."""
    scene = Scene(tuple(Box(key, key) for key in "abcde"), (Arrow("b", "d"), Arrow("c", "d")))
    plain = subprocess.run([graphviz, "-Tplain"], input=to_dot(scene), capture_output=True, text=True, check=True)
    heights = {words[1]: float(words[3]) for words in map(str.split, plain.stdout.splitlines()) if words[0] == "node"}
    assert heights["a"] > heights["b"] > heights["c"] > heights["e"]


def test_an_empty_scene_is_drawn(graphviz):
    """A title alone, or nothing at all."""
    assert texts_of(title="nothing here") == ["nothing here"]
    assert texts_of() == []
