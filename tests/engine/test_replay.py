"""Replay: the state that a run's durable journal tells."""

import gc

import pytest

from dagger import RunNotFound, Static
from dagger.core.fold import fold
from dagger.engine.replay import replay


async def step():
    return 1


def test_the_journal_tells_the_state(world):
    """All of it, or what follows on a state that is known."""

    async def main(app):
        await app.execute(Static("g"), run_id="r")
        whole = replay(app.store, "r")
        early = fold(recorded.event for recorded in app.store.read("r", limit=3))
        return whole.status, whole.seq, replay(app.store, "r", 3, early) == whole

    assert world.run(main, step, nodes=5) == ("succeeded", 7, True)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_left_as_it_was(world, was_on):
    """Also where there is nothing to replay."""

    async def main(app):
        await app.execute(Static("g"), run_id="r")
        (gc.enable if was_on else gc.disable)()
        try:
            replay(app.store, "r")
            with pytest.raises(RunNotFound):
                replay(app.store, "x")
            return gc.isenabled()
        finally:
            gc.enable()

    assert world.run(main, step) is was_on
