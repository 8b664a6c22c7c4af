"""Definition, Node, Reference: a graph as data, and how its values are referred to in code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from dagger.core import codec
from dagger.core.errors import GraphError, InvalidReference

ID_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
MAX_ID_LENGTH = 200
"""Characters: an id stands in every event and message about its node."""
MADE_ID_LENGTH = 150
"""Characters of an action's name in the ids that are made of it."""
RESERVED_IDS = frozenset(("inputs", "global"))
"""Sections of the cache that are no node's."""
INSTRUCTIONS = "global:instructions"
"""The section of the cache where instructions wait for a supervisor."""
ITEM = "item"
"""What the inputs of a node with `map` call the item: `item`, `item.title`."""
DEFAULT_TIMEOUT_SECONDS = 3600.0
INPUT_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
"""JSON Schema's names of the types that a declared run input may have."""

RunWhen: TypeAlias = Literal["succeeded", "finished"]

_START = re.compile(ID_PATTERN.pattern.removesuffix(r"\Z"))
_PATH = re.compile(r"\.(?P<name>[^.\[\]\s]+)|\[(?P<index>-?\d+)\]|\[(?P<quote>[\"'])(?P<key>.*?)(?P=quote)\]")


class Reference(NamedTuple):
    """Where a value comes from: an output of a node, (node `inputs`) an input of the run, or (`item`) a map's item."""

    node: str
    output: str | None
    """None: the node's only output, or the dict of them; of an item, the item."""
    path: tuple[str | int, ...] = ()
    """Keys and indexes into the value."""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """`fetch.page.items[0].title` in its parts. Raises ValueError that says what a reference looks like."""
        start = _START.match(text)
        if start is None:
            message = f"{text!r} is no reference; write node_id.output_name or inputs.name, then a path if need be"
            raise ValueError(message)
        parts: list[str | int] = []
        position = start.end()
        while position < len(text):
            match = _PATH.match(text, position)
            if match is None:
                message = f"{text!r} is no reference: {text[position:]!r} is neither .name nor [index]"
                raise ValueError(message)
            name, index = match["name"], match["index"]
            parts.append(int(index) if index else name if name is not None else match["key"])
            position = match.end()
        output = parts[0] if parts else None
        if isinstance(output, int):
            if start[0] == ITEM:
                return cls(ITEM, None, tuple(parts))
            message = f"{text!r} is no reference: an output's name comes before {[output]}"
            raise ValueError(message)
        return cls(start[0], output, tuple(parts[1:]))


