"""The front of a job is what a front of all its evaluations would be, after every batch."""

import math

import moocore
import numpy as np
import pytest
from toy_records import OpenStore, architecture, running

from storage.errors import InvalidRecord, LeaseLost
from storage.records import Outcome
from storage.store import ResultStore


def tell(store: ResultStore, lease: object, losses: list[list[float] | None], first: int = 0) -> None:
    """Evaluations with these losses, of the architectures from `first` on."""
    rows = [
        Outcome(architecture(first + index).key, {"a": float(index)}, losses=given)
        for index, given in enumerate(losses)
    ]
    store.add_evaluations(lease, rows)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_front_follows_every_batch(store: ResultStore, objectives: int) -> None:
    """After each of many batches, with ties and with evaluations that may not join, it is moocore's of all."""
    rng = np.random.default_rng(objectives)
    losses = rng.integers(0, 6, (60, objectives)).astype(float)
    joins = rng.random(60) < 0.8
    lease = running(store, 60)
    for start in range(0, 60, 12):
        batch = range(start, start + 12)
        tell(store, lease, [losses[row].tolist() if joins[row] else None for row in batch], start)
        known = np.flatnonzero(joins[: start + 12])
        best = known[moocore.is_nondominated(losses[known], keep_weakly=True)]
        expected = best[np.lexsort(np.column_stack([losses[best], best]).T[::-1])]
        assert [row.number for row in store.front(lease.job_id)] == expected.tolist()
    everything = {row.number: row for row in store.evaluations(lease.job_id)}
    assert store.front(lease.job_id) == [everything[number] for number in expected]


def test_nothing_feasible_is_an_empty_front(store: ResultStore) -> None:
    """A job without evaluations, or with none that may join, has a front of nothing."""
    lease = running(store, 2)
    assert store.front(lease.job_id) == []
    tell(store, lease, [None, None])
    assert store.front(lease.job_id) == []


def test_values_known_better_change_the_front(store: ResultStore) -> None:
    """A point that was measured again moves, one that is left out goes, and dominated ones are not taken."""
    lease = running(store, 4)
    tell(store, lease, [[1.0, 4.0], [2.0, 3.0], [3.0, 2.0], [5.0, 5.0]])
    assert [row.number for row in store.front(lease.job_id)] == [0, 1, 2]
    store.replace_front(lease, {0: [1.0, 4.0], 1: [9.0, 9.0], 3: [0.5, 3.5]})
    assert [row.number for row in store.front(lease.job_id)] == [3]
    store.replace_front(lease, {})
    assert store.front(lease.job_id) == []
    with pytest.raises(InvalidRecord, match="has no evaluation 7"):
        store.replace_front(lease, {0: [1.0, 1.0], 7: [1.0, 1.0]})
    with pytest.raises(InvalidRecord, match="finite"):
        store.replace_front(lease, {0: [math.nan]})
    store.claim(lease.job_id, "another", dead_fence=lease.fence)
    with pytest.raises(LeaseLost):
        store.replace_front(lease, {0: [1.0, 1.0]})
    assert store.front(lease.job_id) == []


@pytest.mark.parametrize("losses", [[], [math.nan], [1.0, math.inf], ["low"]])
def test_losses_are_finite_numbers(store: ResultStore, losses: list[float]) -> None:
    """Others are refused with everything that came with them."""
    lease = running(store, 1)
    with pytest.raises(InvalidRecord, match="loss"):
        tell(store, lease, [losses])
    assert store.evaluations(lease.job_id) == []


def test_all_losses_of_a_job_are_as_many(store: ResultStore) -> None:
    """One objective more in a later batch is a mistake of the caller."""
    lease = running(store, 2)
    tell(store, lease, [[1.0, 2.0]])
    with pytest.raises(InvalidRecord, match="number of losses"):
        tell(store, lease, [[1.0]], 1)
    assert len(store.evaluations(lease.job_id)) == 1


def test_the_front_survives_reopening(open_store: OpenStore) -> None:
    """It is in the database, not in the process."""
    store = open_store()
    lease = running(store, 3)
    tell(store, lease, [[1.0, 1.0], [0.0, 2.0], [2.0, 2.0]])
    assert [row.number for row in open_store(create=False).front(lease.job_id)] == [1, 0]
