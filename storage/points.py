"""The evaluations of a job as columns, for pictures of many of them, in the transaction of the caller."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Double, Select, bindparam, func, or_, select, type_coerce, union

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
    asked = {"job": job_id, "start": start, "end": _ALL if end is None else end}
    ask_rows, ask_values = _ROWS, _VALUES
    if stride > 1:
        on_front = select(FrontRow.number).where(FrontRow.job_id == job_id)
        ask_rows, ask_values = (
            statement.where(or_(number % stride == 0, number.in_(on_front)))
            for statement, number in (
                (_ROWS, EvaluationRow.__table__.c.number),
                (_VALUES, MetricRow.__table__.c.number),
            )
        )
    rows = _plain(connection, ask_rows, asked)
    values: dict[str, Sequence[tuple[int, float | None]]] = {
        metric: _plain(connection, ask_values, {**asked, "metric": metric}) for metric in metrics
    }
    return Points(
        [number for number, _ in rows], [bool(failed) for _, failed in rows], values, fronts.numbers(connection, job_id)
    )


_ALL = 2**31 - 1
_ROWS = (
    select(EvaluationRow.number, EvaluationRow.error.is_not(None))
    .where(
        EvaluationRow.job_id == bindparam("job"),
        EvaluationRow.number >= bindparam("start"),
        EvaluationRow.number < bindparam("end"),
    )
    .order_by(EvaluationRow.number)
)
# The plain column: what makes NaN of NULL one value at a time would take longer than the query.
_VALUES = select(MetricRow.number, type_coerce(MetricRow.value, Double)).where(
    MetricRow.job_id == bindparam("job"),
    MetricRow.name == bindparam("metric"),
    MetricRow.number >= bindparam("start"),
    MetricRow.number < bindparam("end"),
)


def _plain(connection: Connection, statement: Select[*tuple[Any, ...]], asked: Mapping[str, Any]) -> list[Any]:
    """The rows as the driver gives them: making SQLAlchemy's own of many takes longer than the query."""
    with connection.execute(statement, asked) as result:
        assert result.cursor is not None
        return list(result.cursor.fetchall())


def metric_names(connection: Connection, job_id: str) -> list[str]:
    """The metrics that a job's first and last evaluations have, and those on its front."""
    last = connection.execute(_LAST, {"job": job_id}).scalar()
    if last is None:
        return []
    asked = {"job": job_id, "few": _NAMED, "late": last - _NAMED, "front": fronts.numbers(connection, job_id)}
    return sorted(connection.scalars(_NAMES, asked))


_LAST = select(func.max(EvaluationRow.number)).where(EvaluationRow.job_id == bindparam("job"))
_NAMES = union(
    *(
        select(MetricRow.name).where(MetricRow.job_id == bindparam("job"), near)
        for near in (
            MetricRow.number < bindparam("few"),
            MetricRow.number > bindparam("late"),
            MetricRow.number.in_(bindparam("front", expanding=True)),
        )
    )
)


def replicated(connection: Connection, job_id: str) -> list[tuple[int, str, float]]:
    """What was measured anew of a job's finalists: number of the evaluation, metric, value."""
    return [(number, metric, value) for number, metric, value in connection.execute(_REPLICATED, {"job": job_id})]


_REPLICATED = (
    select(EvaluationRow.number, ReplicationRow.metric, ReplicationRow.value)
    .join(
        EvaluationRow,
        (EvaluationRow.job_id == ReplicationRow.job_id)
        & (EvaluationRow.architecture_key == ReplicationRow.architecture_key),
    )
    .where(ReplicationRow.job_id == bindparam("job"))
)


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
