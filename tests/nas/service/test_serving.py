"""`nas serve` as a process: jobs run, whatever is killed; files are exported, fetched and run."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import psutil
import pytest
from serving import Service
from toy_jobs import STATIC_JOB, TRAINED_JOB
from typer.testing import CliRunner

from nas.cli.main import app
from nas.client import Client, ServiceError
from storage.records import JobStatus
from storage.store import ResultStore

pytestmark = pytest.mark.slow

STATIC = {**STATIC_JOB, "budget": {"evaluations": 300}, "execution": {"batch": 5}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests."""
    service = Service(tmp_path_factory.mktemp("served"))
    yield service
    service.stop()


@pytest.fixture
def service(served: Service) -> Service:
    """The service, started again where a test has ended it."""
    if served.process.poll() is not None:
        served.start()
    return served


def driver_of(client: Client, service: Service, job_id: str) -> psutil.Process:
    """The process that runs a job, once it has evaluated something."""
    with ResultStore(service.url) as store:
        service.until(lambda: store.job(job_id).evaluated > 0)
        owner = store.job(job_id).owner
    assert owner is not None, client.job(job_id)
    return psutil.Process(json.loads(owner)["pid"])


def found(client: Client, job_id: str) -> tuple[list[str], list[str]]:
    """The keys of all evaluations and of the front."""
    return (
        [row.architecture_key for row in client.evaluations(job_id)],
        [row.architecture_key for row in client.front(job_id).evaluations],
    )


def test_a_job_from_submission_to_a_file_that_runs(service: Service, tmp_path: Path) -> None:
    """Submitted, watched, exported, fetched, run by plain ONNX Runtime, and profiled."""
    with service.client() as client:
        job = client.submit(TRAINED_JOB)
        events = list(client.events(job.id))
        ended = client.wait(job.id, 10)
        assert (ended.status, ended.evaluated) == (JobStatus.SUCCEEDED, 6)
        assert [event.number for event in events if not hasattr(event, "status")] == list(range(6))
        model = tmp_path / "model.onnx"
        task = client.export(job.id, model, "best:accuracy")
        assert task.result is not None
        session = onnxruntime.InferenceSession(model.read_bytes())
        assert session.run(None, {session.get_inputs()[0].name: np.zeros((1, 1, 8, 8), np.float32)})[0].shape == (1, 10)
        assert [artifact.kind for artifact in client.artifacts(job.id)] == ["onnx", "supernet"]
        assert client.profile(model)["median_ms"] > 0
        assert client.devices()[0].name == "cpu"
        for pick, message in (("best:speed", "is not an objective"), ("--help", "not known"), ("zz", "not known")):
            with pytest.raises(ServiceError, match=message):
                client.export(job.id, model, pick)
        (tmp_path / "bad.onnx").write_bytes(b"not a model")
        with pytest.raises(ServiceError, match="failed"):
            client.profile(tmp_path / "bad.onnx")
    assert not list((service.folder / "nas_artifacts" / "uploads").iterdir())
    service.stop()
    assert "nas_" not in service.log.replace("nas_artifacts", "")


def test_kills_lose_nothing(service: Service) -> None:
    """`kill -9` of a driver, then of the service: the same results as of an undisturbed run."""
    with service.client() as client:
        calm = client.submit(STATIC)
        client.wait(calm.id, 200)
        job = client.submit(STATIC)
        first = driver_of(client, service, job.id)
        first.kill()
        service.until(lambda: client.job(job.id).restarts != [])
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        service.start()
        service.until(lambda: client.job(job.id).status.ended or client.job(job.id).heartbeat_at is not None)
        ended = client.wait(job.id, 200)
        assert (ended.status, ended.evaluated) == (JobStatus.SUCCEEDED, 300)
        assert "found dead" in ended.restarts[0]["reason"]
        keys, front = found(client, job.id)
        assert len(set(keys)) == len(keys) == 300
        assert (sorted(keys), front) == (sorted(found(client, calm.id)[0]), found(client, calm.id)[1])


def test_pause_resume_cancel(service: Service) -> None:
    """A driver lets go when it is told, and the job goes on where it stopped."""
    with service.client() as client:
        job = client.submit({**STATIC, "budget": {"evaluations": 2000}})
        driver = driver_of(client, service, job.id)
        paused = client.pause(job.id)
        psutil.wait_procs([driver], timeout=60)
        assert not driver.is_running()
        assert client.job(job.id).status is JobStatus.QUEUED
        assert client.job(job.id).evaluated == paused.evaluated
        client.resume(job.id)
        service.until(lambda: client.job(job.id).evaluated > paused.evaluated)
        cancelled = client.cancel(job.id)
        assert cancelled.status is JobStatus.CANCELLED


def test_a_job_that_cannot_run_fails_once(service: Service, tmp_path: Path) -> None:
    """With its cause; the service goes on."""
    with ResultStore(service.url) as store, service.client() as client:
        job = store.create_job("gone", {**TRAINED_JOB, "data": {"path": f"{tmp_path}/gone.npz"}})
        service.until(lambda: client.job(job.id).status.ended)
        failed = client.job(job.id)
        assert failed.status is JobStatus.FAILED
        assert "gone.npz" in str(failed.error)
        other = client.submit(STATIC_JOB)
        assert client.wait(other.id, 120).status is JobStatus.SUCCEEDED


def test_stopping_gives_jobs_back(service: Service) -> None:
    """SIGTERM: the job is QUEUED, not lost, and the next service goes on with it."""
    with service.client() as client:
        job = client.submit({**STATIC, "budget": {"evaluations": 1000}})
        driver_of(client, service, job.id)
        service.stop()
        with ResultStore(service.url) as store:
            given_back = store.job(job.id)
            assert (given_back.status, list(given_back.restarts)) == (JobStatus.QUEUED, [])
        service.start()
        service.until(lambda: client.job(job.id).evaluated > given_back.evaluated)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0", "--no-tokens"], "--no-tokens is for loopback addresses"),
        (["--data", "/nowhere"], "there is no such folder"),
        (["--proxy", "10.0.0.1", "--no-tokens"], "a --proxy lets others in"),
        (["--proxy", "nas.example"], "--proxy nas.example: an address or a network such as"),
        ([], "make a token with `nas token create"),
    ],
)
def test_what_would_not_work_is_told_first(tmp_path: Path, options: list[str], message: str) -> None:
    """Exit code 2 and one line."""
    done = CliRunner().invoke(app, ["serve", "--store", f"sqlite:///{tmp_path}/nas.db", *options])
    assert (done.exit_code, message in " ".join(done.stderr.split())) == (2, True), done.output
