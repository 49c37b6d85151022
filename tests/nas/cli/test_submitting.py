"""`nas submit`, `nas cancel`, `nas pause` and `nas token`, where no service runs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas.cli.main import app
from storage.records import JobStatus
from storage.store import ResultStore


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command prints, on both channels."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a queued job."""
    url = f"sqlite:///{tmp_path}/nas.db"
    with ResultStore(url) as store:
        store.create_job("job", {})
    return url


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 1, one line with its address; a job file that is not there is bad input."""
    job = tmp_path / "job.yaml"
    job.write_text("name: x\n")
    assert (
        "http://127.0.0.1:9/v1/ does not answer" in run("submit", f"{job}", "--server", "http://127.0.0.1:9", code=1)[1]
    )
    assert "no such file" in run("submit", f"{tmp_path}/nothing.yaml", code=2)[1]


def test_pause_and_cancel(url: str) -> None:
    """A paused job waits; a cancelled one cannot be cancelled again."""
    assert "is paused; go on with `nas resume" in run("pause", "latest", "--store", url)[1]
    with ResultStore(url) as store:
        assert store.jobs()[0].paused
    assert "is cancelled" in run("cancel", "latest", "--store", url)[1]
    assert "is CANCELLED" in run("cancel", "latest", "--store", url, code=2)[1]
    assert "no job 'nope'" in run("pause", "nope", "--store", url, code=2)[1]
    with ResultStore(url) as store:
        assert store.jobs()[0].status is JobStatus.CANCELLED


def test_tokens_are_made_listed_and_revoked(url: str) -> None:
    """The text is told once, and never again."""
    made = json.loads(run("token", "create", "laptop", "--role", "read", "--days", "1", "--store", url, "--json")[0])
    assert made["token"].startswith(f"nas_{made['id']}_")
    text = run("token", "create", "phone", "--role", "admin", "--store", url)[0].strip()
    listed = run("token", "list", "--store", url, "--json")[0]
    assert [row["name"] for row in json.loads(listed)] == ["phone", "laptop"]
    assert text not in listed
    run("token", "revoke", made["id"], "--store", url)
    assert json.loads(run("token", "list", "--store", url, "--json")[0])[1]["revoked_at"] is not None
    assert "no token 'nope'; known:" in run("token", "revoke", "nope", "--store", url, code=2)[1]
