"""Made-up records for tests of stores: architectures, a clock, a job that runs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Protocol

from storage.records import Architecture, Lease
from storage.store import ResultStore


class OpenStore(Protocol):
    """Opens the store of a test."""

    def __call__(self, *, create: bool = True, clock: Callable[[], datetime] = ...) -> ResultStore:
        """The same store every time."""


class Clock:
    """A clock that moves a millisecond whenever it is read, and further when it is told."""

    def __init__(self) -> None:
        self.time = datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time, a millisecond later than before."""
        self.time += timedelta(milliseconds=1)
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


def architecture(index: int, space: str = "toy") -> Architecture:
    """A made-up architecture."""
    key = sha256(str(index).encode()).hexdigest()
    return Architecture(key, space, {"depth": index, "ratio": 0.5, "op": "Conv"}, {"macs": index + 0.5})


def running(store: ResultStore, proposed: int = 0) -> Lease:
    """A job that runs, with a first batch of proposals."""
    lease = store.claim(store.create_job("a job", {}).id, "host:1:2")
    if proposed:
        store.add_proposals(lease, 0, [architecture(index) for index in range(proposed)])
    return lease
