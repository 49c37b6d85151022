"""What opening a store means."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from toy_records import Clock, OpenStore, architecture, running

from storage.errors import (
    StoreError,
    StoreNotFound,
)
from storage.records import Device, JobStatus, Measurement, Outcome
from storage.store import ResultStore


def test_nothing_is_created_unasked(open_store: OpenStore) -> None:
    """A reader of a store that does not exist is told so, and it does not exist after that."""
    for _ in range(2):
        with pytest.raises(StoreNotFound):
            open_store(create=False)


def test_everything_survives_reopening(open_store: OpenStore, clock: Clock) -> None:
    """What a second opening sees is what the first one saw."""
    store = open_store(clock=clock)
    lease = running(store, 3)
    store.add_evaluations(lease, [Outcome(architecture(1).key, {"accuracy": 0.5})])
    again = open_store(create=False)
    assert again.jobs() == store.jobs()
    assert again.proposals(lease.job_id) == store.proposals(lease.job_id)
    assert again.evaluations(lease.job_id) == store.evaluations(lease.job_id)


def test_copies_are_not_live(store: ResultStore) -> None:
    """Changing what was returned changes nothing in the store, and it does not change by itself."""
    lease = running(store, 1)
    before = store.job(lease.job_id)
    before.spec["changed"] = True
    store.cancel(lease.job_id)
    assert before.status is JobStatus.RUNNING
    assert store.job(lease.job_id).spec == {}


def test_drivers_side_by_side(open_store: OpenStore) -> None:
    """Threads with a store each propose the same architectures in opposite orders: no deadlock, no loss."""
    stores = [open_store() for _ in range(4)]

    def drive(index: int) -> str:
        store = stores[index]
        lease = running(store)
        rows = [architecture(row) for row in range(20)][:: -1 if index % 2 else 1]
        store.add_device(Device("f", "cpu"))
        for batch in range(5):
            some = rows[4 * batch : 4 * batch + 4]
            store.add_proposals(lease, batch, some)
            store.add_measurements(lease, [Measurement(row.key, "f", "m", 1.0, "cpu") for row in some])
            store.add_evaluations(lease, [Outcome(row.key, {"m": 1.0}) for row in some])
        store.finish(lease, JobStatus.SUCCEEDED)
        return lease.job_id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(drive, range(4)))
    for job_id in ids:
        numbers = [row.number for row in stores[0].evaluations(job_id)]
        assert numbers == list(range(20))
    assert len(stores[0].measurements([architecture(row).key for row in range(20)], "f", "m")) == 20


def test_errors_name_no_statements(store: ResultStore) -> None:
    """What a user reads is about jobs, not about SQL."""
    with pytest.raises(StoreError) as caught:
        store.job("nope")
    assert "SELECT" not in str(caught.value)
