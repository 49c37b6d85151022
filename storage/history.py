"""The history of a search, in the transaction of the caller: what was proposed, and what came of it.

Architectures belong here, too: the first proposal of one records it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, select
from sqlalchemy import insert as plain_insert

from storage import checks, fronts
from storage.database import insert, rows_with_keys
from storage.errors import AlreadyEvaluated, InvalidRecord
from storage.records import Architecture, Evaluation, Outcome, Proposal
from storage.schema import ArchitectureRow, EvaluationRow, MetricRow, ProposalRow


def checked_architectures(architectures: Iterable[Architecture]) -> list[Architecture]:
    """The same architectures, or `InvalidRecord`."""
    return [
        Architecture(
            checks.key(given.key),
            checks.text(given.space, "the name of a space"),
            checks.json_object(given.genotype, "a genotype"),
            {
                name: checks.finite(value, f"static metric {name!r}")
                for name, value in checks.numbers(given.static_metrics, "static metric").items()
            },
        )
        for given in architectures
    ]


def checked_outcomes(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The same outcomes, or `InvalidRecord`: among others, when one architecture comes twice."""
    rows = [
        Outcome(
            checks.key(given.architecture_key),
            checks.numbers(given.metrics, "metric"),
            given.error,
            checks.finite(given.seconds, "the seconds of an evaluation"),
            given.stopped,
            None if given.losses is None else checks.losses(given.losses),
            checks.finite(given.device_seconds, "the seconds of devices"),
        )
        for given in outcomes
    ]
    seen: set[str] = set()
    for row in rows:
        if row.architecture_key in seen:
            raise AlreadyEvaluated(f"architecture {row.architecture_key} comes twice in these outcomes")
        if not row.metrics and not row.error:
            raise InvalidRecord(f"the outcome of architecture {row.architecture_key} has neither metrics nor an error")
        seen.add(row.architecture_key)
    return rows


def add_architectures(connection: Connection, rows: Iterable[Architecture]) -> None:
    """Add those that are not there yet; the first record of an architecture stays."""
    # In the order of their keys: transactions that add the same ones wait for each other in no circle.
    values = [
        {"key": row.key, "space": row.space, "genotype": row.genotype, "static_metrics": row.static_metrics}
        for row in sorted(rows, key=lambda row: row.key)
    ]
    connection.execute(insert(connection, ArchitectureRow).on_conflict_do_nothing(), values)


def architectures(connection: Connection, keys: Iterable[str]) -> dict[str, Architecture]:
    """The known ones of these keys, in the order of the keys."""
    keys = list(keys)
    statement = select(
        ArchitectureRow.key, ArchitectureRow.space, ArchitectureRow.genotype, ArchitectureRow.static_metrics
    )
    found = {
        row.key: Architecture(row.key, row.space, row.genotype, row.static_metrics)
        for row in rows_with_keys(connection, statement, ArchitectureRow.__table__.c.key, keys)
    }
    return {key: found[key] for key in keys if key in found}


def add_proposals(connection: Connection, job_id: str, batch: int, rows: Sequence[Architecture]) -> range:
    """Add a batch behind all earlier ones."""
    last = connection.execute(
        select(ProposalRow.number, ProposalRow.batch)
        .where(ProposalRow.job_id == job_id)
        .order_by(ProposalRow.number.desc())
        .limit(1)
    ).one_or_none()
    first = 0 if last is None else last.number + 1
    if last is not None and batch <= last.batch:
        raise InvalidRecord(f"batch {batch} of job {job_id!r} comes too late: batch {last.batch} is recorded")
    if not rows:
        return range(first, first)
    add_architectures(connection, rows)
    values = [
        {"job_id": job_id, "number": number, "batch": batch, "architecture_key": row.key, "genotype": row.genotype}
        for number, row in enumerate(rows, first)
    ]
    connection.execute(plain_insert(ProposalRow), values)
    return range(first, first + len(rows))


def proposals(connection: Connection, job_id: str) -> list[Proposal]:
    """All proposals of a job, in their order."""
    statement = (
        select(ProposalRow.number, ProposalRow.batch, ProposalRow.architecture_key, ProposalRow.genotype)
        .where(ProposalRow.job_id == job_id)
        .order_by(ProposalRow.number)
    )
    return [Proposal(*row) for row in connection.execute(statement).all()]


def add_evaluations(connection: Connection, job_id: str, rows: Sequence[Outcome], now: datetime) -> range:
    """Add evaluations behind all earlier ones, or none of them."""
    keys = [row.architecture_key for row in rows]
    _refuse_evaluated(connection, job_id, keys)
    proposed = _first_proposals(connection, job_id, keys)
    first = connection.execute(
        select(func.coalesce(func.max(EvaluationRow.number) + 1, 0)).where(EvaluationRow.job_id == job_id)
    ).scalar_one()
    if not rows:
        return range(first, first)
    evaluations = [
        {
            "job_id": job_id,
            "number": number,
            "architecture_key": row.architecture_key,
            "proposal": proposed[row.architecture_key],
            "error": row.error,
            "seconds": row.seconds,
            "created_at": now,
            "stopped": row.stopped,
            "device_seconds": row.device_seconds,
        }
        for number, row in enumerate(rows, first)
    ]
    metrics = [
        {"job_id": job_id, "number": number, "name": name, "value": value}
        for number, row in enumerate(rows, first)
        for name, value in row.metrics.items()
    ]
    connection.execute(plain_insert(EvaluationRow), evaluations)
    if metrics:
        connection.execute(plain_insert(MetricRow), metrics)
    fronts.add(connection, job_id, first, rows)
    return range(first, first + len(rows))


