"""A database by URL: its engine, its transactions, and its refusals in plain words."""

import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from storage.errors import BadStore, StoreFailed, StoreNotFound, StoreUnreachable
from storage.interrupts import uninterrupted
from storage.schema import Base

ALLOWED = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"

#: How long a write waits for its turn before it gives up.
BUSY_SECONDS = 60.0

# A statement's variables are limited (SQLite: 32,766), and every length of a list is a statement of its own.
_KEYS_PER_STATEMENT = 1000

# One page of the smallest size.
_SMALLEST_SQLITE_BYTES = 512

_WRITES = "nas_writes"

# PostgreSQL's words for a server that is going or coming; without any word the connection itself broke.
_GOING_OR_COMING = {None, "57P01", "57P02", "57P03"}

Key = TypeVar("Key", str, int)


class Database:
    """An open database.

    Attributes:
        name: its URL without the password, for messages.
        path: the file of an SQLite database, None for a server.

    Raises:
        BadStore: the URL is not one of `ALLOWED`, or what it names cannot be opened. Nothing was created.
        StoreNotFound: there is no such file and `create` is False.
    """

    def __init__(self, url: str, *, create: bool) -> None:
        parsed = parse_url(url)
        self.name = parsed.render_as_string(hide_password=True)
        self.path: Path | None = None
        if parsed.drivername == "sqlite":
            assert parsed.database is not None
            self.path = Path(parsed.database).absolute()
            _check_file(self.path, self.name, create)
            self._engine = _sqlite_engine(self.path)
            self._reader = self._engine
        else:
            self._engine = _postgres_engine(parsed)
            # One snapshot for all statements of a read, as SQLite has it.
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = self._engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database. Raises `StoreFailed`."""
        with uninterrupted(), self._plain_words("could not be read"), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is kept whole or not at all. Raises `StoreFailed`."""
        refused = self._plain_words("refused a change, nothing of it is kept")
        with uninterrupted(), refused, self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _plain_words(self, what: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            told = f"store {self.name} {what}: {' '.join(str(cause).split())}"
            raise (StoreUnreachable if self._is_gone(error) else StoreFailed)(told) from error

    def _is_gone(self, error: SQLAlchemyError) -> bool:
        """Whether it is a server, and could not be asked."""
        if self.path is not None or not isinstance(error, DBAPIError):
            return False
        broken = error.connection_invalidated or isinstance(error, OperationalError)
        return broken and getattr(error.orig, "sqlstate", None) in _GOING_OR_COMING

    def use_wal(self) -> None:
        """Let SQLite's readers and its writer work side by side, a property of the file; nothing elsewhere.

        Changing it needs the file for a moment alone, and SQLite's own waiting does not cover that.
        """
        if self.path is None:
            return
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode = WAL").close()
                return
            except sqlite3.OperationalError as error:
                if time.monotonic() > deadline:
                    raise StoreFailed(f"store {self.name} stays locked: {error}") from error
                time.sleep(0.01)
            finally:
                connection.close()

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def insert(connection: Connection, table: type[Base]) -> SqliteInsert | PostgresInsert:
    """An INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if connection.dialect.name == "sqlite":
        return SqliteInsert(table)
    return PostgresInsert(table)


def rows_with_keys(
    connection: Connection, statement: Select[*tuple[Any, ...]], column: ColumnElement[Key], keys: Iterable[Key]
) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows of a statement whose column is one of many keys."""
    distinct = list(dict.fromkeys(keys))
    for start in range(0, len(distinct), _KEYS_PER_STATEMENT):
        some = distinct[start : start + _KEYS_PER_STATEMENT]
        yield from connection.execute(statement.where(column.in_(some)))


def parse_url(url: str) -> URL:
    """The URL of a store in parts. Raises `BadStore` for anything that is none of `ALLOWED`."""
    shown = re.sub(r":[^:@/]*@", ":***@", url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadStore(f"{shown!r} is not the URL of a store; allowed: {ALLOWED}") from None
    if parsed.drivername == "postgresql":
        return parsed
    if parsed.drivername != "sqlite":
        raise BadStore(f"a store of kind {parsed.drivername!r} is not supported; allowed: {ALLOWED}")
    if parsed.host:
        raise BadStore(f"{shown!r} names a server; a file has three slashes: 'sqlite:///{parsed.host}'")
    if not parsed.database or parsed.database == ":memory:":
        raise BadStore(f"{shown!r} names no file, and a store must outlive its process; allowed: {ALLOWED}")
    if parsed.query:
        raise BadStore(f"{shown!r} has options; a file's URL takes none; allowed: {ALLOWED}")
    return parsed


def _check_file(path: Path, name: str, create: bool) -> None:
    if path.is_dir():
        raise BadStore(f"store {name}: {path} is a folder; name a file")
    if path.exists():
        # SQLite takes a file of one byte for an empty one, and would write over it.
        if 0 < path.stat().st_size < _SMALLEST_SQLITE_BYTES:
            raise BadStore(f"store {name}: {path} is not an SQLite database")
        return
    if not path.parent.is_dir():
        raise StoreNotFound(f"store {name}: there is no folder {path.parent}")
    if not create:
        raise StoreNotFound(f"store {name}: there is no file {path}")


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # no BEGIN by the driver: ours is below
        connection.execute("PRAGMA foreign_keys = ON")
        # In WAL mode a killed process loses nothing; a power cut may lose the last moments, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another one wrote in between,
        # however long it may wait.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> Engine:
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, connect_args={"connect_timeout": 10}
        )
    except ModuleNotFoundError as error:
        raise BadStore(f"a postgresql store needs {error.name}: pip install 'nas-service[postgres]'") from None
