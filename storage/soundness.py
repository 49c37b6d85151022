"""Whether a store is sound: what the database itself finds, and what must hold between rows."""

from sqlalchemy import Connection, func, select, text

from storage.database import Database
from storage.schema import EvaluationRow, ProposalRow, RoundRow


def faults(database: Database) -> list[str]:
    """What is wrong with a store, a sentence each; nothing when it is sound."""
    with database.read() as connection:
        found = _numbering(connection)
        if connection.dialect.name == "sqlite":
            found += _sqlite(connection)
    return found


def _sqlite(connection: Connection) -> list[str]:
    told = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
    found = [f"the file is damaged: {line}" for line in told if line != "ok"]
    for table, row, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        found.append(f"row {row} of {table} belongs to a row of {parent} that is not there")
    return found


def _numbering(connection: Connection) -> list[str]:
    """Proposals, evaluations and rounds of a job are numbered without a gap; rows that are gone leave one."""
    found = []
    for rows, first in ((ProposalRow.__table__, 0), (EvaluationRow.__table__, 0), (RoundRow.__table__, 1)):
        statement = select(rows.c.job_id, func.count(), func.min(rows.c.number), func.max(rows.c.number))
        for job_id, count, low, high in connection.execute(statement.group_by(rows.c.job_id)):
            if (low, high) != (first, first + count - 1):
                found.append(f"job {job_id} has {count} {rows.description}, and they are numbered from {low} to {high}")
    return found
