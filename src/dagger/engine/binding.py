"""What a node's references lead to: the JSON text of each of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from dagger.core import codec
from dagger.core.cache import Sections, Stored
from dagger.core.errors import InputInvalid, nearest
from dagger.core.events import scope_of, step_name
from dagger.core.graph import ITEM, Definition, Input, Node, Reference
from dagger.core.messages import PAYLOAD, Message, Published, named
from dagger.core.state import State
from dagger.core.steps import is_item
from dagger.spec.action import Action, argument, refuse_missing
from dagger.spec.context import Context
from dagger.spec.inputs import wanted_inputs


class Source(Protocol):
    """Where the values of a run are."""

    state: State
    load: Callable[[str], bytes]

    @property
    def known_actions(self) -> Mapping[str, Action]:
        """The registered actions by name."""

    def action(self, node: Node) -> Action:
        """The registered action of a node. Raises ActionNotRegistered."""

    def items(self, scope: str) -> Sequence[msgspec.Raw]:
        """The JSON texts of the items of a map that was begun."""

    @property
    def agents_as_of(self) -> int:
        """How often agents were bound and removed so far, in this process."""

    def payload(self, message: Message) -> bytes:
        """The JSON text of a message's payload, or a reference to its blob."""

    def message(self, node: Node | None, channel: str, text: bytes, blobs: list[codec.Blob]) -> Published:
        """A payload as it is published. Raises ChannelNotDeclared or MessageInvalid."""

    def require_node(self, step: str, node: Node, added: Container[str]) -> None:
        """Raise GraphError or InputInvalid where a step cannot add a node, after those of the ids `added`."""


_NO_SECTIONS: Sections = {}


def bind(run: Source, step: str, node: Node, action: Action) -> dict[str, Any]:
    """The keyword arguments that a node's inputs make. Raises InputInvalid."""
    state = run.state
    decoders = action.decoders
    # what nearly all inputs are is looked up here, and not in `_text`: one output of a node of the run itself
    sections = state.sections if step == node.id else _NO_SECTIONS
    made: dict[str, Any] = {}
    for entry in inputs_of(run, step, node) if state.scopes else node.inputs:
        name = entry.name
        decode = decoders.get(name)
        if node.handles and decode is None and not action.is_open:
            continue  # a failure action takes of its node's inputs what it wants
        where, _, key = entry.reference.partition(".")
        text: Stored | msgspec.Raw | None = sections[where].get(key) if where in sections else None
        if type(text) is not bytes or text[0] == codec.BRACE:
            text = _text(run, step, node, entry)
        if text is None:
            if name in action.required:
                raise InputInvalid(_absent(state, scope_of(step), node, entry))
        elif decode is not None:
            try:
                made[name] = decode(text)
            except (msgspec.DecodeError, ValueError):
                argument(action, node, name, text)  # says what is wrong
                raise
        elif not action.is_open:
            argument(action, node, name, text)
        elif action.gathers:
            made[name] = codec.decode(text)
    if not action.required <= made.keys():
        refuse_missing(action, node, made)
    if action.refuse is not None and (wrong := action.refuse(input_values(run, step, node))):
        message = f"{named(node)}: {wrong}"
        raise InputInvalid(message)
    return made


def hand_over(keywords: dict[str, Any], action: Action, ctx: Context | None) -> None:
    """Add what code receives beside its inputs: its context, its message."""
    if action.context_name is not None:
        keywords[action.context_name] = ctx
    if action.message_name is not None and ctx is not None:
        keywords[action.message_name] = ctx.message


def texts(run: Source, step: str, node: Node) -> dict[str, bytes | msgspec.Raw]:
    """The JSON texts of a node's inputs by name, without those whose node did not succeed. Raises InputInvalid."""
    found = ((entry.name, _text(run, step, node, entry)) for entry in inputs_of(run, step, node))
    return {name: text for name, text in found if text is not None}


def resolved(run: Source, step: str, node: Node, action: Action) -> Node:
    """The node with the values of its inputs beside their references: for a process, which has none of the run's.

    Raises InputInvalid.
    """
    inputs = []
    for entry in inputs_of(run, step, node):
        is_wanted = not node.handles or entry.name in action.decoders or action.is_open
        text = _text(run, step, node, entry) if is_wanted else None
        inputs.append(entry if text is None else msgspec.structs.replace(entry, value=msgspec.Raw(text)))
    return msgspec.structs.replace(node, inputs=tuple(inputs))


def input_values(run: Source, step: str, node: Node) -> dict[str, Any]:
    """The same, as values."""
    return {name: codec.decode(text) for name, text in texts(run, step, node).items()}


def inputs_of(run: Source, step: str, node: Node) -> Sequence[Input]:
    """A node's inputs, with the item of its map where none of them refers to it.

    It goes to the one required parameter that nothing else goes to, or to the input `item`.
    """
    state = run.state
    scope = state.scopes.get(scope_of(step))
    if scope is None or scope.item is None or any(is_item(entry.reference) for entry in node.inputs):
        return node.inputs
    called = scope.item  # a failure action gets the item under the name that the failed step had it
    given = {entry.name for entry in called.inputs}
    required = _required_inputs(state.graphs[called.graph]) if called.graph else run.action(called).required
    missing = [name for name in required if name not in given]
    name = missing[0] if len(missing) == 1 else ITEM
    return node.inputs if name in given else (*node.inputs, Input(name, ITEM))


