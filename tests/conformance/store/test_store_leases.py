"""One driver a job: leases, fences, and the life of a job."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from toy_records import Clock, architecture, running

from storage.errors import (
    InvalidRecord,
    LeaseHeld,
    LeaseLost,
    WrongStatus,
)
from storage.records import Device, JobStatus, Lease, Measurement, Outcome
from storage.store import ResultStore


def test_the_life_of_a_job(store: ResultStore, clock: Clock) -> None:
    """QUEUED, RUNNING, SUCCEEDED, each with its time."""
    created = store.create_job("job", {})
    lease = store.claim(created.id, "host:1:2", lease_seconds=30)
    job = store.job(created.id)
    assert lease == Lease(created.id, 1)
    assert (job.status, job.owner, job.fence, job.lease_seconds) == (JobStatus.RUNNING, "host:1:2", 1, 30.0)
    assert job.started_at == job.heartbeat_at
    assert job.lease_ends_at == clock.time + timedelta(seconds=30)
    clock.advance(20)
    store.heartbeat(lease)
    assert store.job(job.id).lease_ends_at == clock.time + timedelta(seconds=30)
    store.finish(lease, JobStatus.SUCCEEDED)
    ended = store.job(job.id)
    assert (ended.status, ended.finished_at, ended.started_at) == (
        JobStatus.SUCCEEDED,
        clock.time,
        job.started_at,
    )
    assert {ended.owner, ended.heartbeat_at, ended.lease_seconds} == {None}


def test_the_time_of_drivers_adds_up(store: ResultStore, clock: Clock) -> None:
    """From each claim to the last sign of life; neither what nobody hears of nor pauses count, nor a clock set back."""
    job = store.create_job("job", {})
    clock.advance(500)
    lease = store.claim(job.id, "first", lease_seconds=30)
    for _ in range(3):
        clock.advance(10)
        store.heartbeat(lease)
    clock.advance(500)
    lease = store.claim(job.id, "second")
    clock.advance(10)
    store.finish(lease, JobStatus.QUEUED)
    clock.advance(500)
    lease = store.claim(job.id, "third")
    clock.advance(-500)
    store.heartbeat(lease)
    clock.advance(2)
    store.finish(lease, JobStatus.SUCCEEDED, end_reason="its 12 evaluations are made")
    ended = store.job(job.id)
    assert ended.ran_seconds == pytest.approx(42, abs=0.1)
    assert ended.end_reason == "its 12 evaluations are made"
    store.extend(job.id, {})
    assert (store.job(job.id).ran_seconds, store.job(job.id).end_reason) == (ended.ran_seconds, None)


def test_a_failed_job_keeps_its_error(store: ResultStore) -> None:
    """Text from anywhere is kept; what no database agrees on is replaced."""
    lease = running(store)
    with pytest.raises(InvalidRecord, match="a FAILED job has an error"):
        store.finish(lease, JobStatus.FAILED)
    store.finish(lease, JobStatus.FAILED, "it's 100 % \0broken\ud800: %s\nΩ😀")
    assert store.job(lease.job_id).error == "it's 100 % \ufffdbroken\ufffd: %s\nΩ😀"


def test_a_job_given_back_for_a_reason(store: ResultStore, clock: Clock) -> None:
    """It waits, without an error, and the reason counts as a restart; a job that is done has none."""
    lease = running(store)
    with pytest.raises(InvalidRecord, match="a QUEUED one may"):
        store.finish(lease, JobStatus.SUCCEEDED, "why not")
    store.finish(lease, JobStatus.QUEUED, "the cluster\nis gone\0")
    job = store.job(lease.job_id)
    assert (job.status, job.error, job.owner) == (JobStatus.QUEUED, None, None)
    assert job.restarts == [{"at": clock.time.isoformat(), "evaluated": 0, "reason": "the cluster is gone "}]
    store.finish(store.claim(job.id, "second"), JobStatus.QUEUED)
    assert len(store.job(job.id).restarts) == 1


def test_a_lease_is_handed_on_once(store: ResultStore, clock: Clock) -> None:
    """A job that was begun for somebody is not claimed by others; who it was begun for adopts it, and nobody twice."""
    sent = store.begin_job("job", {}, "the sender", lease_seconds=60)
    job = store.job(sent.job_id)
    assert (job.status, job.owner, job.fence) == (JobStatus.RUNNING, "the sender", sent.fence)
    assert store.waiting() == []
    with pytest.raises(LeaseHeld):
        store.claim(job.id, "another")
    clock.advance(59)
    adopted = store.adopt(sent, "the driver")
    found = store.job(job.id)
    assert (found.owner, found.fence, list(found.restarts)) == ("the driver", adopted.fence, [])
    assert found.lease_ends_at == clock.time + timedelta(seconds=60)
    for late in (lambda: store.adopt(sent, "a second driver"), lambda: store.heartbeat(sent)):
        with pytest.raises(LeaseLost, match="it was claimed again"):
            late()
    store.heartbeat(adopted)
    store.cancel(job.id)
    with pytest.raises(LeaseLost, match="is CANCELLED"):
        store.adopt(adopted, "a third")


def test_a_lease_is_exclusive(store: ResultStore, clock: Clock) -> None:
    """Nobody else claims a job whose owner lives; when it was silent for too long, the next one does."""
    job = store.create_job("job", {})
    first = store.claim(job.id, "first", lease_seconds=60)
    clock.advance(59)
    with pytest.raises(LeaseHeld, match="is run by first, last heard of 59 s ago; its lease ends in 1 s"):
        store.claim(job.id, "second")
    clock.advance(1)
    second = store.claim(job.id, "second")
    assert (first.fence, second.fence) == (1, 2)
    assert store.job(job.id).owner == "second"


def test_a_dead_owner_is_followed_at_once(store: ResultStore) -> None:
    """Who knows that the owner is dead names its fence, and cannot take a newer lease by mistake."""
    job = store.create_job("job", {})
    first = store.claim(job.id, "first")
    second = store.claim(job.id, "second", dead_fence=first.fence)
    with pytest.raises(LeaseHeld):
        store.claim(job.id, "third", dead_fence=first.fence)
    assert store.job(job.id).fence == second.fence


def test_one_of_many_claims_wins(store: ResultStore) -> None:
    """Threads that claim one job at once: one has it."""
    job = store.create_job("job", {})

    def claim(owner: int) -> int:
        try:
            return store.claim(job.id, f"owner {owner}").fence
        except LeaseHeld:
            return 0

    with ThreadPoolExecutor(4) as pool:
        fences = sorted(pool.map(claim, range(8)))
    assert fences == [0] * 7 + [1]


def test_a_stale_lease_writes_nothing(store: ResultStore) -> None:
    """A driver that wakes up after another one took over is refused, whatever it writes."""
    stale = running(store, 2)
    store.add_device(Device("f", "cpu"))
    store.claim(stale.job_id, "second", dead_fence=stale.fence)
    before = store.job(stale.job_id)
    outcome = Outcome(architecture(0).key, {"accuracy": 1.0})
    measurement = Measurement(architecture(0).key, "f", "latency_ms", 1.0, "cpu")
    for write in (
        lambda: store.heartbeat(stale),
        lambda: store.add_proposals(stale, 1, [architecture(9)]),
        lambda: store.add_evaluations(stale, [outcome]),
        lambda: store.add_measurements(stale, [measurement]),
        lambda: store.add_artifact(stale, "plot", "a.png", sha256="0" * 64, size_bytes=1),
        lambda: store.finish(stale, JobStatus.SUCCEEDED),
    ):
        with pytest.raises(LeaseLost, match=r"fence 1 is over: .* \(its fence is 2, held by second\)"):
            write()
    assert store.job(stale.job_id) == before
    assert not store.evaluations(stale.job_id)
    assert not store.artifacts(stale.job_id)
    assert store.architectures([architecture(9).key]) == {}
    assert store.measurements([architecture(0).key], "f", "latency_ms") == {}


@pytest.mark.parametrize("end", ["cancel", "finish", "give back"])
def test_a_lease_ends_with_its_run(store: ResultStore, end: str) -> None:
    """After the job was cancelled, ended or given back, its last driver writes nothing."""
    lease = running(store, 1)
    if end == "cancel":
        store.cancel(lease.job_id)
    else:
        store.finish(lease, JobStatus.QUEUED if end == "give back" else JobStatus.SUCCEEDED)
    with pytest.raises(LeaseLost, match=r"the job is (CANCELLED|QUEUED|SUCCEEDED)"):
        store.add_evaluations(lease, [Outcome(architecture(0).key, {"accuracy": 1.0})])
    assert store.evaluations(lease.job_id) == []


def test_a_job_goes_on_with_what_it_found(store: ResultStore) -> None:
    """Cancelled or failed, queued again, claimed: nothing is lost, and the fence is a new one."""
    lease = running(store, 2)
    store.add_evaluations(lease, [Outcome(architecture(0).key, {"accuracy": 1.0})])
    store.cancel(lease.job_id)
    store.requeue(lease.job_id)
    second = store.claim(lease.job_id, "second")
    store.finish(second, JobStatus.FAILED, "no space left")
    store.requeue(lease.job_id)
    assert (store.job(lease.job_id).error, store.job(lease.job_id).finished_at) == (None, None)
    third = store.claim(lease.job_id, "third")
    store.add_evaluations(third, [Outcome(architecture(1).key, {"accuracy": 1.0})])
    assert third.fence == 3
    assert len(store.evaluations(lease.job_id)) == store.job(lease.job_id).evaluated == 2


def test_a_status_moves_only_as_allowed(store: ResultStore) -> None:
    """What has ended is neither claimed nor cancelled; what has not is not queued again."""
    lease = running(store)
    with pytest.raises(WrongStatus, match="is RUNNING; only a job that is FAILED or CANCELLED can be"):
        store.requeue(lease.job_id)
    with pytest.raises(WrongStatus, match="does not finish as RUNNING"):
        store.finish(lease, JobStatus.RUNNING)
    store.finish(lease, JobStatus.SUCCEEDED)
    for move in (store.cancel, store.requeue):
        with pytest.raises(WrongStatus, match="is SUCCEEDED"):
            move(lease.job_id)
    with pytest.raises(WrongStatus, match="is SUCCEEDED; only a job that is QUEUED or RUNNING can be claimed"):
        store.claim(lease.job_id, "me")
