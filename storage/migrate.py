"""The schema of a store, made and upgraded by Alembic."""

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.database import Database
from storage.errors import BadStore, SchemaTooNew, StoreNotFound

#: The newest revision in `storage/migrations/versions`. Alembic is imported only where it has work to do.
HEAD = "0010"

#: The table of Alembic. A name of our own tells our stores from other people's databases.
VERSION_TABLE = "nas_schema"

MIGRATIONS = Path(__file__).parent / "migrations"

# Any number that nobody else locks in the same PostgreSQL database: the letters "nas".
_ADVISORY_LOCK = 0x6E6173

# Alembic's `op` and `context` are one per process.
_alembic = threading.Lock()


def prepare(database: Database, *, create: bool) -> None:
    """Bring a database to the schema of this version: all tables of an empty one, the changes of an older one.

    Several processes may do so at once: one works in one transaction, the others wait and find it done.

    Raises:
        StoreNotFound: the database is empty and `create` is False.
        SchemaTooNew: a newer version wrote it.
        BadStore: it holds something that is not a store.
    """
    with database.read() as connection:
        found = _check(connection, database.name)
    if found == HEAD:
        return
    if found is None and not create:
        raise StoreNotFound(f"store {database.name} is empty: nothing was ever stored there")
    database.use_wal()
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        if _check(connection, database.name) != HEAD:
            upgrade(connection)


def revision(connection: Connection) -> str | None:
    """The schema revision of a database, None where no store was made yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own constant


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run the migrations up to `target` in the transaction of this connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, target)


def known_revisions() -> set[str]:
    """The revisions that this version can upgrade from, and its newest one."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


def _check(connection: Connection, store: str) -> str | None:
    found = revision(connection)
    if found is None:
        if tables := sorted(inspect(connection).get_table_names()):
            shown = ", ".join(tables[:5])
            raise BadStore(f"store {store} is a database of something else (its tables: {shown}); give another one")
    elif found != HEAD and found not in known_revisions():
        raise SchemaTooNew(store, found, HEAD)
    return found
