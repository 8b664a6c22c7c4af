"""Mermaid text: valid, whatever the labels."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.views.journals import NASTY

from dagger.views.mermaid import to_mermaid
from dagger.views.scene import Arrow, Box, Scene

NODE = re.compile(r'  n\d+\("(?P<label>[^"\n]*)"\):::\w+')
EDGE = re.compile(r'  n\d+ -\.?->(\|"[^"|\n]*"\|)? n\d+')
FRAME = re.compile(r'  subgraph n\d+\["(?P<label>[^"\n]*)"\]')
CLASS = re.compile(r"  classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6}(,stroke-dasharray:4 3)?")


def test_a_scene_as_mermaid():
    """Boxes with their status's class, arrows, a title; ids that no word of Mermaid's can clash with."""
    boxes = (
        Box("end", "end", "resize_image", "succeeded", ("1.2 s",)),
        Box("b", "b", "b", "skipped", error="'end' failed"),
        Box("c", "c"),
    )
    arrows = (Arrow("end", "b"), Arrow("end", "c", "added", is_dashed=True))
    assert to_mermaid(Scene(boxes, arrows, "demo · failed")).splitlines() == [
        "---",
        'title: "demo · failed"',
        "---",
        "flowchart LR",
        '  n0("<b>end</b><br/>resize_image<br/>succeeded · 1.2 s"):::succeeded',
        "  n1(\"<b>b</b><br/>skipped<br/>'end' failed\"):::skipped",
        '  n2("<b>c</b>"):::plan',
        "  n0 --> n1",
        '  n0 -.->|"added"| n2',
        "  classDef succeeded fill:#f3fbf5,stroke:#86c79b,color:#15803d",
        "  classDef skipped fill:#ffffff,stroke:#a8b3c2,color:#64748b,stroke-dasharray:4 3",
        "  classDef plan fill:#ffffff,stroke:#94a3b8,color:#334155",
    ]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a "b" <c> & #35;', "a #34;b#34; #60;c#62; #38; #35;35#59;"),
        ("add_numbers", "add_numbers"),
        ("__init__", "#95;_init_#95;"),
        ("1. list", "1#46; list"),
        ("- list", "#45; list"),
        ("`code` *bold* [x](y)", "#96;code#96; #42;bold#42; #91;x#93;(y)"),
        ("שלום 日本語 👍", "שלום 日本語 👍"),
        ("a\nb\x00", "a b␀"),
        ("C:\\new $$x$$ fa:fa-car", "C:#92;\u200bnew #36;\u200b#36;x#36;\u200b#36; fa:\u200bfa-car"),
        ("", " "),
    ],
)
def test_what_has_a_meaning_becomes_a_character_code(text, escaped):
    """Mermaid's own signs, HTML's and Markdown's; letters of any script stay."""
    assert f"<b>{escaped}</b>" in to_mermaid(Scene((Box("a", text),)))


@given(st.text(alphabet=st.characters(codec=None)) | st.just(NASTY))
def test_no_text_leaves_its_place(text):
    """Every line is one of those that a flowchart has, and a label has only our own tags."""
    box = Box("a", text, text, text, (text,), error=text)
    head, *lines = to_mermaid(Scene((box,), (Arrow("a", "a", text),), text)).partition("flowchart LR\n")[2].splitlines()
    assert NODE.fullmatch(head)
    label = NODE.fullmatch(head)["label"]
    assert not re.search(r"[<>`]|&", re.sub(r"</?b>|<br/>", "", label))
    assert EDGE.fullmatch(lines[0])
    assert CLASS.fullmatch(lines[1])
    assert len(lines) == 2


def test_a_frame_is_a_subgraph():
    """Arrows lead to it as to any box; a box with more in it than is drawn has two borders."""
    boxes = (
        Box("a", "a"),
        Box("sub", "sub", "graph clean", "failed", ("5 ms",), notes=("when a.x",)),
        Box("sub/x", "x", inside="sub", is_nested=True),
    )
    assert to_mermaid(Scene(boxes, (Arrow("a", "sub"),))).splitlines()[1:-2] == [
        '  n0("<b>a</b>"):::plan',
        '  subgraph n1["<b>sub</b><br/>graph clean<br/>when a.x<br/>failed · 5 ms"]',
        '    n2[["<b>x</b>"]]:::plan',
        "  end",
        "  class n1 failed",
        "  n0 --> n1",
    ]


@given(st.text(alphabet=st.characters(codec=None)) | st.just(NASTY))
def test_no_text_leaves_its_frame(text):
    """Nor does it end it."""
    frame = Box("a", text, text, facts=(text,), error=text, notes=(text,))
    lines = to_mermaid(Scene((frame, Box("b", "b", inside="a")))).splitlines()
    label = FRAME.fullmatch(lines[1])["label"]
    assert not re.search(r"[<>`]|&", re.sub(r"</?b>|<br/>", "", label))
    assert lines[2:5] == ['    n1("<b>b</b>"):::plan', "  end", "  class n0 plan"]


@given(st.text(alphabet=st.characters(codec=None), min_size=1, max_size=100))
def test_the_title_is_valid_yaml(title):
    """A front matter of one key; signs that HTML would take for its own have a stand-in."""
    front = to_mermaid(Scene((), (), title)).split("---\n")[1]
    loaded = yaml.safe_load(front)["title"]
    assert isinstance(loaded, str)
    assert not set("<>&\n") & set(loaded)
