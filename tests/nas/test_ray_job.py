"""Sending jobs to a Ray cluster, up to where the cluster begins."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ray.job_submission import JobStatus as RayStatus
from toy_jobs import STATIC_JOB
from typer.testing import CliRunner

from nas import ray_job
from nas.cli.main import app
from nas.jobspec.load import parse_job
from nas.ray_job import RayJobFailed, RayJobs, cluster_environment
from nas.travelling_code import PACKAGES, travelling_code
from storage.errors import StoreNotFound
from storage.records import JobStatus, Lease
from storage.store import ResultStore

ADDRESS = "http://127.0.0.1:8265"


@pytest.fixture(autouse=True)
def _artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_ARTIFACTS", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    """An empty store."""
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        yield store


class Cluster:
    """The answers of a cluster that was asked: statuses of a Ray Job one after the other, and its log."""

    def __init__(self, statuses: list[RayStatus | Exception | Callable[[], Any]], log: str = "") -> None:
        self._statuses = itertools.chain(statuses, itertools.repeat(statuses[-1]))
        self._log = log
        self.sent: dict[str, Any] = {}

    def submit_job(self, **sent: Any) -> str:
        """Take a Ray Job, and look at what travels with it."""
        folder = Path(sent["runtime_env"]["working_dir"])
        self.sent = {**sent, "files": sorted(path.name for path in folder.iterdir())}
        return str(sent["submission_id"])

    def get_job_status(self, sent: str) -> RayStatus:
        """The next status, or what happens in its place."""
        status = next(self._statuses)
        if isinstance(status, Exception):
            raise status
        if not isinstance(status, RayStatus):
            status()
            return RayStatus.RUNNING
        return status

    def get_job_logs(self, sent: str) -> str:
        """What it said."""
        return self._log

    def get_job_info(self, sent: str) -> Any:
        """What Ray says of it."""
        return SimpleNamespace(message="no such file")


def send(store: ResultStore, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Lease:
    """Send a job; the lease that was taken for it."""
    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", lambda address: cluster)
    monkeypatch.setattr(ray_job, "_LOOK_SECONDS", 0.0)
    jobs = RayJobs(ADDRESS)
    lease = store.begin_job("job", parse_job(STATIC_JOB).model_dump(mode="json"), jobs.owner)
    jobs.send(store, lease, {"NAS_STORE": "x"})
    return lease


def test_a_driver_that_begins(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender is done when its lease is adopted; what was sent is our code, the job's id and the fence."""
    adopt = lambda: store.adopt(Lease(store.jobs()[0].id, 1), "driver")  # noqa: E731
    cluster = Cluster([RayStatus.PENDING, adopt, RayStatus.RUNNING])
    lease = send(store, cluster, monkeypatch)
    job = store.job(lease.job_id)
    assert (job.status, job.owner, job.fence) == (JobStatus.RUNNING, "driver", 2)
    assert cluster.sent["entrypoint"] == f"exec python -m nas resume {job.id} --adopt 1 --address auto"
    assert cluster.sent["files"] == sorted(PACKAGES)
    assert cluster.sent["runtime_env"]["env_vars"] == {"NAS_STORE": "x"}


@pytest.mark.parametrize(
    ("log", "cause"),
    [("INFO\nerror: store x: there is no file\n\n", "store x: there is no file"), ("", "no such file")],
)
def test_a_driver_that_cannot_begin(store: ResultStore, monkeypatch: pytest.MonkeyPatch, log: str, cause: str) -> None:
    """The job fails once, with its last words, or Ray's."""
    with pytest.raises(RayJobFailed, match=cause):
        send(store, Cluster([RayStatus.PENDING, RayStatus.FAILED], log), monkeypatch)
    (job,) = store.jobs()
    assert job.status is JobStatus.FAILED
    assert cause in (job.error or "")


