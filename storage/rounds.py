"""The rounds of a search that trains as it goes, in the transaction of the caller."""

from datetime import datetime
from operator import itemgetter

from sqlalchemy import Connection, func, select
from sqlalchemy import insert as plain_insert

from storage import checks
from storage.errors import InvalidRecord
from storage.records import Round
from storage.schema import RoundMetricRow, RoundRow


def checked(given: Round) -> Round:
    """The same round, or `InvalidRecord`."""
    chances = checks.json_object(given.chances, "the chances of a round")
    return Round(
        given.number,
        checks.json_object(given.genotype, "the genotype of a round"),
        {name: [checks.finite(each, f"a chance of {name!r}") for each in values] for name, values in chances.items()},
        checks.numbers(given.metrics, "metric"),
        bool(given.last),
    )


def add(connection: Connection, job_id: str, row: Round, now: datetime) -> None:
    """Add a round behind all earlier ones."""
    done = connection.execute(select(func.count()).where(RoundRow.job_id == job_id)).scalar_one()
    if row.number != done + 1:
        raise InvalidRecord(f"round {row.number} of job {job_id!r} does not follow the {done} that are recorded")
    connection.execute(
        plain_insert(RoundRow).values(
            job_id=job_id,
            number=row.number,
            genotype=row.genotype,
            chances=row.chances,
            last=row.last,
            created_at=now,
        )
    )
    metrics = [
        {"job_id": job_id, "number": row.number, "name": name, "value": value} for name, value in row.metrics.items()
    ]
    if metrics:
        connection.execute(plain_insert(RoundMetricRow), metrics)


def of_job(connection: Connection, job_id: str) -> list[Round]:
    """All rounds of a job, in their order."""
    values = select(RoundMetricRow.number, RoundMetricRow.name, RoundMetricRow.value).where(
        RoundMetricRow.job_id == job_id
    )
    metrics: dict[int, dict[str, float]] = {}
    # Sorted here: databases do not agree on the order of texts.
    for number, name, value in sorted(connection.execute(values).all(), key=itemgetter(0, 1)):
        metrics.setdefault(number, {})[name] = value
    rows = (
        select(RoundRow.number, RoundRow.genotype, RoundRow.chances, RoundRow.last, RoundRow.created_at)
        .where(RoundRow.job_id == job_id)
        .order_by(RoundRow.number)
    )
    return [
        Round(number, genotype, chances, metrics.get(number, {}), last, created_at)
        for number, genotype, chances, last, created_at in connection.execute(rows).all()
    ]
