"""DOT text: whatever stands in a box, Graphviz draws exactly that."""

import json
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


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT)
@example(text=NASTY)
@example(text='"]; } subgraph x {')
def test_a_frame_bears_every_text(graphviz, text):
    """In its caption, its name, and the arrows to it."""
    frame = Box(text, text, text, "failed", (text,), error=text, notes=(text, text))
    inner = Box(f"{text}/x", text, inside=text, is_nested=True)
    drawn = texts_of(frame, inner, Box("", ""), arrows=(Arrow("", text), Arrow(text, "")) if text else ())
    assert [line.replace("\xa0", " ").strip(" ") for line in drawn].count(shown(text, 48)) >= 2


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


FRAMED = Scene(
    (
        Box("a", "a"),
        Box("sub", "sub", "graph clean", "succeeded", ("5 ms",), error="", notes=("when a.x > 3",)),
        Box("sub/x", "x", inside="sub"),
        Box("sub/y", "y", inside="sub"),
        Box("b", "b"),
    ),
    (Arrow("a", "sub"), Arrow("sub/x", "sub/y"), Arrow("sub", "b", "failure", is_dashed=True)),
)


def test_a_frame_stands_around_what_is_in_it(graphviz):
    """With title, action, notes, status and facts above."""
    assert [text.strip() for text in svg_texts(to_svg(to_dot(FRAMED)))][:4] == [
        "sub",
        "graph clean",
        "when a.x > 3",
        "succeeded · 5 ms",
    ]
    drawn = subprocess.run([graphviz, "-Tjson"], input=to_dot(FRAMED), capture_output=True, text=True, check=True)
    objects = json.loads(drawn.stdout)["objects"]
    (cluster,) = [found for found in objects if found["name"].startswith("cluster")]
    assert [objects[index]["name"] for index in cluster["nodes"]] == ["sub/y", "sub/x"]


def test_arrows_end_at_the_frame():
    """Graphviz leads them to a box in it, the first or the last."""
    dot = to_dot(FRAMED)
    assert '"a" -> "sub/x" [lhead="cluster_sub"];' in dot
    assert re.search(r'"sub/y" -> "b" \[ltail="cluster_sub", label=<.*failure.*>, style=dashed\];', dot)


def test_a_box_with_more_in_it_than_is_drawn_has_two_borders():
    """One around the other."""
    plain, nested = (to_dot(Scene((Box("a", "a", is_nested=is_nested),))) for is_nested in (False, True))
    assert (plain.count('STYLE="ROUNDED"'), nested.count('STYLE="ROUNDED"')) == (1, 2)


def test_a_frame_has_the_border_of_its_status():
    """Dashed, where that of a box is."""
    inner = Box("f/x", "x", inside="f")
    assert 'style="rounded"' in to_dot(Scene((Box("f", "f", status="failed"), inner)))
    assert 'style="rounded,dashed"' in to_dot(Scene((Box("f", "f", status="interrupted"), inner)))


def test_long_texts_of_a_frame_are_cut():
    """At characters."""
    inner = Box("f/x", "x", inside="f")
    texts = texts_of(Box("f", "f", error="ü" * 500, notes=("é" * 500,)), inner)
    assert "é" * 59 + "…" in texts
    assert max(map(len, texts)) == 60


def test_a_very_long_error_is_cut_in_the_tooltip_too():
    """It would stand there whole, in each of many boxes."""
    dot = to_dot(Scene((Box(key="a", title="a", error="y" * 100_000),)))
    assert "y" * 999 + "…" in dot
    assert len(dot) < 5000
