"""Jobs over HTTP: what is submitted, what is told, and what is refused before anything happens."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from toy_jobs import STATIC_JOB as JOB

from nas.service.settings import ServiceSettings
from storage.records import JobStatus
from storage.store import ResultStore


def test_yaml_and_json_are_the_same(client: TestClient, store: ResultStore) -> None:
    """The stored spec is complete, and the same from both."""
    as_json = client.post("/jobs", json=JOB)
    as_yaml = client.post("/jobs", content=yaml.safe_dump(JOB), headers={"Content-Type": "application/yaml"})
    assert as_json.status_code == as_yaml.status_code == 201
    assert as_json.json()["spec"] == as_yaml.json()["spec"] == store.job(as_json.json()["id"]).spec
    assert as_json.json()["spec"]["execution"]["workers"] == 2
    assert [job["status"] for job in client.get("/jobs", params={"status": "QUEUED"}).json()] == ["QUEUED", "QUEUED"]


def test_every_problem_is_told(client: TestClient, store: ResultStore) -> None:
    """With its place, and no job is made."""
    answer = client.post("/jobs", json={**JOB, "objectives": ["speed"], "budget": {"evaluations": 0}, "seeds": 1})
    assert answer.status_code == 422
    assert {problem["where"] for problem in answer.json()["problems"]} == {
        "seeds", "budget.evaluations", "objectives[0]"
    }  # fmt: skip
    assert len(store.jobs()) == 1


def bomb(levels: int) -> str:
    """YAML whose aliases stand for 10 to the power of `levels` values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        ("x: " + "y" * 20_000, "application/yaml", 413, "more than 10,000 bytes"),
        (bomb(9), "application/yaml", 400, ""),
        ("[" * 5000, "application/json", 400, ""),
        ("{", "application/json", 400, ""),
        ("!!python/object/apply:os.system [id]", "application/yaml", 400, ""),
        (b"\xff\xfe", "application/yaml", 400, "not UTF-8"),
        ("", "application/yaml", 422, "a job is a mapping"),
        ("[]", "application/json", 422, "a job is a mapping"),
        ('{"name": NaN}', "application/json", 400, ""),
    ],
)
def test_hostile_bodies(
    client: TestClient, store: ResultStore, body: str | bytes, kind: str, status: int, message: str
) -> None:
    """Each answered with the right status, quickly, and no job is made."""
    answer = client.post("/jobs", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert message in answer.text
    assert len(store.jobs()) == 1


def test_files_outside_the_data_folders_are_not_looked_at(
    client: TestClient, settings: ServiceSettings, tmp_path: Path
) -> None:
    """Neither by a path, nor by `..`, nor by a link; the answer is the same whether they exist."""
    (tmp_path / "secret.npz").write_bytes(b"")
    folder = Path(settings.data_folders[0])
    (folder / "link").symlink_to(tmp_path)
    told = set()
    for path in (tmp_path / "secret.npz", tmp_path / "nothing.npz", folder / ".." / "secret.npz",
                 folder / "link" / "secret.npz", "/etc/passwd", "secret.npz", "a\0b"):  # fmt: skip
        answer = client.post("/jobs", json={**JOB, "objectives": ["accuracy"], "data": {"path": str(path)}})
        assert answer.status_code == 422
        (problem,) = answer.json()["problems"]
        assert problem["where"] == "data.path"
        told.add(problem["message"].partition("is not in")[2])
    assert len(told) == 1
    device = {"kind": "remote", "address": "127.0.0.1:1", "token_file": "/etc/passwd"}
    answer = client.post("/jobs", json={**JOB, "devices": {"pi": device}})
    assert [problem["where"] for problem in answer.json()["problems"]] == ["devices.pi.token_file"]


def test_code_is_not_run(client: TestClient, settings: ServiceSettings) -> None:
    """A job that brings a Python file is refused, unless the operator allows code."""
    trap = Path(settings.data_folders[0]) / "trap.py"
    trap.write_text("raise SystemExit('ran')")
    answer = client.post("/jobs", json={**JOB, "space": {"name": "mine", "path": str(trap)}})
    assert answer.status_code == 422
    assert "allow" in answer.text


def test_evaluations_come_in_pages(client: TestClient, job_id: str) -> None:
    """Each once, in their order; a filter keeps some; NaN is null."""
    seen: list[dict[str, Any]] = []
    number: int | None = 0
    while number is not None:
        page = client.get(f"/jobs/{job_id}/evaluations", params={"start": number, "limit": 2}).json()
        seen += page["evaluations"]
        number = page["next"]
    assert [row["number"] for row in seen] == [0, 1, 2, 3, 4]
    assert seen[1]["metrics"] == {"accuracy": 0.25, "macs": 10.0, "nan": None}
    for failed, numbers in ((True, [4]), (False, [0, 1, 2, 3])):
        page = client.get(f"/jobs/{job_id}/evaluations", params={"failed": failed}).json()
        assert [row["number"] for row in page["evaluations"]] == numbers


@pytest.mark.parametrize("given", [{"start": -1}, {"limit": 0}, {"limit": 10**6}, {"start": "x"}, {"start": 2**63}])
def test_pages_have_limits(client: TestClient, job_id: str, given: dict[str, Any]) -> None:
    """422 and not a database error."""
    assert client.get(f"/jobs/{job_id}/evaluations", params=given).status_code == 422


def test_the_front_is_the_stores(client: TestClient, store: ResultStore, job_id: str) -> None:
    """In the same order, with its objectives."""
    told = client.get(f"/jobs/{job_id}/front").json()
    assert [row["number"] for row in told["evaluations"]] == [row.number for row in store.front(job_id)] == [3, 2, 1, 0]
    assert [objective["metric"] for objective in told["objectives"]] == ["accuracy", "macs"]


def test_a_job_is_paused_resumed_and_cancelled(client: TestClient, store: ResultStore) -> None:
    """And says so; what cannot be is a conflict."""
    job = client.post("/jobs", json=JOB).json()["id"]
    assert client.post(f"/jobs/{job}/pause").json()["paused"] is True
    assert client.post(f"/jobs/{job}/resume").json()["paused"] is False
    assert client.put(f"/jobs/{job}/priority", json={"priority": 7}).json()["priority"] == 7
    assert client.post(f"/jobs/{job}/cancel").json()["status"] == "CANCELLED"
    assert client.post(f"/jobs/{job}/cancel").status_code == 409
    assert client.post(f"/jobs/{job}/resume").json()["status"] == "QUEUED"
    assert store.job(job).status is JobStatus.QUEUED
    assert client.put(f"/jobs/{job}/priority", json={"priority": 10**9}).status_code == 422


@pytest.mark.parametrize("name", ["nope", "..", "%2e%2e%2f", "a" * 3000, "%00", "'; DROP TABLE jobs; --", "\u2028"])
def test_a_job_that_is_not_there(client: TestClient, name: str) -> None:
    """404, whatever its name looks like."""
    assert client.get(f"/jobs/{name}").status_code == 404
    assert client.post(f"/jobs/{name}/cancel").status_code in (404, 405)


def test_events_tell_everything_once(client: TestClient, job_id: str) -> None:
    """The state, each evaluation, the end; a client that lost its connection goes on where it stopped."""
    with client.stream("GET", f"/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    assert [line for line in lines if line.startswith("event")] == [
        "event: job", *["event: evaluation"] * 5, "event: end"
    ]  # fmt: skip
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
    assert [row["number"] for row in data[1:-1]] == [0, 1, 2, 3, 4]
    with client.stream("GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}) as answer:
        again = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data")]
    assert [row["number"] for row in again[1:-1]] == [3, 4]


def test_lookups(client: TestClient, store: ResultStore) -> None:
    """Devices, architectures, the schema of job files, metrics."""
    assert [device["name"] for device in client.get("/devices").json()] == ["cpu"]
    key = store.evaluations(store.jobs()[0].id)[0].architecture_key
    assert client.get(f"/architectures/{key}").json()["key"] == key
    assert client.get(f"/architectures/{'0' * 64}").status_code == 404
    assert client.get("/architectures/xyz").status_code == 422
    assert "objectives" in client.get("/schema").json()["properties"]
    text = client.get("/metrics").text
    assert 'nas_jobs{status="SUCCEEDED"} 1.0' in text
    assert 'route="/devices",status="200"} 1.0' in text
    assert key not in text
