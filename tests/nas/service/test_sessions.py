"""Browsers that log in: a cookie that scripts cannot read, and that other sites cannot use."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from nas.service.sessions import LIFETIME_S, MOST, Sessions
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore

OWN = {"Origin": "http://localhost"}


@pytest.fixture
def browser(client: TestClient) -> TestClient:
    """A client that sends no token by itself."""
    del client.headers["Authorization"]
    return client


def log_in(browser: TestClient, store: ResultStore, role: Role, **more: object) -> None:
    """Log in with a new token."""
    text = ServiceRecords(store).create_token("ada", role, **more)[1]
    answer = browser.post("/session", json={"token": f" {text}\n"}, headers=OWN)
    assert (answer.status_code, answer.json()) == (200, {"name": "ada", "role": role.value})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert text not in cookie


def test_log_in_and_out(browser: TestClient, store: ResultStore) -> None:
    """From 401 to a session, and back to 401 for the same cookie."""
    assert browser.get("/session").status_code == browser.get("/jobs").status_code == 401
    log_in(browser, store, Role.READ)
    assert browser.get("/session").json() == {"name": "ada", "role": "read"}
    assert browser.get("/jobs").status_code == 200
    kept = dict(browser.cookies)
    assert browser.delete("/session", headers=OWN).status_code == 204
    browser.cookies.update(kept)
    assert browser.get("/jobs").status_code == 401


def test_a_cookie_changes_nothing_from_elsewhere(browser: TestClient, store: ResultStore, job_id: str) -> None:
    """Without an origin, or with a foreign one, a cookie allows no change."""
    log_in(browser, store, Role.ADMIN)
    place = f"/jobs/{job_id}/resume"
    assert browser.post(place).status_code == 403
    assert browser.post(place, headers={"Origin": "http://evil.example"}).status_code == 403
    assert browser.post(place, headers={"Origin": "null"}).status_code == 403
    assert browser.post(place, headers=OWN).status_code == 200


def test_roles_hold(browser: TestClient, store: ResultStore, job_id: str) -> None:
    """A session allows what its token allows."""
    log_in(browser, store, Role.READ)
    answer = browser.post(f"/jobs/{job_id}/exports", json={}, headers=OWN)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "this needs a token with the role submit; yours has read",
    )


def test_sessions_end_with_their_tokens(browser: TestClient, store: ResultStore) -> None:
    """At the next request after a token is revoked; a token that is over begins none."""
    log_in(browser, store, Role.READ)
    records = ServiceRecords(store)
    records.revoke_token(records.tokens()[0].id)
    assert browser.get("/jobs").status_code == 401
    text = records.create_token("late", Role.READ, timedelta(microseconds=1))[1]
    assert browser.post("/session", json={"token": text}, headers=OWN).status_code == 401


@pytest.mark.parametrize(
    "body, status",
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"token": 1}', 422),
        (b" " * 2000, 413),
        (b"\xff", 400),
        (b'{"token": "nas_\\ud800_x"}', 401),
        (b'{"token": "nas_\\u0000_\\ud800"}', 401),
    ],
)
def test_nonsense(browser: TestClient, body: bytes, status: int) -> None:
    """Refused before anything is looked up."""
    assert browser.post("/session", content=body, headers=OWN).status_code == status


def test_lifetime_and_number() -> None:
    """A session is over after its time; of too many the oldest is ended."""
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    first = sessions.open("a")
    assert (sessions.token(first), sessions.token("x"), sessions.token("")) == ("a", None, None)
    now[0] = LIFETIME_S
    assert sessions.token(first) is None
    oldest = sessions.open("b")
    newer = [sessions.open("c") for _ in range(MOST)]
    assert (sessions.token(oldest), sessions.token(newer[0])) == (None, "c")
