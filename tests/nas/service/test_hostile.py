"""Hostile inputs, each answered with the right status: bodies without end, places that are not ours, forged proxies."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nas.service.app import create_app
from nas.service.bodies import ORDER_BYTES
from nas.service.settings import ServiceSettings
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

CHUNK = 4096
ETC = "%2e%2e%2f%2e%2e%2fetc%2fpasswd"


def asked(client: TestClient, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, int]:
    """The status of the answer to a request whose body never ends, and the bytes that were taken of it."""
    status, taken = 0, 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += CHUNK
        assert taken < 100_000_000
        return {"type": "http.request", "body": b" " * CHUNK, "more_body": True}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status
        status = status or message["status"]

    told = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]
    told += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": f"/v1{path}", "raw_path": f"/v1{path}".encode(), "query_string": b"",
        "headers": told, "scheme": "http", "http_version": "1.1", "server": ("localhost", 80),
        "client": ("127.0.0.1", 5), "root_path": "",
    }  # fmt: skip
    asyncio.run(client.app(scope, receive, send))
    return status, taken


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", "/jobs", 10_000),
        ("POST", "/jobs/verdicts", 10_000),
        ("POST", "/models", 1_000_000),
        ("POST", "/session", 1000),
        ("POST", "/jobs/JOB/exports", ORDER_BYTES),
        ("PUT", "/jobs/JOB/priority", ORDER_BYTES),
    ],
)
def test_a_body_without_end(client: TestClient, job_id: str, method: str, path: str, most: int, tmp_path: Path) -> None:
    """413 as soon as it is too long, whatever its length is said to be, or not said at all; nothing of it is kept."""
    place = path.replace("JOB", job_id)
    for headers in ({}, {"Content-Length": "5"}, {"Content-Length": "9" * 30}, {"Content-Type": "application/json"}):
        status, taken = asked(client, method, place, {"Authorization": client.headers["Authorization"], **headers})
        assert status == 413
        assert taken <= most + CHUNK
    assert not list(tmp_path.glob("files/uploads/*"))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/jobs/{ETC}", 404),
        (f"/jobs/{ETC}/front", 404),
        (f"/artifacts/{ETC}", 404),
        (f"/artifacts/{ETC}/content", 404),
        ("/artifacts/..%5c..%5cetc/content", 404),
        ("/artifacts/%00/content", 404),
        (f"/tasks/{ETC}", 404),
        (f"/architectures/{ETC}", 404),
        ("/architectures/" + "A" * 64, 422),
        ("/architectures/" + "0" * 5000, 422),
        (f"/jobs/JOB/networks/{ETC}", 404),
        ("/jobs/JOB/networks/%2e%2e", 422),
        ("/devices/" + "f" * 201 + "/noise", 422),
        ("/progress?job=" + "&job=".join(["JOB"] * 51), 422),
        ("/progress?job=%00", 404),
        ("/jobs/%00", 404),
        ("/jobs/%ED%A0%80", 404),
        ("/tasks/%00", 404),
        ("/artifacts/%00", 404),
        ("/jobs?limit=-1", 422),
        ("/jobs?limit=1e9", 422),
        ("/jobs?status=BROKEN", 422),
        ("/jobs/JOB/evaluations?start=99999999999999999999", 422),
        ("/jobs/JOB/points?start=-1", 422),
        ("/jobs/JOB/events?start=x", 422),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
    ],
)
def test_places_that_are_not_there(client: TestClient, job_id: str, path: str, status: int) -> None:
    """404 or 422, and nothing of the answer tells what lies beside the service."""
    answer = client.get(path.replace("JOB", job_id))
    assert answer.status_code == status
    assert "root:" not in answer.text
    assert "/tmp" not in answer.text


def test_files_that_are_not_the_services(
    client: TestClient, store: ResultStore, job_id: str, settings: ServiceSettings, tmp_path: Path
) -> None:
    """410 for a record of a file elsewhere, by its path, by `..` or by a link; what lies with the service is told."""
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    folder = settings.folder / job_id
    folder.mkdir(parents=True)
    (folder / "link.onnx").symlink_to(secret)
    (folder / "mine.onnx").write_bytes(b"model")

    def content(path: Path) -> tuple[int, str]:
        record = store.add_artifact(job_id, "onnx", str(path), sha256="0" * 64, size_bytes=6)
        answer = client.get(f"/artifacts/{record.id}/content")
        assert str(tmp_path) not in client.get(f"/artifacts/{record.id}").text
        return answer.status_code, answer.text

    for path in (secret, folder / ".." / ".." / "secret.txt", folder / "link.onnx", folder, folder / "gone.onnx"):
        status, text = content(path)
        assert (status, "sesame" in text) == (410, False)
    assert content(folder / "mine.onnx") == (200, "model")


@pytest.mark.parametrize(
    ("client_address", "forwarded", "origin", "status"),
    [
        ("10.0.0.9", "https", "https://nas.example", 200),
        ("10.0.0.9", "https", "http://nas.example", 403),  # the page of the same name that anybody on the way can forge
        ("10.0.0.9", "https", "https://evil.example", 403),
        ("10.0.0.9", None, "http://nas.example", 200),
        ("10.0.0.9", "gopher", "https://nas.example", 403),
        ("192.168.0.7", "https", "https://nas.example", 403),  # not a proxy of ours
        ("192.168.0.7", "https", "http://nas.example", 200),
        ("192.168.0.7", None, "https://nas.example", 403),
    ],
)
def test_what_a_proxy_says(
    store: ResultStore,
    settings: ServiceSettings,
    client_address: str,
    forwarded: str | None,
    origin: str,
    status: int,
) -> None:
    """A proxy that the operator names is believed when it says that a request came by HTTPS; nobody else is."""
    text = ServiceRecords(store).create_token("test", Role.ADMIN)[1]
    app = create_app(store, replace(settings, hosts=["nas.example"], proxies=["10.0.0.0/24"]))
    headers = {"Origin": origin, "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "127.0.0.1"}
    headers |= {"X-Forwarded-Proto": forwarded} if forwarded else {}
    browser = TestClient(app, base_url="http://nas.example/v1", headers=headers, client=(client_address, 5))
    answer = browser.post("/session", json={"token": text})
    assert answer.status_code == status
    if status == 200:
        secure = "Secure" in answer.headers["set-cookie"]
        assert secure == (forwarded == "https" and client_address.startswith("10."))
