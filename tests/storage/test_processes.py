"""Many processes, one store."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_records import architecture

from storage.records import JobStatus, Outcome
from storage.store import ResultStore

DRIVE = Path(__file__).with_name("drive.py")
PATHS = [str(DRIVE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(PATHS)}
ROUNDS = 20


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nas.db"
    return request.getfixturevalue("postgres_url")


def test_drivers_write_at_once(url: str) -> None:
    """Eight drivers with 60 writes each on the same architectures: no locked error, no deadlock, nothing lost."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", DRIVE, url, str(index), str(ROUNDS)],
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        for index in range(8)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert (process.returncode, errors) == (0, b"")
    with ResultStore(url, create=False) as store:
        jobs = store.jobs()
        assert [job.status for job in jobs] == [JobStatus.SUCCEEDED] * 8
        for job in jobs:
            assert [row.number for row in store.evaluations(job.id)] == list(range(ROUNDS))
            assert [row.architecture_key for row in store.proposals(job.id)] == [
                architecture(batch).key for batch in range(ROUNDS)
            ]


def test_a_killed_driver_loses_nothing_told(url: str) -> None:
    """After `kill -9` at any point the store opens, and what is there goes on where it stopped."""
    with ResultStore(url) as store:
        process = subprocess.Popen([sys.executable, DRIVE, url, "0", "100000"], env=ENVIRONMENT)
        while not store.jobs() or store.jobs()[0].evaluated < 5:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        dead = store.jobs()[0]
        told = store.evaluations(dead.id)
        proposed = store.proposals(dead.id)
        assert [row.number for row in told] == list(range(len(told)))
        assert all(set(row.metrics) == {"accuracy", "macs"} for row in told)
        assert len(proposed) - len(told) in (0, 1)
        lease = store.claim(dead.id, "the next driver", dead_fence=dead.fence)
        pending = {row.architecture_key for row in proposed} - {row.architecture_key for row in told}
        store.add_evaluations(lease, [Outcome(key, {"accuracy": 1.0}) for key in pending])
        assert store.job(dead.id).evaluated == store.job(dead.id).proposed
