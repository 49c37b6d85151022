"""`nas serve` as a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2

from nas.client import Client
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore


class Service:
    """A service that can be killed and started again at the same place, its folder."""

    def __init__(
        self, folder: Path, *options: str, url: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.url = url or f"sqlite:///{folder}/nas.db"
        self._environment = {**(os.environ if environment is None else environment), "NAS_STORE": self.url}
        self.token = self.new_token(Role.ADMIN)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._options = options
        self._sessions: dict[tuple[int, Role], tuple[str, str]] = {}
        self._log = folder / "serve.log"
        self.start()

    def new_token(self, role: Role) -> str:
        """The text of a new token."""
        with ResultStore(self.url) as store:
            return ServiceRecords(store).create_token("test", role)[1]

    def session(self, role: Role) -> tuple[str, str]:
        """Name and value of the cookie of a session; a service that was started anew knows none of before."""
        key = self.process.pid, role
        if key not in self._sessions:
            body, headers = {"token": self.new_token(role)}, {"Origin": self.page}
            answer = httpx2.post(f"{self.page}/v1/session", json=body, headers=headers, timeout=60.0)
            ((name, value),) = answer.cookies.items()
            self._sessions[key] = name, value
        return self._sessions[key]

    @property
    def page(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Begin, and wait until it answers."""
        command = [sys.executable, "-m", "nas", "serve", "--port", str(self._port), *self._options]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=self._environment, start_new_session=True)
        self.until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self._port), 1).close()
        except OSError:
            return False
        return True

    def client(self) -> Client:
        """A client with an administrator's token."""
        return Client(self.page, self.token, timeout=60.0)

    def until(self, done: Callable[[], bool], seconds: float = 120.0) -> None:
        """Look until something is so; fail after a time that is only there to end."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as an operator does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(90)

    @property
    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text()
