"""The schema is made by migrations, once, whoever opens a store first."""

import json
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from storage.errors import BadStore, SchemaTooNew, StoreNotFound
from storage.migrate import HEAD, MIGRATIONS, VERSION_TABLE, revision, upgrade
from storage.records import Round
from storage.schema import Base
from storage.store import ResultStore

OPEN = """
import sys
from storage.store import ResultStore
with ResultStore(sys.argv[1]) as store:
    store.create_job("job", {})
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nas.db"
    return request.getfixturevalue("postgres_url")


def execute(url: str, *statements: str) -> None:
    """Change a database behind the store's back."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_the_migrations_make_the_models(url: str) -> None:
    """Alembic finds nothing to change between the migrated tables and the models."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert revision(connection) == HEAD
    engine.dispose()


def test_the_names_of_constraints_are_the_models(tmp_path: Path) -> None:
    """A later migration can name every constraint as the models do: SQLite's own text of both is the same."""

    def made(make: object) -> dict[str, set[str]]:
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            make(connection)
            rows = connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE type != 'view' AND sql != ''")
            ).all()
        engine.dispose()
        return {
            # SQLite writes a column that was added later behind the column before it, on its line.
            name: {re.sub(r"\s+", " ", line).strip(" ,)") for line in re.split(r"\n|, (?=\w+ [A-Z]{2})", sql)}
            for name, sql in rows
            if name != VERSION_TABLE
        }

    assert made(upgrade) == made(Base.metadata.create_all)


def test_the_newest_revision_is_written_down() -> None:
    """A store is recognised as up to date without Alembic: the constant is the head of the scripts."""
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


@pytest.mark.parametrize("old", [f"{number:04}" for number in range(1, int(HEAD))])
def test_an_older_store_is_upgraded(url: str, old: str) -> None:
    """A store of any released revision keeps its jobs, has rounds like a new one, and knows its fronts."""
    objectives = [
        {"metric": "accuracy", "direction": "max"},
        {"metric": "latency_ms@cpu", "direction": "min", "bound": 4},
    ]
    found = [(0.5, 1.0, None), (0.7, 2.0, None), (0.6, 3.0, None), (0.9, 5.0, None), (0.7, 2.0, None), (0.8, 1.0, "no")]
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        upgrade(connection, old)
        for job, spec in (("old", json.dumps({"objectives": objectives})), ("bare", "{}")):
            statement = (
                "INSERT INTO jobs (id, name, spec, status, created_at, fence) "
                "VALUES (:job, 'old', :spec, 'QUEUED', '2024-01-01 00:00:00.000000', 0)"
            )
            connection.execute(text(statement), {"job": job, "spec": spec})
        for number, (accuracy, latency, error) in enumerate(found):
            row = {"n": number, "key": f"{number:064x}", "error": error, "accuracy": accuracy, "latency": latency}
            for statement in (
                "INSERT INTO architectures (key, space, genotype, static_metrics) VALUES (:key, 'toy', '{}', '{}')",
                "INSERT INTO proposals (job_id, number, batch, architecture_key, genotype) "
                "VALUES ('old', :n, :n, :key, '{}')",
                "INSERT INTO evaluations (job_id, number, architecture_key, proposal, error, seconds, created_at) "
                "VALUES ('old', :n, :key, :n, :error, 0.0, '2024-01-01 00:00:00.000000')",
                "INSERT INTO evaluation_metrics (job_id, number, name, value) VALUES "
                "('old', :n, 'accuracy', :accuracy), ('old', :n, 'latency_ms@cpu', :latency)",
            ):
                connection.execute(text(statement), row)
    engine.dispose()
    with ResultStore(url, create=False) as store:
        assert {job.id for job in store.jobs()} == {"bare", "old"}
        # The fronts of the fourth revision and later were kept by those who wrote the evaluations; here nobody did.
        assert [row.number for row in store.front("old")] == ([1, 4, 0] if old < "0004" else [])
        assert store.front("bare") == []
        store.add_round(store.claim("old", "me"), Round(1, {"op": "skip"}, {}, {"loss": 0.5}))
        assert store.rounds("old")[0].metrics == {"loss": 0.5}


def test_a_newer_schema_is_refused(url: str) -> None:
    """One clear message: what it has, what we know, what to do; and nothing is changed."""
    ResultStore(url).close()
    execute(url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for create in (True, False):
        with pytest.raises(
            SchemaTooNew, match=f"revision '9999'.*its newest is '{HEAD}'.*upgrade nas-service"
        ) as caught:
            ResultStore(url, create=create)
        assert (caught.value.found, caught.value.known) == ("9999", HEAD)


def test_the_database_of_something_else_is_refused(url: str) -> None:
    """Our tables never go among those of others."""
    execute(url, "CREATE TABLE bookmarks (id INTEGER)")
    for create in (True, False):
        with pytest.raises(BadStore, match=r"is a database of something else \(its tables: bookmarks\)"):
            ResultStore(url, create=create)


def test_an_empty_database_is_no_store_yet(url: str, tmp_path: Path) -> None:
    """A reader is told so, and leaves it empty; a writer makes it one."""
    (tmp_path / "nas.db").touch()
    with pytest.raises(StoreNotFound):
        ResultStore(url, create=False)
    assert (tmp_path / "nas.db").stat().st_size == 0
    with ResultStore(url) as store:
        assert store.jobs() == []


def test_an_interrupted_creation_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that dies in the middle is undone, and the next opening begins anew."""

    def half(connection: object) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("storage.migrate.upgrade", half)
        with pytest.raises(KeyboardInterrupt):
            ResultStore(url)
    with pytest.raises(StoreNotFound):
        ResultStore(url, create=False)
    ResultStore(url).close()


def test_processes_open_a_new_store_at_once(url: str) -> None:
    """One makes it, the others find it, and all of them write."""
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", OPEN, url], stderr=subprocess.PIPE) for _ in range(4)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, b"")
    with ResultStore(url, create=False) as store:
        assert len(store.jobs()) == 4


def test_threads_open_new_stores_at_once(tmp_path: Path) -> None:
    """Alembic's globals belong to one migration at a time; a folder's name may have a per cent sign."""
    (tmp_path / "100 %s").mkdir()

    def make(index: int) -> int:
        with ResultStore(f"sqlite:///{tmp_path}/100 %s/{index}.db") as store:
            store.create_job("job", {})
            return len(store.jobs())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(make, range(6))) == [1] * 6


def test_threads_open_one_new_store_at_once(tmp_path: Path) -> None:
    """The same file, in one process."""

    def make(_: int) -> None:
        with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
            store.create_job("job", {})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(12)))
    with sqlite3.connect(tmp_path / "nas.db") as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (12,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
