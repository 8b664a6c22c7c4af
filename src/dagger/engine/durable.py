"""Durable: which deliveries of a run need not wait for the disk, under `sync`."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from dagger.core.journal import Store
from dagger.core.state import State


class Machine(Protocol):
    """What is asked here of the kernel."""

    @property
    def store(self) -> Store: ...
    @property
    def durable_batch(self) -> int: ...


class Durable:
    """How far one run's journal is known to be durable."""

    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._seq = 0
        """The run's events up to this one are."""
        self._marks: deque[tuple[int, int]] = deque()
        """Batches that were not at the last look, each with the last event in it."""

    def parted(self, state: State, steps: list[str]) -> tuple[list[str], list[str]]:
        """The deliveries whose messages are durable, and the other steps.

        Two messages at one agent do not wait for each other's durability (I3).
        """
        marks, batch = self._marks, self._kernel.store.batch
        while marks and marks[0][0] <= self._kernel.durable_batch:
            self._seq = marks.popleft()[1]
        if marks and marks[-1][0] == batch:
            marks.pop()
        marks.append((batch, state.seq))
        durable, others = list[str](), list[str]()
        for step in steps:
            message = state.pending[step].message
            (others if message is None or message.seq > self._seq else durable).append(step)
        return durable, others
