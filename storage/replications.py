"""Finalists that were measured anew, in the transaction of the caller."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from storage import checks
from storage.database import insert, rows_with_keys
from storage.errors import InvalidRecord
from storage.records import Replication
from storage.schema import EvaluationRow, ReplicationRow


def checked(replications: Iterable[Replication]) -> list[Replication]:
    """The same replications, or `InvalidRecord`."""
    return [
        Replication(
            checks.key(given.architecture_key),
            checks.text(given.metric, "the name of a metric"),
            checks.number(given.value, f"metric {given.metric!r}"),
            checks.number(given.searched, f"metric {given.metric!r}"),
            bool(given.stable),
            checks.json_object(given.statistics, "the statistics of a measurement"),
        )
        for given in replications
    ]


def add(connection: Connection, job_id: str, rows: Sequence[Replication], now: datetime) -> None:
    """Add replications; one of the same thing replaces the earlier one."""
    column = EvaluationRow.__table__.c.architecture_key
    statement = select(EvaluationRow.architecture_key).where(EvaluationRow.job_id == job_id)
    keys = {row.architecture_key for row in rows}
    for key in sorted(keys - {known for (known,) in rows_with_keys(connection, statement, column, keys)}):
        raise InvalidRecord(f"job {job_id} has no evaluation of architecture {key}, so there is nothing to replicate")
    identity = ("job_id", "architecture_key", "metric")
    values = [
        {
            "job_id": job_id,
            "architecture_key": row.architecture_key,
            "metric": row.metric,
            "value": row.value,
            "searched": row.searched,
            "stable": row.stable,
            "statistics": row.statistics,
            "created_at": now,
        }
        for row in rows
    ]
    if values:
        new = insert(connection, ReplicationRow)
        newer = {name: new.excluded[name] for name in values[0] if name not in identity}
        connection.execute(new.on_conflict_do_update(index_elements=identity, set_=newer), values)


def of_job(connection: Connection, job_id: str) -> list[Replication]:
    """All replications of a job, by architecture and metric."""
    return [Replication(*row) for row in connection.execute(_OF_JOB, {"job": job_id})]


_OF_JOB = (
    select(
        ReplicationRow.architecture_key,
        ReplicationRow.metric,
        ReplicationRow.value,
        ReplicationRow.searched,
        ReplicationRow.stable,
        ReplicationRow.statistics,
        ReplicationRow.created_at,
    )
    .where(ReplicationRow.job_id == bindparam("job"))
    .order_by(ReplicationRow.architecture_key, ReplicationRow.metric)
)
