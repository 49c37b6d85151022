"""SQL that only reads, for people who want to see the store in their own way.

The tables are those of `storage.schema`. Three views and tables are made to be asked: `evaluations_wide` (an evaluation
a row: its job, architecture, genotype, the commonest metrics as columns, all of them as JSON in `metrics`), `front`
(the same columns, only the evaluations on the Pareto front of their job) and `devices`. A job's id is in `job_id`.
Times are UTC, NaN is NULL, on every database.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from storage.database import Database
from storage.errors import BadQuery

Row = tuple[Any, ...]

_ROWS_AT_ONCE = 1000
_STEPS = 10_000  # of SQLite's virtual machine between two looks at the clock: well under a millisecond

# SQLITE_ATTACH opens other files, SQLITE_PRAGMA could undo what is forbidden here.
_FORBIDDEN = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA}


@contextmanager
def query(database: Database, sql: str, seconds: float) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """Run one reading statement: the names of its columns, and its rows as they come.

    Values are numbers, text, bytes or None; times are text in UTC (`2026-01-31 12:00:00.000000`), JSON is text.

    Args:
        database: the store's.
        sql: one statement.
        seconds: how long it may take until its last row.

    Raises:
        BadQuery: the database does not take it, it would change something, or it takes too long.
    """
    with database.read() as connection:
        run = _sqlite if connection.dialect.name == "sqlite" else _postgres
        with run(connection, sql, seconds) as cursor:
            if cursor.description is None:
                raise BadQuery("the statement gives no rows; a query begins with SELECT, WITH or VALUES")
            yield [column[0] for column in cursor.description], _rows(cursor, seconds)


def _rows(cursor: Any, seconds: float) -> Iterator[Row]:
    with _plain_words(seconds):
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield from (tuple(map(_plain, row)) for row in rows)


@contextmanager
def _sqlite(connection: Connection, sql: str, seconds: float) -> Iterator[Any]:
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    overdue = threading.Event()
    alarm = threading.Timer(seconds, overdue.set)
    alarm.daemon = True
    alarm.start()
    raw.execute("PRAGMA query_only = ON")
    raw.set_progress_handler(lambda: int(overdue.is_set()), _STEPS)
    raw.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action in _FORBIDDEN else sqlite3.SQLITE_OK)
    try:
        with _plain_words(seconds):
            cursor = raw.execute(sql)
        yield cursor
        cursor.close()
    finally:
        alarm.cancel()
        raw.set_authorizer(None)
        raw.set_progress_handler(None, 0)
        raw.execute("PRAGMA query_only = OFF")


@contextmanager
def _postgres(connection: Connection, sql: str, seconds: float) -> Iterator[Any]:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {max(1, int(1000 * seconds))}")
        with _plain_words(seconds):
            # Prepared, because what is prepared is one statement: none after a COMMIT that is smuggled in.
            cursor.execute(sql, prepare=True)
        yield cursor


@contextmanager
def _plain_words(seconds: float) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        words = " ".join(str(error).split())
        if not type(error).__module__.startswith(("sqlite3", "psycopg")):
            raise
        if words == "interrupted" or "statement timeout" in words:
            words = f"it took longer than {seconds:g} s"
        elif words in ("not authorized", "attempt to write a readonly database") or "read-only" in words:
            words = f"a query only reads ({words})"
        raise BadQuery(f"the query was refused: {words}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, dict | list):
        return json.dumps(value)
    return int(value) if isinstance(value, bool) else value
