"""Databases that cannot be used, and what their users read."""

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event
from toy_records import architecture, running

from storage.errors import BadStore, StoreFailed, StoreNotFound, StoreUnreachable
from storage.records import Outcome
from storage.store import ResultStore


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nas.db", "'nas.db' is not the URL of a store; allowed: sqlite:///FILE or postgresql://"),
        ("", "'' is not the URL"),
        ("mysql://me:secret@host/db", "kind 'mysql' is not supported; allowed: sqlite:///FILE"),
        ("sqlite+aiosqlite:///nas.db", "kind 'sqlite[+]aiosqlite' is not supported"),
        ("sqlite://nas.db", "a file has three slashes: 'sqlite:///nas.db'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///nas.db?mode=ro", "has options"),
        ("postgresql://me:secret@host:port/db", r"'postgresql://me:\*\*\*@host:port/db' is not the URL"),
        ("postgresql:me:secret@host/db", "is not the URL of a store"),
    ],
)
def test_a_wrong_url(url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what was given and what is allowed, without the password; nothing is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadStore, match=message) as caught:
        ResultStore(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there() -> None:
    """The server's name is told, the password is not."""
    with pytest.raises(BadStore, match=r"store postgresql://me:\*\*\*@127.0.0.1:1/db") as caught:
        ResultStore("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, StoreUnreachable)


def test_a_server_needs_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the message is how to install it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadStore, match=r"pip install 'nas-service\[postgres\]'"):
        ResultStore("postgresql://127.0.0.1:1/db")


@pytest.mark.parametrize("content", [b"title,year\n" * 200, b"SQLite format 3\0" + b"\xff" * 200, b"x"])
def test_a_file_of_something_else(content: bytes, tmp_path: Path) -> None:
    """A file that is no SQLite database is refused, and not touched."""
    path = tmp_path / "notes.csv"
    path.write_bytes(content)
    for create in (True, False):
        with pytest.raises(BadStore, match=r"notes\.csv"):
            ResultStore(f"sqlite:///{path}", create=create)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    """Neither a folder, nor a file in a folder that is not there, nor one in a file."""
    (tmp_path / "file").touch()
    with pytest.raises(BadStore, match="is a folder; name a file"):
        ResultStore(f"sqlite:///{tmp_path}")
    for missing in ("none/nas.db", "file/nas.db"):
        with pytest.raises(StoreNotFound, match="there is no folder"):
            ResultStore(f"sqlite:///{tmp_path}/{missing}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_nobody_may_write() -> None:
    """The kernel's own folder refuses root, too."""
    with pytest.raises(BadStore, match=r"store sqlite:////proc/nas\.db .*unable to open database file"):
        ResultStore("sqlite:////proc/nas.db")


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    """A reader of a store that is not there leaves the folder as it was."""
    with pytest.raises(StoreNotFound, match=f"there is no file {tmp_path}/nas.db"):
        ResultStore(f"sqlite:///{tmp_path}/nas.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    """What does not fit is refused whole in plain words; the store stays good, and goes on when there is room."""
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        lease = running(store, 50)
        engine = store.database._engine
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

        def shrink(connection: object) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        outcomes = [Outcome(architecture(row).key, {f"metric {i}": 1.0 for i in range(50)}) for row in range(50)]
        event.listen(engine, "begin", shrink)
        with pytest.raises(StoreFailed, match=r"nas\.db refused a change, nothing .*: database or disk is full$"):
            store.add_evaluations(lease, outcomes)
        event.remove(engine, "begin", shrink)
        assert store.evaluations(lease.job_id) == []
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        store.add_evaluations(lease, outcomes)


def test_readers_see_one_state(tmp_path: Path, postgres_url: str) -> None:
    """The statements of a read see one snapshot, though a writer commits between them."""
    for url in (f"sqlite:///{tmp_path}/nas.db", postgres_url):
        with ResultStore(url) as store, ResultStore(url) as other:
            with store.database.read() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 0
                other.create_job("job", {})
                assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar() == 0
            assert len(store.jobs()) == 1


def test_evaluations_take_few_statements(tmp_path: Path) -> None:
    """However many rows: one for the job, one for the rows, one for their metrics, and the transaction."""
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        lease = running(store, 200)
        store.add_evaluations(lease, [Outcome(architecture(i).key, {"a": 1.0, "b": 2.0}) for i in range(200)])
        statements: list[str] = []
        event.listen(
            store.database._engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement)
        )
        assert len(store.evaluations(lease.job_id)) == 200
    assert len(statements) == 4


def test_no_file_handle_is_left(tmp_path: Path) -> None:
    """Opening and closing, also in vain, more often than a process may hold files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        (tmp_path / "bad.db").write_bytes(b"not a database" * 100)
        for _ in range(150):
            ResultStore(f"sqlite:///{tmp_path}/nas.db").close()
            with pytest.raises(BadStore):
                ResultStore(f"sqlite:///{tmp_path}/bad.db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_analyst_reads_the_file(tmp_path: Path) -> None:
    """Plain SQL on the plain file: names are readable, NaN is NULL and skipped, JSON is JSON."""
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        lease = running(store, 2)
        rows = [
            Outcome(architecture(0).key, {"accuracy": 0.5}),
            Outcome(architecture(1).key, {"accuracy": float("nan")}),
        ]
        store.add_evaluations(lease, rows)
    connection = sqlite3.connect(tmp_path / "nas.db")
    mean = "SELECT avg(value), count(*) FROM evaluation_metrics WHERE name = 'accuracy' AND job_id = ?"
    assert connection.execute(mean, (lease.job_id,)).fetchone() == (0.5, 2)
    assert connection.execute("SELECT max(json_extract(genotype, '$.depth')) FROM proposals").fetchone() == (1,)
    connection.close()


def test_import_needs_neither_torch_nor_alembic(tmp_path: Path) -> None:
    """A store of today's schema is opened and read without the heavy imports, and by its name alone."""
    ResultStore(f"sqlite:///{tmp_path}/nas.db").close()
    program = (
        "import sys; from storage.store import ResultStore; ResultStore(sys.argv[1], create=False).jobs();"
        "heavy = {'torch', 'alembic', 'numpy', 'ray', 'onnx', 'pytest', 'psycopg'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/nas.db"], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