def _required_inputs(definition: Definition) -> list[str]:
    return [name for name, default in wanted_inputs(definition).items() if default is None]


def _item(run: Source, step: str) -> msgspec.Raw:
    scope, _, index = step.rpartition("/")
    return run.items(scope)[int(index.partition(":")[0])]


def text_of(run: Source, step: str, node: Node, field: str, reference: str) -> bytes:
    """What a reference of a node's own `when` or `map` leads to. Raises InputInvalid that names the field."""
    entry = Input(field, reference)
    text = _text(run, step, node, entry)
    if text is None:
        raise InputInvalid(_absent(run.state, scope_of(step), node, entry))
    return bytes(text)


def _text(run: Source, step: str, node: Node, entry: Input) -> bytes | msgspec.Raw | None:
    """The JSON text of an input; None if it refers to a node that did not succeed."""
    if entry.value is not msgspec.UNSET:
        return entry.value
    source = entry.reference
    state = run.state
    if source == PAYLOAD:
        message = state.pending[step].message
        return None if message is None else codec.resolve(run.payload(message), run.load)
    if step != node.id:
        scope = scope_of(step)
        if scope and state.scopes[scope].item is not None and is_item(source):
            item = _item(run, step)
            if source == ITEM:
                return item
            _, name, path = Reference.parse(source)
            parts = path if name is None else (name, *path)
            return codec.encode(_at(codec.decode(item), parts, _where(node, entry)))
        source = step_name(scope, source)
    sections = state.sections
    section = sections.get(source)
    if section is not None and len(section) == 1 and source in state.succeeded:  # a whole node that gave one output
        (stored,) = section.values()
    else:
        name, _, key = source.partition(".")
        section = sections.get(name)
        if section is None or key not in section:
            return _follow(run, scope_of(step), node, entry)
        stored = section[key]
    return stored if type(stored) is bytes and stored[0] != codec.BRACE else loaded(stored, run.load)


def loaded(stored: Stored, load: Callable[[str], bytes]) -> bytes:
    """The JSON text of what is stored."""
    return codec.resolve(stored, load) if isinstance(stored, bytes) else stored.text(load)


def whole(section: Mapping[str, Stored], load: Callable[[str], bytes]) -> bytes:
    """The JSON text of all that a node gave: its only output, else the dict of them."""
    if len(section) == 1:
        return loaded(next(iter(section.values())), load)
    texts_ = {key: msgspec.Raw(loaded(stored, load)) for key, stored in section.items()}
    return msgspec.json.encode(texts_) if texts_ else b"null"


def _follow(run: Source, scope: str, node: Node, entry: Input) -> bytes | None:
    """What a reference with a path, or to a whole node, leads to; None if its node did not succeed."""
    state, load = run.state, run.load
    if scope and state.scopes[scope].item is not None:
        return None  # all that an item's references lead to was bound when its map began
    reference = Reference.parse(entry.reference)
    where = _where(node, entry)
    source = step_name(scope, reference.node)
    section = state.sections.get(source, {})
    is_input = reference.node == "inputs"
    if not is_input and source not in state.succeeded:
        return None
    if reference.output is None:
        return whole(section, load)
    if reference.output not in section:
        kind = "the run has no input" if is_input else f"node {reference.node!r} gave no output"
        near = nearest(reference.output, section) or f"; there is: {', '.join(section) or 'nothing'}"
        raise InputInvalid(f"{where}{kind} {reference.output!r}{near}")
    return codec.encode(_at(codec.decode(loaded(section[reference.output], load)), reference.path, where))


def _at(value: Any, path: Iterable[str | int], where: str) -> Any:
    """What a path leads to in a value. Raises InputInvalid that begins with `where`."""
    for part in path:
        try:
            if isinstance(value, str) or (isinstance(part, str) and not isinstance(value, dict)):
                raise TypeError  # noqa: TRY301 - a character of a text is no part of it
            value = value[part]
        except (KeyError, IndexError, TypeError):
            raise InputInvalid(where + _dead_end(part, value)) from None
    return value


def _dead_end(part: str | int, value: Any) -> str:
    match value:
        case dict():
            near = nearest(str(part), value) or f"; it has: {', '.join(list(value)[:8]) or 'nothing'}"
            return f"there is no key {part!r}{near}"
        case list():
            return f"there is no item {part!r} in a list of {len(value)}"
        case _:
            return f"{part!r} cannot be taken from a {type(value).__name__}"


def _where(node: Node, entry: Input) -> str:
    field = f"input {entry.name!r}" if entry in node.inputs else entry.name
    return f"{named(node)}: {field}: {entry.reference!r}: "


def _absent(state: State, scope: str, node: Node, entry: Input) -> str:
    if scope and state.scopes[scope].item is not None:
        return f"{named(node)}: input {entry.name!r}: the node that it refers to did not succeed"
    source = Reference.parse(entry.reference).node
    ended = state.unsuccessful.get(step_name(scope, source))
    became = ended.status if ended else "has not run"
    return f"{_where(node, entry)}node {source!r} {became}"
