"""Several models on one device, with a reference model before and after: is the device still what it was?

A device that grows warm, or that somebody else begins to use, gets slower for whoever is measured then. So models are
measured in series between two measurements of a reference model. When these differ, all that was measured between them
is measured again, in reverse order, so that what came last comes first.

The reference is short, so that its median hardly shows when its process has to wait for others; its mean does. How far
the mean lies above the median is the disturbance: a disturbed device gives no stable measurement, since what a longer
model takes is then a matter of luck.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from profilers.device import Device
from profilers.errors import DeviceLost, ProfilingFailed
from profilers.measurement import Measurement
from profilers.profiler import Outcome, Profiler
from profilers.reference import reference_model


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """When a device has drifted, and what is done about it.

    Attributes:
        models: measured between two measurements of the reference, at most.
        drift: largest relative change of the reference that is no drift, and largest disturbance that is none.
        attempts: times that a series is measured at most.

    Raises:
        ValueError: numbers that make no rule.
    """

    models: int = 8
    drift: float = 0.05
    attempts: int = 3

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be at least 1 (got {getattr(self, name)!r})"
            for name in ("models", "attempts")
            if getattr(self, name) < 1
        ]
        if not 0 < self.drift < float("inf"):
            problems.append(f"drift must be a positive number (got {self.drift!r})")
        if problems:
            raise ValueError("; ".join(problems))


class Series:
    """Measures models between measurements of the reference model, and knows the device's noise floor.

    Args:
        profiler: what measures; it stays the caller's.
        device: where.
        rule: when the device has drifted.

    Attributes:
        busy_seconds: how long the device was busy with all models and references so far, waiting for it left out.
    """

    def __init__(self, profiler: Profiler, device: Device, rule: SeriesRule | None = None) -> None:
        self._profiler = profiler
        self._device = device
        self._rule = rule or SeriesRule()
        self._noise: list[float] = []
        self.busy_seconds = 0.0

    @property
    def noise(self) -> float | None:
        """The noise floor: the median of how far references were off, by drift or by disturbance, as a relative change.

        None before there were two, and on a device that is computed.
        """
        return statistics.median(self._noise) if self._noise else None

    def measure(self, models: Sequence[bytes], progress: Callable[[int], None] = lambda done: None) -> list[Outcome]:
        """Measure models, `rule.models` at a time.

        Args:
            models: ONNX files.
            progress: called with the number of models that are done.

        Returns:
            What came of each, in the order of the models.

        Raises:
            DeviceLost: the device is gone, or the reference cannot be measured on it.
        """
        size = len(models) if self._device.computed else self._rule.models
        outcomes: list[Outcome] = []
        for start in range(0, len(models), max(size, 1)):
            outcomes += self._watched(models[start : start + size])
            progress(len(outcomes))
        return outcomes

    def _watched(self, models: Sequence[bytes]) -> list[Outcome]:
        """Measure a few models between two references; of several attempts the steadiest counts."""
        if self._device.computed:
            return self._profiled(models)
        best: dict[int, Outcome] = {}
        least, calm = float("inf"), False
        order = list(range(len(models)))
        before: Measurement | None = None
        for _ in range(self._rule.attempts):
            chosen = [models[index] for index in order]
            if before is None:
                first, *seen, last = self._profiled([reference_model(), *chosen, reference_model()])
                before = self._steady(first)
            else:
                *seen, last = self._profiled([*chosen, reference_model()])
            found, after = dict(zip(order, seen, strict=True)), self._steady(last)
            drift = abs(after.median_ms / before.median_ms - 1)
            disturbance = max(_disturbance(before), _disturbance(after))
            self._noise.append(max(drift, disturbance))
            if drift < least:
                best, least, calm = best | found, drift, disturbance <= self._rule.drift
            if least <= self._rule.drift:
                break
            before, order = after, [index for index in order[::-1] if isinstance(found[index], Measurement)]
        return [self._judged(best[index], least, calm) for index in range(len(models))]

    def _judged(self, outcome: Outcome, drift: float, calm: bool) -> Outcome:
        """Note with a measurement how steady the device was; one that drifts or is disturbed gives no stable one."""
        if not isinstance(outcome, Measurement):
            return outcome
        return replace(
            outcome, drift=drift, noise=self.noise, stable=outcome.stable and calm and drift <= self._rule.drift
        )

    def _profiled(self, models: Sequence[bytes]) -> list[Outcome]:
        """Measure models, and count the time that the device was busy with them."""
        outcomes: list[Outcome] = []
        since = time.monotonic()
        try:
            for outcome in self._profiler.profile_all(models, self._device):
                outcomes.append(outcome)
                if isinstance(outcome, Measurement):
                    since += outcome.queued_ms / 1e3
                elif isinstance(outcome, ProfilingFailed) and outcome.reason == "queue":
                    since = time.monotonic()
                since = self._busy_since(since)
        finally:
            self._busy_since(since)
        return outcomes

    def _busy_since(self, moment: float) -> float:
        """Count the time that the device was busy since a moment; the moment that it is now."""
        now = time.monotonic()
        if not self._device.computed:
            self.busy_seconds += max(0.0, now - moment)
        return now

    def _steady(self, reference: Outcome) -> Measurement:
        """How long the reference takes now.

        Raises:
            DeviceLost: it cannot be measured.
        """
        if isinstance(reference, Measurement):
            return reference
        message = f"device {self._device.name!r} cannot measure the reference model: {reference}"
        raise DeviceLost(message, reference.reason if isinstance(reference, ProfilingFailed) else "load") from None


def _disturbance(reference: Measurement) -> float:
    """How far the mean of the runs lies above their median, relatively."""
    return max(float(reference.samples_ms.mean()) / reference.median_ms - 1, 0.0)
