"""A job whose store takes no more: what it says, and that it goes on when there is room."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from toy_jobs import STATIC_JOB
from typer.testing import CliRunner

from nas.cli.main import app
from storage.records import JobStatus
from storage.store import ResultStore

BUDGET = 96
DISK_BYTES = 8 << 20
ROOM_BYTES = 400 << 10  # for a job to begin, and for some batches


@contextmanager
def tiny_disk(folder: Path) -> Iterator[bool]:
    """A file system of some megabytes at a folder, where this process may mount one; whether it could."""
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def nas(*arguments: str, url: str) -> subprocess.Popen[str]:
    """Begin a command."""
    environment = os.environ | {"NAS_STORE": url}
    return subprocess.Popen(
        [sys.executable, "-m", "nas", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def fill(folder: Path) -> Callable[[], None]:
    """Take all but a little of a disk; what is returned gives it back."""
    filler, free = folder / "filler", os.statvfs(folder)
    filler.write_bytes(b"\1" * (free.f_bavail * free.f_frsize - ROOM_BYTES))
    return filler.unlink


@pytest.mark.slow
def test_a_full_disk_interrupts_a_job(cluster: None, tmp_path: Path) -> None:
    """One line with the cause and exit code 1; the store opens, is sound, and the job ends with exactly its budget.

    Where no small disk can be mounted, the driver's files may not grow any more from its first result on.
    """
    disk, job = tmp_path / "disk", tmp_path / "job.yaml"
    disk.mkdir()
    job.write_text(yaml.safe_dump({**STATIC_JOB, "budget": {"evaluations": BUDGET}, "execution": {"batch": 4}}))
    with tiny_disk(disk) as mounted:
        url = f"sqlite:///{disk}/nas.db"
        ResultStore(url).close()
        empty = fill(disk) if mounted else lambda: None
        run = nas("run", str(job), url=url)
        if not mounted:
            with ResultStore(url) as store:
                while not (store.jobs() and store.jobs()[0].evaluated):
                    assert run.poll() is None, run.communicate()
                    time.sleep(0.005)
            grown = (disk / "nas.db-wal").stat().st_size
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (grown, grown))
        _, said = run.communicate(timeout=200)
        assert run.returncode == 1, said
        last = " ".join(said[said.index("error:") :].split())
        assert "was interrupted: store" in last
        assert "refused a change, nothing of it is kept: " in last
        assert "disk" in last.partition("kept: ")[2]
        assert "Traceback" not in said
        empty()
        with ResultStore(url, create=False) as store:
            assert store.faults() == []
            (found,) = store.jobs()
            assert (found.status, 0 < found.evaluated < BUDGET) == (JobStatus.RUNNING, True)
            told = store.evaluations(found.id)
            assert last.endswith(f"then go on with `nas resume {found.id}`")
            resumed = CliRunner().invoke(app, ["resume", found.id, "--store", url])
            assert resumed.exit_code == 0, resumed.output
            ended, everything = store.job(found.id), store.evaluations(found.id)
            assert (ended.status, ended.evaluated) == (JobStatus.SUCCEEDED, BUDGET)
            assert everything[: len(told)] == told
            assert len({each.architecture_key for each in everything}) == BUDGET
            assert "was found dead" in ended.restarts[0]["reason"]
