"""A team's installation on one machine: three Ray nodes with a token, PostgreSQL, an agent and a service; then kills.

Whatever is killed, the job that was disturbed ends as the undisturbed one: the budget is met exactly, no network comes
twice, and the front is the same.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnxruntime
import psutil
import pytest
import yaml
from postgres import PostgresServer, postgres
from ray_clusters import Cluster
from serving import Service
from toy_jobs import STATIC_JOB, TRAINED_JOB
from typer.testing import CliRunner
from waiting import until

from nas.cli.main import app
from storage.records import Job, JobStatus
from storage.store import ResultStore
from tests.profilers.agents import end, start_agent, token_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BUDGET = 200
#: Nothing of it is trained or timed, so it is always the same; its actors score networks for some seconds.
JOB: dict[str, Any] = {
    **STATIC_JOB,
    "name": "scored",
    "data": {"name": "digits", "limit": 400},
    "objectives": ["zero_cost@synflow", "macs"],
    "budget": {"evaluations": BUDGET},
    "execution": {"workers": 2, "batch": 4, "in_flight": 2},
}

PASSWORD = "swordfish-37"  # of the store, as a secret that must be seen nowhere


@dataclass(frozen=True)
class Team:
    """What a team has, and where its files are."""

    folder: Path
    server: PostgresServer
    cluster: Cluster
    service: Service
    store: ResultStore
    environment: Mapping[str, str]

    def nas(self, *arguments: str | Path, code: int = 0) -> str:
        """What a command prints to its user on this machine; it has to end so."""
        done = subprocess.run(
            [sys.executable, "-m", "nas", *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    def job_file(self, job: Mapping[str, Any]) -> Path:
        """A job as a file."""
        path = self.folder / "job.yaml"
        path.write_text(yaml.safe_dump(dict(job)))
        return path

    def sent(self) -> Job:
        """The job, sent as a Ray Job, begun by a driver on the head."""
        job_id = self.nas("submit", self.job_file(JOB), "--address", self.cluster.dashboard).strip()
        return self.store.job(job_id)

    def reaches(self, job_id: str, evaluated: int) -> None:
        """Wait until a job has stored so many evaluations, and not all."""
        until(lambda: self.store.job(job_id).evaluated >= evaluated)
        assert self.store.job(job_id).evaluated < BUDGET, "it was too fast to be disturbed"

    def ended(self, job_id: str) -> tuple[Job, Mapping[str, Mapping[str, float]], list[str]]:
        """A job that succeeded, what it evaluated, and its front; a network that comes twice is an error."""
        until(lambda: self.store.job(job_id).status.ended)
        job = self.store.job(job_id)
        assert job.status is JobStatus.SUCCEEDED, (job, self.service.log)
        rows = self.store.evaluations(job_id)
        found = {
            row.architecture_key: {name: value for name, value in row.metrics.items() if "seconds" not in name}
            for row in rows
        }
        assert [row.error for row in rows] == [None] * len(rows)
        assert len(found) == len(rows) == job.spec["budget"]["evaluations"]
        return job, found, [row.architecture_key for row in self.store.front(job_id)]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Three nodes of one processor, the second of them the device `cpu`, and a service that runs jobs on them."""
    folder = tmp_path_factory.mktemp("team")
    with postgres() as server:
        url = server.url.replace("postgres:@", f"postgres:{PASSWORD}@")
        assert PASSWORD in url
        cluster = Cluster(folder, "cpu", "")
        service = None
        try:
            cluster.start()
            environment = {**cluster.environment, "NAS_ARTIFACTS": str(folder / "artifacts")}
            options = ["--data", str(folder), "--address", cluster.address]
            service = Service(folder, *options, url=url, environment=environment)
            with ResultStore(url) as store:
                yield Team(folder, server, cluster, service, store, {**environment, "NAS_STORE": url})
        finally:
            if service is not None:
                service.stop()
            cluster.stop()


@pytest.fixture(scope="module")
def undisturbed(team: Team) -> Any:
    """What the job finds when nothing happens to it: sent as a Ray Job."""
    job = team.sent()
    running = psutil.Process(json.loads(job.owner or "")["pid"])
    seen = [" ".join(each.cmdline()) for each in [running, *running.parents()]]
    ended, found, front = team.ended(job.id)
    assert (ended.fence, list(ended.restarts)) == (2, [])  # the sender's lease, and the driver's
    return job.id, seen, found, front


def test_from_a_job_to_a_file_that_runs(team: Team) -> None:
    """Through the API: measured on an agent and on a node that is a device, asked by SQL, exported, and run."""
    token = token_file(team.folder, "agent_token")
    process, address = start_agent(token)
    try:
        remote = {"kind": "remote", "address": address, "token_file": str(token)}
        job = {
            **TRAINED_JOB,
            "devices": {"cpu": {"kind": "host"}, "pi5": remote},
            "objectives": ["accuracy", "latency_ms@pi5", "latency_ms@cpu"],
        }
        with team.service.client() as client:
            sent = client.submit(job)
            team.ended(sent.id)
            model = team.folder / "model.onnx"
            client.export(sent.id, model, "best:accuracy")
    finally:
        end(process)
    sql = (
        "SELECT architecture_key AS key, CAST(metrics ->> 'latency_ms@pi5' AS double precision) AS ms FROM front "
        f"WHERE job_id = '{sent.id}'"
    )
    asked = CliRunner().invoke(app, ["query", sql, "--json", "--store", team.service.url])
    assert asked.exit_code == 0, asked.output
    rows = json.loads(asked.stdout)
    assert {row["key"] for row in rows} == {row.architecture_key for row in team.store.front(sent.id)}
    assert all(row["ms"] > 0 for row in rows)
    session = onnxruntime.InferenceSession(model.read_bytes())
    (logits,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 1, 8, 8), np.float32)})
    assert logits.shape == (1, 10)


