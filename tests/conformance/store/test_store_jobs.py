"""Jobs, their names, listings and specs."""

import math
from datetime import datetime, timedelta, timezone

import pytest
from toy_records import OpenStore

from storage.errors import (
    InvalidRecord,
    UnknownJob,
)
from storage.records import JobStatus, Lease
from storage.store import ResultStore


def test_a_new_job_is_queued(store: ResultStore) -> None:
    """It has a readable id, its spec in its order, and nothing that only a driver brings."""
    spec = {"z": [1, 2.5, None, True], "a": {"ü": "é\u2028", "empty": ""}}
    job = store.create_job("Digits über alles!", spec)
    slug, _, random = job.id.rpartition("-")
    assert (slug, len(random)) == ("digits-uber-alles", 6)
    assert (job.name, job.spec, job.status) == ("Digits über alles!", spec, JobStatus.QUEUED)
    assert list(job.spec) == ["z", "a"]
    assert {job.error, job.started_at, job.finished_at, job.owner, job.lease_ends_at} == {None}
    assert job.fence == job.proposed == job.evaluated == 0
    assert store.job(job.id) == job


def test_a_name_without_letters_still_makes_an_id(store: ResultStore) -> None:
    """The slug of nothing is `job`, and equal names make different ids."""
    first, second = store.create_job("???", {}), store.create_job("???", {})
    assert first.id.startswith("job-")
    assert first.id != second.id


def test_jobs_come_newest_first(store: ResultStore) -> None:
    """Listings are newest first, of one status or all, and can be cut."""
    ids = [store.create_job(f"job {index}", {}).id for index in range(4)]
    store.claim(ids[1], "me")
    assert [job.id for job in store.jobs()] == ids[::-1]
    assert [job.id for job in store.jobs(limit=2)] == ids[:1:-1]
    assert [job.id for job in store.jobs(status=JobStatus.RUNNING)] == [ids[1]]


def test_an_unknown_job_is_named(store: ResultStore) -> None:
    """Whoever asks for a job that is not there learns which ones are."""
    with pytest.raises(UnknownJob, match=r"no job 'nope'.*it holds no jobs"):
        store.job("nope")
    ids = [store.create_job("digits", {}).id for _ in range(7)]
    lost = Lease("nope", 1)
    for ask in (
        lambda: store.job("nope"),
        lambda: store.proposals("nope"),
        lambda: store.evaluations("nope"),
        lambda: store.artifacts("nope"),
        lambda: store.claim("nope", "me"),
        lambda: store.cancel("nope"),
        lambda: store.requeue("nope"),
        lambda: store.heartbeat(lost),
        lambda: store.add_artifact("nope", "plot", "a.png", sha256="0" * 64, size_bytes=1),
        lambda: store.add_measurements("nope", []),
    ):
        with pytest.raises(UnknownJob, match="no job 'nope'") as caught:
            ask()
        assert caught.value.known == ids[:1:-1]


@pytest.mark.parametrize("spec", [{"x": math.nan}, {"x": math.inf}, {"x": object()}, {1: 2}, [1]])
def test_a_spec_is_json(store: ResultStore, spec: object) -> None:
    """What has no JSON form is refused on every database, and no job is made."""
    with pytest.raises(InvalidRecord, match="a job's spec"):
        store.create_job("job", spec)  # type: ignore[arg-type]
    assert store.jobs() == []


def test_times_are_utc(open_store: OpenStore) -> None:
    """Microseconds and the moment survive, whatever time zone the clock speaks."""
    summer = datetime(2024, 7, 1, 0, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    store = open_store(clock=lambda: summer)
    job = store.job(store.create_job("job", {}).id)
    assert job.created_at == summer
    assert job.created_at.utcoffset() == timedelta(0)
