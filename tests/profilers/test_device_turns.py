"""Jobs that fight for one device take turns, on a host and at an agent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
from waiting import until

from profilers.agent_bench import Bench
from profilers.device_lock import device_lock, tickets
from profilers.host import HostDevice
from profilers.limits import Limits

JOBS, ROUNDS = 3, 20
HOLDER = """
import sys
from pathlib import Path
from profilers.device_lock import device_lock, tickets
with device_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


class Device(NamedTuple):
    """Something to have for oneself, and how many have it or wait for it."""

    turn: Callable[[], AbstractContextManager[object]]
    present: Callable[[], int]


@pytest.fixture(params=["host", "agent"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Device:
    """The lock of a host, or the queue of an agent."""
    if request.param == "host":
        path = tmp_path / "host-cpu.lock"
        return Device(lambda: device_lock(path), lambda: len(tickets(path)))
    bench = Bench(HostDevice(name="cpu"), Limits())
    return Device(lambda: bench.turn(600.0, lambda: None, 60.0), lambda: len(bench._queue))


def test_jobs_take_turns(device: Device) -> None:
    """Each that always has something to measure is served once before any other is served again."""
    served: list[int] = []
    working = set(range(JOBS))

    def job(number: int) -> None:
        for _ in range(ROUNDS):
            with device.turn():
                served.append(number)
                until(lambda: device.present() == len(working))  # all others want it, too
                if served.count(number) == ROUNDS:
                    working.discard(number)

    threads = [threading.Thread(target=job, args=(number,)) for number in range(JOBS)]
    with device.turn():
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda number=number: device.present() == number + 2)
    for thread in threads:
        thread.join(120)
    assert served == list(range(JOBS)) * ROUNDS
    assert device.present() == 0


def test_a_job_that_dies_gives_its_turn_back(tmp_path: Path) -> None:
    """`kill -9` of who has the device and of who waits for it: the next has it, and nothing is left behind."""
    path = tmp_path / "host-cpu.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder, subprocess.Popen(command, **pipes) as waiter:
        assert holder.stdout is not None
        assert waiter.stdout is not None
        until(lambda: len(tickets(path)) == 2)
        got: list[float] = []

        def last() -> None:
            with device_lock(path) as queued_ms:
                got.append(queued_ms)

        thread = threading.Thread(target=last)
        thread.start()
        until(lambda: len(tickets(path)) == 3)
        assert not got
        os.kill(waiter.pid, signal.SIGKILL)
        os.kill(holder.pid, signal.SIGKILL)
        thread.join(120)
    assert len(got) == 1
    assert tickets(path) == []
