"""Which jobs get a driver, and what its end means."""

from io import BytesIO
from pathlib import Path
from subprocess import Popen
from typing import Any, cast

import pytest

from nas.service import drivers
from nas.service.drivers import Drivers, _Running
from nas.service.settings import ServiceSettings
from storage.records import JobStatus
from storage.store import ResultStore


class Looking(Drivers):
    """Notes which jobs would get a driver."""

    launched: list[str]

    def _launch(self, job: Any) -> None:
        self.launched.append(job.id)


@pytest.fixture
def looking(store: ResultStore, url: str, tmp_path: Path) -> Looking:
    """Over a store whose other job has ended."""
    found = Looking(store, ServiceSettings(url, tmp_path))
    found.launched = []
    return found


def test_lost_drivers_are_replaced_ever_later(
    looking: Looking, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, the next after a pause that a cluster can come back in; the fifth without a result ends it."""
    job = store.create_job("job", {})
    for lost in range(5):
        monkeypatch.setattr(drivers, "_PAUSE_SECONDS", 1000.0)
        looking.launched.clear()
        looking._fill()
        assert looking.launched == [job.id] * (lost < 2)
        monkeypatch.setattr(drivers, "_PAUSE_SECONDS", 0.0)
        looking.launched.clear()
        looking._fill()
        assert looking.launched == [job.id]
        store.finish(store.claim(job.id, "driver"), JobStatus.QUEUED, "no Ray cluster answers")
    looking._fill()
    failed = store.job(job.id)
    assert failed.status is JobStatus.FAILED
    assert "5 drivers in a row were lost without a result; the last: no Ray cluster answers" in str(failed.error)


@pytest.mark.parametrize(("code", "status"), [(2, JobStatus.FAILED), (75, JobStatus.QUEUED)])
def test_a_driver_that_could_not_begin(
    looking: Looking, store: ResultStore, tmp_path: Path, code: int, status: JobStatus
) -> None:
    """Its job fails with what it said, unless it could only not reach the store."""

    class Ended:
        pid = 1

        def poll(self) -> int:
            return code

    job = store.create_job("job", {})
    log = tmp_path / "driver.log"
    log.write_text("error: no such data\n")
    looking._running[job.id] = _Running(cast("Popen[bytes]", Ended()), job.fence, log, BytesIO())
    looking._reap()
    found = store.job(job.id)
    assert (found.status, found.error) == (status, "no such data" if status is JobStatus.FAILED else None)
