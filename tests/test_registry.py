"""The actions and graphs that an application knows."""

import dataclasses
import types
from pathlib import Path

import pytest

from dagger import (
    ActionNotRegistered,
    Context,
    CycleError,
    Dagger,
    Graph,
    GraphError,
    NodeAction,
    PubSubAgent,
    RegistryError,
    action,
    agent,
)
from dagger.core.graph import Node

BUILT_IN = {"supervisor_step", "human_interrupt"}


class Shout(NodeAction):
    """Loud."""

    async def execute(self, ctx: Context):
        return "!"


def test_a_function_is_registered_under_its_name_or_another():
    """Bare, with a name, with options; the function stays what it was."""
    app = Dagger("memory:")

    @app.action
    def one():
        return 1

    @app.action("second")
    def two():
        return 2

    @app.action(name="third", runs_in="loop")
    def three():
        return 3

    app.register_action(lambda: 4)
    app.register_action(Shout)
    assert (one(), two(), three()) == (1, 2, 3)
    assert list(app.actions)[2:] == ["one", "second", "third", "<lambda>", "Shout"]
    assert app.actions["third"].runs_in == "loop"
    with pytest.raises(TypeError):
        app.actions["x"] = None


def test_a_name_is_taken_once():
    """The same function twice is fine, another of its name is not."""
    app = Dagger("memory:")

    @action
    def act():
        return 1

    app.register_action(act)
    app.register_action(act)
    with pytest.raises(RegistryError, match="an action 'act' is registered already; give this one another name"):
        app.action("act")(lambda: 2)
    with pytest.raises(RegistryError, match="5 is no action: give a function or a NodeAction"):
        app.register_action(5)


def test_include_takes_all_actions_of_a_module():
    """Marked functions and NodeAction classes defined there; imported classes and all else are passed over."""
    module = types.ModuleType("mine")

    class Local(Shout):
        pass

    Local.__module__ = "mine"
    vars(module).update(act=action("act")(lambda: 1), Local=Local, Shout=Shout, NodeAction=NodeAction, other=print, n=5)
    app = Dagger("memory:")
    app.include(module, action("single")(lambda: 1), Shout())
    assert set(app.actions) - BUILT_IN == {"Local", "Shout", "act", "single"}


def test_including_a_module_twice_does_nothing_more():
    """A module with a NodeAction class too."""
    module = types.ModuleType("mine")

    class Local(Shout):
        pass

    Local.__module__ = "mine"
    vars(module).update(act=action("act")(lambda: 1), Local=Local, instance=Shout())
    app = Dagger("memory:")
    app.include(module)
    app.include(module)
    assert set(app.actions) - BUILT_IN == {"Local", "Shout", "act"}


def graph(name, *tags):
    made = Graph(name, tags=tags)
    made.add("act", id="n")
    return made


def application():
    app = Dagger("memory:")
    app.action("act")(lambda: 1)
    return app


def test_graphs_are_found_by_name_and_tags():
    """A part of any tag, or all of several."""
    app = application()
    for made in (graph("a", "nightly", "etl"), graph("b", "etl"), graph("c")):
        app.add_graph(made)

    def names(**filters):
        return [found.name for found in app.graphs(**filters)]

    assert names() == ["a", "b", "c"]
    assert names(tag_contains="tl") == ["a", "b"]
    assert names(tags=["etl", "nightly"]) == ["a"]
    assert names(tag_contains="night", tags=["etl"]) == ["a"]
    assert names(tags=["x"]) == []
    assert app.graph("a").tags == ("nightly", "etl")
    with pytest.raises(GraphError, match="there is no graph 'z'; loaded: a, b, c"):
        app.graph("z")


def test_a_graph_is_checked_when_it_is_added():
    """Actions that are not here, cycles, empty graphs: all at once, and nothing is registered."""
    app = application()
    bad = Graph("g")
    bad.add("actt", id="n")
    bad.add("act", id="m", failure="undo")
    with pytest.raises(ActionNotRegistered, match=r"(?s)action 'actt' is not registered.*failure action 'undo'"):
        app.add_graph(bad)
    with pytest.raises(GraphError, match="graph 'e' has no nodes"):
        app.add_graph(Graph("e"))
    assert app.graphs() == []


def test_graphs_that_were_given_as_objects_are_registered_too():
    """With all that was given to them; what is registered already stays."""
    app = application()
    inner, middle, outer = Graph("inner"), Graph("middle"), Graph("outer")
    inner.add("act")
    middle.add(inner)
    outer.add(middle, id="one")
    outer.add(graph=middle, id="two")
    app.add_graph(inner)
    app.add_graph(outer)
    assert [app.graph(name) for name in ("inner", "middle", "outer")] == [inner, middle, outer]
    assert set(app.plan(outer.definition).graphs) == {"inner", "middle"}


