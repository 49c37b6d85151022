"""Workers on a clock that only counts: to see how a search fares with a thousand of them, in seconds."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finished(Generic[T]):
    """A piece of work that is done, and when it was submitted, started and finished, in simulated seconds."""

    work: T
    submitted: float
    started: float
    finished: float


@dataclass(slots=True)
class SimulatedClock(Generic[T]):
    """A number of workers that take work in the order in which it is submitted, each one piece at a time.

    Work that finishes at the same instant comes back in the order of submission.

    Args:
        workers: how many.

    Attributes:
        now: simulated seconds since the start.
        busy: worker seconds spent on finished work.

    Raises:
        ValueError: fewer than one worker.
    """

    workers: int
    now: float = field(default=0.0, init=False)
    busy: float = field(default=0.0, init=False)
    _count: int = field(default=0, init=False)
    _queue: deque[tuple[int, float, float, T]] = field(default_factory=deque, init=False)
    _running: list[tuple[float, int, Finished[T]]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"a simulated clock needs at least one worker (got {self.workers})")

    @property
    def idle(self) -> int:
        """Workers that have nothing to do."""
        return self.workers - len(self._running)

    @property
    def outstanding(self) -> int:
        """Pieces of work that are not finished."""
        return len(self._running) + len(self._queue)

    @property
    def utilisation(self) -> float:
        """The share of all worker time up to now that went into work, finished or running; 1 at the very start."""
        if not self.now:
            return 1.0
        running = sum(self.now - entry[2].started for entry in self._running)
        return (self.busy + running) / (self.now * self.workers)

    def submit(self, work: T, seconds: float) -> None:
        """Queue work that takes a worker some seconds.

        Raises:
            ValueError: the seconds are negative or not finite.
        """
        if not (seconds >= 0 and np.isfinite(seconds)):
            raise ValueError(f"work must take a finite time, 0 or more seconds (got {seconds})")
        self._queue.append((self._count, self.now, float(seconds), work))
        self._count += 1
        self._start()

    def pass_time(self, seconds: float) -> None:
        """Let time pass while the workers go on, such as what proposing takes.

        Work that finishes meanwhile is handed out by the next `wait`, and its worker goes on with the queue at once.
        """
        self.now += seconds

    def wait(self) -> list[Finished[T]]:
        """Advance to the next instant at which work is finished and return that; empty when nothing is outstanding."""
        if not self._running:
            return []
        self.now = max(self.now, self._running[0][0])
        done: list[tuple[float, int, Finished[T]]] = []
        while self._running and self._running[0][0] <= self.now:
            entry = heapq.heappop(self._running)
            done.append(entry)
            self.busy += entry[2].finished - entry[2].started
            self._start(entry[0])
        return [entry[2] for entry in sorted(done, key=lambda entry: entry[:2])]

    def _start(self, at: float | None = None) -> None:
        """Give queued work to idle workers."""
        while self._queue and self.idle:
            place, submitted, seconds, work = self._queue.popleft()
            started = self.now if at is None else at
            ended = started + seconds
            heapq.heappush(self._running, (ended, place, Finished(work, submitted, started, ended)))


def spread_durations(n: int, mean_seconds: float, spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw (n,) log-normal durations with a mean and a coefficient of variation (0: all the same).

    Raises:
        ValueError: the mean is not positive or the spread is negative.
    """
    if mean_seconds <= 0 or spread < 0:
        raise ValueError(f"durations need a positive mean and a spread of 0 or more (got {mean_seconds}, {spread})")
    sigma = np.sqrt(np.log1p(spread**2))
    return np.asarray(mean_seconds * np.exp(sigma * rng.standard_normal(n) - sigma**2 / 2))
