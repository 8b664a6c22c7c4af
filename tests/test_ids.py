"""Fresh ids: of runs and orders."""

from dagger.ids import fresh_id


def test_ids_are_told_apart_and_sort_by_age():
    """Ten thousand in the same moments: none twice, each after the one before."""
    ids = [fresh_id() for _ in range(10_000)]
    assert len(set(ids)) == 10_000
    assert ids == sorted(ids)
