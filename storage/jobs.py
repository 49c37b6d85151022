"""Jobs and their leases, in the transaction of the caller."""

import re
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, or_, select, update

from storage import checks
from storage.columns import UtcDateTime
from storage.database import insert
from storage.elapsed import elapsed
from storage.errors import InvalidRecord, LeaseHeld, LeaseLost, UnknownJob, WrongStatus
from storage.records import Job, JobStatus, Lease
from storage.schema import EvaluationRow, JobRow, ProposalRow

# Crockford's base 32: no i, l, o, u, which are misread.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"

# What a job without a driver has in place of a lease.
_NO_LEASE = {"owner": None, "heartbeat_at": None, "lease_seconds": None}


# Numbers have no gaps, so the largest one counts the rows without reading them.
_proposed, _evaluated = (
    select(func.coalesce(func.max(table.number) + 1, 0)).where(table.job_id == JobRow.id).scalar_subquery()
    for table in (ProposalRow, EvaluationRow)
)
_JOBS = select(
    JobRow.id,
    JobRow.name,
    JobRow.spec,
    JobRow.status,
    JobRow.error,
    JobRow.created_at,
    JobRow.started_at,
    JobRow.finished_at,
    JobRow.owner,
    JobRow.heartbeat_at,
    JobRow.lease_seconds,
    JobRow.fence,
    _proposed.label("proposed"),
    _evaluated.label("evaluated"),
    JobRow.priority,
    JobRow.paused,
    JobRow.restarts,
    JobRow.submitted_by,
    JobRow.ran_seconds,
    JobRow.end_reason,
)

# Statements that are asked often are made once: to write one down takes SQLAlchemy longer than to run it.
_ONE = _JOBS.where(JobRow.id == bindparam("wanted"))
_ID = select(JobRow.id).where(JobRow.id == bindparam("wanted"))
_ALL = 2**31 - 1
_NEWEST = _JOBS.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(bindparam("most"))
_NEWEST_OF = _NEWEST.where(JobRow.status == bindparam("status"))
_HOLD = (
    update(JobRow)
    .where(
        JobRow.id == bindparam("held_id"),
        JobRow.fence == bindparam("held_fence"),
        JobRow.status == JobStatus.RUNNING,
    )
    .values(
        heartbeat_at=bindparam("now"),
        ran_seconds=JobRow.ran_seconds + elapsed(JobRow.heartbeat_at, bindparam("now", type_=UtcDateTime)),
    )
)