def evaluations(connection: Connection, job_id: str, start: int, limit: int | None) -> list[Evaluation]:
    """Evaluations of a job from the number `start` on, in their order."""
    end = None if limit is None else start + limit

    def within(number: ColumnElement[int]) -> ColumnElement[bool]:
        return number >= start if end is None else number.between(start, end - 1)

    rows = connection.execute(_ROWS.where(EvaluationRow.job_id == job_id, within(EvaluationRow.__table__.c.number)))
    values = connection.execute(_VALUES.where(MetricRow.job_id == job_id, within(MetricRow.__table__.c.number)))
    return _assembled(rows, values)


def front(connection: Connection, job_id: str) -> list[Evaluation]:
    """The evaluations on the front of a job, ascending in the first loss, then in the second, and so on."""
    numbers = fronts.numbers(connection, job_id)
    # By their numbers and not by a join, which a database may well begin with all evaluations.
    rows, values = (
        connection.execute(statement, {"job": job_id, "numbers": numbers}) for statement in (_SOME_ROWS, _SOME_VALUES)
    )
    found = {evaluation.number: evaluation for evaluation in _assembled(rows, values)}
    return [found[number] for number in numbers]


_ROWS = (
    select(
        EvaluationRow.number,
        EvaluationRow.architecture_key,
        ProposalRow.genotype,
        EvaluationRow.error,
        EvaluationRow.seconds,
        EvaluationRow.created_at,
        EvaluationRow.stopped,
        EvaluationRow.device_seconds,
    )
    .join(ProposalRow, (ProposalRow.job_id == EvaluationRow.job_id) & (ProposalRow.number == EvaluationRow.proposal))
    .order_by(EvaluationRow.number)
)
_VALUES = select(MetricRow.number, MetricRow.name, MetricRow.value)
_SOME_ROWS, _SOME_VALUES = (
    statement.where(table.job_id == bindparam("job"), table.number.in_(bindparam("numbers", expanding=True)))
    for statement, table in ((_ROWS, EvaluationRow), (_VALUES, MetricRow))
)


def _assembled(rows: Iterable[Sequence[Any]], values: Iterable[Sequence[Any]]) -> list[Evaluation]:
    metrics: dict[int, dict[str, float]] = {}
    # Sorted here: databases do not agree on the order of texts.
    for number, name, value in sorted(values, key=itemgetter(0, 1)):
        metrics.setdefault(number, {})[name] = value
    return [Evaluation(number, key, genotype, metrics.get(number, {}), *rest) for number, key, genotype, *rest in rows]


def set_metrics(connection: Connection, job_id: str, key: str, metrics: Mapping[str, float]) -> None:
    """Put metrics that were found later beside those of an evaluation, if the job has one of this architecture."""
    number = connection.execute(
        select(EvaluationRow.number).where(EvaluationRow.job_id == job_id, EvaluationRow.architecture_key == key)
    ).scalar()
    if number is None or not metrics:
        return
    rows = [{"job_id": job_id, "number": number, "name": name, "value": value} for name, value in metrics.items()]
    statement = insert(connection, MetricRow)
    statement = statement.on_conflict_do_update(
        index_elements=["job_id", "number", "name"], set_={"value": statement.excluded["value"]}
    )
    connection.execute(statement, rows)


def _refuse_evaluated(connection: Connection, job_id: str, keys: Sequence[str]) -> None:
    statement = select(EvaluationRow.architecture_key, EvaluationRow.number).where(EvaluationRow.job_id == job_id)
    column = EvaluationRow.__table__.c.architecture_key
    for key, number in rows_with_keys(connection, statement, column, keys):
        raise AlreadyEvaluated(f"job {job_id!r} has evaluated architecture {key} before, as its number {number}")


def _first_proposals(connection: Connection, job_id: str, keys: Sequence[str]) -> dict[str, int]:
    statement = (
        select(ProposalRow.architecture_key, func.min(ProposalRow.number))
        .where(ProposalRow.job_id == job_id)
        .group_by(ProposalRow.architecture_key)
    )
    column = ProposalRow.__table__.c.architecture_key
    found: dict[str, int] = dict(map(tuple, rows_with_keys(connection, statement, column, keys)))
    for key in keys:
        if key not in found:
            raise InvalidRecord(f"job {job_id!r} never proposed architecture {key}")
    return found
