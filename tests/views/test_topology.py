"""Topology: who writes and reads which channel, what may go wrong, and pictures of it."""

import json

import pytest
from tests.views.journals import NASTY, node, svg_texts

from dagger.core.messages import Agent
from dagger.views.texts import cut, visible
from dagger.views.topology import Channel, Topology, schema_text


def agent(name, reads, writes="", **fields):
    """`reads` and `writes`: channels, separated by spaces."""
    return Agent(
        name=name, subscriptions=(*reads.split(),), publications=(*writes.split(),), node=node("agent"), **fields
    )


def agreed(*_):
    return ""


def topology(*agents, disagreement=agreed):
    return Topology.of(agents, disagreement, "demo")


def warnings(*agents, kind, disagreement=agreed):
    return [each.message for each in topology(*agents, disagreement=disagreement).warnings if each.kind == kind]


PLANNER = agent("planner", "start", "tasks", description="Cuts a goal\ninto tasks.")
WORKER = agent("worker", "tasks", "results log", concurrency=4, input_schema={"title": "Task"})
KEEPER = agent("keeper", "results", concurrency=None, key="customer.id")


def test_each_channel_has_those_who_write_and_read_it():
    """In the order in which the agents name them."""
    assert topology(PLANNER, WORKER, KEEPER).channels == (
        Channel("tasks", ("planner",), ("worker",)),
        Channel("start", (), ("planner",)),
        Channel("results", ("worker",), ("keeper",)),
        Channel("log", ("worker",), ()),
    )


def test_channels_that_lead_nowhere_or_come_from_nowhere_are_told():
    """The first one of a flow is among them: it is a note, and no fault."""
    assert warnings(PLANNER, WORKER, KEEPER, kind="unread") == ["channel 'log': no agent reads it"]
    assert all(warning.is_note for warning in topology(PLANNER, WORKER, KEEPER).warnings)
    assert warnings(PLANNER, WORKER, KEEPER, kind="unwritten") == [
        "channel 'start': no agent writes to it, so messages come from outside, or from nodes"
    ]


def test_a_channel_that_nobody_reads_may_be_a_slip():
    """Where one with almost the same name gets no messages."""
    assert warnings(agent("a", "start", "serch_results"), agent("b", "search_results"), kind="unread") == [
        "channel 'serch_results': no agent reads it; did you mean 'search_results'?"
    ]


def test_a_loop_that_no_message_leaves_is_told():
    """Of one agent too."""
    loop = agent("ping", "a start", "b"), agent("pong", "b", "a")

    assert warnings(*loop, kind="loop") == [
        "loop without an exit: ping -> b -> pong -> a -> ping; it ends only where an agent publishes nothing"
    ]
    assert warnings(agent("echo", "a", "a"), kind="loop") == [
        "loop without an exit: echo -> a -> echo; it ends only where an agent publishes nothing"
    ]
    assert topology(*loop).warnings[-1].about == ("ping", "pong")


def test_a_loop_in_which_an_agent_gives_the_result_has_an_exit():
    """Though every message of it stays in the loop."""
    assert not warnings(agent("ping", "a start", "b", finishes=True), agent("pong", "b", "a"), kind="loop")


def test_a_long_loop_is_told_in_short():
    """Its first members and the last one."""
    loop = [agent(f"a{n}", f"c{n}", f"c{(n + 1) % 9}") for n in range(9)]

    (told,) = warnings(*loop, kind="loop")

    assert told.startswith("loop without an exit: a0 -> c1 -> a1 -> c2 -> a2 -> c3 -> a3 -> … -> c0 -> a0; ")


def test_a_loop_with_an_exit_is_none():
    """An agent outside reads what one of them publishes, or nobody does: a result."""
    for way_out in ("done", "found"):
        team = agent("ping", "a", "b"), agent("pong", "b", f"a {way_out}"), agent("reporter", "done")
        assert warnings(*team, kind="loop") == []
    assert warnings(agent("ping", "a", "b"), agent("pong", "b", "a"), agent("aside", "b"), kind="loop") == []


def test_agents_that_may_wait_for_each_other_are_told():
    """All of a circle request; of those that only publish nobody waits."""
    a, b = agent("a", "x", "y", requests=True), agent("b", "y", "x", requests=True)

    assert warnings(a, b, kind="requests") == ["request cycle: a -> b -> a; they may wait for each other's replies"]
    assert warnings(a, agent("b", "y", "x"), kind="requests") == []


def test_an_agent_that_may_wait_for_itself_is_told():
    """If it handles one message at a time: else its own request finds a free place."""
    assert warnings(agent("a", "x", "x", requests=True), kind="requests") == [
        "request cycle: a -> a; it would wait for its own reply"
    ]
    assert warnings(agent("a", "x", "x", requests=True, concurrency=2), kind="requests") == []


def test_schemas_that_disagree_are_told_for_each_pair_of_a_channel():
    """As the comparison that is handed in says it."""

    def disagreement(publisher, subscriber):
        taken, published = subscriber.input_schema, publisher.output_schema
        return f"{subscriber.name} wants {taken}, {publisher.name} has {published}" if taken else ""

    assert warnings(PLANNER, WORKER, KEEPER, kind="schemas", disagreement=disagreement) == [
        "channel 'tasks': worker wants {'title': 'Task'}, planner has None"
    ]


