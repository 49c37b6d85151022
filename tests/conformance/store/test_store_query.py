"""Questions by SQL: the views tell what the store tells, and nothing that is asked changes anything."""

import json
import math

import pytest
from toy_records import architecture, running

from storage.errors import BadQuery
from storage.records import Device, Outcome, Replication
from storage.store import ResultStore


@pytest.fixture
def filled(store: ResultStore) -> ResultStore:
    """A job with four evaluations, two of them on the front."""
    lease = running(store, 4)
    store.add_device(Device("f", "cpu"))
    rows = [
        Outcome(architecture(0).key, {"accuracy": 0.5, "macs": 10.0, "latency_ms@cpu": 1.0}, losses=[-0.5, 1.0]),
        Outcome(architecture(1).key, {"accuracy": 0.7, "macs": 20.0, "latency_ms@cpu": 2.0}, losses=[-0.7, 2.0]),
        Outcome(architecture(2).key, {"accuracy": math.nan, "latency_ms@cpu": math.inf}),
        Outcome(architecture(3).key, error="out of memory", stopped="hopeless", device_seconds=1.5),
    ]
    store.add_evaluations(lease, rows)
    return store


def ask(store: ResultStore, sql: str, seconds: float = 60.0) -> list[dict[str, object]]:
    """All rows of an answer."""
    with store.query(sql, seconds=seconds) as (columns, rows):
        return [dict(zip(columns, row, strict=True)) for row in rows]


def test_evaluations_are_wide(filled: ResultStore) -> None:
    """One row each, with its job, its commonest metrics and all metrics as JSON."""
    rows = ask(filled, "SELECT * FROM evaluations_wide ORDER BY number")
    evaluations = filled.evaluations(filled.jobs()[0].id)
    assert [row["architecture_key"] for row in rows] == [row.architecture_key for row in evaluations]
    assert [json.loads(str(row["genotype"])) for row in rows] == [row.genotype for row in evaluations]
    assert [row["accuracy"] for row in rows] == [0.5, 0.7, None, None]
    assert [row["macs"] for row in rows] == [10.0, 20.0, None, None]
    assert [row["on_front"] for row in rows] == [1, 1, 0, 0]
    assert [row["error"] for row in rows] == [None, None, None, "out of memory"]
    assert [row["stopped"] for row in rows] == [None, None, None, "hopeless"]
    assert [row["device_seconds"] for row in rows] == [0.0, 0.0, 0.0, 1.5]
    assert {row["job"] for row in rows} == {"a job"}
    assert {row["created_at"] for row in rows} == {evaluations[0].created_at.strftime("%Y-%m-%d %H:%M:%S.%f")}
    assert [json.loads(str(row["metrics"])) for row in rows] == [
        {"accuracy": 0.5, "macs": 10.0, "latency_ms@cpu": 1.0},
        {"accuracy": 0.7, "macs": 20.0, "latency_ms@cpu": 2.0},
        {"accuracy": None, "latency_ms@cpu": None},
        {},
    ]


def test_what_was_measured_anew_is_shown(filled: ResultStore) -> None:
    """In the place of what the search went by, with whether it agreed."""
    job = filled.jobs()[0]
    lease = filled.claim(job.id, "another", dead_fence=job.fence)
    anew = Replication(architecture(1).key, "latency_ms@cpu", 2.5, 2.0, False, {})
    filled.add_replications(lease, [anew])
    rows = ask(filled, "SELECT stable, metrics FROM front ORDER BY number")
    assert [row["stable"] for row in rows] == [None, 0]
    assert [json.loads(str(row["metrics"]))["latency_ms@cpu"] for row in rows] == [1.0, 2.5]


def test_the_front_is_a_view(filled: ResultStore) -> None:
    """The same rows as the store's own front."""
    rows = ask(filled, "SELECT architecture_key FROM front ORDER BY accuracy DESC")
    assert [row["architecture_key"] for row in rows] == [architecture(1).key, architecture(0).key]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM evaluation_metrics",
        "UPDATE jobs SET status = 'SUCCEEDED'",
        "DROP VIEW front",
        "CREATE TABLE mine (id INTEGER)",
        "SELECT 1; DELETE FROM evaluation_metrics",
        "SELECT 1; COMMIT; DELETE FROM evaluation_metrics",
        "COMMIT",
        "PRAGMA query_only = OFF",
        "SET TRANSACTION READ WRITE",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "VACUUM INTO '/tmp/other.db'",
        "COPY jobs TO '/tmp/jobs.txt'",
        "SELECT * FROM nothing_of_that_name",
        "SELEKT 1",
        "",
    ],
)
def test_nothing_is_changed(filled: ResultStore, sql: str) -> None:
    """A statement that does anything but read is refused, alone or behind another one, and the store goes on."""
    before = filled.evaluations(filled.jobs()[0].id)
    with pytest.raises(BadQuery):
        ask(filled, sql)
    assert repr(filled.evaluations(filled.jobs()[0].id)) == repr(before)
    filled.create_job("still writable", {})


def test_a_query_that_takes_too_long_is_ended(store: ResultStore) -> None:
    """The time is the user's to give."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(BadQuery, match=r"longer than 0\.2 s"):
        ask(store, endless, seconds=0.2)
    assert ask(store, "SELECT 1 AS one") == [{"one": 1}]
