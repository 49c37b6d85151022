"""A service that is read by many while a job runs: how long they wait, what a request costs, what the job loses."""

import asyncio
import itertools
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from nas.evaluation.evaluator import Evaluated, Request
from storage.records import Role
from storage.service_records import ServiceRecords
from storage.store import ResultStore


class Working:
    """An evaluator that keeps one processor busy, with the same work for each network: some 10 ms of sorting."""

    def __init__(self) -> None:
        self._waiting: list[Request] = []
        self._numbers = np.random.default_rng(0).random(150_000)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._waiting += requests

    def wait(self) -> list[Evaluated]:
        """Answer the next."""
        if not self._waiting:
            return []
        work = float(np.sort(self._numbers)[0])
        key = self._waiting.pop(0).key
        return [Evaluated(key, {"accuracy": int(key[:8], 16) / 2**32 + work})]

    def close(self) -> None:
        """Nothing to let go of."""


class Read(NamedTuple):
    """What reading was like.

    Attributes:
        milliseconds: of each request, until its last byte.
        cpu_ms: processor time of the service for each request.
        speed: evaluations of the job a second while it was read, each time.
        alone: and while it was not.
    """

    milliseconds: list[float]
    cpu_ms: float
    speed: list[float]
    alone: list[float]

    @property
    def p95(self) -> float:
        """Milliseconds that one request of twenty takes longer than."""
        return float(np.percentile(self.milliseconds, 95))

    @property
    def slowed(self) -> float:
        """The share of its speed that the job loses while it is read: medians against medians."""
        return 1 - statistics.median(self.speed) / statistics.median(self.alone)


def read_while_working(
    folder: Path, job: Sequence[str], *, clients: int, pause_s: float, windows: int, window_s: float
) -> Read:
    """Let clients read a service beside a job, every other window of time.

    Args:
        folder: for the store.
        job: the command of the job's process; it gets the store's URL as its last argument.
        clients: how many.
        pause_s: between two requests of a client; 0 asks again at once.
        windows: times that the job is read, each followed by one that it is not.
        window_s: seconds of each.
    """
    url = f"sqlite:///{folder}/nas.db"
    with ResultStore(url) as store:
        token = ServiceRecords(store).create_token("benchmark", Role.READ)[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        serve = [sys.executable, "-m", "nas", "serve", "--drivers", "0", "--port", str(port)]
        environment = os.environ | {"NAS_STORE": url}
        with (folder / "serve.log").open("wb") as log:
            service = subprocess.Popen(serve, env=environment, stdout=log, stderr=log)
        working = subprocess.Popen([*job, url])
        try:
            _until_it_answers(port)
            while not (store.jobs() and store.jobs()[0].evaluated):
                assert working.poll() is None, "the job ended"
                time.sleep(0.05)
            name = store.jobs()[0].id
            found, cpu, speeds = [], [], ([], [])
            for window in range(2 * windows + 2):
                reads = window % 2 == 0
                before = store.job(name).evaluated
                started, used = time.perf_counter(), sum(psutil.Process(service.pid).cpu_times()[:2])
                if reads:
                    taken = asyncio.run(_read(port, token, name, before, clients, pause_s, window_s))
                else:
                    time.sleep(window_s)
                speed = (store.job(name).evaluated - before) / (time.perf_counter() - started)
                if window < 2:
                    continue  # everything is imported and cached by then
                speeds[0 if reads else 1].append(speed)
                if reads:
                    found += taken
                    cpu.append(1e3 * (sum(psutil.Process(service.pid).cpu_times()[:2]) - used) / len(taken))
            assert working.poll() is None, "the job ended"
        finally:
            working.kill()
            working.wait()
            service.terminate()
            service.wait()
    return Read(found, statistics.median(cpu), *speeds)


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def _read(
    port: int, token: str, job: str, seen: int, clients: int, pause_s: float, seconds: float
) -> list[float]:
    """What a page asks for that has followed a job for a while, from many at once: milliseconds of each request."""
    end = time.perf_counter() + seconds
    taken = await asyncio.gather(
        *(_client(port, token, job, seen, n / clients * pause_s, pause_s, end) for n in range(clients))
    )
    return list(itertools.chain.from_iterable(taken))


async def _client(
    port: int, token: str, job: str, seen: int, begin_s: float, pause_s: float, end: float
) -> list[float]:
    """One that keeps its connection; a plain socket, because a library would cost as much as the service."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(begin_s)
    taken = []
    paths = itertools.cycle((f"/jobs/{job}", f"/jobs/{job}/front", f"/jobs/{job}/points?start=", "/jobs?limit=20"))
    while (started := time.perf_counter()) < end:
        path = next(paths)
        place = f"/v1{path}{seen}" if path.endswith("=") else f"/v1{path}"
        writer.write(
            f"GET {place} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        body = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        taken.append(1e3 * (time.perf_counter() - started))
        if path.endswith("="):
            (size,) = struct.unpack("<I", body[:4])
            seen = json.loads(body[4 : 4 + size])["next"]
        if pause_s:
            await asyncio.sleep(max(0.0, pause_s - (time.perf_counter() - started)))
    writer.close()
    return taken