def test_a_graph_given_as_an_object_replaces_no_other_of_its_name():
    """Whether that one is registered, or given elsewhere."""
    app = application()
    app.add_graph(graph("sub"))
    outer = Graph("outer")
    outer.add(graph("sub", "other"))
    message = "there is another graph 'sub': give this one another name, or register it first"
    with pytest.raises(RegistryError, match=message):
        app.add_graph(outer)
    assert [found.name for found in app.graphs()] == ["sub"]
    app.add_graph(outer.nested["sub"])
    app.add_graph(outer)
    top = Graph("top")
    top.add(outer)
    top.add(graph("sub"))
    with pytest.raises(RegistryError, match=message):
        Dagger("memory:").add_graph(top)


def test_a_graph_that_contains_itself_is_not_registered():
    """Directly, or through objects that were given to it."""
    app = application()
    alone, first, second = Graph("alone"), Graph("first"), Graph("second")
    alone.add(alone)
    with pytest.raises(CycleError, match="graph 'alone': node 'alone': the graph contains itself: alone -> alone"):
        app.add_graph(alone)
    first.add(second)
    second.add(first)
    with pytest.raises(CycleError, match="graph 'first': node 'second': the graph contains itself: first -> second"):
        app.add_graph(first)
    assert app.graphs() == []


def test_the_graphs_of_a_directory_run_those_that_are_registered(tmp_path):
    """A file alone may come before those that it runs."""
    (tmp_path / "a.yaml").write_text("name: a\nnodes: [{id: n, graph: sub}]\n")
    app = application()
    assert app.load_yaml_file(tmp_path / "a.yaml").name == "a"
    with pytest.raises(GraphError, match=r"a\.yaml:2: node 'n': there is no graph 'sub'; loaded: a$"):
        app.load_yaml_dir(tmp_path)
    app.add_graph(graph("sub"))
    assert [found.name for found in app.load_yaml_dir(tmp_path)] == ["a"]


