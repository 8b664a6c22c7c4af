"""Folding: maps and large scenes in fewer boxes, and every scene becomes small."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dagger.views.fold import ARROWS, BOXES, ITEMS, MAIL, folded
from dagger.views.scene import Arrow, Box, Scene, heading


def fan(width, status="".format):
    """list -> fetch × width -> parse × width -> join."""
    boxes = [Box("list", "list", "ls")]
    arrows = []
    for n in range(width):
        boxes += [
            Box(f"fetch_{n}", f"fetch_{n}", "fetch", status(n)),
            Box(f"parse_{n}", f"parse_{n}", "parse", status(n)),
        ]
        arrows += [
            Arrow("list", f"fetch_{n}"),
            Arrow(f"fetch_{n}", f"parse_{n}"),
            Arrow(f"parse_{n}", "join", is_dashed=True),
        ]
    return Scene((*boxes, Box("join", "join", "join")), tuple(arrows), "fan")


def chain(length):
    boxes = tuple(Box(f"s{n}", f"s{n}", "work") for n in range(length))
    return Scene(boxes, tuple(Arrow(f"s{n}", f"s{n + 1}") for n in range(length - 1)))


def test_a_small_scene_is_left_alone():
    """Up to the limit nothing is folded."""
    scene = chain(BOXES)
    assert folded(scene) is scene


def test_a_crowd_becomes_one_box_that_counts():
    """With its members' statuses, the failed ones by name, and the colour of the worst."""
    small = folded(fan(250, lambda n: "failed" if n in {17, 203} else "succeeded"))
    fetch = small.boxes[1]
    assert [box.title for box in small.boxes] == ["list", "250 × fetch", "250 × parse", "join"]
    assert (fetch.action, fetch.status, heading(fetch)) == (
        "fetch_0 … fetch_249",
        "failed",
        "248 succeeded · 2 failed",
    )
    assert (fetch.error, fetch.count) == ("failed: fetch_17, fetch_203", 250)


def test_arrows_between_folded_boxes_become_one():
    """Those that look alike."""
    small = folded(fan(250))
    assert [(arrow.source, arrow.target, arrow.is_dashed) for arrow in small.arrows] == [
        ("list", small.boxes[1].key, False),
        (small.boxes[1].key, small.boxes[2].key, False),
        (small.boxes[2].key, "join", True),
    ]


def test_a_crowd_that_differs_in_its_neighbours_stays_apart():
    """Boxes are alike only if what comes before and after them is alike."""
    scene = fan(200)
    half = tuple(arrow for arrow in scene.arrows if arrow.target != "join" or int(arrow.source[6:]) < 100)
    titles = [box.title for box in folded(Scene(scene.boxes, half)).boxes]
    assert titles == ["list", "100 × fetch", "100 × parse", "100 × fetch", "100 × parse", "join"]


def test_small_groups_stay_while_folding_the_crowds_is_enough():
    """Thirty alike boxes are no crowd yet."""
    boxes = (*(Box(f"a{n}", f"a{n}", "a") for n in range(30)), *(Box(f"b{n}", f"b{n}", "b") for n in range(300)))
    small = folded(Scene(boxes))
    assert len(small.boxes) == 31
    assert small.boxes[-1].title == "300 × b"


def test_a_long_chain_of_one_action_becomes_one_box():
    """No crowd, but one after another."""
    (box,) = folded(chain(1000)).boxes
    assert (box.title, box.action) == ("1,000 × work", "s0 … s999")


def test_many_failed_ones_are_named_in_part():
    """Six names and a number."""
    error = folded(fan(400, "failed".format)).boxes[1].error
    assert error == "failed: fetch_0, fetch_1, fetch_2, fetch_3, fetch_4, fetch_5 and 394 more"


def test_many_arrows_are_folded_too():
    """A hundred boxes that lead to a hundred others are as little readable."""
    boxes = tuple(Box(f"{side}{n}", f"{side}{n}", side) for side in "ab" for n in range(100))
    arrows = tuple(Arrow(f"a{i}", f"b{k}") for i in range(100) for k in range(100))
    small = folded(Scene(boxes, arrows))
    assert [box.title for box in small.boxes] == ["100 × a", "100 × b"]