def test_a_ray_job_shows_no_secret(team: Team, undisturbed: Any) -> None:
    """Neither the store's password nor a token is in its record, its log, its processes or Ray's own logs."""
    job_id, seen, _, _ = undisturbed
    assert httpx2.get(f"{team.cluster.dashboard}/api/jobs/").status_code == 401
    headers = {"Authorization": f"Bearer {team.cluster.token}"}
    (record,) = [
        each
        for each in httpx2.get(f"{team.cluster.dashboard}/api/jobs/", headers=headers).json()
        if each["submission_id"] == f"{job_id}-1"
    ]
    assert f"nas resume {job_id} --adopt 1 --address auto" in record["entrypoint"]
    told = [json.dumps(record), *seen]
    told += [path.read_text(errors="replace") for path in team.cluster.logs.iterdir() if path.is_file()]
    assert any(f"searching: {BUDGET}" in text for text in told), "the log of the driver is not among them"
    for secret in (PASSWORD, team.cluster.token, team.service.token):
        assert not any(secret in text for text in told)


def test_an_actor_and_a_raylet_are_killed(team: Team, undisturbed: Any) -> None:
    """Their work is done by others."""
    with team.service.client() as client:
        job = client.submit(JOB)
    team.reaches(job.id, 10)
    team.cluster.processes("ray::SubnetActor")[0].kill()
    team.reaches(job.id, 60)
    team.cluster.kill_raylet(2)
    ended, *found = team.ended(job.id)
    assert found == list(undisturbed[2:])
    assert (ended.fence, list(ended.restarts)) == (1, [])
    team.cluster.start(2)


def test_the_driver_is_killed(team: Team, undisturbed: Any) -> None:
    """The service goes on with the Ray Job."""
    job = team.sent()
    team.reaches(job.id, 10)
    psutil.Process(json.loads(team.store.job(job.id).owner or "")["pid"]).kill()
    ended, *found = team.ended(job.id)
    assert found == list(undisturbed[2:])
    assert "found dead" in ended.restarts[0]["reason"]


def test_the_store_is_killed_and_comes_back(team: Team, undisturbed: Any) -> None:
    """The driver waits for it and goes on where the store is."""
    with team.service.client() as client:
        job = client.submit(JOB)
    team.reaches(job.id, 10)
    team.server.kill()
    team.server.start()
    ended, *found = team.ended(job.id)
    assert found == list(undisturbed[2:])
    assert (ended.fence, list(ended.restarts)) == (1, [])
    assert "the driver waits for it" in (team.folder / "artifacts" / job.id / "driver.log").read_text()


def test_the_head_is_killed_and_comes_back(team: Team, undisturbed: Any) -> None:
    """Ray forgets the job, the store does not: the service goes on when there is a cluster again."""
    job = team.sent()
    team.reaches(job.id, 10)
    team.cluster.kill(0)
    until(lambda: all(node.poll() is not None for node in team.cluster.nodes))  # nodes without a head end
    team.cluster.start(0, 1, 2)
    ended, *found = team.ended(job.id)
    assert found == list(undisturbed[2:])
    assert "found dead" in ended.restarts[0]["reason"]
    given_back = [row["reason"] for row in ended.restarts[1:]]
    assert all("Ray cluster" in reason for reason in given_back)


REFUSED: dict[str, tuple[Callable[[Team], list[str | Path]], dict[str, str], int, str]] = {
    "no such device": (
        lambda team: [
            "run",
            team.job_file({**STATIC_JOB, "devices": {"pi": {"kind": "host"}}, "objectives": ["latency_ms@pi", "macs"]}),
            "--address",
            team.cluster.address,
        ], {}, 1,
        "offers the device pi; on the machine that is the device: ray start --address=",
    ),
    "wrong token": (
        lambda team: ["submit", team.job_file(JOB), "--address", team.cluster.dashboard],
        {"RAY_AUTH_TOKEN": "0" * 64, "RAY_AUTH_TOKEN_PATH": ""}, 1, "no Ray cluster takes jobs at",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_there(team: Team, case: str) -> None:
    """One line that says why, and a job that was begun waits for another try."""
    words, environment, code, message = REFUSED[case]
    before = len(team.store.jobs())
    told = {**team.environment, **environment, "NAS_STORE": f"sqlite:///{team.folder}/refused.db"}
    done = subprocess.run(
        [sys.executable, "-m", "nas", *map(str, words(team))],
        env={name: value for name, value in told.items() if value}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert len(team.store.jobs()) == before