def test_a_graph_to_run_is_that_of_a_file_or_of_a_name(tmp_path, monkeypatch):
    """A file goes before a name, a folder does not; where there is neither, both are named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both").write_text("name: file\nnodes: [{id: n, action: act}]\n")
    (tmp_path / "folder").mkdir()
    app = application()
    for name in ("both", "folder"):
        app.add_graph(graph(name))

    assert [app.graph_to_run(text).name for text in ("both", "folder", "file")] == ["file", "folder", "file"]
    message = "there is no file 'fodler', and no registered graph of this name; did you mean the graph 'folder'"
    with pytest.raises(GraphError, match=message):
        app.graph_to_run("fodler")
    with pytest.raises(GraphError, match="no registered graph of this name; registered: both, folder, file"):
        app.graph_to_run("zzz")
    with pytest.raises(GraphError, match="x: there is no such file"):
        app.graph_to_run(Path("x"))


def test_graphs_beside_a_file_are_read_anew_and_registered_ones_go_before(tmp_path):
    """So that a file that was changed is noticed, and no file replaces what a program registered."""
    (tmp_path / "a.yaml").write_text("name: a\nnodes: [{id: n, graph: b}, {id: m, graph: sub}]\n")
    (tmp_path / "b.yaml").write_text("name: b\nversion: 1\nnodes: [{id: n, action: act}]\n")
    (tmp_path / "sub.yaml").write_text("name: sub\nversion: 1\nnodes: [{id: n, action: act}]\n")
    app = application()
    registered = app.add_graph(graph("sub"))

    assert set(app.plan(app.graph_to_run(tmp_path / "a.yaml").definition).graphs) == {"b", "sub"}
    assert (app.graph("b").version, app.graph("sub")) == ("1", registered)
    (tmp_path / "b.yaml").write_text("name: b\nversion: 2\nnodes: [{id: n, action: act}]\n")
    app.graph_to_run(tmp_path / "a.yaml")
    assert app.graph("b").version == "2"


def test_a_graph_of_the_same_name_replaces_the_first():
    """The registry holds the newest."""
    app = application()
    app.add_graph(graph("g"))
    second = app.add_graph(graph("g", "new"))
    assert app.graph("g") is second


def test_files_and_directories_are_loaded(tmp_path):
    """One graph a file, .yaml and .yml; a bad file in a directory means that none is loaded."""
    (tmp_path / "a.yaml").write_text("name: a\nnodes: [{id: n, action: act}]\n")
    (tmp_path / "b.yml").write_text("name: b\nnodes: [{id: n, action: act}]\n")
    app = application()
    assert app.load_yaml_file(tmp_path / "a.yaml").name == "a"
    assert sorted(found.name for found in app.load_yaml_dir(tmp_path)) == ["a", "b"]
    (tmp_path / "c.yaml").write_text("name: c\nnodes: [{id: n, action: actt}]\n")
    app = application()
    with pytest.raises(GraphError, match="action 'actt' is not registered"):
        app.load_yaml_dir(tmp_path)
    assert app.graphs() == []


def test_required_actions_are_named_with_the_nearest():
    """The first that is missing."""
    app = application()
    app.require_actions([Node(id="n", action="act")])
    with pytest.raises(ActionNotRegistered, match=r"node 'n': action 'zzz' is not registered; registered: act"):
        app.require_actions([Node(id="n", action="zzz")])
    app.require_actions([Node(id="n", graph="sub", failure="act")])
    with pytest.raises(ActionNotRegistered, match=r"node 'n': failure action 'atc' is not registered; did you mean"):
        app.require_actions([Node(id="n", graph="sub", failure="atc")])


# -- agents ---------------------------------------------------------------------------------------------------


class Reader(PubSubAgent):
    subscriptions = ("tasks",)

    async def process_message(self, message, ctx):
        return None


def typed(name, takes=None, gives=None, subscribe="in", publish="out"):
    """An agent that takes and publishes values of a JSON type."""
    schemas = {"input_schema": {"type": takes}} if takes else {}
    schemas |= {"output_schema": {"type": gives}} if gives else {}
    return agent(name=name, subscribe=subscribe, publish=publish, **schemas)(lambda payload: payload)


def test_an_agent_is_registered_under_its_name():
    """By decorating, or as an object, or its class; the built-in one stands first."""
    app = Dagger("memory:")

    @app.agent("tasks", publish="results")
    async def worker(task: dict) -> dict:
        return task

    assert callable(worker)
    assert app.register_agent(Reader).agent.name == "Reader"
    assert (list(app.agents), app.own_agents) == (["human_review", "worker", "Reader"], ["worker", "Reader"])
    assert app.agents["worker"].agent.publications == ("results",)
    with pytest.raises(TypeError):
        app.agents["x"] = None


def test_agents_and_actions_do_not_take_each_others_names():
    """What steps call has a name of its own for each; agents are no tools."""
    app = application()
    before = app.tool_schemas()
    app.agent("tasks", name="act")(lambda payload: payload)
    assert app.code["act"] is app.actions["act"]
    assert app.code["agent:act"] is app.agents["act"]
    assert app.tool_schemas() == before
    with pytest.raises(ActionNotRegistered):
        app.require_actions([Node(id="n", action="agent:act")])


def test_an_agents_name_is_taken_once():
    """The same one twice is fine, another of its name is not; nor is that of a built-in one."""
    app = Dagger("memory:")
    app.register_agent(Reader)
    app.register_agent(Reader)
    with pytest.raises(RegistryError, match="an agent 'Reader' is registered already; give this one another name"):
        app.register_agent(Reader())
    with pytest.raises(RegistryError, match="an agent 'human_review' is built in; give this one another name"):
        app.agent("tasks", name="human_review")(lambda payload: payload)
    with pytest.raises(RegistryError, match="5 is no agent: mark a function with @agent, or give a PubSubAgent"):
        app.register_agent(5)
    assert app.own_agents == ["Reader"]


def test_any_number_of_agents_read_one_channel():
    """They are told apart by their names, and not by what they read."""
    app = Dagger("memory:")
    for name in ("one", "two", "three"):
        app.register_agent(typed(name, "string", subscribe=["in", "more"], publish=()))
    assert app.own_agents == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            typed("w", gives="integer"),
            typed("r", "string", subscribe="out", publish=()),
            "agents 'w' and 'r' can never agree on channel 'out': at $: 'r' takes string, 'w' publishes integer",
        ),
        (
            typed("r", "string", subscribe="out", publish=()),
            typed("w", gives="integer"),
            "agents 'w' and 'r' can never agree on channel 'out': at $: 'r' takes string, 'w' publishes integer",
        ),
    ],
    ids=["the reader comes later", "the publisher comes later"],
)
def test_agents_that_can_never_agree_are_refused(first, second, told):
    """The second of them, with the channel, and what either says; then it is not registered."""
    app = Dagger("memory:")
    app.register_agent(first)
    with pytest.raises(RegistryError) as refused:
        app.register_agent(second)
    assert str(refused.value) == told
    assert len(app.own_agents) == 1


def test_a_field_that_only_the_reader_has_is_found_before_anything_runs():
    """It was renamed on one side: no message would ever be taken."""

    @dataclasses.dataclass
    class Sent:
        title: str

    @dataclasses.dataclass
    class Taken:
        name: str

    app = Dagger("memory:")

    @app.agent(subscribe="in", publish="out")
    async def sends(payload: int) -> Sent: ...

    with pytest.raises(RegistryError, match=r"at \$\.name: 'takes' requires it, 'sends' never publishes it"):

        @app.agent(subscribe="out")
        async def takes(payload: Taken): ...


def test_an_agent_that_reads_what_it_publishes_must_agree_with_itself():
    """As with any other."""
    app = Dagger("memory:")
    with pytest.raises(RegistryError, match="agents 'echo' and 'echo' can never agree on channel 'in'"):
        app.register_agent(typed("echo", "string", "integer", publish="in"))
    assert app.own_agents == []
    app.register_agent(typed("echo", "string", "string", publish="in"))


def test_what_may_agree_is_registered():
    """On other channels, or where a schema says nothing."""
    app = Dagger("memory:")
    for each in (
        typed("w", gives="integer"),
        typed("r", "number", subscribe="out"),
        typed("s", "string"),
        typed("any"),
    ):
        app.register_agent(each)
    assert app.own_agents == ["w", "r", "s", "any"]


def test_an_agent_that_was_removed_is_forgotten():
    """Its name, its code, and what it took and published: another may come in its place."""
    app = Dagger("memory:")
    app.register_agent(typed("one", "string", "integer"))
    app.remove_agent("one")
    assert (app.own_agents, [name for name in app.code if name.startswith("agent:")]) == ([], ["agent:human_review"])
    app.register_agent(typed("two", "integer", "string"))
    app.register_agent(typed("one", "string", subscribe="out", publish="in", gives="integer"))


def test_only_what_is_registered_is_removed():
    """The nearest name is told; what is built in stays."""
    app = Dagger("memory:")
    with pytest.raises(RegistryError, match="there is no agent 'x' to remove; registered: none"):
        app.remove_agent("x")
    app.register_agent(Reader)
    with pytest.raises(RegistryError, match="there is no agent 'Raeder' to remove; did you mean 'Reader'"):
        app.remove_agent("Raeder")
    with pytest.raises(RegistryError, match="the agent 'human_review' is built in: it cannot be removed"):
        app.remove_agent("human_review")
    assert "human_review" in app.agents


def test_an_agent_that_sizes_a_pool_of_others_is_not_removed():
    """They could not run any more; nothing has changed, and the error names them."""
    app = Dagger("memory:")

    @app.agent(subscribe="in", pool="web", rate="5/s")
    async def sizes(payload: int): ...

    @app.agent(subscribe="in", pool="web")
    async def shares(payload: int): ...

    with pytest.raises(RegistryError, match=r"pool 'web' has no size; give concurrency or rate .*: agent:shares"):
        app.remove_agent("sizes")
    assert app.own_agents == ["sizes", "shares"]
    app.remove_agent("shares")
    app.remove_agent("sizes")
    assert app.own_agents == []


def test_agents_share_pools_with_actions():
    """A size that another has given already cannot be another one; nothing is registered then."""
    app = Dagger("memory:")
    app.action("act", concurrency=2, pool="net")(lambda: 1)
    app.agent("tasks", name="fits", pool="net")(lambda payload: payload)
    app.agent("tasks", name="rated", pool="slow", rate="5/s")(lambda payload: payload)
    with pytest.raises(RegistryError, match="slow"):
        app.agent("tasks", name="other", pool="slow", rate="6/s")(lambda payload: payload)
    assert app.own_agents == ["fits", "rated"]


def test_include_takes_all_agents_of_a_module():
    """Beside its actions: marked functions, and PubSubAgent classes and objects that are its own."""
    module = types.ModuleType("mine")

    class Local(Reader):
        pass

    Local.__module__ = "mine"
    named = type("Named", (Reader,), {"name": "named"})()
    vars(module).update(
        act=action("act")(lambda: 1), worker=typed("worker"), Local=Local, Reader=Reader, PubSubAgent=PubSubAgent,
        named=named, other=print,
    )  # fmt: skip
    app = Dagger("memory:")
    for _ in range(2):
        app.include(module)
    app.include(typed("single"), Reader)
    assert app.own_agents == ["worker", "Local", "named", "single", "Reader"]
    assert set(app.actions) - BUILT_IN == {"act"}
