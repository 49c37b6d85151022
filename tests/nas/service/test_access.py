"""Who gets in, and what is turned away."""

import asyncio
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

READS = ["/jobs", "/jobs/JOB", "/jobs/JOB/evaluations", "/jobs/JOB/front", "/jobs/JOB/events", "/jobs/JOB/artifacts",
         "/devices", "/schema", "/metrics", "/tasks/x", "/artifacts/x", "/artifacts/x/content",
         f"/architectures/{'0' * 64}", "/jobs/JOB/points", "/jobs/JOB/failures", "/progress?job=JOB",
         "/jobs/JOB/importance", "/jobs/JOB/rounds", f"/jobs/JOB/networks/{'0' * 64}",
         f"/jobs/JOB/networks/{'0' * 64}/graph", f"/architectures/{'0' * 64}/encounters", "/devices/f/noise",
         "/agreements", "/predictors", "/jobs/JOB/archive", "/presence"]  # fmt: skip
OPEN = {("GET", "/health"), ("GET", "/session"), ("POST", "/session"), ("DELETE", "/session")}
WRITES = [("POST", "/jobs"), ("POST", "/jobs/verdicts"),
          ("POST", "/jobs/JOB/cancel"), ("POST", "/jobs/JOB/pause"), ("POST", "/jobs/JOB/resume"),
          ("PUT", "/jobs/JOB/priority"), ("POST", "/jobs/JOB/exports"), ("POST", "/models")]  # fmt: skip


def token(store: ResultStore, role: Role, **more: object) -> dict[str, str]:
    """The header of a new token."""
    return {"Authorization": f"Bearer {ServiceRecords(store).create_token('test', role, **more)[1]}"}


def test_every_route_is_in_the_tables(client: TestClient) -> None:
    """So that the tests below forget none."""
    paths = client.get("/openapi.json").json()["paths"]
    known = {("GET", path.replace("JOB", "{job_id}")) for path in READS} | {
        (method, path.replace("JOB", "{job_id}")) for method, path in WRITES
    }
    found = {(method.upper(), path.removeprefix("/v1")) for path, methods in paths.items() for method in methods}
    zeros = "0" * 64
    ids = {"/tasks/x": "/tasks/{task_id}", "/artifacts/x": "/artifacts/{artifact_id}",
           "/artifacts/x/content": "/artifacts/{artifact_id}/content",
           "/devices/f/noise": "/devices/{fingerprint}/noise"}  # fmt: skip
    named = {(method, ids.get(path, path).replace(zeros, "{key}").split("?")[0]) for method, path in known}
    assert named | OPEN == found


@pytest.mark.parametrize(("method", "path"), [*(("GET", path) for path in READS), *WRITES])
def test_nothing_without_a_token(client: TestClient, job_id: str, method: str, path: str) -> None:
    """401 with a challenge, for a missing one as for a wrong one, before anything is looked up."""
    place = path.replace("JOB", job_id)
    for header in ({"Authorization": ""}, {"Authorization": "Bearer nas_x_y"}, {"Authorization": "Basic eDp5"}):
        answer = client.request(method, place, headers=header)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_body_is_read_of_somebody_unknown(client: TestClient, job_id: str, method: str, path: str) -> None:
    """However large it is: the answer comes before it is asked for."""
    answers = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was asked for")

    async def send(message: dict[str, object]) -> None:
        answers.append(message)

    place = "/v1" + path.replace("JOB", job_id)
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"9" * 12)]
    scope = {"type": "http", "method": method, "path": place, "raw_path": place.encode(), "query_string": b"",
             "headers": headers, "scheme": "http", "http_version": "1.1", "server": ("localhost", 80),
             "client": ("127.0.0.1", 5), "root_path": ""}  # fmt: skip
    asyncio.run(client.app(scope, receive, send))
    assert answers[0]["status"] == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/jobs/JOB/priority", "{" + " " * 20_000 + "}", 413),
        ("PUT", "/jobs/JOB/priority", "{", 422),
        ("PUT", "/jobs/JOB/priority", "", 422),
        ("PUT", "/jobs/JOB/priority", '{"priority": 1, "owner": "me"}', 422),
        ("POST", "/jobs/JOB/exports", "[" * 10_000, 422),
        ("POST", "/jobs/JOB/exports", '{"pick": ""}', 422),
        ("POST", "/jobs/JOB/exports", '{"pick": "knee\\u0000"}', 422),
        ("POST", "/jobs/JOB/exports", '{"precision": "fp16"}', 422),
        ("POST", "/jobs/JOB/exports", "\ud800".encode("utf-8", "surrogatepass"), 400),
    ],
)
def test_bad_orders(
    client: TestClient, store: ResultStore, job_id: str, method: str, path: str, body: str | bytes, status: int
) -> None:
    """Too long, no JSON, too little, too much, and what is not allowed."""
    place = path.replace("JOB", job_id)
    assert client.request(method, place, content=body, headers=token(store, Role.SUBMIT)).status_code == status


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_reader_changes_nothing(client: TestClient, store: ResultStore, job_id: str, method: str, path: str) -> None:
    """403, and it says which role is needed."""
    answer = client.request(method, path.replace("JOB", job_id), headers=token(store, Role.READ))
    assert answer.status_code == 403
    assert "role submit; yours has read" in answer.json()["detail"]
    assert len(store.jobs()) == 1


def test_a_reader_reads(client: TestClient, store: ResultStore) -> None:
    """And a submitter, too."""
    for role in Role:
        assert client.get("/jobs", headers=token(store, role)).status_code == 200


def test_tokens_end(client: TestClient, store: ResultStore) -> None:
    """By their time, or by being revoked, at the next request."""
    assert client.get("/jobs", headers=token(store, Role.READ, lifetime=timedelta(microseconds=1))).status_code == 401
    header = token(store, Role.READ)
    assert client.get("/jobs", headers=header).status_code == 200
    records = ServiceRecords(store)
    records.revoke_token(records.tokens()[0].id)
    assert client.get("/jobs", headers=header).status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "localhost@evil.example"])
def test_a_forged_host_is_refused(client: TestClient, host: str) -> None:
    """Also on the one route that needs no token."""
    answer = client.get("/health", headers={"Host": host})
    assert answer.status_code == 403
    assert "not called" in answer.json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3"])
def test_addresses_are_names(client: TestClient, host: str) -> None:
    """Nobody can have their own name resolve to an address and not be called by the name."""
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_another_site_is_refused(client: TestClient) -> None:
    """A page of another origin cannot use a browser that reaches us; our own can."""
    assert client.get("/jobs", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/jobs", headers={"Origin": "null"}).status_code == 403
    assert client.get("/jobs", headers={"Origin": "http://localhost"}).status_code == 200


def test_answers_are_guarded(client: TestClient) -> None:
    """Nothing is stored, framed, or guessed to be a page."""
    headers = client.get("/jobs").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_failures_of_the_store_say_nothing_of_it(
    client: TestClient, store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 without a path or a host; and an unknown job does not tell where the store lies."""
    answer = client.get("/jobs/nope")
    assert answer.status_code == 404
    assert "nas.db" not in answer.text
    store.database.close()

    def broken(*_: object) -> None:
        from storage.errors import StoreFailed

        raise StoreFailed(f"store {store.name} could not be read: disk I/O error")

    monkeypatch.setattr(store, "jobs", broken)
    answer = client.get("/jobs")
    assert (answer.status_code, answer.json()) == (503, {"detail": "the store does not answer"})