@pytest.mark.parametrize("error", [ConnectionError("gone"), RuntimeError("Request failed with status code 500")])
def test_a_cluster_that_is_lost(store: ResultStore, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The job waits, with the reason; a Ray Job that begins late is refused."""
    with pytest.raises(RayJobFailed, match="did not begin it"):
        send(store, Cluster([error]), monkeypatch)
    (job,) = store.jobs()
    assert job.status is JobStatus.QUEUED
    assert str(error) in job.restarts[0]["reason"]
    late = CliRunner().invoke(app, ["resume", job.id, "--adopt", "1", "--store", f"sqlite:///{store.database.path}"])
    assert late.exit_code == 2
    assert "does not wait for this Ray Job any more" in " ".join(late.stderr.split())


def test_an_interrupt_leaves_the_job_waiting(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the cluster makes up its mind."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(store, Cluster([interrupt]), monkeypatch)
    assert store.jobs()[0].status is JobStatus.QUEUED


@pytest.mark.parametrize(
    ("url", "artifacts", "told"),
    [
        ("sqlite:////disk/nas.db", None, ("sqlite:////disk/nas.db", "/disk/nas_artifacts")),
        ("postgresql://me@host/db", "/disk/files", ("postgresql://me@host/db", "/disk/files")),
        ("postgresql://me:secret@host/db?a=b", "/disk", ("postgresql://me@host/db?a=b", "/disk")),
        ("postgresql://host/db?user=me&password=secret", "/disk", ("postgresql://host/db?user=me", "/disk")),
        ("sqlite:///nas.db", None, "is relative; on a Ray cluster it is"),
        ("postgresql://me@host/db", None, r"NAS_ARTIFACTS must be .* \(got None\)"),
        ("postgresql://me@host/db", "files", r"NAS_ARTIFACTS must be .* \(got 'files'\)"),
        ("mysql://me@host/db", "/disk", "a store of kind 'mysql' is not supported"),
    ],
)  # fmt: skip
def test_what_a_driver_is_told(
    url: str, artifacts: str | None, told: tuple[str, str] | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store and its files are, never a password; what the nodes would not find is refused."""
    if artifacts is not None:
        monkeypatch.setenv("NAS_ARTIFACTS", artifacts)
    if isinstance(told, str):
        with pytest.raises(ValueError, match=told):
            cluster_environment(url, allow_code=False)
    else:
        found = cluster_environment(url, allow_code=True)
        assert (found.pop("NAS_STORE"), found.pop("NAS_ARTIFACTS"), found) == (*told, {"NAS_ALLOW_CODE": "1"})


@pytest.mark.parametrize(
    ("changes", "options", "code", "message"),
    [
        ({"data": {"path": "images.npz"}}, [], 2, "data.path: 'images.npz' is relative; on a Ray cluster"),
        ({"data": {"path": "/nowhere/images.npz"}}, [], 2, "'/nowhere/images.npz' cannot be read"),
        ({}, ["--store", "sqlite:///nas.db"], 2, "is relative; on a Ray cluster"),
        ({}, ["--address", "127.0.0.1:6379"], 2, "must be that of a Ray dashboard, such as http://"),
        ({}, ["--address", "http://me:secret@127.0.0.1:1"], 2, "without a password (got 'http://127.0.0.1:1')"),
        ({}, ["--address", "http://127.0.0.1:1"], 1, "no Ray cluster takes jobs at http://127.0.0.1:1: "),
    ],
)
def test_what_would_not_work_is_told_first(
    tmp_path: Path, changes: dict[str, Any], options: list[str], code: int, message: str
) -> None:
    """One message, and nothing was stored."""
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({**STATIC_JOB, **changes}))
    url = f"sqlite:///{tmp_path}/nas.db"
    done = CliRunner().invoke(app, ["submit", str(file), "--address", ADDRESS, "--store", url, *options])
    assert done.exit_code == code, done.output
    assert message in " ".join(done.stderr.split())
    with pytest.raises(StoreNotFound):
        ResultStore(url, create=False)


def test_a_job_waits_where_no_cluster_answers(tmp_path: Path) -> None:
    """One line that says so, and the job can be tried again."""
    file, url = tmp_path / "job.yaml", f"sqlite:///{tmp_path}/nas.db"
    file.write_text(yaml.safe_dump(STATIC_JOB))
    done = CliRunner().invoke(app, ["run", str(file), "--address", "127.0.0.1:1", "--store", url])
    assert done.exit_code == 1, done.output
    assert "no Ray cluster answers at '127.0.0.1:1'" in " ".join(done.stderr.split())
    with ResultStore(url) as store:
        assert [job.status for job in store.jobs()] == [JobStatus.QUEUED]


def test_no_data_travel() -> None:
    """Our packages, without what Python made of them."""
    with travelling_code() as folder:
        assert (folder / "storage" / "migrations" / "env.py").is_file()
        assert not list(folder.rglob("__pycache__"))
        assert sum(path.stat().st_size for path in folder.rglob("*")) < 20e6
    assert not folder.exists()


@pytest.mark.parametrize("option", [["--waiting"], ["--adopt", "1"]])
def test_what_a_user_decided_meanwhile_holds(store: ResultStore, option: list[str]) -> None:
    """A driver that comes late wakes no job that was paused or cancelled."""
    lease = store.begin_job("job", parse_job(STATIC_JOB).model_dump(mode="json"), "sender")
    words = ["resume", lease.job_id, "--store", f"sqlite:///{store.database.path}", *option]
    store.pause(lease.job_id)
    assert CliRunner().invoke(app, words).exit_code == 75
    assert store.job(lease.job_id).paused
    store.cancel(lease.job_id)
    assert CliRunner().invoke(app, words).exit_code == 75
    assert store.job(lease.job_id).status is JobStatus.CANCELLED


def test_a_store_that_does_not_answer() -> None:
    """An exit code of its own: a service does not take that for the job's fault."""
    done = CliRunner().invoke(app, ["resume", "latest", "--store", "postgresql://me@127.0.0.1:1/db"])
    assert done.exit_code == 75
    assert "could not be read" in done.stderr
