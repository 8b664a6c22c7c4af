"""What an action's result becomes at its node: outputs by name, as JSON text."""

import dataclasses
import enum

import msgspec
import pydantic
import pytest

from dagger.core import codec
from dagger.core.errors import OutputInvalid
from dagger.core.graph import Node, Output
from dagger.spec.outputs import outputs

NODE = Node(id="n", action="act")


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Struct(msgspec.Struct):
    p: Point


class Model(pydantic.BaseModel):
    a: int
    b: str = "b"


def made(result, *names):
    blobs = []
    node = Node(id="n", action="act", outputs=tuple(Output(name) for name in names))
    return {name: codec.decode(bytes(raw)) for name, raw in outputs(node, result, blobs).items()}


@pytest.mark.parametrize(
    ("result", "names", "stored"),
    [
        (5, (), {"output": 5}),
        (None, (), {}),
        ({"a": 1, "b": [2]}, (), {"a": 1, "b": [2]}),
        ({}, (), {}),
        ([1, 2], (), {"output": [1, 2]}),
        ((1, 'a "b"'), (), {"output": [1, 'a "b"']}),
        (Point(1, 2.0), (), {"x": 1, "y": 2.0}),
        (Struct(Point(1)), (), {"p": {"x": 1, "y": 0.0}}),
        (Model(a=1), (), {"a": 1, "b": "b"}),
        (Colour.RED, (), {"output": "red"}),
        (None, ("only",), {"only": None}),
        ({"a": 1}, ("only",), {"only": {"a": 1}}),
        ((1, 2), ("only",), {"only": [1, 2]}),
        ((1, 'a "b"'), ("number", "text"), {"number": 1, "text": 'a "b"'}),
        ([1, 2], ("x", "y"), {"x": 1, "y": 2}),
        ({"y": 2, "x": 1, "more": 3}, ("x", "y"), {"x": 1, "y": 2}),
        (Point(1, 2.0), ("x", "y"), {"x": 1, "y": 2.0}),
    ],
    ids=range(17),
)
def test_a_result_is_stored_under_the_declared_outputs(result, names, stored):
    """One: the value. Several: by name or by position. None: a dict's items, anything else but None as `output`."""
    assert made(result, *names) == stored


@pytest.mark.parametrize(
    ("result", "names", "told"),
    [
        ((1,), ("x", "y"), "node 'n': declares 2 outputs (x, y) but got 1 values"),
        ({"x": 1}, ("x", "y"), "node 'n': declared output 'y' missing; the action returned: x"),
        ({}, ("x", "y"), "node 'n': declared output 'x', 'y' missing; the action returned: nothing"),
        (5, ("x", "y"), "node 'n': declares the outputs x, y, so its action must return a dict of them or a tuple in"),
        (None, ("x", "y"), "node 'n': declares the outputs x, y, so its action must return a dict"),
        ({"x": object(), "y": 1}, ("x", "y"), "node 'n': output 'x': at $: an object is not a JSON value"),
        ({1: 2}, (), "node 'n': an output's name is a string, not 1"),
        ({"\ud800": 2}, (), "node 'n': an output's name is a string, not '\\ud800'"),
        (float("inf"), (), "node 'n': output 'output': at $: inf is not a JSON number"),
        ({"a": [float("nan")]}, (), "node 'n': output 'a': at $[0]: nan is not a JSON number"),
        (Point(object()), (), "at $.x: an object is not a JSON value"),
    ],
    ids=range(11),
)
def test_a_result_that_does_not_fit_is_refused(result, names, told):
    """It says which output, and what the action returned."""
    with pytest.raises(OutputInvalid) as caught:
        made(result, *names)
    assert str(caught.value).startswith(told)


def test_large_outputs_go_to_blobs():
    """The event holds a reference."""
    blobs = []
    raws = outputs(NODE, {"big": "x" * 100_000, "small": 1}, blobs)
    assert len(blobs) == 1
    assert codec.is_blob(bytes(raws["big"]))
    assert bytes(raws["small"]) == b"1"
