"""A client of the service, with the nouns of its API.

with Client("http://127.0.0.1:8080", token="nas_...") as client:
job = client.submit(Path("job.yaml"))
job = client.wait(job.id)
for evaluation in client.front(job.id).evaluations:
print(evaluation.metrics)
client.export(job.id, Path("model.onnx"))
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter

from nas.service.schemas import Architecture, Artifact, Device, Evaluation, Front, Job, Page, Task
from storage.records import JobStatus, TaskStatus

Model = TypeVar("Model", bound=BaseModel)

_POLL_SECONDS = 0.5
_CHUNK_BYTES = 1 << 20


class ServiceError(RuntimeError):
    """The service said no, or did not answer.

    Attributes:
        status: the HTTP status, None when there was no answer.
        problems: what is wrong with a submitted job: where, and what.
    """

    def __init__(self, message: str, status: int | None = None, problems: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems or []


class Client:
    """A connection to a service.

    Args:
        url: where it is, such as `http://127.0.0.1:8080`.
        token: what lets this client in; `NAS_TOKEN` of the environment if not given. Never part of a URL.
        timeout: seconds that one answer may take.

    Every method raises `ServiceError` when the service refuses or does not answer.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 30.0) -> None:
        token = token or os.environ.get("NAS_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url.rstrip("/") + "/v1", headers=headers, timeout=timeout)

    def close(self) -> None:
        """Give the connection back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Jobs

    def submit(self, job: Path | str | Mapping[str, Any]) -> Job:
        """Queue a job: a file of YAML or JSON, a text of YAML, or plain values. Paths in it are the service's."""
        if isinstance(job, Mapping):
            return self._told(Job, "POST", "/jobs", json=dict(job))
        is_json = isinstance(job, Path) and job.suffix.lower() == ".json"
        content = job.read_bytes() if isinstance(job, Path) else job.encode()
        kind = "application/json" if is_json else "application/yaml"
        return self._told(Job, "POST", "/jobs", content=content, headers={"Content-Type": kind})

    def jobs(self, status: JobStatus | None = None, limit: int = 100) -> list[Job]:
        """Jobs, newest first."""
        given = {"limit": limit, **({"status": status} if status else {})}
        return TypeAdapter(list[Job]).validate_python(self._json("GET", "/jobs", params=given))

    def job(self, job_id: str) -> Job:
        """One job."""
        return self._told(Job, "GET", f"/jobs/{_part(job_id)}")

    def cancel(self, job_id: str) -> Job:
        """End it; what it found stays."""
        return self._told(Job, "POST", f"/jobs/{_part(job_id)}/cancel")

    def pause(self, job_id: str) -> Job:
        """Let it wait until it is resumed."""
        return self._told(Job, "POST", f"/jobs/{_part(job_id)}/pause")

    def resume(self, job_id: str) -> Job:
        """Let it go on where it stopped."""
        return self._told(Job, "POST", f"/jobs/{_part(job_id)}/resume")

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Of the jobs that wait, the greatest priority is next."""
        return self._told(Job, "PUT", f"/jobs/{_part(job_id)}/priority", json={"priority": priority})

    def evaluations(self, job_id: str, start: int = 0, page: int = 500) -> Iterator[Evaluation]:
        """All evaluations from a number on, fetched page by page."""
        number: int | None = start
        while number is not None:
            given = {"start": number, "limit": page}
            told = self._told(Page, "GET", f"/jobs/{_part(job_id)}/evaluations", params=given)
            yield from told.evaluations
            number = told.next

    def front(self, job_id: str) -> Front:
        """What cannot be improved without giving something up."""
        return self._told(Front, "GET", f"/jobs/{_part(job_id)}/front")

    def events(self, job_id: str, start: int = 0) -> Iterator[Job | Evaluation]:
        """What happens in a job, as it happens, until it has ended; a lost connection is taken up where it broke."""
        number = start
        while True:
            try:
                for kind, data in self._stream(f"/jobs/{_part(job_id)}/events", number):
                    if kind == "end":
                        return
                    if kind == "job":
                        yield Job.model_validate_json(data)
                    elif kind == "evaluation":
                        evaluation = Evaluation.model_validate_json(data)
                        number = evaluation.number + 1
                        yield evaluation
            except httpx2.TransportError:
                time.sleep(_POLL_SECONDS)
                self.job(job_id)  # says so if the service is gone and not only the connection

    def wait(self, job_id: str, seconds: float | None = None) -> Job:
        """Block until a job has ended. Raises `TimeoutError` after `seconds`."""
        return self._until(lambda: self.job(job_id), lambda job: job.status.ended, seconds, f"job {job_id}")

    # Networks

    def architecture(self, key: str) -> Architecture:
        """A network by its key."""
        return self._told(Architecture, "GET", f"/architectures/{_part(key)}")

    def export(
        self, job_id: str, path: Path, pick: str = "knee", seconds: float | None = 3600.0, precision: str = "fp32"
    ) -> Task:
        """Export a network of the front, in fp32 or int8, and fetch it: the file is there whole or not at all.

        Raises:
            ServiceError: the export failed; the message is its cause.
            TimeoutError: it took longer than `seconds`.
        """
        task = self._told(Task, "POST", f"/jobs/{_part(job_id)}/exports", json={"pick": pick, "precision": precision})
        task = self.finished(task.id, seconds)
        assert task.result is not None
        self.download(str(task.result["id"]), path)
        return task

    def profile(self, model: Path, seconds: float | None = 600.0) -> dict[str, Any]:
        """Measure an ONNX file on the service's CPU."""
        with model.open("rb") as file:
            chunks = iter(lambda: file.read(_CHUNK_BYTES), b"")
            task = self._told(Task, "POST", "/models", content=chunks)
        return dict(self.finished(task.id, seconds).result or {})

    def finished(self, task_id: str, seconds: float | None = None) -> Task:
        """Block until a task has ended well. Raises `ServiceError` when it failed, `TimeoutError` after `seconds`."""
        ended = (TaskStatus.SUCCEEDED, TaskStatus.FAILED)
        told = self._until(
            lambda: self._told(Task, "GET", f"/tasks/{_part(task_id)}"),
            lambda task: task.status in ended,
            seconds,
            f"task {task_id}",
        )
        if told.status is TaskStatus.FAILED:
            raise ServiceError(f"task {task_id} failed: {told.error}")
        return told

    def artifacts(self, job_id: str) -> list[Artifact]:
        """The files that a job made."""
        return TypeAdapter(list[Artifact]).validate_python(self._json("GET", f"/jobs/{_part(job_id)}/artifacts"))

    def download(self, artifact_id: str, path: Path) -> None:
        """Fetch a file."""
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                with self._answer("GET", f"/artifacts/{_part(artifact_id)}/content") as answer:
                    for chunk in answer.iter_bytes(_CHUNK_BYTES):
                        file.write(chunk)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    def devices(self) -> list[Device]:
        """All devices that measured something."""
        return TypeAdapter(list[Device]).validate_python(self._json("GET", "/devices"))

    # The wire

    def _until(
        self, ask: Callable[[], Model], done: Callable[[Model], bool], seconds: float | None, what: str
    ) -> Model:
        deadline = None if seconds is None else time.monotonic() + seconds
        while not done(told := ask()):
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{what} has not ended after {seconds:g} s")
            time.sleep(_POLL_SECONDS)
        return told

    def _stream(self, path: str, start: int) -> Iterator[tuple[str, str]]:
        with self._answer("GET", path, params={"start": start}, timeout=60.0) as answer:
            kind = data = ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line and kind:
                    yield kind, data
                    kind = data = ""

    def _told(self, model: type[Model], method: str, path: str, **given: Any) -> Model:
        return model.model_validate(self._json(method, path, **given))

    def _json(self, method: str, path: str, **given: Any) -> Any:
        try:
            with self._answer(method, path, **given) as answer:
                answer.read()
                return answer.json()
        except httpx2.TransportError as error:
            raise ServiceError(f"{self._http.base_url} does not answer: {error}") from error

    @contextmanager
    def _answer(self, method: str, path: str, **given: Any) -> Iterator[httpx2.Response]:
        """A good answer, its body not read yet."""
        with self._http.stream(method, path, **given) as answer:
            if answer.is_success:
                yield answer
                return
            answer.read()
        try:
            told = answer.json()
            detail, problems = told["detail"], told.get("problems")
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            detail, problems = answer.text[:500], None
        raise ServiceError(f"{answer.status_code}: {detail}", answer.status_code, problems)


def _part(name: str) -> str:
    """A name as one part of a path, whatever it is."""
    return httpx2.URL(path=name).raw_path.decode().replace("/", "%2F")
