"""The archive of a search for the best of each kind, against a plain loop over its cells."""

import numpy as np
import pytest
from fastapi.testclient import TestClient
from toy_records import architecture

from nas.strategies.archive import Archive
from nas.strategies.map_elites import MapElitesOptions
from storage.records import Outcome
from storage.store import ResultStore

METRICS = ("accuracy", "latency_ms@cpu", "macs")
OBJECTIVES = [
    {"metric": "accuracy", "direction": "max"},
    {"metric": "latency_ms@cpu", "direction": "min", "bound": 0.9},
    {"metric": "macs", "direction": "min"},
]


def searched(store: ResultStore, values: np.ndarray, **options: object) -> str:
    """A job of map_elites with these values of the metrics, NaN where it failed."""
    strategy = MapElitesOptions(bins=4, **options).model_dump(mode="json")
    spec = {"objectives": OBJECTIVES, "strategy": strategy}
    lease = store.claim(store.create_job("kinds", spec).id, "me")
    rows = [architecture(number) for number in range(len(values))]
    store.add_proposals(lease, 0, rows)
    told = [
        Outcome(row.key, error="boom")
        if np.isnan(value).all()
        else Outcome(row.key, dict(zip(METRICS, value.tolist(), strict=True)))
        for row, value in zip(rows, values, strict=True)
    ]
    store.add_evaluations(lease, told)
    return lease.job_id


@pytest.mark.parametrize("descriptors", [None, (2,), ()], ids=["all-others", "one", "none"])
def test_the_best_of_each_cell(client: TestClient, store: ResultStore, descriptors: tuple[int, ...] | None) -> None:
    """Each cell that has a result holds its best: feasible before others, then by quality."""
    rng = np.random.default_rng(3)
    values = rng.uniform(size=(150, 3))
    values[::11] = np.nan
    job_id = searched(store, values, descriptors=descriptors)
    told = client.get(f"/jobs/{job_id}/archive").json()
    columns = [1, 2] if descriptors is None else list(descriptors)
    assert (told["quality"], told["direction"], told["bins"]) == ("accuracy", "max", 4)
    assert told["descriptors"] == [METRICS[column] for column in columns]
    best: dict[tuple[int, ...], tuple[float, ...]] = {}
    for number, value in enumerate(values):
        if np.isnan(value).any():
            continue
        pairs = zip(columns, told["edges"], strict=True)
        cell = tuple(sum(value[column] > edge for edge in edges) for column, edges in pairs)
        worth = (max(0.0, value[1] - 0.9), -value[0], number)
        best[cell] = min(best.get(cell, worth), worth)
    assert {tuple(each["cell"]): each["number"] for each in told["elites"]} == {
        cell: number for cell, (_, _, number) in best.items()
    }
    for each in told["elites"]:
        assert [each["metrics"][metric] for metric in METRICS] == values[each["number"]].tolist()
        assert each["feasible"] == (values[each["number"], 1] <= 0.9)


def test_nothing_to_keep(client: TestClient, store: ResultStore, job_id: str) -> None:
    """A search of another kind has no archive; one without a result has an empty one."""
    assert client.get(f"/jobs/{job_id}/archive").json() is None
    assert client.get(f"/jobs/{searched(store, np.full((3, 3), np.nan))}/archive").json()["elites"] == []
    assert client.get("/jobs/nobody/archive").status_code == 404


def test_how_results_are_grouped_changes_nothing() -> None:
    """One after the other or all at once: the same cells with the same elites."""
    rng = np.random.default_rng(0)
    losses, violations = rng.random((90, 3)), np.where(rng.random(90) < 0.3, 1.0, 0.0)
    whole, steps = Archive(0, (1, 2), 5), Archive(0, (1, 2), 5)
    whole.observe(losses, violations)
    for end in range(1, 91):
        steps.observe(losses[:end], violations[:end])
    assert steps.elites == whole.elites
    np.testing.assert_array_equal(steps.edges, whole.edges)
