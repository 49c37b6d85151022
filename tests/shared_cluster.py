"""One Ray cluster for the jobs of a test process: starting one takes longer than a small job."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

from nas import driver
from nas.cluster import local_cluster

DEVICES = ("cpu", "host", "integers", "npu", "pi5")


@contextmanager
def _running(cpus: int, devices: Sequence[str]) -> Iterator[None]:
    """What a driver starts instead of a cluster of its own."""
    assert set(devices) <= set(DEVICES)
    yield


class SharedCluster:
    """A local cluster with every device that a test names, on which drivers of this process run; off at first."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._runs = False

    def start(self) -> None:
        """Start it, unless it runs."""
        if not self._runs:
            patch = self._held.enter_context(pytest.MonkeyPatch.context())
            self._held.enter_context(local_cluster(2 + (os.cpu_count() or 1), DEVICES))
            patch.setattr(driver, "local_cluster", _running)
            self._runs = True

    def stop(self) -> None:
        """Stop it, if it runs: its idle processes take a twentieth of a processor."""
        self._held.close()
        self._runs = False
