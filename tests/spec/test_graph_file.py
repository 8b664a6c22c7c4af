"""Graph files are loaded whole or not at all, with every problem told at once."""

import os
import re
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.spec.bad_files import ACTIONS, BAD
from tests.spec.definitions import definitions

from dagger.core.errors import (
    ActionNotRegistered,
    CycleError,
    DependencyNotFound,
    GraphError,
    InvalidReference,
    NodeAlreadyExists,
)
from dagger.core.graph import Definition, Input, Node
from dagger.spec import graph_file
from dagger.spec.graph_file import check_definition, json_schema, load_text, read_dir, read_file, to_yaml

GOOD = "name: {}\nnodes: [{{id: a, action: add}}]\n"


def load(text, actions=None):
    return load_text(text, file="f.yaml", actions=actions)


def problems(text, actions=ACTIONS):
    with pytest.raises(GraphError) as refused:
        load(text, actions)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_where_what_and_what_to_do(name):
    """All its problems, and nothing that only follows from them."""
    text, expected = BAD[name]
    assert problems(text) == expected


def test_all_problems_are_told_at_once_in_the_order_of_the_lines():
    """From every part of the file and every kind of check."""
    text = """\
name: everything
tags: demo
config:
  max_attempts: 0
inputs:
  url: strin
nodes:
  - id: fetch
    acton: get
    outputs: [page]
    timeout: -1
  - id: a
    action: add
    dependencies: [fetsh, b]
    inputs:
      - name: x
        reference: fetch.pag
      - {name: y, reference: inputs.ulr}
  - id: b
    action: ad
    dependencies: [a]
    try_count: 0
  - id: a
    action: add
"""
    assert problems(text) == [
        "f.yaml:2: tags must be a list of texts, not 'demo'; write [demo]",
        "f.yaml:4: config: max_attempts: 0: must be a whole number of at least 1",
        "f.yaml:6: run input 'url': 'strin' is no type; did you mean 'string'?",
        "f.yaml:8: node 'fetch': it has neither an action nor a graph; give one",
        "f.yaml:9: node 'fetch': unknown key 'acton'; did you mean 'action'?",
        "f.yaml:11: node 'fetch': timeout -1 must be a number of seconds above 0",
        "f.yaml:12: the nodes wait for each other: a -> b -> a",
        "f.yaml:14: node 'a': dependency 'fetsh' is not a node; did you mean 'fetch'?",
        "f.yaml:16: node 'a': input 'x': 'fetch.pag': node 'fetch' has no output 'pag'; did you mean 'page'?",
        "f.yaml:18: node 'a': input 'y': run input 'ulr' is not declared; did you mean 'url'?",
        "f.yaml:20: node 'b': action 'ad' is not registered; did you mean 'add'?",
        "f.yaml:22: node 'b': try_count 0 must be a whole number of at least 1",
        "f.yaml:23: node 'a': a second node has this id; the first is in line 12",
    ]


def test_what_is_wrong_with_a_node_is_not_told_of_those_that_use_it():
    """Its id is known, whatever else is wrong with it."""
    text = """\
name: g
nodes:
  - {id: broken, action: [get], outputs: [{nam: page}], timeout: soon}
  - {id: user, action: add, dependencies: [broken], inputs: {x: broken.page}}
"""
    assert problems(text) == [
        "f.yaml:3: node 'broken': action must be a text, not a list",
        "f.yaml:3: node 'broken': outputs: unknown key 'nam'; did you mean 'name'?",
        "f.yaml:3: node 'broken': an output needs a name",
        "f.yaml:3: node 'broken': timeout must be a number of seconds above 0, not 'soon'",
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cycle", CycleError),
        ("missing dependency", DependencyNotFound),
        ("unknown action", ActionNotRegistered),
        ("duplicate id", NodeAlreadyExists),
        ("reference to an unknown node", InvalidReference),
        ("reference to an unknown output", InvalidReference),
        ("unknown key of a node", GraphError),
    ],
)
def test_a_file_with_one_kind_of_problem_raises_the_error_of_that_kind(name, kind):
    """So that it can be caught."""
    with pytest.raises(GraphError) as refused:
        load(BAD[name][0], ACTIONS)
    assert type(refused.value) is kind
    assert refused.value.problems[0].kind == kind.__name__


