"""Rounds of searches that train as they go."""

import math

import pytest
from toy_records import Clock, OpenStore, running

from storage.errors import InvalidRecord, LeaseLost, UnknownJob
from storage.records import Lease, Round
from storage.store import ResultStore


def test_rounds_come_back_in_order(open_store: OpenStore, store: ResultStore, clock: Clock) -> None:
    """With genotype, chances and metrics; NaN and infinity stay, and other jobs have none of them."""
    lease = running(store)
    chances = {"op": [0.25, 0.75], "depth": [1.0]}
    metrics = {"loss": 2.5, "gap": math.inf, "entropy": math.nan, "entropy/op": 0.5}
    store.add_round(lease, Round(1, {"op": "conv"}, chances, metrics))
    store.add_round(lease, Round(2, {"op": "skip", "depth": 1}, chances, {}, last=True))
    first, second = open_store(create=False).rounds(lease.job_id)
    assert (first.number, first.genotype, first.chances, first.last) == (1, {"op": "conv"}, chances, False)
    assert math.isnan(first.metrics["entropy"])
    assert {name: value for name, value in first.metrics.items() if name != "entropy"} == {
        "loss": 2.5,
        "gap": math.inf,
        "entropy/op": 0.5,
    }
    assert second == Round(2, {"op": "skip", "depth": 1}, chances, {}, True, clock.time)
    assert store.rounds(running(store).job_id) == []


def test_a_round_follows_the_one_before(store: ResultStore) -> None:
    """None twice, none left out, none of a lease that is over, none that has no stored form."""
    lease = running(store)
    for number in (0, 2):
        with pytest.raises(InvalidRecord, match=f"round {number} of job .* does not follow the 0 that are"):
            store.add_round(lease, Round(number, {}, {}))
    store.add_round(lease, Round(1, {}, {}, {"loss": 1.0}))
    with pytest.raises(InvalidRecord, match=r"round 1 of job .* does not follow the 1 that are"):
        store.add_round(lease, Round(1, {}, {}))
    with pytest.raises(InvalidRecord, match="a chance of 'op' must be finite"):
        store.add_round(lease, Round(2, {}, {"op": [-0.5]}))
    with pytest.raises(InvalidRecord, match="metric 'loss' must be a number"):
        store.add_round(lease, Round(2, {}, {}, {"loss": "low"}))  # type: ignore[dict-item]
    with pytest.raises(LeaseLost):
        store.add_round(Lease(lease.job_id, lease.fence - 1), Round(2, {}, {}))
    with pytest.raises(UnknownJob):
        store.rounds("nope")
    assert [row.number for row in store.rounds(lease.job_id)] == [1]
