"""Definitions of every kind, for property tests: sound ones, with all fields and the oddest texts."""

import msgspec
from hypothesis import strategies as st

from dagger.core.config import RunConfig
from dagger.core.graph import TESTS, Condition, Definition, Input, Map, Node, Output, Reuse, RunInput, depended

ODD_TEXTS = [
    "no", "NO", "on", "y", "null", "Null", "~", "true", "False", "1.0", "010", "0x1F", "0o7", "1e5", "1_000", "12:30",
    "2001-01-01", ".inf", ".NaN", "-", "- a", "? a", "a: b", "a:", ": a", " a", "a ", "a #b", "#a", "a\nb", "a\nb\n",
    "a\n\nb", "\na", "a\n", "a\n\n", "\n", " \n a", "a\n b", "a\n\tb", "\t", "a\tb", "'", '"', "\\", "\\n", "a'b\"c",
    "{a: b}", "[a]", "*a", "&a", "!a", "!!int 3", "%a", "@a", "`a", "|", ">", "---", "...", "<<", "=", ",", "a, b",
    "\x00", "\x7f", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff", "\ufffe", "é", "日本", "😀", "a\r\nb", "a\rb",
    "x" * 200, "long words " * 30, "a\nb \nc", "…", "a\n# b\nc", "key: |\n  text",
]  # fmt: skip

texts = st.sampled_from(ODD_TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = texts.filter(bool)
ids = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda text: text not in {"inputs", "global", "item"}
)

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.just(10**40)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("k" * 2000), inner, max_size=3),
    max_leaves=8,
)
literals = values.map(msgspec.json.encode).map(msgspec.Raw)

SETTINGS = {
    "max_attempts": st.integers(1, 9),
    "on_failure": st.sampled_from(["continue", "Pause", "stop"]),
    "timeout_seconds": st.none() | st.floats(1, 86400),
    "max_tokens": st.none() | st.integers(1, 10**9),
    "retry_strategy": st.sampled_from(["immediate", {"linear": {"delay_secs": 0.5}}, {"Exponential": {"jitter": 0.1}}]),
    "durability": st.sampled_from(["sync", "async"]),
    "keep_events": st.sampled_from(["all", "30d", "12H"]),
}
configs = st.fixed_dictionaries({}, optional=SETTINGS).map(lambda settings: RunConfig.of(settings).to_dict())


FITTING = {
    None: values,
    (): values,
    "integer": st.integers(),
    "number": numbers,
    "string": texts,
    ("string", "null"): st.none() | texts,
    ("boolean",): st.booleans(),
    "object": st.just({}),
    "array": st.just([]),
}
"""Types of a run input, and defaults that fit."""


@st.composite
def run_inputs(draw):
    kinds = draw(st.sampled_from([*FITTING]))
    default = st.just(msgspec.UNSET) | FITTING[kinds].map(msgspec.json.encode).map(msgspec.Raw)
    return RunInput(kinds, draw(default), draw(st.just("") | texts))


def is_quotable(name):
    """Whether a reference can have it: in one kind of quotes, on one line."""
    return not set("\"'\n") & set(name)


COMPARED = {
    **dict.fromkeys(("in", "not_in"), st.lists(values, max_size=3)),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), numbers | texts),
}
tests = st.fixed_dictionaries(
    {}, optional={name: COMPARED.get(name, values).map(msgspec.json.encode).map(msgspec.Raw) for name in TESTS}
)
lengths = st.none() | st.sampled_from([30.0, 90.0, 43200.0, 2592000.0]) | st.floats(1e-6, 1e300)


@st.composite
def flows(draw, targets):
    """Whether, how often and on what a node runs: its fields for that."""
    if not targets:
        return {}
    when, over = (st.none() | st.sampled_from(targets) for _ in range(2))
    condition, mapped = draw(when), draw(over)
    return {
        "when": condition and Condition(condition, draw(tests)),
        "map": mapped and Map(mapped, draw(st.none() | st.integers(1, 9))),
    }


@st.composite
def nodes(draw, node_id, targets, before):
    """A node that refers to some of `targets` and waits for some of `before`."""
    inputs = []
    flow = draw(flows(targets))
    if flow.get("map"):
        targets = [*targets, "item", "item.x[0]", "item[-1]"]
    for name in draw(st.lists(names, max_size=3, unique=True)):
        described = draw(st.just("") | texts)
        if not targets or draw(st.booleans()):
            inputs.append(Input(name, value=draw(literals), description=described))
        else:
            inputs.append(Input(name, draw(st.sampled_from(targets)), description=described))
    written = draw(st.lists(st.sampled_from(before), max_size=3)) if before else []
    outputs = draw(st.lists(names.filter(is_quotable), max_size=3, unique=True))
    field = draw(st.sampled_from(["action", "graph"]))
    lasting = (st.just(3600) | st.integers(1, 10**6) | st.floats(1e-6, 1e300)).map(float)
    attempts = st.fixed_dictionaries({"timeout": lasting, "try_count": st.none() | st.integers(1, 10)})
    # a graph called as the one that is drawn would contain itself
    called = draw(names).lower() if field == "action" else draw(ids).lower() + "_"
    keys = [entry.name for entry in inputs] + (["item"] if flow.get("map") else [])
    known_by = st.lists(st.sampled_from(keys), max_size=2, unique=True) if keys else st.just([])
    cache = st.none() | st.builds(Reuse, known_by.map(tuple), lengths)
    return Node(
        id=node_id,
        **{field: called},
        **flow,
        cache=draw(cache) if field == "action" else None,
        dependencies=depended(written, inputs, **flow),
        inputs=tuple(inputs),
        outputs=tuple(Output(name, draw(st.just("") | texts)) for name in outputs),
        failure=draw(st.just("") | texts),
        on_failure=draw(st.sampled_from(["", "stop", "continue", "pause"])),
        description=draw(st.just("") | texts),
        **(draw(attempts) if field == "action" else {}),
        run_when=draw(st.sampled_from(["succeeded", "finished"])),
        priority=draw(st.just(0) | st.integers(-9, 9)),
        instructions=tuple(draw(st.lists(texts, max_size=2))),
    ).hashed()


@st.composite
def definitions(draw):
    """A sound definition: what a file could hold."""
    declared = draw(st.none() | st.dictionaries(names.filter(is_quotable), run_inputs(), max_size=3))
    targets = ["inputs.free", "inputs.free.x[0]"] if declared is None else [f'inputs["{name}"]' for name in declared]
    made = []
    for node_id in draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        node = draw(nodes(node_id, targets, [earlier.id for earlier in made]))
        targets = [*targets, node_id, *(f'{node_id}["{output.name}"][-1].x' for output in node.outputs)]
        made.append(node)
    head = {field: draw(st.just("") | texts) for field in ("description", "author", "version", "signature")}
    return Definition(
        name=draw(names.filter(lambda name: not name.endswith("_"))),
        **head,
        tags=tuple(draw(st.lists(texts, max_size=3))),
        instructions=tuple(draw(st.lists(texts, max_size=2))),
        config=draw(configs),
        inputs=declared,
        nodes=tuple(draw(st.permutations(made))),
    )
