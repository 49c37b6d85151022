"""The result of measuring one model on one device."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from profilers.analytic import LayerCost
from profilers.layer_timing import LayerTime


@dataclass(frozen=True, slots=True)
class Measurement:
    """How long one run of a model takes on a device, and how sure that is.

    Times are wall-clock milliseconds of one run of the whole batch.

    Attributes:
        device: name of the device.
        fingerprint: fingerprint of the device.
        median_ms: median of the timed runs; this is `latency_ms@DEVICE`.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        spread: interquartile range divided by the median.
        interval: half the width of the 95 % confidence interval of the median, divided by the median.
        stable: the warm-up settled, `interval` is within the tolerance that was asked for, and the device did not
            drift as far as that was watched.
        runs: timed runs.
        warmup_runs: runs before them that were not counted.
        session_ms: creation of the ONNX Runtime session, graph optimisation included; on a host, the next model of a
            series is read meanwhile.
        queued_ms: wait for the device while another process measured on it.
        peak_memory_bytes: what ONNX Runtime holds for the model after its runs: the weights and its arena, which
            does not shrink, so that the largest moment of a run is in it; None where the system does not tell.
        samples_ms: (runs,) float64, read-only, in the order of the runs.
        energy_mj: of one run; None where the device does not tell.
        utilisation: multiply-adds of a run divided by those that the device could do in its time; None where unknown.
        computed: nothing was run: the figures follow from the description of the device, so there is one of each, no
            spread, no warm-up and no session.
        runs_per_sample: runs that were timed together, where the device's clock is too coarse for one; a sample is
            their mean, and `runs` counts samples.
        layers: what each layer takes, where that is known.
        drift: relative change of a reference model from before to after this and what was measured beside it; None
            where nobody watched, see `profilers.series`.
        noise: what the device's noise floor was found to be until then, as a relative change of the reference model;
            see `profilers.series.Series.noise`.
    """

    device: str
    fingerprint: str
    median_ms: float
    p90_ms: float
    p99_ms: float
    spread: float
    interval: float
    stable: bool
    runs: int
    warmup_runs: int
    session_ms: float
    queued_ms: float
    peak_memory_bytes: int | None
    samples_ms: NDArray[np.float64] = field(compare=False, repr=False)
    energy_mj: float | None = None
    utilisation: float | None = None
    computed: bool = False
    runs_per_sample: int = 1
    layers: tuple[LayerCost | LayerTime, ...] = field(default=(), repr=False)
    drift: float | None = None
    noise: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The values of the device's metrics, `latency_ms` first."""
        told = {"latency_ms": self.median_ms, "energy_mj": self.energy_mj, "utilisation": self.utilisation}
        return {name: value for name, value in told.items() if value is not None}

    def summary(self) -> dict[str, str | int | float | bool | None]:
        """All but the samples and layers, as a JSON object."""
        names = (name for name in self.__dataclass_fields__ if name not in ("samples_ms", "layers"))
        return {name: getattr(self, name) for name in names}


def summarise(
    samples_ms: ArrayLike,
    *,
    device: str,
    fingerprint: str,
    tolerance: float,
    settled: bool,
    warmup_runs: int,
    session_ms: float,
    queued_ms: float = 0.0,
    peak_memory_bytes: int | None = None,
    runs_per_sample: int = 1,
) -> Measurement:
    """Make a measurement of timed runs.

    Args:
        samples_ms: (runs,) times of the timed runs in their order, all positive.
        device: name of the device.
        fingerprint: fingerprint of the device.
        tolerance: largest `interval` of a stable measurement.
        settled: whether the warm-up ended because the times had settled.
        warmup_runs: runs that were not counted.
        session_ms: creation of the session.
        queued_ms: wait for the device.
        peak_memory_bytes: peak memory, None where unknown.
        runs_per_sample: runs that a sample is the mean of.

    Raises:
        ValueError: no samples, or one that is not a positive number.
    """
    samples = np.array(samples_ms, dtype=np.float64)
    if samples.ndim != 1 or samples.size == 0 or not (np.isfinite(samples) & (samples > 0)).all():
        raise ValueError(f"samples must be a non-empty row of positive times (got shape {samples.shape})")
    samples.flags.writeable = False
    low, median, high, p90, p99 = (float(q) for q in np.percentile(samples, [25, 50, 75, 90, 99]))
    interval = median_interval(samples)
    return Measurement(
        device=device,
        fingerprint=fingerprint,
        median_ms=median,
        p90_ms=p90,
        p99_ms=p99,
        spread=(high - low) / median,
        interval=interval,
        stable=settled and interval <= tolerance,
        runs=samples.size,
        warmup_runs=warmup_runs,
        session_ms=session_ms,
        queued_ms=queued_ms,
        peak_memory_bytes=peak_memory_bytes,
        samples_ms=samples,
        runs_per_sample=runs_per_sample,
    )


def median_interval(samples: NDArray[np.float64]) -> float:
    """Half the width of the 95 % confidence interval of the median, divided by the median.

    The interval lies between two order statistics and assumes no distribution, only independent runs
    (Conover, Practical Nonparametric Statistics, section 3.2). Runs that follow each other are not quite
    independent, so it is a lower bound of the doubt.

    Args:
        samples: (runs,) positive times.

    Returns:
        The relative half-width; with fewer than 6 runs no such interval exists and the answer is inf.
    """
    count = samples.size
    if count < 6:
        return float("inf")
    margin = 1.959964 * count**0.5 / 2
    low = max(int(np.floor(count / 2 - margin)), 0)
    high = min(int(np.ceil(count / 2 + margin)), count - 1)
    ordered = np.sort(samples)
    return float((ordered[high] - ordered[low]) / 2 / np.median(ordered))
