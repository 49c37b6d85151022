"""Where a network was met: in which jobs, and on which devices, in the transaction of the caller."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Double, func, select, type_coerce

from storage.records import Json
from storage.schema import EvaluationRow, FrontRow, JobRow, MeasurementRow


class Encounter(NamedTuple):
    """An evaluation of a network by a job."""

    job_id: str
    job_name: str
    number: int
    error: str | None
    created_at: datetime
    on_front: bool


class Timing(NamedTuple):
    """What a device measured of a network."""

    device_fingerprint: str
    device_name: str
    metric: str
    value: float
    statistics: Json
    job_id: str | None
    created_at: datetime


def encounters(connection: Connection, key: str, limit: int) -> list[Encounter]:
    """The jobs that evaluated a network, the newest evaluation first."""
    row = EvaluationRow
    statement = (
        select(row.job_id, JobRow.name, row.number, row.error, row.created_at, FrontRow.number.is_not(None))
        .join(JobRow, JobRow.id == row.job_id)
        .outerjoin(FrontRow, (FrontRow.job_id == row.job_id) & (FrontRow.number == row.number))
        .where(row.architecture_key == key)
        .order_by(row.created_at.desc(), row.job_id)
        .limit(limit)
    )
    return [Encounter(*found[:-1], bool(found[-1])) for found in connection.execute(statement)]


def evaluation_number(connection: Connection, job_id: str, key: str) -> int | None:
    """The number of a job's evaluation of a network; None where there is none."""
    statement = select(EvaluationRow.number).where(
        EvaluationRow.job_id == job_id, EvaluationRow.architecture_key == key
    )
    return connection.execute(statement).scalar()


def timings(connection: Connection, key: str) -> list[Timing]:
    """What devices measured of a network, by device and metric."""
    row = MeasurementRow
    statement = (
        select(
            row.device_fingerprint, row.device_name, row.metric, row.value, row.statistics, row.job_id, row.created_at
        )
        .where(row.architecture_key == key)
        .order_by(row.device_name, row.device_fingerprint, row.metric)
    )
    return [Timing(*found) for found in connection.execute(statement)]


def common(
    connection: Connection, metric: str, first: str, second: str, limit: int
) -> list[tuple[str, float | None, float | None]]:
    """Networks that two devices measured a metric of: key, value on the first, value on the second; NaN is None.

    The metric is named without a device; of a device that jobs call by several names the smallest value counts.
    """
    a, b = MeasurementRow.__table__.alias(), MeasurementRow.__table__.alias()
    named = [table.c.metric.startswith(f"{metric}@", autoescape=True) for table in (a, b)]
    values = [type_coerce(func.min(table.c.value), Double) for table in (a, b)]
    statement = (
        select(a.c.architecture_key, *values)
        .join(b, a.c.architecture_key == b.c.architecture_key)
        .where(a.c.device_fingerprint == first, b.c.device_fingerprint == second, *named)
        .group_by(a.c.architecture_key)
        .order_by(a.c.architecture_key)
        .limit(limit)
    )
    return [(key, x, y) for key, x, y in connection.execute(statement)]


def measured_by(connection: Connection, fingerprint: str, limit: int) -> list[tuple[datetime, str, float, Json]]:
    """The newest measurements of a device, oldest first: when, metric, value, statistics."""
    row = MeasurementRow
    statement = (
        select(row.created_at, row.metric, row.value, row.statistics)
        .where(row.device_fingerprint == fingerprint)
        .order_by(row.created_at.desc())
        .limit(limit)
    )
    return [(at, metric, value, statistics) for at, metric, value, statistics in connection.execute(statement)][::-1]