def test_boxes_without_an_action_fold_as_nodes():
    """A picture need not know actions."""
    assert folded(Scene(tuple(Box(str(n), str(n)) for n in range(301)))).boxes[0].title == "301 × nodes"


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 400), st.sampled_from([1, 3, 400]), st.integers(0, 2000))
def test_every_scene_becomes_small(random, size, actions, links):
    """Whatever its arrows and however many actions; no box is lost and no arrow leads nowhere."""
    boxes = tuple(Box(f"n{n}", f"n{n}", f"action{random.randrange(actions)}") for n in range(size))
    pairs = {tuple(sorted((random.randrange(size), random.randrange(size)))) for _ in range(links)}
    scene = Scene(boxes, tuple(Arrow(f"n{a}", f"n{b}") for a, b in sorted(pairs) if a != b))
    small = folded(scene, 100, 400)
    assert len(small.boxes) <= 100
    assert len(small.arrows) <= 400
    assert sum(box.count for box in small.boxes) == size
    keys = [box.key for box in small.boxes]
    assert len(keys) == len(set(keys))
    assert {key for arrow in small.arrows for key in (arrow.source, arrow.target)} <= set(keys)


def test_a_circle_is_drawn_like_anything_else():
    """No run has one, but a picture must not hang."""
    boxes = tuple(Box(str(n), str(n), "a") for n in range(400))
    small = folded(Scene(boxes, tuple(Arrow(str(n), str((n + 1) % 400)) for n in range(400))))
    assert len(small.boxes) <= BOXES
    assert len(small.arrows) <= ARROWS


def mapped(count, status="succeeded", steps=0):
    """plan -> each, a frame of so many items, each of them a frame of so many steps -> end."""
    items = []
    for n in range(count):
        items.append(Box(f"each/{n}", f"each/{n}", "search", status, inside="each", is_item=True))
        items += [Box(f"each/{n}/s{k}", f"s{k}", "work", status, inside=f"each/{n}") for k in range(steps)]
    ways = [Arrow(f"each/{n}/s{k}", f"each/{n}/s{k + 1}") for n in range(count) for k in range(steps - 1)]
    boxes = (Box("plan", "plan"), Box("each", "each"), Box("end", "end"), *items)
    return Scene(boxes, (Arrow("plan", "each"), Arrow("each", "end"), *ways))


def test_a_few_items_are_shown_and_many_are_one_box_in_any_scene():
    """The frame stays, and so do the arrows to it."""
    few = mapped(ITEMS)
    assert folded(few) is few
    small = folded(mapped(ITEMS + 1))
    assert [(box.title, box.inside) for box in small.boxes] == [
        ("plan", ""),
        ("each", ""),
        ("end", ""),
        (f"{ITEMS + 1} × search", "each"),
    ]
    assert small.arrows == mapped(0).arrows


def test_what_stands_in_many_items_goes_with_them():
    """The box that stands for them has nothing in it."""
    small = folded(mapped(ITEMS + 1, steps=3))
    assert [box.title for box in small.boxes] == ["plan", "each", "end", f"{ITEMS + 1} × search"]
    assert small.arrows == mapped(0).arrows


def test_few_failure_actions_of_many_items_are_shown():
    """One arrow leads there from the box that stands for the items."""
    scene = mapped(ITEMS + 1)
    rescue = Box("each/3:failure", "each/3:failure", "rescue", inside="each", is_item=True)
    small = folded(Scene((*scene.boxes, rescue), (*scene.arrows, Arrow("each/3", rescue.key, "failure"))))
    assert small.boxes[-1] is rescue
    assert small.arrows[-1] == Arrow(small.boxes[-2].key, rescue.key, "failure")


def test_who_wants_attention_is_named():
    """Failed, running, waiting and interrupted ones, a line each."""
    statuses = ["succeeded", "waiting", "failed", "running", "interrupted", "failed", *["pending"] * 10]
    scene = mapped(len(statuses))
    frames, items = scene.boxes[:3], scene.boxes[3:]
    scene = Scene((*frames, *(replace(box, status=status) for box, status in zip(items, statuses, strict=True))))
    assert folded(scene).boxes[-1].error.splitlines() == [
        "failed: each/2, each/5",
        "running: each/3",
        "waiting: each/1",
        "interrupted: each/4",
    ]


def test_frames_are_closed_from_the_inside_where_there_is_no_room():
    """A closed frame says what is in it; arrows that led into it end at it."""
    scene = mapped(5, steps=3)
    more = Scene(scene.boxes, (*scene.arrows, Arrow("plan", "each/0/s0")))
    inner = folded(more, boxes=10)
    assert [box.title for box in inner.boxes] == ["plan", "each", "end", *(f"each/{n}" for n in range(5))]
    assert (inner.boxes[3].notes, inner.boxes[3].is_nested) == (("3 steps: 3 succeeded",), True)
    assert inner.arrows[-1] == Arrow("plan", "each/0")
    outer = folded(more, boxes=4)
    assert [(box.title, box.notes) for box in outer.boxes] == [
        ("plan", ()),
        ("each", ("5 steps: 5 succeeded",)),
        ("end", ()),
    ]
    assert outer.arrows == mapped(0).arrows


