"""Ray clusters of several nodes on this machine, with a token, whose nodes can be killed and started again."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
from waiting import until

RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    """One that the kernel gives out, above those that Ray takes for its workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """Nodes in process groups of their own, each ended with all that it started; none runs yet.

    Our own code is broken there, unless it travels: a package `nas` that cannot be imported comes before it.

    Attributes:
        environment: of the nodes; drivers take the token from it.
        address: of the head.
        dashboard: where Ray Jobs go.
        logs: where Ray writes.
        nodes: `ray start --block` of each; the first is the head.
    """

    def __init__(self, folder: Path, *devices: str) -> None:
        self._folder = folder
        token = folder / "ray_token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32))
        self.token = token.read_text()
        broken = folder / "broken" / "nas"
        broken.mkdir(parents=True)
        (broken / "__init__.py").write_text("raise ImportError('this code did not travel')\n")
        shared = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "NAS_"))}
        self.environment = {
            **shared, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0", "PATH": f"{RAY.parent}:{os.environ['PATH']}",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # what cannot find the head any more ends
        }  # fmt: skip
        self.address = f"127.0.0.1:{free_port()}"
        self._dashboard_port = free_port()
        self.dashboard = f"http://127.0.0.1:{self._dashboard_port}"
        self._place = Path(f"/tmp/nas-ray-{os.getpid()}")  # sockets have short names: the test's folder is too long
        self.logs = self._place / "session_latest" / "logs"
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._options = ["", *(f'--resources={{"device:{device}": 1}}' if device else "" for device in devices)]

    def start(self, *numbers: int) -> None:
        """Start nodes, those that were killed as well, or all; one after the other. Returns when they run."""
        for number in numbers or range(len(self._options)):
            self._start(number)

    def _start(self, number: int) -> None:
        if number == 0:
            port = self.address.rpartition(":")[2]
            dashboard = ["--dashboard-host=127.0.0.1", f"--dashboard-port={self._dashboard_port}"]
            first = ["--head", f"--port={port}", "--include-dashboard=true", *dashboard]
            first.append(f"--temp-dir={self._place}")
        else:
            first = [f"--address={self.address}"]
        options = [f"--dashboard-agent-listen-port={free_port()}", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
        log, started = self._folder / f"node{number}.log", b"Ray runtime started"
        with log.open("wb") as file:
            node = subprocess.Popen(
                [str(RAY), "start", *first, *options, *filter(None, [self._options[number]]), "--block"],
                stdout=file, stderr=file, start_new_session=True,
                env={**self.environment, "PYTHONPATH": str(self._folder / "broken")},
            )  # fmt: skip
        self.nodes[number : number + 1] = [node]
        until(lambda: started in log.read_bytes() or node.poll() is not None)
        assert started in log.read_bytes(), log.read_text()

    def kill(self, number: int) -> None:
        """`kill -9` of a node with all that belongs to it."""
        os.killpg(self.nodes[number].pid, signal.SIGKILL)
        self.nodes[number].wait()

    def kill_raylet(self, number: int) -> None:
        """`kill -9` of the raylet of a node; the rest of the node ends by itself."""
        (raylet,) = (
            process
            for process in psutil.Process(self.nodes[number].pid).children(recursive=True)
            if process.name() == "raylet"
        )
        raylet.kill()
        self.nodes[number].wait()

    def processes(self, name: str) -> list[psutil.Process]:
        """The processes of a name, such as `ray::SubnetActor`, on all nodes."""
        found = []
        for node in self.nodes:
            for process in psutil.Process(node.pid).children(recursive=True) if node.poll() is None else ():
                try:
                    if process.cmdline()[:1] and process.cmdline()[0].startswith(name):
                        found.append(process)
                except psutil.NoSuchProcess:
                    continue
        return found

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
        shutil.rmtree(self._place, ignore_errors=True)
