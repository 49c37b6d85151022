"""Jobs that measure through a remote agent on loopback, which is killed, and comes back as it was or as another."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import finished, nas
from typer.testing import CliRunner

from nas.cli.main import app
from nas.evaluation.timing_actor import DeviceGone, TimingActor
from nas.jobspec.load import load_job
from tests.profilers import onnx_models
from tests.profilers.agents import agent, end, start_agent, token_file

BUDGET = 16

SPACE = {
    "name": "mobilenet_v3",
    "resolutions": [8, 16],
    "widths": [8, 16],
    "strides": [1, 2],
    "activations": ["relu", "h_swish"],
    "squeeze_excite": [False, True],
    "depths": [1, 2],
    "expansions": [2, 3],
    "kernels": [3, 5],
    "stem_width": 8,
    "final_width": 32,
    "feature_width": 32,
}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The token of the agents, beside the job file."""
    return token_file(tmp_path)


def job_file(folder: Path, address: str) -> Path:
    """A job without training that measures on the agent."""
    job = {
        "name": "remote",
        "space": SPACE,
        "devices": {"pi5": {"kind": "remote", "address": address, "token_file": "token"}},
        "objectives": ["latency_ms@pi5", "macs"],
        "strategy": {"name": "random"},
        "budget": {"evaluations": BUDGET},
        "execution": {"workers": 1, "batch": 2, "in_flight": 2},
        "measuring": {"series": 2, "min_runs": 300, "drift": 1, "replicate": 1},  # slow enough to be disturbed
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def wait_for_results(process: subprocess.Popen[str]) -> None:
    """Read what the command says until it has its first results."""
    assert process.stderr is not None
    if not any(line.startswith("searching: ") for line in process.stderr):
        pytest.fail("the job ended before it searched")


def kill(process: subprocess.Popen[str]) -> None:
    """End a process without a warning."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def told(folder: Path, *command: str) -> Any:
    """What a command tells of the store."""
    return json.loads(finished(folder, *command, "--json"))


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """What the store holds of the job."""
    rows: list[dict[str, Any]] = told(folder, "show", "latest")["evaluations"]
    return rows


@pytest.mark.slow
def test_agent_killed_in_a_job(tmp_path: Path, token: Path) -> None:
    """An agent that is killed in the middle of a job and started again: the job ends complete."""
    process, address = start_agent(token)
    try:
        job = nas(tmp_path, "run", str(job_file(tmp_path, address)))
        wait_for_results(job)
        kill(process)
        assert len(evaluations(tmp_path)) < BUDGET
        process, _ = start_agent(token, serve=address)
        _, said = job.communicate()
        assert job.returncode == 0, said
    finally:
        end(process)
    rows = evaluations(tmp_path)
    assert len({row["key"] for row in rows}) == len(rows) == BUDGET
    assert all(row["error"] is None and row["latency_ms@pi5"] > 0 for row in rows)
    (device,) = told(tmp_path, "devices")[:1]
    assert (device["kind"], device["name"], device["threads"]) == ("remote", "pi5", 1)
    secret = token.read_text().strip().encode()
    assert not any(secret in path.read_bytes() for path in tmp_path.glob("nas.db*"))


@pytest.mark.slow
def test_agent_that_comes_back_as_another(cluster: None, tmp_path: Path, token: Path) -> None:
    """When the device is not what it was, the job ends without blaming a network, and goes on when it is back."""
    process, address = start_agent(token)
    try:
        job = nas(tmp_path, "run", str(job_file(tmp_path, address)))
        wait_for_results(job)
        kill(process)
        process, _ = start_agent(token, "--optimisation", "disable", serve=address)
        _, said = job.communicate()
        assert job.returncode == 1
        assert "optimisation was 'all' and is 'disable'; the job can be resumed when it is back" in said
        assert all(row["error"] is None for row in evaluations(tmp_path))
        end(process)
        process, _ = start_agent(token, serve=address)
        finished(tmp_path, "resume", "latest")
        assert len(evaluations(tmp_path)) == BUDGET
    finally:
        end(process)


def test_profile_on_a_device_of_a_job_file(tmp_path: Path, token: Path) -> None:
    """`nas profile --device FILE:NAME` measures there; paths in the file are relative to it."""
    model = tmp_path / "model.onnx"
    model.write_bytes(onnx_models.conv_net(layers=1))
    with agent(token) as address:
        job = job_file(tmp_path, address)
        assert load_job(job).devices["pi5"]["token_file"] == str(token)
        ran = CliRunner().invoke(app, ["profile", str(model), "--device", f"{job}:pi5", "--json"])
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.stdout)["device"] == "pi5"
        for options, message in (
            (["--device", f"{job}:pi4"], "has no device 'pi4'; known: pi5"),
            (["--device", "pi5"], "--device must be FILE:NAME"),
            (["--device", f"{job}:pi5", "--threads", "2"], "--device brings its own settings"),
        ):
            ran = CliRunner().invoke(app, ["profile", str(model), *options])
            assert ran.exit_code == 2
            assert message in " ".join(ran.stderr.split())


def test_lost_device_is_not_the_models_fault(tmp_path: Path, token: Path) -> None:
    """A device that denies us is told apart from a model that cannot be measured."""
    with agent(token) as address:
        actor = TimingActor({"kind": "remote", "address": address, "token_file": str(token_file(tmp_path, "wrong"))})
        (gone,) = actor.time(onnx_models.conv_net(layers=1), {})
        actor._profiler.close()
        assert isinstance(gone, DeviceGone)
        assert "the token is not the agent's" in gone.reason
        actor = TimingActor({"kind": "remote", "address": address, "token_file": str(token)})
        custom, measured = actor.time(onnx_models.custom_operator(), {}, onnx_models.conv_net(layers=1), {})
        assert "custom operator" in str(custom.outcome)
        assert measured.outcome.device == "remote"
        assert custom.device_seconds == measured.device_seconds > 0  # of one series, so they share its time
        actor._profiler.close()
