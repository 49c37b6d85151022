"""The Pareto front of each job, kept up to date with every batch that is told, in the transaction of the caller.

A front is a few rows of a table, so asking for it costs the same after a thousand evaluations as after a million.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy import insert as plain_insert

from storage import checks
from storage.database import rows_with_keys
from storage.errors import InvalidRecord
from storage.records import Outcome
from storage.schema import EvaluationRow, FrontRow


def add(connection: Connection, job_id: str, first: int, rows: Sequence[Outcome]) -> None:
    """Let evaluations, numbered from `first` on, join the front of their job and push others off it."""
    joining = {number: row.losses for number, row in enumerate(rows, first) if row.losses is not None}
    if joining:
        known = _members(connection, job_id)
        _replace(connection, job_id, known, {**known, **joining})


def replace(connection: Connection, job_id: str, losses: Mapping[int, Sequence[float]]) -> None:
    """Make the front of a job anew of some of its evaluations: number -> losses."""
    checked = {number: checks.losses(values) for number, values in losses.items()}
    statement = select(EvaluationRow.number).where(EvaluationRow.job_id == job_id)
    column = EvaluationRow.__table__.c.number
    unknown = set(losses) - {number for (number,) in rows_with_keys(connection, statement, column, losses)}
    if unknown:
        raise InvalidRecord(f"job {job_id!r} has no evaluation {min(unknown)}, so it is not on its front")
    _replace(connection, job_id, _members(connection, job_id), checked)


def numbers(connection: Connection, job_id: str) -> list[int]:
    """The numbers of the evaluations on the front of a job, ascending in the first loss, then in the second, ..."""
    known = _members(connection, job_id)
    return sorted(known, key=lambda number: (known[number], number))


def _members(connection: Connection, job_id: str) -> dict[int, tuple[float, ...]]:
    return {number: tuple(losses) for number, losses in connection.execute(_MEMBERS, {"job": job_id})}


_MEMBERS = select(FrontRow.number, FrontRow.losses).where(FrontRow.job_id == bindparam("job"))


def _replace(
    connection: Connection, job_id: str, known: Mapping[int, Sequence[float]], losses: Mapping[int, Sequence[float]]
) -> None:
    """Write what differs between the known front and the best of these losses; equal losses stay side by side."""
    order = list(losses)
    if len({len(losses[number]) for number in order}) > 1:
        raise InvalidRecord(f"the evaluations on the front of job {job_id!r} differ in their number of losses")
    best: set[int] = set()
    if order:
        import moocore  # here, because commands that only read start without it
        import numpy as np

        given = np.array([losses[number] for number in order], np.float64)
        best = {order[index] for index in np.flatnonzero(moocore.is_nondominated(given, keep_weakly=True))}
    stale = [n for n in known if n not in best or tuple(known[n]) != tuple(losses[n])]
    if stale:
        statement = delete(FrontRow).where(FrontRow.job_id == job_id, FrontRow.number.in_(stale))
        connection.execute(statement)
    fresh = [n for n in order if n in best and (n not in known or n in stale)]
    if fresh:
        values = [{"job_id": job_id, "number": number, "losses": list(losses[number])} for number in fresh]
        connection.execute(plain_insert(FrontRow), values)
