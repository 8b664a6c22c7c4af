"""What a process that runs actions and its parent say to each other: one frame of JSON each, and nothing is pickled."""

from __future__ import annotations

import socket
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from dagger.core import events
from dagger.core.graph import Node
from dagger.core.state import Ended, Pending, Scope

Frame = TypeVar("Frame")
_LENGTH_BYTES = 8


class AttemptInput(msgspec.Struct, tag=True):
    """An attempt to make. Values stand in it as the JSON text that they are."""

    address: str
    """The function's, `module:qualname`."""
    run_id: str
    graph: str
    step: str
    node: Node
    """Its inputs have their values beside their references."""
    number: int
    """Starts at 1."""
    deadline_ms: int
    now_ms: int
    """The parent's clock, when the attempt began."""
    """In milliseconds since 1970, should the code begin at once."""
    unsuccessful: dict[str, Ended]
    """Of the steps that this one waited for."""
    handled: dict[str, Pending]
    """Of a failure action: the step whose failure it handles."""
    scopes: dict[str, Scope]
    """The child flows that the step stands in."""
    log_level: int
    sys_path: list[str]
    sys_argv: list[str]
    main: dict[str, str]
    """Where the script is, for multiprocessing.spawn; empty: the address names another module."""


class Answer(msgspec.Struct, tag=True, omit_defaults=True):
    """To a question, each in its turn."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    error: events.Error | None = None
    """Raised where the question was asked."""


class AttemptResult(msgspec.Struct, tag=True, omit_defaults=True):
    """What became of an attempt: its success with all effects, or its error."""

    success: events.StepSucceeded | None = None
    blobs: list[tuple[str, msgspec.Raw]] = []
    """Hash and content."""
    error: events.Error | None = None
    is_retryable: bool = True


class Began(msgspec.Struct, tag=True):
    """Question: when it times out, as the code was only loaded now and begins."""


class Recall(msgspec.Struct, tag=True):
    """Question: the result of a memo; null: there is none yet."""

    key: str


class Memorise(msgspec.Struct, tag=True):
    """Question: keep the result of a memo."""

    key: str
    text: msgspec.Raw


class HasSection(msgspec.Struct, tag=True):
    """Question: whether the cache has a section."""

    section: str


class Sections(msgspec.Struct, tag=True):
    """Question: the names of the cache's sections."""


class Keys(msgspec.Struct, tag=True):
    """Question: the keys of a section."""

    section: str


class Read(msgspec.Struct, tag=True):
    """Question: what the cache stores under a key, as Found; null: nothing."""

    section: str
    key: str


class Found(msgspec.Struct, omit_defaults=True):
    """What the cache stores: its text, or a reference to what `Load` brings."""

    text: msgspec.Raw
    is_appended: bool = False
    """It is a list under construction."""


class Load(msgspec.Struct, tag=True):
    """Question: the content that a reference stands for."""

    hash: str


class Spend(msgspec.Struct, tag=True):
    """Tokens were spent."""

    count: int


class Tell(msgspec.Struct, tag=True):
    """Something for listeners."""

    event: events.Progressed | events.Emitted


class Log(msgspec.Struct, tag=True):
    """A line for the log: the fields of its record."""

    record: dict[str, Any]


Question: TypeAlias = Began | Recall | Memorise | HasSection | Sections | Keys | Read | Load
Told: TypeAlias = Spend | Tell | Log
FromChild: TypeAlias = AttemptResult | Question | Told
FromParent: TypeAlias = AttemptInput | Answer


class Link(Generic[Frame]):
    """One end of the line between a process and its parent."""

    def __init__(self, end: socket.socket, receives: Any) -> None:
        """`receives`: the type of the frames that come in."""
        self._end = end
        self._incoming = end.makefile("rb")
        self._decode = msgspec.json.Decoder(receives).decode
        self._encoder = msgspec.json.Encoder()

    def send(self, frame: FromChild | FromParent) -> None:
        """Send a frame, however large. Raises OSError where the other end is gone."""
        text = bytearray(_LENGTH_BYTES)
        self._encoder.encode_into(frame, text, _LENGTH_BYTES)
        text[:_LENGTH_BYTES] = (len(text) - _LENGTH_BYTES).to_bytes(_LENGTH_BYTES, "big")
        self._end.sendall(text)

    def receive(self) -> Frame:
        """The next frame. Raises EOFError or OSError where the other end is gone."""
        length = int.from_bytes(self._read(_LENGTH_BYTES), "big")
        frame: Frame = self._decode(self._read(length))
        return frame

    def finish(self) -> None:
        """Let the other end see that nothing more will come."""
        self._end.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give back the descriptors."""
        self._incoming.close()
        self._end.close()

    def _read(self, size: int) -> bytes:
        read = self._incoming.read(size)
        if len(read) < size:
            raise EOFError
        return read
