"""dagger.store.memory: the contract, and that two stores share only what they are given."""

import asyncio

import pytest
from tests.store.contract import PAUSE, StoreContract, Told, started

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


def test_an_order_that_a_claim_has_found_is_not_told_to_the_lease_before_it():
    """Although it was on its way there."""

    async def story():
        store, told = MemoryStore(), Told()
        await store.open(told)
        store.create(started())
        _, lease = await asyncio.gather(store.send("run-1", PAUSE), store.claim("run-1"))
        assert lease.orders == [PAUSE]
        assert told.orders == []

    asyncio.run(story())