def test_closed_frames_are_folded_like_any_box():
    """Nothing stands in them then."""
    frames = [Box(f"f{n}", f"f{n}", "graph g") for n in range(400)]
    scene = Scene((*frames, *(Box(f"{frame.key}/s", "s", "work", inside=frame.key) for frame in frames)))
    (box,) = folded(scene).boxes
    assert (box.title, box.count, box.inside) == ("400 × graph g", 400, "")


def mail(count, loops=False, own=0):
    """start -> so many messages of `tasks` -> as many deliveries of `worker`, and some nodes beside them."""
    boxes = [Box("start", "start", "ls"), *(Box(f"n{n}", f"n{n}", f"action {n}") for n in range(own))]
    arrows = []
    for n in range(count):
        boxes.append(Box(f"m{n}", f"tasks m{n}", "tasks", is_mail=True, is_round=True))
        boxes.append(Box(f"d{n}", f"worker#{n}", "worker", "succeeded", is_mail=True))
        arrows += [Arrow(f"d{n - 1}" if loops and n else "start", f"m{n}"), Arrow(f"m{n}", f"d{n}")]
    return Scene(tuple(boxes), tuple(arrows), "mail")


def test_a_few_messages_are_shown_each():
    """With what was done with them."""
    few = mail(MAIL // 2)
    assert folded(few).boxes == few.boxes


def test_messages_with_which_the_same_happened_become_one_where_there_are_many():
    """Those with which something else happened stay apart, and so do nodes."""
    scene = mail(MAIL)
    odd = Box("r0", "results r0", "results", is_mail=True, is_round=True)
    nodes = [Box(f"node{n}", f"node{n}", "work") for n in range(ITEMS + 1)]
    small = folded(Scene((*scene.boxes, odd, *nodes), (*scene.arrows, Arrow("d7", "r0"))))
    assert [box.title for box in small.boxes if box.action != "work"] == [
        "start",
        f"{MAIL - 1} × tasks",
        f"{MAIL - 1} × worker",
        "tasks m7",
        "worker#7",
        "results r0",
    ]
    assert [box.is_round for box in small.boxes[: -len(nodes)]] == [False, True, False, True, False, True]
    assert small.boxes[-len(nodes) :] == tuple(nodes)
    assert len(small.arrows) == 5


def test_in_a_large_scene_a_channels_messages_are_one_and_an_agents_deliveries_too():
    """Whatever led to them: a message that goes round and round draws the circle in which it went."""
    small = folded(mail(BOXES, loops=True))
    assert [(box.title, heading(box)) for box in small.boxes] == [
        ("start", ""),
        (f"{BOXES} × tasks", ""),
        (f"{BOXES} × worker", f"{BOXES} succeeded"),
    ]
    assert [(arrow.source, arrow.target) for arrow in small.arrows] == [
        ("start", small.boxes[1].key),
        (small.boxes[1].key, small.boxes[2].key),
        (small.boxes[2].key, small.boxes[1].key),
    ]


def test_what_is_no_message_stays_while_folding_these_is_enough():
    """And is folded like any box where it is not."""
    assert len(folded(mail(BOXES, own=BOXES - 3)).boxes) == BOXES
    assert len(folded(mail(BOXES, own=2 * BOXES)).boxes) <= BOXES


def test_a_closed_frame_tells_of_messages_apart_from_steps():
    """And of each step's status, however many an agent's box would stand for."""
    inner = [replace(box, key=f"f/{box.key}", inside="f") for box in mail(50).boxes[1:]]
    inner[-1] = replace(inner[-1], status="failed")
    others = [Box(f"n{n}", f"n{n}", f"action {n}") for n in range(BOXES - 1)]
    small = folded(Scene((Box("f", "f", "graph g"), *inner, *others)))
    assert small.boxes[0].notes == ("50 steps, 50 messages: 49 succeeded, 1 failed",)


def test_messages_of_two_flows_stay_apart():
    """Each in its frame."""
    frames = [Box(side, side, "graph g") for side in "ab"]
    boxes = [
        Box(f"{frame.key}{n}", f"tasks {n}", "tasks", inside=frame.key, is_mail=True)
        for frame in frames
        for n in range(50)
    ]
    small = folded(Scene((*frames, *boxes)))
    assert [(box.title, box.inside) for box in small.boxes[2:]] == [("50 × tasks", "a"), ("50 × tasks", "b")]
