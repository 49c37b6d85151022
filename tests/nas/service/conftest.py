"""A service in this process, over a store with a job in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from toy_records import architecture

from nas.service.app import create_app
from nas.service.settings import ServiceSettings
from storage.records import Device, JobStatus, Outcome, Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

OBJECTIVES = [{"metric": "accuracy", "direction": "max"}, {"metric": "macs", "direction": "min"}]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a new store."""
    return f"sqlite:///{tmp_path}/nas.db"


@pytest.fixture
def store(url: str) -> Iterator[ResultStore]:
    """With a job of five evaluations, the last of which failed."""
    with ResultStore(url) as store:
        lease = store.claim(store.create_job("done", {"objectives": OBJECTIVES}).id, "me")
        store.add_device(Device("f", "cpu", {"threads": 1}))
        store.add_proposals(lease, 0, [architecture(row) for row in range(5)])
        for row in range(4):
            metrics = {"accuracy": row / 4, "macs": 10.0 * row, "nan": float("nan")}
            losses = [-metrics["accuracy"], metrics["macs"]]
            store.add_evaluations(lease, [Outcome(architecture(row).key, metrics, losses=losses)])
        store.add_evaluations(lease, [Outcome(architecture(4).key, error="out of memory")])
        store.finish(lease, JobStatus.SUCCEEDED)
        yield store


@pytest.fixture
def job_id(store: ResultStore) -> str:
    """Of the job that is there."""
    return store.jobs()[0].id


@pytest.fixture
def settings(url: str, tmp_path: Path) -> ServiceSettings:
    """A service that runs no drivers."""
    data = tmp_path / "data"
    data.mkdir()
    folder = tmp_path / "files"
    return ServiceSettings(url, folder, data_folders=[data], drivers=0, job_bytes=10_000, model_bytes=1_000_000)


@pytest.fixture
def client(store: ResultStore, settings: ServiceSettings) -> Iterator[TestClient]:
    """With the token of an administrator."""
    _, secret = ServiceRecords(store).create_token("test", Role.ADMIN)
    headers = {"Authorization": f"Bearer {secret}"}
    with TestClient(create_app(store, settings), base_url="http://localhost/v1", headers=headers) as client:
        yield client
