"""The drivers of waiting jobs: each a process of its own, started, watched and replaced."""

import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import structlog

from nas.lease_owner import claim, is_dead
from nas.service.commands import TRY_AGAIN, command, environment
from nas.service.settings import ServiceSettings
from storage.errors import StoreError
from storage.records import Job, JobStatus
from storage.store import ResultStore

_LOG = structlog.get_logger("nas.service.drivers")

_LOOK_SECONDS = 0.5
_STOP_SECONDS = 60.0
_FRUITLESS = 5
"""Drivers that a job may lose in a row without a new evaluation."""

_PAUSE_SECONDS, _GROWTH = 10.0, 6.0
"""How long a job waits after the second of them, and how many times longer after each further one: minutes in all,
in which a cluster can come back."""


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    fence: int  # of the job before this driver claimed it
    log: Path
    file: IO[bytes]


class Drivers:
    """Runs `nas resume` for each waiting job, a number of them at once.

    The truth is the store: a driver that is lost leaves a lease that ends, or an owner that is known to be dead, and
    the job waits again. A driver outlives this process if it is killed; a later one finds the job led.

    Args:
        store: whose jobs.
        settings: of the service.
    """

    def __init__(self, store: ResultStore, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._running: dict[str, _Running] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="drivers", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        if self._settings.drivers:
            self._thread.start()

    def stop(self) -> None:
        """Let the drivers give their jobs back, and wait for them."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        for running in self._running.values():
            running.process.send_signal(signal.SIGTERM)
        for job_id, running in self._running.items():
            try:
                running.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _LOG.warning("driver does not end, so it is killed", job=job_id, pid=running.process.pid)
                running.process.kill()
                running.process.wait()
            running.file.close()
        self._running.clear()

    def _work(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            try:
                self._reap()
                self._fill()
            except (StoreError, OSError) as error:
                # The store may come back, and a full disk be emptied; the jobs are not to blame.
                _LOG.error("jobs cannot be looked after", error=str(error))

    def _reap(self) -> None:
        """Note drivers that ended; a job whose driver could not even claim it fails with what it said."""
        for job_id, running in list(self._running.items()):
            code = running.process.poll()
            if code is None:
                continue
            running.file.close()
            del self._running[job_id]
            job = self._store.job(job_id)
            _LOG.info("driver ended", job=job_id, pid=running.process.pid, code=code, status=job.status)
            if code > 0 and code != TRY_AGAIN and job.status is JobStatus.QUEUED and job.fence == running.fence:
                self._fail(job, _last_words(running.log) or f"its driver ended with exit code {code}")

    def _fill(self) -> None:
        for job in self._waiting():
            if len(self._running) >= self._settings.drivers:
                return
            if job.id in self._running:
                continue
            lost = [row for row in job.restarts if row["evaluated"] == job.evaluated]
            if len(lost) >= _FRUITLESS:
                last = lost[-1]["reason"]
                self._fail(job, f"{len(lost)} drivers in a row were lost without a result; the last: {last}")
            elif _rested(lost):
                self._launch(job)

    def _waiting(self) -> list[Job]:
        """Those that the store lets be claimed, and those whose driver died on this host, lease or not."""
        orphans = [job for job in self._store.jobs(JobStatus.RUNNING) if is_dead(job.owner)]
        found = {job.id: job for job in [*self._store.waiting(), *orphans]}
        return sorted(found.values(), key=lambda job: (-job.priority, job.created_at))

    def _launch(self, job: Job) -> None:
        folder = self._settings.folder / job.id
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "driver.log"
        file = log.open("ab")
        process = subprocess.Popen(
            command("resume", job.id, "--waiting"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment(self._settings),
            start_new_session=True,
        )
        self._running[job.id] = _Running(process, job.fence, log, file)
        _LOG.info("driver started", job=job.id, pid=process.pid)

    def _fail(self, job: Job, cause: str) -> None:
        lease = claim(self._store, job)
        self._store.finish(lease, JobStatus.FAILED, cause)
        _LOG.error("job failed", job=job.id, cause=cause)


def _rested(lost: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a job that lost drivers without a result may have one again; the first is replaced at once."""
    if len(lost) < 2:
        return True
    silent = datetime.now(UTC) - datetime.fromisoformat(lost[-1]["at"])
    return silent.total_seconds() >= _PAUSE_SECONDS * _GROWTH ** (len(lost) - 2)


def _last_words(log: Path) -> str:
    """The last line that a driver wrote."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.strip()), "")
