"""A job on a Ray cluster that runs already: three nodes on this machine, one of them the device, with a token."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from toy_jobs import TRAINED_JOB

from storage.records import JobStatus
from storage.store import ResultStore

RAY = Path(sys.executable).with_name("ray")
JOB = {**TRAINED_JOB, "budget": {"evaluations": 40}, "execution": {"workers": 2, "batch": 4}}


def free_port() -> int:
    """One that the kernel gives out, above those that Ray takes for its workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Nodes in process groups of their own, each ended with all that it started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        token = folder / "token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        shared = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self.environment = {
            **shared, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0", "NAS_STORE": f"sqlite:///{folder}/nas.db",
        }  # fmt: skip
        self.address = f"127.0.0.1:{free_port()}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> None:
        """Add a node; the first is the head. Returns when it runs."""
        port = self.address.rpartition(":")[2]
        first = [f"--address={self.address}", f"--dashboard-agent-listen-port={free_port()}"]
        if not self.nodes:
            # Sockets have short names: a folder of the test's would be too long.
            first = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir=/tmp/nas-ray-{os.getpid()}"]
        log = self._folder / f"node{len(self.nodes)}.log"
        with log.open("wb") as file:
            command = [str(RAY), "start", *first, "--node-ip-address=127.0.0.1", "--num-cpus=1", *options, "--block"]
            node = subprocess.Popen(command, stdout=file, stderr=file, env=self.environment, start_new_session=True)
        self.nodes.append(node)
        deadline = time.monotonic() + 120
        while b"Ray runtime started" not in log.read_bytes():
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End what is left of every node."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for node in reversed(self.nodes):
                try:
                    os.killpg(node.pid, number)
                except ProcessLookupError:
                    continue
            for node in self.nodes:
                try:
                    node.wait(20)
                except subprocess.TimeoutExpired:
                    continue


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of one processor; the second is the device."""
    cluster = Cluster(tmp_path)
    try:
        cluster.start()
        cluster.start('--resources={"device:cpu": 1}')
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.slow
def test_a_node_that_dies_costs_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """`kill -9` of a whole node while networks are evaluated: the budget is met, and nothing comes twice."""
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(JOB))
    command = [sys.executable, "-m", "nas", "run", str(file), "--address", cluster.address]
    run = subprocess.Popen(command, env=cluster.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    url = cluster.environment["NAS_STORE"]
    while not Path(url.removeprefix("sqlite:///")).exists():
        assert run.poll() is None
    with ResultStore(url) as store:
        while not store.jobs() or store.jobs()[0].evaluated == 0:
            assert run.poll() is None, run.communicate()[1]
            time.sleep(0.05)
        os.killpg(cluster.nodes[2].pid, signal.SIGKILL)
        _, said = run.communicate(timeout=250)
        assert run.returncode == 0, said.decode()
        (job,) = store.jobs()
        assert (job.status, job.evaluated) == (JobStatus.SUCCEEDED, 40)
        found = store.evaluations(job.id)
        assert len({each.architecture_key for each in found}) == 40
        assert [each.error for each in found] == [None] * 40

    command[command.index("--address") + 1 :] = ["127.0.0.1:1"]
    refused = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode == 1
    assert "no Ray cluster answers at '127.0.0.1:1'" in refused.stderr
    file.write_text(
        yaml.safe_dump({**JOB, "devices": {"pi": {"kind": "host"}}, "objectives": ["accuracy", "latency_ms@pi"]})
    )
    command[command.index("--address") + 1 :] = [cluster.address]
    refused = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, check=False, timeout=120)
    assert refused.returncode == 1
    assert "offers the device pi; on the machine that is the device: ray start --address=" in refused.stderr
