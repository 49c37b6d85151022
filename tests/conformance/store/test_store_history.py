"""Proposals and evaluations: kept in order, once, whole."""

import math

import pytest
from toy_records import Clock, architecture, running

from storage.errors import (
    AlreadyEvaluated,
    InvalidRecord,
)
from storage.records import Architecture, Device, Measurement, Outcome
from storage.store import ResultStore


def test_proposals_keep_their_order(store: ResultStore) -> None:
    """Numbers go on from batch to batch; one architecture may be proposed again, by another genotype."""
    lease = running(store)
    twin = Architecture(architecture(1).key, "toy", {"depth": 99})
    first = store.add_proposals(lease, 0, [architecture(2), architecture(1)])
    second = store.add_proposals(lease, 4, [architecture(0), twin, architecture(0)])
    assert (first, second) == (range(2), range(2, 5))
    rows = store.proposals(lease.job_id)
    assert [row.number for row in rows] == list(range(5))
    assert [row.batch for row in rows] == [0, 0, 4, 4, 4]
    assert [row.architecture_key for row in rows] == [architecture(i).key for i in (2, 1, 0, 1, 0)]
    assert [row.genotype["depth"] for row in rows] == [2, 1, 0, 99, 0]
    assert rows[0].genotype == architecture(2).genotype
    assert [type(option) for option in rows[0].genotype.values()] == [int, float, str]
    assert store.job(lease.job_id).proposed == 5


def test_a_batch_is_recorded_once(store: ResultStore) -> None:
    """A batch that is there already, or came before it, is refused whole."""
    lease = running(store, 2)
    store.add_proposals(lease, 3, [architecture(5)])
    for batch in (3, 1):
        with pytest.raises(InvalidRecord, match="batch 3 is recorded"):
            store.add_proposals(lease, batch, [architecture(6)])
    assert store.job(lease.job_id).proposed == 3
    assert store.architectures([architecture(6).key]) == {}


def test_architectures_are_shared(store: ResultStore) -> None:
    """The first record of an architecture stays, and every job's evaluations show its own genotype."""
    running(store, 2)
    other = running(store)
    same = Architecture(architecture(1).key, "another space", {"width": 3}, {"macs": 7.0})
    store.add_proposals(other, 0, [same])
    store.add_evaluations(other, [Outcome(same.key, {"accuracy": 1.0})])
    keys = ["f" * 64, architecture(1).key, architecture(0).key]
    assert store.architectures(keys) == {index.key: index for index in (architecture(1), architecture(0))}
    assert store.evaluations(other.job_id)[0].genotype == {"width": 3}


def test_evaluations_keep_their_order(store: ResultStore, clock: Clock) -> None:
    """The order in which they are told, not proposed; with metrics, errors and time."""
    lease = running(store, 4)
    told = store.add_evaluations(
        lease,
        [
            Outcome(architecture(3).key, {"latency_ms@cpu": 2.5, "accuracy": 0.75}, seconds=1.5),
            Outcome(architecture(0).key, error="out of memory\n\0"),
        ],
    )
    more = store.add_evaluations(lease, [Outcome(architecture(2).key, {"macs": 1}, error="half")])
    assert (told, more) == (range(2), range(2, 3))
    first, second, third = store.evaluations(lease.job_id)
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert first.architecture_key == architecture(3).key
    assert first.genotype == architecture(3).genotype
    assert (first.metrics, first.error, first.seconds) == ({"accuracy": 0.75, "latency_ms@cpu": 2.5}, None, 1.5)
    assert list(first.metrics) == ["accuracy", "latency_ms@cpu"]
    assert first.created_at < clock.time
    assert (second.metrics, second.error) == ({}, "out of memory\n\ufffd")
    assert (third.metrics, third.error) == ({"macs": 1.0}, "half")
    assert store.evaluations(lease.job_id, start=1) == [second, third]
    assert store.evaluations(lease.job_id, start=1, limit=1) == [second]
    assert store.evaluations(lease.job_id, start=3) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 1e308, -5e-324, 2.0**53, 1 / 3])
def test_every_float_comes_back(store: ResultStore, value: float) -> None:
    """NaN and infinities too; only the sign of zero is not kept."""
    lease = running(store, 1)
    store.add_device(Device("f", "cpu"))
    key = architecture(0).key
    store.add_evaluations(lease, [Outcome(key, {"metric": value})])
    store.add_measurements(lease, [Measurement(key, "f", "metric", value, "cpu", samples=[value, 1.0])])
    expected = repr(value + 0.0)
    measured = store.measurements([key], "f", "metric")[key]
    assert repr(store.evaluations(lease.job_id)[0].metrics["metric"]) == expected
    assert repr(measured.value) == expected
    assert repr(measured.samples[0]) == repr(value)


def test_an_architecture_is_evaluated_once(store: ResultStore) -> None:
    """A second evaluation is refused together with everything that came with it."""
    lease = running(store, 4)
    outcomes = [Outcome(architecture(index).key, {"accuracy": 0.5}) for index in range(4)]
    store.add_evaluations(lease, outcomes[:1])
    with pytest.raises(AlreadyEvaluated, match=f"architecture {architecture(0).key} before, as its number 0"):
        store.add_evaluations(lease, [*outcomes[1:], outcomes[0]])
    with pytest.raises(AlreadyEvaluated, match="comes twice"):
        store.add_evaluations(lease, [*outcomes[1:], outcomes[2]])
    assert store.job(lease.job_id).evaluated == len(store.evaluations(lease.job_id)) == 1
    assert store.add_evaluations(lease, outcomes[1:]) == range(1, 4)


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome(architecture(9).key, {"accuracy": 1.0}), "never proposed architecture"),
        (Outcome("cafe", {"accuracy": 1.0}), "64 lower-case hex digits"),
        (Outcome(architecture(1).key), "neither metrics nor an error"),
        (Outcome(architecture(1).key, {"accuracy": "good"}), "metric 'accuracy' must be a number"),  # type: ignore[dict-item]
        (Outcome(architecture(1).key, {"accuracy": 10**400}), "metric 'accuracy' must be a number"),
        (Outcome(architecture(1).key, {"": 1.0}), "the name of metric"),
        (Outcome(architecture(1).key, {"accuracy": 1.0}, seconds=math.nan), "seconds of an evaluation"),
    ],
)
def test_a_bad_outcome_leaves_nothing(store: ResultStore, outcome: Outcome, message: str) -> None:
    """One row that cannot be stored keeps the good ones beside it out."""
    lease = running(store, 3)
    good = Outcome(architecture(0).key, {"accuracy": 1.0})
    with pytest.raises(InvalidRecord, match=message):
        store.add_evaluations(lease, [good, outcome])
    assert store.evaluations(lease.job_id) == []
    store.add_evaluations(lease, [good])


def test_adding_nothing_changes_nothing(store: ResultStore) -> None:
    """Empty batches are allowed, also of an iterator."""
    lease = running(store)
    assert list(store.add_proposals(lease, 0, [])) == list(store.add_evaluations(lease, iter(()))) == []
    store.add_measurements(lease, [])
    assert not store.architectures([])
    assert not store.measurements([], "f", "latency_ms")


def test_many_rows(store: ResultStore) -> None:
    """More keys than one statement takes."""
    lease = running(store, 2500)
    keys = [architecture(index).key for index in range(2500)]
    store.add_evaluations(lease, [Outcome(key, {"a": 1.0, "b": 2.0}) for key in keys])
    assert [row.architecture_key for row in store.evaluations(lease.job_id)] == keys
    assert list(store.architectures(keys)) == keys
