"""Pictures of plans, and pictures of any kind in every form."""

from tests.views.journals import json, node, svg_texts

from dagger.core.graph import Condition, Definition, Map
from dagger.views.draw import Picture, plan_picture
from dagger.views.scene import Arrow, Box

PLAN = Definition(
    name="parallel_demo",
    nodes=(
        node("add", "add_numbers", outputs=["sum"], inputs={"num1": "inputs.num1", "num2": 2}),
        node("square", outputs=["root"], inputs={"input": "add.sum"}, try_count=5, timeout=30.0, failure="notify"),
        node("report", after=["square"], run_when="finished", on_failure="continue", try_count=1),
    ),
)


def test_a_plan_is_its_nodes_and_their_dependencies():
    """Inputs as references or literals, outputs by name."""
    picture = plan_picture(PLAN)
    add = picture.boxes[0]
    assert (picture.title, add.title, add.action, add.status) == ("parallel_demo", "add", "add_numbers", "")
    assert (add.inputs, add.outputs) == ((("num1", "inputs.num1"), ("num2", "2")), (("sum", ""),))
    assert [(arrow.source, arrow.target) for arrow in picture.arrows] == [("add", "square"), ("square", "report")]


def test_a_plan_tells_what_differs_from_the_defaults():
    """And an arrow is dashed where success of what comes before is not needed."""
    add, square, report = plan_picture(PLAN).boxes
    assert add.facts == ()
    assert square.facts == ("5 tries", "30 s each", "else notify")
    assert report.facts == ("run when finished", "1 try", "on failure continue")
    assert [arrow.is_dashed for arrow in plan_picture(PLAN).arrows] == [False, True]


def test_a_picture_is_drawn_in_every_form(graphviz):
    """DOT, Mermaid, SVG, and in a notebook."""
    picture = plan_picture(PLAN)
    assert "square" in picture.to_dot()
    assert "square" in picture.to_mermaid()
    assert picture.to_svg().startswith("<svg")
    assert picture._repr_html_().endswith("</svg>\n</div>")


def test_a_notebook_without_graphviz_says_how_to_get_it(monkeypatch, tmp_path):
    """Instead of a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert "pip install &quot;dagger-flow[draw]&quot;" in Picture((Box("a", "a"),))._repr_html_()


def test_a_large_picture_is_folded_before_it_is_drawn():
    """Mermaid, which refuses large texts, earlier than Graphviz."""
    boxes = (Box("list", "list"), *(Box(f"f{n}", f"f{n}", "fetch") for n in range(200)))
    picture = Picture(boxes, tuple(Arrow("list", box.key) for box in boxes[1:]))
    assert '"f199"' in picture.to_dot()
    assert "200 × fetch" in picture.to_mermaid()
    more = Picture((*boxes, *(Box(f"g{n}", f"g{n}", "fetch") for n in range(200))))
    assert "400 × fetch" in more.to_dot()


CLEAN = Definition(name="clean", nodes=(node("strip"), node("lower", after=["strip"])))
NESTING = Definition(
    name="site",
    nodes=(
        node("plan"),
        node("pages", "", graph="clean", map=Map("plan.urls", max_parallel=4)),
        node("deep", when=Condition("plan.score", {"gt": json(3), "not_in": json([7, "x"])}), after=["pages"]),
        node("tell", when=Condition("plan.found")),
    ),
)


def test_a_plan_tells_when_and_for_each_of_what():
    """As one would say it."""
    assert [(box.action, box.notes) for box in plan_picture(NESTING).boxes] == [
        ("work", ()),
        ("graph clean", ("for each of plan.urls, 4 at once",)),
        ("work", ('when plan.score > 3 and not in [7,"x"]',)),
        ("work", ("when plan.found",)),
    ]


def test_a_nested_graph_is_drawn_where_it_is_known():
    """In its node's frame; else the node's border says that there is more in it."""
    assert [box.is_nested for box in plan_picture(NESTING).boxes] == [False, True, False, False]
    known = plan_picture(NESTING, {"clean": CLEAN})
    assert [(box.title, box.inside, box.is_nested) for box in known.boxes] == [
        ("plan", "", False),
        ("pages", "", False),
        ("strip", "pages", False),
        ("lower", "pages", False),
        ("deep", "", False),
        ("tell", "", False),
    ]
    assert ("pages/strip", "pages/lower") in [(arrow.source, arrow.target) for arrow in known.arrows]


def test_graphs_that_contain_themselves_are_drawn_once():
    """Whoever asks for the picture may be about to find the mistake."""
    one = Definition(name="one", nodes=(node("x", "", graph="two"),))
    two = Definition(name="two", nodes=(node("y", "", graph="one"),))
    picture = plan_picture(one, {"one": one, "two": two})
    assert [(box.key, box.is_nested) for box in picture.boxes] == [("x", False), ("x/y", False), ("x/y/x", True)]


def test_a_nested_plan_is_drawn_in_every_form(graphviz):
    """A frame for Graphviz, a subgraph for Mermaid."""
    picture = plan_picture(NESTING, {"clean": CLEAN})
    assert {"pages", "graph clean", "for each of plan.urls, 4 at once", "strip"} <= set(svg_texts(picture.to_svg()))
    assert "subgraph n1[" in picture.to_mermaid()
