"""Which job is next: priorities, pauses, and drivers that were lost."""

import pytest
from toy_records import Clock, architecture, running

from storage.errors import LeaseLost, UnknownJob, WrongStatus
from storage.records import JobStatus, Outcome
from storage.store import ResultStore


def test_the_greatest_priority_is_next_then_the_oldest(store: ResultStore) -> None:
    """Jobs that run, have ended or are paused do not wait."""
    ids = [store.create_job(f"job {index}", {}).id for index in range(6)]
    store.prioritise(ids[3], 5)
    store.prioritise(ids[4], -1)
    store.pause(ids[0])
    store.claim(ids[1], "me")
    store.cancel(ids[5])
    assert [job.id for job in store.waiting()] == [ids[3], ids[2], ids[4]]
    store.unpause(ids[0])
    assert [job.id for job in store.waiting()] == [ids[3], ids[0], ids[2], ids[4]]
    for ask in (store.pause, store.unpause, lambda job: store.prioritise(job, 1)):
        with pytest.raises(UnknownJob):
            ask("nope")


def test_a_paused_job_lets_go_of_its_driver(store: ResultStore) -> None:
    """The driver cannot write, nobody claims it, and after it was resumed it goes on with what it found."""
    lease = running(store, 2)
    store.add_evaluations(lease, [Outcome(architecture(0).key, {"a": 1.0})])
    store.pause(lease.job_id)
    job = store.job(lease.job_id)
    assert (job.status, job.paused, job.owner) == (JobStatus.QUEUED, True, None)
    with pytest.raises(LeaseLost, match="the job is QUEUED"):
        store.add_evaluations(lease, [Outcome(architecture(1).key, {"a": 1.0})])
    with pytest.raises(WrongStatus, match="is paused; resume it first"):
        store.claim(lease.job_id, "another")
    store.unpause(lease.job_id)
    second = store.claim(lease.job_id, "another")
    store.add_evaluations(second, [Outcome(architecture(1).key, {"a": 1.0})])
    store.finish(second, JobStatus.SUCCEEDED)
    assert store.job(lease.job_id).restarts == []
    with pytest.raises(WrongStatus, match="is SUCCEEDED; only a job that is QUEUED or RUNNING can be paused"):
        store.pause(lease.job_id)


def test_a_paused_job_that_is_cancelled_waits_again_once_it_is_queued_again(store: ResultStore) -> None:
    """Its pause ended with it."""
    job = store.create_job("job", {}).id
    store.pause(job)
    store.cancel(job)
    assert (store.job(job).status, store.job(job).paused) == (JobStatus.CANCELLED, False)
    store.requeue(job)
    assert [each.id for each in store.waiting()] == [job]


def test_lost_drivers_are_remembered(store: ResultStore, clock: Clock) -> None:
    """When, after how many evaluations, and how it was known; the job waits as soon as its lease is over."""
    lease = running(store, 3)
    store.add_evaluations(lease, [Outcome(architecture(0).key, {"a": 1.0})])
    clock.advance(59)
    assert store.waiting() == []
    clock.advance(2)
    assert [job.id for job in store.waiting()] == [lease.job_id]
    second = store.claim(lease.job_id, "second")
    store.add_evaluations(second, [Outcome(architecture(1).key, {"a": 1.0})])
    store.claim(lease.job_id, "third", dead_fence=second.fence)
    first, last = store.job(lease.job_id).restarts
    assert (first["evaluated"], last["evaluated"]) == (1, 2)
    assert first["reason"] == "host:1:2 was silent for 61 s"
    assert last["reason"] == "second was found dead"
    assert first["at"] < last["at"]