class Input(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One input of a node: a reference to a value, or the value itself."""

    name: str
    reference: str = ""
    """`node_id.output_name[.path]` or `inputs.name[.path]`; empty for a literal."""
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A literal, as JSON text."""
    description: str = ""


class Output(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One declared output of a node."""

    name: str
    description: str = ""


TESTS = ("equals", "not_equals", "in", "not_in", "gt", "gte", "lt", "lte")
"""What a condition may ask of a value."""


class Condition(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """When a node runs: what the reference leads to passes every test; without tests, is truthy as in Python."""

    reference: str
    tests: dict[str, msgspec.Raw] = {}
    """One of TESTS -> the JSON text to compare with."""


class Map(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Run a node once for each item of a list; its inputs find the item under `item`."""

    reference: str
    max_parallel: int | None = None
    """Items at work at once; None: as many as the other pools let."""


class Reuse(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Take an earlier run's outputs where the work is the same."""

    key: tuple[str, ...] = ()
    """The inputs whose values make it the same work; empty: all of them."""
    ttl_seconds: float | None = None
    """How old such outputs may be; None: any age."""


class Iteration(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One turn of a supervisor: when it has succeeded, the next one is among its effects."""

    number: int
    """Starts at 1."""
    keep_alive: bool = False
    """Where there is nothing more to do, the next one waits for an instruction."""
    is_idle: bool = False
    """It begins when there is an instruction."""
    ignores: bool = False
    """The one before it did nothing, though instructions waited."""


class Node(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One unit of work: which action, or which graph, on what, after which nodes."""

    id: str
    action: str = ""
    """Empty where `graph` is given."""
    graph: str = ""
    """The graph to run as a child flow, instead of an action."""
    when: Condition | None = None
    """None: always."""
    map: Map | None = None
    """None: once."""
    cache: Reuse | None = None
    """None: never an earlier run's outputs, unless the action says so."""
    dependencies: tuple[str, ...] = ()
    """Ids of the nodes it waits for: those written down, then those its inputs refer to."""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    """Empty: whatever the action returns."""
    failure: str = ""
    """The action to run when this node has finally failed; empty: none."""
    handles: str = ""
    """The node whose final failure this one handles: no person writes it."""
    answers: str = ""
    """Of a child flow that a step's code executes: the key of the step's wait for it. No person writes it."""
    iteration: Iteration | None = None
    """Of a supervisor: which of its iterations this is. No person writes it."""
    precedes: str = ""
    """Of a review between two iterations: the one that comes after it. No person writes it."""
    on_failure: str = ""
    """`stop`, `continue` or `pause`; empty: as the run's config says."""
    description: str = ""
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    """Seconds for one attempt; the run's remaining time caps it."""
    try_count: int | None = None
    """Attempts, at least 1; None: the config's `max_attempts`."""
    run_when: RunWhen = "succeeded"
    """`finished`: run whatever became of the dependencies."""
    priority: int = 0
    """Higher runs first among the ready."""
    instructions: tuple[str, ...] = ()
    hash: str = ""
    """Of the definition: equal hash, equal work. Set by `hashed`."""

    def hashed(self) -> Node:
        """This node with its definition's hash."""
        # compared by value: msgspec omits what *is* the default, and 3600.0 from a file is another object
        work = {name: value for name, default in _WORK if (value := getattr(self, name)) != default}
        if "timeout" in work:
            # 5 and 5.0 seconds are the same work, and the journal gives 5.0 back for both
            work["timeout"] = float(self.timeout)
        digest = hashlib.blake2b(msgspec.json.encode(work), digest_size=8).hexdigest()
        return msgspec.structs.replace(self, hash=digest)


_WORK = [
    (field.name, field.default)
    for field in msgspec.structs.fields(Node)
    if field.name not in {"hash", "description", "instructions", "handles", "answers", "iteration", "precedes"}
]
"""The fields that say what work it is, with their defaults: a new field leaves the hashes of nodes without it."""


class RunInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """An input that a graph declares."""

    type: str | tuple[str, ...] | None = None
    """JSON Schema's name of the type, or several; None: any."""
    default: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """JSON text; unset: the input is required."""
    description: str = ""


class Definition(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A graph as data: what stands in a run's journal."""

    name: str
    description: str = ""
    author: str = ""
    version: str = ""
    signature: str = ""
    tags: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    """Only the settings that the graph sets."""
    inputs: dict[str, RunInput] | None = None
    """Declared run inputs; None: whatever its nodes refer to."""
    nodes: tuple[Node, ...] = ()


def depended(
    written: Iterable[str], inputs: Iterable[Input], when: Condition | None = None, map: Map | None = None
) -> tuple[str, ...]:
    """Every node id that must come first: the written dependencies, then the nodes referred to, each once."""
    ids = dict.fromkeys(written)
    own = ("", "inputs") if map is None else ("", "inputs", ITEM)
    for entry in (*(field for field in (when, map) if field is not None), *inputs):
        node = node_of(entry.reference)
        if node not in own:
            ids[node] = None
    return tuple(ids)


def node_of(reference: str) -> str:
    """The id that a reference begins with: what stands before the first dot or bracket."""
    return reference.partition(".")[0].partition("[")[0]


def is_of_type(value: object, kinds: Iterable[str]) -> bool:
    """Whether a JSON value is of one of JSON Schema's types; true is no integer."""
    return any(type(value) in INPUT_TYPES[kind] for kind in kinds)


def id_problem(node_id: str) -> str:
    """Why `node_id` cannot be a node's id, or nothing."""
    if node_id in RESERVED_IDS:
        return f"node id {node_id!r} is reserved: choose another"
    if len(node_id) > MAX_ID_LENGTH:
        return f"node id {node_id[:20] + '…'!r} is longer than {MAX_ID_LENGTH} characters: choose a shorter one"
    if not ID_PATTERN.match(node_id):
        return f"node id {node_id!r} must be letters, digits, _ and -, and begin with a letter or _"
    return ""


def made_id(action: str, suffix: object) -> str:
    """An id that says which action its node calls, whatever that is called."""
    if not (action.isascii() and action.isidentifier()):
        action = re.sub(r"^(?=[^A-Za-z_])|[^A-Za-z0-9_-]", "_", action)
    return f"{action[:MADE_ID_LENGTH]}_{suffix}"


class NodeRef:
    """What `Graph.add` and `Graph.input` return: stands for a value that a later node takes."""

    __slots__ = ("_names", "node", "reference")
    __iter__ = None  # it gives an item for every index: going through them would never end
    __contains__ = None
    __not_json__ = "a reference stands alone: give it as an input of its own, x=ref"
    """What `codec.encode` says of one inside another value."""

    def __init__(self, node: str, reference: str, names: tuple[str, ...] = ()) -> None:
        self.node = node
        """The node's id, or `inputs`."""
        self.reference = reference
        """As it would be written in YAML."""
        self._names = names

    def __getitem__(self, key: str | int) -> NodeRef:
        """One output of the node by name; further keys and indexes go into the value."""
        is_output = self.reference == self.node
        is_named = isinstance(key, str) or self.node == ITEM
        if is_output and (not is_named or (self._names and key not in self._names)):
            gives = ", ".join(self._names) or "outputs by name"
            message = f"node {self.node!r} has no output {key!r}; it gives: {gives}"
            raise InvalidReference(message)
        plain = isinstance(key, str) and re.fullmatch(r"[^.\[\]\s'\"]+", key)
        quote = "'" if '"' in str(key) else '"'
        part = f".{key}" if plain else f"[{key}]" if isinstance(key, int) else f"[{quote}{key}{quote}]"
        return NodeRef(self.node, self.reference + part)

    def __repr__(self) -> str:
        return f"<reference {self.reference}>"


def ref(reference: str) -> NodeRef:
    """A reference as it is written in a file: `ref("fetch.page.items[0]")`. Raises GraphError."""
    try:
        return NodeRef(Reference.parse(reference).node, reference)
    except ValueError as error:
        raise GraphError(str(error)) from None


def literal(value: object, where: str) -> msgspec.Raw:
    """The JSON text of a literal. Raises GraphError that begins with `where`."""
    try:
        return msgspec.Raw(codec.encode(value))
    except codec.NotJson as error:
        message = f"{where}: {error}"
        raise GraphError(message) from None
