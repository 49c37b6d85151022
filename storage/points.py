"""The evaluations of a job as columns, for pictures of many of them, in the transaction of the caller."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, Select, func, or_, select, type_coerce, union

from storage import fronts
from storage.database import rows_with_keys
from storage.schema import EvaluationRow, FrontRow, MetricRow, ReplicationRow

_NAMED = 100
"""Evaluations whose metrics give a job's metrics their names."""


class Points(NamedTuple):
    """Some evaluations of a job.

    Attributes:
        numbers: of n evaluations, ascending.
        failed: n booleans.
        values: metric -> rows of the number of an evaluation and its value; None is NaN; not found, no row.
        front: numbers of those on the front, by the first loss.
    """

    numbers: Sequence[int]
    failed: Sequence[bool]
    values: dict[str, Sequence[tuple[int, float | None]]]
    front: Sequence[int]


@dataclass(frozen=True, slots=True)
class Failure:
    """A cause, how many evaluations it ended, and the first of them."""

    error: str
    count: int
    first: int


def points(
    connection: Connection, job_id: str, metrics: Sequence[str], start: int, end: int | None, stride: int
) -> Points:
    """Every `stride`-th evaluation from `start` to before `end`, and all of the front among them."""
    on_front = select(FrontRow.number).where(FrontRow.job_id == job_id)

    def both(number: ColumnElement[int]) -> ColumnElement[bool]:
        within = number >= start if end is None else number.between(start, end - 1)
        return within if stride == 1 else within & or_(number % stride == 0, number.in_(on_front))

    column = EvaluationRow.__table__.c.number
    rows = _plain(
        connection,
        select(EvaluationRow.number, EvaluationRow.error.is_not(None))
        .where(EvaluationRow.job_id == job_id, both(column))
        .order_by(column),
    )
    values: dict[str, Sequence[tuple[int, float | None]]] = {}
    for metric in metrics:
        # The plain column: what makes NaN of NULL one value at a time would take longer than the query.
        statement = select(MetricRow.number, type_coerce(MetricRow.value, Double)).where(
            MetricRow.job_id == job_id, MetricRow.name == metric, both(MetricRow.__table__.c.number)
        )
        values[metric] = _plain(connection, statement)
    return Points(
        [number for number, _ in rows], [bool(failed) for _, failed in rows], values, fronts.numbers(connection, job_id)
    )


def _plain(connection: Connection, statement: Select[*tuple[Any, ...]]) -> list[Any]:
    """The rows as the driver gives them: making SQLAlchemy's own of many takes longer than the query."""
    with connection.execute(statement) as result:
        assert result.cursor is not None
        return list(result.cursor.fetchall())


def metric_names(connection: Connection, job_id: str) -> list[str]:
    """The metrics that a job's first and last evaluations have, and those on its front."""
    most = select(func.max(EvaluationRow.number)).where(EvaluationRow.job_id == job_id)
    last = connection.execute(most).scalar()
    if last is None:
        return []
    number, names = MetricRow.__table__.c.number, select(MetricRow.name).where(MetricRow.job_id == job_id)
    on_front = select(FrontRow.number).where(FrontRow.job_id == job_id)
    near = (number < _NAMED, number > last - _NAMED, number.in_(on_front))
    return sorted(connection.scalars(union(*(names.where(each) for each in near))))


def replicated(connection: Connection, job_id: str) -> list[tuple[int, str, float]]:
    """What was measured anew of a job's finalists: number of the evaluation, metric, value."""
    row = ReplicationRow
    statement = (
        select(EvaluationRow.number, row.metric, row.value)
        .join(
            EvaluationRow,
            (EvaluationRow.job_id == row.job_id) & (EvaluationRow.architecture_key == row.architecture_key),
        )
        .where(row.job_id == job_id)
    )
    return [(number, metric, value) for number, metric, value in connection.execute(statement)]


def times(connection: Connection, job_id: str, numbers: Iterable[int]) -> dict[int, datetime]:
    """When evaluations were recorded, by their numbers."""
    statement = select(EvaluationRow.number, EvaluationRow.created_at).where(EvaluationRow.job_id == job_id)
    rows = rows_with_keys(connection, statement, EvaluationRow.__table__.c.number, numbers)
    return {row.number: row.created_at for row in rows}


def failures(connection: Connection, job_id: str, limit: int) -> list[Failure]:
    """Why evaluations of a job failed, the most frequent causes first."""
    count = func.count()
    statement = (
        select(EvaluationRow.error, count, func.min(EvaluationRow.number))
        .where(EvaluationRow.job_id == job_id, EvaluationRow.error.is_not(None))
        .group_by(EvaluationRow.error)
        .order_by(count.desc(), EvaluationRow.error)
        .limit(limit)
    )
    return [Failure(str(error), number, first) for error, number, first in connection.execute(statement)]
