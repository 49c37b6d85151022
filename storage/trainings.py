"""Trainings of single networks, in the transaction of the caller."""

from datetime import datetime

from sqlalchemy import Connection, select

from storage import checks
from storage.database import insert
from storage.errors import InvalidRecord
from storage.history import architectures, set_metrics
from storage.records import Training, TrainingStatus
from storage.schema import TrainingRow


def checked(given: Training) -> Training:
    """The same training, or `InvalidRecord`."""
    curve = checks.json_object(given.curve, "the curve of a training")
    if given.epochs < 1 or any(len(values) > given.epochs for values in curve.values()):
        raise InvalidRecord(f"a training has at least one epoch and no more values than those (got {given.epochs})")
    told = given.status in (TrainingStatus.STOPPED, TrainingStatus.FAILED)
    if told != (given.cause is not None):
        raise InvalidRecord(f"a training that is STOPPED or FAILED has a cause, another none (got {given.cause!r})")
    return Training(
        checks.key(given.architecture_key),
        checks.json_object(given.recipe, "the recipe of a training"),
        int(given.epochs),
        TrainingStatus(given.status),
        {name: [checks.number(each, f"the curve of {name!r}") for each in values] for name, values in curve.items()},
        checks.finite(given.seconds, "the seconds of a training"),
        checks.finite(given.saved_seconds, "the saved seconds of a training"),
        given.cause,
    )


def record(connection: Connection, job_id: str, row: Training, metrics: dict[str, float], now: datetime) -> None:
    """Add a training, or what became of it since."""
    if not architectures(connection, [row.architecture_key]):
        raise InvalidRecord(f"architecture {row.architecture_key} is not recorded")
    changing = {
        "recipe": row.recipe,
        "epochs": row.epochs,
        "status": row.status,
        "curve": row.curve,
        "seconds": row.seconds,
        "saved_seconds": row.saved_seconds,
        "cause": row.cause,
    }
    statement = insert(connection, TrainingRow).values(
        job_id=job_id, architecture_key=row.architecture_key, created_at=now, **changing
    )
    changed = {name: statement.excluded[name] for name in changing}
    connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "architecture_key"], set_=changed))
    set_metrics(connection, job_id, row.architecture_key, metrics)


def of_job(connection: Connection, job_id: str) -> list[Training]:
    """All trainings of a job, in the order in which they began."""
    rows = (
        select(
            TrainingRow.architecture_key,
            TrainingRow.recipe,
            TrainingRow.epochs,
            TrainingRow.status,
            TrainingRow.curve,
            TrainingRow.seconds,
            TrainingRow.saved_seconds,
            TrainingRow.cause,
            TrainingRow.created_at,
        )
        .where(TrainingRow.job_id == job_id)
        .order_by(TrainingRow.created_at, TrainingRow.architecture_key)
    )
    return [
        Training(key, recipe, epochs, TrainingStatus(status), *rest)
        for key, recipe, epochs, status, *rest in connection.execute(rows)
    ]