def test_actions_are_not_checked_when_none_are_told():
    """`dagger validate` without an application."""
    assert load("name: g\nnodes: [{id: a, action: whatever}]").nodes[0].action == "whatever"


def test_what_is_loaded_is_hashed_and_has_its_config_in_one_spelling():
    """As it goes into the journal."""
    text = """\
name: g
config: {on_failure: Stop, retry_strategy: Immediate}
nodes: [{id: a, action: add}]
"""
    loaded = load(text)
    assert loaded.config == {"on_failure": "stop", "retry_strategy": "immediate"}
    assert loaded.nodes == (Node(id="a", action="add").hashed(),)


def test_a_file_is_read_from_disk(tmp_path):
    """By its path, as text or Path; the problems name it as it was given."""
    path = tmp_path / "good.yaml"
    path.write_text(GOOD.format("good"), "utf-8")
    assert read_file(path, ACTIONS).name == read_file(str(path)).name == "good"
    path.write_text("name: bad\n", "utf-8")
    with pytest.raises(GraphError, match=r"good\.yaml:1: graph 'bad' has no nodes"):
        read_file(path, ACTIONS)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    """Some editors write one."""
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.format("g").encode())
    assert read_file(path).name == "g"


def test_files_that_cannot_be_read_say_what_to_do(tmp_path):
    """Not there, a directory, no path at all, no right to."""
    with pytest.raises(
        GraphError, match=r"missing\.yaml: there is no such file or directory; give the path of a graph"
    ):
        read_file(tmp_path / "missing.yaml")
    with pytest.raises(GraphError, match="this is a directory; give a file, or load the directory as one"):
        read_file(tmp_path)
    with pytest.raises(GraphError, match="cannot be read: embedded null byte; give the path of a graph file"):
        read_file("a\0b")
    with pytest.raises(GraphError, match="cannot be read: File name too long; give the path of a graph file"):
        read_file("x" * 5000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_the_right_to_read_it_is_an_error(tmp_path):
    """Not a traceback."""
    path = tmp_path / "secret.yaml"
    path.touch(0o000)
    with pytest.raises(GraphError, match="cannot be read: Permission denied"):
        read_file(path)


def test_no_more_of_a_file_is_read_than_is_allowed(tmp_path):
    """A file of terabytes is refused after ten megabytes."""
    path = tmp_path / "huge.yaml"
    with path.open("wb") as stream:
        stream.truncate(1024**4)
    with pytest.raises(GraphError, match=r"huge\.yaml:1: the file is larger than 10 MiB; split the graph"):
        read_file(path)


def test_a_directory_is_loaded_in_the_order_of_its_names(tmp_path):
    """.yaml and .yml; hidden files, others and folders are left alone."""
    for name in ("b.yaml", "a.yml", "c.YAML", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text(GOOD.format(name.replace(".", "_")), "utf-8")
    (tmp_path / "folder.yaml").mkdir()
    assert [found.name for found in read_dir(tmp_path, ACTIONS)] == ["a_yml", "b_yaml", "c_YAML"]


def test_a_directory_with_bad_files_raises_one_error_with_all_problems_of_all(tmp_path):
    """Nothing of it is loaded."""
    (tmp_path / "a.yaml").write_text("name: a\n", "utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.format("b"), "utf-8")
    (tmp_path / "c.yaml").write_bytes(b"\xff")
    (tmp_path / "d.yaml").symlink_to(tmp_path / "gone.yaml")
    (tmp_path / "e.yaml").write_text("tag: x\nname: b\nnodes: [{id: a, action: add}]\n", "utf-8")
    with pytest.raises(GraphError) as refused:
        read_dir(tmp_path, ACTIONS)
    assert [str(problem).removeprefix(f"{tmp_path}{os.sep}") for problem in refused.value.problems] == [
        "a.yaml:1: graph 'a' has no nodes",
        "c.yaml:1: not UTF-8: byte 0xff; save the file as UTF-8",
        "d.yaml: there is no such file or directory; give the path of a graph file",
        "e.yaml:1: unknown key 'tag'; did you mean 'tags'?",
        "e.yaml:2: graph 'b' is in b.yaml already; give one of them another name",
    ]


def runs(name, *graphs):
    """A file of a graph that runs others, each in a line of its own from line 3 on."""
    return f"name: {name}\nnodes:\n" + "".join(f"- {{id: run_{other}, graph: {other}}}\n" for other in graphs)


def test_the_graphs_of_a_directory_may_run_each_other_and_those_that_are_known(tmp_path):
    """In any order; without knowing which there are, nothing is said of others."""
    (tmp_path / "a.yaml").write_text(runs("a", "b", "known"), "utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.format("b"), "utf-8")
    known = {"known": Definition(name="known", nodes=(Node(id="n", action="add"),))}
    assert [found.name for found in read_dir(tmp_path, ACTIONS, known)] == ["a", "b"]
    assert len(read_dir(tmp_path, ACTIONS)) == 2
    with pytest.raises(GraphError, match=r"a\.yaml:4: node 'run_known': there is no graph 'known'; loaded: a, b"):
        read_dir(tmp_path, ACTIONS, {})


def test_what_is_wrong_between_the_graphs_of_a_directory_is_told_with_file_and_line(tmp_path):
    """Beside all else that is wrong; of a graph with problems of its own, only the name is known."""
    wrong = ["- {id: n, graph: c, inputs: {x: inputs.y}}", "- {id: m, graph: c, inputs: {y: 5}}"]
    odd = ["- {id: n, action: add, inputs: {x: inputs.a b}}"]
    (tmp_path / "a.yaml").write_text(runs("a", "b") + "\n".join(wrong), "utf-8")
    (tmp_path / "b.yaml").write_text(runs("b", "d", "a") + "\n".join(odd), "utf-8")
    (tmp_path / "c.yaml").write_text("name: c\nnodes: [{id: n, action: add, inputs: {x: inputs.y}}]", "utf-8")
    with pytest.raises(GraphError) as refused:
        read_dir(tmp_path, ACTIONS, {})
    assert [str(problem).removeprefix(f"{tmp_path}{os.sep}") for problem in refused.value.problems] == [
        "a.yaml:3: node 'run_b': the graph contains itself: a -> b -> a",
        "a.yaml:4: node 'n': graph 'c' has no input 'x'; it takes: y",
        "a.yaml:4: node 'n': graph 'c' needs the input 'y'; the node gives: x",
        "a.yaml:5: node 'm': input 'y': '5' is no reference; a literal is written {value: …}",
        "b.yaml:3: node 'run_d': there is no graph 'd'; loaded: a, b, c",
        "b.yaml:5: node 'n': input 'x': 'inputs.a b' is no reference: ' b' is neither .name nor [index]",
    ]


def test_a_file_alone_may_run_graphs_that_come_later():
    """But not itself."""
    assert load(runs("a", "later")).nodes[0].graph == "later"
    with pytest.raises(CycleError, match=r"f\.yaml:4: node 'run_a': the graph contains itself: a -> a"):
        load(runs("a", "later", "a"))


def test_a_directory_without_graph_files_is_an_error(tmp_path):
    """Most likely it is the wrong one."""
    with pytest.raises(GraphError, match=r"no \.yaml or \.yml file in this directory"):
        read_dir(tmp_path)
    with pytest.raises(GraphError, match="there is no such file or directory; give a directory of graph files"):
        read_dir(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(GraphError, match="cannot be read: Not a directory; give a directory of graph files"):
        read_dir(tmp_path / "file")


def test_graphs_built_in_code_are_checked_by_the_same_rules():
    """Without files and lines."""
    odd = Node(id="a", action="ad", inputs=(Input("x", "b.y"),), dependencies=("b",), timeout=-1.0)
    with pytest.raises(GraphError) as refused:
        check_definition(Definition(name="g", config={"max_attempts": 0}, nodes=(odd,)), ACTIONS)
    assert [str(problem) for problem in refused.value.problems] == [
        "config: max_attempts: 0: must be a whole number of at least 1",
        "node 'a': action 'ad' is not registered; did you mean 'add'?",
        "node 'a': timeout -1.0 must be a number of seconds above 0",
        "node 'a': input 'x': 'b.y': there is no node 'b'",
    ]
    check_definition(Definition(name="g", nodes=(Node(id="a", action="add"),)), ACTIONS)


ORIGINAL = """\
# A pipeline as the original's users have it.
name: arithmetic  # the name
description: Adds, then squares and triples in parallel, then adds.
author: "Rust User"
version: "0.0.1"
signature: 0xdeadbeef
tags:
  - example
  - math  # two tags
instructions: null
config:
  max_attempts: 3
  on_failure: Pause
  timeout_seconds: 3600
  human_wait_minutes: null
  human_timeout_action: Autopilot
  max_tokens: ~
  max_iterations: 50
  review_frequency: 5
  retry_strategy:
    Exponential:
      initial_delay_secs: 2
      max_delay_secs: 60
      multiplier: 2.0
nodes:
  - id: node1
    dependencies: []  # none
    inputs:
      - name: num1
        description: First number
        reference: inputs.num1
      - name: num2
        description: null
        reference: inputs.num2
    outputs:
      - name: sum
        description: Sum of the two numbers
    action: add_numbers
    failure: failure_function  # runs when all tries are used up
    onfailure: true
    description: Adds two numbers
    timeout: 3600
    try_count: 3
  - id: node2
    dependencies:
      - node1
    inputs:
      - {name: input, description: "", reference: node1.sum}
    outputs:
      - name: squared_sum
    action: square
    failure: ""
    onfailure: false
    description: ''
    timeout: 5
    try_count: 5
    instructions: [be exact]
"""


def test_files_of_the_original_load_unchanged():
    """All metadata fields, comments after values, the long form of inputs, nulls, its spellings of the config."""
    loaded = load(ORIGINAL, {"add_numbers", "square", "failure_function"})
    assert (loaded.name, loaded.author, loaded.version, loaded.signature) == (
        "arithmetic",
        "Rust User",
        "0.0.1",
        "0xdeadbeef",
    )
    assert loaded.description == "Adds, then squares and triples in parallel, then adds."
    assert loaded.tags == ("example", "math")
    assert loaded.instructions == ()
    assert loaded.config == {
        "max_attempts": 3,
        "on_failure": "pause",
        "timeout_seconds": 3600,
        "human_wait_minutes": None,
        "human_timeout_action": "autopilot",
        "max_tokens": None,
        "max_iterations": 50,
        "review_frequency": 5,
        "retry_strategy": {
            "exponential": {
                "initial_delay_secs": 2.0,
                "max_delay_secs": 60.0,
                "multiplier": 2.0,
                "jitter": 0.0,
            }
        },
    }
    first, second = loaded.nodes
    assert first.inputs == (Input("num1", "inputs.num1", description="First number"), Input("num2", "inputs.num2"))
    assert (first.failure, first.try_count, first.timeout, first.dependencies) == ("failure_function", 3, 3600.0, ())
    assert (second.failure, second.try_count, second.timeout, second.dependencies) == ("", 1, 5.0, ("node1",))
    assert second.instructions == ("be exact",)


def test_files_of_the_original_round_trip():
    """Written anew, they are the same graphs."""
    loaded = load(ORIGINAL)
    assert load(to_yaml(loaded)) == loaded


def test_the_schema_is_at_hand_here_too():
    """One module is the address for graph files."""
    assert json_schema()["title"] == "Dagger graph"


def layered(count, width=100):
    """Layers of nodes with three references each."""
    lines = ["name: layers", "nodes:"]
    for n in range(count):
        lines += [f"- id: n{n}", "  action: add", "  outputs: [sum]"]
        if n >= width:
            start = (n // width - 1) * width
            lines += ["  inputs:", *(f"    x{k}: n{start + (n + k) % width}.sum" for k in range(3))]
    return "\n".join(lines)


def seconds(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def test_a_hundred_thousand_nodes_are_loaded_in_linear_time():
    """Ten times the nodes, about ten times the time, in whichever order they stand."""
    small, large = (
        "name: g\nnodes:\n"
        + "".join(f"- {{id: n{n}, action: a, dependencies: [n{max(n - 1, 0)}]}}\n" for n in range(count - 1, 0, -1))
        + "- {id: n0, action: a}"
        for count in (10_000, 100_000)
    )
    base = min(seconds(lambda: load(small)) for _ in range(3))
    assert seconds(lambda: load(large)) < 25 * base


def test_checks_are_not_dearer_than_three_times_the_plain_parser():
    """The target of the benchmarks, here with room for noise."""
    import yaml

    if not yaml.__with_libyaml__:
        pytest.skip("PyYAML has no C parser here")
    text = layered(1000)
    ours = min(seconds(lambda: load(text, ACTIONS)) for _ in range(3))
    plain = min(seconds(lambda: yaml.load(text, yaml.CSafeLoader)) for _ in range(3))
    assert ours < 3 * plain


def test_ten_thousand_typos_are_told_quickly():
    """The nearest name is looked for where one begins to read."""
    text = "name: g\nnodes:\n" + "".join(
        f"- {{id: node_{n}, actoin: add, inputs: {{x: nod_{n}.y}}}}\n" for n in range(10_000)
    )
    begin = time.perf_counter()
    found = problems(text)
    assert time.perf_counter() - begin < 20
    assert len(found) == 30_000
    assert found[0] == "f.yaml:3: node 'node_0': unknown key 'actoin'; did you mean 'action'?"


RICH = (
    ORIGINAL
    + """\
  - id: node3
    action: add
    run_when: finished
    on_failure: continue
    priority: 3
    inputs:
      x: node2.squared_sum
      y: {value: {deep: [1, {a: b}]}}
      z: {reference: node1.sum, description: the sum}
inputs:
  num1: number
  num2: {type: [number, "null"], default: 2, description: the second}
"""
)


def pieces(text):
    """Its words, blanks and signs, so that a mutation hits something."""
    return re.findall(r"\w+|\s+|[^\w\s]", text)


PIECES = pieces(RICH)
WORDS = sorted(
    {*PIECES, "", "null", "- ", "[", "]", "{", "}", "&a ", "*a", "!!str ", "<<: ", "\t", "0", "-1", "inputs"}
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(PIECES) - 1), st.sampled_from(WORDS)), min_size=1, max_size=4))
def test_any_mutation_of_a_file_is_a_graph_or_a_graph_error(changes):
    """Whatever a slip of the fingers makes of a file."""
    words = list(PIECES)
    for place, word in changes:
        words[place] = word
    harmless("".join(words))


def mutated(tree, draw):
    """The tree with one key or entry dropped, doubled, renamed or replaced by another kind of thing."""
    if isinstance(tree, dict) and tree:
        key = draw(st.sampled_from(sorted(tree, key=str)))
        how = draw(st.sampled_from(["drop", "rename", "replace", "inside", "inside"]))
        if how == "inside":
            return {**tree, key: mutated(tree[key], draw)}
        rest = {other: value for other, value in tree.items() if other != key or how == "replace"}
        if how == "drop":
            return rest
        return {**rest, (key if how == "replace" else f"{key}s"): tree[key] if how == "rename" else odd(draw)}
    if isinstance(tree, list) and tree:
        place = draw(st.integers(0, len(tree) - 1))
        how = draw(st.sampled_from(["drop", "double", "inside", "inside"]))
        middle = {"drop": [], "double": [tree[place]] * 2}
        middle = middle[how] if how in middle else [mutated(tree[place], draw)]
        return [*tree[:place], *middle, *tree[place + 1 :]]
    return odd(draw)


def odd(draw):
    return draw(
        st.sampled_from([None, True, 0, -1, 1.5, 10**30, "", "x", "node1.sum", [], ["x"], {}, {"name": "x"}, [[]]])
    )


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_key_dropped_doubled_or_renamed_is_a_graph_or_a_graph_error(data):
    """Well-formed YAML that is no graph any more."""
    import yaml

    tree = yaml.safe_load(RICH)
    for _ in range(data.draw(st.integers(1, 3))):
        tree = mutated(tree, data.draw)
    harmless(yaml.safe_dump(tree))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_are_a_graph_or_a_graph_error(noise):
    """Nothing else is ever raised."""
    harmless(noise)


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet=" \n\t-:?[]{}#&*!|>'\"%@`,a0~.<=", max_size=60))
def test_any_signs_of_yaml_are_a_graph_or_a_graph_error(noise):
    """The characters that mean something."""
    harmless(noise)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_a_sound_definition_passes_the_check(definition):
    """What files may hold is what code may build."""
    check_definition(definition, None)


def harmless(text):
    try:
        loaded = load(text, ACTIONS)
    except GraphError as error:
        lines = [problem.line for problem in error.problems]
        assert lines == sorted(lines)
        assert lines[0] >= 1
        assert lines[-1] <= max(1, len(text.splitlines()))
    else:
        assert load(to_yaml(loaded)) == loaded


def test_the_module_exports_what_the_layers_above_use():
    """Its contents page."""
    assert graph_file.__all__ == ["check_definition", "json_schema", "load_text", "read_dir", "read_file", "to_yaml"]
