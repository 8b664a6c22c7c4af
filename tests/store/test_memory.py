"""dagger.store.memory: the contract, and that two stores share only what they are given."""

import asyncio

import pytest
from tests.store.contract import StoreContract, Told, started

from dagger.core.errors import RunNotFound
from dagger.store.memory import Memory, MemoryStore


class TestMemoryStore(StoreContract):
    """The twin keeps the contract."""

    def make(self, directory):
        memory = Memory()
        return MemoryStore(memory), MemoryStore(memory)


def test_stores_without_a_shared_memory_know_nothing_of_each_other():
    """Every test has its own world."""

    async def story():
        one, other = MemoryStore(), MemoryStore()
        await one.open(Told())
        await other.open(Told())
        one.create(started())
        assert other.row("run-1") is None
        with pytest.raises(RunNotFound, match="there is no run 'run-1' in memory:"):
            other.ownership("run-1")

    asyncio.run(story())
