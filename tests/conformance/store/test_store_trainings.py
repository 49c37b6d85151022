"""Trainings of single networks, and what they add to evaluations."""

import math
from dataclasses import replace

import pytest
from toy_records import Clock, OpenStore, architecture, running

from storage.errors import InvalidRecord, LeaseLost, UnknownJob, WrongStatus
from storage.records import JobStatus, Lease, Outcome, Training, TrainingStatus
from storage.store import ResultStore


def training(index: int, **more: object) -> Training:
    """A made-up training that has just begun."""
    return replace(Training(architecture(index).key, {"epochs": 3, "init": "scratch"}, 3), **more)


def test_a_training_goes_on(open_store: OpenStore, store: ResultStore, clock: Clock) -> None:
    """It is one row, whose curve grows until it ends; the order is that of the beginnings."""
    lease = running(store, 2)
    store.record_training(lease, training(1))
    store.record_training(lease, training(0, curve={"loss": [0.1]}))
    begun = clock.time
    ended = training(
        1, status=TrainingStatus.STOPPED, curve={"accuracy": [0.5], "loss": [0.25]}, seconds=2.0, saved_seconds=4.0,
        cause="it will not join the front", recipe={"epochs": 3, "init": "supernet"},
    )  # fmt: skip
    store.record_training(lease, ended)
    first, second = open_store(create=False).trainings(lease.job_id)
    assert first.created_at is not None
    assert first.created_at < begun
    assert replace(first, created_at=None) == ended
    assert second.curve == {"loss": [0.1]}
    assert second.status is TrainingStatus.RUNNING
    assert store.trainings(running(store).job_id) == []


def test_what_is_learned_stands_beside_the_evaluation(store: ResultStore) -> None:
    """Metrics are added and replaced; without an evaluation there is nothing to add to."""
    lease = running(store, 2)
    store.add_evaluations(lease, [Outcome(architecture(1).key, {"accuracy": 0.5}, stopped="half way")])
    for accuracy in (0.75, 0.875):
        store.record_training(
            lease, training(1, status=TrainingStatus.FINISHED), {"accuracy@trained": accuracy, "accuracy@supernet": 0.5}
        )
    store.record_training(lease, training(0), {"accuracy@trained": 1.0})
    (evaluation,) = store.evaluations(lease.job_id)
    assert evaluation.metrics == {"accuracy": 0.5, "accuracy@supernet": 0.5, "accuracy@trained": 0.875}
    assert evaluation.stopped == "half way"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (training(9), "not recorded"),
        (training(0, status=TrainingStatus.STOPPED), "has a cause, another none"),
        (training(0, cause="why"), "has a cause, another none"),
        (training(0, curve={"loss": [1.0] * 4}), "no more values than those"),
        (training(0, epochs=0), "at least one epoch"),
        (training(0, curve={"loss": ["low"]}), "the curve of 'loss' must be a number"),
        (training(0, seconds=math.nan), "the seconds of a training must be finite"),
    ],
)
def test_bad_trainings_leave_nothing(store: ResultStore, row: Training, message: str) -> None:
    """Each is refused with its reason."""
    lease = running(store, 1)
    with pytest.raises(InvalidRecord, match=message):
        store.record_training(lease, row)
    with pytest.raises(LeaseLost):
        store.record_training(Lease(lease.job_id, lease.fence - 1), training(0))
    assert store.trainings(lease.job_id) == []
    with pytest.raises(UnknownJob):
        store.trainings("nope")


def test_an_ended_job_is_extended(store: ResultStore) -> None:
    """It is QUEUED again with the new spec and all that it has; one that runs is left alone."""
    lease = running(store, 1)
    with pytest.raises(WrongStatus, match="can be extended"):
        store.extend(lease.job_id, {"more": 1})
    store.finish(lease, JobStatus.SUCCEEDED)
    with pytest.raises(InvalidRecord, match="spec"):
        store.extend(lease.job_id, {"more": math.nan})
    store.extend(lease.job_id, {"more": 1})
    job = store.job(lease.job_id)
    assert (job.status, job.spec, job.proposed, job.finished_at) == (JobStatus.QUEUED, {"more": 1}, 1, None)
    with pytest.raises(UnknownJob):
        store.extend("nope", {})
