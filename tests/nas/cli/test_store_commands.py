"""`nas query` and `nas store`, on stores that hold results."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pyarrow.parquet
import pytest
from toy_records import architecture
from typer.testing import CliRunner

from nas.cli.main import app
from storage.records import Device, JobStatus, Measurement, Outcome
from storage.store import ResultStore

OBJECTIVES = [{"metric": "accuracy", "direction": "max"}, {"metric": "macs", "direction": "min"}]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a job of three evaluations, two of them on the front."""
    url = f"sqlite:///{tmp_path}/nas.db"
    with ResultStore(url) as store:
        lease = store.claim(store.create_job("small", {"objectives": OBJECTIVES}).id, "me")
        store.add_device(Device("f", "cpu"))
        store.add_proposals(lease, 0, [architecture(row) for row in range(3)])
        store.add_measurements(lease, [Measurement(architecture(0).key, "f", "m", 1.0, "cpu", samples=[1.0, 2.0])])
        rows = [
            Outcome(architecture(0).key, {"accuracy": 0.5, "macs": 10.0}, losses=[-0.5, 10.0]),
            Outcome(architecture(1).key, {"accuracy": 0.7, "macs": 20.0}, losses=[-0.7, 20.0]),
            Outcome(architecture(2).key, {"accuracy": 0.4, "macs": 30.0}, losses=[-0.4, 30.0]),
        ]
        store.add_evaluations(lease, rows)
        file = tmp_path / "nas_artifacts" / "supernet.safetensors"
        file.parent.mkdir()
        file.write_bytes(b"abc")
        digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of FIPS 180-2, appendix B.1
        store.add_artifact(lease, "supernet", str(file), sha256=digest, size_bytes=3)
        store.finish(lease, JobStatus.SUCCEEDED)
    return url


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command prints, on both channels."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_a_query_is_shown_in_every_form(url: str, tmp_path: Path) -> None:
    """The same rows as a table, as JSON, as CSV and as a Parquet file."""
    sql = "SELECT number, accuracy, error, metrics FROM front ORDER BY number"
    rows = json.loads(run("query", sql, "--store", url, "--json")[0])
    assert [(row["number"], row["accuracy"], row["error"]) for row in rows] == [(0, 0.5, None), (1, 0.7, None)]
    assert [json.loads(row["metrics"])["macs"] for row in rows] == [10.0, 20.0]
    told = csv.DictReader(io.StringIO(run("query", sql, "--store", url, "--csv")[0]))
    assert [(row["number"], row["accuracy"]) for row in told] == [("0", "0.5"), ("1", "0.7")]
    file = tmp_path / "front.parquet"
    assert "2 rows" in run("query", sql, "--store", url, "--parquet", str(file))[1]
    assert pyarrow.parquet.read_table(file).to_pylist() == rows
    assert "accuracy" in run("query", sql, "--store", url)[0]
    assert json.loads(run("query", "SELECT samples FROM measurements", "--store", url, "--json")[0]) == [
        {"samples": "000000000000f03f0000000000000040"}
    ]


def test_columns_that_begin_with_null_are_typed(url: str, tmp_path: Path) -> None:
    """A Parquet file's types are those of all rows, also of none."""
    file = tmp_path / "rows.parquet"
    many = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
    run(
        "query",
        many + "SELECT CASE WHEN i > 59000 THEN i + 0.5 END AS late FROM n",
        "--store",
        url,
        "--parquet",
        f"{file}",
    )
    table = pyarrow.parquet.read_table(file)
    assert (table.num_rows, str(table.schema.field("late").type)) == (60001, "double")
    run("query", "SELECT number, error FROM front WHERE number > 99", "--store", url, "--parquet", str(file))
    assert (pyarrow.parquet.read_table(file).num_rows, table.schema.names) == (0, ["late"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SELECT 1", "--json", "--csv"], "choose one"),
        (["DELETE FROM jobs"], "a query only reads"),
        (["SELECT number FROM nowhere"], "no such table"),
        (["SELECT 1 AS a, 2 AS a", "--parquet", "x.parquet"], "a comes twice"),
        (["SELECT 1", "--seconds", "0"], "0"),
    ],
)
def test_a_bad_query_is_refused(url: str, arguments: list[str], message: str) -> None:
    """One message, exit code 2."""
    assert message in run("query", *arguments, "--store", url, code=2)[1]


def test_upgrade_says_what_it_did(url: str) -> None:
    """A new store is of the newest schema."""
    assert "already" in run("store", "upgrade", "--store", url)[1]
    answer = json.loads(run("store", "upgrade", "--store", url, "--json")[0])
    assert answer["before"] == answer["now"]


def test_a_sound_store_is_found_sound(url: str) -> None:
    """Nothing is reported, and the exit code is 0."""
    assert json.loads(run("store", "check", "--store", url, "--json")[0]) == {"faults": []}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("DELETE FROM evaluation_metrics WHERE number = 0; DELETE FROM fronts WHERE number = 0; "
         "DELETE FROM evaluations WHERE number = 0", "3 proposals|2 evaluations, and they are numbered from 1 to 2"),
        ("DELETE FROM fronts WHERE number = 1", "wrong about number 1"),
        ("DELETE FROM jobs", "belongs to a row of jobs that is not there"),
        ("UPDATE artifacts SET sha256 = replace(sha256, 'b', 'c')", "is not what was recorded"),
    ],
)  # fmt: skip
def test_damage_is_found(url: str, damage: str, message: str) -> None:
    """What somebody changed behind the store's back."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.executescript(damage)
    connection.close()
    faults = json.loads(run("store", "check", "--store", url, "--json", code=1)[0])["faults"]
    assert any(part in fault for fault in faults for part in message.split("|"))


def test_a_file_that_is_gone_is_found(url: str, tmp_path: Path) -> None:
    """The supernet of a job is needed to export from it."""
    (tmp_path / "nas_artifacts" / "supernet.safetensors").unlink()
    assert "is gone" in run("store", "check", "--store", url, code=1)[0]


def test_a_store_is_copied_to_a_server_and_back(url: str, postgres_url: str, tmp_path: Path) -> None:
    """Every row arrives, in both directions, and a store that holds something is not written to."""
    back = f"sqlite:///{tmp_path}/back.db"
    counts = json.loads(run("store", "export", "--store", url, "--to", postgres_url, "--json")[0])
    assert counts["evaluations"] == 3
    assert json.loads(run("store", "export", "--store", postgres_url, "--to", back, "--json")[0]) == counts
    with ResultStore(url) as first, ResultStore(back) as last:
        job = first.jobs()[0]
        assert last.jobs() == first.jobs()
        assert last.evaluations(job.id) == first.evaluations(job.id)
        assert last.front(job.id) == first.front(job.id)
        assert last.proposals(job.id) == first.proposals(job.id)
        assert last.measurements([architecture(0).key], "f", "m") == first.measurements([architecture(0).key], "f", "m")
        assert last.artifacts(job.id) == first.artifacts(job.id)
    assert "is not empty" in run("store", "export", "--store", url, "--to", back, code=2)[1]


def test_the_front_is_told_without_reading_all(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is that of all evaluations; none but those on the front are read for it."""
    everything = run("pareto", "latest", "--json", "--searched", "--store", url)[0]
    assert [row["accuracy"] for row in json.loads(everything)] == [0.7, 0.5]

    def read(*_: object, **__: object) -> None:
        raise AssertionError("all evaluations were read")

    monkeypatch.setattr(ResultStore, "evaluations", read)
    assert run("pareto", "latest", "--json", "--store", url)[0] == everything
    assert "knee" in run("pareto", "latest", "--store", url)[0]