@pytest.mark.parametrize("schema", ["$ref", "plain"])
def test_a_key_that_the_schema_does_not_name_is_warned_of(schema):
    """With the nearest: the payload may have it all the same. Where a schema names nothing, nothing is known."""
    inner = {"type": "object", "properties": {"customer": {"type": "object", "properties": {"id": {}}}, "tags": {}}}
    taken = inner if schema == "plain" else {"$ref": "#/$defs/Order", "$defs": {"Order": inner}}

    def warned(key):
        return warnings(agent("pack", "orders", key=key, input_schema=taken), kind="key")

    told = "its schema names no 'custmer'; did you mean 'customer'?; messages without it are handled one after another"
    assert warned("custmer.id") == [f"agent 'pack': key 'custmer.id': {told}"]
    assert [len(warned(key)) for key in ("customer.id", "tags.first", "customer.nr", "")] == [0, 0, 1, 0]
    inner["properties"]["tags"] = True
    assert warned("tags.first") == []


def test_the_agent_that_asks_people_is_shown_where_it_is_used():
    """It is built in, and most applications have nothing to do with it."""
    asker = agent("human_review", "human_review", "human_review.answered")

    assert topology(asker, WORKER).agents == (WORKER,)
    assert asker in topology(asker, agent("worker", "tasks", "human_review")).agents
    assert asker in topology(asker, agent("worker", "human_review.answered")).agents


def test_json_has_agents_channels_and_warnings():
    """The agents with their schemas, without how a delivery is tried."""
    told = json.loads(topology(PLANNER, WORKER).to_json(indent=2))

    assert told["agents"][1] == {
        "name": "worker",
        "description": "",
        "subscriptions": ["tasks"],
        "publications": ["results", "log"],
        "requests": False,
        "finishes": False,
        "publishes_exactly": False,
        "concurrency": 4,
        "key": "",
        "input_schema": {"title": "Task"},
        "output_schema": None,
    }
    assert told["channels"][0] == {"name": "tasks", "writers": ["planner"], "readers": ["worker"]}
    assert [warning["kind"] for warning in told["warnings"]] == ["unread", "unread", "unwritten"]


def test_a_picture_has_boxes_for_agents_and_ellipses_for_channels():
    """With arrows as the messages go."""
    picture = topology(PLANNER, WORKER, KEEPER).picture()
    boxes = {box.key: box for box in picture.boxes}

    assert [box.title for box in picture.boxes if box.is_round] == ["tasks", "start", "results", "log"]
    assert boxes["agents/planner"].notes == ("Cuts a goal into tasks.",)
    assert boxes["channels/tasks"].notes == ("Task",)
    assert [boxes[f"agents/{name}"].facts for name in ("planner", "worker", "keeper")] == [
        ("one at a time",),
        ("4 at once",),
        ("in order per customer.id",),
    ]
    assert ("agents/planner", "channels/tasks") in [(arrow.source, arrow.target) for arrow in picture.arrows]
    assert ("channels/tasks", "agents/worker") in [(arrow.source, arrow.target) for arrow in picture.arrows]


def test_a_picture_tells_what_may_go_wrong_where_it_does():
    """But not what the arrows show."""
    loop = agent("ping", "a start", "b"), agent("pong", "b", "a")
    boxes = {box.title: box.error for box in topology(*loop, disagreement=lambda *_: "no way").picture().boxes}

    assert boxes["ping"].startswith("loop without an exit: ")
    assert boxes["b"] == "channel 'b': no way"
    assert boxes["start"] == boxes["pong"] == ""


def test_a_topology_is_drawn_in_every_form(graphviz):
    """DOT, Mermaid, SVG, and in a notebook."""
    shown = topology(PLANNER, WORKER)

    assert "shape=ellipse" in shown.to_dot()
    assert '(["<b>tasks</b><br/>channel<br/>Task"])' in shown.to_mermaid()
    assert {"planner", "tasks", "Task", "4 at once"} <= set(svg_texts(shown.to_svg()))
    assert "<svg" in shown._repr_html_()


def test_many_agents_are_folded_apart_from_their_channels():
    """A large application is drawn too; nobody would read a thousand boxes."""
    dot = topology(*(agent(f"a{n}", f"c{n}", "all") for n in range(1000))).to_dot()

    drawn = [line for line in dot.splitlines() if "1,000 × " in line]
    assert ["agent" in line for line in drawn] == ["shape=ellipse" not in line for line in drawn]
    assert len(drawn) == 2


def test_every_text_is_drawn_as_it_is(graphviz):
    """Names, descriptions and titles are other people's; long ones are cut at characters."""
    given = Agent(
        name=NASTY,
        description=NASTY * 9,
        subscriptions=(NASTY,),
        publications=("x",),
        node=node("agent"),
        output_schema={"title": "👩‍👩‍👧‍👦" * 30},
    )
    drawn = [text.replace("\xa0", " ").strip(" ") for text in svg_texts(topology(given).to_svg())]

    title = visible(cut(NASTY, 48)).replace("\n", "␊").strip(" ")
    assert drawn.count(title) == 2
    assert "👩‍👩‍👧‍👦" * 4 + "…" in drawn


def test_a_schema_is_told_in_short():
    """Its title, or what it refers to, or the names and types in it."""
    assert schema_text({"title": "Task", "type": "object"}) == "Task"
    assert schema_text({"$ref": "#/$defs/Task", "$defs": {}}) == "Task"
    assert schema_text({"type": "object", "properties": {"a": {}, "b": {}, "c": {}, "d": {}}}) == "{a, b, c, …}"
    assert schema_text({"anyOf": [{"type": "array", "items": {"type": "null"}}, {"const": 1}]}) == "[null] | anything"
    assert schema_text({"type": ["integer", "null"]}) == "integer | null"
    assert schema_text({"minimum": 3}) == "anything"
    assert schema_text({"title": "x" * 50}) == "x" * 29 + "…"
