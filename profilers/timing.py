"""The protocol of measuring: when the warm-up ends and when enough runs are taken.

Nothing here knows what is run, so that every device measures by the same rule.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from profilers.measurement import median_interval

MAX_LAYERS_BYTES = 16 << 20
"""Room for what the layers of a network take, as JSON."""


@dataclass(frozen=True, slots=True)
class TimingRule:
    """How many runs are taken.

    The first run is never counted. The warm-up then ends where a window of runs is no longer slower than the
    window after it; those two windows are counted, since a run in the settled state is a run like any other.
    (A window that is faster than the next is noise, or a processor that slows down: more warm-up would not
    help.) Timed runs go on until the confidence interval of the median is within the tolerance.

    Attributes:
        min_runs: timed runs that are always taken.
        max_runs: timed runs that are never exceeded.
        tolerance: relative half-width of the median's 95 % confidence interval that is sought.
        max_timed_s: time after which no more than `min_runs` timed runs are taken.
        warmup_window: runs in a window of the warm-up.
        warmup_tolerance: by how much, relatively, a window's median may exceed that of the next.
        max_warmup_runs: runs, the first and the windows together, after which the warm-up is given up.
        layer_runs: further runs in which each layer is timed; 0 for none.

    Raises:
        ValueError: numbers that make no rule.
    """

    min_runs: int = 30
    max_runs: int = 1000
    tolerance: float = 0.02
    max_timed_s: float = 2.0
    warmup_window: int = 3
    warmup_tolerance: float = 0.05
    max_warmup_runs: int = 40
    layer_runs: int = 0

    def __post_init__(self) -> None:
        shortest = 1 + 2 * self.warmup_window
        problems = []
        if self.warmup_window < 1:
            problems.append(f"warmup_window must be at least 1 (got {self.warmup_window})")
        if self.min_runs < 2 * self.warmup_window:
            problems.append(f"min_runs must be at least two warm-up windows (got {self.min_runs})")
        if self.max_runs < self.min_runs:
            problems.append(f"max_runs must be at least min_runs, {self.min_runs} (got {self.max_runs})")
        if self.max_warmup_runs < shortest:
            problems.append(f"max_warmup_runs must be at least {shortest} (got {self.max_warmup_runs})")
        if not 0 <= self.layer_runs <= 10_000:
            problems.append(f"layer_runs must be from 0 to 10000 (got {self.layer_runs})")
        for name in ("tolerance", "warmup_tolerance", "max_timed_s"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                problems.append(f"{name} must be a positive number (got {value!r})")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def answer_bytes(self) -> int:
        """The longest answer: the samples, and what the layers take."""
        return 8 * self.max_runs + (MAX_LAYERS_BYTES if self.layer_runs else 0)


@dataclass(frozen=True, slots=True)
class Timing:
    """The runs that were taken.

    Attributes:
        samples_ms: (runs,) float64, timed runs in their order.
        warmup_runs: runs before them.
        settled: whether the warm-up ended because the times had settled.
    """

    samples_ms: NDArray[np.float64]
    warmup_runs: int
    settled: bool


def take_timing(
    run: Callable[[], object],
    rule: TimingRule,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Timing:
    """Run until the rule is content. Python's garbage collector rests meanwhile.

    Args:
        run: runs the model once.
        rule: when to stop.
        clock: nanoseconds, monotonic.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _take(run, rule, clock)
    finally:
        if collecting:
            gc.enable()


def _take(run: Callable[[], object], rule: TimingRule, clock: Callable[[], int]) -> Timing:
    """Take the warm-up, then the timed runs."""
    times: list[int] = []

    def extend(count: int) -> None:
        for _ in range(count):
            start = clock()
            run()
            times.append(max(clock() - start, 1))

    window = rule.warmup_window
    extend(1 + 2 * window)
    while not (settled := _settled(times, rule)) and len(times) + window <= rule.max_warmup_runs:
        extend(window)
    warmup_runs = len(times) - 2 * window
    extend(rule.min_runs - 2 * window)

    while len(times) - warmup_runs < rule.max_runs:
        timed = np.array(times[warmup_runs:], dtype=np.float64)
        if timed.sum() >= rule.max_timed_s * 1e9 or median_interval(timed) <= rule.tolerance:
            break
        extend(min(max(10, timed.size // 5), rule.max_runs - timed.size))
    return Timing(np.array(times[warmup_runs:], dtype=np.float64) / 1e6, warmup_runs, settled)


def _settled(times: list[int], rule: TimingRule) -> bool:
    """Say whether the last window is not faster than the one before it, within the tolerance."""
    window = rule.warmup_window
    before = median(times[-2 * window : -window])
    after = median(times[-window:])
    return before <= (1 + rule.warmup_tolerance) * after