def random_id(length: int) -> str:
    """Random base-32 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def create(
    connection: Connection, name: str, spec: Mapping[str, Any], now: datetime, submitted_by: str | None = None
) -> str:
    """Add a QUEUED job and return its id: the slug of its name and six random characters."""
    values = {
        "name": checks.text(name, "a job's name"),
        "spec": checks.json_object(spec, "a job's spec"),
        "status": JobStatus.QUEUED,
        "created_at": now,
        "submitted_by": submitted_by,
    }
    job_id: str | None = None
    while job_id is None:
        statement = insert(connection, JobRow).values(id=f"{_slug(name)}-{random_id(6)}", **values)
        added = statement.on_conflict_do_nothing().returning(JobRow.id)
        job_id = connection.execute(added).scalar()
    return job_id


def get(connection: Connection, job_id: str, store: str) -> Job:
    """The job with this id, or `UnknownJob`."""
    row = connection.execute(_ONE, {"wanted": job_id}).one_or_none()
    if row is None:
        raise _unknown(connection, job_id, store)
    return _job(row)


def expect(connection: Connection, job_id: str, store: str) -> None:
    """Raise `UnknownJob` when no job has this id."""
    if connection.execute(_ID, {"wanted": job_id}).one_or_none() is None:
        raise _unknown(connection, job_id, store)


def newest(connection: Connection, status: JobStatus | None, limit: int | None) -> list[Job]:
    """Jobs, newest first."""
    asked: dict[str, Any] = {"most": _ALL if limit is None else limit}
    if status is None:
        return [_job(row) for row in connection.execute(_NEWEST, asked)]
    return [_job(row) for row in connection.execute(_NEWEST_OF, {**asked, "status": JobStatus(status)})]


def claim(
    connection: Connection,
    job_id: str,
    owner: str,
    lease_seconds: float,
    dead_fence: int | None,
    now: datetime,
    store: str,
) -> Lease:
    """Take the lease of a job that is QUEUED or whose lease is over."""
    if checks.finite(lease_seconds, "the seconds of a lease") == 0:
        raise InvalidRecord("a lease of 0 seconds is over before it begins")
    connection.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update())
    job = get(connection, job_id, store)
    restarts = list(job.restarts)
    if job.status is JobStatus.RUNNING:
        assert job.heartbeat_at is not None
        assert job.lease_seconds is not None
        silent = (now - job.heartbeat_at).total_seconds()
        left = job.lease_seconds - silent
        if left > 0 and job.fence != dead_fence:
            raise LeaseHeld(
                f"job {job_id!r} is run by {job.owner}, last heard of {silent:.0f} s ago; "
                f"its lease ends in {left:.0f} s"
            )
        reason = f"{job.owner} was " + (f"silent for {silent:.0f} s" if left <= 0 else "found dead")
        restarts.append(_restart(job, reason, now))
    elif job.paused:
        raise WrongStatus(f"job {job_id!r} is paused; resume it first")
    elif job.status is not JobStatus.QUEUED:
        raise _wrong(job, "claimed", {JobStatus.QUEUED, JobStatus.RUNNING})
    connection.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(
            status=JobStatus.RUNNING,
            owner=checks.text(owner, "the owner of a lease"),
            heartbeat_at=now,
            lease_seconds=lease_seconds,
            fence=job.fence + 1,
            started_at=job.started_at or now,
            restarts=restarts,
        )
    )
    return Lease(job_id, job.fence + 1)


def hold(connection: Connection, lease: Lease, now: datetime, store: str, **values: Any) -> None:
    """Refuse a lease that is over, else renew it: one statement that also locks the job for this transaction.

    `values` are changes of the job that go with it.
    """
    held = _HOLD.values(values) if values else _HOLD
    if connection.execute(held, {"held_id": lease.job_id, "held_fence": lease.fence, "now": now}).rowcount == 1:
        return
    job = get(connection, lease.job_id, store)
    if job.fence != lease.fence:
        who = f", held by {job.owner}" if job.owner else ""
        why = f"it was claimed again (its fence is {job.fence}{who})"
    else:
        why = f"the job is {job.status}"
    raise LeaseLost(f"the lease of job {lease.job_id!r} with fence {lease.fence} is over: {why}")


def adopt(connection: Connection, lease: Lease, owner: str, now: datetime, store: str) -> Lease:
    """Move a lease to the process that it was taken for; whoever comes second is refused."""
    values = {"owner": checks.text(owner, "the owner of a lease"), "fence": lease.fence + 1}
    hold(connection, lease, now, store, **values)
    return Lease(lease.job_id, lease.fence + 1)


def permit(connection: Connection, job: Lease | str | None, now: datetime, store: str) -> str | None:
    """The id of the job that a record belongs to: a driver shows its lease, anybody else names the job."""
    if isinstance(job, Lease):
        hold(connection, job, now, store)
        return job.job_id
    return None if job is None else get(connection, job, store).id


def finish(
    connection: Connection,
    lease: Lease,
    status: JobStatus,
    error: str | None,
    end_reason: str | None,
    now: datetime,
    store: str,
) -> None:
    """End a job, or give it back to the queue."""
    if status is JobStatus.RUNNING:
        raise WrongStatus("a job does not finish as RUNNING")
    if error is None if status is JobStatus.FAILED else error is not None and status is not JobStatus.QUEUED:
        raise InvalidRecord(
            f"a FAILED job has an error, a QUEUED one may, another one has none (got {status} and {error!r})"
        )
    values: dict[str, Any] = {"status": status, "error": error, "end_reason": end_reason, **_NO_LEASE}
    if status.ended:
        values["finished_at"] = now
    elif error is not None:
        job = get(connection, lease.job_id, store)
        values["error"] = None
        values["restarts"] = [*job.restarts, _restart(job, error, now)]
    hold(connection, lease, now, store, **values)


def cancel(connection: Connection, job_id: str, now: datetime, store: str) -> None:
    """From QUEUED or RUNNING to CANCELLED."""
    values = {"status": JobStatus.CANCELLED, "finished_at": now, "paused": False, **_NO_LEASE}
    _move(connection, job_id, {JobStatus.QUEUED, JobStatus.RUNNING}, values, "cancelled", store)


def pause(connection: Connection, job_id: str, store: str) -> None:
    """From QUEUED or RUNNING to QUEUED and paused; its driver learns it at its next write."""
    values = {"status": JobStatus.QUEUED, "paused": True, **_NO_LEASE}
    _move(connection, job_id, {JobStatus.QUEUED, JobStatus.RUNNING}, values, "paused", store)


def unpause(connection: Connection, job_id: str, store: str) -> None:
    """Let a paused job be claimed again; one that is not paused stays as it is."""
    get(connection, job_id, store)
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(paused=False))


def prioritise(connection: Connection, job_id: str, priority: int, store: str) -> None:
    """Change which of the waiting jobs is next."""
    get(connection, job_id, store)
    connection.execute(update(JobRow).where(JobRow.id == job_id).values(priority=priority))


def count(connection: Connection) -> dict[JobStatus, int]:
    """How many jobs have each status."""
    statement = select(JobRow.status, func.count()).group_by(JobRow.status)
    return {JobStatus(status): number for status, number in connection.execute(statement)}


def waiting(connection: Connection, now: datetime) -> list[Job]:
    """Jobs that could be claimed: the greatest priority first, then the oldest."""
    statement = _JOBS.where(
        or_(JobRow.status == JobStatus.RUNNING, and_(JobRow.status == JobStatus.QUEUED, JobRow.paused.is_(False)))
    )
    found = [_job(row) for row in connection.execute(statement.order_by(JobRow.priority.desc(), JobRow.created_at))]
    return [job for job in found if job.lease_ends_at is None or job.lease_ends_at <= now]


def requeue(connection: Connection, job_id: str, store: str) -> None:
    """From FAILED or CANCELLED back to QUEUED."""
    values = {"status": JobStatus.QUEUED, "finished_at": None, "error": None}
    _move(connection, job_id, {JobStatus.FAILED, JobStatus.CANCELLED}, values, "queued again", store)


def extend(connection: Connection, job_id: str, spec: Mapping[str, Any], store: str) -> None:
    """From any end back to QUEUED, with another spec."""
    values = {
        "spec": checks.json_object(spec, "a job's spec"),
        "status": JobStatus.QUEUED,
        "finished_at": None,
        "error": None,
        "end_reason": None,
    }
    _move(connection, job_id, {status for status in JobStatus if status.ended}, values, "extended", store)


def _move(
    connection: Connection,
    job_id: str,
    expected: Collection[JobStatus],
    values: Mapping[str, Any],
    done: str,
    store: str,
) -> None:
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.status.in_(expected)).values(**values)
    if connection.execute(statement).rowcount == 0:
        raise _wrong(get(connection, job_id, store), done, expected)


def _wrong(job: Job, done: str, expected: Collection[JobStatus]) -> WrongStatus:
    allowed = " or ".join(status for status in JobStatus if status in expected)
    return WrongStatus(f"job {job.id!r} is {job.status}; only a job that is {allowed} can be {done}")


def _restart(job: Job, reason: str, now: datetime) -> dict[str, Any]:
    printable = "".join(letter if letter.isprintable() else " " for letter in reason)
    return {"at": now.isoformat(), "evaluated": job.evaluated, "reason": printable}


def _unknown(connection: Connection, job_id: str, store: str) -> UnknownJob:
    newest = select(JobRow.id).order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(5)
    return UnknownJob(job_id, list(connection.scalars(newest)), store)


def _slug(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name)[:40].strip("-") or "job"


def _job(row: Row[*tuple[Any, ...]]) -> Job:
    return Job(**{**row._mapping, "status": JobStatus(row.status)})
